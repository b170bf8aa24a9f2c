/* The state after a process was killed, and which programs may read it. */
#include <stdlib.h>

#include "killed.h"
#include "partner.h"
#include "suites.h"

/* ------------------------------------------------------------------- replaying */

static void commits_of_a_killed_process_are_replayed_and_counted(void) {
    leave_to_recover(20);
    zdb_env *env = open_env("env");
    zdb_info info = info_of(env);
    CHECK_NUMBER(info.recovered_records, 20);
    CHECK(info.recovered_bytes >= 20 * (strlen("key00000000") + strlen("value of 00000000")));
    CHECK(info.recovered_bytes <= 20 * 4096);
    CHECK(info.recovery_ns > 0);
    CHECK(info.recovery_ns < (uint64_t)60 * 1000000000);
    CHECK_NUMBER(info.log_bytes, 0);
    CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
    expect_entries(env, 20);
    close_env(env);
}

enum { COPIES = 400 };

/* Puts values and deletes keys that lie in pages of the transaction, which the change moves. */
static void put_from_own_pages_and_die(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    for (unsigned i = 0; i < COPIES; i++) {
        zdb_val key = numbered(key_text, "key", i), value = numbered(value_text, "key", i);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    }
    for (unsigned i = 0; i < COPIES; i++) {
        zdb_val key = numbered(key_text, "key", i), value = nothing();
        REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
        zdb_val copy = numbered(key_text, "copy", i);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &copy, &value, 0));
        if (i % 2 == 0) {
            key = numbered(key_text, "key", i);
            REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
            REQUIRE_OK(zdb_del(txn, ZDB_MAIN_DB, &value, NULL));
        }
    }
    /* A key in an overflow run that is freed with it. */
    void *memory = new_pattern(100000, 1);
    zdb_val whole = bytes(memory, 100000), part, value = nothing();
    zdb_val key = bytes(memory, 1000);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &whole, 0));
    REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
    part = bytes(value.data, 1000);
    REQUIRE_OK(zdb_del(txn, ZDB_MAIN_DB, &part, NULL));
    free(memory);
    commit(txn);
    die();
}

static void values_put_from_pages_of_the_transaction_are_replayed(void) {
    run_until_killed(put_from_own_pages_and_die, NULL);
    zdb_env *env = open_env("env");
    CHECK_NUMBER(info_of(env).recovered_records, 1);
    zdb_txn *txn = begin_read(env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), COPIES + COPIES / 2);
    for (unsigned i = 0; i < COPIES; i++) {
        char copy_text[KEY_BYTES], key_text[KEY_BYTES];
        numbered(copy_text, "copy", i);
        numbered(key_text, "key", i);
        expect_text(txn, ZDB_MAIN_DB, copy_text, key_text);
        if (i % 2 == 0) {
            expect_absent(txn, ZDB_MAIN_DB, key_text);
        } else {
            expect_text(txn, ZDB_MAIN_DB, key_text, key_text);
        }
    }
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void after_a_clean_close_there_is_nothing_to_replay(void) {
    zdb_env *env = open_env("env");
    commit_each(env, 5);
    close_env(env);
    env = open_env("env");
    zdb_info info = info_of(env);
    CHECK_NUMBER(info.recovered_records, 0);
    CHECK_NUMBER(info.recovered_bytes, 0);
    CHECK_NUMBER(info.recovery_ns, 0);
    expect_entries(env, 5);
    close_env(env);
}

static void open_and_die(void *argument) {
    zdb_env *env = open_env("env");
    CHECK_NUMBER(info_of(env).recovered_records, *(const unsigned *)argument);
    die();
}

static void recovered_commits_need_not_be_recovered_again(void) {
    leave_to_recover(10);
    unsigned count = 10;
    run_until_killed(open_and_die, &count);
    count = 0;
    run_until_killed(open_and_die, &count);
    zdb_env *env = open_env("env");
    expect_entries(env, 10);
    close_env(env);
}

static void die_and_recover_and_commit(void *argument) {
    unsigned number = *(const unsigned *)argument;
    zdb_env *env = open_env("env");
    commit_one(env, number);
    die();
}

static void each_of_many_deaths_leaves_its_commit(void) {
    for (unsigned i = 0; i < 10; i++) {
        run_until_killed(die_and_recover_and_commit, &i);
        CHECK(file_exists("env/data.zdb"));
    }
    zdb_env *env = open_env("env");
    CHECK_NUMBER(info_of(env).recovered_records, 1);
    expect_entries(env, 10);
    close_env(env);
}

static void leave_work_unfinished(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    commit_each(env, 3);
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "aborted", "v");
    abort_txn(txn);
    txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "unfinished", "v");
    create_db(txn, "unfinished");
    die();
}

static void aborted_and_unfinished_transactions_are_not_there(void) {
    run_until_killed(leave_work_unfinished, NULL);
    zdb_env *env = open_env("env");
    CHECK_NUMBER(info_of(env).recovered_records, 3);
    expect_entries(env, 3);
    zdb_txn *txn = begin_read(env);
    zdb_db db;
    CHECK_ERROR(zdb_db_open(txn, "unfinished", 0, &db), ZDB_NOT_FOUND);
    abort_txn(txn);
    close_env(env);
}

static void checkpoint_in_between(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    commit_each(env, 10);
    REQUIRE_OK(zdb_env_checkpoint(env));
    for (unsigned i = 10; i < 14; i++) commit_one(env, i);
    die();
}

static void only_commits_after_the_checkpoint_are_replayed(void) {
    run_until_killed(checkpoint_in_between, NULL);
    zdb_env *env = open_env("env");
    CHECK_NUMBER(info_of(env).recovered_records, 4);
    expect_entries(env, 14);
    close_env(env);
}

/* ----------------------------------------------------- all that can be changed */

static void put_cursor(zdb_txn *txn, zdb_db db, unsigned number) {
    zdb_cursor *cursor = open_cursor(txn, db);
    char key_text[KEY_BYTES];
    zdb_val key = numbered(key_text, "cursor", number), value = text("by cursor");
    REQUIRE_OK(zdb_cursor_put(cursor, &key, &value, 0));
    value = text("replaced");
    REQUIRE_OK(zdb_cursor_put(cursor, NULL, &value, ZDB_CURRENT));
    int code = zdb_cursor_get(cursor, &key, &value, ZDB_FIRST);
    REQUIRE_OK(code);
    if (number % 2 == 0) REQUIRE_OK(zdb_cursor_del(cursor, 0));
    close_cursor(cursor);
}

static void change_everything(zdb_env *env, unsigned number) {
    char key_text[KEY_BYTES], name[KEY_BYTES];
    zdb_txn *txn = begin_write(env);
    numbered(name, "database ", number / 3);
    zdb_db db = open_db_at(HERE, txn, name, ZDB_CREATE);
    for (unsigned i = 0; i < 30; i++) {
        size_t size = i % 10 == 0 ? 3000 * (number % 7) : (i * number) % 100;
        void *memory = new_pattern(size, number + i);
        zdb_val key = numbered(key_text, "key", i * number % 97), value = bytes(memory, size);
        REQUIRE_OK(zdb_put(txn, i % 2 == 0 ? db : ZDB_MAIN_DB, &key, &value, 0));
        int code = zdb_put(txn, db, &key, &value, ZDB_NOOVERWRITE);
        CHECK_EITHER(code, ZDB_OK, ZDB_KEYEXIST);
        free(memory);
    }
    zdb_val key = numbered(key_text, "last", number), value = text("appended");
    REQUIRE_OK(zdb_put(txn, db, &key, &value, ZDB_APPEND));
    for (unsigned i = 0; i < 10; i++) {
        key = numbered(key_text, "key", (i + number) % 97);
        int code = zdb_del(txn, i % 2 == 0 ? db : ZDB_MAIN_DB, &key, NULL);
        CHECK_EITHER(code, ZDB_OK, ZDB_NOT_FOUND);
    }
    put_cursor(txn, db, number);
    put_cursor(txn, ZDB_MAIN_DB, number);
    commit(txn);
}

enum { CHANGES = 40 };

static void change_everything_and_die(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    for (unsigned i = 1; i <= CHANGES; i++) change_everything(env, i);
    die();
}

static void compare_databases(zdb_txn *one, zdb_txn *other, const char *name) {
    zdb_db one_db = ZDB_MAIN_DB, other_db = ZDB_MAIN_DB;
    if (name != NULL) {
        one_db = open_db(one, name);
        other_db = open_db(other, name);
    }
    zdb_cursor *one_cursor = open_cursor(one, one_db), *other_cursor = open_cursor(other, other_db);
    unsigned seen = 0;
    for (;;) {
        zdb_val key = nothing(), value = nothing(), other_key = nothing(), other_value = nothing();
        int code = zdb_cursor_get(one_cursor, &key, &value, ZDB_NEXT);
        CHECK_CODE(zdb_cursor_get(other_cursor, &other_key, &other_value, ZDB_NEXT), code);
        if (code != ZDB_OK) break;
        CHECK_BYTES(key, other_key.data, other_key.size);
        CHECK_BYTES(value, other_value.data, other_value.size);
        seen++;
    }
    CHECK(seen > 0);
    CHECK_NUMBER(entries(one, one_db), seen);
    close_cursor(one_cursor);
    close_cursor(other_cursor);
}

static void every_kind_of_change_is_replayed(void) {
    run_until_killed(change_everything_and_die, NULL);
    zdb_env *twin = open_env("twin");
    for (unsigned i = 1; i <= CHANGES; i++) change_everything(twin, i);
    zdb_env *env = open_env("env");
    CHECK_NUMBER(info_of(env).recovered_records, CHANGES);
    CHECK_NUMBER(info_of(env).last_txn_id, info_of(twin).last_txn_id);
    CHECK_NUMBER(info_of(env).databases, info_of(twin).databases);
    zdb_txn *one = begin_read(env), *other = begin_read(twin);
    compare_databases(one, other, NULL);
    for (unsigned i = 0; i <= CHANGES / 3; i++) {
        char name[KEY_BYTES];
        numbered(name, "database ", i);
        compare_databases(one, other, name);
    }
    abort_txn(one);
    abort_txn(other);
    expect_sound(env);
    close_env(twin);
    close_env(env);
}

/* 3 MB of log: the first segments are smaller than that. */
enum { LARGE_COMMITS = 30, LARGE_SIZE = 100000 };

static void commit_large_and_die(void *argument) {
    (void)argument;
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < LARGE_COMMITS; i++) {
        char key_text[KEY_BYTES];
        void *memory = new_pattern(LARGE_SIZE, i);
        zdb_val key = numbered(key_text, "key", i), value = bytes(memory, LARGE_SIZE);
        zdb_txn *txn = begin_write(env);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        commit(txn);
        free(memory);
    }
    die();
}

static void a_log_of_several_segments_is_replayed(void) {
    run_until_killed(commit_large_and_die, NULL);
    zdb_env *env = open_env("env");
    CHECK_NUMBER(info_of(env).recovered_records, LARGE_COMMITS);
    CHECK(info_of(env).recovered_bytes >= LARGE_COMMITS * LARGE_SIZE);
    zdb_txn *txn = begin_read(env);
    for (unsigned i = 0; i < LARGE_COMMITS; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i), value = nothing();
        REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
        CHECK(value.size == LARGE_SIZE && has_pattern(value.data, LARGE_SIZE, i));
    }
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), LARGE_COMMITS);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

/* ----------------------------------------------------------------- durability */

static void commit_with_less_and_less_durability(void *argument) {
    (void)argument;
    static const uint32_t flags[] = {ZDB_DURABILITY_NONE, ZDB_DURABILITY_FULL,
                                     ZDB_DURABILITY_RELAXED, ZDB_DURABILITY_NONE};
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < 4; i++) {
        char key_text[KEY_BYTES], value_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i), value = numbered_value(value_text, i);
        zdb_txn *txn = begin_at(HERE, env, flags[i]);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        commit(txn);
    }
    die();
}

/* The system is still up: records written to the log are there, flushed or not. */
static void only_commits_without_durability_may_be_lost(void) {
    run_until_killed(commit_with_less_and_less_durability, NULL);
    zdb_env *env = open_env("env");
    expect_entries(env, 3);
    close_env(env);
}

/* ------------------------------------------------------------------- read-only */

static int open_read_only(zdb_env **env) {
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_RDONLY;
    return zdb_env_open("env", &options, env);
}

static void opening_read_only_is_refused_where_recovery_is_needed(void) {
    leave_to_recover(5);
    size_t size_before, size_after;
    unsigned char *before = read_file("env/data.zdb", &size_before);
    for (unsigned i = 0; i < 3; i++) {
        zdb_env *env = NULL;
        CHECK_ERROR(open_read_only(&env), ZDB_RECOVERY_NEEDED);
        CHECK(env == NULL);
        CHECK_CONTAINS(zdb_last_error(), "env");
        CHECK_CONTAINS(zdb_last_error(), "writing");
    }
    unsigned char *after = read_file("env/data.zdb", &size_after);
    CHECK(size_before == size_after && memcmp(before, after, size_before) == 0);
    free(before);
    free(after);

    close_env(open_env("env"));
    zdb_env *env = NULL;
    REQUIRE_OK(open_read_only(&env));
    expect_entries(env, 5);
    close_env(env);
}

static void commit_and_wait(struct partner *partner) {
    zdb_env *env = open_env("env");
    commit_each(env, 5);
    partner_done(partner);
    partner_wait(partner);
    close_env(env);
}

static void reading_only_beside_a_writer_needs_no_recovery(void) {
    struct partner partner;
    start_partner(&partner, commit_and_wait, NULL);
    await_partner(&partner);
    zdb_env *env = NULL;
    REQUIRE_OK(open_read_only(&env));
    expect_entries(env, 5);
    tell_partner(&partner);
    finish_partner(&partner);
    /* The writer has closed; the reader is the last. */
    expect_entries(env, 5);
    close_env(env);
    REQUIRE_OK(open_read_only(&env));
    expect_entries(env, 5);
    close_env(env);
}

static void reading_only_goes_on_when_the_writer_is_killed(void) {
    struct partner partner;
    start_partner(&partner, commit_and_wait, NULL);
    await_partner(&partner);
    zdb_env *env = NULL;
    REQUIRE_OK(open_read_only(&env));
    kill_partner(&partner);
    expect_entries(env, 5);
    close_env(env);
    /* No process has made the state that the reader saw durable. */
    CHECK_ERROR(open_read_only(&env), ZDB_RECOVERY_NEEDED);
    env = open_env("env");
    expect_entries(env, 5);
    close_env(env);
}

static const struct test tests[] = {
    TEST(commits_of_a_killed_process_are_replayed_and_counted),
    TEST(values_put_from_pages_of_the_transaction_are_replayed),
    TEST(after_a_clean_close_there_is_nothing_to_replay),
    TEST(recovered_commits_need_not_be_recovered_again),
    TEST(each_of_many_deaths_leaves_its_commit),
    TEST(aborted_and_unfinished_transactions_are_not_there),
    TEST(only_commits_after_the_checkpoint_are_replayed),
    TEST(every_kind_of_change_is_replayed),
    TEST(a_log_of_several_segments_is_replayed),
    TEST(only_commits_without_durability_may_be_lost),
    TEST(opening_read_only_is_refused_where_recovery_is_needed),
    TEST(reading_only_beside_a_writer_needs_no_recovery),
    TEST(reading_only_goes_on_when_the_writer_is_killed),
};

DEFINE_SUITE(recovery, tests);
