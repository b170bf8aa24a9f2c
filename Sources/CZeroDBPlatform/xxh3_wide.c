/* XXH3 compiled for AVX2, whatever the compiler's default target is. */
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define XXH_INLINE_ALL
#define XXH_VECTOR 2 /* XXH_AVX2 */
#include <xxhash.h>

#include "pair_hash.h"
#include "xxh3_wide.h"

uint64_t zp_xxh3_64_wide(const void *data, size_t size, uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}

zp_hash128 zp_pair_hash_wide(const void *key, size_t key_size, int reversed, const void *value,
                             size_t value_size) {
    return hash_pair(key, key_size, reversed, value, value_size);
}
#pragma clang attribute pop
#endif
