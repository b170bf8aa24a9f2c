/* Samples, quartiles, and the alternation of the engines. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>

#include "util.h"

#define SAMPLES_MAX 1024

struct series {
    size_t count;
    double samples[SAMPLES_MAX];
};

struct summary {
    double first_quartile;
    double median;
    double third_quartile;
};

void series_add(struct series *series, double sample);

/** Quartiles by linear interpolation; of a series that is not empty. */
struct summary series_summary(const struct series *series);

/** The mean of a series that is not empty. */
double series_mean(const struct series *series);

/** The engine at `place` (0..<ENGINES) of a slice. The order is forward or backward as the
 *  Thue-Morse sequence says (A B, B A, B A, A B, ...): neither a slow drift of the machine nor
 *  something that comes back every few slices affects one engine more than another. */
enum engine_id engine_at(unsigned slice, unsigned place);

/** One slice of a measurement with one engine; returns the sample. */
typedef double (*measure_fn)(enum engine_id id, void *context);

/** Measures the enabled engines alternately. The first slice warms up and is not recorded.
 *  @param out  by engine_id; the series of an engine that is not enabled stays as it is. */
void alternate(const struct config *config, measure_fn measure, void *context,
               struct series out[ENGINES]);

#endif
