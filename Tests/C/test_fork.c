/* Children that fork() made: inherited handles return ZDB_FORKED, handles that a child opens
 * work, and no child affects the parent's environment. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "calls.h"
#include "lock_file.h"
#include "suites.h"
#include "support.h"

/* The handles that a child inherits. */
struct inheritance {
    zdb_env *env;
    zdb_txn *writer, *reader;
    zdb_cursor *cursor;
};

static struct inheritance make_inheritance(void) {
    struct inheritance inheritance;
    inheritance.env = open_env("env");
    zdb_txn *txn = begin_write(inheritance.env);
    put_numbered(txn, ZDB_MAIN_DB, 100);
    commit(txn);
    inheritance.reader = begin_read(inheritance.env);
    inheritance.writer = begin_write(inheritance.env);
    put_text(inheritance.writer, ZDB_MAIN_DB, "pending", "v");
    inheritance.cursor = open_cursor(inheritance.reader, ZDB_MAIN_DB);
    expect_entry(inheritance.cursor, ZDB_FIRST, "key00000000");
    return inheritance;
}

/* The parent goes on as if there had never been a child. */
static void check_and_close(struct inheritance *inheritance) {
    expect_entry(inheritance->cursor, ZDB_GET_CURRENT, "key00000000");
    expect_numbered(inheritance->reader, ZDB_MAIN_DB, 100);
    close_cursor(inheritance->cursor);
    abort_txn(inheritance->reader);
    expect_text(inheritance->writer, ZDB_MAIN_DB, "pending", "v");
    put_text(inheritance->writer, ZDB_MAIN_DB, "pending too", "w");
    commit(inheritance->writer);
    zdb_txn *txn = begin_read(inheritance->env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 102);
    abort_txn(txn);
    expect_sound(inheritance->env);
    close_env(inheritance->env);

    zdb_env *env = open_env("env");
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "pending too", "w");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 102);
    abort_txn(txn);
    close_env(env);
}

static void use_inherited_handles(void *argument) {
    struct inheritance *inheritance = (struct inheritance *)argument;
    zdb_env *own = open_env("own");
    zdb_txn *own_txn = begin_read(own);
    check_cursor_calls(HERE, inheritance->cursor, own_txn, ZDB_FORKED, ZDB_FORKED);
    abort_txn(own_txn);
    close_env(own);
    check_txn_calls(HERE, inheritance->writer, ZDB_FORKED, ZDB_FORKED);
    check_txn_calls(HERE, inheritance->reader, ZDB_FORKED, ZDB_FORKED);
    check_env_calls(HERE, inheritance->env, ZDB_FORKED, ZDB_FORKED);
    CHECK_CONTAINS(zdb_last_error(), "fork");
}

static void every_inherited_handle_says_so(void) {
    struct inheritance inheritance = make_inheritance();
    run_in_process(use_inherited_handles, &inheritance);
    check_and_close(&inheritance);
}

static void do_nothing(void *argument) {
    (void)argument;
}

static void a_child_that_just_exits_does_no_harm(void) {
    struct inheritance inheritance = make_inheritance();
    for (unsigned i = 0; i < 3; i++) run_in_process(do_nothing, NULL);
    check_and_close(&inheritance);
}

static void use_grandchild(void *argument) {
    run_in_process(use_inherited_handles, argument);
    use_inherited_handles(argument);
}

static void inherited_handles_are_refused_in_a_grandchild_too(void) {
    struct inheritance inheritance = make_inheritance();
    run_in_process(use_grandchild, &inheritance);
    check_and_close(&inheritance);
}

/* Opens an environment, writes, reads, verifies and closes. */
static void use_environment(const char *path) {
    zdb_env *env = open_env(path);
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, create_db(txn, "of the child"), 200);
    commit(txn);
    txn = begin_read(env);
    expect_numbered(txn, open_db(txn, "of the child"), 200);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void use_another_environment(void *argument) {
    use_inherited_handles(argument);
    use_environment("another");
    use_inherited_handles(argument);
}

static void a_child_opens_another_environment(void) {
    struct inheritance inheritance = make_inheritance();
    run_in_process(use_another_environment, &inheritance);
    check_and_close(&inheritance);
    zdb_env *env = open_env("another");
    zdb_txn *txn = begin_read(env);
    expect_numbered(txn, open_db(txn, "of the child"), 200);
    abort_txn(txn);
    close_env(env);
}

static void use_parents_environment(void *argument) {
    (void)argument;
    use_environment("env");
}

static void expect_what_the_child_put(zdb_env *env) {
    zdb_txn *txn = begin_read(env);
    expect_numbered(txn, ZDB_MAIN_DB, 100);
    expect_numbered(txn, open_db(txn, "of the child"), 200);
    abort_txn(txn);
    expect_sound(env);
}

static void a_child_opens_an_environment_that_its_parent_has_closed(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 100);
    commit(txn);
    close_env(env);
    run_in_process(use_parents_environment, NULL);
    env = open_env("env");
    expect_what_the_child_put(env);
    close_env(env);
}

static void a_child_opens_anew_an_environment_that_its_parent_has_open(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 100);
    commit(txn);
    run_in_process(use_parents_environment, NULL);
    expect_what_the_child_put(env);
    txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "the parent writes on");
    commit(txn);
    close_env(env);
}

static void *begin_and_end_readers(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    for (unsigned i = 0; i < repetitions(20000); i++) abort_txn(begin_read(env));
    return NULL;
}

static void *fail_often(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    for (unsigned i = 0; i < repetitions(20000); i++) {
        zdb_txn *txn;
        CHECK_CODE(zdb_txn_begin(env, NULL, 0x80000000u, &txn), ZDB_BAD_ARGUMENT);
    }
    return NULL;
}

static void use_inherited_environment(void *argument) {
    check_env_calls(HERE, (zdb_env *)argument, ZDB_FORKED, ZDB_FORKED);
}

static void a_fork_amid_busy_threads_is_recognised(void) {
    zdb_env *env = open_env("env");
    pthread_t busy = start_thread(begin_and_end_readers, env);
    /* Memory that belongs to a thread that the child does not have is lost there, as memcheck
     * notices. */
    bool fails = !tests_run_slowly();
    pthread_t failing = busy;
    if (fails) failing = start_thread(fail_often, env);
    for (unsigned i = 0; i < repetitions(20); i++) run_in_process(use_inherited_environment, env);
    join_thread(busy);
    if (fails) join_thread(failing);
    expect_sound(env);
    close_env(env);
}

/* Whether a process holds a lock on any byte of env/lock.zdb. */
static bool locks_are_held(void) {
    int descriptor = open("env/lock.zdb", O_RDWR);
    REQUIRE(descriptor >= 0);
    struct flock lock = lock_of_bytes(F_WRLCK, 0, 0);
    REQUIRE(fcntl(descriptor, F_GETLK, &lock) == 0);
    REQUIRE(close(descriptor) == 0);
    return lock.l_type != F_UNLCK;
}

/* The system closes the files of a process that has ended a moment later, and a child gives up what it
 * has inherited when it first runs. If a lock stays, the test does not come to an end. */
static void wait_until_no_locks_are_held(void) {
    while (locks_are_held()) sched_yield();
}

/* Starts a child that lives until the gate is given, whatever becomes of its parent. */
static void fork_child_that_waits(struct gate *gate) {
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child > 0) return;
    gate_only_wait(gate);
    gate_wait(gate);
    _exit(0);
}

static void leave_transactions_and_a_child(void *argument) {
    zdb_env *env = open_env_to_leave("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 100);
    commit(txn);
    begin_read(env);
    begin_write(env);
    CHECK(locks_are_held());
    fork_child_that_waits((struct gate *)argument);
    _exit(check_failures() == 0 ? 0 : 1);
}

static void locks_end_with_their_process_although_its_child_lives(void) {
    struct gate gate;
    gate_open(&gate);
    run_in_process(leave_transactions_and_a_child, &gate);
    wait_until_no_locks_are_held();
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 0);
    close_env(env);
    gate_give(&gate);
    gate_close(&gate);
}

/* What threads do while others fork: one opens and closes "env", one finds it open. */
struct opening {
    bool ended;
    uint64_t opened;
};

static void *open_and_close(void *argument) {
    struct opening *opening = (struct opening *)argument;
    zdb_env_options options;
    default_options(&options);
    options.max_size = 1 << 20;
    /* Without a limit the kernel keeps the thread until the other has opened, and valgrind (3.19) all
     * others with it: it does not expect F_OFD_SETLKW to wait. */
    options.writer_wait_ms = 600000;
    while (!__atomic_load_n(&opening->ended, __ATOMIC_ACQUIRE)) {
        zdb_env *env;
        int code = zdb_env_open("env", &options, &env);
        if (code == ZDB_BUSY) continue;
        REQUIRE_OK(code);
        /* The library's threads are at work too. */
        zdb_txn *txn = begin_at(HERE, env, ZDB_DURABILITY_NONE);
        put_text(txn, ZDB_MAIN_DB, "k", "v");
        commit(txn);
        close_env(env);
        __atomic_add_fetch(&opening->opened, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void open_and_close_in_child(void *argument) {
    (void)argument;
    use_environment("own");
    remove_tree("own");
}

static void a_child_opens_whatever_other_threads_of_its_parent_are_doing(void) {
    struct opening opening = {false, 0};
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) threads[i] = start_thread(open_and_close, &opening);
    unsigned forks = 0;
    while (forks < repetitions(60) ||
           __atomic_load_n(&opening.opened, __ATOMIC_RELAXED) < repetitions(20)) {
        run_in_process(open_and_close_in_child, NULL);
        forks++;
    }
    __atomic_store_n(&opening.ended, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < 2; i++) join_thread(threads[i]);
}

static void no_child_keeps_locks_that_its_parent_was_taking_or_giving_back(void) {
    struct opening opening = {false, 0};
    pthread_t thread = start_thread(open_and_close, &opening);
    struct gate gate;
    gate_open(&gate);
    enum { CHILDREN = 100 };
    for (unsigned i = 0; i < CHILDREN; i++) {
        uint64_t before = __atomic_load_n(&opening.opened, __ATOMIC_RELAXED);
        fork_child_that_waits(&gate);
        /* Not all at the same point of one opening. */
        while (i % 8 == 0 && __atomic_load_n(&opening.opened, __ATOMIC_RELAXED) == before) {}
    }
    __atomic_store_n(&opening.ended, true, __ATOMIC_RELEASE);
    join_thread(thread);
    wait_until_no_locks_are_held();
    for (unsigned i = 0; i < CHILDREN; i++) gate_give(&gate);
    gate_close(&gate);
}

/* What the parent has open keeps its numbers in the child, so that nothing that the child opens is taken
 * for it. */
static void expect_no_free_descriptor(void *argument) {
    (void)argument;
    CHECK(open("/dev/null", O_RDONLY) == -1 && errno == EMFILE);
}

static void a_child_of_a_process_without_free_descriptors_gets_none(void) {
    zdb_env *env = open_env("env");
    struct rlimit limit;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 64;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (open("/dev/null", O_RDONLY) >= 0) {
    }
    run_in_process(expect_no_free_descriptor, NULL);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_child_of_a_process_without_free_descriptors_gets_none),
    TEST(every_inherited_handle_says_so),
    TEST(a_child_that_just_exits_does_no_harm),
    TEST(inherited_handles_are_refused_in_a_grandchild_too),
    TEST(a_child_opens_another_environment),
    TEST(a_child_opens_an_environment_that_its_parent_has_closed),
    TEST(a_child_opens_anew_an_environment_that_its_parent_has_open),
    TEST(a_fork_amid_busy_threads_is_recognised),
    TEST(locks_end_with_their_process_although_its_child_lives),
    TEST(a_child_opens_whatever_other_threads_of_its_parent_are_doing),
    TEST(no_child_keeps_locks_that_its_parent_was_taking_or_giving_back),
};

DEFINE_SUITE(fork, tests);
