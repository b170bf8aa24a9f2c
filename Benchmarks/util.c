#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

void *allocate(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) {
        die("out of memory: %zu bytes asked for", size);
    }
    return memory;
}

void join_path(char *out, const char *dir, const char *name) {
    if (snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX) {
        die("%s/%s: the path is too long", dir, name);
    }
}

void make_directory(const char *path) {
    char partial[PATH_MAX];
    join_path(partial, path, "");
    for (char *slash = strchr(partial + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(partial, 0700) != 0 && errno != EEXIST) {
            die("cannot make the directory %s: %s", partial, strerror(errno));
        }
        *slash = '/';
    }
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void remove_directory(const char *path) {
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 && errno != ENOENT) {
        die("cannot remove %s: %s", path, strerror(errno));
    }
}

uint64_t file_bytes(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) {
        die("cannot stat %s: %s", path, strerror(errno));
    }
    return (uint64_t)status.st_size;
}

/* nftw() has no context to hand to its function. */
static uint64_t bytes_walked;

static int add_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)path;
    (void)walk;
    bytes_walked += kind == FTW_F ? (uint64_t)status->st_size : 0;
    return 0;
}

uint64_t directory_bytes(const char *path) {
    bytes_walked = 0;
    /* A file may be removed while the walk looks at it. */
    if (nftw(path, add_entry, 16, FTW_PHYS | FTW_MOUNT) != 0 && errno != ENOENT) {
        die("cannot read the directory %s: %s", path, strerror(errno));
    }
    return bytes_walked;
}

static const char *pattern_left_out;

static int add_blocks(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)walk;
    bool counts =
        kind == FTW_F && (pattern_left_out == NULL || fnmatch(pattern_left_out, path, 0) != 0);
    bytes_walked += counts ? (uint64_t)status->st_blocks * 512 : 0;
    return 0;
}

uint64_t directory_blocks_bytes(const char *path, const char *except) {
    bytes_walked = 0;
    pattern_left_out = except;
    if (nftw(path, add_blocks, 16, FTW_PHYS | FTW_MOUNT) != 0) {
        die("cannot read the directory %s: %s", path, strerror(errno));
    }
    return bytes_walked;
}

static int flush_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status;
    (void)walk;
    int descriptor = kind == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor >= 0) {
        if (fdatasync(descriptor) != 0) {
            die("cannot flush %s: %s", path, strerror(errno));
        }
        close(descriptor);
    }
    return 0;
}

void flush_directory(const char *path) {
    if (nftw(path, flush_entry, 16, FTW_PHYS | FTW_MOUNT) != 0 && errno != ENOENT) {
        die("cannot read the directory %s: %s", path, strerror(errno));
    }
}

void touch_memory(const struct config *config) {
    size_t size = (size_t)count_or_few(config, 1 << 30, 1 << 20);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        die("cannot map %zu bytes: %s", size, strerror(errno));
    }
    madvise(memory, size, MADV_HUGEPAGE);
    memset(memory, 1, size);
    munmap(memory, size);
}

struct benv *open_at(const struct config *config, const struct engine *engine, const char *path,
                     bool unflushed) {
    struct env_options options = {
        .kind = config->kind,
        .page_size = config->page_size,
        .max_size = config->max_size,
        .entries_max = config->entries,
        .cache_bytes = config->cache_bytes,
        .unflushed = unflushed,
        .survives_kill = config->survives_kill,
    };
    return engine->open(path, &options);
}

struct benv *open_fresh(const struct config *config, const struct engine *engine, const char *name,
                        bool unflushed, char *path_out) {
    char leaf[NAME_MAX];
    snprintf(leaf, sizeof leaf, "%s-%s", engine->name, name);
    join_path(path_out, config->dir, leaf);
    remove_directory(path_out);
    make_directory(path_out);
    return open_at(config, engine, path_out, unflushed);
}
