#include "calls.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "support.h"

/* ------------------------------------------------------------- environments */

static int call_env_info(zdb_env *env) {
    zdb_info info;
    memset(&info, 0, sizeof(info));
    info.struct_size = sizeof(info);
    return zdb_env_info(env, &info);
}

static int call_env_verify(zdb_env *env) {
    return zdb_env_verify(env, NULL, NULL);
}

static void ignore_reader(void *context, const zdb_reader *reader) {
    (void)context, (void)reader;
}

static int call_reader_list(zdb_env *env) {
    return zdb_reader_list(env, ignore_reader, NULL);
}

static void ignore_metric(void *context, const zdb_metric *metric) {
    (void)context, (void)metric;
}

static int call_metrics(zdb_env *env) {
    return zdb_env_metrics(env, ignore_metric, NULL);
}

static int call_limits(zdb_env *env) {
    zdb_limits limits;
    limits.struct_size = sizeof(limits);
    return zdb_env_limits(env, &limits);
}

static int call_metric(zdb_env *env) {
    double value;
    return zdb_env_metric(env, "zerodb_readers", &value);
}

static void ignore_transaction(void *context, const zdb_txn_info *info) {
    (void)context, (void)info;
}

static int call_txn_list(zdb_env *env) {
    return zdb_txn_list(env, ignore_transaction, NULL);
}

static int call_close_wait(zdb_env *env) {
    return zdb_env_close_wait(env, 0, 0);
}

static int call_reader_check(zdb_env *env) {
    uint32_t dead;
    return zdb_reader_check(env, &dead);
}

static int begin_with_flags(zdb_env *env, uint32_t flags) {
    char poison;
    zdb_txn *txn = (zdb_txn *)(void *)&poison;
    int code = zdb_txn_begin(env, NULL, flags, &txn);
    CHECK(txn == NULL);
    return code;
}

static int call_txn_begin_read(zdb_env *env) {
    return begin_with_flags(env, ZDB_RDONLY);
}

static int call_txn_begin_write(zdb_env *env) {
    return begin_with_flags(env, 0);
}

static int call_compact(zdb_env *env) { return zdb_env_compact(env, NULL, NULL); }

/* Into a directory of its own each time. */
static int call_copy(zdb_env *env) {
    static unsigned copies;
    char path[KEY_BYTES];
    snprintf(path, sizeof(path), "copy%u", __atomic_fetch_add(&copies, 1, __ATOMIC_RELAXED));
    return zdb_env_copy(env, path, NULL, NULL);
}

static int call_copy_fd(zdb_env *env) {
    int fd = open("/dev/null", O_WRONLY);
    REQUIRE(fd >= 0);
    int code = zdb_env_copy_fd(env, fd, NULL, NULL);
    close(fd);
    return code;
}

const struct env_call env_calls[] = {
    {"zdb_env_compact", call_compact},
    {"zdb_env_copy", call_copy},
    {"zdb_env_copy_fd", call_copy_fd},
    {"zdb_env_sync", zdb_env_sync},
    {"zdb_env_checkpoint", zdb_env_checkpoint},
    {"zdb_env_info", call_env_info},
    {"zdb_env_verify", call_env_verify},
    {"zdb_reader_list", call_reader_list},
    {"zdb_reader_check", call_reader_check},
    {"zdb_env_limits", call_limits},
    {"zdb_env_metrics", call_metrics},
    {"zdb_env_metric", call_metric},
    {"zdb_txn_list", call_txn_list},
    {"zdb_txn_begin, to read", call_txn_begin_read},
    {"zdb_txn_begin, to write", call_txn_begin_write},
    {"zdb_env_close_wait", call_close_wait},
    {"zdb_env_close", zdb_env_close},
};
const size_t env_call_count = sizeof(env_calls) / sizeof(env_calls[0]);

/* ------------------------------------------------------------- transactions */

static int call_db_open_main(zdb_txn *txn) {
    zdb_db db;
    return zdb_db_open(txn, NULL, 0, &db);
}

static int call_db_open_named(zdb_txn *txn) {
    zdb_db db;
    return zdb_db_open(txn, "named", 0, &db);
}

static int call_db_create(zdb_txn *txn) {
    zdb_db db;
    return zdb_db_open(txn, "named", ZDB_CREATE, &db);
}

static int call_stat(zdb_txn *txn) {
    zdb_db_stat stat;
    memset(&stat, 0, sizeof(stat));
    stat.struct_size = sizeof(stat);
    return zdb_stat(txn, ZDB_MAIN_DB, &stat);
}

static int call_get(zdb_txn *txn) {
    zdb_val key = text("k"), value = nothing();
    return zdb_get(txn, ZDB_MAIN_DB, &key, &value);
}

static int call_put(zdb_txn *txn) {
    zdb_val key = text("k"), value = text("v");
    return zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0);
}

static int call_del(zdb_txn *txn) {
    zdb_val key = text("k");
    return zdb_del(txn, ZDB_MAIN_DB, &key, NULL);
}

static int call_get_many(zdb_txn *txn) {
    zdb_val key = text("k"), value = nothing();
    return zdb_get_many(txn, ZDB_MAIN_DB, &key, &value, 1, NULL);
}

static int call_get_packed(zdb_txn *txn) {
    static const char keys[] = "[\1\0\0\0s\1\0\0\0k";
    char room[64];
    size_t used;
    return zdb_get_packed(txn, ZDB_MAIN_DB, 0, keys, sizeof(keys) - 1, room, sizeof(room), &used);
}

static int call_get_fixed(zdb_txn *txn) {
    static const char keys[] = "[\1\0\0\0s\1\0\0\0k";
    char room[64];
    size_t used;
    return zdb_get_fixed(txn, ZDB_MAIN_DB, keys, sizeof(keys) - 1, 8, room, sizeof(room), &used);
}

static int call_put_packed(zdb_txn *txn) {
    static const char entries[] = "[\1\0\0\0)\2s\1\0\0\0ks\1\0\0\0v";
    return zdb_put_packed(txn, ZDB_MAIN_DB, entries, sizeof(entries) - 1, 0, NULL);
}

static int call_get_bytes(zdb_txn *txn) {
    char room[64];
    size_t used;
    return zdb_get_bytes(txn, ZDB_MAIN_DB, "k", 1, room, sizeof(room), &used);
}

static int call_put_bytes(zdb_txn *txn) {
    return zdb_put_bytes(txn, ZDB_MAIN_DB, "k", 1, "v", 1, 0);
}

static int call_reserve(zdb_txn *txn) {
    zdb_val key = text("k"), value = bytes(NULL, 5);
    return zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE);
}

static int call_db_flags(zdb_txn *txn) {
    uint32_t flags;
    return zdb_db_flags(txn, ZDB_MAIN_DB, &flags);
}

static int call_db_clear(zdb_txn *txn) {
    return zdb_db_clear(txn, ZDB_MAIN_DB);
}

static int call_db_drop(zdb_txn *txn) {
    return zdb_db_drop(txn, ZDB_MAIN_DB);
}

static int call_db_rename(zdb_txn *txn) {
    return zdb_db_rename(txn, ZDB_MAIN_DB, "renamed", NULL);
}

static int ignore_database(void *context, const char *name, const zdb_db_stat *stat) {
    (void)context, (void)name, (void)stat;
    return 0;
}

static int call_db_list(zdb_txn *txn) {
    return zdb_db_list(txn, ignore_database, NULL);
}

static int call_cmp(zdb_txn *txn) {
    zdb_val key = text("k");
    int order;
    return zdb_cmp(txn, ZDB_MAIN_DB, &key, &key, &order);
}

static int call_dcmp(zdb_txn *txn) {
    zdb_val value = text("v");
    int order;
    return zdb_dcmp(txn, ZDB_MAIN_DB, &value, &value, &order);
}

static int call_del_range(zdb_txn *txn) {
    return zdb_del_range(txn, ZDB_MAIN_DB, NULL, NULL, NULL);
}

static int call_count_range(zdb_txn *txn) {
    uint64_t count;
    return zdb_count_range(txn, ZDB_MAIN_DB, NULL, NULL, &count);
}

static int call_rank(zdb_txn *txn) {
    zdb_val key = text("k");
    uint64_t rank;
    return zdb_rank(txn, ZDB_MAIN_DB, &key, &rank);
}

static int ignore_part(void *context, const zdb_val *key) {
    (void)context, (void)key;
    return 0;
}

static int call_split_range(zdb_txn *txn) {
    return zdb_split_range(txn, ZDB_MAIN_DB, NULL, NULL, 2, ignore_part, NULL);
}

static int call_cursor_open(zdb_txn *txn) {
    zdb_cursor *cursor = NULL;
    return zdb_cursor_open(txn, ZDB_MAIN_DB, &cursor);
}

/* The transaction is checked before the cursor, so the message is not about the cursor. */
static int call_cursor_renew_in(zdb_txn *txn) {
    int code = zdb_cursor_renew(txn, NULL);
    CHECK(strstr(zdb_last_error(), "the cursor") == NULL);
    return code;
}

const struct txn_call txn_calls[] = {
    {"zdb_db_open, main", call_db_open_main},
    {"zdb_db_open, named", call_db_open_named},
    {"zdb_db_open, to create", call_db_create},
    {"zdb_stat", call_stat},
    {"zdb_get", call_get},
    {"zdb_put", call_put},
    {"zdb_del", call_del},
    {"zdb_get_many", call_get_many},
    {"zdb_get_packed", call_get_packed},
    {"zdb_get_fixed", call_get_fixed},
    {"zdb_put_packed", call_put_packed},
    {"zdb_get_bytes", call_get_bytes},
    {"zdb_put_bytes", call_put_bytes},
    {"zdb_put, to reserve", call_reserve},
    {"zdb_db_flags", call_db_flags},
    {"zdb_db_clear", call_db_clear},
    {"zdb_db_drop", call_db_drop},
    {"zdb_db_rename", call_db_rename},
    {"zdb_db_list", call_db_list},
    {"zdb_cmp", call_cmp},
    {"zdb_dcmp", call_dcmp},
    {"zdb_del_range", call_del_range},
    {"zdb_count_range", call_count_range},
    {"zdb_rank", call_rank},
    {"zdb_split_range", call_split_range},
    {"zdb_cursor_open", call_cursor_open},
    {"zdb_cursor_renew, in it", call_cursor_renew_in},
    {"zdb_txn_reset", zdb_txn_reset},
    {"zdb_txn_renew", zdb_txn_renew},
    {"zdb_txn_commit", zdb_txn_commit},
    {"zdb_txn_abort", zdb_txn_abort},
};
const size_t txn_call_count = sizeof(txn_calls) / sizeof(txn_calls[0]);

/* ------------------------------------------------------------------ cursors */

static int call_cursor_first(zdb_cursor *cursor) {
    zdb_val key = nothing(), value = nothing();
    return zdb_cursor_get(cursor, &key, &value, ZDB_FIRST);
}

static int call_cursor_current(zdb_cursor *cursor) {
    return zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT);
}

static int call_cursor_set(zdb_cursor *cursor) {
    zdb_val key = text("k"), value = nothing();
    return zdb_cursor_get(cursor, &key, &value, ZDB_SET);
}

static int call_cursor_put(zdb_cursor *cursor) {
    zdb_val key = text("k"), value = text("v");
    return zdb_cursor_put(cursor, &key, &value, 0);
}

static int call_cursor_put_current(zdb_cursor *cursor) {
    zdb_val value = text("v");
    return zdb_cursor_put(cursor, NULL, &value, ZDB_CURRENT);
}

static int call_cursor_both(zdb_cursor *cursor) {
    zdb_val key = text("k"), value = text("v");
    return zdb_cursor_get(cursor, &key, &value, ZDB_GET_BOTH);
}

static int call_cursor_next_many(zdb_cursor *cursor) {
    zdb_val key, value;
    size_t count;
    return zdb_cursor_next_many(cursor, &key, &value, 1, &count);
}

static int call_cursor_prev_many(zdb_cursor *cursor) {
    zdb_val key, value;
    size_t count;
    return zdb_cursor_prev_many(cursor, &key, &value, 1, &count);
}

static int call_cursor_read_from(zdb_cursor *cursor) {
    char room[256];
    return zdb_cursor_read_from(cursor, "k", 1, ZDB_NEXT, ZDB_PACK_KEYS, NULL, 1, room, sizeof(room),
                                NULL, NULL);
}

static int call_cursor_read(zdb_cursor *cursor) {
    char room[256];
    size_t count;
    return zdb_cursor_read(cursor, ZDB_NEXT, ZDB_PACK_KEYS, NULL, 1, room, sizeof(room), &count,
                           NULL);
}

static int call_cursor_reserve(zdb_cursor *cursor) {
    zdb_val key = text("k"), value = bytes(NULL, 5);
    return zdb_cursor_put(cursor, &key, &value, ZDB_RESERVE);
}

static int call_cursor_count(zdb_cursor *cursor) {
    uint64_t count;
    return zdb_cursor_count(cursor, &count);
}

static int call_cursor_rank(zdb_cursor *cursor) {
    uint64_t rank;
    return zdb_cursor_rank(cursor, &rank);
}

static int call_cursor_set_rank(zdb_cursor *cursor) {
    return zdb_cursor_set_rank(cursor, 0, NULL, NULL);
}

static int call_cursor_del_all(zdb_cursor *cursor) {
    return zdb_cursor_del(cursor, ZDB_NODUPDATA);
}

static int call_cursor_del(zdb_cursor *cursor) {
    return zdb_cursor_del(cursor, 0);
}

const struct cursor_call cursor_calls[] = {
    {"zdb_cursor_get, first", call_cursor_first},
    {"zdb_cursor_get, current", call_cursor_current},
    {"zdb_cursor_get, set", call_cursor_set},
    {"zdb_cursor_put", call_cursor_put},
    {"zdb_cursor_put, current", call_cursor_put_current},
    {"zdb_cursor_put, to reserve", call_cursor_reserve},
    {"zdb_cursor_del", call_cursor_del},
    {"zdb_cursor_del, all values", call_cursor_del_all},
    {"zdb_cursor_get, both", call_cursor_both},
    {"zdb_cursor_next_many", call_cursor_next_many},
    {"zdb_cursor_prev_many", call_cursor_prev_many},
    {"zdb_cursor_read", call_cursor_read},
    {"zdb_cursor_read_from", call_cursor_read_from},
    {"zdb_cursor_count", call_cursor_count},
    {"zdb_cursor_rank", call_cursor_rank},
    {"zdb_cursor_set_rank", call_cursor_set_rank},
    {"zdb_cursor_close", zdb_cursor_close},
};
const size_t cursor_call_count = sizeof(cursor_calls) / sizeof(cursor_calls[0]);

/* ------------------------------------------------------------------- checks */

static void check_answer(struct place place, const char *name, int code, int one, int other) {
    check_either(place, code, one, other, name);
    if (code == ZDB_OK) return;
    if (zdb_last_error_code() != code || zdb_last_error()[0] == '\0') {
        check_failed(place, "%s returned %s without saying so in zdb_last_error()", name,
                     code_name(code));
    }
}

/* For a function that returns no code: an older error must not be mistaken for its own. */
static void fail_otherwise(void) {
    CHECK_ERROR(zdb_env_options_init(NULL), ZDB_BAD_ARGUMENT);
}

void check_env_calls(struct place place, zdb_env *env, int one, int other) {
    check_number(place, zdb_env_max_key_size(env), 0, "zdb_env_max_key_size");
    for (size_t i = 0; i < env_call_count; i++) {
        check_answer(place, env_calls[i].name, env_calls[i].call(env), one, other);
    }
}

/* NULL stands for functions that do nothing, rather than fail, when they are given NULL. */

void check_txn_calls(struct place place, zdb_txn *txn, int one, int other) {
    check_number(place, zdb_txn_id(txn), 0, "zdb_txn_id");
    /* A transaction that has a child is alive, and its environment is known. */
    if (other != ZDB_BAD_TXN) {
        fail_otherwise();
        check_true(place, zdb_txn_env(txn) == NULL, "zdb_txn_env is NULL");
        check_answer(place, "zdb_txn_env", zdb_last_error_code(), one, other);
    }
    for (size_t i = 0; i < txn_call_count; i++) {
        if (txn == NULL && txn_calls[i].call == zdb_txn_abort) continue;
        check_answer(place, txn_calls[i].name, txn_calls[i].call(txn), one, other);
    }
}

void check_cursor_calls(struct place place, zdb_cursor *cursor, zdb_txn *txn, int one, int other) {
    check_answer(place, "zdb_cursor_renew", zdb_cursor_renew(txn, cursor), one, other);
    fail_otherwise();
    check_true(place, zdb_cursor_txn(cursor) == NULL, "zdb_cursor_txn is NULL");
    check_answer(place, "zdb_cursor_txn", zdb_last_error_code(), one, other);
    fail_otherwise();
    check_number(place, zdb_cursor_db(cursor), UINT32_MAX, "zdb_cursor_db");
    check_answer(place, "zdb_cursor_db", zdb_last_error_code(), one, other);
    for (size_t i = 0; i < cursor_call_count; i++) {
        if (cursor == NULL && cursor_calls[i].call == zdb_cursor_close) continue;
        check_answer(place, cursor_calls[i].name, cursor_calls[i].call(cursor), one, other);
    }
}
