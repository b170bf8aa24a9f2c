/* Helpers that the tests share: short names for the steps of every test, patterns
 * for large values, files, threads and child processes.
 *
 * The helpers end the test when a call of theirs fails. Paths are relative: each test runs
 * in a fresh directory of its own.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <pthread.h>
#include <string.h>
#include <sys/types.h>

#include "check.h"

enum { PATH_BYTES = 4096, KEY_BYTES = 32, OVERFLOW_BYTES = 20000 };

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)

/** Whether the tests run under a tool that makes them some fifty times slower, such as
 *  valgrind: ZERODB_TEST_SLOW is set. Repetitions are then cut down and the address space
 *  that environments reserve is kept small; and waits for other processes have an end. */
bool tests_run_slowly(void);

/** `count`, or a tenth of it when the tests run slowly. */
unsigned repetitions(unsigned count);

/* ------------------------------------------------------------------- values */

static inline zdb_val bytes(const void *data, size_t size) {
    zdb_val value;
    value.data = data;
    value.size = size;
    return value;
}

static inline zdb_val text(const char *string) {
    return bytes(string, strlen(string));
}

static inline zdb_val nothing(void) {
    return bytes(NULL, 0);
}

/** Writes "prefix00000042" to `buffer`: numbered keys sort by their number. */
zdb_val numbered(char buffer[KEY_BYTES], const char *prefix, unsigned number);

/** Random numbers of a fixed sequence. *state must not be 0. */
uint64_t next_random(uint64_t *state);

/** Fills memory with bytes that depend on `seed`. */
void fill_pattern(void *memory, size_t size, uint64_t seed);

/** Whether memory holds the bytes that fill_pattern() writes. */
bool has_pattern(const void *memory, size_t size, uint64_t seed);

/** Memory of that size with the pattern of that seed, to be freed. */
void *new_pattern(size_t size, uint64_t seed);

/* ------------------------------------------------- environments, transactions */

/** The library's defaults, fit for the way the tests run. */
void default_options(zdb_env_options *options);

/** Commits that fill several segments of a log of 1 MiB, and a checkpoint that recycles them: 80 values of
 *  40 KiB under numbered keys with the prefix `name`, and `name` under "of". */
void commit_much(zdb_env *env, const char *name);

/** The value of each number when that many numbered entries with the prefix "key" are put. */
zdb_val numbered_value(char buffer[KEY_BYTES], unsigned number);

zdb_env *open_env_at(struct place place, const char *path, const zdb_env_options *options);
zdb_env *open_unbounded_at(struct place place, const char *path);
zdb_env *open_env_to_leave_at(struct place place, const char *path);
void close_env_at(struct place place, zdb_env *env);
zdb_txn *begin_at(struct place place, zdb_env *env, uint32_t flags);
void commit_at(struct place place, zdb_txn *txn);
void abort_at(struct place place, zdb_txn *txn);
zdb_db open_db_at(struct place place, zdb_txn *txn, const char *name, uint32_t flags);
zdb_cursor *open_cursor_at(struct place place, zdb_txn *txn, zdb_db db);
void close_cursor_at(struct place place, zdb_cursor *cursor);
void put_text_at(struct place place, zdb_txn *txn, zdb_db db, const char *key, const char *value);
void delete_text_at(struct place place, zdb_txn *txn, zdb_db db, const char *key);
void expect_text_at(struct place place, zdb_txn *txn, zdb_db db, const char *key,
                    const char *value);
void expect_absent_at(struct place place, zdb_txn *txn, zdb_db db, const char *key);
void expect_entry_at(struct place place, zdb_cursor *cursor, zdb_cursor_op op, const char *key);
void put_numbered_at(struct place place, zdb_txn *txn, zdb_db db, unsigned count);
void expect_numbered_at(struct place place, zdb_txn *txn, zdb_db db, unsigned count);
void put_overflow_at(struct place place, zdb_txn *txn, zdb_db db, unsigned number);
uint64_t count_between_at(struct place place, zdb_txn *txn, const char *from, const char *to);
uint64_t delete_between_at(struct place place, zdb_txn *txn, const char *from, const char *to);
void expect_sound_at(struct place place, zdb_env *env);
uint64_t entries_at(struct place place, zdb_txn *txn, zdb_db db);
void get_info_at(struct place place, zdb_env *env, zdb_info *info);
void get_stat_at(struct place place, zdb_txn *txn, zdb_db db, zdb_db_stat *stat);

#define open_env(path) open_env_at(HERE, (path), NULL)
/* For a process that leaves it open: it has no threads of the library, which would still be
 * running then, and memcheck would ask for their stacks. */
#define open_env_to_leave(path) open_env_to_leave_at(HERE, (path))
/** Without a bound on the pages of a transaction. */
#define open_unbounded(path) open_unbounded_at(HERE, (path))
#define open_env_with(path, options) open_env_at(HERE, (path), (options))
#define close_env(env) close_env_at(HERE, (env))
#define begin_read(env) begin_at(HERE, (env), ZDB_RDONLY)
#define begin_write(env) begin_at(HERE, (env), 0)
#define commit(txn) commit_at(HERE, (txn))
#define abort_txn(txn) abort_at(HERE, (txn))
#define open_db(txn, name) open_db_at(HERE, (txn), (name), 0)
#define create_db(txn, name) open_db_at(HERE, (txn), (name), ZDB_CREATE)
#define open_cursor(txn, db) open_cursor_at(HERE, (txn), (db))
#define close_cursor(cursor) close_cursor_at(HERE, (cursor))
#define put_text(txn, db, key, value) put_text_at(HERE, (txn), (db), (key), (value))
#define delete_text(txn, db, key) delete_text_at(HERE, (txn), (db), (key))
/** The key has this value. */
#define expect_text(txn, db, key, value) expect_text_at(HERE, (txn), (db), (key), (value))
/** There is no such key. */
#define expect_absent(txn, db, key) expect_absent_at(HERE, (txn), (db), (key))
/** The cursor's move ends on this key; ZDB_NOT_FOUND if it is NULL. */
#define expect_entry(cursor, op, key) expect_entry_at(HERE, (cursor), (op), (key))
/** Puts keys numbered from 0, each with its numbered_value(). */
#define put_numbered(txn, db, count) put_numbered_at(HERE, (txn), (db), (count))
/** The database holds exactly what put_numbered() puts. */
#define expect_numbered(txn, db, count) expect_numbered_at(HERE, (txn), (db), (count))
/** Puts a value of OVERFLOW_BYTES, with the pattern of its number, under a numbered key. */
#define put_overflow(txn, db, number) put_overflow_at(HERE, (txn), (db), (number))
/** Counts, and deletes, from a key to before another of the main database; NULL for no bound. */
#define count_between(txn, from, to) count_between_at(HERE, (txn), (from), (to))
#define delete_between(txn, from, to) delete_between_at(HERE, (txn), (from), (to))
/** Options of zdb_env_verify() with a function for what it finds. */
void verify_options_init(zdb_verify_options *options, zdb_problem_fn on_problem, void *context);

/** zdb_env_verify() finds no problem. */
#define expect_sound(env) expect_sound_at(HERE, (env))
#define entries(txn, db) entries_at(HERE, (txn), (db))
#define get_info(env, info) get_info_at(HERE, (env), (info))
#define get_stat(txn, db, stat) get_stat_at(HERE, (txn), (db), (stat))

/* -------------------------------------------------------------------- files */

bool file_exists(const char *path);
uint64_t file_size(const char *path);
mode_t file_mode(const char *path);
void write_file(const char *path, const void *data, size_t size);
/** The content, to be freed. */
unsigned char *read_file(const char *path, size_t *size);
void flip_byte(const char *path, uint64_t offset);
/** How many entries a directory has, not counting . and .. */
unsigned directory_entries(const char *path);
/** Removes a directory and all that is in it; says so if that fails. */
void remove_tree(const char *path);

/* ------------------------------------------------------- threads, processes */

pthread_t start_thread(void *(*run)(void *), void *argument);
void join_thread(pthread_t thread);

/** Runs a function in a child process. It fails the test if a check in it fails. */
void run_in_process(void (*run)(void *), void *argument);

/** Starts a child process for finish_process(). */
pid_t start_process(void (*run)(void *), void *argument);
void finish_process(pid_t process);

/** A signal from one process to another: a pipe, of which each keeps its own end, so that
 *  waiting for a process that has died fails instead of lasting forever. */
struct gate {
    int pipe[2];
};

/** Before the fork. */
void gate_open(struct gate *gate);
/** After the fork: says which end of the two this process has. */
void gate_only_wait(struct gate *gate);
void gate_only_give(struct gate *gate);
void gate_wait(struct gate *gate);
void gate_give(struct gate *gate);
void gate_close(struct gate *gate);

#endif /* SUPPORT_H */
