/* Pages that cannot be read while an environment is open: the file has been cut off, or the device
 * fails. Touching them in the map would end the process with SIGBUS; each operation must return an
 * error that names the page instead, or the right data.
 *
 * Each look at an environment is a child process's: it has fetched no page yet, and a signal that ends it
 * fails the test. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare() */
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

enum { ENTRIES = 4000, LARGE_VALUES = 12, LARGE_SIZE = 400000 };

#define FORMAT_PAGE_SIZE 4096u

/* ----------------------------------------------------------- the environment */

static zdb_env *open_lost(const char *path) {
    zdb_env_options options;
    default_options(&options);
    options.threads = ZDB_THREADS_NONE;
    return open_env_with(path, &options);
}

static zdb_val large_key(char buffer[KEY_BYTES], unsigned number) {
    return numbered(buffer, "large", number);
}

static void put_large(zdb_txn *txn, unsigned number) {
    char key_text[KEY_BYTES];
    void *memory = new_pattern(LARGE_SIZE, number);
    zdb_val key = large_key(key_text, number), value = bytes(memory, LARGE_SIZE);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    free(memory);
}

/* Numbered entries with large values between them. */
static void make_environment(const char *path) {
    zdb_env *env = open_lost(path);
    for (unsigned i = 0; i < LARGE_VALUES; i++) {
        zdb_txn *txn = begin_write(env);
        for (unsigned j = 0; j < ENTRIES / LARGE_VALUES; j++) {
            char key_text[KEY_BYTES], value_text[KEY_BYTES];
            unsigned number = j * LARGE_VALUES + i;
            zdb_val key = numbered(key_text, "key", number);
            zdb_val value = numbered_value(value_text, number);
            REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        }
        put_large(txn, i);
        commit(txn);
    }
    close_env(env);
}

/* ------------------------------------------------------------- what is asked */

struct look {
    zdb_env *env;
    const char *file;
    int error;        /* that damage may lead to */
    unsigned errors;  /* so many have */
    unsigned correct; /* and so much was right */
};

/* Whether a call succeeded; else it must have failed as it should. */
static bool judge(struct look *look, int code, const char *what) {
    if (code == ZDB_OK) {
        look->correct++;
        return true;
    }
    look->errors++;
    if (code != look->error) {
        check_failed(HERE, "%s returns %s: %s", what, code_name(code), zdb_last_error());
        return false;
    }
    uint64_t page = zdb_last_error_page();
    if (page == UINT64_MAX) {
        check_failed(HERE, "%s names no page: %s", what, zdb_last_error());
        return false;
    }
    char place[64];
    snprintf(place, sizeof(place), "page %" PRIu64 " at byte %" PRIu64, page,
             page * FORMAT_PAGE_SIZE);
    CHECK_CONTAINS(zdb_last_error(), place);
    return false;
}

static void get_all(struct look *look) {
    zdb_txn *txn = begin_read(look->env);
    for (unsigned i = 0; i < ENTRIES; i++) {
        char key_text[KEY_BYTES], value_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i), value = nothing();
        zdb_val expected = numbered_value(value_text, i);
        if (judge(look, zdb_get(txn, ZDB_MAIN_DB, &key, &value), "zdb_get()")) {
            CHECK_BYTES(value, expected.data, expected.size);
        }
    }
    abort_txn(txn);
}

static void get_large_values(struct look *look) {
    zdb_txn *txn = begin_read(look->env);
    for (unsigned i = 0; i < LARGE_VALUES; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = large_key(key_text, i), value = nothing();
        if (judge(look, zdb_get(txn, ZDB_MAIN_DB, &key, &value), "zdb_get() of a large value")) {
            CHECK(value.size == LARGE_SIZE && has_pattern(value.data, value.size, i));
        }
    }
    abort_txn(txn);
}

static void get_many(struct look *look) {
    enum { KEYS = 64 };
    zdb_txn *txn = begin_read(look->env);
    for (unsigned first = 0; first + KEYS <= ENTRIES; first += KEYS) {
        char key_texts[KEYS][KEY_BYTES];
        zdb_val keys[KEYS], values[KEYS];
        for (unsigned i = 0; i < KEYS; i++) {
            keys[i] = numbered(key_texts[i], "key", first + i);
        }
        size_t found = 0;
        judge(look, zdb_get_many(txn, ZDB_MAIN_DB, keys, values, KEYS, &found), "zdb_get_many()");
    }
    abort_txn(txn);
}

/* To the first error. */
static void scan(struct look *look, zdb_cursor_op op) {
    zdb_txn *txn = begin_read(look->env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = nothing(), value = nothing();
    int code;
    while ((code = zdb_cursor_get(cursor, &key, &value, op)) == ZDB_OK) {
        look->correct++;
    }
    if (code != ZDB_NOT_FOUND) judge(look, code, "zdb_cursor_get()");
    close_cursor(cursor);
    abort_txn(txn);
}

static void scan_forward(struct look *look) {
    scan(look, ZDB_NEXT);
}

static void scan_backward(struct look *look) {
    scan(look, ZDB_PREV);
}

/* Seeks everywhere, with a few entries after each place. */
static void read_ranges(struct look *look) {
    zdb_txn *txn = begin_read(look->env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (unsigned i = 0; i < ENTRIES; i += 10) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i), value = nothing();
        int code = zdb_cursor_get(cursor, &key, &value, ZDB_SET_RANGE);
        for (unsigned step = 0; code == ZDB_OK && step < 10; step++) {
            code = zdb_cursor_get(cursor, &key, &value, ZDB_NEXT);
        }
        if (code != ZDB_NOT_FOUND) judge(look, code, "a range");
    }
    close_cursor(cursor);
    abort_txn(txn);
}

/* Each in a transaction of its own, which the error ends. */
static void change(struct look *look, bool deletes, zdb_val (*make_key)(char *, unsigned),
                   unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = make_key(key_text, i), value = text("new");
        zdb_txn *txn = begin_write(look->env);
        int code = deletes ? zdb_del(txn, ZDB_MAIN_DB, &key, NULL)
                           : zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0);
        judge(look, code, deletes ? "zdb_del()" : "zdb_put()");
        abort_txn(txn);
    }
}

static zdb_val every_fifth_key(char *buffer, unsigned number) {
    return numbered(buffer, "key", 5 * number);
}

static void put_entries(struct look *look) {
    change(look, false, every_fifth_key, ENTRIES / 5);
}

static void delete_entries(struct look *look) {
    change(look, true, every_fifth_key, ENTRIES / 5);
}

static void put_over_large_values(struct look *look) {
    change(look, false, large_key, LARGE_VALUES);
}

static void delete_large_values(struct look *look) {
    change(look, true, large_key, LARGE_VALUES);
}

static void clear(struct look *look) {
    zdb_txn *txn = begin_write(look->env);
    judge(look, zdb_db_clear(txn, ZDB_MAIN_DB), "zdb_db_clear()");
    abort_txn(txn);
}

static void count_problem(void *context, const zdb_problem *problem) {
    struct look *look = (struct look *)context;
    if (problem->page != UINT64_MAX) look->errors++;
}

static void verify(struct look *look) {
    zdb_verify_report report;
    memset(&report, 0, sizeof(report));
    report.struct_size = sizeof(report);
    zdb_verify_options options;
    verify_options_init(&options, count_problem, look);
    CHECK_ERROR(zdb_env_verify(look->env, &options, &report), ZDB_CORRUPTED);
    /* A file that is too short for its newest state is an error at once. */
    look->errors++;
}

/* Whatever the process has read, verifying reads it all again. */
static void read_then_verify(struct look *look) {
    get_all(look);
    look->errors = 0;
    verify(look);
}

static void (*const looks[])(struct look *look) = {
    get_all,     get_large_values, get_many,       scan_forward,          scan_backward,
    read_ranges, put_entries,      delete_entries, put_over_large_values, delete_large_values,
    clear,       verify,           read_then_verify};

enum { LOOKS = sizeof(looks) / sizeof(looks[0]) };

/* ----------------------------------------------------- a file that is cut off */

struct cut {
    unsigned look;
    uint64_t size; /* to cut the file to */
    uint32_t checksum;
};

static void look_at_cut_file(void *argument) {
    const struct cut *cut = (const struct cut *)argument;
    struct look look;
    memset(&look, 0, sizeof(look));
    look.error = ZDB_CORRUPTED;
    look.file = "env/data.zdb";
    zdb_env_options options;
    default_options(&options);
    options.threads = ZDB_THREADS_NONE;
    options.checksum = cut->checksum;
    look.env = open_env_with("env", &options);
    REQUIRE(truncate(look.file, (off_t)cut->size) == 0);
    looks[cut->look](&look);
    /* The data that a put replaces need not be there. Nor need what is cleared, but for branches. */
    if (looks[cut->look] != put_over_large_values && looks[cut->look] != clear) {
        CHECK(look.errors > 0);
    }
    /* The environment is not closed, which would write. */
}

static void look_at_cut_files(uint32_t checksum) {
    make_environment("env");
    size_t size = 0;
    unsigned char *whole = read_file("env/data.zdb", &size);
    const uint64_t sizes[] = {2 * FORMAT_PAGE_SIZE, size / 4 / FORMAT_PAGE_SIZE * FORMAT_PAGE_SIZE,
                              size / 2 + 100};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (unsigned look = 0; look < LOOKS; look++) {
            struct cut cut;
            cut.look = look;
            cut.size = sizes[i];
            cut.checksum = checksum;
            run_in_process(look_at_cut_file, &cut);
            write_file("env/data.zdb", whole, size);
        }
    }
    free(whole);
}

static void a_file_cut_off_under_a_process_is_an_error(void) {
    look_at_cut_files(ZDB_CHECKSUM_FAST);
}

static void a_file_cut_off_is_an_error_in_the_mode_that_checks_at_every_access(void) {
    look_at_cut_files(ZDB_CHECKSUM_FULL);
}

/* The message says where the file ends. */
static void look_at_end(void *argument) {
    (void)argument;
    zdb_env *env = open_lost("env");
    REQUIRE(truncate("env/data.zdb", 2 * FORMAT_PAGE_SIZE) == 0);
    zdb_txn *txn = begin_read(env);
    char key_text[KEY_BYTES];
    zdb_val key = numbered(key_text, "key", 1), value = nothing();
    CHECK_ERROR(zdb_get(txn, ZDB_MAIN_DB, &key, &value), ZDB_CORRUPTED);
    CHECK_CONTAINS(zdb_last_error(), "data.zdb is missing: the file was cut off at byte 8192");
    abort_txn(txn);
}

static void the_error_of_a_file_that_was_cut_off_says_where(void) {
    make_environment("env");
    run_in_process(look_at_end, NULL);
}

/* --------------------------------------------------------- a device that fails */

/* A file system on a loop device whose backing file is cut off: reads beyond its end are errors of the
 * device. It is gone with the namespace, which is this process's. */
static bool mount_medium(void) {
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
           system("exec >/dev/null 2>&1;"
                  "mount --make-rprivate / && truncate -s 64M disk && mkfs.ext2 -q -F -b 4096 disk &&"
                  "mkdir medium && mount -o loop,noatime disk medium") == 0;
}

/* Which block of the device has a block of the file. */
static int device_block(const char *path, int block) {
    int fd = open(path, O_RDONLY);
    REQUIRE(fd >= 0);
    REQUIRE(ioctl(fd, FIBMAP, &block) == 0);
    close(fd);
    return block;
}

static void forget_cached(const char *path) {
    int fd = open(path, O_RDONLY);
    REQUIRE(fd >= 0);
    REQUIRE(fsync(fd) == 0);
    REQUIRE(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    close(fd);
}

static void look_at_failing_device(void *argument) {
    const unsigned *number = (const unsigned *)argument;
    struct look look;
    memset(&look, 0, sizeof(look));
    look.error = EIO;
    look.file = "medium/env/data.zdb";
    look.env = open_lost("medium/env");
    int middle = (int)(file_size(look.file) / FORMAT_PAGE_SIZE / 2);
    /* The log may lie behind that place; it is to stay readable, from memory. */
    REQUIRE(system("cat medium/env/log/* >/dev/null") == 0);
    sync();
    REQUIRE(truncate("disk", (off_t)device_block(look.file, middle) * FORMAT_PAGE_SIZE) == 0);
    forget_cached(look.file);
    looks[*number](&look);
    if (looks[*number] != put_over_large_values && looks[*number] != clear) {
        CHECK(look.errors > 0);
    }
}

static void a_device_that_fails_is_an_error(void) {
    if (!mount_medium()) {
        fprintf(stderr, "skipped: a device that fails needs the right to mount, and mkfs.ext2\n");
        return;
    }
    make_environment("medium/env");
    sync();
    REQUIRE(system("cp disk whole && umount medium") == 0);
    for (unsigned look = 0; look < LOOKS; look++) {
        REQUIRE(system("cp whole disk && mount -o loop,noatime disk medium") == 0);
        run_in_process(look_at_failing_device, &look);
        REQUIRE(system("umount medium") == 0);
    }
}

static const struct test tests[] = {
    TEST(a_file_cut_off_under_a_process_is_an_error),
    TEST(a_file_cut_off_is_an_error_in_the_mode_that_checks_at_every_access),
    TEST(the_error_of_a_file_that_was_cut_off_says_where),
    TEST(a_device_that_fails_is_an_error),
};

DEFINE_SUITE(lost_pages, tests);
