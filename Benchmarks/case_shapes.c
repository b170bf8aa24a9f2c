/* Entries of other sizes: values of 64 KiB and of 1 MiB, tiny entries, keys with a long prefix that all
 * share. Each round makes a fresh environment for each engine, whose commits wait for no flush, so that the
 * rows show the work of the engine and not that of the device. */
#include "cases.h"

#include <stdio.h>
#include <unistd.h>

#include "shape.h"

#define GETS 100000
#define LARGE_GETS 20000
#define LARGE_BATCH 100

struct measurement {
    const struct shape *shape;
    uint64_t entries;
    uint64_t batch; /* puts of a transaction */
    uint64_t gets;
    double put_unit_ns, get_unit_ns, scan_unit_ns;
    struct series put[ENGINES], get[ENGINES], scan[ENGINES], size[ENGINES];
};

static void measure(const struct config *config, enum engine_id id, struct measurement *m) {
    struct subject subject = {.engine = engines[id], .entries = m->entries};
    struct config of_shape = *config;
    char path[PATH_MAX];
    /* Engines that reserve their room by it count entries of some 2 KiB. */
    uint64_t bytes = m->entries * (m->shape->value_size + 1024);
    of_shape.entries = bytes / 1024;
    rng_seed(&subject.rng, 1);
    subject.env = open_fresh(&of_shape, engines[id], "shape", true, path);
    double entries = (double)m->entries;
    double start = now_ns();
    loop_shape_put(&subject, m->shape, 0, m->entries, m->batch);
    series_add(&m->put[id], (now_ns() - start) / entries / m->put_unit_ns);
    if (subject.engine->checkpoint != NULL) {
        subject.engine->checkpoint(subject.env); /* reads find what was loaded in its place */
    }
    flush_directory(path);

    subject.txn = subject.engine->begin_read(subject.env);
    loop_shape_scan(&subject, m->shape, 1); /* warms up */
    start = now_ns();
    loop_shape_scan(&subject, m->shape, 1);
    series_add(&m->scan[id], (now_ns() - start) / entries / m->scan_unit_ns);
    start = now_ns();
    loop_shape_get(&subject, m->shape, m->gets);
    series_add(&m->get[id], (now_ns() - start) / (double)m->gets / m->get_unit_ns);
    subject.engine->abort(subject.txn);

    subject.engine->close(subject.env);
    series_add(&m->size[id],
               (double)directory_blocks_bytes(path, engines[id]->spare_files) / 0x1p20);
    remove_directory(path);
    sync();
}

static void report(const char *name, const char *part, const struct series series[ENGINES]) {
    char row[64];
    snprintf(row, sizeof row, "%s.%s", name, part);
    report_row(row, series);
}

static void run(const struct config *config, struct measurement *m) {
    for (unsigned round = 0; round < config->rounds; round++) {
        for (unsigned place = 0; place < ENGINES; place++) {
            enum engine_id id = engine_at(round, place);
            if (config->enabled[id]) {
                measure(config, id, m);
            }
        }
    }
    report(m->shape->name, "put", m->put);
    report(m->shape->name, "get", m->get);
    report(m->shape->name, "scan", m->scan);
    report(m->shape->name, "size", m->size);
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most) {
    return value < least ? least : value > most ? most : value;
}

void case_large(const struct config *config) {
    static const struct shape of_64k = {
        .name = "large.64k", .random_size = KEY_SIZE, .value_size = 64 << 10};
    static const struct shape of_1m = {
        .name = "large.1m", .random_size = KEY_SIZE, .value_size = 1 << 20};
    static struct measurement m_64k, m_1m;
    m_64k = (struct measurement){
        .shape = &of_64k,
        .entries = clamp(config->entries / 500, 20, 2000),
        .batch = LARGE_BATCH,
        .gets = LARGE_GETS,
        .put_unit_ns = 1e3,
        .get_unit_ns = 1e3,
        .scan_unit_ns = 1e3,
    };
    run(config, &m_64k);
    m_1m = m_64k;
    m_1m.shape = &of_1m;
    m_1m.entries = m_64k.entries / 10;
    for (int id = 0; id < ENGINES; id++) {
        m_1m.put[id].count = m_1m.get[id].count = m_1m.scan[id].count = m_1m.size[id].count = 0;
    }
    run(config, &m_1m);
}

void case_shapes(const struct config *config) {
    static const struct shape tiny = {.name = "tiny", .random_size = 8, .value_size = 8};
    static const struct shape prefix = {
        .name = "prefix", .prefix_size = 100, .random_size = KEY_SIZE, .value_size = VALUE_SIZE};
    const struct shape *const shapes[] = {&tiny, &prefix};
    static struct measurement measurements[2];
    for (int i = 0; i < 2; i++) {
        measurements[i] = (struct measurement){
            .shape = shapes[i],
            .entries = config->entries,
            .batch = config->entries,
            .gets = GETS,
            .put_unit_ns = 1,
            .get_unit_ns = 1,
            .scan_unit_ns = 1,
        };
        run(config, &measurements[i]);
    }
}
