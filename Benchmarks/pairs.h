/* Pairs of a thousand keys and many values of 8 bytes, and the loops over them.
 *
 * As with the entries of workload.h, a pair is a function of its number. Two bytes of a value are
 * those of its key, which the loops that read compare.
 */
#ifndef BENCH_PAIRS_H
#define BENCH_PAIRS_H

#include "workload.h"

#define PAIR_KEYS 1000
#define PAIR_VALUE_SIZE 8

struct pair {
    struct key key;
    uint8_t value[PAIR_VALUE_SIZE];
};

/** Keys and values of consecutive numbers are in no order. */
struct pair pair_at(uint64_t number);

/* The subject's `entries` are the pairs in its environment, numbered from 0. */

/** Puts the pairs first..<first + count in subject->txn. */
void loop_pair_put(struct subject *subject, uint64_t first, uint64_t count);
/** Reads all pairs one by one, `count` times over, in subject->txn. */
void loop_pair_scan(struct subject *subject, uint64_t count);
/** The same by arrays of values. */
void loop_pair_scan_multiple(struct subject *subject, uint64_t count);
/** Moves a cursor to `count` random pairs, by key and value, in subject->txn. */
void loop_pair_both(struct subject *subject, uint64_t count);
/** Goes from key to key and counts the values of each, `count` times over, in subject->txn. */
void loop_pair_count(struct subject *subject, uint64_t count);

#endif
