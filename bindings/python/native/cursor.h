/* Methods of cursors that write, and what they share with those that move.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ZERODB_CURSOR_H
#define ZERODB_CURSOR_H

#include "core.h"

/** Ready for a call of the library; otherwise raises. */
int begin_call(Cursor *self, int writes);
/** Whether keys of its database may have several values. @return -1 with an exception. */
int has_duplicates(Cursor *self);
/** Moves in a way that needs no key. */
PyObject *move_cursor(PyObject *object, zdb_cursor_op op);

/* In cursor_writes.c. */
PyObject *cursor_put(PyObject *object, PyObject *const *args, Py_ssize_t count,
                     PyObject *keywords);
PyObject *cursor_set_value(PyObject *object, PyObject *value);
PyObject *cursor_delete(PyObject *object, PyObject *const *args, Py_ssize_t count,
                        PyObject *keywords);
PyObject *cursor_replace(PyObject *object, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords);
PyObject *cursor_pop(PyObject *object, PyObject *const *args, Py_ssize_t count,
                     PyObject *keywords);

#endif /* ZERODB_CURSOR_H */
