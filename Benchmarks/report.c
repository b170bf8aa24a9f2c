#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

enum target_kind {
    NO_TARGET,
    RATIO_AT_MOST, /* ZeroDB's median by LMDB's */
    VALUE_AT_MOST, /* ZeroDB's median alone */
    VALUE_AT_LEAST
};

struct row {
    const char *id;
    const char *title;
    const char *unit;
    enum target_kind target_kind;
    double target;
};

/* Ratios are ZeroDB / LMDB. Below 1 is ZeroDB faster or smaller, except for scaling. */
static const struct row rows[] = {
    {"load.random", "bulk load, random order, total", "ns/put", RATIO_AT_MOST, 1.20},
    {"load.random.puts", "  of it the puts", "ns/put", NO_TARGET, 0},
    {"load.random.commit", "  of it the commit", "ns/put", NO_TARGET, 0},
    {"load.sorted", "bulk load, key order, total", "ns/put", RATIO_AT_MOST, 1.20},
    {"load.sorted.puts", "  of it the puts", "ns/put", NO_TARGET, 0},
    {"load.sorted.commit", "  of it the commit", "ns/put", NO_TARGET, 0},
    {"load.append", "bulk load, key order, append, total", "ns/put", NO_TARGET, 0},
    {"load.append.puts", "  of it the puts", "ns/put", NO_TARGET, 0},
    {"load.append.commit", "  of it the commit", "ns/put", NO_TARGET, 0},
    {"size.random.used", "file after random load, used", "MiB", RATIO_AT_MOST, 1.00},
    {"size.random.file", "file after random load, st_size", "MiB", RATIO_AT_MOST, 1.00},
    {"size.sorted.used", "file after load in key order, used", "MiB", RATIO_AT_MOST, 1.00},
    {"size.sorted.file", "file after load in key order, st_size", "MiB", NO_TARGET, 0},
    {"get.hit", "random get, one transaction", "ns", RATIO_AT_MOST, 1.00},
    {"get.miss", "random get of absent keys", "ns", RATIO_AT_MOST, 1.00},
    {"get.begin", "begin + get + end", "ns", RATIO_AT_MOST, 1.00},
    {"get.renew", "renew + get + reset", "ns", RATIO_AT_MOST, 1.00},
    {"scan.forward", "full scan forward", "ns/entry", RATIO_AT_MOST, 1.00},
    {"scan.backward", "full scan backward", "ns/entry", RATIO_AT_MOST, 1.00},
    {"scan.range", "range of 10 from a random start", "ns/range", RATIO_AT_MOST, 1.00},
    {"threads.get.1", "random get, 1 thread", "M/s", NO_TARGET, 0},
    {"threads.get.2", "random get, 2 threads", "M/s", NO_TARGET, 0},
    {"threads.get.scaling", "  2 threads / 1 thread", "x", NO_TARGET, 0},
    {"threads.get.share", "  that by the machine's own scaling", "x", VALUE_AT_LEAST, 0.90},
    {"threads.begin.1", "begin + get + end, 1 thread", "M/s", NO_TARGET, 0},
    {"threads.begin.2", "begin + get + end, 2 threads", "M/s", NO_TARGET, 0},
    {"threads.begin.scaling", "  2 threads / 1 thread", "x", NO_TARGET, 0},
    {"threads.begin.share", "  that by the machine's own scaling", "x", VALUE_AT_LEAST, 0.90},
    {"threads.machine", "the machine itself: dependent memory reads, 2 threads / 1", "x", NO_TARGET,
     0},
    {"open.big", "open + begin + get + close, big", "us", NO_TARGET, 0},
    {"open.small", "open + begin + get + close, 10 entries", "us", NO_TARGET, 0},
    {"open.growth", "  big / 10 entries", "x", VALUE_AT_MOST, 1.50},
    {"commit.one", "durable commit of one new key", "us", NO_TARGET, 0},
    {"commit.1000", "durable commit of 1000 new keys", "ms", NO_TARGET, 0},
    {"commit.overwrite", "durable commit of 1000 overwrites", "ms", NO_TARGET, 0},
    {"commit.floor", "the disk itself: 4 KiB pwrite + fdatasync, space written before", "us",
     NO_TARGET, 0},
    {"growth.used", "used after 3 overwrites / before", "x", VALUE_AT_MOST, 1.80},
    {"growth.file", "st_size after 3 overwrites / before", "x", VALUE_AT_MOST, 1.80},
};

#define ROWS (sizeof rows / sizeof rows[0])

/* What was measured, kept for the results file. */
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

/* Judged as it is printed, with two decimals. */
static const char *verdict(const struct row *row, double zerodb, double ratio) {
    const double rounding = 0.005;
    bool met;
    switch (row->target_kind) {
    case RATIO_AT_MOST:
        met = ratio < row->target + rounding;
        break;
    case VALUE_AT_MOST:
        met = zerodb < row->target + rounding;
        break;
    case VALUE_AT_LEAST:
        met = zerodb >= row->target - rounding;
        break;
    default:
        return "";
    }
    if (met) {
        targets_met++;
        return "ok";
    }
    targets_missed++;
    return "MISS";
}

static void describe_target(const struct row *row, char out[24]) {
    static const char *const forms[] = {
        [NO_TARGET] = "-",
        [RATIO_AT_MOST] = "<= %.2f",
        [VALUE_AT_MOST] = "value <= %.2f",
        [VALUE_AT_LEAST] = "value >= %.2f",
    };
    snprintf(out, 24, forms[row->target_kind], row->target);
}

void report_begin(const struct config *config) {
    struct utsname host;
    uname(&host);
    for (int i = 0; i < ENGINES; i++) {
        if (config->enabled[i]) {
            printf("%s: %s; flags: %s\n", engines[i]->title, engines[i]->version(),
                   engines[i]->flags);
        }
    }
    printf("%llu entries, keys of %d random bytes, values of %d bytes; ZeroDB pages of %u bytes\n",
           (unsigned long long)config->entries, KEY_SIZE, VALUE_SIZE,
           config->page_size == 0 ? 4096 : config->page_size);
    printf("%s %s %s, %ld processors; environments in %s\n", host.sysname, host.release,
           host.machine, sysconf(_SC_NPROCESSORS_ONLN), config->dir);
    printf("medians [quartiles] of %u slices, alternating; of loads: %u rounds\n\n", config->slices,
           config->rounds);
    printf("%-38s %-9s %8s %-15s %8s %-15s %6s  %-13s\n", "case", "unit", "ZeroDB", "", "LMDB", "",
           "ratio", "target");
    fflush(stdout);
}

/* One line: ZeroDB's figures against those of `rival`, and their ratio, NAN if there is none. */
static double print_line(const char *title, const char *unit, const struct series *zerodb,
                         const struct series *rival) {
    printf("%-38s %-9s", title, unit);
    print_cell(zerodb);
    print_cell(rival);
    if (zerodb->count == 0 || rival->count == 0) {
        printf(" %6s", "-");
        return NAN;
    }
    double ratio = series_summary(zerodb).median / series_summary(rival).median;
    printf(" %6.2f", ratio);
    return ratio;
}

void report_row(const char *id, const struct series series[ENGINES]) {
    const struct row *row = row_named(id);
    memcpy(measured[row - rows], series, sizeof measured[0]);

    const struct series *zerodb = &series[ZERODB];
    double ratio = print_line(row->title, row->unit, zerodb, &series[LMDB]);
    double value = zerodb->count > 0 ? series_summary(zerodb).median : NAN;
    bool judged = !isnan(row->target_kind == RATIO_AT_MOST ? ratio : value);
    char target[24];
    describe_target(row, target);
    printf("  %-13s %s\n", target, judged ? verdict(row, value, ratio) : "");

    if (series[LMDB_WRITEMAP].count > 0) {
        print_line("    against MDB_WRITEMAP", row->unit, zerodb, &series[LMDB_WRITEMAP]);
        printf("\n");
    }
    fflush(stdout);
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

static void write_row(FILE *file, size_t index) {
    const struct row *row = &rows[index];
    const struct series *series = measured[index];
    fprintf(file, "    {\"id\": \"%s\", \"title\": \"%s\", \"unit\": \"%s\"", row->id,
            row->title + strspn(row->title, " "), row->unit);
    for (int id = 0; id < ENGINES; id++) {
        write_series(file, engines[id]->name, &series[id]);
    }
    write_series(file, "machine", &references[index]);
    if (series[ZERODB].count > 0 && series[LMDB].count > 0) {
        fprintf(file, ", \"ratio\": %.4f",
                series_summary(&series[ZERODB]).median / series_summary(&series[LMDB]).median);
    }
    if (row->target_kind != NO_TARGET) {
        char target[24];
        describe_target(row, target);
        fprintf(file, ", \"target\": \"%s\"", target);
    }
    fprintf(file, "}");
}

static bool was_measured(size_t index) {
    size_t samples = references[index].count;
    for (int id = 0; id < ENGINES; id++) {
        samples += measured[index][id].count;
    }
    return samples > 0;
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
    for (int i = 0; i < ENGINES; i++) {
        if (config->enabled[i]) {
            fprintf(file, "  \"%s\": {\"version\": \"%s\", \"flags\": \"%s\"},\n", engines[i]->name,
                    engines[i]->version(), engines[i]->flags);
        }
    }
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
