/* Children that fork() made: inherited handles return ZDB_FORKED, handles that a child opens
 * work, and no child affects the parent's environment. */
#include <stdlib.h>
#include <unistd.h>

#include "calls.h"
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

static const struct test tests[] = {
    TEST(every_inherited_handle_says_so),
    TEST(a_child_that_just_exits_does_no_harm),
    TEST(inherited_handles_are_refused_in_a_grandchild_too),
    TEST(a_child_opens_another_environment),
    TEST(a_child_opens_an_environment_that_its_parent_has_closed),
    TEST(a_child_opens_anew_an_environment_that_its_parent_has_open),
    TEST(a_fork_amid_busy_threads_is_recognised),
};

DEFINE_SUITE(fork, tests);
