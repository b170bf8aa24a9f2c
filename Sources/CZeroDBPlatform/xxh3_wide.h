#ifndef ZDB_XXH3_WIDE_H
#define ZDB_XXH3_WIDE_H

#include <stddef.h>
#include <stdint.h>

#include "zdb_platform.h"

#if defined(__x86_64__)
/** XXH3-64 in AVX2 code; the caller has asked the processor first. */
uint64_t zp_xxh3_64_wide(const void *data, size_t size, uint64_t seed);

/** XXH3-128 of a pair, as `zp_pair_hash`. */
zp_hash128 zp_pair_hash_wide(const void *key, size_t key_size, int reversed, const void *value,
                             size_t value_size);
#endif

#endif
