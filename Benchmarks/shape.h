/* Entries of other sizes than those of workload.h, and the loops over them.
 *
 * Keys are a prefix that all have in common and random bytes made from a number. As elsewhere the first
 * and the last byte of a value are bytes of its key, and each loop that reads compares them.
 */
#ifndef BENCH_SHAPE_H
#define BENCH_SHAPE_H

#include "workload.h"

#define SHAPE_KEY_MAX 256
#define SHAPE_VALUE_MAX ((size_t)1 << 20)

struct shape {
    const char *name; /* the start of the names of its rows */
    size_t prefix_size;
    size_t random_size; /* 8 to KEY_SIZE */
    size_t value_size;  /* 2 to SHAPE_VALUE_MAX */
};

/* Of each function: keys are numbered as in workload.h, and the subject's `entries` are numbered
 * from 0. */

/** Puts the keys first..<first + count, in transactions of `batch` puts (less where the engine takes
 *  less), and commits them. */
void loop_shape_put(struct subject *subject, const struct shape *shape, uint64_t first,
                    uint64_t count, uint64_t batch);
/** Random gets of existing keys in subject->txn. */
void loop_shape_get(struct subject *subject, const struct shape *shape, uint64_t count);
/** Reads all entries in subject->txn, `count` times over. */
void loop_shape_scan(struct subject *subject, const struct shape *shape, uint64_t count);

#endif
