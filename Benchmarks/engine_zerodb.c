/* ZeroDB, as it comes: checksums on, every commit durable. max_txn_pages is lifted, because a
 * bulk load is one transaction. */
#include "engine.h"

#include <zerodb.h>

#include "util.h"

static void check(int result, const char *call) {
    if (result != ZDB_OK) {
        die("zerodb: %s: %s: %s", call, zdb_strerror(result), zdb_last_error());
    }
}

static bool found(int result, const char *call) {
    if (result == ZDB_NOT_FOUND) {
        return false;
    }
    check(result, call);
    return true;
}

static zdb_val to_val(const struct bytes *bytes) {
    return (zdb_val){.data = bytes->data, .size = bytes->size};
}

static const char *version(void) {
    return zdb_version(NULL, NULL, NULL);
}

static const uint32_t kind_flags[] = {
    [PLAIN] = 0,
    [DUPLICATES] = ZDB_DUPSORT,
    [INTEGER_DUPLICATES] = ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_INTEGERDUP,
    [COUNTED] = ZDB_COUNTED,
};

/* Gives the main database the flags that are asked for, unless it has them already. */
static void make_kind(zdb_env *env, enum kind kind) {
    zdb_txn *txn;
    zdb_db main_db;
    check(zdb_txn_begin(env, NULL, 0, &txn), "zdb_txn_begin");
    check(zdb_db_open(txn, NULL, ZDB_CREATE | kind_flags[kind], &main_db), "zdb_db_open");
    check(zdb_txn_commit(txn), "zdb_txn_commit");
}

static struct benv *env_open(const char *directory, const struct env_options *options) {
    zdb_env_options env_options;
    check(zdb_env_options_init(&env_options), "zdb_env_options_init");
    env_options.page_size = options->page_size;
    env_options.max_txn_pages = 0;
    if (options->max_size != 0) {
        env_options.max_size = options->max_size;
    }
    if (options->log_size != 0) {
        env_options.log_size = options->log_size;
    }
    if (options->unflushed) {
        env_options.durability =
            options->survives_kill ? ZDB_DURABILITY_RELAXED : ZDB_DURABILITY_NONE;
    }
    zdb_env *env;
    check(zdb_env_open(directory, &env_options, &env), "zdb_env_open");
    if (options->kind != PLAIN) {
        make_kind(env, options->kind);
    }
    return (struct benv *)env;
}

static void env_close(struct benv *env) {
    check(zdb_env_close((zdb_env *)env), "zdb_env_close");
}

static uint64_t used_bytes(struct benv *env) {
    zdb_info info = {.struct_size = sizeof info};
    check(zdb_env_info((zdb_env *)env, &info), "zdb_env_info");
    return info.page_count * info.page_size;
}

static void checkpoint(struct benv *env) {
    check(zdb_env_checkpoint((zdb_env *)env), "zdb_env_checkpoint");
}

static struct btxn *begin_read(struct benv *env) {
    zdb_txn *txn;
    check(zdb_txn_begin((zdb_env *)env, NULL, ZDB_RDONLY, &txn), "zdb_txn_begin");
    return (struct btxn *)txn;
}

static struct btxn *begin_write(struct benv *env) {
    zdb_txn *txn;
    check(zdb_txn_begin((zdb_env *)env, NULL, 0, &txn), "zdb_txn_begin");
    return (struct btxn *)txn;
}

static void txn_commit(struct btxn *txn) {
    check(zdb_txn_commit((zdb_txn *)txn), "zdb_txn_commit");
}

static void txn_abort(struct btxn *txn) {
    check(zdb_txn_abort((zdb_txn *)txn), "zdb_txn_abort");
}

static void txn_reset(struct btxn *txn) {
    check(zdb_txn_reset((zdb_txn *)txn), "zdb_txn_reset");
}

static void txn_renew(struct btxn *txn) {
    check(zdb_txn_renew((zdb_txn *)txn), "zdb_txn_renew");
}

static bool get(struct btxn *txn, const struct bytes *key, struct bytes *value) {
    zdb_val k = to_val(key);
    zdb_val v;
    if (!found(zdb_get((zdb_txn *)txn, ZDB_MAIN_DB, &k, &v), "zdb_get")) {
        return false;
    }
    *value = (struct bytes){v.data, v.size};
    return true;
}

static void put_with(struct btxn *txn, const struct bytes *key, const struct bytes *value,
                     uint32_t put_flags) {
    zdb_val k = to_val(key);
    zdb_val v = to_val(value);
    check(zdb_put((zdb_txn *)txn, ZDB_MAIN_DB, &k, &v, put_flags), "zdb_put");
}

static void put(struct btxn *txn, const struct bytes *key, const struct bytes *value) {
    put_with(txn, key, value, 0);
}

static void append(struct btxn *txn, const struct bytes *key, const struct bytes *value) {
    put_with(txn, key, value, ZDB_APPEND);
}

static void del(struct btxn *txn, const struct bytes *key) {
    zdb_val k = to_val(key);
    check(zdb_del((zdb_txn *)txn, ZDB_MAIN_DB, &k, NULL), "zdb_del");
}

static struct bcursor *cursor_open(struct btxn *txn) {
    zdb_cursor *cursor;
    check(zdb_cursor_open((zdb_txn *)txn, ZDB_MAIN_DB, &cursor), "zdb_cursor_open");
    return (struct bcursor *)cursor;
}

static void cursor_close(struct bcursor *cursor) {
    check(zdb_cursor_close((zdb_cursor *)cursor), "zdb_cursor_close");
}

static bool cursor_move(struct bcursor *cursor, enum step step, struct bytes *key,
                        struct bytes *value) {
    static const zdb_cursor_op ops[] = {
        [STEP_FIRST] = ZDB_FIRST,
        [STEP_LAST] = ZDB_LAST,
        [STEP_NEXT] = ZDB_NEXT,
        [STEP_PREV] = ZDB_PREV,
        [STEP_SEEK] = ZDB_SET_RANGE,
        [STEP_NEXT_KEY] = ZDB_NEXT_NODUP,
        [STEP_BOTH] = ZDB_GET_BOTH,
        [STEP_MULTIPLE] = ZDB_GET_MULTIPLE,
        [STEP_NEXT_MULTIPLE] = ZDB_NEXT_MULTIPLE,
    };
    zdb_val k = to_val(key);
    zdb_val v = step == STEP_BOTH ? to_val(value) : (zdb_val){0};
    if (!found(zdb_cursor_get((zdb_cursor *)cursor, &k, &v, ops[step]), "zdb_cursor_get")) {
        return false;
    }
    *key = (struct bytes){k.data, k.size};
    *value = (struct bytes){v.data, v.size};
    return true;
}

static uint64_t cursor_count(struct bcursor *cursor) {
    uint64_t count;
    check(zdb_cursor_count((zdb_cursor *)cursor, &count), "zdb_cursor_count");
    return count;
}

/* struct bytes is laid out as zdb_val. */
_Static_assert(sizeof(struct bytes) == sizeof(zdb_val) &&
                   offsetof(struct bytes, data) == offsetof(zdb_val, data) &&
                   offsetof(struct bytes, size) == offsetof(zdb_val, size),
               "arrays of struct bytes are arrays of zdb_val");

static size_t get_many(struct btxn *txn, const struct bytes *keys, struct bytes *values,
                       size_t count) {
    size_t there;
    check(zdb_get_many((zdb_txn *)txn, ZDB_MAIN_DB, (const zdb_val *)keys, (zdb_val *)values, count,
                       &there),
          "zdb_get_many");
    return there;
}

static size_t cursor_next_many(struct bcursor *cursor, struct bytes *keys, struct bytes *values,
                               size_t capacity) {
    size_t count;
    int result = zdb_cursor_next_many((zdb_cursor *)cursor, (zdb_val *)keys, (zdb_val *)values,
                                      capacity, &count);
    return found(result, "zdb_cursor_next_many") ? count : 0;
}

static uint64_t rank_of(struct btxn *txn, const struct bytes *key) {
    zdb_val k = to_val(key);
    uint64_t rank;
    check(zdb_rank((zdb_txn *)txn, ZDB_MAIN_DB, &k, &rank), "zdb_rank");
    return rank;
}

static void cursor_set_rank(struct bcursor *cursor, uint64_t rank, struct bytes *key,
                            struct bytes *value) {
    zdb_val k, v;
    check(zdb_cursor_set_rank((zdb_cursor *)cursor, rank, &k, &v), "zdb_cursor_set_rank");
    *key = (struct bytes){k.data, k.size};
    *value = (struct bytes){v.data, v.size};
}

const struct engine engine_zerodb = {
    .name = "zerodb",
    .title = "ZeroDB",
    .data_file = "data.zdb",
    .log_directory = "log",
    .spare_files = "*/log/*",
    .version = version,
    .flags = "defaults, max_txn_pages=0",
    .unflushed_flags = "ZDB_DURABILITY_NONE; ZDB_DURABILITY_RELAXED where it is to survive a kill",
    .open = env_open,
    .close = env_close,
    .used_bytes = used_bytes,
    .checkpoint = checkpoint,
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
    .get_many = get_many,
    .cursor_next_many = cursor_next_many,
    .rank = rank_of,
    .cursor_set_rank = cursor_set_rank,
};
