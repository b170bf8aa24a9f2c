/* What was written to the device that a directory lies on, as the kernel counts it: the sectors of
 * /sys/dev/block/<major>:<minor>/stat. They are those of the whole device, so another program that
 * writes there at the same time is counted too, and so is the file system's own journal. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

/** Finds the device of a directory. False where there is none: tmpfs, overlays, file systems that span
 *  several devices. */
bool device_find(const char *directory);

/** Writes all dirty pages of the directory's file system to the device, then returns how many bytes the
 *  device was given since the machine started. 0 if device_find() returned false. */
uint64_t device_bytes_written(const char *directory);

#endif
