#include "workload.h"

#include <stdlib.h>
#include <string.h>

#include "latency.h"
#include "util.h"

#define KEY_SEED UINT64_C(0x5a65726f44420001)
#define GOLDEN_GAMMA UINT64_C(0x9e3779b97f4a7c15)
#define RANGE_ENTRIES 10

/* Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014). */
static inline uint64_t splitmix64(uint64_t counter) {
    uint64_t z = counter * GOLDEN_GAMMA;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void rng_seed(struct rng *rng, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        rng->s[i] = splitmix64(seed * 4 + (uint64_t)i + 1);
    }
}

static inline uint64_t rotate_left(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

/* Blackman, Vigna: xoshiro256** 1.0. */
uint64_t rng_next(struct rng *rng) {
    uint64_t *s = rng->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound) {
    return ((rng_next(rng) >> 32) * bound) >> 32;
}

struct key key_at(uint64_t number) {
    uint64_t counter = KEY_SEED + number * 3;
    return (struct key){{splitmix64(counter), splitmix64(counter + 1), splitmix64(counter + 2)}};
}

static inline struct bytes key_bytes(const struct key *key) {
    return (struct bytes){key->words, KEY_SIZE};
}

struct value {
    uint8_t bytes[VALUE_SIZE];
};

static void value_init(struct value *value) {
    struct rng rng;
    rng_seed(&rng, 150);
    for (size_t i = 0; i < VALUE_SIZE; i++) {
        value->bytes[i] = (uint8_t)rng_next(&rng);
    }
}

static inline struct bytes value_for(struct value *value, const struct key *key, uint64_t salt) {
    const uint8_t *k = (const uint8_t *)key->words;
    memcpy(value->bytes + 64, &salt, sizeof salt);
    value->bytes[0] = first_byte(k);
    value->bytes[VALUE_SIZE - 1] = last_byte(k);
    return (struct bytes){value->bytes, VALUE_SIZE};
}

struct numbered_key {
    struct key key;
    uint32_t number;
};

static int compare_keys(const void *a, const void *b) {
    return memcmp(a, b, KEY_SIZE);
}

uint32_t *numbers_in_key_order(uint64_t entries) {
    struct numbered_key *keys = allocate(entries * sizeof *keys);
    uint32_t *numbers = allocate(entries * sizeof *numbers);
    for (uint64_t i = 0; i < entries; i++) {
        keys[i] = (struct numbered_key){key_at(i), (uint32_t)i};
    }
    qsort(keys, entries, sizeof *keys, compare_keys);
    for (uint64_t i = 0; i < entries; i++) {
        numbers[i] = keys[i].number;
    }
    free(keys);
    return numbers;
}

uint32_t *numbers_shuffled(uint64_t entries, uint64_t seed) {
    uint32_t *numbers = allocate(entries * sizeof *numbers);
    struct rng rng;
    rng_seed(&rng, seed);
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t j = rng_below(&rng, i + 1);
        numbers[i] = numbers[j];
        numbers[j] = (uint32_t)i;
    }
    return numbers;
}

_Noreturn static void wrong(const struct subject *subject, const char *loop) {
    die("%s: %s: an answer was wrong: an entry is missing, unknown, or has another's value",
        subject->engine->name, loop);
}

static inline bool get_one(const struct engine *engine, struct btxn *txn, struct rng *rng,
                           uint64_t entries) {
    struct key key = key_at(rng_below(rng, entries));
    struct bytes key_view = key_bytes(&key);
    struct bytes value;
    return engine->get(txn, &key_view, &value) && value_matches(&key_view, &value);
}

#define LOOP __attribute__((noinline)) void

LOOP loop_get(struct subject *subject, uint64_t count) {
    uint64_t good = 0;
    for (uint64_t i = 0; i < count; i++) {
        good += get_one(subject->engine, subject->txn, &subject->rng, subject->entries);
    }
    if (good != count) {
        wrong(subject, "get");
    }
}

LOOP loop_miss(struct subject *subject, uint64_t count) {
    uint64_t hits = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct key key = key_at(ABSENT_KEYS + rng_below(&subject->rng, UINT32_MAX));
        struct bytes key_view = key_bytes(&key);
        struct bytes value;
        hits += subject->engine->get(subject->txn, &key_view, &value);
    }
    if (hits != 0) {
        wrong(subject, "get of absent keys");
    }
}

LOOP loop_begin_get(struct subject *subject, uint64_t count) {
    const struct engine *engine = subject->engine;
    uint64_t good = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct btxn *txn = engine->begin_read(subject->env);
        good += get_one(engine, txn, &subject->rng, subject->entries);
        engine->abort(txn);
    }
    if (good != count) {
        wrong(subject, "begin + get + end");
    }
}

LOOP loop_renew_get(struct subject *subject, uint64_t count) {
    const struct engine *engine = subject->engine;
    uint64_t good = 0;
    for (uint64_t i = 0; i < count; i++) {
        engine->renew(subject->txn);
        good += get_one(engine, subject->txn, &subject->rng, subject->entries);
        engine->reset(subject->txn);
    }
    if (good != count) {
        wrong(subject, "renew + get + reset");
    }
}

LOOP loop_range(struct subject *subject, uint64_t count) {
    const struct engine *engine = subject->engine;
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    uint64_t bad = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct key key = key_at(ABSENT_KEYS + rng_below(&subject->rng, UINT32_MAX));
        struct bytes key_view = key_bytes(&key);
        struct bytes value;
        enum step step = STEP_SEEK;
        for (int j = 0; j < RANGE_ENTRIES; j++) {
            if (!engine->cursor_move(cursor, step, &key_view, &value)) {
                break; /* the last keys have fewer behind them */
            }
            bad += !value_matches(&key_view, &value);
            step = STEP_NEXT;
        }
    }
    engine->cursor_close(cursor);
    if (bad != 0) {
        wrong(subject, "range");
    }
}

static inline void scan(struct subject *subject, enum step start, enum step onward) {
    const struct engine *engine = subject->engine;
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    struct bytes key = {NULL, 0};
    struct bytes value;
    uint64_t good = 0;
    for (bool more = engine->cursor_move(cursor, start, &key, &value); more;
         more = engine->cursor_move(cursor, onward, &key, &value)) {
        good += value_matches(&key, &value);
    }
    engine->cursor_close(cursor);
    if (good != subject->entries) {
        wrong(subject, "scan");
    }
}

LOOP loop_scan_forward(struct subject *subject, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        scan(subject, STEP_FIRST, STEP_NEXT);
    }
}

LOOP loop_scan_backward(struct subject *subject, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        scan(subject, STEP_LAST, STEP_PREV);
    }
}

static inline void put_one(const struct engine *engine, struct btxn *txn, struct value *value,
                           uint64_t number, uint64_t salt, bool append) {
    struct key key = key_at(number);
    struct bytes key_view = key_bytes(&key);
    struct bytes value_view = value_for(value, &key, salt);
    if (append) {
        engine->append(txn, &key_view, &value_view);
    } else {
        engine->put(txn, &key_view, &value_view);
    }
}

LOOP loop_put(struct subject *subject, uint64_t first, uint64_t count) {
    struct value value;
    value_init(&value);
    for (uint64_t i = 0; i < count; i++) {
        put_one(subject->engine, subject->txn, &value, first + i, 0, false);
    }
}

void load_all(struct subject *subject) {
    uint64_t most = subject->engine->txn_puts_max;
    uint64_t batch = most == 0 ? subject->entries : most;
    for (uint64_t first = 0; first < subject->entries; first += batch) {
        uint64_t left = subject->entries - first;
        subject->txn = subject->engine->begin_write(subject->env);
        loop_put(subject, first, left < batch ? left : batch);
        subject->engine->commit(subject->txn);
    }
    subject->txn = NULL;
}

LOOP loop_put_numbers(struct subject *subject, const uint32_t *numbers, uint64_t count,
                      bool append) {
    struct value value;
    value_init(&value);
    for (uint64_t i = 0; i < count; i++) {
        put_one(subject->engine, subject->txn, &value, numbers[i], 0, append);
    }
}

/* In all values that are written over others, so that a run of the profiling driver does not find its own
 * values of the run before: libmdbx writes nothing where the value is the same. */
static uint64_t run_salt;

__attribute__((constructor)) static void choose_run_salt(void) {
    run_salt = (uint64_t)now_ns();
}

static inline void overwrite(struct subject *subject, struct btxn *txn, struct value *value,
                             uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint64_t salt = rng_next(&subject->rng) ^ run_salt;
        uint64_t number = rng_below(&subject->rng, subject->entries);
        put_one(subject->engine, txn, value, number, salt, false);
    }
}

LOOP loop_overwrite(struct subject *subject, uint64_t count) {
    struct value value;
    value_init(&value);
    overwrite(subject, subject->txn, &value, count);
}

LOOP loop_delete_numbers(struct subject *subject, const uint32_t *numbers, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        struct key key = key_at(numbers[i]);
        struct bytes key_view = key_bytes(&key);
        subject->engine->del(subject->txn, &key_view);
    }
}

LOOP loop_commit_new(struct subject *subject, uint64_t first, uint64_t count, uint64_t batch) {
    struct value value;
    value_init(&value);
    for (uint64_t i = 0; i < count; i++) {
        double start = now_ns();
        struct btxn *txn = subject->engine->begin_write(subject->env);
        for (uint64_t j = 0; j < batch; j++) {
            put_one(subject->engine, txn, &value, first + i * batch + j, 0, false);
        }
        subject->engine->commit(txn);
        if (subject->latencies != NULL) {
            latencies_add(subject->latencies, now_ns() - start);
        }
    }
}

LOOP loop_commit_overwrite(struct subject *subject, uint64_t count, uint64_t batch) {
    struct value value;
    value_init(&value);
    for (uint64_t i = 0; i < count; i++) {
        struct btxn *txn = subject->engine->begin_write(subject->env);
        overwrite(subject, txn, &value, batch);
        subject->engine->commit(txn);
    }
}
