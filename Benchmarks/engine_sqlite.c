/* SQLite as a key-value store, set up to do its best at durable commits:
 *
 * - journal_mode=WAL with synchronous=FULL: a commit is one append to the log and one flush.
 * - One WITHOUT ROWID table of BLOBs, so that an entry lies in the tree of its key; statements
 *   that are prepared once.
 * - A page cache that holds the whole database, and a mapped file behind it.
 * - A connection for each thread, without SQLite's own mutexes.
 */
#include "engine.h"

#include <sqlite3.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "util.h"

#define BUSY_TIMEOUT_MS 60000

enum statement { BEGIN_READ, BEGIN_WRITE, COMMIT, ROLLBACK, GET, PUT, DELETE, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [BEGIN_READ] = "BEGIN",
    [BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [GET] = "SELECT value FROM entries WHERE key = ?1",
    [PUT] = "REPLACE INTO entries (key, value) VALUES (?1, ?2)",
    [DELETE] = "DELETE FROM entries WHERE key = ?1",
};

/* A connection. It has one transaction at a time, so that is a struct btxn as well. */
struct benv {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
};

enum direction { FORWARD, BACKWARD, FROM_KEY, DIRECTIONS };

static const char *const direction_texts[DIRECTIONS] = {
    [FORWARD] = "SELECT key, value FROM entries ORDER BY key",
    [BACKWARD] = "SELECT key, value FROM entries ORDER BY key DESC",
    [FROM_KEY] = "SELECT key, value FROM entries WHERE key >= ?1 ORDER BY key",
};

struct bcursor {
    struct benv *env;
    sqlite3_stmt *statements[DIRECTIONS];
    enum direction direction;
};

_Noreturn static void fail(struct benv *env, const char *what) {
    die("sqlite: %s: %s", what, sqlite3_errmsg(env->db));
}

static sqlite3_stmt *prepare(struct benv *env, const char *text) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v3(env->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
        SQLITE_OK) {
        fail(env, text);
    }
    return statement;
}

static void execute(struct benv *env, const char *text) {
    if (sqlite3_exec(env->db, text, NULL, NULL, NULL) != SQLITE_OK) {
        fail(env, text);
    }
}

/* Runs a statement that returns no rows. */
static void run(struct benv *env, enum statement which) {
    sqlite3_stmt *statement = env->statements[which];
    if (sqlite3_step(statement) != SQLITE_DONE) {
        fail(env, texts[which]);
    }
    sqlite3_reset(statement);
}

static struct benv *env_open(const char *directory, const struct env_options *options) {
    char path[PATH_MAX];
    join_path(path, directory, "data.sqlite");
    struct benv *env = allocate(sizeof *env);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &env->db, flags, NULL) != SQLITE_OK) {
        fail(env, path);
    }
    sqlite3_busy_timeout(env->db, BUSY_TIMEOUT_MS);
    execute(env, "PRAGMA journal_mode = WAL");
    execute(env, options->unflushed ? "PRAGMA synchronous = OFF" : "PRAGMA synchronous = FULL");
    char pragma[64];
    snprintf(pragma, sizeof pragma, "PRAGMA cache_size = -%llu",
             (unsigned long long)cache_bytes(options) >> 10);
    execute(env, pragma);
    execute(env, "PRAGMA mmap_size = 2147418112"); /* the most that it takes */
    execute(env, "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB) "
                 "WITHOUT ROWID");
    for (int i = 0; i < STATEMENTS; i++) {
        env->statements[i] = prepare(env, texts[i]);
    }
    return env;
}

static void env_close(struct benv *env) {
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(env->statements[i]);
    }
    if (sqlite3_close(env->db) != SQLITE_OK) {
        fail(env, "sqlite3_close");
    }
    free(env);
}

static void checkpoint(struct benv *env) {
    execute(env, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static struct btxn *begin_read(struct benv *env) {
    run(env, BEGIN_READ);
    return (struct btxn *)env;
}

static struct btxn *begin_write(struct benv *env) {
    run(env, BEGIN_WRITE);
    return (struct btxn *)env;
}

static void txn_commit(struct btxn *txn) {
    run((struct benv *)txn, COMMIT);
}

static void txn_abort(struct btxn *txn) {
    struct benv *env = (struct benv *)txn;
    sqlite3_reset(env->statements[GET]);
    if (!sqlite3_get_autocommit(env->db)) { /* not reset before */
        run(env, ROLLBACK);
    }
}

static void txn_renew(struct btxn *txn) {
    run((struct benv *)txn, BEGIN_READ);
}

static struct bytes column(sqlite3_stmt *statement, int index) {
    const void *data = sqlite3_column_blob(statement, index);
    return (struct bytes){data, (size_t)sqlite3_column_bytes(statement, index)};
}

static void bind(sqlite3_stmt *statement, int index, const struct bytes *bytes) {
    sqlite3_bind_blob64(statement, index, bytes->data, bytes->size, SQLITE_STATIC);
}

/* Steps to a row; false where there is none. */
static bool step_row(struct benv *env, sqlite3_stmt *statement) {
    int result = sqlite3_step(statement);
    if (result != SQLITE_ROW && result != SQLITE_DONE) {
        fail(env, sqlite3_sql(statement));
    }
    return result == SQLITE_ROW;
}

static bool get(struct btxn *txn, const struct bytes *key, struct bytes *value) {
    struct benv *env = (struct benv *)txn;
    sqlite3_stmt *statement = env->statements[GET];
    sqlite3_reset(statement);
    bind(statement, 1, key);
    if (!step_row(env, statement)) {
        return false;
    }
    *value = column(statement, 0);
    return true;
}

static void put(struct btxn *txn, const struct bytes *key, const struct bytes *value) {
    struct benv *env = (struct benv *)txn;
    bind(env->statements[PUT], 1, key);
    bind(env->statements[PUT], 2, value);
    run(env, PUT);
}

static void del(struct btxn *txn, const struct bytes *key) {
    struct benv *env = (struct benv *)txn;
    bind(env->statements[DELETE], 1, key);
    run(env, DELETE);
    if (sqlite3_changes(env->db) != 1) {
        die("sqlite: a key to delete is missing");
    }
}

static struct bcursor *cursor_open(struct btxn *txn) {
    struct bcursor *cursor = allocate(sizeof *cursor);
    cursor->env = (struct benv *)txn;
    cursor->direction = FORWARD;
    for (int i = 0; i < DIRECTIONS; i++) {
        cursor->statements[i] = prepare(cursor->env, direction_texts[i]);
    }
    return cursor;
}

static void cursor_close(struct bcursor *cursor) {
    for (int i = 0; i < DIRECTIONS; i++) {
        sqlite3_finalize(cursor->statements[i]);
    }
    free(cursor);
}

/* Onward only in the direction that the cursor was placed for. */
static bool cursor_move(struct bcursor *cursor, enum step step, struct bytes *key,
                        struct bytes *value) {
    static const enum direction directions[] = {
        [STEP_FIRST] = FORWARD,
        [STEP_LAST] = BACKWARD,
        [STEP_SEEK] = FROM_KEY,
    };
    if (step > STEP_SEEK) {
        die("sqlite: a key has one value");
    }
    if (step != STEP_NEXT && step != STEP_PREV) {
        sqlite3_reset(cursor->statements[cursor->direction]);
        cursor->direction = directions[step];
        if (step == STEP_SEEK) {
            bind(cursor->statements[FROM_KEY], 1, key);
        }
    } else if ((step == STEP_PREV) != (cursor->direction == BACKWARD)) {
        die("sqlite: a cursor cannot turn round");
    }
    sqlite3_stmt *statement = cursor->statements[cursor->direction];
    if (!step_row(cursor->env, statement)) {
        return false;
    }
    *key = column(statement, 0);
    *value = column(statement, 1);
    return true;
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .title = "SQLite",
    .data_file = "data.sqlite",
    .env_per_thread = true,
    .version = sqlite3_libversion,
    .flags = "WAL, synchronous=FULL, WITHOUT ROWID, cache_size of 1 GiB, mmap_size of 2 GiB",
    .unflushed_flags = "synchronous=OFF",
    .open = env_open,
    .close = env_close,
    .checkpoint = checkpoint,
    .begin_read = begin_read,
    .begin_write = begin_write,
    .commit = txn_commit,
    .abort = txn_abort,
    .reset = txn_abort,
    .renew = txn_renew,
    .get = get,
    .put = put,
    .append = put,
    .del = del,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_move = cursor_move,
};
