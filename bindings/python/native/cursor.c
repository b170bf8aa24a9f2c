/* Cursors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cursor.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

PyTypeObject *CursorType;

/* ------------------------------------------------------------- opening, closing */

PyObject *open_cursor(PyTypeObject *type, Transaction *transaction, PyObject *database) {
    unsigned int number;
    if (database_number(transaction, database, &number) < 0) return NULL;
    if (!is_usable(transaction)) return raise_unusable(transaction);
    if (database == NULL || database == Py_None) database = transaction->database;
    Cursor *self = (Cursor *)PyType_GenericAlloc(type, 0);
    if (self == NULL) return NULL;
    Py_INCREF(transaction);
    self->transaction = transaction;
    self->db = number;
    self->is_unset = 1;
    self->expected = transaction->environment->expected;
    if (database != NULL) {
        Py_INCREF(database);
        self->database = database;
        self->flags = ((Database *)database)->flags;
        self->has_flags = 1;
    }
    int code;
    CALL(transaction, code,
         library.zdb_cursor_open(transaction->handle, number, &self->handle));
    if (code != ZDB_OK) {
        self->handle = NULL;
        Py_DECREF(self);
        return raise_code(transaction->environment, code);
    }
    self->next = transaction->cursors;
    if (self->next != NULL) self->next->previous = self;
    transaction->cursors = self;
    transaction->cursor_count++;
    return (PyObject *)self;
}

void forget_ahead(Cursor *self) {
    if (self->taken < self->count) self->transaction->ahead--;
    self->has_found = 0;
    self->given += self->taken;
    self->taken = self->end = self->count = 0;
}

void end_walk(Cursor *self) {
    unsigned int given = self->given + self->taken;
    if (self->is_counted && given > 0) {
        self->expected = given >= self->expected ? given : (given + self->expected) / 2;
        self->transaction->environment->expected = self->expected;
    }
    self->is_counted = 0;
}

void close_cursor(Cursor *self) {
    zdb_cursor *handle = self->handle;
    Transaction *transaction = self->transaction;
    if (handle == NULL) return;
    end_walk(self);
    forget_ahead(self);
    self->handle = NULL;
    if (self->previous != NULL)
        self->previous->next = self->next;
    else
        transaction->cursors = self->next;
    if (self->next != NULL) self->next->previous = self->previous;
    self->previous = self->next = NULL;
    transaction->cursor_count--;
    library.zdb_cursor_close(handle);
}

static PyObject *close_method(PyObject *object, PyObject *unused) {
    Cursor *self = (Cursor *)object;
    (void)unused;
    self->is_closed = 1;
    /* If another thread is inside, the transaction closes the cursor when it ends. */
    if (self->handle != NULL && !self->transaction->is_busy) close_cursor(self);
    Py_RETURN_NONE;
}

int is_cursor_usable(Cursor *self) {
    return self->handle != NULL && !self->is_closed && !self->transaction->is_busy &&
           self->transaction->forks == fork_count;
}

PyObject *raise_cursor_unusable(Cursor *self) {
    Transaction *transaction = self->transaction;
    if (transaction == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the cursor has not been opened");
        return NULL;
    }
    if (transaction->handle != NULL && transaction->is_busy) return raise_unusable(transaction);
    if (transaction->handle != NULL && transaction->process != getpid())
        return raise_unusable(transaction);
    if (self->is_closed)
        return raise_message(transaction->environment, ZDB_BAD_HANDLE,
                             "the cursor is closed; open another one");
    return raise_message(transaction->environment, ZDB_BAD_CURSOR,
                         "the cursor's transaction %s; begin another one and open a cursor in it",
                         transaction->outcome);
}

int bring_back(Cursor *self) {
    unsigned int steps = self->count - self->taken;
    zdb_cursor_op back = self->step == ZDB_NEXT ? ZDB_PREV : ZDB_NEXT;
    if (steps == 0) return 0;
    forget_ahead(self);
    self->batch = 1;
    for (; steps > 0; steps--) {
        int code;
        CALL(self->transaction, code, library.zdb_cursor_get(self->handle, NULL, NULL, back));
        if (code != ZDB_OK) {
            raise_code(self->transaction->environment, code);
            return -1;
        }
    }
    return 0;
}

int begin_call(Cursor *self, int writes) {
    if (!is_cursor_usable(self)) {
        raise_cursor_unusable(self);
        return -1;
    }
    self->has_found = 0;
    return writes ? before_write(self->transaction) : bring_back(self);
}

/** The same for a move that does not depend on where the cursor is. */
static int begin_move(Cursor *self) {
    if (!is_cursor_usable(self)) {
        raise_cursor_unusable(self);
        return -1;
    }
    end_walk(self);
    forget_ahead(self);
    return 0;
}

/** Keeps what a move has come to, if nothing can change it. */
static void keep_found(Cursor *self, const zdb_val *key, const zdb_val *value) {
    if (self->transaction->is_write) return;
    self->found_key = *key;
    self->found_value = *value;
    self->has_found = 1;
}

int has_duplicates(Cursor *self) {
    if (!self->has_flags) {
        if (database_flags(self->transaction, self->database, &self->flags) < 0) return -1;
        self->has_flags = 1;
    }
    return (self->flags & ZDB_DUPSORT) != 0;
}

/* ---------------------------------------------------------------------- moving */

PyObject *entry_object(Transaction *transaction, const zdb_val *key, const zdb_val *value,
                       enum want want) {
    if (want == KEYS) return key_object(transaction, key);
    if (want == VALUES) return value_object(transaction, value);
    /* No garbage collection may end the transaction before both are copied. */
    if (transaction->has_buffers) enter(transaction);
    PyObject *key_part = key_object(transaction, key);
    PyObject *value_part = key_part == NULL ? NULL : value_object(transaction, value);
    if (transaction->has_buffers) leave(transaction);
    if (value_part == NULL) {
        Py_XDECREF(key_part);
        return NULL;
    }
    PyObject *pair = PyTuple_Pack(2, key_part, value_part);
    Py_DECREF(key_part);
    Py_DECREF(value_part);
    return pair;
}

/** Moves and returns what a move of the style returns. */
static PyObject *move_to(Cursor *self, zdb_cursor_op op, zdb_val *key, zdb_val *value) {
    Environment *environment = self->transaction->environment;
    int code;
    /* LMDB's moves return no entry: the value is read when the program asks for it. */
    zdb_val *wanted =
        environment->is_lmdb_style && op != ZDB_SET_RANGE && op != ZDB_GET_BOTH &&
                op != ZDB_GET_BOTH_RANGE
            ? NULL
            : value;
    CALL(self->transaction, code, library.zdb_cursor_get(self->handle, key, wanted, op));
    if (code == ZDB_BAD_CURSOR && environment->is_lmdb_style &&
        (op == ZDB_NEXT_DUP || op == ZDB_PREV_DUP)) {
        /* LMDB's cursor moves to the first or last entry if it has not been on any. */
        op = op == ZDB_NEXT_DUP ? ZDB_FIRST : ZDB_LAST;
        CALL(self->transaction, code, library.zdb_cursor_get(self->handle, key, wanted, op));
    }
    if (is_step_without_duplicates(self, code, op)) {
        op = step_over_entries(op);
        CALL(self->transaction, code, library.zdb_cursor_get(self->handle, key, wanted, op));
    }
    if (code == ZDB_OK) {
        self->is_unset = 0;
        if (op == ZDB_SET_RANGE) {
            self->given = 0;
            self->is_counted = 1;
            keep_found(self, key, value);
        }
        if (environment->is_lmdb_style) Py_RETURN_TRUE;
        if (op == ZDB_GET_BOTH || op == ZDB_GET_BOTH_RANGE) {
            CALL(self->transaction, code,
                 library.zdb_cursor_get(self->handle, key, value, ZDB_GET_CURRENT));
            if (code != ZDB_OK) return raise_code(environment, code);
        }
        return entry_object(self->transaction, key, value, ITEMS);
    }
    if (code == ZDB_NOT_FOUND) {
        self->is_unset = 1;
        if (environment->is_lmdb_style) Py_RETURN_FALSE;
        Py_RETURN_NONE;
    }
    if (environment->is_lmdb_style && code == ZDB_BAD_CURSOR && op != ZDB_FIRST_DUP &&
        op != ZDB_LAST_DUP)
        Py_RETURN_FALSE;
    return raise_code(environment, code);
}

PyObject *move_cursor(PyObject *object, zdb_cursor_op op) {
    Cursor *self = (Cursor *)object;
    zdb_val key, value;
    int is_absolute = op == ZDB_FIRST || op == ZDB_LAST;
    if ((is_absolute ? begin_move(self) : begin_call(self, 0)) < 0) return NULL;
    return move_to(self, op, &key, &value);
}

#define MOVE(name, op)                                                                              \
    static PyObject *name(PyObject *self, PyObject *unused) {                                       \
        (void)unused;                                                                               \
        return move_cursor(self, op);                                                               \
    }
MOVE(first, ZDB_FIRST)
MOVE(last, ZDB_LAST)
MOVE(next, ZDB_NEXT)
MOVE(prev, ZDB_PREV)
MOVE(first_dup, ZDB_FIRST_DUP)
MOVE(last_dup, ZDB_LAST_DUP)
MOVE(next_dup, ZDB_NEXT_DUP)
MOVE(prev_dup, ZDB_PREV_DUP)
MOVE(next_nodup, ZDB_NEXT_NODUP)
MOVE(prev_nodup, ZDB_PREV_NODUP)

/** Moves to a key that is longer than any can be, as LMDB does. */
static PyObject *seek_too_long(Cursor *self, zdb_cursor_op op, zdb_val *key, zdb_val *value) {
    zdb_val wanted = {key->data, (size_t)self->transaction->environment->max_key_size};
    int code;
    if (op != ZDB_SET_RANGE) {
        self->is_unset = 1;
        Py_RETURN_FALSE;
    }
    *key = wanted;
    CALL(self->transaction, code, library.zdb_cursor_get(self->handle, key, value, op));
    /* No other key is between its longest prefix and it. */
    int is_prefix = code == ZDB_OK && key->size == wanted.size &&
                    memcmp(key->data, wanted.data, wanted.size) == 0;
    if (code == ZDB_OK && is_prefix) return move_to(self, ZDB_NEXT, key, value);
    if (code == ZDB_OK) return move_to(self, ZDB_GET_CURRENT, key, value);
    if (code != ZDB_NOT_FOUND) return raise_code(self->transaction->environment, code);
    self->is_unset = 1;
    Py_RETURN_FALSE;
}

static PyObject *seek(Cursor *self, PyObject *key, PyObject *value, zdb_cursor_op op) {
    struct bytes key_bytes, value_bytes;
    value_bytes.has_view = 0;
    if (take_bytes(key, "key", &key_bytes) < 0) return NULL;
    PyObject *result = NULL;
    if (value == NULL || take_bytes(value, "value", &value_bytes) == 0) {
        zdb_val found = key_bytes.val, found_value = {NULL, 0};
        if (value != NULL) found_value = value_bytes.val;
        if (op == ZDB_SET_RANGE && found.size == 0) op = ZDB_FIRST;
        if (begin_move(self) == 0) {
            Environment *environment = self->transaction->environment;
            if (environment->is_lmdb_style && found.size > (size_t)environment->max_key_size)
                result = seek_too_long(self, op, &found, &found_value);
            else
                result = move_to(self, op, &found, &found_value);
        }
    }
    release_bytes(&key_bytes);
    release_bytes(&value_bytes);
    return result;
}

static PyObject *set_key(PyObject *self, PyObject *key) {
    return seek((Cursor *)self, key, NULL, ZDB_SET_KEY);
}

static PyObject *set_range(PyObject *self, PyObject *key) {
    return seek((Cursor *)self, key, NULL, ZDB_SET_RANGE);
}

static const char *const pair_names[] = {"key", "value", NULL};

static PyObject *set_key_dup(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords) {
    PyObject *given[2] = {NULL};
    if (parse("set_key_dup", args, count, keywords, pair_names, 2, given) < 0) return NULL;
    return seek((Cursor *)self, given[0], given[1], ZDB_GET_BOTH);
}

static PyObject *set_range_dup(PyObject *self, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords) {
    PyObject *given[2] = {NULL};
    if (parse("set_range_dup", args, count, keywords, pair_names, 2, given) < 0) return NULL;
    return seek((Cursor *)self, given[0], given[1], ZDB_GET_BOTH_RANGE);
}

/* --------------------------------------------------------------------- reading */

int read_current(Cursor *self, zdb_val *key, zdb_val *value) {
    int code;
    CALL(self->transaction, code,
         library.zdb_cursor_get(self->handle, key, value, ZDB_GET_CURRENT));
    if (code == ZDB_OK || !self->transaction->environment->is_lmdb_style ||
        (code != ZDB_BAD_CURSOR && code != ZDB_NOT_FOUND))
        return code;
    /* Its entry has been deleted: LMDB's cursor is on the one after that. */
    CALL(self->transaction, code, library.zdb_cursor_get(self->handle, key, value, ZDB_NEXT));
    if (code == ZDB_OK || code == ZDB_NOT_FOUND || code == ZDB_BAD_CURSOR)
        self->is_unset = code != ZDB_OK;
    return code;
}

static PyObject *current(Cursor *self, enum want want) {
    Environment *environment;
    zdb_val key, value;
    int code = ZDB_BAD_CURSOR;
    if (self->has_found && is_cursor_usable(self))
        return entry_object(self->transaction, &self->found_key, &self->found_value, want);
    if (begin_call(self, 0) < 0) return NULL;
    environment = self->transaction->environment;
    if (!(environment->is_lmdb_style && self->is_unset))
        code = read_current(self, &key, want == KEYS ? NULL : &value);
    if (code == ZDB_OK) return entry_object(self->transaction, &key, &value, want);
    if (code != ZDB_BAD_CURSOR && code != ZDB_NOT_FOUND) return raise_code(environment, code);
    if (!environment->is_lmdb_style)
        return raise_message(environment, ZDB_BAD_CURSOR,
                             "the cursor is on no entry; move it to one first");
    zdb_val empty = {"", 0};
    return entry_object(self->transaction, &empty, &empty, want);
}

static PyObject *item(PyObject *self, PyObject *unused) {
    (void)unused;
    return current((Cursor *)self, ITEMS);
}

static PyObject *key(PyObject *self, PyObject *unused) {
    (void)unused;
    return current((Cursor *)self, KEYS);
}

static PyObject *value(PyObject *self, PyObject *unused) {
    (void)unused;
    return current((Cursor *)self, VALUES);
}

int find_key(Cursor *self, PyObject *key, zdb_val *value, struct bytes *held) {
    held->has_view = 0;
    if (take_bytes(key, "key", held) < 0) return -1;
    int code = ZDB_BAD_CURSOR, found = -1;
    if (begin_move(self) == 0) {
        zdb_val stored = held->val;
        CALL(self->transaction, code,
             library.zdb_cursor_get(self->handle, &stored, value, ZDB_SET_KEY));
        code = absent_if_too_long(self->transaction->environment, code, &held->val);
        if (code == ZDB_OK || code == ZDB_NOT_FOUND)
            found = code == ZDB_OK;
        else
            raise_code(self->transaction->environment, code);
        if (found >= 0) self->is_unset = found == 0;
    }
    return found;
}

static PyObject *get(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    static const char *const names[] = {"key", "default", NULL};
    Cursor *self = (Cursor *)object;
    PyObject *given[2] = {NULL, Py_None};
    zdb_val value;
    if (parse("get", args, count, keywords, names, 1, given) < 0) return NULL;
    struct bytes held;
    PyObject *result = NULL;
    int found = find_key(self, given[0], &value, &held);
    if (found == 1) {
        result = value_object(self->transaction, &value);
    } else if (found == 0) {
        Py_INCREF(given[1]);
        result = given[1];
    }
    release_bytes(&held);
    return result;
}

static PyObject *count_method(PyObject *object, PyObject *unused) {
    Cursor *self = (Cursor *)object;
    uint64_t count;
    int code;
    (void)unused;
    if (begin_call(self, 0) < 0) return NULL;
    CALL(self->transaction, code, library.zdb_cursor_count(self->handle, &count));
    if (code != ZDB_OK) return raise_code(self->transaction->environment, code);
    return PyLong_FromUnsignedLongLong(count);
}

/* ------------------------------------------------------------------- iterating */

static PyObject *walk(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                      const char *function, zdb_cursor_op step, int keys, int values) {
    static const char *const names[] = {"keys", "values", NULL};
    PyObject *given[2] = {NULL};
    if (parse(function, args, count, keywords, names, 0, given) < 0) return NULL;
    keys = truth(given[0], keys);
    values = truth(given[1], values);
    if (keys < 0 || values < 0) return NULL;
    return iterate((Cursor *)self, step, keys && values ? ITEMS : values ? VALUES : KEYS);
}

#define WALK(name, step, keys, values)                                                              \
    static PyObject *name(PyObject *self, PyObject *const *args, Py_ssize_t count,                  \
                          PyObject *keywords) {                                                     \
        return walk(self, args, count, keywords, #name, step, keys, values);                        \
    }
WALK(iternext, ZDB_NEXT, 1, 1)
WALK(iterprev, ZDB_PREV, 1, 1)
WALK(iternext_dup, ZDB_NEXT_DUP, 0, 1)
WALK(iterprev_dup, ZDB_PREV_DUP, 0, 1)
WALK(iternext_nodup, ZDB_NEXT_NODUP, 1, 0)
WALK(iterprev_nodup, ZDB_PREV_NODUP, 1, 0)

static PyObject *iterator(PyObject *self) { return iterate((Cursor *)self, ZDB_NEXT, ITEMS); }

/* ------------------------------------------------------------------------ type */

static PyObject *enter_method(PyObject *self, PyObject *unused) {
    (void)unused;
    Py_INCREF(self);
    return self;
}

static PyObject *exit_method(PyObject *self, PyObject *args) {
    (void)args;
    return close_method(self, NULL);
}

static PyObject *call_method(PyObject *object, PyObject *args, PyObject *keywords) {
    Cursor *self = (Cursor *)object;
    PyObject *write = keywords == NULL ? NULL : PyDict_GetItemString(keywords, "write");
    int writes = truth(write, 0);
    if (writes < 0 || begin_call(self, writes) < 0) return NULL;
    enter(self->transaction);
    PyObject *result = call_with_handle(self->handle, args);
    leave(self->transaction);
    return result;
}

static PyObject *cursor_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static const char *const names[] = {"db", "txn", NULL};
    PyObject *given[2] = {NULL};
    if (parse_tuple("Cursor", args, keywords, names, 2, given) < 0) return NULL;
    if (!PyObject_TypeCheck(given[1], TransactionType)) {
        PyErr_SetString(PyExc_TypeError, "txn must be a transaction");
        return NULL;
    }
    return open_cursor(type, (Transaction *)given[1], given[0]);
}

static int cursor_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)((Cursor *)object)->transaction);
    Py_VISIT(((Cursor *)object)->database);
    return 0;
}

static int cursor_clear(PyObject *object) {
    /* The transaction is needed to close it. */
    Py_CLEAR(((Cursor *)object)->database);
    return 0;
}

static void cursor_dealloc(PyObject *object) {
    Cursor *self = (Cursor *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references != NULL) PyObject_ClearWeakRefs(object);
    if (self->handle != NULL) close_cursor(self);
    PyMem_Free(self->keys);
    Py_CLEAR(self->pairs[0]);
    Py_CLEAR(self->pairs[1]);
    Py_CLEAR(self->database);
    Py_CLEAR(self->transaction);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))
#define FAST_KEYWORDS (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef methods[] = {
    {"first", first, METH_NOARGS, "Moves to the first entry."},
    {"last", last, METH_NOARGS, "Moves to the last entry."},
    {"next", next, METH_NOARGS,
     "Moves to the next entry, or to the first if the cursor is on none yet."},
    {"prev", prev, METH_NOARGS,
     "Moves to the entry before, or to the last if the cursor is on none yet."},
    {"first_dup", first_dup, METH_NOARGS, "Moves to the first value of the key."},
    {"last_dup", last_dup, METH_NOARGS, "Moves to the last value of the key."},
    {"next_dup", next_dup, METH_NOARGS, "Moves to the next value of the key."},
    {"prev_dup", prev_dup, METH_NOARGS, "Moves to the value of the key before this one."},
    {"next_nodup", next_nodup, METH_NOARGS, "Moves to the first value of the next key."},
    {"prev_nodup", prev_nodup, METH_NOARGS, "Moves to the last value of the key before."},
    {"set_key", set_key, METH_O,
     "Moves to the entry with exactly this key, and to the first of its values."},
    {"set_key_dup", FAST(set_key_dup), FAST_KEYWORDS,
     "Moves to the entry with exactly this key and value."},
    {"set_range", set_range, METH_O, "Moves to the first entry whose key is at or after `key`."},
    {"set_range_dup", FAST(set_range_dup), FAST_KEYWORDS,
     "Moves to the first value of exactly this key that is at or after `value`."},
    {"item", item, METH_NOARGS, "The key and the value that the cursor is on."},
    {"key", key, METH_NOARGS, "The key that the cursor is on."},
    {"value", value, METH_NOARGS, "The value that the cursor is on."},
    {"get", FAST(get), FAST_KEYWORDS,
     "Moves to a key and returns its first value, or `default` if the key is not there."},
    {"count", count_method, METH_NOARGS, "The number of values of the key that the cursor is on."},
    {"iternext", FAST(iternext), FAST_KEYWORDS,
     "The entries from the one that the cursor is on, or from the first, to the last."},
    {"iterprev", FAST(iterprev), FAST_KEYWORDS,
     "The entries from the one that the cursor is on, or from the last, to the first."},
    {"iternext_dup", FAST(iternext_dup), FAST_KEYWORDS,
     "The values of the key from the one that the cursor is on to the last."},
    {"iterprev_dup", FAST(iterprev_dup), FAST_KEYWORDS,
     "The values of the key from the one that the cursor is on to the first."},
    {"iternext_nodup", FAST(iternext_nodup), FAST_KEYWORDS,
     "Each key once, from the one that the cursor is on, or the first, to the last."},
    {"iterprev_nodup", FAST(iterprev_nodup), FAST_KEYWORDS,
     "Each key once, from the one that the cursor is on, or the last, to the first."},
    {"put", FAST(cursor_put), FAST_KEYWORDS, "Puts an entry and moves to it."},
    {"set_value", cursor_set_value, METH_O, "Replaces the value that the cursor is on."},
    {"delete", FAST(cursor_delete), FAST_KEYWORDS,
     "Deletes the entry that the cursor is on, with `dupdata` all values of its key."},
    {"replace", FAST(cursor_replace), FAST_KEYWORDS,
     "Puts an entry, moves to it and returns the value that it replaces, or None."},
    {"pop", FAST(cursor_pop), FAST_KEYWORDS,
     "Deletes a key and returns its value, or None if the key is not there."},
    {"getmulti", FAST(cursor_getmulti), FAST_KEYWORDS,
     "A list of the keys that are there, each with its first value, or with `dupdata` with each of "
     "its values."},
    {"putmulti", FAST(cursor_putmulti), FAST_KEYWORDS,
     "Puts many entries; returns how many there were and how many were put."},
    {"close", close_method, METH_NOARGS, "Closes the cursor. Closing it again does nothing."},
    {"__enter__", enter_method, METH_NOARGS, NULL},
    {"__exit__", exit_method, METH_VARARGS, NULL},
    {"_call", FAST(call_method), METH_VARARGS | METH_KEYWORDS,
     "Calls a function with the cursor's handle and arguments."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef attributes[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Cursor, weak_references), READONLY, NULL},
    {"transaction", T_OBJECT, offsetof(Cursor, transaction), READONLY,
     "The transaction that the cursor belongs to."},
    {"database", T_OBJECT, offsetof(Cursor, database), READONLY,
     "The database that it moves in; None for the main database."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "A position in one database of one transaction."},
    {Py_tp_new, cursor_new},
    {Py_tp_dealloc, cursor_dealloc},
    {Py_tp_traverse, cursor_traverse},
    {Py_tp_clear, cursor_clear},
    {Py_tp_iter, iterator},
    {Py_tp_methods, methods},
    {Py_tp_members, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "zerodb._native.CursorCore",
    .basicsize = sizeof(Cursor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int add_cursor_type(PyObject *module) {
    CursorType = add_type(module, &spec, "CursorCore");
    return CursorType == NULL ? -1 : 0;
}
