#ifndef ZDB_CLOCK_H
#define ZDB_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t zp_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#endif
