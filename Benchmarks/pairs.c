#include "pairs.h"

#include <string.h>

#include "util.h"

/* Far from the numbers that make the keys of pairs. */
#define PAIR_NUMBERS (UINT64_C(1) << 41)

/* Of a key and of a value: the bytes that belong together. */
#define KEY_MARKS 5, 13
#define VALUE_MARKS 3, 6

static const size_t key_marks[2] = {KEY_MARKS};
static const size_t value_marks[2] = {VALUE_MARKS};

struct pair pair_at(uint64_t number) {
    struct key scrambled = key_at(PAIR_NUMBERS + number);
    struct pair pair;
    pair.key = key_at((scrambled.words[0] >> 32) * PAIR_KEYS >> 32);
    memcpy(pair.value, &scrambled.words[1], sizeof pair.value);
    const uint8_t *key = (const uint8_t *)pair.key.words;
    for (int i = 0; i < 2; i++) {
        pair.value[value_marks[i]] = key[key_marks[i]];
    }
    return pair;
}

static inline bool belongs(const struct bytes *key, const uint8_t *value) {
    const uint8_t *k = key->data;
    return k[key_marks[0]] == value[value_marks[0]] && k[key_marks[1]] == value[value_marks[1]];
}

static inline bool pair_matches(const struct bytes *key, const struct bytes *value) {
    return key->size == KEY_SIZE && value->size == PAIR_VALUE_SIZE && belongs(key, value->data);
}

_Noreturn static void wrong(const struct subject *subject, const char *loop) {
    die("%s: %s: an answer was wrong: a pair is missing, unknown, or has another's value",
        subject->engine->name, loop);
}

#define LOOP __attribute__((noinline)) void

LOOP loop_pair_put(struct subject *subject, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        struct pair pair = pair_at(first + i);
        struct bytes key = {pair.key.words, KEY_SIZE};
        struct bytes value = {pair.value, PAIR_VALUE_SIZE};
        subject->engine->put(subject->txn, &key, &value);
    }
}

static inline void scan(struct subject *subject) {
    const struct engine *engine = subject->engine;
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    struct bytes key = {NULL, 0};
    struct bytes value;
    uint64_t good = 0;
    for (bool more = engine->cursor_move(cursor, STEP_FIRST, &key, &value); more;
         more = engine->cursor_move(cursor, STEP_NEXT, &key, &value)) {
        good += pair_matches(&key, &value);
    }
    engine->cursor_close(cursor);
    if (good != subject->entries) {
        wrong(subject, "scan of pairs");
    }
}

LOOP loop_pair_scan(struct subject *subject, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        scan(subject);
    }
}

/* The values of an array if its first and its last belong to the key, otherwise 0. */
static inline uint64_t good_values(const struct bytes *key, const struct bytes *array) {
    if (array->size < PAIR_VALUE_SIZE || array->size % PAIR_VALUE_SIZE != 0) {
        return 0;
    }
    const uint8_t *first = array->data;
    const uint8_t *last = first + array->size - PAIR_VALUE_SIZE;
    return belongs(key, first) && belongs(key, last) ? array->size / PAIR_VALUE_SIZE : 0;
}

static inline void scan_multiple(struct subject *subject) {
    const struct engine *engine = subject->engine;
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    struct bytes key = {NULL, 0};
    struct bytes unused_key = {NULL, 0};
    struct bytes value;
    uint64_t good = 0;
    for (bool more = engine->cursor_move(cursor, STEP_FIRST, &key, &value); more;
         more = engine->cursor_move(cursor, STEP_NEXT_KEY, &key, &value)) {
        /* Some engines return the key with an array and own the memory: keep a copy. */
        struct key copy;
        memcpy(copy.words, key.data, KEY_SIZE);
        struct bytes kept = {copy.words, KEY_SIZE};
        for (bool arrays = engine->cursor_move(cursor, STEP_MULTIPLE, &unused_key, &value); arrays;
             arrays = engine->cursor_move(cursor, STEP_NEXT_MULTIPLE, &unused_key, &value)) {
            good += good_values(&kept, &value);
        }
    }
    engine->cursor_close(cursor);
    if (good != subject->entries) {
        wrong(subject, "scan of pairs by arrays");
    }
}

LOOP loop_pair_scan_multiple(struct subject *subject, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        scan_multiple(subject);
    }
}

LOOP loop_pair_both(struct subject *subject, uint64_t count) {
    const struct engine *engine = subject->engine;
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    uint64_t good = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct pair pair = pair_at(rng_below(&subject->rng, subject->entries));
        struct bytes key = {pair.key.words, KEY_SIZE};
        struct bytes value = {pair.value, PAIR_VALUE_SIZE};
        good += engine->cursor_move(cursor, STEP_BOTH, &key, &value) &&
                value.size == PAIR_VALUE_SIZE &&
                memcmp(value.data, pair.value, PAIR_VALUE_SIZE) == 0;
    }
    engine->cursor_close(cursor);
    if (good != count) {
        wrong(subject, "get of pairs");
    }
}

LOOP loop_pair_count(struct subject *subject, uint64_t count) {
    const struct engine *engine = subject->engine;
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    struct bytes key = {NULL, 0};
    struct bytes value;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t pairs = 0;
        for (bool more = engine->cursor_move(cursor, STEP_FIRST, &key, &value); more;
             more = engine->cursor_move(cursor, STEP_NEXT_KEY, &key, &value)) {
            pairs += engine->cursor_count(cursor);
        }
        if (pairs != subject->entries) {
            wrong(subject, "count of each key's values");
        }
    }
    engine->cursor_close(cursor);
}
