/* Archiving beside programs that end early, change their directory, fork, or lose descriptors. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

static const char *const index_file = "archive/index.zdba";

static zdb_env *open_archived(const char *path, const char *archive) {
    zdb_env_options options;
    default_options(&options);
    options.archive = archive;
    return open_env_with(path, &options);
}

static void put_one(zdb_env *env, const char *key) {
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, key, "value");
    commit(txn);
}

static void a_program_that_ends_at_once_leaves_an_archive(void) {
    for (unsigned i = 0; i < repetitions(20); i++) {
        zdb_env *env = open_archived("env", "archive");
        put_one(env, "key");
        close_env(env);
        CHECK(file_exists(index_file));
        CHECK(!file_exists("archive/unfinished-copy"));
        remove_tree("env");
        remove_tree("archive");
    }
}

/* As if the program had been killed, or the disk been full, between the first file and the index. */
static void an_archive_goes_on_whose_index_was_never_written(void) {
    zdb_env *env = open_archived("env", "archive");
    put_one(env, "key");
    close_env(env);
    CHECK(unlink(index_file) == 0);
    CHECK(system("find archive -name '0*' ! -name '0000000001-*' -delete") == 0);
    CHECK(unlink("env/archive.zdb") == 0);
    CHECK(directory_entries("archive") == 2);
    env = open_archived("env", "archive");
    put_one(env, "other");
    close_env(env);
    CHECK(file_exists(index_file));
}

static void count_warnings(void *context, uint32_t level, const char *message) {
    (void)message;
    if (level >= ZDB_LOG_WARNING) *(unsigned *)context += 1;
}

/* An archive of a file of pages and one of the log behind it. */
static void archive_twice(void) {
    const char *const keys[] = {"key", "other"};
    for (unsigned i = 0; i < 2; i++) {
        zdb_env *env = open_archived("env", "archive");
        put_one(env, keys[i]);
        close_env(env);
    }
}

/* Where the archive has had files behind the first, the index may have named any of them: that is said, not
 * guessed. */
static void an_archive_without_its_index_is_not_gone_on_with(void) {
    archive_twice();
    CHECK(unlink(index_file) == 0);
    unsigned warnings = 0, files = directory_entries("archive");
    CHECK(files >= 3);
    zdb_env_options options;
    default_options(&options);
    options.archive = "archive";
    options.log = count_warnings;
    options.log_context = &warnings;
    zdb_env *env = open_env_with("env", &options);
    put_one(env, "third");
    close_env(env);
    CHECK(warnings > 0);
    CHECK_NUMBER(directory_entries("archive"), files);
    CHECK(!file_exists(index_file));
}

static void the_path_of_an_archive_counts_at_the_opening(void) {
    CHECK(mkdir("elsewhere", 0700) == 0);
    for (unsigned i = 0; i < repetitions(10); i++) {
        zdb_env *env = open_archived("env", "archive");
        CHECK(chdir("elsewhere") == 0);
        put_one(env, "key");
        close_env(env);
        CHECK(chdir("..") == 0);
        CHECK(file_exists(index_file));
        CHECK_NUMBER(directory_entries("elsewhere"), 0);
        remove_tree("env");
        remove_tree("archive");
    }
}

static int fork_and_die(void *context, uint64_t done, uint64_t total) {
    struct gate *gate = (struct gate *)context;
    (void)done;
    (void)total;
    int begun[2];
    char byte = 0;
    if (pipe(begun) != 0) _exit(2);
    pid_t child = fork();
    if (child == 0) {
        if (write(begun[1], &byte, 1) != 1) _exit(2);
        /* Lives on with what it has inherited until the test ends. */
        gate_wait(gate);
        _exit(0);
    }
    if (read(begun[0], &byte, 1) != 1) _exit(2);
    raise(SIGKILL);
    return 0;
}

static void copy_and_die(void *argument) {
    zdb_env *env = open_env_to_leave("env");
    zdb_copy_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.on_progress = fork_and_die;
    options.context = argument;
    zdb_env_copy(env, "copy", &options, NULL);
    _exit(1);
}

static void a_forked_child_keeps_no_lock_of_a_copy(void) {
    zdb_env *env = open_env("env");
    put_one(env, "key");
    close_env(env);
    struct gate gate;
    gate_open(&gate);
    pid_t process = fork();
    if (process == 0) copy_and_die(&gate);
    int status;
    CHECK(waitpid(process, &status, 0) == process);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    env = open_env("env");
    CHECK_CODE(zdb_env_copy(env, "copy", NULL, NULL), ZDB_OK);
    close_env(env);
    gate_only_give(&gate);
    gate_give(&gate);
    gate_close(&gate);
}

static void lose_descriptors(void *argument) {
    zdb_env *env = open_env_to_leave("env");
    (void)argument;
    zdb_txn *txn = NULL;
    REQUIRE_OK(zdb_txn_begin(env, NULL, ZDB_DURABILITY_RELAXED, &txn));
    put_text(txn, ZDB_MAIN_DB, "relaxed", "value");
    commit(txn);
    for (int fd = 3; fd < 1000; fd++) close(fd);
    exit(0);
}

/* A host that closes descriptors which are not its own keeps no other process from writing. */
static void lost_descriptors_stop_no_other_process(void) {
    /* A tool that runs the test has descriptors there too. */
    if (tests_run_slowly()) return;
    zdb_env *env = open_env("env");
    put_one(env, "before");
    pid_t process = fork();
    if (process == 0) lose_descriptors(NULL);
    int status;
    CHECK(waitpid(process, &status, 0) == process);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    put_one(env, "after");
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "relaxed", "value");
    expect_text(txn, ZDB_MAIN_DB, "after", "value");
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void write_as_another_user(void *argument) {
    zdb_env_options options;
    default_options(&options);
    options.log_size = MIB;
    options.threads = ZDB_THREADS_NONE;
    (void)argument;
    zdb_env *env = open_env_with("env", &options);
    put_one(env, "first");
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(3);
    commit_much(env, "late");
    put_one(env, "last");
    close_env(env);
}

/* The log's next file cannot be made any more: commits become checkpoints. */
static void a_process_writes_on_after_it_has_given_up_its_rights(void) {
    if (geteuid() != 0) return;
    run_in_process(write_as_another_user, NULL);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "last", "value");
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void put_with_little_memory(void *argument) {
    (void)argument;
    enum { VALUE_BYTES = 60 << 20 };
    zdb_env_options options;
    default_options(&options);
    options.max_size = (uint64_t)1 << 30;
    options.max_txn_memory = MIB;
    options.archive = "archive";
    zdb_env *env = open_env_with("env", &options);
    put_one(env, "before");
    char *value = (char *)malloc(VALUE_BYTES);
    REQUIRE(value != NULL);
    memset(value, 7, VALUE_BYTES);
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    size_t pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    REQUIRE(statm != NULL && fscanf(statm, "%zu", &pages) == 1);
    fclose(statm);
    limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + 40 * MIB;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    zdb_txn *txn = begin_write(env);
    int code = ZDB_OK;
    for (unsigned i = 0; i < 3 && code == ZDB_OK; i++) {
        char buffer[KEY_BYTES];
        zdb_val key = numbered(buffer, "large", i), val = bytes(value, VALUE_BYTES);
        code = zdb_put(txn, ZDB_MAIN_DB, &key, &val, 0);
    }
    CHECK(code == ZDB_OK || code == ENOMEM);
    abort_txn(txn);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    put_one(env, "after");
    free(value);
    close_env(env);
}

static void a_record_that_finds_no_memory_ends_no_process(void) {
    /* Tools that watch memory need much of their own. */
    if (tests_run_slowly()) return;
    run_in_process(put_with_little_memory, NULL);
    CHECK(file_exists(index_file));
}

/* The environment remembers that the archive had more files: they and the index are missed. */
static void an_archive_that_has_lost_files_is_not_gone_on_with(void) {
    archive_twice();
    CHECK(unlink(index_file) == 0);
    CHECK(system("find archive -name '0*' ! -name '0000000001-*' -delete") == 0);
    zdb_env *env = open_archived("env", "archive");
    put_one(env, "third");
    close_env(env);
    CHECK(!file_exists(index_file));
    CHECK_NUMBER(directory_entries("archive"), 2);
}

/* Nothing is copied while a transaction is open: the closing says so at once. */
static void an_open_transaction_keeps_an_archived_environment_open(void) {
    zdb_env *env = open_archived("env", "archive");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "key", "value");
    CHECK_CODE(zdb_env_close(env), ZDB_BUSY);
    commit(txn);
    txn = begin_read(env);
    CHECK_CODE(zdb_env_close_wait(env, 20, 0), ZDB_BUSY);
    CHECK_CODE(zdb_env_close_wait(env, 20, ZDB_CLOSE_ABORT), ZDB_OK);
    CHECK(file_exists(index_file));
    CHECK(!file_exists("archive/unfinished-copy"));
}

static const struct test tests[] = {
    TEST(a_program_that_ends_at_once_leaves_an_archive),
    TEST(an_archive_goes_on_whose_index_was_never_written),
    TEST(an_archive_without_its_index_is_not_gone_on_with),
    TEST(an_archive_that_has_lost_files_is_not_gone_on_with),
    TEST(an_open_transaction_keeps_an_archived_environment_open),
    TEST(the_path_of_an_archive_counts_at_the_opening),
    TEST(a_forked_child_keeps_no_lock_of_a_copy),
    TEST(lost_descriptors_stop_no_other_process),
    TEST(a_process_writes_on_after_it_has_given_up_its_rights),
    TEST(a_record_that_finds_no_memory_ends_no_process),
};

DEFINE_SUITE(archive, tests);
