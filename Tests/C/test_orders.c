/* Key orders: bytes, bytes from the last to the first, integers; and how values are ordered. */
#include <stdlib.h>

#include "database_flags.h"
#include "suites.h"

static void little_endian(unsigned char out[8], uint64_t number, size_t size) {
    for (size_t i = 0; i < size; i++) out[i] = (unsigned char)(number >> (8 * i));
}

static int sign(int order) {
    return (order > 0) - (order < 0);
}

/* The keys come back in the order of `keys`, however they were put. */
static void expect_order(uint32_t flags, const zdb_val *keys, size_t count, bool backward) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "ordered", flags);
    zdb_val value = text("v"), key = nothing();
    for (size_t i = 0; i < count; i++) {
        key = keys[backward ? count - 1 - i : i];
        REQUIRE_OK(zdb_put(txn, db, &key, &value, 0));
    }
    commit(txn);
    txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, db);
    for (size_t i = 0; i < count; i++) {
        REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_NEXT));
        CHECK_BYTES(key, keys[i].data, keys[i].size);
        CHECK_CODE(zdb_get(txn, db, &keys[i], NULL), ZDB_OK);
        key = keys[i];
        REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_SET_RANGE));
        CHECK_BYTES(key, keys[i].data, keys[i].size);
        for (size_t j = 0; j < count; j++) {
            int order = 99;
            REQUIRE_OK(zdb_cmp(txn, db, &keys[i], &keys[j], &order));
            CHECK(sign(order) == (i > j) - (i < j));
        }
    }
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT), ZDB_NOT_FOUND);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            uint64_t entries_between = 99;
            REQUIRE_OK(zdb_count_range(txn, db, &keys[i], &keys[j], &entries_between));
            CHECK_NUMBER(entries_between, j > i ? j - i : 0);
        }
    }
    close_cursor(cursor);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
    remove_tree("env");
}

static void keys_are_ordered_by_their_bytes(void) {
    const zdb_val keys[] = {bytes("\0", 1), bytes("\0\0", 2), bytes("\0\1", 2),
                            text("a"),      text("aa"),       text("ab"),
                            text("b"),      bytes("\xff", 1), bytes("\xff\0", 2)};
    for (unsigned i = 0; i < 2; i++) expect_order(0, keys, 9, i == 1);
}

static void reversed_keys_are_ordered_from_their_last_byte(void) {
    const zdb_val keys[] = {bytes("\0", 1), bytes("\0\0", 2), bytes("\1\0", 2), text("a"),
                            text("aa"),     text("xa"),       text("ab"),       text("bb"),
                            text("aaac"),   bytes("z\xff", 2)};
    for (unsigned i = 0; i < 2; i++) {
        expect_order(ZDB_REVERSEKEY, keys, 10, i == 1);
        expect_order(ZDB_REVERSEKEY | ZDB_COUNTED, keys, 10, i == 1);
    }
}

static void integer_keys_are_ordered_as_numbers(void) {
    static const uint64_t numbers[] = {0,
                                       1,
                                       255,
                                       256,
                                       65535,
                                       65536,
                                       0x01000000,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       UINT64_C(0x100000000),
                                       UINT64_C(0x7fffffffffffffff),
                                       UINT64_C(0x8000000000000000),
                                       UINT64_MAX};
    /* One byte off, so that no key is aligned. */
    static unsigned char memory[14 * 9];
    zdb_val keys[14];
    for (size_t size = 4; size <= 8; size += 4) {
        size_t count = size == 4 ? 10 : 14;
        for (size_t i = 0; i < count; i++) {
            little_endian(memory + 9 * i + 1, numbers[i], size);
            keys[i] = bytes(memory + 9 * i + 1, size);
        }
        for (unsigned i = 0; i < 2; i++) {
            expect_order(ZDB_INTEGERKEY, keys, count, i == 1);
            expect_order(ZDB_INTEGERKEY | ZDB_DUPSORT, keys, count, i == 1);
        }
    }
}

/* Values of one key, checked as expect_order() checks keys. */
static void expect_value_order(uint32_t flags, const zdb_val *values, size_t count) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "ordered", flags);
    zdb_val key = text("key"), value = nothing();
    for (size_t i = 0; i < count; i++) {
        value = values[(i * 7 + 3) % count];
        REQUIRE_OK(zdb_put(txn, db, &key, &value, 0));
    }
    CHECK_NUMBER(entries(txn, db), count);
    zdb_cursor *cursor = open_cursor(txn, db);
    for (size_t i = 0; i < count; i++) {
        REQUIRE_OK(zdb_cursor_get(cursor, NULL, &value, ZDB_NEXT));
        CHECK_BYTES(value, values[i].data, values[i].size);
        value = values[i];
        REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_GET_BOTH_RANGE));
        CHECK_BYTES(value, values[i].data, values[i].size);
        for (size_t j = 0; j < count; j++) {
            int order = 99;
            REQUIRE_OK(zdb_dcmp(txn, db, &values[i], &values[j], &order));
            CHECK(sign(order) == (i > j) - (i < j));
        }
        value = values[i];
        bool is_last = i + 1 == count;
        if (!is_last) CHECK_ERROR(zdb_put(txn, db, &key, &value, ZDB_APPENDDUP), ZDB_NOT_SORTED);
    }
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
    remove_tree("env");
}

static void values_are_ordered_as_the_database_says(void) {
    const zdb_val by_bytes[] = {nothing(), bytes("\0", 1), text("a"), text("ab"), bytes("\xff", 1)};
    const zdb_val reversed[] = {nothing(), bytes("\0", 1), text("a"), text("ba"), text("ab")};
    expect_value_order(ZDB_DUPSORT, by_bytes, 5);
    expect_value_order(ZDB_DUPSORT | ZDB_REVERSEDUP, reversed, 5);
    expect_value_order(ZDB_DUPSORT | ZDB_REVERSEKEY | ZDB_REVERSEDUP, reversed, 5);
    const zdb_val fixed[] = {text("aaz"), text("aba"), text("baa"), text("bab"), text("zaa")};
    const zdb_val fixed_reversed[] = {text("baa"), text("zaa"), text("aba"), text("bab"),
                                      text("aaz")};
    expect_value_order(ZDB_DUPSORT | ZDB_DUPFIXED, fixed, 5);
    expect_value_order(ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_REVERSEDUP, fixed_reversed, 5);

    static const uint64_t numbers[] = {0, 255, 256, 0x80000000, 0xffffffff};
    unsigned char memory[5][8];
    zdb_val integers[5];
    for (size_t size = 4; size <= 8; size += 4) {
        for (size_t i = 0; i < 5; i++) {
            little_endian(memory[i], numbers[i], size);
            integers[i] = bytes(memory[i], size);
        }
        expect_value_order(ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_INTEGERDUP, integers, 5);
    }
}

/* Many keys, so that the order also decides in branches. */
static void a_large_database_keeps_its_order(void) {
    static const uint32_t orders[] = {0, ZDB_REVERSEKEY, ZDB_INTEGERKEY,
                                      ZDB_INTEGERKEY | ZDB_COUNTED, ZDB_REVERSEKEY | ZDB_COUNTED};
    const uint32_t count = 7 * repetitions(3000);
    char key_bytes[NUMBER_BYTES];
    for (size_t k = 0; k < sizeof(orders) / sizeof(orders[0]); k++) {
        const uint32_t flags = orders[k];
        zdb_env *env = open_env("env");
        zdb_txn *txn = begin_write(env);
        zdb_db db = create_with_flags(txn, "large", flags);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t number = (uint32_t)((uint64_t)i * 7919 % count) * 5;
            put_pair(txn, db, flags, number, number);
        }
        commit(txn);
        close_env(env);

        env = open_env("env");
        txn = begin_write(env);
        db = open_db(txn, "large");
        zdb_cursor *cursor = open_cursor(txn, db);
        for (uint32_t i = 0; i < count; i++) {
            expect_pair(cursor, ZDB_NEXT, flags, i * 5, i * 5);
        }
        for (uint32_t i = 0; i < count * 5 - 5; i += 113) {
            zdb_val key = encoded_key(key_bytes, flags, i), value = nothing();
            CHECK_CODE(zdb_get(txn, db, &key, &value), i % 5 == 0 ? ZDB_OK : ZDB_NOT_FOUND);
            REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_SET_RANGE));
            expect_pair(cursor, ZDB_GET_CURRENT, flags, (i + 4) / 5 * 5, (i + 4) / 5 * 5);
        }
        zdb_val key = encoded_key(key_bytes, flags, count * 5 - 6), value = text("v");
        CHECK_ERROR(zdb_put(txn, db, &key, &value, ZDB_APPEND), ZDB_NOT_SORTED);
        key = encoded_key(key_bytes, flags, count * 5);
        CHECK_CODE(zdb_put(txn, db, &key, &value, ZDB_APPEND), ZDB_OK);
        char low_bytes[NUMBER_BYTES];
        zdb_val low = encoded_key(low_bytes, flags, 500);
        key = encoded_key(key_bytes, flags, count * 5 - 500);
        uint64_t deleted = 0;
        REQUIRE_OK(zdb_del_range(txn, db, &low, &key, &deleted));
        CHECK_NUMBER(deleted, count - 200);
        CHECK_NUMBER(entries(txn, db), 201);
        close_cursor(cursor);
        commit(txn);
        expect_sound(env);
        close_env(env);
        remove_tree("env");
    }
}

static void reversed_keys_may_be_as_long_as_others(void) {
    static unsigned char memory[2][1985];
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "reversed", ZDB_REVERSEKEY);
    zdb_cursor *cursor = open_cursor(txn, db);
    for (size_t size = 1; size <= 1984; size++) {
        fill_pattern(memory[0], size, size);
        zdb_val key = bytes(memory[0], size), value = bytes(memory[0], size);
        REQUIRE_OK(zdb_cursor_put(cursor, &key, &value, 0));
        zdb_val found = nothing();
        REQUIRE_OK(zdb_cursor_get(cursor, &found, NULL, ZDB_GET_CURRENT));
        CHECK_BYTES(found, memory[0], size);
    }
    zdb_val key = bytes(memory[1], 1985), value = text("v");
    CHECK_ERROR(zdb_put(txn, db, &key, &value, 0), ZDB_BAD_VALSIZE);
    for (size_t size = 1; size <= 1984; size++) {
        fill_pattern(memory[0], size, size);
        key = bytes(memory[0], size);
        REQUIRE_OK(zdb_get(txn, db, &key, &value));
        CHECK_BYTES(value, memory[0], size);
    }
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

/* An entry that is a number, as a key or as the value of the key "k". */
struct numbered {
    zdb_txn *txn;
    zdb_db db;
    int is_value;
};

static struct numbered make_numbers(zdb_env *env, int is_value) {
    uint32_t flags = is_value ? ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_INTEGERDUP : ZDB_INTEGERKEY;
    struct numbered entries;
    entries.txn = begin_write(env);
    entries.db = create_with_flags(entries.txn, "numbers", flags);
    entries.is_value = is_value;
    return entries;
}

static void numbered_entry(
    const struct numbered *entries, uint64_t number, size_t size, unsigned char memory[8],
    zdb_val *key, zdb_val *value) {
    little_endian(memory, number, size);
    *key = entries->is_value ? text("k") : bytes(memory, size);
    *value = entries->is_value ? bytes(memory, size) : text("v");
}

static void put_number(const struct numbered *entries, uint64_t number, size_t size) {
    unsigned char memory[8];
    zdb_val key, value;
    numbered_entry(entries, number, size, memory, &key, &value);
    REQUIRE_OK(zdb_put(entries->txn, entries->db, &key, &value, 0));
}

/* Expects a move to lead to a number; 0 to none. */
static void expect_number(
    const struct numbered *entries, zdb_cursor *cursor, zdb_cursor_op operation, uint64_t number,
    size_t size) {
    unsigned char memory[8];
    zdb_val key, value, found_key = nothing(), found_value = nothing();
    numbered_entry(entries, number, size, memory, &key, &value);
    int code = zdb_cursor_get(cursor, &found_key, &found_value, operation);
    if (number == 0) {
        CHECK_CODE(code, ZDB_NOT_FOUND);
        return;
    }
    REQUIRE_OK(code);
    CHECK_BYTES(found_key, key.data, key.size);
    CHECK_BYTES(found_value, value.data, value.size);
}

/* Leaves a cursor where the only number was, and puts numbers of another size around it. */
static void expect_place_among_others(int is_value, uint64_t number, size_t size) {
    zdb_env *env = open_env("env");
    struct numbered entries = make_numbers(env, is_value);
    size_t other_size = 12 - size;
    int fits = other_size == 8 || number <= UINT32_MAX;
    uint64_t before = fits ? number - 1 : UINT32_MAX, after = fits ? number + 1 : 0;
    put_number(&entries, number, size);
    zdb_cursor *cursor = open_cursor(entries.txn, entries.db);
    expect_number(&entries, cursor, ZDB_FIRST, number, size);
    REQUIRE_OK(zdb_cursor_del(cursor, 0));
    put_number(&entries, 1, other_size);
    put_number(&entries, before, other_size);
    if (after > 0) put_number(&entries, after, other_size);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    zdb_cursor *other = open_cursor(entries.txn, entries.db);
    expect_number(&entries, other, ZDB_LAST, after > 0 ? after : before, other_size);
    close_cursor(other);
    expect_number(&entries, cursor, ZDB_NEXT, after, other_size);
    expect_number(&entries, cursor, ZDB_PREV, before, other_size);
    close_cursor(cursor);
    commit(entries.txn);
    expect_sound(env);
    close_env(env);
    remove_tree("env");
}

static void a_cursor_keeps_its_place_where_integers_change_their_size(void) {
    for (int is_value = 0; is_value < 2; is_value++) {
        expect_place_among_others(is_value, 256, 4);
        expect_place_among_others(is_value, 256, 8);
        expect_place_among_others(is_value, 0x003b0000, 4);
        expect_place_among_others(is_value, UINT32_MAX - 1, 8);
        expect_place_among_others(is_value, (uint64_t)1 << 32, 8);
        expect_place_among_others(is_value, UINT64_MAX - 7, 8);
    }
}

/* The number that is deleted comes back in another size: the cursor is on it again. */
static void a_cursor_is_on_its_number_again_in_another_size(void) {
    for (int is_value = 0; is_value < 2; is_value++) {
        for (size_t size = 4; size <= 8; size += 4) {
            zdb_env *env = open_env("env");
            struct numbered entries = make_numbers(env, is_value);
            put_number(&entries, 0x01020304, size);
            zdb_cursor *cursor = open_cursor(entries.txn, entries.db);
            expect_number(&entries, cursor, ZDB_FIRST, 0x01020304, size);
            REQUIRE_OK(zdb_db_clear(entries.txn, entries.db));
            for (uint64_t number = 0x01020303; number <= 0x01020305; number++) {
                put_number(&entries, number, 12 - size);
            }
            expect_number(&entries, cursor, ZDB_GET_CURRENT, 0x01020304, 12 - size);
            expect_number(&entries, cursor, ZDB_NEXT, 0x01020305, 12 - size);
            expect_number(&entries, cursor, ZDB_NEXT, 0, 12 - size);
            close_cursor(cursor);
            abort_txn(entries.txn);
            close_env(env);
            remove_tree("env");
        }
    }
}

static void comparisons_need_their_arguments(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    zdb_val key = text("k");
    int order;
    CHECK_ERROR(zdb_cmp(txn, ZDB_MAIN_DB, NULL, &key, &order), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cmp(txn, ZDB_MAIN_DB, &key, NULL, &order), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cmp(txn, ZDB_MAIN_DB, &key, &key, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_dcmp(txn, ZDB_MAIN_DB, &key, &key, NULL), ZDB_BAD_ARGUMENT);
    CHECK_CODE(zdb_cmp(txn, ZDB_MAIN_DB, &key, &key, &order), ZDB_OK);
    CHECK(order == 0);
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
    abort_txn(txn);
    close_env(env);
}

static const struct test tests[] = {
    TEST(keys_are_ordered_by_their_bytes),     TEST(reversed_keys_are_ordered_from_their_last_byte),
    TEST(integer_keys_are_ordered_as_numbers), TEST(values_are_ordered_as_the_database_says),
    TEST(a_cursor_keeps_its_place_where_integers_change_their_size),
    TEST(a_cursor_is_on_its_number_again_in_another_size),
    TEST(a_large_database_keeps_its_order),    TEST(reversed_keys_may_be_as_long_as_others),
    TEST(comparisons_need_their_arguments),    TEST(keys_are_compared_as_the_database_orders_them),
};

DEFINE_SUITE(orders, tests);
