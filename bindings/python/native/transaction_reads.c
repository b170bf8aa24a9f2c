/* Reading in transactions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "transaction.h"

int absent_if_too_long(Environment *environment, int code, const zdb_val *key) {
    return code == ZDB_BAD_VALSIZE && environment->is_lmdb_style && key->size > 0 ? ZDB_NOT_FOUND
                                                                                  : code;
}

/** Looks a key up.
 *  @param held  receives the key, to be released when the value has been copied: that may call Python,
 *               which may end the transaction.
 *  @return the library's result; RAISED with an exception. */
static int look_up(Transaction *self, PyObject *key, PyObject *database, zdb_val *value,
                   struct bytes *held) {
    unsigned int number = ZDB_MAIN_DB;
    held->has_view = 0;
    if ((database != NULL || self->database != NULL) &&
        database_number(self, database, &number) < 0)
        return RAISED;
    if (take_bytes(key, "key", held) < 0) return RAISED;
    if (!is_usable(self)) {
        raise_unusable(self);
        return RAISED;
    }
    int code;
    CALL(self, code, library.zdb_get(self->handle, number, &held->val, value));
    code = absent_if_too_long(self->environment, code, &held->val);
    if (code != ZDB_OK && code != ZDB_NOT_FOUND) {
        raise_code(self->environment, code);
        return RAISED;
    }
    return code;
}

PyObject *transaction_get(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords) {
    static const char *const names[] = {"key", "default", "db", NULL};
    Transaction *self = (Transaction *)object;
    PyObject *given[3] = {NULL};
    if (count == 1 && keywords == NULL)
        given[0] = args[0];
    else if (parse("get", args, count, keywords, names, 1, given) < 0)
        return NULL;
    zdb_val value;
    struct bytes held;
    PyObject *result = NULL;
    int code = look_up(self, given[0], given[2], &value, &held);
    if (code == ZDB_OK) {
        result = value_object(self, &value);
    } else if (code == ZDB_NOT_FOUND) {
        result = given[1] == NULL ? Py_None : given[1];
        Py_INCREF(result);
    }
    release_bytes(&held);
    return result;
}

/** Raises the KeyError of a mapping. */
void raise_no_key(Transaction *self, PyObject *key) {
    PyObject *bytes = PyBytes_FromObject(key);
    if (bytes == NULL) return;
    raise_message(self->environment, ZDB_NOT_FOUND, "the database has no key %R", bytes);
    Py_DECREF(bytes);
}

PyObject *transaction_get_item(PyObject *object, PyObject *key) {
    Transaction *self = (Transaction *)object;
    zdb_val value;
    struct bytes held;
    int code = look_up(self, key, NULL, &value, &held);
    PyObject *result = code == ZDB_OK ? value_object(self, &value) : NULL;
    if (code == ZDB_NOT_FOUND) raise_no_key(self, key);
    release_bytes(&held);
    return result;
}

int transaction_contains(PyObject *object, PyObject *key) {
    struct bytes held;
    int code = look_up((Transaction *)object, key, NULL, NULL, &held);
    release_bytes(&held);
    return code == ZDB_OK ? 1 : code == ZDB_NOT_FOUND ? 0 : -1;
}

enum { GROUP = 128 };

/** Looks up to GROUP keys up and appends what there is. */
static int get_group(Transaction *self, unsigned int number, PyObject *keys, Py_ssize_t start,
                     Py_ssize_t count, PyObject *otherwise, int with_keys, PyObject *found) {
    struct bytes bytes[GROUP];
    zdb_val vals[GROUP], values[GROUP];
    Py_ssize_t taken = 0;
    int result = -1;
    for (; taken < count; taken++) {
        if (take_bytes(PyList_GetItem(keys, start + taken), "key", &bytes[taken]) < 0) goto done;
        vals[taken] = bytes[taken].val;
    }
    if (!is_usable(self)) {
        raise_unusable(self);
        goto done;
    }
    int code;
    CALL(self, code,
         library.zdb_get_many(self->handle, number, vals, values, (size_t)count, NULL));
    if (code == ZDB_BAD_VALSIZE && self->environment->is_lmdb_style) {
        code = ZDB_OK;
        for (Py_ssize_t i = 0; i < count && code == ZDB_OK; i++) {
            CALL(self, code, library.zdb_get(self->handle, number, &vals[i], &values[i]));
            code = absent_if_too_long(self->environment, code, &vals[i]);
            if (code != ZDB_NOT_FOUND) continue;
            values[i].data = NULL;
            code = ZDB_OK;
        }
    }
    if (code != ZDB_OK) {
        raise_code(self->environment, code);
        goto done;
    }
    /* No garbage collection may end the transaction before all values are copied. */
    enter(self);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item;
        if (values[i].data == NULL) {
            if (with_keys) continue;
            item = otherwise;
            Py_INCREF(item);
        } else {
            item = value_object(self, &values[i]);
            if (item != NULL && with_keys) {
                PyObject *key = key_object(self, &vals[i]);
                PyObject *pair = key == NULL ? NULL : PyTuple_Pack(2, key, item);
                Py_XDECREF(key);
                Py_DECREF(item);
                item = pair;
            }
        }
        if (item == NULL || PyList_Append(found, item) < 0) {
            Py_XDECREF(item);
            leave(self);
            goto done;
        }
        Py_DECREF(item);
    }
    leave(self);
    result = 0;
done:
    while (taken-- > 0) release_bytes(&bytes[taken]);
    return result;
}

/** The values of many keys as a list. */
static PyObject *get_all(Transaction *self, PyObject *keys, PyObject *otherwise, PyObject *database,
                         int with_keys) {
    unsigned int number;
    if (database_number(self, database, &number) < 0) return NULL;
    PyObject *list = PySequence_List(keys);
    PyObject *found = list == NULL ? NULL : PyList_New(0);
    if (found == NULL) {
        Py_XDECREF(list);
        return NULL;
    }
    Py_ssize_t count = PyList_Size(list);
    for (Py_ssize_t start = 0; start < count; start += GROUP) {
        Py_ssize_t part = count - start < GROUP ? count - start : GROUP;
        if (get_group(self, number, list, start, part, otherwise, with_keys, found) < 0) {
            Py_CLEAR(found);
            break;
        }
    }
    Py_DECREF(list);
    return found;
}

PyObject *transaction_get_many(PyObject *object, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords) {
    static const char *const names[] = {"keys", "default", "db", NULL};
    PyObject *given[3] = {NULL, Py_None, NULL};
    if (parse("get_many", args, count, keywords, names, 1, given) < 0) return NULL;
    return get_all((Transaction *)object, given[0], given[1], given[2], 0);
}

PyObject *transaction_get_pairs(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords) {
    static const char *const names[] = {"keys", "db", NULL};
    PyObject *given[2] = {NULL};
    if (parse("_get_pairs", args, count, keywords, names, 1, given) < 0) return NULL;
    return get_all((Transaction *)object, given[0], Py_None, given[1], 1);
}

PyObject *transaction_get_fixed(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords) {
    static const char *const names[] = {"keys", "size", "db", NULL};
    Transaction *self = (Transaction *)object;
    PyObject *given[3] = {NULL};
    unsigned int number;
    if (parse("_get_fixed", args, count, keywords, names, 2, given) < 0) return NULL;
    Py_ssize_t size = PyNumber_AsSsize_t(given[1], PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred()) return NULL;
    if (database_number(self, given[2], &number) < 0) return NULL;
    PyObject *keys = PySequence_List(given[0]);
    PyObject *found = keys == NULL ? NULL : get_fixed(self, number, keys, (size_t)size);
    Py_XDECREF(keys);
    return found;
}

PyObject *transaction_cursor(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords) {
    static const char *const names[] = {"db", NULL};
    Transaction *self = (Transaction *)object;
    PyObject *given[1] = {NULL};
    if (parse("cursor", args, count, keywords, names, 0, given) < 0) return NULL;
    return open_cursor((PyTypeObject *)self->environment->cursor_type, self, given[0]);
}

static PyObject *walk(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                      const char *function, enum want want) {
    static const char *const names[] = {"db", "start", "stop", "prefix", "reverse", NULL};
    PyObject *given[5] = {NULL};
    if (parse(function, args, count, keywords, names, 0, given) < 0) return NULL;
    int is_reverse = truth(given[4], 0);
    if (is_reverse < 0) return NULL;
    return iterate_range((Transaction *)object, given[0], given[1], given[2], given[3], is_reverse,
                         want);
}

PyObject *transaction_items(PyObject *object, PyObject *const *args, Py_ssize_t count,
                            PyObject *keywords) {
    return walk(object, args, count, keywords, "items", ITEMS);
}

PyObject *transaction_keys(PyObject *object, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords) {
    return walk(object, args, count, keywords, "keys", KEYS);
}

PyObject *transaction_values(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords) {
    return walk(object, args, count, keywords, "values", VALUES);
}

PyObject *transaction_iterate_keys(PyObject *object) {
    return iterate_range((Transaction *)object, NULL, NULL, NULL, NULL, 0, KEYS);
}
