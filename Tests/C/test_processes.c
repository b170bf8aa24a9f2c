/* Several processes in one environment, none of which inherits anything from another. */
#include <signal.h>
#include <sys/wait.h>

#include "suites.h"
#include "support.h"

enum { PROCESSES = 3 };

static unsigned read_counter(zdb_txn *txn) {
    zdb_val key = text("counter"), value = nothing();
    unsigned counter = 0;
    int code = zdb_get(txn, ZDB_MAIN_DB, &key, &value);
    CHECK_EITHER(code, ZDB_OK, ZDB_NOT_FOUND);
    if (code == ZDB_OK && value.size == sizeof(counter)) {
        memcpy(&counter, value.data, sizeof(counter));
    }
    return counter;
}

static void write_counter(zdb_txn *txn, unsigned counter) {
    zdb_val key = text("counter"), value = bytes(&counter, sizeof(counter));
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
}

static void count_up(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < repetitions(100); i++) {
        zdb_txn *txn = begin_write(env);
        write_counter(txn, read_counter(txn) + 1);
        commit(txn);
    }
    close_env(env);
}

static void processes_take_turns_at_writing(void) {
    pid_t processes[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++) processes[i] = start_process(count_up, NULL);
    for (unsigned i = 0; i < PROCESSES; i++) finish_process(processes[i]);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    CHECK_NUMBER(read_counter(txn), PROCESSES * repetitions(100));
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

/* A child that does one step whenever it is told to, and says when it has. */
struct partner {
    struct gate step, done;
};

static void open_partner(struct partner *partner) {
    gate_open(&partner->step);
    gate_open(&partner->done);
}

static void close_partner(struct partner *partner) {
    gate_close(&partner->step);
    gate_close(&partner->done);
}

static void let_partner_step(struct partner *partner) {
    gate_give(&partner->step);
    gate_wait(&partner->done);
}

static void write_step_by_step(void *argument) {
    struct partner *partner = (struct partner *)argument;
    gate_wait(&partner->step);
    zdb_env *env = open_env("env");
    for (unsigned i = 1; i <= 10; i++) {
        zdb_txn *txn = begin_write(env);
        write_counter(txn, i);
        commit(txn);
        gate_give(&partner->done);
        gate_wait(&partner->step);
    }
    close_env(env);
    gate_give(&partner->done);
}

static void a_process_sees_the_commits_of_another(void) {
    struct partner partner;
    open_partner(&partner);
    pid_t process = start_process(write_step_by_step, &partner);
    zdb_env *env = open_env("env");
    zdb_txn *old = begin_read(env);
    for (unsigned i = 1; i <= 10; i++) {
        let_partner_step(&partner);
        zdb_txn *txn = begin_read(env);
        CHECK_NUMBER(read_counter(txn), i);
        abort_txn(txn);
        CHECK_NUMBER(read_counter(old), 0);
    }
    let_partner_step(&partner);
    abort_txn(old);
    expect_sound(env);
    close_env(env);
    finish_process(process);
    close_partner(&partner);
}

/* Keeps an environment with a small reader table open until it is told to close it, so that
 * nobody after it is the first to open and sets up anew what the processes share. */
static void keep_open(void *argument) {
    struct partner *partner = (struct partner *)argument;
    zdb_env_options options;
    default_options(&options);
    options.max_readers = 4;
    zdb_env *env = open_env_with("env", &options);
    gate_give(&partner->done);
    gate_wait(&partner->step);
    close_env(env);
}

static pid_t start_keeper(struct partner *partner) {
    open_partner(partner);
    pid_t keeper = start_process(keep_open, partner);
    gate_wait(&partner->done);
    return keeper;
}

static void finish_keeper(struct partner *partner, pid_t keeper) {
    gate_give(&partner->step);
    finish_process(keeper);
    close_partner(partner);
}

static void wait_to_be_killed(struct partner *partner) {
    gate_give(&partner->done);
    for (;;) gate_wait(&partner->step);
}

static void leave_a_write_unfinished(void *argument) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 1000);
    wait_to_be_killed((struct partner *)argument);
}

static void leave_readers_behind(void *argument) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < 3; i++) begin_read(env);
    wait_to_be_killed((struct partner *)argument);
}

static void start_and_kill(void (*run)(void *)) {
    struct partner partner;
    open_partner(&partner);
    pid_t process = start_process(run, &partner);
    gate_wait(&partner.done);
    REQUIRE(kill(process, SIGKILL) == 0);
    int status;
    REQUIRE(waitpid(process, &status, 0) == process);
    close_partner(&partner);
}

static void write_after_a_writer_was_killed(unsigned entries_before) {
    start_and_kill(leave_a_write_unfinished);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), entries_before);
    char key[KEY_BYTES];
    numbered(key, "kept ", entries_before);
    put_text(txn, ZDB_MAIN_DB, key, "v");
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void a_writer_that_is_killed_blocks_no_one(void) {
    for (unsigned i = 0; i < 3; i++) write_after_a_writer_was_killed(i);
    struct partner partner;
    pid_t keeper = start_keeper(&partner);
    for (unsigned i = 3; i < 6; i++) write_after_a_writer_was_killed(i);
    finish_keeper(&partner, keeper);
}

static void readers_that_are_killed_leave_their_places(void) {
    struct partner partner;
    pid_t keeper = start_keeper(&partner);
    for (unsigned i = 0; i < 3; i++) start_and_kill(leave_readers_behind);
    zdb_env *env = open_env("env");
    zdb_txn *readers[4];
    for (unsigned i = 0; i < 4; i++) readers[i] = begin_read(env);
    for (unsigned i = 0; i < 4; i++) abort_txn(readers[i]);
    close_env(env);
    finish_keeper(&partner, keeper);
}

static const struct test tests[] = {
    TEST(processes_take_turns_at_writing),
    TEST(a_process_sees_the_commits_of_another),
    TEST(a_writer_that_is_killed_blocks_no_one),
    TEST(readers_that_are_killed_leave_their_places),
};

DEFINE_SUITE(processes, tests);
