/* How long single gets take while another thread commits one key after the other and checkpoints
 * are made, against gets of the quiet environment. Every get is timed by itself: the result is
 * the slowest of a hundred. */
#include "cases.h"
#include "floor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define GETS_A_SLICE 100000
#define GETS_A_SNAPSHOT 1000 /* where a transaction is not for one get only */
#define CHECKPOINT_PAUSE_NS 20000000
#define WARM_UP_NS 50000000 /* from the start of the threads to the first get */

/* The load beside the reader. */
struct disturbance {
    struct subject subject;
    struct floor_file *floor_file;
    atomic_bool is_stopping;
    pthread_t writer, checkpointer;
};

static void *writer_main(void *context) {
    struct disturbance *d = context;
    while (!atomic_load_explicit(&d->is_stopping, memory_order_relaxed)) {
        loop_commit_new(&d->subject, d->subject.entries, 1, 1);
        d->subject.entries++;
    }
    return NULL;
}

static void pause_ns(long ns) {
    struct timespec time = {.tv_nsec = ns};
    nanosleep(&time, NULL);
}

static void *checkpointer_main(void *context) {
    struct disturbance *d = context;
    while (!atomic_load_explicit(&d->is_stopping, memory_order_relaxed)) {
        d->subject.engine->checkpoint(d->subject.env);
        pause_ns(CHECKPOINT_PAUSE_NS);
    }
    return NULL;
}

/* The least work of a durable commit, without any database: a page written and flushed. */
static void *floor_main(void *context) {
    struct disturbance *d = context;
    while (!atomic_load_explicit(&d->is_stopping, memory_order_relaxed)) {
        floor_measure(d->floor_file, 1);
    }
    return NULL;
}

static void disturbance_start(struct disturbance *d, const struct subject *subject) {
    d->subject = *subject;
    atomic_store(&d->is_stopping, false);
    if (pthread_create(&d->writer, NULL, writer_main, d) != 0 ||
        (subject->engine->checkpoint != NULL &&
         pthread_create(&d->checkpointer, NULL, checkpointer_main, d) != 0)) {
        die("cannot start a thread");
    }
    pause_ns(WARM_UP_NS);
}

static void disturbance_stop(struct disturbance *d, struct subject *subject) {
    atomic_store(&d->is_stopping, true);
    pthread_join(d->writer, NULL);
    if (subject->engine->checkpoint != NULL) {
        pthread_join(d->checkpointer, NULL);
    }
    subject->entries = d->subject.entries;
}

struct latencies {
    double half;      /* of the gets took no longer than this, ns */
    double hundredth; /* but one in a hundred: the 99th percentile */
};

struct busy_case {
    struct big *big;
    struct floor_file *floor_file;
    uint64_t gets_a_snapshot;
    bool warmed_up[ENGINES];
    struct series quiet_p50[ENGINES], quiet_p99[ENGINES], busy_p50[ENGINES], busy_p99[ENGINES];
    struct series beside_floor; /* p99 of ZeroDB's gets beside bare flushes / quiet */
};

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Gets of one key in snapshots of `gets_a_snapshot` gets each. Where a snapshot is for one get,
 * beginning and ending the transaction counts. */
static struct latencies measure_gets(struct subject *subject, uint64_t gets_a_snapshot) {
    static float samples[GETS_A_SLICE];
    const struct engine *engine = subject->engine;
    for (size_t i = 0; i < GETS_A_SLICE;) {
        if (gets_a_snapshot == 1) {
            double start = now_ns();
            loop_begin_get(subject, 1);
            samples[i++] = (float)(now_ns() - start);
            continue;
        }
        subject->txn = engine->begin_read(subject->env);
        for (uint64_t j = 0; j < gets_a_snapshot && i < GETS_A_SLICE; j++) {
            double start = now_ns();
            loop_get(subject, 1);
            samples[i++] = (float)(now_ns() - start);
        }
        engine->abort(subject->txn);
    }
    qsort(samples, GETS_A_SLICE, sizeof *samples, compare_floats);
    return (struct latencies){samples[GETS_A_SLICE / 2], samples[GETS_A_SLICE / 100 * 99]};
}

/* The part of a slowdown that is due to the machine: the same gets while another thread only
 * writes and flushes pages of a file that has nothing to do with them. */
static struct latencies measure_beside_floor(struct busy_case *c, struct subject *subject) {
    static struct disturbance disturbance;
    disturbance.floor_file = c->floor_file;
    atomic_store(&disturbance.is_stopping, false);
    if (pthread_create(&disturbance.writer, NULL, floor_main, &disturbance) != 0) {
        die("cannot start a thread");
    }
    pause_ns(WARM_UP_NS);
    struct latencies latencies = measure_gets(subject, c->gets_a_snapshot);
    atomic_store(&disturbance.is_stopping, true);
    pthread_join(disturbance.writer, NULL);
    return latencies;
}

static double measure(enum engine_id id, void *context) {
    struct busy_case *c = context;
    struct subject *subject = &c->big->subjects[id];
    static struct disturbance disturbance;
    struct latencies quiet = measure_gets(subject, c->gets_a_snapshot);
    if (id == ZERODB) {
        double slowest = measure_beside_floor(c, subject).hundredth;
        if (c->warmed_up[id]) series_add(&c->beside_floor, slowest / quiet.hundredth);
    }
    disturbance_start(&disturbance, subject);
    struct latencies busy = measure_gets(subject, c->gets_a_snapshot);
    disturbance_stop(&disturbance, subject);
    flush_directory(c->big->paths[id]);
    if (c->warmed_up[id]) {
        series_add(&c->quiet_p50[id], quiet.half);
        series_add(&c->quiet_p99[id], quiet.hundredth);
        series_add(&c->busy_p50[id], busy.half);
        series_add(&c->busy_p99[id], busy.hundredth);
    }
    c->warmed_up[id] = true;
    return busy.hundredth / quiet.hundredth;
}

static void report(const char *name, const char *statistic, const struct series series[ENGINES]) {
    char row[64];
    snprintf(row, sizeof row, "busy.%s.%s", name, statistic);
    report_row(row, series);
}

static void run(const struct config *config, const char *name, uint64_t gets_a_snapshot) {
    static struct busy_case c;
    struct floor_file floor_file;
    floor_open(config, &floor_file);
    c = (struct busy_case){
        .big = big_environments(config),
        .floor_file = &floor_file,
        .gets_a_snapshot = gets_a_snapshot,
    };
    struct series slowdown[ENGINES] = {0};
    alternate(config, measure, &c, slowdown);
    report(name, "quiet.p50", c.quiet_p50);
    report(name, "quiet.p99", c.quiet_p99);
    report(name, "p50", c.busy_p50);
    report(name, "p99", c.busy_p99);
    char row[64];
    snprintf(row, sizeof row, "busy.%s.slowdown", name);
    report_row_and_machine(row, slowdown, &c.beside_floor);
    floor_close(&floor_file);
}

void case_busy(const struct config *config) {
    run(config, "get", GETS_A_SNAPSHOT);
    run(config, "begin", 1);
}
