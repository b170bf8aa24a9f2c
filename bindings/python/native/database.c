/* Databases, as the core needs them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core.h"

#include <stddef.h>

PyTypeObject *DatabaseType;

static int database_init(PyObject *self, PyObject *args, PyObject *keywords) {
    static const char *const names[] = {"environment", "handle", "name", "flags", NULL};
    PyObject *given[4] = {NULL};
    Database *database = (Database *)self;
    if (parse_tuple("Database", args, keywords, names, 4, given) < 0) return -1;
    unsigned long handle = PyLong_AsUnsignedLong(given[1]);
    unsigned long flags = PyErr_Occurred() ? 0 : PyLong_AsUnsignedLong(given[3]);
    if (PyErr_Occurred()) return -1;
    PyObject *before = database->environment, *name_before = database->name;
    Py_INCREF(given[0]);
    Py_INCREF(given[2]);
    database->environment = given[0];
    database->name = given[2];
    database->handle = (unsigned int)handle;
    database->flags = (unsigned int)flags;
    Py_XDECREF(before);
    Py_XDECREF(name_before);
    return 0;
}

static int database_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Database *)self)->environment);
    return 0;
}

static int database_clear(PyObject *self) {
    Py_CLEAR(((Database *)self)->environment);
    return 0;
}

static void database_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((Database *)self)->weak_references != NULL) PyObject_ClearWeakRefs(self);
    Py_CLEAR(((Database *)self)->environment);
    Py_CLEAR(((Database *)self)->name);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMemberDef attributes[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Database, weak_references), READONLY, NULL},
    {"environment", T_OBJECT, offsetof(Database, environment), READONLY,
     "The environment that the database belongs to."},
    {"name", T_OBJECT, offsetof(Database, name), READONLY,
     "The database's name; None for the main database."},
    {"_handle", T_UINT, offsetof(Database, handle), READONLY, NULL},
    {"_flags", T_UINT, offsetof(Database, flags), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "A database of an environment."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, database_init},
    {Py_tp_dealloc, database_dealloc},
    {Py_tp_traverse, database_traverse},
    {Py_tp_clear, database_clear},
    {Py_tp_members, attributes},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "zerodb._native.DatabaseCore",
    .basicsize = sizeof(Database),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int add_database_type(PyObject *module) {
    DatabaseType = add_type(module, &spec, "DatabaseCore");
    return DatabaseType == NULL ? -1 : 0;
}
