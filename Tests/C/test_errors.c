/* The version, the texts of result codes and the message of the last error. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "suites.h"
#include "support.h"

static void the_library_has_the_version_of_the_header(void) {
    int major = -1, minor = -1, patch = -1;
    CHECK_TEXT(zdb_version(&major, &minor, &patch), ZDB_VERSION_STRING);
    CHECK(major == ZDB_VERSION_MAJOR);
    CHECK(minor == ZDB_VERSION_MINOR);
    CHECK(patch == ZDB_VERSION_PATCH);
}

static void the_version_parts_are_optional(void) {
    int major = -1, patch = -1;
    CHECK_TEXT(zdb_version(NULL, NULL, NULL), ZDB_VERSION_STRING);
    CHECK_TEXT(zdb_version(&major, NULL, NULL), ZDB_VERSION_STRING);
    CHECK_TEXT(zdb_version(NULL, NULL, &patch), ZDB_VERSION_STRING);
    CHECK(major == ZDB_VERSION_MAJOR);
    CHECK(patch == ZDB_VERSION_PATCH);
}

static void every_code_has_a_text_of_its_own(void) {
    for (size_t i = 0; i < result_code_count; i++) {
        const char *one = zdb_strerror(result_codes[i].code);
        REQUIRE(one != NULL);
        CHECK(one[0] != '\0');
        for (size_t j = 0; j < i; j++) CHECK(strcmp(one, zdb_strerror(result_codes[j].code)) != 0);
    }
}

static void the_texts_of_codes_are_static(void) {
    char copy[1024];
    for (size_t i = 0; i < result_code_count; i++) {
        const char *one = zdb_strerror(result_codes[i].code);
        snprintf(copy, sizeof(copy), "%s", one);
        for (size_t j = 0; j < result_code_count; j++) zdb_strerror(result_codes[j].code);
        CHECK_TEXT(one, copy);
        CHECK(zdb_strerror(result_codes[i].code) == one);
    }
    const char *no_entry = zdb_strerror(ENOENT);
    zdb_strerror(EACCES);
    zdb_strerror(INT_MAX);
    CHECK_TEXT(no_entry, strerror(ENOENT));
}

static void positive_codes_have_the_texts_of_the_system(void) {
    static const int codes[] = {EPERM, ENOENT, EIO, ENOMEM, EACCES, ENOTDIR, ENOSPC, EROFS};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        CHECK_TEXT(zdb_strerror(codes[i]), strerror(codes[i]));
    }
}

static void unknown_codes_have_a_text_too(void) {
    static const int codes[] = {-22, -1000, INT_MIN, 100000, INT_MAX};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        const char *found = zdb_strerror(codes[i]);
        REQUIRE(found != NULL);
        CHECK(found[0] != '\0');
    }
}

static void there_is_no_error_before_the_first(void) {
    CHECK_TEXT(zdb_last_error(), "");
    CHECK(zdb_last_error_code() == 0);
    CHECK_NUMBER(zdb_last_error_page(), UINT64_MAX);
    zdb_env *env = open_env("env");
    close_env(env);
    CHECK_TEXT(zdb_last_error(), "");
    CHECK(zdb_last_error_code() == 0);
}

static void a_success_leaves_the_last_error_alone(void) {
    CHECK_ERROR(zdb_env_close(NULL), ZDB_BAD_HANDLE);
    char message[1024];
    snprintf(message, sizeof(message), "%s", zdb_last_error());
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    CHECK(zdb_last_error_code() == ZDB_BAD_HANDLE);
    CHECK_TEXT(zdb_last_error(), message);
    close_env(env);
}

static void a_newer_error_takes_the_place_of_the_last(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = NULL;
    CHECK_ERROR(zdb_env_sync(NULL), ZDB_BAD_HANDLE);
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0xdead0000u, &txn), ZDB_BAD_ARGUMENT);
    CHECK(zdb_last_error_code() == ZDB_BAD_ARGUMENT);
    CHECK_NUMBER(zdb_last_error_page(), UINT64_MAX);
    close_env(env);
}

/* Puts another error in front, so that none of it can be taken for that of the call. */
static void expect_told(int code, int expected, const char *part) {
    CHECK(code == expected);
    CHECK(zdb_last_error_code() == expected);
    CHECK_NUMBER(zdb_last_error_page(), UINT64_MAX);
    CHECK_CONTAINS(zdb_last_error(), part);
    CHECK_ERROR(zdb_env_sync(NULL), ZDB_BAD_HANDLE);
}

static void frequent_errors_are_told_too(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    CHECK_ERROR(zdb_env_sync(NULL), ZDB_BAD_HANDLE);
    zdb_val key = text("k"), value = text("v"), other = text("other"), found = nothing();
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    expect_told(zdb_cursor_get(cursor, &found, NULL, ZDB_FIRST), ZDB_NOT_FOUND, "empty");
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    expect_told(zdb_get(txn, ZDB_MAIN_DB, &other, &found), ZDB_NOT_FOUND, "no such key");
    expect_told(zdb_del(txn, ZDB_MAIN_DB, &other, NULL), ZDB_NOT_FOUND, "no such key");
    expect_told(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_NOOVERWRITE), ZDB_KEYEXIST, "already");
    value = text("v");
    expect_told(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_NOOVERWRITE | ZDB_RESERVE),
                ZDB_KEYEXIST, "already");
    value = text("v");
    expect_told(zdb_cursor_put(cursor, &key, &value, ZDB_NOOVERWRITE), ZDB_KEYEXIST, "already");
    REQUIRE_OK(zdb_cursor_get(cursor, &found, NULL, ZDB_LAST));
    expect_told(zdb_cursor_get(cursor, &found, NULL, ZDB_NEXT), ZDB_NOT_FOUND, "no more entries");
    expect_told(zdb_cursor_get(cursor, &other, NULL, ZDB_SET), ZDB_NOT_FOUND, "no such key");
    expect_told(zdb_cursor_get(cursor, &other, NULL, ZDB_SET_RANGE), ZDB_NOT_FOUND, "at or after");
    size_t count = 0;
    zdb_val keys[2], values[2];
    REQUIRE_OK(zdb_cursor_get(cursor, &found, NULL, ZDB_LAST));
    expect_told(zdb_cursor_next_many(cursor, keys, values, 2, &count), ZDB_NOT_FOUND, "no more");
    close_cursor(cursor);
    zdb_db db;
    expect_told(zdb_db_open(txn, "none", 0, &db), ZDB_NOT_FOUND, "none");
    REQUIRE_OK(zdb_db_open(txn, "pairs", ZDB_CREATE | ZDB_DUPSORT | ZDB_COUNTED, &db));
    put_text(txn, db, "k", "v");
    value = text("v");
    expect_told(zdb_put(txn, db, &key, &value, ZDB_NODUPDATA), ZDB_KEYEXIST, "pair");
    expect_told(zdb_del(txn, db, &key, &other), ZDB_NOT_FOUND, "pair");
    cursor = open_cursor(txn, db);
    zdb_val wanted = text("k");
    expect_told(zdb_cursor_get(cursor, &wanted, &other, ZDB_GET_BOTH), ZDB_NOT_FOUND, "pair");
    REQUIRE_OK(zdb_cursor_get(cursor, &found, NULL, ZDB_FIRST));
    expect_told(zdb_cursor_get(cursor, &found, NULL, ZDB_NEXT_DUP), ZDB_NOT_FOUND, "more values");
    expect_told(zdb_cursor_set_rank(cursor, 7, &found, NULL), ZDB_NOT_FOUND, "rank");
    uint64_t rank;
    expect_told(zdb_rank(txn, db, &other, &rank), ZDB_NOT_FOUND, "no such key");
    close_cursor(cursor);
    commit(txn);
    close_env(env);
}

static void *fail_in_another_thread(void *argument) {
    (void)argument;
    CHECK_TEXT(zdb_last_error(), "");
    CHECK(zdb_last_error_code() == 0);
    CHECK_NUMBER(zdb_last_error_page(), UINT64_MAX);
    zdb_env *env = NULL;
    CHECK_ERROR(zdb_env_open(NULL, NULL, &env), ZDB_BAD_ARGUMENT);
    return NULL;
}

static void each_thread_has_a_last_error_of_its_own(void) {
    CHECK_ERROR(zdb_env_close(NULL), ZDB_BAD_HANDLE);
    char message[1024];
    snprintf(message, sizeof(message), "%s", zdb_last_error());
    join_thread(start_thread(fail_in_another_thread, NULL));
    CHECK(zdb_last_error_code() == ZDB_BAD_HANDLE);
    CHECK_TEXT(zdb_last_error(), message);
}

static void messages_name_their_subject(void) {
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_NOCREATE;
    zdb_env *env = NULL;
    CHECK_ERROR(zdb_env_open("missing-directory", &options, &env), ENOENT);
    CHECK_CONTAINS(zdb_last_error(), "missing-directory");

    options.flags = 0;
    options.page_size = 5000;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BAD_ARGUMENT);
    CHECK_CONTAINS(zdb_last_error(), "page_size");
    CHECK_CONTAINS(zdb_last_error(), "5000");

    env = open_env("env");
    zdb_txn *txn = begin_write(env);
    static const char long_key[2000] = {0};
    zdb_val key = bytes(long_key, sizeof(long_key)), value = text("v");
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0), ZDB_BAD_VALSIZE);
    CHECK_CONTAINS(zdb_last_error(), "2000");
    CHECK_CONTAINS(zdb_last_error(), "1984");
    abort_txn(txn);
    close_env(env);
}

static void names_of_this_interface_are_marked_for_other_languages(void) {
    CHECK_TEXT(zdb_last_error_marked(), "");
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    zdb_db db;
    CHECK_ERROR(zdb_db_open(txn, "none", 0, &db), ZDB_NOT_FOUND);
    CHECK_CONTAINS(zdb_last_error(), "with ZDB_CREATE to make it");
    CHECK_CONTAINS(zdb_last_error_marked(), "with \x0eZDB_CREATE\x0f to make it");
    CHECK_ERROR(zdb_db_open(txn, "none", ZDB_APPEND, &db), ZDB_BAD_ARGUMENT);
    CHECK_CONTAINS(zdb_last_error(), "zdb_db_open: unknown flags");
    CHECK_CONTAINS(zdb_last_error_marked(), "\x0ezdb_db_open: \x0f" "unknown flags");

    zdb_val key = text("none"), value;
    CHECK_ERROR(zdb_get(txn, ZDB_MAIN_DB, &key, &value), ZDB_NOT_FOUND);
    CHECK_TEXT(zdb_last_error_marked(), zdb_last_error());
    abort_txn(txn);
    close_env(env);
}

static const struct test tests[] = {
    TEST(the_library_has_the_version_of_the_header),
    TEST(the_version_parts_are_optional),
    TEST(every_code_has_a_text_of_its_own),
    TEST(the_texts_of_codes_are_static),
    TEST(positive_codes_have_the_texts_of_the_system),
    TEST(unknown_codes_have_a_text_too),
    TEST(there_is_no_error_before_the_first),
    TEST(a_success_leaves_the_last_error_alone),
    TEST(a_newer_error_takes_the_place_of_the_last),
    TEST(frequent_errors_are_told_too),
    TEST(each_thread_has_a_last_error_of_its_own),
    TEST(messages_name_their_subject),
    TEST(names_of_this_interface_are_marked_for_other_languages),
};

DEFINE_SUITE(errors, tests);
