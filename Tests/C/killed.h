/* Processes that are killed while they work, and the entries that they have committed. */
#ifndef KILLED_H
#define KILLED_H

#include "support.h"

/** Runs a function, which ends with die(), in a child process that is then killed with SIGKILL. */
void run_until_killed(void (*run)(void *), void *argument);

/** In the child: says that it is ready to be killed, and waits for that. */
void die(void);

/** Commits the entry of put_numbered() with that number. */
void commit_one(zdb_env *env, unsigned number);

/** Commits put_numbered()'s entries one by one. */
void commit_each(zdb_env *env, unsigned count);

/** A child does that in "env", and is killed. */
void leave_to_recover(unsigned count);

/** The environment is sound, and its main database holds just those entries. */
void expect_entries(zdb_env *env, unsigned count);

zdb_info info_of(zdb_env *env);

#endif /* KILLED_H */
