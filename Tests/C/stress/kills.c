/* Processes that are killed at random moments while others read and write.
 *
 * Five processes of two threads each work on one environment; time and again one is killed with
 * SIGKILL and another takes its place. In every other round one more process just keeps the
 * environment open, so that the state that they share is never made anew; in the rounds between,
 * all are killed at the end, and those that then recover are killed too.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lanes.h"
#include "stress.h"

enum {
    PROCESSES = 5,
    THREADS = 2,
    KILLS_IN_ROUND = 60,
    /** Few, so that a slot that is not given back is soon missed. */
    READER_SLOTS = 32,
    DELAY_MAX_US = 12000,
    RECOVERIES_KILLED = 3,
    CHECK_SECONDS_MAX = 60,
};

/* No living thread may wait longer than this. A commit takes some milliseconds; the limit allows
 * for a machine that is busy with other things. */
#define BLOCKED_MAX_NS ((uint64_t)20 * 1000000000)

/* The lanes' values take less than a megabyte. Pages freed since the last checkpoint, and pages
 * that a killed process had taken, are not lost: they become available later. */
enum { PAGES_MAX = 6000 };

struct run {
    struct progress *progress;
    uint64_t random;
    pid_t processes[PROCESSES];
    pid_t keeper;
    unsigned kills, massacres;
};

static zdb_env *open_stressed(uint64_t *random, struct progress *progress, unsigned lane) {
    zdb_env_options options;
    default_options(&options);
    options.max_readers = READER_SLOTS;
    options.log_size = MIB;
    options.threads = next_random(random) % 3 == 0 ? ZDB_THREADS_NONE : ZDB_THREADS_DEFAULT;
    zdb_env *env = NULL;
    begin_wait(progress, lane, WAIT_OPEN);
    REQUIRE_OK(zdb_env_open("env", &options, &env));
    end_wait(progress, lane);
    return env;
}

/* ------------------------------------------------------------------ victims */

struct victim {
    struct progress *progress;
    unsigned process, thread;
    uint64_t seed;
};

struct shared_env {
    zdb_env *env;
    struct progress *progress;
    unsigned lane;
    uint64_t random;
};

static void read_lanes(struct shared_env *own, unsigned passes) {
    struct expectation expectation;
    expect_acknowledged(own->progress, &expectation);
    zdb_txn *txn = NULL;
    begin_wait(own->progress, own->lane, WAIT_BEGIN_READ);
    REQUIRE_OK(zdb_txn_begin(own->env, NULL, ZDB_RDONLY, &txn));
    end_wait(own->progress, own->lane);
    for (unsigned i = 0; i < passes; i++) check_lanes(own->progress, txn, &expectation);
    REQUIRE_OK(zdb_txn_abort(txn));
    atomic_fetch_add(&own->progress->reads, 1);
}

static void flush(struct shared_env *own) {
    begin_wait(own->progress, own->lane, WAIT_FLUSH);
    unsigned choice = (unsigned)(next_random(&own->random) >> 20) % 4;
    if (choice == 0) {
        zdb_compact_options options = {.struct_size = sizeof options, .max_pages = 200};
        REQUIRE_OK(zdb_env_compact(own->env, &options, NULL));
    } else if (choice == 1) {
        REQUIRE_OK(zdb_env_sync(own->env));
    } else {
        REQUIRE_OK(zdb_env_checkpoint(own->env));
        atomic_fetch_add(&own->progress->checkpoints, 1);
    }
    end_wait(own->progress, own->lane);
}

static void *work_until_killed(void *argument) {
    struct shared_env *own = (struct shared_env *)argument;
    for (;;) {
        unsigned chance = (unsigned)(next_random(&own->random) >> 20) % 100;
        if (chance < 40) {
            advance_lane(own->progress, own->env, own->lane, ZDB_DURABILITY_FULL, false);
        } else if (chance < 50) {
            advance_lane(own->progress, own->env, own->lane, ZDB_DURABILITY_RELAXED, false);
        } else if (chance < 54 && !atomic_load(&own->progress->logs_everything)) {
            advance_lane(own->progress, own->env, own->lane, ZDB_DURABILITY_NONE, false);
        } else if (chance < 58) {
            advance_lane(own->progress, own->env, own->lane, 0, true);
        } else if (chance < 60) {
            flush(own);
        } else {
            read_lanes(own, chance % 4 == 0 ? 4 : 1);
        }
    }
    return NULL;
}

/* Runs until it is killed. Some close the environment soon, and open it again. */
static void be_victim(void *argument) {
    struct victim *victim = (struct victim *)argument;
    struct shared_env shared[THREADS];
    uint64_t random = victim->seed;
    unsigned first_lane = victim->process * THREADS;
    zdb_env *env = open_stressed(&random, victim->progress, first_lane);
    while (next_random(&random) % 4 == 0) {
        advance_lane(victim->progress, env, first_lane, 0, false);
        REQUIRE_OK(zdb_env_close(env));
        env = open_stressed(&random, victim->progress, first_lane);
        atomic_fetch_add(&victim->progress->reopenings, 1);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        shared[i].env = env;
        shared[i].progress = victim->progress;
        shared[i].lane = first_lane + i;
        shared[i].random = next_random(&random);
    }
    start_thread(work_until_killed, &shared[1]);
    work_until_killed(&shared[0]);
}

static void start_victim(struct run *run, unsigned process) {
    for (unsigned i = 0; i < THREADS; i++) {
        atomic_store(&run->progress->of[process * THREADS + i].waiting_since, 0);
    }
    struct victim victim;
    victim.progress = run->progress;
    victim.process = process;
    victim.seed = next_random(&run->random);
    run->processes[process] = start_process(be_victim, &victim);
}

/* --------------------------------------------------------------- supervision */

/* A process that ends without being killed has found something wrong. */
static void reap(pid_t process) {
    int status = 0;
    REQUIRE(waitpid(process, &status, 0) == process);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return;
    if (WIFSIGNALED(status)) {
        require_failed(HERE, "a process was ended by: %s", strsignal(WTERMSIG(status)));
    }
    require_failed(HERE, "a process ended with status %d", WEXITSTATUS(status));
}

static void kill_and_reap(pid_t process) {
    REQUIRE(kill(process, SIGKILL) == 0);
    reap(process);
}

static void nap(struct run *run, unsigned longest_us) {
    struct timespec delay = {0, (long)(next_random(&run->random) % longest_us) * 1000};
    nanosleep(&delay, NULL);
}

/* A call that is still under way counts too. */
static void check_waits(struct run *run) {
    for (unsigned lane = 0; lane < run->progress->lanes; lane++) {
        struct lane_progress *of = &run->progress->of[lane];
        uint64_t since = atomic_load(&of->waiting_since);
        uint64_t now = nanoseconds_now();
        if (since == 0 || since >= now) continue;
        unsigned in = atomic_load(&of->waiting_in);
        raise_to(&run->progress->worst_wait[in], now - since);
        if (now - since > BLOCKED_MAX_NS) {
            require_failed(HERE, "lane %u has waited for %" PRIu64 " s to %s", lane,
                           (now - since) / 1000000000, wait_names[in]);
        }
    }
}

static void kill_one(struct run *run) {
    unsigned process = (unsigned)(next_random(&run->random) >> 20) % PROCESSES;
    kill_and_reap(run->processes[process]);
    run->kills++;
    start_victim(run, process);
}

static void kill_all(struct run *run) {
    /* No process must see another one die and go on. */
    for (unsigned i = 0; i < PROCESSES; i++) REQUIRE(kill(run->processes[i], SIGSTOP) == 0);
    for (unsigned i = 0; i < PROCESSES; i++) REQUIRE(kill(run->processes[i], SIGKILL) == 0);
    for (unsigned i = 0; i < PROCESSES; i++) reap(run->processes[i]);
    run->kills += PROCESSES;
    run->massacres++;
}

/* ------------------------------------------------------------- after a round */

static zdb_env *open_alone(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_readers = READER_SLOTS;
    options.log_size = MIB;
    return open_env_with("env", &options);
}

static void check_log_directory(void) {
    /* The segment in use, one before it, the next, and perhaps one that is being prepared. */
    CHECK(directory_entries("env/log") <= 6);
}

/* Every slot of the reader table can be taken, and not one more. */
static void check_reader_slots(zdb_env *env) {
    zdb_txn *readers[READER_SLOTS], *refused = NULL;
    for (unsigned i = 0; i < READER_SLOTS; i++) {
        REQUIRE_OK(zdb_txn_begin(env, NULL, ZDB_RDONLY, &readers[i]));
    }
    REQUIRE_CODE(zdb_txn_begin(env, NULL, ZDB_RDONLY, &refused), ZDB_READERS_FULL);
    for (unsigned i = 0; i < READER_SLOTS; i++) REQUIRE_OK(zdb_txn_abort(readers[i]));
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 0);
    CHECK_NUMBER(info.oldest_reader_txn, info.last_txn_id);
}

static void check_size(zdb_env *env) {
    zdb_info info;
    get_info(env, &info);
    CHECK(info.page_count <= PAGES_MAX);
}

/* With a process that has kept the environment open, no commit at all may be missing. */
static void check_survived(void *argument) {
    struct run *run = (struct run *)argument;
    alarm(CHECK_SECONDS_MAX);
    struct expectation expectation;
    expect_acknowledged(run->progress, &expectation);
    zdb_env *env = open_alone();
    zdb_txn *txn = begin_read(env);
    check_lanes(run->progress, txn, &expectation);
    abort_txn(txn);
    check_reader_slots(env);
    check_space(env);
    check_size(env);
    close_env(env);
    check_log_directory();
}

/* With no process left, all that was durable is there. Prints how much was replayed. */
static void check_recovered(void *argument) {
    struct run *run = (struct run *)argument;
    alarm(CHECK_SECONDS_MAX);
    zdb_env *env = open_alone();
    zdb_info info;
    get_info(env, &info);
    raise_to(&run->progress->replayed_max, info.recovered_records);
    atomic_fetch_add(&run->progress->replayed, info.recovered_records);
    zdb_txn *txn = begin_read(env);
    accept_lanes(run->progress, txn);
    abort_txn(txn);
    check_reader_slots(env);
    check_space(env);
    check_size(env);
    close_env(env);
    check_log_directory();
}

static void open_and_hold(void *argument) {
    (void)argument;
    open_alone();
    pause();
}

/* Recoveries that are killed before the one that ends. */
static void recover(struct run *run) {
    for (unsigned i = 0; i < RECOVERIES_KILLED; i++) {
        pid_t process = start_process(open_and_hold, NULL);
        nap(run, 4000);
        kill_and_reap(process);
        run->kills++;
    }
    run_in_process(check_recovered, run);
    REQUIRE(check_failures() == 0);
}

/* ------------------------------------------------------------------- keeper */

static void keep_open(void *argument) {
    struct gate *opened = (struct gate *)argument;
    open_alone();
    gate_give(opened);
    pause();
}

static void start_keeper(struct run *run) {
    struct gate opened;
    gate_open(&opened);
    run->keeper = start_process(keep_open, &opened);
    gate_wait(&opened);
    gate_close(&opened);
}

/* -------------------------------------------------------------------- rounds */

static void run_round(struct run *run, unsigned kills, bool is_kept) {
    atomic_store(&run->progress->logs_everything, !is_kept);
    if (is_kept) start_keeper(run);
    for (unsigned i = 0; i < PROCESSES; i++) start_victim(run, i);
    for (unsigned i = 0; i < kills; i++) {
        nap(run, DELAY_MAX_US);
        check_waits(run);
        kill_one(run);
    }
    nap(run, DELAY_MAX_US);
    kill_all(run);
    if (is_kept) {
        run_in_process(check_survived, run);
        REQUIRE(check_failures() == 0);
        kill_and_reap(run->keeper);
        run->kills++;
    }
    /* Commits that only the keeper knew of, and not the disk, are gone with it. */
    recover(run);
}

void stress_kills(unsigned kills, uint64_t seed) {
    struct run run;
    memset(&run, 0, sizeof(run));
    run.progress = new_progress(PROCESSES * THREADS);
    run.random = seed;
    uint64_t began = nanoseconds_now();
    for (unsigned round = 0; run.kills < kills; round++) {
        unsigned left = kills - run.kills;
        run_round(&run, left < KILLS_IN_ROUND ? left : KILLS_IN_ROUND, round % 2 == 0);
    }
    printf("%u kills in %.1f s", run.kills, (double)(nanoseconds_now() - began) / 1e9);
    printf(", %u times of all processes at once:\n", run.massacres);
    printf("  replayed then: %" PRIu64 " transactions, at most %" PRIu64 " at a time\n",
           atomic_load(&run.progress->replayed), atomic_load(&run.progress->replayed_max));
    print_progress(run.progress);
}
