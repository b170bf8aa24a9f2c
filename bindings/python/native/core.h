/* The core in C: what its files share.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Only CPython's limited API of 3.9 is used, with the exceptions named in compat.h, so that one build
 * serves 3.9 and later. All state is guarded by the lock of the interpreter (GIL). Calls of the library
 * that do not wait keep it. Those that may wait give it up, and mark the transaction as busy meanwhile,
 * which other threads then cannot enter.
 *
 * Ownership: a cursor keeps its transaction alive, and that its environment. The other way round there
 * are lists of plain pointers, which an object leaves when it ends: an environment ends its
 * transactions, and a transaction its cursors, in whatever order Python collects them.
 */
#ifndef ZERODB_CORE_H
#define ZERODB_CORE_H

#include "compat.h"

#include <limits.h>
#include <zerodb.h>

/* The functions of the library, found by zerodb._ffi: the package loads the library once. */
#define LIBRARY_FUNCTIONS(X)                                                                        \
    X(zdb_env_close_wait) X(zdb_env_max_key_size) X(zdb_txn_begin) X(zdb_txn_begin_wait)              \
    X(zdb_txn_commit) X(zdb_txn_abort) X(zdb_txn_reset) X(zdb_txn_renew) X(zdb_txn_list)              \
    X(zdb_db_flags) X(zdb_cmp) X(zdb_get) X(zdb_get_many) X(zdb_put) X(zdb_del)                       \
    X(zdb_get_fixed) X(zdb_put_packed)                                                              \
    X(zdb_cursor_open) X(zdb_cursor_close) X(zdb_cursor_get) X(zdb_cursor_next_many)                  \
    X(zdb_cursor_prev_many) X(zdb_cursor_put) X(zdb_cursor_del) X(zdb_cursor_count)

struct library {
#define X(name) __typeof__(name) *name;
    LIBRARY_FUNCTIONS(X)
#undef X
};
extern struct library library;

/** Another number in each process that was forked. A child has no pages of its parent's transactions:
 *  before anything is read of them without a call of the library, the two numbers are compared. */
extern unsigned int fork_count;

/** Whether a pair that nobody else has may get another key and value: since Python 3.14 a tuple keeps
 *  its hash. */
extern int reuses_pairs;

/** A call of an environment that is under way, in a list on the stacks of its threads. */
struct call {
    unsigned long thread;
    struct call *next;
};

/** What of the entries an iteration gives. */
enum want { ITEMS, KEYS, VALUES };

typedef struct Transaction Transaction;
typedef struct Cursor Cursor;

typedef struct Environment {
    PyObject_HEAD
    PyObject *weak_references;
    PyObject *path;
    zdb_env *handle; /**< NULL: closed */
    PyObject *transaction_type;
    PyObject *cursor_type;
    PyObject *make_error;
    Transaction *transactions;
    struct call *calls;
    Py_ssize_t max_key_size;
    double wait; /**< seconds that a write transaction waits at most; below 0: no bound */
    long process;
    char is_lmdb_style;
    char warns;
    unsigned int expected; /**< of new cursors, see there */
    char has_events; /**< the library calls Python: no call may keep the GIL */
    char is_closing;
} Environment;

typedef struct Database {
    PyObject_HEAD
    PyObject *weak_references;
    PyObject *environment;
    PyObject *name;
    unsigned int handle;
    unsigned int flags;
} Database;

/** What memoryviews of pages look through. While one is there its transaction is not ended, so that its
 *  pages stay what they are. */
typedef struct Pages {
    PyObject_HEAD
    zdb_txn *held; /**< to be ended with the last view, once its Transaction has ended */
    Py_ssize_t views;
    void *data; /**< of the next view */
    Py_ssize_t size;
    char *lowest, *end; /**< between which all views are */
    struct Pages *previous, *next; /**< in the list of all */
} Pages;

struct Transaction {
    PyObject_HEAD
    PyObject *weak_references;
    Environment *environment;
    zdb_txn *handle; /**< NULL: ended */
    Transaction *previous, *next; /**< in its environment's list */
    Transaction *parent;
    Transaction *child;
    Cursor *cursors;
    Py_ssize_t cursor_count;
    PyObject *database; /**< the default; NULL: the main one */
    Pages *pages;
    PyObject *views; /**< weak references to memoryviews that are released at the end */
    unsigned long busy_thread;
    unsigned long long changes; /**< grows with each write */
    unsigned long long resets; /**< how often its snapshot was given up */
    Py_ssize_t ahead; /**< cursors that have read in advance */
    const char *outcome;
    long process;
    unsigned int forks; /**< `fork_count` when it began */
    char is_write;
    char has_buffers;
    char is_busy;
};

struct Cursor {
    PyObject_HEAD
    PyObject *weak_references;
    Transaction *transaction;
    PyObject *database; /**< or NULL */
    zdb_cursor *handle; /**< NULL: closed */
    Cursor *previous, *next; /**< in its transaction's list */
    unsigned int db;
    unsigned int flags;
    char has_flags;
    char is_closed;
    char is_unset; /**< in LMDB's style: on no entry */
    /* Entries read in advance: `taken` of `count` have been given to the program; those from `end` on
     * are past the range that is read. */
    zdb_val *keys, *values;
    unsigned int capacity, taken, end, count;
    unsigned int batch; /**< how many are to be read next */
    zdb_cursor_op step; /**< by which they were read: ZDB_NEXT or ZDB_PREV */
    enum want want; /**< what of them was read, besides keys in a range */
    /* How many entries an iteration has given before those, if it began where the program moved the
     * cursor to a key, and how many the next one is expected to give. */
    unsigned int given, expected;
    char is_counted;
    /* The last two pairs that iterations have given. The one before the last is filled again if the
     * program has let go of it. */
    PyObject *pairs[2];
    char pair;
    /* What the last move of a read transaction has come to, until the cursor is used in another way. */
    char has_found;
    zdb_val found_key, found_value;
};

extern PyTypeObject *EnvironmentType, *DatabaseType, *TransactionType, *CursorType, *IteratorType,
    *PagesType;
int add_environment_type(PyObject *module);
int add_database_type(PyObject *module);
int add_transaction_type(PyObject *module);
int add_cursor_type(PyObject *module);
int add_iterator_type(PyObject *module);
int add_pages_type(PyObject *module);
PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name);
/** What a type has as `__new__` whose objects only we make. */
PyObject *refuse_new(PyTypeObject *type, PyObject *args, PyObject *keywords);

/** In place of a result of the library: there is an exception. */
#define RAISED INT_MAX

/* ------------------------------------------------------------------- arguments */

/** Puts the arguments of a vectorcall in their places.
 *  @param names  of the parameters, ended by NULL.
 *  @param out    receives as many borrowed references; what is not given stays as it is. */
int parse(const char *function, PyObject *const *args, Py_ssize_t given, PyObject *keywords,
          const char *const *names, Py_ssize_t needed, PyObject **out);
/** The same of a tuple and a dictionary. */
int parse_tuple(const char *function, PyObject *args, PyObject *keywords, const char *const *names,
                Py_ssize_t needed, PyObject **out);
/** Whether an argument is true; -1 with an exception. NULL and None are `otherwise`. */
int truth(PyObject *argument, int otherwise);

/** Bytes of a Python object, kept where they are. */
struct bytes {
    zdb_val val;
    Py_buffer view;
    int has_view;
};
/** @return -1 with an exception. */
int take_bytes(PyObject *object, const char *role, struct bytes *out);
void release_bytes(struct bytes *bytes);

/* ---------------------------------------------------------------------- errors */

/** Raises the environment's exception for a result of the library. @return NULL. */
PyObject *raise_code(Environment *environment, int code);
/** Raises it with a message of ours. @return NULL. */
PyObject *raise_message(Environment *environment, int code, const char *format, ...);

/* ---------------------------------------------------------------- transactions */

/** In a child, which has no pages of its parent: puts zeros where memoryviews look. */
void replace_inherited_pages(void);
/** Begins one. @return a new reference; NULL with an exception. */
PyObject *begin(Environment *environment, PyTypeObject *type, PyObject **arguments);
/** Whether this thread may call the library with it; otherwise raises. */
static inline int is_usable(const Transaction *transaction) {
    return transaction->handle != NULL && !transaction->is_busy;
}
/** Raises for one that is busy or has ended. @return NULL. */
PyObject *raise_unusable(Transaction *transaction);
/** Ends it without its changes, if it has not ended.
 *  @return the library's result. */
int end_transaction(Transaction *transaction, const char *outcome);
/** The library's number of a database; None and NULL are the default.
 *  @return -1 with an exception. */
int database_number(Transaction *transaction, PyObject *database, unsigned int *number);
int database_flags(Transaction *transaction, PyObject *database, unsigned int *flags);
/** Before each write: brings cursors back to where the program thinks they are.
 *  @return -1 with an exception. */
int before_write(Transaction *transaction);
/** In LMDB's style, a key that is longer than any can be is not there. */
int absent_if_too_long(Environment *environment, int code, const zdb_val *key);
/** In LMDB's style, refuses an empty value where keys have several. @return -1 with an exception. */
int check_empty(Transaction *transaction, PyObject *database, const zdb_val *value);
/** A value as the program wants it. */
PyObject *value_object(Transaction *transaction, const zdb_val *value);
PyObject *key_object(Transaction *transaction, const zdb_val *key);
/** How entries are put. */
struct put_mode {
    int dupdata, overwrite;
    unsigned int flags; /**< for the library */
};
/** @param given  the arguments `dupdata`, `overwrite` and `append`, or NULL for each.
 *  @return -1 with an exception. */
int take_put_mode(Transaction *transaction, PyObject *database, PyObject *const given[3],
                  struct put_mode *mode);
/** True, False or an exception for the result of a put. */
PyObject *put_result(Environment *environment, int code, const struct put_mode *mode);
/** Puts entries of a list, many in one call, as long as that is simple.
 *  @param flags  of each put; nothing is passed over by them.
 *  @param added  receives how many were put: the first of the list.
 *  @return -1 with an exception. */
int put_list(Transaction *transaction, unsigned int number, PyObject *list, unsigned int flags,
             Py_ssize_t *added);
/** All values of keys in a database with ZDB_DUPFIXED, each behind its key, as bytes; None if that is to
 *  be done one by one. */
PyObject *get_fixed(Transaction *transaction, unsigned int number, PyObject *keys, size_t value_size);
/** Calls a Python function with a handle and arguments. */
PyObject *call_with_handle(const void *handle, PyObject *args);

/* --------------------------------------------------------------------- cursors */

PyObject *entry_object(Transaction *transaction, const zdb_val *key, const zdb_val *value,
                       enum want want);

PyObject *open_cursor(PyTypeObject *type, Transaction *transaction, PyObject *database);
void close_cursor(Cursor *cursor);
/** Brings a cursor that has read in advance back. @return -1 with an exception. */
int bring_back(Cursor *cursor);
void forget_ahead(Cursor *cursor);
/** Learns how far the iteration has gone that began where the cursor was moved to. */
void end_walk(Cursor *cursor);
/** In LMDB's style: whether the result is for a step over the values of a key where keys have one, which
 *  LMDB takes as step_over_entries(). */
static inline int is_step_without_duplicates(const Cursor *cursor, int code, zdb_cursor_op step) {
    return code == ZDB_INCOMPATIBLE && (step == ZDB_NEXT_DUP || step == ZDB_PREV_DUP) &&
           cursor->transaction->environment->is_lmdb_style;
}
static inline zdb_cursor_op step_over_entries(zdb_cursor_op step) {
    return step == ZDB_NEXT_DUP ? ZDB_NEXT : ZDB_PREV;
}
/** The entry that the cursor is on. @return the library's result. */
int read_current(Cursor *cursor, zdb_val *key, zdb_val *value);
int is_cursor_usable(Cursor *cursor);
PyObject *raise_cursor_unusable(Cursor *cursor);
/** Moves to a key.
 *  @param held  receives the key, to be released when the value has been copied: that may call Python,
 *               which may end the transaction.
 *  @return 1 if it is there, 0 if not, -1 with an exception. */
int find_key(Cursor *cursor, PyObject *key, zdb_val *value, struct bytes *held);
PyObject *cursor_replace_value(Cursor *cursor, PyObject *key, PyObject *value);
PyObject *cursor_pop_value(Cursor *cursor, PyObject *key);
/** The methods getmulti() and putmulti(). */
PyObject *cursor_getmulti(PyObject *cursor, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords);
PyObject *cursor_putmulti(PyObject *cursor, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords);

/* ------------------------------------------------------------------- iterators */

/** From where a cursor is. */
PyObject *iterate(Cursor *cursor, zdb_cursor_op step, enum want want);
/** Over a range of keys, with a cursor of its own. */
PyObject *iterate_range(Transaction *transaction, PyObject *database, PyObject *start, PyObject *stop,
                        PyObject *prefix, int is_reverse, enum want want);

/* ----------------------------------------------------------------------- calls */

/** Calls the library in a transaction: with the GIL, unless the library may call Python. */
#define CALL(transaction, code, expression)                                                         \
    do {                                                                                            \
        if (!(transaction)->environment->has_events) {                                              \
            (code) = (expression);                                                                  \
        } else {                                                                                    \
            enter(transaction);                                                                     \
            PyThreadState *state_ = PyEval_SaveThread();                                            \
            (code) = (expression);                                                                  \
            PyEval_RestoreThread(state_);                                                           \
            leave(transaction);                                                                     \
        }                                                                                           \
    } while (0)

/** Calls the library in a transaction without the GIL. */
#define WAIT(transaction, code, expression)                                                         \
    do {                                                                                            \
        enter(transaction);                                                                         \
        PyThreadState *state_ = PyEval_SaveThread();                                                \
        (code) = (expression);                                                                      \
        PyEval_RestoreThread(state_);                                                               \
        leave(transaction);                                                                         \
    } while (0)

static inline void enter(Transaction *transaction) {
    transaction->is_busy = 1;
    transaction->busy_thread = PyThread_get_thread_ident();
}

static inline void leave(Transaction *transaction) {
    transaction->is_busy = 0;
    transaction->busy_thread = 0;
}

#endif /* ZERODB_CORE_H */
