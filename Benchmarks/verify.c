/* How fast zdb_env_verify() reads a database from the page cache: loads one with random keys, then
 * verifies it on each level with one thread and with two, a few times.
 *
 *     verify <directory> [megabytes [rounds]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"

enum { BATCH = 20000 };

static void load(zdb_env *env, uint64_t entries) {
    for (uint64_t number = 0; number < entries;) {
        zdb_txn *txn;
        check(zdb_txn_begin(env, NULL, ZDB_DURABILITY_NONE, &txn), "begin");
        for (int i = 0; i < BATCH && number < entries; i++) put(txn, number++);
        check(zdb_txn_commit(txn), "commit");
    }
    check(zdb_env_checkpoint(env), "checkpoint");
}

static void measure(zdb_env *env, uint32_t level, uint32_t threads, int rounds) {
    static const char *const names[] = {"", "headers", "trees", "everything"};
    zdb_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    check(zdb_env_info(env, &info), "info");
    zdb_verify_options options = {
        .struct_size = sizeof options, .level = level, .threads = threads};
    zdb_verify_report report = {.struct_size = sizeof report};
    double best = 1e9;
    for (int round = 0; round < rounds; round++) {
        double begun = now();
        check(zdb_env_verify(env, &options, &report), "verify");
        double seconds = now() - begun;
        if (seconds < best) best = seconds;
    }
    uint64_t pages = report.tree_pages + report.overflow_pages;
    printf("%-10s %u thread%s: %.3f s, %.2f GB/s of %llu pages\n", names[level], threads,
           threads == 1 ? " " : "s", best, (double)pages * info.page_size / best / 1e9,
           (unsigned long long)pages);
}

int main(int count, char **arguments) {
    if (count < 2) {
        fprintf(stderr, "verify <directory> [megabytes [rounds]]\n");
        return 2;
    }
    uint64_t megabytes = count > 2 ? strtoull(arguments[2], NULL, 10) : 1024;
    int rounds = count > 3 ? atoi(arguments[3]) : 3;
    zdb_env_options options;
    check(zdb_env_options_init(&options), "options");
    options.max_txn_pages = 0;
    zdb_env *env;
    check(zdb_env_open(arguments[1], &options, &env), "open");
    load(env, megabytes * 1048576 / (KEY_SIZE + VALUE_SIZE + 50));
    for (uint32_t level = ZDB_VERIFY_HEADERS; level <= ZDB_VERIFY_FULL; level++) {
        for (uint32_t threads = 1; threads <= 2; threads++) {
            measure(env, level, threads, rounds);
        }
    }
    check(zdb_env_close(env), "close");
    return 0;
}
