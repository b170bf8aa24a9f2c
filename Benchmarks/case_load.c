/* Bulk loads: one transaction into a fresh environment, commit included, and the file it leaves.
 *
 * The engines load at the same time, in turns of a twentieth of the entries, so that a
 * disturbance of some seconds does not fall on one of them alone. A sample is one whole load; the
 * first round warms up (memory the machine never touched before is slow) and is not recorded. */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TURNS 20

enum order { RANDOM, SORTED, APPEND, ORDERS };

static const char *const order_names[ORDERS] = {"random", "sorted", "append"};

struct load {
    struct subject subject;
    char path[PATH_MAX];
    double puts_ns;
    double commit_ns;
};

struct figures {
    struct series total, puts, commit, used, file;
};

/* One series of a struct figures, by engine. */
static void report_figure(const char *kind, enum order order, const char *part, size_t offset,
                          const struct figures figures[ENGINES]) {
    static struct series pair[ENGINES];
    for (int id = 0; id < ENGINES; id++) {
        pair[id] = *(const struct series *)((const char *)&figures[id] + offset);
    }
    char name[64];
    snprintf(name, sizeof name, "%s.%s%s", kind, order_names[order], part);
    report_row(name, pair);
}

static void load_begin(const struct config *config, struct load *load, enum engine_id id) {
    *load = (struct load){.subject = {.engine = engines[id], .entries = config->entries}};
    load->subject.env = open_fresh(config, engines[id], "load", false, load->path);
    load->subject.txn = engines[id]->begin_write(load->subject.env);
}

static void load_turn(struct load *load, unsigned turn, enum order order,
                      const uint32_t *sorted_numbers) {
    struct subject *subject = &load->subject;
    uint64_t first = subject->entries * turn / TURNS;
    uint64_t count = subject->entries * (turn + 1) / TURNS - first;
    double start = now_ns();
    if (order == RANDOM) {
        loop_put(subject, first, count);
    } else {
        loop_put_numbers(subject, sorted_numbers + first, count, order == APPEND);
    }
    load->puts_ns += now_ns() - start;
}

static void load_commit(struct load *load) {
    double start = now_ns();
    load->subject.engine->commit(load->subject.txn);
    load->commit_ns = now_ns() - start;
}

static void load_record(const struct load *load, struct figures *figures) {
    const struct engine *engine = load->subject.engine;
    double entries = (double)load->subject.entries;
    series_add(&figures->total, (load->puts_ns + load->commit_ns) / entries);
    series_add(&figures->puts, load->puts_ns / entries);
    series_add(&figures->commit, load->commit_ns / entries);
    if (engine == engines[LMDB_WRITEMAP]) {
        return; /* its file is as large as the map, and for the rest as LMDB's */
    }
    char data_path[PATH_MAX];
    join_path(data_path, load->path, engine->data_file);
    series_add(&figures->used, (double)engine->used_bytes(load->subject.env) / 0x1p20);
    series_add(&figures->file, (double)file_bytes(data_path) / 0x1p20);
}

/* Loads once with every enabled engine; `figures` may be NULL. */
static void load_round(const struct config *config, unsigned round, enum order order,
                       const uint32_t *sorted_numbers, struct figures *figures) {
    static struct load loads[ENGINES];
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            load_begin(config, &loads[id], (enum engine_id)id);
        }
    }
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (unsigned place = 0; place < ENGINES; place++) {
            enum engine_id id = engine_at(round + turn, place);
            if (config->enabled[id]) {
                load_turn(&loads[id], turn, order, sorted_numbers);
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
            if (figures != NULL) {
                load_record(&loads[id], &figures[id]);
            }
            engines[id]->close(loads[id].subject.env);
            remove_directory(loads[id].path);
        }
    }
    sync();
}

void case_load(const struct config *config) {
    static struct figures figures[ORDERS][ENGINES];
    uint32_t *sorted_numbers = numbers_in_key_order(config->entries);
    for (int order = 0; order < ORDERS; order++) {
        for (unsigned round = 0; round <= config->rounds; round++) {
            load_round(config, round, (enum order)order, sorted_numbers,
                       round == 0 ? NULL : figures[order]);
        }
        const struct figures *f = figures[order];
        report_figure("load", (enum order)order, "", offsetof(struct figures, total), f);
        report_figure("load", (enum order)order, ".puts", offsetof(struct figures, puts), f);
        report_figure("load", (enum order)order, ".commit", offsetof(struct figures, commit), f);
    }
    for (int order = RANDOM; order <= SORTED; order++) {
        const struct figures *f = figures[order];
        report_figure("size", (enum order)order, ".used", offsetof(struct figures, used), f);
        report_figure("size", (enum order)order, ".file", offsetof(struct figures, file), f);
    }
    free(sorted_numbers);
}
