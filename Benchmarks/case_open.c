/* Opening an environment, one get, closing it: of the big environment and of one with ten
 * entries. The files are in the page cache. */
#include "cases.h"

#define OPENINGS_A_SLICE 20
#define SLICE_NS_MAX 200e6 /* engines that take long open less often */
#define SMALL_ENTRIES 10

struct open_case {
    const struct config *config;
    const char (*paths)[PATH_MAX]; /* by engine_id */
    uint64_t entries;
};

static double measure_open(enum engine_id id, void *context) {
    struct open_case *c = context;
    struct subject subject = {.engine = engines[id], .entries = c->entries};
    rng_seed(&subject.rng, 3);
    uint64_t openings = 0;
    double start = now_ns();
    for (; openings < OPENINGS_A_SLICE && now_ns() - start < SLICE_NS_MAX; openings++) {
        subject.env = open_at(c->config, subject.engine, c->paths[id], false);
        loop_begin_get(&subject, 1);
        subject.engine->close(subject.env);
    }
    return (now_ns() - start) / (double)openings / 1e3;
}

static void make_small(const struct config *config, char paths[ENGINES][PATH_MAX]) {
    for (int id = 0; id < ENGINES; id++) {
        if (!config->enabled[id]) {
            continue;
        }
        struct subject subject = {.engine = engines[id], .entries = SMALL_ENTRIES};
        subject.env = open_fresh(config, engines[id], "small", false, paths[id]);
        subject.txn = subject.engine->begin_write(subject.env);
        loop_put(&subject, 0, SMALL_ENTRIES);
        subject.engine->commit(subject.txn);
        subject.engine->close(subject.env);
    }
}

void case_open(const struct config *config) {
    struct big *big = big_environments(config);
    static char small_paths[ENGINES][PATH_MAX];
    make_small(config, small_paths);
    big_close();

    struct open_case open_big = {config, (const char (*)[PATH_MAX])big->paths, config->entries};
    struct open_case open_small = {config, (const char (*)[PATH_MAX])small_paths, SMALL_ENTRIES};
    struct series big_series[ENGINES] = {0};
    struct series small_series[ENGINES] = {0};
    alternate(config, measure_open, &open_big, big_series);
    alternate(config, measure_open, &open_small, small_series);

    struct series growth[ENGINES] = {0};
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            series_add(&growth[id], series_summary(&big_series[id]).median /
                                        series_summary(&small_series[id]).median);
            remove_directory(small_paths[id]);
        }
    }
    report_row("open.big", big_series);
    report_row("open.small", small_series);
    report_row("open.growth", growth);
    big_open(config, false);
}
