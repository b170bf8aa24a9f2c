/* The gain of a second reading thread. Each thread has its own transaction and its own random
 * numbers; they share only the environment. A loop of dependent memory reads, done by one thread
 * and by two, shows the gain that the machine itself allows: two processors that share a core or
 * are busy with something else do not do twice the work of one. */
#include "cases.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 2
#define WINDOW_NS 100000000 /* of one measurement */
#define WARM_UP_NS 20e6     /* each thread's caches are its own again before it counts */
#define BATCH 64            /* operations between two looks at the clock's flag */
#define CHASE_WORDS (UINT64_C(1) << 25) /* 256 MiB: beyond every cache */

struct loop_thread;
typedef void (*batch_fn)(struct loop_thread *thread);

struct loop_thread {
    struct subject subject;
    const uint64_t *chase_words;
    uint64_t chase_position;
    batch_fn batch;
    bool in_txn;
    pthread_barrier_t *start;
    atomic_bool *stop;
    double batches_per_ns;
};

static void get_batch(struct loop_thread *thread) {
    loop_get(&thread->subject, BATCH);
}

static void begin_get_batch(struct loop_thread *thread) {
    loop_begin_get(&thread->subject, BATCH);
}

static void chase_batch(struct loop_thread *thread) {
    uint64_t position = thread->chase_position;
    for (int i = 0; i < BATCH; i++) {
        position = thread->chase_words[position % CHASE_WORDS] + position * 3;
    }
    thread->chase_position = position;
}

static void *thread_main(void *context) {
    struct loop_thread *thread = context;
    const struct engine *engine = thread->subject.engine;
    if (thread->in_txn) {
        thread->subject.txn = engine->begin_read(thread->subject.env);
    }
    double start = now_ns();
    while (now_ns() - start < WARM_UP_NS) {
        thread->batch(thread);
    }
    pthread_barrier_wait(thread->start);
    uint64_t batches = 0;
    start = now_ns();
    while (!atomic_load_explicit(thread->stop, memory_order_relaxed)) {
        thread->batch(thread);
        batches++;
    }
    thread->batches_per_ns = (double)batches / (now_ns() - start);
    if (thread->in_txn) {
        engine->abort(thread->subject.txn);
    }
    return NULL;
}

/* Operations a nanosecond of `threads` threads together. */
static double throughput(const struct loop_thread *pattern, unsigned threads) {
    struct loop_thread loop_threads[THREADS];
    pthread_t handles[THREADS];
    pthread_barrier_t start;
    atomic_bool stop = false;
    pthread_barrier_init(&start, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        loop_threads[i] = *pattern;
        loop_threads[i].start = &start;
        loop_threads[i].stop = &stop;
        loop_threads[i].chase_position = i;
        rng_seed(&loop_threads[i].subject.rng, 1000 + i);
        if (pthread_create(&handles[i], NULL, thread_main, &loop_threads[i]) != 0) {
            die("cannot start a thread");
        }
    }
    pthread_barrier_wait(&start);
    struct timespec window = {.tv_nsec = WINDOW_NS};
    nanosleep(&window, NULL);
    atomic_store(&stop, true);
    double total = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
        total += loop_threads[i].batches_per_ns * BATCH;
    }
    pthread_barrier_destroy(&start);
    return total;
}

struct thread_case {
    struct loop_thread patterns[ENGINES];
    struct series one[ENGINES];
    struct series two[ENGINES];
    struct series share[ENGINES]; /* of the machine's own scaling at that moment */
    struct loop_thread chase;
    struct series *machine;
};

static double measure_machine(const struct loop_thread *chase) {
    double one = throughput(chase, 1);
    return throughput(chase, THREADS) / one;
}

static double measure_scaling(enum engine_id id, void *context) {
    struct thread_case *c = context;
    double one = throughput(&c->patterns[id], 1);
    double two = throughput(&c->patterns[id], THREADS);
    series_add(&c->one[id], one * 1e3);
    series_add(&c->two[id], two * 1e3);
    double machine = measure_machine(&c->chase);
    series_add(c->machine, machine);
    series_add(&c->share[id], two / one / machine);
    return two / one;
}

static void run(const struct config *config, const char *name, batch_fn batch, bool in_txn,
                const uint64_t *chase_words, struct series *machine) {
    struct big *big = big_environments(config);
    static struct thread_case c;
    c = (struct thread_case){
        .chase = {.batch = chase_batch, .chase_words = chase_words},
        .machine = machine,
    };
    for (int id = 0; id < ENGINES; id++) {
        c.patterns[id] =
            (struct loop_thread){.subject = big->subjects[id], .batch = batch, .in_txn = in_txn};
    }
    struct series scaling[ENGINES] = {0};
    alternate(config, measure_scaling, &c, scaling);
    char row[64];
    snprintf(row, sizeof row, "threads.%s.1", name);
    report_row(row, c.one);
    snprintf(row, sizeof row, "threads.%s.2", name);
    report_row(row, c.two);
    snprintf(row, sizeof row, "threads.%s.scaling", name);
    report_row(row, scaling);
    snprintf(row, sizeof row, "threads.%s.share", name);
    report_row(row, c.share);
}

void case_threads(const struct config *config) {
    uint64_t *chase_words = allocate(CHASE_WORDS * sizeof *chase_words);
    struct rng rng;
    rng_seed(&rng, 2);
    for (uint64_t i = 0; i < CHASE_WORDS; i++) {
        chase_words[i] = rng_next(&rng);
    }
    static struct series machine;
    run(config, "get", get_batch, true, chase_words, &machine);
    run(config, "begin", begin_get_batch, false, chase_words, &machine);
    report_reference("threads.machine", &machine);
    free(chase_words);
}
