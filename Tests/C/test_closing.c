/* Closing an environment beside calls of other threads: each call either ends first or returns
 * ZDB_BAD_HANDLE, and what the close itself reports is true. */
#include <stdlib.h>
#include <unistd.h>

#include "calls.h"
#include "suites.h"
#include "support.h"

/* One of the functions that threads call while the environment is closed and opened. */
struct racing_call {
    const char *name;
    int (*call)(zdb_env *env);
};

static int call_info(zdb_env *env) {
    zdb_info info;
    info.struct_size = sizeof(info);
    return zdb_env_info(env, &info);
}

static int call_verify(zdb_env *env) {
    return zdb_env_verify(env, NULL, NULL, NULL);
}

static void ignore_reader(void *context, const zdb_reader *reader) {
    (void)context, (void)reader;
}

static int call_reader_list(zdb_env *env) {
    return zdb_reader_list(env, ignore_reader, NULL);
}

static int call_reader_check(zdb_env *env) {
    return zdb_reader_check(env, NULL);
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

static const struct racing_call racing_calls[] = {
    {"zdb_env_info", call_info},
    {"zdb_env_sync", zdb_env_sync},
    {"zdb_env_checkpoint", zdb_env_checkpoint},
    {"zdb_env_verify", call_verify},
    {"zdb_reader_list", call_reader_list},
    {"zdb_reader_check", call_reader_check},
    {"zdb_env_max_key_size", call_max_key_size},
    {"zdb_txn_begin, to read", read_something},
    {"zdb_txn_begin, to write", write_something},
    {"zdb_env_close", zdb_env_close},
};
enum { RACING_CALLS = sizeof(racing_calls) / sizeof(racing_calls[0]), RACING_THREADS = 3 };

/* What the threads share: the environment's handle changes with each opening. */
struct race {
    const struct racing_call *call;
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

static void race_with_close(const struct racing_call *call) {
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

static const struct test tests[] = {
    TEST(closing_beside_any_call_of_other_threads_does_no_harm),
    TEST(closing_leaves_cursors_of_other_environments_alone),
};
DEFINE_SUITE(closing, tests);
