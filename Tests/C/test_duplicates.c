/* Several values a key: their order, flags and sizes, how their number grows and shrinks, how
 * long pointers to them are valid, and which calls are refused. Moves and cursors that stay put
 * are in test_database_flags.c. */
#include <stdlib.h>

#include "database_flags.h"
#include "suites.h"

#define FIXED (ZDB_DUPSORT | ZDB_DUPFIXED)
#define INTEGERS (FIXED | ZDB_INTEGERDUP)

static int put_texts(zdb_txn *txn, zdb_db db, const char *key, const char *value, uint32_t flags) {
    zdb_val k = text(key), v = text(value);
    return zdb_put(txn, db, &k, &v, flags);
}

static void expect_texts_at(struct place place, zdb_cursor *cursor, zdb_cursor_op op,
                            const char *key, const char *value) {
    zdb_val k = nothing(), v = nothing();
    int code = zdb_cursor_get(cursor, &k, &v, op);
    check_code(place, code, ZDB_OK, "zdb_cursor_get");
    if (code != ZDB_OK) return;
    check_bytes(place, k, key, strlen(key), "the key");
    check_bytes(place, v, value, strlen(value), "the value");
}

#define expect_texts(cursor, op, key, value) expect_texts_at(HERE, (cursor), (op), (key), (value))

static int seek_texts(zdb_cursor *cursor, zdb_cursor_op op, const char *key, const char *value) {
    zdb_val k = text(key), v = text(value);
    return zdb_cursor_get(cursor, &k, &v, op);
}

static uint64_t count_at(struct place place, zdb_cursor *cursor) {
    uint64_t count = 0;
    require_code(place, zdb_cursor_count(cursor, &count), ZDB_OK, "zdb_cursor_count");
    return count;
}

#define count_of(cursor) count_at(HERE, (cursor))

/* ----------------------------------------------------------- pairs, one by one */

/* An environment and a write transaction with a database of pairs, and a cursor in it. */
struct pairs {
    zdb_env *env;
    zdb_txn *txn;
    zdb_db db;
    zdb_cursor *cursor;
};

/* Three keys: "a" with one value, "b" with three, "c" with two. */
static struct pairs begin_pairs(void) {
    static const char *const contents[][2] = {{"b", "2"}, {"c", "9"}, {"b", "1"}, {"a", "5"},
                                              {"c", "8"}, {"b", "3"}, {"b", "2"}};
    struct pairs pairs;
    pairs.env = open_env("env");
    pairs.txn = begin_write(pairs.env);
    pairs.db = create_with_flags(pairs.txn, "pairs", ZDB_DUPSORT);
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        REQUIRE_OK(put_texts(pairs.txn, pairs.db, contents[i][0], contents[i][1], 0));
    }
    pairs.cursor = open_cursor(pairs.txn, pairs.db);
    return pairs;
}

static void end_pairs(struct pairs pairs) {
    close_cursor(pairs.cursor);
    commit(pairs.txn);
    expect_sound(pairs.env);
    close_env(pairs.env);
}

static void pairs_are_sorted_and_kept_once(void) {
    struct pairs pairs = begin_pairs();
    zdb_txn *txn = pairs.txn;
    zdb_db db = pairs.db;
    zdb_db_stat stat;
    get_stat(txn, db, &stat);
    CHECK_NUMBER(stat.entries, 6);
    CHECK_NUMBER(stat.keys, 3);
    CHECK_NUMBER(stat.flags, ZDB_DUPSORT);
    zdb_cursor *cursor = pairs.cursor;
    static const char *const sorted[][2] = {{"a", "5"}, {"b", "1"}, {"b", "2"},
                                            {"b", "3"}, {"c", "8"}, {"c", "9"}};
    for (unsigned i = 0; i < 6; i++) expect_texts(cursor, ZDB_NEXT, sorted[i][0], sorted[i][1]);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT), ZDB_NOT_FOUND);
    for (unsigned i = 5; i-- > 0;) expect_texts(cursor, ZDB_PREV, sorted[i][0], sorted[i][1]);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_PREV), ZDB_NOT_FOUND);
    expect_text(txn, db, "b", "1");
    end_pairs(pairs);
}

static void moves_among_the_values_of_a_key_stay_in_it(void) {
    struct pairs pairs = begin_pairs();
    zdb_cursor *cursor = pairs.cursor;
    CHECK_CODE(seek_texts(cursor, ZDB_GET_BOTH, "b", "2"), ZDB_OK);
    CHECK_NUMBER(count_of(cursor), 3);
    expect_texts(cursor, ZDB_LAST_DUP, "b", "3");
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT_DUP), ZDB_NOT_FOUND);
    expect_texts(cursor, ZDB_GET_CURRENT, "b", "3");
    expect_texts(cursor, ZDB_FIRST_DUP, "b", "1");
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_PREV_DUP), ZDB_NOT_FOUND);
    expect_texts(cursor, ZDB_NEXT_DUP, "b", "2");
    expect_texts(cursor, ZDB_NEXT_NODUP, "c", "8");
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT_NODUP), ZDB_NOT_FOUND);
    expect_texts(cursor, ZDB_PREV_NODUP, "b", "3");
    expect_texts(cursor, ZDB_PREV_NODUP, "a", "5");
    CHECK_NUMBER(count_of(cursor), 1);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT_DUP), ZDB_NOT_FOUND);
    end_pairs(pairs);
}

static void a_pair_is_found_exactly_or_from_a_value_on(void) {
    struct pairs pairs = begin_pairs();
    zdb_cursor *cursor = pairs.cursor;
    CHECK_CODE(seek_texts(cursor, ZDB_GET_BOTH, "c", "9"), ZDB_OK);
    expect_texts(cursor, ZDB_GET_CURRENT, "c", "9");
    CHECK_ERROR(seek_texts(cursor, ZDB_GET_BOTH, "c", "85"), ZDB_NOT_FOUND);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    CHECK_ERROR(seek_texts(cursor, ZDB_GET_BOTH, "bb", "2"), ZDB_NOT_FOUND);

    const char sought[] = "c";
    zdb_val key = bytes(sought, 1), value = text("85");
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_GET_BOTH_RANGE));
    CHECK_VALUE(value, "9");
    CHECK(key.data == sought);
    CHECK_ERROR(seek_texts(cursor, ZDB_GET_BOTH_RANGE, "c", "91"), ZDB_NOT_FOUND);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    CHECK_ERROR(seek_texts(cursor, ZDB_GET_BOTH_RANGE, "b2", ""), ZDB_NOT_FOUND);
    CHECK_CODE(seek_texts(cursor, ZDB_GET_BOTH_RANGE, "b", ""), ZDB_OK);
    expect_texts(cursor, ZDB_GET_CURRENT, "b", "1");

    key = text("c");
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_SET));
    CHECK_VALUE(value, "8");
    key = text("bb");
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_SET_RANGE));
    CHECK_VALUE(key, "c");
    CHECK_VALUE(value, "8");
    end_pairs(pairs);
}

static void put_flags_look_at_key_and_value(void) {
    struct pairs pairs = begin_pairs();
    zdb_txn *txn = pairs.txn;
    zdb_db db = pairs.db;
    zdb_val key = text("b"), value = text("7");
    CHECK_ERROR(zdb_put(txn, db, &key, &value, ZDB_NOOVERWRITE), ZDB_KEYEXIST);
    CHECK_VALUE(value, "1");
    CHECK_ERROR(put_texts(txn, db, "b", "2", ZDB_NODUPDATA), ZDB_KEYEXIST);
    CHECK_CODE(put_texts(txn, db, "b", "4", ZDB_NODUPDATA), ZDB_OK);
    CHECK_ERROR(put_texts(txn, db, "b", "4", ZDB_APPENDDUP), ZDB_NOT_SORTED);
    CHECK_ERROR(put_texts(txn, db, "b", "0", ZDB_APPENDDUP), ZDB_NOT_SORTED);
    CHECK_CODE(put_texts(txn, db, "b", "6", ZDB_APPENDDUP), ZDB_OK);
    CHECK_CODE(put_texts(txn, db, "ab", "0", ZDB_APPENDDUP), ZDB_OK);
    CHECK_ERROR(put_texts(txn, db, "c", "99", ZDB_APPEND), ZDB_NOT_SORTED);
    CHECK_CODE(put_texts(txn, db, "d", "1", ZDB_APPEND), ZDB_OK);
    CHECK_CODE(put_texts(txn, db, "e", "1", ZDB_NOOVERWRITE), ZDB_OK);
    CHECK_NUMBER(entries(txn, db), 11);
    end_pairs(pairs);
}

static void deletions_take_one_value_or_all(void) {
    struct pairs pairs = begin_pairs();
    zdb_txn *txn = pairs.txn;
    zdb_db db = pairs.db;
    zdb_val key = text("b"), value = text("2"), absent = text("25");
    CHECK_ERROR(zdb_del(txn, db, &key, &absent), ZDB_NOT_FOUND);
    CHECK_CODE(zdb_del(txn, db, &key, &value), ZDB_OK);
    CHECK_ERROR(zdb_del(txn, db, &key, &value), ZDB_NOT_FOUND);
    CHECK_NUMBER(entries(txn, db), 5);
    CHECK_CODE(zdb_del(txn, db, &key, NULL), ZDB_OK);
    CHECK_ERROR(zdb_del(txn, db, &key, NULL), ZDB_NOT_FOUND);
    expect_absent(txn, db, "b");
    CHECK_NUMBER(entries(txn, db), 3);

    zdb_cursor *cursor = pairs.cursor;
    REQUIRE_OK(seek_texts(cursor, ZDB_GET_BOTH, "c", "8"));
    CHECK_CODE(zdb_cursor_del(cursor, 0), ZDB_OK);
    CHECK_ERROR(zdb_cursor_del(cursor, 0), ZDB_BAD_CURSOR);
    expect_texts(cursor, ZDB_NEXT, "c", "9");
    CHECK_CODE(zdb_cursor_del(cursor, ZDB_NODUPDATA), ZDB_OK);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT), ZDB_NOT_FOUND);
    expect_texts(cursor, ZDB_PREV, "a", "5");
    zdb_db_stat stat;
    get_stat(txn, db, &stat);
    CHECK_NUMBER(stat.entries, 1);
    CHECK_NUMBER(stat.keys, 1);
    end_pairs(pairs);
}

static void the_current_value_is_replaced_where_the_new_one_belongs(void) {
    struct pairs pairs = begin_pairs();
    zdb_txn *txn = pairs.txn;
    zdb_db db = pairs.db;
    zdb_cursor *cursor = pairs.cursor, *other = open_cursor(txn, db);
    REQUIRE_OK(seek_texts(cursor, ZDB_GET_BOTH, "b", "1"));
    REQUIRE_OK(seek_texts(other, ZDB_GET_BOTH, "b", "1"));
    zdb_val value = text("25");
    REQUIRE_OK(zdb_cursor_put(cursor, NULL, &value, ZDB_CURRENT));
    expect_texts(cursor, ZDB_GET_CURRENT, "b", "25");
    expect_texts(cursor, ZDB_PREV, "b", "2");
    expect_texts(cursor, ZDB_NEXT, "b", "25");
    expect_texts(cursor, ZDB_NEXT, "b", "3");
    CHECK_ERROR(zdb_cursor_get(other, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    expect_texts(other, ZDB_NEXT, "b", "2");

    /* By a value that is there: two become one. */
    value = text("3");
    REQUIRE_OK(zdb_cursor_put(other, NULL, &value, ZDB_CURRENT));
    expect_texts(other, ZDB_GET_CURRENT, "b", "3");
    CHECK_NUMBER(count_of(other), 2);
    CHECK_NUMBER(entries(txn, db), 5);
    /* By itself, from where the library keeps it. */
    zdb_val own = nothing();
    REQUIRE_OK(zdb_cursor_get(other, NULL, &own, ZDB_GET_CURRENT));
    REQUIRE_OK(zdb_cursor_put(other, NULL, &own, ZDB_CURRENT));
    expect_texts(other, ZDB_GET_CURRENT, "b", "3");
    close_cursor(other);
    end_pairs(pairs);
}

/* -------------------------------------------------------- keys with many values */

static void put_values(zdb_txn *txn, zdb_db db, uint32_t flags, uint32_t count) {
    /* In no order, by steps of a prime that does not divide `count`. */
    REQUIRE(count % 7919 != 0);
    for (uint32_t i = 0; i < count; i++) {
        put_pair(txn, db, flags, 1, (uint32_t)((uint64_t)i * 7919 % count));
    }
}

static void expect_values(zdb_txn *txn, zdb_db db, uint32_t flags, uint32_t count, uint32_t step) {
    zdb_cursor *cursor = open_cursor(txn, db);
    for (uint32_t i = 0; i < count; i++) expect_pair(cursor, ZDB_NEXT, flags, 1, i * step);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT), ZDB_NOT_FOUND);
    CHECK_NUMBER(count_of(cursor), count);
    close_cursor(cursor);
    CHECK_NUMBER(entries(txn, db), count);
}

static void grow_and_shrink(uint32_t flags) {
    /* A tenth would not leave the leaf when the tests run slowly. */
    const uint32_t most = tests_run_slowly() ? 20000 : 100000;
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val key = encoded_key(key_bytes, flags, 1);
    zdb_env *env = open_unbounded("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "set", flags);
    put_values(txn, db, flags, most);
    expect_values(txn, db, flags, most, 1);
    commit(txn);
    expect_sound(env);

    /* Every tenth stays. */
    txn = begin_write(env);
    for (uint32_t i = 0; i < most; i++) {
        zdb_val value = encoded_value(value_bytes, flags, i);
        if (i % 10 != 0) REQUIRE_OK(zdb_del(txn, db, &key, &value));
    }
    expect_values(txn, db, flags, most / 10, 10);
    commit(txn);
    expect_sound(env);

    /* One stays, wherever it is: the other cursor stands on it. */
    txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, db), *kept = open_cursor(txn, db);
    set_pair(kept, flags, 1, 5000);
    while (zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT) == ZDB_OK) {
        zdb_val value = nothing(), keep = encoded_value(value_bytes, flags, 5000);
        REQUIRE_OK(zdb_cursor_get(cursor, NULL, &value, ZDB_GET_CURRENT));
        bool keeps = value.size == keep.size && memcmp(value.data, keep.data, keep.size) == 0;
        if (!keeps) REQUIRE_OK(zdb_cursor_del(cursor, 0));
    }
    expect_pair(kept, ZDB_GET_CURRENT, flags, 1, 5000);
    CHECK_NUMBER(count_of(kept), 1);
    CHECK_ERROR(zdb_cursor_get(kept, NULL, NULL, ZDB_NEXT), ZDB_NOT_FOUND);
    zdb_db_stat stat;
    get_stat(txn, db, &stat);
    CHECK_NUMBER(stat.entries, 1);
    CHECK_NUMBER(stat.depth, 1);
    CHECK_NUMBER(stat.leaf_pages, 1);
    CHECK_NUMBER(stat.branch_pages, 0);
    close_cursor(cursor);
    close_cursor(kept);
    commit(txn);
    expect_sound(env);
    txn = begin_write(env);
    CHECK_CODE(zdb_del(txn, db, &key, NULL), ZDB_OK);
    get_stat(txn, db, &stat);
    CHECK_NUMBER(stat.entries + stat.keys + stat.leaf_pages + stat.depth, 0);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void a_key_grows_to_100000_values_and_shrinks_to_one(void) {
    grow_and_shrink(ZDB_DUPSORT);
}
static void a_key_grows_to_100000_integers_and_shrinks_to_one(void) {
    grow_and_shrink(INTEGERS);
}
static void a_counted_key_grows_to_100000_values_and_shrinks_to_one(void) {
    grow_and_shrink(FIXED | ZDB_REVERSEDUP | ZDB_COUNTED);
}

static void a_key_with_many_values_is_deleted_at_once_and_its_pages_are_free(void) {
    const uint32_t flags = ZDB_DUPSORT;
    zdb_env *env = open_unbounded("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "set", flags);
    put_pair(txn, db, flags, 0, 1);
    put_values(txn, db, flags, 30000);
    put_pair(txn, db, flags, 2, 1);
    commit(txn);
    txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, db), *other = open_cursor(txn, db);
    set_pair(cursor, flags, 1, 7);
    set_pair(other, flags, 1, 29999);
    CHECK_CODE(zdb_cursor_del(cursor, ZDB_NODUPDATA), ZDB_OK);
    uint64_t count;
    CHECK_ERROR(zdb_cursor_count(other, &count), ZDB_BAD_CURSOR);
    expect_pair(other, ZDB_NEXT, flags, 2, 1);
    expect_pair(cursor, ZDB_PREV, flags, 0, 1);
    zdb_db_stat stat;
    get_stat(txn, db, &stat);
    CHECK_NUMBER(stat.entries, 2);
    CHECK_NUMBER(stat.leaf_pages, 1);
    CHECK_NUMBER(stat.branch_pages, 0);
    close_cursor(cursor);
    close_cursor(other);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

/* A cursor amid inline values that other calls move to a value tree and back. */
static void a_cursor_stays_while_its_values_move_to_a_tree_and_back_inline(void) {
    static const uint32_t all_flags[] = {ZDB_DUPSORT, FIXED, INTEGERS, ZDB_DUPSORT | ZDB_COUNTED};
    enum { COUNT = 3000, KEPT = 1500 };
    zdb_env *env = open_env("env");
    for (size_t k = 0; k < sizeof(all_flags) / sizeof(all_flags[0]); k++) {
        const uint32_t flags = all_flags[k];
        char name[2] = {(char)('a' + k), '\0'};
        zdb_txn *txn = begin_write(env);
        zdb_db db = create_with_flags(txn, name, flags);
        zdb_cursor *cursor = open_cursor(txn, db), *writer = open_cursor(txn, db);
        put_pair(txn, db, flags, 1, KEPT);
        set_pair(cursor, flags, 1, KEPT);
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t number = i % 2 == 0 ? KEPT - i / 2 - 1 : KEPT + i / 2 + 1;
            char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
            zdb_val key = encoded_key(key_bytes, flags, 1);
            zdb_val value = encoded_value(value_bytes, flags, number);
            REQUIRE_OK(zdb_cursor_put(writer, &key, &value, 0));
            if (i % 64 == 0) expect_pair(cursor, ZDB_GET_CURRENT, flags, 1, KEPT);
        }
        zdb_db_stat stat;
        get_stat(txn, db, &stat);
        CHECK(stat.leaf_pages > 2); /* a value tree */
        CHECK_NUMBER(count_of(cursor), COUNT + 1);
        expect_pair(cursor, ZDB_NEXT, flags, 1, KEPT + 1);
        expect_pair(cursor, ZDB_PREV, flags, 1, KEPT);
        REQUIRE_OK(zdb_cursor_get(writer, NULL, NULL, ZDB_FIRST));
        for (uint32_t i = 0; i < COUNT; i++) {
            if (i == KEPT) REQUIRE_OK(zdb_cursor_get(writer, NULL, NULL, ZDB_NEXT));
            REQUIRE_OK(zdb_cursor_del(writer, 0));
            if (i % 64 == 0) expect_pair(cursor, ZDB_GET_CURRENT, flags, 1, KEPT);
            int moved = zdb_cursor_get(writer, NULL, NULL, ZDB_NEXT);
            CHECK_CODE(moved, i + 1 < COUNT ? ZDB_OK : ZDB_NOT_FOUND);
        }
        expect_pair(cursor, ZDB_GET_CURRENT, flags, 1, KEPT);
        CHECK_NUMBER(count_of(cursor), 1);
        get_stat(txn, db, &stat);
        CHECK_NUMBER(stat.leaf_pages, 1);
        REQUIRE_OK(zdb_cursor_del(cursor, 0));
        CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
        CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT), ZDB_NOT_FOUND);
        close_cursor(cursor);
        close_cursor(writer);
        commit(txn);
        expect_sound(env);
    }
    close_env(env);
}

/* ------------------------------------------------------------------ lifetimes */

/* Pointers to inline values and into value trees, kept while a writer changes all of them. */
static void values_stay_until_the_read_transaction_ends(void) {
    enum { KEYS = 40, LARGE = 2000, SMALL = 5 };
    static zdb_val kept[KEYS * LARGE];
    const uint32_t flags = ZDB_DUPSORT;
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_env *env = open_unbounded("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "pairs", flags);
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t i = 0; i < (key % 4 == 0 ? LARGE : SMALL); i++) {
            put_pair(txn, db, flags, key, i * 3);
        }
    }
    commit(txn);

    zdb_txn *reader = begin_read(env);
    zdb_cursor *cursor = open_cursor(reader, db);
    size_t count = 0;
    while (zdb_cursor_get(cursor, NULL, &kept[count], ZDB_NEXT) == ZDB_OK) count++;
    CHECK_NUMBER(count, entries(reader, db));
    close_cursor(cursor);

    for (unsigned round = 0; round < 3; round++) {
        txn = begin_write(env);
        for (uint32_t key = 0; key < KEYS; key++) {
            zdb_val k = encoded_key(key_bytes, flags, key);
            if ((key + round) % 3 == 0) {
                REQUIRE_OK(zdb_del(txn, db, &k, NULL));
                put_pair(txn, db, flags, key, 1);
                continue;
            }
            for (uint32_t i = 0; i < 60; i++) put_pair(txn, db, flags, key, i * 7 + round);
        }
        commit(txn);
        REQUIRE_OK(zdb_env_checkpoint(env));
    }
    size_t at = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t i = 0; i < (key % 4 == 0 ? LARGE : SMALL); i++) {
            zdb_val expected = encoded_value(value_bytes, flags, i * 3);
            CHECK_BYTES(kept[at], expected.data, expected.size);
            at++;
        }
    }
    CHECK_NUMBER(at, count);
    abort_txn(reader);
    close_env(env);
}

static void arrays_hold_all_values_of_a_key_in_order(void) {
    enum { COUNT = 20000 };
    const uint32_t flags = INTEGERS;
    char value_bytes[NUMBER_BYTES];
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "integers", flags);
    put_pair(txn, db, flags, 0, 5);
    put_values(txn, db, flags, COUNT);
    commit(txn);
    txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, db);
    zdb_val key = nothing(), array = nothing();
    REQUIRE_OK(zdb_cursor_get(cursor, NULL, NULL, ZDB_FIRST));
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &array, ZDB_GET_MULTIPLE));
    CHECK_NUMBER(array.size, 8);
    CHECK_ERROR(zdb_cursor_get(cursor, &key, &array, ZDB_NEXT_MULTIPLE), ZDB_NOT_FOUND);
    REQUIRE_OK(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT_NODUP));
    uint32_t number = 0, arrays = 0, last = 0, read_back = 0;
    zdb_cursor_op op = ZDB_GET_MULTIPLE;
    while (zdb_cursor_get(cursor, &key, &array, op) == ZDB_OK) {
        REQUIRE(array.size % 8 == 0 && array.size > 0);
        for (size_t i = 0; i < array.size; i += 8) {
            zdb_val expected = encoded_value(value_bytes, flags, number++);
            CHECK(memcmp((const char *)array.data + i, expected.data, 8) == 0);
        }
        expect_pair(cursor, ZDB_GET_CURRENT, flags, 1, number - 1);
        last = (uint32_t)(array.size / 8); /* the values of the array that is the last */
        op = ZDB_NEXT_MULTIPLE;
        arrays++;
    }
    CHECK_NUMBER(number, COUNT);
    CHECK(arrays < COUNT / 100);
    while (zdb_cursor_get(cursor, &key, &array, ZDB_PREV_MULTIPLE) == ZDB_OK) {
        REQUIRE(array.size % 8 == 0 && array.size > 0 &&
                array.size / 8 <= number - last - read_back);
        for (size_t i = array.size; i > 0; i -= 8) {
            zdb_val expected = encoded_value(value_bytes, flags, number - last - ++read_back);
            CHECK(memcmp((const char *)array.data + i - 8, expected.data, 8) == 0);
        }
        arrays--;
    }
    CHECK_NUMBER(read_back + last, number);
    /* Back on the first array; there is nothing before its first value. */
    CHECK_NUMBER(arrays, 1);
    expect_pair(cursor, ZDB_GET_CURRENT, flags, 1, 0);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static const struct test tests[] = {
    TEST(pairs_are_sorted_and_kept_once),
    TEST(moves_among_the_values_of_a_key_stay_in_it),
    TEST(a_pair_is_found_exactly_or_from_a_value_on),
    TEST(put_flags_look_at_key_and_value),
    TEST(deletions_take_one_value_or_all),
    TEST(the_current_value_is_replaced_where_the_new_one_belongs),
    TEST(a_key_grows_to_100000_values_and_shrinks_to_one),
    TEST(a_key_grows_to_100000_integers_and_shrinks_to_one),
    TEST(a_counted_key_grows_to_100000_values_and_shrinks_to_one),
    TEST(a_key_with_many_values_is_deleted_at_once_and_its_pages_are_free),
    TEST(a_cursor_stays_while_its_values_move_to_a_tree_and_back_inline),
    TEST(values_stay_until_the_read_transaction_ends),
    TEST(arrays_hold_all_values_of_a_key_in_order),
};

DEFINE_SUITE(duplicates, tests);
