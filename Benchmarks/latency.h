/* The time of each commit, for percentiles and the maximum. */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include "stats.h"

/** Grows as needed; all zero at first. */
struct latencies {
    size_t count, capacity;
    float *ns;
};

void latencies_add(struct latencies *latencies, double ns);
/** Adds those of another. */
void latencies_merge(struct latencies *latencies, const struct latencies *other);
/** Of samples that are not empty; 0.5 for the median, 1 for the maximum. */
double latencies_quantile(const struct latencies *latencies, double q);
double latencies_mean(const struct latencies *latencies);
/** Forgets all samples. */
void latencies_clear(struct latencies *latencies);

#endif
