/* The tools of every part of the benchmark: the settings of the run, time, files, failure. */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "engine.h"

struct config {
    bool enabled[ENGINES];
    uint64_t entries;     /* in the big environment */
    unsigned slices;      /* measured slices of each engine in each case */
    unsigned rounds;      /* measured loads of each engine */
    uint32_t page_size;   /* of ZeroDB, bytes; 0 for its default */
    uint64_t max_size;    /* of ZeroDB, bytes; 0 for its default */
    enum kind kind;       /* of the databases that a case makes */
    bool survives_kill;   /* of what is not flushed, see struct env_options */
    uint64_t cache_bytes; /* of engines with a cache of their own; 0 for the default */
    const char *dir;      /* where environments are made */
    const char *json;     /* results file, or NULL */
};

/** How much is done in a slice: `few` where there are so few entries that no time means anything and the
 *  benchmark itself is checked. */
static inline uint64_t count_or_few(const struct config *config, uint64_t count, uint64_t few) {
    return config->entries < 10000 ? few : count;
}

/** Prints "bench: ..." to stderr and ends the program with status 2. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/** malloc() that does not return NULL. */
void *allocate(size_t size);

/** Writes dir/name into out, which holds PATH_MAX bytes. */
void join_path(char *out, const char *dir, const char *name);

/** Makes a directory and those above it, if they are not there. */
void make_directory(const char *path);

/** Removes a directory and all in it, if it is there. Stays on its file system. */
void remove_directory(const char *path);

/** Bytes of a file, as stat() says. */
uint64_t file_bytes(const char *path);

/** Bytes of all files in a directory and below, 0 if it is not there. */
uint64_t directory_bytes(const char *path);

/** Bytes on disk of all files in a directory and below: blocks, so that holes do not count, and space
 *  that was reserved does.
 *  @param except  a pattern of fnmatch(): files that do not count; NULL: all do */
uint64_t directory_blocks_bytes(const char *path, const char *except);

/** Waits until all that was written to files in a directory and below is on disk. */
void flush_directory(const char *path);

/** Takes as much memory as an engine may ask for next, writes to it and gives it back. A guest lends unused
 *  memory to its host: getting it back costs some microseconds a page, which are no engine's. */
void touch_memory(const struct config *config);

/** Makes an empty directory dir/name, in place of one that was there before, and opens an
 *  environment of the engine in it. The path goes to path_out, which holds PATH_MAX bytes. */
struct benv *open_fresh(const struct config *config, const struct engine *engine, const char *name,
                        bool unflushed, char *path_out);

/** Opens the environment in `path`. */
struct benv *open_at(const struct config *config, const struct engine *engine, const char *path,
                     bool unflushed);

#endif
