/* One loop, one engine, for a profiler to look at. */
#include "cases.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define COMMIT_BATCH 1000

static void commit_one(struct subject *subject, uint64_t count) {
    loop_commit_overwrite(subject, count, 1);
}

static void commit_batch(struct subject *subject, uint64_t count) {
    loop_commit_overwrite(subject, count, COMMIT_BATCH);
}

/* New keys in one transaction that is thrown away: the work of puts without a commit. */
static void put_and_abort(struct subject *subject, uint64_t count) {
    subject->txn = subject->engine->begin_write(subject->env);
    loop_put(subject, subject->entries, count);
    subject->engine->abort(subject->txn);
}

static const struct loop {
    const char *name;
    const char *what;
    void (*run)(struct subject *subject, uint64_t count);
    bool in_txn;         /* runs in one read transaction */
    bool reset_txn;      /* which was reset */
    bool unflushed;      /* commits wait for no flush */
    uint64_t per_second; /* about: how many operations go between two looks at the clock */
} loops[] = {
    {"get", "random gets in one transaction", loop_get, true, false, false, 500000},
    {"miss", "random gets of absent keys", loop_miss, true, false, false, 500000},
    {"begin-get", "begin + get + end", loop_begin_get, false, false, false, 500000},
    {"renew-get", "renew + get + reset", loop_renew_get, true, true, false, 500000},
    {"range", "ranges of 10", loop_range, true, false, false, 200000},
    {"scan", "full scans forward", loop_scan_forward, true, false, false, 10},
    {"scan-back", "full scans backward", loop_scan_backward, true, false, false, 10},
    {"put", "new keys in one transaction, then aborted", put_and_abort, false, false, false,
     1000000},
    {"commit", "durable commits of one overwrite", commit_one, false, false, false, 1000},
    {"commit-1000", "durable commits of 1000 overwrites", commit_batch, false, false, false, 20},
    {"commit-none", "commits of one overwrite, not flushed", commit_one, false, false, true, 50000},
};

#define LOOPS (sizeof loops / sizeof loops[0])

const char *loop_names(void) {
    static char text[1024];
    size_t length = 0;
    for (size_t i = 0; i < LOOPS; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "    %-12s %s\n",
                                   loops[i].name, loops[i].what);
    }
    return text;
}

static const struct loop *loop_named(const char *name) {
    for (size_t i = 0; i < LOOPS; i++) {
        if (strcmp(loops[i].name, name) == 0) {
            return &loops[i];
        }
    }
    die("no loop is called %s; there are:\n%s", name, loop_names());
}

/* A load that was interrupted leaves an environment without entries. */
static bool is_loaded(struct subject *subject) {
    struct key key = key_at(subject->entries - 1);
    struct bytes key_view = {key.words, KEY_SIZE};
    struct bytes value;
    struct btxn *txn = subject->engine->begin_read(subject->env);
    bool loaded = subject->engine->get(txn, &key_view, &value);
    subject->engine->abort(txn);
    return loaded;
}

static void open_kept(const struct config *config, struct subject *subject, bool unflushed) {
    char name[NAME_MAX], path[PATH_MAX];
    snprintf(name, sizeof name, "%s-loop-%llu-%u", subject->engine->name,
             (unsigned long long)config->entries, config->page_size);
    join_path(path, config->dir, name);
    make_directory(path);
    subject->env = open_at(config, subject->engine, path, unflushed);
    if (!is_loaded(subject)) {
        subject->txn = subject->engine->begin_write(subject->env);
        loop_put(subject, 0, config->entries);
        subject->engine->commit(subject->txn);
    }
}

static long page_faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

void run_loop(const struct config *config, enum engine_id id, const char *loop_name, double seconds,
              uint64_t count) {
    const struct loop *loop = loop_named(loop_name);
    struct subject subject = {.engine = engines[id], .entries = config->entries};
    rng_seed(&subject.rng, 1);
    open_kept(config, &subject, loop->unflushed);

    subject.txn = subject.engine->begin_read(subject.env);
    loop_scan_forward(&subject, 1);
    if (!loop->in_txn) {
        subject.engine->abort(subject.txn);
    } else if (loop->reset_txn) {
        subject.engine->reset(subject.txn);
    }

    uint64_t step = count > 0 ? count : (loop->per_second + 9) / 10;
    uint64_t done = 0;
    long faults = page_faults();
    double start = now_ns();
    double elapsed;
    do {
        loop->run(&subject, step);
        done += step;
        elapsed = now_ns() - start;
    } while (count == 0 && elapsed < seconds * 1e9);
    faults = page_faults() - faults;
    printf("%s %s: %llu operations in %.3f s, %.1f ns each, %ld page faults\n",
           subject.engine->name, loop->name, (unsigned long long)done, elapsed / 1e9,
           elapsed / (double)done, faults);

    if (loop->in_txn) {
        subject.engine->abort(subject.txn);
    }
    subject.engine->close(subject.env);
}
