/* A database that is larger than the memory the process may use: larger.sh runs this case in a control
 * group with a limit, each engine alone. Loading is in transactions of 10000 that are not flushed; then
 * come random gets, short ranges and durable commits of one overwrite, where most pages have to be read from
 * the device. */
#include "cases.h"

#include "latency.h"

#define LOAD_BATCH 10000
#define GETS 20000
#define RANGES 5000
#define COMMITS 500

struct pressed {
    struct series load, get, range, commit;
};

static void load(struct subject *subject) {
    for (uint64_t first = 0; first < subject->entries; first += LOAD_BATCH) {
        uint64_t left = subject->entries - first;
        subject->txn = subject->engine->begin_write(subject->env);
        loop_put(subject, first, left < LOAD_BATCH ? left : LOAD_BATCH);
        subject->engine->commit(subject->txn);
    }
}

static void measure(const struct config *config, enum engine_id id, struct pressed *out) {
    struct subject subject = {.engine = engines[id], .entries = config->entries};
    char path[PATH_MAX];
    rng_seed(&subject.rng, 1);
    subject.env = open_fresh(config, engines[id], "pressed", true, path);
    double start = now_ns();
    load(&subject);
    flush_directory(path);
    series_add(&out->load, (now_ns() - start) / 1e3 / (double)config->entries);
    if (subject.engine->checkpoint != NULL) {
        subject.engine->checkpoint(subject.env);
    }
    subject.engine->close(subject.env);
    flush_directory(path);

    subject.env = open_at(config, subject.engine, path, false);
    for (unsigned round = 0; round < config->rounds; round++) {
        subject.txn = subject.engine->begin_read(subject.env);
        start = now_ns();
        loop_get(&subject, GETS);
        series_add(&out->get, (now_ns() - start) / 1e3 / GETS);
        start = now_ns();
        loop_range(&subject, RANGES);
        series_add(&out->range, (now_ns() - start) / 1e3 / RANGES);
        subject.engine->abort(subject.txn);
        start = now_ns();
        loop_commit_overwrite(&subject, COMMITS, 1);
        series_add(&out->commit, (now_ns() - start) / 1e3 / COMMITS);
    }
    subject.engine->close(subject.env);
    remove_directory(path);
}

void case_pressed(const struct config *config) {
    static struct series load_times[ENGINES], get[ENGINES], range[ENGINES], commit[ENGINES];
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            struct pressed out = {0};
            measure(config, (enum engine_id)id, &out);
            load_times[id] = out.load;
            get[id] = out.get;
            range[id] = out.range;
            commit[id] = out.commit;
        }
    }
    report_row("pressed.load", load_times);
    report_row("pressed.get", get);
    report_row("pressed.range", range);
    report_row("pressed.commit", commit);
}
