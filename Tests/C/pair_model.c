#include "pair_model.h"

#include <string.h>

size_t rank_of(const struct pair_model *model, pair_number pair) {
    size_t low = 0, high = model->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (model->pairs[middle] < pair) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool has(const struct pair_model *model, pair_number pair) {
    size_t rank = rank_of(model, pair);
    return rank < model->count && model->pairs[rank] == pair;
}

void model_insert(struct pair_model *model, pair_number pair) {
    size_t rank = rank_of(model, pair);
    REQUIRE(model->count < PAIRS_MAX);
    memmove(model->pairs + rank + 1, model->pairs + rank,
            (model->count - rank) * sizeof(pair_number));
    model->pairs[rank] = pair;
    model->count++;
}

void model_remove(struct pair_model *model, size_t from, size_t to) {
    memmove(model->pairs + from, model->pairs + to, (model->count - to) * sizeof(pair_number));
    model->count -= to - from;
}

size_t first_of_key(const struct pair_model *model, uint32_t key) {
    return rank_of(model, pair_of(key, 0));
}
size_t end_of_key(const struct pair_model *model, uint32_t key) {
    return rank_of(model, pair_of(key + 1, 0));
}

static size_t model_next(const struct pair_model *model, pair_number place, bool forward) {
    size_t rank = rank_of(model, place);
    if (forward) {
        rank += has(model, place);
        return rank < model->count ? rank : SIZE_MAX;
    }
    return rank > 0 ? rank - 1 : SIZE_MAX;
}

static size_t within_key(const struct pair_model *model, size_t rank, uint32_t key) {
    bool inside = rank != SIZE_MAX && key_of(model->pairs[rank]) == key;
    return inside ? rank : SIZE_MAX;
}

size_t model_move(const struct pair_model *model, pair_number place, zdb_cursor_op op) {
    uint32_t key = key_of(place);
    size_t rank;
    switch (op) {
    case ZDB_FIRST:
        return model->count > 0 ? 0 : SIZE_MAX;
    case ZDB_LAST:
        return model->count > 0 ? model->count - 1 : SIZE_MAX;
    case ZDB_NEXT:
        return place == NOWHERE ? model_move(model, place, ZDB_FIRST)
                                : model_next(model, place, true);
    case ZDB_PREV:
        return place == NOWHERE ? model_move(model, place, ZDB_LAST)
                                : model_next(model, place, false);
    case ZDB_NEXT_NODUP:
        if (place == NOWHERE) return model_move(model, place, ZDB_FIRST);
        rank = end_of_key(model, key);
        return rank < model->count ? rank : SIZE_MAX;
    case ZDB_PREV_NODUP:
        if (place == NOWHERE) return model_move(model, place, ZDB_LAST);
        rank = first_of_key(model, key);
        return rank > 0 ? rank - 1 : SIZE_MAX;
    case ZDB_NEXT_DUP:
        return within_key(model, model_next(model, place, true), key);
    case ZDB_PREV_DUP:
        return within_key(model, model_next(model, place, false), key);
    case ZDB_FIRST_DUP:
        return first_of_key(model, key);
    case ZDB_LAST_DUP:
        return end_of_key(model, key) - 1;
    default:
        return rank_of(model, place); /* ZDB_GET_CURRENT */
    }
}
