/* Transactions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

PyTypeObject *TransactionType;

/* ---------------------------------------------------------------------- states */

int is_usable(Transaction *self) { return self->handle != NULL && !self->is_busy; }

PyObject *raise_unusable(Transaction *self) {
    Environment *environment = self->environment;
    if (environment == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the transaction has not begun");
        return NULL;
    }
    if (self->handle != NULL && self->process != getpid())
        return raise_message(environment, ZDB_FORKED,
                             "the transaction was opened by the process that this one was forked "
                             "from; open the environment anew in this process");
    if (self->is_busy)
        return raise_message(environment, ZDB_BUSY,
                             "another thread is inside this transaction; use a transaction from one "
                             "thread at a time, or begin one for each thread");
    return raise_message(environment, ZDB_BAD_TXN, "the transaction %s; begin another one",
                         self->outcome);
}

int before_write(Transaction *self) {
    self->changes++;
    Cursor *cursor = self->cursors;
    while (self->ahead > 0 && cursor != NULL) {
        if (cursor->taken == cursor->count) {
            cursor = cursor->next;
            continue;
        }
        /* Where that gives up the GIL, other threads may drop cursors: this one and those after it. */
        Py_INCREF(cursor);
        int result = bring_back(cursor);
        Py_DECREF(cursor);
        if (result < 0) return -1;
        cursor = self->cursors;
    }
    return 0;
}

/* ---------------------------------------------------------------------- ending */

/** Takes a transaction that has ended out of the lists that it is in. */
static void unlink_transaction(Transaction *self) {
    Environment *environment = self->environment;
    if (self->previous != NULL)
        self->previous->next = self->next;
    else if (environment->transactions == self)
        environment->transactions = self->next;
    if (self->next != NULL) self->next->previous = self->previous;
    self->previous = self->next = NULL;
    if (self->parent != NULL && self->parent->child == self) self->parent->child = NULL;
}

static void release_views(PyObject *views) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    for (Py_ssize_t i = PyList_Size(views) - 1; i >= 0; i--) {
        PyObject *view = PyWeakref_GetObject(PyList_GetItem(views, i));
        if (view == NULL || view == Py_None) continue;
        Py_INCREF(view);
        PyObject *result = PyObject_CallMethod(view, "release", NULL);
        Py_DECREF(view);
        if (result == NULL) PyErr_Clear(); /* another object looks at the memory through it */
        Py_XDECREF(result);
    }
    PyErr_Restore(type, value, traceback);
}

/** Closes what belongs to it. */
static void let_go(Transaction *self) {
    PyObject *views = self->views;
    self->views = NULL;
    if (views != NULL) {
        /* A garbage collection may run here, and what it calls must not use the transaction. */
        int was_inside = self->is_busy;
        if (!was_inside) enter(self);
        release_views(views);
        Py_DECREF(views);
        if (!was_inside) leave(self);
    }
    while (self->cursors != NULL) close_cursor(self->cursors);
}

int end_transaction(Transaction *self, const char *outcome) {
    if (self->handle == NULL) return ZDB_OK;
    if (self->child != NULL && end_transaction(self->child, outcome) != ZDB_OK) return ZDB_BAD_TXN;
    let_go(self);
    zdb_txn *handle = self->handle;
    self->handle = NULL;
    self->outcome = outcome;
    unlink_transaction(self);
    Pages *pages = self->pages;
    self->pages = NULL;
    int code = ZDB_OK;
    if (pages != NULL && pages->views > 0) {
        pages->held = handle;
    } else if (self->environment->has_events) {
        PyThreadState *state = PyEval_SaveThread();
        code = library.zdb_txn_abort(handle);
        PyEval_RestoreThread(state);
    } else {
        code = library.zdb_txn_abort(handle);
    }
    Py_XDECREF(pages);
    return code;
}

static PyObject *raise_nested(Transaction *self) {
    return raise_message(self->environment, ZDB_BAD_TXN,
                         "a transaction that is nested in this one is open; end that one first");
}

static PyObject *abort_method(PyObject *object, PyObject *unused) {
    Transaction *self = (Transaction *)object;
    (void)unused;
    if (self->handle == NULL) Py_RETURN_NONE;
    if (self->is_busy && self->process == getpid()) return raise_unusable(self);
    if (self->child != NULL && !self->environment->is_lmdb_style) return raise_nested(self);
    end_transaction(self, "was aborted");
    Py_RETURN_NONE;
}

static int commit(Transaction *self) {
    if (!is_usable(self)) {
        raise_unusable(self);
        return -1;
    }
    if (self->child != NULL) {
        if (!self->environment->is_lmdb_style) {
            raise_nested(self);
            return -1;
        }
        end_transaction(self->child, "was aborted by the end of its parent");
    }
    if (!self->is_write && self->process == getpid()) {
        end_transaction(self, "was committed");
        return 0;
    }
    let_go(self);
    int code;
    WAIT(self, code, library.zdb_txn_commit(self->handle));
    if (code != ZDB_FORKED) {
        self->handle = NULL;
        self->outcome = code == ZDB_OK ? "was committed" : "failed to commit";
        unlink_transaction(self);
    }
    if (code == ZDB_OK) return 0;
    raise_code(self->environment, code);
    return -1;
}

static PyObject *commit_method(PyObject *object, PyObject *unused) {
    (void)unused;
    if (commit((Transaction *)object) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *reset_method(PyObject *object, PyObject *unused) {
    Transaction *self = (Transaction *)object;
    (void)unused;
    if (!is_usable(self)) return raise_unusable(self);
    if (self->pages != NULL && self->pages->views > 0)
        return raise_message(self->environment, ZDB_BUSY,
                             "memoryviews of values are in use; release them first");
    int code;
    CALL(self, code, library.zdb_txn_reset(self->handle));
    if (code != ZDB_OK) return raise_code(self->environment, code);
    for (Cursor *cursor = self->cursors; cursor != NULL; cursor = cursor->next)
        forget_ahead(cursor);
    Py_RETURN_NONE;
}

static PyObject *renew_method(PyObject *object, PyObject *unused) {
    Transaction *self = (Transaction *)object;
    (void)unused;
    if (!is_usable(self)) return raise_unusable(self);
    int code;
    CALL(self, code, library.zdb_txn_renew(self->handle));
    if (code != ZDB_OK) return raise_code(self->environment, code);
    Py_RETURN_NONE;
}

static PyObject *enter_method(PyObject *object, PyObject *unused) {
    Transaction *self = (Transaction *)object;
    (void)unused;
    if (self->handle == NULL && self->environment->is_lmdb_style) return raise_unusable(self);
    Py_INCREF(object);
    return object;
}

static PyObject *exit_method(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    Transaction *self = (Transaction *)object;
    int failed = count > 0 && args[0] != Py_None;
    if (self->handle == NULL) Py_RETURN_NONE;
    /* After an exception with one that is nested in it, to which the traceback may still refer. */
    if (failed && self->child != NULL && !self->is_busy) end_transaction(self->child, "was aborted");
    if (failed) return abort_method(object, NULL);
    if (self->is_write && self->process == getpid()) {
        if (commit(self) < 0) return NULL;
        Py_RETURN_NONE;
    }
    if (self->is_busy && self->process == getpid()) return raise_unusable(self);
    end_transaction(self, "has ended");
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------- databases */

int database_number(Transaction *self, PyObject *object, unsigned int *number) {
    if (object == NULL || object == Py_None) object = self->database;
    if (object == NULL) {
        *number = ZDB_MAIN_DB;
        return 0;
    }
    if (!PyObject_TypeCheck(object, DatabaseType)) {
        PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__name__");
        if (name != NULL)
            PyErr_Format(PyExc_TypeError,
                         "db must be a zerodb.Database, not %U; open_db() gives one for a name",
                         name);
        Py_XDECREF(name);
        return -1;
    }
    Database *database = (Database *)object;
    if (database->environment != (PyObject *)self->environment) {
        PyObject *path = database->environment == NULL
                             ? NULL
                             : PyObject_GetAttrString(database->environment, "_path");
        PyErr_Clear();
        raise_message(self->environment, ZDB_BAD_DB,
                      "database %R belongs to the environment at %V, not to the one at %U; open it "
                      "there with open_db()",
                      database->name == NULL ? Py_None : database->name, path, "another path",
                      self->environment->path);
        Py_XDECREF(path);
        return -1;
    }
    *number = database->handle;
    return 0;
}

int database_flags(Transaction *self, PyObject *object, unsigned int *flags) {
    unsigned int number;
    if (database_number(self, object, &number) < 0) return -1;
    if (object == NULL || object == Py_None) object = self->database;
    if (object != NULL) {
        *flags = ((Database *)object)->flags;
        return 0;
    }
    if (!is_usable(self)) {
        raise_unusable(self);
        return -1;
    }
    int code;
    CALL(self, code, library.zdb_db_flags(self->handle, number, flags));
    if (code == ZDB_OK) return 0;
    raise_code(self->environment, code);
    return -1;
}

static PyObject *database_method(PyObject *object, PyObject *database) {
    unsigned int number;
    if (database_number((Transaction *)object, database, &number) < 0) return NULL;
    return PyLong_FromUnsignedLong(number);
}

/* --------------------------------------------------------------------- reading */

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

static PyObject *get_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
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
static void raise_no_key(Transaction *self, PyObject *key) {
    PyObject *bytes = PyBytes_FromObject(key);
    if (bytes == NULL) return;
    raise_message(self->environment, ZDB_NOT_FOUND, "the database has no key %R", bytes);
    Py_DECREF(bytes);
}

static PyObject *get_item(PyObject *object, PyObject *key) {
    Transaction *self = (Transaction *)object;
    zdb_val value;
    struct bytes held;
    int code = look_up(self, key, NULL, &value, &held);
    PyObject *result = code == ZDB_OK ? value_object(self, &value) : NULL;
    if (code == ZDB_NOT_FOUND) raise_no_key(self, key);
    release_bytes(&held);
    return result;
}

static int contains(PyObject *object, PyObject *key) {
    zdb_val value;
    struct bytes held;
    int code = look_up((Transaction *)object, key, NULL, &value, &held);
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

static PyObject *get_many_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                 PyObject *keywords) {
    static const char *const names[] = {"keys", "default", "db", NULL};
    PyObject *given[3] = {NULL, Py_None, NULL};
    if (parse("get_many", args, count, keywords, names, 1, given) < 0) return NULL;
    return get_all((Transaction *)object, given[0], given[1], given[2], 0);
}

static PyObject *get_pairs_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                  PyObject *keywords) {
    static const char *const names[] = {"keys", "db", NULL};
    PyObject *given[2] = {NULL};
    if (parse("_get_pairs", args, count, keywords, names, 1, given) < 0) return NULL;
    return get_all((Transaction *)object, given[0], Py_None, given[1], 1);
}

static PyObject *get_fixed_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
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

static PyObject *cursor_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
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

static PyObject *items_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords) {
    return walk(object, args, count, keywords, "items", ITEMS);
}

static PyObject *keys_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords) {
    return walk(object, args, count, keywords, "keys", KEYS);
}

static PyObject *values_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords) {
    return walk(object, args, count, keywords, "values", VALUES);
}

static PyObject *iterate_keys(PyObject *object) {
    return iterate_range((Transaction *)object, NULL, NULL, NULL, NULL, 0, KEYS);
}

/* --------------------------------------------------------------------- writing */

int put_flags(Transaction *self, PyObject *database, int dupdata, int overwrite, int append,
              unsigned int *flags) {
    *flags = overwrite ? 0 : ZDB_NOOVERWRITE;
    if (dupdata && !append) return 0;
    unsigned int kind;
    if (database_flags(self, database, &kind) < 0) return -1;
    int has_duplicates = (kind & ZDB_DUPSORT) != 0;
    if (append) *flags |= has_duplicates ? ZDB_APPENDDUP : ZDB_APPEND;
    if (!dupdata && has_duplicates) *flags |= ZDB_NODUPDATA;
    return 0;
}

PyObject *put_result(Environment *environment, int code, int dupdata, int overwrite) {
    if (code == ZDB_OK) Py_RETURN_TRUE;
    if (code == ZDB_KEYEXIST && !(overwrite && dupdata)) Py_RETURN_FALSE;
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

static PyObject *put_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
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
    int dupdata = truth(given[2], 1), overwrite = truth(given[3], 1), append = truth(given[4], 0);
    if (dupdata < 0 || overwrite < 0 || append < 0) return NULL;
    unsigned int number, flags;
    if (database_number(self, given[5], &number) < 0 ||
        put_flags(self, given[5], dupdata, overwrite, append, &flags) < 0)
        return NULL;
    int code = put(self, given[5], number, given[0], given[1], flags);
    if (code == RAISED) return NULL;
    return put_result(self->environment, code, dupdata, overwrite);
}

/** An iterator over what comes after the first items. */
static PyObject *rest_of(PyObject *items, Py_ssize_t count) {
    if (count == 0) return PyObject_GetIter(items);
    PyObject *rest = PyList_GetSlice(items, count, PyList_Size(items));
    PyObject *iterator = rest == NULL ? NULL : PyObject_GetIter(rest);
    Py_XDECREF(rest);
    return iterator;
}

static PyObject *put_many_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                 PyObject *keywords) {
    static const char *const names[] = {"items", "dupdata", "overwrite", "append", "db", NULL};
    Transaction *self = (Transaction *)object;
    PyObject *given[5] = {NULL};
    if (parse("put_many", args, count, keywords, names, 1, given) < 0) return NULL;
    int dupdata = truth(given[1], 1), overwrite = truth(given[2], 1), append = truth(given[3], 0);
    if (dupdata < 0 || overwrite < 0 || append < 0) return NULL;
    unsigned int number, flags;
    if (database_number(self, given[4], &number) < 0 ||
        put_flags(self, given[4], dupdata, overwrite, append, &flags) < 0)
        return NULL;
    Py_ssize_t consumed = 0, added = 0;
    if (PyList_CheckExact(given[0]) && !(flags & (ZDB_NOOVERWRITE | ZDB_NODUPDATA))) {
        if (put_list(self, number, given[0], flags, &added) < 0) return NULL;
        consumed = added;
    }
    PyObject *iterator = rest_of(given[0], consumed);
    if (iterator == NULL) return NULL;
    PyObject *item;
    while ((item = PyIter_Next(iterator)) != NULL) {
        int code = RAISED;
        if (PyTuple_Check(item) && PyTuple_Size(item) == 2) {
            code = put(self, given[4], number, PyTuple_GetItem(item, 0), PyTuple_GetItem(item, 1),
                       flags);
        } else {
            PyObject *pair = PySequence_List(item);
            if (pair != NULL && PyList_Size(pair) != 2)
                PyErr_SetString(PyExc_TypeError, "an item must be a pair of a key and a value");
            else if (pair != NULL)
                code = put(self, given[4], number, PyList_GetItem(pair, 0), PyList_GetItem(pair, 1),
                           flags);
            Py_XDECREF(pair);
        }
        Py_DECREF(item);
        if (code == RAISED) break;
        PyObject *result = put_result(self->environment, code, dupdata, overwrite);
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

static PyObject *delete_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
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

static int set_item(PyObject *object, PyObject *key, PyObject *value) {
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

static PyObject *replace_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords) {
    static const char *const names[] = {"key", "value", "db", NULL};
    PyObject *given[3] = {NULL};
    if (parse("replace", args, count, keywords, names, 2, given) < 0) return NULL;
    return with_cursor((Transaction *)object, given[2], given[0], given[1]);
}

static PyObject *pop_method(PyObject *object, PyObject *const *args, Py_ssize_t count,
                            PyObject *keywords) {
    static const char *const names[] = {"key", "db", NULL};
    PyObject *given[2] = {NULL};
    if (parse("pop", args, count, keywords, names, 1, given) < 0) return NULL;
    return with_cursor((Transaction *)object, given[1], given[0], NULL);
}

/* ------------------------------------------------------------------------ type */

static PyObject *call_method(PyObject *object, PyObject *args) {
    Transaction *self = (Transaction *)object;
    if (!is_usable(self)) return raise_unusable(self);
    if (before_write(self) < 0) return NULL;
    enter(self);
    PyObject *result = call_with_handle(self->handle, args);
    leave(self);
    return result;
}

static PyObject *transaction_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static const char *const names[] = {"env",     "db",         "parent", "write",
                                        "buffers", "durability", "wait",   NULL};
    PyObject *given[7] = {NULL};
    if (parse_tuple("Transaction", args, keywords, names, 1, given) < 0) return NULL;
    if (!PyObject_TypeCheck(given[0], EnvironmentType)) {
        PyErr_SetString(PyExc_TypeError, "env must be an environment");
        return NULL;
    }
    return begin((Environment *)given[0], type, given + 1);
}

static int transaction_traverse(PyObject *object, visitproc visit, void *arg) {
    Transaction *self = (Transaction *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->environment);
    Py_VISIT((PyObject *)self->parent);
    Py_VISIT(self->database);
    Py_VISIT(self->views);
    return 0;
}

static int transaction_clear(PyObject *object) {
    /* What it refers to is needed to end it. A cycle goes through an attribute of a subclass. */
    Py_CLEAR(((Transaction *)object)->database);
    return 0;
}

static void transaction_finalize(PyObject *object) {
    Transaction *self = (Transaction *)object;
    if (self->handle == NULL || self->is_busy) return;
    if (self->process != getpid()) return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    end_transaction(self, "was dropped");
    if (self->environment->warns &&
        PyErr_WarnFormat(PyExc_ResourceWarning, 1,
                         "a transaction of the environment at %U was dropped without commit() or "
                         "abort(), and has been aborted",
                         self->environment->path) < 0)
        PyErr_WriteUnraisable(object);
    PyErr_Restore(type, value, traceback);
}

static void transaction_dealloc(PyObject *object) {
    Transaction *self = (Transaction *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references != NULL) PyObject_ClearWeakRefs(object);
    if (self->handle != NULL) end_transaction(self, "was dropped");
    Py_CLEAR(self->views);
    Py_CLEAR(self->database);
    Py_CLEAR(self->pages);
    Py_CLEAR(self->parent);
    Py_CLEAR(self->environment);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PyObject *get_write(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(((Transaction *)object)->is_write);
}

static PyObject *get_buffers(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(((Transaction *)object)->has_buffers);
}

static PyObject *get_active(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(((Transaction *)object)->handle != NULL);
}

static PyObject *get_handle(PyObject *object, void *unused) {
    (void)unused;
    zdb_txn *handle = ((Transaction *)object)->handle;
    if (handle == NULL) Py_RETURN_NONE;
    return PyLong_FromVoidPtr(handle);
}

static PyObject *get_open_cursors(PyObject *object, void *unused) {
    (void)unused;
    return PyLong_FromSsize_t(((Transaction *)object)->cursor_count);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))
#define FAST_KEYWORDS (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef methods[] = {
    {"get", FAST(get_method), FAST_KEYWORDS,
     "The value of a key, its first one; or `default` if the key is not there."},
    {"get_many", FAST(get_many_method), FAST_KEYWORDS,
     "The values of many keys, in their order, with `default` for those not there."},
    {"_get_pairs", FAST(get_pairs_method), FAST_KEYWORDS, NULL},
    {"_get_fixed", FAST(get_fixed_method), FAST_KEYWORDS, NULL},
    {"cursor", FAST(cursor_method), FAST_KEYWORDS, "Opens a cursor, on no entry yet."},
    {"items", FAST(items_method), FAST_KEYWORDS,
     "The entries of a database, or of a range of its keys, in the order of the keys."},
    {"keys", FAST(keys_method), FAST_KEYWORDS,
     "The keys of a database, or of a range of it, as items()."},
    {"values", FAST(values_method), FAST_KEYWORDS,
     "The values of a database, or of a range of its keys, as items()."},
    {"put", FAST(put_method), FAST_KEYWORDS, "Puts a key and its value."},
    {"put_many", FAST(put_many_method), FAST_KEYWORDS,
     "Puts many entries; returns how many there were and how many were put."},
    {"delete", FAST(delete_method), FAST_KEYWORDS,
     "Deletes a key, or with `value` only that value of it."},
    {"replace", FAST(replace_method), FAST_KEYWORDS,
     "Puts a key and its value and returns the value that it replaces, or None."},
    {"pop", FAST(pop_method), FAST_KEYWORDS,
     "Deletes a key and returns its value, or None if the key is not there."},
    {"commit", commit_method, METH_NOARGS, "Commits and ends the transaction."},
    {"abort", abort_method, METH_NOARGS,
     "Ends the transaction and forgets its changes. Does nothing if it has ended."},
    {"reset", reset_method, METH_NOARGS,
     "Gives up a read transaction's snapshot; renew() gives it a new one."},
    {"renew", renew_method, METH_NOARGS,
     "Gives a read transaction that was reset the newest snapshot."},
    {"__enter__", enter_method, METH_NOARGS, NULL},
    {"__exit__", FAST(exit_method), METH_FASTCALL, NULL},
    {"_call", call_method, METH_VARARGS,
     "Calls a function with the transaction's handle and arguments; meanwhile another thread, or the "
     "function, that uses the transaction gets BusyError."},
    {"_database", database_method, METH_O,
     "The library's handle of a database; None is the transaction's default."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"write", get_write, NULL, "Whether it is a write transaction.", NULL},
    {"active", get_active, NULL, "Whether it has not ended.", NULL},
    {"_handle", get_handle, NULL, NULL, NULL},
    {"_buffers", get_buffers, NULL, NULL, NULL},
    {"_open_cursors", get_open_cursors, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef attributes[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Transaction, weak_references), READONLY, NULL},
    {"environment", T_OBJECT, offsetof(Transaction, environment), READONLY,
     "The environment that the transaction belongs to."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "A transaction."},
    {Py_tp_new, transaction_new},
    {Py_tp_dealloc, transaction_dealloc},
    {Py_tp_finalize, transaction_finalize},
    {Py_tp_traverse, transaction_traverse},
    {Py_tp_clear, transaction_clear},
    {Py_tp_iter, iterate_keys},
    {Py_mp_subscript, get_item},
    {Py_mp_ass_subscript, set_item},
    {Py_sq_contains, contains},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_members, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "zerodb._native.TransactionCore",
    .basicsize = sizeof(Transaction),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int add_transaction_type(PyObject *module) {
    TransactionType = add_type(module, &spec, "TransactionCore");
    return TransactionType == NULL ? -1 : 0;
}
