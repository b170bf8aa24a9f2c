/* Several processes in one environment, none of which inherits anything from another. */
#include <signal.h>
#include <stdlib.h>
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
    for (unsigned i = 0; i < repetitions(50); i++) {
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
    CHECK_NUMBER(read_counter(txn), PROCESSES * repetitions(50));
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

/* Each commit makes the file grow. */
static void grow(void *argument) {
    (void)argument;
    char key_text[KEY_BYTES];
    void *memory = new_pattern(20000, 1);
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < repetitions(200); i++) {
        zdb_txn *txn = begin_write(env);
        zdb_val key = numbered(key_text, "key", i), value = bytes(memory, 20000);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        commit(txn);
    }
    close_env(env);
    free(memory);
}

static void opening_while_another_process_writes_finds_a_sound_environment(void) {
    pid_t process = start_process(grow, NULL);
    uint64_t newest = 0;
    for (unsigned i = 0; i < repetitions(200); i++) {
        zdb_env *env = open_env("env");
        zdb_txn *txn = begin_read(env);
        CHECK(zdb_txn_id(txn) >= newest);
        newest = zdb_txn_id(txn);
        zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
        zdb_val value = nothing();
        int code = zdb_cursor_get(cursor, NULL, &value, ZDB_LAST);
        CHECK_EITHER(code, ZDB_OK, ZDB_NOT_FOUND);
        if (code == ZDB_OK) CHECK(value.size == 20000 && has_pattern(value.data, 20000, 1));
        close_cursor(cursor);
        abort_txn(txn);
        close_env(env);
    }
    finish_process(process);
}

/* A child that does one step whenever it is told to, and says when it has. */
struct partner {
    struct gate step, done;
    pid_t process;
    void (*run)(struct partner *partner);
};

static void run_partner(void *argument) {
    struct partner *partner = (struct partner *)argument;
    gate_only_wait(&partner->step);
    gate_only_give(&partner->done);
    partner->run(partner);
}

static void start_partner(struct partner *partner, void (*run)(struct partner *partner)) {
    gate_open(&partner->step);
    gate_open(&partner->done);
    partner->run = run;
    partner->process = start_process(run_partner, partner);
    gate_only_give(&partner->step);
    gate_only_wait(&partner->done);
}

static void let_partner_step(struct partner *partner) {
    gate_give(&partner->step);
    gate_wait(&partner->done);
}

static void finish_partner(struct partner *partner) {
    finish_process(partner->process);
    gate_close(&partner->step);
    gate_close(&partner->done);
}

static void kill_partner(struct partner *partner) {
    REQUIRE(kill(partner->process, SIGKILL) == 0);
    int status;
    REQUIRE(waitpid(partner->process, &status, 0) == partner->process);
    gate_close(&partner->step);
    gate_close(&partner->done);
}

static void write_step_by_step(struct partner *partner) {
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
    start_partner(&partner, write_step_by_step);
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
    finish_partner(&partner);
}

/* Keeps the environment open until it is told to close it, so that nobody after it is the first
 * to open and sets up anew what the processes share. */
static void keep_open(struct partner *partner) {
    zdb_env *env = open_env("env");
    gate_give(&partner->done);
    gate_wait(&partner->step);
    close_env(env);
}

static void leave_a_write_unfinished(struct partner *partner) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 1000);
    gate_give(&partner->done);
    gate_wait(&partner->step); /* in vain */
}

static void leave_readers_behind(struct partner *partner) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < 3; i++) begin_read(env);
    gate_give(&partner->done);
    gate_wait(&partner->step); /* in vain */
}

static void write_after_a_writer_was_killed(unsigned entries_before) {
    struct partner partner;
    start_partner(&partner, leave_a_write_unfinished);
    gate_wait(&partner.done);
    kill_partner(&partner);

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
    struct partner keeper;
    start_partner(&keeper, keep_open);
    gate_wait(&keeper.done);
    for (unsigned i = 3; i < 6; i++) write_after_a_writer_was_killed(i);
    gate_give(&keeper.step);
    finish_partner(&keeper);
}

static void readers_that_are_killed_leave_nothing_behind(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_readers = 3;
    for (unsigned i = 0; i < 3; i++) {
        struct partner partner;
        start_partner(&partner, leave_readers_behind);
        gate_wait(&partner.done);
        kill_partner(&partner);
        /* The next to open alone finds every place free. */
        zdb_env *env = open_env_with("env", &options);
        zdb_txn *readers[3];
        for (unsigned j = 0; j < 3; j++) readers[j] = begin_read(env);
        for (unsigned j = 0; j < 3; j++) abort_txn(readers[j]);
        zdb_info info;
        get_info(env, &info);
        CHECK_NUMBER(info.readers, 0);
        CHECK_NUMBER(info.oldest_reader_txn, info.last_txn_id);
        close_env(env);
    }
}

static const struct test tests[] = {
    TEST(processes_take_turns_at_writing),
    TEST(opening_while_another_process_writes_finds_a_sound_environment),
    TEST(a_process_sees_the_commits_of_another),
    TEST(a_writer_that_is_killed_blocks_no_one),
    TEST(readers_that_are_killed_leave_nothing_behind),
};

DEFINE_SUITE(processes, tests);
