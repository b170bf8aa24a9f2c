/* Getting, putting and deleting: keys and values of every size, flags, and how long returned
 * pointers stay valid. */
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"
#include "support.h"

enum { MAX_KEY = 1984 }; /* with pages of 4 KiB */

static void a_put_is_read_back(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    expect_absent(txn, ZDB_MAIN_DB, "k");
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    expect_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "v");
    expect_absent(txn, ZDB_MAIN_DB, "j");
    expect_absent(txn, ZDB_MAIN_DB, "kk");
    abort_txn(txn);
    close_env(env);
}

static void a_put_takes_the_place_of_the_older_value(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "a value that is longer than the next");
    put_text(txn, ZDB_MAIN_DB, "k", "short");
    expect_text(txn, ZDB_MAIN_DB, "k", "short");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);
    commit(txn);
    txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "long again, in the next transaction");
    commit(txn);
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "long again, in the next transaction");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);
    abort_txn(txn);
    close_env(env);
}

static void a_get_without_a_value_tells_whether_the_key_is_there(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    zdb_val there = text("k"), missing = text("l");
    CHECK_CODE(zdb_get(txn, ZDB_MAIN_DB, &there, NULL), ZDB_OK);
    CHECK_ERROR(zdb_get(txn, ZDB_MAIN_DB, &missing, NULL), ZDB_NOT_FOUND);
    abort_txn(txn);
    close_env(env);
}

static void a_deleted_key_is_gone(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "a", "1");
    put_text(txn, ZDB_MAIN_DB, "b", "2");
    commit(txn);
    txn = begin_write(env);
    delete_text(txn, ZDB_MAIN_DB, "a");
    expect_absent(txn, ZDB_MAIN_DB, "a");
    zdb_val key = text("a");
    CHECK_ERROR(zdb_del(txn, ZDB_MAIN_DB, &key, NULL), ZDB_NOT_FOUND);
    commit(txn);
    txn = begin_read(env);
    expect_absent(txn, ZDB_MAIN_DB, "a");
    expect_text(txn, ZDB_MAIN_DB, "b", "2");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);
    abort_txn(txn);
    close_env(env);
}

static void a_value_given_to_a_deletion_means_nothing_without_duplicates(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    zdb_val key = text("k"), value = text("another");
    CHECK_CODE(zdb_del(txn, ZDB_MAIN_DB, &key, &value), ZDB_OK);
    expect_absent(txn, ZDB_MAIN_DB, "k");
    CHECK_ERROR(zdb_del(txn, ZDB_MAIN_DB, &key, &value), ZDB_NOT_FOUND);
    abort_txn(txn);
    close_env(env);
}

static void keys_of_every_size_are_kept(void) {
    static unsigned char key_memory[MAX_KEY];
    fill_pattern(key_memory, sizeof(key_memory), 1);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    for (size_t size = 1; size <= MAX_KEY; size++) {
        char text_of_size[KEY_BYTES];
        zdb_val key = bytes(key_memory, size);
        zdb_val value = numbered_value(text_of_size, (unsigned)size);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    }
    commit(txn);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), MAX_KEY);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (size_t size = 1; size <= MAX_KEY; size++) {
        char text_of_size[KEY_BYTES];
        zdb_val key = bytes(key_memory, size), value = nothing();
        numbered_value(text_of_size, (unsigned)size);
        REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
        CHECK_VALUE(value, text_of_size);
        /* Each key is a prefix of the next, so they come in order of their sizes. */
        REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_NEXT));
        CHECK_BYTES(key, key_memory, size);
        CHECK_VALUE(value, text_of_size);
    }
    close_cursor(cursor);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void keys_of_impossible_sizes_are_refused(void) {
    static const unsigned char key_memory[MAX_KEY + 1] = {0};
    static const size_t sizes[] = {0, MAX_KEY + 1, (size_t)1 << 31, (size_t)1 << 32, SIZE_MAX};
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        zdb_val key = bytes(key_memory, sizes[i]), value = text("v");
        CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_APPEND), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_get(txn, ZDB_MAIN_DB, &key, &value), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_del(txn, ZDB_MAIN_DB, &key, NULL), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_SET), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_SET_KEY), ZDB_BAD_VALSIZE);
        CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_SET_RANGE), ZDB_BAD_VALSIZE);
        value = text("v");
        CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, 0), ZDB_BAD_VALSIZE);
    }
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);
    put_text(txn, ZDB_MAIN_DB, "l", "w");
    close_cursor(cursor);
    commit(txn);
    close_env(env);
}

/* Makes the last two bytes of a key tell it from all others, in no order. */
static void number_tail(unsigned char *key, size_t size, unsigned number) {
    key[size - 2] = (unsigned char)(number * 40503u >> 8);
    key[size - 1] = (unsigned char)(number * 40503u);
}

static void the_largest_keys_fill_a_tree_at_every_page_size(void) {
    for (uint32_t page_size = 4096; page_size <= 65536; page_size *= 4) {
        char path[32];
        zdb_env_options options;
        default_options(&options);
        options.page_size = page_size;
        options.max_txn_pages = 0;
        snprintf(path, sizeof(path), "env-%u", (unsigned)page_size);
        zdb_env *env = open_env_with(path, &options);
        size_t max_key = zdb_env_max_key_size(env);
        unsigned count = repetitions(300);
        unsigned char *memory = (unsigned char *)new_pattern(max_key + 1, 3);

        zdb_txn *txn = begin_write(env);
        zdb_val too_long = bytes(memory, max_key + 1), value = text("v");
        CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &too_long, &value, 0), ZDB_BAD_VALSIZE);
        /* The keys differ in the last bytes only, which no separator can cut off. */
        for (unsigned i = 0; i < count; i++) {
            zdb_val key = bytes(memory, max_key);
            number_tail(memory, max_key, i);
            REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        }
        commit(txn);
        txn = begin_read(env);
        CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), count);
        for (unsigned i = 0; i < count; i++) {
            zdb_val key = bytes(memory, max_key);
            number_tail(memory, max_key, i);
            CHECK_CODE(zdb_get(txn, ZDB_MAIN_DB, &key, NULL), ZDB_OK);
        }
        abort_txn(txn);
        expect_sound(env);
        close_env(env);
        free(memory);
    }
}

static void keys_are_ordered_as_unsigned_bytes(void) {
    static const zdb_val in_order[] = {
        {"\x00", 1},     {"\x00\x00", 2}, {"\x00\x01", 2}, {"\x00\xff", 2},
        {"\x01", 1},     {"A", 1},        {"a", 1},        {"a\x00", 2},
        {"aa", 2},       {"b", 1},        {"\x7f", 1},     {"\x80", 1},
        {"\xfe\xff", 2}, {"\xff", 1},     {"\xff\x00", 2}, {"\xff\xff", 2},
    };
    enum { COUNT = sizeof(in_order) / sizeof(in_order[0]) };
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned at = i * 7 % COUNT;
        zdb_val value = bytes(&at, sizeof(at));
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &in_order[at], &value, 0));
    }
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (unsigned i = 0; i < COUNT; i++) {
        zdb_val key = nothing(), value = nothing();
        REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_NEXT));
        CHECK_BYTES(key, in_order[i].data, in_order[i].size);
        CHECK_BYTES(value, &i, sizeof(i));
    }
    expect_entry(cursor, ZDB_NEXT, NULL);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

/* Sizes around every way to store a value, then around powers of two. */
static size_t value_size(unsigned index) {
    enum { DENSE = 260, STEP = 41 };
    if (index < DENSE) return index * STEP;
    unsigned power = 14 + (index - DENSE) / 3;
    return ((size_t)1 << power) - 1 + (index - DENSE) % 3;
}

enum { VALUE_SIZES = 260 + 3 * 9 }; /* the last are of 4 MiB */

static void values_of_every_size_are_kept(void) {
    zdb_env *env = open_unbounded("env");
    zdb_txn *txn = begin_write(env);
    char key_text[KEY_BYTES];
    for (unsigned i = 0; i < VALUE_SIZES; i++) {
        size_t size = value_size(i);
        void *memory = new_pattern(size, i);
        zdb_val key = numbered(key_text, "key", i);
        zdb_val value = bytes(memory, size);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        /* The library has copied the value: the program may do anything with the memory. */
        memset(memory, 0xee, size);
        free(memory);
        memset(key_text, 0xee, sizeof(key_text));
    }
    commit(txn);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    for (unsigned i = 0; i < VALUE_SIZES; i++) {
        zdb_val key = numbered(key_text, "key", i), value = nothing();
        REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
        CHECK_NUMBER(value.size, value_size(i));
        CHECK(value.size == value_size(i) && has_pattern(value.data, value.size, i));
    }
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void values_change_between_small_and_large(void) {
    static const size_t sizes[] = {10,   100 * 1024, 3, 0,  5000, 1500, 2 * 1024 * 1024,
                                   1000, 70000,      0, 900};
    zdb_env *env = open_env("env");
    for (unsigned round = 0; round < sizeof(sizes) / sizeof(sizes[0]); round++) {
        zdb_txn *txn = begin_write(env);
        void *memory = new_pattern(sizes[round], round);
        for (unsigned i = 0; i < 5; i++) {
            char key_text[KEY_BYTES];
            zdb_val key = numbered(key_text, "key", i), value = bytes(memory, sizes[round]);
            REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        }
        free(memory);
        commit(txn);
        txn = begin_read(env);
        CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 5);
        for (unsigned i = 0; i < 5; i++) {
            char key_text[KEY_BYTES];
            zdb_val key = numbered(key_text, "key", i), value = nothing();
            REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
            REQUIRE(value.size == sizes[round]);
            CHECK(has_pattern(value.data, value.size, round));
        }
        abort_txn(txn);
        expect_sound(env);
    }
    close_env(env);
}

static void an_empty_value_needs_no_memory(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_val key = text("k"), value = nothing();
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    value = text("not empty");
    REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
    CHECK_NUMBER(value.size, 0);
    commit(txn);
    close_env(env);
}

static void values_of_more_than_2_gib_are_refused(void) {
    static const size_t sizes[] = {(size_t)ZDB_MAX_VALUE_SIZE + 1, (size_t)1 << 40, SIZE_MAX / 2,
                                   SIZE_MAX};
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        zdb_val key = text("k"), value = bytes("never read beyond this", sizes[i]);
        CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0), ZDB_BAD_VALSIZE);
    }
    expect_absent(txn, ZDB_MAIN_DB, "k");
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    close_env(env);
}

/* -------------------------------------------------------------------- flags */

static void nooverwrite_leaves_the_existing_value_and_returns_it(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_val key = text("k"), value = text("first");
    CHECK_CODE(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_NOOVERWRITE), ZDB_OK);
    value = text("second");
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_NOOVERWRITE), ZDB_KEYEXIST);
    CHECK_VALUE(value, "first");
    expect_text(txn, ZDB_MAIN_DB, "k", "first");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);

    void *memory = new_pattern(100000, 5);
    key = text("large");
    value = bytes(memory, 100000);
    CHECK_CODE(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_NOOVERWRITE), ZDB_OK);
    value = text("small");
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_NOOVERWRITE), ZDB_KEYEXIST);
    CHECK_BYTES(value, memory, 100000);
    free(memory);
    commit(txn);
    close_env(env);
}

static void append_takes_keys_in_order_only(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    unsigned count = repetitions(5000);
    for (unsigned i = 0; i < count; i++) {
        zdb_val key = numbered(key_text, "key", i), value = numbered_value(value_text, i);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_APPEND));
    }
    zdb_val last = numbered(key_text, "key", count - 1), value = text("v");
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &last, &value, ZDB_APPEND), ZDB_NOT_SORTED);
    zdb_val before = numbered(value_text, "key", count / 2);
    value = text("v");
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &before, &value, ZDB_APPEND), ZDB_NOT_SORTED);
    /* The transaction is still sound. */
    expect_numbered(txn, ZDB_MAIN_DB, count);
    commit(txn);
    txn = begin_read(env);
    expect_numbered(txn, ZDB_MAIN_DB, count);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void flags_that_do_not_fit_are_refused(void) {
    static const uint32_t flags[] = {0x1, 0x2, 0x100, 0x80000000u, UINT32_MAX};
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = text("k"), value = text("v");
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, flags[i]), ZDB_BAD_ARGUMENT);
        CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, flags[i]), ZDB_BAD_ARGUMENT);
    }
    /* Only a cursor has a current entry. */
    CHECK_EITHER(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_CURRENT), ZDB_INCOMPATIBLE,
                 ZDB_BAD_ARGUMENT);
    expect_absent(txn, ZDB_MAIN_DB, "k");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

/* ----------------------------------------------------------------- pointers */

static void values_stay_where_they_are_while_a_writer_commits(void) {
    enum { COUNT = 200, LARGE = 20000 };
    zdb_env *env = open_env("env");
    zdb_txn *writer = begin_write(env);
    put_numbered(writer, ZDB_MAIN_DB, COUNT);
    void *memory = new_pattern(LARGE, 1);
    zdb_val large_key = text("large"), large = bytes(memory, LARGE);
    REQUIRE_OK(zdb_put(writer, ZDB_MAIN_DB, &large_key, &large, 0));
    free(memory);
    commit(writer);

    zdb_txn *reader = begin_read(env);
    zdb_val values[COUNT];
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    for (unsigned i = 0; i < COUNT; i++) {
        zdb_val key = numbered(key_text, "key", i);
        REQUIRE_OK(zdb_get(reader, ZDB_MAIN_DB, &key, &values[i]));
    }
    REQUIRE_OK(zdb_get(reader, ZDB_MAIN_DB, &large_key, &large));

    /* Changes, deletes and adds for so long that freed pages would be used again. */
    for (unsigned round = 0; round < repetitions(30); round++) {
        writer = begin_write(env);
        for (unsigned i = 0; i < COUNT; i++) {
            zdb_val key = numbered(key_text, "key", i), value = text("changed");
            if ((i + round) % 3 == 0) {
                zdb_del(writer, ZDB_MAIN_DB, &key, NULL);
            } else {
                REQUIRE_OK(zdb_put(writer, ZDB_MAIN_DB, &key, &value, 0));
            }
        }
        memory = new_pattern(LARGE, 100 + round);
        zdb_val changed = bytes(memory, LARGE);
        REQUIRE_OK(zdb_put(writer, ZDB_MAIN_DB, &large_key, &changed, 0));
        free(memory);
        commit(writer);
    }

    for (unsigned i = 0; i < COUNT; i++) {
        numbered_value(value_text, i);
        CHECK_VALUE(values[i], value_text);
    }
    CHECK(has_pattern(large.data, LARGE, 1));
    abort_txn(reader);
    expect_sound(env);
    close_env(env);
}

static void a_value_of_a_reader_can_be_put_by_a_writer(void) {
    enum { LARGE = 50000 };
    zdb_env *env = open_env("env");
    zdb_txn *writer = begin_write(env);
    void *memory = new_pattern(LARGE, 9);
    zdb_val key = text("large"), value = bytes(memory, LARGE);
    REQUIRE_OK(zdb_put(writer, ZDB_MAIN_DB, &key, &value, 0));
    free(memory);
    put_text(writer, ZDB_MAIN_DB, "small", "v");
    commit(writer);

    zdb_txn *reader = begin_read(env);
    writer = begin_write(env);
    zdb_val copy = text("copy of large");
    REQUIRE_OK(zdb_get(reader, ZDB_MAIN_DB, &key, &value));
    REQUIRE_OK(zdb_put(writer, ZDB_MAIN_DB, &copy, &value, 0));
    key = text("small");
    copy = text("copy of small");
    REQUIRE_OK(zdb_get(reader, ZDB_MAIN_DB, &key, &value));
    REQUIRE_OK(zdb_put(writer, ZDB_MAIN_DB, &copy, &value, 0));
    commit(writer);
    abort_txn(reader);

    reader = begin_read(env);
    expect_text(reader, ZDB_MAIN_DB, "copy of small", "v");
    key = text("copy of large");
    REQUIRE_OK(zdb_get(reader, ZDB_MAIN_DB, &key, &value));
    CHECK(value.size == LARGE && has_pattern(value.data, LARGE, 9));
    abort_txn(reader);
    close_env(env);
}

/* ------------------------------------------------------------- many entries */

static void random_puts_in_one_transaction_are_all_found(void) {
    zdb_env *env = open_unbounded("env");
    zdb_txn *txn = begin_write(env);
    /* A step that shares no factor with the count visits every number once. */
    unsigned count = repetitions(30000);
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    for (unsigned i = 0; i < count; i++) {
        unsigned number = (unsigned)((uint64_t)i * 7919 % count);
        zdb_val key = numbered(key_text, "key", number);
        zdb_val value = numbered_value(value_text, number);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    }
    expect_numbered(txn, ZDB_MAIN_DB, count);
    commit(txn);
    txn = begin_read(env);
    expect_numbered(txn, ZDB_MAIN_DB, count);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void a_database_can_be_emptied_and_filled_again(void) {
    zdb_env *env = open_env("env");
    unsigned count = repetitions(3000);
    for (unsigned round = 0; round < 3; round++) {
        zdb_txn *txn = begin_write(env);
        put_numbered(txn, ZDB_MAIN_DB, count);
        commit(txn);
        txn = begin_write(env);
        expect_numbered(txn, ZDB_MAIN_DB, count);
        for (unsigned i = 0; i < count; i++) {
            char key_text[KEY_BYTES];
            zdb_val key = numbered(key_text, "key", (unsigned)((uint64_t)i * 7919 % count));
            REQUIRE_OK(zdb_del(txn, ZDB_MAIN_DB, &key, NULL));
        }
        zdb_db_stat stat;
        get_stat(txn, ZDB_MAIN_DB, &stat);
        CHECK_NUMBER(stat.entries, 0);
        CHECK_NUMBER(stat.depth, 0);
        CHECK_NUMBER(stat.leaf_pages + stat.branch_pages, 0);
        commit(txn);
        expect_sound(env);
    }
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_put_is_read_back),
    TEST(a_put_takes_the_place_of_the_older_value),
    TEST(a_get_without_a_value_tells_whether_the_key_is_there),
    TEST(a_deleted_key_is_gone),
    TEST(a_value_given_to_a_deletion_means_nothing_without_duplicates),
    TEST(keys_of_every_size_are_kept),
    TEST(keys_of_impossible_sizes_are_refused),
    TEST(the_largest_keys_fill_a_tree_at_every_page_size),
    TEST(keys_are_ordered_as_unsigned_bytes),
    TEST(values_of_every_size_are_kept),
    TEST(values_change_between_small_and_large),
    TEST(an_empty_value_needs_no_memory),
    TEST(values_of_more_than_2_gib_are_refused),
    TEST(nooverwrite_leaves_the_existing_value_and_returns_it),
    TEST(append_takes_keys_in_order_only),
    TEST(flags_that_do_not_fit_are_refused),
    TEST(values_stay_where_they_are_while_a_writer_commits),
    TEST(a_value_of_a_reader_can_be_put_by_a_writer),
    TEST(random_puts_in_one_transaction_are_all_found),
    TEST(a_database_can_be_emptied_and_filled_again),
};

DEFINE_SUITE(values, tests);
