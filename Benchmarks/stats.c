#include "stats.h"

#include <stdlib.h>
#include <string.h>

void series_add(struct series *series, double sample) {
    if (series->count == SAMPLES_MAX) {
        die("more than %d samples in a series: ask for fewer slices or rounds", SAMPLES_MAX);
    }
    series->samples[series->count++] = sample;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t count, double q) {
    double position = q * (double)(count - 1);
    size_t below = (size_t)position;
    size_t above = below + 1 < count ? below + 1 : below;
    double fraction = position - (double)below;
    return sorted[below] + (sorted[above] - sorted[below]) * fraction;
}

struct summary series_summary(const struct series *series) {
    double sorted[SAMPLES_MAX];
    memcpy(sorted, series->samples, series->count * sizeof *sorted);
    qsort(sorted, series->count, sizeof *sorted, compare_doubles);
    return (struct summary){
        .first_quartile = quantile(sorted, series->count, 0.25),
        .median = quantile(sorted, series->count, 0.5),
        .third_quartile = quantile(sorted, series->count, 0.75),
    };
}

double series_mean(const struct series *series) {
    double sum = 0;
    for (size_t i = 0; i < series->count; i++) {
        sum += series->samples[i];
    }
    return sum / (double)series->count;
}

enum engine_id engine_at(unsigned slice, unsigned place) {
    return (enum engine_id)(__builtin_parity(slice) ? ENGINES - 1 - place : place);
}

void alternate(const struct config *config, measure_fn measure, void *context,
               struct series out[ENGINES]) {
    for (unsigned slice = 0; slice <= config->slices; slice++) {
        for (unsigned place = 0; place < ENGINES; place++) {
            enum engine_id id = engine_at(slice, place);
            if (!config->enabled[id]) {
                continue;
            }
            double sample = measure(id, context);
            if (slice > 0) {
                series_add(&out[id], sample);
            }
        }
    }
}
