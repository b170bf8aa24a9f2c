/* Numbers that are the same on every machine for a seed: xorshift64*, seeded by splitmix64. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t mix(uint64_t number) {
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

static inline struct random random_of(uint64_t seed) {
    struct random random = {mix(seed) | 1};
    return random;
}

static inline uint64_t draw(struct random *random) {
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * 0x2545f4914f6cdd1du;
}

/** 0 to limit - 1. */
static inline unsigned below(struct random *random, unsigned limit) {
    return (unsigned)((draw(random) >> 32) * limit >> 32);
}

/** low to high, both included. */
static inline unsigned between(struct random *random, unsigned low, unsigned high) {
    return low + below(random, high - low + 1);
}

/** True once in so many times. */
static inline bool once_in(struct random *random, unsigned times) {
    return below(random, times) == 0;
}

static inline bool percent(struct random *random, unsigned chance) {
    return below(random, 100) < chance;
}

#endif /* RANDOM_H */
