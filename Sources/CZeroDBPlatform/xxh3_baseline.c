/* XXH3 for the instruction set every processor of the platform has, and the choice at run
 * time between it and a wider one. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "pair_hash.h"
#include "xxh3_wide.h"
#include "zdb_platform.h"

#if defined(__x86_64__)
static int has_wide(void) {
    static int known; /* 0: not asked yet, 1: no, 2: yes; a race asks twice, harmlessly */
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (answer == 0) {
        answer = __builtin_cpu_supports("avx2") ? 2 : 1;
        __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer == 2;
}
#endif

uint64_t zp_xxh3_64(const void *data, size_t size, uint64_t seed) {
#if defined(__x86_64__)
    if (has_wide()) return zp_xxh3_64_wide(data, size, seed);
#endif
    return XXH3_64bits_withSeed(data, size, seed);
}

zp_hash128 zp_pair_hash(const void *key, size_t key_size, int reversed, const void *value,
                        size_t value_size) {
#if defined(__x86_64__)
    /* Shorter messages are hashed without wide registers. */
    if (key_size + value_size > PAIR_NARROW && has_wide())
        return zp_pair_hash_wide(key, key_size, reversed, value, value_size);
#endif
    return hash_pair(key, key_size, reversed, value, value_size);
}

zp_hash128 zp_xxh3_128(const void *data, size_t size) {
    XXH128_hash_t hash = XXH3_128bits(data, size);
    return (zp_hash128){hash.low64, hash.high64};
}
