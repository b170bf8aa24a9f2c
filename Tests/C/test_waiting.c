/* Waiting for another process that does not come to its end: as long as the options say, and then with
 * an error that names it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "killed.h"
#include "lock_file.h"
#include "suites.h"
#include "support.h"
#include "system_calls.h"

static zdb_env_options with_wait(void) {
    zdb_env_options options;
    default_options(&options);
    options.writer_wait_ms = 30;
    options.log_size = MIB;
    options.threads = ZDB_THREADS_NONE;
    return options;
}

static zdb_env *open_with_wait(void) {
    zdb_env_options options = with_wait();
    return open_env_with("env", &options);
}

static void put_large(zdb_env *env, unsigned number) {
    char key_text[KEY_BYTES], value[200 * 1024];
    fill_pattern(value, sizeof(value), number);
    zdb_val key = numbered(key_text, "large", number), large = bytes(value, sizeof(value));
    zdb_txn *txn = begin_write(env);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &large, 0));
    commit(txn);
}

/* ------------------------------------------------------------- a process that stops */

/* Stops the process at the first call of a name. */
static int stop_at(void *context, const char *name) {
    if (strcmp(name, (const char *)context) != 0) return 0;
    hook_system_calls(NULL, NULL);
    REQUIRE(raise(SIGSTOP) == 0);
    return 0;
}

static void stop_at_next(const char *name) {
    hook_system_calls(stop_at, (void *)(uintptr_t)name);
}

static pid_t start_until_stopped(void (*run)(void *)) {
    pid_t process = start_process(run, NULL);
    int status;
    REQUIRE(waitpid(process, &status, WUNTRACED) == process && WIFSTOPPED(status));
    return process;
}

static void go_on(pid_t process) {
    REQUIRE(kill(process, SIGCONT) == 0);
    finish_process(process);
}

/* The last error names the process and says that it is stopped. */
static void check_names(pid_t process) {
    char name[64];
    snprintf(name, sizeof(name), "process %d, which is stopped", (int)process);
    CHECK_CONTAINS(zdb_last_error(), name);
}

/* -------------------------------------------------------------------------- opening */

static void stop_while_replaying(void *argument) {
    (void)argument;
    stop_at_next("fdatasync");
    close_env(open_env("env"));
}

static void opening_waits_no_longer_for_a_process_that_replays_the_log(void) {
    leave_to_recover(10);
    pid_t process = start_until_stopped(stop_while_replaying);
    zdb_env_options options = with_wait();
    zdb_env *env;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BUSY);
    check_names(process);
    options.flags = ZDB_RDONLY;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BUSY);
    check_names(process);
    go_on(process);
    env = open_with_wait();
    expect_entries(env, 10);
    close_env(env);
}

static void stop_while_closing(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    commit_each(env, 10);
    stop_at_next("pwrite");
    close_env(env);
}

static void opening_waits_no_longer_for_a_process_that_closes(void) {
    pid_t process = start_until_stopped(stop_while_closing);
    zdb_env_options options = with_wait();
    zdb_env *env;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BUSY);
    check_names(process);
    /* A reader has nothing to wait for. */
    options.flags = ZDB_RDONLY;
    env = open_env_with("env", &options);
    expect_entries(env, 10);
    go_on(process);
    close_env(env);
    env = open_with_wait();
    expect_entries(env, 10);
    close_env(env);
}

/* ---------------------------------------------------------------------- checkpoints */

static void stop_in_a_checkpoint(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    commit_one(env, 0);
    stop_at_next("fdatasync");
    REQUIRE_OK(zdb_env_checkpoint(env));
    close_env(env);
}

static void no_call_waits_longer_for_a_checkpoint(void) {
    zdb_env *env = open_with_wait();
    pid_t process = start_until_stopped(stop_in_a_checkpoint);
    commit_one(env, 1);
    CHECK_ERROR(zdb_env_checkpoint(env), ZDB_BUSY);
    check_names(process);
    REQUIRE_OK(zdb_env_sync(env));
    /* A commit that a replay would lack, and commits that need a checkpoint then. */
    zdb_txn *txn = begin_at(HERE, env, ZDB_DURABILITY_NONE);
    put_text(txn, ZDB_MAIN_DB, "not logged", "v");
    commit(txn);
    static const uint32_t durabilities[] = {ZDB_DURABILITY_FULL, ZDB_DURABILITY_RELAXED};
    for (unsigned i = 0; i < 2; i++) {
        txn = begin_at(HERE, env, durabilities[i]);
        put_text(txn, ZDB_MAIN_DB, "not committed", "v");
        CHECK_ERROR(zdb_txn_commit(txn), ZDB_BUSY);
        check_names(process);
    }
    CHECK_ERROR(zdb_env_sync(env), ZDB_BUSY);
    txn = begin_read(env);
    expect_absent(txn, ZDB_MAIN_DB, "not committed");
    expect_text(txn, ZDB_MAIN_DB, "not logged", "v");
    abort_txn(txn);
    go_on(process);
    /* Nothing is poisoned. */
    commit_one(env, 2);
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "not logged", "v");
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

/* The commit before waits for the checkpoint it needs, and no reader may see a later one before it. */
static void stop_in_a_commit(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_at(HERE, env, ZDB_DURABILITY_NONE);
    put_text(txn, ZDB_MAIN_DB, "not logged", "v");
    commit(txn);
    stop_at_next("fdatasync");
    commit_one(env, 0);
    close_env(env);
}

static void no_commit_waits_longer_for_the_one_before_it(void) {
    static const uint32_t durabilities[] = {
        ZDB_DURABILITY_NONE, ZDB_DURABILITY_RELAXED, ZDB_DURABILITY_FULL};
    close_env(open_with_wait());
    pid_t process = start_until_stopped(stop_in_a_commit);
    zdb_env *env = open_with_wait();
    for (unsigned i = 0; i < 3; i++) {
        zdb_txn *txn = begin_at(HERE, env, durabilities[i]);
        put_text(txn, ZDB_MAIN_DB, "not committed", "v");
        CHECK_ERROR(zdb_txn_commit(txn), ZDB_BUSY);
        check_names(process);
    }
    go_on(process);
    zdb_txn *txn = begin_at(HERE, env, ZDB_DURABILITY_NONE);
    expect_absent(txn, ZDB_MAIN_DB, "not committed");
    put_text(txn, ZDB_MAIN_DB, "committed", "v");
    commit(txn);
    expect_sound(env);
    close_env(env);
}

/* Stops the process at a call counted from this one on. */
static int stop_at_number(void *context, const char *name) {
    (void)name;
    unsigned *left = (unsigned *)context;
    if (--*left > 0) return 0;
    hook_system_calls(NULL, NULL);
    REQUIRE(raise(SIGSTOP) == 0);
    return 0;
}

/* A commit that needs a checkpoint, stopped at one of its calls. */
static void stop_within_a_commit(void *argument) {
    zdb_env *env = open_with_wait();
    zdb_txn *txn = begin_at(HERE, env, ZDB_DURABILITY_NONE);
    put_text(txn, ZDB_MAIN_DB, "not logged", "v");
    commit(txn);
    txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "needs a checkpoint", "v");
    hook_system_calls(stop_at_number, argument);
    int result = zdb_txn_commit(txn);
    hook_system_calls(NULL, NULL);
    CHECK(result == ZDB_OK || result == ZDB_BUSY);
}

static void no_commit_waits_for_a_checkpoint_that_begins_beside_it(void) {
    bool has_stopped = true;
    for (unsigned number = 1; has_stopped; number++) {
        close_env(open_with_wait());
        unsigned left = number;
        pid_t process = start_process(stop_within_a_commit, &left);
        int status;
        REQUIRE(waitpid(process, &status, WUNTRACED) == process);
        has_stopped = WIFSTOPPED(status);
        if (has_stopped) {
            /* As a process that begins a checkpoint now, and does not come to its end. */
            int fd = open("env/lock.zdb", O_RDWR);
            struct flock lock = lock_of_bytes(F_WRLCK, 3, 1);
            REQUIRE(fd >= 0);
            bool is_ours = fcntl(fd, F_OFD_SETLK, &lock) == 0;
            REQUIRE(kill(process, SIGCONT) == 0);
            pid_t ended = 0;
            /* Long enough for a busy machine under valgrind. */
            for (unsigned i = 0; i < 3000 && ended == 0; i++) {
                usleep(10 * 1000);
                ended = waitpid(process, &status, WNOHANG);
            }
            CHECK(ended != 0 || !is_ours);
            if (ended == 0) {
                kill(process, SIGKILL);
                waitpid(process, &status, 0);
            }
            close(fd);
        }
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        zdb_env *env = open_with_wait();
        expect_sound(env);
        close_env(env);
        remove_tree("env");
        REQUIRE(number < 100);
    }
}

static void no_closing_waits_for_a_checkpoint_that_the_archive_needs(void) {
    for (unsigned limited = 0; limited < 2; limited++) {
        close_env(open_with_wait());
        pid_t process = start_until_stopped(stop_in_a_checkpoint);
        zdb_env_options options = with_wait();
        options.threads = ZDB_THREADS_DEFAULT;
        options.archive = "archive";
        zdb_env *env = open_env_with("env", &options);
        commit_one(env, 1);
        /* The thread that archives waits too, and longer. */
        usleep(200 * 1000);
        CHECK_ERROR(zdb_env_checkpoint(env), ZDB_BUSY);
        check_names(process);
        if (limited == 1)
            REQUIRE_OK(zdb_env_close_wait(env, 100, 0));
        else
            REQUIRE_OK(zdb_env_close(env));
        go_on(process);
        env = open_with_wait();
        expect_sound(env);
        close_env(env);
        remove_tree("env");
        remove_tree("archive");
    }
}

/* ------------------------------------------------------------------------- segments */

static void stop_while_recycling(void *argument) {
    (void)argument;
    zdb_env_options options = with_wait();
    options.log_size = 64 * MIB;
    zdb_env *env = open_env_with("env", &options);
    for (unsigned i = 0; i < 10; i++) put_large(env, i);
    stop_at_next("renameat");
    REQUIRE_OK(zdb_env_checkpoint(env));
    close_env(env);
}

static void a_commit_waits_no_longer_for_the_files_of_the_log(void) {
    zdb_env *env = open_with_wait();
    pid_t process = start_until_stopped(stop_while_recycling);
    unsigned commits = 0;
    int code = ZDB_OK;
    while (code == ZDB_OK && commits < 100) {
        char value[200 * 1024];
        fill_pattern(value, sizeof(value), commits);
        zdb_val key = text("k"), large = bytes(value, sizeof(value));
        zdb_txn *txn = begin_write(env);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &large, 0));
        code = zdb_txn_commit(txn);
        commits++;
    }
    CHECK_ERROR(code, ZDB_BUSY);
    check_names(process);
    go_on(process);
    put_large(env, 1);
    expect_sound(env);
    close_env(env);
}

/* Holds what a process holds that has begun to open the environment beside one that has closed since. */
static void opening_waits_no_longer_for_a_process_that_has_begun_to_open(void) {
    close_env(open_with_wait());
    int file = open("env/lock.zdb", O_RDWR);
    REQUIRE(file >= 0);
    struct flock lock = lock_of_bytes(F_RDLCK, 0, 1);
    REQUIRE(fcntl(file, F_OFD_SETLK, &lock) == 0);
    zdb_env_options options = with_wait();
    zdb_env *env = NULL;
    for (uint32_t recovery = 0; recovery <= 1; recovery++) {
        options.recovery = recovery;
        if (recovery == 1) options.flags |= ZDB_RDONLY;
        CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BUSY);
        CHECK_CONTAINS(zdb_last_error(), "begun to open");
    }
    REQUIRE(close(file) == 0);
    env = open_with_wait();
    expect_sound(env);
    close_env(env);
}

static const struct test tests[] = {
    TEST(opening_waits_no_longer_for_a_process_that_replays_the_log),
    TEST(opening_waits_no_longer_for_a_process_that_closes),
    TEST(no_call_waits_longer_for_a_checkpoint),
    TEST(no_commit_waits_longer_for_the_one_before_it),
    TEST(no_commit_waits_for_a_checkpoint_that_begins_beside_it),
    TEST(no_closing_waits_for_a_checkpoint_that_the_archive_needs),
    TEST(a_commit_waits_no_longer_for_the_files_of_the_log),
    TEST(opening_waits_no_longer_for_a_process_that_has_begun_to_open),
};
DEFINE_SUITE(waiting, tests);
