/* A sorted list of pairs of key and value, and where a cursor's moves end in it. */
#ifndef PAIR_MODEL_H
#define PAIR_MODEL_H

#include "check.h"

enum { PAIRS_MAX = 1 << 14 };

/** A pair is a number: key, then value. */
typedef uint64_t pair_number;

#define NOWHERE UINT64_MAX

struct pair_model {
    pair_number pairs[PAIRS_MAX];
    size_t count;
};

static inline pair_number pair_of(uint32_t key, uint32_t value) {
    return (pair_number)key << 32 | value;
}
static inline uint32_t key_of(pair_number pair) {
    return (uint32_t)(pair >> 32);
}
static inline uint32_t value_of(pair_number pair) {
    return (uint32_t)pair;
}

/** How many pairs come before this one, which may be there or not. */
size_t rank_of(const struct pair_model *model, pair_number pair);
bool has(const struct pair_model *model, pair_number pair);
void model_insert(struct pair_model *model, pair_number pair);
/** Removes the pairs of ranks from..<to. */
void model_remove(struct pair_model *model, size_t from, size_t to);
/** The ranks of a key's pairs are first_of_key()..<end_of_key(). */
size_t first_of_key(const struct pair_model *model, uint32_t key);
size_t end_of_key(const struct pair_model *model, uint32_t key);

/** Where a move ends that needs no key.
 *  @param place  the cursor's: a pair, there or not, or NOWHERE
 *  @return a rank; SIZE_MAX for ZDB_NOT_FOUND */
size_t model_move(const struct pair_model *model, pair_number place, zdb_cursor_op op);

#endif /* PAIR_MODEL_H */
