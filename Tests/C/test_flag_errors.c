/* Calls that the flags of a database refuse: flags, sizes, operations that do not fit, handles
 * of others, limits. The transaction goes on after them. */
#include <stdio.h>

#include "calls.h"
#include "database_flags.h"
#include "suites.h"

#define FIXED (ZDB_DUPSORT | ZDB_DUPFIXED)
#define INTEGERS (FIXED | ZDB_INTEGERDUP)

enum { MAX_SIZE = 1984 }; /* of keys and duplicates, with pages of 4 KiB */

static int put_sizes(zdb_txn *txn, zdb_db db, size_t key_size, size_t value_size, unsigned fill) {
    static unsigned char key_memory[MAX_SIZE + 8], value_memory[MAX_SIZE + 8];
    memset(key_memory, (int)fill, sizeof(key_memory));
    memset(value_memory, (int)fill, sizeof(value_memory));
    zdb_val key = bytes(key_memory, key_size), value = bytes(value_memory, value_size);
    return zdb_put(txn, db, &key, &value, 0);
}

/* ----------------------------------------------------------------------- flags */

static void all_flags_of_databases_are_recorded_and_compared(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    char name[16];
    for (size_t i = 0; i < flag_combination_count; i++) {
        snprintf(name, sizeof(name), "%x", flag_combinations[i]);
        create_with_flags(txn, name, flag_combinations[i]);
    }
    commit(txn);
    close_env(env);

    env = open_env("env");
    for (unsigned writes = 0; writes < 2; writes++) {
        txn = begin_at(HERE, env, writes ? 0 : ZDB_RDONLY);
        for (size_t i = 0; i < flag_combination_count; i++) {
            snprintf(name, sizeof(name), "%x", flag_combinations[i]);
            zdb_db db, again;
            uint32_t flags = UINT32_MAX;
            REQUIRE_OK(zdb_db_open(txn, name, 0, &db));
            REQUIRE_OK(zdb_db_flags(txn, db, &flags));
            CHECK_NUMBER(flags, flag_combinations[i]);
            REQUIRE_OK(zdb_db_open(txn, name, flag_combinations[i], &again));
            CHECK_NUMBER(again, db);
            for (size_t j = 0; j < flag_combination_count; j++) {
                uint32_t other = flag_combinations[j];
                if (other == flag_combinations[i] || other == 0) continue;
                CHECK_ERROR(zdb_db_open(txn, name, other, &again), ZDB_INCOMPATIBLE);
            }
        }
        CHECK_ERROR(zdb_db_flags(txn, ZDB_MAIN_DB, NULL), ZDB_BAD_ARGUMENT);
        abort_txn(txn);
    }
    close_env(env);
}

static void the_main_database_takes_other_flags_while_it_is_empty(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db;
    CHECK_ERROR(zdb_db_open(txn, NULL, ZDB_DUPSORT, &db), ZDB_INCOMPATIBLE);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    CHECK_ERROR(zdb_db_open(txn, NULL, ZDB_CREATE | ZDB_DUPSORT, &db), ZDB_INCOMPATIBLE);
    delete_text(txn, ZDB_MAIN_DB, "k");
    REQUIRE_OK(zdb_db_open(txn, NULL, ZDB_CREATE | ZDB_DUPSORT, &db));
    abort_txn(txn);

    txn = begin_write(env);
    uint32_t flags = UINT32_MAX;
    REQUIRE_OK(zdb_db_flags(txn, ZDB_MAIN_DB, &flags));
    CHECK_NUMBER(flags, 0);
    REQUIRE_OK(zdb_db_open(txn, NULL, ZDB_CREATE | ZDB_DUPSORT | ZDB_COUNTED, &db));
    CHECK_NUMBER(db, ZDB_MAIN_DB);
    put_text(txn, db, "k", "1");
    put_text(txn, db, "k", "2");
    CHECK_ERROR(zdb_db_open(txn, NULL, ZDB_CREATE | ZDB_DUPSORT, &db), ZDB_INCOMPATIBLE);
    commit(txn);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    REQUIRE_OK(zdb_db_flags(txn, ZDB_MAIN_DB, &flags));
    CHECK_NUMBER(flags, ZDB_DUPSORT | ZDB_COUNTED);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 2);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

/* ----------------------------------------------------------------------- sizes */

static void duplicates_are_as_large_as_keys_and_may_be_empty(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "n", ZDB_DUPSORT);
    CHECK_NUMBER(zdb_env_max_key_size(env), MAX_SIZE);
    for (size_t size = 0; size <= MAX_SIZE; size++) {
        REQUIRE_OK(put_sizes(txn, db, MAX_SIZE, size, 1));
        if (size % 101 == 0) REQUIRE_OK(put_sizes(txn, db, 1, size, 2));
    }
    CHECK_ERROR(put_sizes(txn, db, 1, MAX_SIZE + 1, 1), ZDB_BAD_VALSIZE);
    CHECK_ERROR(put_sizes(txn, db, MAX_SIZE + 1, 1, 1), ZDB_BAD_VALSIZE);
    CHECK_ERROR(put_sizes(txn, db, 0, 1, 1), ZDB_BAD_VALSIZE);
    zdb_db_stat stat;
    get_stat(txn, db, &stat);
    CHECK_NUMBER(stat.entries, MAX_SIZE + 1 + MAX_SIZE / 101 + 1);
    CHECK_NUMBER(stat.keys, 2);
    zdb_cursor *cursor = open_cursor(txn, db);
    zdb_val value = nothing();
    for (size_t size = 0; size <= MAX_SIZE; size++) {
        REQUIRE_OK(zdb_cursor_get(cursor, NULL, &value, ZDB_NEXT));
        CHECK_NUMBER(value.size, size);
    }
    zdb_val key = bytes(" ", 1);
    static unsigned char large[MAX_SIZE + 1];
    value = bytes(large, sizeof(large));
    CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_GET_BOTH), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_GET_BOTH_RANGE), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_del(txn, db, &key, &value), ZDB_BAD_VALSIZE);
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void values_of_one_size_are_all_of_one_size(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "fixed", FIXED);
    CHECK_ERROR(put_sizes(txn, db, 3, 0, 1), ZDB_BAD_VALSIZE);
    REQUIRE_OK(put_sizes(txn, db, 3, 10, 1));
    static const size_t wrong[] = {0, 1, 9, 11, MAX_SIZE, MAX_SIZE + 1};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK_ERROR(put_sizes(txn, db, 3, wrong[i], 1), ZDB_BAD_VALSIZE);
        CHECK_ERROR(put_sizes(txn, db, 4, wrong[i], 1), ZDB_BAD_VALSIZE);
    }
    CHECK_NUMBER(entries(txn, db), 1);
    REQUIRE_OK(put_sizes(txn, db, 4, 10, 2));
    zdb_val longer = text("eleven char"), shorter = text("ten chars.");
    int order = 99;
    CHECK_ERROR(zdb_dcmp(txn, db, &longer, &shorter, &order), ZDB_BAD_VALSIZE);
    /* The next first value decides again. */
    REQUIRE_OK(zdb_db_clear(txn, db));
    CHECK_ERROR(zdb_dcmp(txn, db, &longer, &shorter, &order), ZDB_BAD_VALSIZE);
    CHECK_NUMBER(order, 99);
    REQUIRE_OK(put_sizes(txn, db, 3, 20, 1));
    CHECK_ERROR(put_sizes(txn, db, 3, 10, 1), ZDB_BAD_VALSIZE);
    commit(txn);
    close_env(env);

    env = open_env("env");
    txn = begin_write(env);
    db = open_db(txn, "fixed");
    CHECK_ERROR(put_sizes(txn, db, 3, 10, 1), ZDB_BAD_VALSIZE);
    REQUIRE_OK(put_sizes(txn, db, 3, 20, 2));
    CHECK_NUMBER(entries(txn, db), 2);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

/* Compares a key, and a value, of one size with one of another, both ways. */
static void expect_incomparable(zdb_txn *txn, zdb_db keys, zdb_db values, size_t one,
                                size_t other) {
    char memory[16] = {0};
    zdb_val left = bytes(memory, one), right = bytes(memory, other);
    int order = 99;
    CHECK_ERROR(zdb_cmp(txn, keys, &left, &right, &order), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_cmp(txn, keys, &right, &left, &order), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_dcmp(txn, values, &left, &right, &order), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_dcmp(txn, values, &right, &left, &order), ZDB_BAD_VALSIZE);
    CHECK_NUMBER(order, 99);
}

static void integers_have_4_or_8_bytes_and_all_the_same(void) {
    static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16};
    zdb_env *env = open_env("env");
    for (size_t right = 4; right <= 8; right += 4) {
        zdb_txn *txn = begin_write(env);
        zdb_db keys = create_with_flags(txn, "keys", ZDB_INTEGERKEY);
        zdb_db values = create_with_flags(txn, "values", INTEGERS);
        expect_incomparable(txn, keys, values, 4, 8);
        for (unsigned round = 0; round < 2; round++) {
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                bool fits = round == 0 ? sizes[i] == 4 || sizes[i] == 8 : sizes[i] == right;
                if (fits) continue;
                CHECK_ERROR(put_sizes(txn, keys, sizes[i], 3, 1), ZDB_BAD_VALSIZE);
                CHECK_ERROR(put_sizes(txn, values, 3, sizes[i], 1), ZDB_BAD_VALSIZE);
                expect_incomparable(txn, keys, values, right, sizes[i]);
                expect_incomparable(txn, keys, values, sizes[i], sizes[i]);
            }
            REQUIRE_OK(put_sizes(txn, keys, right, 3, round));
            REQUIRE_OK(put_sizes(txn, values, 3, right, round));
        }
        char memory[16] = {0};
        zdb_val key = bytes(memory, 12 - right), value = nothing();
        uint64_t count;
        CHECK_ERROR(zdb_get(txn, keys, &key, &value), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_del(txn, keys, &key, NULL), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_get_many(txn, keys, &key, &value, 1, NULL), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_count_range(txn, keys, &key, NULL, &count), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_del_range(txn, keys, NULL, &key, NULL), ZDB_BAD_VALSIZE);
        zdb_cursor *cursor = open_cursor(txn, keys);
        CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_SET), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_SET_RANGE), ZDB_BAD_VALSIZE);
        close_cursor(cursor);
        CHECK_NUMBER(entries(txn, keys), 2);
        CHECK_NUMBER(entries(txn, values), 2);
        abort_txn(txn);
    }
    close_env(env);
}

/* ------------------------------------------------------------------ operations */

static void operations_that_do_not_fit_the_database_are_refused(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db plain = create_db(txn, "plain"), pairs = create_with_flags(txn, "pairs", ZDB_DUPSORT);
    put_text(txn, plain, "k", "v");
    put_text(txn, pairs, "k", "v");
    zdb_val key = text("k"), value = text("v");
    int order;
    uint64_t number;
    CHECK_ERROR(zdb_put(txn, plain, &key, &value, ZDB_NODUPDATA), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_put(txn, plain, &key, &value, ZDB_APPENDDUP), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_dcmp(txn, plain, &value, &value, &order), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_put(txn, pairs, &key, &value, ZDB_RESERVE), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_put(txn, pairs, &key, &value, ZDB_MULTIPLE), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_put(txn, pairs, &key, &value, ZDB_CURRENT), ZDB_BAD_ARGUMENT);

    zdb_cursor *one = open_cursor(txn, plain), *many = open_cursor(txn, pairs);
    expect_entry(one, ZDB_FIRST, "k");
    expect_entry(many, ZDB_FIRST, "k");
    zdb_val values[2] = {text("a"), bytes(NULL, 1)};
    CHECK_ERROR(zdb_cursor_put(one, &key, values, ZDB_MULTIPLE), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_put(many, &key, values, ZDB_MULTIPLE), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_put(one, &key, &value, ZDB_NODUPDATA), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_put(one, &key, &value, ZDB_APPENDDUP), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_put(many, &key, &value, ZDB_RESERVE), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_put(many, &key, &value, ZDB_CURRENT | ZDB_RESERVE), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_put(many, &key, &value, ZDB_CURRENT | ZDB_NODUPDATA), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_del(one, ZDB_NODUPDATA), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_del(many, ZDB_NOOVERWRITE), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_count(one, &number), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_count(many, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_get(many, &key, &value, ZDB_GET_MULTIPLE), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_get(many, &key, &value, ZDB_NEXT_MULTIPLE), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_get(many, &key, &value, ZDB_PREV_MULTIPLE), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_get(many, &key, NULL, ZDB_GET_BOTH), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_get(many, NULL, &value, ZDB_GET_BOTH_RANGE), ZDB_BAD_ARGUMENT);
    expect_entry(one, ZDB_GET_CURRENT, "k");
    expect_entry(many, ZDB_GET_CURRENT, "k");

    zdb_cursor *nowhere = open_cursor(txn, pairs);
    static const zdb_cursor_op of_entry[] = {ZDB_FIRST_DUP, ZDB_LAST_DUP, ZDB_NEXT_DUP,
                                             ZDB_PREV_DUP};
    for (size_t i = 0; i < sizeof(of_entry) / sizeof(of_entry[0]); i++) {
        CHECK_ERROR(zdb_cursor_get(nowhere, NULL, NULL, of_entry[i]), ZDB_BAD_CURSOR);
    }
    CHECK_ERROR(zdb_cursor_count(nowhere, &number), ZDB_BAD_CURSOR);
    CHECK_ERROR(zdb_cursor_put(nowhere, NULL, &value, ZDB_CURRENT), ZDB_BAD_CURSOR);
    CHECK_ERROR(zdb_cursor_del(nowhere, ZDB_NODUPDATA), ZDB_BAD_CURSOR);
    close_cursor(nowhere);
    close_cursor(one);
    close_cursor(many);
    CHECK_NUMBER(entries(txn, plain), 1);
    CHECK_NUMBER(entries(txn, pairs), 1);
    put_text(txn, pairs, "k", "w");
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void several_values_are_put_at_once_or_up_to_one_that_is_refused(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "fixed", FIXED);
    zdb_cursor *cursor = open_cursor(txn, db);
    zdb_val key = text("k");
    zdb_val values[2] = {bytes("ccaabbaa", 2), bytes(NULL, 4)};
    REQUIRE_OK(zdb_cursor_put(cursor, &key, values, ZDB_MULTIPLE));
    CHECK_NUMBER(values[1].size, 4);
    CHECK_NUMBER(entries(txn, db), 3);
    zdb_val value = nothing();
    REQUIRE_OK(zdb_cursor_get(cursor, NULL, &value, ZDB_GET_CURRENT));
    CHECK_VALUE(value, "aa");

    zdb_val none[2] = {bytes("", 2), bytes(NULL, 0)};
    CHECK_CODE(zdb_cursor_put(cursor, &key, none, ZDB_MULTIPLE), ZDB_OK);
    CHECK_NUMBER(none[1].size, 0);
    zdb_val other_size[2] = {bytes("aaabbb", 3), bytes(NULL, 2)};
    CHECK_ERROR(zdb_cursor_put(cursor, &key, other_size, ZDB_MULTIPLE), ZDB_BAD_VALSIZE);
    CHECK_NUMBER(other_size[1].size, 0);
    zdb_val empty[2] = {bytes("", 0), bytes(NULL, 2)};
    CHECK_ERROR(zdb_cursor_put(cursor, &key, empty, ZDB_MULTIPLE), ZDB_BAD_VALSIZE);
    zdb_val nowhere[2] = {bytes(NULL, 2), bytes(NULL, 2)};
    CHECK_EITHER(zdb_cursor_put(cursor, &key, nowhere, ZDB_MULTIPLE), ZDB_BAD_ARGUMENT,
                 ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_cursor_put(cursor, &key, NULL, ZDB_MULTIPLE), ZDB_BAD_ARGUMENT);
    CHECK_NUMBER(entries(txn, db), 3);

    zdb_val some[2] = {bytes("ddccee", 2), bytes(NULL, 3)};
    CHECK_ERROR(zdb_cursor_put(cursor, &key, some, ZDB_MULTIPLE | ZDB_NODUPDATA), ZDB_KEYEXIST);
    CHECK_NUMBER(some[1].size, 1);
    CHECK_NUMBER(entries(txn, db), 4);
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void readers_do_not_write_pairs(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "fixed", FIXED | ZDB_COUNTED);
    put_text(txn, db, "k", "v");
    commit(txn);
    txn = begin_read(env);
    zdb_val key = text("k"), value = text("w"), values[2] = {text("x"), bytes(NULL, 1)};
    zdb_cursor *cursor = open_cursor(txn, db);
    expect_entry(cursor, ZDB_FIRST, "k");
    CHECK_ERROR(zdb_put(txn, db, &key, &value, ZDB_NODUPDATA), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_put(txn, db, &key, &value, ZDB_APPENDDUP), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_del(txn, db, &key, &value), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_del(txn, db, &key, NULL), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_del_range(txn, db, NULL, NULL, NULL), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_cursor_put(cursor, &key, values, ZDB_MULTIPLE), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_cursor_put(cursor, NULL, &value, ZDB_CURRENT), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_cursor_del(cursor, ZDB_NODUPDATA), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_db_clear(txn, db), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_db_drop(txn, db), ZDB_READ_ONLY);
    zdb_db other;
    CHECK_ERROR(zdb_db_open(txn, "new", ZDB_CREATE | ZDB_DUPSORT, &other), ZDB_READ_ONLY);
    expect_entry(cursor, ZDB_GET_CURRENT, "k");
    CHECK_NUMBER(entries(txn, db), 1);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void handles_of_another_environment_are_refused(void) {
    zdb_env *env = open_env("env"), *other = open_env("other");
    zdb_txn *txn = begin_write(env), *other_txn = begin_write(other);
    zdb_db first = create_with_flags(txn, "first", ZDB_DUPSORT | ZDB_COUNTED);
    zdb_db db = create_with_flags(txn, "pairs", ZDB_DUPSORT | ZDB_COUNTED);
    put_text(txn, db, "k", "v");
    zdb_cursor *cursor = open_cursor(txn, db);
    expect_entry(cursor, ZDB_FIRST, "k");
    zdb_val key = text("k"), value = text("v");
    int order;
    uint64_t number;
    uint32_t flags;
    for (unsigned i = 0; i < 2; i++) {
        zdb_db unknown = i == 0 ? db : first;
        CHECK_ERROR(zdb_put(other_txn, unknown, &key, &value, ZDB_NODUPDATA), ZDB_BAD_DB);
        CHECK_ERROR(zdb_del(other_txn, unknown, &key, &value), ZDB_BAD_DB);
        CHECK_ERROR(zdb_dcmp(other_txn, unknown, &value, &value, &order), ZDB_BAD_DB);
        CHECK_ERROR(zdb_cmp(other_txn, unknown, &key, &key, &order), ZDB_BAD_DB);
        CHECK_ERROR(zdb_rank(other_txn, unknown, &key, &number), ZDB_BAD_DB);
        CHECK_ERROR(zdb_count_range(other_txn, unknown, NULL, NULL, &number), ZDB_BAD_DB);
        CHECK_ERROR(zdb_del_range(other_txn, unknown, NULL, NULL, NULL), ZDB_BAD_DB);
        CHECK_ERROR(zdb_db_flags(other_txn, unknown, &flags), ZDB_BAD_DB);
        CHECK_ERROR(zdb_db_clear(other_txn, unknown), ZDB_BAD_DB);
        CHECK_ERROR(zdb_get_many(other_txn, unknown, &key, &value, 1, NULL), ZDB_BAD_DB);
    }
    CHECK_ERROR(zdb_cursor_renew(other_txn, cursor), ZDB_INCOMPATIBLE);
    expect_entry(cursor, ZDB_GET_CURRENT, "k");
    put_text(other_txn, ZDB_MAIN_DB, "k", "v");
    close_cursor(cursor);
    commit(txn);
    commit(other_txn);
    close_env(env);
    close_env(other);
}

static void a_parent_takes_no_pairs_while_its_child_lives(void) {
    zdb_env *env = open_env("env");
    zdb_txn *parent = begin_write(env), *child = NULL;
    zdb_db db = create_with_flags(parent, "fixed", FIXED | ZDB_COUNTED);
    put_text(parent, db, "k", "1");
    put_text(parent, db, "k", "2");
    zdb_cursor *cursor = open_cursor(parent, db);
    expect_entry(cursor, ZDB_FIRST, "k");
    REQUIRE_OK(zdb_txn_begin(env, parent, 0, &child));
    zdb_val key = text("k"), value = text("3"), values[2] = {text("4"), bytes(NULL, 1)};
    uint64_t number;
    CHECK_ERROR(zdb_put(parent, db, &key, &value, ZDB_NODUPDATA), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_del(parent, db, &key, &value), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_rank(parent, db, &key, &number), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_cursor_put(cursor, &key, values, ZDB_MULTIPLE), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_cursor_del(cursor, ZDB_NODUPDATA), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_cursor_count(cursor, &number), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_cursor_rank(cursor, &number), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_NEXT_DUP), ZDB_BAD_TXN);
    put_text(child, db, "k", "5");
    CHECK_NUMBER(entries(child, db), 3);
    abort_txn(child);
    expect_entry(cursor, ZDB_NEXT_DUP, "k");
    CHECK_NUMBER(entries(parent, db), 2);
    REQUIRE_OK(zdb_txn_begin(env, parent, 0, &child));
    for (unsigned i = 0; i < 3000; i++) {
        char buffer[KEY_BYTES];
        snprintf(buffer, sizeof(buffer), "%c", (int)(i % 200 + 20));
        put_text(child, db, "k", buffer);
    }
    commit(child);
    expect_entry(cursor, ZDB_GET_CURRENT, "k");
    REQUIRE_OK(zdb_cursor_rank(cursor, &number));
    CHECK_NUMBER(number, '2' - 20);
    close_cursor(cursor);
    commit(parent);
    expect_sound(env);
    close_env(env);
}

/* ---------------------------------------------------------------------- limits */

/* The values grow until the transaction has dirtied all pages that it may. */
static void pairs_beyond_the_page_limit_fail_the_transaction_whole(void) {
    static const uint32_t all_flags[] = {ZDB_DUPSORT, INTEGERS, ZDB_DUPSORT | ZDB_COUNTED};
    for (size_t k = 0; k < sizeof(all_flags) / sizeof(all_flags[0]); k++) {
        const uint32_t flags = all_flags[k];
        char path[2] = {(char)('a' + k), '\0'};
        zdb_env_options options;
        default_options(&options);
        options.max_txn_pages = 40;
        zdb_env *env = open_env_with(path, &options);
        zdb_txn *txn = begin_write(env);
        zdb_db db = create_with_flags(txn, "n", flags);
        for (uint32_t i = 0; i < 300; i++) put_pair(txn, db, flags, i % 3, i);
        commit(txn);

        txn = begin_write(env);
        zdb_cursor *cursor = open_cursor(txn, db);
        int code = ZDB_OK;
        char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
        for (uint32_t i = 0; code == ZDB_OK && i < 1000000; i++) {
            zdb_val key = encoded_key(key_bytes, flags, i % 5),
                    value = encoded_value(value_bytes, flags, i);
            code = zdb_cursor_put(cursor, &key, &value, 0);
        }
        CHECK_CODE(code, ZDB_TXN_FULL);
        zdb_val key = encoded_key(key_bytes, flags, 1), value = nothing();
        CHECK_ERROR(zdb_get(txn, db, &key, &value), ZDB_BAD_TXN);
        CHECK_ERROR(zdb_del(txn, db, &key, NULL), ZDB_BAD_TXN);
        CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_NEXT_DUP), ZDB_BAD_TXN);
        close_cursor(cursor);
        CHECK_ERROR(zdb_txn_commit(txn), ZDB_BAD_TXN);

        txn = begin_write(env);
        CHECK_NUMBER(entries(txn, db), 300);
        cursor = open_cursor(txn, db);
        for (uint32_t i = 0; i < 300; i++) {
            expect_pair(cursor, ZDB_NEXT, flags, i / 100, i % 100 * 3 + i / 100);
        }
        close_cursor(cursor);
        put_pair(txn, db, flags, 9, 9);
        commit(txn);
        expect_sound(env);
        close_env(env);
    }
}

static const struct test tests[] = {
    TEST(all_flags_of_databases_are_recorded_and_compared),
    TEST(the_main_database_takes_other_flags_while_it_is_empty),
    TEST(duplicates_are_as_large_as_keys_and_may_be_empty),
    TEST(values_of_one_size_are_all_of_one_size),
    TEST(integers_have_4_or_8_bytes_and_all_the_same),
    TEST(operations_that_do_not_fit_the_database_are_refused),
    TEST(several_values_are_put_at_once_or_up_to_one_that_is_refused),
    TEST(readers_do_not_write_pairs),
    TEST(handles_of_another_environment_are_refused),
    TEST(a_parent_takes_no_pairs_while_its_child_lives),
    TEST(pairs_beyond_the_page_limit_fail_the_transaction_whole),
};

DEFINE_SUITE(flag_errors, tests);
