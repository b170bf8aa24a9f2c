/* Copies of environments: into a directory, through a pipe, and what keeps them from being made. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

static const uint32_t ways[] = {0, ZDB_COPY_COMPACT};

static void fill(zdb_env *env) {
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, create_db(txn, "named"), repetitions(5000));
    for (unsigned i = 0; i < 20; i++) put_overflow_at(HERE, txn, ZDB_MAIN_DB, i);
    commit(txn);
    txn = begin_write(env);
    CHECK_CODE(zdb_db_clear(txn, open_db(txn, "named")), ZDB_OK);
    put_numbered(txn, ZDB_MAIN_DB, repetitions(3000));
    commit(txn);
}

static void expect_copy(zdb_env *env, const zdb_copy_result *result, const char *path) {
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(result->txn_id, info.last_txn_id);
    zdb_env *copy = open_env(path);
    zdb_info copied;
    get_info(copy, &copied);
    CHECK_NUMBER(copied.last_txn_id, info.last_txn_id);
    CHECK(copied.digest.low == info.digest.low && copied.digest.high == info.digest.high);
    CHECK(result->digest.low == info.digest.low && result->digest.high == info.digest.high);
    expect_sound(copy);
    zdb_txn *txn = begin_write(copy);
    put_text(txn, ZDB_MAIN_DB, "key", "written");
    commit(txn);
    expect_sound(copy);
    close_env(copy);
}

static zdb_copy_options options_with(uint32_t flags) {
    zdb_copy_options options;
    memset(&options, 0, sizeof(options));
    options.struct_size = sizeof(options);
    options.flags = flags;
    return options;
}

static zdb_copy_result result_of_size(size_t size) {
    zdb_copy_result result;
    memset(&result, 0, sizeof(result));
    result.struct_size = size;
    return result;
}

static void a_copy_holds_the_same(void) {
    zdb_env *env = open_env("env");
    fill(env);
    for (unsigned i = 0; i < 2; i++) {
        const char *path = i == 0 ? "plain" : "compact";
        zdb_copy_options options = options_with(ways[i]);
        zdb_copy_result result = result_of_size(sizeof(result));
        CHECK_CODE(zdb_env_copy(env, path, &options, &result), ZDB_OK);
        expect_copy(env, &result, path);
    }
    CHECK_CODE(zdb_env_copy(env, "defaults", NULL, NULL), ZDB_OK);
    close_env(env);
}

struct reading {
    int from;
    int to;
};

static void *pass_on(void *argument) {
    const struct reading *reading = (const struct reading *)argument;
    char buffer[4096];
    ssize_t count;
    while ((count = read(reading->from, buffer, sizeof(buffer))) > 0) {
        if (write(reading->to, buffer, (size_t)count) != count) break;
    }
    return NULL;
}

static void a_copy_goes_through_a_pipe(void) {
    zdb_env *env = open_env("env");
    fill(env);
    for (unsigned i = 0; i < 2; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof(path), "copy%u", i);
        REQUIRE(mkdir(path, 0700) == 0);
        char file[PATH_BYTES + 16];
        snprintf(file, sizeof(file), "%s/data.zdb", path);
        int ends[2];
        REQUIRE(pipe(ends) == 0);
        struct reading reading = {ends[0], open(file, O_WRONLY | O_CREAT, 0600)};
        REQUIRE(reading.to >= 0);
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, pass_on, &reading) == 0);
        zdb_copy_options options = options_with(ways[i]);
        zdb_copy_result result = result_of_size(sizeof(result));
        /* Whoever reads may be slower than a descriptor that does not wait. */
        REQUIRE(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
        CHECK_CODE(zdb_env_copy_fd(env, ends[1], &options, &result), ZDB_OK);
        close(ends[1]);
        pthread_join(thread, NULL);
        close(ends[0]);
        close(reading.to);
        expect_copy(env, &result, path);
    }
    close_env(env);
}

static int end_at_once(void *context, uint64_t done, uint64_t total) {
    CHECK(done <= total);
    ++*(unsigned *)context;
    return 1;
}

static void a_copy_ends_when_it_is_told_to(void) {
    zdb_env *env = open_env("env");
    fill(env);
    for (unsigned i = 0; i < 2; i++) {
        unsigned calls = 0;
        zdb_copy_options options = options_with(ways[i]);
        options.on_progress = end_at_once;
        options.context = &calls;
        const char *path = i == 0 ? "plain" : "compact";
        CHECK_ERROR(zdb_env_copy(env, path, &options, NULL), ECANCELED);
        CHECK_NUMBER(calls, 1);
        char file[PATH_BYTES];
        snprintf(file, sizeof(file), "%s/data.zdb", path);
        CHECK(access(file, F_OK) != 0);
    }
    close_env(env);
}

static void a_copy_needs_an_empty_directory_and_a_reader(void) {
    zdb_env *env = open_env("env");
    CHECK_ERROR(zdb_env_copy(env, "env", NULL, NULL), EEXIST);
    CHECK_ERROR(zdb_env_copy(env, NULL, NULL, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_env_copy(env, "absent/copy", NULL, NULL), ENOENT);
    CHECK_ERROR(zdb_env_copy_fd(env, -1, NULL, NULL), EBADF);
    zdb_copy_options options = options_with(2);
    CHECK_ERROR(zdb_env_copy(env, "copy", &options, NULL), ZDB_BAD_ARGUMENT);
    options = options_with(0);
    options.struct_size--;
    CHECK_ERROR(zdb_env_copy(env, "copy", &options, NULL), ZDB_BAD_ARGUMENT);
    zdb_copy_result result = result_of_size(1);
    CHECK_ERROR(zdb_env_copy(env, "copy", NULL, &result), ZDB_BAD_ARGUMENT);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    close(ends[0]);
    CHECK_ERROR(zdb_env_copy_fd(env, ends[1], NULL, NULL), EPIPE);
    close(ends[1]);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_copy_holds_the_same),
    TEST(a_copy_goes_through_a_pipe),
    TEST(a_copy_ends_when_it_is_told_to),
    TEST(a_copy_needs_an_empty_directory_and_a_reader),
};

DEFINE_SUITE(copy, tests);
