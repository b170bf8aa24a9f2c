/* Reads of a warm environment that fits the page cache: gets, scans, ranges. */
#include "cases.h"

#define GETS_A_SLICE 100000
#define RANGES_A_SLICE 50000

typedef void (*loop_fn)(struct subject *subject, uint64_t count);

struct read_case {
    struct big *big;
    loop_fn loop;
    uint64_t count;
    double operations; /* that the time of a slice is divided by */
};

/* The loop runs in one read transaction. */
static double measure_in_txn(enum engine_id id, void *context) {
    struct read_case *c = context;
    struct subject *subject = &c->big->subjects[id];
    subject->txn = subject->engine->begin_read(subject->env);
    double start = now_ns();
    c->loop(subject, c->count);
    double elapsed = now_ns() - start;
    subject->engine->abort(subject->txn);
    return elapsed / c->operations;
}

/* The loop begins and ends its transactions itself. */
static double measure_begin_get(enum engine_id id, void *context) {
    struct read_case *c = context;
    double start = now_ns();
    loop_begin_get(&c->big->subjects[id], c->count);
    return (now_ns() - start) / c->operations;
}

static double measure_renew_get(enum engine_id id, void *context) {
    struct read_case *c = context;
    struct subject *subject = &c->big->subjects[id];
    subject->txn = subject->engine->begin_read(subject->env);
    subject->engine->reset(subject->txn);
    double start = now_ns();
    loop_renew_get(subject, c->count);
    double elapsed = now_ns() - start;
    subject->engine->abort(subject->txn);
    return elapsed / c->operations;
}

static void run(const struct config *config, const char *row, measure_fn measure, loop_fn loop,
                uint64_t count, uint64_t operations) {
    struct read_case c = {
        .big = big_environments(config),
        .loop = loop,
        .count = count,
        .operations = (double)operations,
    };
    struct series series[ENGINES] = {0};
    alternate(config, measure, &c, series);
    report_row(row, series);
}

void case_get(const struct config *config) {
    const uint64_t count = GETS_A_SLICE;
    run(config, "get.hit", measure_in_txn, loop_get, count, count);
    run(config, "get.miss", measure_in_txn, loop_miss, count, count);
    run(config, "get.begin", measure_begin_get, NULL, count, count);
    run(config, "get.renew", measure_renew_get, NULL, count, count);
}

void case_scan(const struct config *config) {
    uint64_t entries = config->entries;
    run(config, "scan.forward", measure_in_txn, loop_scan_forward, 1, entries);
    run(config, "scan.backward", measure_in_txn, loop_scan_backward, 1, entries);
    run(config, "scan.range", measure_in_txn, loop_range, RANGES_A_SLICE, RANGES_A_SLICE);
}
