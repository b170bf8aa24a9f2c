/* Values written in place, and how they are replayed from the log. */
#include <stdio.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

enum { COUNT = 4000 };

static const size_t sizes[] = {0, 1, 100, 2000, 2100, 4096, 100000, 300000};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void *reserve(zdb_txn *txn, const char *key_text, size_t size) {
    zdb_val key = text(key_text), value = bytes((const void *)1, size);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE));
    CHECK_NUMBER(value.size, size);
    REQUIRE(value.data != NULL && value.data != (const void *)1);
    return (void *)(uintptr_t)value.data;
}

static void expect_pattern(zdb_txn *txn, const char *key_text, size_t size, uint64_t seed) {
    zdb_val key = text(key_text), value = nothing();
    REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
    CHECK_NUMBER(value.size, size);
    CHECK(has_pattern(value.data, value.size, seed));
}

static void expect_zeros(zdb_txn *txn, const char *key_text, size_t size) {
    zdb_val key = text(key_text), value = nothing();
    REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
    CHECK_NUMBER(value.size, size);
    for (size_t i = 0; i < value.size; i++) {
        REQUIRE(((const char *)value.data)[i] == 0);
    }
}

static void reserve_all(zdb_env *env) {
    char key_text[KEY_BYTES];
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < SIZES; i++) {
        numbered(key_text, "space", i);
        fill_pattern(reserve(txn, key_text, sizes[i]), sizes[i], i);
        expect_pattern(txn, key_text, sizes[i], i);
        numbered(key_text, "zeros", i);
        reserve(txn, key_text, sizes[i]);
    }
    /* The last value of a transaction is complete too. */
    fill_pattern(reserve(txn, "last", 500), 500, 99);
    commit(txn);
}

static void expect_reserved(zdb_env *env) {
    char key_text[KEY_BYTES];
    zdb_txn *txn = begin_read(env);
    for (unsigned i = 0; i < SIZES; i++) {
        numbered(key_text, "space", i);
        expect_pattern(txn, key_text, sizes[i], i);
        numbered(key_text, "zeros", i);
        expect_zeros(txn, key_text, sizes[i]);
    }
    expect_pattern(txn, "last", 500, 99);
    abort_txn(txn);
    expect_sound(env);
}

static void a_value_can_be_written_where_it_will_lie(void) {
    zdb_env *env = open_env("env");
    reserve_all(env);
    expect_reserved(env);
    close_env(env);
    env = open_env("env");
    expect_reserved(env);
    close_env(env);
}

/* Ends with the environment open, as a crash would. */
static void change_and_leave(void *argument) {
    (void)argument;
    zdb_env *env = open_env_to_leave("env");
    zdb_txn *txn = begin_write(env);
    delete_between(txn, "key00000100", "key00000200");
    delete_between(txn, "key00003900", NULL);
    delete_between(txn, NULL, "key00000010");
    /* Each is filled before one of the different writes. */
    zdb_val key = text("a"), value = text("b");
    zdb_db db;
    fill_pattern(reserve(txn, "before put", 50), 50, 1);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    fill_pattern(reserve(txn, "before del", 50), 50, 2);
    REQUIRE_OK(zdb_del(txn, ZDB_MAIN_DB, &key, NULL));
    fill_pattern(reserve(txn, "before open", 50), 50, 3);
    REQUIRE_OK(zdb_db_open(txn, "n", ZDB_CREATE, &db));
    fill_pattern(reserve(txn, "before clear", 50), 50, 4);
    REQUIRE_OK(zdb_db_clear(txn, db));
    fill_pattern(reserve(txn, "before rename", 50), 50, 5);
    REQUIRE_OK(zdb_db_rename(txn, db, "m", &db));
    fill_pattern(reserve(txn, "before drop", 50), 50, 6);
    REQUIRE_OK(zdb_db_drop(txn, db));
    fill_pattern(reserve(txn, "before range", 50), 50, 7);
    delete_between(txn, "key00000300", "key00000301");
    commit(txn);
    reserve_all(env);
    fflush(NULL);
    _exit(check_failures() == 0 ? 0 : 1);
}

static void ranges_and_reserved_values_are_replayed_from_the_log(void) {
    static const char *const befores[] = {"before put",   "before del",    "before open",
                                          "before clear", "before rename", "before drop",
                                          "before range"};
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, COUNT);
    commit(txn);
    close_env(env);
    run_in_process(change_and_leave, NULL);
    env = open_env("env");
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.recovered_records, 2);
    expect_reserved(env);
    txn = begin_read(env);
    for (unsigned i = 0; i < 7; i++) expect_pattern(txn, befores[i], 50, i + 1);
    CHECK_NUMBER(count_between(txn, "key00000100", "key00000200"), 0);
    CHECK_NUMBER(count_between(txn, "key00003900", "key1"), 0);
    CHECK_NUMBER(count_between(txn, NULL, "key00000010"), 7);
    CHECK_NUMBER(count_between(txn, "key", "key1"), COUNT - 211);
    abort_txn(txn);
    close_env(env);
}

static void reserve_in_nested_and_leave(void *argument) {
    (void)argument;
    zdb_env *env = open_env_to_leave("env");
    zdb_txn *txn = begin_write(env), *child = NULL;
    fill_pattern(reserve(txn, "outer", 100000), 100000, 1);
    REQUIRE_OK(zdb_txn_begin(env, txn, 0, &child));
    fill_pattern(reserve(child, "kept", 3000), 3000, 2);
    commit(child);
    REQUIRE_OK(zdb_txn_begin(env, txn, 0, &child));
    fill_pattern(reserve(child, "taken back", 200000), 200000, 3);
    abort_txn(child);
    fill_pattern(reserve(txn, "last", 60), 60, 4);
    REQUIRE_OK(zdb_txn_begin(env, txn, 0, &child));
    fill_pattern(reserve(child, "last", 70), 70, 5);
    abort_txn(child);
    commit(txn);
    fflush(NULL);
    _exit(check_failures() == 0 ? 0 : 1);
}

static void values_reserved_in_nested_transactions_are_replayed(void) {
    run_in_process(reserve_in_nested_and_leave, NULL);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    expect_pattern(txn, "outer", 100000, 1);
    expect_pattern(txn, "kept", 3000, 2);
    expect_absent(txn, ZDB_MAIN_DB, "taken back");
    expect_pattern(txn, "last", 60, 4);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 3);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void reserving_heeds_the_other_flags_and_limits(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    zdb_val key = text("k"), value = bytes(NULL, 10);
    CHECK_CODE(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE | ZDB_NOOVERWRITE),
               ZDB_KEYEXIST);
    CHECK_VALUE(value, "v");
    key = text("j");
    value = bytes(NULL, 10);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE | ZDB_APPEND), ZDB_NOT_SORTED);
    key = text("l");
    value = bytes(NULL, 10);
    CHECK_CODE(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE | ZDB_APPEND), ZDB_OK);
    memcpy((void *)(uintptr_t)value.data, "ten bytes!", 10);
    value = bytes(NULL, (size_t)ZDB_MAX_VALUE_SIZE + 1);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE), ZDB_BAD_VALSIZE);
    value = bytes(NULL, SIZE_MAX);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, NULL, ZDB_RESERVE), ZDB_BAD_ARGUMENT);
    value = bytes(NULL, 10);
    zdb_val empty = nothing();
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &empty, &value, ZDB_RESERVE), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE | 1), ZDB_BAD_ARGUMENT);
    zdb_db dups = open_db_at(HERE, txn, "dups", ZDB_CREATE | ZDB_DUPSORT);
    CHECK_ERROR(zdb_put(txn, dups, &key, &value, ZDB_RESERVE), ZDB_INCOMPATIBLE);
    expect_text(txn, ZDB_MAIN_DB, "l", "ten bytes!");
    commit(txn);
    txn = begin_read(env);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE), ZDB_READ_ONLY);
    expect_text(txn, ZDB_MAIN_DB, "l", "ten bytes!");
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void a_cursor_reserves_too(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = text("k"), value = bytes(NULL, 3);
    CHECK_ERROR(zdb_cursor_put(cursor, NULL, &value, ZDB_CURRENT | ZDB_RESERVE), ZDB_BAD_CURSOR);
    REQUIRE_OK(zdb_cursor_put(cursor, &key, &value, ZDB_RESERVE));
    memcpy((void *)(uintptr_t)value.data, "one", 3);
    expect_entry(cursor, ZDB_GET_CURRENT, "k");
    value = bytes(NULL, 4000);
    REQUIRE_OK(zdb_cursor_put(cursor, NULL, &value, ZDB_CURRENT | ZDB_RESERVE));
    fill_pattern((void *)(uintptr_t)value.data, 4000, 8);
    expect_pattern(txn, "k", 4000, 8);
    expect_entry(cursor, ZDB_GET_CURRENT, "k");
    CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_RESERVE | ZDB_NOOVERWRITE), ZDB_KEYEXIST);
    CHECK_NUMBER(value.size, 4000);
    CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_CURRENT | ZDB_APPEND | ZDB_RESERVE),
                ZDB_INCOMPATIBLE);
    close_cursor(cursor);
    commit(txn);
    txn = begin_read(env);
    expect_pattern(txn, "k", 4000, 8);
    abort_txn(txn);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_value_can_be_written_where_it_will_lie),
    TEST(ranges_and_reserved_values_are_replayed_from_the_log),
    TEST(values_reserved_in_nested_transactions_are_replayed),
    TEST(reserving_heeds_the_other_flags_and_limits),
    TEST(a_cursor_reserves_too),
};

DEFINE_SUITE(reserve, tests);
