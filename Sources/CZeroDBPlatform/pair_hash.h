#ifndef ZDB_PAIR_HASH_H
#define ZDB_PAIR_HASH_H

/* XXH3-128 of a pair of key and value: of the length of the key (4 bytes, little-endian), the key
 * and the value. Included behind <xxhash.h>, once for each instruction set. */
#include <string.h>

#include "zdb_platform.h"

/* Key and value up to which all of a message counts as short to XXH3, its length included. */
#define PAIR_NARROW (240 - 4)
/* Messages up to this are put together and hashed at once, longer ones piece by piece. */
#define PAIR_WHOLE 1024

static inline void pair_copy_key(unsigned char *place, const unsigned char *key, size_t size,
                                 int reversed) {
    if (!reversed) {
        memcpy(place, key, size);
        return;
    }
    for (size_t index = 0; index < size; index++) place[index] = key[size - 1 - index];
}

static inline zp_hash128 pair_result(XXH128_hash_t hash) {
    return (zp_hash128){hash.low64, hash.high64};
}

static zp_hash128 hash_pair_in_pieces(const unsigned char *key, size_t key_size, int reversed,
                                      const void *value, size_t value_size) {
    XXH3_state_t state;
    unsigned char piece[PAIR_WHOLE];
    uint32_t length = (uint32_t)key_size;
    XXH3_128bits_reset(&state);
    memcpy(piece, &length, sizeof length);
    XXH3_128bits_update(&state, piece, sizeof length);
    for (size_t done = 0; done < key_size;) {
        size_t count = key_size - done < sizeof piece ? key_size - done : sizeof piece;
        const unsigned char *from = reversed ? key + (key_size - done - count) : key + done;
        pair_copy_key(piece, from, count, reversed);
        XXH3_128bits_update(&state, piece, count);
        done += count;
    }
    if (value_size > 0) XXH3_128bits_update(&state, value, value_size);
    return pair_result(XXH3_128bits_digest(&state));
}

static inline zp_hash128 hash_pair(const void *key, size_t key_size, int reversed,
                                   const void *value, size_t value_size) {
    unsigned char message[PAIR_WHOLE];
    uint32_t length = (uint32_t)key_size;
    if (value_size > sizeof message - sizeof length ||
        key_size > sizeof message - sizeof length - value_size)
        return hash_pair_in_pieces(key, key_size, reversed, value, value_size);
    memcpy(message, &length, sizeof length);
    if (key_size > 0) pair_copy_key(message + sizeof length, key, key_size, reversed);
    if (value_size > 0) memcpy(message + sizeof length + key_size, value, value_size);
    return pair_result(XXH3_128bits(message, sizeof length + key_size + value_size));
}

#endif
