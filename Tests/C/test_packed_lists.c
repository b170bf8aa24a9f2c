/* Entries in packed lists, and calls without structures. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "support.h"

enum { COUNT = 3000, ROOM = 1 << 16 };

/* A packed list, read or written from its beginning. */
struct list {
    unsigned char bytes[ROOM];
    size_t used, next;
};

static uint32_t number_at(const unsigned char *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void add_number(struct list *list, uint32_t number) {
    for (int i = 0; i < 4; i++) list->bytes[list->used++] = (unsigned char)(number >> 8 * i);
}

static void begin_list(struct list *list, uint32_t count) {
    list->used = 0;
    list->bytes[list->used++] = 0x5b;
    add_number(list, count);
}

static void add_string(struct list *list, zdb_val string) {
    list->bytes[list->used++] = 0x73;
    add_number(list, (uint32_t)string.size);
    memcpy(list->bytes + list->used, string.data, string.size);
    list->used += string.size;
}

static void add_entry(struct list *list, zdb_val key, zdb_val value) {
    list->bytes[list->used++] = 0x28;
    add_number(list, 2);
    add_string(list, key);
    add_string(list, value);
}

static zdb_val take_string(struct list *list) {
    REQUIRE(list->bytes[list->next] == 0x73);
    zdb_val string = bytes(list->bytes + list->next + 5, number_at(list->bytes + list->next + 1));
    list->next += 5 + string.size;
    return string;
}

static zdb_val take_key(struct list *list) {
    REQUIRE(list->bytes[list->next] == 0x29 && list->bytes[list->next + 1] == 2);
    list->next += 2;
    return take_string(list);
}

static void expect_list(struct list *list, size_t count) {
    REQUIRE(list->bytes[0] == 0x5b);
    CHECK_NUMBER(number_at(list->bytes + 1), count);
    list->next = 5;
}

/* Reads on until the end, and expects the numbered entries from `first` on, or down to 0. */
static void read_all(zdb_cursor *cursor, int forward, size_t limit, size_t room, unsigned first) {
    static struct list list;
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    unsigned number = first;
    size_t count;
    int code;
    for (;;) {
        code = zdb_cursor_read(cursor, forward ? ZDB_NEXT : ZDB_PREV,
                               ZDB_PACK_KEYS | ZDB_PACK_VALUES, NULL, limit, list.bytes, room,
                               &count, &list.used);
        if (code != ZDB_OK) break;
        REQUIRE(count >= 1 && count <= limit && list.used <= room);
        expect_list(&list, count);
        for (size_t i = 0; i < count; i++, number += forward ? 1 : (unsigned)-1) {
            zdb_val key = numbered(key_text, "key", number);
            zdb_val value = numbered_value(value_text, number);
            CHECK_BYTES(take_key(&list), key.data, key.size);
            CHECK_BYTES(take_string(&list), value.data, value.size);
        }
        CHECK_NUMBER(list.next, list.used);
    }
    CHECK_CODE(code, ZDB_NOT_FOUND);
    CHECK_NUMBER(count, 0);
    CHECK_NUMBER(number, forward ? (unsigned)COUNT : (unsigned)-1);
}

static void a_cursor_reads_both_ways_in_lists_of_any_size(void) {
    static const size_t limits[] = {1, 2, 7, 1000, SIZE_MAX}, rooms[] = {80, 1000, 4500, ROOM};
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, COUNT);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        for (size_t j = 0; j < sizeof(rooms) / sizeof(rooms[0]); j++) {
            REQUIRE_OK(zdb_cursor_renew(txn, cursor));
            read_all(cursor, 1, limits[i], rooms[j], 0);
            expect_entry(cursor, ZDB_GET_CURRENT, "key00002999");
            REQUIRE_OK(zdb_cursor_renew(txn, cursor));
            read_all(cursor, 0, limits[i], rooms[j], COUNT - 1);
            expect_entry(cursor, ZDB_GET_CURRENT, "key00000000");
        }
    }
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void a_range_ends_where_it_should_and_the_cursor_with_it(void) {
    static struct list list;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, COUNT);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = text("key00001000"), until = text("key00001010");
    size_t count;
    REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_SET));
    REQUIRE_OK(zdb_cursor_read(cursor, ZDB_NEXT, ZDB_PACK_KEYS | ZDB_PACK_CURRENT, &until, 100,
                               list.bytes, ROOM, &count, &list.used));
    expect_list(&list, 10);
    CHECK_VALUE(take_string(&list), "key00001000");
    expect_entry(cursor, ZDB_GET_CURRENT, "key00001009");
    until = text("key00001005");
    REQUIRE_OK(zdb_cursor_read(cursor, ZDB_PREV, ZDB_PACK_VALUES, &until, 100, list.bytes, ROOM,
                               &count, NULL));
    expect_list(&list, 4);
    CHECK_VALUE(take_string(&list), "value of 00001008");
    expect_entry(cursor, ZDB_GET_CURRENT, "key00001005");
    CHECK_CODE(zdb_cursor_read(cursor, ZDB_PREV, ZDB_PACK_VALUES, &until, 100, list.bytes, ROOM,
                               &count, NULL),
               ZDB_NOT_FOUND);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

/* Reads from a key, and expects the numbered entries that come to it. */
static void read_from(zdb_cursor *cursor, unsigned from, unsigned until, int forward, size_t limit) {
    static struct list list;
    char text_of[KEY_BYTES], until_text[KEY_BYTES];
    zdb_val key = numbered(text_of, "key", from), end = numbered(until_text, "key", until);
    size_t count = 99;
    int code = zdb_cursor_read_from(cursor, key.data, key.size, forward ? ZDB_NEXT : ZDB_PREV,
                                    ZDB_PACK_KEYS | ZDB_PACK_VALUES | ZDB_PACK_FLAT, &end, limit,
                                    list.bytes, ROOM, &count, &list.used);
    unsigned first = forward ? from : until, last = forward ? until : from;
    if (last > COUNT) last = COUNT;
    size_t expected = first < last ? last - first : 0;
    if (expected > limit) expected = limit;
    CHECK_CODE(code, expected > 0 ? ZDB_OK : ZDB_NOT_FOUND);
    CHECK_NUMBER(count, expected);
    if (code != ZDB_OK) return;
    expect_list(&list, 2 * expected);
    unsigned number = forward ? first : last - 1;
    for (size_t i = 0; i < expected; i++, number += forward ? 1 : (unsigned)-1) {
        key = numbered(text_of, "key", number);
        CHECK_BYTES(take_string(&list), key.data, key.size);
        key = numbered_value(text_of, number);
        CHECK_BYTES(take_string(&list), key.data, key.size);
    }
    CHECK_NUMBER(list.next, list.used);
    numbered(text_of, "key", forward ? number - 1 : number + 1);
    expect_entry(cursor, ZDB_GET_CURRENT, text_of);
}

static void a_cursor_reads_from_a_key_in_either_direction(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, COUNT);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    uint64_t state = 5;
    for (unsigned i = 0; i < repetitions(500); i++) {
        unsigned from = (unsigned)(next_random(&state) % (COUNT + 20));
        unsigned length = (unsigned)(next_random(&state) % 60);
        int forward = next_random(&state) % 2 == 0;
        unsigned until = forward ? from + length : from > length ? from - length : 0;
        read_from(cursor, from, until, forward, 1 + next_random(&state) % 50);
    }
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void a_read_from_a_key_is_refused_where_it_cannot_be(void) {
    static struct list list;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_overflow(txn, ZDB_MAIN_DB, 7);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    unsigned both = ZDB_PACK_KEYS | ZDB_PACK_VALUES;
    size_t used = 0;
    CHECK_CODE(zdb_cursor_read_from(cursor, "k", 1, ZDB_NEXT, both, NULL, 9, list.bytes, 100, NULL,
                                    &used),
               ENOBUFS);
    CHECK_NUMBER(used, 5 + 2 + 5 + strlen("key00000007") + 5 + OVERFLOW_BYTES);
    expect_entry(cursor, ZDB_GET_CURRENT, "key00000007");
    CHECK_CODE(zdb_cursor_read_from(cursor, "k", 1, ZDB_PREV, both, NULL, 9, list.bytes, ROOM, NULL,
                                    NULL),
               ZDB_NOT_FOUND);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    CHECK_ERROR(zdb_cursor_read_from(cursor, "", 0, ZDB_NEXT, both, NULL, 9, list.bytes, ROOM, NULL,
                                     NULL),
                ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_cursor_read_from(cursor, NULL, 1, ZDB_NEXT, both, NULL, 9, list.bytes, ROOM, NULL,
                                     NULL),
                ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_read_from(cursor, "k", 1, ZDB_NEXT, both | ZDB_PACK_CURRENT, NULL, 9,
                                     list.bytes, ROOM, NULL, NULL),
                ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_read_from(cursor, "k", 1, ZDB_FIRST, both, NULL, 9, list.bytes, ROOM, NULL,
                                     NULL),
                ZDB_BAD_ARGUMENT);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void values_of_a_fixed_size_are_copied_as_an_array(void) {
    static struct list keys;
    static char found[1 << 16];
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = open_db_at(HERE, txn, "pairs", ZDB_CREATE | ZDB_DUPSORT | ZDB_DUPFIXED);
    /* Of the keys a, b and c the last has a tree of values. */
    static const unsigned counts[] = {1, 20, 3000};
    char value_text[KEY_BYTES];
    for (unsigned i = 0; i < 3; i++) {
        char name = (char)('a' + i);
        for (unsigned j = 0; j < counts[i]; j++) {
            zdb_val key = bytes(&name, 1), value = numbered(value_text, "", j);
            REQUIRE_OK(zdb_put(txn, db, &key, &value, 0));
        }
    }
    begin_list(&keys, 4);
    add_string(&keys, text("c"));
    add_string(&keys, text("none"));
    add_string(&keys, text("a"));
    add_string(&keys, text("b"));
    size_t used = 0, expected = (3000 + 1 + 20) * 9;
    REQUIRE_OK(zdb_get_fixed(txn, db, keys.bytes, keys.used, 8, found, sizeof(found), &used));
    CHECK_NUMBER(used, expected);
    static const unsigned order[] = {2, 0, 1};
    const char *next = found;
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < counts[order[i]]; j++, next += 9) {
            CHECK_NUMBER(next[0], 'a' + order[i]);
            zdb_val value = numbered(value_text, "", j);
            CHECK_BYTES(bytes(next + 1, 8), value.data, value.size);
        }
    }
    CHECK_CODE(zdb_get_fixed(txn, db, keys.bytes, keys.used, 8, found, expected - 1, &used), ENOBUFS);
    CHECK_NUMBER(used, expected);
    CHECK_CODE(zdb_get_fixed(txn, db, keys.bytes, keys.used, 8, NULL, 0, &used), ENOBUFS);
    CHECK_NUMBER(used, expected);
    CHECK_ERROR(zdb_get_fixed(txn, db, keys.bytes, keys.used, 7, found, sizeof(found), &used),
                ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_get_fixed(txn, db, keys.bytes, keys.used, 0, found, sizeof(found), &used),
                ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_get_fixed(txn, ZDB_MAIN_DB, keys.bytes, keys.used, 8, found, sizeof(found), &used),
                ZDB_INCOMPATIBLE);
    for (size_t size = 0; size < keys.used; size++)
        CHECK_ERROR(zdb_get_fixed(txn, db, keys.bytes, size, 8, found, sizeof(found), &used),
                    ZDB_BAD_ARGUMENT);
    abort_txn(txn);
    close_env(env);
}

static void an_entry_without_room_says_how_much_it_needs(void) {
    static struct list list;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_overflow(txn, ZDB_MAIN_DB, 7);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    size_t count = 5, used = 0;
    unsigned flags = ZDB_PACK_KEYS | ZDB_PACK_VALUES;
    REQUIRE_CODE(zdb_cursor_read(cursor, ZDB_NEXT, flags, NULL, 10, list.bytes, 100, &count, &used),
                 ENOBUFS);
    CHECK_NUMBER(count, 0);
    CHECK_NUMBER(used, 5 + 2 + 5 + strlen("key00000007") + 5 + OVERFLOW_BYTES);
    unsigned char *room = (unsigned char *)malloc(used);
    REQUIRE(room != NULL);
    REQUIRE_OK(zdb_cursor_read(cursor, ZDB_NEXT, flags | ZDB_PACK_CURRENT, NULL, 10, room, used,
                               &count, &used));
    CHECK_NUMBER(count, 1);
    free(room);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void lists_are_put_and_looked_up(void) {
    static struct list entries, keys, found;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    size_t added = 7;
    begin_list(&entries, 3);
    add_entry(&entries, text("a"), text("1"));
    add_entry(&entries, text("b"), text(""));
    add_entry(&entries, text("a"), text("2"));
    REQUIRE_OK(zdb_put_packed(txn, ZDB_MAIN_DB, entries.bytes, entries.used, ZDB_NOOVERWRITE, &added));
    CHECK_NUMBER(added, 2);
    expect_text(txn, ZDB_MAIN_DB, "a", "1");
    begin_list(&keys, 3);
    add_string(&keys, text("b"));
    add_string(&keys, text("c"));
    add_string(&keys, text("a"));
    REQUIRE_OK(zdb_get_packed(txn, ZDB_MAIN_DB, 0, keys.bytes, keys.used, found.bytes, ROOM,
                              &found.used));
    expect_list(&found, 3);
    CHECK_NUMBER(take_string(&found).size, 0);
    CHECK_NUMBER(found.bytes[found.next], 0x4e);
    found.next++;
    CHECK_VALUE(take_string(&found), "1");
    REQUIRE_OK(zdb_get_packed(txn, ZDB_MAIN_DB, ZDB_PACK_KEYS, keys.bytes, keys.used, found.bytes,
                              ROOM, &found.used));
    expect_list(&found, 2);
    CHECK_VALUE(take_key(&found), "b");
    REQUIRE_CODE(zdb_get_packed(txn, ZDB_MAIN_DB, 0, keys.bytes, keys.used, found.bytes, 10, &added),
                 ENOBUFS);
    CHECK_NUMBER(added, 5 + 5 + 1 + 6);
    abort_txn(txn);
    close_env(env);
}

static void no_bytes_in_place_of_a_list_do_harm(void) {
    static struct list list, found;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    size_t used;
    begin_list(&list, 2);
    add_entry(&list, text("key"), text("value"));
    add_entry(&list, text("other"), text("value"));
    for (size_t size = 0; size < list.used; size++) {
        CHECK_ERROR(zdb_put_packed(txn, ZDB_MAIN_DB, list.bytes, size, 0, NULL), ZDB_BAD_ARGUMENT);
        CHECK_ERROR(zdb_get_packed(txn, ZDB_MAIN_DB, 0, list.bytes, size, found.bytes, ROOM, &used),
                    ZDB_BAD_ARGUMENT);
    }
    uint64_t state = 3;
    for (unsigned round = 0; round < repetitions(2000); round++) {
        struct list changed = list;
        changed.bytes[next_random(&state) % list.used] = (unsigned char)next_random(&state);
        zdb_put_packed(txn, ZDB_MAIN_DB, changed.bytes, changed.used, 0, NULL);
        zdb_get_packed(txn, ZDB_MAIN_DB, 0, changed.bytes, changed.used, found.bytes, ROOM, &used);
    }
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    CHECK_ERROR(zdb_cursor_read(cursor, ZDB_FIRST, ZDB_PACK_KEYS, NULL, 1, list.bytes, ROOM, &used,
                                NULL),
                ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_read(cursor, ZDB_NEXT, 0, NULL, 1, list.bytes, ROOM, &used, NULL),
                ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_read(cursor, ZDB_NEXT, ZDB_PACK_KEYS, NULL, 1, NULL, ROOM, &used, NULL),
                ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_read(cursor, ZDB_NEXT_DUP, ZDB_PACK_KEYS, NULL, 1, list.bytes, ROOM,
                                &used, NULL),
                ZDB_INCOMPATIBLE);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void bytes_are_put_and_copied_without_structures(void) {
    char room[8];
    size_t used = 0;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    REQUIRE_OK(zdb_put_bytes(txn, ZDB_MAIN_DB, "key", 3, "value", 5, 0));
    REQUIRE_CODE(zdb_put_bytes(txn, ZDB_MAIN_DB, "key", 3, "other", 5, ZDB_NOOVERWRITE), ZDB_KEYEXIST);
    REQUIRE_OK(zdb_get_bytes(txn, ZDB_MAIN_DB, "key", 3, room, sizeof(room), &used));
    CHECK_BYTES(bytes(room, used), "value", 5);
    used = 0;
    REQUIRE_OK(zdb_get_bytes(txn, ZDB_MAIN_DB, "key", 3, room, 2, &used));
    CHECK_NUMBER(used, 5);
    CHECK_CODE(zdb_get_bytes(txn, ZDB_MAIN_DB, "none", 4, room, 8, &used), ZDB_NOT_FOUND);
    CHECK_ERROR(zdb_put_bytes(txn, ZDB_MAIN_DB, "key", 3, NULL, 5, ZDB_RESERVE), ZDB_BAD_ARGUMENT);
    abort_txn(txn);
    close_env(env);
}

static void a_wait_for_the_writer_is_over_in_time(void) {
    zdb_txn *txn;
    zdb_env *env = open_env("env");
    REQUIRE_OK(zdb_txn_begin_wait(env, ZDB_DURABILITY_NONE, 10, &txn));
    CHECK_CODE(zdb_txn_commit(txn), ZDB_OK);
    CHECK_ERROR(zdb_txn_begin_wait(env, ZDB_RDONLY, 10, &txn), ZDB_BAD_ARGUMENT);
    zdb_txn *first = begin_write(env);
    CHECK_ERROR(zdb_txn_begin_wait(env, 0, 10, &txn), ZDB_BUSY); /* it would wait for itself */
    abort_txn(first);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_cursor_reads_both_ways_in_lists_of_any_size),
    TEST(a_range_ends_where_it_should_and_the_cursor_with_it),
    TEST(a_cursor_reads_from_a_key_in_either_direction),
    TEST(a_read_from_a_key_is_refused_where_it_cannot_be),
    TEST(values_of_a_fixed_size_are_copied_as_an_array),
    TEST(an_entry_without_room_says_how_much_it_needs),
    TEST(lists_are_put_and_looked_up),
    TEST(no_bytes_in_place_of_a_list_do_harm),
    TEST(bytes_are_put_and_copied_without_structures),
    TEST(a_wait_for_the_writer_is_over_in_time),
};

DEFINE_SUITE(packed_lists, tests);
