/* Many entries in one call: lookups, runs of a cursor, ranges; values written in place; cursors
 * that serve several transactions. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

enum { COUNT = 4000, MOST = 200, OVERFLOW_BYTES = 20000 };

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

static void put_large(zdb_txn *txn, zdb_db db, unsigned number) {
    char key_text[KEY_BYTES];
    void *memory = new_pattern(OVERFLOW_BYTES, number);
    zdb_val key = numbered(key_text, "key", number), value = bytes(memory, OVERFLOW_BYTES);
    REQUIRE_OK(zdb_put(txn, db, &key, &value, 0));
    free(memory);
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
    for (unsigned i = 0; i < COUNT; i += 50) put_large(txn, ZDB_MAIN_DB, i);
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
        CHECK_CODE(code, ZDB_NOT_FOUND);
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
    /* Its entry deleted, the cursor stands before the one after it. */
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
    CHECK_CODE(zdb_cursor_next_many(cursor, keys, values, 2, &count), ZDB_NOT_FOUND);
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

/* ---------------------------------------------------------------------- ranges */

static uint64_t count_between(zdb_txn *txn, const char *from, const char *to) {
    zdb_val low = text(from != NULL ? from : ""), high = text(to != NULL ? to : "");
    uint64_t count = UINT64_MAX;
    REQUIRE_OK(zdb_count_range(txn, ZDB_MAIN_DB, from != NULL ? &low : NULL,
                               to != NULL ? &high : NULL, &count));
    return count;
}

static uint64_t delete_between(zdb_txn *txn, const char *from, const char *to) {
    zdb_val low = text(from != NULL ? from : ""), high = text(to != NULL ? to : "");
    uint64_t count = UINT64_MAX;
    REQUIRE_OK(zdb_del_range(txn, ZDB_MAIN_DB, from != NULL ? &low : NULL,
                             to != NULL ? &high : NULL, &count));
    return count;
}

static void a_range_has_its_first_key_and_not_its_last(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    CHECK_NUMBER(count_between(txn, "a", "z"), 0);
    CHECK_NUMBER(delete_between(txn, "a", "z"), 0);
    put_numbered(txn, ZDB_MAIN_DB, COUNT);
    commit(txn);
    txn = begin_read(env);
    CHECK_NUMBER(count_between(txn, NULL, NULL), COUNT);
    CHECK_NUMBER(count_between(txn, "a", "z"), COUNT);
    CHECK_NUMBER(count_between(txn, "key00001000", "key00001001"), 1);
    CHECK_NUMBER(count_between(txn, "key00001000", "key00003000"), 2000);
    CHECK_NUMBER(count_between(txn, "key000010", "key00003000"), 2000);
    CHECK_NUMBER(count_between(txn, "key00001000x", "key00003000x"), 2000);
    CHECK_NUMBER(count_between(txn, "key00003990", NULL), 10);
    CHECK_NUMBER(count_between(txn, NULL, "key00000010"), 10);
    CHECK_NUMBER(count_between(txn, "key00001000", "key00001000"), 0);
    CHECK_NUMBER(count_between(txn, "key00003000", "key00001000"), 0);
    CHECK_NUMBER(count_between(txn, "l", NULL), 0);
    CHECK_NUMBER(count_between(txn, NULL, "k"), 0);
    abort_txn(txn);

    txn = begin_write(env);
    for (unsigned i = 0; i < COUNT; i += 100) put_large(txn, ZDB_MAIN_DB, i);
    zdb_txn *reader = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = text("key00002000");
    REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_SET));
    CHECK_NUMBER(delete_between(txn, "key00001000", "key00003000"), 2000);
    CHECK_NUMBER(count_between(txn, "key00001000", "key00003000"), 0);
    expect_absent(txn, ZDB_MAIN_DB, "key00001000");
    expect_absent(txn, ZDB_MAIN_DB, "key00002999");
    expect_text(txn, ZDB_MAIN_DB, "key00000999", "value of 00000999");
    expect_entry(cursor, ZDB_NEXT, "key00003000");
    CHECK_NUMBER(delete_between(txn, NULL, "key00000010"), 10);
    CHECK_NUMBER(delete_between(txn, "key00003999", NULL), 1);
    CHECK_NUMBER(delete_between(txn, "key00000100x", "key00000101x"), 1);
    CHECK_NUMBER(delete_between(txn, "key00003000", "key00001000"), 0);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), COUNT - 2012);
    close_cursor(cursor);
    commit(txn);
    CHECK_NUMBER(count_between(reader, "key00001000", "key00003000"), 2000);
    abort_txn(reader);
    expect_sound(env);

    txn = begin_write(env);
    CHECK_NUMBER(delete_between(txn, NULL, NULL), COUNT - 2012);
    CHECK_NUMBER(delete_between(txn, NULL, NULL), 0);
    zdb_db_stat stat;
    get_stat(txn, ZDB_MAIN_DB, &stat);
    CHECK_NUMBER(stat.leaf_pages + stat.branch_pages + stat.overflow_pages + stat.depth, 0);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void wrong_ranges_are_refused(void) {
    static char longest[2000];
    uint64_t count = 7;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    zdb_val empty = nothing(), a = text("a"), nowhere = bytes(NULL, 3);
    zdb_val long_key = bytes(longest, zdb_env_max_key_size(env) + 1);
    CHECK_ERROR(zdb_count_range(txn, ZDB_MAIN_DB, &empty, NULL, &count), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_count_range(txn, ZDB_MAIN_DB, NULL, &long_key, &count), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_count_range(txn, ZDB_MAIN_DB, NULL, &nowhere, &count), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_count_range(txn, ZDB_MAIN_DB, NULL, NULL, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_count_range(txn, 99, NULL, NULL, &count), ZDB_BAD_DB);
    CHECK_ERROR(zdb_del_range(txn, ZDB_MAIN_DB, &a, &empty, &count), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_del_range(txn, ZDB_MAIN_DB, &long_key, NULL, &count), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_del_range(txn, 99, NULL, NULL, &count), ZDB_BAD_DB);
    CHECK_NUMBER(count, 7);
    CHECK_CODE(zdb_del_range(txn, ZDB_MAIN_DB, &a, NULL, NULL), ZDB_OK);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    txn = begin_read(env);
    CHECK_ERROR(zdb_del_range(txn, ZDB_MAIN_DB, NULL, NULL, &count), ZDB_READ_ONLY);
    CHECK_NUMBER(count_between(txn, NULL, NULL), 1);
    abort_txn(txn);
    close_env(env);
}

static void keys_are_compared_as_the_database_orders_them(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    zdb_val a = text("a"), ab = text("ab"), b = text("b");
    int order = 99;
    REQUIRE_OK(zdb_cmp(txn, ZDB_MAIN_DB, &a, &ab, &order));
    CHECK(order < 0);
    REQUIRE_OK(zdb_cmp(txn, ZDB_MAIN_DB, &b, &ab, &order));
    CHECK(order > 0);
    REQUIRE_OK(zdb_cmp(txn, ZDB_MAIN_DB, &ab, &ab, &order));
    CHECK(order == 0);
    CHECK_ERROR(zdb_cmp(txn, 99, &a, &b, &order), ZDB_BAD_DB);
    CHECK_ERROR(zdb_cmp(txn, ZDB_MAIN_DB, NULL, &b, &order), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cmp(txn, ZDB_MAIN_DB, &a, NULL, &order), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cmp(txn, ZDB_MAIN_DB, &a, &b, NULL), ZDB_BAD_ARGUMENT);
    abort_txn(txn);
    close_env(env);
}

/* --------------------------------------------------------------------- reserve */

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
    /* The last of a transaction is complete too. */
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
    /* Filled before one write of each kind. */
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
    CHECK_CODE(zdb_cursor_put(cursor, &key, &value, ZDB_RESERVE | ZDB_NOOVERWRITE), ZDB_KEYEXIST);
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

/* --------------------------------------------------------------------- cursors */

static void a_cursor_can_be_given_to_another_transaction(void) {
    zdb_env *env = open_env("env"), *other = open_env("other");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_db(txn, "n");
    put_text(txn, db, "k", "1");
    commit(txn);
    txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, db);
    CHECK(zdb_cursor_txn(cursor) == txn);
    CHECK_NUMBER(zdb_cursor_db(cursor), db);
    expect_entry(cursor, ZDB_NEXT, "k");
    abort_txn(txn);
    CHECK(zdb_cursor_txn(cursor) == NULL);
    CHECK_NUMBER(zdb_cursor_db(cursor), db);
    CHECK_ERROR(zdb_cursor_renew(txn, cursor), ZDB_BAD_HANDLE);

    txn = begin_write(env);
    put_text(txn, db, "a", "2");
    REQUIRE_OK(zdb_cursor_renew(txn, cursor));
    CHECK(zdb_cursor_txn(cursor) == txn);
    expect_entry(cursor, ZDB_NEXT, "a");
    zdb_txn *elsewhere = begin_read(other);
    CHECK_ERROR(zdb_cursor_renew(elsewhere, cursor), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_renew(txn, NULL), ZDB_BAD_HANDLE);
    CHECK_ERROR(zdb_cursor_renew(NULL, cursor), ZDB_BAD_HANDLE);
    expect_entry(cursor, ZDB_NEXT, "k");
    REQUIRE_OK(zdb_db_drop(txn, db));
    CHECK_ERROR(zdb_cursor_renew(txn, cursor), ZDB_BAD_DB);
    abort_txn(txn);
    abort_txn(elsewhere);

    txn = begin_read(env);
    REQUIRE_OK(zdb_txn_reset(txn));
    CHECK_ERROR(zdb_cursor_renew(txn, cursor), ZDB_BAD_TXN);
    REQUIRE_OK(zdb_txn_renew(txn));
    REQUIRE_OK(zdb_cursor_renew(txn, cursor));
    expect_entry(cursor, ZDB_LAST, "k");
    abort_txn(txn);
    close_cursor(cursor);
    CHECK(zdb_cursor_txn(cursor) == NULL);
    CHECK_NUMBER(zdb_cursor_db(cursor), UINT32_MAX);
    CHECK_ERROR(zdb_cursor_renew(NULL, NULL), ZDB_BAD_HANDLE);
    close_env(other);
    close_env(env);
}

static void closing_an_environment_closes_its_cursors_only(void) {
    zdb_env *env = open_env("env"), *other = open_env("other");
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    abort_txn(txn);
    /* The place of the transaction in memory now serves one of the other environment. */
    zdb_txn *elsewhere = begin_read(other);
    zdb_cursor *cursor_elsewhere = open_cursor(elsewhere, ZDB_MAIN_DB);
    abort_txn(elsewhere);
    close_env(env);
    CHECK_ERROR(zdb_cursor_close(cursor), ZDB_BAD_HANDLE);
    elsewhere = begin_read(other);
    REQUIRE_OK(zdb_cursor_renew(elsewhere, cursor_elsewhere));
    expect_entry(cursor_elsewhere, ZDB_FIRST, NULL);
    abort_txn(elsewhere);
    close_env(other);
}

static const struct test tests[] = {
    TEST(many_keys_are_found_as_one_by_one),
    TEST(the_same_key_may_be_asked_for_twice),
    TEST(wrong_lookups_of_many_are_refused),
    TEST(a_cursor_returns_runs_of_entries),
    TEST(a_run_goes_on_from_where_the_cursor_is),
    TEST(a_run_ends_when_its_keys_are_many_bytes),
    TEST(wrong_runs_are_refused),
    TEST(a_range_has_its_first_key_and_not_its_last),
    TEST(wrong_ranges_are_refused),
    TEST(keys_are_compared_as_the_database_orders_them),
    TEST(a_value_can_be_written_where_it_will_lie),
    TEST(ranges_and_reserved_values_are_replayed_from_the_log),
    TEST(values_reserved_in_nested_transactions_are_replayed),
    TEST(reserving_heeds_the_other_flags_and_limits),
    TEST(a_cursor_reserves_too),
    TEST(a_cursor_can_be_given_to_another_transaction),
    TEST(closing_an_environment_closes_its_cursors_only),
};

DEFINE_SUITE(batches, tests);
