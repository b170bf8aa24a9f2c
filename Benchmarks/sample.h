/* What the programs of their own have in common: entries whose keys are scattered, time, failure. */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zerodb.h>

enum { KEY_SIZE = 24, VALUE_SIZE = 150 };

static inline double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static inline void check(int code, const char *what) {
    if (code == ZDB_OK) return;
    fprintf(stderr, "%s: %s\n", what, zdb_last_error());
    exit(1);
}

static inline void make_key(uint64_t number, char key[KEY_SIZE]) {
    uint64_t mixed = number * 0x9e3779b97f4a7c15ull;
    mixed ^= mixed >> 29;
    mixed *= 0xbf58476d1ce4e5b9ull;
    memset(key, 0, KEY_SIZE);
    memcpy(key, &mixed, 8);
    memcpy(key + 8, &number, 8);
}

static inline void put(zdb_txn *txn, uint64_t number) {
    char key[KEY_SIZE], value[VALUE_SIZE];
    make_key(number, key);
    memset(value, (int)(number & 0xff), sizeof value);
    zdb_val k = {.data = key, .size = sizeof key}, v = {.data = value, .size = sizeof value};
    check(zdb_put(txn, ZDB_MAIN_DB, &k, &v, 0), "put");
}

#endif
