#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

enum target_kind {
    NO_TARGET,
    RATIO_AT_MOST, /* ZeroDB's median by another engine's, or the machine's */
    VALUE_AT_MOST, /* ZeroDB's median alone */
    VALUE_AT_LEAST
};

/* Ratios may be to the machine's own median instead of an engine's. */
#define MACHINE ENGINES
#define TARGETS_MAX 3

struct target {
    enum target_kind kind;
    double limit;
    int against; /* an engine_id or MACHINE; of VALUE_ targets LMDB, on whose line they stand */
};

struct row {
    const char *id;
    const char *title;
    const char *unit;
    struct target targets[TARGETS_MAX];
};

#define RATIO(limit, engine)                                                                       \
    { RATIO_AT_MOST, limit, engine }
#define AT_MOST(limit)                                                                             \
    { VALUE_AT_MOST, limit, LMDB }
#define AT_LEAST(limit)                                                                            \
    { VALUE_AT_LEAST, limit, LMDB }

/* Ratios are ZeroDB's median by the other's. Below 1 is ZeroDB faster or smaller, except for
 * scaling. */
static const struct row rows[] = {
    {"load.random", "bulk load, random order: total", "ns/put", {RATIO(0.60, LMDB)}},
    {"load.random.puts", "  of it the puts", "ns/put", {{0}}},
    {"load.random.commit", "  of it the commit", "ns/put", {{0}}},
    {"load.sorted", "bulk load, key order: total", "ns/put", {RATIO(1.20, LMDB)}},
    {"load.sorted.puts", "  of it the puts", "ns/put", {{0}}},
    {"load.sorted.commit", "  of it the commit", "ns/put", {{0}}},
    {"load.append", "bulk load, key order, append: total", "ns/put", {{0}}},
    {"load.append.puts", "  of it the puts", "ns/put", {{0}}},
    {"load.append.commit", "  of it the commit", "ns/put", {{0}}},
    {"load.append.unflushed",
     "bulk load, append, not flushed: total",
     "ns/put",
     {RATIO(0.80, LMDB1)}},
    {"load.append.unflushed.puts", "  of it the puts", "ns/put", {{0}}},
    {"load.append.unflushed.commit", "  of it the commit", "ns/put", {{0}}},
    {"size.random.used", "file after random load, used", "MiB", {RATIO(1.00, LMDB)}},
    {"size.random.file", "file after random load, st_size", "MiB", {RATIO(1.00, LMDB)}},
    {"size.sorted.used", "file after load in key order, used", "MiB", {RATIO(1.00, LMDB)}},
    {"size.sorted.file", "file after load in key order, st_size", "MiB", {{0}}},
    {"get.hit", "random get, one transaction", "ns", {RATIO(1.00, LMDB)}},
    {"get.miss", "random get of absent keys", "ns", {RATIO(1.00, LMDB)}},
    {"get.begin", "begin + get + end", "ns", {RATIO(1.00, LMDB)}},
    {"get.renew", "renew + get + reset", "ns", {RATIO(1.00, LMDB)}},
    {"scan.forward", "full scan forward", "ns/entry", {RATIO(1.00, LMDB)}},
    {"scan.backward", "full scan backward", "ns/entry", {RATIO(1.00, LMDB)}},
    {"scan.range",
     "range of 10 from a random start",
     "ns/range",
     {RATIO(0.65, LMDB), RATIO(0.65, LMDB1)}},
    {"pairs.any.insert", "pairs, one transaction: total", "ns/put", {RATIO(1.00, LMDB)}},
    {"pairs.any.insert.puts", "  of it the puts", "ns/put", {{0}}},
    {"pairs.any.insert.commit", "  of it the commit", "ns/put", {{0}}},
    {"pairs.any.batches", "pairs, 1000 a commit, not flushed", "ns/put", {RATIO(1.00, LMDB)}},
    {"pairs.any.batches.puts", "  of it the puts", "ns/put", {{0}}},
    {"pairs.any.batches.commit", "  of it the commits", "ns/put", {{0}}},
    {"pairs.any.scan", "full scan of pairs", "ns/pair", {RATIO(1.00, LMDB)}},
    {"pairs.any.both", "random get of a pair", "ns", {RATIO(1.00, LMDB)}},
    {"pairs.any.count", "next key, count of its values", "ns/key", {RATIO(1.00, LMDB)}},
    {"pairs.integer.insert",
     "integer pairs, one transaction: total",
     "ns/put",
     {RATIO(1.00, LMDB)}},
    {"pairs.integer.insert.puts", "  of it the puts", "ns/put", {{0}}},
    {"pairs.integer.insert.commit", "  of it the commit", "ns/put", {{0}}},
    {"pairs.integer.batches",
     "integer pairs, 1000 a commit, not flushed",
     "ns/put",
     {RATIO(1.00, LMDB)}},
    {"pairs.integer.batches.puts", "  of it the puts", "ns/put", {{0}}},
    {"pairs.integer.batches.commit", "  of it the commits", "ns/put", {{0}}},
    {"pairs.integer.scan", "full scan of integer pairs", "ns/pair", {RATIO(1.00, LMDB)}},
    {"pairs.integer.multiple", "full scan by arrays of values", "ns/pair", {RATIO(1.00, LMDB)}},
    {"pairs.integer.both", "random get of an integer pair", "ns", {RATIO(1.00, LMDB)}},
    {"pairs.integer.count", "next key, count of its values", "ns/key", {RATIO(1.00, LMDB)}},
    {"batch.gets", "64 random gets, one by one", "ns/key", {{0}}},
    {"batch.get_many", "64 random gets, one call", "ns/key", {{0}}},
    {"batch.get_many.share", "  that by one by one", "x", {AT_MOST(0.60)}},
    {"batch.next", "full scan, entry by entry", "ns/entry", {{0}}},
    {"batch.next_many", "full scan, 256 entries a call", "ns/entry", {{0}}},
    {"batch.next_many.share", "  that by entry by entry", "x", {{0}}},
    {"counted.get", "random get in a counted database", "ns", {{0}}},
    {"counted.rank", "rank of a random key", "ns", {{0}}},
    {"counted.rank.share", "  that by a get", "x", {AT_MOST(3.00)}},
    {"counted.nth", "entry of a random rank", "ns", {{0}}},
    {"counted.nth.share", "  that by a get", "x", {AT_MOST(3.00)}},
    {"counted.puts.plain", "random puts, plain, without the commit", "ns/put", {{0}}},
    {"counted.puts", "random puts, counted, without the commit", "ns/put", {{0}}},
    {"counted.puts.share", "  that by plain", "x", {AT_MOST(1.10)}},
    {"counted.load.share", "  the same with the commit", "x", {{0}}},
    {"threads.get.1", "random get, 1 thread", "M/s", {{0}}},
    {"threads.get.2", "random get, 2 threads", "M/s", {{0}}},
    {"threads.get.scaling", "  2 threads / 1 thread", "x", {{0}}},
    {"threads.get.share", "  that by the machine's own scaling", "x", {AT_LEAST(0.90)}},
    {"threads.begin.1", "begin + get + end, 1 thread", "M/s", {{0}}},
    {"threads.begin.2", "begin + get + end, 2 threads", "M/s", {{0}}},
    {"threads.begin.scaling", "  2 threads / 1 thread", "x", {{0}}},
    {"threads.begin.share", "  that by the machine's own scaling", "x", {AT_LEAST(0.90)}},
    {"threads.machine", "the machine itself: dependent memory reads, 2 threads / 1", "x", {{0}}},
    {"open.big", "open + begin + get + close, big", "us", {{0}}},
    {"open.small", "open + begin + get + close, 10 entries", "us", {{0}}},
    {"open.growth", "  big / 10 entries", "x", {AT_MOST(1.50)}},
    {"commit.one",
     "durable commit of one new key",
     "us",
     {RATIO(0.65, LMDB), RATIO(1.10, SQLITE), RATIO(1.30, MACHINE)}},
    {"commit.one.mean", "  mean, with all that is left to write", "us", {{0}}},
    {"commit.1000", "durable commit of 1000 new keys", "ms", {RATIO(0.20, LMDB)}},
    {"commit.1000.mean", "  mean, with all that is left to write", "ms", {{0}}},
    {"commit.overwrite", "durable commit of 1000 overwrites", "ms", {RATIO(0.20, LMDB)}},
    {"commit.overwrite.mean", "  mean, with all that is left to write", "ms", {{0}}},
    {"writers.8",
     "8 threads, durable commits of one key",
     "us",
     {RATIO(0.20, LMDB), RATIO(0.60, ROCKSDB)}},
    {"writers.8.mean", "  mean, with all that is left to write", "us", {{0}}},
    {"commit.unflushed",
     "commit of one new key, not flushed",
     "us",
     {RATIO(1.00, LMDB), RATIO(0.90, ROCKSDB)}},
    {"commit.unflushed.mean", "  mean, with all that is left to write", "us", {{0}}},
    {"commit.relaxed", "commit, not flushed, surviving a kill", "us", {RATIO(0.90, ROCKSDB)}},
    {"commit.relaxed.mean", "  mean, with all that is left to write", "us", {{0}}},
    {"busy.get.quiet.p50", "random get, quiet, p50", "ns", {{0}}},
    {"busy.get.quiet.p99", "random get, quiet, p99", "ns", {{0}}},
    {"busy.get.p50", "random get beside a writer, p50", "ns", {{0}}},
    {"busy.get.p99", "random get beside a writer, p99", "ns", {{0}}},
    {"busy.get.slowdown", "  p99 beside a writer / quiet", "x", {AT_MOST(2.00)}},
    {"busy.begin.quiet.p50", "begin + get + end, quiet, p50", "ns", {{0}}},
    {"busy.begin.quiet.p99", "begin + get + end, quiet, p99", "ns", {{0}}},
    {"busy.begin.p50", "begin + get + end beside a writer, p50", "ns", {{0}}},
    {"busy.begin.p99", "begin + get + end beside a writer, p99", "ns", {{0}}},
    {"busy.begin.slowdown", "  p99 beside a writer / quiet", "x", {AT_MOST(2.00)}},
    {"life.batch.mean", "durable batch of 1000 puts, in a row: mean", "ms", {RATIO(1.00, ROCKSDB)}},
    {"life.batch.p50", "  median", "ms", {{0}}},
    {"life.batch.p99", "  99th percentile", "ms", {{0}}},
    {"life.batch.p999", "  99.9th percentile", "ms", {{0}}},
    {"life.batch.max", "  maximum", "ms", {AT_MOST(50.00)}},
    {"life.batch.device", "  bytes to the device by user bytes", "x", {AT_MOST(8.00)}},
    {"life.writers", "8 threads right behind batches, a commit", "us", {RATIO(0.60, ROCKSDB)}},
    {"life.close", "closing right behind batches", "ms", {{0}}},
    {"life.open", "opening after that, empty write transaction", "ms", {AT_MOST(1.00)}},
    {"life.one.mean", "durable commit of 424 bytes, in a row: mean", "us", {RATIO(0.75, ROCKSDB)}},
    {"life.one.p50", "  median", "us", {{0}}},
    {"life.one.p99", "  99th percentile", "us", {{0}}},
    {"life.one.p999", "  99.9th percentile", "us", {RATIO(1.00, LMDB)}},
    {"life.one.max", "  maximum", "us", {RATIO(1.00, LMDB)}},
    {"life.one.device", "  bytes to the device by user bytes", "x", {AT_MOST(60.00)}},
    {"life.update", "random updates, one transaction", "ns/put", {RATIO(0.70, LMDB)}},
    {"life.delete", "random deletes, one transaction", "ns/delete", {RATIO(0.60, LMDB)}},
    {"life.size", "files after all that, closed", "MiB", {{0}}},
    {"life.size.all", "  with log files kept for later commits", "MiB", {{0}}},
    {"large.64k.put", "values of 64 KiB, not flushed", "us/put", {RATIO(0.90, LMDB)}},
    {"large.64k.get", "  random get", "us", {{0}}},
    {"large.64k.scan", "  full scan", "us/entry", {{0}}},
    {"large.64k.size", "  files", "MiB", {{0}}},
    {"large.1m.put", "values of 1 MiB, not flushed", "us/put", {{0}}},
    {"large.1m.get", "  random get", "us", {{0}}},
    {"large.1m.scan", "  full scan", "us/entry", {{0}}},
    {"large.1m.size", "  files", "MiB", {{0}}},
    {"tiny.put", "entries of 8 + 8 bytes, load, not flushed", "ns/put", {{0}}},
    {"tiny.get", "  random get", "ns", {{0}}},
    {"tiny.scan", "  full scan", "ns/entry", {{0}}},
    {"tiny.size", "  files", "MiB", {{0}}},
    {"prefix.put", "keys with 100 bytes in common, load", "ns/put", {{0}}},
    {"prefix.get", "  random get", "ns", {{0}}},
    {"prefix.scan", "  full scan", "ns/entry", {{0}}},
    {"prefix.size", "  files", "MiB", {{0}}},
    {"memory.resident", "peak memory: with pages of mapped files", "MiB", {{0}}},
    {"memory.private", "  private", "MiB", {{0}}},
    {"growth.used", "used while overwritten 3 times / before", "x", {AT_MOST(1.80)}},
    {"growth.file", "st_size while overwritten / before", "x", {AT_MOST(1.80)}},
    {"growth.log", "  log directory, at its largest", "MiB", {{0}}},
    {"growth.unflushed.used", "used, commits not flushed / before", "x", {AT_MOST(1.80)}},
    {"growth.unflushed.file", "st_size, commits not flushed / before", "x", {AT_MOST(1.80)}},
    {"recovery.1000", "replay of 60 MiB of 1000-put commits", "s", {AT_MOST(2.00)}},
    {"recovery.1000.open", "  opening, all in all", "s", {{0}}},
    {"recovery.one", "replay of 60 MiB of 1-put commits", "s", {AT_MOST(2.00)}},
    {"recovery.one.open", "  opening, all in all", "s", {{0}}},
    {"pressed.load", "less memory than data: load, not flushed", "us/put", {{0}}},
    {"pressed.get", "  random get", "us", {{0}}},
    {"pressed.range", "  range of 10", "us", {{0}}},
    {"pressed.commit", "  durable commit of one overwrite", "us", {{0}}},
};

#define ROWS (sizeof rows / sizeof rows[0])

/* The measurements, kept for the results file. */
static struct series measured[ROWS][ENGINES];
static struct series references[ROWS];
static int targets_met;
static int targets_missed;

static const struct row *row_named(const char *id) {
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].id, id) == 0) {
            return &rows[i];
        }
    }
    die("no row is called %s", id);
}

/* Three significant digits or so, whatever the magnitude. */
static const char *number(double value, char out[16]) {
    int decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
    snprintf(out, 16, "%.*f", decimals, value);
    return out;
}

static void print_cell(const struct series *series) {
    if (series->count == 0) {
        printf(" %8s %-15s", "-", "");
        return;
    }
    char median[16], low[16], high[16], spread[40] = "";
    struct summary s = series_summary(series);
    if (series->count > 1) {
        snprintf(spread, sizeof spread, "[%s-%s]", number(s.first_quartile, low),
                 number(s.third_quartile, high));
    }
    printf(" %8s %-15s", number(s.median, median), spread);
}

/* Whether a target is met, judged as it is printed, with two decimals. */
static bool is_met(const struct target *target, double value, double ratio) {
    const double rounding = 0.005;
    switch (target->kind) {
    case RATIO_AT_MOST:
        return ratio < target->limit + rounding;
    case VALUE_AT_MOST:
        return value < target->limit + rounding;
    default:
        return value >= target->limit - rounding;
    }
}

static void describe_target(const struct target *target, char out[24]) {
    static const char *const forms[] = {
        [NO_TARGET] = "-",
        [RATIO_AT_MOST] = "<= %.2f",
        [VALUE_AT_MOST] = "value <= %.2f",
        [VALUE_AT_LEAST] = "value >= %.2f",
    };
    snprintf(out, 24, forms[target->kind], target->limit);
}

/* The target of a row for ZeroDB against an engine or the machine; of no kind if there is none. */
static struct target target_against(const struct row *row, int other) {
    for (int i = 0; i < TARGETS_MAX; i++) {
        if (row->targets[i].kind != NO_TARGET && row->targets[i].against == other) {
            return row->targets[i];
        }
    }
    return (struct target){.kind = NO_TARGET};
}

/* How busy the machine was before the run: the load average of the last minute. */
static double load_before;

static double load_average(void) {
    double load = 0;
    return getloadavg(&load, 1) == 1 ? load : 0;
}

void report_begin(const struct config *config) {
    struct utsname host;
    load_before = load_average();
    uname(&host);
    for (int i = 0; i < ENGINES; i++) {
        if (config->enabled[i]) {
            printf("%s: %s; flags: %s; unflushed: %s\n", engines[i]->title, engines[i]->version(),
                   engines[i]->flags, engines[i]->unflushed_flags);
        }
    }
    printf("%llu entries, keys of %d random bytes, values of %d bytes; ZeroDB pages of %u bytes\n",
           (unsigned long long)config->entries, KEY_SIZE, VALUE_SIZE,
           config->page_size == 0 ? 4096 : config->page_size);
    printf("%s %s %s, %ld processors; environments in %s\n", host.sysname, host.release,
           host.machine, sysconf(_SC_NPROCESSORS_ONLN), config->dir);
    printf("load average before: %.2f\n", load_before);
    printf("medians [quartiles] of %u slices, alternating; of loads: %u rounds\n\n", config->slices,
           config->rounds);
    printf("%-42s %-9s %8s %-15s %8s %-15s %6s  %-13s\n", "case", "unit", "ZeroDB", "", "LMDB", "",
           "ratio", "target");
    fflush(stdout);
}

/* One line: the medians of ZeroDB and another, their ratio, and whether the target is met. */
static void print_line(const char *title, const char *unit, const struct series *zerodb,
                       const struct series *other, struct target target) {
    printf("%-42s %-9s", title, unit);
    print_cell(zerodb);
    print_cell(other);
    double value = NAN, ratio = NAN;
    if (zerodb->count > 0) {
        value = series_summary(zerodb).median;
    }
    if (zerodb->count > 0 && other->count > 0) {
        ratio = value / series_summary(other).median;
        printf(" %6.2f", ratio);
    } else {
        printf(" %6s", "-");
    }
    char described[24];
    describe_target(&target, described);
    printf("  %-13s", described);
    if (target.kind != NO_TARGET && !isnan(target.kind == RATIO_AT_MOST ? ratio : value)) {
        bool met = is_met(&target, value, ratio);
        printf(" %s", met ? "ok" : "MISS");
        *(met ? &targets_met : &targets_missed) += 1;
    }
    printf("\n");
}

void report_row_and_machine(const char *id, const struct series series[ENGINES],
                            const struct series *machine) {
    const struct row *row = row_named(id);
    memcpy(measured[row - rows], series, sizeof measured[0]);
    references[row - rows] = *machine;

    const struct series *zerodb = &series[ZERODB];
    print_line(row->title, row->unit, zerodb, &series[LMDB], target_against(row, LMDB));
    for (int other = LMDB + 1; other < ENGINES; other++) {
        if (series[other].count > 0) {
            char title[64];
            snprintf(title, sizeof title, "    against %s", engines[other]->title);
            print_line(title, row->unit, zerodb, &series[other], target_against(row, other));
        }
    }
    if (machine->count > 0) {
        print_line("    against a bare pwrite and fdatasync", row->unit, zerodb, machine,
                   target_against(row, MACHINE));
    }
    fflush(stdout);
}

void report_row(const char *id, const struct series series[ENGINES]) {
    static const struct series none;
    report_row_and_machine(id, series, &none);
}

void report_reference(const char *id, const struct series *series) {
    const struct row *row = row_named(id);
    references[row - rows] = *series;
    struct summary s = series_summary(series);
    char median[16], low[16], high[16];
    printf("(%s: %s %s [%s-%s])\n", row->title, number(s.median, median), row->unit,
           number(s.first_quartile, low), number(s.third_quartile, high));
    fflush(stdout);
}

static void write_series(FILE *file, const char *name, const struct series *series) {
    if (series->count == 0) {
        return;
    }
    struct summary s = series_summary(series);
    fprintf(file, ", \"%s\": {\"median\": %.6g, \"first_quartile\": %.6g, \"third_quartile\": %.6g",
            name, s.median, s.first_quartile, s.third_quartile);
    fprintf(file, ", \"samples\": [");
    for (size_t i = 0; i < series->count; i++) {
        fprintf(file, "%s%.6g", i == 0 ? "" : ", ", series->samples[i]);
    }
    fprintf(file, "]}");
}

static const char *name_of(int other) {
    return other == MACHINE ? "machine" : engines[other]->name;
}

/* ZeroDB's median by each other's. */
static void write_ratios(FILE *file, const struct series series[ENGINES],
                         const struct series *machine) {
    if (series[ZERODB].count == 0) {
        return;
    }
    double zerodb = series_summary(&series[ZERODB]).median;
    const char *separator = "";
    fprintf(file, ", \"ratios\": {");
    for (int other = ZERODB + 1; other <= MACHINE; other++) {
        const struct series *others = other == MACHINE ? machine : &series[other];
        if (others->count > 0) {
            fprintf(file, "%s\"%s\": %.4f", separator, name_of(other),
                    zerodb / series_summary(others).median);
            separator = ", ";
        }
    }
    fprintf(file, "}");
}

static void write_targets(FILE *file, const struct row *row) {
    fprintf(file, ", \"targets\": [");
    for (int i = 0; i < TARGETS_MAX && row->targets[i].kind != NO_TARGET; i++) {
        const struct target *target = &row->targets[i];
        char described[24];
        describe_target(target, described);
        fprintf(file, "%s{\"target\": \"%s\"", i == 0 ? "" : ", ", described);
        if (target->kind == RATIO_AT_MOST) {
            fprintf(file, ", \"against\": \"%s\"", name_of(target->against));
        }
        fprintf(file, "}");
    }
    fprintf(file, "]");
}

/* A detail's title is indented: it goes on that of the row above which is not. */
static void write_title(FILE *file, size_t index) {
    size_t above = index;
    while (rows[above].title[0] == ' ') {
        above--;
    }
    const char *title = rows[above].title;
    if (above == index) {
        fprintf(file, "\"title\": \"%s", title);
    } else {
        int subject = (int)strcspn(title, ":"); /* behind a colon is what that row is of it */
        fprintf(file, "\"title\": \"%.*s: %s", subject, title,
                rows[index].title + strspn(rows[index].title, " "));
    }
    fprintf(file, "\", \"detail\": %s", above != index ? "true" : "false");
}

static void write_row(FILE *file, size_t index) {
    const struct row *row = &rows[index];
    const struct series *series = measured[index];
    /* Operations a second and the gain of a second thread. */
    bool more_is_better = strncmp(row->id, "threads.", strlen("threads.")) == 0;
    fprintf(file, "    {\"id\": \"%s\", ", row->id);
    write_title(file, index);
    fprintf(file, ", \"unit\": \"%s\", \"better\": \"%s\"", row->unit,
            more_is_better ? "more" : "less");
    for (int id = 0; id < ENGINES; id++) {
        write_series(file, engines[id]->name, &series[id]);
    }
    write_series(file, "machine", &references[index]);
    write_ratios(file, series, &references[index]);
    write_targets(file, row);
    fprintf(file, "}");
}

static bool was_measured(size_t index) {
    size_t samples = references[index].count;
    for (int id = 0; id < ENGINES; id++) {
        samples += measured[index][id].count;
    }
    return samples > 0;
}

/* A line of a file of /proc that starts with `name`, behind its colon. */
static void proc_value(const char *path, const char *name, char out[128]) {
    snprintf(out, 128, "unknown");
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');
        if (colon != NULL && strncmp(line, name, strlen(name)) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, 128, "%s", colon + 1 + strspn(colon + 1, " "));
            break;
        }
    }
    fclose(file);
}

/* Where the environments lie: the type of the file system. */
static void file_system(const char *directory, char out[32]) {
    struct statfs status;
    if (statfs(directory, &status) != 0) {
        snprintf(out, 32, "unknown");
        return;
    }
    switch ((unsigned long)status.f_type) {
    case 0xef53:
        snprintf(out, 32, "ext4");
        break;
    case 0x58465342:
        snprintf(out, 32, "xfs");
        break;
    case 0x9123683e:
        snprintf(out, 32, "btrfs");
        break;
    case 0x01021994:
        snprintf(out, 32, "tmpfs");
        break;
    default:
        snprintf(out, 32, "type 0x%lx", (unsigned long)status.f_type);
    }
}

static void write_machine(FILE *file, const struct config *config) {
    struct utsname host;
    char processor[128], memory[128], type[32];
    uname(&host);
    proc_value("/proc/cpuinfo", "model name", processor);
    proc_value("/proc/meminfo", "MemTotal", memory);
    file_system(config->dir, type);
    fprintf(file,
            "  \"machine\": {\"system\": \"%s %s %s\", \"processor\": \"%s\", \"processors\": %ld, "
            "\"memory\": \"%s\", \"file_system\": \"%s\", \"load_before\": %.2f},\n",
            host.sysname, host.release, host.machine, processor, sysconf(_SC_NPROCESSORS_ONLN),
            memory, type, load_before);
}

static void write_engines(FILE *file, const struct config *config) {
    const char *separator = "\n";
    fprintf(file, "  \"engines\": {");
    for (int i = 0; i < ENGINES; i++) {
        if (config->enabled[i]) {
            fprintf(file,
                    "%s    \"%s\": {\"title\": \"%s\", \"version\": \"%s\", \"flags\": \"%s\", "
                    "\"unflushed\": \"%s\"}",
                    separator, engines[i]->name, engines[i]->title, engines[i]->version(),
                    engines[i]->flags, engines[i]->unflushed_flags);
            separator = ",\n";
        }
    }
    fprintf(file, "\n  },\n");
}

static void write_json(const struct config *config) {
    FILE *file = fopen(config->json, "w");
    if (file == NULL) {
        die("cannot write %s: %s", config->json, strerror(errno));
    }
    char when[32];
    time_t now = time(NULL);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    fprintf(file, "{\n  \"time\": \"%s\",\n", when);
    fprintf(file, "  \"entries\": %llu,\n  \"page_size\": %u,\n",
            (unsigned long long)config->entries, config->page_size == 0 ? 4096 : config->page_size);
    fprintf(file, "  \"slices\": %u,\n  \"rounds\": %u,\n", config->slices, config->rounds);
    write_machine(file, config);
    write_engines(file, config);
    fprintf(file, "  \"rows\": [");
    const char *separator = "\n";
    for (size_t i = 0; i < ROWS; i++) {
        if (was_measured(i)) {
            fputs(separator, file);
            write_row(file, i);
            separator = ",\n";
        }
    }
    fprintf(file, "\n  ]\n}\n");
    if (fclose(file) != 0) {
        die("cannot write %s: %s", config->json, strerror(errno));
    }
}

int report_end(const struct config *config) {
    if (targets_met + targets_missed > 0) {
        printf("\n%d of %d targets met\n", targets_met, targets_met + targets_missed);
    }
    if (config->json != NULL) {
        write_json(config);
        printf("results: %s\n", config->json);
    }
    return targets_missed;
}
