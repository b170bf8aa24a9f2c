#include "killed.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* The byte that the child of run_until_killed() sends when it is ready to be killed. */
static struct gate ready;

void die(void) {
    REQUIRE(check_failures() == 0);
    gate_give(&ready);
    for (;;) pause();
}

/* The parent sends the signal, so that a tool that the child runs under cannot mistake it for an
 * orderly end. */
void run_until_killed(void (*run)(void *), void *argument) {
    gate_open(&ready);
    pid_t process = start_process(run, argument);
    gate_only_wait(&ready);
    gate_wait(&ready);
    REQUIRE(kill(process, SIGKILL) == 0);
    int status = 0;
    REQUIRE(waitpid(process, &status, 0) == process);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    gate_close(&ready);
}

void commit_one(zdb_env *env, unsigned number) {
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    zdb_txn *txn = begin_write(env);
    zdb_val key = numbered(key_text, "key", number), value = numbered_value(value_text, number);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    commit(txn);
}

void commit_each(zdb_env *env, unsigned count) {
    for (unsigned i = 0; i < count; i++) commit_one(env, i);
}

void expect_entries(zdb_env *env, unsigned count) {
    zdb_txn *txn = begin_read(env);
    expect_numbered(txn, ZDB_MAIN_DB, count);
    abort_txn(txn);
    expect_sound(env);
}

zdb_info info_of(zdb_env *env) {
    zdb_info info;
    get_info(env, &info);
    return info;
}

static void commit_and_die(void *argument) {
    commit_each(open_env("env"), *(const unsigned *)argument);
    die();
}

void leave_to_recover(unsigned count) {
    run_until_killed(commit_and_die, &count);
}
