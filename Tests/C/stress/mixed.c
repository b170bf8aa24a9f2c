/* Eight readers and four writers in two processes, all on one environment. Everything that is
 * read is checked by its content. */
#include <stdio.h>
#include <time.h>

#include "lanes.h"
#include "stress.h"

enum { PROCESSES = 2, READERS = 4, WRITERS = 2 };

struct lane_thread {
    struct progress *progress;
    zdb_env *env;
    unsigned lane;
    uint64_t random;
};

struct process {
    struct progress *progress;
    unsigned number;
    uint64_t seed;
};

static void *write_until_over(void *argument) {
    static const uint32_t durabilities[] = {ZDB_DURABILITY_FULL, ZDB_DURABILITY_FULL,
                                            ZDB_DURABILITY_RELAXED, ZDB_DURABILITY_NONE};
    struct lane_thread *own = (struct lane_thread *)argument;
    while (!atomic_load(&own->progress->is_over)) {
        uint64_t random = next_random(&own->random) >> 20;
        /* Runs of one durability, as programs have them. */
        uint32_t durability = durabilities[random % 4];
        for (unsigned i = 0; i < 50 && !atomic_load(&own->progress->is_over); i++) {
            advance_lane(own->progress, own->env, own->lane, durability, random % 64 == i);
        }
        begin_wait(own->progress, own->lane, WAIT_FLUSH);
        if (random % 128 < 2) REQUIRE_OK(zdb_env_sync(own->env));
        if (random % 128 == 2) REQUIRE_OK(zdb_env_checkpoint(own->env));
        end_wait(own->progress, own->lane);
    }
    return NULL;
}

/* Most snapshots are checked once and given up; some are kept, and must not change. */
static void *read_until_over(void *argument) {
    struct lane_thread *own = (struct lane_thread *)argument;
    zdb_txn *txn = NULL;
    struct expectation expectation;
    expect_acknowledged(own->progress, &expectation);
    begin_wait(own->progress, own->lane, WAIT_BEGIN_READ);
    REQUIRE_OK(zdb_txn_begin(own->env, NULL, ZDB_RDONLY, &txn));
    end_wait(own->progress, own->lane);
    while (!atomic_load(&own->progress->is_over)) {
        unsigned passes = (next_random(&own->random) >> 20) % 16 == 0 ? 50 : 1;
        uint64_t id = zdb_txn_id(txn);
        for (unsigned i = 0; i < passes; i++) check_lanes(own->progress, txn, &expectation);
        REQUIRE(zdb_txn_id(txn) == id);
        REQUIRE_OK(zdb_txn_reset(txn));
        atomic_fetch_add(&own->progress->reads, 1);
        expect_acknowledged(own->progress, &expectation);
        begin_wait(own->progress, own->lane, WAIT_BEGIN_READ);
        REQUIRE_OK(zdb_txn_renew(txn));
        end_wait(own->progress, own->lane);
        REQUIRE(zdb_txn_id(txn) >= id);
    }
    abort_txn(txn);
    return NULL;
}

static void run_process(void *argument) {
    struct process *process = (struct process *)argument;
    struct lane_thread lane_threads[READERS + WRITERS];
    pthread_t threads[READERS + WRITERS];
    zdb_env_options options;
    default_options(&options);
    options.log_size = 4 * MIB;
    zdb_env *env = open_env_with("env", &options);
    for (unsigned i = 0; i < READERS + WRITERS; i++) {
        lane_threads[i].progress = process->progress;
        lane_threads[i].env = env;
        /* The writers' lanes come first; a reader's lane only shows how long the reader waits. */
        lane_threads[i].lane = i < WRITERS
                              ? process->number * WRITERS + i
                              : PROCESSES * WRITERS + process->number * READERS + i - WRITERS;
        lane_threads[i].random = process->seed + i + 1;
        threads[i] =
            start_thread(i < WRITERS ? write_until_over : read_until_over, &lane_threads[i]);
    }
    struct timespec second = {1, 0};
    while (!atomic_load(&process->progress->is_over)) {
        nanosleep(&second, NULL);
        expect_sound(env);
    }
    for (unsigned i = 0; i < READERS + WRITERS; i++) join_thread(threads[i]);
    zdb_info info;
    get_info(env, &info);
    close_env(env);
}

void stress_mixed(unsigned seconds, uint64_t seed) {
    struct progress *progress = new_progress(PROCESSES * WRITERS + PROCESSES * READERS);
    struct process processes[PROCESSES];
    pid_t children[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++) {
        processes[i].progress = progress;
        processes[i].number = i;
        processes[i].seed = seed * 1000 + i * 100;
        children[i] = start_process(run_process, &processes[i]);
    }
    struct timespec duration = {(time_t)seconds, 0};
    nanosleep(&duration, NULL);
    atomic_store(&progress->is_over, true);
    for (unsigned i = 0; i < PROCESSES; i++) finish_process(children[i]);
    REQUIRE(check_failures() == 0);

    zdb_env *env = open_env("env");
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.recovered_records, 0);
    struct expectation expectation;
    expect_acknowledged(progress, &expectation);
    zdb_txn *txn = begin_read(env);
    check_lanes(progress, txn, &expectation);
    abort_txn(txn);
    check_space(env);
    close_env(env);
    REQUIRE(check_failures() == 0);
    printf("%u s of %u readers and %u writers:\n", seconds, PROCESSES * READERS,
           PROCESSES * WRITERS);
    print_progress(progress);
}
