/* Whether a commit is still there after a kill of the process right behind it: what the engines promise
 * must be known before their times are compared. A kill tells nothing of a loss of power, but
 * selftest.py counts flushes. */
#include "cases.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMITS 100

/* Commits keys one by one, then dies as by kill -9. */
_Noreturn static void commit_and_die(const struct config *config, enum engine_id id,
                                     const char *path, bool unflushed) {
    struct subject subject = {.engine = engines[id]};
    subject.env = open_at(config, engines[id], path, unflushed);
    loop_commit_new(&subject, 0, COMMITS, 1);
    kill(getpid(), SIGKILL);
    _exit(1);
}

static bool survives(const struct config *config, enum engine_id id, bool unflushed) {
    char path[PATH_MAX];
    join_path(path, config->dir, "survival");
    remove_directory(path);
    make_directory(path);
    pid_t child = fork();
    if (child == 0) {
        commit_and_die(config, id, path, unflushed);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status) ||
        WTERMSIG(status) != SIGKILL) {
        die("%s: the process to kill ended before it was killed", engines[id]->name);
    }
    struct subject subject = {.engine = engines[id]};
    subject.env = open_at(config, engines[id], path, unflushed);
    subject.txn = subject.engine->begin_read(subject.env);
    uint64_t found = 0;
    for (uint64_t number = 0; number < COMMITS; number++) {
        struct key key = key_at(number);
        struct bytes key_view = {key.words, KEY_SIZE}, value;
        found += subject.engine->get(subject.txn, &key_view, &value);
    }
    subject.engine->abort(subject.txn);
    subject.engine->close(subject.env);
    remove_directory(path);
    return found == COMMITS;
}

void print_survival(const struct config *config) {
    struct config surviving = *config;
    surviving.survives_kill = true;
    for (int id = 0; id < ENGINES; id++) {
        if (config->enabled[id]) {
            printf("%s durable=%d unflushed=%d relaxed=%d\n", engines[id]->name,
                   survives(config, (enum engine_id)id, false),
                   survives(config, (enum engine_id)id, true),
                   survives(&surviving, (enum engine_id)id, true));
            fflush(stdout);
        }
    }
}
