/* Writing with cursors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cursor.h"

/** Puts an entry. @return the library's result; RAISED with an exception. */
static int put(Cursor *self, PyObject *key, PyObject *value, unsigned int flags) {
    struct bytes key_bytes, value_bytes;
    if (take_bytes(key, "key", &key_bytes) < 0) return RAISED;
    if (take_bytes(value, "value", &value_bytes) < 0) {
        release_bytes(&key_bytes);
        return RAISED;
    }
    int code = RAISED;
    if (is_cursor_usable(self) &&
        check_empty(self->transaction, self->database, &value_bytes.val) < 0) {
        release_bytes(&key_bytes);
        release_bytes(&value_bytes);
        return RAISED;
    }
    if (begin_call(self, 1) == 0) {
        CALL(self->transaction, code,
             library.zdb_cursor_put(self->handle, &key_bytes.val, &value_bytes.val, flags));
        if (code == ZDB_OK || code == ZDB_KEYEXIST) self->is_unset = 0;
    }
    release_bytes(&key_bytes);
    release_bytes(&value_bytes);
    return code;
}

PyObject *cursor_put(PyObject *object, PyObject *const *args, Py_ssize_t count,
                     PyObject *keywords) {
    static const char *const names[] = {"key", "value", "dupdata", "overwrite", "append", NULL};
    Cursor *self = (Cursor *)object;
    PyObject *given[5] = {NULL};
    if (parse("put", args, count, keywords, names, 2, given) < 0) return NULL;
    if (!is_cursor_usable(self)) return raise_cursor_unusable(self);
    struct put_mode mode;
    if (take_put_mode(self->transaction, self->database, &given[2], &mode) < 0) return NULL;
    int code = put(self, given[0], given[1], mode.flags);
    if (code == RAISED) return NULL;
    return put_result(self->transaction->environment, code, &mode);
}

PyObject *cursor_set_value(PyObject *object, PyObject *value) {
    Cursor *self = (Cursor *)object;
    PyObject *nothing = PyBytes_FromStringAndSize(NULL, 0);
    if (nothing == NULL) return NULL;
    int code = put(self, nothing, value, ZDB_CURRENT);
    Py_DECREF(nothing);
    if (code == RAISED) return NULL;
    if (code != ZDB_OK) return raise_code(self->transaction->environment, code);
    Py_RETURN_NONE;
}

/** Deletes the entry under the cursor. @return -1 with an exception. */
static int delete_current(Cursor *self, int all_values) {
    int duplicates = all_values ? has_duplicates(self) : 0;
    if (duplicates < 0 || begin_call(self, 1) < 0) return -1;
    int code;
    CALL(self->transaction, code,
         library.zdb_cursor_del(self->handle, duplicates ? ZDB_NODUPDATA : 0));
    if (code == ZDB_OK) return 0;
    raise_code(self->transaction->environment, code);
    return -1;
}

PyObject *cursor_delete(PyObject *object, PyObject *const *args, Py_ssize_t count,
                        PyObject *keywords) {
    static const char *const names[] = {"dupdata", NULL};
    Cursor *self = (Cursor *)object;
    PyObject *given[1] = {NULL};
    if (parse("delete", args, count, keywords, names, 0, given) < 0) return NULL;
    int all_values = truth(given[0], 0);
    if (all_values < 0) return NULL;
    if (!is_cursor_usable(self)) return raise_cursor_unusable(self);
    int is_lmdb_style = self->transaction->environment->is_lmdb_style;
    if (is_lmdb_style) {
        zdb_val key, value;
        if (self->is_unset) Py_RETURN_FALSE;
        if (begin_call(self, 0) < 0) return NULL;
        int code = read_current(self, &key, &value);
        if (code == ZDB_NOT_FOUND || code == ZDB_BAD_CURSOR) Py_RETURN_FALSE;
        if (code != ZDB_OK) return raise_code(self->transaction->environment, code);
    }
    if (delete_current(self, all_values) < 0) return NULL;
    if (is_lmdb_style) {
        PyObject *moved = move_cursor(object, ZDB_NEXT);
        if (moved == NULL) return NULL;
        Py_DECREF(moved);
    }
    Py_RETURN_TRUE;
}

/** The value of a key, copied, in LMDB's style as bytes in any case; NULL without an exception if the key
 *  is not there. */
static PyObject *old_value(Cursor *self, PyObject *key) {
    zdb_val value;
    struct bytes held;
    PyObject *bytes = NULL;
    if (find_key(self, key, &value, &held) == 1)
        bytes = PyBytes_FromStringAndSize(value.data, (Py_ssize_t)value.size);
    release_bytes(&held);
    if (bytes == NULL || !self->transaction->has_buffers ||
        self->transaction->environment->is_lmdb_style)
        return bytes;
    PyObject *view = PyMemoryView_FromObject(bytes);
    Py_DECREF(bytes);
    return view;
}

PyObject *cursor_replace_value(Cursor *self, PyObject *key, PyObject *value) {
    PyObject *old = old_value(self, key);
    if (old == NULL && PyErr_Occurred()) return NULL;
    int code = RAISED, duplicates = old == NULL ? 0 : has_duplicates(self);
    if (duplicates >= 0) code = put(self, key, value, 0);
    /* A value that is refused takes the place of none: all go once the new one is there. */
    if (duplicates > 0 && code == ZDB_OK)
        code = delete_current(self, 1) < 0 ? RAISED : put(self, key, value, 0);
    if (code != ZDB_OK) {
        if (code != RAISED) raise_code(self->transaction->environment, code);
        Py_XDECREF(old);
        return NULL;
    }
    if (old == NULL) Py_RETURN_NONE;
    return old;
}

PyObject *cursor_pop_value(Cursor *self, PyObject *key) {
    PyObject *old = old_value(self, key);
    if (old == NULL) {
        if (PyErr_Occurred()) return NULL;
        Py_RETURN_NONE;
    }
    if (delete_current(self, 0) < 0) {
        Py_DECREF(old);
        return NULL;
    }
    return old;
}

PyObject *cursor_replace(PyObject *object, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords) {
    static const char *const names[] = {"key", "value", NULL};
    PyObject *given[2] = {NULL};
    if (parse("replace", args, count, keywords, names, 2, given) < 0) return NULL;
    return cursor_replace_value((Cursor *)object, given[0], given[1]);
}

PyObject *cursor_pop(PyObject *object, PyObject *const *args, Py_ssize_t count,
                     PyObject *keywords) {
    static const char *const names[] = {"key", NULL};
    PyObject *given[1] = {NULL};
    if (parse("pop", args, count, keywords, names, 1, given) < 0) return NULL;
    return cursor_pop_value((Cursor *)object, given[0]);
}
