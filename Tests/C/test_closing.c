/* Closing an environment beside calls of other threads, waiting for the transactions of others, and
 * transactions that threads have left behind. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "suites.h"
#include "support.h"
#include "system_calls.h"

static int call_close_wait_a_little(zdb_env *env) {
    return zdb_env_close_wait(env, 1, 0);
}

static int call_max_key_size(zdb_env *env) {
    return zdb_env_max_key_size(env) > 0 ? ZDB_OK : zdb_last_error_code();
}

static int read_something(zdb_env *env) {
    zdb_txn *txn;
    int code = zdb_txn_begin(env, NULL, ZDB_RDONLY, &txn);
    if (code != ZDB_OK) return code;
    CHECK(zdb_txn_env(txn) == env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    expect_entry(cursor, ZDB_FIRST, "key00000000");
    close_cursor(cursor);
    abort_txn(txn);
    return ZDB_OK;
}

static int write_something(zdb_env *env) {
    zdb_txn *txn;
    int code = zdb_txn_begin(env, NULL, ZDB_DURABILITY_NONE, &txn);
    if (code != ZDB_OK) return code;
    put_text(txn, ZDB_MAIN_DB, "written", "v");
    commit(txn);
    return ZDB_OK;
}

/* Besides `env_calls`, whose transactions nobody would end. */
static const struct env_call racing_calls[] = {
    {"zdb_env_close_wait, for a while", call_close_wait_a_little},
    {"zdb_env_max_key_size", call_max_key_size},
    {"zdb_txn_begin, to read", read_something},
    {"zdb_txn_begin, to write", write_something},
};
enum { RACING_CALLS = sizeof(racing_calls) / sizeof(racing_calls[0]), RACING_THREADS = 3 };

/* What the threads share: the environment's handle changes with each opening. */
struct race {
    const struct env_call *call;
    zdb_env *env;
    bool ended;
};

static void *call_until_the_end(void *argument) {
    struct race *race = (struct race *)argument;
    while (!__atomic_load_n(&race->ended, __ATOMIC_ACQUIRE)) {
        int code = race->call->call(__atomic_load_n(&race->env, __ATOMIC_ACQUIRE));
        if (code != ZDB_OK && code != ZDB_BAD_HANDLE && code != ZDB_BUSY) {
            check_failed(HERE, "%s returned %s: %s", race->call->name, code_name(code),
                         zdb_last_error());
        }
    }
    return NULL;
}

static zdb_env *open_small(const char *path) {
    zdb_env_options options;
    default_options(&options);
    options.max_size = 1 << 20;
    options.threads = ZDB_THREADS_NONE;
    return open_env_with(path, &options);
}

static void race_with_close(const struct env_call *call) {
    struct race race = {call, open_small("env"), false};
    zdb_txn *txn = begin_write(race.env);
    put_numbered(txn, ZDB_MAIN_DB, 100);
    commit(txn);
    pthread_t threads[RACING_THREADS];
    for (unsigned i = 0; i < RACING_THREADS; i++) {
        threads[i] = start_thread(call_until_the_end, &race);
    }
    for (unsigned round = 0; round < repetitions(200); round++) {
        int code = zdb_env_close(race.env);
        /* Another thread may have closed it, if that is what they do. */
        if (code == ZDB_BUSY) continue;
        if (code != ZDB_BAD_HANDLE) CHECK_CODE(code, ZDB_OK);
        zdb_env *env;
        do {
            zdb_env_options options;
            default_options(&options);
            options.max_size = 1 << 20;
            options.threads = ZDB_THREADS_NONE;
            code = zdb_env_open("env", &options, &env);
        } while (code == ZDB_BUSY);
        REQUIRE_OK(code);
        __atomic_store_n(&race.env, env, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&race.ended, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < RACING_THREADS; i++) join_thread(threads[i]);
    int code = zdb_env_close(race.env);
    if (code != ZDB_BAD_HANDLE) CHECK_CODE(code, ZDB_OK);
    remove_tree("env");
}

static void closing_beside_any_call_of_other_threads_does_no_harm(void) {
    for (size_t i = 0; i < env_call_count; i++) {
        if (strncmp(env_calls[i].name, "zdb_txn_begin", 13) != 0) race_with_close(&env_calls[i]);
    }
    for (unsigned i = 0; i < RACING_CALLS; i++) race_with_close(&racing_calls[i]);
}

/* Cursors of two environments share a table: closing one leaves those of the other alone. */
static void *use_cursors(void *argument) {
    struct race *race = (struct race *)argument;
    zdb_env *env = race->env;
    while (!__atomic_load_n(&race->ended, __ATOMIC_ACQUIRE)) {
        zdb_txn *txn = begin_read(env);
        zdb_cursor *cursors[4];
        for (unsigned i = 0; i < 4; i++) cursors[i] = open_cursor(txn, ZDB_MAIN_DB);
        for (unsigned i = 0; i < 4; i++) {
            expect_entry(cursors[i], ZDB_FIRST, "key00000000");
            close_cursor(cursors[i]);
        }
        abort_txn(txn);
    }
    return NULL;
}

static void closing_leaves_cursors_of_other_environments_alone(void) {
    struct race race = {NULL, open_small("kept"), false};
    zdb_txn *txn = begin_write(race.env);
    put_numbered(txn, ZDB_MAIN_DB, 100);
    commit(txn);
    pthread_t threads[RACING_THREADS];
    for (unsigned i = 0; i < RACING_THREADS; i++) threads[i] = start_thread(use_cursors, &race);
    for (unsigned round = 0; round < repetitions(300); round++) {
        zdb_env *env = open_small("closed");
        zdb_txn *reader = begin_read(env);
        zdb_cursor *cursor = open_cursor(reader, ZDB_MAIN_DB);
        /* Its slot goes to a cursor of the other environment, or stays open until the close. */
        if (round % 2 == 0) close_cursor(cursor);
        abort_txn(reader);
        close_env(env);
    }
    __atomic_store_n(&race.ended, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < RACING_THREADS; i++) join_thread(threads[i]);
    close_env(race.env);
}

/* ------------------------------------------------------- waiting for transactions */

static void *commit_a_little_later(void *argument) {
    zdb_txn *txn = (zdb_txn *)argument;
    /* The other thread is closing: nothing begins any more. */
    zdb_env *env = zdb_txn_env(txn);
    REQUIRE(env != NULL);
    int code = ZDB_OK;
    while (code == ZDB_OK) {
        zdb_txn *reader;
        code = zdb_txn_begin(env, NULL, ZDB_RDONLY, &reader);
        if (code == ZDB_OK) abort_txn(reader);
    }
    CHECK_NUMBER(code, ZDB_BUSY);
    CHECK_CONTAINS(zdb_last_error(), "being closed");
    put_text(txn, ZDB_MAIN_DB, "late", "v");
    commit(txn);
    return NULL;
}

static void closing_waits_for_transactions_to_end(void) {
    zdb_env *env = open_env("env");
    pthread_t thread = start_thread(commit_a_little_later, begin_write(env));
    CHECK_CODE(zdb_env_close_wait(env, ZDB_WAIT_FOREVER, 0), ZDB_OK);
    join_thread(thread);
    CHECK_ERROR(zdb_env_sync(env), ZDB_BAD_HANDLE);
    env = open_env("env");
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "late", "v");
    abort_txn(txn);
    close_env(env);
}

static void an_environment_that_could_not_be_closed_in_time_works_on(void) {
    zdb_env *env = open_env("env");
    zdb_txn *writer = begin_write(env);
    CHECK_ERROR(zdb_env_close_wait(env, 0, 0), ZDB_BUSY);
    CHECK_ERROR(zdb_env_close_wait(env, 20, 0), ZDB_BUSY);
    CHECK_CONTAINS(zdb_last_error(), "1 open transaction");
    CHECK_ERROR(zdb_env_close_wait(env, 20, 0x2u), ZDB_BAD_ARGUMENT);
    put_text(writer, ZDB_MAIN_DB, "k", "v");
    commit(writer);
    zdb_txn *reader = begin_read(env);
    expect_text(reader, ZDB_MAIN_DB, "k", "v");
    abort_txn(reader);
    CHECK_CODE(zdb_env_close_wait(env, 0, 0), ZDB_OK);
    CHECK_ERROR(zdb_env_close_wait(env, 0, 0), ZDB_BAD_HANDLE);
}

static void *expect_busy_writer(void *argument) {
    zdb_txn *txn;
    CHECK_ERROR(zdb_txn_begin((zdb_env *)argument, NULL, 0, &txn), ZDB_BUSY);
    return NULL;
}

static void *expect_no_writer(void *argument) {
    zdb_txn *txn;
    CHECK_EITHER(zdb_txn_begin((zdb_env *)argument, NULL, 0, &txn), ZDB_BUSY, ZDB_BAD_HANDLE);
    return NULL;
}

static void closing_can_end_transactions(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 1000);
    put_overflow(txn, ZDB_MAIN_DB, 7);
    commit(txn);
    zdb_txn *reader = begin_read(env), *idle = begin_read(env), *writer = begin_write(env), *nested;
    REQUIRE_OK(zdb_txn_reset(idle));
    put_text(writer, ZDB_MAIN_DB, "lost", "v");
    REQUIRE_OK(zdb_txn_begin(env, writer, 0, &nested));
    zdb_cursor *cursor = open_cursor(reader, ZDB_MAIN_DB);
    expect_entry(cursor, ZDB_FIRST, "key00000000");
    zdb_val key = text("key00000001"), value;
    REQUIRE_OK(zdb_get(reader, ZDB_MAIN_DB, &key, &value));
    pthread_t waiting = start_thread(expect_no_writer, env);
    CHECK_CODE(zdb_env_close_wait(env, ZDB_WAIT_FOREVER, ZDB_CLOSE_ABORT), ZDB_OK);
    join_thread(waiting);
    /* What a reader was given is gone, but may be looked at. */
    for (size_t i = 0; i < value.size; i++) CHECK_NUMBER(((const char *)value.data)[i], 0);
    check_txn_calls(HERE, reader, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_txn_calls(HERE, idle, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_txn_calls(HERE, nested, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_txn_calls(HERE, writer, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT), ZDB_BAD_HANDLE);
    env = open_env("env");
    txn = begin_write(env);
    expect_absent(txn, ZDB_MAIN_DB, "lost");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1000);
    commit(txn);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 0);
    expect_sound(env);
    close_env(env);
}

static void *write_until_closed(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    for (;;) {
        zdb_txn *txn;
        int code = zdb_txn_begin(env, NULL, ZDB_DURABILITY_NONE, &txn);
        if (code == ZDB_BAD_HANDLE || code == ZDB_BUSY) return NULL;
        REQUIRE_OK(code);
        zdb_val key = text("k"), value = text("v");
        code = zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0);
        if (code == ZDB_OK) code = zdb_txn_commit(txn);
        /* Ended between two calls of this thread, or just now. */
        CHECK(code == ZDB_OK || code == ZDB_BAD_HANDLE || code == ZDB_BAD_TXN || code == ZDB_BUSY);
    }
}

static void ending_transactions_that_are_in_use_does_no_harm(void) {
    for (unsigned round = 0; round < repetitions(50); round++) {
        zdb_env *env = open_env("env");
        pthread_t threads[RACING_THREADS];
        for (unsigned i = 0; i < RACING_THREADS; i++) {
            threads[i] = start_thread(write_until_closed, env);
        }
        CHECK_CODE(zdb_env_close_wait(env, ZDB_WAIT_FOREVER, ZDB_CLOSE_ABORT), ZDB_OK);
        for (unsigned i = 0; i < RACING_THREADS; i++) join_thread(threads[i]);
    }
    zdb_env *env = open_env("env");
    expect_sound(env);
    close_env(env);
}

/* ------------------------------------------------------------- the last flush */

static int fail_flushes(void *context, const char *name) {
    (void)context;
    return is_flush(name) ? EIO : 0;
}

static void closing_says_that_its_flush_failed(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_at(HERE, env, ZDB_DURABILITY_NONE);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    hook_system_calls(fail_flushes, NULL);
    CHECK_ERROR(zdb_env_close(env), ZDB_PANIC);
    hook_system_calls(NULL, NULL);
    CHECK_ERROR(zdb_env_close(env), ZDB_BAD_HANDLE);
    close_env(open_env("env"));
}

/* --------------------------------------------------------- waiting for the writer */

static zdb_env *open_with_wait(uint32_t milliseconds) {
    zdb_env_options options;
    default_options(&options);
    options.writer_wait_ms = milliseconds;
    return open_env_with("env", &options);
}

static void *expect_no_wait(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    zdb_txn *txn;
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_NOWAIT, &txn), ZDB_BUSY);
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_NOWAIT | ZDB_DURABILITY_FULL, &txn), ZDB_BUSY);
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_NOWAIT | ZDB_RDONLY, &txn), ZDB_INCOMPATIBLE);
    return NULL;
}

static void a_writer_can_try_without_waiting(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_at(HERE, env, ZDB_NOWAIT);
    join_thread(start_thread(expect_no_wait, env));
    commit(txn);
    abort_txn(begin_at(HERE, env, ZDB_NOWAIT | ZDB_DURABILITY_RELAXED));
    close_env(env);
}

static void a_writer_waits_no_longer_than_the_options_say(void) {
    zdb_env *env = open_with_wait(30);
    zdb_txn *txn = begin_write(env);
    join_thread(start_thread(expect_busy_writer, env));
    commit(txn);
    abort_txn(begin_write(env));
    close_env(env);
}

struct holding {
    struct gate begun, ended;
};

static void hold_the_writers_lock(void *argument) {
    struct holding *holding = (struct holding *)argument;
    gate_only_give(&holding->begun);
    gate_only_wait(&holding->ended);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    gate_give(&holding->begun);
    gate_wait(&holding->ended);
    abort_txn(txn);
    close_env(env);
}

static void the_process_that_is_waited_for_is_named(void) {
    struct holding holding;
    gate_open(&holding.begun);
    gate_open(&holding.ended);
    pid_t process = start_process(hold_the_writers_lock, &holding);
    gate_only_wait(&holding.begun);
    gate_only_give(&holding.ended);
    gate_wait(&holding.begun);
    zdb_env *env = open_with_wait(30);
    zdb_txn *txn;
    char name[64];
    snprintf(name, sizeof(name), "process %d has", (int)process);
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0, &txn), ZDB_BUSY);
    CHECK_CONTAINS(zdb_last_error(), name);
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_NOWAIT, &txn), ZDB_BUSY);
    CHECK_CONTAINS(zdb_last_error(), name);
    REQUIRE(kill(process, SIGSTOP) == 0);
    int status;
    REQUIRE(waitpid(process, &status, WUNTRACED) == process && WIFSTOPPED(status));
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_NOWAIT, &txn), ZDB_BUSY);
    CHECK_CONTAINS(zdb_last_error(), "which is stopped");
    REQUIRE(kill(process, SIGCONT) == 0);
    gate_give(&holding.ended);
    finish_process(process);
    commit(begin_at(HERE, env, ZDB_NOWAIT));
    close_env(env);
    gate_close(&holding.begun);
    gate_close(&holding.ended);
}

/* ------------------------------------------------- transactions that are left behind */

static void *leave_reader(void *argument) {
    return begin_read((zdb_env *)argument);
}

static void *leave_writer(void *argument) {
    return begin_write((zdb_env *)argument);
}

struct listing {
    unsigned readers, writers, left_behind;
    zdb_txn *of_ended_thread[8];
};

static void note_transaction(void *context, const zdb_txn_info *info) {
    struct listing *listing = (struct listing *)context;
    CHECK(info->open_ns > 0 && info->open_ns < UINT64_C(3600000000000));
    CHECK_NUMBER(info->txn_id, zdb_txn_id(info->txn));
    if (info->flags == ZDB_RDONLY) {
        listing->readers++;
    } else {
        CHECK_NUMBER(info->flags, 0);
        listing->writers++;
    }
    if (info->thread_ended) listing->of_ended_thread[listing->left_behind++] = info->txn;
}

static void transactions_of_ended_threads_are_listed_and_can_be_ended(void) {
    zdb_env *env = open_env("env");
    commit(begin_write(env));
    join_thread(start_thread(leave_reader, env));
    join_thread(start_thread(leave_writer, env));
    zdb_txn *own = begin_read(env);
    struct listing listing;
    memset(&listing, 0, sizeof(listing));
    REQUIRE_OK(zdb_txn_list(env, note_transaction, &listing));
    CHECK_NUMBER(listing.readers, 2);
    CHECK_NUMBER(listing.writers, 1);
    CHECK_NUMBER(listing.left_behind, 2);
    for (unsigned i = 0; i < listing.left_behind; i++) abort_txn(listing.of_ended_thread[i]);
    commit(begin_write(env));
    abort_txn(own);
    CHECK_ERROR(zdb_txn_list(env, NULL, NULL), ZDB_BAD_ARGUMENT);
    close_env(env);
}

static void a_writer_is_told_that_it_waits_for_a_thread_that_has_ended(void) {
    zdb_env *env = open_env("env");
    void *left = NULL;
    REQUIRE(pthread_join(start_thread(leave_writer, env), &left) == 0);
    zdb_txn *txn;
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0, &txn), ZDB_BUSY);
    CHECK_CONTAINS(zdb_last_error(), "has ended");
    abort_txn((zdb_txn *)left);
    commit(begin_write(env));
    close_env(env);
}

static void note_age(void *context, const zdb_reader *reader) {
    *(uint64_t *)context = reader->open_ns;
}

static void the_list_of_readers_says_how_long_they_have_been_open(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    uint64_t first = 0, second = 0;
    REQUIRE_OK(zdb_reader_list(env, note_age, &first));
    CHECK(first > 0 && first < UINT64_C(3600000000000));
    do {
        REQUIRE_OK(zdb_reader_list(env, note_age, &second));
    } while (second < first + 1000000);
    /* A new snapshot counts anew. */
    REQUIRE_OK(zdb_txn_reset(txn));
    REQUIRE_OK(zdb_txn_renew(txn));
    uint64_t renewed = UINT64_MAX;
    REQUIRE_OK(zdb_reader_list(env, note_age, &renewed));
    CHECK(renewed < UINT64_C(3600000000000));
    abort_txn(txn);
    close_env(env);
}

/* ---------------------------------------------------------- threads that are cancelled */

static void *commit_until_cancelled(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    for (unsigned i = 0;; i++) {
        zdb_txn *txn = begin_at(HERE, env, i % 8 == 0 ? ZDB_DURABILITY_NONE : 0);
        put_text(txn, ZDB_MAIN_DB, "k", "v");
        commit(txn);
        pthread_testcancel();
    }
    return NULL;
}

static void cancel(pthread_t thread) {
    void *result = NULL;
    REQUIRE(pthread_cancel(thread) == 0);
    REQUIRE(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
}

static void a_thread_that_is_cancelled_in_a_call_ends_after_it(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < repetitions(50); i++) {
        pthread_t thread = start_thread(commit_until_cancelled, env);
        struct timespec pause = {0, (long)(i * 137000 % 3000000)};
        nanosleep(&pause, NULL);
        cancel(thread);
        zdb_txn *txn = begin_at(HERE, env, ZDB_NOWAIT);
        put_text(txn, ZDB_MAIN_DB, "own", "v");
        commit(txn);
    }
    /* One that waits for the writer's lock goes on when it has it. */
    zdb_txn *txn = begin_write(env);
    pthread_t thread = start_thread(commit_until_cancelled, env);
    struct timespec pause = {0, 10000000};
    nanosleep(&pause, NULL);
    REQUIRE(pthread_cancel(thread) == 0);
    commit(txn);
    void *result = NULL;
    REQUIRE(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_thread_that_is_cancelled_in_a_call_ends_after_it),
    TEST(closing_beside_any_call_of_other_threads_does_no_harm),
    TEST(closing_leaves_cursors_of_other_environments_alone),
    TEST(closing_waits_for_transactions_to_end),
    TEST(an_environment_that_could_not_be_closed_in_time_works_on),
    TEST(closing_can_end_transactions),
    TEST(ending_transactions_that_are_in_use_does_no_harm),
    TEST(closing_says_that_its_flush_failed),
    TEST(a_writer_can_try_without_waiting),
    TEST(a_writer_waits_no_longer_than_the_options_say),
    TEST(the_process_that_is_waited_for_is_named),
    TEST(transactions_of_ended_threads_are_listed_and_can_be_ended),
    TEST(a_writer_is_told_that_it_waits_for_a_thread_that_has_ended),
    TEST(the_list_of_readers_says_how_long_they_have_been_open),
};
DEFINE_SUITE(closing, tests);
