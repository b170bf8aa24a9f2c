/* Many entries in one call: lookups, and runs of a cursor. */
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"
#include "support.h"

enum { COUNT = 4000, MOST = 200 };

/* -------------------------------------------------------------------- get_many */

/* Compares zdb_get_many() with zdb_get() for `count` keys, some of them missing. */
static void compare_lookups(zdb_txn *txn, zdb_db db, size_t count, uint64_t *state) {
    static char texts[MOST][KEY_BYTES];
    static zdb_val keys[MOST], values[MOST];
    size_t expected = 0, found = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        keys[i] = numbered(texts[i], "key", (unsigned)(next_random(state) % (COUNT + COUNT / 4)));
        values[i] = text("nonsense");
    }
    REQUIRE_OK(zdb_get_many(txn, db, keys, values, count, &found));
    for (size_t i = 0; i < count; i++) {
        zdb_val value = nothing();
        int code = zdb_get(txn, db, &keys[i], &value);
        if (code == ZDB_OK) {
            expected++;
            CHECK(values[i].data != NULL);
            CHECK(values[i].data == value.data);
            CHECK_NUMBER(values[i].size, value.size);
        } else {
            REQUIRE_CODE(code, ZDB_NOT_FOUND);
            CHECK(values[i].data == NULL);
            CHECK_NUMBER(values[i].size, 0);
        }
    }
    CHECK_NUMBER(found, expected);
}

static void many_keys_are_found_as_one_by_one(void) {
    static const size_t counts[] = {0, 1, 2, 31, 32, 33, 64, 100, MOST};
    uint64_t state = 5;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db named = create_db(txn, "named");
    compare_lookups(txn, ZDB_MAIN_DB, 40, &state);
    put_numbered(txn, ZDB_MAIN_DB, COUNT);
    put_numbered(txn, named, 3);
    for (unsigned i = 0; i < COUNT; i += 50) put_overflow(txn, ZDB_MAIN_DB, i);
    put_text(txn, ZDB_MAIN_DB, "key00000007", "");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        compare_lookups(txn, ZDB_MAIN_DB, counts[i], &state);
        compare_lookups(txn, named, counts[i], &state);
    }
    commit(txn);
    txn = begin_read(env);
    for (unsigned round = 0; round < repetitions(100); round++) {
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            compare_lookups(txn, ZDB_MAIN_DB, counts[i], &state);
        }
    }
    abort_txn(txn);
    /* Pages of the transaction among pages of the map. */
    txn = begin_write(env);
    delete_text(txn, ZDB_MAIN_DB, "key00000000");
    put_text(txn, ZDB_MAIN_DB, "key00002000", "changed");
    compare_lookups(txn, ZDB_MAIN_DB, MOST, &state);
    abort_txn(txn);
    close_env(env);
}

static void the_same_key_may_be_asked_for_twice(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    zdb_val keys[] = {text("k"), text("l"), text("k")}, values[3];
    REQUIRE_OK(zdb_get_many(txn, ZDB_MAIN_DB, keys, values, 3, NULL));
    CHECK_VALUE(values[0], "v");
    CHECK(values[1].data == NULL);
    CHECK_VALUE(values[2], "v");
    abort_txn(txn);
    close_env(env);
}

static void wrong_lookups_of_many_are_refused(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    zdb_val keys[3] = {text("k"), text("l"), text("m")}, values[3];
    size_t found;
    CHECK_ERROR(zdb_get_many(txn, ZDB_MAIN_DB, NULL, values, 3, &found), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_get_many(txn, ZDB_MAIN_DB, keys, NULL, 3, &found), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_get_many(txn, 99, keys, values, 3, &found), ZDB_BAD_DB);
    CHECK_ERROR(zdb_get_many(txn, ZDB_MAIN_DB, keys, values, SIZE_MAX, &found), ZDB_BAD_ARGUMENT);
    keys[2] = nothing();
    CHECK_ERROR(zdb_get_many(txn, ZDB_MAIN_DB, keys, values, 3, &found), ZDB_BAD_VALSIZE);
    CHECK_CONTAINS(zdb_last_error(), "key 2");
    keys[2] = bytes(NULL, 3);
    CHECK_ERROR(zdb_get_many(txn, ZDB_MAIN_DB, keys, values, 3, &found), ZDB_BAD_ARGUMENT);
    static char longest[2000];
    keys[2] = bytes(longest, zdb_env_max_key_size(env) + 1);
    CHECK_ERROR(zdb_get_many(txn, ZDB_MAIN_DB, keys, values, 3, &found), ZDB_BAD_VALSIZE);
    keys[2] = bytes(longest, SIZE_MAX);
    CHECK_ERROR(zdb_get_many(txn, ZDB_MAIN_DB, keys, values, 3, &found), ZDB_BAD_VALSIZE);
    expect_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    close_env(env);
}

/* ------------------------------------------------------------------- next_many */

static void a_cursor_returns_runs_of_entries(void) {
    static const size_t capacities[] = {1, 2, 7, 100, MOST};
    zdb_val keys[MOST], values[MOST];
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, COUNT);
    commit(txn);
    txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        REQUIRE_OK(zdb_cursor_renew(txn, cursor));
        unsigned number = 0;
        size_t count = 0;
        int code;
        for (;;) {
            code = zdb_cursor_next_many(cursor, keys, values, capacities[i], &count);
            if (code != ZDB_OK) break;
            REQUIRE(count >= 1 && count <= capacities[i]);
            for (size_t j = 0; j < count; j++, number++) {
                char key_text[KEY_BYTES], value_text[KEY_BYTES];
                zdb_val key = numbered(key_text, "key", number);
                zdb_val value = numbered_value(value_text, number);
                CHECK_BYTES(keys[j], key.data, key.size);
                CHECK_BYTES(values[j], value.data, value.size);
            }
        }
        CHECK_ERROR(code, ZDB_NOT_FOUND);
        CHECK_NUMBER(count, 0);
        CHECK_NUMBER(number, COUNT);
        expect_entry(cursor, ZDB_GET_CURRENT, "key00003999");
        expect_entry(cursor, ZDB_PREV, "key00003998");
    }
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void a_run_goes_on_from_where_the_cursor_is(void) {
    zdb_val keys[10], values[10];
    size_t count;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, COUNT);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = text("key00001000");
    REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_SET));
    REQUIRE_OK(zdb_cursor_next_many(cursor, keys, NULL, 10, &count));
    CHECK_NUMBER(count, 10);
    CHECK_VALUE(keys[0], "key00001001");
    CHECK_VALUE(keys[9], "key00001010");
    REQUIRE_OK(zdb_cursor_next_many(cursor, NULL, values, 10, &count));
    CHECK_VALUE(values[0], "value of 00001011");
    expect_entry(cursor, ZDB_GET_CURRENT, "key00001020");
    /* When its entry is deleted, the cursor stands before the next one. */
    REQUIRE_OK(zdb_cursor_del(cursor, 0));
    REQUIRE_OK(zdb_cursor_next_many(cursor, keys, values, 2, &count));
    CHECK_VALUE(keys[0], "key00001021");
    expect_entry(cursor, ZDB_NEXT, "key00001023");
    REQUIRE_OK(zdb_cursor_next_many(cursor, NULL, NULL, 10, &count));
    expect_entry(cursor, ZDB_NEXT, "key00001034");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void a_run_ends_when_its_keys_are_many_bytes(void) {
    static char key_bytes[1000];
    zdb_val keys[MOST], values[MOST];
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    memset(key_bytes, 'k', sizeof(key_bytes));
    for (unsigned i = 0; i < MOST; i++) {
        key_bytes[500] = (char)(i / 100), key_bytes[501] = (char)(i % 100);
        zdb_val key = bytes(key_bytes, sizeof(key_bytes)), value = text("v");
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    }
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    unsigned number = 0, calls = 0;
    size_t count;
    while (zdb_cursor_next_many(cursor, keys, values, MOST, &count) == ZDB_OK) {
        calls++;
        CHECK(count < 80);
        for (size_t j = 0; j < count; j++, number++) {
            key_bytes[500] = (char)(number / 100), key_bytes[501] = (char)(number % 100);
            CHECK_BYTES(keys[j], key_bytes, sizeof(key_bytes));
        }
    }
    CHECK_NUMBER(number, MOST);
    CHECK(calls >= 3);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void wrong_runs_are_refused(void) {
    zdb_val keys[2], values[2];
    size_t count = 7;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    CHECK_ERROR(zdb_cursor_next_many(cursor, keys, values, 2, &count), ZDB_NOT_FOUND);
    CHECK_NUMBER(count, 0);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    CHECK_ERROR(zdb_cursor_next_many(cursor, keys, values, 0, &count), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_next_many(cursor, keys, values, 2, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_next_many(NULL, keys, values, 2, &count), ZDB_BAD_HANDLE);
    REQUIRE_OK(zdb_cursor_next_many(cursor, keys, values, 2, &count));
    CHECK_NUMBER(count, 1);
    abort_txn(txn);
    CHECK_ERROR(zdb_cursor_next_many(cursor, keys, values, 2, &count), ZDB_BAD_CURSOR);
    close_cursor(cursor);
    close_env(env);
}

static const struct test tests[] = {
    TEST(many_keys_are_found_as_one_by_one),
    TEST(the_same_key_may_be_asked_for_twice),
    TEST(wrong_lookups_of_many_are_refused),
    TEST(a_cursor_returns_runs_of_entries),
    TEST(a_run_goes_on_from_where_the_cursor_is),
    TEST(a_run_ends_when_its_keys_are_many_bytes),
    TEST(wrong_runs_are_refused),
};

DEFINE_SUITE(batches, tests);
