/* Many entries in one call of the library, as packed lists.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core.h"

#include <errno.h>
#include <string.h>

enum {
    LIST_HEAD = 5, /**< bytes before the elements of a list */
    STRING_HEAD = 5,
    ENTRY_HEAD = 2,
    GROUP_MAX = 256, /**< entries that are put in one call */
    GROUP_BYTES = 256 << 10,
    FIXED_BYTES = 4 << 10, /**< that values of a fixed size may take, and for each key */
    FIXED_BYTES_EACH = 512,
};

struct list {
    unsigned char *bytes;
    size_t used, capacity;
    unsigned int count;
};

static int begin_list(struct list *list, size_t capacity) {
    list->used = LIST_HEAD;
    list->count = 0;
    list->capacity = capacity;
    list->bytes = PyMem_Malloc(capacity);
    if (list->bytes != NULL) return 0;
    PyErr_NoMemory();
    return -1;
}

static void put_number(unsigned char *at, size_t number) {
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(number >> 8 * i);
}

static void add_string(struct list *list, const zdb_val *string) {
    unsigned char *at = list->bytes + list->used;
    at[0] = 0x73;
    put_number(at + 1, string->size);
    if (string->size > 0) memcpy(at + STRING_HEAD, string->data, string->size);
    list->used += STRING_HEAD + string->size;
}

static void end_list(struct list *list) {
    list->bytes[0] = 0x5b;
    put_number(list->bytes + 1, list->count);
}

/** The bytes of an object that is bytes. @return whether it is. */
static int is_plain(PyObject *object, zdb_val *out) {
    char *data;
    Py_ssize_t size;
    if (!PyBytes_CheckExact(object)) return 0;
    if (PyBytes_AsStringAndSize(object, &data, &size) < 0) {
        PyErr_Clear();
        return 0;
    }
    out->data = data;
    out->size = (size_t)size;
    return 1;
}

/** Adds an entry of a Python list, if it is a pair of bytes and there is room. */
static int add_entry(Transaction *transaction, struct list *list, PyObject *item) {
    zdb_val key, value;
    if (!PyTuple_CheckExact(item) || PyTuple_Size(item) != 2 ||
        !is_plain(PyTuple_GetItem(item, 0), &key) || !is_plain(PyTuple_GetItem(item, 1), &value))
        return 0;
    if (value.size == 0 && transaction->environment->is_lmdb_style) return 0;
    size_t room = list->capacity - list->used - ENTRY_HEAD - 2 * STRING_HEAD;
    if (key.size > room || value.size > room - key.size) return 0;
    list->bytes[list->used++] = 0x29;
    list->bytes[list->used++] = 2;
    add_string(list, &key);
    add_string(list, &value);
    list->count++;
    return 1;
}

int put_list(Transaction *self, unsigned int number, PyObject *items, unsigned int flags,
             Py_ssize_t *added) {
    struct list list;
    *added = 0;
    if (begin_list(&list, GROUP_BYTES) < 0) return -1;
    int result = 0;
    for (;;) {
        list.used = LIST_HEAD;
        list.count = 0;
        while (list.count < GROUP_MAX && *added + list.count < PyList_Size(items) &&
               list.capacity - list.used > ENTRY_HEAD + 2 * STRING_HEAD &&
               add_entry(self, &list, PyList_GetItem(items, *added + list.count)))
            ;
        if (list.count == 0) break;
        end_list(&list);
        if (!is_usable(self)) {
            raise_unusable(self);
            result = -1;
            break;
        }
        if ((result = before_write(self)) < 0) break;
        size_t put = 0;
        int code;
        CALL(self, code,
             library.zdb_put_packed(self->handle, number, list.bytes, list.used, flags, &put));
        *added += (Py_ssize_t)put;
        if (code == ZDB_OK) continue;
        /* What is wrong with one entry its own put says. */
        if (code != ZDB_BAD_VALSIZE && code != ZDB_NOT_SORTED) {
            raise_code(self->environment, code);
            result = -1;
        }
        break;
    }
    PyMem_Free(list.bytes);
    return result;
}

/** The keys of a Python list as a packed list. @return 0 if they are not bytes; -1 with an exception. */
static int pack_keys(PyObject *keys, struct list *list) {
    Py_ssize_t count = PyList_Size(keys);
    size_t size = LIST_HEAD;
    zdb_val key;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!is_plain(PyList_GetItem(keys, i), &key) || key.size > UINT32_MAX) return 0;
        size += STRING_HEAD + key.size;
    }
    if (count > UINT32_MAX) return 0;
    if (begin_list(list, size) < 0) return -1;
    for (Py_ssize_t i = 0; i < count; i++, list->count++)
        if (is_plain(PyList_GetItem(keys, i), &key)) add_string(list, &key);
    end_list(list);
    return 1;
}

PyObject *get_fixed(Transaction *self, unsigned int number, PyObject *keys, size_t value_size) {
    struct list list;
    int packed = pack_keys(keys, &list);
    if (packed < 0) return NULL;
    if (packed == 0) Py_RETURN_NONE;
    PyObject *found = NULL;
    char *bytes = NULL;
    size_t size = FIXED_BYTES + (size_t)FIXED_BYTES_EACH * list.count, used = 0;
    if (!is_usable(self)) {
        raise_unusable(self);
        goto done;
    }
    int code;
    do {
        PyMem_Free(bytes);
        if ((bytes = PyMem_Malloc(size)) == NULL) {
            PyErr_NoMemory();
            goto done;
        }
        CALL(self, code,
             library.zdb_get_fixed(self->handle, number, list.bytes, list.used, value_size, bytes,
                                   size, &used));
        size = used;
    } while (code == ENOBUFS);
    if (code == ZDB_OK) {
        found = PyBytes_FromStringAndSize(bytes, (Py_ssize_t)used);
    } else {
        /* One by one, what is wrong is found. */
        Py_INCREF(Py_None);
        found = Py_None;
    }
done:
    PyMem_Free(bytes);
    PyMem_Free(list.bytes);
    return found;
}
