/* LMDB, with the flags that serve it best and keep its promises (durable, crash-safe). The file is
 * compiled twice: for the LMDB of the system, 0.9, and with BENCH_LMDB1 for LMDB 1.0, whose object is
 * linked with its own copy of the library before anything else sees their names.
 *
 * - MDB_NORDAHEAD: random reads do not drag neighbours in.
 * - No MDB_NOTLS: with thread-local reader slots a read transaction begins without taking the
 *   reader table's mutex, as in a program that has one reader in each thread.
 * - MDB_WRITEMAP only in an engine of its own: it lays the database open to every stray pointer
 *   of the program, which ZeroDB never does, but is faster where much is written.
 * - MDB_NOSYNC only where commits that wait for no flush are compared, or nothing but the size of
 *   the file counts.
 */
#include "engine.h"

#include <lmdb.h>

#include "util.h"

/* The main database's handle: a constant inside LMDB, the same for every environment. */
static MDB_dbi main_db;

static void check(int result, const char *call) {
    if (result != MDB_SUCCESS) {
        die("lmdb: %s: %s", call, mdb_strerror(result));
    }
}

static bool found(int result, const char *call) {
    if (result == MDB_NOTFOUND) {
        return false;
    }
    check(result, call);
    return true;
}

static MDB_val to_val(const struct bytes *bytes) {
    return (MDB_val){.mv_size = bytes->size, .mv_data = (void *)(uintptr_t)bytes->data};
}

static const char *version(void) {
    return mdb_version(NULL, NULL, NULL);
}

static const unsigned kind_flags[] = {
    [PLAIN] = 0,
    [DUPLICATES] = MDB_DUPSORT,
    [INTEGER_DUPLICATES] = MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP,
};

static struct benv *open_with(const char *directory, const struct env_options *options,
                              unsigned flags) {
    MDB_env *env;
    check(mdb_env_create(&env), "mdb_env_create");
    /* Room for several copies of the data: free pages are reused, but not at once. */
    size_t map_size = ((size_t)1 << 30) + (size_t)options->entries_max * 2048;
    check(mdb_env_set_mapsize(env, map_size), "mdb_env_set_mapsize");
    flags |= MDB_NORDAHEAD | (options->unflushed ? MDB_NOSYNC : 0);
    check(mdb_env_open(env, directory, flags, 0600), "mdb_env_open");

    MDB_txn *txn;
    unsigned access = options->kind == PLAIN ? MDB_RDONLY : 0;
    check(mdb_txn_begin(env, NULL, access, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, NULL, kind_flags[options->kind], &main_db), "mdb_dbi_open");
    check(mdb_txn_commit(txn), "mdb_txn_commit");
    return (struct benv *)env;
}

static struct benv *env_open(const char *directory, const struct env_options *options) {
    return open_with(directory, options, 0);
}

static void env_close(struct benv *env) {
    mdb_env_close((MDB_env *)env);
}

static uint64_t used_bytes(struct benv *env) {
    MDB_envinfo info;
    MDB_stat stat;
    check(mdb_env_info((MDB_env *)env, &info), "mdb_env_info");
    check(mdb_env_stat((MDB_env *)env, &stat), "mdb_env_stat");
    return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

static struct btxn *begin_read(struct benv *env) {
    MDB_txn *txn;
    check(mdb_txn_begin((MDB_env *)env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    return (struct btxn *)txn;
}

static struct btxn *begin_write(struct benv *env) {
    MDB_txn *txn;
    check(mdb_txn_begin((MDB_env *)env, NULL, 0, &txn), "mdb_txn_begin");
    return (struct btxn *)txn;
}

static void txn_commit(struct btxn *txn) {
    check(mdb_txn_commit((MDB_txn *)txn), "mdb_txn_commit");
}

static void txn_abort(struct btxn *txn) {
    mdb_txn_abort((MDB_txn *)txn);
}

static void txn_reset(struct btxn *txn) {
    mdb_txn_reset((MDB_txn *)txn);
}

static void txn_renew(struct btxn *txn) {
    check(mdb_txn_renew((MDB_txn *)txn), "mdb_txn_renew");
}

static bool get(struct btxn *txn, const struct bytes *key, struct bytes *value) {
    MDB_val k = to_val(key);
    MDB_val v;
    if (!found(mdb_get((MDB_txn *)txn, main_db, &k, &v), "mdb_get")) {
        return false;
    }
    *value = (struct bytes){v.mv_data, v.mv_size};
    return true;
}

static void put_with(struct btxn *txn, const struct bytes *key, const struct bytes *value,
                     unsigned put_flags) {
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    check(mdb_put((MDB_txn *)txn, main_db, &k, &v, put_flags), "mdb_put");
}

static void put(struct btxn *txn, const struct bytes *key, const struct bytes *value) {
    put_with(txn, key, value, 0);
}

static void append(struct btxn *txn, const struct bytes *key, const struct bytes *value) {
    put_with(txn, key, value, MDB_APPEND);
}

static void del(struct btxn *txn, const struct bytes *key) {
    MDB_val k = to_val(key);
    check(mdb_del((MDB_txn *)txn, main_db, &k, NULL), "mdb_del");
}

static struct bcursor *cursor_open(struct btxn *txn) {
    MDB_cursor *cursor;
    check(mdb_cursor_open((MDB_txn *)txn, main_db, &cursor), "mdb_cursor_open");
    return (struct bcursor *)cursor;
}

static void cursor_close(struct bcursor *cursor) {
    mdb_cursor_close((MDB_cursor *)cursor);
}

static bool cursor_move(struct bcursor *cursor, enum step step, struct bytes *key,
                        struct bytes *value) {
    static const MDB_cursor_op ops[] = {
        [STEP_FIRST] = MDB_FIRST,
        [STEP_LAST] = MDB_LAST,
        [STEP_NEXT] = MDB_NEXT,
        [STEP_PREV] = MDB_PREV,
        [STEP_SEEK] = MDB_SET_RANGE,
        [STEP_NEXT_KEY] = MDB_NEXT_NODUP,
        [STEP_BOTH] = MDB_GET_BOTH,
        [STEP_MULTIPLE] = MDB_GET_MULTIPLE,
        [STEP_NEXT_MULTIPLE] = MDB_NEXT_MULTIPLE,
    };
    MDB_val k = to_val(key);
    MDB_val v = step == STEP_BOTH ? to_val(value) : (MDB_val){0};
    if (!found(mdb_cursor_get((MDB_cursor *)cursor, &k, &v, ops[step]), "mdb_cursor_get")) {
        return false;
    }
    *key = (struct bytes){k.mv_data, k.mv_size};
    *value = (struct bytes){v.mv_data, v.mv_size};
    return true;
}

static uint64_t cursor_count(struct bcursor *cursor) {
    size_t count;
    check(mdb_cursor_count((MDB_cursor *)cursor, &count), "mdb_cursor_count");
    return count;
}

/* What all engines of this file have in common. */
#define LMDB_ENGINE                                                                                \
    .data_file = "data.mdb", .unflushed_flags = "MDB_NOSYNC", .version = version,                  \
    .close = env_close, .used_bytes = used_bytes, .begin_read = begin_read,                        \
    .begin_write = begin_write, .commit = txn_commit, .abort = txn_abort, .reset = txn_reset,      \
    .renew = txn_renew, .get = get, .put = put, .append = append, .del = del,                      \
    .cursor_open = cursor_open, .cursor_close = cursor_close, .cursor_move = cursor_move,          \
    .cursor_count = cursor_count

#ifdef BENCH_LMDB1

static const char *absent(void) {
    return NULL;
}

const struct engine engine_lmdb1 = {
    LMDB_ENGINE,      .name = "lmdb1",          .title = "LMDB 1.0",
    .absent = absent, .flags = "MDB_NORDAHEAD", .open = env_open,
};

#else

static struct benv *env_open_writemap(const char *directory, const struct env_options *options) {
    return open_with(directory, options, MDB_WRITEMAP);
}

const struct engine engine_lmdb = {
    LMDB_ENGINE, .name = "lmdb", .title = "LMDB 0.9", .flags = "MDB_NORDAHEAD", .open = env_open,
};

const struct engine engine_lmdb_writemap = {
    LMDB_ENGINE,
    .name = "lmdb-writemap",
    .title = "LMDB 0.9 through its map",
    .flags = "MDB_NORDAHEAD|MDB_WRITEMAP",
    .open = env_open_writemap,
};

#endif
