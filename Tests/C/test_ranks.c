/* Counted databases: ranks, entries by rank, counts of ranges, ranges in equal parts. */
#include <stdlib.h>

#include "database_flags.h"
#include "suites.h"

static uint64_t rank_at(struct place place, zdb_txn *txn, zdb_db db, uint32_t flags,
                        uint32_t number, int expected) {
    char key_bytes[NUMBER_BYTES];
    zdb_val key = encoded_key(key_bytes, flags, number);
    uint64_t rank = UINT64_MAX;
    check_code(place, zdb_rank(txn, db, &key, &rank), expected, "zdb_rank");
    return rank;
}

#define rank_of(txn, db, flags, number, expected)                                                  \
    rank_at(HERE, (txn), (db), (flags), (number), (expected))

static uint64_t range_at(struct place place, zdb_txn *txn, zdb_db db, uint32_t flags, uint32_t low,
                         uint32_t high) {
    char low_bytes[NUMBER_BYTES], high_bytes[NUMBER_BYTES];
    zdb_val from = encoded_key(low_bytes, flags, low), to = encoded_key(high_bytes, flags, high);
    uint64_t count = UINT64_MAX;
    require_code(place, zdb_count_range(txn, db, &from, &to, &count), ZDB_OK, "zdb_count_range");
    return count;
}

#define range_of(txn, db, flags, low, high) range_at(HERE, (txn), (db), (flags), (low), (high))

/* Keys 0, 3, 6, ... in no order. */
static zdb_db make_counted(zdb_txn *txn, uint32_t flags, uint32_t count) {
    zdb_db db = create_with_flags(txn, "counted", flags);
    REQUIRE(count % 7919 != 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = (uint32_t)((uint64_t)i * 7919 % count) * 3;
        put_pair(txn, db, flags, number, number);
    }
    return db;
}

static void check_ranks(zdb_txn *txn, zdb_db db, uint32_t flags, uint32_t count) {
    zdb_cursor *cursor = open_cursor(txn, db);
    uint32_t step = count / 500 + 1;
    for (uint32_t i = 0; i < count; i += step) {
        CHECK_NUMBER(rank_of(txn, db, flags, i * 3, ZDB_OK), i);
        CHECK_NUMBER(rank_of(txn, db, flags, i * 3 + 1, ZDB_NOT_FOUND), i + 1);
        zdb_val key = nothing(), value = nothing();
        REQUIRE_OK(zdb_cursor_set_rank(cursor, i, &key, &value));
        expect_pair(cursor, ZDB_GET_CURRENT, flags, i * 3, i * 3);
        uint64_t rank = UINT64_MAX;
        REQUIRE_OK(zdb_cursor_rank(cursor, &rank));
        CHECK_NUMBER(rank, i);
        if (i + 1 < count) {
            expect_pair(cursor, ZDB_NEXT, flags, i * 3 + 3, i * 3 + 3);
            REQUIRE_OK(zdb_cursor_rank(cursor, &rank));
            CHECK_NUMBER(rank, i + 1);
        }
        CHECK_NUMBER(range_of(txn, db, flags, i, i * 3), i - (i + 2) / 3);
    }
    CHECK_ERROR(zdb_cursor_set_rank(cursor, count, NULL, NULL), ZDB_NOT_FOUND);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    CHECK_ERROR(zdb_cursor_set_rank(cursor, UINT64_MAX, NULL, NULL), ZDB_NOT_FOUND);
    uint64_t all = 0;
    REQUIRE_OK(zdb_count_range(txn, db, NULL, NULL, &all));
    CHECK_NUMBER(all, count);
    close_cursor(cursor);
}

static void every_entry_has_its_rank(void) {
    static const uint32_t key_orders[] = {0, ZDB_REVERSEKEY, ZDB_INTEGERKEY};
    zdb_env_options options;
    default_options(&options);
    options.max_txn_pages = 0;
    const uint32_t count = repetitions(60000);
    for (size_t k = 0; k < sizeof(key_orders) / sizeof(key_orders[0]); k++) {
        const uint32_t flags = key_orders[k] | ZDB_COUNTED;
        zdb_env *env = open_env_with("env", &options);
        zdb_txn *txn = begin_write(env);
        zdb_db db = make_counted(txn, flags, count);
        check_ranks(txn, db, flags, count);
        commit(txn);
        close_env(env);

        env = open_env_with("env", &options);
        txn = begin_read(env);
        db = open_db(txn, "counted");
        check_ranks(txn, db, flags, count);
        abort_txn(txn);
        expect_sound(env);
        close_env(env);
        remove_tree("env");
    }
}

static void ranks_follow_deletions(void) {
    const uint32_t flags = ZDB_COUNTED, count = 20000;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = make_counted(txn, flags, count);
    commit(txn);
    txn = begin_write(env);
    char low_bytes[NUMBER_BYTES], high_bytes[NUMBER_BYTES];
    zdb_val from = encoded_key(low_bytes, flags, 3000), to = encoded_key(high_bytes, flags, 33000);
    uint64_t deleted = 0;
    REQUIRE_OK(zdb_del_range(txn, db, &from, &to, &deleted));
    CHECK_NUMBER(deleted, 10000);
    CHECK_NUMBER(rank_of(txn, db, flags, 3000, ZDB_NOT_FOUND), 1000);
    CHECK_NUMBER(rank_of(txn, db, flags, 33000, ZDB_OK), 1000);
    for (uint32_t i = 0; i < 1000; i += 2) {
        zdb_val key = encoded_key(low_bytes, flags, i * 3);
        REQUIRE_OK(zdb_del(txn, db, &key, NULL));
    }
    CHECK_NUMBER(rank_of(txn, db, flags, 33000, ZDB_OK), 500);
    CHECK_NUMBER(rank_of(txn, db, flags, 303, ZDB_OK), 50);

    /* The changes of a child to the counts are taken back with it. */
    zdb_txn *child = NULL;
    REQUIRE_OK(zdb_txn_begin(env, txn, 0, &child));
    REQUIRE_OK(zdb_db_clear(child, db));
    CHECK_NUMBER(rank_of(child, db, flags, 303, ZDB_NOT_FOUND), 0);
    put_pair(child, db, flags, 1, 1);
    CHECK_NUMBER(rank_of(child, db, flags, 2, ZDB_NOT_FOUND), 1);
    abort_txn(child);
    CHECK_NUMBER(rank_of(txn, db, flags, 303, ZDB_OK), 50);
    commit(txn);
    expect_sound(env);
    txn = begin_read(env);
    CHECK_NUMBER(rank_of(txn, db, flags, 33000, ZDB_OK), 500);
    CHECK_NUMBER(range_of(txn, db, flags, 0, 33003), 501);
    abort_txn(txn);
    close_env(env);
}

/* With duplicates an entry is a pair. */
static void values_count_as_entries(void) {
    const uint32_t flags = ZDB_DUPSORT | ZDB_COUNTED;
    enum { KEYS = 30, FEW = 7, MANY = 1500 };
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "pairs", flags);
    uint64_t before[KEYS + 1] = {0};
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t values = key % 3 == 0 ? MANY : key % 3 == 1 ? FEW : 1;
        for (uint32_t i = 0; i < values; i++) put_pair(txn, db, flags, key, i * 2);
        before[key + 1] = before[key] + values;
    }
    commit(txn);
    txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, db);
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t values = (uint32_t)(before[key + 1] - before[key]);
        CHECK_NUMBER(rank_of(txn, db, flags, key, ZDB_OK), before[key]);
        CHECK_NUMBER(range_of(txn, db, flags, 0, key), before[key]);
        for (uint32_t i = 0; i < values; i += 11) {
            uint64_t rank = 0;
            REQUIRE_OK(zdb_cursor_set_rank(cursor, before[key] + i, NULL, NULL));
            expect_pair(cursor, ZDB_GET_CURRENT, flags, key, i * 2);
            REQUIRE_OK(zdb_cursor_rank(cursor, &rank));
            CHECK_NUMBER(rank, before[key] + i);
            set_pair(cursor, flags, key, i * 2);
            REQUIRE_OK(zdb_cursor_rank(cursor, &rank));
            CHECK_NUMBER(rank, before[key] + i);
        }
    }
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

/* ------------------------------------------------------------------------ parts */

struct parts {
    uint32_t flags;
    unsigned count;
    unsigned stop_after; /* 0: never */
    char keys[2000][NUMBER_BYTES];
    size_t sizes[2000];
};

static int collect_part(void *context, const zdb_val *key) {
    struct parts *parts = (struct parts *)context;
    REQUIRE(parts->count < 2000 && key->size <= NUMBER_BYTES);
    memcpy(parts->keys[parts->count], key->data, key->size);
    parts->sizes[parts->count] = key->size;
    parts->count++;
    return parts->count == parts->stop_after ? 4711 : 0;
}

/* The entries of each part, which together are all of the range. */
static void check_parts(zdb_txn *txn, zdb_db db, const struct parts *parts, const zdb_val *from,
                        const zdb_val *to, uint64_t least, uint64_t most) {
    uint64_t all = 0, sum = 0;
    REQUIRE_OK(zdb_count_range(txn, db, from, to, &all));
    for (unsigned i = 0; i <= parts->count; i++) {
        zdb_val low = nothing(), high = nothing();
        if (i > 0) low = bytes(parts->keys[i - 1], parts->sizes[i - 1]);
        if (i < parts->count) high = bytes(parts->keys[i], parts->sizes[i]);
        uint64_t entries_of_part = 0;
        REQUIRE_OK(zdb_count_range(txn, db, i > 0 ? &low : from, i < parts->count ? &high : to,
                                   &entries_of_part));
        CHECK(entries_of_part >= least && entries_of_part <= most);
        sum += entries_of_part;
    }
    CHECK_NUMBER(sum, all);
}

static void a_range_is_divided_into_equal_parts(void) {
    const uint32_t flags = ZDB_COUNTED, count = 10000;
    static struct parts parts;
    static const uint32_t wanted[] = {1, 2, 3, 7, 64, 1000};
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = make_counted(txn, flags, count);
    commit(txn);
    txn = begin_read(env);
    char low_bytes[NUMBER_BYTES], high_bytes[NUMBER_BYTES];
    zdb_val from = encoded_key(low_bytes, flags, 1501), to = encoded_key(high_bytes, flags, 24000);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        parts.count = 0;
        REQUIRE_OK(zdb_split_range(txn, db, NULL, NULL, wanted[i], collect_part, &parts));
        CHECK_NUMBER(parts.count, wanted[i] - 1);
        check_parts(txn, db, &parts, NULL, NULL, count / wanted[i], count / wanted[i] + 1);
        parts.count = 0;
        REQUIRE_OK(zdb_split_range(txn, db, &from, &to, wanted[i], collect_part, &parts));
        CHECK_NUMBER(parts.count, wanted[i] - 1);
        uint64_t in_range = 24000 / 3 - 501;
        check_parts(txn, db, &parts, &from, &to, in_range / wanted[i], in_range / wanted[i] + 1);
    }
    /* Fewer keys than parts: fewer parts, none of them empty. */
    to = encoded_key(high_bytes, flags, 1501 + 30);
    parts.count = 0;
    REQUIRE_OK(zdb_split_range(txn, db, &from, &to, 64, collect_part, &parts));
    CHECK_NUMBER(parts.count, 9);
    check_parts(txn, db, &parts, &from, &to, 1, 1);
    /* An empty range has one part. */
    parts.count = 0;
    REQUIRE_OK(zdb_split_range(txn, db, &to, &from, 64, collect_part, &parts));
    REQUIRE_OK(zdb_split_range(txn, db, &from, &from, 2, collect_part, &parts));
    CHECK_NUMBER(parts.count, 0);
    abort_txn(txn);
    close_env(env);
}

static void keys_with_many_values_are_not_divided(void) {
    const uint32_t flags = ZDB_DUPSORT | ZDB_COUNTED;
    static struct parts parts;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_with_flags(txn, "pairs", flags);
    for (uint32_t i = 0; i < 4000; i++) put_pair(txn, db, flags, i < 3000 ? 7 : i % 4 + 6, i);
    for (uint32_t wanted = 1; wanted <= 64; wanted++) {
        parts.count = 0;
        REQUIRE_OK(zdb_split_range(txn, db, NULL, NULL, wanted, collect_part, &parts));
        CHECK(parts.count < wanted && parts.count < 4);
        check_parts(txn, db, &parts, NULL, NULL, 250, 4000);
    }
    abort_txn(txn);
    close_env(env);
}

static void dividing_ends_when_the_caller_says_so(void) {
    static struct parts parts;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = make_counted(txn, ZDB_COUNTED, 100);
    parts.stop_after = 3;
    CHECK_CODE(zdb_split_range(txn, db, NULL, NULL, 10, collect_part, &parts), 4711);
    CHECK_NUMBER(parts.count, 3);
    put_pair(txn, db, ZDB_COUNTED, 1, 1);
    commit(txn);
    close_env(env);
}

/* ---------------------------------------------------------------------- refused */

static void ranks_need_a_counted_database_and_their_arguments(void) {
    static struct parts parts;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db plain = create_db(txn, "plain");
    zdb_db counted = create_with_flags(txn, "counted", ZDB_COUNTED);
    put_text(txn, plain, "k", "v");
    put_text(txn, counted, "k", "v");
    zdb_val key = text("k"), empty = nothing();
    uint64_t number = 0;
    zdb_cursor *in_plain = open_cursor(txn, plain), *cursor = open_cursor(txn, counted);
    expect_entry(in_plain, ZDB_FIRST, "k");
    CHECK_ERROR(zdb_rank(txn, plain, &key, &number), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_split_range(txn, plain, NULL, NULL, 2, collect_part, &parts), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_rank(in_plain, &number), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_set_rank(in_plain, 0, NULL, NULL), ZDB_INCOMPATIBLE);
    expect_entry(in_plain, ZDB_GET_CURRENT, "k");
    CHECK_CODE(zdb_count_range(txn, plain, NULL, NULL, &number), ZDB_OK);
    CHECK_NUMBER(number, 1);

    CHECK_ERROR(zdb_rank(txn, counted, NULL, &number), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_rank(txn, counted, &key, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_rank(txn, counted, &empty, &number), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_count_range(txn, counted, NULL, NULL, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_count_range(txn, counted, &empty, NULL, &number), ZDB_BAD_VALSIZE);
    /* No database could hold both ends. */
    zdb_db numbers = create_with_flags(txn, "numbers", ZDB_COUNTED | ZDB_INTEGERKEY);
    uint32_t small = 1;
    uint64_t large = 2;
    zdb_val from = bytes(&small, sizeof(small)), to = bytes(&large, sizeof(large));
    CHECK_ERROR(zdb_count_range(txn, numbers, &from, &to, &number), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_split_range(txn, numbers, &from, &to, 2, collect_part, &parts), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_split_range(txn, counted, NULL, NULL, 0, collect_part, &parts),
                ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_split_range(txn, counted, NULL, NULL, 1048577, collect_part, &parts),
                ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_split_range(txn, counted, NULL, NULL, 2, NULL, &parts), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_split_range(txn, counted, NULL, &empty, 2, collect_part, &parts),
                ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_cursor_rank(cursor, &number), ZDB_BAD_CURSOR);
    expect_entry(cursor, ZDB_FIRST, "k");
    CHECK_ERROR(zdb_cursor_rank(cursor, NULL), ZDB_BAD_ARGUMENT);
    CHECK_CODE(zdb_cursor_rank(cursor, &number), ZDB_OK);
    CHECK_NUMBER(number, 0);
    CHECK_CODE(zdb_split_range(txn, counted, NULL, NULL, 1048576, collect_part, &parts), ZDB_OK);
    CHECK_NUMBER(parts.count, 0);
    delete_text(txn, counted, "k");
    CHECK_ERROR(zdb_cursor_rank(cursor, &number), ZDB_BAD_CURSOR);
    CHECK_ERROR(zdb_cursor_set_rank(cursor, 0, NULL, NULL), ZDB_NOT_FOUND);
    put_text(txn, counted, "k", "w");
    close_cursor(in_plain);
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static const struct test tests[] = {
    TEST(every_entry_has_its_rank),
    TEST(ranks_follow_deletions),
    TEST(values_count_as_entries),
    TEST(a_range_is_divided_into_equal_parts),
    TEST(keys_with_many_values_are_not_divided),
    TEST(dividing_ends_when_the_caller_says_so),
    TEST(ranks_need_a_counted_database_and_their_arguments),
};

DEFINE_SUITE(ranks, tests);
