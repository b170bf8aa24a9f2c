/* Writes to a database with any flags and to its model. */
#include "model_run.h"

/* Puts a pair into the model. Returns where the put leaves a cursor. */
static pair_number model_put(struct model_run *run, pair_number pair) {
    if (!run_has_duplicates(run)) {
        uint32_t key = key_of(pair);
        model_remove(run->model, first_of_key(run->model, key), end_of_key(run->model, key));
    }
    if (!has(run->model, pair)) model_insert(run->model, pair);
    return pair;
}

/* A cursor in a database without duplicates is on a key; its value may have changed. */
static void follow_values(struct model_run *run) {
    if (run_has_duplicates(run)) return;
    for (unsigned i = 0; i < CURSORS; i++) {
        if (run->places[i] == NOWHERE) continue;
        uint32_t key = key_of(run->places[i]);
        size_t rank = first_of_key(run->model, key);
        if (rank < end_of_key(run->model, key)) run->places[i] = run->model->pairs[rank];
    }
}

static pair_number random_pair(struct model_run *run) {
    return pair_of(run_random_below(run, run->keys) * KEY_STEP, run_random_below(run, run->values));
}

void run_put_one(struct model_run *run, unsigned c, bool through_cursor) {
    pair_number pair = random_pair(run);
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val key = encoded_key(key_bytes, run->flags, key_of(pair));
    zdb_val value = encoded_value(value_bytes, run->flags, value_of(pair));
    static const uint32_t put_flags[] = {
        0, 0, 0, 0, ZDB_NOOVERWRITE, ZDB_NODUPDATA, ZDB_APPENDDUP, ZDB_APPEND};
    uint32_t flag = put_flags[run_random_below(run, 8)];
    if (!run_has_duplicates(run) && (flag == ZDB_NODUPDATA || flag == ZDB_APPENDDUP)) flag = 0;

    size_t first = first_of_key(run->model, key_of(pair)),
           end = end_of_key(run->model, key_of(pair));
    int expected = ZDB_OK;
    pair_number existing = pair;
    if (flag == ZDB_NOOVERWRITE && first < end) {
        expected = ZDB_KEYEXIST;
        existing = run->model->pairs[first];
    } else if (flag == ZDB_NODUPDATA && has(run->model, pair)) {
        expected = ZDB_KEYEXIST;
    } else if (flag == ZDB_APPENDDUP && first < end && run->model->pairs[end - 1] >= pair) {
        expected = ZDB_NOT_SORTED;
    } else if (flag == ZDB_APPEND && run->model->count > 0 &&
               key_of(run->model->pairs[run->model->count - 1]) >= key_of(pair)) {
        expected = ZDB_NOT_SORTED;
    }
    run->doing = through_cursor ? "cursor put" : "put";
    int code = through_cursor ? zdb_cursor_put(run->cursors[c], &key, &value, flag)
                              : zdb_put(run->txn, run->db, &key, &value, flag);
    run_expect_code(run, code, expected);
    if (expected == ZDB_KEYEXIST) run_expect_value(run, value, existing);
    if (expected == ZDB_OK) model_put(run, pair);
    if (through_cursor && expected != ZDB_NOT_SORTED) run->places[c] = existing;
    follow_values(run);
}

void run_put_current(struct model_run *run, unsigned c) {
    run->doing = "put of the current entry";
    bool is_on = run->places[c] != NOWHERE && has(run->model, run->places[c]);
    uint32_t number = run_random_below(run, run->values);
    char value_bytes[NUMBER_BYTES];
    zdb_val value = encoded_value(value_bytes, run->flags, number);
    int code = zdb_cursor_put(run->cursors[c], NULL, &value, ZDB_CURRENT);
    run_expect_code(run, code, is_on ? ZDB_OK : ZDB_BAD_CURSOR);
    if (!is_on) return;
    pair_number before = run->places[c];
    size_t rank = rank_of(run->model, before);
    model_remove(run->model, rank, rank + 1);
    run->places[c] = model_put(run, pair_of(key_of(before), number));
    follow_values(run);
}

void run_put_multiple(struct model_run *run, unsigned c) {
    enum { COUNT = 40 };
    if ((run->flags & ZDB_DUPFIXED) == 0) return;
    run->doing = "put of multiple values";
    pair_number pair = random_pair(run);
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES], array[COUNT * NUMBER_BYTES];
    zdb_val key = encoded_key(key_bytes, run->flags, key_of(pair));
    size_t size = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        zdb_val value = encoded_value(value_bytes, run->flags, value_of(pair) + i);
        size = value.size;
        memcpy(array + i * size, value.data, size);
    }
    zdb_val values[2] = {bytes(array, size), bytes(NULL, COUNT)};
    run_expect_code(run, zdb_cursor_put(run->cursors[c], &key, values, ZDB_MULTIPLE), ZDB_OK);
    if (values[1].size != COUNT) run_differs(run, "the number of values put");
    for (uint32_t i = 0; i < COUNT; i++) run->places[c] = model_put(run, pair + i);
}

void run_delete_one(struct model_run *run) {
    run->doing = "deletion";
    pair_number pair = random_pair(run);
    if (run->model->count > 0 && run_random_below(run, 2) != 0) {
        pair = run->model->pairs[run_random_below(run, (unsigned)run->model->count)];
    }
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val key = encoded_key(key_bytes, run->flags, key_of(pair));
    zdb_val value = encoded_value(value_bytes, run->flags, value_of(pair));
    size_t from = first_of_key(run->model, key_of(pair)), to = end_of_key(run->model, key_of(pair));
    bool all = run_random_below(run, 500) == 0;
    if (!all && run_has_duplicates(run)) {
        from = rank_of(run->model, pair);
        to = has(run->model, pair) ? from + 1 : from;
    }
    int code = zdb_del(run->txn, run->db, &key, all ? NULL : &value);
    run_expect_code(run, code, to > from ? ZDB_OK : ZDB_NOT_FOUND);
    model_remove(run->model, from, to);
}

void run_delete_current(struct model_run *run, unsigned c) {
    run->doing = "deletion through a cursor";
    bool is_on = run->places[c] != NOWHERE && has(run->model, run->places[c]);
    bool all = run_has_duplicates(run) && run_random_below(run, 500) == 0;
    int code = zdb_cursor_del(run->cursors[c], all ? ZDB_NODUPDATA : 0);
    run_expect_code(run, code, is_on ? ZDB_OK : ZDB_BAD_CURSOR);
    if (!is_on) return;
    uint32_t key = key_of(run->places[c]);
    size_t rank = rank_of(run->model, run->places[c]);
    model_remove(run->model, all ? first_of_key(run->model, key) : rank,
                 all ? end_of_key(run->model, key) : rank + 1);
}

void run_delete_range(struct model_run *run) {
    run->doing = "deletion of a range";
    uint32_t low = run_random_below(run, run->keys * KEY_STEP),
             high = low + run_random_below(run, 4);
    char low_bytes[NUMBER_BYTES], high_bytes[NUMBER_BYTES];
    zdb_val from = encoded_key(low_bytes, run->flags, low),
            to = encoded_key(high_bytes, run->flags, high);
    size_t first = first_of_key(run->model, low), end = first_of_key(run->model, high);
    uint64_t deleted = UINT64_MAX;
    run_expect_code(run, zdb_del_range(run->txn, run->db, &from, &to, &deleted), ZDB_OK);
    if (deleted != end - first) run_differs(run, "how many were deleted");
    model_remove(run->model, first, end);
}
