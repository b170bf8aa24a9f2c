/* Users: what root makes in an environment belongs to the owner of its data file, what one of a group
 * makes the group may use, and a medium that nobody can write to is told apart from missing rights.
 * Without root there is nobody to become, and these tests do nothing. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare() */
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

enum { OWNER = 2, GROUP = 5, COLLEAGUE = 3, STRANGER = 7 };

static void become(unsigned user, unsigned group) {
    gid_t only = group;
    REQUIRE(setgroups(1, &only) == 0 && setgid(group) == 0 && setuid(user) == 0);
}

/** Opens the environment, or makes it with a mode, and writes. Of what is made in one that is there, neither
 *  the mode nor the umask says who may use it. */
static void use(unsigned mode) {
    umask(file_exists("env/data.zdb") ? 077 : 0);
    zdb_env_options options;
    default_options(&options);
    options.log_size = MIB;
    options.file_mode = mode;
    zdb_env *env = open_env_with("env", &options);
    commit_much(env, "key");
    close_env(env);
}

static void use_as_owner(void *argument) {
    become(OWNER, GROUP);
    use(*(const unsigned *)argument);
}

static void use_as_colleague(void *argument) {
    become(COLLEAGUE, GROUP);
    use(*(const unsigned *)argument);
}

static void use_as_root(void *argument) {
    use(*(const unsigned *)argument);
}

static void be_refused_as_stranger(void *argument) {
    (void)argument;
    become(STRANGER, STRANGER);
    zdb_env *env = NULL;
    zdb_env_options options;
    default_options(&options);
    for (unsigned read_only = 0; read_only < 2; read_only++) {
        options.flags = read_only ? ZDB_RDONLY : 0;
        CHECK_CODE(zdb_env_open("env", &options, &env), EACCES);
    }
}

/** Checks that all files in a directory have the group and a mode, and if `owner` is not 0, that owner. */
static void check_files(const char *path, unsigned owner, unsigned mode) {
    DIR *directory = opendir(path);
    REQUIRE(directory != NULL);
    unsigned count = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;
        REQUIRE(fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0);
        if (!S_ISREG(status.st_mode)) continue;
        count++;
        bool is_right = status.st_gid == GROUP && (status.st_mode & 07777) == mode &&
                        (owner == 0 || status.st_uid == owner);
        if (is_right) continue;
        check_failed(HERE, "%s/%s has owner %u, group %u and mode %o", path, entry->d_name,
                     (unsigned)status.st_uid, (unsigned)status.st_gid,
                     (unsigned)status.st_mode & 07777);
    }
    CHECK(count > 0);
    closedir(directory);
}

static bool make_directory(unsigned mode) {
    if (geteuid() != 0) return false;
    REQUIRE(chmod(".", 0755) == 0 && mkdir("env", 0700) == 0);
    REQUIRE(chown("env", OWNER, GROUP) == 0 && chmod("env", mode) == 0);
    return true;
}

static void what_root_makes_belongs_to_the_owner(void) {
    unsigned mode = 0600;
    if (!make_directory(0700)) return;
    run_in_process(use_as_owner, &mode);
    for (unsigned round = 0; round < 2; round++) {
        /* Once with a lock file and segments to make, once with those of the owner. */
        if (round == 0) REQUIRE(unlink("env/lock.zdb") == 0);
        run_in_process(use_as_root, &mode);
        check_files("env", OWNER, 0600);
        check_files("env/log", OWNER, 0600);
        run_in_process(use_as_owner, &mode);
    }
    run_in_process(be_refused_as_stranger, NULL);
}

static void a_group_shares_an_environment(void) {
    unsigned mode = 0660, other = 0600;
    if (!make_directory(02770)) return;
    run_in_process(use_as_owner, &mode);
    for (unsigned round = 0; round < 3; round++) {
        if (round > 0) REQUIRE(unlink("env/lock.zdb") == 0);
        /* The mode that the second asks for is for environments that it makes. */
        run_in_process(use_as_colleague, &other);
        check_files("env", 0, 0660);
        check_files("env/log", 0, 0660);
        run_in_process(use_as_owner, &other);
    }
    run_in_process(be_refused_as_stranger, NULL);
}

/** In this process only. @return false where that is not allowed, as in some containers. */
static bool mount_disk(void) {
    if (unshare(CLONE_NEWNS) != 0) return false;
    return mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("disk", 0755) == 0 &&
           mount("tmpfs", "disk", "tmpfs", 0, "size=64m,mode=755") == 0 && chdir("disk") == 0;
}

static void use_a_read_only_medium(void *argument) {
    (void)argument;
    if (!mount_disk()) return;
    REQUIRE(mkdir("env", 0700) == 0 && chown("env", OWNER, GROUP) == 0);
    unsigned mode = 0600;
    run_in_process(use_as_owner, &mode);
    REQUIRE(mount("none", ".", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) == 0);
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_RDONLY;
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *txn = begin_read(env);
    char key[KEY_BYTES];
    zdb_val numbered_key = numbered(key, "key", 79), value;
    REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &numbered_key, &value));
    CHECK_NUMBER(value.size, 40 * 1024);
    abort_txn(txn);
    close_env(env);
    options.flags = 0;
    CHECK_CODE(zdb_env_open("env", &options, &env), EROFS);
    run_in_process(be_refused_as_stranger, NULL);
}

static void put_from_elsewhere(void *argument) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "from", (const char *)argument);
    commit(txn);
    close_env(env);
}

static void be_refused_for_the_layers(void *argument) {
    be_refused_as_stranger(argument);
    CHECK_CONTAINS(zdb_last_error(), "overlay");
}

/* As in a container: the environment comes with the lower layer, and a first change copies a file up. */
static void use_an_overlay(void *argument) {
    (void)argument;
    if (!mount_disk()) return;
    REQUIRE(mkdir("lower", 0755) == 0 && mkdir("upper", 0755) == 0 && mkdir("work", 0755) == 0);
    REQUIRE(mkdir("merged", 0755) == 0 && chdir("lower") == 0);
    run_in_process(put_from_elsewhere, (void *)(uintptr_t)"the image");
    REQUIRE(chmod("env", 0755) == 0 && chmod("env/data.zdb", 0644) == 0);
    REQUIRE(chmod("env/log", 0755) == 0 && chmod("env/lock.zdb", 0666) == 0 && chdir("..") == 0);
    if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") != 0) {
        return;
    }
    REQUIRE(chdir("merged") == 0);
    run_in_process(be_refused_for_the_layers, NULL);
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_RDONLY;
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "from", "the image");
    abort_txn(txn);
    run_in_process(put_from_elsewhere, (void *)(uintptr_t)"the container");
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "from", "the container");
    abort_txn(txn);
    close_env(env);
}

static void a_reader_on_an_overlay_sees_what_is_written_there(void) {
    if (geteuid() == 0) run_in_process(use_an_overlay, NULL);
}

static void a_read_only_medium_is_read_and_not_written(void) {
    if (geteuid() == 0) run_in_process(use_a_read_only_medium, NULL);
}

static const struct test tests[] = {
    TEST(what_root_makes_belongs_to_the_owner),
    TEST(a_group_shares_an_environment),
    TEST(a_read_only_medium_is_read_and_not_written),
    TEST(a_reader_on_an_overlay_sees_what_is_written_there),
};

DEFINE_SUITE(users, tests);
