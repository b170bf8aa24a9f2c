/* System calls that fail, that take long, and at which a process is killed. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#endif
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
#include "partner.h"
#include "suites.h"
#include "support.h"
#include "system_calls.h"

static int put_counter(zdb_env *env, uint32_t flags, unsigned counter, size_t size) {
    zdb_txn *txn = NULL;
    int code = zdb_txn_begin(env, NULL, flags, &txn);
    if (code != ZDB_OK) return code;
    void *memory = new_pattern(size, counter);
    zdb_val key = text("large"), value = bytes(memory, size);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    free(memory);
    key = text("counter");
    value = bytes(&counter, sizeof(counter));
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    return zdb_txn_commit(txn);
}

/* The counter, 0 if there is none yet; the large value that came with it is there too. */
static unsigned counter_of(zdb_env *env) {
    zdb_txn *txn = begin_read(env);
    zdb_val key = text("counter"), value = nothing();
    unsigned counter = 0;
    int code = zdb_get(txn, ZDB_MAIN_DB, &key, &value);
    CHECK_EITHER(code, ZDB_OK, ZDB_NOT_FOUND);
    if (code == ZDB_OK) {
        REQUIRE(value.size == sizeof(counter));
        memcpy(&counter, value.data, sizeof(counter));
        key = text("large");
        REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
        CHECK(has_pattern(value.data, value.size, counter));
    }
    abort_txn(txn);
    return counter;
}

/* ------------------------------------------------------------------ group commit */

enum { COMMITTERS = 8 };

struct slow_flush {
    struct lock_file lock_file;
    uint64_t awaited;
    unsigned count;
    pthread_mutex_t lock;
};

/* The first flush begins when all have appended their records. */
static int flush_when_all_have_come(void *context, const char *name) {
    struct slow_flush *flush = (struct slow_flush *)context;
    struct timespec pause = {0, 1000000};
    if (!is_flush(name)) return 0;
    pthread_mutex_lock(&flush->lock);
    flush->count++;
    pthread_mutex_unlock(&flush->lock);
    while (newest_commit(&flush->lock_file) < flush->awaited) nanosleep(&pause, NULL);
    return 0;
}

static void *commit_once(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    zdb_txn *txn = begin_write(env);
    uint64_t id = zdb_txn_id(txn);
    char key[KEY_BYTES];
    numbered(key, "key", (unsigned)id);
    put_text(txn, ZDB_MAIN_DB, key, "v");
    commit(txn);
    txn = begin_read(env);
    CHECK(zdb_txn_id(txn) >= id);
    abort_txn(txn);
    return NULL;
}

static void commits_that_wait_at_the_same_time_share_a_flush(void) {
    zdb_env *env = open_env("env");
    commit_once(env);
    struct slow_flush flush;
    memset(&flush, 0, sizeof(flush));
    pthread_mutex_init(&flush.lock, NULL);
    flush.lock_file = map_lock_file();
    flush.awaited = newest_commit(&flush.lock_file) + COMMITTERS;
    hook_system_calls(flush_when_all_have_come, &flush);
    pthread_t threads[COMMITTERS];
    for (unsigned i = 0; i < COMMITTERS; i++) threads[i] = start_thread(commit_once, env);
    for (unsigned i = 0; i < COMMITTERS; i++) join_thread(threads[i]);
    hook_system_calls(NULL, NULL);
    /* One flush that began when the first record was there, and one for the records that came
     * during it. */
    CHECK(flush.count >= 1 && flush.count <= 2);
    unmap_lock_file(&flush.lock_file);
    zdb_txn *txn = begin_read(env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), COMMITTERS + 1);
    abort_txn(txn);
    close_env(env);
}

/* Readers and the next writer while a commit waits for the disk. */
static int look_around_during_flush(void *context, const char *name) {
    zdb_env *env = (zdb_env *)context;
    if (!is_flush(name)) return 0;
    hook_system_calls(NULL, NULL);
    CHECK_NUMBER(counter_of(env), 1);
    return 0;
}

static void a_commit_is_not_seen_before_it_is_on_disk(void) {
    zdb_env *env = open_env("env");
    REQUIRE_OK(put_counter(env, 0, 1, 100));
    hook_system_calls(look_around_during_flush, env);
    REQUIRE_OK(put_counter(env, 0, 2, 100));
    CHECK_NUMBER(counter_of(env), 2);
    close_env(env);
}

/* -------------------------------------------------------------- calls that fail */

struct failing_call {
    unsigned at, count;
    int error;
    bool fails_flushes, has_failed;
};

static int fail_one(void *context, const char *name) {
    struct failing_call *call = (struct failing_call *)context;
    if (is_flush(name) != call->fails_flushes) return 0;
    if (++call->count != call->at) return 0;
    call->has_failed = true;
    return call->error;
}

struct events {
    unsigned errors;
};

static void note_event(void *context, uint32_t level, const char *message) {
    CHECK(message != NULL && message[0] != '\0');
    if (level == ZDB_LOG_ERROR) ((struct events *)context)->errors++;
}

static void write_and_expect_panic(struct partner *partner) {
    zdb_env *env = open_env("env");
    partner_done(partner);
    partner_wait(partner);
    CHECK_ERROR(put_counter(env, 0, 3, 100), ZDB_PANIC);
    CHECK(counter_of(env) >= 1);
    partner_done(partner);
    partner_wait(partner);
    close_env(env);
    partner_done(partner);
}

/* A reader keeps its snapshot, and then sees what is written. */
static void read_on(struct partner *partner) {
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_RDONLY;
    zdb_env *env = open_env_with("env", &options);
    unsigned counter = counter_of(env);
    CHECK(counter == 1 || counter == 2);
    zdb_txn *txn = begin_read(env);
    partner_done(partner);
    partner_wait(partner);
    counter = counter_of(env);
    CHECK(counter == 1 || counter == 2);
    partner_done(partner);
    partner_wait(partner);
    CHECK_NUMBER(counter_of(env), 3);
    expect_sound(env);
    abort_txn(txn);
    close_env(env);
    partner_done(partner);
}

static void a_flush_that_fails_stops_all_writing_until_all_writers_have_closed(void) {
    struct events events = {0};
    struct failing_call call = {1, 0, EIO, true, false};
    struct partner partner;
    zdb_env_options options;
    default_options(&options);
    options.log = note_event;
    options.log_context = &events;
    zdb_env *env = open_env_with("env", &options);
    REQUIRE_OK(put_counter(env, 0, 1, 100));
    start_partner(&partner, write_and_expect_panic, NULL);
    await_partner(&partner);

    hook_system_calls(fail_one, &call);
    CHECK_ERROR(put_counter(env, 0, 2, 100), ZDB_PANIC);
    CHECK(call.has_failed);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_ERROR(put_counter(env, 0, 3, 100), ZDB_PANIC);
        CHECK_ERROR(put_counter(env, ZDB_DURABILITY_NONE, 3, 100), ZDB_PANIC);
        CHECK_ERROR(zdb_env_sync(env), ZDB_PANIC);
        CHECK_ERROR(zdb_env_checkpoint(env), ZDB_PANIC);
        CHECK(counter_of(env) >= 1);
    }
    /* No call was tried again. */
    CHECK_NUMBER(call.count, 1);
    CHECK(events.errors >= 1);
    hook_system_calls(NULL, NULL);
    let_partner_step(&partner);

    close_env(env);
    env = open_env("env");
    CHECK_ERROR(put_counter(env, 0, 3, 100), ZDB_PANIC);
    close_env(env);

    /* Whoever reads goes on. */
    struct partner reader;
    start_partner(&reader, read_on, NULL);
    await_partner(&reader);
    let_partner_step(&partner);
    finish_partner(&partner);
    env = open_env("env");
    let_partner_step(&reader);
    REQUIRE_OK(put_counter(env, 0, 3, 100));
    let_partner_step(&reader);
    finish_partner(&reader);
    close_env(env);

    env = open_env("env");
    CHECK_NUMBER(counter_of(env), 3);
    CHECK_NUMBER(info_of(env).recovered_records, 0);
    REQUIRE_OK(put_counter(env, 0, 4, 100));
    CHECK_NUMBER(counter_of(env), 4);
    expect_sound(env);
    close_env(env);
}

/* Each call of a commit that begins a segment of the log. */
static void a_write_that_fails_fails_its_transaction_and_no_other(void) {
    static const int errors[] = {ENOSPC, EIO};
    zdb_env_options options;
    default_options(&options);
    options.threads = ZDB_THREADS_NONE;
    zdb_env *env = open_env_with("env", &options);
    unsigned counter = 1, tried = 0;
    REQUIRE_OK(put_counter(env, 0, counter, 100));
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        bool has_failed = true;
        unsigned step = tests_run_slowly() ? 7 : 1;
        for (unsigned at = 1; has_failed; at += step) {
            struct failing_call call = {at, 0, errors[i], false, false};
            hook_system_calls(fail_one, &call);
            int code = put_counter(env, 0, counter + 1, 700 * KIB);
            hook_system_calls(NULL, NULL);
            has_failed = call.has_failed;
            tried += has_failed;
            if (code == ZDB_OK) {
                counter++;
            } else {
                CHECK_ERROR(code, errors[i]);
            }
            CHECK_NUMBER(counter_of(env), counter);
            REQUIRE_OK(put_counter(env, 0, ++counter, 100));
            CHECK_NUMBER(counter_of(env), counter);
        }
        expect_sound(env);
    }
    CHECK(tried >= (tests_run_slowly() ? 2 : 20));
    close_env(env);
    env = open_env("env");
    CHECK_NUMBER(counter_of(env), counter);
    expect_sound(env);
    close_env(env);
}

static int interrupt_some(void *context, const char *name) {
    unsigned *calls = (unsigned *)context;
    /* On Linux, the kernel does not report it for other files. */
    bool may_be = strncmp(name, "pwrite", 6) == 0 || strcmp(name, "fdatasync") == 0;
    return may_be && ++*calls % 3 == 0 ? EINTR : 0;
}

/* The kernel may write less than it was asked for, and may be interrupted before it has begun. */
static void writes_that_are_short_or_interrupted_go_on(void) {
    static const size_t sizes[] = {100, 511, 4096, 5000, 20000};
    zdb_env_options options;
    default_options(&options);
    options.threads = ZDB_THREADS_NONE;
    unsigned counter = 0, calls = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        shorten_writes(sizes[i]);
        hook_system_calls(interrupt_some, &calls);
        zdb_env *env = open_env_with("env", &options);
        for (unsigned j = 0; j < 4; j++) {
            uint32_t durability = j == 2 ? ZDB_DURABILITY_NONE : ZDB_DURABILITY_FULL;
            size_t size = j % 2 == 0 ? 100 : 300 * KIB;
            REQUIRE_OK(put_counter(env, durability, ++counter, size));
            CHECK_NUMBER(counter_of(env), counter);
        }
        REQUIRE_OK(zdb_env_checkpoint(env));
        expect_sound(env);
        REQUIRE_OK(put_counter(env, 0, ++counter, 100));
        close_env(env);
        shorten_writes(0);
        hook_system_calls(NULL, NULL);
        env = open_env_with("env", &options);
        CHECK_NUMBER(counter_of(env), counter);
        expect_sound(env);
        close_env(env);
    }
    CHECK(calls > 1000);
}

/* ----------------------------------------------------- killed at a system call */

/* In memory that the process shares with the one that kills it. */
struct killed_process {
    unsigned at, count;
    unsigned in_row;
    char last_name[16];
    bool is_over;
    struct gate stopped;
    unsigned attempted, acknowledged;
};

static void stop_here(struct killed_process *own) {
    gate_give(&own->stopped);
    for (;;) pause();
}

/* A large value takes a long row of writes; some of them stand for all. */
static int stop_at(void *context, const char *name) {
    struct killed_process *own = (struct killed_process *)context;
    own->in_row = strcmp(own->last_name, name) == 0 ? own->in_row + 1 : 1;
    snprintf(own->last_name, sizeof(own->last_name), "%s", name);
    bool counts = own->in_row <= 4 || own->in_row % 6 == 0;
    if (counts && ++own->count == own->at) stop_here(own);
    return 0;
}

static void commit_and_note(struct killed_process *own, zdb_env *env, uint32_t flags, size_t size) {
    unsigned counter = counter_of(env) + 1;
    own->attempted = counter;
    REQUIRE_OK(put_counter(env, flags, counter, size));
    own->acknowledged = counter;
}

/* A bit of everything that touches a file; all of it is logged, so that nothing acknowledged is
 * lost with the process. Leaves a reader behind. */
static void do_everything(void *argument) {
    struct killed_process *own = (struct killed_process *)argument;
    gate_only_give(&own->stopped);
    hook_system_calls(stop_at, own);
    zdb_env_options options;
    default_options(&options);
    options.threads = ZDB_THREADS_NONE;
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *reader = begin_read(env);
    commit_and_note(own, env, ZDB_DURABILITY_FULL, 100);
    commit_and_note(own, env, ZDB_DURABILITY_RELAXED, 100);
    REQUIRE_OK(zdb_env_sync(env));
    commit_and_note(own, env, ZDB_DURABILITY_FULL, 700 * KIB);
    commit_and_note(own, env, ZDB_DURABILITY_FULL, 700 * KIB);
    REQUIRE_OK(zdb_env_checkpoint(env));
    commit_and_note(own, env, ZDB_DURABILITY_RELAXED, 20000);
    commit_and_note(own, env, ZDB_DURABILITY_FULL, 100);
    abort_txn(reader);
    close_env(env);
    own->is_over = true;
    stop_here(own);
}

/* After a process was killed at any point, another one reads, writes, checkpoints and finds no
 * problem. */
static void check_after_kill(zdb_env *env, struct killed_process *killed) {
    unsigned counter = counter_of(env);
    if (counter < killed->acknowledged || counter > killed->attempted) {
        check_failed(HERE, "killed at call %u, %s: the counter is %u, acknowledged was %u",
                     killed->at, killed->last_name, counter, killed->acknowledged);
    }
    REQUIRE_OK(put_counter(env, 0, counter + 1, 100));
    CHECK_NUMBER(counter_of(env), counter + 1);
    killed->acknowledged = killed->attempted = counter + 1;
    REQUIRE_OK(zdb_env_checkpoint(env));
    REQUIRE_OK(zdb_reader_check(env, NULL));
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 0);
    CHECK_NUMBER(info.pinned_pages, 0);
    CHECK_NUMBER(info.log_bytes, 0);
    expect_sound(env);
}

static void kill_at_every_call(bool is_kept_open) {
    void *shared = mmap(NULL, sizeof(struct killed_process), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    struct killed_process *killed = (struct killed_process *)shared;
    zdb_env *env = NULL;
    if (is_kept_open) env = open_env("env");
    unsigned step = tests_run_slowly() ? 9 : 1;
    for (unsigned at = 1; !killed->is_over; at += step) {
        killed->at = at;
        killed->count = killed->in_row = 0;
        killed->last_name[0] = '\0';
        struct gate stopped;
        gate_open(&stopped);
        killed->stopped = stopped;
        pid_t process = start_process(do_everything, killed);
        /* Only the child has the other end: if the child fails, the wait fails. */
        gate_only_wait(&stopped);
        gate_wait(&stopped);
        REQUIRE(kill(process, SIGKILL) == 0);
        REQUIRE(waitpid(process, NULL, 0) == process);
        gate_close(&stopped);

        if (!is_kept_open) env = open_env("env");
        check_after_kill(env, killed);
        if (!is_kept_open) close_env(env);
        REQUIRE(check_failures() == 0);
    }
    CHECK(killed->count > 20);
    if (is_kept_open) close_env(env);
}

static void a_process_killed_at_any_call_leaves_the_others_undisturbed(void) {
    kill_at_every_call(true);
}

static void after_a_process_was_killed_at_any_call_its_commits_are_there(void) {
    kill_at_every_call(false);
}

static const struct test tests[] = {
    TEST(commits_that_wait_at_the_same_time_share_a_flush),
    TEST(a_commit_is_not_seen_before_it_is_on_disk),
    TEST(a_flush_that_fails_stops_all_writing_until_all_writers_have_closed),
    TEST(a_write_that_fails_fails_its_transaction_and_no_other),
    TEST(writes_that_are_short_or_interrupted_go_on),
    TEST(a_process_killed_at_any_call_leaves_the_others_undisturbed),
    TEST(after_a_process_was_killed_at_any_call_its_commits_are_there),
};

DEFINE_SUITE(system_calls, tests);
