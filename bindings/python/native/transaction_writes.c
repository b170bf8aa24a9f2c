/* Writing in transactions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "transaction.h"

int take_put_mode(Transaction *self, PyObject *database, PyObject *const given[3],
                  struct put_mode *mode) {
    int append = truth(given[2], 0);
    mode->dupdata = truth(given[0], 1);
    mode->overwrite = truth(given[1], 1);
    if (mode->dupdata < 0 || mode->overwrite < 0 || append < 0) return -1;
    mode->flags = mode->overwrite ? 0 : ZDB_NOOVERWRITE;
    if (mode->dupdata && !append) return 0;
    unsigned int kind;
    if (database_flags(self, database, &kind) < 0) return -1;
    int has_duplicates = (kind & ZDB_DUPSORT) != 0;
    if (append) mode->flags |= has_duplicates ? ZDB_APPENDDUP : ZDB_APPEND;
    if (!mode->dupdata && has_duplicates) mode->flags |= ZDB_NODUPDATA;
    return 0;
}

PyObject *put_result(Environment *environment, int code, const struct put_mode *mode) {
    if (code == ZDB_OK) Py_RETURN_TRUE;
    if (code == ZDB_KEYEXIST && !(mode->overwrite && mode->dupdata)) Py_RETURN_FALSE;
    if (code == ZDB_NOT_SORTED && environment->is_lmdb_style) Py_RETURN_FALSE;
    return raise_code(environment, code);
}

int check_empty(Transaction *self, PyObject *database, const zdb_val *value) {
    unsigned int kind;
    if (!self->environment->is_lmdb_style || value->size > 0) return 0;
    if (database_flags(self, database, &kind) < 0) return -1;
    if (!(kind & ZDB_DUPSORT)) return 0;
    raise_message(self->environment, ZDB_BAD_VALSIZE,
                  "a value of a database with dupsort has at least one byte");
    return -1;
}

/** Puts one entry. @return the library's result; RAISED with an exception. */
static int put(Transaction *self, PyObject *database, unsigned int number, PyObject *key,
               PyObject *value, unsigned int flags) {
    struct bytes key_bytes, value_bytes;
    if (take_bytes(key, "key", &key_bytes) < 0) return RAISED;
    if (take_bytes(value, "value", &value_bytes) < 0) {
        release_bytes(&key_bytes);
        return RAISED;
    }
    int code = RAISED;
    if (!is_usable(self)) {
        raise_unusable(self);
    } else if (check_empty(self, database, &value_bytes.val) == 0 && before_write(self) == 0) {
        CALL(self, code,
             library.zdb_put(self->handle, number, &key_bytes.val, &value_bytes.val, flags));
    }
    release_bytes(&key_bytes);
    release_bytes(&value_bytes);
    return code;
}

PyObject *transaction_put(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords) {
    static const char *const names[] = {"key", "value", "dupdata", "overwrite", "append", "db", NULL};
    Transaction *self = (Transaction *)object;
    PyObject *given[6] = {NULL};
    if (count == 2 && keywords == NULL) {
        given[0] = args[0];
        given[1] = args[1];
    } else if (parse("put", args, count, keywords, names, 2, given) < 0) {
        return NULL;
    }
    unsigned int number;
    struct put_mode mode;
    if (database_number(self, given[5], &number) < 0 ||
        take_put_mode(self, given[5], &given[2], &mode) < 0)
        return NULL;
    int code = put(self, given[5], number, given[0], given[1], mode.flags);
    if (code == RAISED) return NULL;
    return put_result(self->environment, code, &mode);
}

/** An iterator over what comes after the first items. */
static PyObject *rest_of(PyObject *items, Py_ssize_t count) {
    if (count == 0) return PyObject_GetIter(items);
    PyObject *rest = PyList_GetSlice(items, count, PyList_Size(items));
    PyObject *iterator = rest == NULL ? NULL : PyObject_GetIter(rest);
    Py_XDECREF(rest);
    return iterator;
}

PyObject *transaction_put_many(PyObject *object, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords) {
    static const char *const names[] = {"items", "dupdata", "overwrite", "append", "db", NULL};
    Transaction *self = (Transaction *)object;
    PyObject *given[5] = {NULL};
    if (parse("put_many", args, count, keywords, names, 1, given) < 0) return NULL;
    unsigned int number;
    struct put_mode mode;
    if (database_number(self, given[4], &number) < 0 ||
        take_put_mode(self, given[4], &given[1], &mode) < 0)
        return NULL;
    Py_ssize_t consumed = 0, added = 0;
    if (PyList_CheckExact(given[0]) && !(mode.flags & (ZDB_NOOVERWRITE | ZDB_NODUPDATA))) {
        if (put_list(self, number, given[0], mode.flags, &added) < 0) return NULL;
        consumed = added;
    }
    PyObject *iterator = rest_of(given[0], consumed);
    if (iterator == NULL) return NULL;
    PyObject *item;
    while ((item = PyIter_Next(iterator)) != NULL) {
        int code = RAISED;
        if (PyTuple_Check(item) && PyTuple_Size(item) == 2) {
            code = put(self, given[4], number, PyTuple_GetItem(item, 0), PyTuple_GetItem(item, 1),
                       mode.flags);
        } else {
            PyObject *pair = PySequence_List(item);
            if (pair != NULL && PyList_Size(pair) != 2)
                PyErr_SetString(PyExc_TypeError, "an item must be a pair of a key and a value");
            else if (pair != NULL)
                code = put(self, given[4], number, PyList_GetItem(pair, 0), PyList_GetItem(pair, 1),
                           mode.flags);
            Py_XDECREF(pair);
        }
        Py_DECREF(item);
        if (code == RAISED) break;
        PyObject *result = put_result(self->environment, code, &mode);
        if (result == NULL) break;
        added += result == Py_True;
        Py_DECREF(result);
        consumed++;
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred()) return NULL;
    return Py_BuildValue("nn", consumed, added);
}

/** Deletes a key. @return the library's result; RAISED with an exception. */
static int delete(Transaction *self, PyObject *key, PyObject *value, PyObject *database) {
    unsigned int number;
    if (database_number(self, database, &number) < 0) return RAISED;
    struct bytes key_bytes, value_bytes;
    value_bytes.has_view = 0;
    value_bytes.val.size = 0;
    if (take_bytes(key, "key", &key_bytes) < 0) return RAISED;
    if (value != NULL && value != Py_None && take_bytes(value, "value", &value_bytes) < 0) {
        release_bytes(&key_bytes);
        return RAISED;
    }
    int code = RAISED;
    if (!is_usable(self)) {
        raise_unusable(self);
    } else if (before_write(self) == 0) {
        const zdb_val *only = value_bytes.val.size > 0 ? &value_bytes.val : NULL;
        CALL(self, code, library.zdb_del(self->handle, number, &key_bytes.val, only));
        code = absent_if_too_long(self->environment, code, &key_bytes.val);
    }
    release_bytes(&key_bytes);
    release_bytes(&value_bytes);
    return code;
}

PyObject *transaction_delete(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords) {
    static const char *const names[] = {"key", "value", "db", NULL};
    Transaction *self = (Transaction *)object;
    PyObject *given[3] = {NULL};
    if (parse("delete", args, count, keywords, names, 1, given) < 0) return NULL;
    int code = delete (self, given[0], given[1], given[2]);
    if (code == RAISED) return NULL;
    if (code == ZDB_OK) Py_RETURN_TRUE;
    if (code == ZDB_NOT_FOUND) Py_RETURN_FALSE;
    return raise_code(self->environment, code);
}

int transaction_set_item(PyObject *object, PyObject *key, PyObject *value) {
    Transaction *self = (Transaction *)object;
    unsigned int number;
    if (database_number(self, NULL, &number) < 0) return -1;
    int code = value == NULL ? delete (self, key, NULL, NULL) : put(self, NULL, number, key, value, 0);
    if (code == ZDB_OK) return 0;
    if (code == ZDB_NOT_FOUND)
        raise_no_key(self, key);
    else if (code != RAISED)
        raise_code(self->environment, code);
    return -1;
}

static PyObject *with_cursor(Transaction *self, PyObject *database, PyObject *key, PyObject *value) {
    Cursor *cursor = (Cursor *)open_cursor(CursorType, self, database);
    if (cursor == NULL) return NULL;
    PyObject *old =
        value == NULL ? cursor_pop_value(cursor, key) : cursor_replace_value(cursor, key, value);
    Py_DECREF(cursor);
    return old;
}

PyObject *transaction_replace(PyObject *object, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords) {
    static const char *const names[] = {"key", "value", "db", NULL};
    PyObject *given[3] = {NULL};
    if (parse("replace", args, count, keywords, names, 2, given) < 0) return NULL;
    return with_cursor((Transaction *)object, given[2], given[0], given[1]);
}

PyObject *transaction_pop(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords) {
    static const char *const names[] = {"key", "db", NULL};
    PyObject *given[2] = {NULL};
    if (parse("pop", args, count, keywords, names, 1, given) < 0) return NULL;
    return with_cursor((Transaction *)object, given[1], given[0], NULL);
}
