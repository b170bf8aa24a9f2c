/* A full disk: a file system in memory, of a few megabytes, where another file takes what is left;
 * or a limit on the size of files, which the library treats alike. What fits into the pages that
 * the data file has is written; the rest fails and nothing else does. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare() */
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "killed.h"
#include "suites.h"
#include "support.h"

enum { DISK_MIB = 12, ROUNDS = 3 };

/* ------------------------------------------------------------------- the disk */

struct disk {
    bool is_mounted; /* or a limit on files */
    void (*run)(const struct disk *disk);
};

static void map_user(const char *path, unsigned id) {
    char line[64];
    int length = snprintf(line, sizeof line, "0 %u 1", id);
    int file = open(path, O_WRONLY);
    if (file < 0) return;
    if (write(file, line, (size_t)length) < 0) errno = 0;
    close(file);
}

/* In this process only. */
static bool mount_small_disk(void) {
    unsigned user = (unsigned)getuid();
    if (unshare(user == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) return false;
    if (user != 0) map_user("/proc/self/uid_map", user);
    char options[32];
    snprintf(options, sizeof options, "size=%dm", DISK_MIB);
    return mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("disk", 0700) == 0 &&
           mount("tmpfs", "disk", "tmpfs", 0, options) == 0 && chdir("disk") == 0;
}

static void fill_disk(const struct disk *disk) {
    if (!disk->is_mounted) {
        struct rlimit limit;
        REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
        limit.rlim_cur = (rlim_t)file_size("env/data.zdb");
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        return;
    }
    static const char zeros[65536] = {0};
    int file = open("filler", O_CREAT | O_WRONLY | O_APPEND, 0600);
    REQUIRE(file >= 0);
    while (write(file, zeros, sizeof zeros) > 0) continue;
    while (write(file, zeros, 4096) > 0) continue;
    REQUIRE(close(file) == 0);
}

static void empty_disk(const struct disk *disk) {
    if (disk->is_mounted) {
        REQUIRE(unlink("filler") == 0);
        return;
    }
    struct rlimit limit;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static bool is_full(int code) {
    return code == ENOSPC || code == EFBIG;
}

static void run_on_disk(void *argument) {
    struct disk *disk = (struct disk *)argument;
    REQUIRE(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
    if (disk->is_mounted && !mount_small_disk()) {
        fprintf(stderr, "    (without a full disk: this user may not mount a file system)\n");
        return;
    }
    disk->run(disk);
}

static void on_full_disks(void (*run)(const struct disk *disk)) {
    for (int is_mounted = 0; is_mounted < 2; is_mounted++) {
        struct disk disk = {is_mounted == 1, run};
        run_in_process(run_on_disk, &disk);
        if (file_exists("env")) remove_tree("env");
        REQUIRE(access("disk", F_OK) != 0 || rmdir("disk") == 0);
    }
}

/* ------------------------------------------------------------------- the calls */

static zdb_env *open_small_log(void) {
    zdb_env_options options;
    default_options(&options);
    options.log_size = MIB;
    return open_env_with("env", &options);
}

/* Commits `count` entries from a number on. */
static int put_entries(zdb_env *env, uint32_t flags, unsigned first, unsigned count, size_t size) {
    zdb_txn *txn = NULL;
    REQUIRE_OK(zdb_txn_begin(env, NULL, flags, &txn));
    void *memory = new_pattern(size, first);
    for (unsigned i = 0; i < count; i++) {
        char buffer[KEY_BYTES];
        /* In no order. */
        zdb_val key = numbered(buffer, "", (first + i) * 2654435761u);
        zdb_val value = bytes(memory, size);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    }
    free(memory);
    return zdb_txn_commit(txn);
}

static int delete_entries(zdb_env *env, uint32_t flags, unsigned first, unsigned count) {
    zdb_txn *txn = NULL;
    REQUIRE_OK(zdb_txn_begin(env, NULL, flags, &txn));
    for (unsigned i = 0; i < count; i++) {
        char buffer[KEY_BYTES];
        zdb_val key = numbered(buffer, "", (first + i) * 2654435761u);
        REQUIRE_OK(zdb_del(txn, ZDB_MAIN_DB, &key, NULL));
    }
    return zdb_txn_commit(txn);
}

/* Commits transactions of `count` entries until the disk is full. */
static unsigned put_until_full(zdb_env *env, uint32_t flags, unsigned first, unsigned count,
                               size_t size) {
    int code = ZDB_OK;
    while (code == ZDB_OK && first < 1000000) {
        code = put_entries(env, flags, first, count, size);
        if (code == ZDB_OK) first += count;
    }
    CHECK(is_full(code));
    CHECK_CONTAINS(zdb_last_error(), "data.zdb");
    return first;
}

static void expect_entry_count(zdb_env *env, uint64_t expected) {
    zdb_txn *txn = begin_read(env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), expected);
    abort_txn(txn);
}

/* -------------------------------------------------------------------- the tests */

static void overwrite(const struct disk *disk) {
    zdb_env *env = open_small_log();
    REQUIRE_OK(put_entries(env, 0, 0, 1, 100));
    REQUIRE_OK(put_entries(env, 0, 1, 1, 1000000));
    REQUIRE_OK(delete_entries(env, 0, 1, 1));
    fill_disk(disk);
    for (unsigned i = 0; i < 200; i++) REQUIRE_OK(put_entries(env, 0, 0, 1, 100 + i));
    REQUIRE_OK(zdb_env_checkpoint(env));
    REQUIRE_OK(put_entries(env, 0, 1, 1, 900000));
    expect_sound(env);
    close_env(env);
}

static void a_full_disk_leaves_the_free_pages_of_the_file(void) {
    on_full_disks(overwrite);
}

/* Moves pages within what is free, gives the rest back, and grows again. */
static void compact(const struct disk *disk) {
    zdb_env *env = open_small_log();
    for (unsigned put = 0; put < 4000; put += 100) REQUIRE_OK(put_entries(env, 0, put, 100, 1000));
    for (unsigned put = 0; put < 3600; put += 100) REQUIRE_OK(delete_entries(env, 0, put, 100));
    fill_disk(disk);
    zdb_compact_result result;
    memset(&result, 0, sizeof(result));
    result.struct_size = sizeof(result);
    REQUIRE_OK(zdb_env_compact(env, NULL, &result));
    CHECK(result.is_finished);
    CHECK(result.bytes_after * 2 < result.bytes_before);
    expect_entry_count(env, 400);
    expect_sound(env);
    unsigned put = put_until_full(env, 0, 0, 100, 1000);
    CHECK(put > 0);
    expect_sound(env);
    for (unsigned number = 0; number < put; number++) REQUIRE_OK(delete_entries(env, 0, number, 1));
    REQUIRE_OK(zdb_env_compact(env, NULL, &result));
    expect_entry_count(env, put < 3600 ? 400 : put < 4000 ? 4000 - put : 0);
    expect_sound(env);
    close_env(env);
    empty_disk(disk);
}

/* What a hole gives back others may have; when it is wanted again there is none, and later there is. */
static void punch(const struct disk *disk) {
    if (!disk->is_mounted) return;
    zdb_env *env = open_small_log();
    for (unsigned put = 0; put < 4000; put += 100) REQUIRE_OK(put_entries(env, 0, put, 100, 1000));
    for (unsigned put = 200; put < 3600; put += 100) REQUIRE_OK(delete_entries(env, 0, put, 100));
    fill_disk(disk);
    zdb_compact_options options;
    memset(&options, 0, sizeof(options));
    options.struct_size = sizeof(options);
    options.flags = ZDB_COMPACT_PUNCH_HOLES;
    options.max_pages = 1;
    zdb_compact_result result;
    memset(&result, 0, sizeof(result));
    result.struct_size = sizeof(result);
    REQUIRE_OK(zdb_env_compact(env, &options, &result));
    CHECK(result.bytes_punched > 1 << 20);
    expect_entry_count(env, 600);
    fill_disk(disk);
    unsigned put = put_until_full(env, 0, 1000, 100, 1000);
    CHECK(put < 2000);
    expect_sound(env);
    empty_disk(disk);
    REQUIRE_OK(put_entries(env, 0, 1000, 1000, 1000));
    expect_entry_count(env, 1600);
    expect_sound(env);
    close_env(env);
}

static void a_full_disk_has_no_room_for_pages_that_gave_theirs_back(void) { on_full_disks(punch); }

static void a_full_disk_gets_back_what_a_compaction_gives(void) { on_full_disks(compact); }

/* By transactions of one entry and of many, logged ones and others. */
static void fill_and_delete(const struct disk *disk) {
    static const uint32_t durabilities[] = {ZDB_DURABILITY_FULL, ZDB_DURABILITY_RELAXED,
                                            ZDB_DURABILITY_NONE};
    for (unsigned i = 0; i < 6; i++) {
        uint32_t flags = durabilities[i % 3];
        unsigned count = i < 3 ? 1 : 50;
        zdb_env *env = open_small_log();
        unsigned size = 100, put = 0;
        for (; put < 200; put += count) REQUIRE_OK(put_entries(env, flags, put, count, size));
        fill_disk(disk);
        for (unsigned round = 0; round < ROUNDS; round++) {
            put = put_until_full(env, flags, put, count, size);
            expect_entry_count(env, put);
            expect_sound(env);
            for (unsigned number = 0; number < put; number++) {
                REQUIRE_OK(delete_entries(env, flags, number, 1));
            }
            expect_entry_count(env, 0);
            expect_sound(env);
            put = 0;
        }
        empty_disk(disk);
        for (; put < 2000; put += 100) REQUIRE_OK(put_entries(env, flags, put, 100, size));
        expect_entry_count(env, 2000);
        expect_sound(env);
        close_env(env);
        env = open_env("env");
        expect_entry_count(env, 2000);
        expect_sound(env);
        close_env(env);
        remove_tree("env");
    }
}

static void deletes_succeed_on_a_full_disk_and_make_room(void) {
    on_full_disks(fill_and_delete);
}

static void large_values(const struct disk *disk) {
    zdb_env *env = open_small_log();
    unsigned put = 0;
    for (; put < 10; put++) REQUIRE_OK(put_entries(env, 0, put, 1, 100000));
    fill_disk(disk);
    CHECK(is_full(put_entries(env, 0, put, 1, 100000)));
    unsigned refused = 0;
    for (unsigned i = 0; i < 100; i++) {
        REQUIRE_OK(delete_entries(env, 0, i % 10, 1));
        int code = put_entries(env, 0, i % 10, 1, 90000 + i);
        if (is_full(code)) {
            /* Small pages have come to lie between the free ones. A shorter value fits. */
            refused++;
            code = put_entries(env, 0, i % 10, 1, 45000 + i);
        }
        REQUIRE_OK(code);
    }
    CHECK(refused < 10);
    expect_entry_count(env, 10);
    expect_sound(env);
    close_env(env);
}

static void large_values_take_the_place_of_deleted_ones(void) {
    on_full_disks(large_values);
}

static void write_as_another(void *argument) {
    (void)argument;
    zdb_env *env = open_small_log();
    for (unsigned i = 0; i < 50; i++) REQUIRE_OK(put_entries(env, 0, i % 20, 1, 50 + i));
    close_env(env);
}

static void write_from_two(const struct disk *disk) {
    zdb_env *env = open_small_log();
    for (unsigned i = 0; i < 20; i++) REQUIRE_OK(put_entries(env, 0, i, 1, 100));
    fill_disk(disk);
    put_until_full(env, 0, 20, 1, 100);
    pid_t other = start_process(write_as_another, NULL);
    for (unsigned i = 0; i < 50; i++) REQUIRE_OK(put_entries(env, 0, i % 20, 1, 50 + i));
    finish_process(other);
    expect_sound(env);
    close_env(env);
}

static void processes_share_what_a_full_disk_leaves(void) {
    on_full_disks(write_from_two);
}

/* A reader keeps what is freed: then there is an error, and no more when the reader has ended. */
static void read_meanwhile(const struct disk *disk) {
    zdb_env *env = open_small_log();
    for (unsigned i = 0; i < 20; i++) REQUIRE_OK(put_entries(env, 0, i, 1, 1000));
    fill_disk(disk);
    zdb_txn *reader = begin_read(env);
    int code = ZDB_OK;
    for (unsigned i = 0; i < 1000 && code == ZDB_OK; i++) {
        code = put_entries(env, 0, i % 20, 1, 1000);
    }
    CHECK(is_full(code));
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 20);
    abort_txn(reader);
    for (unsigned i = 0; i < 200; i++) REQUIRE_OK(put_entries(env, 0, i % 20, 1, 1000));
    expect_sound(env);
    close_env(env);
}

static void a_reader_on_a_full_disk_holds_up_writes_until_it_ends(void) {
    on_full_disks(read_meanwhile);
}

/* Dies while it writes to a full disk. */
static void write_and_die(void *argument) {
    (void)argument;
    zdb_env *env = open_env_to_leave("env");
    for (unsigned i = 0; i < 200; i++) {
        int code = put_entries(env, 0, i, 1, 100);
        REQUIRE(code == ZDB_OK || is_full(code));
    }
    for (unsigned i = 0; i < 20; i++) REQUIRE_OK(put_entries(env, 0, i, 1, 100));
    die();
}

static void recover(const struct disk *disk) {
    zdb_env *env = open_small_log();
    for (unsigned i = 0; i < 50; i++) REQUIRE_OK(put_entries(env, 0, i, 1, 100));
    fill_disk(disk);
    run_until_killed(write_and_die, NULL);
    close_env(env);
    env = open_small_log();
    expect_sound(env);
    for (unsigned i = 0; i < 20; i++) REQUIRE_OK(put_entries(env, 0, i, 1, 120));
    close_env(env);
}

static void an_environment_recovers_on_a_full_disk(void) {
    on_full_disks(recover);
}

/* A hole in the file is a page that cannot be written when the disk is full. */
static void the_data_file_has_no_holes(void) {
    zdb_env *env = open_small_log();
    for (unsigned i = 0; i < 500; i++) {
        REQUIRE_OK(put_entries(env, ZDB_DURABILITY_NONE, i, 1 + i % 40, 10 + i));
    }
    struct stat status;
    REQUIRE(stat("env/data.zdb", &status) == 0);
    CHECK((uint64_t)status.st_blocks * 512 >= (uint64_t)status.st_size);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_full_disk_leaves_the_free_pages_of_the_file),
    TEST(a_full_disk_gets_back_what_a_compaction_gives),
    TEST(a_full_disk_has_no_room_for_pages_that_gave_theirs_back),
    TEST(deletes_succeed_on_a_full_disk_and_make_room),
    TEST(large_values_take_the_place_of_deleted_ones),
    TEST(processes_share_what_a_full_disk_leaves),
    TEST(a_reader_on_a_full_disk_holds_up_writes_until_it_ends),
    TEST(an_environment_recovers_on_a_full_disk),
    TEST(the_data_file_has_no_holes),
};

DEFINE_SUITE(full_disk, tests);
