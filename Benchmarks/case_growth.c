/* How far a file grows while everything in it is overwritten, again and again, in a random
 * order. The result is the largest size on the way, not the last. */
#include "cases.h"

#include <stdlib.h>

#define OVERWRITES 3 /* of the whole content */
#define BATCH 1000   /* entries of a transaction */

struct sizes {
    double used; /* up to the last page ever used */
    double file; /* as stat() says */
    double log;
};

struct growing {
    struct subject subject;
    char path[PATH_MAX];
    char data_path[PATH_MAX];
    char log_path[PATH_MAX];
    struct sizes largest;
};

static double larger(double a, double b) {
    return a > b ? a : b;
}

static struct sizes sizes_now(const struct growing *g) {
    const struct engine *engine = g->subject.engine;
    return (struct sizes){
        .used = (double)engine->used_bytes(g->subject.env),
        .file = (double)file_bytes(g->data_path),
        .log = engine->log_directory == NULL ? 0 : (double)directory_bytes(g->log_path),
    };
}

static void overwrite_all(struct growing *g, uint64_t seed) {
    struct subject *subject = &g->subject;
    uint32_t *numbers = numbers_shuffled(subject->entries, seed);
    for (uint64_t first = 0; first < subject->entries; first += BATCH) {
        uint64_t left = subject->entries - first;
        subject->txn = subject->engine->begin_write(subject->env);
        loop_put_numbers(subject, numbers + first, left < BATCH ? left : BATCH, false);
        subject->engine->commit(subject->txn);

        struct sizes now = sizes_now(g);
        g->largest.used = larger(g->largest.used, now.used);
        g->largest.file = larger(g->largest.file, now.file);
        g->largest.log = larger(g->largest.log, now.log);
    }
    free(numbers);
}

static void measure(const struct config *config, enum engine_id id, bool unflushed,
                    struct series *used, struct series *file, struct series *log) {
    static struct growing g;
    const struct engine *engine = engines[id];
    g = (struct growing){.subject = {.engine = engine, .entries = config->entries}};
    g.subject.env = open_fresh(config, engine, "growth", unflushed, g.path);
    join_path(g.data_path, g.path, engine->data_file);
    if (engine->log_directory != NULL) {
        join_path(g.log_path, g.path, engine->log_directory);
    }
    g.subject.txn = engine->begin_write(g.subject.env);
    loop_put(&g.subject, 0, config->entries);
    engine->commit(g.subject.txn);

    struct sizes before = sizes_now(&g);
    for (uint64_t i = 0; i < OVERWRITES; i++) {
        overwrite_all(&g, i + 1);
    }
    series_add(used, g.largest.used / before.used);
    series_add(file, g.largest.file / before.file);
    if (engine->log_directory != NULL && !unflushed) {
        series_add(log, g.largest.log / 0x1p20);
    }
    engine->close(g.subject.env);
    remove_directory(g.path);
}

/* A file of LMDB grows the same whether commits are flushed or not: it is measured without. */
void case_growth(const struct config *config) {
    static struct series used[2][ENGINES], file[2][ENGINES], log[ENGINES];
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            measure(config, (enum engine_id)id, true, &used[1][id], &file[1][id], &log[id]);
        }
    }
    static const enum engine_id same[] = {LMDB, LMDB1};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        used[0][same[i]] = used[1][same[i]];
        file[0][same[i]] = file[1][same[i]];
    }
    if (config->enabled[ZERODB]) {
        measure(config, ZERODB, false, &used[0][ZERODB], &file[0][ZERODB], &log[ZERODB]);
    }
    report_row("growth.used", used[0]);
    report_row("growth.file", file[0]);
    report_row("growth.log", log);
    report_row("growth.unflushed.used", used[1]);
    report_row("growth.unflushed.file", file[1]);
}
