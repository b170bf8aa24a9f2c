/* bench: ZeroDB against its peers, in one run, alternating, medians. See README.md. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

const struct engine *const engines[ENGINES] = {
    [ZERODB] = &engine_zerodb,
    [LMDB] = &engine_lmdb,
    [LMDB_WRITEMAP] = &engine_lmdb_writemap,
    [LMDB1] = &engine_lmdb1,
    [MDBX] = &engine_mdbx,
    [ROCKSDB] = &engine_rocksdb,
    [WIREDTIGER] = &engine_wiredtiger,
    [SQLITE] = &engine_sqlite,
};

/* Which engines take part in a case. */
enum {
    ZERODB_ALONE = 1 << ZERODB,
    GROWERS = ZERODB_ALONE | 1 << LMDB | 1 << LMDB1, /* their files say how much is in use */
    /* With the interface of LMDB, and pages that are read in place. */
    FAMILY = ZERODB_ALONE | 1 << LMDB | 1 << LMDB1 | 1 << MDBX,
    FAMILY_WRITERS = FAMILY | 1 << LMDB_WRITEMAP, /* how LMDB writes makes a difference */
    READERS = FAMILY | 1 << ROCKSDB | 1 << WIREDTIGER | 1 << SQLITE,
    COMMITTERS = READERS | 1 << LMDB_WRITEMAP,
    /* WiredTiger cannot hold so much in one transaction. */
    LOADERS = COMMITTERS & ~(1 << WIREDTIGER),
    ON_DEMAND = 1 << ENGINES /* not an engine: the case is run only with --only */
};

/* In the order they run: those that change the big environment come after those that read it. */
static const struct bench_case {
    const char *name;
    const char *what;
    void (*run)(const struct config *config);
    unsigned engines; /* may have ON_DEMAND */
} cases[] = {
    {"load", "bulk loads in random and in key order, size of the files", case_load, LOADERS},
    {"get", "random gets, absent keys, transactions of one get", case_get, READERS},
    {"scan", "full scans both ways, ranges of 10", case_scan, READERS},
    {"batch", "64 gets in one call, scans by many entries a call", case_batch, FAMILY},
    {"duplicates", "a thousand keys with many values: inserts, scans, pairs", case_duplicates,
     FAMILY_WRITERS},
    {"counted", "ranks, entries by rank, puts of a counted database", case_counted, ZERODB_ALONE},
    {"threads", "two reading threads against one", case_threads, FAMILY},
    {"open", "opening a big and a small environment", case_open, READERS},
    {"commit", "durable commits of 1 and 1000 puts, overwrites", case_commit, COMMITTERS},
    {"writers", "durable commits by 8 threads", case_writers, COMMITTERS},
    {"busy", "gets beside a writer and checkpoints", case_busy, FAMILY},
    {"unflushed", "commits that wait for no flush", case_unflushed, COMMITTERS},
    {"life", "batches, writers, reopening, small commits, updates, deletes; bytes to the device",
     case_life, READERS},
    {"large", "values of 64 KiB and 1 MiB", case_large, COMMITTERS},
    {"shapes", "entries of 16 bytes, keys with a long prefix", case_shapes, READERS},
    {"memory", "peak memory, each engine in a process of its own", case_memory, COMMITTERS},
    {"growth", "size of the file while everything is overwritten 3 times", case_growth, GROWERS},
    {"recovery", "opening after a kill: replay of 60 MiB of log", case_recovery, ZERODB_ALONE},
    {"pressed", "less memory than data; only with --only, see larger.sh", case_pressed,
     READERS | ON_DEMAND},
};

#define CASES (sizeof cases / sizeof cases[0])

static void usage(FILE *out) {
    fprintf(out, "usage: bench [options]\n"
                 "  --only CASE,...    run these cases only\n"
                 "  --skip CASE,...    run all cases but these\n"
                 "  --engine NAME      one alone: zerodb, lmdb, lmdb-writemap, lmdb1, mdbx,\n"
                 "                     rocksdb, wiredtiger, sqlite\n"
                 "  --n N              entries (default 1000000)\n"
                 "  --slices N         measured slices of each engine in each case (default 12)\n"
                 "  --rounds N         measured loads and lives of each engine (default 3)\n"
                 "  --page-size BYTES  of ZeroDB (default 4096)\n"
                 "  --max-size BYTES   of ZeroDB (default 1 TiB; valgrind has less to give)\n"
                 "  --cache-mib MIB    of engines with a cache of their own (default 1024)\n"
                 "  --dir DIRECTORY    where environments are made (default bench-data)\n"
                 "  --json FILE        write the results there too\n"
                 "  --strict           exit with status 1 if a target is missed\n"
                 "  --engines          print the names of the engines that are there\n"
                 "  --cases            print the names of the cases\n"
                 "\ncases:\n");
    for (size_t i = 0; i < CASES; i++) {
        fprintf(out, "    %-12s %s\n", cases[i].name, cases[i].what);
    }
    fprintf(out,
            "\nFor profilers: bench --loop LOOP --engine NAME [--seconds S | --count N]\n"
            "repeats one loop; its environment is kept in the directory for the next time.\n%s",
            loop_names());
}

static unsigned long long number_of(const char *option, const char *text, unsigned long long least,
                                    unsigned long long most) {
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text == '\0' || *text == '-' || *end != '\0' || number < least || number > most) {
        die("--%s %s: a number from %llu to %llu is wanted", option, text, least, most);
    }
    return number;
}

/* Whether a name is in a list with commas between. */
static bool listed(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *item = list; item != NULL; item = strchr(item, ',')) {
        item += *item == ',';
        if (strncmp(item, name, length) == 0 && (item[length] == ',' || item[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static void check_list(const char *option, const char *list) {
    char *copy = strdup(list);
    char *rest = NULL;
    for (char *name = strtok_r(copy, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        bool known = false;
        for (size_t i = 0; i < CASES; i++) {
            known = known || strcmp(cases[i].name, name) == 0;
        }
        if (!known) {
            die("--%s: no case is called %s; bench --help lists them", option, name);
        }
    }
    free(copy);
}

static enum engine_id engine_named(const char *name) {
    for (int id = 0; id < ENGINES; id++) {
        if (strcmp(engines[id]->name, name) == 0) {
            return (enum engine_id)id;
        }
    }
    die("--engine %s: no engine is called so; bench --help lists them", name);
}

struct arguments {
    struct config config;
    const char *only;
    const char *skip;
    const char *loop;
    bool one_engine;
    enum engine_id engine;
    double seconds;
    uint64_t count;
    bool strict;
    bool survival;
    bool memory; /* this is the process whose memory is measured */
};

/* Leaves out the engines that are not there, with a line on how to get them. */
static void leave_out_absent(struct arguments *a) {
    for (int id = 0; id < ENGINES; id++) {
        const char *reason = engines[id]->absent == NULL ? NULL : engines[id]->absent();
        if (!a->config.enabled[id] || reason == NULL) {
            continue;
        }
        if (a->one_engine) {
            die("%s is not there: %s", engines[id]->title, reason);
        }
        fprintf(stderr, "bench: without %s: %s\n", engines[id]->title, reason);
        a->config.enabled[id] = false;
    }
}

static void parse(int argc, char **argv, struct arguments *a) {
    enum {
        ONLY,
        SKIP,
        ENGINE,
        N,
        SLICES,
        ROUNDS,
        PAGE_SIZE,
        MAX_SIZE,
        CACHE_MIB,
        DIR,
        JSON,
        STRICT,
        LOOP,
        SECONDS,
        COUNT,
        LIST_ENGINES,
        LIST_CASES,
        SURVIVAL,
        MEMORY_OF,
        HELP
    };
    static const struct option options[] = {
        {"only", required_argument, NULL, ONLY},
        {"skip", required_argument, NULL, SKIP},
        {"engine", required_argument, NULL, ENGINE},
        {"n", required_argument, NULL, N},
        {"slices", required_argument, NULL, SLICES},
        {"rounds", required_argument, NULL, ROUNDS},
        {"page-size", required_argument, NULL, PAGE_SIZE},
        {"max-size", required_argument, NULL, MAX_SIZE},
        {"cache-mib", required_argument, NULL, CACHE_MIB},
        {"dir", required_argument, NULL, DIR},
        {"json", required_argument, NULL, JSON},
        {"strict", no_argument, NULL, STRICT},
        {"loop", required_argument, NULL, LOOP},
        {"seconds", required_argument, NULL, SECONDS},
        {"count", required_argument, NULL, COUNT},
        {"engines", no_argument, NULL, LIST_ENGINES},
        {"cases", no_argument, NULL, LIST_CASES},
        {"survival", no_argument, NULL, SURVIVAL},         /* for selftest.py */
        {"memory-of", required_argument, NULL, MEMORY_OF}, /* for case_memory() */
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    for (int which; (which = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (which) {
        case ONLY:
            a->only = optarg;
            check_list("only", optarg);
            break;
        case SKIP:
            a->skip = optarg;
            check_list("skip", optarg);
            break;
        case ENGINE:
            a->one_engine = true;
            a->engine = engine_named(optarg);
            break;
        case N:
            a->config.entries = number_of("n", optarg, 100, UINT32_MAX);
            break;
        case SLICES:
            a->config.slices = (unsigned)number_of("slices", optarg, 1, 200);
            break;
        case ROUNDS:
            a->config.rounds = (unsigned)number_of("rounds", optarg, 1, 100);
            break;
        case PAGE_SIZE:
            a->config.page_size = (uint32_t)number_of("page-size", optarg, 4096, 65536);
            break;
        case MAX_SIZE:
            a->config.max_size = number_of("max-size", optarg, 1 << 20, UINT64_MAX);
            break;
        case CACHE_MIB:
            a->config.cache_bytes = number_of("cache-mib", optarg, 1, 1 << 20) << 20;
            break;
        case DIR:
            a->config.dir = optarg;
            break;
        case JSON:
            a->config.json = optarg;
            break;
        case STRICT:
            a->strict = true;
            break;
        case LOOP:
            a->loop = optarg;
            break;
        case SECONDS:
            a->seconds = (double)number_of("seconds", optarg, 1, 86400);
            break;
        case COUNT:
            a->count = number_of("count", optarg, 1, UINT32_MAX);
            break;
        case LIST_ENGINES:
            for (int id = 0; id < ENGINES; id++) {
                if (engines[id]->absent == NULL || engines[id]->absent() == NULL) {
                    puts(engines[id]->name);
                }
            }
            exit(0);
        case LIST_CASES:
            for (size_t i = 0; i < CASES; i++) {
                puts(cases[i].name);
            }
            exit(0);
        case SURVIVAL:
            a->survival = true;
            break;
        case MEMORY_OF:
            a->memory = true;
            a->one_engine = true;
            a->engine = engine_named(optarg);
            break;
        case HELP:
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (optind < argc) {
        die("%s: bench takes options only; bench --help lists them", argv[optind]);
    }
    for (int id = 0; id < ENGINES; id++) {
        a->config.enabled[id] = !a->one_engine || a->engine == (enum engine_id)id;
    }
    leave_out_absent(a);
}

/* Runs a case with those of its engines that are enabled; false if there are none. */
static bool run_case(const struct config *config, const struct bench_case *bench_case) {
    struct config of_case = *config;
    bool any = false;
    for (int id = 0; id < ENGINES; id++) {
        of_case.enabled[id] = config->enabled[id] && (bench_case->engines >> id & 1) != 0;
        any = any || of_case.enabled[id];
    }
    if (any) {
        bench_case->run(&of_case);
    }
    return any;
}

int main(int argc, char **argv) {
    struct arguments a = {
        .config = {.entries = 1000000, .slices = 12, .rounds = 3, .dir = "bench-data"},
        .seconds = 5,
    };
    parse(argc, argv, &a);
    if (a.loop != NULL) {
        if (!a.one_engine) {
            die("--loop wants --engine; bench --help lists them");
        }
        run_loop(&a.config, a.engine, a.loop, a.seconds, a.count);
        return 0;
    }
    if (a.survival) {
        print_survival(&a.config);
        return 0;
    }
    if (a.memory) {
        memory_child(&a.config, a.engine);
        return 0;
    }
    report_begin(&a.config);
    bool any_ran = false;
    for (size_t i = 0; i < CASES; i++) {
        if ((a.only == NULL ? (cases[i].engines & ON_DEMAND) == 0
                            : listed(a.only, cases[i].name)) &&
            (a.skip == NULL || !listed(a.skip, cases[i].name))) {
            any_ran = run_case(&a.config, &cases[i]) || any_ran;
        }
    }
    if (!any_ran) {
        die("the engine asked for takes no part in the cases asked for");
    }
    big_remove();
    return report_end(&a.config) > 0 && a.strict ? 1 : 0;
}
