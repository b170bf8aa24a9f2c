/* The cases: each measures the enabled engines and reports its rows. */
#ifndef BENCH_CASES_H
#define BENCH_CASES_H

#include <limits.h>

#include "report.h"
#include "workload.h"

/** An environment of each enabled engine with config->entries entries, loaded in random order
 *  by one transaction and read once, shared by the cases that read and by those that commit. A case
 *  that adds keys raises the subject's `entries`. */
struct big {
    struct subject subjects[ENGINES];
    char paths[ENGINES][PATH_MAX];
};

/** The big environments of the enabled engines, made when first asked for. */
struct big *big_environments(const struct config *config);
/** Closes the big environments for a while; until big_open() opens them again, nothing but their
 *  paths may be used. */
void big_close(void);
void big_open(const struct config *config, bool unflushed);
/** Closes and removes the big environments. */
void big_remove(void);

void case_load(const struct config *config);
void case_get(const struct config *config);
void case_scan(const struct config *config);
void case_duplicates(const struct config *config);
void case_batch(const struct config *config);
void case_counted(const struct config *config);
void case_threads(const struct config *config);
void case_open(const struct config *config);
void case_commit(const struct config *config);
void case_writers(const struct config *config);
void case_busy(const struct config *config);
void case_unflushed(const struct config *config);
void case_life(const struct config *config);
void case_large(const struct config *config);
void case_shapes(const struct config *config);
void case_memory(const struct config *config);
void case_pressed(const struct config *config);
void case_growth(const struct config *config);
void case_recovery(const struct config *config);

/** What case_memory() runs in a process of its own: prints two numbers, KiB. */
void memory_child(const struct config *config, enum engine_id id);

/** Prints, a line for each enabled engine, which commits survive a kill of the process. Nothing must be
 *  open. */
void print_survival(const struct config *config);

/** The profiling driver: repeats one loop with one engine for a time or a number of operations.
 *  Its environment is kept in config->dir and used again by the next run.
 *  @param seconds  used if count is 0 */
void run_loop(const struct config *config, enum engine_id id, const char *loop, double seconds,
              uint64_t count);
/** The names of the loops, for the usage text. */
const char *loop_names(void);

#endif
