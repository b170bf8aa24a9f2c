/* A thousand keys with a thousand values of 8 bytes each: inserts in random order, reads.
 *
 * There are two types of database: duplicates of any size, and integers of one size. The engines
 * insert alternately, a twentieth at a time, as in case_load.c. */
#include "cases.h"
#include "pairs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PORTIONS 20
#define BATCH 1000       /* pairs of a small transaction */
#define BATCHED_ROUNDS 3 /* each writes some gigabytes */
#define BOTH_A_SLICE 100000
#define COUNTS_A_SLICE 50 /* passes over all keys */

struct load {
    struct subject subject;
    char path[PATH_MAX];
    double puts_ns;
    double commit_ns;
};

struct measurements {
    struct series total, puts, commit;
};

static void load_begin(const struct config *config, struct load *load, enum engine_id id,
                       const char *name, bool unflushed) {
    *load = (struct load){.subject = {.engine = engines[id], .entries = config->entries}};
    rng_seed(&load->subject.rng, 1);
    load->subject.env = open_fresh(config, engines[id], name, unflushed, load->path);
}

static void put_in_one_transaction(struct load *load, uint64_t first, uint64_t count) {
    double start = now_ns();
    loop_pair_put(&load->subject, first, count);
    load->puts_ns += now_ns() - start;
}

static void put_in_batches(struct load *load, uint64_t first, uint64_t count) {
    struct subject *subject = &load->subject;
    for (uint64_t done = 0; done < count; done += BATCH) {
        double start = now_ns();
        subject->txn = subject->engine->begin_write(subject->env);
        loop_pair_put(subject, first + done, count - done < BATCH ? count - done : BATCH);
        double put = now_ns();
        subject->engine->commit(subject->txn);
        load->puts_ns += put - start;
        load->commit_ns += now_ns() - put;
    }
}

static void load_end(struct load *load) {
    load->subject.engine->close(load->subject.env);
    remove_directory(load->path);
}

/* Loads once with every enabled engine, each in its own environment; `measurements` may be NULL. */
static void load_round(const struct config *config, unsigned round, const char *name, bool batched,
                       struct load loads[ENGINES], struct measurements *measurements) {
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            load_begin(config, &loads[id], (enum engine_id)id, name, batched);
            if (!batched) {
                loads[id].subject.txn = engines[id]->begin_write(loads[id].subject.env);
            }
        }
    }
    for (unsigned portion = 0; portion < PORTIONS; portion++) {
        uint64_t first = config->entries * portion / PORTIONS;
        uint64_t count = config->entries * (portion + 1) / PORTIONS - first;
        for (unsigned place = 0; place < ENGINES; place++) {
            enum engine_id id = engine_at(round + portion, place);
            if (config->enabled[id]) {
                (batched ? put_in_batches : put_in_one_transaction)(&loads[id], first, count);
            }
        }
    }
    for (unsigned place = 0; place < ENGINES; place++) {
        enum engine_id id = engine_at(round, place);
        struct load *load = &loads[id];
        if (!config->enabled[id]) {
            continue;
        }
        if (!batched) {
            double start = now_ns();
            engines[id]->commit(load->subject.txn);
            load->commit_ns = now_ns() - start;
        }
        if (measurements != NULL) {
            double entries = (double)config->entries;
            series_add(&measurements[id].total, (load->puts_ns + load->commit_ns) / entries);
            series_add(&measurements[id].puts, load->puts_ns / entries);
            series_add(&measurements[id].commit, load->commit_ns / entries);
        }
    }
}

static void load_rounds(const struct config *config, unsigned rounds, bool batched,
                        struct measurements *measurements) {
    static struct load loads[ENGINES];
    for (unsigned round = 0; round < rounds; round++) {
        load_round(config, round, "pairs", batched, loads, measurements);
        for (int id = 0; id < ENGINES; id++) {
            if (config->enabled[id]) {
                load_end(&loads[id]);
            }
        }
        sync();
    }
}

static void report(const char *kind_name, const char *what, const struct series series[ENGINES]) {
    char id[128];
    snprintf(id, sizeof id, "pairs.%s.%s", kind_name, what);
    report_row(id, series);
}

static void report_loads(const char *kind_name, const char *what,
                         const struct measurements measurements[ENGINES]) {
    static const struct {
        const char *suffix;
        size_t offset;
    } parts[] = {
        {"", offsetof(struct measurements, total)},
        {".puts", offsetof(struct measurements, puts)},
        {".commit", offsetof(struct measurements, commit)},
    };
    static struct series row[ENGINES];
    for (size_t part = 0; part < sizeof parts / sizeof parts[0]; part++) {
        for (int id = 0; id < ENGINES; id++) {
            const char *of_engine = (const char *)&measurements[id];
            row[id] = *(const struct series *)(of_engine + parts[part].offset);
        }
        char name[64];
        snprintf(name, sizeof name, "%s%s", what, parts[part].suffix);
        report(kind_name, name, row);
    }
}

struct read_case {
    struct load *loads;
    void (*loop)(struct subject *subject, uint64_t count);
    uint64_t count;
    double operations; /* that the time of a slice is divided by */
};

static double measure_read(enum engine_id id, void *context) {
    struct read_case *c = context;
    struct subject *subject = &c->loads[id].subject;
    subject->txn = subject->engine->begin_read(subject->env);
    double start = now_ns();
    c->loop(subject, c->count);
    double elapsed = now_ns() - start;
    subject->engine->abort(subject->txn);
    return elapsed / c->operations;
}

static void read_pairs(const struct config *config, struct load *loads, const char *kind_name,
                       const char *what, void (*loop)(struct subject *subject, uint64_t count),
                       uint64_t count, uint64_t operations) {
    struct read_case c = {loads, loop, count, (double)operations};
    static struct series series[ENGINES];
    memset(series, 0, sizeof series);
    alternate(config, measure_read, &c, series);
    report(kind_name, what, series);
}

/* LMDB reads in the same way with all its ways to write. */
static struct config readers_of(const struct config *config) {
    struct config readers = *config;
    readers.enabled[LMDB_WRITEMAP] = false;
    return readers;
}

static void measure_kind(const struct config *all, enum kind kind, const char *kind_name) {
    static struct load loads[ENGINES];
    static struct measurements in_one[ENGINES], in_batches[ENGINES];
    memset(in_one, 0, sizeof in_one);
    memset(in_batches, 0, sizeof in_batches);
    struct config config = *all;
    config.kind = kind;
    struct config readers = readers_of(&config);
    bool any_reads = readers.enabled[ZERODB] || readers.enabled[LMDB];

    load_rounds(&config, 1, false, NULL);
    load_rounds(&config, config.rounds, false, in_one);
    report_loads(kind_name, "insert", in_one);
    if (!any_reads) {
        return;
    }
    unsigned rounds = config.rounds < BATCHED_ROUNDS ? config.rounds : BATCHED_ROUNDS;
    load_rounds(&readers, rounds, true, in_batches);
    report_loads(kind_name, "batches", in_batches);

    load_round(&readers, 0, "pairs", false, loads, NULL);
    uint64_t entries = config.entries;
    read_pairs(&readers, loads, kind_name, "scan", loop_pair_scan, 1, entries);
    if (kind == INTEGER_DUPLICATES) {
        read_pairs(&readers, loads, kind_name, "multiple", loop_pair_scan_multiple, 1, entries);
    }
    read_pairs(&readers, loads, kind_name, "both", loop_pair_both, BOTH_A_SLICE, BOTH_A_SLICE);
    read_pairs(&readers, loads, kind_name, "count", loop_pair_count, COUNTS_A_SLICE,
               COUNTS_A_SLICE * PAIR_KEYS);
    for (int id = 0; id < ENGINES; id++) {
        if (readers.enabled[id]) {
            load_end(&loads[id]);
        }
    }
}

void case_duplicates(const struct config *config) {
    measure_kind(config, DUPLICATES, "any");
    measure_kind(config, INTEGER_DUPLICATES, "integer");
}
