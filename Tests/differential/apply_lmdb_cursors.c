/* LMDB: cursors.
 *
 * LMDB's cursors differ from ZeroDB's once their entry has been deleted or a search has failed, and
 * 0.9.24 does damage while it keeps several in place (README.md). ZeroDB says where a cursor is in
 * each case: a function of the entry it was on last and of what is in the database now. So this
 * half keeps that entry, moves LMDB's own cursor where it is on it, and otherwise finds what ZeroDB
 * should answer by searching LMDB from the entry's key and value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lmdb_engine.h"

/* ------------------------------------------------------------------- places */

static const struct database *database_of(const struct lmdb *lmdb,
                                          const struct lmdb_cursor *cursor) {
    return &lmdb->setting->database[cursor->database];
}

static void release(struct lmdb_cursor *cursor) {
    if (cursor->native != NULL) mdb_cursor_close(cursor->native);
    cursor->native = NULL;
    cursor->is_in_step = false;
}

static MDB_cursor *open_native(struct lmdb *lmdb, unsigned txn, MDB_dbi dbi) {
    MDB_cursor *native;
    int code = mdb_cursor_open(lmdb->txns[txn].txn, dbi, &native);
    if (code != 0) give_up("LMDB opens no cursor: %s", mdb_strerror(code));
    return native;
}

static void make_fresh(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi) {
    release(cursor);
    cursor->native = open_native(lmdb, cursor->txn, dbi);
    cursor->is_fresh = true;
}

static void copy(unsigned char *to, size_t *size, struct bytes from) {
    if (from.size > KEY_SIZE_MAX) give_up("LMDB returns %zu bytes of a key", from.size);
    memcpy(to, from.data, from.size);
    *size = from.size;
}

static void place_at(struct lmdb *lmdb, struct lmdb_cursor *cursor, struct bytes key,
                     struct bytes value) {
    copy(cursor->key, &cursor->key_size, key);
    if (has_duplicates(database_of(lmdb, cursor))) {
        copy(cursor->value, &cursor->value_size, value);
    }
    cursor->is_placed = true;
    cursor->is_in_step = false;
    cursor->is_fresh = false;
}

static MDB_val key_of(struct lmdb_cursor *cursor) {
    MDB_val val = {cursor->key_size, cursor->key};
    return val;
}

static MDB_val value_of(struct lmdb_cursor *cursor) {
    MDB_val val = {cursor->value_size, cursor->value};
    return val;
}

static bool are_equal(MDB_val left, MDB_val right) {
    return left.mv_size == right.mv_size &&
           (left.mv_size == 0 || memcmp(left.mv_data, right.mv_data, left.mv_size) == 0);
}

/* Moves `native` to the place, if the entry is there. */
static int seek_place(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_cursor *native) {
    MDB_val key = key_of(cursor), value = value_of(cursor);
    return mdb_cursor_get(native, &key, &value,
                          has_duplicates(database_of(lmdb, cursor)) ? MDB_GET_BOTH : MDB_SET);
}

static bool place_exists(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi) {
    MDB_cursor *native = open_native(lmdb, cursor->txn, dbi);
    int code = seek_place(lmdb, cursor, native);
    mdb_cursor_close(native);
    if (code != 0 && code != MDB_NOTFOUND) give_up("LMDB searches: %s", mdb_strerror(code));
    return code == 0;
}

static bool native_is_at_place(struct lmdb *lmdb, struct lmdb_cursor *cursor) {
    MDB_val key = {0, NULL}, value = {0, NULL};
    if (mdb_cursor_get(cursor->native, &key, &value, MDB_GET_CURRENT) != 0) return false;
    if (!are_equal(key, key_of(cursor))) return false;
    return !has_duplicates(database_of(lmdb, cursor)) || are_equal(value, value_of(cursor));
}

enum place { NOWHERE, ON_ENTRY, IN_GAP };

/* Finds out where the cursor is. LMDB's own is there too afterwards; none in a gap. */
static enum place find_place(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi) {
    if (!cursor->is_placed) {
        if (cursor->native == NULL || !cursor->is_fresh) make_fresh(lmdb, cursor, dbi);
        return NOWHERE;
    }
    if (cursor->is_in_step) return ON_ENTRY;
    if (!place_exists(lmdb, cursor, dbi)) {
        release(cursor);
        return IN_GAP;
    }
    if (cursor->native != NULL && !cursor->is_fresh) {
        /* The call has just put the entry, or found no neighbour of it. */
        if (!native_is_at_place(lmdb, cursor)) give_up("LMDB's cursor is not where it should be");
        cursor->is_in_step = true;
        return ON_ENTRY;
    }
    make_fresh(lmdb, cursor, dbi);
    if (seek_place(lmdb, cursor, cursor->native) != 0) give_up("LMDB does not find an entry again");
    cursor->is_fresh = false;
    cursor->is_in_step = true;
    return ON_ENTRY;
}

void put_aside_cursors(struct lmdb *lmdb, unsigned database, const struct lmdb_cursor *writing) {
    for (unsigned i = 0; i <= CURSORS; i++) {
        struct lmdb_cursor *cursor = &lmdb->cursors[i];
        if (!cursor->is_open || cursor->has_ended || cursor == writing) continue;
        if (cursor->database != database || !is_writer(cursor->txn)) continue;
        if (cursor->is_placed && cursor->native != NULL) meant(MEANT_CURSORS_FOLLOW_WRITES);
        release(cursor);
    }
}

void end_cursors(struct lmdb *lmdb, unsigned txn) {
    for (unsigned i = 0; i <= CURSORS; i++) {
        struct lmdb_cursor *cursor = &lmdb->cursors[i];
        if (!cursor->is_open || cursor->has_ended || cursor->txn != txn) continue;
        release(cursor);
        cursor->has_ended = true;
    }
}

void renew_cursors(struct lmdb *lmdb, unsigned txn) {
    for (unsigned i = 0; i <= CURSORS; i++) {
        struct lmdb_cursor *cursor = &lmdb->cursors[i];
        if (!cursor->is_open || cursor->has_ended || cursor->txn != txn) continue;
        meant(MEANT_RENEWED_TRANSACTION_RENEWS_CURSORS);
        release(cursor);
        cursor->is_placed = false;
    }
}

void close_cursors(struct lmdb *lmdb) {
    for (unsigned i = 0; i <= CURSORS; i++) {
        release(&lmdb->cursors[i]);
        lmdb->cursors[i].is_open = false;
    }
}

/* ------------------------------------------------------------------- moves */

/* Moves from where the entry at the place was to its neighbour: MDB_NEXT and the like. */
static int move_from_gap(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_val *key,
                         MDB_val *value, zdb_cursor_op move) {
    MDB_cursor *native = cursor->native;
    bool has_values = has_duplicates(database_of(lmdb, cursor));
    bool is_next = move == ZDB_NEXT || move == ZDB_NEXT_DUP || move == ZDB_NEXT_NODUP;
    bool skips_key = move == ZDB_NEXT_NODUP || move == ZDB_PREV_NODUP;
    bool stays_in_key = move == ZDB_NEXT_DUP || move == ZDB_PREV_DUP;
    if (has_values && !skips_key) {
        /* Within the key. */
        *key = key_of(cursor), *value = value_of(cursor);
        int code = mdb_cursor_get(native, key, value, MDB_GET_BOTH_RANGE);
        if (is_next) {
            if (code == 0 || stays_in_key) return code;
        } else if (code == 0) {
            code = mdb_cursor_get(native, key, value, MDB_PREV_DUP);
            if (code == 0 || stays_in_key) return code;
        } else {
            /* All values of the key come before, if there are any. */
            *key = key_of(cursor);
            code = mdb_cursor_get(native, key, value, MDB_SET);
            if (code == 0) return mdb_cursor_get(native, key, value, MDB_LAST_DUP);
            if (stays_in_key) return code;
        }
    }
    *key = key_of(cursor);
    int code = mdb_cursor_get(native, key, value, MDB_SET_RANGE);
    if (is_next) {
        if (code == 0 && are_equal(*key, key_of(cursor))) {
            code = mdb_cursor_get(native, key, value, MDB_NEXT_NODUP);
        }
        return code;
    }
    if (code == 0) return mdb_cursor_get(native, key, value, MDB_PREV_NODUP);
    return mdb_cursor_get(native, key, value, MDB_LAST);
}

/* LMDB's cursor has moved to an entry: that is the place now. */
static void take_place(struct lmdb *lmdb, struct lmdb_cursor *cursor) {
    MDB_val key = {0, NULL}, value = {0, NULL};
    int code = mdb_cursor_get(cursor->native, &key, &value, MDB_GET_CURRENT);
    if (code != 0) give_up("LMDB's cursor has moved to no entry: %s", mdb_strerror(code));
    place_at(lmdb, cursor, bytes_of(key), bytes_of(value));
    cursor->is_in_step = true;
}

static bool is_search(zdb_cursor_op move) {
    switch (move) {
    case ZDB_FIRST:
    case ZDB_LAST:
    case ZDB_SET:
    case ZDB_SET_KEY:
    case ZDB_SET_RANGE:
    case ZDB_GET_BOTH:
    case ZDB_GET_BOTH_RANGE: return true;
    default: return false;
    }
}

static bool has_sought_key(zdb_cursor_op move) {
    return is_search(move) && move != ZDB_FIRST && move != ZDB_LAST;
}

static bool is_backward(zdb_cursor_op move) {
    return move == ZDB_PREV || move == ZDB_PREV_NODUP;
}

static int move_native(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi,
                       enum place place, zdb_cursor_op move, MDB_val *key, MDB_val *value) {
    if (is_search(move)) {
        if (cursor->native == NULL) make_fresh(lmdb, cursor, dbi);
    } else if (place == IN_GAP) {
        meant(MEANT_MOVES_FROM_GAP);
        make_fresh(lmdb, cursor, dbi);
        return move_from_gap(lmdb, cursor, key, value, move);
    } else if (place == NOWHERE && is_backward(move)) {
        meant(MEANT_PREV_FROM_NOWHERE);
        move = ZDB_LAST;
    }
    return mdb_cursor_get(cursor->native, key, value, (MDB_cursor_op)move);
}

static void move(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi,
                 const struct operation *operation, struct result *result) {
    zdb_cursor_op move = (zdb_cursor_op)operation->flags;
    enum answer answer = meant_of_move(operation, database_of(lmdb, cursor));
    if (answer == ANSWER_OK && has_sought_key(move)) {
        answer = meant_of_lookup(operation, database_of(lmdb, cursor));
    }
    enum place place = NOWHERE;
    if (answer == ANSWER_OK) {
        place = find_place(lmdb, cursor, dbi);
        if (place != ON_ENTRY) answer = meant_off_entry(move, place == NOWHERE);
    }
    if (answer != ANSWER_OK) {
        set_answer(result, answer);
        return;
    }
    MDB_val key = lmdb_val(operation->key), value = lmdb_val(operation->value);
    int code = move_native(lmdb, cursor, dbi, place, move, &key, &value);
    set_lmdb_code(result, code);
    if (result->answer == ANSWER_OK) {
        bool leaves_key = move == ZDB_SET || move == ZDB_GET_BOTH || move == ZDB_GET_BOTH_RANGE;
        result->has_key = !leaves_key;
        result->has_value = true;
        take_place(lmdb, cursor);
        if (move == ZDB_FIRST_DUP || move == ZDB_LAST_DUP) {
            meant(MEANT_FIRST_DUP_RETURNS_KEY);
            key = key_of(cursor);
        }
        if (move == ZDB_FIRST_DUP) {
            /* After it has been on the last entry, LMDB's cursor insists that there is no next
             * one. */
            meant(MEANT_LAST_KEY_KEEPS_ITS_VALUES);
            release(cursor);
        }
        result->key = bytes_of(key);
        result->value = bytes_of(value);
    } else if (result->answer == ANSWER_NOT_FOUND && is_search(move)) {
        meant(MEANT_FAILED_SEARCH_LEAVES_NOWHERE);
        release(cursor);
        cursor->is_placed = false;
    } else {
        /* The place is the one before; LMDB's cursor may be somewhere else. */
        bool at_end = move == ZDB_NEXT_NODUP && has_duplicates(database_of(lmdb, cursor));
        if (at_end && place == ON_ENTRY) meant(MEANT_LAST_KEY_KEEPS_ITS_VALUES);
        if (place == ON_ENTRY && result->answer == ANSWER_NOT_FOUND && !at_end) {
            cursor->is_in_step = false;
        } else {
            release(cursor);
        }
        if (result->answer == ANSWER_BAD_ARGUMENT) result->answer = ANSWER_BAD_CURSOR;
    }
}

/* ---------------------------------------------------------------- MULTIPLE */

static void append_values(struct lmdb *lmdb, size_t *size, MDB_val values) {
    if (*size + values.mv_size > lmdb->values_capacity) {
        lmdb->values_capacity = 2 * (*size + values.mv_size);
        unsigned char *larger = allocate(lmdb->values_capacity);
        if (*size > 0) memcpy(larger, lmdb->values, *size);
        free(lmdb->values);
        lmdb->values = larger;
    }
    memcpy(lmdb->values + *size, values.mv_data, values.mv_size);
    *size += values.mv_size;
}

/* All values of the key under the cursor, through LMDB's own MULTIPLE operations. */
static size_t collect_values(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi) {
    size_t size = 0, count = 0;
    MDB_cursor *native = open_native(lmdb, cursor->txn, dbi);
    MDB_val key = key_of(cursor), values = {0, NULL};
    int code = mdb_cursor_get(native, &key, &values, MDB_SET);
    if (code == 0) code = mdb_cursor_count(native, &count);
    if (code == 0 && count == 1) {
        append_values(lmdb, &size, values); /* MDB_GET_MULTIPLE may return nothing of one value */
    } else if (code == 0) {
        zdb_cursor_op op = ZDB_GET_MULTIPLE;
        while ((code = mdb_cursor_get(native, &key, &values, (MDB_cursor_op)op)) == 0) {
            append_values(lmdb, &size, values);
            op = ZDB_NEXT_MULTIPLE;
        }
        if (code == MDB_NOTFOUND) code = 0;
    }
    mdb_cursor_close(native);
    if (code != 0) give_up("LMDB returns no multiple values: %s", mdb_strerror(code));
    return size;
}

static void move_multiple(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi,
                          const struct operation *operation, struct result *result) {
    size_t value_size = database_of(lmdb, cursor)->value_size;
    if (value_size == 0) {
        set_answer(result, ANSWER_INCOMPATIBLE);
        return;
    }
    enum place place = find_place(lmdb, cursor, dbi);
    if (place != ON_ENTRY) {
        meant(place == NOWHERE ? MEANT_NOWHERE_HAS_NO_DUPLICATES : MEANT_GAP_IS_NO_ENTRY);
        set_answer(result, ANSWER_BAD_CURSOR);
        return;
    }
    meant(MEANT_MULTIPLE_OF_PAGE);
    size_t size = collect_values(lmdb, cursor, dbi), offset = 0;
    while (offset < size && memcmp(lmdb->values + offset, cursor->value, value_size) != 0) {
        offset += value_size;
    }
    if (offset >= size) give_up("LMDB's multiple values lack the one under the cursor");
    result->has_value = true;
    bool is_forward = operation->action == MULTIPLE_FORWARD;
    result->value.data = lmdb->values + (is_forward ? offset : 0);
    result->value.size = is_forward ? size - offset : offset;
    struct bytes stop = {lmdb->values + (is_forward ? size - value_size : 0), value_size};
    memcpy(cursor->value, stop.data, stop.size);
    cursor->is_in_step = false;
    release(cursor);
}

/* ------------------------------------------------------------------ writes */

/* LMDB overwrites a duplicate in its place and leaves the order to the caller. ZeroDB deletes
 * one and puts the other. */
static int put_current_duplicate(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi,
                                 MDB_val *value) {
    meant(MEANT_CURRENT_SORTS_DUPLICATE);
    if (value->mv_size > KEY_SIZE_MAX) return MDB_BAD_VALSIZE;
    MDB_txn *txn = lmdb->txns[cursor->txn].txn;
    MDB_val key = key_of(cursor), old = value_of(cursor);
    int code = mdb_del(txn, dbi, &key, &old);
    return code != 0 ? code : mdb_put(txn, dbi, &key, value, 0);
}

static void put_current(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi,
                        const struct operation *operation, struct result *result) {
    enum place place = find_place(lmdb, cursor, dbi);
    if (place == IN_GAP) meant(MEANT_GAP_IS_NO_ENTRY);
    MDB_val key = key_of(cursor), value = lmdb_val(operation->value);
    if (place != ON_ENTRY) {
        set_answer(result, is_writer(cursor->txn) ? ANSWER_BAD_CURSOR : ANSWER_NONE);
        return;
    }
    bool is_duplicate = has_duplicates(database_of(lmdb, cursor)) && is_writer(cursor->txn);
    put_aside_cursors(lmdb, cursor->database, is_duplicate ? NULL : cursor);
    if (is_duplicate) {
        set_lmdb_code(result, put_current_duplicate(lmdb, cursor, dbi, &value));
    } else {
        set_lmdb_code(result, mdb_cursor_put(cursor->native, &key, &value, MDB_CURRENT));
    }
    if (result->answer == ANSWER_OK) place_at(lmdb, cursor, bytes_of(key), operation->value);
}

static int put_multiple(struct lmdb_cursor *cursor, MDB_val *key,
                        const struct operation *operation, int64_t *put) {
    size_t size = operation->value.size / operation->multiple;
    MDB_val values[2] = {{size, (void *)(uintptr_t)operation->value.data},
                         {operation->multiple, NULL}};
    int code = mdb_cursor_put(cursor->native, key, values, operation->flags);
    *put = (int64_t)values[1].mv_size;
    /* LMDB counts there from the first value that it has put. */
    if (code != 0 && values[1].mv_size == operation->multiple) *put = 0;
    if (code != 0 || values[1].mv_size == operation->multiple) return code;
    meant(MEANT_MULTIPLE_STOPS_EARLY);
    const char *data = operation->value.data;
    for (*put = 0; code == 0 && *put < (int64_t)operation->multiple; *put += 1) {
        MDB_val value = {size, (void *)(uintptr_t)(data + (size_t)*put * size)};
        code = mdb_cursor_put(cursor->native, key, &value, 0);
    }
    return code;
}

static void put(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi,
                const struct operation *operation, struct result *result) {
    uint32_t flags = operation->flags;
    enum answer answer = lmdb_meant_of_put(lmdb, dbi, operation);
    if (answer != ANSWER_OK) {
        set_answer(result, answer);
        return;
    }
    if (flags & ZDB_CURRENT) {
        put_current(lmdb, cursor, dbi, operation, result);
        return;
    }
    find_place(lmdb, cursor, dbi);
    if (cursor->native == NULL) make_fresh(lmdb, cursor, dbi);
    put_aside_cursors(lmdb, cursor->database, cursor);
    MDB_val key = lmdb_val(operation->key), value = lmdb_val(operation->value);
    struct bytes last = operation->value;
    int code;
    int64_t put = 0;
    if (flags & ZDB_MULTIPLE) {
        code = put_multiple(cursor, &key, operation, &put);
        result->has_number = code == 0;
        result->number = put;
        last.size = operation->value.size / operation->multiple;
        /* The last value that was put, or the one that was there. */
        size_t index = (size_t)put - (code == MDB_KEYEXIST && !(flags & ZDB_APPENDDUP) ? 0 : 1);
        last.data = (const char *)operation->value.data + index * last.size;
    } else {
        code = mdb_cursor_put(cursor->native, &key, &value, flags);
        if (code == 0 && (flags & ZDB_RESERVE)) {
            memcpy(value.mv_data, operation->value.data, operation->value.size);
        }
    }
    set_lmdb_put_code(result, code, flags);
    if (result->answer == ANSWER_OK) {
        place_at(lmdb, cursor, operation->key, last);
    } else if (result->answer == ANSWER_EXISTS) {
        if (flags & ZDB_NOOVERWRITE) {
            result->has_value = true;
            result->value = last = bytes_of(value);
        }
        place_at(lmdb, cursor, operation->key, last);
    } else if (put > 0) {
        place_at(lmdb, cursor, operation->key, last);
    } else {
        meant(MEANT_FAILED_PUT_LEAVES_CURSOR);
        release(cursor);
    }
}

static void delete(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi,
                   const struct operation *operation, struct result *result) {
    enum place place = find_place(lmdb, cursor, dbi);
    /* It does not matter which of two errors comes first: ANSWER_NONE. */
    if (operation->flags != 0 && !has_duplicates(database_of(lmdb, cursor))) {
        meant(MEANT_DUPLICATE_FLAGS_ON_PLAIN);
        set_answer(result, place == ON_ENTRY ? ANSWER_INCOMPATIBLE : ANSWER_NONE);
        return;
    }
    if (place != ON_ENTRY) {
        if (place == IN_GAP) meant(MEANT_GAP_IS_NO_ENTRY);
        set_answer(result, is_writer(cursor->txn) ? ANSWER_BAD_CURSOR : ANSWER_NONE);
        return;
    }
    put_aside_cursors(lmdb, cursor->database, cursor);
    set_lmdb_code(result, mdb_cursor_del(cursor->native, operation->flags));
    release(cursor);
}

static void count(struct lmdb *lmdb, struct lmdb_cursor *cursor, MDB_dbi dbi,
                  struct result *result) {
    enum place place = find_place(lmdb, cursor, dbi);
    if (place == IN_GAP && has_duplicates(database_of(lmdb, cursor))) {
        meant(MEANT_GAP_IS_NO_ENTRY);
        set_answer(result, ANSWER_BAD_CURSOR);
        return;
    }
    if (cursor->native == NULL) make_fresh(lmdb, cursor, dbi);
    size_t number = 0;
    set_lmdb_code(result, mdb_cursor_count(cursor->native, &number));
    if (result->answer == ANSWER_BAD_ARGUMENT) result->answer = ANSWER_BAD_CURSOR;
    result->has_number = result->answer == ANSWER_OK;
    result->number = (int64_t)number;
}

/* --------------------------------------------------------- opening, closing */

static void open_cursor(struct lmdb *lmdb, struct lmdb_cursor *cursor,
                        const struct operation *operation, struct result *result) {
    MDB_dbi dbi;
    enum answer answer = lmdb_handle(lmdb, operation->txn, operation->database, &dbi);
    MDB_cursor *native = NULL;
    if (answer == ANSWER_OK) {
        set_lmdb_code(result, mdb_cursor_open(lmdb->txns[operation->txn].txn, dbi, &native));
    } else {
        set_answer(result, answer);
    }
    if (result->answer != ANSWER_OK) return;
    memset(cursor, 0, sizeof(*cursor));
    cursor->is_open = true;
    cursor->txn = operation->txn;
    cursor->database = operation->database;
    cursor->native = native;
    cursor->is_fresh = true;
}

/* LMDB renews cursors of read transactions only. */
static void renew_cursor(struct lmdb *lmdb, struct lmdb_cursor *cursor,
                         const struct operation *operation, struct result *result) {
    MDB_dbi dbi;
    enum answer answer = lmdb_handle(lmdb, operation->txn, cursor->database, &dbi);
    if (answer != ANSWER_OK) {
        set_answer(result, answer);
        return;
    }
    if (is_writer(operation->txn) || is_writer(cursor->txn) || cursor->native == NULL) {
        meant(MEANT_RENEW_ANY_CURSOR);
        release(cursor);
    } else {
        set_lmdb_code(result, mdb_cursor_renew(lmdb->txns[operation->txn].txn, cursor->native));
        if (result->answer != ANSWER_OK) return;
        cursor->is_fresh = true;
    }
    cursor->txn = operation->txn;
    cursor->has_ended = false;
    cursor->is_placed = false;
    cursor->is_in_step = false;
}

void apply_to_lmdb_cursor(struct lmdb *lmdb, const struct operation *operation,
                          struct result *result) {
    struct lmdb_cursor *cursor = &lmdb->cursors[operation->cursor];
    switch (operation->action) {
    case CURSOR_OPEN: open_cursor(lmdb, cursor, operation, result); return;
    case CURSOR_CLOSE:
        release(cursor);
        cursor->is_open = false;
        return;
    case CURSOR_RENEW: renew_cursor(lmdb, cursor, operation, result); return;
    default: break;
    }
    MDB_dbi dbi;
    enum answer answer;
    if (cursor->has_ended) {
        meant(MEANT_CURSOR_OF_ENDED_TRANSACTION);
        answer = ANSWER_BAD_CURSOR;
    } else if (has_child(lmdb, cursor->txn)) {
        meant(MEANT_PARENT_OF_CHILD);
        answer = ANSWER_BAD_TRANSACTION;
    } else {
        answer = lmdb_handle(lmdb, cursor->txn, cursor->database, &dbi);
    }
    if (answer != ANSWER_OK) {
        set_answer(result, answer);
        return;
    }
    switch (operation->action) {
    case CURSOR_GET: move(lmdb, cursor, dbi, operation, result); return;
    case CURSOR_PUT: put(lmdb, cursor, dbi, operation, result); return;
    case CURSOR_DELETE: delete(lmdb, cursor, dbi, operation, result); return;
    case CURSOR_COUNT: count(lmdb, cursor, dbi, result); return;
    default: move_multiple(lmdb, cursor, dbi, operation, result); return;
    }
}
