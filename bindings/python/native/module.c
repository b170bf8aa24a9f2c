/* The module `zerodb._native`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core.h"

#include <pthread.h>
#include <string.h>

struct library library;
unsigned int fork_count;
int reuses_pairs;

static void after_fork(void) {
    fork_count++;
    replace_inherited_pages();
}

PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name) {
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL) return NULL;
    Py_INCREF(type); /* one for the module, one for us */
    if (PyModule_AddObject(module, name, type) < 0) {
        Py_DECREF(type);
        Py_DECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

PyObject *refuse_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)args;
    (void)keywords;
    PyObject *name = PyObject_GetAttrString((PyObject *)type, "__name__");
    if (name != NULL) PyErr_Format(PyExc_TypeError, "cannot create '%U' instances", name);
    Py_XDECREF(name);
    return NULL;
}

/* ------------------------------------------------------------------- arguments */

static Py_ssize_t place_of(PyObject *keyword, const char *const *names) {
    for (Py_ssize_t i = 0; names[i] != NULL; i++)
        if (PyUnicode_CompareWithASCIIString(keyword, names[i]) == 0) return i;
    return -1;
}

static int put_keyword(const char *function, PyObject *keyword, PyObject *value, Py_ssize_t given,
                       const char *const *names, PyObject **out) {
    Py_ssize_t place = place_of(keyword, names);
    if (place < 0) {
        PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function,
                     keyword);
        return -1;
    }
    if (place < given) {
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", function,
                     names[place]);
        return -1;
    }
    out[place] = value;
    return 0;
}

static int check_count(const char *function, Py_ssize_t given, const char *const *names,
                       Py_ssize_t needed, PyObject **out) {
    Py_ssize_t most = 0;
    while (names[most] != NULL) most++;
    if (given > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", function, most,
                     given);
        return -1;
    }
    for (Py_ssize_t i = given; out != NULL && i < needed; i++)
        if (out[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'", function, names[i]);
            return -1;
        }
    return 0;
}

int parse(const char *function, PyObject *const *args, Py_ssize_t given, PyObject *keywords,
          const char *const *names, Py_ssize_t needed, PyObject **out) {
    if (check_count(function, given, names, needed, NULL) < 0) return -1;
    for (Py_ssize_t i = 0; i < given; i++) out[i] = args[i];
    if (keywords != NULL) {
        Py_ssize_t count = PyTuple_Size(keywords);
        for (Py_ssize_t i = 0; i < count; i++)
            if (put_keyword(function, PyTuple_GetItem(keywords, i), args[given + i], given, names,
                            out) < 0)
                return -1;
    }
    return check_count(function, given, names, needed, out);
}

int parse_tuple(const char *function, PyObject *args, PyObject *keywords, const char *const *names,
                Py_ssize_t needed, PyObject **out) {
    Py_ssize_t given = PyTuple_Size(args);
    if (check_count(function, given, names, needed, NULL) < 0) return -1;
    for (Py_ssize_t i = 0; i < given; i++) out[i] = PyTuple_GetItem(args, i);
    if (keywords != NULL) {
        PyObject *keyword, *value;
        Py_ssize_t position = 0;
        while (PyDict_Next(keywords, &position, &keyword, &value))
            if (put_keyword(function, keyword, value, given, names, out) < 0) return -1;
    }
    return check_count(function, given, names, needed, out);
}

int truth(PyObject *argument, int otherwise) {
    if (argument == NULL || argument == Py_None) return otherwise;
    if (argument == Py_True) return 1;
    if (argument == Py_False) return 0;
    return PyObject_IsTrue(argument);
}

static PyObject *type_name(PyObject *object) {
    return PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__name__");
}

static int take_view(PyObject *object, const char *role, struct bytes *out) {
    if (PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError,
                     "%s must be bytes-like, not str; encode it, for example with .encode()", role);
        return -1;
    }
    if (PyObject_GetBuffer(object, &out->view, PyBUF_SIMPLE) < 0) {
        if (PyErr_ExceptionMatches(PyExc_BufferError)) {
            PyErr_Format(PyExc_TypeError, "%s must be contiguous; pass a copy, as with bytes()",
                         role);
        } else if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            PyObject *name = type_name(object);
            if (name != NULL)
                PyErr_Format(PyExc_TypeError, "%s must be bytes-like, not %U", role, name);
            Py_XDECREF(name);
        }
        return -1;
    }
    out->has_view = 1;
    out->val.data = out->view.buf;
    out->val.size = (size_t)out->view.len;
    return 0;
}

int take_bytes(PyObject *object, const char *role, struct bytes *out) {
    out->has_view = 0;
    if (PyBytes_CheckExact(object) || PyBytes_Check(object)) {
        char *data;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(object, &data, &size) < 0) return -1;
        out->val.data = data;
        out->val.size = (size_t)size;
        return 0;
    }
    return take_view(object, role, out);
}

void release_bytes(struct bytes *bytes) {
    if (bytes->has_view) PyBuffer_Release(&bytes->view);
}

/* ---------------------------------------------------------------------- errors */

static PyObject *raise_error(PyObject *error) {
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

PyObject *raise_code(Environment *environment, int code) {
    return raise_error(PyObject_CallFunction(environment->make_error, "i", code));
}

PyObject *raise_message(Environment *environment, int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    PyObject *message = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    if (message == NULL) return NULL;
    PyObject *error = PyObject_CallFunction(environment->make_error, "iO", code, message);
    Py_DECREF(message);
    return raise_error(error);
}

PyObject *call_with_handle(const void *handle, PyObject *args) {
    Py_ssize_t count = PyTuple_Size(args);
    if (count < 1) {
        PyErr_SetString(PyExc_TypeError, "_call() missing required argument 'function'");
        return NULL;
    }
    PyObject *number = PyLong_FromVoidPtr((void *)handle);
    PyObject *arguments = PyTuple_New(count);
    if (number == NULL || arguments == NULL) {
        Py_XDECREF(number);
        Py_XDECREF(arguments);
        return NULL;
    }
    PyTuple_SetItem(arguments, 0, number);
    for (Py_ssize_t i = 1; i < count; i++) {
        PyObject *item = PyTuple_GetItem(args, i);
        Py_INCREF(item);
        PyTuple_SetItem(arguments, i, item);
    }
    PyObject *result = PyObject_CallObject(PyTuple_GetItem(args, 0), arguments);
    Py_DECREF(arguments);
    return result;
}

/* ---------------------------------------------------------------------- module */

static PyObject *bind(PyObject *module, PyObject *addresses) {
    (void)module;
#define X(name)                                                                                     \
    {                                                                                               \
        PyObject *address = PyDict_GetItemString(addresses, #name);                                 \
        void *function = address == NULL ? NULL : PyLong_AsVoidPtr(address);                        \
        if (function == NULL) {                                                                     \
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ImportError, "no " #name);                 \
            return NULL;                                                                            \
        }                                                                                           \
        memcpy(&library.name, &function, sizeof function);                                          \
    }
    LIBRARY_FUNCTIONS(X)
#undef X
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"_bind", bind, METH_O, "Takes the addresses of the library's functions by their names."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "zerodb._native", .m_doc = "The core in C, see zerodb._core.",
    .m_size = 0, .m_methods = functions,
};

static int set_up_reuse(void) {
    PyObject *number = PySys_GetObject("hexversion");
    long version = number == NULL ? -1 : PyLong_AsLong(number);
    if (version == -1 && PyErr_Occurred()) return -1;
    reuses_pairs = version != -1 && version < 0x030e0000;
    return 0;
}

PyMODINIT_FUNC PyInit__native(void) {
    if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {
        PyErr_SetString(PyExc_ImportError, "zerodb cannot be used in a sub-interpreter");
        return NULL;
    }
    if (pthread_atfork(NULL, NULL, after_fork) != 0) {
        PyErr_SetString(PyExc_ImportError, "zerodb cannot have itself told of forks");
        return NULL;
    }
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) return NULL;
    PyObject *list = PyList_New(0);
    if (list == NULL) goto failed;
#define X(name)                                                                                     \
    {                                                                                               \
        PyObject *text = PyUnicode_FromString(#name);                                               \
        if (text == NULL || PyList_Append(list, text) < 0) goto failed;                             \
        Py_DECREF(text);                                                                            \
    }
    LIBRARY_FUNCTIONS(X)
#undef X
    if (PyModule_AddObject(module, "_functions", list) < 0) goto failed;
    if (set_up_reuse() < 0 || add_database_type(module) < 0 || add_environment_type(module) < 0 ||
        add_pages_type(module) < 0 || add_transaction_type(module) < 0 ||
        add_cursor_type(module) < 0 || add_iterator_type(module) < 0)
        goto failed;
    return module;
failed:
    Py_DECREF(module);
    return NULL;
}
