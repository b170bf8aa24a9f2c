/* Durability: what a commit waits for, what syncing and checkpoints do, and how large the log
 * gets. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "lock_file.h"
#include "suites.h"
#include "support.h"

static const uint32_t durabilities[] = {ZDB_DURABILITY_FULL, ZDB_DURABILITY_RELAXED,
                                        ZDB_DURABILITY_NONE};
enum { DURABILITIES = 3 };

static zdb_env *open_with_durability(uint32_t durability) {
    zdb_env_options options;
    default_options(&options);
    options.durability = durability;
    return open_env_with("env", &options);
}

static void commit_with(zdb_env *env, uint32_t durability, const char *key, const char *value) {
    zdb_txn *txn = begin_at(HERE, env, durability);
    put_text(txn, ZDB_MAIN_DB, key, value);
    commit(txn);
}

static void expect_committed(struct place place, zdb_env *env, const char *key, const char *value) {
    zdb_txn *txn = begin_at(place, env, ZDB_RDONLY);
    expect_text_at(place, txn, ZDB_MAIN_DB, key, value);
    abort_at(place, txn);
}

static zdb_info info_of(zdb_env *env) {
    zdb_info info;
    get_info(env, &info);
    return info;
}

/* ------------------------------------------------------------------- choices */

static void every_durability_can_be_chosen_for_environment_and_transaction(void) {
    for (unsigned i = 0; i < DURABILITIES; i++) {
        zdb_env *env = open_with_durability(durabilities[i]);
        for (unsigned j = 0; j < DURABILITIES; j++) {
            char value[KEY_BYTES];
            numbered(value, "v", i * DURABILITIES + j);
            commit_with(env, durabilities[j], "chosen", value);
            expect_committed(HERE, env, "chosen", value);
        }
        commit_with(env, 0, "environment's", "v");
        expect_committed(HERE, env, "environment's", "v");
        expect_sound(env);
        close_env(env);
    }
    zdb_env *env = open_with_durability(ZDB_DURABILITY_DEFAULT);
    CHECK_NUMBER(info_of(env).recovered_records, 0);
    expect_committed(HERE, env, "environment's", "v");
    close_env(env);
}

static void other_durabilities_are_refused(void) {
    static const uint32_t wrong[] = {1, 2, 0x300, 0x600, 0x700, 0x800, UINT32_MAX};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        zdb_env_options options;
        default_options(&options);
        options.durability = wrong[i];
        zdb_env *env = NULL;
        CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BAD_ARGUMENT);
        CHECK_CONTAINS(zdb_last_error(), "durability");
        CHECK(env == NULL && !file_exists("env"));
    }
    zdb_env *env = open_env("env");
    zdb_txn *txn = NULL;
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_DURABILITY_FULL | ZDB_DURABILITY_NONE, &txn),
                ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0x700, &txn), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0x800, &txn), ZDB_BAD_ARGUMENT);
    CHECK(txn == NULL);
    close_env(env);
}

static void a_read_transaction_has_no_durability(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < DURABILITIES; i++) {
        zdb_txn *txn = NULL;
        CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_RDONLY | durabilities[i], &txn), ZDB_INCOMPATIBLE);
        CHECK(txn == NULL);
    }
    close_env(env);
}

static void log_sizes_and_threads_out_of_range_are_refused(void) {
    zdb_env_options options;
    zdb_env *env = NULL;
    static const uint64_t sizes[] = {1, MIB - 1, ((uint64_t)1 << 40) + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        default_options(&options);
        options.log_size = sizes[i];
        CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BAD_ARGUMENT);
        CHECK_CONTAINS(zdb_last_error(), "log_size");
    }
    static const uint32_t threads[] = {2, UINT32_MAX};
    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        default_options(&options);
        options.threads = threads[i];
        CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BAD_ARGUMENT);
        CHECK_CONTAINS(zdb_last_error(), "threads");
    }
    CHECK(env == NULL && !file_exists("env"));
}

static void log_sizes_at_their_bounds_are_taken(void) {
    static const uint64_t sizes[] = {0, MIB, (uint64_t)1 << 40};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        zdb_env_options options;
        default_options(&options);
        options.log_size = sizes[i];
        zdb_env *env = open_env_with("env", &options);
        commit_with(env, 0, "k", "v");
        expect_committed(HERE, env, "k", "v");
        close_env(env);
    }
}

/* ---------------------------------------------------------------- on its way */

static void a_full_commit_is_on_disk_when_it_returns(void) {
    zdb_env *env = open_env("env");
    commit_with(env, 0, "first", "v");
    struct lock_file lock_file = map_lock_file();
    for (unsigned i = 0; i < 10; i++) {
        zdb_info before = info_of(env);
        uint64_t flushed = log_flushed(&lock_file);
        commit_with(env, 0, "k", "v");
        zdb_info after = info_of(env);
        CHECK(after.log_bytes > before.log_bytes);
        CHECK(log_flushed(&lock_file) >= flushed + after.log_bytes - before.log_bytes);
    }
    unmap_lock_file(&lock_file);
    close_env(env);
}

/* The promise is 100 ms; the wait is this long only if something is wrong. */
enum { FLUSH_SECONDS_MAX = 30 };

static bool is_flushed_in_time(const struct lock_file *file, uint64_t position) {
    struct timespec pause = {0, 5000000};
    for (unsigned i = 0; i < FLUSH_SECONDS_MAX * 200; i++) {
        if (log_flushed(file) >= position) return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static void a_relaxed_commit_is_seen_at_once_and_on_disk_soon(void) {
    zdb_env *env = open_with_durability(ZDB_DURABILITY_RELAXED);
    commit_with(env, ZDB_DURABILITY_FULL, "first", "v");
    struct lock_file lock_file = map_lock_file();
    for (unsigned i = 0; i < 3; i++) {
        char value[KEY_BYTES];
        numbered(value, "v", i);
        zdb_info before = info_of(env);
        uint64_t flushed = log_flushed(&lock_file);
        commit_with(env, 0, "k", value);
        expect_committed(HERE, env, "k", value);
        zdb_info after = info_of(env);
        CHECK(after.log_bytes > before.log_bytes);
        CHECK(is_flushed_in_time(&lock_file, flushed + after.log_bytes - before.log_bytes));
    }
    unmap_lock_file(&lock_file);
    close_env(env);
}

static void syncing_waits_for_relaxed_commits(void) {
    zdb_env *env = open_with_durability(ZDB_DURABILITY_RELAXED);
    commit_with(env, ZDB_DURABILITY_FULL, "first", "v");
    struct lock_file lock_file = map_lock_file();
    for (unsigned i = 0; i < 10; i++) {
        zdb_info before = info_of(env);
        uint64_t flushed = log_flushed(&lock_file);
        commit_with(env, 0, "k", "v");
        REQUIRE_OK(zdb_env_sync(env));
        zdb_info after = info_of(env);
        CHECK(log_flushed(&lock_file) >= flushed + after.log_bytes - before.log_bytes);
        /* One flush of the log will do. */
        CHECK_NUMBER(after.checkpoint_txn_id, before.checkpoint_txn_id);
    }
    unmap_lock_file(&lock_file);
    close_env(env);
}

static void a_commit_without_durability_is_not_logged(void) {
    zdb_env *env = open_with_durability(ZDB_DURABILITY_NONE);
    zdb_info before = info_of(env);
    commit_with(env, 0, "k", "v");
    expect_committed(HERE, env, "k", "v");
    zdb_info after = info_of(env);
    CHECK_NUMBER(after.last_txn_id, before.last_txn_id + 1);
    CHECK_NUMBER(after.log_bytes, before.log_bytes);
    CHECK_NUMBER(after.checkpoint_txn_id, before.checkpoint_txn_id);
    close_env(env);
}

static void syncing_makes_commits_without_durability_durable(void) {
    zdb_env *env = open_with_durability(ZDB_DURABILITY_NONE);
    commit_with(env, 0, "k", "v");
    REQUIRE_OK(zdb_env_sync(env));
    zdb_info info = info_of(env);
    CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
    close_env(env);
}

static void a_full_commit_takes_those_before_it_along(void) {
    zdb_env *env = open_with_durability(ZDB_DURABILITY_NONE);
    for (unsigned i = 0; i < 5; i++) commit_with(env, 0, "k", "v");
    commit_with(env, ZDB_DURABILITY_FULL, "k", "w");
    zdb_info info = info_of(env);
    CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
    /* From here on there is a log again. */
    commit_with(env, ZDB_DURABILITY_FULL, "k", "x");
    info = info_of(env);
    CHECK_NUMBER(info.checkpoint_txn_id + 1, info.last_txn_id);
    CHECK(info.log_bytes > 0);
    close_env(env);
}

static void syncing_with_nothing_to_do_does_nothing(void) {
    zdb_env *env = open_env("env");
    zdb_info before = info_of(env);
    for (unsigned i = 0; i < 3; i++) REQUIRE_OK(zdb_env_sync(env));
    zdb_info after = info_of(env);
    CHECK(memcmp(&before, &after, sizeof(before)) == 0);
    close_env(env);
}

static void a_transaction_that_changed_nothing_leaves_no_trace_in_the_log(void) {
    zdb_env *env = open_env("env");
    commit_with(env, 0, "k", "v");
    zdb_info before = info_of(env);
    commit(begin_write(env));
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "aborted", "v");
    abort_txn(txn);
    zdb_info after = info_of(env);
    CHECK_NUMBER(after.log_bytes, before.log_bytes);
    CHECK_NUMBER(after.last_txn_id, before.last_txn_id);
    close_env(env);
}

/* --------------------------------------------------------------- checkpoints */

static void a_checkpoint_holds_the_newest_commit(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < 3; i++) {
        zdb_txn *txn = begin_write(env);
        put_numbered(txn, ZDB_MAIN_DB, 100 + i);
        commit(txn);
        zdb_info before = info_of(env);
        CHECK(before.checkpoint_txn_id < before.last_txn_id);
        CHECK(before.log_bytes > 100 * 20);
        REQUIRE_OK(zdb_env_checkpoint(env));
        zdb_info after = info_of(env);
        CHECK_NUMBER(after.last_txn_id, before.last_txn_id);
        CHECK_NUMBER(after.checkpoint_txn_id, after.last_txn_id);
        CHECK_NUMBER(after.log_bytes, 0);
        CHECK_NUMBER(after.pinned_pages, 0);
        REQUIRE_OK(zdb_env_checkpoint(env));
        zdb_info again = info_of(env);
        CHECK(memcmp(&again, &after, sizeof(after)) == 0);
    }
    expect_sound(env);
    close_env(env);
}

static void pinned_pages_are_counted_until_the_checkpoint(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < 2; i++) {
        zdb_txn *txn = begin_write(env);
        put_numbered(txn, ZDB_MAIN_DB, 5000);
        commit(txn);
        zdb_info info = info_of(env);
        /* The second round replaces pages of the checkpoint. */
        if (i == 0) {
            REQUIRE_OK(zdb_env_checkpoint(env));
        } else {
            CHECK(info.pinned_pages > 20);
            CHECK(info.pinned_pages <= info.free_pages);
        }
    }
    REQUIRE_OK(zdb_env_checkpoint(env));
    CHECK_NUMBER(info_of(env).pinned_pages, 0);
    close_env(env);
}

static void a_checkpoint_waits_neither_for_the_writer_nor_for_readers(void) {
    zdb_env *env = open_env("env");
    commit_with(env, 0, "k", "old");
    zdb_txn *reader = begin_read(env);
    commit_with(env, 0, "k", "new");
    zdb_txn *writer = begin_write(env);
    put_text(writer, ZDB_MAIN_DB, "k", "newest");
    zdb_info before = info_of(env);
    REQUIRE_OK(zdb_env_checkpoint(env));
    REQUIRE_OK(zdb_env_sync(env));
    zdb_info after = info_of(env);
    CHECK_NUMBER(after.checkpoint_txn_id, before.last_txn_id);
    expect_text(reader, ZDB_MAIN_DB, "k", "old");
    expect_text(writer, ZDB_MAIN_DB, "k", "newest");
    commit(writer);
    expect_text(reader, ZDB_MAIN_DB, "k", "old");
    abort_txn(reader);
    expect_committed(HERE, env, "k", "newest");
    expect_sound(env);
    close_env(env);
}

static void a_checkpoint_leaves_readers_their_snapshots(void) {
    zdb_env *env = open_env("env");
    zdb_txn *writer = begin_write(env);
    put_numbered(writer, ZDB_MAIN_DB, 2000);
    commit(writer);
    zdb_txn *reader = begin_read(env);
    for (unsigned i = 0; i < 20; i++) {
        writer = begin_write(env);
        for (unsigned j = 0; j < 2000; j++) {
            char key_text[KEY_BYTES];
            zdb_val key = numbered(key_text, "key", j), value = text("another");
            REQUIRE_OK(zdb_put(writer, ZDB_MAIN_DB, &key, &value, 0));
        }
        commit(writer);
        REQUIRE_OK(zdb_env_checkpoint(env));
    }
    expect_numbered(reader, ZDB_MAIN_DB, 2000);
    abort_txn(reader);
    expect_sound(env);
    close_env(env);
}

static void an_environment_opened_read_only_makes_no_checkpoint(void) {
    zdb_env *env = open_env("env");
    commit_with(env, 0, "k", "v");
    close_env(env);
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_RDONLY;
    env = open_env_with("env", &options);
    CHECK_ERROR(zdb_env_checkpoint(env), ZDB_READ_ONLY);
    CHECK_CODE(zdb_env_sync(env), ZDB_OK);
    close_env(env);
}

/* ------------------------------------------------------------------- the log */

static uint64_t log_directory_bytes(void) {
    DIR *directory = opendir("env/log");
    REQUIRE(directory != NULL);
    uint64_t bytes_found = 0;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char path[PATH_BYTES];
        int length = snprintf(path, sizeof(path), "env/log/%s", entry->d_name);
        REQUIRE(length > 0 && (size_t)length < sizeof(path));
        struct stat status;
        /* Files come and go at the same time. */
        if (entry->d_name[0] != '.' && stat(path, &status) == 0) {
            bytes_found += (uint64_t)status.st_size;
        }
    }
    closedir(directory);
    return bytes_found;
}

static void put_large(zdb_env *env, unsigned number, size_t size) {
    char key_text[KEY_BYTES];
    void *memory = new_pattern(size, number);
    zdb_val key = numbered(key_text, "key", number % 10), value = bytes(memory, size);
    zdb_txn *txn = begin_write(env);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    commit(txn);
    free(memory);
}

static void keep_log_within(uint32_t durability, uint32_t threads, uint64_t factor) {
    enum { SIZE = 200000 };
    zdb_env_options options;
    default_options(&options);
    options.durability = durability;
    options.threads = threads;
    options.log_size = MIB;
    zdb_env *env = open_env_with("env", &options);
    uint64_t first = info_of(env).checkpoint_txn_id;
    uint64_t directory_max = 0;
    for (unsigned i = 0; i < repetitions(500); i++) {
        put_large(env, i, SIZE);
        CHECK(info_of(env).log_bytes <= factor * options.log_size + SIZE + 4096);
        if (log_directory_bytes() > directory_max) directory_max = log_directory_bytes();
    }
    CHECK(info_of(env).checkpoint_txn_id > first);
    /* This writes a hundred times the size of the log. */
    CHECK(directory_max <= 8 * options.log_size);
    expect_sound(env);
    close_env(env);
}

static void the_log_is_recycled_and_stays_small(void) {
    keep_log_within(ZDB_DURABILITY_RELAXED, ZDB_THREADS_DEFAULT, 2);
}

static void the_log_is_recycled_without_threads_too(void) {
    keep_log_within(ZDB_DURABILITY_RELAXED, ZDB_THREADS_NONE, 1);
}

static void a_transaction_too_large_for_the_log_becomes_a_checkpoint(void) {
    zdb_env *env = open_env("env");
    commit_with(env, 0, "k", "v");
    zdb_txn *txn = begin_write(env);
    size_t size = 12 * MIB;
    void *memory = new_pattern(size, 1);
    zdb_val key = text("large"), value = bytes(memory, size);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    commit(txn);
    zdb_info info = info_of(env);
    CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
    CHECK_NUMBER(info.log_bytes, 0);
    txn = begin_read(env);
    REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
    CHECK(value.size == size && memcmp(value.data, memory, size) == 0);
    free(memory);
    abort_txn(txn);
    commit_with(env, 0, "k", "w");
    CHECK(info_of(env).log_bytes > 0);
    close_env(env);
}

/* ------------------------------------------------------------------- threads */

static unsigned threads_of_this_process(void) {
    return directory_entries("/proc/self/task");
}

static void without_threads_the_library_starts_none(void) {
    unsigned threads = threads_of_this_process();
    zdb_env_options options;
    default_options(&options);
    options.threads = ZDB_THREADS_NONE;
    options.log_size = MIB;
    for (unsigned i = 0; i < DURABILITIES; i++) {
        options.durability = durabilities[i];
        zdb_env *env = open_env_with("env", &options);
        for (unsigned j = 0; j < 20; j++) {
            put_large(env, j, 100000);
            CHECK(threads_of_this_process() == threads);
        }
        REQUIRE_OK(zdb_env_sync(env));
        REQUIRE_OK(zdb_env_checkpoint(env));
        CHECK(threads_of_this_process() == threads);
        close_env(env);
    }
}

static void a_thread_of_the_library_ends_with_the_environment(void) {
    unsigned threads = threads_of_this_process();
    for (unsigned i = 0; i < 3; i++) {
        zdb_env *env = open_with_durability(ZDB_DURABILITY_RELAXED);
        CHECK(threads_of_this_process() == threads);
        commit_with(env, 0, "k", "v");
        CHECK(threads_of_this_process() <= threads + 1);
        close_env(env);
        CHECK(threads_of_this_process() == threads);
    }
}

static void without_threads_a_later_commit_flushes_relaxed_ones(void) {
    zdb_env_options options;
    default_options(&options);
    options.durability = ZDB_DURABILITY_RELAXED;
    options.threads = ZDB_THREADS_NONE;
    zdb_env *env = open_env_with("env", &options);
    commit_with(env, ZDB_DURABILITY_FULL, "k", "v");
    struct lock_file lock_file = map_lock_file();
    zdb_info before = info_of(env);
    uint64_t flushed = log_flushed(&lock_file);
    commit_with(env, 0, "k", "v");
    uint64_t position = flushed + info_of(env).log_bytes - before.log_bytes;
    /* Longer than the time that it may stay off the disk. */
    struct timespec pause = {0, 150000000};
    nanosleep(&pause, NULL);
    commit_with(env, 0, "k", "v");
    CHECK(log_flushed(&lock_file) >= position);
    unmap_lock_file(&lock_file);
    close_env(env);
}

static const struct test tests[] = {
    TEST(every_durability_can_be_chosen_for_environment_and_transaction),
    TEST(other_durabilities_are_refused),
    TEST(a_read_transaction_has_no_durability),
    TEST(log_sizes_and_threads_out_of_range_are_refused),
    TEST(log_sizes_at_their_bounds_are_taken),
    TEST(a_full_commit_is_on_disk_when_it_returns),
    TEST(a_relaxed_commit_is_seen_at_once_and_on_disk_soon),
    TEST(syncing_waits_for_relaxed_commits),
    TEST(a_commit_without_durability_is_not_logged),
    TEST(syncing_makes_commits_without_durability_durable),
    TEST(a_full_commit_takes_those_before_it_along),
    TEST(syncing_with_nothing_to_do_does_nothing),
    TEST(a_transaction_that_changed_nothing_leaves_no_trace_in_the_log),
    TEST(a_checkpoint_holds_the_newest_commit),
    TEST(pinned_pages_are_counted_until_the_checkpoint),
    TEST(a_checkpoint_waits_neither_for_the_writer_nor_for_readers),
    TEST(a_checkpoint_leaves_readers_their_snapshots),
    TEST(an_environment_opened_read_only_makes_no_checkpoint),
    TEST(the_log_is_recycled_and_stays_small),
    TEST(the_log_is_recycled_without_threads_too),
    TEST(a_transaction_too_large_for_the_log_becomes_a_checkpoint),
    TEST(without_threads_the_library_starts_none),
    TEST(a_thread_of_the_library_ends_with_the_environment),
    TEST(without_threads_a_later_commit_flushes_relaxed_ones),
};

DEFINE_SUITE(durability, tests);
