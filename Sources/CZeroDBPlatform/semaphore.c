#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <unistd.h>

#include "clock.h"
#include "zdb_platform.h"

/* ThreadSanitizer knows the other functions of semaphores, but not sem_clockwait. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
void __tsan_acquire(void *address);
#define NOTE_ACQUIRED(address) __tsan_acquire(address)
#endif
#endif
#ifndef NOTE_ACQUIRED
#define NOTE_ACQUIRED(address) ((void)(address))
#endif

int zp_semaphore_wait(sem_t *semaphore, uint64_t until_ns) {
    struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
    while (sem_clockwait(semaphore, CLOCK_MONOTONIC, &until) != 0) {
        if (errno != EINTR) return errno;
    }
    NOTE_ACQUIRED(semaphore);
    return 0;
}

static inline void pause_processor(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

bool zp_semaphore_spin(sem_t *semaphore, uint64_t nanoseconds) {
    uint64_t began = zp_monotonic_ns();
    do {
        /* Each try takes the memory from the thread that is about to give it back. */
        for (int i = 0; i < 20; i++) pause_processor();
        if (sem_trywait(semaphore) == 0) {
            NOTE_ACQUIRED(semaphore);
            return true;
        }
    } while (zp_monotonic_ns() - began < nanoseconds);
    return false;
}

long zp_processors(void) {
    /* Of the first thread: this one may be bound to one of many. */
    cpu_set_t usable;
    if (sched_getaffinity(getpid(), sizeof usable, &usable) == 0) return CPU_COUNT(&usable);
    /* More than such a set has. */
    return sysconf(_SC_NPROCESSORS_ONLN);
}
