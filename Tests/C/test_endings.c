/* The table of the README under "Durability", line by line: what is there after a process has ended in
 * each way that there is, and what is on disk. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "killed.h"
#include "lock_file.h"
#include "suites.h"
#include "support.h"
#include "system_calls.h"

/* ------------------------------------------------------------------- what is committed */

/* A letter a commit: full, relaxed, none; in capitals, one too large for the log. */
static const char *const courses[] = {"f",   "r",   "n",   "fr",  "fn",   "rf",   "rn",   "nf",
                                      "nr",  "nrr", "nrn", "fnr", "rnr",  "nrf",  "R",    "Rr",
                                      "nRr", "N",   "Nr",  "Nf",  "frnrf", "nrnrn", "rRnr"};
enum { COURSES = sizeof(courses) / sizeof(courses[0]), LARGE_BYTES = 9 * 1024 * 1024 };

static const uint32_t thread_choices[] = {ZDB_THREADS_DEFAULT, ZDB_THREADS_NONE};

static uint32_t durability_of(char letter) {
    switch (letter) {
    case 'f':
    case 'F':
        return ZDB_DURABILITY_FULL;
    case 'r':
    case 'R':
        return ZDB_DURABILITY_RELAXED;
    default:
        return ZDB_DURABILITY_NONE;
    }
}

/* Commits one after the other; each is seen at once. */
static void commit_course(zdb_env *env, const char *course) {
    for (unsigned i = 0; course[i] != 0; i++) {
        char key_text[KEY_BYTES];
        bool is_large = course[i] >= 'A' && course[i] <= 'Z';
        size_t size = is_large ? LARGE_BYTES : 100;
        void *memory = new_pattern(size, i);
        zdb_val key = numbered(key_text, "key", i), value = bytes(memory, size);
        zdb_txn *txn = begin_at(HERE, env, durability_of(course[i]));
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        commit(txn);
        free(memory);
        txn = begin_read(env);
        CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), i + 1);
        abort_txn(txn);
    }
}

/* How many commits are promised when all programs are killed: up to the last that is not `none`. */
static unsigned kept_of(const char *course) {
    unsigned kept = 0;
    for (unsigned i = 0; course[i] != 0; i++) {
        if (course[i] != 'n' && course[i] != 'N') kept = i + 1;
    }
    return kept;
}

/* ------------------------------------------------------------------------ ways of ending */

struct ending {
    const char *course;
    uint32_t threads;
    bool closes;
};

static zdb_env *open_for(const struct ending *ending) {
    zdb_env_options options;
    default_options(&options);
    options.threads = ending->threads;
    return open_env_with("env", &options);
}

static void commit_and_end(void *argument) {
    const struct ending *ending = (const struct ending *)argument;
    zdb_env *env = open_for(ending);
    commit_course(env, ending->course);
    if (ending->closes) close_env(env);
}

static void commit_and_be_killed(void *argument) {
    const struct ending *ending = (const struct ending *)argument;
    commit_course(open_for(ending), ending->course);
    die();
}

static void exit_at_once(void *argument) {
    (void)argument;
}

static void commit_and_fork(void *argument) {
    const struct ending *ending = (const struct ending *)argument;
    commit_course(open_for(ending), ending->course);
    /* A child that ends with exit() changes nothing for its parent. */
    run_in_process(exit_at_once, NULL);
    die();
}

/* Everything up to some commit is there, and no less than was promised. */
static void expect_kept(const struct ending *ending, const char *way, unsigned kept) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    uint64_t found = entries(txn, ZDB_MAIN_DB);
    if (found < kept) {
        check_failed(HERE, "%s, %s, threads %u: %u commits of %u are there", ending->course, way,
                     (unsigned)ending->threads, (unsigned)found, kept);
    }
    for (unsigned i = 0; i < found; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i), value;
        REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
        CHECK(has_pattern(value.data, value.size, i));
    }
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
    remove_tree("env");
}

static void each_course(void (*check)(struct ending *ending)) {
    for (unsigned i = 0; i < COURSES; i++) {
        for (unsigned j = 0; j < 2; j++) {
            struct ending ending = {courses[i], thread_choices[j], false};
            check(&ending);
        }
    }
}

static void check_closed(struct ending *ending) {
    ending->closes = true;
    run_in_process(commit_and_end, ending);
    expect_kept(ending, "closed", (unsigned)strlen(ending->course));
}

static void check_closed_beside_another(struct ending *ending) {
    /* It is not the last: it flushes what it has committed itself. */
    zdb_env *other = open_env("env");
    ending->closes = true;
    run_in_process(commit_and_end, ending);
    struct lock_file lock_file = map_lock_file();
    zdb_info info = info_of(other);
    CHECK(log_flushed(&lock_file) > 0 || info.log_bytes == 0);
    if (strpbrk(ending->course, "nN") != NULL && info.log_bytes == 0) {
        CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
    }
    unmap_lock_file(&lock_file);
    close_env(other);
    expect_kept(ending, "closed beside another", (unsigned)strlen(ending->course));
}

static void check_exited(struct ending *ending) {
    run_in_process(commit_and_end, ending);
    expect_kept(ending, "exited", kept_of(ending->course));
}

static void check_killed(struct ending *ending) {
    run_until_killed(commit_and_be_killed, ending);
    expect_kept(ending, "killed", kept_of(ending->course));
}

static void check_forked(struct ending *ending) {
    run_until_killed(commit_and_fork, ending);
    expect_kept(ending, "killed behind a child's exit", kept_of(ending->course));
}

static void check_killed_beside_another(struct ending *ending) {
    zdb_env *other = open_env("env");
    run_until_killed(commit_and_be_killed, ending);
    unsigned all = (unsigned)strlen(ending->course);
    zdb_txn *txn = begin_read(other);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), all);
    abort_txn(txn);
    /* What the dead process has committed comes along. */
    char key_text[KEY_BYTES], value[100];
    fill_pattern(value, sizeof(value), all);
    zdb_val key = numbered(key_text, "key", all), next = bytes(value, sizeof(value));
    txn = begin_write(other);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &next, 0));
    commit(txn);
    close_env(other);
    expect_kept(ending, "killed beside another", all + 1);
}

static void all_is_there_after_a_close(void) {
    each_course(check_closed);
}

static void all_is_there_after_a_close_beside_another_process(void) {
    each_course(check_closed_beside_another);
}

static void full_and_relaxed_commits_are_there_after_an_exit(void) {
    each_course(check_exited);
}

static void full_and_relaxed_commits_are_there_after_a_kill(void) {
    each_course(check_killed);
}

static void full_and_relaxed_commits_are_there_after_a_kill_behind_a_childs_exit(void) {
    each_course(check_forked);
}

static void another_process_goes_on_with_what_a_killed_one_has_committed(void) {
    each_course(check_killed_beside_another);
}

/* ------------------------------------------------------------------------------- on disk */

/* A commit behind one that is not logged is on disk when it returns. */
static void a_relaxed_commit_that_a_replay_would_lack_is_on_disk(void) {
    static const char *const unlogged[] = {"nr", "R", "fR", "nnr", "NR"};
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned j = 0; j < 2; j++) {
            struct ending ending = {unlogged[i], thread_choices[j], false};
            zdb_env *env = open_for(&ending);
            commit_course(env, ending.course);
            zdb_info info = info_of(env);
            CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
            close_env(env);
            remove_tree("env");
        }
    }
}

/* In memory that parent and child share: flushes that the child has made. */
static unsigned *flushes;

static int count_flushes(void *context, const char *name) {
    (void)context;
    if (strcmp(name, "fdatasync") == 0) ++*flushes;
    return 0;
}

static void commit_relaxed_and_exit(void *argument) {
    const struct ending *ending = (const struct ending *)argument;
    zdb_env *env = open_for(ending);
    commit_course(env, "f");
    hook_system_calls(count_flushes, NULL);
    commit_course(env, ending->course);
    *flushes = 0;
    if (ending->closes) run_in_process(exit_at_once, NULL);
    CHECK_NUMBER(*flushes, 0);
}

/* In its last moment, where it does not wait for the time of its thread. */
static void relaxed_commits_are_flushed_by_an_exit_without_a_close(void) {
    void *shared = mmap(NULL, sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
    REQUIRE(shared != MAP_FAILED);
    flushes = (unsigned *)shared;
    for (unsigned i = 0; i < 2; i++) {
        struct ending ending = {"r", ZDB_THREADS_NONE, i == 1};
        run_in_process(commit_relaxed_and_exit, &ending);
        CHECK_NUMBER(*flushes, 1);
        expect_kept(&ending, "exited", 1);
    }
    /* Nothing is left to flush behind a commit that waits for the disk. */
    struct ending ending = {"rf", ZDB_THREADS_NONE, false};
    run_in_process(commit_relaxed_and_exit, &ending);
    CHECK_NUMBER(*flushes, 0);
}

/* --------------------------------------------------------------- a system without threads */

typedef int (*create_call)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static bool refuses_threads;

#ifdef __cplusplus
extern "C"
#endif
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*run)(void *), void *argument)
#ifdef __cplusplus
    noexcept
#endif
{
    static create_call next;
    if (next == NULL) {
        void *found = dlsym(RTLD_NEXT, "pthread_create");
        memcpy(&next, &found, sizeof(next));
    }
    return refuses_threads ? EAGAIN : next(thread, attributes, run, argument);
}

static void where_no_thread_can_be_had_later_commits_flush_relaxed_ones(void) {
    zdb_env *env = open_env("env");
    commit_course(env, "f");
    struct lock_file lock_file = map_lock_file();
    refuses_threads = true;
    zdb_info before = info_of(env);
    uint64_t flushed = log_flushed(&lock_file);
    commit_course(env, "r");
    uint64_t position = flushed + info_of(env).log_bytes - before.log_bytes;
    struct timespec pause = {0, 150000000};
    nanosleep(&pause, NULL);
    commit_course(env, "r");
    CHECK(log_flushed(&lock_file) >= position);
    refuses_threads = false;
    unmap_lock_file(&lock_file);
    close_env(env);
}

static const struct test tests[] = {
    TEST(all_is_there_after_a_close),
    TEST(all_is_there_after_a_close_beside_another_process),
    TEST(full_and_relaxed_commits_are_there_after_an_exit),
    TEST(full_and_relaxed_commits_are_there_after_a_kill),
    TEST(full_and_relaxed_commits_are_there_after_a_kill_behind_a_childs_exit),
    TEST(another_process_goes_on_with_what_a_killed_one_has_committed),
    TEST(a_relaxed_commit_that_a_replay_would_lack_is_on_disk),
    TEST(relaxed_commits_are_flushed_by_an_exit_without_a_close),
    TEST(where_no_thread_can_be_had_later_commits_flush_relaxed_ones),
};
DEFINE_SUITE(endings, tests);
