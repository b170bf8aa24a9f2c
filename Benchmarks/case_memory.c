/* Memory that an engine takes, each in a process of its own: this program again, with --memory-of, which
 * loads the entries, commits batches, scans and gets, and prints
 *
 * - the peak of its resident memory (VmHWM), pages of mapped files included. The kernel can take those
 *   back when it needs memory;
 * - the peak of its private memory (RssAnon and RssShmem), looked up every few milliseconds, which it
 *   cannot. */
#include "cases.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 1000
#define BATCHES 100
#define GETS 100000
#define SAMPLE_PAUSE_NS 2000000

/* KiB of a line of /proc/self/status. */
static unsigned long status_kib(const char *name) {
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) {
        die("cannot read /proc/self/status: %s", strerror(errno));
    }
    char line[128];
    unsigned long kib = 0;
    size_t length = strlen(name);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            kib = strtoul(line + length + 1, NULL, 10);
        }
    }
    fclose(file);
    return kib;
}

struct sampler {
    atomic_bool is_stopping;
    unsigned long peak_kib;
};

static void *sampler_main(void *context) {
    struct sampler *sampler = context;
    while (!atomic_load_explicit(&sampler->is_stopping, memory_order_relaxed)) {
        unsigned long kib = status_kib("RssAnon") + status_kib("RssShmem");
        sampler->peak_kib = kib > sampler->peak_kib ? kib : sampler->peak_kib;
        nanosleep(&(struct timespec){.tv_nsec = SAMPLE_PAUSE_NS}, NULL);
    }
    return NULL;
}

void memory_child(const struct config *config, enum engine_id id) {
    struct sampler sampler = {0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, sampler_main, &sampler) != 0) {
        die("cannot start a thread");
    }
    struct subject subject = {.engine = engines[id], .entries = config->entries};
    char path[PATH_MAX];
    rng_seed(&subject.rng, 1);
    subject.env = open_fresh(config, engines[id], "memory", false, path);
    load_all(&subject);
    loop_commit_overwrite(&subject, BATCHES, BATCH);
    subject.txn = subject.engine->begin_read(subject.env);
    loop_scan_forward(&subject, 1);
    loop_get(&subject, GETS);
    subject.engine->abort(subject.txn);
    subject.engine->close(subject.env);
    atomic_store(&sampler.is_stopping, true);
    pthread_join(thread, NULL);
    remove_directory(path);
    printf("%lu %lu\n", status_kib("VmHWM"), sampler.peak_kib);
}

/* Runs the child; the samples are in MiB. */
static void measure(const struct config *config, enum engine_id id, struct series *resident,
                    struct series *private) {
    char command[PATH_MAX * 2];
    snprintf(command, sizeof command,
             "exec /proc/%ld/exe --memory-of %s --n %llu --page-size %u --dir '%s'", (long)getpid(),
             engines[id]->name, (unsigned long long)config->entries,
             config->page_size == 0 ? 4096 : config->page_size, config->dir);
    FILE *pipe = popen(command, "r");
    unsigned long peak_kib, private_kib;
    if (pipe == NULL || fscanf(pipe, "%lu %lu", &peak_kib, &private_kib) != 2) {
        die("%s: the process whose memory is measured printed nothing", engines[id]->name);
    }
    int status = pclose(pipe);
    if (status != 0) {
        die("%s: the process whose memory is measured failed", engines[id]->name);
    }
    series_add(resident, (double)peak_kib / 1024);
    series_add(private, (double)private_kib / 1024);
}

void case_memory(const struct config *config) {
    static struct series resident[ENGINES], private[ENGINES];
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            measure(config, (enum engine_id)id, &resident[id], &private[id]);
        }
    }
    report_row("memory.resident", resident);
    report_row("memory.private", private);
}
