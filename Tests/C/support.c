/* Values, environments and transactions for the tests. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

bool tests_run_slowly(void) {
    return getenv("ZERODB_TEST_SLOW") != NULL;
}

unsigned repetitions(unsigned count) {
    return tests_run_slowly() ? (count + 9) / 10 : count;
}

/* ------------------------------------------------------------------- values */

zdb_val numbered(char buffer[KEY_BYTES], const char *prefix, unsigned number) {
    int length = snprintf(buffer, KEY_BYTES, "%s%08u", prefix, number);
    return bytes(buffer, (size_t)length);
}

zdb_val numbered_value(char buffer[KEY_BYTES], unsigned number) {
    return numbered(buffer, "value of ", number);
}

uint64_t next_random(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

/* The byte at a position depends only on the position and the seed, and does not repeat at any
 * distance by which a page or a run could be misplaced. */
static unsigned char pattern_byte(size_t position, uint64_t seed) {
    uint64_t mixed = (position + seed * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    return (unsigned char)(mixed >> 56);
}

void fill_pattern(void *memory, size_t size, uint64_t seed) {
    unsigned char *to = (unsigned char *)memory;
    for (size_t i = 0; i < size; i++) to[i] = pattern_byte(i, seed);
}

bool has_pattern(const void *memory, size_t size, uint64_t seed) {
    const unsigned char *from = (const unsigned char *)memory;
    for (size_t i = 0; i < size; i++) {
        if (from[i] != pattern_byte(i, seed)) return false;
    }
    return true;
}

void *new_pattern(size_t size, uint64_t seed) {
    void *memory = malloc(size + 1); /* malloc(0) may be NULL */
    REQUIRE(memory != NULL);
    fill_pattern(memory, size, seed);
    return memory;
}

/* ------------------------------------------------- environments, transactions */

void default_options(zdb_env_options *options) {
    REQUIRE_OK(zdb_env_options_init(options));
    if (!tests_run_slowly()) return;
    options->max_size = 1024 * MIB;
    /* valgrind (3.19) lets no other thread run while one waits in fcntl(F_OFD_SETLKW), so that two processes
     * stop for good where each has what the other waits for. A wait with an end asks again and again. */
    options->writer_wait_ms = 600 * 1000;
}

zdb_env *open_env_at(struct place place, const char *path, const zdb_env_options *options) {
    zdb_env_options defaults;
    if (options == NULL) {
        default_options(&defaults);
        options = &defaults;
    }
    zdb_env *env = NULL;
    require_code(place, zdb_env_open(path, options, &env), ZDB_OK, "zdb_env_open");
    require_true(place, env != NULL, "the environment's handle is not NULL");
    return env;
}

zdb_env *open_unbounded_at(struct place place, const char *path) {
    zdb_env_options options;
    default_options(&options);
    options.max_txn_pages = 0;
    return open_env_at(place, path, &options);
}

zdb_env *open_env_to_leave_at(struct place place, const char *path) {
    zdb_env_options options;
    zdb_env_options_init(&options);
    options.threads = ZDB_THREADS_NONE;
    return open_env_at(place, path, &options);
}

void close_env_at(struct place place, zdb_env *env) {
    require_code(place, zdb_env_close(env), ZDB_OK, "zdb_env_close");
}

zdb_txn *begin_at(struct place place, zdb_env *env, uint32_t flags) {
    zdb_txn *txn = NULL;
    require_code(place, zdb_txn_begin(env, NULL, flags, &txn), ZDB_OK, "zdb_txn_begin");
    require_true(place, txn != NULL, "the transaction's handle is not NULL");
    return txn;
}

void commit_at(struct place place, zdb_txn *txn) {
    require_code(place, zdb_txn_commit(txn), ZDB_OK, "zdb_txn_commit");
}

void abort_at(struct place place, zdb_txn *txn) {
    require_code(place, zdb_txn_abort(txn), ZDB_OK, "zdb_txn_abort");
}

zdb_db open_db_at(struct place place, zdb_txn *txn, const char *name, uint32_t flags) {
    zdb_db db = UINT32_MAX;
    require_code(place, zdb_db_open(txn, name, flags, &db), ZDB_OK, "zdb_db_open");
    return db;
}

zdb_cursor *open_cursor_at(struct place place, zdb_txn *txn, zdb_db db) {
    zdb_cursor *cursor = NULL;
    require_code(place, zdb_cursor_open(txn, db, &cursor), ZDB_OK, "zdb_cursor_open");
    require_true(place, cursor != NULL, "the cursor's handle is not NULL");
    return cursor;
}

void close_cursor_at(struct place place, zdb_cursor *cursor) {
    require_code(place, zdb_cursor_close(cursor), ZDB_OK, "zdb_cursor_close");
}

void put_text_at(struct place place, zdb_txn *txn, zdb_db db, const char *key, const char *value) {
    zdb_val key_bytes = text(key), value_bytes = text(value);
    require_code(place, zdb_put(txn, db, &key_bytes, &value_bytes, 0), ZDB_OK, key);
}

void delete_text_at(struct place place, zdb_txn *txn, zdb_db db, const char *key) {
    zdb_val key_bytes = text(key);
    require_code(place, zdb_del(txn, db, &key_bytes, NULL), ZDB_OK, key);
}

void expect_text_at(struct place place, zdb_txn *txn, zdb_db db, const char *key,
                    const char *value) {
    zdb_val key_bytes = text(key), found = nothing();
    int code = zdb_get(txn, db, &key_bytes, &found);
    check_code(place, code, ZDB_OK, key);
    if (code == ZDB_OK) check_bytes(place, found, value, strlen(value), key);
}

void expect_absent_at(struct place place, zdb_txn *txn, zdb_db db, const char *key) {
    zdb_val key_bytes = text(key), found = nothing();
    check_code(place, zdb_get(txn, db, &key_bytes, &found), ZDB_NOT_FOUND, key);
}

void expect_entry_at(struct place place, zdb_cursor *cursor, zdb_cursor_op op, const char *key) {
    zdb_val found_key = nothing(), found_value = nothing();
    int code = zdb_cursor_get(cursor, &found_key, &found_value, op);
    if (key == NULL) {
        check_code(place, code, ZDB_NOT_FOUND, "zdb_cursor_get");
        return;
    }
    check_code(place, code, ZDB_OK, "zdb_cursor_get");
    if (code == ZDB_OK) check_bytes(place, found_key, key, strlen(key), key);
}

void put_numbered_at(struct place place, zdb_txn *txn, zdb_db db, unsigned count) {
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    for (unsigned i = 0; i < count; i++) {
        zdb_val key = numbered(key_text, "key", i);
        zdb_val value = numbered_value(value_text, i);
        require_code(place, zdb_put(txn, db, &key, &value, 0), ZDB_OK, key_text);
    }
}

void expect_numbered_at(struct place place, zdb_txn *txn, zdb_db db, unsigned count) {
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    check_number(place, entries_at(place, txn, db), count, "entries");
    zdb_cursor *cursor = open_cursor_at(place, txn, db);
    for (unsigned i = 0; i < count; i++) {
        zdb_val expected_key = numbered(key_text, "key", i);
        zdb_val expected_value = numbered_value(value_text, i);
        zdb_val key = nothing(), value = nothing();
        require_code(place, zdb_cursor_get(cursor, &key, &value, ZDB_NEXT), ZDB_OK, key_text);
        check_bytes(place, key, expected_key.data, expected_key.size, key_text);
        check_bytes(place, value, expected_value.data, expected_value.size, key_text);
        require_code(place, zdb_get(txn, db, &expected_key, &value), ZDB_OK, key_text);
        check_bytes(place, value, expected_value.data, expected_value.size, key_text);
    }
    expect_entry_at(place, cursor, ZDB_NEXT, NULL);
    close_cursor_at(place, cursor);
}

void put_overflow_at(struct place place, zdb_txn *txn, zdb_db db, unsigned number) {
    char key_text[KEY_BYTES];
    void *memory = new_pattern(OVERFLOW_BYTES, number);
    zdb_val key = numbered(key_text, "key", number), value = bytes(memory, OVERFLOW_BYTES);
    require_code(place, zdb_put(txn, db, &key, &value, 0), ZDB_OK, key_text);
    free(memory);
}

/* An end of a range; no end for NULL. */
static const zdb_val *range_end(zdb_val *end, const char *key) {
    if (key == NULL) return NULL;
    *end = text(key);
    return end;
}

uint64_t count_between_at(struct place place, zdb_txn *txn, const char *from, const char *to) {
    zdb_val low, high;
    uint64_t count = UINT64_MAX;
    int code =
        zdb_count_range(txn, ZDB_MAIN_DB, range_end(&low, from), range_end(&high, to), &count);
    require_code(place, code, ZDB_OK, "zdb_count_range");
    return count;
}

uint64_t delete_between_at(struct place place, zdb_txn *txn, const char *from, const char *to) {
    zdb_val low, high;
    uint64_t count = UINT64_MAX;
    int code = zdb_del_range(txn, ZDB_MAIN_DB, range_end(&low, from), range_end(&high, to), &count);
    require_code(place, code, ZDB_OK, "zdb_del_range");
    return count;
}

static void report_problem(void *context, const zdb_problem *problem) {
    check_failed(*(struct place *)context, "verify: page %" PRIu64 ": %s", problem->page,
                 problem->message);
}

void verify_options_init(zdb_verify_options *options, zdb_problem_fn on_problem, void *context) {
    memset(options, 0, sizeof(*options));
    options->struct_size = sizeof(*options);
    options->on_problem = on_problem;
    options->context = context;
}

void expect_sound_at(struct place place, zdb_env *env) {
    zdb_verify_report report;
    memset(&report, 0, sizeof(report));
    report.struct_size = sizeof(report);
    zdb_verify_options options;
    verify_options_init(&options, report_problem, &place);
    check_code(place, zdb_env_verify(env, &options, &report), ZDB_OK, "zdb_env_verify");
    check_number(place, report.problems, 0, "problems");
}

uint64_t entries_at(struct place place, zdb_txn *txn, zdb_db db) {
    zdb_db_stat stat;
    get_stat_at(place, txn, db, &stat);
    return stat.entries;
}

void get_info_at(struct place place, zdb_env *env, zdb_info *info) {
    memset(info, 0, sizeof(*info));
    info->struct_size = sizeof(*info);
    require_code(place, zdb_env_info(env, info), ZDB_OK, "zdb_env_info");
}

void get_stat_at(struct place place, zdb_txn *txn, zdb_db db, zdb_db_stat *stat) {
    memset(stat, 0, sizeof(*stat));
    stat->struct_size = sizeof(*stat);
    require_code(place, zdb_stat(txn, db, stat), ZDB_OK, "zdb_stat");
}

void commit_much(zdb_env *env, const char *name) {
    char value[40 * 1024];
    fill_pattern(value, sizeof(value), 1);
    for (unsigned i = 0; i < 80; i++) {
        char key[KEY_BYTES];
        zdb_val numbered_key = numbered(key, name, i);
        zdb_val large = bytes(value, sizeof(value));
        zdb_txn *txn = begin_write(env);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &numbered_key, &large, 0));
        commit(txn);
    }
    REQUIRE_OK(zdb_env_checkpoint(env));
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "of", name);
    commit(txn);
}
