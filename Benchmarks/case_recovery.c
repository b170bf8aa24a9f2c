/* Recovery: how long ZeroDB takes to open an environment after a process that had committed some
 * 60 MiB of log since the last checkpoint was killed. */
#include "cases.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zerodb.h>

#define LOG_BYTES_WANTED (UINT64_C(60) << 20)
#define LOG_BYTES_ENOUGH (UINT64_C(56) << 20)
#define LOG_SIZE (UINT64_C(256) << 20) /* no checkpoint because of the log */
#define ROUNDS 3
/* Of the entries, the part whose overwriting pins too little space for a checkpoint. */
#define HOT_PART 8

static void check(int result, const char *call) {
    if (result != ZDB_OK) {
        die("recovery: %s: %s: %s", call, zdb_strerror(result), zdb_last_error());
    }
}

static zdb_info info_of(zdb_env *env) {
    zdb_info info = {.struct_size = sizeof info};
    check(zdb_env_info(env, &info), "zdb_env_info");
    return info;
}

static struct benv *open_for_recovery(const struct config *config, const char *path) {
    struct env_options options = {
        .page_size = config->page_size,
        .max_size = config->max_size,
        .entries_max = config->entries,
        .log_size = LOG_SIZE,
    };
    return engines[ZERODB]->open(path, &options);
}

/* Commits until the log has grown, then dies as by kill -9.
 *  @param hot_numbers  of the entries that are overwritten */
_Noreturn static void commit_and_die(const struct config *config, const char *path,
                                     const uint32_t *hot_numbers, uint64_t batch) {
    struct subject subject = {.engine = engines[ZERODB], .entries = config->entries};
    subject.env = open_for_recovery(config, path);
    zdb_env *env = (zdb_env *)subject.env;
    struct rng rng;
    rng_seed(&rng, 5);
    uint32_t numbers[1000];
    for (uint64_t commits = 0;; commits++) {
        if (commits % 100 == 0 && info_of(env).log_bytes >= LOG_BYTES_WANTED) {
            break;
        }
        for (uint64_t i = 0; i < batch; i++) {
            numbers[i] = hot_numbers[rng_below(&rng, config->entries / HOT_PART)];
        }
        zdb_txn *txn;
        check(zdb_txn_begin(env, NULL, ZDB_DURABILITY_RELAXED, &txn), "zdb_txn_begin");
        subject.txn = (struct btxn *)txn;
        loop_put_numbers(&subject, numbers, batch, false);
        subject.engine->commit(subject.txn);
    }
    check(zdb_env_sync(env), "zdb_env_sync");
    kill(getpid(), SIGKILL);
    abort();
}

static void run_and_kill(const struct config *config, const char *path, const uint32_t *hot_numbers,
                         uint64_t batch) {
    pid_t child = fork();
    if (child < 0) {
        die("cannot fork: %s", strerror(errno));
    }
    if (child == 0) {
        commit_and_die(config, path, hot_numbers, batch);
    }
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            die("cannot wait for the child: %s", strerror(errno));
        }
    }
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        die("recovery: the program that was to be killed ended by itself, status %d", status);
    }
}

static void run(const struct config *config, const char *path, const uint32_t *hot_numbers,
                uint64_t batch, const char *rows[2]) {
    static struct series replay[ENGINES], opening[ENGINES];
    replay[ZERODB].count = opening[ZERODB].count = 0;
    for (uint64_t round = count_or_few(config, ROUNDS, 1); round > 0; round--) {
        run_and_kill(config, path, hot_numbers, batch);
        double start = now_ns();
        struct benv *env = open_for_recovery(config, path);
        double elapsed = now_ns() - start;
        zdb_info info = info_of((zdb_env *)env);
        if (info.recovered_bytes < LOG_BYTES_ENOUGH) {
            die("recovery: only %llu bytes of log were replayed",
                (unsigned long long)info.recovered_bytes);
        }
        series_add(&replay[ZERODB], (double)info.recovery_ns / 1e9);
        series_add(&opening[ZERODB], elapsed / 1e9);
        engines[ZERODB]->close(env);
    }
    report_row(rows[0], replay);
    report_row(rows[1], opening);
}

void case_recovery(const struct config *config) {
    char path[PATH_MAX];
    struct subject subject = {.engine = engines[ZERODB], .entries = config->entries};
    subject.env = open_fresh(config, engines[ZERODB], "recovery", false, path);
    subject.txn = subject.engine->begin_write(subject.env);
    loop_put(&subject, 0, config->entries);
    subject.engine->commit(subject.txn);
    subject.engine->close(subject.env);

    uint32_t *hot_numbers = numbers_in_key_order(config->entries);
    run(config, path, hot_numbers, 1000, (const char *[2]){"recovery.1000", "recovery.1000.open"});
    run(config, path, hot_numbers, 1, (const char *[2]){"recovery.one", "recovery.one.open"});
    free(hot_numbers);
    remove_directory(path);
}
