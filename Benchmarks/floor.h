/* The time of the disk itself for a durable write: the floor under every durable commit. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <limits.h>

#include "util.h"

/** A file whose blocks are all written, so that flushing it takes no file-system metadata. */
struct floor_file {
    int descriptor;
    char path[PATH_MAX];
    unsigned next_page;
};

/** Makes the file in config->dir. */
void floor_open(const struct config *config, struct floor_file *file);

/** Closes and removes it. */
void floor_close(struct floor_file *file);

/** Writes 4 KiB and flushes them, `count` times, going round in the file.
 *  @return nanoseconds for each */
double floor_measure(struct floor_file *file, unsigned count);

#endif
