/* What making the file shorter costs the commits beside it, and how many commits it takes: loads a database,
 * deletes most of it at random, then goes on with small durable commits, and prints their times beside the
 * size of the file.
 *
 *     shrink <directory> <percent> [megabytes [seconds]]
 *
 * percent is auto_compact_percent, 0 to leave the file as it is. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sample.h"

enum { BATCH = 2000, KEPT_PERCENT = 5, COMMITS_MAX = 1000000 };

static uint64_t state = 88172645463325252ull;

static uint64_t random_number(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static bool is_kept(uint64_t number) {
    uint64_t mixed = (number ^ 0x5bd1e995) * 0xff51afd7ed558ccdull;
    return (mixed >> 33) % 100 < KEPT_PERCENT;
}

static zdb_txn *begin(zdb_env *env, uint32_t flags) {
    zdb_txn *txn = NULL;
    check(zdb_txn_begin(env, NULL, flags, &txn), "begin");
    return txn;
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Sorts them. */
static void print_times(const char *what, double *times, uint32_t count) {
    if (count == 0) return;
    qsort(times, count, sizeof *times, by_value);
    printf("%s: %u commits: p50 %.0f us, p99 %.0f us, p99.9 %.0f us, maximum %.1f ms\n", what, count,
           times[count / 2] * 1e6, times[count - 1 - count / 100] * 1e6,
           times[count - 1 - count / 1000] * 1e6, times[count - 1] * 1e3);
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    uint64_t megabytes = count > 3 ? strtoull(arguments[3], NULL, 10) : 1024;
    double seconds = count > 4 ? strtod(arguments[4], NULL) : 20;
    uint64_t entries = (megabytes << 20) / (KEY_SIZE + VALUE_SIZE);
    zdb_env_options options;
    check(zdb_env_options_init(&options), "options");
    options.max_txn_pages = 0;
    options.auto_compact_percent = 0;
    zdb_env *env = NULL;
    check(zdb_env_open(arguments[1], &options, &env), "open");
    for (uint64_t first = 0; first < entries; first += BATCH) {
        zdb_txn *txn = begin(env, ZDB_DURABILITY_NONE);
        for (uint64_t i = first; i < first + BATCH && i < entries; i++) put(txn, i);
        check(zdb_txn_commit(txn), "commit");
    }
    uint64_t live = 0;
    for (uint64_t first = 0; first < entries; first += BATCH) {
        zdb_txn *txn = begin(env, ZDB_DURABILITY_NONE);
        for (uint64_t i = first; i < first + BATCH && i < entries; i++) {
            if (is_kept(i)) {
                live += KEY_SIZE + VALUE_SIZE;
                continue;
            }
            char key[KEY_SIZE];
            make_key(i, key);
            zdb_val k = {.data = key, .size = sizeof key};
            check(zdb_del(txn, ZDB_MAIN_DB, &k, NULL), "delete");
        }
        check(zdb_txn_commit(txn), "commit");
    }
    check(zdb_env_close(env), "close");
    options.auto_compact_percent = (uint32_t)strtoul(arguments[2], NULL, 10);
    check(zdb_env_open(arguments[1], &options, &env), "open");
    zdb_info info = {.struct_size = sizeof info};
    check(zdb_env_info(env, &info), "info");
    printf("loaded %.1f MiB of keys and values, file %.1f MiB, %.1f MiB live\n",
           (double)entries * (KEY_SIZE + VALUE_SIZE) / 1048576, (double)info.file_size / 1048576,
           (double)live / 1048576);

    static double times[COMMITS_MAX];
    uint32_t commits = 0, until_small = 0;
    double begun = now();
    while (commits < COMMITS_MAX && now() - begun < seconds) {
        uint64_t number = random_number() % entries;
        while (!is_kept(number)) number = (number + 1) % entries;
        double start = now();
        zdb_txn *txn = begin(env, 0);
        put(txn, number);
        check(zdb_txn_commit(txn), "commit");
        times[commits++] = now() - start;
        if (commits % 64 == 0 && until_small == 0) {
            check(zdb_env_info(env, &info), "info");
            if (info.file_size < live * 3 / 2) {
                until_small = commits;
                printf("file below 1.5 times the live data after %u commits, %.1f s\n", commits,
                       now() - begun);
            }
        }
    }
    check(zdb_env_info(env, &info), "info");
    print_times("until then", times, until_small);
    print_times("behind that", times + until_small, commits - until_small);
    print_times("all", times, commits);
    printf("file %.1f MiB, %.2f times the live data\n", (double)info.file_size / 1048576,
           (double)info.file_size / (double)live);
    check(zdb_env_verify(env, NULL, NULL), "verify");
    check(zdb_env_close(env), "close");
    return 0;
}
