/* Random operations on a database of every kind, compared with a sorted list of pairs: what is
 * written, where every cursor is after each write of another, ranks and counts. */
#include <stdio.h>
#include <stdlib.h>

#include "kinds.h"
#include "pair_model.h"
#include "suites.h"

/* Keys are numbered in threes, so that there is space between them. */
enum { KEY_STEP = 3, CURSORS = 6, BATCH_KEYS = 20 };

/* One database, its model, and cursors with where they must be: on a pair, where a pair was that
 * is no longer there, or NOWHERE. */
struct run {
    uint32_t flags;
    zdb_txn *txn;
    zdb_db db;
    struct pair_model *model;
    zdb_cursor *cursors[CURSORS];
    pair_number places[CURSORS];
    uint32_t keys;
    uint32_t values; /* keys have values below this */
    uint64_t random;
    const char *doing;
};

static bool duplicates(const struct run *run) {
    return (run->flags & ZDB_DUPSORT) != 0;
}

static unsigned random_below(struct run *run, unsigned bound) {
    return (unsigned)(next_random(&run->random) % bound);
}

static void differ(const struct run *run, const char *what) {
    require_failed(HERE, "%s, %s: %s differs from the model", kind_name(run->flags), run->doing,
                   what);
}

static void expect_code(const struct run *run, int code, int expected) {
    if (code == expected) return;
    require_failed(HERE, "%s, %s: %s instead of %s (%s)", kind_name(run->flags), run->doing,
                   code_name(code), code_name(expected), zdb_last_error());
}

static bool same(zdb_val found, zdb_val expected) {
    return found.size == expected.size && memcmp(found.data, expected.data, expected.size) == 0;
}

static void expect_key(const struct run *run, zdb_val found, pair_number pair) {
    char buffer[NUMBER_BYTES];
    if (!same(found, kind_key(buffer, run->flags, key_of(pair)))) differ(run, "the key");
}

static void expect_value(const struct run *run, zdb_val found, pair_number pair) {
    char buffer[NUMBER_BYTES];
    if (!same(found, kind_value(buffer, run->flags, value_of(pair)))) differ(run, "the value");
}

/* ------------------------------------------------------------------- writes */

/* The model's side of a put. Returns where the put leaves a cursor. */
static pair_number model_put(struct run *run, pair_number pair) {
    if (!duplicates(run)) {
        uint32_t key = key_of(pair);
        model_remove(run->model, first_of_key(run->model, key), end_of_key(run->model, key));
    }
    if (!has(run->model, pair)) model_insert(run->model, pair);
    return pair;
}

/* A cursor in a database without duplicates is on a key, whatever its value is by now. */
static void follow_values(struct run *run) {
    if (duplicates(run)) return;
    for (unsigned i = 0; i < CURSORS; i++) {
        if (run->places[i] == NOWHERE) continue;
        uint32_t key = key_of(run->places[i]);
        size_t rank = first_of_key(run->model, key);
        if (rank < end_of_key(run->model, key)) run->places[i] = run->model->pairs[rank];
    }
}

static pair_number random_pair(struct run *run) {
    return pair_of(random_below(run, run->keys) * KEY_STEP, random_below(run, run->values));
}

static void put_one(struct run *run, unsigned c, bool through_cursor) {
    pair_number pair = random_pair(run);
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val key = kind_key(key_bytes, run->flags, key_of(pair));
    zdb_val value = kind_value(value_bytes, run->flags, value_of(pair));
    static const uint32_t put_flags[] = {
        0, 0, 0, 0, ZDB_NOOVERWRITE, ZDB_NODUPDATA, ZDB_APPENDDUP, ZDB_APPEND};
    uint32_t flag = put_flags[random_below(run, 8)];
    if (!duplicates(run) && (flag == ZDB_NODUPDATA || flag == ZDB_APPENDDUP)) flag = 0;

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
    expect_code(run, code, expected);
    if (expected == ZDB_KEYEXIST) expect_value(run, value, existing);
    if (expected == ZDB_OK) model_put(run, pair);
    if (through_cursor && expected != ZDB_NOT_SORTED) run->places[c] = existing;
    follow_values(run);
}

static void put_current(struct run *run, unsigned c) {
    run->doing = "put of the current entry";
    bool is_on = run->places[c] != NOWHERE && has(run->model, run->places[c]);
    uint32_t number = random_below(run, run->values);
    char value_bytes[NUMBER_BYTES];
    zdb_val value = kind_value(value_bytes, run->flags, number);
    int code = zdb_cursor_put(run->cursors[c], NULL, &value, ZDB_CURRENT);
    expect_code(run, code, is_on ? ZDB_OK : ZDB_BAD_CURSOR);
    if (!is_on) return;
    pair_number before = run->places[c];
    size_t rank = rank_of(run->model, before);
    model_remove(run->model, rank, rank + 1);
    run->places[c] = model_put(run, pair_of(key_of(before), number));
    follow_values(run);
}

static void put_multiple(struct run *run, unsigned c) {
    enum { COUNT = 40 };
    if ((run->flags & ZDB_DUPFIXED) == 0) return;
    run->doing = "put of multiple values";
    pair_number pair = random_pair(run);
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES], array[COUNT * NUMBER_BYTES];
    zdb_val key = kind_key(key_bytes, run->flags, key_of(pair));
    size_t size = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        zdb_val value = kind_value(value_bytes, run->flags, value_of(pair) + i);
        size = value.size;
        memcpy(array + i * size, value.data, size);
    }
    zdb_val values[2] = {bytes(array, size), bytes(NULL, COUNT)};
    expect_code(run, zdb_cursor_put(run->cursors[c], &key, values, ZDB_MULTIPLE), ZDB_OK);
    if (values[1].size != COUNT) differ(run, "the number of values put");
    for (uint32_t i = 0; i < COUNT; i++) run->places[c] = model_put(run, pair + i);
}

static void delete_one(struct run *run) {
    run->doing = "deletion";
    pair_number pair = random_pair(run);
    if (run->model->count > 0 && random_below(run, 2) != 0) {
        pair = run->model->pairs[random_below(run, (unsigned)run->model->count)];
    }
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val key = kind_key(key_bytes, run->flags, key_of(pair));
    zdb_val value = kind_value(value_bytes, run->flags, value_of(pair));
    size_t from = first_of_key(run->model, key_of(pair)), to = end_of_key(run->model, key_of(pair));
    bool all = random_below(run, 500) == 0;
    if (!all && duplicates(run)) {
        from = rank_of(run->model, pair);
        to = has(run->model, pair) ? from + 1 : from;
    }
    int code = zdb_del(run->txn, run->db, &key, all ? NULL : &value);
    expect_code(run, code, to > from ? ZDB_OK : ZDB_NOT_FOUND);
    model_remove(run->model, from, to);
}

static void delete_current(struct run *run, unsigned c) {
    run->doing = "deletion through a cursor";
    bool is_on = run->places[c] != NOWHERE && has(run->model, run->places[c]);
    bool all = duplicates(run) && random_below(run, 500) == 0;
    int code = zdb_cursor_del(run->cursors[c], all ? ZDB_NODUPDATA : 0);
    expect_code(run, code, is_on ? ZDB_OK : ZDB_BAD_CURSOR);
    if (!is_on) return;
    uint32_t key = key_of(run->places[c]);
    size_t rank = rank_of(run->model, run->places[c]);
    model_remove(run->model, all ? first_of_key(run->model, key) : rank,
                 all ? end_of_key(run->model, key) : rank + 1);
}

static void delete_range(struct run *run) {
    run->doing = "deletion of a range";
    uint32_t low = random_below(run, run->keys * KEY_STEP), high = low + random_below(run, 4);
    char low_bytes[NUMBER_BYTES], high_bytes[NUMBER_BYTES];
    zdb_val from = kind_key(low_bytes, run->flags, low),
            to = kind_key(high_bytes, run->flags, high);
    size_t first = first_of_key(run->model, low), end = first_of_key(run->model, high);
    uint64_t deleted = UINT64_MAX;
    expect_code(run, zdb_del_range(run->txn, run->db, &from, &to, &deleted), ZDB_OK);
    if (deleted != end - first) differ(run, "how many were deleted");
    model_remove(run->model, first, end);
}

/* -------------------------------------------------------------------- moves */

static bool needs_entry(zdb_cursor_op op) {
    return op == ZDB_GET_CURRENT || op == ZDB_FIRST_DUP || op == ZDB_LAST_DUP;
}

static bool is_of_values(zdb_cursor_op op) {
    return op == ZDB_FIRST_DUP || op == ZDB_LAST_DUP || op == ZDB_NEXT_DUP || op == ZDB_PREV_DUP;
}

static void move(struct run *run, unsigned c, zdb_cursor_op op) {
    char doing[40];
    snprintf(doing, sizeof(doing), "operation %d", (int)op);
    run->doing = doing;
    pair_number place = run->places[c];
    bool is_on = place != NOWHERE && has(run->model, place);
    zdb_val key = nothing(), value = nothing();
    int code = zdb_cursor_get(run->cursors[c], &key, &value, op);
    if (is_of_values(op) && !duplicates(run)) {
        expect_code(run, code, ZDB_INCOMPATIBLE);
    } else if ((needs_entry(op) && !is_on) || (is_of_values(op) && place == NOWHERE)) {
        expect_code(run, code, ZDB_BAD_CURSOR);
    } else {
        size_t rank = model_move(run->model, place, op);
        expect_code(run, code, rank == SIZE_MAX ? ZDB_NOT_FOUND : ZDB_OK);
        if (rank == SIZE_MAX) {
            if (op == ZDB_FIRST || op == ZDB_LAST) run->places[c] = NOWHERE;
            return;
        }
        run->places[c] = run->model->pairs[rank];
        expect_key(run, key, run->places[c]);
        expect_value(run, value, run->places[c]);
    }
}

static void seek(struct run *run, unsigned c) {
    static const zdb_cursor_op ops[] = {ZDB_SET, ZDB_SET_KEY, ZDB_SET_RANGE, ZDB_GET_BOTH,
                                        ZDB_GET_BOTH_RANGE};
    zdb_cursor_op op = ops[random_below(run, duplicates(run) ? 5 : 3)];
    run->doing = "seek";
    pair_number pair =
        pair_of(random_below(run, run->keys * KEY_STEP), random_below(run, run->values));
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val key = kind_key(key_bytes, run->flags, key_of(pair));
    zdb_val value = kind_value(value_bytes, run->flags, value_of(pair));
    size_t rank =
        rank_of(run->model,
                op == ZDB_GET_BOTH || op == ZDB_GET_BOTH_RANGE ? pair : pair_of(key_of(pair), 0));
    bool there = rank < run->model->count;
    if (op == ZDB_GET_BOTH) {
        there = has(run->model, pair);
    } else if (op != ZDB_SET_RANGE) {
        there = there && key_of(run->model->pairs[rank]) == key_of(pair);
    }
    expect_code(run, zdb_cursor_get(run->cursors[c], &key, &value, op),
                there ? ZDB_OK : ZDB_NOT_FOUND);
    run->places[c] = there ? run->model->pairs[rank] : NOWHERE;
    if (!there) return;
    expect_key(run, key, run->places[c]);
    expect_value(run, value, run->places[c]);
}

/* The values that a MULTIPLE operation returns are those from `rank` on, or up to it. */
static void expect_array(struct run *run, zdb_val array, size_t rank, bool forward, unsigned c) {
    char buffer[NUMBER_BYTES];
    size_t size = kind_value(buffer, run->flags, 0).size, count = array.size / size;
    uint32_t key = key_of(run->model->pairs[rank]);
    size_t first = forward ? rank : rank + 1 - count;
    if (array.size % size != 0 || count == 0 || first < first_of_key(run->model, key) ||
        first + count > end_of_key(run->model, key)) {
        differ(run, "the size of the array");
    }
    for (size_t i = 0; i < count; i++) {
        zdb_val value = bytes((const char *)array.data + i * size, size);
        expect_value(run, value, run->model->pairs[first + i]);
    }
    run->places[c] = run->model->pairs[forward ? first + count - 1 : first];
}

static void get_multiple(struct run *run, unsigned c) {
    static const zdb_cursor_op ops[] = {ZDB_GET_MULTIPLE, ZDB_NEXT_MULTIPLE};
    zdb_cursor_op op = ops[random_below(run, 2)];
    run->doing = op == ZDB_GET_MULTIPLE ? "get multiple" : "next multiple";
    pair_number place = run->places[c];
    zdb_val key = nothing(), value = nothing();
    int code = zdb_cursor_get(run->cursors[c], &key, &value, op);
    if ((run->flags & ZDB_DUPFIXED) == 0) {
        expect_code(run, code, ZDB_INCOMPATIBLE);
        return;
    }
    if (place == NOWHERE || (op == ZDB_GET_MULTIPLE && !has(run->model, place))) {
        expect_code(run, code, ZDB_BAD_CURSOR);
        return;
    }
    size_t rank = op == ZDB_GET_MULTIPLE ? rank_of(run->model, place)
                                         : model_move(run->model, place, ZDB_NEXT_DUP);
    expect_code(run, code, rank == SIZE_MAX ? ZDB_NOT_FOUND : ZDB_OK);
    if (rank == SIZE_MAX) return;
    expect_array(run, value, rank, true, c);
    expect_key(run, key, run->places[c]);
}

/* Where the page before ends only the library knows: the array must be of values before the
 * current one, one after the other, the cursor on the first of them. */
static void get_multiple_before(struct run *run, unsigned c) {
    if ((run->flags & ZDB_DUPFIXED) == 0) return;
    run->doing = "multiple before";
    pair_number place = run->places[c];
    zdb_val key = nothing(), array = nothing();
    int code = zdb_cursor_get(run->cursors[c], &key, &array, ZDB_PREV_MULTIPLE);
    if (place == NOWHERE || !has(run->model, place)) {
        expect_code(run, code, ZDB_BAD_CURSOR);
        return;
    }
    size_t first = first_of_key(run->model, key_of(place)), rank = rank_of(run->model, place);
    if (rank == first || code != ZDB_OK) {
        expect_code(run, code, ZDB_NOT_FOUND);
        return;
    }
    char buffer[NUMBER_BYTES];
    size_t size = kind_value(buffer, run->flags, 0).size;
    zdb_val last = bytes((const char *)array.data + array.size - size, size);
    while (rank > first &&
           !same(last, kind_value(buffer, run->flags, value_of(run->model->pairs[rank - 1])))) {
        rank--;
    }
    if (rank == first) differ(run, "the last value of the array");
    expect_array(run, array, rank - 1, false, c);
    expect_key(run, key, run->places[c]);
}

static void next_many(struct run *run, unsigned c) {
    enum { CAPACITY = 50 };
    run->doing = "next many";
    zdb_val keys[CAPACITY], values[CAPACITY];
    size_t count = 99, capacity = 1 + random_below(run, CAPACITY);
    size_t rank = model_move(run->model, run->places[c], ZDB_NEXT);
    int code = zdb_cursor_next_many(run->cursors[c], keys, values, capacity, &count);
    expect_code(run, code, rank == SIZE_MAX ? ZDB_NOT_FOUND : ZDB_OK);
    size_t left = rank == SIZE_MAX ? 0 : run->model->count - rank;
    if (count != (left < capacity ? left : capacity)) differ(run, "the number of entries");
    for (size_t i = 0; i < count; i++) {
        run->places[c] = run->model->pairs[rank + i];
        expect_key(run, keys[i], run->places[c]);
        expect_value(run, values[i], run->places[c]);
    }
}

/* -------------------------------------------------------- counts and ranks */

static void count_values(struct run *run, unsigned c) {
    run->doing = "count";
    pair_number place = run->places[c];
    bool is_on = place != NOWHERE && has(run->model, place);
    uint64_t count = UINT64_MAX;
    expect_code(run, zdb_cursor_count(run->cursors[c], &count),
                !duplicates(run) ? ZDB_INCOMPATIBLE
                : is_on          ? ZDB_OK
                                 : ZDB_BAD_CURSOR);
    if (!duplicates(run) || !is_on) return;
    uint32_t key = key_of(place);
    if (count != end_of_key(run->model, key) - first_of_key(run->model, key)) {
        differ(run, "the count");
    }
}

static void rank_of_cursor(struct run *run, unsigned c) {
    run->doing = "rank of a cursor";
    pair_number place = run->places[c];
    bool is_on = place != NOWHERE && has(run->model, place);
    bool counted = (run->flags & ZDB_COUNTED) != 0;
    uint64_t rank = UINT64_MAX;
    expect_code(run, zdb_cursor_rank(run->cursors[c], &rank),
                !counted ? ZDB_INCOMPATIBLE
                : is_on  ? ZDB_OK
                         : ZDB_BAD_CURSOR);
    if (counted && is_on && rank != rank_of(run->model, place)) differ(run, "the rank");
}

static void set_rank(struct run *run, unsigned c) {
    run->doing = "move to a rank";
    uint64_t rank = random_below(run, (unsigned)run->model->count + 3);
    bool there = rank < run->model->count;
    zdb_val key = nothing(), value = nothing();
    int code = zdb_cursor_set_rank(run->cursors[c], rank, &key, &value);
    if ((run->flags & ZDB_COUNTED) == 0) {
        expect_code(run, code, ZDB_INCOMPATIBLE);
        return;
    }
    expect_code(run, code, there ? ZDB_OK : ZDB_NOT_FOUND);
    run->places[c] = there ? run->model->pairs[rank] : NOWHERE;
    if (!there) return;
    expect_key(run, key, run->places[c]);
    expect_value(run, value, run->places[c]);
}

static void rank_of_key(struct run *run) {
    run->doing = "rank of a key";
    uint32_t number = random_below(run, run->keys * KEY_STEP + 1);
    char key_bytes[NUMBER_BYTES];
    zdb_val key = kind_key(key_bytes, run->flags, number);
    uint64_t rank = UINT64_MAX;
    int code = zdb_rank(run->txn, run->db, &key, &rank);
    if ((run->flags & ZDB_COUNTED) == 0) {
        expect_code(run, code, ZDB_INCOMPATIBLE);
        return;
    }
    size_t first = first_of_key(run->model, number);
    expect_code(run, code, end_of_key(run->model, number) > first ? ZDB_OK : ZDB_NOT_FOUND);
    if (rank != first) differ(run, "the rank");
}

static void count_range(struct run *run) {
    run->doing = "count of a range";
    uint32_t low = random_below(run, run->keys * KEY_STEP),
             high = random_below(run, run->keys * KEY_STEP);
    char low_bytes[NUMBER_BYTES], high_bytes[NUMBER_BYTES];
    zdb_val from = kind_key(low_bytes, run->flags, low),
            to = kind_key(high_bytes, run->flags, high);
    size_t first = first_of_key(run->model, low), end = first_of_key(run->model, high);
    uint64_t count = UINT64_MAX;
    expect_code(run, zdb_count_range(run->txn, run->db, &from, &to, &count), ZDB_OK);
    if (count != (end > first ? end - first : 0)) differ(run, "the count");
}

static void get_many(struct run *run) {
    run->doing = "get of many";
    char key_bytes[BATCH_KEYS][NUMBER_BYTES];
    zdb_val keys[BATCH_KEYS], values[BATCH_KEYS];
    uint32_t numbers[BATCH_KEYS];
    size_t found = 99, expected = 0, count = random_below(run, BATCH_KEYS + 1);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = random_below(run, run->keys * KEY_STEP);
        keys[i] = kind_key(key_bytes[i], run->flags, numbers[i]);
    }
    expect_code(run, zdb_get_many(run->txn, run->db, keys, values, count, &found), ZDB_OK);
    for (size_t i = 0; i < count; i++) {
        size_t first = first_of_key(run->model, numbers[i]);
        bool there = end_of_key(run->model, numbers[i]) > first;
        expected += there;
        if (there != (values[i].data != NULL)) differ(run, "which keys are there");
        if (there) expect_value(run, values[i], run->model->pairs[first]);
    }
    if (found != expected) differ(run, "the number of keys there");
}

static void check_figures(struct run *run) {
    run->doing = "figures";
    zdb_db_stat stat;
    get_stat(run->txn, run->db, &stat);
    uint64_t keys = 0;
    for (size_t i = 0; i < run->model->count; i++) {
        keys += i == 0 || key_of(run->model->pairs[i]) != key_of(run->model->pairs[i - 1]);
    }
    if (stat.entries != run->model->count) differ(run, "the number of entries");
    if (stat.keys != keys) differ(run, "the number of keys");
    if (stat.flags != run->flags) differ(run, "what the database is");
}

/* --------------------------------------------------------------------- runs */

static void write_once(struct run *run, bool growing) {
    unsigned choice = random_below(run, 100);
    unsigned c = random_below(run, CURSORS);
    bool puts = choice < (growing ? 90u : 20u);
    if (puts) {
        switch (random_below(run, 20)) {
        case 0:
            put_multiple(run, c);
            break;
        case 1:
        case 2:
            put_current(run, c);
            break;
        default:
            put_one(run, c, random_below(run, 3) == 0);
        }
    } else if (choice == 99 && random_below(run, 20) == 0) {
        delete_range(run);
    } else if (random_below(run, 2) == 0) {
        delete_current(run, c);
    } else {
        delete_one(run);
    }
}

static void read_once(struct run *run) {
    static const zdb_cursor_op ops[] = {
        ZDB_FIRST,    ZDB_LAST,       ZDB_NEXT,     ZDB_PREV,     ZDB_NEXT_DUP,
        ZDB_PREV_DUP, ZDB_FIRST_DUP,  ZDB_LAST_DUP, ZDB_NEXT,     ZDB_NEXT_NODUP,
        ZDB_PREV,     ZDB_PREV_NODUP, ZDB_NEXT_DUP, ZDB_PREV_DUP, ZDB_GET_CURRENT};
    unsigned c = random_below(run, CURSORS), choice = random_below(run, 24);
    if (choice < 15) {
        move(run, c, ops[choice]);
    } else if (choice < 17) {
        seek(run, c);
    } else if (choice < 19) {
        get_multiple(run, c);
        get_multiple_before(run, c);
    } else if (choice == 19) {
        next_many(run, c);
    } else if (choice == 20) {
        rank_of_cursor(run, c);
        count_values(run, c);
    } else if (choice == 21) {
        set_rank(run, c);
    } else if (choice == 22) {
        rank_of_key(run);
        count_range(run);
    } else {
        get_many(run);
    }
}

static void open_cursors(struct run *run) {
    for (unsigned i = 0; i < CURSORS; i++) {
        run->cursors[i] = open_cursor(run->txn, run->db);
        run->places[i] = NOWHERE;
    }
}

static void close_cursors(struct run *run) {
    for (unsigned i = 0; i < CURSORS; i++) close_cursor(run->cursors[i]);
}

static void check_all_cursors(struct run *run) {
    for (unsigned i = 0; i < CURSORS; i++) move(run, i, ZDB_GET_CURRENT);
}

static void run_kind(zdb_env *env, uint32_t flags, uint32_t keys, uint32_t values, unsigned steps) {
    static struct pair_model model;
    struct run run;
    memset(&run, 0, sizeof(run));
    model.count = 0;
    run.flags = flags;
    run.model = &model;
    run.keys = keys;
    run.values = values;
    run.random = 0x9e3779b97f4a7c15u + flags;
    run.txn = begin_write(env);
    char name[16];
    snprintf(name, sizeof(name), "%x", flags);
    run.db = create_kind(run.txn, name, flags);
    open_cursors(&run);
    for (unsigned step = 0; step < steps; step++) {
        write_once(&run, step / (steps / 4 + 1) % 2 == 0);
        read_once(&run);
        if (step % 8 == 0) check_all_cursors(&run);
        if (step % 64 == 0) check_figures(&run);
        if (step % (steps / 3 + 1) == steps / 3) {
            close_cursors(&run);
            commit(run.txn);
            run.txn = begin_write(env);
            open_cursors(&run);
        }
    }
    close_cursors(&run);
    commit(run.txn);
    run.txn = begin_read(env);
    open_cursors(&run);
    for (unsigned step = 0; step < steps / 4; step++) read_once(&run);
    check_figures(&run);
    close_cursors(&run);
    abort_txn(run.txn);
    expect_sound(env);
}

static void run_kinds(bool with_duplicates, uint32_t keys, uint32_t values, unsigned steps) {
    zdb_env *env = open_env("env");
    for (size_t i = 0; i < kind_count; i++) {
        if (((kinds[i] & ZDB_DUPSORT) != 0) == with_duplicates) {
            run_kind(env, kinds[i], keys, values, repetitions(steps));
        }
    }
    close_env(env);
}

static void every_kind_with_one_value_a_key_agrees_with_a_list(void) {
    run_kinds(false, 1500, 1000, 12000);
}

/* In small sets that lie in a leaf. */
static void every_kind_with_few_values_a_key_agrees_with_a_list(void) {
    run_kinds(true, 100, 15, 6000);
}

/* In sets that grow from a leaf into trees and back. */
static void every_kind_with_many_values_a_key_agrees_with_a_list(void) {
    run_kinds(true, 3, 3000, 8000);
}

static const struct test tests[] = {
    TEST(every_kind_with_one_value_a_key_agrees_with_a_list),
    TEST(every_kind_with_few_values_a_key_agrees_with_a_list),
    TEST(every_kind_with_many_values_a_key_agrees_with_a_list),
};

DEFINE_SUITE(kinds, tests);
