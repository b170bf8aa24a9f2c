/* One loop, one engine, for a profiler to look at. */
#include "cases.h"
#include "pairs.h"

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

static void put_pairs_and_abort(struct subject *subject, uint64_t count) {
    subject->txn = subject->engine->begin_write(subject->env);
    loop_pair_put(subject, subject->entries, count);
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
    enum kind kind;
} loops[] = {
    {"get", "random gets in one transaction", loop_get, true, false, false, 500000, PLAIN},
    {"miss", "random gets of absent keys", loop_miss, true, false, false, 500000, PLAIN},
    {"begin-get", "begin + get + end", loop_begin_get, false, false, false, 500000, PLAIN},
    {"renew-get", "renew + get + reset", loop_renew_get, true, true, false, 500000, PLAIN},
    {"range", "ranges of 10", loop_range, true, false, false, 200000, PLAIN},
    {"scan", "full scans forward", loop_scan_forward, true, false, false, 10, PLAIN},
    {"scan-back", "full scans backward", loop_scan_backward, true, false, false, 10, PLAIN},
    {"put", "new keys in one transaction, then aborted", put_and_abort, false, false, false,
     1000000, PLAIN},
    {"commit", "durable commits of one overwrite", commit_one, false, false, false, 1000, PLAIN},
    {"commit-1000", "durable commits of 1000 overwrites", commit_batch, false, false, false, 20,
     PLAIN},
    {"commit-none", "commits of one overwrite, not flushed", commit_one, false, false, true, 50000,
     PLAIN},
    {"get-many", "random gets, 64 a call", loop_get_many, true, false, false, 1000000, PLAIN},
    {"scan-many", "full scans forward, 256 entries a call", loop_scan_many, true, false, false, 10,
     PLAIN},
    {"counted-get", "random gets in a counted database", loop_get, true, false, false, 500000,
     COUNTED},
    {"rank", "ranks of random keys", loop_rank, true, false, false, 500000, COUNTED},
    {"set-rank", "entries of random ranks", loop_set_rank, true, false, false, 500000, COUNTED},
    {"counted-put", "new keys in one transaction of a counted database, then aborted",
     put_and_abort, false, false, false, 1000000, COUNTED},
    {"pair-put", "pairs in one transaction, then aborted", put_pairs_and_abort, false, false, false,
     1000000, DUPLICATES},
    {"pair-scan", "full scans of pairs", loop_pair_scan, true, false, false, 10, DUPLICATES},
    {"pair-both", "random gets of pairs", loop_pair_both, true, false, false, 500000, DUPLICATES},
    {"pair-count", "next key, count of its values", loop_pair_count, true, false, false, 1000,
     DUPLICATES},
    {"int-pair-put", "integer pairs in one transaction, then aborted", put_pairs_and_abort, false,
     false, false, 1000000, INTEGER_DUPLICATES},
    {"int-pair-scan", "full scans of integer pairs", loop_pair_scan, true, false, false, 10,
     INTEGER_DUPLICATES},
    {"int-pair-multiple", "full scans by arrays of values", loop_pair_scan_multiple, true, false,
     false, 100, INTEGER_DUPLICATES},
    {"int-pair-both", "random gets of integer pairs", loop_pair_both, true, false, false, 500000,
     INTEGER_DUPLICATES},
};

#define LOOPS (sizeof loops / sizeof loops[0])

const char *loop_names(void) {
    static char text[4096];
    size_t length = 0;
    for (size_t i = 0; i < LOOPS; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "    %-18s %s\n",
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

static bool has_pairs(enum kind kind) {
    return kind == DUPLICATES || kind == INTEGER_DUPLICATES;
}

/* A load that was interrupted leaves an environment without entries. */
static bool is_loaded(struct subject *subject, enum kind kind) {
    uint64_t last = subject->entries - 1;
    struct key key = has_pairs(kind) ? pair_at(last).key : key_at(last);
    struct bytes key_view = {key.words, KEY_SIZE};
    struct bytes value;
    struct btxn *txn = subject->engine->begin_read(subject->env);
    bool loaded = subject->engine->get(txn, &key_view, &value);
    subject->engine->abort(txn);
    return loaded;
}

static void open_kept(const struct config *config, struct subject *subject, bool unflushed) {
    char name[NAME_MAX], path[PATH_MAX];
    snprintf(name, sizeof name, "%s-loop-%llu-%u-%d", subject->engine->name,
             (unsigned long long)config->entries, config->page_size, (int)config->kind);
    join_path(path, config->dir, name);
    make_directory(path);
    subject->env = open_at(config, subject->engine, path, unflushed);
    if (!is_loaded(subject, config->kind)) {
        if (has_pairs(config->kind)) {
            subject->txn = subject->engine->begin_write(subject->env);
            loop_pair_put(subject, 0, config->entries);
            subject->engine->commit(subject->txn);
        } else {
            load_all(subject);
        }
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
    struct config of_kind = *config;
    of_kind.kind = loop->kind;
    open_kept(&of_kind, &subject, loop->unflushed);

    subject.txn = subject.engine->begin_read(subject.env);
    (has_pairs(loop->kind) ? loop_pair_scan : loop_scan_forward)(&subject, 1);
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
