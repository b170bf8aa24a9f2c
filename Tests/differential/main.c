/* The same random operations on LMDB and on ZeroDB, compared call by call. See README.md. */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compare.h"
#include "counts.h"
#include "inject.h"

struct options {
    uint64_t seed, operations, sequence;
    int type; /* -1: by the seed */
    const char *fault;
    bool is_self, is_verbose, wants_counts, wants_coverage;
};

static const char usage[] =
    "usage: differential [--seed N] [--operations N] [--sequence N] [--type NAME] [--verbose]\n"
    "                    [--counts] [--require-coverage] [--self] [--inject FAULT]\n"
    "\n"
    "  --seed N              of the first sequence; those after it take N + 1, N + 2... (1)\n"
    "  --operations N        of all sequences together (200000)\n"
    "  --sequence N          of one sequence, which begins with new environments; every\n"
    "                        eighth is six times as long (8000)\n"
    "  --type NAME           all databases are of this type\n"
    "  --verbose             print every operation and its result\n"
    "  --counts              print how often each operation gave each answer\n"
    "  --require-coverage    fail if something that must be covered was not\n"
    "  --self                compare LMDB with LMDB, to test this program\n"
    "  --inject FAULT        do wrong on the second side; '--inject help' lists the faults\n";

_Noreturn void give_up(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "differential: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(2);
}

void *allocate(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) give_up("no memory for %zu bytes", size);
    return memory;
}

const char *database_name(const struct setting *setting, unsigned database) {
    return database == NO_DATABASE ? "never made" : setting->database[database].name;
}

/* ----------------------------------------------------------------- settings */

static struct setting choose_setting(const struct options *options, uint64_t seed,
                                     const char *directory) {
    static const char *const names[DATABASES] = {"one", "two", "three"};
    struct random random = random_of(~seed);
    struct setting setting = {.seed = seed, .directory = directory};
    setting.page_size = once_in(&random, 3) ? 16384 : 4096;
    bool is_main_only = once_in(&random, 4);
    setting.databases = is_main_only ? 1 : between(&random, 1, DATABASES);
    for (unsigned i = 0; i < setting.databases; i++) {
        unsigned type = options->type >= 0 ? (unsigned)options->type
                        : i == 0           ? (unsigned)(seed % type_count())
                                           : below(&random, type_count());
        setting.database[i] = database_of_type(type, &random);
        setting.database[i].name = is_main_only ? NULL : names[i];
    }
    return setting;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

/* Memory, if the system has files in it. */
static void make_directory(char *path, size_t size) {
    const char *above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    snprintf(path, size, "%s/zerodb-differential-XXXXXX", above != NULL ? above : "/tmp");
    if (mkdtemp(path) == NULL) give_up("cannot make %s: %s", path, strerror(errno));
}

/* ---------------------------------------------------------------- sequences */

static void end_sequence(struct comparison *comparison, struct generator *generator) {
    struct operation operation;
    finish(generator);
    while (!comparison->is_failed && next_operation(generator, &operation)) {
        learn(generator, &operation, run(comparison, &operation));
    }
    struct operation reading = {.action = TXN_BEGIN, .txn = WRITER_LEVELS};
    run(comparison, &reading);
    compare_databases(comparison, WRITER_LEVELS);
    reading.action = TXN_ABORT;
    run(comparison, &reading);
    for (unsigned i = 0; i < 2 && !comparison->is_failed; i++) {
        struct engine *engine = &comparison->engines[i];
        const char *problem = engine->verify(engine->state);
        if (problem == NULL) continue;
        printf("\nseed %" PRIu64 ", at the end: %s is damaged: %s\n", comparison->setting->seed,
               engine->name, problem);
        comparison->is_failed = true;
    }
}

/* Returns whether both sides agreed. */
static bool run_sequence(const struct options *options, const struct setting *setting,
                         uint64_t operations) {
    struct comparison comparison = {.setting = setting,
                                    .random = random_of(setting->seed + ((uint64_t)1 << 32)),
                                    .is_verbose = options->is_verbose};
    comparison.engines[0] = open_lmdb(setting, "lmdb");
    comparison.engines[1] =
        options->is_self ? open_lmdb(setting, "self") : open_zerodb(setting, "zerodb");
    if (options->fault != NULL && !inject(&comparison.engines[1], options->fault)) {
        give_up("no fault is called %s; try --inject help", options->fault);
    }
    struct generator *generator = allocate(sizeof(*generator));
    start_generator(generator, setting);
    for (uint64_t i = 1; i <= operations && !comparison.is_failed; i++) {
        struct operation operation;
        enum answer answer;
        next_operation(generator, &operation);
        counts->operation = comparison.operation = i;
        run_and_look(&comparison, generator, &operation, &answer);
        count_operation(&operation, answer);
        learn(generator, &operation, answer);
    }
    if (!comparison.is_failed) end_sequence(&comparison, generator);
    free(generator);
    for (unsigned i = 0; i < 2 && !comparison.is_failed; i++) {
        comparison.engines[i].close(comparison.engines[i].state);
    }
    fflush(stdout);
    return !comparison.is_failed;
}

static void print_replay(const struct options *options, uint64_t operation) {
    printf("replay: build/tests-differential/differential --seed %" PRIu64 " --operations %" PRIu64
           " --sequence %" PRIu64,
           counts->seed, operation, options->sequence);
    if (options->type >= 0) printf(" --type %s", type_name((unsigned)options->type));
    if (options->is_self) printf(" --self");
    if (options->fault != NULL) printf(" --inject %s", options->fault);
    printf(" --verbose\n");
}

/* In a process of its own: a crash is reported with its place, and leaves nothing behind. */
static bool run_apart(const struct options *options, uint64_t seed, uint64_t operations) {
    char directory[200];
    make_directory(directory, sizeof(directory));
    struct setting setting = choose_setting(options, seed, directory);
    counts->seed = seed;
    counts->operation = 0;
    memset(counts->value_counts, 0, sizeof(counts->value_counts));
    fflush(stdout);
    pid_t process = fork();
    if (process < 0) give_up("cannot fork: %s", strerror(errno));
    if (process == 0) {
        alarm(600); /* nothing may wait forever */
        _exit(run_sequence(options, &setting, operations) ? 0 : 1);
    }
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (WIFSIGNALED(status)) {
        printf("\nseed %" PRIu64 ", operation %" PRIu64 ": died of signal %d (%s)\n", seed,
               counts->operation, WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    printf("databases:");
    for (unsigned i = 0; i < setting.databases; i++) {
        printf(" %s with flags 0x%x%s", setting.database[i].name != NULL ? setting.database[i].name
                                                                         : "the main database",
               setting.database[i].flags, i + 1 < setting.databases ? "," : "");
    }
    printf("; pages of %u bytes\n", setting.page_size);
    print_replay(options, counts->operation);
    return false;
}

/* ------------------------------------------------------------------ options */

static uint64_t parse_number(const char *option, const char *text) {
    char *end = NULL;
    if (text == NULL || *text == '\0') give_up("%s needs a number", option);
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0') give_up("%s needs a number, not %s", option, text);
    return number;
}

static int parse_type(const char *text) {
    for (unsigned i = 0; text != NULL && i < type_count(); i++) {
        if (strcmp(text, type_name(i)) == 0) return (int)i;
    }
    fprintf(stderr, "differential: --type needs one of:");
    for (unsigned i = 0; i < type_count(); i++) fprintf(stderr, " %s", type_name(i));
    fprintf(stderr, "\n");
    exit(2);
}

static struct options parse_options(char **arguments) {
    struct options options = {.seed = 1, .operations = 200000, .sequence = 8000, .type = -1};
    for (; *arguments != NULL; arguments++) {
        const char *option = *arguments;
        if (strcmp(option, "--verbose") == 0) options.is_verbose = true;
        else if (strcmp(option, "--counts") == 0) options.wants_counts = true;
        else if (strcmp(option, "--require-coverage") == 0) options.wants_coverage = true;
        else if (strcmp(option, "--self") == 0) options.is_self = true;
        else if (strcmp(option, "--seed") == 0) options.seed = parse_number(option, *++arguments);
        else if (strcmp(option, "--operations") == 0)
            options.operations = parse_number(option, *++arguments);
        else if (strcmp(option, "--sequence") == 0)
            options.sequence = parse_number(option, *++arguments);
        else if (strcmp(option, "--type") == 0) options.type = parse_type(*++arguments);
        else if (strcmp(option, "--inject") == 0) options.fault = *++arguments;
        else {
            fputs(usage, stderr);
            exit(2);
        }
        if (*arguments == NULL) give_up("%s needs an argument", option);
    }
    if (options.sequence == 0) give_up("--sequence needs a number above 0");
    return options;
}

int main(int count, char **arguments) {
    (void)count;
    struct options options = parse_options(arguments + 1);
    if (options.fault != NULL && strcmp(options.fault, "help") == 0) {
        print_faults();
        return 0;
    }
    share_counts();
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    bool is_ok = true;
    for (uint64_t done = 0, seed = options.seed; is_ok && done < options.operations; seed++) {
        uint64_t left = options.operations - done;
        /* Some are long, so that databases grow. */
        uint64_t operations = seed % 8 == 5 ? 6 * options.sequence : options.sequence;
        if (operations > left) operations = left;
        is_ok = run_apart(&options, seed, operations);
        done += operations;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec);
    seconds += 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    if (options.wants_counts) print_counts();
    if (is_ok && options.wants_coverage) is_ok = check_counts();
    printf("differential: %s: seed %" PRIu64 ", %" PRIu64 " operations in %.1f s, %.0f a minute\n",
           is_ok ? "no difference" : "FAILED", options.seed, counts->operations, seconds,
           60 * (double)counts->operations / seconds);
    return is_ok ? 0 : 1;
}
