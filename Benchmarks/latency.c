#include "latency.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 4096

static void reserve(struct latencies *latencies, size_t count) {
    if (count <= latencies->capacity) {
        return;
    }
    size_t capacity = latencies->capacity == 0 ? CAPACITY_FIRST : latencies->capacity * 2;
    capacity = capacity < count ? count : capacity;
    float *ns = allocate(capacity * sizeof *ns);
    if (latencies->count > 0) {
        memcpy(ns, latencies->ns, latencies->count * sizeof *ns);
    }
    free(latencies->ns);
    latencies->ns = ns;
    latencies->capacity = capacity;
}

void latencies_add(struct latencies *latencies, double ns) {
    reserve(latencies, latencies->count + 1);
    latencies->ns[latencies->count++] = (float)ns;
}

void latencies_merge(struct latencies *latencies, const struct latencies *other) {
    if (other->count == 0) {
        return;
    }
    reserve(latencies, latencies->count + other->count);
    memcpy(latencies->ns + latencies->count, other->ns, other->count * sizeof *other->ns);
    latencies->count += other->count;
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The nearest rank: the least sample that is not below a part `q` of all. */
double latencies_quantile(const struct latencies *latencies, double q) {
    size_t bytes = latencies->count * sizeof *latencies->ns;
    float *sorted = allocate(bytes);
    memcpy(sorted, latencies->ns, bytes);
    qsort(sorted, latencies->count, sizeof *sorted, compare_floats);
    size_t rank = (size_t)ceil(q * (double)latencies->count);
    double result = sorted[rank == 0 ? 0 : rank - 1];
    free(sorted);
    return result;
}

double latencies_mean(const struct latencies *latencies) {
    double sum = 0;
    for (size_t i = 0; i < latencies->count; i++) {
        sum += latencies->ns[i];
    }
    return sum / (double)latencies->count;
}

void latencies_clear(struct latencies *latencies) {
    free(latencies->ns);
    *latencies = (struct latencies){0};
}
