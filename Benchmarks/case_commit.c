/* Commits into the big environment by one thread and by several, and the time of the disk itself.
 *
 * The time of a slice, of which the medians are taken, is the time for which the committing threads
 * waited. Writes that an engine leaves for later (checkpoints, the kernel's write-back) are done
 * after each slice, so that no engine pays for another. They count in the means, which are the
 * whole time by the number of commits. */
#include "cases.h"

#include <stdio.h>

#include "floor.h"
#include "writers.h"

#define SMALL_COMMITS_A_SLICE 100
#define SMALL_SLICES 5 /* times as many slices, because they are short */
#define BATCH 1000     /* entries of a large transaction */
#define LARGE_COMMITS_A_SLICE 10
#define UNFLUSHED_COMMITS_A_SLICE 2000
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

static void unflushed(const struct config *config, const char *row) {
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
    measure_and_report(&c, row);
    big_close();
    big_open(config, false);
}

/* What ZeroDB does not log is lost if the process is killed before a checkpoint, which is less than the
 * others promise where they do not flush. So the same is measured with the level at which it keeps
 * their promise. */
void case_unflushed(const struct config *config) {
    unflushed(config, "commit.unflushed");
    struct config surviving = *config;
    surviving.survives_kill = true;
    unflushed(&surviving, "commit.relaxed");
}

static struct writers pools[ENGINES];

static void commit_from_all_threads(struct commit_case *c, enum engine_id id) {
    writers_commit(&pools[id], c->commits);
}

void case_writers(const struct config *config) {
    static struct commit_case c;
    c = (struct commit_case){
        .big = big_environments(config),
        .config = config,
        .commits = count_or_few(config, WRITERS_COMMITS_A_SLICE, 80),
        .batch = 1,
        .run = commit_from_all_threads,
        .unit_ns = 1e3,
    };
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            writers_start(&pools[id], config, &c.big->subjects[id], c.big->paths[id]);
        }
    }
    measure_and_report(&c, "writers.8");
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            writers_stop(&pools[id]);
        }
    }
}
