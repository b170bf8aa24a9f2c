#include "cases.h"

#include <unistd.h>

static struct big big;

/* Every page is read once, so that the work of an engine at the first access (page faults,
 * checksums) is not taken for the cost of a read. */
static void warm(struct subject *subject) {
    subject->txn = subject->engine->begin_read(subject->env);
    loop_scan_forward(subject, 1);
    subject->engine->abort(subject->txn);
    subject->txn = NULL;
}

static void make(const struct config *config, enum engine_id id) {
    struct subject *subject = &big.subjects[id];
    subject->engine = engines[id];
    subject->entries = config->entries;
    subject->env = open_fresh(config, engines[id], "big", false, big.paths[id]);
    rng_seed(&subject->rng, 1);
    load_all(subject);
    if (subject->engine->checkpoint != NULL) {
        subject->engine->checkpoint(subject->env);
    }
    warm(subject);
}

struct big *big_environments(const struct config *config) {
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id] && big.subjects[id].env == NULL) {
            make(config, (enum engine_id)id);
            sync();
        }
    }
    return &big;
}

void big_close(void) {
    for (int id = 0; id < ENGINES; id++) {
        if (big.subjects[id].env != NULL) {
            engines[id]->close(big.subjects[id].env);
        }
    }
}

void big_open(const struct config *config, bool unflushed) {
    for (int id = 0; id < ENGINES; id++) {
        if (big.subjects[id].env != NULL) {
            big.subjects[id].env = open_at(config, engines[id], big.paths[id], unflushed);
            warm(&big.subjects[id]);
        }
    }
}

void big_remove(void) {
    big_close();
    for (int id = 0; id < ENGINES; id++) {
        if (big.subjects[id].env != NULL) {
            remove_directory(big.paths[id]);
            big.subjects[id].env = NULL;
        }
    }
}
