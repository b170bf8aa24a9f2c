/* WiredTiger, set up to do its best at durable commits:
 *
 * - log=(enabled) with transaction_sync=(enabled,method=fsync): its "commit-level durability", a commit
 *   waits until its log record is on disk; threads share flushes. Without flush method=none, which
 *   hands each record to the kernel, so that a commit survives the process as it does elsewhere.
 * - Checkpoints every minute or every 2 GB of log, as MongoDB asks for them.
 * - A cache that holds everything; transactions have the isolation `snapshot`, as elsewhere; pages
 *   have checksums, nothing is compressed.
 *
 * A transaction has a session of its own. Sessions and their cursors are kept for the next
 * transaction of the same thread, as the manual advises. What a transaction wrote must fit the cache until it
 * ends, so that large loads are made of several transactions.
 */
#include "engine.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <wiredtiger.h>

#include "util.h"

#define SLOTS 64
#define TXN_PUTS_MAX 10000
#define TABLE "table:entries"

struct benv {
    WT_CONNECTION *connection;
    _Atomic(struct btxn *) idle[SLOTS]; /* by the slot of a thread */
};

struct btxn {
    struct benv *env;
    WT_SESSION *session;
    WT_CURSOR *cursor;
    bool is_running; /* not reset */
};

static void check(int result, const char *call) {
    if (result != 0) {
        die("wiredtiger: %s: %s", call, wiredtiger_strerror(result));
    }
}

static bool found(int result, const char *call) {
    if (result == WT_NOTFOUND) {
        return false;
    }
    check(result, call);
    return true;
}

static WT_ITEM to_item(const struct bytes *bytes) {
    return (WT_ITEM){.data = bytes->data, .size = bytes->size};
}

static const char *absent(void) {
    return NULL;
}

static const char *version(void) {
    return wiredtiger_version(NULL, NULL, NULL);
}

/* Threads share a slot only if there are more of them than slots. */
static unsigned own_slot(void) {
    static atomic_uint threads;
    static _Thread_local unsigned slot = SLOTS;
    if (slot == SLOTS) {
        slot = atomic_fetch_add(&threads, 1) % SLOTS;
    }
    return slot;
}

static struct btxn *make_txn(struct benv *env) {
    struct btxn *txn = allocate(sizeof *txn);
    txn->env = env;
    check(env->connection->open_session(env->connection, NULL, NULL, &txn->session),
          "open_session");
    check(txn->session->open_cursor(txn->session, TABLE, NULL, NULL, &txn->cursor), "open_cursor");
    return txn;
}

static struct benv *env_open(const char *directory, const struct env_options *options) {
    if (options->kind != PLAIN) {
        die("wiredtiger: a key has one value");
    }
    char text[512];
    snprintf(text, sizeof text,
             "create,cache_size=%llu,log=(enabled),transaction_sync=(enabled,method=%s),"
             "checkpoint=(wait=60,log_size=2GB)",
             (unsigned long long)cache_bytes(options), options->unflushed ? "none" : "fsync");
    struct benv *env = allocate(sizeof *env);
    *env = (struct benv){0};
    check(wiredtiger_open(directory, NULL, text, &env->connection), "wiredtiger_open");
    WT_SESSION *session;
    check(env->connection->open_session(env->connection, NULL, NULL, &session), "open_session");
    check(session->create(session, TABLE, "key_format=u,value_format=u"), "create");
    check(session->close(session, NULL), "close of a session");
    return env;
}

static void env_close(struct benv *env) {
    check(env->connection->close(env->connection, NULL), "close"); /* the sessions too */
    for (int slot = 0; slot < SLOTS; slot++) {
        free(atomic_load(&env->idle[slot]));
    }
    free(env);
}

static struct btxn *take_txn(struct benv *env) {
    struct btxn *txn = atomic_exchange(&env->idle[own_slot()], NULL);
    return txn != NULL ? txn : make_txn(env);
}

static void give_back(struct btxn *txn) {
    struct btxn *nothing = NULL;
    if (!atomic_compare_exchange_strong(&txn->env->idle[own_slot()], &nothing, txn)) {
        check(txn->session->close(txn->session, NULL), "close of a session");
        free(txn);
    }
}

static void checkpoint(struct benv *env) {
    struct btxn *txn = take_txn(env);
    check(txn->session->checkpoint(txn->session, NULL), "checkpoint");
    give_back(txn);
}

static void txn_renew(struct btxn *txn) {
    check(txn->session->begin_transaction(txn->session, "isolation=snapshot"), "begin_transaction");
    txn->is_running = true;
}

static void txn_reset(struct btxn *txn) {
    check(txn->session->rollback_transaction(txn->session, NULL), "rollback_transaction");
    txn->is_running = false;
}

static struct btxn *begin(struct benv *env) {
    struct btxn *txn = take_txn(env);
    txn_renew(txn);
    return txn;
}

static void txn_commit(struct btxn *txn) {
    check(txn->session->commit_transaction(txn->session, NULL), "commit_transaction");
    give_back(txn);
}

static void txn_abort(struct btxn *txn) {
    if (txn->is_running) {
        txn_reset(txn);
    }
    give_back(txn);
}

static bool get(struct btxn *txn, const struct bytes *key, struct bytes *value) {
    WT_CURSOR *cursor = txn->cursor;
    WT_ITEM item = to_item(key);
    cursor->set_key(cursor, &item);
    if (!found(cursor->search(cursor), "search")) {
        return false;
    }
    check(cursor->get_value(cursor, &item), "get_value");
    *value = (struct bytes){item.data, item.size};
    return true;
}

static void put(struct btxn *txn, const struct bytes *key, const struct bytes *value) {
    WT_CURSOR *cursor = txn->cursor;
    WT_ITEM k = to_item(key);
    WT_ITEM v = to_item(value);
    cursor->set_key(cursor, &k);
    cursor->set_value(cursor, &v);
    check(cursor->insert(cursor), "insert");
}

static void del(struct btxn *txn, const struct bytes *key) {
    WT_CURSOR *cursor = txn->cursor;
    WT_ITEM k = to_item(key);
    cursor->set_key(cursor, &k);
    check(cursor->remove(cursor), "remove");
}

static struct bcursor *cursor_open(struct btxn *txn) {
    WT_CURSOR *cursor;
    check(txn->session->open_cursor(txn->session, TABLE, NULL, NULL, &cursor), "open_cursor");
    return (struct bcursor *)cursor;
}

static void cursor_close(struct bcursor *bcursor) {
    WT_CURSOR *cursor = (WT_CURSOR *)bcursor;
    check(cursor->close(cursor), "close of a cursor");
}

/* Places the cursor at or after a key. */
static int seek(WT_CURSOR *cursor, const struct bytes *key) {
    WT_ITEM item = to_item(key);
    int where;
    cursor->set_key(cursor, &item);
    int result = cursor->search_near(cursor, &where);
    return result == 0 && where < 0 ? cursor->next(cursor) : result;
}

static int move(WT_CURSOR *cursor, enum step step, const struct bytes *key) {
    switch (step) {
    case STEP_FIRST:
        check(cursor->reset(cursor), "reset");
        return cursor->next(cursor);
    case STEP_LAST:
        check(cursor->reset(cursor), "reset");
        return cursor->prev(cursor);
    case STEP_NEXT:
        return cursor->next(cursor);
    case STEP_PREV:
        return cursor->prev(cursor);
    case STEP_SEEK:
        return seek(cursor, key);
    default:
        die("wiredtiger: a key has one value");
    }
}

static bool cursor_move(struct bcursor *bcursor, enum step step, struct bytes *key,
                        struct bytes *value) {
    WT_CURSOR *cursor = (WT_CURSOR *)bcursor;
    if (!found(move(cursor, step, key), "a cursor's move")) {
        return false;
    }
    WT_ITEM k, v;
    check(cursor->get_key(cursor, &k), "get_key");
    check(cursor->get_value(cursor, &v), "get_value");
    *key = (struct bytes){k.data, k.size};
    *value = (struct bytes){v.data, v.size};
    return true;
}

const struct engine engine_wiredtiger = {
    .name = "wiredtiger",
    .title = "WiredTiger",
    .spare_files = "*/WiredTiger*og.*",
    .txn_puts_max = TXN_PUTS_MAX,
    .absent = absent,
    .version = version,
    .flags = "log enabled, transaction_sync=fsync, isolation=snapshot, cache_size of 1 GiB, "
             "checkpoint=(wait=60,log_size=2GB)",
    .unflushed_flags = "transaction_sync=none",
    .open = env_open,
    .close = env_close,
    .checkpoint = checkpoint,
    .begin_read = begin,
    .begin_write = begin,
    .commit = txn_commit,
    .abort = txn_abort,
    .reset = txn_reset,
    .renew = txn_renew,
    .get = get,
    .put = put,
    .append = put,
    .del = del,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_move = cursor_move,
};
