/* ZeroDB: every operation as a program would call it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

struct zerodb {
    const struct setting *setting;
    char *path;
    zdb_env *env;
    zdb_txn *txns[TRANSACTIONS];
    zdb_db databases[DATABASES + 1];
    zdb_cursor *cursors[CURSORS + 1];
    unsigned char *values; /* the values that MULTIPLE operations return */
    size_t values_size;
    char problem[512]; /* problems that zdb_env_verify() found */
};

static const zdb_db not_opened = UINT32_MAX;

static enum answer answer_of(int code) {
    switch (code) {
    case ZDB_OK: return ANSWER_OK;
    case ZDB_NOT_FOUND: return ANSWER_NOT_FOUND;
    case ZDB_KEYEXIST: return ANSWER_EXISTS;
    case ZDB_NOT_SORTED: return ANSWER_NOT_SORTED;
    case ZDB_BAD_VALSIZE: return ANSWER_BAD_SIZE;
    case ZDB_INCOMPATIBLE: return ANSWER_INCOMPATIBLE;
    case ZDB_BAD_CURSOR: return ANSWER_BAD_CURSOR;
    case ZDB_BAD_DB: return ANSWER_BAD_DATABASE;
    case ZDB_BAD_TXN: return ANSWER_BAD_TRANSACTION;
    case ZDB_READ_ONLY: return ANSWER_READ_ONLY;
    case ZDB_BAD_ARGUMENT: return ANSWER_BAD_ARGUMENT;
    default: return ANSWER_OTHER;
    }
}

static void set_code(struct result *result, int code) {
    result->code = code;
    result->answer = answer_of(code);
}

static zdb_val zerodb_val(struct bytes bytes) {
    zdb_val val = {bytes.data, bytes.size};
    return val;
}

static struct bytes bytes_of(zdb_val val) {
    struct bytes bytes = {val.data, val.size};
    return bytes;
}

static void open_environment(struct zerodb *zerodb) {
    zdb_env_options options;
    int code = zdb_env_options_init(&options);
    options.page_size = zerodb->setting->page_size;
    options.max_size = (uint64_t)64 << 30;
    options.max_txn_pages = 0;
    options.durability = ZDB_DURABILITY_NONE;
    options.threads = ZDB_THREADS_NONE; /* the same every time */
    if (code == ZDB_OK) code = zdb_env_open(zerodb->path, &options, &zerodb->env);
    if (code != ZDB_OK) give_up("ZeroDB does not open %s: %s", zerodb->path, zdb_last_error());
    for (unsigned i = 0; i <= DATABASES; i++) zerodb->databases[i] = not_opened;
}

static int close_environment(struct zerodb *zerodb) {
    for (unsigned i = 0; i <= CURSORS; i++) {
        zdb_cursor_close(zerodb->cursors[i]);
        zerodb->cursors[i] = NULL;
    }
    return zdb_env_close(zerodb->env);
}

static int reopen(struct zerodb *zerodb) {
    int code = close_environment(zerodb);
    if (code == ZDB_OK) open_environment(zerodb);
    return code;
}

/* ------------------------------------------------ transactions, databases */

static int begin(struct zerodb *zerodb, unsigned slot) {
    zdb_txn *parent = is_writer(slot) && slot > 0 ? zerodb->txns[slot - 1] : NULL;
    return zdb_txn_begin(zerodb->env, parent, is_writer(slot) ? 0 : ZDB_RDONLY,
                         &zerodb->txns[slot]);
}

static int open_database(struct zerodb *zerodb, const struct operation *operation) {
    const char *name = database_name(zerodb->setting, operation->database);
    zdb_db opened;
    int code = zdb_db_open(zerodb->txns[operation->txn], name, operation->flags, &opened);
    if (code == ZDB_OK) zerodb->databases[operation->database] = opened;
    return code;
}

static int describe_database(zdb_txn *txn, zdb_db db, enum action action, struct result *result) {
    int code;
    if (action == DB_STAT) {
        zdb_db_stat stat = {.struct_size = sizeof(stat)};
        code = zdb_stat(txn, db, &stat);
        result->number = (int64_t)stat.entries;
    } else {
        uint32_t flags = 0;
        code = zdb_db_flags(txn, db, &flags);
        result->number = flags;
    }
    result->has_number = code == ZDB_OK;
    return code;
}

/* ------------------------------------------------------------ keys, values */

static int get(zdb_txn *txn, zdb_db db, const struct operation *operation,
               struct result *result) {
    zdb_val key = zerodb_val(operation->key), value = {NULL, 0};
    int code = zdb_get(txn, db, &key, &value);
    result->has_value = code == ZDB_OK;
    result->value = bytes_of(value);
    return code;
}

/* After a put: the room to fill, or the value that was there. */
static void finish_put(int code, const struct operation *operation, zdb_val value,
                       struct result *result) {
    if (code == ZDB_OK && (operation->flags & ZDB_RESERVE)) {
        memcpy((void *)(uintptr_t)value.data, operation->value.data, operation->value.size);
    }
    if (code == ZDB_KEYEXIST && (operation->flags & ZDB_NOOVERWRITE)) {
        result->has_value = true;
        result->value = bytes_of(value);
    }
}

static int put(zdb_txn *txn, zdb_db db, const struct operation *operation,
               struct result *result) {
    zdb_val key = zerodb_val(operation->key), value = zerodb_val(operation->value);
    if (operation->flags & ZDB_RESERVE) value.data = NULL;
    int code = zdb_put(txn, db, &key, &value, operation->flags);
    finish_put(code, operation, value, result);
    return code;
}

static int delete(zdb_txn *txn, zdb_db db, const struct operation *operation) {
    zdb_val key = zerodb_val(operation->key), value = zerodb_val(operation->value);
    return zdb_del(txn, db, &key, operation->with_value ? &value : NULL);
}

static int compare(zdb_txn *txn, zdb_db db, const struct operation *operation,
                   struct result *result) {
    zdb_val left = zerodb_val(operation->key), right = zerodb_val(operation->value);
    int order = 0;
    int code = operation->action == COMPARE_KEYS ? zdb_cmp(txn, db, &left, &right, &order)
                                                 : zdb_dcmp(txn, db, &left, &right, &order);
    result->has_number = code == ZDB_OK;
    result->number = (order > 0) - (order < 0);
    return code;
}

/* ----------------------------------------------------------------- cursors */

static int move(zdb_cursor *cursor, const struct operation *operation, struct result *result) {
    zdb_cursor_op move = (zdb_cursor_op)operation->flags;
    zdb_val key = zerodb_val(operation->key), value = zerodb_val(operation->value);
    int code = zdb_cursor_get(cursor, &key, &value, move);
    if (code != ZDB_OK) return code;
    result->has_key = move != ZDB_SET && move != ZDB_GET_BOTH && move != ZDB_GET_BOTH_RANGE;
    result->has_value = true;
    result->key = bytes_of(key);
    result->value = bytes_of(value);
    return code;
}

static int put_with_cursor(zdb_cursor *cursor, const struct operation *operation,
                           struct result *result) {
    zdb_val key = zerodb_val(operation->key), value = zerodb_val(operation->value);
    if (operation->flags & ZDB_MULTIPLE) {
        zdb_val values[2] = {{operation->value.data, operation->value.size / operation->multiple},
                             {NULL, operation->multiple}};
        int code = zdb_cursor_put(cursor, &key, values, operation->flags);
        result->has_number = code == ZDB_OK;
        result->number = (int64_t)values[1].size;
        return code;
    }
    if (operation->flags & ZDB_RESERVE) value.data = NULL;
    const zdb_val *at = operation->flags == ZDB_CURRENT ? NULL : &key;
    int code = zdb_cursor_put(cursor, at, &value, operation->flags);
    finish_put(code, operation, value, result);
    return code;
}

static int count(zdb_cursor *cursor, struct result *result) {
    uint64_t number = 0;
    int code = zdb_cursor_count(cursor, &number);
    result->has_number = code == ZDB_OK;
    result->number = (int64_t)number;
    return code;
}

/* Whether the cursor is on this value. */
static bool is_on(zdb_cursor *cursor, const void *value, size_t size) {
    zdb_val current = {NULL, 0};
    return zdb_cursor_get(cursor, NULL, &current, ZDB_GET_CURRENT) == ZDB_OK &&
           current.size == size && memcmp(current.data, value, size) == 0;
}

/* Adds a page's values to those found, behind or before them.
 * Returns whether the cursor is where it should be then. */
static bool add_values(struct zerodb *zerodb, zdb_cursor *cursor, zdb_val values, size_t value_size,
                       bool is_forward) {
    size_t old = zerodb->values_size, size = values.size;
    unsigned char *larger = allocate(old + size + 1);
    if (old > 0) memcpy(larger + (is_forward ? 0 : size), zerodb->values, old);
    memcpy(larger + (is_forward ? old : 0), values.data, size);
    free(zerodb->values);
    zerodb->values = larger;
    zerodb->values_size = old + size;
    if (size == 0 || size % value_size != 0) return false;
    return is_on(cursor, larger + (is_forward ? old + size - value_size : 0), value_size);
}

static int move_multiple(struct zerodb *zerodb, zdb_cursor *cursor,
                         const struct operation *operation, struct result *result) {
    const struct database *database = &zerodb->setting->database[operation->database];
    bool is_forward = operation->action == MULTIPLE_FORWARD;
    zdb_cursor_op op = is_forward ? ZDB_GET_MULTIPLE : ZDB_PREV_MULTIPLE;
    zdb_val key = {NULL, 0}, values = {NULL, 0};
    zerodb->values_size = 0;
    int code = zdb_cursor_get(cursor, &key, &values, op);
    if (code != ZDB_OK && (is_forward || code != ZDB_NOT_FOUND)) return code;
    while (code == ZDB_OK) {
        if (!add_values(zerodb, cursor, values, database->value_size, is_forward)) {
            fprintf(stderr, "the cursor is not on the end of the values returned\n");
            return ENOTRECOVERABLE;
        }
        if (is_forward) op = ZDB_NEXT_MULTIPLE;
        code = zdb_cursor_get(cursor, &key, &values, op);
    }
    if (code != ZDB_NOT_FOUND) return code;
    if (!is_forward) {
        code = zdb_cursor_get(cursor, &key, &values, ZDB_FIRST_DUP);
        if (code != ZDB_OK) return code;
    }
    result->has_value = true;
    result->value.data = zerodb->values;
    result->value.size = zerodb->values_size;
    return ZDB_OK;
}

static int apply_to_cursor(struct zerodb *zerodb, const struct operation *operation,
                           struct result *result) {
    zdb_cursor **cursor = &zerodb->cursors[operation->cursor];
    zdb_txn *txn = zerodb->txns[operation->txn];
    switch (operation->action) {
    case CURSOR_OPEN:
        return zdb_cursor_open(txn, zerodb->databases[operation->database], cursor);
    case CURSOR_CLOSE: {
        int code = zdb_cursor_close(*cursor);
        *cursor = NULL;
        return code;
    }
    case CURSOR_RENEW: return zdb_cursor_renew(txn, *cursor);
    case CURSOR_GET: return move(*cursor, operation, result);
    case CURSOR_PUT: return put_with_cursor(*cursor, operation, result);
    case CURSOR_DELETE: return zdb_cursor_del(*cursor, operation->flags);
    case CURSOR_COUNT: return count(*cursor, result);
    default: return move_multiple(zerodb, *cursor, operation, result);
    }
}

/* ------------------------------------------------------------------ engine */

static int call(struct zerodb *zerodb, const struct operation *operation, struct result *result) {
    zdb_txn *txn = operation->txn < TRANSACTIONS ? zerodb->txns[operation->txn] : NULL;
    zdb_db db = zerodb->databases[operation->database];
    switch (operation->action) {
    case TXN_BEGIN: return begin(zerodb, operation->txn);
    case TXN_COMMIT: return zdb_txn_commit(txn);
    case TXN_ABORT: return zdb_txn_abort(txn);
    case TXN_RESET: return zdb_txn_reset(txn);
    case TXN_RENEW: return zdb_txn_renew(txn);
    case DB_OPEN: return open_database(zerodb, operation);
    case DB_CLEAR: return zdb_db_clear(txn, db);
    case DB_DROP: return zdb_db_drop(txn, db);
    case DB_FLAGS:
    case DB_STAT: return describe_database(txn, db, operation->action, result);
    case GET: return get(txn, db, operation, result);
    case PUT: return put(txn, db, operation, result);
    case DELETE: return delete(txn, db, operation);
    case COMPARE_KEYS:
    case COMPARE_VALUES: return compare(txn, db, operation, result);
    case ENV_CHECKPOINT: return zdb_env_checkpoint(zerodb->env);
    case ENV_REOPEN: return reopen(zerodb);
    default: return apply_to_cursor(zerodb, operation, result);
    }
}

static void apply(void *state, const struct operation *operation, struct result *result) {
    memset(result, 0, sizeof(*result));
    set_code(result, call(state, operation, result));
}

static void note_problem(void *context, const zdb_problem *problem) {
    struct zerodb *zerodb = context;
    if (zerodb->problem[0] != '\0') return;
    snprintf(zerodb->problem, sizeof(zerodb->problem), "page %llu: %s",
             (unsigned long long)problem->page, problem->message);
}

static const char *verify(void *state) {
    struct zerodb *zerodb = state;
    zerodb->problem[0] = '\0';
    zdb_verify_options options = {
        .struct_size = sizeof(options), .on_problem = note_problem, .context = zerodb};
    int code = zdb_env_verify(zerodb->env, &options, NULL);
    if (code == ZDB_OK) return NULL;
    return zerodb->problem[0] != '\0' ? zerodb->problem : zdb_last_error();
}

static void close_engine(void *state) {
    struct zerodb *zerodb = state;
    int code = close_environment(zerodb);
    if (code != ZDB_OK) give_up("ZeroDB does not close: %s", zdb_last_error());
    free(zerodb->values);
    free(zerodb->path);
    free(zerodb);
}

struct engine open_zerodb(const struct setting *setting, const char *subdirectory) {
    struct zerodb *zerodb = allocate(sizeof(*zerodb));
    memset(zerodb, 0, sizeof(*zerodb));
    zerodb->setting = setting;
    size_t size = strlen(setting->directory) + strlen(subdirectory) + 2;
    zerodb->path = allocate(size);
    snprintf(zerodb->path, size, "%s/%s", setting->directory, subdirectory);
    open_environment(zerodb);
    struct engine engine = {"ZeroDB", zerodb, apply, verify, close_engine};
    return engine;
}
