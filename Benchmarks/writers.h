/* Threads that commit one key each, at the same time. */
#ifndef BENCH_WRITERS_H
#define BENCH_WRITERS_H

#include <pthread.h>
#include <stdatomic.h>

#include "workload.h"

#define WRITERS 8

struct config;

/** Threads that live from writers_start() to writers_stop(). */
struct writers {
    const struct config *config;
    struct subject *subject;
    const char *path; /* of its environment, for engines with one for each thread */
    pthread_t threads[WRITERS];
    pthread_barrier_t start, end;
    atomic_uint_fast64_t next_number; /* of the next new key */
    uint64_t end_number;              /* where they stop */
    bool is_stopping;
};

void writers_start(struct writers *writers, const struct config *config, struct subject *subject,
                   const char *path);
/** Commits so many new keys, one each; counts them in the subject's `entries`. */
void writers_commit(struct writers *writers, uint64_t commits);
void writers_stop(struct writers *writers);

#endif
