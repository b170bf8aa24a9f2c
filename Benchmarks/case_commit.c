/* Commits into the big environment by one thread and by several, and the time of the disk itself.
 *
 * The time of a slice, of which the medians are taken, is the time for which the committing threads
 * waited. Writes that an engine leaves for later (checkpoints, the kernel's write-back) are done
 * after each slice, so that no engine pays for another. They count in the means, which are the
 * whole time by the number of commits. */
#include "cases.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "floor.h"

#define SMALL_COMMITS_A_SLICE 100
#define SMALL_SLICES 5 /* times as many slices, because they are short */
#define BATCH 1000     /* entries of a large transaction */
#define LARGE_COMMITS_A_SLICE 10
#define UNFLUSHED_COMMITS_A_SLICE 2000
#define WRITERS 8
#define WRITERS_COMMITS_A_SLICE 800 /* of all threads together */

struct commit_case {
    struct big *big;
    const struct config *config;
    uint64_t commits; /* in a slice */
    uint64_t batch;   /* puts in each */
    void (*run)(struct commit_case *c, enum engine_id id);
    double unit_ns;
    struct floor_file *floor_file; /* measured along; NULL: not */
    struct series floor;
    struct series complete[ENGINES]; /* samples with all writes that were left over */
    unsigned slices_done[ENGINES];
};

static double measure_commits(enum engine_id id, void *context) {
    struct commit_case *c = context;
    bool warming_up = c->slices_done[id]++ == 0;
    if (c->floor_file != NULL && id == ZERODB) {
        double floor_ns = floor_measure(c->floor_file, (unsigned)c->commits);
        if (!warming_up) {
            series_add(&c->floor, floor_ns / c->unit_ns);
        }
    }
    double scale = (double)c->commits * c->unit_ns;
    double start = now_ns();
    c->run(c, id);
    double waited = now_ns() - start;
    flush_directory(c->big->paths[id]);
    if (!warming_up) {
        series_add(&c->complete[id], (now_ns() - start) / scale);
    }
    return waited / scale;
}

/* Measures and reports the row `name` and its mean. */
static void measure_and_report(struct commit_case *c, const char *name) {
    static struct series waited[ENGINES], means[ENGINES];
    for (int id = 0; id < ENGINES; id++) {
        waited[id].count = means[id].count = c->complete[id].count = 0;
        c->slices_done[id] = 0;
    }
    c->floor.count = 0;
    alternate(c->config, measure_commits, c, waited);
    for (int id = 0; id < ENGINES; id++) {
        if (c->complete[id].count > 0) {
            series_add(&means[id], series_mean(&c->complete[id]));
        }
    }
    report_row_and_machine(name, waited, &c->floor);
    char mean_name[64];
    snprintf(mean_name, sizeof mean_name, "%s.mean", name);
    report_row(mean_name, means);
}

static void commit_new(struct commit_case *c, enum engine_id id) {
    struct subject *subject = &c->big->subjects[id];
    loop_commit_new(subject, subject->entries, c->commits, c->batch);
    subject->entries += c->commits * c->batch;
}

static void commit_overwrite(struct commit_case *c, enum engine_id id) {
    loop_commit_overwrite(&c->big->subjects[id], c->commits, c->batch);
}

void case_commit(const struct config *config) {
    struct config small_config = *config;
    small_config.slices *= SMALL_SLICES;
    struct floor_file floor_file;
    floor_open(config, &floor_file);
    static struct commit_case one, large;
    one = (struct commit_case){
        .big = big_environments(config),
        .config = &small_config,
        .commits = SMALL_COMMITS_A_SLICE,
        .batch = 1,
        .run = commit_new,
        .unit_ns = 1e3,
        .floor_file = &floor_file,
    };
    measure_and_report(&one, "commit.one");
    floor_close(&floor_file);

    large = (struct commit_case){
        .big = big_environments(config),
        .config = config,
        .commits = LARGE_COMMITS_A_SLICE,
        .batch = BATCH,
        .run = commit_new,
        .unit_ns = 1e6,
    };
    measure_and_report(&large, "commit.1000");
    large.run = commit_overwrite;
    measure_and_report(&large, "commit.overwrite");
}

void case_unflushed(const struct config *config) {
    static struct commit_case c;
    c = (struct commit_case){
        .big = big_environments(config),
        .config = config,
        .commits = UNFLUSHED_COMMITS_A_SLICE,
        .batch = 1,
        .run = commit_new,
        .unit_ns = 1e3,
    };
    big_close();
    big_open(config, true);
    measure_and_report(&c, "commit.unflushed");
    big_close();
    big_open(config, false);
}

/* ------------------------------------------------------------ many writers */

/* Threads that live as long as the case and commit new keys when told to. */
struct pool {
    const struct config *config;
    struct subject *subject;
    const char *path;
    pthread_t threads[WRITERS];
    pthread_barrier_t start, end;
    atomic_uint_fast64_t next_number; /* of the next new key */
    uint64_t end_number;              /* where they stop */
    bool is_stopping;
};

static struct pool pools[ENGINES];

static void *writer_main(void *context) {
    struct pool *pool = context;
    struct subject subject = *pool->subject;
    if (subject.engine->env_per_thread) {
        subject.env = open_at(pool->config, subject.engine, pool->path, false);
    }
    for (;;) {
        pthread_barrier_wait(&pool->start);
        if (pool->is_stopping) {
            break;
        }
        uint64_t number;
        while ((number = atomic_fetch_add(&pool->next_number, 1)) < pool->end_number) {
            loop_commit_new(&subject, number, 1, 1);
        }
        pthread_barrier_wait(&pool->end);
    }
    if (subject.engine->env_per_thread) {
        subject.engine->close(subject.env);
    }
    return NULL;
}

static void pool_start(struct pool *pool) {
    pthread_barrier_init(&pool->start, NULL, WRITERS + 1);
    pthread_barrier_init(&pool->end, NULL, WRITERS + 1);
    for (int i = 0; i < WRITERS; i++) {
        if (pthread_create(&pool->threads[i], NULL, writer_main, pool) != 0) {
            die("cannot start a thread");
        }
    }
}

static void pool_stop(struct pool *pool) {
    pool->is_stopping = true;
    pthread_barrier_wait(&pool->start);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_barrier_destroy(&pool->start);
    pthread_barrier_destroy(&pool->end);
}

static void commit_from_all_threads(struct commit_case *c, enum engine_id id) {
    struct pool *pool = &pools[id];
    struct subject *subject = &c->big->subjects[id];
    atomic_store(&pool->next_number, subject->entries);
    pool->end_number = subject->entries + c->commits;
    pthread_barrier_wait(&pool->start);
    pthread_barrier_wait(&pool->end);
    subject->entries += c->commits;
}

void case_writers(const struct config *config) {
    static struct commit_case c;
    c = (struct commit_case){
        .big = big_environments(config),
        .config = config,
        .commits = WRITERS_COMMITS_A_SLICE,
        .batch = 1,
        .run = commit_from_all_threads,
        .unit_ns = 1e3,
    };
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            pools[id] = (struct pool){
                .config = config, .subject = &c.big->subjects[id], .path = c.big->paths[id]};
            pool_start(&pools[id]);
        }
    }
    measure_and_report(&c, "writers.8");
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            pool_stop(&pools[id]);
        }
    }
}
