/* Bulk loads: one transaction into a fresh environment, commit included, and the file it leaves.
 *
 * The engines load alternately, a twentieth of the entries at a time, so that a
 * disturbance of some seconds does not fall on one of them alone. A sample is one whole load; the
 * first round warms up (memory the machine never touched before is slow) and is not recorded. */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PORTIONS 20

enum order { RANDOM, SORTED, APPEND, APPEND_UNFLUSHED, ORDERS };

static const char *const order_names[ORDERS] = {"random", "sorted", "append", "append.unflushed"};

struct load {
    struct subject subject;
    char path[PATH_MAX];
    double puts_ns;
    double commit_ns;
};

struct measurements {
    struct series total, puts, commit, used, file;
};

/* One series of struct measurements, by engine. */
static void report_measurement(const char *kind, enum order order, const char *part,
                               size_t offset, const struct measurements measurements[ENGINES]) {
    static struct series pair[ENGINES];
    for (int id = 0; id < ENGINES; id++) {
        pair[id] = *(const struct series *)((const char *)&measurements[id] + offset);
    }
    char name[64];
    snprintf(name, sizeof name, "%s.%s%s", kind, order_names[order], part);
    report_row(name, pair);
}

static void load_begin(const struct config *config, struct load *load, enum engine_id id,
                       bool unflushed) {
    *load = (struct load){.subject = {.engine = engines[id], .entries = config->entries}};
    load->subject.env = open_fresh(config, engines[id], "load", unflushed, load->path);
    load->subject.txn = engines[id]->begin_write(load->subject.env);
}

static void load_portion(struct load *load, unsigned portion, enum order order,
                         const uint32_t *sorted_numbers) {
    struct subject *subject = &load->subject;
    uint64_t first = subject->entries * portion / PORTIONS;
    uint64_t count = subject->entries * (portion + 1) / PORTIONS - first;
    double start = now_ns();
    if (order == RANDOM) {
        loop_put(subject, first, count);
    } else {
        loop_put_numbers(subject, sorted_numbers + first, count, order >= APPEND);
    }
    load->puts_ns += now_ns() - start;
}

static void load_commit(struct load *load) {
    double start = now_ns();
    load->subject.engine->commit(load->subject.txn);
    load->commit_ns = now_ns() - start;
}

static void load_record(const struct load *load, struct measurements *measurements) {
    const struct engine *engine = load->subject.engine;
    double entries = (double)load->subject.entries;
    series_add(&measurements->total, (load->puts_ns + load->commit_ns) / entries);
    series_add(&measurements->puts, load->puts_ns / entries);
    series_add(&measurements->commit, load->commit_ns / entries);
    if (engine == engines[LMDB_WRITEMAP] || engine->used_bytes == NULL) {
        return; /* LMDB's file is as large as the map, and for the rest as without */
    }
    char data_path[PATH_MAX];
    join_path(data_path, load->path, engine->data_file);
    series_add(&measurements->used, (double)engine->used_bytes(load->subject.env) / 0x1p20);
    series_add(&measurements->file, (double)file_bytes(data_path) / 0x1p20);
}

/* Loads once with every enabled engine; `measurements` may be NULL. */
static void load_round(const struct config *config, unsigned round, enum order order,
                       const uint32_t *sorted_numbers, struct measurements *measurements) {
    static struct load loads[ENGINES];
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            load_begin(config, &loads[id], (enum engine_id)id, order == APPEND_UNFLUSHED);
        }
    }
    for (unsigned portion = 0; portion < PORTIONS; portion++) {
        for (unsigned place = 0; place < ENGINES; place++) {
            enum engine_id id = engine_at(round + portion, place);
            if (config->enabled[id]) {
                load_portion(&loads[id], portion, order, sorted_numbers);
            }
        }
    }
    for (unsigned place = 0; place < ENGINES; place++) {
        enum engine_id id = engine_at(round, place);
        if (config->enabled[id]) {
            load_commit(&loads[id]);
        }
    }
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            if (measurements != NULL) {
                load_record(&loads[id], &measurements[id]);
            }
            engines[id]->close(loads[id].subject.env);
            remove_directory(loads[id].path);
        }
    }
    sync();
}

void case_load(const struct config *config) {
    static struct measurements measurements[ORDERS][ENGINES];
    uint32_t *sorted_numbers = numbers_in_key_order(config->entries);
    for (int order = 0; order < ORDERS; order++) {
        for (unsigned round = 0; round <= config->rounds; round++) {
            load_round(config, round, (enum order)order, sorted_numbers,
                       round == 0 ? NULL : measurements[order]);
        }
        const struct measurements *f = measurements[order];
        report_measurement("load", (enum order)order, "",
                           offsetof(struct measurements, total), f);
        report_measurement("load", (enum order)order, ".puts",
                           offsetof(struct measurements, puts), f);
        report_measurement("load", (enum order)order, ".commit",
                           offsetof(struct measurements, commit), f);
    }
    for (int order = RANDOM; order <= SORTED; order++) {
        const struct measurements *f = measurements[order];
        report_measurement("size", (enum order)order, ".used",
                           offsetof(struct measurements, used), f);
        report_measurement("size", (enum order)order, ".file",
                           offsetof(struct measurements, file), f);
    }
    free(sorted_numbers);
}
