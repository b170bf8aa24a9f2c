/* Arguments that are wrong although the handles are right. */
#include "suites.h"
#include "support.h"

static void keys_and_values_must_be_given(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    expect_entry(cursor, ZDB_FIRST, "k");
    zdb_val key = text("k"), value = text("v");
    CHECK_ERROR(zdb_get(txn, ZDB_MAIN_DB, NULL, &value), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, NULL, &value, 0), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, NULL, 0), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, NULL, ZDB_NOOVERWRITE), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, NULL, NULL, ZDB_APPEND), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_del(txn, ZDB_MAIN_DB, NULL, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_put(cursor, NULL, &value, 0), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_put(cursor, &key, NULL, 0), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_put(cursor, NULL, NULL, ZDB_CURRENT), ZDB_BAD_ARGUMENT);
    expect_text(txn, ZDB_MAIN_DB, "k", "v");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void a_null_pointer_with_a_size_is_refused(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_val nowhere = bytes(NULL, 5), key = text("k"), value = text("v");
    CHECK_ERROR(zdb_get(txn, ZDB_MAIN_DB, &nowhere, &value), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_del(txn, ZDB_MAIN_DB, &nowhere, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &nowhere, &value, 0), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &nowhere, 0), ZDB_BAD_ARGUMENT);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 0);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    close_env(env);
}

static void results_need_a_place(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    CHECK_ERROR(zdb_env_info(env, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_stat(txn, ZDB_MAIN_DB, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_open(txn, ZDB_MAIN_DB, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_open(txn, NULL, 0, NULL), ZDB_BAD_ARGUMENT);
    abort_txn(txn);
    close_env(env);
}

/* A struct of a size the library does not know is refused and left as it is. */

static bool all_bytes_are(const void *memory, size_t size, unsigned char byte) {
    const unsigned char *from = (const unsigned char *)memory;
    for (size_t i = 0; i < size; i++) {
        if (from[i] != byte) return false;
    }
    return true;
}

/* Wrong in every way a size can be. */
static size_t wrong_size(size_t right, unsigned which) {
    const size_t sizes[] = {0, 1, right - 1, right + 1, right * 2, SIZE_MAX};
    return sizes[which];
}

enum { WRONG_SIZES = 6 };

/* Whether a struct has kept its struct_size and is otherwise as memset() left it. */
static bool is_untouched(const void *record, size_t size) {
    return all_bytes_are((const unsigned char *)record + sizeof(size_t), size - sizeof(size_t),
                         0x5a);
}

static void a_size_of_info_that_is_not_known_is_refused(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < WRONG_SIZES; i++) {
        zdb_info info;
        memset(&info, 0x5a, sizeof(info));
        info.struct_size = wrong_size(sizeof(info), i);
        CHECK_ERROR(zdb_env_info(env, &info), ZDB_BAD_ARGUMENT);
        CHECK(is_untouched(&info, sizeof(info)));
    }
    close_env(env);
}

static void a_size_of_stat_that_is_not_known_is_refused(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    for (unsigned i = 0; i < WRONG_SIZES; i++) {
        zdb_db_stat stat;
        memset(&stat, 0x5a, sizeof(stat));
        stat.struct_size = wrong_size(sizeof(stat), i);
        CHECK_ERROR(zdb_stat(txn, ZDB_MAIN_DB, &stat), ZDB_BAD_ARGUMENT);
        CHECK(is_untouched(&stat, sizeof(stat)));
    }
    abort_txn(txn);
    close_env(env);
}

static void a_size_of_what_a_compaction_is_told_or_tells_that_is_not_known_is_refused(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < WRONG_SIZES; i++) {
        zdb_compact_options options;
        memset(&options, 0, sizeof(options));
        options.struct_size = wrong_size(sizeof(options), i);
        CHECK_ERROR(zdb_env_compact(env, &options, NULL), ZDB_BAD_ARGUMENT);
        zdb_compact_result result;
        memset(&result, 0x5a, sizeof(result));
        result.struct_size = wrong_size(sizeof(result), i);
        CHECK_ERROR(zdb_env_compact(env, NULL, &result), ZDB_BAD_ARGUMENT);
        CHECK(is_untouched(&result, sizeof(result)));
    }
    zdb_compact_options options;
    memset(&options, 0, sizeof(options));
    options.struct_size = sizeof(options);
    options.flags = 0x2u;
    CHECK_ERROR(zdb_env_compact(env, &options, NULL), ZDB_BAD_ARGUMENT);
    close_env(env);
}

static void a_compaction_may_be_told_to_shorten_nothing(void) {
    static const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 4095, UINT64_C(1) << 63, UINT64_C(1) << 62};
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        zdb_compact_options options;
        memset(&options, 0, sizeof(options));
        options.struct_size = sizeof(options);
        options.target_size = sizes[i];
        zdb_compact_result result;
        memset(&result, 0, sizeof(result));
        result.struct_size = sizeof(result);
        REQUIRE_OK(zdb_env_compact(env, &options, &result));
        CHECK_NUMBER(result.is_finished, 1);
    }
    expect_sound(env);
    close_env(env);
}

static int refuse_to_be_called(void *context, uint64_t pages_done, uint64_t pages_total) {
    (void)context;
    (void)pages_done;
    (void)pages_total;
    CHECK(false);
    return 0;
}

static void what_a_verification_is_told_is_checked_before_it_begins(void) {
    zdb_env *env = open_env("env");
    zdb_verify_options options;
    verify_options_init(&options, NULL, NULL);
    options.on_progress = refuse_to_be_called;
    options.level = ZDB_VERIFY_FULL + 1;
    CHECK_ERROR(zdb_env_verify(env, &options, NULL), ZDB_BAD_ARGUMENT);
    options.level = 0;
    options.threads = 65;
    CHECK_ERROR(zdb_env_verify(env, &options, NULL), ZDB_BAD_ARGUMENT);
    options.threads = 0;
    for (unsigned i = 0; i < WRONG_SIZES; i++) {
        options.struct_size = wrong_size(sizeof(options), i);
        CHECK_ERROR(zdb_env_verify(env, &options, NULL), ZDB_BAD_ARGUMENT);
    }
    close_env(env);
}

static void a_size_of_the_report_that_is_not_known_is_refused(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < WRONG_SIZES; i++) {
        zdb_verify_report report;
        memset(&report, 0x5a, sizeof(report));
        report.struct_size = wrong_size(sizeof(report), i);
        CHECK_ERROR(zdb_env_verify(env, NULL, &report), ZDB_BAD_ARGUMENT);
        CHECK(is_untouched(&report, sizeof(report)));
    }
    close_env(env);
}

static void wrong_calls_leave_a_transaction_usable(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    zdb_val key = text("k"), value = text("v"), empty = nothing();
    zdb_db db;
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &empty, &value, 0), ZDB_BAD_VALSIZE);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0x80000000u), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_put(txn, 77, &key, &value, 0), ZDB_BAD_DB);
    CHECK_ERROR(zdb_db_open(txn, "n", 0x80000000u, &db), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_txn_reset(txn), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_NOOVERWRITE), ZDB_KEYEXIST);
    key = text("a");
    value = text("v");
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_APPEND), ZDB_NOT_SORTED);
    CHECK_ERROR(zdb_del(txn, ZDB_MAIN_DB, &key, NULL), ZDB_NOT_FOUND);
    put_text(txn, ZDB_MAIN_DB, "l", "w");
    commit(txn);
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "v");
    expect_text(txn, ZDB_MAIN_DB, "l", "w");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 2);
    abort_txn(txn);
    close_env(env);
}

static const struct test tests[] = {
    TEST(keys_and_values_must_be_given),
    TEST(a_null_pointer_with_a_size_is_refused),
    TEST(results_need_a_place),
    TEST(a_size_of_info_that_is_not_known_is_refused),
    TEST(a_size_of_stat_that_is_not_known_is_refused),
    TEST(a_size_of_what_a_compaction_is_told_or_tells_that_is_not_known_is_refused),
    TEST(a_compaction_may_be_told_to_shorten_nothing),
    TEST(what_a_verification_is_told_is_checked_before_it_begins),
    TEST(a_size_of_the_report_that_is_not_known_is_refused),
    TEST(wrong_calls_leave_a_transaction_usable),
};

DEFINE_SUITE(arguments, tests);
