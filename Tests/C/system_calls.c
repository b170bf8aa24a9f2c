#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT, pwritev(), sync_file_range() */
#endif
#include "system_calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The exception specifications that C++ sees for these functions in the C library's headers. */
#ifdef __cplusplus
#define NO_THROW noexcept
#else
#define NO_THROW
#endif

static system_call_hook current_hook;
static void *current_context;

void hook_system_calls(system_call_hook hook, void *context) {
    current_context = context;
    current_hook = hook;
}

static size_t write_bytes_max;

void shorten_writes(size_t bytes) {
    write_bytes_max = bytes;
}

static size_t shortened(size_t size) {
    return write_bytes_max > 0 && write_bytes_max < size ? write_bytes_max : size;
}

static bool flushes_are_skipped;

void skip_flushes(bool skips) {
    flushes_are_skipped = skips;
}

bool is_flush(const char *name) {
    return strcmp(name, "fdatasync") == 0 || strcmp(name, "fsync") == 0 ||
           strcmp(name, "sync_file_range") == 0;
}

static bool is_refused(const char *name) {
    if (current_hook == NULL) return false;
    int error = current_hook(current_context, name);
    if (error != 0) errno = error;
    return error != 0;
}

/* ISO C has no conversion from a pointer to an object to one to a function. */
#define CALL_NEXT(name, type, arguments)                                                           \
    static type next;                                                                              \
    if (next == NULL) {                                                                            \
        void *found = dlsym(RTLD_NEXT, #name);                                                     \
        memcpy(&next, &found, sizeof(next));                                                       \
    }                                                                                              \
    return is_refused(#name) ? -1 : next arguments

typedef int (*file_call)(int);

int fdatasync(int file) {
    if (flushes_are_skipped) return 0;
    CALL_NEXT(fdatasync, file_call, (file));
}

int fsync(int file) {
    if (flushes_are_skipped) return 0;
    CALL_NEXT(fsync, file_call, (file));
}

typedef int (*range_call)(int, off_t, off_t, unsigned);

int sync_file_range(int file, off_t start, off_t length, unsigned flags) {
    CALL_NEXT(sync_file_range, range_call, (file, start, length, flags));
}

typedef int (*unlink_call)(int, const char *, int);

int unlinkat(int directory, const char *path, int flags) NO_THROW {
    CALL_NEXT(unlinkat, unlink_call, (directory, path, flags));
}

typedef int (*truncate_call)(int, off_t);

int ftruncate(int file, off_t size) NO_THROW {
    CALL_NEXT(ftruncate, truncate_call, (file, size));
}

typedef int (*rename_call)(int, const char *, int, const char *);

int renameat(int from_directory, const char *from, int to_directory, const char *to) NO_THROW {
    CALL_NEXT(renameat, rename_call, (from_directory, from, to_directory, to));
}

typedef int (*rename_new_call)(int, const char *, int, const char *, unsigned);

int renameat2(int from_directory, const char *from, int to_directory, const char *to,
              unsigned flags) NO_THROW {
    CALL_NEXT(renameat2, rename_new_call, (from_directory, from, to_directory, to, flags));
}

typedef int (*mkdir_at_call)(int, const char *, mode_t);

int mkdirat(int directory, const char *path, mode_t mode) NO_THROW {
    CALL_NEXT(mkdirat, mkdir_at_call, (directory, path, mode));
}

typedef int (*mkdir_call)(const char *, mode_t);

int mkdir(const char *path, mode_t mode) NO_THROW {
    CALL_NEXT(mkdir, mkdir_call, (path, mode));
}

typedef ssize_t (*write_call)(int, const void *, size_t, off_t);

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
    CALL_NEXT(pwrite, write_call, (file, bytes, shortened(size), offset));
}

typedef ssize_t (*parts_call)(int, const struct iovec *, int, off_t);

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
    struct iovec first;
    if (write_bytes_max > 0 && count > 0) {
        /* Whole parts, as many as may be, or some of the first. */
        size_t size = 0;
        int whole = 0;
        while (whole < count && size + parts[whole].iov_len <= write_bytes_max) {
            size += parts[whole++].iov_len;
        }
        count = whole;
        if (whole == 0) {
            first = parts[0];
            first.iov_len = shortened(first.iov_len);
            parts = &first;
            count = 1;
        }
    }
    CALL_NEXT(pwritev, parts_call, (file, parts, count, offset));
}
