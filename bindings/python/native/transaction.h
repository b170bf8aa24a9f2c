/* Methods of transactions, and what they share. Defined in transaction_reads.c and transaction_writes.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ZERODB_TRANSACTION_H
#define ZERODB_TRANSACTION_H

#include "core.h"

/** Raises KeyError. */
void raise_no_key(Transaction *self, PyObject *key);

PyObject *transaction_get(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords);
PyObject *transaction_get_item(PyObject *object, PyObject *key);
int transaction_contains(PyObject *object, PyObject *key);
PyObject *transaction_get_many(PyObject *object, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords);
PyObject *transaction_get_pairs(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords);
PyObject *transaction_get_fixed(PyObject *object, PyObject *const *args, Py_ssize_t count,
                                PyObject *keywords);
PyObject *transaction_cursor(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords);
PyObject *transaction_items(PyObject *object, PyObject *const *args, Py_ssize_t count,
                            PyObject *keywords);
PyObject *transaction_keys(PyObject *object, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords);
PyObject *transaction_values(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords);
PyObject *transaction_iterate_keys(PyObject *object);
PyObject *transaction_put(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords);
PyObject *transaction_put_many(PyObject *object, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords);
PyObject *transaction_delete(PyObject *object, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords);
int transaction_set_item(PyObject *object, PyObject *key, PyObject *value);
PyObject *transaction_replace(PyObject *object, PyObject *const *args, Py_ssize_t count,
                              PyObject *keywords);
PyObject *transaction_pop(PyObject *object, PyObject *const *args, Py_ssize_t count,
                          PyObject *keywords);

#endif /* ZERODB_TRANSACTION_H */
