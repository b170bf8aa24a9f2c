/* Keys, values and the loops that are timed.
 *
 * Keys are a function of their number: 24 uniform random bytes made by SplitMix64 from a counter,
 * so that asking for key 123456 costs a few multiplications and no cache miss. Values are 150
 * bytes whose first and last byte depend on the key: every loop that reads compares them, which
 * touches the pages and proves that the answer is the right one.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdint.h>

#include "engine.h"

#define KEY_SIZE 24
#define VALUE_SIZE 150

/** Numbers from here on make keys that are never put. */
#define ABSENT_KEYS (UINT64_C(1) << 40)

struct latencies;

/** The state of a xoshiro256** generator. */
struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/** Uniform in 0..<bound; bound is below 2^32. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

struct key {
    uint64_t words[KEY_SIZE / 8];
};

struct key key_at(uint64_t number);

/* The value's bytes that depend on the key. */
static inline uint8_t first_byte(const uint8_t *key) {
    return key[5];
}
static inline uint8_t last_byte(const uint8_t *key) {
    return key[13];
}

static inline bool value_matches(const struct bytes *key, const struct bytes *value) {
    const uint8_t *k = key->data;
    const uint8_t *v = value->data;
    return key->size == KEY_SIZE && value->size == VALUE_SIZE && v[0] == first_byte(k) &&
           v[VALUE_SIZE - 1] == last_byte(k);
}

/** The numbers 0..<entries in the order of their keys. Free with free(). */
uint32_t *numbers_in_key_order(uint64_t entries);

/** The numbers 0..<entries shuffled. Free with free(). */
uint32_t *numbers_shuffled(uint64_t entries, uint64_t seed);

/* The loops. Each does `count` operations and ends the program if an answer is wrong. They are
 * functions of their own, never inlined, so that a profiler can be told to look at one only. */

/** The subject of a loop: one engine, its environment, a source of random numbers. */
struct subject {
    const struct engine *engine;
    struct benv *env;
    struct btxn *txn; /* for the loops that work in one transaction */
    struct rng rng;
    uint64_t entries;            /* keys 0..<entries are in the environment */
    struct latencies *latencies; /* gets the time of each commit of new keys; NULL: none */
};

/** Random gets of existing keys in subject->txn. */
void loop_get(struct subject *subject, uint64_t count);
/** The same, 64 keys a call; of an engine that can. */
void loop_get_many(struct subject *subject, uint64_t count);
/** Random gets of absent keys in subject->txn. */
void loop_miss(struct subject *subject, uint64_t count);
/** Begins a read transaction, gets one existing key, ends it. */
void loop_begin_get(struct subject *subject, uint64_t count);
/** Renews subject->txn, a read transaction that was reset, gets one existing key, resets it. */
void loop_renew_get(struct subject *subject, uint64_t count);
/** Seeks a random key at or after which 10 entries are read, in subject->txn. */
void loop_range(struct subject *subject, uint64_t count);
/** Reads `count` whole databases in subject->txn, forward or backward. */
void loop_scan_forward(struct subject *subject, uint64_t count);
void loop_scan_backward(struct subject *subject, uint64_t count);
/** Forward, 256 entries a call; of an engine that can. */
void loop_scan_many(struct subject *subject, uint64_t count);
/** Ranks of random existing keys in subject->txn; of a counted database. */
void loop_rank(struct subject *subject, uint64_t count);
/** Moves a cursor to random ranks in subject->txn; of a counted database. */
void loop_set_rank(struct subject *subject, uint64_t count);

/** Puts the keys with the numbers first..<first + count in subject->txn. */
void loop_put(struct subject *subject, uint64_t first, uint64_t count);
/** Commits the keys 0..<subject->entries, in as few transactions as the engine can. */
void load_all(struct subject *subject);
/** Puts the keys numbers[0..<count] in subject->txn, with append() if `append`. */
void loop_put_numbers(struct subject *subject, const uint32_t *numbers, uint64_t count,
                      bool append);
/** Commits `count` transactions that put `batch` new keys each, numbered from `first` on. */
void loop_commit_new(struct subject *subject, uint64_t first, uint64_t count, uint64_t batch);
/** Overwrites `count` random existing keys in subject->txn. */
void loop_overwrite(struct subject *subject, uint64_t count);
/** Deletes the keys numbers[0..<count] in subject->txn. */
void loop_delete_numbers(struct subject *subject, const uint32_t *numbers, uint64_t count);
/** Commits `count` transactions that overwrite `batch` random existing keys each. */
void loop_commit_overwrite(struct subject *subject, uint64_t count, uint64_t batch);

#endif
