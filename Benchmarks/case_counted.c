/* A database whose branches count the entries below them: ranks against gets, and the cost of
 * counting for the puts of a random load, against a plain database. Both load alternately, a
 * twentieth at a time. */
#include "cases.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORTIONS 20
#define READS_A_SLICE 100000

enum { PLAIN_LOAD, COUNTED_LOAD, LOADS };

struct load {
    struct subject subject;
    char path[PATH_MAX];
    double puts_ns;
    double commit_ns;
};

static void load_begin(const struct config *config, struct load *load, enum kind kind,
                       const char *name) {
    struct config of_kind = *config;
    of_kind.kind = kind;
    *load = (struct load){.subject = {.engine = engines[ZERODB], .entries = config->entries}};
    rng_seed(&load->subject.rng, 1);
    load->subject.env = open_fresh(&of_kind, engines[ZERODB], name, false, load->path);
    load->subject.txn = engines[ZERODB]->begin_write(load->subject.env);
}

static void load_commit(struct load *load) {
    double start = now_ns();
    load->subject.engine->commit(load->subject.txn);
    load->commit_ns = now_ns() - start;
}

static void load_remove(struct load *load) {
    load->subject.engine->close(load->subject.env);
    remove_directory(load->path);
}

static void load_both(const struct config *config, unsigned round, struct load loads[LOADS]) {
    load_begin(config, &loads[PLAIN_LOAD], PLAIN, "plain");
    load_begin(config, &loads[COUNTED_LOAD], COUNTED, "counted");
    for (unsigned portion = 0; portion < PORTIONS; portion++) {
        uint64_t first = config->entries * portion / PORTIONS;
        uint64_t count = config->entries * (portion + 1) / PORTIONS - first;
        for (unsigned place = 0; place < LOADS; place++) {
            unsigned parity = (unsigned)__builtin_parity(round + portion);
            struct load *load = &loads[(place + parity) % LOADS];
            double start = now_ns();
            loop_put(&load->subject, first, count);
            load->puts_ns += now_ns() - start;
        }
    }
    for (unsigned place = 0; place < LOADS; place++) {
        load_commit(&loads[(place + round) % LOADS]);
    }
}

static void compare_loads(const struct config *config) {
    static struct load loads[LOADS];
    static struct series plain[ENGINES], counted[ENGINES], puts_share[ENGINES], share[ENGINES];
    for (unsigned round = 0; round <= config->rounds; round++) {
        load_both(config, round, loads);
        const struct load *p = &loads[PLAIN_LOAD], *c = &loads[COUNTED_LOAD];
        if (round > 0) {
            double entries = (double)config->entries;
            series_add(&plain[ZERODB], p->puts_ns / entries);
            series_add(&counted[ZERODB], c->puts_ns / entries);
            series_add(&puts_share[ZERODB], c->puts_ns / p->puts_ns);
            series_add(&share[ZERODB], (c->puts_ns + c->commit_ns) / (p->puts_ns + p->commit_ns));
        }
        load_remove(&loads[PLAIN_LOAD]);
        load_remove(&loads[COUNTED_LOAD]);
        sync();
    }
    report_row("counted.puts.plain", plain);
    report_row("counted.puts", counted);
    report_row("counted.puts.share", puts_share);
    report_row("counted.load.share", share);
}

/* Ranks and entries by rank of a few thousand keys, against the order of all keys. */
static void check_ranks(struct subject *subject) {
    const struct engine *engine = subject->engine;
    uint32_t *numbers = numbers_in_key_order(subject->entries);
    struct bcursor *cursor = engine->cursor_open(subject->txn);
    uint64_t step = subject->entries / 5000 + 1;
    for (uint64_t rank = 0; rank < subject->entries; rank += step) {
        struct key key = key_at(numbers[rank]);
        struct bytes key_view = {key.words, KEY_SIZE};
        struct bytes found, value;
        uint64_t found_rank = engine->rank(subject->txn, &key_view);
        engine->cursor_set_rank(cursor, rank, &found, &value);
        if (found_rank != rank || found.size != KEY_SIZE ||
            memcmp(found.data, key.words, KEY_SIZE) != 0) {
            die("%s: the key of rank %llu was given rank %llu, or that rank another key",
                engine->name, (unsigned long long)rank, (unsigned long long)found_rank);
        }
    }
    engine->cursor_close(cursor);
    free(numbers);
}

static double timed(struct subject *subject, void (*loop)(struct subject *, uint64_t)) {
    double start = now_ns();
    loop(subject, READS_A_SLICE);
    return (now_ns() - start) / READS_A_SLICE;
}

static void compare_reads(const struct config *config) {
    static struct load load;
    static struct series get[ENGINES], rank[ENGINES], nth[ENGINES];
    static struct series rank_share[ENGINES], nth_share[ENGINES];
    load_begin(config, &load, COUNTED, "counted");
    loop_put(&load.subject, 0, config->entries);
    load_commit(&load);

    struct subject *subject = &load.subject;
    subject->txn = subject->engine->begin_read(subject->env);
    loop_scan_forward(subject, 1);
    check_ranks(subject);
    for (unsigned slice = 0; slice <= config->slices; slice++) {
        double get_ns = timed(subject, loop_get);
        double rank_ns = timed(subject, loop_rank);
        double nth_ns = timed(subject, loop_set_rank);
        if (slice > 0) {
            series_add(&get[ZERODB], get_ns);
            series_add(&rank[ZERODB], rank_ns);
            series_add(&nth[ZERODB], nth_ns);
            series_add(&rank_share[ZERODB], rank_ns / get_ns);
            series_add(&nth_share[ZERODB], nth_ns / get_ns);
        }
    }
    subject->engine->abort(subject->txn);
    load_remove(&load);
    report_row("counted.get", get);
    report_row("counted.rank", rank);
    report_row("counted.rank.share", rank_share);
    report_row("counted.nth", nth);
    report_row("counted.nth.share", nth_share);
}

void case_counted(const struct config *config) {
    compare_reads(config);
    compare_loads(config);
}
