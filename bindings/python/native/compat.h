/* What the core needs of CPython beyond the limited API of 3.9.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each of these is in a later limited API with the same layout or number, and works in all releases from
 * 3.9 on: only the headers of the earlier ones hide it.
 */
#ifndef ZERODB_COMPAT_H
#define ZERODB_COMPAT_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>
#include <structmember.h>

/* Limited API of 3.10; vectorcalls of functions are in 3.7. */
#ifndef METH_FASTCALL
#define METH_FASTCALL 0x0080
#endif

/* Limited API of 3.11; PyType_FromSpec knows the slots in 3.9. */
#ifndef Py_bf_getbuffer
#define Py_bf_getbuffer 1
#endif
#ifndef Py_bf_releasebuffer
#define Py_bf_releasebuffer 2
#endif

/* Limited API of 3.11, with the layout that it has had since 3.3. */
#ifndef PyBUF_SIMPLE
typedef struct {
    void *buf;
    PyObject *obj;
    Py_ssize_t len;
    Py_ssize_t itemsize;
    int readonly;
    int ndim;
    char *format;
    Py_ssize_t *shape;
    Py_ssize_t *strides;
    Py_ssize_t *suboffsets;
    void *internal;
} Py_buffer;
#define PyBUF_SIMPLE 0
PyAPI_FUNC(int) PyObject_GetBuffer(PyObject *object, Py_buffer *view, int flags);
PyAPI_FUNC(int) PyBuffer_FillInfo(Py_buffer *view, PyObject *object, void *data, Py_ssize_t size,
                                  int readonly, int flags);
PyAPI_FUNC(void) PyBuffer_Release(Py_buffer *view);
#endif

#endif /* ZERODB_COMPAT_H */
