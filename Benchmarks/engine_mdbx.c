/* libmdbx, loaded when the program runs, from PyPI's wheel, which has no header: what is used of its
 * interface is declared here.
 *
 * - MDBX_NORDAHEAD as with LMDB; a reader slot for each thread, as it comes.
 * - Durable commits are MDBX_SYNC_DURABLE, its default; without flush MDBX_UTTERLY_NOSYNC, which its
 *   manual equates with MDB_NOSYNC.
 * - The size of the file has the same bound as LMDB's map; its growth is left to the library.
 */
#include "engine.h"

#include <dlfcn.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "peers.h"
#include "util.h"

#define MAIN_DBI 1

enum {
    RESULT_SUCCESS = 0,
    RESULT_NOTFOUND = -30798,
};

enum {
    ENV_NORDAHEAD = 0x800000,
    ENV_UTTERLY_NOSYNC = 0x110000,
    TXN_RDONLY = 0x20000,
    DB_DUPSORT = 0x04,
    DB_DUPFIXED = 0x10,
    DB_INTEGERDUP = 0x20,
    DB_CREATE = 0x40000, /* also to give an empty database its flags */
    PUT_APPEND = 0x20000
};

struct mdbx_env;
struct mdbx_txn;
struct mdbx_cursor;

struct mdbx_version {
    uint16_t numbers[4];
};

#define FUNCTIONS(X)                                                                               \
    X(const char *, strerror, (int))                                                               \
    X(int, env_create, (struct mdbx_env **))                                                       \
    X(int, env_set_geometry,                                                                       \
      (struct mdbx_env *, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t))             \
    X(int, env_open, (struct mdbx_env *, const char *, unsigned, mode_t))                          \
    X(int, env_close_ex, (struct mdbx_env *, bool))                                                \
    X(int, txn_begin_ex,                                                                           \
      (struct mdbx_env *, struct mdbx_txn *, unsigned, struct mdbx_txn **, void *))                \
    X(int, txn_commit_ex, (struct mdbx_txn *, void *))                                             \
    X(int, txn_abort, (struct mdbx_txn *))                                                         \
    X(int, txn_reset, (struct mdbx_txn *))                                                         \
    X(int, txn_renew, (struct mdbx_txn *))                                                         \
    X(int, dbi_open, (struct mdbx_txn *, const char *, unsigned, uint32_t *))                      \
    X(int, get, (struct mdbx_txn *, uint32_t, const struct iovec *, struct iovec *))               \
    X(int, put, (struct mdbx_txn *, uint32_t, const struct iovec *, struct iovec *, unsigned))     \
    X(int, del, (struct mdbx_txn *, uint32_t, const struct iovec *, const struct iovec *))         \
    X(int, cursor_open, (struct mdbx_txn *, uint32_t, struct mdbx_cursor **))                      \
    X(void, cursor_close, (struct mdbx_cursor *))                                                  \
    X(int, cursor_get, (struct mdbx_cursor *, struct iovec *, struct iovec *, int))                \
    X(int, cursor_count, (struct mdbx_cursor *, size_t *))

#define DECLARE(result, name, parameters) static result(*mdbx_##name) parameters;
FUNCTIONS(DECLARE)

static char version_text[32];

static void *symbol_of(void *library, const char *name) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        die("mdbx: %s has no %s", MDBX_PATH, name);
    }
    return symbol;
}

static const char *absent(void) {
    static void *library;
    if (library == NULL) {
        library = dlopen(MDBX_PATH, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) {
            return "its library is not in build/peers: `make -C Benchmarks peers` brings it from "
                   "PyPI";
        }
        /* A pointer to data becomes one to a function through its bytes: ISO C has no cast for it. */
#define LOAD(result, name, parameters) *(void **)&mdbx_##name = symbol_of(library, "mdbx_" #name);
        FUNCTIONS(LOAD)
        const struct mdbx_version *numbers = symbol_of(library, "mdbx_version");
        snprintf(version_text, sizeof version_text, "libmdbx %u.%u.%u", numbers->numbers[0],
                 numbers->numbers[1], numbers->numbers[2]);
    }
    return NULL;
}

static void check(int result, const char *call) {
    if (result != RESULT_SUCCESS) {
        die("mdbx: %s: %s", call, mdbx_strerror(result));
    }
}

static bool found(int result, const char *call) {
    if (result == RESULT_NOTFOUND) {
        return false;
    }
    check(result, call);
    return true;
}

static struct iovec to_val(const struct bytes *bytes) {
    return (struct iovec){.iov_base = (void *)(uintptr_t)bytes->data, .iov_len = bytes->size};
}

static struct bytes to_bytes(struct iovec value) {
    return (struct bytes){value.iov_base, value.iov_len};
}

static const char *version(void) {
    return version_text;
}

static const unsigned kind_flags[] = {
    [PLAIN] = 0,
    [DUPLICATES] = DB_CREATE | DB_DUPSORT,
    [INTEGER_DUPLICATES] = DB_CREATE | DB_DUPSORT | DB_DUPFIXED | DB_INTEGERDUP,
};

static struct mdbx_txn *begin(struct benv *env, unsigned flags) {
    struct mdbx_txn *txn;
    check(mdbx_txn_begin_ex((struct mdbx_env *)env, NULL, flags, &txn, NULL), "mdbx_txn_begin_ex");
    return txn;
}

static struct benv *env_open(const char *directory, const struct env_options *options) {
    struct mdbx_env *env;
    check(mdbx_env_create(&env), "mdbx_env_create");
    /* Batches that are not flushed do not use pages again: the file becomes many times larger. */
    intptr_t size_max = ((intptr_t)1 << 34) + (intptr_t)options->entries_max * 2048;
    check(mdbx_env_set_geometry(env, 0, -1, size_max, -1, -1, -1), "mdbx_env_set_geometry");
    unsigned flags = ENV_NORDAHEAD | (options->unflushed ? ENV_UTTERLY_NOSYNC : 0);
    check(mdbx_env_open(env, directory, flags, 0600), "mdbx_env_open");

    struct mdbx_txn *txn = begin((struct benv *)env, options->kind == PLAIN ? TXN_RDONLY : 0);
    uint32_t main_db;
    check(mdbx_dbi_open(txn, NULL, kind_flags[options->kind], &main_db), "mdbx_dbi_open");
    check(mdbx_txn_commit_ex(txn, NULL), "mdbx_txn_commit_ex");
    if (main_db != MAIN_DBI) {
        die("mdbx: the main database has the handle %u", main_db);
    }
    return (struct benv *)env;
}

static void env_close(struct benv *env) {
    check(mdbx_env_close_ex((struct mdbx_env *)env, false), "mdbx_env_close_ex");
}

static struct btxn *begin_read(struct benv *env) {
    return (struct btxn *)begin(env, TXN_RDONLY);
}

static struct btxn *begin_write(struct benv *env) {
    return (struct btxn *)begin(env, 0);
}

static void txn_commit(struct btxn *txn) {
    check(mdbx_txn_commit_ex((struct mdbx_txn *)txn, NULL), "mdbx_txn_commit_ex");
}

static void txn_abort(struct btxn *txn) {
    check(mdbx_txn_abort((struct mdbx_txn *)txn), "mdbx_txn_abort");
}

static void txn_reset(struct btxn *txn) {
    check(mdbx_txn_reset((struct mdbx_txn *)txn), "mdbx_txn_reset");
}

static void txn_renew(struct btxn *txn) {
    check(mdbx_txn_renew((struct mdbx_txn *)txn), "mdbx_txn_renew");
}

static bool get(struct btxn *txn, const struct bytes *key, struct bytes *value) {
    struct iovec k = to_val(key);
    struct iovec v;
    if (!found(mdbx_get((struct mdbx_txn *)txn, MAIN_DBI, &k, &v), "mdbx_get")) {
        return false;
    }
    *value = to_bytes(v);
    return true;
}

static void put_with(struct btxn *txn, const struct bytes *key, const struct bytes *value,
                     unsigned flags) {
    struct iovec k = to_val(key);
    struct iovec v = to_val(value);
    check(mdbx_put((struct mdbx_txn *)txn, MAIN_DBI, &k, &v, flags), "mdbx_put");
}

static void put(struct btxn *txn, const struct bytes *key, const struct bytes *value) {
    put_with(txn, key, value, 0);
}

static void append(struct btxn *txn, const struct bytes *key, const struct bytes *value) {
    put_with(txn, key, value, PUT_APPEND);
}

static void del(struct btxn *txn, const struct bytes *key) {
    struct iovec k = to_val(key);
    check(mdbx_del((struct mdbx_txn *)txn, MAIN_DBI, &k, NULL), "mdbx_del");
}

static struct bcursor *cursor_open(struct btxn *txn) {
    struct mdbx_cursor *cursor;
    check(mdbx_cursor_open((struct mdbx_txn *)txn, MAIN_DBI, &cursor), "mdbx_cursor_open");
    return (struct bcursor *)cursor;
}

static void cursor_close(struct bcursor *cursor) {
    mdbx_cursor_close((struct mdbx_cursor *)cursor);
}

static bool cursor_move(struct bcursor *cursor, enum step step, struct bytes *key,
                        struct bytes *value) {
    /* Values of MDBX_cursor_op. */
    static const int ops[] = {
        [STEP_FIRST] = 0, [STEP_LAST] = 6,     [STEP_NEXT] = 8,
        [STEP_PREV] = 12, [STEP_SEEK] = 17,    [STEP_NEXT_KEY] = 11,
        [STEP_BOTH] = 2,  [STEP_MULTIPLE] = 5, [STEP_NEXT_MULTIPLE] = 10,
    };
    struct iovec k = to_val(key);
    struct iovec v = step == STEP_BOTH ? to_val(value) : (struct iovec){0};
    if (!found(mdbx_cursor_get((struct mdbx_cursor *)cursor, &k, &v, ops[step]),
               "mdbx_cursor_get")) {
        return false;
    }
    *key = to_bytes(k);
    *value = to_bytes(v);
    return true;
}

static uint64_t cursor_count(struct bcursor *cursor) {
    size_t count;
    check(mdbx_cursor_count((struct mdbx_cursor *)cursor, &count), "mdbx_cursor_count");
    return count;
}

const struct engine engine_mdbx = {
    .name = "mdbx",
    .title = "libmdbx",
    .data_file = "mdbx.dat",
    .absent = absent,
    .version = version,
    .flags = "MDBX_NORDAHEAD, MDBX_SYNC_DURABLE",
    .unflushed_flags = "MDBX_UTTERLY_NOSYNC",
    .open = env_open,
    .close = env_close,
    .begin_read = begin_read,
    .begin_write = begin_write,
    .commit = txn_commit,
    .abort = txn_abort,
    .reset = txn_reset,
    .renew = txn_renew,
    .get = get,
    .put = put,
    .append = append,
    .del = del,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_move = cursor_move,
    .cursor_count = cursor_count,
};
