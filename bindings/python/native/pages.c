/* Memoryviews of values, without a copy.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * The views are released when their transaction ends: they refuse use then. What has been made of one
 * and cannot be released, such as a slice or an array, keeps the snapshot, and with it the pages, until
 * it is gone. Closing the environment ends the snapshot all the same, and leaves zeros in its place. So
 * there are in a child made by fork().
 */
#define _GNU_SOURCE
#include "core.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

PyTypeObject *PagesType;

static Pages *all_pages;

#ifdef MAP_FIXED_NOREPLACE
/** Maps zeros where nothing is mapped. @param calls  how many there may be. */
static void fill_holes(uintptr_t start, uintptr_t end, uintptr_t page, int *calls) {
    void *wanted = (void *)start; /* NOLINT(performance-no-int-to-ptr) */
    if (--*calls < 0) return;
    void *mapped = mmap(wanted, end - start, PROT_READ,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (mapped == wanted) return;
    if (mapped != MAP_FAILED) munmap(mapped, end - start); /* an old kernel takes it as a hint */
    if (end - start <= page) return;
    uintptr_t middle = start + (end - start) / page / 2 * page;
    fill_holes(start, middle, page, calls);
    fill_holes(middle, end, page, calls);
}
#endif

/* Called in the child of fork(), where only what a signal handler may do is allowed. */
void replace_inherited_pages(void) {
#ifdef MAP_FIXED_NOREPLACE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (Pages *pages = all_pages; pages != NULL; pages = pages->next) {
        int calls = 10000;
        if (pages->views > 0)
            fill_holes((uintptr_t)pages->lowest / page * page,
                       ((uintptr_t)pages->end + page - 1) / page * page, page, &calls);
    }
#endif
}

static int get_buffer(PyObject *self, Py_buffer *view, int flags) {
    Pages *pages = (Pages *)self;
    if (pages->data == NULL) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "the transaction that these pages belong to has ended");
        return -1;
    }
    if (PyBuffer_FillInfo(view, self, pages->data, pages->size, 1, flags) < 0) return -1;
    pages->views++;
    char *data = pages->data;
    if (pages->lowest == NULL || data < pages->lowest) pages->lowest = data;
    if (data + pages->size > pages->end) pages->end = data + pages->size;
    return 0;
}

static void release_buffer(PyObject *self, Py_buffer *view) {
    Pages *pages = (Pages *)self;
    (void)view;
    if (--pages->views == 0 && pages->held != NULL) {
        zdb_txn *held = pages->held;
        pages->held = NULL;
        library.zdb_txn_abort(held); /* fails if the environment was closed, which has ended it */
    }
}

static Pages *make_pages(void) {
    Pages *pages = (Pages *)PyType_GenericAlloc(PagesType, 0);
    if (pages == NULL) return NULL;
    pages->next = all_pages;
    if (all_pages != NULL) all_pages->previous = pages;
    all_pages = pages;
    return pages;
}

static void pages_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    Pages *pages = (Pages *)self;
    if (pages->previous != NULL)
        pages->previous->next = pages->next;
    else
        all_pages = pages->next;
    if (pages->next != NULL) pages->next->previous = pages->previous;
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "What memoryviews of values look through."},
    {Py_tp_new, refuse_new},
    {Py_tp_dealloc, pages_dealloc},
    {Py_bf_getbuffer, get_buffer},
    {Py_bf_releasebuffer, release_buffer},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "zerodb._native.Pages",
    .basicsize = sizeof(Pages),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

int add_pages_type(PyObject *module) {
    PagesType = add_type(module, &spec, "_Pages");
    return PagesType == NULL ? -1 : 0;
}

/** Has a view released at the end of its transaction. The caller is inside: a garbage collection may run
 *  here, and what it calls must neither end the transaction nor have it make other views. */
static int remember_view(Transaction *transaction, PyObject *view) {
    if (transaction->views == NULL && (transaction->views = PyList_New(0)) == NULL) return -1;
    PyObject *views = transaction->views;
    PyObject *reference = PyWeakref_NewRef(view, NULL);
    if (reference == NULL) return -1;
    int code = PyList_Append(views, reference);
    Py_DECREF(reference);
    Py_ssize_t count = PyList_Size(views);
    if (code < 0 || count < 64 || (count & (count - 1)) != 0) return code;
    /* Those that are gone are dropped each time that their number may have doubled. */
    PyObject *kept = PyList_New(0);
    if (kept == NULL) return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *known = PyList_GetItem(views, i);
        if (PyWeakref_GetObject(known) != Py_None && PyList_Append(kept, known) < 0) {
            Py_DECREF(kept);
            return -1;
        }
    }
    transaction->views = kept;
    Py_DECREF(views);
    return 0;
}

static PyObject *view_of_copy(Transaction *transaction, const zdb_val *value) {
    PyObject *bytes = PyBytes_FromStringAndSize(value->data, (Py_ssize_t)value->size);
    if (bytes == NULL) return NULL;
    PyObject *view = PyMemoryView_FromObject(bytes);
    Py_DECREF(bytes);
    if (view != NULL && remember_view(transaction, view) < 0) Py_CLEAR(view);
    return view;
}

static PyObject *view_of_pages(Transaction *transaction, const zdb_val *value) {
    if (transaction->pages == NULL) {
        transaction->pages = make_pages();
        if (transaction->pages == NULL) return NULL;
    }
    Pages *pages = transaction->pages;
    pages->data = (void *)value->data;
    pages->size = (Py_ssize_t)value->size;
    PyObject *view = PyMemoryView_FromObject((PyObject *)pages);
    pages->data = NULL;
    if (view != NULL && remember_view(transaction, view) < 0) Py_CLEAR(view);
    return view;
}

/** Makes a view from inside, where the caller may be already. */
static PyObject *make_view(Transaction *transaction, const zdb_val *value,
                           PyObject *(*make)(Transaction *, const zdb_val *)) {
    int was_inside = transaction->is_busy;
    if (!was_inside) enter(transaction);
    PyObject *view = make(transaction, value);
    if (!was_inside) leave(transaction);
    return view;
}

PyObject *value_object(Transaction *transaction, const zdb_val *value) {
    if (!transaction->has_buffers)
        return PyBytes_FromStringAndSize(value->data, (Py_ssize_t)value->size);
    int is_copied = transaction->is_write || value->size == 0;
    return make_view(transaction, value, is_copied ? view_of_copy : view_of_pages);
}

PyObject *key_object(Transaction *transaction, const zdb_val *key) {
    if (transaction->has_buffers) return make_view(transaction, key, view_of_copy);
    return PyBytes_FromStringAndSize(key->data, (Py_ssize_t)key->size);
}
