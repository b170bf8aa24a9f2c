/* Recovery mode: what is left of a damaged environment can be read, and nothing is written. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

#define DATA_FILE "env/data.zdb"

enum { ENTRIES = 1000, PAGE_SIZE = 4096 };

struct heard {
    unsigned warnings;
    unsigned errors;
    unsigned pages; /* messages that speak of the damaged page */
    uint64_t page;
};

static void hear(void *context, uint32_t level, const char *message) {
    struct heard *heard = (struct heard *)context;
    char number[32];
    snprintf(number, sizeof(number), "page %" PRIu64 " ", heard->page);
    if (level == ZDB_LOG_WARNING) heard->warnings++;
    if (level == ZDB_LOG_ERROR) heard->errors++;
    if (strstr(message, number) != NULL && strstr(message, "passed over") != NULL) heard->pages++;
}

static void recovery_options(zdb_env_options *options, struct heard *heard) {
    default_options(options);
    options->recovery = 1;
    options->log = hear;
    options->log_context = heard;
}

static void make_environment(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, ENTRIES);
    commit(txn);
    close_env(env);
}

static bool has_text(const unsigned char *page, const char *string) {
    size_t length = strlen(string);
    for (size_t i = 0; i + length <= PAGE_SIZE; i++) {
        if (memcmp(page + i, string, length) == 0) return true;
    }
    return false;
}

/* The first leaf with a value that no other leaf has. */
static uint64_t find_leaf(const char *value) {
    size_t size = 0;
    unsigned char *data = read_file(DATA_FILE, &size);
    uint64_t found = 0;
    for (size_t page = 2; found == 0 && (page + 1) * PAGE_SIZE <= size; page++) {
        const unsigned char *start = data + page * PAGE_SIZE;
        if (start[24] != 2) continue;
        found = has_text(start, value) ? page : 0;
    }
    free(data);
    REQUIRE(found != 0);
    return found;
}

static void cursors_pass_over_what_gets_report(void) {
    make_environment();
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    numbered_value(value_text, ENTRIES / 2);
    struct heard heard = {0, 0, 0, find_leaf(value_text)};
    flip_byte(DATA_FILE, heard.page * PAGE_SIZE + 1000);
    zdb_env_options options;
    recovery_options(&options, &heard);
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *txn = begin_read(env);
    bool is_there[ENTRIES] = {false};
    unsigned there = 0;
    for (unsigned i = 0; i < ENTRIES; i++) {
        zdb_val key = numbered(key_text, "key", i), value = nothing();
        int code = zdb_get(txn, ZDB_MAIN_DB, &key, &value);
        if (code == ZDB_OK) {
            numbered_value(value_text, i);
            CHECK_VALUE(value, value_text);
            is_there[i] = true;
            there++;
        } else {
            CHECK_NUMBER(code, ZDB_CORRUPTED);
            CHECK_NUMBER(zdb_last_error_page(), heard.page);
        }
    }
    CHECK(there > 0 && there < ENTRIES);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (int is_backward = 0; is_backward < 2; is_backward++) {
        unsigned found = 0;
        zdb_val key = nothing(), value = nothing();
        zdb_cursor_op op = is_backward ? ZDB_LAST : ZDB_FIRST;
        for (unsigned i = 0; i < ENTRIES; i++) {
            unsigned number = is_backward ? ENTRIES - 1 - i : i;
            if (!is_there[number]) continue;
            REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, op));
            zdb_val expected = numbered(key_text, "key", number);
            CHECK_BYTES(key, expected.data, expected.size);
            op = is_backward ? ZDB_PREV : ZDB_NEXT;
            found++;
        }
        CHECK_NUMBER(zdb_cursor_get(cursor, &key, &value, op), ZDB_NOT_FOUND);
        CHECK_NUMBER(found, there);
    }
    /* A range begins behind the damage, an exact search reports it. */
    zdb_val key = numbered(key_text, "key", ENTRIES / 2), value = nothing();
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_SET_RANGE));
    key = numbered(key_text, "key", ENTRIES / 2);
    CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_SET_KEY), ZDB_CORRUPTED);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
    CHECK_NUMBER(heard.pages, 1);
}

static void nothing_is_written(void) {
    make_environment();
    REQUIRE(unlink("env/lock.zdb") == 0);
    size_t size = 0, size_after = 0;
    unsigned char *before = read_file(DATA_FILE, &size);
    struct heard heard = {0, 0, 0, 0};
    zdb_env_options options;
    recovery_options(&options, &heard);
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *txn = NULL;
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0, &txn), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_env_checkpoint(env), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_env_compact(env, NULL, NULL), ZDB_READ_ONLY);
    txn = begin_read(env);
    expect_numbered(txn, ZDB_MAIN_DB, ENTRIES);
    abort_txn(txn);
    close_env(env);
    unsigned char *after = read_file(DATA_FILE, &size_after);
    CHECK(size == size_after && memcmp(before, after, size) == 0);
    CHECK(!file_exists("env/lock.zdb"));
    CHECK_NUMBER(heard.warnings + heard.errors, 0);
    free(before);
    free(after);
}

static void commit_and_leave(void *argument) {
    (void)argument;
    zdb_env *env = open_env_to_leave("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "logged", "value");
    commit(txn);
    _exit(0);
}

static void the_log_is_replayed_in_memory(void) {
    make_environment();
    run_in_process(commit_and_leave, NULL);
    struct heard heard = {0, 0, 0, 0};
    zdb_env_options options;
    recovery_options(&options, &heard);
    zdb_info info;
    for (unsigned times = 0; times < 2; times++) {
        zdb_env *env = open_env_with("env", &options);
        zdb_txn *txn = begin_read(env);
        expect_text(txn, ZDB_MAIN_DB, "logged", "value");
        abort_txn(txn);
        get_info(env, &info);
        CHECK_NUMBER(info.recovered_records, 1);
        close_env(env);
    }
    /* The state of the checkpoint can be chosen, one that there is not cannot. */
    options.recovery_root = info.last_txn_id - 1;
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *txn = begin_read(env);
    expect_absent(txn, ZDB_MAIN_DB, "logged");
    abort_txn(txn);
    close_env(env);
    options.recovery_root = info.last_txn_id + 7;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_NOT_FOUND);
    /* An ordinary opening finds what it would have found before. */
    env = open_env("env");
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "logged", "value");
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void try_to_write(void *argument) {
    (void)argument;
    zdb_env *env = NULL;
    CHECK_ERROR(zdb_env_open("env", NULL, &env), ZDB_BUSY);
}

static void no_program_writes_meanwhile(void) {
    make_environment();
    struct heard heard = {0, 0, 0, 0};
    zdb_env_options options;
    recovery_options(&options, &heard);
    zdb_env *env = open_env_with("env", &options);
    run_in_process(try_to_write, NULL);
    close_env(env);
    close_env(open_env("env"));
}

static void read_beside_a_writer(void *argument) {
    struct gate *gates = (struct gate *)argument;
    gate_only_wait(&gates[0]);
    gate_only_give(&gates[1]);
    gate_wait(&gates[0]);
    struct heard heard = {0, 0, 0, 0};
    zdb_env_options options;
    recovery_options(&options, &heard);
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "logged", "value");
    expect_numbered(txn, open_db(txn, "named"), ENTRIES);
    abort_txn(txn);
    close_env(env);
    options.recovery_root = 2;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BUSY);
    gate_give(&gates[1]);
}

static void it_joins_programs_that_write(void) {
    struct gate gates[2];
    gate_open(&gates[0]);
    gate_open(&gates[1]);
    pid_t reader = start_process(read_beside_a_writer, gates);
    gate_only_give(&gates[0]);
    gate_only_wait(&gates[1]);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "logged", "value");
    put_numbered(txn, create_db(txn, "named"), ENTRIES);
    commit(txn);
    gate_give(&gates[0]);
    gate_wait(&gates[1]);
    finish_process(reader);
    close_env(env);
    gate_close(&gates[0]);
    gate_close(&gates[1]);
}

static void a_lost_meta_page_is_no_obstacle(void) {
    make_environment();
    for (uint64_t page = 0; page < 2; page++) {
        for (uint64_t copy = 0; copy < 2; copy++) {
            flip_byte(DATA_FILE, page * PAGE_SIZE + copy * PAGE_SIZE / 2 + 100);
        }
        zdb_env *env = NULL;
        CHECK_ERROR(zdb_env_open("env", NULL, &env), ZDB_CORRUPTED);
        struct heard heard = {0, 0, 0, 0};
        zdb_env_options options;
        recovery_options(&options, &heard);
        env = open_env_with("env", &options);
        CHECK(heard.errors > 0);
        zdb_txn *txn = begin_read(env);
        zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
        zdb_val key = nothing(), value = nothing();
        int code = ZDB_OK;
        while (code == ZDB_OK) code = zdb_cursor_get(cursor, &key, &value, ZDB_NEXT);
        CHECK_NUMBER(code, ZDB_NOT_FOUND);
        close_cursor(cursor);
        abort_txn(txn);
        close_env(env);
        for (uint64_t copy = 0; copy < 2; copy++) {
            flip_byte(DATA_FILE, page * PAGE_SIZE + copy * PAGE_SIZE / 2 + 100);
        }
    }
}

static void wrong_options_are_refused(void) {
    zdb_env_options options;
    zdb_env *env = NULL;
    default_options(&options);
    CHECK_NUMBER(options.recovery, 0);
    CHECK_NUMBER(options.recovery_root, 0);
    options.recovery = 2;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BAD_ARGUMENT);
    options.recovery = 0;
    options.recovery_root = 4;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ZDB_BAD_ARGUMENT);
    options.recovery = 1;
    CHECK_ERROR(zdb_env_open("env", &options, &env), ENOENT);
    CHECK(!file_exists("env"));
}

static const struct test tests[] = {
    TEST(cursors_pass_over_what_gets_report),
    TEST(nothing_is_written),
    TEST(the_log_is_replayed_in_memory),
    TEST(no_program_writes_meanwhile),
    TEST(it_joins_programs_that_write),
    TEST(a_lost_meta_page_is_no_obstacle),
    TEST(wrong_options_are_refused),
};

DEFINE_SUITE(recovery_mode, tests);
