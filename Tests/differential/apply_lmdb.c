/* LMDB: environment, transactions, databases, and calls that need no cursor. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lmdb_engine.h"

/* The harness uses ZeroDB's constants, which equal LMDB's. */
_Static_assert(ZDB_REVERSEKEY == MDB_REVERSEKEY && ZDB_DUPSORT == MDB_DUPSORT &&
                   ZDB_INTEGERKEY == MDB_INTEGERKEY && ZDB_DUPFIXED == MDB_DUPFIXED &&
                   ZDB_INTEGERDUP == MDB_INTEGERDUP && ZDB_REVERSEDUP == MDB_REVERSEDUP &&
                   ZDB_CREATE == MDB_CREATE,
               "flags of databases");
_Static_assert(ZDB_NOOVERWRITE == MDB_NOOVERWRITE && ZDB_NODUPDATA == MDB_NODUPDATA &&
                   ZDB_CURRENT == MDB_CURRENT && ZDB_RESERVE == MDB_RESERVE &&
                   ZDB_APPEND == MDB_APPEND && ZDB_APPENDDUP == MDB_APPENDDUP &&
                   ZDB_MULTIPLE == MDB_MULTIPLE,
               "flags of puts");

static const size_t map_size = (size_t)8 << 30;

void set_lmdb_code(struct result *result, int code) {
    result->code = code;
    switch (code) {
    case MDB_SUCCESS: result->answer = ANSWER_OK; break;
    case MDB_NOTFOUND: result->answer = ANSWER_NOT_FOUND; break;
    case MDB_KEYEXIST: result->answer = ANSWER_EXISTS; break;
    case MDB_BAD_VALSIZE: result->answer = ANSWER_BAD_SIZE; break;
    case MDB_INCOMPATIBLE: result->answer = ANSWER_INCOMPATIBLE; break;
    case MDB_BAD_DBI: result->answer = ANSWER_BAD_DATABASE; break;
    case MDB_BAD_TXN: result->answer = ANSWER_BAD_TRANSACTION; break;
    case EACCES: result->answer = ANSWER_READ_ONLY; break;
    case EINVAL: result->answer = ANSWER_BAD_ARGUMENT; break;
    default: result->answer = ANSWER_OTHER; break;
    }
}

void set_lmdb_put_code(struct result *result, int code, uint32_t flags) {
    set_lmdb_code(result, code);
    if (code == MDB_KEYEXIST && (flags & (ZDB_APPEND | ZDB_APPENDDUP))) {
        meant(MEANT_APPEND_HAS_ITS_OWN_CODE);
        result->answer = ANSWER_NOT_SORTED;
    }
}

static void open_environment(struct lmdb *lmdb) {
    int code = mdb_env_create(&lmdb->env);
    if (code == 0) code = mdb_env_set_mapsize(lmdb->env, map_size);
    /* Slots of dropped databases may not be free again before the transaction ends. */
    if (code == 0) code = mdb_env_set_maxdbs(lmdb->env, 64);
    if (code == 0) {
        code = mdb_env_open(lmdb->env, lmdb->path, MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD, 0600);
    }
    if (code != 0) give_up("LMDB does not open %s: %s", lmdb->path, mdb_strerror(code));
    if (mdb_env_get_maxkeysize(lmdb->env) != KEY_SIZE_MAX) {
        give_up("this LMDB has keys of up to %d bytes; the test is made for %d",
                mdb_env_get_maxkeysize(lmdb->env), KEY_SIZE_MAX);
    }
    for (unsigned i = 0; i < DATABASES; i++) lmdb->committed[i].state = HANDLE_UNKNOWN;
}

static void close_environment(struct lmdb *lmdb) {
    close_cursors(lmdb);
    mdb_env_close(lmdb->env);
    lmdb->env = NULL;
}

/* ------------------------------------------------------------ transactions */

static void begin(struct lmdb *lmdb, unsigned slot, struct result *result) {
    struct lmdb_txn *txn = &lmdb->txns[slot];
    MDB_txn *parent = is_writer(slot) && slot > 0 ? lmdb->txns[slot - 1].txn : NULL;
    for (unsigned i = 0; parent != NULL && i < lmdb->setting->databases; i++) {
        put_aside_cursors(lmdb, i, NULL);
    }
    set_lmdb_code(result,
                  mdb_txn_begin(lmdb->env, parent, is_writer(slot) ? 0 : MDB_RDONLY, &txn->txn));
    if (result->answer != ANSWER_OK) return;
    txn->is_reset = false;
    memcpy(txn->handles, parent != NULL ? lmdb->txns[slot - 1].handles : lmdb->committed,
           sizeof(txn->handles));
}

static void end(struct lmdb *lmdb, unsigned slot, bool commits, struct result *result) {
    struct lmdb_txn *txn = &lmdb->txns[slot];
    if (has_child(lmdb, slot)) {
        meant(MEANT_END_OF_PARENT);
        set_answer(result, ANSWER_BAD_TRANSACTION);
        return;
    }
    end_cursors(lmdb, slot);
    if (commits) {
        set_lmdb_code(result, mdb_txn_commit(txn->txn));
    } else {
        mdb_txn_abort(txn->txn);
        set_answer(result, ANSWER_OK);
    }
    txn->txn = NULL;
    if (is_writer(slot) && commits && result->answer == ANSWER_OK) {
        memcpy(slot > 0 ? lmdb->txns[slot - 1].handles : lmdb->committed, txn->handles,
               sizeof(txn->handles));
    }
}

static void apply_to_transaction(struct lmdb *lmdb, const struct operation *operation,
                                 struct result *result) {
    struct lmdb_txn *txn = &lmdb->txns[operation->txn];
    switch (operation->action) {
    case TXN_BEGIN: begin(lmdb, operation->txn, result); break;
    case TXN_COMMIT: end(lmdb, operation->txn, true, result); break;
    case TXN_ABORT: end(lmdb, operation->txn, false, result); break;
    case TXN_RESET:
        mdb_txn_reset(txn->txn);
        txn->is_reset = true;
        break;
    default:
        set_lmdb_code(result, mdb_txn_renew(txn->txn));
        txn->is_reset = false;
        memcpy(txn->handles, lmdb->committed, sizeof(txn->handles));
        renew_cursors(lmdb, operation->txn);
        break;
    }
}

/* --------------------------------------------------------------- databases */

enum answer lmdb_handle(struct lmdb *lmdb, unsigned slot, unsigned database, MDB_dbi *dbi) {
    struct lmdb_txn *txn = &lmdb->txns[slot];
    struct handle *handle = &txn->handles[database];
    if (txn->is_reset) {
        meant(MEANT_RESET_HAS_ITS_OWN_CODE);
        return ANSWER_BAD_TRANSACTION;
    }
    if (handle->state == HANDLE_UNKNOWN) {
        if (!is_writer(slot)) {
            meant(MEANT_HANDLE_OF_DROPPED_DATABASE);
            return ANSWER_NONE;
        }
        int code = mdb_dbi_open(txn->txn, lmdb->setting->database[database].name, 0, &handle->dbi);
        if (code == MDB_BAD_TXN) return ANSWER_BAD_TRANSACTION;
        if (code != 0 && code != MDB_NOTFOUND) {
            give_up("LMDB does not open database %u: %s", database, mdb_strerror(code));
        }
        handle->state = code == 0 ? HANDLE_PRESENT : HANDLE_ABSENT;
    }
    *dbi = handle->dbi;
    if (handle->state == HANDLE_PRESENT) return ANSWER_OK;
    return has_child(lmdb, slot) ? ANSWER_BAD_TRANSACTION : ANSWER_BAD_DATABASE;
}

/* A reader never asks LMDB for the handle of an existing database: LMDB would return a handle
 * that another transaction has opened and not committed. */
static void open_database(struct lmdb *lmdb, const struct operation *operation,
                          struct result *result) {
    struct lmdb_txn *txn = &lmdb->txns[operation->txn];
    MDB_dbi dbi;
    if (operation->database == NO_DATABASE) {
        const char *name = database_name(lmdb->setting, NO_DATABASE);
        set_lmdb_code(result, mdb_dbi_open(txn->txn, name, operation->flags, &dbi));
        if (result->answer == ANSWER_INCOMPATIBLE) {
            meant(MEANT_NAMES_BESIDE_ANY_MAIN);
            set_answer(result, ANSWER_READ_ONLY);
        }
        return;
    }
    const struct database *database = &lmdb->setting->database[operation->database];
    enum answer state = lmdb_handle(lmdb, operation->txn, operation->database, &dbi);
    if (state != ANSWER_OK && state != ANSWER_BAD_DATABASE) {
        set_answer(result, state);
        return;
    }
    bool makes = (operation->flags & ZDB_CREATE) != 0;
    if (state == ANSWER_OK || makes) {
        enum answer answer = meant_of_open(operation, database);
        if (answer != ANSWER_OK) {
            set_answer(result, answer);
            return;
        }
    }
    if (!is_writer(operation->txn)) {
        set_answer(result, state == ANSWER_OK ? ANSWER_OK
                           : makes            ? ANSWER_READ_ONLY
                                              : ANSWER_NOT_FOUND);
        return;
    }
    set_lmdb_code(result, mdb_dbi_open(txn->txn, database->name, operation->flags, &dbi));
    if (result->answer == ANSWER_OK) {
        txn->handles[operation->database].state = HANDLE_PRESENT;
        txn->handles[operation->database].dbi = dbi;
    }
}

static void drop(struct lmdb *lmdb, const struct operation *operation, MDB_dbi dbi,
                 struct result *result) {
    unsigned database = operation->database;
    bool deletes = operation->action == DB_DROP;
    if (deletes && lmdb->setting->database[database].name == NULL) {
        meant(MEANT_DROP_OF_MAIN);
        set_answer(result, ANSWER_INCOMPATIBLE);
        return;
    }
    MDB_txn *txn = lmdb->txns[operation->txn].txn;
    if (is_writer(operation->txn)) put_aside_cursors(lmdb, database, NULL);
    set_lmdb_code(result, mdb_drop(txn, dbi, deletes));
    if (result->answer != ANSWER_OK) return;
    if (!deletes) return;
    lmdb->txns[operation->txn].handles[database].state = HANDLE_ABSENT;
    lmdb->committed[database].state = HANDLE_UNKNOWN;
    for (unsigned i = WRITER_LEVELS; i < TRANSACTIONS; i++) {
        struct handle *handle = &lmdb->txns[i].handles[database];
        if (handle->state == HANDLE_PRESENT) handle->state = HANDLE_UNKNOWN;
    }
}

/* ------------------------------------------------------------ keys, values */

static int sign(int order) {
    return (order > 0) - (order < 0);
}

enum answer lmdb_meant_of_put(struct lmdb *lmdb, MDB_dbi dbi, const struct operation *operation) {
    enum answer answer = meant_of_put(operation, &lmdb->setting->database[operation->database]);
    if (answer != ANSWER_BAD_SIZE) return answer;
    MDB_stat stat = {0};
    int code = mdb_stat(lmdb->txns[operation->txn].txn, dbi, &stat);
    return code == 0 && stat.ms_entries > 0 ? answer : ANSWER_NONE;
}

static void put(struct lmdb *lmdb, const struct operation *operation, MDB_dbi dbi,
                struct result *result) {
    enum answer answer = lmdb_meant_of_put(lmdb, dbi, operation);
    if (answer != ANSWER_OK) {
        set_answer(result, answer);
        return;
    }
    if (is_writer(operation->txn)) put_aside_cursors(lmdb, operation->database, NULL);
    MDB_val key = lmdb_val(operation->key), value = lmdb_val(operation->value);
    int code = mdb_put(lmdb->txns[operation->txn].txn, dbi, &key, &value, operation->flags);
    if (code == 0 && (operation->flags & ZDB_RESERVE)) {
        memcpy(value.mv_data, operation->value.data, operation->value.size);
    }
    set_lmdb_put_code(result, code, operation->flags);
    if (result->answer == ANSWER_EXISTS && (operation->flags & ZDB_NOOVERWRITE)) {
        result->has_value = true;
        result->value = bytes_of(value);
    }
}

static void get(struct lmdb *lmdb, const struct operation *operation, MDB_dbi dbi,
                struct result *result) {
    const struct database *database = &lmdb->setting->database[operation->database];
    MDB_txn *txn = lmdb->txns[operation->txn].txn;
    enum answer answer = has_child(lmdb, operation->txn) ? ANSWER_OK
                                                         : meant_of_lookup(operation, database);
    if (answer != ANSWER_OK) {
        set_answer(result, answer);
        return;
    }
    MDB_val key = lmdb_val(operation->key), value = lmdb_val(operation->value);
    if (operation->action == GET) {
        set_lmdb_code(result, mdb_get(txn, dbi, &key, &value));
        result->has_value = result->answer == ANSWER_OK;
        result->value = bytes_of(value);
    } else {
        if (is_writer(operation->txn)) put_aside_cursors(lmdb, operation->database, NULL);
        set_lmdb_code(result, mdb_del(txn, dbi, &key, operation->with_value ? &value : NULL));
    }
}

static void compare(struct lmdb *lmdb, const struct operation *operation, MDB_dbi dbi,
                    struct result *result) {
    MDB_txn *txn = lmdb->txns[operation->txn].txn;
    MDB_val left = lmdb_val(operation->key), right = lmdb_val(operation->value);
    if (operation->action == COMPARE_KEYS) {
        result->number = sign(mdb_cmp(txn, dbi, &left, &right));
    } else if (has_duplicates(&lmdb->setting->database[operation->database])) {
        result->number = sign(mdb_dcmp(txn, dbi, &left, &right));
    } else {
        meant(MEANT_COMPARE_VALUES_ON_PLAIN);
        set_answer(result, ANSWER_INCOMPATIBLE);
        return;
    }
    result->has_number = true;
}

static void describe_database(struct lmdb *lmdb, const struct operation *operation, MDB_dbi dbi,
                              struct result *result) {
    MDB_txn *txn = lmdb->txns[operation->txn].txn;
    if (operation->action == DB_STAT) {
        MDB_stat stat = {0};
        set_lmdb_code(result, mdb_stat(txn, dbi, &stat));
        result->number = (int64_t)stat.ms_entries;
    } else {
        unsigned flags = 0;
        set_lmdb_code(result, mdb_dbi_flags(txn, dbi, &flags));
        result->number = flags;
    }
    result->has_number = result->answer == ANSWER_OK;
}

static void apply(void *state, const struct operation *operation, struct result *result) {
    struct lmdb *lmdb = state;
    memset(result, 0, sizeof(*result));
    MDB_dbi dbi;
    enum answer answer;
    switch (operation->action) {
    case TXN_BEGIN:
    case TXN_COMMIT:
    case TXN_ABORT:
    case TXN_RESET:
    case TXN_RENEW: apply_to_transaction(lmdb, operation, result); return;
    case ENV_CHECKPOINT: return;
    case ENV_REOPEN:
        close_environment(lmdb);
        open_environment(lmdb);
        return;
    case DB_OPEN: open_database(lmdb, operation, result); return;
    case DB_CLEAR:
    case DB_DROP:
    case DB_FLAGS:
    case DB_STAT:
    case GET:
    case PUT:
    case DELETE:
    case COMPARE_KEYS:
    case COMPARE_VALUES: break;
    default: apply_to_lmdb_cursor(lmdb, operation, result); return;
    }
    answer = lmdb_handle(lmdb, operation->txn, operation->database, &dbi);
    bool is_unguarded = operation->action == DB_FLAGS || operation->action == COMPARE_KEYS ||
                        operation->action == COMPARE_VALUES;
    if (is_unguarded && has_child(lmdb, operation->txn)) {
        meant(MEANT_PARENT_OF_CHILD);
        answer = ANSWER_BAD_TRANSACTION;
    }
    bool writes = operation->action == PUT || operation->action == DELETE ||
                  operation->action == DB_CLEAR || operation->action == DB_DROP;
    if (answer == ANSWER_BAD_DATABASE && writes && !is_writer(operation->txn)) {
        /* It does not matter which of two errors comes first. */
        answer = ANSWER_NONE;
    }
    if (answer != ANSWER_OK) {
        set_answer(result, answer);
        return;
    }
    switch (operation->action) {
    case DB_CLEAR:
    case DB_DROP: drop(lmdb, operation, dbi, result); return;
    case DB_FLAGS:
    case DB_STAT: describe_database(lmdb, operation, dbi, result); return;
    case PUT: put(lmdb, operation, dbi, result); return;
    case GET:
    case DELETE: get(lmdb, operation, dbi, result); return;
    default: compare(lmdb, operation, dbi, result); return;
    }
}

static const char *verify(void *state) {
    (void)state;
    return NULL; /* LMDB has no check of its own: it returns the same as ZeroDB. */
}

static void close_engine(void *state) {
    struct lmdb *lmdb = state;
    close_environment(lmdb);
    free(lmdb->values);
    free(lmdb->path);
    free(lmdb);
}

struct engine open_lmdb(const struct setting *setting, const char *subdirectory) {
    struct lmdb *lmdb = allocate(sizeof(*lmdb));
    memset(lmdb, 0, sizeof(*lmdb));
    lmdb->setting = setting;
    size_t size = strlen(setting->directory) + strlen(subdirectory) + 2;
    lmdb->path = allocate(size);
    snprintf(lmdb->path, size, "%s/%s", setting->directory, subdirectory);
    if (mkdir(lmdb->path, 0700) != 0) {
        give_up("cannot make %s: %s", lmdb->path, strerror(errno));
    }
    open_environment(lmdb);
    struct engine engine = {"LMDB", lmdb, apply, verify, close_engine};
    return engine;
}
