/* Calls that do the work of many: gets of 64 keys, scans of 256 entries at a time. Single calls
 * and calls for many alternate, and the share is that of each slice. */
#include "cases.h"

#include <string.h>

#define GETS_A_SLICE (64 * 2000)

typedef void (*loop_fn)(struct subject *subject, uint64_t count);

struct batch_case {
    struct big *big;
    loop_fn one;
    loop_fn many; /* used where the engine has such a call */
    uint64_t count;
    double operations; /* that the time of a slice is divided by */
    unsigned slice;
    struct series many_times[ENGINES];
    struct series shares[ENGINES];
};

static double timed(struct batch_case *c, struct subject *subject, loop_fn loop) {
    subject->txn = subject->engine->begin_read(subject->env);
    double start = now_ns();
    loop(subject, c->count);
    double elapsed = now_ns() - start;
    subject->engine->abort(subject->txn);
    return elapsed / c->operations;
}

/* Returns the time one by one; the first slice warms up. */
static double measure(enum engine_id id, void *context) {
    struct batch_case *c = context;
    struct subject *subject = &c->big->subjects[id];
    if (subject->engine->get_many == NULL) {
        return timed(c, subject, c->one);
    }
    bool many_first = c->slice++ % 2 != 0;
    double many = many_first ? timed(c, subject, c->many) : 0;
    double one = timed(c, subject, c->one);
    many = many_first ? many : timed(c, subject, c->many);
    if (c->slice > 1) {
        series_add(&c->many_times[id], many);
        series_add(&c->shares[id], many / one);
    }
    return one;
}

static void run(const struct config *config, loop_fn one, loop_fn many, uint64_t count,
                uint64_t operations, const char *const rows[3]) {
    static struct batch_case c;
    static struct series one_times[ENGINES];
    memset(&c, 0, sizeof c);
    memset(one_times, 0, sizeof one_times);
    c.big = big_environments(config);
    c.one = one;
    c.many = many;
    c.count = count;
    c.operations = (double)operations;
    alternate(config, measure, &c, one_times);
    report_row(rows[0], one_times);
    report_row(rows[1], c.many_times);
    report_row(rows[2], c.shares);
}

void case_batch(const struct config *config) {
    static const char *const gets[] = {"batch.gets", "batch.get_many", "batch.get_many.share"};
    static const char *const scans[] = {"batch.next", "batch.next_many", "batch.next_many.share"};
    run(config, loop_get, loop_get_many, GETS_A_SLICE, GETS_A_SLICE, gets);
    run(config, loop_scan_forward, loop_scan_many, 1, config->entries, scans);
}
