/* The loops over calls that only some engines have. */
#include "workload.h"

#include <math.h>

#include "util.h"

#define KEYS_A_CALL 64
#define ENTRIES_A_CALL 256

_Noreturn static void wrong(const struct subject *subject, const char *loop) {
    die("%s: %s: an answer was wrong: an entry is missing, unknown, or elsewhere than it should be",
        subject->engine->name, loop);
}

#define LOOP __attribute__((noinline)) void

LOOP loop_get_many(struct subject *subject, uint64_t count) {
    const struct engine *engine = subject->engine;
    struct key keys[KEYS_A_CALL];
    struct bytes key_views[KEYS_A_CALL];
    struct bytes values[KEYS_A_CALL];
    uint64_t good = 0;
    for (uint64_t i = 0; i < KEYS_A_CALL; i++) {
        key_views[i] = (struct bytes){keys[i].words, KEY_SIZE};
    }
    for (uint64_t done = 0; done < count; done += KEYS_A_CALL) {
        uint64_t batch = count - done < KEYS_A_CALL ? count - done : KEYS_A_CALL;
        for (uint64_t i = 0; i < batch; i++) {
            keys[i] = key_at(rng_below(&subject->rng, subject->entries));
        }
        engine->get_many(subject->txn, key_views, values, batch);
        for (uint64_t i = 0; i < batch; i++) {
            good += values[i].data != NULL && value_matches(&key_views[i], &values[i]);
        }
    }
    if (good != count) {
        wrong(subject, "get of many");
    }
}

static inline void scan_many(struct subject *subject) {
    const struct engine *engine = subject->engine;
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    struct bytes keys[ENTRIES_A_CALL];
    struct bytes values[ENTRIES_A_CALL];
    uint64_t good = 0;
    for (size_t batch;
         (batch = engine->cursor_next_many(cursor, keys, values, ENTRIES_A_CALL)) > 0;) {
        for (size_t i = 0; i < batch; i++) {
            good += value_matches(&keys[i], &values[i]);
        }
    }
    engine->cursor_close(cursor);
    if (good != subject->entries) {
        wrong(subject, "scan of many");
    }
}

LOOP loop_scan_many(struct subject *subject, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        scan_many(subject);
    }
}

/* Whether a rank is about what a uniform random key must have: within five times 1 / sqrt(n) of its
 * place among all keys (by the inequality of Dvoretzky, Kiefer and Wolfowitz). Costs no memory
 * access, unlike a table of the right ranks. */
static inline bool rank_is_plausible(const struct bytes *key, uint64_t rank, uint64_t entries) {
    const uint8_t *k = key->data;
    double place = (double)((uint32_t)k[0] << 24 | (uint32_t)k[1] << 16 | (uint32_t)k[2] << 8 |
                            (uint32_t)k[3]) /
                   0x1p32;
    return fabs((double)rank - place * (double)entries) <= 5 * sqrt((double)entries);
}

LOOP loop_rank(struct subject *subject, uint64_t count) {
    uint64_t good = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct key key = key_at(rng_below(&subject->rng, subject->entries));
        struct bytes key_view = {key.words, KEY_SIZE};
        uint64_t rank = subject->engine->rank(subject->txn, &key_view);
        good += rank_is_plausible(&key_view, rank, subject->entries);
    }
    if (good != count) {
        wrong(subject, "rank");
    }
}

LOOP loop_set_rank(struct subject *subject, uint64_t count) {
    const struct engine *engine = subject->engine;
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    uint64_t good = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t rank = rng_below(&subject->rng, subject->entries);
        struct bytes key, value;
        engine->cursor_set_rank(cursor, rank, &key, &value);
        good += value_matches(&key, &value) && rank_is_plausible(&key, rank, subject->entries);
    }
    engine->cursor_close(cursor);
    if (good != count) {
        wrong(subject, "entry by rank");
    }
}
