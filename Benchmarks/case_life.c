/* The life of an environment, one after the other as programs do it, with nothing between that would let
 * an engine catch up: batches, many writers right behind them, closing, opening, small commits,
 * updates and deletes of many entries, and the files that all this leaves.
 *
 * Each round makes a fresh environment for each engine. Times of single commits are gathered over all
 * rounds. What is written to the device is counted with all dirty pages written (device.h). */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "device.h"
#include "latency.h"
#include "shape.h"
#include "writers.h"

#define BATCH 1000
#define BATCHES 200
#define BATCHES_BEFORE_WRITERS 100
#define WRITERS_COMMITS 1600 /* of all threads together */
#define SMALL_COMMITS 4000
#define CHANGED_PART 5 /* one of so many entries is updated, and one of so many is deleted */

/* Small commits: of 424 bytes. */
static const struct shape small_shape = {
    .name = "life.one", .random_size = KEY_SIZE, .value_size = 400};

struct life {
    struct series batch_mean[ENGINES], batch_device[ENGINES];
    struct series writers[ENGINES];
    struct series close[ENGINES], open[ENGINES];
    struct series one_mean[ENGINES], one_device[ENGINES];
    struct series update[ENGINES], delete[ENGINES];
    struct series size[ENGINES], size_and_spare[ENGINES];
    struct latencies batches[ENGINES], ones[ENGINES];
};

static struct life life;

/* How much less is done where there are few entries. */
static uint64_t scaled(const struct config *config, uint64_t count, uint64_t least) {
    uint64_t fewer = count * config->entries / 1000000;
    return fewer >= count ? count : fewer < least ? least : fewer;
}

static void commit_batches(struct subject *subject, uint64_t count) {
    loop_commit_new(subject, subject->entries, count, BATCH);
    subject->entries += count * BATCH;
}

static void add_device(struct series *series, const char *path, bool has_device, uint64_t before,
                       double user_bytes) {
    if (has_device) {
        series_add(series, (double)(device_bytes_written(path) - before) / user_bytes);
    }
}

static void live_batches(const struct config *config, struct subject *subject, const char *path,
                         bool has_device, enum engine_id id) {
    struct latencies latencies = {0};
    subject->latencies = &latencies;
    uint64_t count = scaled(config, BATCHES, 10);
    uint64_t before = device_bytes_written(path);
    commit_batches(subject, count);
    add_device(&life.batch_device[id], path, has_device, before,
               (double)(count * BATCH * (KEY_SIZE + VALUE_SIZE)));

    struct writers writers;
    writers_start(&writers, config, subject, path);
    commit_batches(subject, scaled(config, BATCHES_BEFORE_WRITERS, 5));
    uint64_t commits = scaled(config, WRITERS_COMMITS, 80);
    double start = now_ns();
    writers_commit(&writers, commits);
    series_add(&life.writers[id], (now_ns() - start) / (double)commits / 1e3);
    writers_stop(&writers);

    series_add(&life.batch_mean[id], latencies_mean(&latencies) / 1e6);
    latencies_merge(&life.batches[id], &latencies);
    latencies_clear(&latencies);
    subject->latencies = NULL;
}

static void live_reopening(const struct config *config, struct subject *subject, const char *path,
                           enum engine_id id) {
    double start = now_ns();
    subject->engine->close(subject->env);
    double closed = now_ns();
    subject->env = open_at(config, subject->engine, path, false);
    subject->engine->commit(subject->engine->begin_write(subject->env));
    series_add(&life.close[id], (closed - start) / 1e6);
    series_add(&life.open[id], (now_ns() - closed) / 1e6);
}

static void live_small_commits(const struct config *config, struct subject *subject,
                               const char *path, bool has_device, enum engine_id id) {
    struct latencies latencies = {0};
    subject->latencies = &latencies;
    uint64_t count = scaled(config, SMALL_COMMITS, 100);
    uint64_t before = device_bytes_written(path);
    loop_shape_put(subject, &small_shape, ABSENT_KEYS, count, 1);
    add_device(&life.one_device[id], path, has_device, before,
               (double)(count * (KEY_SIZE + small_shape.value_size)));
    series_add(&life.one_mean[id], latencies_mean(&latencies) / 1e3);
    latencies_merge(&life.ones[id], &latencies);
    latencies_clear(&latencies);
    subject->latencies = NULL;
}

/* Changes `count` entries in one transaction, or in as few as the engine can.
 *  @param numbers  of the entries to delete; NULL: random ones are overwritten
 *  @return ns an entry, commit included */
static double change(struct subject *subject, const uint32_t *numbers, uint64_t count) {
    uint64_t most = subject->engine->txn_puts_max;
    uint64_t batch = most == 0 ? count : most;
    double start = now_ns();
    for (uint64_t first = 0; first < count; first += batch) {
        uint64_t part = count - first < batch ? count - first : batch;
        subject->txn = subject->engine->begin_write(subject->env);
        if (numbers != NULL) {
            loop_delete_numbers(subject, numbers + first, part);
        } else {
            loop_overwrite(subject, part);
        }
        subject->engine->commit(subject->txn);
    }
    subject->txn = NULL;
    return (now_ns() - start) / (double)count;
}

static uint64_t count_entries(struct subject *subject) {
    const struct engine *engine = subject->engine;
    subject->txn = engine->begin_read(subject->env);
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    struct bytes key = {NULL, 0}, value;
    uint64_t count = 0;
    for (bool more = engine->cursor_move(cursor, STEP_FIRST, &key, &value); more;
         more = engine->cursor_move(cursor, STEP_NEXT, &key, &value)) {
        const uint8_t *k = key.data, *v = value.data;
        if (v[0] != first_byte(k) || v[value.size - 1] != last_byte(k)) {
            die("%s: at the end of its life an entry has another's value", engine->name);
        }
        count++;
    }
    engine->cursor_close(cursor);
    engine->abort(subject->txn);
    subject->txn = NULL;
    return count;
}

static void live(const struct config *config, enum engine_id id, unsigned round) {
    struct subject subject = {.engine = engines[id], .entries = config->entries};
    char path[PATH_MAX];
    rng_seed(&subject.rng, round + 1);
    subject.env = open_fresh(config, engines[id], "life", false, path);
    bool has_device = device_find(path);
    touch_memory(config);
    load_all(&subject);
    if (subject.engine->checkpoint != NULL) {
        subject.engine->checkpoint(subject.env);
    }
    sync();

    live_batches(config, &subject, path, has_device, id);
    live_reopening(config, &subject, path, id);
    live_small_commits(config, &subject, path, has_device, id);
    uint64_t changed = config->entries / CHANGED_PART;
    uint32_t *numbers = numbers_shuffled(config->entries, round + 1);
    flush_directory(path);
    touch_memory(config);
    series_add(&life.update[id], change(&subject, NULL, changed));
    flush_directory(path);
    touch_memory(config);
    series_add(&life.delete[id], change(&subject, numbers, changed));
    free(numbers);

    uint64_t expected = subject.entries + scaled(config, SMALL_COMMITS, 100) - changed;
    if (count_entries(&subject) != expected) {
        die("%s: at the end of its life it has lost or gained entries", engines[id]->name);
    }
    subject.engine->close(subject.env);
    const char *spare = engines[id]->spare_files;
    series_add(&life.size[id], (double)directory_blocks_bytes(path, spare) / 0x1p20);
    series_add(&life.size_and_spare[id], (double)directory_blocks_bytes(path, NULL) / 0x1p20);
    remove_directory(path);
    sync();
}

/* One sample an engine: a quantile of the commits of all rounds. */
static void report_quantile(const char *row, const struct latencies latencies[ENGINES], double q,
                            double unit_ns) {
    struct series quantiles[ENGINES] = {0};
    for (int id = 0; id < ENGINES; id++) {
        if (latencies[id].count > 0) {
            series_add(&quantiles[id], latencies_quantile(&latencies[id], q) / unit_ns);
        }
    }
    report_row(row, quantiles);
}

static void report_commits(const char *name, const struct latencies latencies[ENGINES],
                           const struct series mean[ENGINES], const struct series device[ENGINES],
                           double unit_ns) {
    static const struct {
        const char *suffix;
        double q;
    } quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    char row[64];
    snprintf(row, sizeof row, "%s.mean", name);
    report_row(row, mean);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        snprintf(row, sizeof row, "%s.%s", name, quantiles[i].suffix);
        report_quantile(row, latencies, quantiles[i].q, unit_ns);
    }
    snprintf(row, sizeof row, "%s.device", name);
    report_row(row, device);
}

void case_life(const struct config *config) {
    /* No other environment's background work is to be counted. Later cases do without these, or make
     * them anew. */
    big_remove();
    for (unsigned round = 0; round < config->rounds; round++) {
        for (unsigned place = 0; place < ENGINES; place++) {
            enum engine_id id = engine_at(round, place);
            if (config->enabled[id]) {
                live(config, id, round);
            }
        }
    }
    report_commits("life.batch", life.batches, life.batch_mean, life.batch_device, 1e6);
    report_row("life.writers", life.writers);
    report_row("life.close", life.close);
    report_row("life.open", life.open);
    report_commits("life.one", life.ones, life.one_mean, life.one_device, 1e3);
    report_row("life.update", life.update);
    report_row("life.delete", life.delete);
    report_row("life.size", life.size);
    report_row("life.size.all", life.size_and_spare);
}
