/* Reads by cursors, keys and ranks, of a database with any flags and of its model. */
#include <stdio.h>

#include "model_run.h"

enum { BATCH_KEYS = 20 };

/* -------------------------------------------------------------------- moves */

static bool needs_entry(zdb_cursor_op op) {
    return op == ZDB_GET_CURRENT || op == ZDB_FIRST_DUP || op == ZDB_LAST_DUP;
}

static bool is_of_values(zdb_cursor_op op) {
    return op == ZDB_FIRST_DUP || op == ZDB_LAST_DUP || op == ZDB_NEXT_DUP || op == ZDB_PREV_DUP;
}

void run_move(struct model_run *run, unsigned c, zdb_cursor_op op) {
    char doing[40];
    snprintf(doing, sizeof(doing), "operation %d", (int)op);
    run->doing = doing;
    pair_number place = run->places[c];
    bool is_on = place != NOWHERE && has(run->model, place);
    zdb_val key = nothing(), value = nothing();
    int code = zdb_cursor_get(run->cursors[c], &key, &value, op);
    if (is_of_values(op) && !run_has_duplicates(run)) {
        run_expect_code(run, code, ZDB_INCOMPATIBLE);
    } else if ((needs_entry(op) && !is_on) || (is_of_values(op) && place == NOWHERE)) {
        run_expect_code(run, code, ZDB_BAD_CURSOR);
    } else {
        size_t rank = model_move(run->model, place, op);
        run_expect_code(run, code, rank == SIZE_MAX ? ZDB_NOT_FOUND : ZDB_OK);
        if (rank == SIZE_MAX) {
            if (op == ZDB_FIRST || op == ZDB_LAST) run->places[c] = NOWHERE;
            return;
        }
        run->places[c] = run->model->pairs[rank];
        run_expect_key(run, key, run->places[c]);
        run_expect_value(run, value, run->places[c]);
    }
}

void run_seek(struct model_run *run, unsigned c) {
    static const zdb_cursor_op ops[] = {ZDB_SET, ZDB_SET_KEY, ZDB_SET_RANGE, ZDB_GET_BOTH,
                                        ZDB_GET_BOTH_RANGE};
    zdb_cursor_op op = ops[run_random_below(run, run_has_duplicates(run) ? 5 : 3)];
    run->doing = "seek";
    pair_number pair =
        pair_of(run_random_below(run, run->keys * KEY_STEP), run_random_below(run, run->values));
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val key = encoded_key(key_bytes, run->flags, key_of(pair));
    zdb_val value = encoded_value(value_bytes, run->flags, value_of(pair));
    size_t rank =
        rank_of(run->model,
                op == ZDB_GET_BOTH || op == ZDB_GET_BOTH_RANGE ? pair : pair_of(key_of(pair), 0));
    bool there = rank < run->model->count;
    if (op == ZDB_GET_BOTH) {
        there = has(run->model, pair);
    } else if (op != ZDB_SET_RANGE) {
        there = there && key_of(run->model->pairs[rank]) == key_of(pair);
    }
    run_expect_code(run, zdb_cursor_get(run->cursors[c], &key, &value, op),
                    there ? ZDB_OK : ZDB_NOT_FOUND);
    run->places[c] = there ? run->model->pairs[rank] : NOWHERE;
    if (!there) return;
    run_expect_key(run, key, run->places[c]);
    run_expect_value(run, value, run->places[c]);
}

/* The values that a MULTIPLE operation returns are those from `rank` on, or up to it. */
static void expect_array(struct model_run *run, zdb_val array, size_t rank, bool forward,
                         unsigned c) {
    char buffer[NUMBER_BYTES];
    size_t size = encoded_value(buffer, run->flags, 0).size, count = array.size / size;
    uint32_t key = key_of(run->model->pairs[rank]);
    size_t first = forward ? rank : rank + 1 - count;
    if (array.size % size != 0 || count == 0 || first < first_of_key(run->model, key) ||
        first + count > end_of_key(run->model, key)) {
        run_differs(run, "the size of the array");
    }
    for (size_t i = 0; i < count; i++) {
        zdb_val value = bytes((const char *)array.data + i * size, size);
        run_expect_value(run, value, run->model->pairs[first + i]);
    }
    run->places[c] = run->model->pairs[forward ? first + count - 1 : first];
}

void run_get_multiple(struct model_run *run, unsigned c) {
    static const zdb_cursor_op ops[] = {ZDB_GET_MULTIPLE, ZDB_NEXT_MULTIPLE};
    zdb_cursor_op op = ops[run_random_below(run, 2)];
    run->doing = op == ZDB_GET_MULTIPLE ? "get multiple" : "next multiple";
    pair_number place = run->places[c];
    zdb_val key = nothing(), value = nothing();
    int code = zdb_cursor_get(run->cursors[c], &key, &value, op);
    if ((run->flags & ZDB_DUPFIXED) == 0) {
        run_expect_code(run, code, ZDB_INCOMPATIBLE);
        return;
    }
    if (place == NOWHERE || (op == ZDB_GET_MULTIPLE && !has(run->model, place))) {
        run_expect_code(run, code, ZDB_BAD_CURSOR);
        return;
    }
    size_t rank = op == ZDB_GET_MULTIPLE ? rank_of(run->model, place)
                                         : model_move(run->model, place, ZDB_NEXT_DUP);
    run_expect_code(run, code, rank == SIZE_MAX ? ZDB_NOT_FOUND : ZDB_OK);
    if (rank == SIZE_MAX) return;
    expect_array(run, value, rank, true, c);
    run_expect_key(run, key, run->places[c]);
}

/* Only the library knows where the page before ends. The array must hold values before the
 * current one, one after the other, with the cursor on the first of them. */
void run_get_multiple_before(struct model_run *run, unsigned c) {
    if ((run->flags & ZDB_DUPFIXED) == 0) return;
    run->doing = "multiple before";
    pair_number place = run->places[c];
    zdb_val key = nothing(), array = nothing();
    int code = zdb_cursor_get(run->cursors[c], &key, &array, ZDB_PREV_MULTIPLE);
    if (place == NOWHERE || !has(run->model, place)) {
        run_expect_code(run, code, ZDB_BAD_CURSOR);
        return;
    }
    size_t first = first_of_key(run->model, key_of(place)), rank = rank_of(run->model, place);
    if (rank == first || code != ZDB_OK) {
        run_expect_code(run, code, ZDB_NOT_FOUND);
        return;
    }
    char buffer[NUMBER_BYTES];
    size_t size = encoded_value(buffer, run->flags, 0).size;
    zdb_val last = bytes((const char *)array.data + array.size - size, size);
    while (rank > first && !same_bytes(last, encoded_value(buffer, run->flags,
                                                        value_of(run->model->pairs[rank - 1])))) {
        rank--;
    }
    if (rank == first) run_differs(run, "the last value of the array");
    expect_array(run, array, rank - 1, false, c);
    run_expect_key(run, key, run->places[c]);
}

enum { CAPACITY = 50 };

/* Reads many entries in one direction and expects those of the model. */
static void run_many(struct model_run *run, unsigned c, int forward) {
    run->doing = forward ? "next many" : "prev many";
    zdb_val keys[CAPACITY], values[CAPACITY];
    size_t count = 99, capacity = 1 + run_random_below(run, CAPACITY);
    size_t rank = model_move(run->model, run->places[c], forward ? ZDB_NEXT : ZDB_PREV);
    int code = (forward ? zdb_cursor_next_many : zdb_cursor_prev_many)(run->cursors[c], keys, values,
                                                                       capacity, &count);
    run_expect_code(run, code, rank == SIZE_MAX ? ZDB_NOT_FOUND : ZDB_OK);
    size_t left = rank == SIZE_MAX ? 0 : forward ? run->model->count - rank : rank + 1;
    if (count != (left < capacity ? left : capacity)) run_differs(run, "the number of entries");
    for (size_t i = 0; i < count; i++) {
        run->places[c] = run->model->pairs[forward ? rank + i : rank - i];
        run_expect_key(run, keys[i], run->places[c]);
        run_expect_value(run, values[i], run->places[c]);
    }
}

void run_next_many(struct model_run *run, unsigned c) { run_many(run, c, 1); }

void run_prev_many(struct model_run *run, unsigned c) { run_many(run, c, 0); }

/* -------------------------------------------------------- counts and ranks */

void run_count_values(struct model_run *run, unsigned c) {
    run->doing = "count";
    pair_number place = run->places[c];
    bool is_on = place != NOWHERE && has(run->model, place);
    uint64_t count = UINT64_MAX;
    run_expect_code(run, zdb_cursor_count(run->cursors[c], &count),
                    !run_has_duplicates(run) ? ZDB_INCOMPATIBLE
                    : is_on                  ? ZDB_OK
                                             : ZDB_BAD_CURSOR);
    if (!run_has_duplicates(run) || !is_on) return;
    uint32_t key = key_of(place);
    if (count != end_of_key(run->model, key) - first_of_key(run->model, key)) {
        run_differs(run, "the count");
    }
}

void run_rank_of_cursor(struct model_run *run, unsigned c) {
    run->doing = "rank of a cursor";
    pair_number place = run->places[c];
    bool is_on = place != NOWHERE && has(run->model, place);
    bool counted = (run->flags & ZDB_COUNTED) != 0;
    uint64_t rank = UINT64_MAX;
    run_expect_code(run, zdb_cursor_rank(run->cursors[c], &rank),
                    !counted ? ZDB_INCOMPATIBLE
                    : is_on  ? ZDB_OK
                             : ZDB_BAD_CURSOR);
    if (counted && is_on && rank != rank_of(run->model, place)) run_differs(run, "the rank");
}

void run_set_rank(struct model_run *run, unsigned c) {
    run->doing = "move to a rank";
    uint64_t rank = run_random_below(run, (unsigned)run->model->count + 3);
    bool there = rank < run->model->count;
    zdb_val key = nothing(), value = nothing();
    int code = zdb_cursor_set_rank(run->cursors[c], rank, &key, &value);
    if ((run->flags & ZDB_COUNTED) == 0) {
        run_expect_code(run, code, ZDB_INCOMPATIBLE);
        return;
    }
    run_expect_code(run, code, there ? ZDB_OK : ZDB_NOT_FOUND);
    run->places[c] = there ? run->model->pairs[rank] : NOWHERE;
    if (!there) return;
    run_expect_key(run, key, run->places[c]);
    run_expect_value(run, value, run->places[c]);
}

void run_rank_of_key(struct model_run *run) {
    run->doing = "rank of a key";
    uint32_t number = run_random_below(run, run->keys * KEY_STEP + 1);
    char key_bytes[NUMBER_BYTES];
    zdb_val key = encoded_key(key_bytes, run->flags, number);
    uint64_t rank = UINT64_MAX;
    int code = zdb_rank(run->txn, run->db, &key, &rank);
    if ((run->flags & ZDB_COUNTED) == 0) {
        run_expect_code(run, code, ZDB_INCOMPATIBLE);
        return;
    }
    size_t first = first_of_key(run->model, number);
    run_expect_code(run, code, end_of_key(run->model, number) > first ? ZDB_OK : ZDB_NOT_FOUND);
    if (rank != first) run_differs(run, "the rank");
}

void run_count_range(struct model_run *run) {
    run->doing = "count of a range";
    uint32_t low = run_random_below(run, run->keys * KEY_STEP),
             high = run_random_below(run, run->keys * KEY_STEP);
    char low_bytes[NUMBER_BYTES], high_bytes[NUMBER_BYTES];
    zdb_val from = encoded_key(low_bytes, run->flags, low),
            to = encoded_key(high_bytes, run->flags, high);
    size_t first = first_of_key(run->model, low), end = first_of_key(run->model, high);
    uint64_t count = UINT64_MAX;
    run_expect_code(run, zdb_count_range(run->txn, run->db, &from, &to, &count), ZDB_OK);
    if (count != (end > first ? end - first : 0)) run_differs(run, "the count");
}

void run_get_many(struct model_run *run) {
    run->doing = "get of many";
    char key_bytes[BATCH_KEYS][NUMBER_BYTES];
    zdb_val keys[BATCH_KEYS], values[BATCH_KEYS];
    uint32_t numbers[BATCH_KEYS];
    size_t found = 99, expected = 0, count = run_random_below(run, BATCH_KEYS + 1);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = run_random_below(run, run->keys * KEY_STEP);
        keys[i] = encoded_key(key_bytes[i], run->flags, numbers[i]);
    }
    run_expect_code(run, zdb_get_many(run->txn, run->db, keys, values, count, &found), ZDB_OK);
    for (size_t i = 0; i < count; i++) {
        size_t first = first_of_key(run->model, numbers[i]);
        bool there = end_of_key(run->model, numbers[i]) > first;
        expected += there;
        if (there != (values[i].data != NULL)) run_differs(run, "which keys are there");
        if (there) run_expect_value(run, values[i], run->model->pairs[first]);
    }
    if (found != expected) run_differs(run, "the number of keys there");
}

void run_check_statistics(struct model_run *run) {
    run->doing = "the statistics";
    zdb_db_stat stat;
    get_stat(run->txn, run->db, &stat);
    uint64_t keys = 0;
    for (size_t i = 0; i < run->model->count; i++) {
        keys += i == 0 || key_of(run->model->pairs[i]) != key_of(run->model->pairs[i - 1]);
    }
    if (stat.entries != run->model->count) run_differs(run, "the number of entries");
    if (stat.keys != keys) run_differs(run, "the number of keys");
    if (stat.flags != run->flags) run_differs(run, "what the database is");
}
