/* Several processes in one environment, none of which inherits anything from another. */
#include <stdlib.h>

#include "partner.h"
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

/* ------------------------------------------------------------- many committers */

enum { COMMITTERS = 3, COMMITS = 40 };

struct committer {
    zdb_env *env;
    unsigned number;
};

static zdb_val committers_key(char buffer[KEY_BYTES], unsigned committer, unsigned commit_number) {
    return numbered(buffer, "key", committer * 1000 + commit_number);
}

/* A thread sees its commit at once, as does every thread that begins to read then. */
static void *commit_often(void *argument) {
    struct committer *own = (struct committer *)argument;
    for (unsigned i = 0; i < repetitions(COMMITS); i++) {
        char key_text[KEY_BYTES], value_text[KEY_BYTES];
        zdb_val key = committers_key(key_text, own->number, i);
        zdb_val value = numbered_value(value_text, own->number);
        zdb_txn *txn = begin_write(own->env);
        uint64_t id = zdb_txn_id(txn);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        commit(txn);
        txn = begin_read(own->env);
        CHECK(zdb_txn_id(txn) >= id);
        expect_text(txn, ZDB_MAIN_DB, key_text, value_text);
        abort_txn(txn);
    }
    return NULL;
}

static void commit_from_threads(void *argument) {
    unsigned process = *(const unsigned *)argument;
    struct committer committers[COMMITTERS];
    pthread_t threads[COMMITTERS];
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < COMMITTERS; i++) {
        committers[i].env = env;
        committers[i].number = process * COMMITTERS + i;
        threads[i] = start_thread(commit_often, &committers[i]);
    }
    for (unsigned i = 0; i < COMMITTERS; i++) join_thread(threads[i]);
    close_env(env);
}

static void commits_of_many_threads_and_processes_are_seen_when_they_return(void) {
    pid_t processes[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++) {
        processes[i] = start_process(commit_from_threads, &i);
    }
    for (unsigned i = 0; i < PROCESSES; i++) finish_process(processes[i]);
    zdb_env *env = open_env("env");
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.recovered_records, 0);
    zdb_txn *txn = begin_read(env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), PROCESSES * COMMITTERS * repetitions(COMMITS));
    for (unsigned i = 0; i < PROCESSES * COMMITTERS; i++) {
        for (unsigned j = 0; j < repetitions(COMMITS); j++) {
            char key_text[KEY_BYTES], value_text[KEY_BYTES];
            committers_key(key_text, i, j);
            numbered_value(value_text, i);
            expect_text(txn, ZDB_MAIN_DB, key_text, value_text);
        }
    }
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

static void write_step_by_step(struct partner *partner) {
    partner_wait(partner);
    zdb_env *env = open_env("env");
    for (unsigned i = 1; i <= 10; i++) {
        zdb_txn *txn = begin_write(env);
        write_counter(txn, i);
        commit(txn);
        partner_done(partner);
        partner_wait(partner);
    }
    close_env(env);
    partner_done(partner);
}

static void a_process_sees_the_commits_of_another(void) {
    struct partner partner;
    start_partner(&partner, write_step_by_step, NULL);
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

/* Keeps the environment open until it is told to close it, so that no process after it is the
 * first to open and makes the shared state anew. */
static void keep_open(struct partner *partner) {
    zdb_env *env = open_env("env");
    partner_done(partner);
    partner_wait(partner);
    close_env(env);
}

static void leave_a_write_unfinished(struct partner *partner) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 1000);
    partner_done(partner);
    partner_wait(partner); /* in vain */
}

static void leave_readers_behind(struct partner *partner) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < 3; i++) begin_read(env);
    partner_done(partner);
    partner_wait(partner); /* in vain */
}

static void write_after_a_writer_was_killed(unsigned entries_before) {
    struct partner partner;
    start_partner(&partner, leave_a_write_unfinished, NULL);
    await_partner(&partner);
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
    start_partner(&keeper, keep_open, NULL);
    await_partner(&keeper);
    for (unsigned i = 3; i < 6; i++) write_after_a_writer_was_killed(i);
    tell_partner(&keeper);
    finish_partner(&keeper);
}

static void readers_that_are_killed_leave_nothing_behind(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_readers = 3;
    for (unsigned i = 0; i < 3; i++) {
        struct partner partner;
        start_partner(&partner, leave_readers_behind, NULL);
        await_partner(&partner);
        kill_partner(&partner);
        /* The next process that opens alone finds every place free. */
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

/* The child is told to write while another process has the writer's lock: it answers when it has
 * got the lock. */
static void write_when_it_is_possible(struct partner *partner) {
    zdb_env *env = open_env("env");
    partner_done(partner);
    partner_wait(partner);
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "after the wait");
    commit(txn);
    partner_done(partner);
    partner_wait(partner);
    close_env(env);
}

static void *write_from_thread(void *argument) {
    zdb_txn *txn = begin_write((zdb_env *)argument);
    put_text(txn, ZDB_MAIN_DB, "l", "after the wait");
    commit(txn);
    return NULL;
}

/* While only one process has the environment open, it writes without the lock that the kernel
 * keeps. A process that comes then waits for it all the same. */
static void add_one_slowly(struct partner *partner) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    unsigned counter = read_counter(txn);
    partner_done(partner);
    partner_wait(partner);
    write_counter(txn, counter + 1);
    commit(txn);
    partner_wait(partner);
    close_env(env);
}

static void *add_one_from_thread(void *argument) {
    zdb_txn *txn = begin_write((zdb_env *)argument);
    write_counter(txn, read_counter(txn) + 1);
    commit(txn);
    return NULL;
}

/* Starts a thread that writes, and gives it enough time to get in if it does not wait for the
 * lock. */
static pthread_t start_impatient_thread(void *(*run)(void *), zdb_env *env) {
    pthread_t thread = start_thread(run, env);
    struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
    return thread;
}

static void a_process_that_comes_later_waits_for_a_lone_writer(void) {
    for (unsigned i = 0; i < 5; i++) {
        struct partner partner;
        start_partner(&partner, add_one_slowly, NULL);
        await_partner(&partner);
        zdb_env *env = open_env("env");
        pthread_t thread = start_impatient_thread(add_one_from_thread, env);
        tell_partner(&partner);
        join_thread(thread);
        add_one_from_thread(env);
        zdb_txn *txn = begin_read(env);
        CHECK_NUMBER(read_counter(txn), 3 * (i + 1));
        abort_txn(txn);
        tell_partner(&partner);
        finish_partner(&partner);
        /* The process is alone again, with all that the other wrote. */
        abort_txn(begin_write(env));
        expect_sound(env);
        close_env(env);
    }
}

static void a_process_that_waits_for_a_lone_writer_goes_on_when_it_is_killed(void) {
    struct partner holder;
    start_partner(&holder, leave_a_write_unfinished, NULL);
    await_partner(&holder);
    zdb_env *env = open_env("env");
    pthread_t thread = start_impatient_thread(write_from_thread, env);
    kill_partner(&holder);
    join_thread(thread);
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "l", "after the wait");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void a_process_that_waits_for_a_writer_goes_on_when_the_writer_is_killed(void) {
    struct partner holder, waiting;
    zdb_env *env = open_env("env");
    start_partner(&waiting, write_when_it_is_possible, NULL);
    await_partner(&waiting);
    start_partner(&holder, leave_a_write_unfinished, NULL);
    await_partner(&holder);
    tell_partner(&waiting);
    /* Valgrind does not know that a call waits for this type of lock, and stops the other
     * threads. */
    bool has_thread = !tests_run_slowly();
    pthread_t thread = pthread_self();
    if (has_thread) thread = start_thread(write_from_thread, env);
    kill_partner(&holder);
    await_partner(&waiting);
    if (has_thread)
        join_thread(thread);
    else
        write_from_thread(env);
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "after the wait");
    expect_text(txn, ZDB_MAIN_DB, "l", "after the wait");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 2);
    abort_txn(txn);
    expect_sound(env);
    tell_partner(&waiting);
    finish_partner(&waiting);
    close_env(env);
}

/* -------------------------------------------------------- shared by all of them */

static void commit_and_check_info(struct partner *partner) {
    zdb_env *env = open_env("env");
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.recovered_records, 0);
    uint64_t newest = info.last_txn_id;
    zdb_txn *txn = begin_at(HERE, env, ZDB_DURABILITY_NONE);
    put_text(txn, ZDB_MAIN_DB, "k", "not logged");
    commit(txn);
    partner_done(partner);
    partner_wait(partner);
    /* The other process has made a checkpoint. */
    get_info(env, &info);
    CHECK_NUMBER(info.last_txn_id, newest + 1);
    CHECK_NUMBER(info.checkpoint_txn_id, newest + 1);
    CHECK_NUMBER(info.log_bytes, 0);
    partner_done(partner);
    partner_wait(partner); /* in vain */
}

static void a_checkpoint_counts_for_all_processes(void) {
    struct partner partner;
    zdb_env *env = open_env("env");
    start_partner(&partner, commit_and_check_info, NULL);
    await_partner(&partner);
    zdb_info info;
    get_info(env, &info);
    CHECK(info.checkpoint_txn_id < info.last_txn_id);
    REQUIRE_OK(zdb_env_sync(env));
    get_info(env, &info);
    CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
    let_partner_step(&partner);
    kill_partner(&partner);
    close_env(env);
    env = open_env("env");
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "not logged");
    abort_txn(txn);
    close_env(env);
}

static void commit_without_durability_and_wait(struct partner *partner) {
    zdb_env *env = open_env("env");
    for (unsigned i = 1; i <= 5; i++) {
        zdb_txn *txn = begin_at(HERE, env, ZDB_DURABILITY_NONE);
        write_counter(txn, i);
        commit(txn);
    }
    partner_done(partner);
    partner_wait(partner); /* in vain */
}

static void surviving_processes_keep_the_commits_of_killed_ones(void) {
    struct partner partner;
    zdb_env *env = open_env("env");
    start_partner(&partner, commit_without_durability_and_wait, NULL);
    await_partner(&partner);
    kill_partner(&partner);
    zdb_txn *txn = begin_read(env);
    CHECK_NUMBER(read_counter(txn), 5);
    abort_txn(txn);
    close_env(env);
    env = open_env("env");
    txn = begin_read(env);
    CHECK_NUMBER(read_counter(txn), 5);
    abort_txn(txn);
    close_env(env);
}

static void commit_and_close(void *argument) {
    zdb_env *env = open_env("env");
    gate_give((struct gate *)argument);
    for (unsigned i = 0; i < 5; i++) {
        zdb_txn *txn = begin_write(env);
        write_counter(txn, read_counter(txn) + 1);
        commit(txn);
    }
    close_env(env);
}

static void the_last_process_to_close_leaves_nothing_to_replay(void) {
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_RDONLY;
    for (unsigned i = 0; i < repetitions(20); i++) {
        struct gate opened;
        pid_t processes[PROCESSES];
        gate_open(&opened);
        for (unsigned j = 0; j < PROCESSES; j++) {
            processes[j] = start_process(commit_and_close, &opened);
        }
        for (unsigned j = 0; j < PROCESSES; j++) gate_wait(&opened);
        for (unsigned j = 0; j < PROCESSES; j++) finish_process(processes[j]);
        gate_close(&opened);
        zdb_env *env = open_env_with("env", &options);
        zdb_txn *txn = begin_read(env);
        CHECK_NUMBER(read_counter(txn), (i + 1) * PROCESSES * 5);
        abort_txn(txn);
        close_env(env);
    }
}

static const struct test tests[] = {
    TEST(processes_take_turns_at_writing),
    TEST(commits_of_many_threads_and_processes_are_seen_when_they_return),
    TEST(a_process_that_waits_for_a_writer_goes_on_when_the_writer_is_killed),
    TEST(a_process_that_comes_later_waits_for_a_lone_writer),
    TEST(a_process_that_waits_for_a_lone_writer_goes_on_when_it_is_killed),
    TEST(a_checkpoint_counts_for_all_processes),
    TEST(surviving_processes_keep_the_commits_of_killed_ones),
    TEST(the_last_process_to_close_leaves_nothing_to_replay),
    TEST(opening_while_another_process_writes_finds_a_sound_environment),
    TEST(a_process_sees_the_commits_of_another),
    TEST(a_writer_that_is_killed_blocks_no_one),
    TEST(readers_that_are_killed_leave_nothing_behind),
};

DEFINE_SUITE(processes, tests);
