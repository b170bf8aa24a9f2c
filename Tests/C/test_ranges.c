/* Ranges of keys, counted and deleted. */
#include "suites.h"
#include "support.h"

enum { COUNT = 4000 };

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
    for (unsigned i = 0; i < COUNT; i += 100) put_overflow(txn, ZDB_MAIN_DB, i);
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

static const struct test tests[] = {
    TEST(a_range_has_its_first_key_and_not_its_last),
    TEST(wrong_ranges_are_refused),
};

DEFINE_SUITE(ranges, tests);
