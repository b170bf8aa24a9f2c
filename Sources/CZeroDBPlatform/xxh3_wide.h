#ifndef ZDB_XXH3_WIDE_H
#define ZDB_XXH3_WIDE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
/** XXH3-64 in AVX2 code; the caller has asked the processor first. */
uint64_t zp_xxh3_64_wide(const void *data, size_t size, uint64_t seed);
#endif

#endif
