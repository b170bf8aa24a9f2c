#include "shape.h"

#include <stdlib.h>
#include <string.h>

#include "latency.h"
#include "util.h"

struct shaped_key {
    uint8_t bytes[SHAPE_KEY_MAX];
};

static void key_init(const struct shape *shape, struct shaped_key *key) {
    static const char text[] = "a/prefix/that/many/keys/have/in/common/";
    for (size_t i = 0; i < shape->prefix_size; i++) {
        key->bytes[i] = (uint8_t)text[i % (sizeof text - 1)];
    }
}

static inline struct bytes key_for(const struct shape *shape, struct shaped_key *key,
                                   uint64_t number) {
    struct key random = key_at(number);
    memcpy(key->bytes + shape->prefix_size, random.words, shape->random_size);
    return (struct bytes){key->bytes, shape->prefix_size + shape->random_size};
}

/* Which random byte of the key the last one of the value is; the first is as in workload.h. */
static inline size_t last_place(const struct shape *shape) {
    return shape->random_size > 13 ? 13 : 7;
}

static inline bool matches(const struct shape *shape, const struct bytes *key,
                           const struct bytes *value) {
    const uint8_t *k = (const uint8_t *)key->data + shape->prefix_size;
    const uint8_t *v = value->data;
    return key->size == shape->prefix_size + shape->random_size &&
           value->size == shape->value_size && v[0] == k[5] &&
           v[shape->value_size - 1] == k[last_place(shape)];
}

_Noreturn static void wrong(const struct subject *subject, const struct shape *shape,
                            const char *loop) {
    die("%s: %s, %s: an answer was wrong: an entry is missing, unknown, or has another's value",
        subject->engine->name, shape->name, loop);
}

#define LOOP __attribute__((noinline)) void

LOOP loop_shape_put(struct subject *subject, const struct shape *shape, uint64_t first,
                    uint64_t count, uint64_t batch) {
    static uint8_t value[SHAPE_VALUE_MAX];
    const struct engine *engine = subject->engine;
    struct shaped_key key;
    key_init(shape, &key);
    uint64_t most = engine->txn_puts_max;
    batch = most != 0 && most < batch ? most : batch;
    for (uint64_t done = 0; done < count;) {
        double start = now_ns();
        struct btxn *txn = engine->begin_write(subject->env);
        for (uint64_t i = 0; i < batch && done < count; i++, done++) {
            struct bytes key_view = key_for(shape, &key, first + done);
            const uint8_t *random = key.bytes + shape->prefix_size;
            value[0] = random[5];
            value[shape->value_size - 1] = random[last_place(shape)];
            struct bytes value_view = {value, shape->value_size};
            engine->put(txn, &key_view, &value_view);
        }
        engine->commit(txn);
        if (subject->latencies != NULL) {
            latencies_add(subject->latencies, now_ns() - start);
        }
    }
}

LOOP loop_shape_get(struct subject *subject, const struct shape *shape, uint64_t count) {
    struct shaped_key key;
    key_init(shape, &key);
    uint64_t good = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct bytes key_view = key_for(shape, &key, rng_below(&subject->rng, subject->entries));
        struct bytes value;
        good += subject->engine->get(subject->txn, &key_view, &value) &&
                matches(shape, &key_view, &value);
    }
    if (good != count) {
        wrong(subject, shape, "get");
    }
}

LOOP loop_shape_scan(struct subject *subject, const struct shape *shape, uint64_t count) {
    const struct engine *engine = subject->engine;
    for (uint64_t i = 0; i < count; i++) {
        struct bcursor *cursor = engine->cursor_open(subject->txn);
        struct bytes key = {NULL, 0};
        struct bytes value;
        uint64_t good = 0;
        for (bool more = engine->cursor_move(cursor, STEP_FIRST, &key, &value); more;
             more = engine->cursor_move(cursor, STEP_NEXT, &key, &value)) {
            good += matches(shape, &key, &value);
        }
        engine->cursor_close(cursor);
        if (good != subject->entries) {
            wrong(subject, shape, "scan");
        }
    }
}
