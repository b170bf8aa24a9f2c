/* Names that come to mean something else while an environment is open: a process keeps to the
 * directory and the files that it opened, and touches nothing of another environment. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"
#include "system_calls.h"

/* A small log, so that a few commits need new segments and checkpoints. */
static zdb_env *open_small_log(const char *path) {
    zdb_env_options options;
    default_options(&options);
    options.log_size = MIB;
    return open_env_with(path, &options);
}

/* What commit_much() has put is there, and nothing else. */
static void expect_much(const char *path, const char *name) {
    zdb_env *env = open_small_log(path);
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "of", name);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 81);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void an_environment_whose_directory_is_renamed_is_used_on(void) {
    zdb_env *first = open_small_log("env");
    commit_much(first, "first");
    REQUIRE(rename("env", "moved") == 0);
    zdb_env *second = open_small_log("env");
    commit_much(first, "first");
    commit_much(second, "second");
    commit_much(first, "first");
    close_env(second);
    close_env(first);
    expect_much("moved", "first");
    expect_much("env", "second");
}

static void a_link_to_the_directory_may_be_switched(void) {
    REQUIRE(mkdir("one", 0700) == 0 && mkdir("two", 0700) == 0 && symlink("one", "link") == 0);
    zdb_env *first = open_small_log("link");
    commit_much(first, "first");
    REQUIRE(unlink("link") == 0 && symlink("two", "link") == 0);
    zdb_env *second = open_small_log("link");
    commit_much(second, "second");
    commit_much(first, "first");
    close_env(first);
    close_env(second);
    expect_much("one", "first");
    expect_much("two", "second");
}

static void the_working_directory_may_change(void) {
    REQUIRE(mkdir("elsewhere", 0700) == 0);
    zdb_env *env = open_small_log("env");
    REQUIRE(chdir("elsewhere") == 0);
    commit_much(env, "first");
    close_env(env);
    CHECK_NUMBER(directory_entries("."), 0);
    REQUIRE(chdir("..") == 0);
    expect_much("env", "first");
}

static void the_files_of_another_environment_in_its_place_are_left_alone(void) {
    zdb_env *first = open_small_log("env");
    commit_much(first, "first");
    zdb_env *second = open_small_log("second");
    commit_much(second, "second");
    close_env(second);
    /* The log of the first becomes the second's: its files carry another id. */
    REQUIRE(rename("env/log", "log") == 0 && rename("second/log", "env/log") == 0);
    unsigned before = directory_entries("env/log");
    commit_much(first, "first");
    close_env(first);
    CHECK_NUMBER(directory_entries("env/log"), before);
    REQUIRE(rename("env/log", "second/log") == 0 && rename("log", "env/log") == 0);
    expect_much("second", "second");
    expect_much("env", "first");
}

static void is_refused_as_busy(void *argument) {
    zdb_env *env = NULL;
    zdb_env_options options;
    default_options(&options);
    CHECK_ERROR(zdb_env_open((const char *)argument, &options, &env), ZDB_BUSY);
    options.flags = ZDB_RDONLY;
    CHECK_ERROR(zdb_env_open((const char *)argument, &options, &env), ZDB_BUSY);
}

static void commit_elsewhere(void *argument) {
    zdb_env *env = open_env((const char *)argument);
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "from", "another process");
    commit(txn);
    txn = begin_write(env);
    if (file_exists("links")) delete_text(txn, ZDB_MAIN_DB, "from");
    commit(txn);
    close_env(env);
}

static void copy_file(const char *from, const char *to) {
    size_t size;
    unsigned char *content = read_file(from, &size);
    write_file(to, content, size);
    free(content);
}

static void a_copy_in_place_of_the_data_file_is_refused_while_that_is_open(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 100);
    commit(txn);
    REQUIRE_OK(zdb_env_checkpoint(env));
    copy_file("env/data.zdb", "copy");
    REQUIRE(rename("copy", "env/data.zdb") == 0);
    txn = begin_write(env);
    for (unsigned i = 0; i < 200; i++) put_overflow(txn, ZDB_MAIN_DB, i);
    commit(txn);
    run_in_process(is_refused_as_busy, (void *)(uintptr_t)"env");
    close_env(env);
}

static void a_lock_file_that_is_removed_lets_no_second_process_begin_alone(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 100);
    commit(txn);
    REQUIRE(unlink("env/lock.zdb") == 0);
    run_in_process(is_refused_as_busy, (void *)(uintptr_t)"env");
    txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "more", "v");
    commit(txn);
    close_env(env);
    env = open_env("env");
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "more", "v");
    abort_txn(txn);
    close_env(env);
}

static void a_link_in_place_of_a_file_is_not_followed(void) {
    close_env(open_env("env"));
    write_file("precious", "text", 4);
    static const char *const names[] = {"env/lock.zdb", "env/data.zdb"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        REQUIRE(rename(names[i], "kept") == 0 && symlink("../precious", names[i]) == 0);
        zdb_env *env = NULL;
        zdb_env_options options;
        default_options(&options);
        CHECK_CODE(zdb_env_open("env", &options, &env), ELOOP);
        REQUIRE(unlink(names[i]) == 0 && rename("kept", names[i]) == 0);
        CHECK_NUMBER(file_size("precious"), 4);
    }
    close_env(open_env("env"));
}

static void a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(void) {
    close_env(open_env("env"));
    REQUIRE(unlink("env/lock.zdb") == 0 && mkfifo("env/lock.zdb", 0600) == 0);
    zdb_env *env = NULL;
    zdb_env_options options;
    default_options(&options);
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_INVALID);
}

/* ------------------------------------------------- files of others in the directory */

static void expect_content(const char *path, const char *expected) {
    size_t size;
    unsigned char *content = read_file(path, &size);
    CHECK(size == strlen(expected) && memcmp(content, expected, size) == 0);
    free(content);
}

static void files_that_are_not_of_this_library_are_left_alone(void) {
    static const char *const names[] = {"env/lock.zdb", "env/data.zdb.new", "env/data.zdb"};
    static const uint32_t flags[] = {0, ZDB_RDONLY};
    REQUIRE(mkdir("env", 0700) == 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        write_file(names[i], "somebody else's text", 20);
        for (unsigned j = 0; j < 2; j++) {
            zdb_env *env = NULL;
            zdb_env_options options;
            default_options(&options);
            options.flags = flags[j];
            int code = zdb_env_open("env", &options, &env);
            CHECK(code == ZDB_INVALID || code == ENOENT);
            expect_content(names[i], "somebody else's text");
        }
        REQUIRE(unlink(names[i]) == 0);
        /* Nothing else is left beside a data file that is not the library's. */
        if (i == 2) CHECK_NUMBER(directory_entries("env"), 0);
        unlink("env/lock.zdb");
    }
    close_env(open_env("env"));
}

static void what_a_killed_process_has_left_of_an_environment_is_replaced(void) {
    REQUIRE(mkdir("env", 0700) == 0);
    write_file("env/data.zdb.new", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    write_file("env/lock.zdb", "", 0);
    close_env(open_env("env"));
    close_env(open_env("other"));
    REQUIRE(rename("env/data.zdb", "env/data.zdb.new") == 0);
    close_env(open_env("env"));
    CHECK(!file_exists("env/data.zdb.new"));
}

static void link_files(const char *from, const char *to) {
    DIR *directory = opendir(from);
    REQUIRE(directory != NULL);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char old_path[PATH_BYTES], new_path[PATH_BYTES];
        int lengths[2] = {
            snprintf(old_path, sizeof(old_path), "%s/%s", from, entry->d_name),
            snprintf(new_path, sizeof(new_path), "%s/%s", to, entry->d_name)};
        REQUIRE(lengths[0] > 0 && lengths[1] > 0);
        struct stat status;
        REQUIRE(lstat(old_path, &status) == 0);
        if (S_ISREG(status.st_mode)) REQUIRE(link(old_path, new_path) == 0);
    }
    closedir(directory);
}

/* As `cp -al` makes them, or a backup that links what has not changed. */
static void hard_links_to_the_files_in_another_directory_are_refused_while_they_are_open(void) {
    zdb_env *env = open_small_log("env");
    commit_much(env, "first");
    REQUIRE(mkdir("links", 0700) == 0 && mkdir("links/log", 0700) == 0);
    link_files("env", "links");
    link_files("env/log", "links/log");
    run_in_process(is_refused_as_busy, (void *)(uintptr_t)"links");
    /* The same directory by another path is the same environment. */
    REQUIRE(symlink("env", "other") == 0);
    run_in_process(commit_elsewhere, (void *)(uintptr_t)"other");
    commit_much(env, "first");
    close_env(env);
    expect_much("env", "first");
}

/* Another process removes lock.zdb while this one makes an environment, and makes one itself. */
static int make_another(void *context, const char *name) {
    if (strcmp(name, "fdatasync") != 0) return 0;
    hook_system_calls(NULL, NULL);
    REQUIRE(unlink("env/lock.zdb") == 0);
    REQUIRE(unlink("env/data.zdb.new") == 0);
    run_in_process(commit_elsewhere, context);
    REQUIRE(link("env/data.zdb", "env/data.zdb.new") == 0);
    return 0;
}

static void an_environment_takes_the_place_of_no_other(void) {
    hook_system_calls(make_another, (void *)(uintptr_t)"env");
    zdb_env *env = NULL;
    zdb_env_options options;
    default_options(&options);
    CHECK_CODE(zdb_env_open("env", &options, &env), EEXIST);
    env = open_env("env");
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "from", "another process");
    abort_txn(txn);
    close_env(env);
}

static void read_as_another_user(void *argument) {
    (void)argument;
    REQUIRE(setgid(1) == 0 && setuid(1) == 0);
    zdb_env *env = NULL;
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_RDONLY;
    CHECK_CODE(zdb_env_open("env", &options, &env), EACCES);
    CHECK_CONTAINS(zdb_last_error(), "lock.zdb");
}

static void use_as_its_owner(void *argument) {
    REQUIRE(setgid(2) == 0 && setuid(2) == 0);
    run_in_process(commit_elsewhere, argument);
}

/* Anybody may make files in the directory: one that only its maker may write would keep the owner out. */
static void a_reader_of_another_user_makes_no_lock_file_that_keeps_the_owner_out(void) {
    if (geteuid() != 0) return;
    REQUIRE(chmod(".", 0755) == 0 && mkdir("env", 0700) == 0 && chown("env", 2, 2) == 0);
    run_in_process(use_as_its_owner, (void *)(uintptr_t)"env");
    REQUIRE(chmod("env", 01777) == 0 && chmod("env/data.zdb", 0644) == 0);
    REQUIRE(chmod("env/log", 0755) == 0 && unlink("env/lock.zdb") == 0);
    run_in_process(read_as_another_user, NULL);
    CHECK(!file_exists("env/lock.zdb"));
    run_in_process(use_as_its_owner, (void *)(uintptr_t)"env");
}

static void a_path_is_bytes_and_need_not_be_text(void) {
    zdb_env *latin = open_env("\xe9t\xe9");
    CHECK(file_exists("\xe9t\xe9/data.zdb"));
    zdb_env *other = open_env("\xe8t\xe8");
    zdb_txn *txn = begin_write(latin);
    put_text(txn, ZDB_MAIN_DB, "season", "summer");
    commit(txn);
    txn = begin_read(other);
    expect_absent(txn, ZDB_MAIN_DB, "season");
    abort_txn(txn);
    close_env(latin);
    close_env(other);
    latin = open_env("\xe9t\xe9");
    txn = begin_read(latin);
    expect_text(txn, ZDB_MAIN_DB, "season", "summer");
    abort_txn(txn);
    close_env(latin);
}

static void without_standard_descriptors(void *argument) {
    (void)argument;
    close(0);
    close(1);
    zdb_env *env = open_small_log("env");
    commit_much(env, "first");
    /* Had a file of the environment become one of these, printing would have written to it. */
    CHECK(fcntl(0, F_GETFD) == -1 && fcntl(1, F_GETFD) == -1);
    close_env(env);
}

static void no_file_of_an_environment_becomes_a_standard_descriptor(void) {
    run_in_process(without_standard_descriptors, NULL);
    expect_much("env", "first");
}

/* The descriptors 0, 1 and 2 that files got that can be read or written, if only for a moment. */
static unsigned standard_descriptors;

static int note_descriptor(int file, int flags) {
    if (file >= 0 && file <= 2 && (flags & O_PATH) == 0) standard_descriptors++;
    return file;
}

typedef int (*open_call)(int, const char *, int, mode_t);

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return openat(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    static open_call next;
    if (next == NULL) {
        void *found = dlsym(RTLD_NEXT, "openat");
        memcpy(&next, &found, sizeof(next));
    }
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return note_descriptor(next(directory, path, flags, mode), flags);
}

static void open_without_standard_descriptors(void *argument) {
    (void)argument;
    close(0);
    close(1);
    close_env(open_small_log("env"));
    zdb_env *env = open_small_log("env");
    commit_much(env, "first");
    close_env(env);
    CHECK_NUMBER(standard_descriptors, 0);
}

static void no_file_is_a_standard_descriptor_even_for_a_moment(void) {
    run_in_process(open_without_standard_descriptors, NULL);
}

static void a_process_without_free_descriptors_poisons_nothing(void) {
    zdb_env *env = open_small_log("env");
    commit_much(env, "first");
    struct rlimit before, none;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 3;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    unsigned failures = 0;
    char value[40 * 1024];
    fill_pattern(value, sizeof(value), 1);
    for (unsigned i = 0; i < 80; i++) {
        char key[KEY_BYTES];
        zdb_val numbered_key = numbered(key, "first", i);
        zdb_val large = bytes(value, sizeof(value));
        zdb_txn *txn = begin_write(env);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &numbered_key, &large, 0));
        int code = zdb_txn_commit(txn);
        CHECK(code == ZDB_OK || code == EMFILE);
        if (code != ZDB_OK) failures++;
    }
    CHECK(failures > 0);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    commit_much(env, "first");
    close_env(env);
    expect_much("env", "first");
}

static const struct test tests[] = {
    TEST(an_environment_whose_directory_is_renamed_is_used_on),
    TEST(a_link_to_the_directory_may_be_switched),
    TEST(the_working_directory_may_change),
    TEST(the_files_of_another_environment_in_its_place_are_left_alone),
    TEST(a_copy_in_place_of_the_data_file_is_refused_while_that_is_open),
    TEST(a_lock_file_that_is_removed_lets_no_second_process_begin_alone),
    TEST(a_link_in_place_of_a_file_is_not_followed),
    TEST(a_pipe_in_place_of_a_file_is_refused_and_not_waited_for),
    TEST(files_that_are_not_of_this_library_are_left_alone),
    TEST(what_a_killed_process_has_left_of_an_environment_is_replaced),
    TEST(hard_links_to_the_files_in_another_directory_are_refused_while_they_are_open),
    TEST(an_environment_takes_the_place_of_no_other),
    TEST(a_reader_of_another_user_makes_no_lock_file_that_keeps_the_owner_out),
    TEST(a_path_is_bytes_and_need_not_be_text),
    TEST(no_file_of_an_environment_becomes_a_standard_descriptor),
    TEST(no_file_is_a_standard_descriptor_even_for_a_moment),
    TEST(a_process_without_free_descriptors_poisons_nothing),
};

DEFINE_SUITE(names, tests);
