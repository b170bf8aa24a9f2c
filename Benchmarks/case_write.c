/* Durable commits into the big environment, what the disk itself takes, and how far a file grows
 * under a steady overwrite. */
#include "cases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL_COMMITS_A_SLICE 50
#define BATCH 1000 /* entries of a large transaction */
#define LARGE_COMMITS_A_SLICE 4
#define OVERWRITES 3 /* of the whole content */

/* ------------------------------------------------------------------ commits */

#define FLOOR_PAGES 1024

/* A file whose blocks are all written, so that flushing it takes no file-system metadata. */
struct floor_file {
    int descriptor;
    char path[PATH_MAX];
    unsigned next_page;
};

static unsigned char floor_page[4096];

static void floor_write(struct floor_file *file) {
    off_t offset = (off_t)(file->next_page % FLOOR_PAGES) * (off_t)sizeof floor_page;
    if (pwrite(file->descriptor, floor_page, sizeof floor_page, offset) !=
        (ssize_t)sizeof floor_page) {
        die("cannot write %s: %s", file->path, strerror(errno));
    }
    file->next_page++;
}

static void floor_flush(struct floor_file *file) {
    if (fdatasync(file->descriptor) != 0) {
        die("cannot flush %s: %s", file->path, strerror(errno));
    }
}

static void floor_open(const struct config *config, struct floor_file *file) {
    make_directory(config->dir);
    join_path(file->path, config->dir, "floor");
    file->descriptor = open(file->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file->descriptor < 0) {
        die("cannot create %s: %s", file->path, strerror(errno));
    }
    for (unsigned i = 0; i < FLOOR_PAGES; i++) {
        floor_write(file);
    }
    floor_flush(file);
}

static void floor_close(struct floor_file *file) {
    close(file->descriptor);
    unlink(file->path);
}

static double measure_floor(struct floor_file *file) {
    double start = now_ns();
    for (int i = 0; i < SMALL_COMMITS_A_SLICE; i++) {
        floor_write(file);
        floor_flush(file);
    }
    return (now_ns() - start) / SMALL_COMMITS_A_SLICE / 1e3;
}

struct commit_case {
    struct big *big;
    struct floor_file floor_file;
    struct series floor;
};

static double commit_new(struct big *big, enum engine_id id, uint64_t commits, uint64_t batch) {
    double start = now_ns();
    loop_commit_new(&big->subjects[id], big->next_number[id], commits, batch);
    double elapsed = now_ns() - start;
    big->next_number[id] += commits * batch;
    return elapsed / (double)commits;
}

static double measure_one(enum engine_id id, void *context) {
    struct commit_case *c = context;
    series_add(&c->floor, measure_floor(&c->floor_file));
    return commit_new(c->big, id, SMALL_COMMITS_A_SLICE, 1) / 1e3;
}

static double measure_batch(enum engine_id id, void *context) {
    struct commit_case *c = context;
    return commit_new(c->big, id, LARGE_COMMITS_A_SLICE, BATCH) / 1e6;
}

static double measure_overwrite(enum engine_id id, void *context) {
    struct commit_case *c = context;
    double start = now_ns();
    loop_commit_overwrite(&c->big->subjects[id], LARGE_COMMITS_A_SLICE, BATCH);
    return (now_ns() - start) / LARGE_COMMITS_A_SLICE / 1e6;
}

void case_commit(const struct config *config) {
    static struct commit_case c;
    c.big = big_environments(config);
    floor_open(config, &c.floor_file);

    struct series one[ENGINES] = {0};
    alternate(config, measure_one, &c, one);
    report_row("commit.one", one);
    report_reference("commit.floor", &c.floor);
    floor_close(&c.floor_file);

    struct series batch[ENGINES] = {0};
    alternate(config, measure_batch, &c, batch);
    report_row("commit.1000", batch);

    struct series overwrite[ENGINES] = {0};
    alternate(config, measure_overwrite, &c, overwrite);
    report_row("commit.overwrite", overwrite);
}

/* ------------------------------------------------------------------- growth */

/* Overwrites every entry once, in a random order, in transactions of BATCH. */
static void overwrite_all(struct subject *subject, uint64_t seed) {
    uint32_t *numbers = numbers_shuffled(subject->entries, seed);
    for (uint64_t first = 0; first < subject->entries; first += BATCH) {
        uint64_t left = subject->entries - first;
        subject->txn = subject->engine->begin_write(subject->env);
        loop_put_numbers(subject, numbers + first, left < BATCH ? left : BATCH, false);
        subject->engine->commit(subject->txn);
    }
    free(numbers);
}

void case_growth(const struct config *config) {
    struct series used[ENGINES] = {0};
    struct series file[ENGINES] = {0};
    for (int id = 0; id < ENGINES; id++) {
        if (!config->enabled[id]) {
            continue;
        }
        const struct engine *engine = engines[id];
        char path[PATH_MAX], data_path[PATH_MAX];
        struct subject subject = {.engine = engine, .entries = config->entries};
        subject.env = open_fresh(config, engine, "growth", true, path);
        join_path(data_path, path, engine->data_file);
        subject.txn = engine->begin_write(subject.env);
        loop_put(&subject, 0, config->entries);
        engine->commit(subject.txn);

        double used_before = (double)engine->used_bytes(subject.env);
        double file_before = (double)file_bytes(data_path);
        for (uint64_t i = 0; i < OVERWRITES; i++) {
            overwrite_all(&subject, i + 1);
        }
        series_add(&used[id], (double)engine->used_bytes(subject.env) / used_before);
        series_add(&file[id], (double)file_bytes(data_path) / file_before);
        engine->close(subject.env);
        remove_directory(path);
    }
    report_row("growth.used", used);
    report_row("growth.file", file);
}
