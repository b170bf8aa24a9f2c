/* Programs with a limit on the size of files. By default SIGXFSZ ends such programs, and the
 * library must not let that happen. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "suites.h"
#include "support.h"

/* Soft, so that it can be raised again. */
static void limit_file_size(uint64_t size) {
    struct rlimit limit;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = size == UINT64_MAX ? limit.rlim_max : (rlim_t)size;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* In a child, as the signal would end the process, which fails the test. */
static void run_unprotected(void (*run)(void *), void *argument) {
    REQUIRE(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
    run_in_process(run, argument);
}

static zdb_env *open_threadless(void) {
    zdb_env_options options;
    default_options(&options);
    options.threads = ZDB_THREADS_NONE;
    return open_env_with("env", &options);
}

static int put_pattern(zdb_env *env, const char *key_text, size_t size) {
    zdb_txn *txn = begin_write(env);
    void *memory = new_pattern(size, size);
    zdb_val key = text(key_text), value = bytes(memory, size);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    free(memory);
    return zdb_txn_commit(txn);
}

static void expect_pattern(zdb_env *env, const char *key_text, size_t size) {
    zdb_txn *txn = begin_read(env);
    zdb_val key = text(key_text), value = nothing();
    REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
    CHECK(value.size == size && has_pattern(value.data, size, size));
    abort_txn(txn);
}

static void expect_no(zdb_env *env, const char *key) {
    zdb_txn *txn = begin_read(env);
    expect_absent(txn, ZDB_MAIN_DB, key);
    abort_txn(txn);
}

static void expect_refused(int code, const char *file) {
    CHECK_CODE(code, EFBIG);
    CHECK_CONTAINS(zdb_last_error(), file);
    CHECK_CONTAINS(zdb_last_error(), "RLIMIT_FSIZE");
}

/* ------------------------------------------------------------------ data file */

static void grow_the_data_file(void *argument) {
    (void)argument;
    zdb_env *env = open_threadless();
    REQUIRE_OK(put_pattern(env, "small", 1000));
    limit_file_size(2 * MIB);
    for (unsigned i = 0; i < 3; i++) {
        expect_refused(put_pattern(env, "large", 3 * MIB), "data.zdb");
        expect_no(env, "large");
        REQUIRE_OK(put_pattern(env, "small", 2000 + i));
        expect_pattern(env, "small", 2000 + i);
    }
    limit_file_size(UINT64_MAX);
    REQUIRE_OK(put_pattern(env, "large", 3 * MIB));
    expect_pattern(env, "large", 3 * MIB);
    expect_sound(env);
    close_env(env);
}

static void a_data_file_that_may_not_grow_fails_its_transaction_only(void) {
    run_unprotected(grow_the_data_file, NULL);
}

/* The kernel refuses writes beyond the limit in longer files, too. */
static void change_beyond_the_limit(void *argument) {
    (void)argument;
    limit_file_size(2 * MIB);
    zdb_env *env = open_threadless();
    unsigned refused = 0;
    for (unsigned i = 0; i < 200; i++) {
        char key[KEY_BYTES];
        numbered(key, "key", i);
        int code = put_pattern(env, key, 100000);
        if (code == ZDB_OK) continue;
        expect_refused(code, "data.zdb");
        expect_no(env, key);
        refused++;
    }
    CHECK(refused > 0);
    expect_pattern(env, "first", 3 * MIB);
    limit_file_size(UINT64_MAX);
    REQUIRE_OK(put_pattern(env, "first", 1000));
    expect_sound(env);
    close_env(env);
}

static void pages_already_beyond_the_limit_are_not_written_either(void) {
    zdb_env *env = open_threadless();
    REQUIRE_OK(put_pattern(env, "first", 3 * MIB));
    close_env(env);
    run_unprotected(change_beyond_the_limit, NULL);
}

/* ------------------------------------------------------------------------ log */

static void begin_a_log(void *argument) {
    (void)argument;
    zdb_env *env = open_threadless();
    limit_file_size(512 * KIB);
    for (unsigned i = 0; i < 3; i++) {
        REQUIRE_OK(put_pattern(env, "k", 100 + i));
        expect_pattern(env, "k", 100 + i);
        zdb_info info;
        get_info(env, &info);
        CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
    }
    limit_file_size(UINT64_MAX);
    REQUIRE_OK(put_pattern(env, "k", 200));
    expect_pattern(env, "k", 200);
    expect_sound(env);
    close_env(env);
}

static void without_a_log_a_commit_is_a_checkpoint(void) {
    run_unprotected(begin_a_log, NULL);
}

/* The time is up only if something is wrong. */
enum { WARNING_SECONDS_MAX = 30 };

struct warnings {
    pthread_mutex_t lock;
    unsigned warnings, others;
};

static void count_warnings(void *context, uint32_t level, const char *message) {
    struct warnings *events = (struct warnings *)context;
    (void)message;
    pthread_mutex_lock(&events->lock);
    if (level == ZDB_LOG_WARNING) {
        events->warnings++;
    } else {
        events->others++;
    }
    pthread_mutex_unlock(&events->lock);
}

static bool is_warned_in_time(struct warnings *events) {
    struct timespec pause = {0, 5000000};
    for (unsigned i = 0; i < WARNING_SECONDS_MAX * 200; i++) {
        pthread_mutex_lock(&events->lock);
        bool is_warned = events->warnings > 0;
        pthread_mutex_unlock(&events->lock);
        if (is_warned) return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

/* The library's thread shall make the second segment, of 2 MiB, when the first is half full;
 * when the first is full, the commit tries to. */
static void continue_a_log(void *argument) {
    (void)argument;
    struct warnings events = {PTHREAD_MUTEX_INITIALIZER, 0, 0};
    zdb_env_options options;
    default_options(&options);
    options.log = count_warnings;
    options.log_context = &events;
    zdb_env *env = open_env_with("env", &options);
    limit_file_size(3 * MIB / 2);
    for (unsigned i = 0; i < 100; i++) REQUIRE_OK(put_pattern(env, "k", 20000 + i));
    expect_pattern(env, "k", 20099);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
    CHECK(is_warned_in_time(&events));
    limit_file_size(UINT64_MAX);
    REQUIRE_OK(put_pattern(env, "k", 30000));
    expect_pattern(env, "k", 30000);
    expect_sound(env);
    close_env(env);
    CHECK_NUMBER(events.warnings, 1);
    CHECK_NUMBER(events.others, 0);
}

static void a_commit_that_the_log_has_no_room_for_is_a_checkpoint(void) {
    run_unprotected(continue_a_log, NULL);
}

/* ------------------------------------------------------------------ lock file */

enum { FIRST_READERS = 128 };

static void grow_the_reader_table(void *argument) {
    (void)argument;
    zdb_env *env = open_threadless();
    zdb_txn *readers[FIRST_READERS + 1];
    for (unsigned i = 0; i < FIRST_READERS; i++) readers[i] = begin_read(env);
    limit_file_size(file_size("env/lock.zdb"));
    zdb_txn *refused = NULL;
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_RDONLY, &refused), ZDB_READERS_FULL);
    CHECK_CONTAINS(zdb_last_error(), "all 128 reader slots are taken, and their table cannot");
    CHECK_CONTAINS(zdb_last_error(), "lock.zdb");
    limit_file_size(UINT64_MAX);
    readers[FIRST_READERS] = begin_read(env);
    for (unsigned i = 0; i <= FIRST_READERS; i++) abort_txn(readers[i]);
    close_env(env);
}

static void a_reader_table_that_may_not_grow_is_full(void) {
    run_unprotected(grow_the_reader_table, NULL);
}

static void create_too_large(void *argument) {
    (void)argument;
    limit_file_size(4096);
    zdb_env *env = NULL;
    expect_refused(zdb_env_open("env", NULL, &env), ".zdb");
    CHECK(env == NULL);
    limit_file_size(UINT64_MAX);
    close_env(open_env("env"));
}

static void an_environment_that_may_not_be_made_is_not_opened(void) {
    run_unprotected(create_too_large, NULL);
}

static const struct test tests[] = {
    TEST(a_data_file_that_may_not_grow_fails_its_transaction_only),
    TEST(pages_already_beyond_the_limit_are_not_written_either),
    TEST(without_a_log_a_commit_is_a_checkpoint),
    TEST(a_commit_that_the_log_has_no_room_for_is_a_checkpoint),
    TEST(a_reader_table_that_may_not_grow_is_full),
    TEST(an_environment_that_may_not_be_made_is_not_opened),
};

DEFINE_SUITE(file_sizes, tests);
