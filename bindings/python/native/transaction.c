/* Transactions: beginning, ending, their databases and their type.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "transaction.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

PyTypeObject *TransactionType;

/* ---------------------------------------------------------------------- states */

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
    self->resets++;
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
    {"get", FAST(transaction_get), FAST_KEYWORDS,
     "The value of a key, its first one; or `default` if the key is not there."},
    {"get_many", FAST(transaction_get_many), FAST_KEYWORDS,
     "The values of many keys, in their order, with `default` for those not there."},
    {"_get_pairs", FAST(transaction_get_pairs), FAST_KEYWORDS, NULL},
    {"_get_fixed", FAST(transaction_get_fixed), FAST_KEYWORDS, NULL},
    {"cursor", FAST(transaction_cursor), FAST_KEYWORDS, "Opens a cursor, on no entry yet."},
    {"items", FAST(transaction_items), FAST_KEYWORDS,
     "The entries of a database, or of a range of its keys, in the order of the keys."},
    {"keys", FAST(transaction_keys), FAST_KEYWORDS,
     "The keys of a database, or of a range of it, as items()."},
    {"values", FAST(transaction_values), FAST_KEYWORDS,
     "The values of a database, or of a range of its keys, as items()."},
    {"put", FAST(transaction_put), FAST_KEYWORDS, "Puts a key and its value."},
    {"put_many", FAST(transaction_put_many), FAST_KEYWORDS,
     "Puts many entries; returns how many there were and how many were put."},
    {"delete", FAST(transaction_delete), FAST_KEYWORDS,
     "Deletes a key, or with `value` only that value of it."},
    {"replace", FAST(transaction_replace), FAST_KEYWORDS,
     "Puts a key and its value and returns the value that it replaces, or None."},
    {"pop", FAST(transaction_pop), FAST_KEYWORDS,
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
    {Py_tp_iter, transaction_iterate_keys},
    {Py_mp_subscript, transaction_get_item},
    {Py_mp_ass_subscript, transaction_set_item},
    {Py_sq_contains, transaction_contains},
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
