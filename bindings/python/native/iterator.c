/* Iterators over entries, keys or values.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * A cursor reads entries in advance, the more the longer that goes on undisturbed, or as many as the
 * iteration before it has given that began where the program moved the cursor to. When the program uses
 * the cursor in another way, or writes in its transaction, it is first brought back to the entry that
 * the program has been given last (bring_back).
 */
#include "core.h"

#include <stddef.h>
#include <string.h>

PyTypeObject *IteratorType;

enum {
    BATCH_MIN = 16,
    BATCH_MAX = 256,
    KEPT_BYTES_MAX = 4096, /**< of a value that a cursor may keep in memory for its last pairs */
};

enum order { AS_BYTES, FROM_THE_LAST_BYTE, AS_NUMBERS };

typedef struct Iterator {
    PyObject_HEAD
    Cursor *cursor;
    PyObject *lower, *upper; /**< bytes that bound a range, or NULL */
    unsigned long long changes; /**< of the transaction when entries were read last */
    unsigned long long resets; /**< of the transaction when the iteration began */
    zdb_cursor_op step;
    enum want want;
    char has_begun;
    char is_range; /**< has the cursor for itself */
    enum order order; /**< of the keys */
    char is_at_end;
    char is_last_batch;
} Iterator;

static size_t size_of(PyObject *bytes) { return (size_t)PyBytes_Size(bytes); }

static int compare_bytes(const void *left, size_t left_size, const void *right, size_t right_size) {
    size_t size = left_size < right_size ? left_size : right_size;
    int order = size == 0 ? 0 : memcmp(left, right, size);
    if (order != 0) return order;
    return left_size < right_size ? -1 : left_size > right_size;
}

static int compare_from_the_last_byte(const unsigned char *left, size_t left_size,
                                      const unsigned char *right, size_t right_size) {
    size_t size = left_size < right_size ? left_size : right_size;
    for (size_t i = 1; i <= size; i++)
        if (left[left_size - i] != right[right_size - i])
            return left[left_size - i] < right[right_size - i] ? -1 : 1;
    return left_size < right_size ? -1 : left_size > right_size;
}

/** Orders a key and a bound as the database does. The bounds of integers have been checked. */
static int compare(Iterator *self, const zdb_val *key, PyObject *bound) {
    const char *bytes = PyBytes_AsString(bound);
    if (self->order == AS_BYTES)
        return compare_bytes(key->data, key->size, bytes, size_of(bound));
    /* Of integers in little-endian order the last byte is the highest. */
    return compare_from_the_last_byte(key->data, key->size, (const unsigned char *)bytes,
                                      size_of(bound));
}

/** Whether the database orders a bound at all: integers of another size it does not. */
static int check_bound(Iterator *self, PyObject *bound) {
    int order;
    if (bound == NULL || self->order != AS_NUMBERS) return ZDB_OK;
    zdb_val val = {PyBytes_AsString(bound), size_of(bound)};
    return library.zdb_cmp(self->cursor->transaction->handle, self->cursor->db, &val, &val, &order);
}

/** Whether a key is past the end of the range, in the direction of the iteration. */
static int is_beyond(Iterator *self, const zdb_val *key) {
    if (self->step == ZDB_PREV) return self->lower != NULL && compare(self, key, self->lower) < 0;
    return self->upper != NULL && compare(self, key, self->upper) >= 0;
}

/* ---------------------------------------------------------------------- begins */

/** Moves to the first entry of a range, or to the last. @return the library's result. */
static int begin_range(Iterator *self, zdb_val *key, zdb_val *value) {
    Cursor *cursor = self->cursor;
    int is_reverse = self->step == ZDB_PREV;
    if (self->want == KEYS) value = NULL;
    PyObject *bound = is_reverse ? self->upper : self->lower;
    size_t size_max = (size_t)cursor->transaction->environment->max_key_size;
    int code = check_bound(self, self->lower);
    if (code == ZDB_OK && self->upper != NULL && size_of(self->upper) > 0)
        code = check_bound(self, self->upper);
    if (code != ZDB_OK) return code;
    if (bound == NULL) {
        CALL(cursor->transaction, code,
             library.zdb_cursor_get(cursor->handle, key, value, is_reverse ? ZDB_LAST : ZDB_FIRST));
        return code;
    }
    if (size_of(bound) == 0) return ZDB_NOT_FOUND; /* before the first */
    /* A bound may be longer than any key, which the library refuses to look for. */
    key->size = size_of(bound) < size_max ? size_of(bound) : size_max;
    key->data = PyBytes_AsString(bound);
    if (self->order == FROM_THE_LAST_BYTE)
        key->data = PyBytes_AsString(bound) + (size_of(bound) - key->size);
    CALL(cursor->transaction, code,
         library.zdb_cursor_get(cursor->handle, key, value, ZDB_SET_RANGE));
    if (!is_reverse) {
        while (code == ZDB_OK && size_of(bound) > size_max && compare(self, key, bound) < 0)
            CALL(cursor->transaction, code,
                 library.zdb_cursor_get(cursor->handle, key, value, ZDB_NEXT));
        return code;
    }
    if (code == ZDB_NOT_FOUND)
        CALL(cursor->transaction, code,
             library.zdb_cursor_get(cursor->handle, key, value, ZDB_LAST));
    while (code == ZDB_OK && compare(self, key, bound) >= 0)
        CALL(cursor->transaction, code,
             library.zdb_cursor_get(cursor->handle, key, value, ZDB_PREV));
    return code;
}

/** Reads the entry that the cursor is on, or moves it to one. */
static int begin_here(Iterator *self, zdb_val *key, zdb_val *value) {
    Cursor *cursor = self->cursor;
    int is_lmdb_style = cursor->transaction->environment->is_lmdb_style;
    int code = ZDB_BAD_CURSOR;
    if (self->want == KEYS) value = NULL;
    if (!(is_lmdb_style && cursor->is_unset)) code = read_current(cursor, key, value);
    if (code != ZDB_BAD_CURSOR && code != ZDB_NOT_FOUND) return code;
    /* On no entry: before any move, or because the entry has been deleted. */
    zdb_cursor_op op = self->step;
    if (is_lmdb_style) {
        if (op == ZDB_NEXT || op == ZDB_NEXT_NODUP)
            op = ZDB_FIRST;
        else if (op == ZDB_PREV || op == ZDB_PREV_NODUP)
            op = ZDB_LAST;
        else
            return ZDB_NOT_FOUND;
    }
    CALL(cursor->transaction, code, library.zdb_cursor_get(cursor->handle, key, value, op));
    return code;
}

/* --------------------------------------------------------------- reading ahead */

static int make_room(Cursor *cursor, unsigned int capacity) {
    if (cursor->capacity >= capacity) return 0;
    zdb_val *room = PyMem_Malloc(2 * (size_t)capacity * sizeof *room);
    if (room == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyMem_Free(cursor->keys);
    cursor->keys = room;
    cursor->values = room + capacity;
    cursor->capacity = capacity;
    return 0;
}

/** How many of the entries that were read are in the range. */
static unsigned int count_inside(Iterator *self, unsigned int count) {
    const zdb_val *keys = self->cursor->keys;
    PyObject *bound = self->step == ZDB_PREV ? self->lower : self->upper;
    if (bound == NULL || !is_beyond(self, &keys[count - 1])) return count;
    unsigned int low = 0, high = count - 1;
    while (low < high) {
        unsigned int middle = (low + high) / 2;
        if (is_beyond(self, &keys[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/** How many entries to read next, when the iteration has given some. */
static unsigned int next_batch(Cursor *cursor, unsigned int otherwise, unsigned int given) {
    unsigned int size = otherwise;
    if (cursor->is_counted && given < cursor->expected) size = cursor->expected - given;
    return size < BATCH_MAX ? size : BATCH_MAX;
}

/** Reads entries in advance. @return the library's result; RAISED with an exception. */
static int read_ahead(Iterator *self) {
    Cursor *cursor = self->cursor;
    Transaction *transaction = cursor->transaction;
    unsigned int size = cursor->batch;
    if (make_room(cursor, size < BATCH_MIN ? BATCH_MIN : size) < 0) return RAISED;
    int is_back = self->step == ZDB_PREV;
    int has_bound = (is_back ? self->lower : self->upper) != NULL;
    zdb_val *keys = self->want != VALUES || has_bound ? cursor->keys : NULL;
    zdb_val *values = self->want != KEYS ? cursor->values : NULL;
    size_t count = 0;
    int code;
    CALL(transaction, code,
         (is_back ? library.zdb_cursor_prev_many : library.zdb_cursor_next_many)(
             cursor->handle, keys, values, size, &count));
    if (code != ZDB_OK) return code;
    cursor->step = self->step;
    cursor->want = self->want;
    cursor->given += cursor->taken;
    cursor->taken = 0;
    cursor->count = (unsigned int)count;
    cursor->end = count_inside(self, cursor->count);
    self->is_last_batch = cursor->end < cursor->count;
    transaction->ahead++;
    cursor->batch = next_batch(cursor, size * 2, cursor->given + cursor->count);
    return cursor->end > 0 ? ZDB_OK : ZDB_NOT_FOUND;
}

static PyObject *bytes_of(const zdb_val *val) {
    return PyBytes_FromStringAndSize(val->data, (Py_ssize_t)val->size);
}

/** A pair of key and value, in a tuple that nobody else has or in a new one. */
static PyObject *pair_of(Cursor *cursor, const zdb_val *key, const zdb_val *value) {
    PyObject *first = bytes_of(key);
    PyObject *second = first == NULL ? NULL : bytes_of(value);
    PyObject *pair = NULL;
    if (second == NULL) goto done;
    if (!reuses_pairs || value->size > KEPT_BYTES_MAX) {
        pair = PyTuple_Pack(2, first, second);
        goto done;
    }
    cursor->pair ^= 1;
    PyObject **place = &cursor->pairs[(int)cursor->pair];
    if (*place != NULL && Py_REFCNT(*place) == 1) {
        PyTuple_SetItem(*place, 0, first);
        PyTuple_SetItem(*place, 1, second);
        Py_INCREF(*place);
        return *place;
    }
    pair = PyTuple_Pack(2, first, second);
    PyObject *before = *place;
    Py_XINCREF(pair);
    *place = pair;
    Py_XDECREF(before);
done:
    Py_XDECREF(first);
    Py_XDECREF(second);
    return pair;
}

/** What an iteration gives of an entry. */
static PyObject *item_of(Iterator *self, const zdb_val *key, const zdb_val *value) {
    Cursor *cursor = self->cursor;
    if (self->want != ITEMS || cursor->transaction->has_buffers)
        return entry_object(cursor->transaction, key, value, self->want);
    return pair_of(cursor, key, value);
}

static PyObject *take(Iterator *self) {
    Cursor *cursor = self->cursor;
    unsigned int index = cursor->taken++;
    if (cursor->taken == cursor->count) cursor->transaction->ahead--;
    return item_of(self, &cursor->keys[index], &cursor->values[index]);
}

/* ------------------------------------------------------------------------ next */

static PyObject *end(Iterator *self, int code) {
    Cursor *cursor = self->cursor;
    self->is_at_end = 1;
    self->has_begun = 0; /* it takes nothing that another iterator of the cursor has read */
    if (code == ZDB_NOT_FOUND) {
        cursor->is_unset = 1;
        if (self->is_range && !cursor->transaction->is_busy) close_cursor(cursor);
        return NULL;
    }
    if (code != RAISED) raise_code(cursor->transaction->environment, code);
    return NULL;
}

static int reads_ahead(Iterator *self) { return self->step == ZDB_NEXT || self->step == ZDB_PREV; }

static PyObject *next_slowly(Iterator *self) {
    Cursor *cursor = self->cursor;
    Transaction *transaction = cursor->transaction;
    zdb_val key, value;
    int code;
    if (self->is_at_end) return NULL;
    if (!is_cursor_usable(cursor)) return raise_cursor_unusable(cursor);
    if (self->has_begun && self->resets != transaction->resets) {
        self->is_at_end = 1;
        return raise_message(transaction->environment, ZDB_BAD_CURSOR,
                             "the transaction was reset, which ended its iterations; begin "
                             "another one");
    }
    if (self->is_last_batch && self->changes == transaction->changes)
        return end(self, ZDB_NOT_FOUND);
    int has_found = cursor->has_found && !self->has_begun && !self->is_range;
    cursor->has_found = 0;
    if (bring_back(cursor) < 0) return NULL;
    int is_disturbed = self->changes != transaction->changes;
    self->changes = transaction->changes;
    if (!self->has_begun) {
        if (has_found) {
            key = cursor->found_key;
            value = cursor->found_value;
            code = ZDB_OK;
        } else {
            code = self->is_range ? begin_range(self, &key, &value)
                                  : begin_here(self, &key, &value);
        }
        self->has_begun = 1;
        self->resets = transaction->resets;
        cursor->batch = transaction->is_write ? 1 : next_batch(cursor, BATCH_MIN, 1);
        if (cursor->batch == 1 && !transaction->is_write) cursor->batch = 2;
    } else if (reads_ahead(self) && !is_disturbed && cursor->batch > 1) {
        code = read_ahead(self);
        if (code == ZDB_OK) return take(self);
        return end(self, code);
    } else {
        CALL(transaction, code,
             library.zdb_cursor_get(cursor->handle, &key, self->want == KEYS ? NULL : &value,
                                    self->step));
        if (is_step_without_duplicates(cursor, code, self->step)) {
            self->step = step_over_entries(self->step);
            CALL(transaction, code,
                 library.zdb_cursor_get(cursor->handle, &key, self->want == KEYS ? NULL : &value,
                                        self->step));
        }
        if (reads_ahead(self)) cursor->batch = is_disturbed ? 1 : 2;
    }
    if (code != ZDB_OK) return end(self, code);
    if ((self->lower != NULL || self->upper != NULL) && is_beyond(self, &key))
        return end(self, ZDB_NOT_FOUND);
    cursor->is_unset = 0;
    cursor->given++;
    return item_of(self, &key, &value);
}

static PyObject *iterator_next(PyObject *object) {
    Iterator *self = (Iterator *)object;
    Cursor *cursor = self->cursor;
    /* Another iterator of the cursor may have read them. */
    if (cursor->taken < cursor->end && self->step == cursor->step && self->want == cursor->want &&
        self->has_begun && !cursor->transaction->is_busy &&
        cursor->transaction->forks == fork_count)
        return take(self);
    return next_slowly(self);
}

/* ---------------------------------------------------------------------- making */

static Iterator *make_iterator(Cursor *cursor, zdb_cursor_op step, enum want want) {
    Iterator *self = (Iterator *)PyType_GenericAlloc(IteratorType, 0);
    if (self == NULL) return NULL;
    Py_INCREF(cursor);
    self->cursor = cursor;
    self->step = step;
    self->want = want;
    self->changes = cursor->transaction->changes;
    return self;
}

PyObject *iterate(Cursor *cursor, zdb_cursor_op step, enum want want) {
    if (cursor->transaction == NULL) return raise_cursor_unusable(cursor);
    return (PyObject *)make_iterator(cursor, step, want);
}

/** A copy of a bound, as bytes. */
static PyObject *bound_of(PyObject *object, const char *role) {
    struct bytes bytes;
    if (PyBytes_Check(object)) {
        Py_INCREF(object);
        return object;
    }
    if (take_bytes(object, role, &bytes) < 0) return NULL;
    PyObject *copy = PyBytes_FromStringAndSize(bytes.val.data, (Py_ssize_t)bytes.val.size);
    release_bytes(&bytes);
    return copy;
}

static int compare_bounds(PyObject *left, PyObject *right) {
    return compare_bytes(PyBytes_AsString(left), size_of(left), PyBytes_AsString(right),
                         size_of(right));
}

/** Narrows a range to the keys that begin with `prefix`. Takes over the reference. */
static int narrow(PyObject **lower, PyObject **upper, PyObject *prefix) {
    size_t length = size_of(prefix);
    const char *bytes = PyBytes_AsString(prefix);
    while (length > 0 && (unsigned char)bytes[length - 1] == 0xff) length--;
    if (length > 0) {
        PyObject *after = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
        if (after == NULL) {
            Py_DECREF(prefix);
            return -1;
        }
        memcpy(PyBytes_AsString(after), bytes, length);
        PyBytes_AsString(after)[length - 1]++;
        if (*upper == NULL || compare_bounds(after, *upper) < 0) {
            Py_XDECREF(*upper);
            *upper = after;
        } else {
            Py_DECREF(after);
        }
    }
    if (*lower == NULL || compare_bounds(prefix, *lower) > 0) {
        Py_XDECREF(*lower);
        *lower = prefix;
    } else {
        Py_DECREF(prefix);
    }
    return 0;
}

/** The bounds of a range; NULL for those that bound nothing. @return -1 with an exception. */
static int take_bounds(PyObject *start, PyObject *stop, PyObject *prefix, PyObject **lower,
                       PyObject **upper) {
    if (start != NULL && start != Py_None && (*lower = bound_of(start, "start")) == NULL) return -1;
    if (stop != NULL && stop != Py_None && (*upper = bound_of(stop, "stop")) == NULL) return -1;
    if (prefix != NULL && prefix != Py_None) {
        PyObject *bound = bound_of(prefix, "prefix");
        if (bound == NULL || narrow(lower, upper, bound) < 0) return -1;
    }
    if (*lower != NULL && size_of(*lower) == 0) Py_CLEAR(*lower);
    return 0;
}

PyObject *iterate_range(Transaction *transaction, PyObject *database, PyObject *start, PyObject *stop,
                        PyObject *prefix, int is_reverse, enum want want) {
    PyObject *lower = NULL, *upper = NULL, *cursor = NULL;
    unsigned int flags = 0;
    if (take_bounds(start, stop, prefix, &lower, &upper) < 0) goto failed;
    if ((lower != NULL || upper != NULL) && database_flags(transaction, database, &flags) < 0)
        goto failed;
    if (flags & (ZDB_REVERSEKEY | ZDB_INTEGERKEY) && prefix != NULL && prefix != Py_None) {
        raise_message(transaction->environment, ZDB_INCOMPATIBLE,
                      "a prefix is for databases whose keys are ordered as bytes");
        goto failed;
    }
    cursor = open_cursor(CursorType, transaction, database);
    if (cursor == NULL) goto failed;
    Iterator *self = make_iterator((Cursor *)cursor, is_reverse ? ZDB_PREV : ZDB_NEXT, want);
    Py_DECREF(cursor);
    if (self == NULL) goto failed;
    self->lower = lower;
    self->upper = upper;
    self->is_range = 1;
    self->order = flags & ZDB_INTEGERKEY   ? AS_NUMBERS
                  : flags & ZDB_REVERSEKEY ? FROM_THE_LAST_BYTE
                                           : AS_BYTES;
    self->is_at_end = self->order == AS_BYTES && lower != NULL && upper != NULL &&
                      compare_bounds(upper, lower) <= 0;
    return (PyObject *)self;
failed:
    Py_XDECREF(lower);
    Py_XDECREF(upper);
    return NULL;
}

/* ------------------------------------------------------------------------ type */

static int iterator_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)((Iterator *)object)->cursor);
    return 0;
}

static void iterator_dealloc(PyObject *object) {
    Iterator *self = (Iterator *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_CLEAR(self->lower);
    Py_CLEAR(self->upper);
    Py_CLEAR(self->cursor);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "An iteration over entries, keys or values."},
    {Py_tp_new, refuse_new},
    {Py_tp_dealloc, iterator_dealloc},
    {Py_tp_traverse, iterator_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_next},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "zerodb._native.Iterator",
    .basicsize = sizeof(Iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int add_iterator_type(PyObject *module) {
    IteratorType = add_type(module, &spec, "_Iterator");
    return IteratorType == NULL ? -1 : 0;
}
