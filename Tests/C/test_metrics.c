/* Metrics: what programs have done, counted over threads, processes, and processes that are killed. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "killed.h"
#include "lock_file.h"
#include "partner.h"
#include "suites.h"
#include "support.h"
#include "system_calls.h"

enum { PROCESSES = 3, THREADS = 3, ROUNDS = 40 };

static uint64_t metric(zdb_env *env, const char *name) {
    double value = -1;
    REQUIRE_OK(zdb_env_metric(env, name, &value));
    REQUIRE(value >= 0 && value == (double)(uint64_t)value);
    return (uint64_t)value;
}

static uint64_t errors_of(zdb_env *env, const char *kind) {
    char name[128];
    snprintf(name, sizeof(name), "zerodb_errors_total{kind=\"%s\"}", kind);
    return metric(env, name);
}

static uint64_t hits_of(zdb_env *env, const char *limit) {
    char name[128];
    snprintf(name, sizeof(name), "zerodb_limits_hit_total{limit=\"%s\"}", limit);
    return metric(env, name);
}

/* A round: a write transaction of three puts and a delete, one that is aborted, and a read
 * transaction of two gets, one of which finds nothing, and three moves of a cursor. */
static void do_round(zdb_env *env, unsigned number) {
    char key_text[KEY_BYTES];
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < 3; i++) {
        numbered(key_text, "key", number * 3 + i);
        put_text(txn, ZDB_MAIN_DB, key_text, "value");
    }
    delete_text(txn, ZDB_MAIN_DB, key_text);
    commit(txn);
    txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "aborted", "value");
    abort_txn(txn);
    txn = begin_read(env);
    expect_absent(txn, ZDB_MAIN_DB, key_text);
    numbered(key_text, "key", number * 3);
    expect_text(txn, ZDB_MAIN_DB, key_text, "value");
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key, value;
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_FIRST));
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_NEXT));
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_LAST));
    close_cursor(cursor);
    abort_txn(txn);
}

static void expect_rounds(zdb_env *env, uint64_t rounds) {
    CHECK_NUMBER(metric(env, "zerodb_operations_total{operation=\"put\"}"), rounds * 4);
    CHECK_NUMBER(metric(env, "zerodb_operations_total{operation=\"delete\"}"), rounds);
    CHECK_NUMBER(metric(env, "zerodb_operations_total{operation=\"get\"}"), rounds * 2);
    CHECK_NUMBER(metric(env, "zerodb_operations_total{operation=\"cursor\"}"), rounds * 3);
    CHECK_NUMBER(metric(env, "zerodb_operations_total"), rounds * 10);
    CHECK_NUMBER(metric(env, "zerodb_absent_gets_total"), rounds);
    CHECK_NUMBER(metric(env, "zerodb_write_transactions_committed_total{durability=\"full\"}"),
                 rounds);
    CHECK_NUMBER(metric(env, "zerodb_write_transactions_aborted_total"), rounds);
    CHECK_NUMBER(metric(env, "zerodb_read_transaction_seconds"), rounds);
    CHECK_NUMBER(metric(env, "zerodb_write_transaction_seconds"), rounds * 2);
    CHECK_NUMBER(metric(env, "zerodb_commit_flush_seconds"), rounds);
    CHECK_NUMBER(metric(env, "zerodb_log_records_total"), rounds);
}

/* ------------------------------------------------------------------ processes */

struct share {
    zdb_env *env;
    unsigned number;
};

static void *work(void *argument) {
    struct share *own = (struct share *)argument;
    for (unsigned i = 0; i < repetitions(ROUNDS); i++) {
        do_round(own->env, own->number * ROUNDS + i);
    }
    return NULL;
}

static void work_on_threads(zdb_env *env, unsigned process) {
    struct share shares[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        shares[i].env = env;
        shares[i].number = process * THREADS + i;
        threads[i] = start_thread(work, &shares[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) join_thread(threads[i]);
}

static void work_and_close(void *argument) {
    zdb_env *env = open_env("env");
    work_on_threads(env, *(const unsigned *)argument);
    close_env(env);
}

static void metrics_agree_with_what_threads_of_many_processes_did(void) {
    zdb_env *env = open_env("env");
    pid_t processes[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++) processes[i] = start_process(work_and_close, &i);
    work_on_threads(env, PROCESSES);
    for (unsigned i = 0; i < PROCESSES; i++) finish_process(processes[i]);
    expect_rounds(env, (PROCESSES + 1) * THREADS * repetitions(ROUNDS));
    close_env(env);
}

static void work_and_die(void *argument) {
    zdb_env *env = open_env_to_leave("env");
    work_on_threads(env, *(const unsigned *)argument);
    /* What is under way has not happened yet. */
    begin_read(env);
    put_text(begin_write(env), ZDB_MAIN_DB, "lost", "value");
    die();
}

static void what_killed_processes_did_stays_counted(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < PROCESSES; i++) run_until_killed(work_and_die, &i);
    work_on_threads(env, PROCESSES);
    expect_rounds(env, (PROCESSES + 1) * THREADS * repetitions(ROUNDS));
    REQUIRE_OK(zdb_reader_check(env, NULL));
    CHECK_NUMBER(metric(env, "zerodb_readers"), 0);
    CHECK_NUMBER(metric(env, "zerodb_readers_reaped_total"), PROCESSES);
    close_env(env);
}

static void counts_outlive_all_processes_and_a_recovery(void) {
    for (unsigned i = 0; i < PROCESSES; i++) {
        run_until_killed(work_and_die, &i);
        zdb_env *env = open_env("env");
        expect_rounds(env, (i + 1) * THREADS * repetitions(ROUNDS));
        CHECK_NUMBER(metric(env, "zerodb_recoveries_total"), i + 1);
        CHECK_NUMBER(metric(env, "zerodb_recovery_seconds"), i + 1);
        close_env(env);
    }
}

/* A child that is killed at any moment leaves counts that are whole: each is what it was before or
 * after something that was done. */
static void commit_until_killed(struct partner *partner) {
    zdb_env *env = open_env_to_leave("env");
    partner_wait(partner);
    partner_done(partner);
    for (unsigned i = 0;; i++) do_round(env, i);
}

static void a_process_killed_at_any_moment_leaves_counts_that_fit(void) {
    zdb_env *env = open_env("env");
    uint64_t state = 77;
    for (unsigned i = 0; i < repetitions(20); i++) {
        struct partner partner;
        start_partner(&partner, commit_until_killed, NULL);
        let_partner_step(&partner);
        struct timespec pause = {0, (long)(next_random(&state) % 20000000)};
        nanosleep(&pause, NULL);
        kill_partner(&partner);
    }
    zdb_txn *txn = begin_write(env);
    uint64_t committed = zdb_txn_id(txn) - 1;
    abort_txn(txn);
    uint64_t counted = metric(env, "zerodb_write_transactions_committed_total{durability=\"full\"}");
    CHECK(counted <= committed);
    CHECK(counted + repetitions(20) >= committed);
    uint64_t puts = metric(env, "zerodb_operations_total{operation=\"put\"}");
    uint64_t aborted = metric(env, "zerodb_write_transactions_aborted_total");
    uint64_t expected = counted * 3 + aborted;
    CHECK(puts + repetitions(20) * 3 >= expected && puts <= expected + repetitions(20) * 3);
    close_env(env);
}

/* --------------------------------------------------------------------- errors */

static void errors_are_counted_by_kind(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_txn_pages = 10;
    options.max_readers = 2;
    zdb_env *env = open_env_with("env", &options);
    zdb_val empty = nothing(), key = text("key"), value = text("value");
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &empty, &value, 0), ZDB_BAD_VALSIZE);
    }
    CHECK_ERROR(zdb_put(txn, 99, &key, &value, 0), ZDB_BAD_DB);
    CHECK_ERROR(zdb_get(txn, ZDB_MAIN_DB, &key, &value), ZDB_NOT_FOUND);
    value = text("value");
    abort_txn(txn);
    zdb_txn *first = begin_read(env), *second = begin_read(env), *third = NULL;
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_RDONLY, &third), ZDB_READERS_FULL);
    CHECK_ERROR(zdb_put(first, ZDB_MAIN_DB, &key, &value, 0), ZDB_READ_ONLY);
    abort_txn(first);
    abort_txn(second);
    CHECK_NUMBER(errors_of(env, "badValueSize"), 3);
    CHECK_NUMBER(errors_of(env, "badDatabase"), 1);
    CHECK_NUMBER(errors_of(env, "readersFull"), 1);
    CHECK_NUMBER(errors_of(env, "readOnly"), 1);
    CHECK_NUMBER(metric(env, "zerodb_errors_total"), 6);
    CHECK_NUMBER(hits_of(env, "max_readers"), 1);
    CHECK_NUMBER(metric(env, "zerodb_limits_hit_total"), 1);
    close_env(env);
}

static void the_limit_on_transactions_is_counted(void) {
    if (tests_run_slowly()) return;
    zdb_env *env = open_env("env");
    zdb_limits limits;
    limits.struct_size = sizeof(limits);
    REQUIRE_OK(zdb_env_limits(env, &limits));
    zdb_txn **txns = (zdb_txn **)calloc(limits.transactions, sizeof(*txns));
    REQUIRE(txns != NULL);
    /* The reader table has no more slots than a process has transactions; a writer makes one more. */
    txns[0] = begin_write(env);
    unsigned open = 1;
    while (open < limits.transactions) {
        REQUIRE_OK(zdb_txn_begin(env, NULL, ZDB_RDONLY, &txns[open]));
        open++;
    }
    zdb_txn *more = NULL;
    CHECK_NUMBER(metric(env, "zerodb_limits_hit_total"), 0);
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_RDONLY, &more), ZDB_READERS_FULL);
    CHECK_NUMBER(hits_of(env, "transactions"), 1);
    for (unsigned i = 0; i < open; i++) abort_txn(txns[i]);
    free(txns);
    close_env(env);
}

static void the_limit_on_cursors_is_counted(void) {
    if (tests_run_slowly()) return;
    zdb_env *env = open_env("env");
    zdb_limits limits;
    limits.struct_size = sizeof(limits);
    REQUIRE_OK(zdb_env_limits(env, &limits));
    zdb_cursor **cursors = (zdb_cursor **)calloc(limits.cursors, sizeof(*cursors));
    REQUIRE(cursors != NULL);
    zdb_txn *txn = begin_read(env);
    for (uint64_t i = 0; i < limits.cursors; i++) {
        REQUIRE_OK(zdb_cursor_open(txn, ZDB_MAIN_DB, &cursors[i]));
    }
    CHECK_NUMBER(metric(env, "zerodb_limits_hit_total"), 0);
    zdb_cursor *more = NULL;
    CHECK_ERROR(zdb_cursor_open(txn, ZDB_MAIN_DB, &more), ZDB_BUSY);
    CHECK(more == NULL);
    CHECK_NUMBER(hits_of(env, "cursors"), 1);
    CHECK_NUMBER(errors_of(env, "busy"), 1);
    close_cursor(cursors[limits.cursors / 2]);
    cursors[limits.cursors / 2] = open_cursor(txn, ZDB_MAIN_DB);
    CHECK_NUMBER(hits_of(env, "cursors"), 1);
    for (uint64_t i = 0; i < limits.cursors; i++) close_cursor(cursors[i]);
    abort_txn(txn);
    free(cursors);
    close_env(env);
}

/* Files that an environment has open. */
enum { FILES_OF_ENVIRONMENT = 3 };

static void the_limit_on_environments_is_counted(void) {
    if (tests_run_slowly()) return;
    struct rlimit files;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &files) == 0);
    skip_flushes(true);
    zdb_env_options options;
    default_options(&options);
    options.max_size = MIB;
    options.threads = ZDB_THREADS_NONE;
    zdb_env *first = open_env_with("env", &options), *env = NULL;
    zdb_limits limits;
    limits.struct_size = sizeof(limits);
    REQUIRE_OK(zdb_env_limits(first, &limits));
    if (files.rlim_cur < limits.environments * FILES_OF_ENVIRONMENT + 32) {
        close_env(first);
        return;
    }
    zdb_env **envs = (zdb_env **)calloc(limits.environments, sizeof(*envs));
    REQUIRE(envs != NULL);
    envs[0] = first;
    for (unsigned i = 1; i < limits.environments; i++) {
        char path[KEY_BYTES];
        numbered(path, "env", i);
        envs[i] = open_env_with(path, &options);
    }
    CHECK_NUMBER(metric(first, "zerodb_limits_hit_total"), 0);
    CHECK_ERROR(zdb_env_open("more", &options, &env), ZDB_BUSY);
    CHECK(env == NULL);
    CHECK_CONTAINS(zdb_last_error(), "4096 environments");
    /* There is room for the one that was refused, which has counted it. */
    close_env(envs[limits.environments / 2]);
    envs[limits.environments / 2] = open_env_with("more", &options);
    CHECK_NUMBER(hits_of(envs[limits.environments / 2], "environments"), 1);
    CHECK_NUMBER(errors_of(envs[limits.environments / 2], "busy"), 1);
    CHECK_NUMBER(metric(first, "zerodb_limits_hit_total"), 0);
    for (unsigned i = 0; i < limits.environments; i++) close_env(envs[i]);
    free(envs);
}

/* The byte of lock.zdb that the first of the processes with the environment open has locked. */
enum { FIRST_PROCESS = 4096 };

static void open_one_too_many(void *argument) {
    zdb_env *env = NULL;
    CHECK_CODE(zdb_env_open("env", NULL, &env), *(const int *)argument);
    if (env != NULL) close_env(env);
}

/* Locks of this process stand for those of others. */
static void lock_processes(int descriptor, short type, unsigned first, unsigned count) {
    struct flock lock = lock_of_bytes(type, FIRST_PROCESS + (off_t)first, (off_t)count);
    REQUIRE(fcntl(descriptor, F_SETLK, &lock) == 0);
}

static void the_limit_on_processes_is_counted(void) {
    zdb_env *env = open_env("env");
    zdb_limits limits;
    limits.struct_size = sizeof(limits);
    REQUIRE_OK(zdb_env_limits(env, &limits));
    int descriptor = open("env/lock.zdb", O_RDWR);
    REQUIRE(descriptor >= 0);
    const int refused = ZDB_READERS_FULL, fine = ZDB_OK;
    /* This process has the first entry. */
    lock_processes(descriptor, F_WRLCK, 1, (unsigned)limits.processes - 2);
    run_in_process(open_one_too_many, (void *)(uintptr_t)&fine);
    CHECK_NUMBER(hits_of(env, "processes"), 0);
    lock_processes(descriptor, F_WRLCK, (unsigned)limits.processes - 1, 1);
    run_in_process(open_one_too_many, (void *)(uintptr_t)&refused);
    CHECK_NUMBER(hits_of(env, "processes"), 1);
    lock_processes(descriptor, F_UNLCK, 1, (unsigned)limits.processes - 1);
    REQUIRE(close(descriptor) == 0);
    close_env(env);
}

static void hold_writer(struct partner *partner) {
    zdb_env *env = open_env("env");
    partner_wait(partner);
    zdb_txn *txn = begin_write(env);
    partner_done(partner);
    partner_wait(partner);
    abort_txn(txn);
    partner_done(partner);
    close_env(env);
}

static void a_wait_for_a_writer_of_another_process_is_counted(void) {
    zdb_env_options options;
    default_options(&options);
    options.writer_wait_ms = 20;
    zdb_env *env = open_env_with("env", &options);
    struct partner partner;
    start_partner(&partner, hold_writer, NULL);
    let_partner_step(&partner);
    zdb_txn *txn = NULL;
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0, &txn), ZDB_BUSY);
    CHECK_NUMBER(hits_of(env, "writer_wait_ms"), 1);
    /* A call that does not want to wait has met no limit. */
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_NOWAIT, &txn), ZDB_BUSY);
    CHECK_NUMBER(hits_of(env, "writer_wait_ms"), 1);
    let_partner_step(&partner);
    abort_txn(begin_write(env));
    CHECK_NUMBER(metric(env, "zerodb_limits_hit_total"), 1);
    finish_partner(&partner);
    close_env(env);
}

/* ------------------------------------------------------------------ interface */

struct listing {
    unsigned count;
    char names[64][64];
    unsigned name_count;
};

static void list(void *context, const zdb_metric *metric) {
    struct listing *found = (struct listing *)context;
    found->count++;
    CHECK(strncmp(metric->name, "zerodb_", 7) == 0);
    CHECK(strlen(metric->help) > 3);
    CHECK((metric->label == NULL) == (metric->label_value == NULL));
    CHECK((metric->kind == ZDB_METRIC_HISTOGRAM) == (metric->bucket_count > 0));
    CHECK((metric->buckets != NULL) == (metric->bucket_count > 0));
    for (uint32_t i = 1; i < metric->bucket_count; i++) {
        CHECK(metric->buckets[i - 1].bound < metric->buckets[i].bound);
        CHECK(metric->buckets[i - 1].count <= metric->buckets[i].count);
    }
    if (metric->bucket_count > 0) CHECK(isinf(metric->buckets[metric->bucket_count - 1].bound));
    if (found->name_count > 0 && strcmp(found->names[found->name_count - 1], metric->name) == 0) {
        return;
    }
    for (unsigned i = 0; i < found->name_count; i++) {
        CHECK(strcmp(found->names[i], metric->name) != 0);
    }
    REQUIRE(found->name_count < 64);
    snprintf(found->names[found->name_count++], 64, "%s", metric->name);
}

static void metrics_of_a_name_follow_one_another(void) {
    zdb_env *env = open_env("env");
    do_round(env, 0);
    struct listing found;
    memset(&found, 0, sizeof(found));
    REQUIRE_OK(zdb_env_metrics(env, list, &found));
    CHECK(found.count > found.name_count && found.name_count > 40);
    CHECK_ERROR(zdb_env_metrics(env, NULL, NULL), ZDB_BAD_ARGUMENT);
    double value;
    CHECK_ERROR(zdb_env_metric(env, "zerodb_nothing", &value), ZDB_NOT_FOUND);
    CHECK_ERROR(zdb_env_metric(env, NULL, &value), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_env_metric(env, "zerodb_readers", NULL), ZDB_BAD_ARGUMENT);
    close_env(env);
}

static void limits_are_those_of_the_options(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_txn_pages = 123;
    options.max_readers = 456;
    options.writer_wait_ms = 789;
    zdb_env *env = open_env_with("env", &options);
    zdb_limits limits;
    memset(&limits, 0, sizeof(limits));
    CHECK_ERROR(zdb_env_limits(env, &limits), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_env_limits(env, NULL), ZDB_BAD_ARGUMENT);
    limits.struct_size = sizeof(limits);
    REQUIRE_OK(zdb_env_limits(env, &limits));
    CHECK_NUMBER(limits.max_txn_pages, 123);
    CHECK_NUMBER(limits.max_readers, 456);
    CHECK_NUMBER(limits.writer_wait_ms, 789);
    CHECK_NUMBER(limits.key_size, zdb_env_max_key_size(env));
    CHECK_NUMBER(limits.processes, 1024);
    CHECK_NUMBER(limits.nesting, 64);
    close_env(env);
}

/* --------------------------------------------------------------------- events */

struct heard {
    unsigned levels[4];
    char last[1024];
};

static void hear(void *context, uint32_t level, const char *message) {
    struct heard *heard = (struct heard *)context;
    REQUIRE(level < 4);
    heard->levels[level]++;
    snprintf(heard->last, sizeof(heard->last), "%s", message);
}

static void debug_events_tell_of_checkpoints_and_refusals(void) {
    struct heard heard;
    memset(&heard, 0, sizeof(heard));
    zdb_env_options options;
    default_options(&options);
    options.threads = ZDB_THREADS_NONE;
    options.log = hear;
    options.log_context = &heard;
    for (unsigned level = 0; level < 2; level++) {
        options.log_level = level == 0 ? ZDB_LOG_INFORMATION : ZDB_LOG_DEBUG;
        zdb_env *env = open_env_with("env", &options);
        do_round(env, level);
        REQUIRE_OK(zdb_env_checkpoint(env));
        if (level == 0) CHECK_NUMBER(heard.levels[ZDB_LOG_DEBUG], 0);
        if (level == 1) CHECK_CONTAINS(heard.last, "checkpoint");
        close_env(env);
    }
    CHECK(heard.levels[ZDB_LOG_DEBUG] >= 1);
    options.log_level = 4;
    zdb_env *env = NULL;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BAD_ARGUMENT);
}

static void slow_transactions_are_told_of_with_where_the_time_went(void) {
    struct heard heard;
    memset(&heard, 0, sizeof(heard));
    zdb_env_options options;
    default_options(&options);
    options.threads = ZDB_THREADS_NONE;
    options.log = hear;
    options.log_context = &heard;
    options.slow_txn_ms = 30;
    zdb_env *env = open_env_with("env", &options);
    const struct timespec pause = {0, 40000000};
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "key", "value");
    nanosleep(&pause, NULL);
    commit(txn);
    CHECK_NUMBER(heard.levels[ZDB_LOG_WARNING], 1);
    CHECK_CONTAINS(heard.last, "slow write transaction 2: ");
    double wait = -1, work = -1;
    const char *parts = strstr(heard.last, "of which");
    REQUIRE(parts != NULL && sscanf(parts, "of which wait %lf, work %lf", &wait, &work) == 2);
    CHECK(wait >= 0 && work >= 40);
    CHECK_CONTAINS(heard.last, "1 puts");
    CHECK_CONTAINS(heard.last, "committed");
    /* The first thread of a process has its id. */
    char place[64];
    snprintf(place, sizeof(place), "process %d, thread %d;", (int)getpid(), (int)getpid());
    CHECK_CONTAINS(heard.last, place);
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "key", "value");
    nanosleep(&pause, NULL);
    abort_txn(txn);
    CHECK_NUMBER(heard.levels[ZDB_LOG_WARNING], 2);
    CHECK_CONTAINS(heard.last, "slow read transaction on 2: ");
    CHECK_CONTAINS(heard.last, "1 gets");
    close_env(env);
}

static const struct test tests[] = {
    TEST(metrics_agree_with_what_threads_of_many_processes_did),
    TEST(what_killed_processes_did_stays_counted),
    TEST(counts_outlive_all_processes_and_a_recovery),
    TEST(a_process_killed_at_any_moment_leaves_counts_that_fit),
    TEST(errors_are_counted_by_kind),
    TEST(the_limit_on_transactions_is_counted),
    TEST(the_limit_on_cursors_is_counted),
    TEST(the_limit_on_environments_is_counted),
    TEST(the_limit_on_processes_is_counted),
    TEST(a_wait_for_a_writer_of_another_process_is_counted),
    TEST(metrics_of_a_name_follow_one_another),
    TEST(limits_are_those_of_the_options),
    TEST(debug_events_tell_of_checkpoints_and_refusals),
    TEST(slow_transactions_are_told_of_with_where_the_time_went),
};

DEFINE_SUITE(metrics, tests);
