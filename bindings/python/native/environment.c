/* Environments: beginning transactions, and the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

PyTypeObject *EnvironmentType;

enum { SLICE_MS = 100, ABANDONED_MS = 1500 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static PyObject *raise_closed(Environment *self) {
    return raise_message(self, ZDB_BAD_HANDLE, "the environment at %V is closed; open it again",
                         self->path, "?");
}

/* ------------------------------------------------------------------- attaching */

static int class_attribute(PyObject *self, const char *name, PyObject **out) {
    PyObject *value = PyObject_GetAttrString(self, name);
    if (value == NULL) return -1;
    PyObject *before = *out;
    *out = value;
    Py_XDECREF(before);
    return 0;
}

static int class_flag(PyObject *self, const char *name, char *out) {
    PyObject *value = PyObject_GetAttrString(self, name);
    if (value == NULL) return -1;
    int is_true = PyObject_IsTrue(value);
    Py_DECREF(value);
    *out = is_true > 0;
    return is_true < 0 ? -1 : 0;
}

/** Forgets what the process had open from which this one was forked. */
static void forget_inherited(Environment *self) {
    while (self->transactions != NULL) {
        Transaction *each = self->transactions;
        self->transactions = each->next;
        each->previous = each->next = NULL;
    }
    self->calls = NULL;
    self->is_closing = 0;
}

static PyObject *attach(PyObject *object, PyObject *args, PyObject *keywords) {
    static const char *const names[] = {"handle", "path", "wait_ms", "has_events", NULL};
    Environment *self = (Environment *)object;
    PyObject *given[4] = {NULL};
    if (parse_tuple("_attach", args, keywords, names, 2, given) < 0) return NULL;
    zdb_env *handle = PyLong_AsVoidPtr(given[0]);
    if (handle == NULL && PyErr_Occurred()) return NULL;
    long wait_ms = given[2] == NULL ? 0 : PyLong_AsLong(given[2]);
    if (wait_ms == -1 && PyErr_Occurred()) return NULL;
    int has_events = truth(given[3], 0);
    if (has_events < 0) return NULL;
    if (class_attribute(object, "_make_error", &self->make_error) < 0 ||
        class_attribute(object, "_transaction_type", &self->transaction_type) < 0 ||
        class_attribute(object, "_cursor_type", &self->cursor_type) < 0 ||
        class_flag(object, "_lmdb_style", &self->is_lmdb_style) < 0 ||
        class_flag(object, "_warns", &self->warns) < 0)
        return NULL;
    if (!PyType_Check(self->transaction_type) || !PyType_Check(self->cursor_type) ||
        !PyType_IsSubtype((PyTypeObject *)self->transaction_type, TransactionType) ||
        !PyType_IsSubtype((PyTypeObject *)self->cursor_type, CursorType)) {
        PyErr_SetString(PyExc_TypeError, "the types of transactions and cursors are not the core's");
        return NULL;
    }
    if (self->process != getpid()) forget_inherited(self);
    Py_INCREF(given[1]);
    PyObject *before = self->path;
    self->path = given[1];
    Py_XDECREF(before);
    self->wait = wait_ms > 0 ? (double)wait_ms / 1000 : -1;
    self->has_events = (char)has_events;
    self->process = getpid();
    self->max_key_size = (Py_ssize_t)library.zdb_env_max_key_size(handle);
    self->handle = handle;
    Py_RETURN_NONE;
}

static PyObject *after_fork(PyObject *object, PyObject *unused) {
    (void)unused;
    return raise_message((Environment *)object, ZDB_FORKED,
                         "the environment was opened by the process that this one was forked from; "
                         "open the environment anew in this process");
}

/** Called for a result of the library: if it says that the environment was inherited, has the program
 *  open it anew.
 *  @return 1 if it did; 0 if the result is another; -1 with an exception. */
static int is_reopened(Environment *self, int code) {
    if (code != ZDB_FORKED) return 0;
    PyObject *result = PyObject_CallMethod((PyObject *)self, "_after_fork", NULL);
    if (result == NULL) return -1;
    Py_DECREF(result);
    return 1;
}

/* ------------------------------------------------------------------- beginning */

struct writer {
    int is_abandoned;
};

static void look_for_abandoned(void *context, const zdb_txn_info *info) {
    struct writer *writer = context;
    if (!(info->flags & ZDB_RDONLY) && info->thread_ended) writer->is_abandoned = 1;
}

static int writer_is_abandoned(zdb_env *handle) {
    struct writer writer = {0};
    library.zdb_txn_list(handle, look_for_abandoned, &writer);
    return writer.is_abandoned;
}

/** Waits for the write transaction before this one, in slices: between them signal handlers run.
 *  @return the library's result; ECANCELED with an exception. */
static int begin_write(Environment *self, unsigned int flags, double wait, zdb_txn **handle) {
    double began = now();
    struct call call = {PyThread_get_thread_ident(), NULL};
    for (;;) {
        double left = wait < 0 ? 3600 : began + wait - now();
        unsigned int slice = SLICE_MS;
        if (left * 1000 < SLICE_MS) slice = left > 0 ? (unsigned int)(left * 1000) : 0;
        /* The library notices only in a longer wait that the thread of a writer has ended. */
        if (now() - began > 1 && writer_is_abandoned(self->handle)) slice = ABANDONED_MS;
        zdb_env *environment = self->handle;
        call.next = self->calls;
        self->calls = &call;
        PyThreadState *state = PyEval_SaveThread();
        int code = slice > 0 ? library.zdb_txn_begin_wait(environment, flags, slice, handle)
                             : library.zdb_txn_begin(environment, NULL, flags | ZDB_NOWAIT, handle);
        PyEval_RestoreThread(state);
        for (struct call **link = &self->calls; *link != NULL; link = &(*link)->next)
            if (*link == &call) {
                *link = call.next;
                break;
            }
        if (code != ETIMEDOUT) return code;
        if (PyErr_CheckSignals() < 0) return ECANCELED;
        if (self->is_closing || self->handle == NULL) {
            raise_closed(self);
            return ECANCELED;
        }
    }
}

static int durability_flag(Environment *self, PyObject *durability, unsigned int *flag) {
    static const struct {
        const char *name;
        unsigned int flag;
    } choices[] = {{"full", ZDB_DURABILITY_FULL},
                   {"relaxed", ZDB_DURABILITY_RELAXED},
                   {"none", ZDB_DURABILITY_NONE}};
    for (size_t i = 0; PyUnicode_Check(durability) && i < sizeof choices / sizeof *choices; i++)
        if (PyUnicode_CompareWithASCIIString(durability, choices[i].name) == 0) {
            *flag = choices[i].flag;
            return 0;
        }
    raise_message(self, ZDB_BAD_ARGUMENT,
                  "durability must be one of 'full', 'relaxed', 'none', not %R", durability);
    return -1;
}

/** Adds a new transaction to the environment's list. */
static void link_transaction(Environment *self, Transaction *transaction) {
    transaction->next = self->transactions;
    if (self->transactions != NULL) self->transactions->previous = transaction;
    self->transactions = transaction;
}

/** Begins the library's transaction. @return -1 with an exception. */
static int begin_handle(Environment *self, Transaction *transaction, Transaction *parent,
                        PyObject *durability, PyObject *wait) {
    unsigned int flags = 0;
    double seconds = self->wait;
    if (durability != NULL && durability != Py_None) {
        if (!transaction->is_write || parent != NULL) {
            raise_message(self, ZDB_BAD_ARGUMENT,
                          "durability is for write transactions that are not nested; others commit "
                          "nothing to the disk");
            return -1;
        }
        if (durability_flag(self, durability, &flags) < 0) return -1;
    }
    if (wait != NULL && wait != Py_None) {
        seconds = PyFloat_AsDouble(wait);
        if (seconds == -1 && PyErr_Occurred()) return -1;
        if (seconds < 0) seconds = 0;
    }
    for (int attempt = 0;; attempt++) {
        if (self->handle == NULL || self->is_closing) {
            raise_closed(self);
            return -1;
        }
        int code;
        if (parent != NULL) {
            if (!is_usable(parent)) {
                raise_unusable(parent);
                return -1;
            }
            if (before_write(parent) < 0) return -1;
            CALL(parent, code,
                 library.zdb_txn_begin(self->handle, parent->handle, 0, &transaction->handle));
        } else if (transaction->is_write) {
            code = begin_write(self, flags, seconds, &transaction->handle);
            if (code == ECANCELED && PyErr_Occurred()) return -1;
        } else {
            code = library.zdb_txn_begin(self->handle, NULL, ZDB_RDONLY, &transaction->handle);
        }
        if (code == ZDB_OK) return 0;
        int reopened = attempt == 0 ? is_reopened(self, code) : 0;
        if (reopened < 0) return -1;
        if (reopened == 0) {
            raise_code(self, code);
            return -1;
        }
    }
}

PyObject *begin(Environment *self, PyTypeObject *type, PyObject **arguments) {
    PyObject *database = arguments[0], *parent = arguments[1];
    int is_write = truth(arguments[2], 0), has_buffers = truth(arguments[3], 0);
    if (is_write < 0 || has_buffers < 0) return NULL;
    if (self->make_error == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the environment has not been opened");
        return NULL;
    }
    if (parent == Py_None) parent = NULL;
    if (parent != NULL) {
        if (!PyObject_TypeCheck(parent, TransactionType)) {
            PyErr_SetString(PyExc_TypeError, "parent must be a transaction");
            return NULL;
        }
        if (self->is_lmdb_style && !(is_write && ((Transaction *)parent)->is_write))
            return raise_message(self, ZDB_BAD_ARGUMENT,
                                 "only write transactions are nested in one another");
        if (((Transaction *)parent)->environment != self)
            return raise_message(self, ZDB_BAD_ARGUMENT,
                                 "the parent belongs to another environment than the one at %U",
                                 self->path);
        is_write = 1;
    }
    Transaction *transaction = (Transaction *)PyType_GenericAlloc(type, 0);
    if (transaction == NULL) return NULL;
    Py_INCREF(self);
    transaction->environment = self;
    transaction->is_write = (char)is_write;
    transaction->has_buffers = (char)has_buffers;
    transaction->outcome = "has not begun";
    if (begin_handle(self, transaction, (Transaction *)parent, arguments[4], arguments[5]) < 0)
        goto failed;
    transaction->outcome = "has not ended";
    transaction->process = self->process;
    transaction->forks = fork_count;
    link_transaction(self, transaction);
    if (parent != NULL) {
        Py_INCREF(parent);
        transaction->parent = (Transaction *)parent;
        transaction->parent->child = transaction;
    }
    if (database != NULL && database != Py_None) {
        unsigned int number;
        if (database_number(transaction, database, &number) < 0) {
            end_transaction(transaction, "was aborted");
            goto failed;
        }
        Py_INCREF(database);
        transaction->database = database;
    }
    return (PyObject *)transaction;
failed:
    Py_DECREF(transaction);
    return NULL;
}

static const char *const begin_names[] = {"db",         "parent", "write", "buffers",
                                          "durability", "wait",   NULL};

static PyObject *environment_begin(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                   PyObject *keywords) {
    Environment *self = (Environment *)object;
    PyObject *given[6] = {NULL};
    if (parse("begin", args, count, keywords, begin_names, 0, given) < 0) return NULL;
    if (self->transaction_type == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the environment has not been opened");
        return NULL;
    }
    return begin(self, (PyTypeObject *)self->transaction_type, given);
}

/* ---------------------------------------------------------------------- ending */

/** Whether this thread is inside a call, so that it would wait in vain. */
static int is_busy_here(Environment *self) {
    unsigned long thread = PyThread_get_thread_ident();
    for (struct call *call = self->calls; call != NULL; call = call->next)
        if (call->thread == thread) return 1;
    for (Transaction *each = self->transactions; each != NULL; each = each->next)
        if (each->is_busy && each->busy_thread == thread) return 1;
    return 0;
}

/** Ends the transactions that no thread is inside. @return whether no call is under way. */
static int end_idle_transactions(Environment *self) {
    int is_idle = self->calls == NULL;
    Transaction *each = self->transactions;
    while (each != NULL) {
        if (each->is_busy) {
            is_idle = 0;
            each = each->next;
        } else if (each->child != NULL) {
            each = each->next; /* after its child, which is in the list too */
        } else {
            end_transaction(each, "was aborted by the closing of its environment");
            each = self->transactions; /* the list has changed */
        }
    }
    return is_idle && self->transactions == NULL;
}

/** Raises if this thread is inside a call, and would wait in vain. @return -1 with an exception. */
static int check_not_inside(Environment *self) {
    if (!is_busy_here(self)) return 0;
    raise_message(self, ZDB_BUSY,
                  "a call of this thread is under way in the environment at %U; let it return "
                  "before closing",
                  self->path);
    return -1;
}

/** @param must_end  an interruption is raised only when the environment is closed. */
static int close_environment(Environment *self, int must_end) {
    if (self->handle == NULL) return 0;
    if (self->process != getpid()) {
        self->handle = NULL;
        return 0;
    }
    if (check_not_inside(self) < 0) return -1;
    PyObject *type = NULL, *value = NULL, *traceback = NULL;
    long pause_us = 200;
    self->is_closing = 1;
    while (!end_idle_transactions(self)) {
        PyThreadState *state = PyEval_SaveThread();
        struct timespec pause = {0, pause_us * 1000};
        nanosleep(&pause, NULL);
        PyEval_RestoreThread(state);
        if (pause_us < 10000) pause_us *= 2;
        if (PyErr_CheckSignals() < 0) {
            if (!must_end || type != NULL) {
                self->is_closing = 0;
                Py_XDECREF(type);
                Py_XDECREF(value);
                Py_XDECREF(traceback);
                return -1;
            }
            PyErr_Fetch(&type, &value, &traceback);
        }
        if (self->handle == NULL) break; /* another thread has closed it */
    }
    zdb_env *handle = self->handle;
    self->handle = NULL;
    int code = ZDB_OK;
    if (handle != NULL) {
        PyThreadState *state = PyEval_SaveThread();
        code = library.zdb_env_close_wait(handle, ZDB_WAIT_FOREVER, ZDB_CLOSE_ABORT);
        PyEval_RestoreThread(state);
    }
    self->is_closing = 0;
    if (type != NULL) {
        PyErr_Restore(type, value, traceback);
        return -1;
    }
    if (code != ZDB_OK) {
        raise_code(self, code);
        return -1;
    }
    return 0;
}

static PyObject *environment_close(PyObject *object, PyObject *unused) {
    (void)unused;
    if (close_environment((Environment *)object, 0) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *check_not_inside_method(PyObject *object, PyObject *unused) {
    (void)unused;
    if (check_not_inside((Environment *)object) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *environment_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    Py_INCREF(self);
    return self;
}

static PyObject *environment_exit(PyObject *object, PyObject *args) {
    (void)args;
    if (close_environment((Environment *)object, 1) < 0) return NULL;
    Py_RETURN_NONE;
}

/* ----------------------------------------------------------------------- calls */

static PyObject *environment_call(PyObject *object, PyObject *args) {
    Environment *self = (Environment *)object;
    if (self->make_error == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the environment has not been opened");
        return NULL;
    }
    if (self->handle != NULL && self->process != getpid() && is_reopened(self, ZDB_FORKED) < 0)
        return NULL;
    if (self->handle == NULL || self->is_closing) return raise_closed(self);
    struct call call = {PyThread_get_thread_ident(), self->calls};
    self->calls = &call;
    PyObject *result = call_with_handle(self->handle, args);
    for (struct call **link = &self->calls; *link != NULL; link = &(*link)->next)
        if (*link == &call) {
            *link = call.next;
            break;
        }
    return result;
}

static PyObject *get_handle(PyObject *object, void *unused) {
    (void)unused;
    zdb_env *handle = ((Environment *)object)->handle;
    if (handle == NULL) Py_RETURN_NONE;
    return PyLong_FromVoidPtr(handle);
}

static PyObject *get_path(PyObject *object, void *unused) {
    PyObject *path = ((Environment *)object)->path;
    (void)unused;
    if (path == NULL) path = Py_None;
    Py_INCREF(path);
    return path;
}

static PyObject *get_max_key_size(PyObject *object, void *unused) {
    (void)unused;
    return PyLong_FromSsize_t(((Environment *)object)->max_key_size);
}

static PyObject *get_closed(PyObject *object, void *unused) {
    (void)unused;
    return PyBool_FromLong(((Environment *)object)->handle == NULL);
}

static PyObject *get_open_transactions(PyObject *object, void *unused) {
    (void)unused;
    Py_ssize_t count = 0;
    for (Transaction *each = ((Environment *)object)->transactions; each != NULL; each = each->next)
        count++;
    return PyLong_FromSsize_t(count);
}

/* ------------------------------------------------------------------------ type */

static int environment_traverse(PyObject *object, visitproc visit, void *arg) {
    Environment *self = (Environment *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->path);
    Py_VISIT(self->transaction_type);
    Py_VISIT(self->cursor_type);
    Py_VISIT(self->make_error);
    return 0;
}

static int environment_clear(PyObject *object) {
    /* Its transactions may still need the types and the errors until it is gone. */
    (void)object;
    return 0;
}

static void environment_finalize(PyObject *object) {
    Environment *self = (Environment *)object;
    if (self->handle == NULL || self->process != getpid()) return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    int code = close_environment(self, 1);
    if (code < 0) PyErr_WriteUnraisable(object);
    if (self->warns &&
        PyErr_WarnFormat(PyExc_ResourceWarning, 1,
                         "the environment at %U was dropped without close(), and has been closed",
                         self->path) < 0)
        PyErr_WriteUnraisable(object);
    PyErr_Restore(type, value, traceback);
}

static void environment_dealloc(PyObject *object) {
    Environment *self = (Environment *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak_references != NULL) PyObject_ClearWeakRefs(object);
    Py_CLEAR(self->path);
    Py_CLEAR(self->transaction_type);
    Py_CLEAR(self->cursor_type);
    Py_CLEAR(self->make_error);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"begin", FAST(environment_begin), METH_FASTCALL | METH_KEYWORDS, "Begins a transaction."},
    {"close", environment_close, METH_NOARGS,
     "Closes the environment; aborts its transactions. Closing it again does nothing."},
    {"__enter__", environment_enter, METH_NOARGS, NULL},
    {"__exit__", environment_exit, METH_VARARGS, NULL},
    {"_attach", FAST(attach), METH_VARARGS | METH_KEYWORDS,
     "Takes an environment that has been opened."},
    {"_after_fork", after_fork, METH_NOARGS,
     "Called in a child of the process that opened the environment: opens it anew, or raises."},
    {"_call", environment_call, METH_VARARGS,
     "Calls a function with the environment's handle and arguments; meanwhile no thread can close "
     "the environment."},
    {"_check_not_inside", check_not_inside_method, METH_NOARGS,
     "Raises if a call of this thread is under way."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"closed", get_closed, NULL, "Whether it is closed.", NULL},
    {"path", get_path, NULL, "The directory, as it was given.", NULL},
    {"max_key_size", get_max_key_size, NULL, "The length of the longest key, in bytes.", NULL},
    {"_path", get_path, NULL, NULL, NULL},
    {"_max_key_size", get_max_key_size, NULL, NULL, NULL},
    {"_handle", get_handle, NULL, NULL, NULL},
    {"_open_transactions", get_open_transactions, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef attributes[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Environment, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "An environment."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, environment_dealloc},
    {Py_tp_finalize, environment_finalize},
    {Py_tp_traverse, environment_traverse},
    {Py_tp_clear, environment_clear},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_members, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "zerodb._native.EnvironmentCore",
    .basicsize = sizeof(Environment),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int add_environment_type(PyObject *module) {
    EnvironmentType = add_type(module, &spec, "EnvironmentCore");
    if (EnvironmentType == NULL) return -1;
    PyObject *type = (PyObject *)EnvironmentType;
    return PyObject_SetAttrString(type, "_lmdb_style", Py_False) < 0 ||
                   PyObject_SetAttrString(type, "_warns", Py_True) < 0
               ? -1
               : 0;
}
