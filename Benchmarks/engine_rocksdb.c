/* RocksDB, through its C interface, set up to do its best at durable commits:
 *
 * - Every commit is one write batch, with `sync`.
 * - recycle_log_file_num: the log is written over an old one, so that flushing it takes no
 *   file-system metadata.
 * - No compression: the benchmark's values are alike, and ZeroDB and LMDB do not compress.
 * - A block cache and 10-bit Bloom filters for reads.
 */
#include "engine.h"

#include <rocksdb/c.h>

#include <stdlib.h>

#include "util.h"

#define BLOOM_BITS_PER_KEY 10
#define RECYCLED_LOGS 2
#define BACKGROUND_THREADS 2

struct benv {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write_options;
};

/* A write transaction has a batch; a read transaction has a snapshot and its last result. */
struct btxn {
    struct benv *env;
    rocksdb_writebatch_t *batch;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read_options;
    rocksdb_pinnableslice_t *pinned;
};

static void check(char *error, const char *call) {
    if (error != NULL) {
        die("rocksdb: %s: %s", call, error);
    }
}

static const char *version(void) {
    return ROCKSDB_VERSION;
}

static rocksdb_options_t *make_options(uint64_t cache_size) {
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(cache_size);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_cache_destroy(cache);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY));

    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_recycle_log_file_num(options, RECYCLED_LOGS);
    rocksdb_options_increase_parallelism(options, BACKGROUND_THREADS);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    return options;
}

static struct benv *env_open(const char *directory, const struct env_options *options) {
    struct benv *env = allocate(sizeof *env);
    char *error = NULL;
    env->options = make_options(cache_bytes(options));
    env->db = rocksdb_open(env->options, directory, &error);
    check(error, "rocksdb_open");
    env->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(env->write_options, !options->unflushed);
    return env;
}

static void env_close(struct benv *env) {
    rocksdb_close(env->db);
    rocksdb_writeoptions_destroy(env->write_options);
    rocksdb_options_destroy(env->options);
    free(env);
}

static void checkpoint(struct benv *env) {
    char *error = NULL;
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flush(env->db, options, &error);
    rocksdb_flushoptions_destroy(options);
    check(error, "rocksdb_flush");
    rocksdb_compact_range(env->db, NULL, 0, NULL, 0);
}

static void take_snapshot(struct btxn *txn) {
    txn->snapshot = rocksdb_create_snapshot(txn->env->db);
    rocksdb_readoptions_set_snapshot(txn->read_options, txn->snapshot);
}

static void drop_pinned(struct btxn *txn) {
    if (txn->pinned != NULL) {
        rocksdb_pinnableslice_destroy(txn->pinned);
        txn->pinned = NULL;
    }
}

static void drop_snapshot(struct btxn *txn) {
    drop_pinned(txn);
    if (txn->snapshot != NULL) {
        rocksdb_release_snapshot(txn->env->db, txn->snapshot);
        txn->snapshot = NULL;
    }
}

static struct btxn *begin_read(struct benv *env) {
    struct btxn *txn = allocate(sizeof *txn);
    *txn = (struct btxn){.env = env, .read_options = rocksdb_readoptions_create()};
    take_snapshot(txn);
    return txn;
}

static struct btxn *begin_write(struct benv *env) {
    struct btxn *txn = allocate(sizeof *txn);
    *txn = (struct btxn){.env = env, .batch = rocksdb_writebatch_create()};
    return txn;
}

static void txn_abort(struct btxn *txn) {
    if (txn->batch != NULL) {
        rocksdb_writebatch_destroy(txn->batch);
    } else {
        drop_snapshot(txn);
        rocksdb_readoptions_destroy(txn->read_options);
    }
    free(txn);
}

static void txn_commit(struct btxn *txn) {
    char *error = NULL;
    rocksdb_write(txn->env->db, txn->env->write_options, txn->batch, &error);
    check(error, "rocksdb_write");
    txn_abort(txn);
}

static bool get(struct btxn *txn, const struct bytes *key, struct bytes *value) {
    char *error = NULL;
    drop_pinned(txn);
    txn->pinned = rocksdb_get_pinned(txn->env->db, txn->read_options, key->data, key->size, &error);
    check(error, "rocksdb_get_pinned");
    if (txn->pinned == NULL) {
        return false;
    }
    value->data = rocksdb_pinnableslice_value(txn->pinned, &value->size);
    return true;
}

static void put(struct btxn *txn, const struct bytes *key, const struct bytes *value) {
    rocksdb_writebatch_put(txn->batch, key->data, key->size, value->data, value->size);
}

static void del(struct btxn *txn, const struct bytes *key) {
    rocksdb_writebatch_delete(txn->batch, key->data, key->size);
}

static struct bcursor *cursor_open(struct btxn *txn) {
    return (struct bcursor *)rocksdb_create_iterator(txn->env->db, txn->read_options);
}

static void cursor_close(struct bcursor *cursor) {
    rocksdb_iter_destroy((rocksdb_iterator_t *)cursor);
}

static bool cursor_move(struct bcursor *cursor, enum step step, struct bytes *key,
                        struct bytes *value) {
    rocksdb_iterator_t *iterator = (rocksdb_iterator_t *)cursor;
    switch (step) {
    case STEP_FIRST:
        rocksdb_iter_seek_to_first(iterator);
        break;
    case STEP_LAST:
        rocksdb_iter_seek_to_last(iterator);
        break;
    case STEP_NEXT:
        rocksdb_iter_next(iterator);
        break;
    case STEP_PREV:
        rocksdb_iter_prev(iterator);
        break;
    case STEP_SEEK:
        rocksdb_iter_seek(iterator, key->data, key->size);
        break;
    default:
        die("rocksdb: a key has one value");
    }
    if (!rocksdb_iter_valid(iterator)) {
        char *error = NULL;
        rocksdb_iter_get_error(iterator, &error);
        check(error, "an iterator");
        return false;
    }
    key->data = rocksdb_iter_key(iterator, &key->size);
    value->data = rocksdb_iter_value(iterator, &value->size);
    return true;
}

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .title = "RocksDB",
    .version = version,
    .flags = "sync, recycle_log_file_num=2, no compression, block cache of 1 GiB",
    .unflushed_flags = "no sync",
    .open = env_open,
    .close = env_close,
    .checkpoint = checkpoint,
    .begin_read = begin_read,
    .begin_write = begin_write,
    .commit = txn_commit,
    .abort = txn_abort,
    .reset = drop_snapshot,
    .renew = take_snapshot,
    .get = get,
    .put = put,
    .append = put,
    .del = del,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_move = cursor_move,
};
