/* Gives every struct of the header to the library, and looks at what comes back: a program that was compiled
 * before, with the header of then.
 *
 *     every_struct ENVIRONMENT */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zerodb.h>

static int calls;

#define MUST(call)                                                                                       \
    do {                                                                                                 \
        int code = (call);                                                                               \
        if (code != ZDB_OK) {                                                                            \
            fprintf(stderr, "%s: %d, %s\n", #call, code, zdb_last_error());                              \
            return 1;                                                                                    \
        }                                                                                                \
    } while (0)
#define HOLDS(condition)                                                                                 \
    do {                                                                                                 \
        if (!(condition)) {                                                                              \
            fprintf(stderr, "does not hold: %s\n", #condition);                                          \
            return 1;                                                                                    \
        }                                                                                                \
    } while (0)

/* A struct with something behind it, which the library must not write over. */
#define GUARDED(type, name)                                                                              \
    struct {                                                                                             \
        type is;                                                                                         \
        unsigned char behind[64];                                                                        \
    } name;                                                                                              \
    memset(&name, 0x5a, sizeof name);                                                                    \
    memset(&name.is, 0, sizeof name.is)
#define GUARD_HOLDS(name) HOLDS(is_untouched(name.behind))

static int is_untouched(const unsigned char *bytes) {
    int i;
    for (i = 0; i < 64; i++)
        if (bytes[i] != 0x5a) return 0;
    return 1;
}

static void on_event(void *context, uint32_t level, const char *message) {
    if (level <= ZDB_LOG_ERROR && message[0]) ++*(int *)context;
}

static void on_reader(void *context, const zdb_reader *reader) {
    if (reader->process_id != 0 && reader->txn_id != 0) ++*(int *)context;
}

static void on_metric(void *context, const zdb_metric *metric) {
    if (strncmp(metric->name, "zerodb_", 7) != 0 || !metric->help[0]) return;
    if (metric->kind == ZDB_METRIC_HISTOGRAM && metric->buckets[0].count > metric->buckets[1].count) return;
    ++*(int *)context;
}

static void on_txn(void *context, const zdb_txn_info *info) {
    if (info->txn && info->thread_ended == 0) ++*(int *)context;
}

static int on_database(void *context, const char *name, const zdb_db_stat *stat) {
    if (strcmp(name, "named") == 0 && stat->entries == 1) ++*(int *)context;
    return 0;
}

static void on_problem(void *context, const zdb_problem *problem) {
    (void)context;
    fprintf(stderr, "problem: %s\n", problem->message);
}

static int on_progress(void *context, uint64_t done, uint64_t total) {
    (void)context;
    return done > total;
}

static int read_back(zdb_env *env) {
    zdb_txn *txn;
    zdb_cursor *cursor;
    zdb_val key, value;
    zdb_db db;
    GUARDED(zdb_db_stat, stat);

    MUST(zdb_txn_begin(env, NULL, ZDB_RDONLY, &txn));
    MUST(zdb_db_open(txn, "named", 0, &db));
    stat.is.struct_size = sizeof stat.is;
    MUST(zdb_stat(txn, db, &stat.is));
    HOLDS(stat.is.entries == 1 && stat.is.page_size == 4096 && stat.is.leaf_pages == 1);
    GUARD_HOLDS(stat);
    MUST(zdb_cursor_open(txn, db, &cursor));
    MUST(zdb_cursor_get(cursor, &key, &value, ZDB_FIRST));
    HOLDS(key.size == 3 && memcmp(key.data, "key", 3) == 0 && value.size == 5);
    HOLDS(zdb_cursor_get(cursor, &key, &value, ZDB_NEXT) == ZDB_NOT_FOUND);
    MUST(zdb_cursor_close(cursor));

    calls = 0;
    MUST(zdb_txn_list(env, on_txn, &calls));
    HOLDS(calls == 1);
    calls = 0;
    MUST(zdb_reader_list(env, on_reader, &calls));
    HOLDS(calls >= 1);
    calls = 0;
    MUST(zdb_db_list(txn, on_database, &calls));
    HOLDS(calls == 1);
    return zdb_txn_abort(txn);
}

static int describe(zdb_env *env) {
    GUARDED(zdb_info, info);
    GUARDED(zdb_limits, limits);
    double gets = -1;

    info.is.struct_size = sizeof info.is;
    MUST(zdb_env_info(env, &info.is));
    HOLDS(info.is.page_size == 4096 && info.is.format_version == 1 && info.is.databases == 1);
    HOLDS(info.is.digest.low != 0 || info.is.digest.high != 0);
    GUARD_HOLDS(info);
    limits.is.struct_size = sizeof limits.is;
    MUST(zdb_env_limits(env, &limits.is));
    HOLDS(limits.is.value_size == ZDB_MAX_VALUE_SIZE && limits.is.nesting == ZDB_MAX_NESTING);
    GUARD_HOLDS(limits);
    calls = 0;
    MUST(zdb_env_metrics(env, on_metric, &calls));
    HOLDS(calls > 10);
    MUST(zdb_env_metric(env, "zerodb_operations_total", &gets));
    HOLDS(gets >= 1);
    return 0;
}

static int maintain(zdb_env *env, const char *path) {
    char copy[4096];
    zdb_verify_options verify = {0};
    zdb_copy_options copying = {0};
    zdb_compact_options compact = {0};
    GUARDED(zdb_verify_report, report);
    GUARDED(zdb_copy_result, copied);
    GUARDED(zdb_compact_result, compacted);

    verify.struct_size = sizeof verify;
    verify.level = ZDB_VERIFY_FULL;
    verify.on_problem = on_problem;
    verify.on_progress = on_progress;
    report.is.struct_size = sizeof report.is;
    MUST(zdb_env_verify(env, &verify, &report.is));
    HOLDS(report.is.problems == 0 && report.is.entries == 1 && report.is.databases == 1);
    GUARD_HOLDS(report);

    snprintf(copy, sizeof copy, "%s.copy", path);
    copying.struct_size = sizeof copying;
    copying.flags = ZDB_COPY_COMPACT;
    copying.on_progress = on_progress;
    copied.is.struct_size = sizeof copied.is;
    MUST(zdb_env_copy(env, copy, &copying, &copied.is));
    HOLDS(copied.is.digest.low == report.is.digest.low && copied.is.file_size > 0);
    GUARD_HOLDS(copied);

    compact.struct_size = sizeof compact;
    compacted.is.struct_size = sizeof compacted.is;
    MUST(zdb_env_compact(env, &compact, &compacted.is));
    HOLDS(compacted.is.bytes_after > 0 && compacted.is.bytes_after <= compacted.is.bytes_before);
    GUARD_HOLDS(compacted);
    return 0;
}

int main(int argc, char **argv) {
    int events = 0;
    zdb_env *env;
    zdb_txn *txn;
    zdb_db db;
    zdb_val key = {"key", 3}, value = {"value", 5};
    GUARDED(zdb_env_options, options);

    if (argc != 2) return 2;
    MUST(zdb_env_options_init(&options.is));
    GUARD_HOLDS(options);
    HOLDS(options.is.struct_size == sizeof options.is && options.is.max_size == (uint64_t)1 << 40);
    options.is.log = on_event;
    options.is.log_context = &events;
    options.is.log_level = ZDB_LOG_DEBUG;
    MUST(zdb_env_open(argv[1], &options.is, &env));
    MUST(zdb_txn_begin(env, NULL, ZDB_DURABILITY_RELAXED, &txn));
    MUST(zdb_db_open(txn, "named", ZDB_CREATE, &db));
    MUST(zdb_put(txn, db, &key, &value, ZDB_NOOVERWRITE));
    HOLDS(zdb_put(txn, db, &key, &value, ZDB_NOOVERWRITE) == ZDB_KEYEXIST);
    MUST(zdb_txn_commit(txn));
    MUST(zdb_env_checkpoint(env));
    HOLDS(events > 0);
    if (read_back(env) != 0 || describe(env) != 0 || maintain(env, argv[1]) != 0) return 1;
    MUST(zdb_env_close_wait(env, ZDB_WAIT_FOREVER, 0));
    return 0;
}
