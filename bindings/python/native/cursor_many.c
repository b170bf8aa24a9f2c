/* What cursors read and put many at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core.h"

/** Appends all values of the key that the cursor is on. @return -1 with an exception. */
static int add_current_values(Cursor *self, PyObject *found) {
    zdb_val value, stored;
    int code;
    CALL(self->transaction, code,
         library.zdb_cursor_get(self->handle, &stored, &value, ZDB_GET_CURRENT));
    while (code == ZDB_OK) {
        PyObject *pair = entry_object(self->transaction, &stored, &value, ITEMS);
        int added = pair == NULL ? -1 : PyList_Append(found, pair);
        Py_XDECREF(pair);
        if (added < 0) return -1;
        if (!is_cursor_usable(self)) {
            raise_cursor_unusable(self);
            return -1;
        }
        if (bring_back(self) < 0) return -1;
        CALL(self->transaction, code,
             library.zdb_cursor_get(self->handle, &stored, &value, ZDB_NEXT_DUP));
    }
    if (code == ZDB_NOT_FOUND) {
        self->is_unset = 1;
        return 0;
    }
    raise_code(self->transaction->environment, code);
    return -1;
}

/** Appends all values of a key. @return -1 with an exception. */
static int add_values(Cursor *self, PyObject *key, PyObject *found) {
    zdb_val value;
    struct bytes held;
    int result = find_key(self, key, &value, &held);
    if (result == 1) result = add_current_values(self, found);
    release_bytes(&held);
    return result;
}

static PyObject *joined(PyObject *pairs) {
    PyObject *parts = PyList_New(0), *array = PyByteArray_FromStringAndSize(NULL, 0), *all = NULL;
    if (parts == NULL || array == NULL) goto done;
    for (Py_ssize_t i = 0; i < PyList_Size(pairs); i++) {
        PyObject *pair = PyList_GetItem(pairs, i);
        if (PyList_Append(parts, PyTuple_GetItem(pair, 0)) < 0 ||
            PyList_Append(parts, PyTuple_GetItem(pair, 1)) < 0)
            goto done;
    }
    all = PyObject_CallMethod(array, "join", "O", parts);
done:
    Py_XDECREF(parts);
    Py_XDECREF(array);
    return all;
}

/** Keys and values of a fixed size one after the other, as a bytearray; None if that must be done one by
 *  one. */
static PyObject *fixed_values(Cursor *self, PyObject *keys, PyObject *value_size) {
    Py_ssize_t size = PyNumber_AsSsize_t(value_size, PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred()) return NULL;
    if (!is_usable(self->transaction)) return raise_unusable(self->transaction);
    PyObject *all = get_fixed(self->transaction, self->db, keys, (size_t)size);
    if (all == NULL || all == Py_None) return all;
    PyObject *array = PyByteArray_FromObject(all);
    Py_DECREF(all);
    return array;
}

PyObject *cursor_getmulti(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords) {
    static const char *const names[] = {"keys", "dupdata", "dupfixed_bytes", "keyfixed", NULL};
    Cursor *self = (Cursor *)object;
    PyObject *given[4] = {NULL};
    if (parse("getmulti", args, count, keywords, names, 1, given) < 0) return NULL;
    int dupdata = truth(given[1], 0), fixed = truth(given[2], 0), joins = truth(given[3], 0);
    if (dupdata < 0 || fixed < 0 || joins < 0) return NULL;
    if (!is_cursor_usable(self)) return raise_cursor_unusable(self);
    if (!dupdata && !fixed)
        return PyObject_CallMethod((PyObject *)self->transaction, "_get_pairs", "OO", given[0],
                                   self->database == NULL ? Py_None : self->database);
    PyObject *keys = fixed && joins ? PySequence_List(given[0]) : PyObject_GetIter(given[0]);
    if (keys == NULL) return NULL;
    if (fixed && joins) {
        PyObject *all = fixed_values(self, keys, given[2]);
        if (all != Py_None) {
            Py_DECREF(keys);
            return all;
        }
        Py_DECREF(all);
    }
    PyObject *iterator = PyObject_GetIter(keys);
    Py_DECREF(keys);
    PyObject *found = iterator == NULL ? NULL : PyList_New(0);
    PyObject *each;
    while (found != NULL && (each = PyIter_Next(iterator)) != NULL) {
        int code = add_values(self, each, found);
        Py_DECREF(each);
        if (code < 0) break;
    }
    Py_XDECREF(iterator);
    if (PyErr_Occurred()) {
        Py_XDECREF(found);
        return NULL;
    }
    if (!fixed || !joins) return found;
    PyObject *all = joined(found);
    Py_DECREF(found);
    return all;
}

PyObject *cursor_putmulti(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords) {
    static const char *const names[] = {"items", "dupdata", "overwrite", "append", NULL};
    Cursor *self = (Cursor *)object;
    PyObject *given[4] = {NULL, Py_True, Py_True, Py_False};
    if (parse("putmulti", args, count, keywords, names, 1, given) < 0) return NULL;
    if (!is_cursor_usable(self)) return raise_cursor_unusable(self);
    return PyObject_CallMethod((PyObject *)self->transaction, "put_many", "OOOOO", given[0], given[1],
                               given[2], given[3],
                               self->database == NULL ? Py_None : self->database);
}
