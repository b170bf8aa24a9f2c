/* Limits that transactions reach, and that leave nothing behind. */
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"
#include "support.h"

static int put_pattern(zdb_txn *txn, unsigned number, size_t size) {
    char key_text[KEY_BYTES];
    zdb_val key = numbered(key_text, "key", number);
    void *memory = new_pattern(size, number);
    zdb_val value = bytes(memory, size);
    int code = zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0);
    free(memory);
    return code;
}

static void expect_patterns(zdb_env *env, unsigned count, size_t size) {
    zdb_txn *txn = begin_read(env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), count);
    for (unsigned i = 0; i < count; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i), value = nothing();
        REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
        CHECK(value.size == size && has_pattern(value.data, size, i));
    }
    abort_txn(txn);
}

/* After ZDB_TXN_FULL or ZDB_FULL a transaction does nothing more, and does not commit. */
static void check_broken(zdb_txn *txn, int reason, bool commits) {
    zdb_val key = text("another"), value = text("v");
    CHECK_EITHER(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0), ZDB_BAD_TXN, reason);
    if (commits) {
        CHECK_EITHER(zdb_txn_commit(txn), ZDB_BAD_TXN, reason);
        CHECK_EITHER(zdb_txn_abort(txn), ZDB_BAD_TXN, ZDB_BAD_HANDLE);
    } else {
        CHECK_CODE(zdb_txn_abort(txn), ZDB_OK);
    }
}

/* ------------------------------------------------------------- max_txn_pages */

static zdb_env *open_with_txn_pages(uint64_t pages) {
    zdb_env_options options;
    default_options(&options);
    options.max_txn_pages = pages;
    return open_env_with("env", &options);
}

static void a_transaction_that_dirties_too_many_pages_fails_whole(void) {
    zdb_env *env = open_with_txn_pages(97);
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 50);
    commit(txn);
    for (unsigned round = 0; round < 2; round++) {
        txn = begin_write(env);
        unsigned done = 0;
        int code;
        while ((code = put_pattern(txn, 1000 + done, 500)) == ZDB_OK && done < 10000) done++;
        CHECK_ERROR(code, ZDB_TXN_FULL);
        CHECK_CONTAINS(zdb_last_error(), "97");
        CHECK_CONTAINS(zdb_last_error(), "max_txn_pages");
        CHECK(done > 97);
        CHECK(done < 97 * 8);
        check_broken(txn, ZDB_TXN_FULL, round == 1);

        txn = begin_read(env);
        expect_numbered(txn, ZDB_MAIN_DB, 50);
        abort_txn(txn);
    }
    expect_sound(env);
    txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 200);
    commit(txn);
    txn = begin_read(env);
    expect_numbered(txn, ZDB_MAIN_DB, 200);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void the_pages_of_large_values_do_not_count(void) {
    zdb_env *env = open_with_txn_pages(100);
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < 5; i++) REQUIRE_OK(put_pattern(txn, i, 1000 * 4096));
    commit(txn);
    expect_patterns(env, 5, 1000 * 4096);
    expect_sound(env);
    close_env(env);
}

static void no_bound_means_no_bound(void) {
    zdb_env *env = open_with_txn_pages(0);
    unsigned count = repetitions(300);
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < count; i++) REQUIRE_OK(put_pattern(txn, i, 200 * KIB));
    commit(txn);
    expect_patterns(env, count, 200 * KIB);
    close_env(env);
}

/* ----------------------------------------------------------- max_txn_memory */

/* Kilobytes of this process's memory that no file backs. */
static uint64_t private_memory(void) {
    char line[256];
    unsigned long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    REQUIRE(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) kilobytes = strtoul(line + 8, NULL, 10);
    }
    REQUIRE(fclose(file) == 0);
    return kilobytes;
}

static zdb_env *open_with_txn_memory(uint64_t memory) {
    zdb_env_options options;
    default_options(&options);
    options.max_txn_memory = memory;
    options.max_txn_pages = 0;
    return open_env_with("env", &options);
}

/* Large values and small ones, in one transaction; some replaced, some taken back with a nested one. */
static void a_transaction_larger_than_its_memory_goes_on(void) {
    enum { LARGE = 40, SMALL = 40000, LARGE_BYTES = 2 << 20, SMALL_BYTES = 500 };
    zdb_env *env = open_with_txn_memory(8 * MIB);
    uint64_t before = private_memory();
    zdb_txn *txn = begin_write(env), *nested = NULL;
    unsigned small = repetitions(SMALL);
    for (unsigned i = 0; i < LARGE; i++) REQUIRE_OK(put_pattern(txn, i, LARGE_BYTES));
    for (unsigned i = LARGE; i < LARGE + small; i++) {
        REQUIRE_OK(put_pattern(txn, i, SMALL_BYTES));
    }
    for (unsigned i = 0; i < LARGE; i += 2) REQUIRE_OK(put_pattern(txn, i, LARGE_BYTES + i));
    REQUIRE_OK(zdb_txn_begin(env, txn, 0, &nested));
    for (unsigned i = 0; i < LARGE; i += 3) REQUIRE_OK(put_pattern(nested, i, SMALL_BYTES));
    for (unsigned i = 0; i < LARGE; i++) REQUIRE_OK(put_pattern(nested, small + i, LARGE_BYTES));
    abort_txn(nested);
    /* A sanitizer keeps what has been freed. */
    if (!tests_run_slowly()) CHECK(private_memory() < before + 40 * KIB);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < LARGE + small; i++) {
            size_t size = SMALL_BYTES;
            if (i < LARGE) size = LARGE_BYTES + (i % 2 == 0 ? i : 0);
            char buffer[KEY_BYTES];
            zdb_val key = numbered(buffer, "key", i), value = nothing();
            REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
            CHECK(value.size == size && has_pattern(value.data, size, i));
        }
        commit(txn);
        txn = begin_read(env);
    }
    abort_txn(txn);
    /* The data file and the lock file. */
    CHECK_NUMBER(directory_entries("env"), 2);
    expect_sound(env);
    close_env(env);
}

static void a_limit_on_memory_has_a_range(void) {
    zdb_env_options options;
    default_options(&options);
    zdb_env *env = NULL;
    options.max_txn_memory = MIB - 1;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BAD_ARGUMENT);
    CHECK_CONTAINS(zdb_last_error(), "max_txn_memory");
    close_env(open_with_txn_memory(0));
    close_env(open_with_txn_memory(MIB));
    close_env(open_with_txn_memory(UINT64_MAX));
}

/* ----------------------------------------------------------------- max_size */

static zdb_env *open_with_size(uint64_t size) {
    zdb_env_options options;
    default_options(&options);
    options.max_size = size;
    return open_env_with("env", &options);
}

/* Puts and commits numbered entries until the environment is full. Returns how many are in. */
static unsigned fill_until_full(zdb_env *env, unsigned batch, size_t value_size) {
    for (unsigned done = 0; done < 100000; done += batch) {
        zdb_txn *txn = begin_write(env);
        for (unsigned i = 0; i < batch; i++) {
            int code = put_pattern(txn, done + i, value_size);
            if (code != ZDB_OK) {
                CHECK_ERROR(code, ZDB_FULL);
                CHECK_CONTAINS(zdb_last_error(), "max_size");
                check_broken(txn, ZDB_FULL, done / batch % 2 == 0);
                return done;
            }
        }
        int code = zdb_txn_commit(txn);
        if (code != ZDB_OK) {
            CHECK_ERROR(code, ZDB_FULL);
            return done;
        }
    }
    require_failed(HERE, "the environment never filled up");
    return 0;
}

static void check_full_environment(unsigned batch, size_t value_size) {
    zdb_env *env = open_with_size(MIB);
    unsigned count = fill_until_full(env, batch, value_size);
    CHECK(count * value_size > MIB / 4);
    CHECK(file_size("env/data.zdb") <= MIB);
    expect_patterns(env, count, value_size);
    expect_sound(env);

    /* The environment can still be read, still reports that it is full, and is still intact. */
    zdb_txn *txn = begin_write(env);
    int code = ZDB_OK;
    for (unsigned i = 0; i < 1000 && code == ZDB_OK; i++) code = put_pattern(txn, 200000 + i, 4000);
    CHECK_ERROR(code, ZDB_FULL);
    abort_txn(txn);
    expect_patterns(env, count, value_size);
    close_env(env);

    /* With more room, it goes on where it was. */
    env = open_with_size(16 * MIB);
    expect_patterns(env, count, value_size);
    txn = begin_write(env);
    for (unsigned i = 0; i < batch; i++) REQUIRE_OK(put_pattern(txn, count + i, value_size));
    commit(txn);
    expect_patterns(env, count + batch, value_size);
    expect_sound(env);
    close_env(env);
}

static void an_environment_full_of_small_values_stays_intact(void) {
    check_full_environment(20, 300);
}

static void an_environment_full_of_large_values_stays_intact(void) {
    check_full_environment(1, 40000);
}

static void a_transaction_too_large_for_the_environment_leaves_no_trace(void) {
    zdb_env *env = open_with_size(MIB);
    zdb_txn *txn = begin_write(env);
    CHECK_ERROR(put_pattern(txn, 0, 2 * MIB), ZDB_FULL);
    abort_txn(txn);
    for (unsigned i = 0; i < 10; i++) {
        txn = begin_write(env);
        int code = ZDB_OK;
        for (unsigned j = 0; j < 10000 && code == ZDB_OK; j++) code = put_pattern(txn, j, 1000);
        CHECK_ERROR(code, ZDB_FULL);
        abort_txn(txn);
    }
    /* The pages were given back ten times. */
    txn = begin_write(env);
    for (unsigned i = 0; i < 150; i++) REQUIRE_OK(put_pattern(txn, i, 1000));
    commit(txn);
    expect_patterns(env, 150, 1000);
    expect_sound(env);
    close_env(env);
}

static void overwriting_does_not_grow_the_file_without_bound(void) {
    zdb_env *env = open_env("env");
    zdb_info early, late;
    get_info(env, &early);
    unsigned rounds = repetitions(100);
    for (unsigned round = 0; round < rounds; round++) {
        zdb_txn *txn = begin_write(env);
        for (unsigned i = 0; i < 100; i++) {
            char key_text[KEY_BYTES];
            zdb_val key = numbered(key_text, "key", i);
            void *memory = new_pattern(1000, round);
            zdb_val value = bytes(memory, 1000);
            REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
            free(memory);
        }
        commit(txn);
        if (round == rounds / 10) get_info(env, &early);
    }
    get_info(env, &late);
    CHECK(late.page_count <= 2 * early.page_count);
    expect_sound(env);
    close_env(env);
}

/* Most values fit into a page; some need a run of pages that follow one another. */
static void overwriting_values_of_all_sizes_does_not_grow_the_file_without_bound(void) {
    enum { SIZE_MAX_BYTES = 20000, KEYS = 150 };
    zdb_env_options options;
    default_options(&options);
    options.durability = ZDB_DURABILITY_RELAXED;
    options.log_size = MIB;
    zdb_env *env = open_env_with("env", &options);
    uint64_t random = 0x5eed0009;
    void *memory = new_pattern(SIZE_MAX_BYTES, 1);
    zdb_info early, late;
    unsigned count = repetitions(30000);
    for (unsigned i = 0; i < count; i++) {
        char key_text[KEY_BYTES];
        uint64_t chance = next_random(&random) >> 20;
        size_t size = (size_t)(chance >> 3) % (chance % 8 == 0 ? SIZE_MAX_BYTES : 400);
        zdb_val key = numbered(key_text, "key", (unsigned)(next_random(&random) >> 20) % KEYS);
        zdb_val value = bytes(memory, size);
        zdb_txn *txn = begin_write(env);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        commit(txn);
        if (i == count / 3) get_info(env, &early);
    }
    get_info(env, &late);
    CHECK(late.page_count <= early.page_count + early.page_count / 2 + 300);
    free(memory);
    expect_sound(env);
    close_env(env);
}

static void add_values(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < 20; i++) REQUIRE_OK(put_pattern(txn, i, MIB));
    commit(txn);
    close_env(env);
}

/* What others have added, before it has opened the environment and after that. */
static void a_process_reads_beyond_its_own_max_size(void) {
    zdb_env *env = open_with_size(4 * MIB);
    run_in_process(add_values, NULL);
    expect_patterns(env, 20, MIB);
    zdb_txn *txn = begin_write(env);
    CHECK_ERROR(put_pattern(txn, 20, MIB), ZDB_FULL);
    abort_txn(txn);
    close_env(env);
    env = open_with_size(4 * MIB);
    expect_patterns(env, 20, MIB);
    expect_sound(env);
    close_env(env);
}

/* -------------------------------------------------------------- max_readers */

static void a_full_reader_table_refuses_the_next_reader(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_readers = 3;
    zdb_env *env = open_env_with("env", &options);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.max_readers, 3);
    CHECK_NUMBER(info.readers, 0);

    zdb_txn *readers[3], *refused = NULL;
    for (unsigned i = 0; i < 3; i++) readers[i] = begin_read(env);
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 3);
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_RDONLY, &refused), ZDB_READERS_FULL);
    CHECK(refused == NULL);
    CHECK_CONTAINS(zdb_last_error(), "max_readers");

    /* A writer needs no slot, and a reader that ends makes room. */
    zdb_txn *writer = begin_write(env);
    put_text(writer, ZDB_MAIN_DB, "k", "v");
    commit(writer);
    abort_txn(readers[1]);
    readers[1] = begin_read(env);
    expect_text(readers[1], ZDB_MAIN_DB, "k", "v");
    expect_absent(readers[0], ZDB_MAIN_DB, "k");
    for (unsigned i = 0; i < 3; i++) abort_txn(readers[i]);
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 0);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_transaction_that_dirties_too_many_pages_fails_whole),
    TEST(the_pages_of_large_values_do_not_count),
    TEST(a_transaction_larger_than_its_memory_goes_on),
    TEST(a_limit_on_memory_has_a_range),
    TEST(a_process_reads_beyond_its_own_max_size),
    TEST(no_bound_means_no_bound),
    TEST(an_environment_full_of_small_values_stays_intact),
    TEST(an_environment_full_of_large_values_stays_intact),
    TEST(a_transaction_too_large_for_the_environment_leaves_no_trace),
    TEST(overwriting_does_not_grow_the_file_without_bound),
    TEST(overwriting_values_of_all_sizes_does_not_grow_the_file_without_bound),
    TEST(a_full_reader_table_refuses_the_next_reader),
};

DEFINE_SUITE(limits, tests);
