/* Named databases: creation, handles, isolation, limits. */
#include <stdio.h>

#include "suites.h"
#include "support.h"

static void a_named_database_is_made_once_and_found_again(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = ZDB_MAIN_DB;
    CHECK_ERROR(zdb_db_open(txn, "users", 0, &db), ZDB_NOT_FOUND);
    db = create_db(txn, "users");
    CHECK(db != ZDB_MAIN_DB);
    put_text(txn, db, "k", "v");
    CHECK_NUMBER(create_db(txn, "users"), db);
    CHECK_NUMBER(open_db(txn, "users"), db);
    expect_text(txn, db, "k", "v");
    commit(txn);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    db = open_db(txn, "users");
    expect_text(txn, db, "k", "v");
    CHECK_NUMBER(entries(txn, db), 1);
    abort_txn(txn);
    close_env(env);
}

static void no_name_means_the_main_database(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    CHECK_NUMBER(open_db(txn, NULL), ZDB_MAIN_DB);
    abort_txn(txn);
    txn = begin_write(env);
    CHECK_NUMBER(create_db(txn, NULL), ZDB_MAIN_DB);
    abort_txn(txn);
    close_env(env);
}

static void making_a_database_needs_a_write_transaction(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    zdb_db db;
    CHECK_ERROR(zdb_db_open(txn, "new", ZDB_CREATE, &db), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_db_open(txn, "new", 0, &db), ZDB_NOT_FOUND);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 0);
    abort_txn(txn);
    close_env(env);
}

static void names_have_1_to_511_bytes(void) {
    static char name[513];
    memset(name, 'n', 512);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db;
    CHECK_ERROR(zdb_db_open(txn, "", ZDB_CREATE, &db), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_open(txn, name, ZDB_CREATE, &db), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_open(txn, name, 0, &db), ZDB_BAD_ARGUMENT);
    name[511] = '\0';
    zdb_db longest = create_db(txn, name);
    put_text(txn, longest, "k", "longest");
    name[1] = '\0';
    zdb_db shortest = create_db(txn, name);
    put_text(txn, shortest, "k", "shortest");
    zdb_db spaced = create_db(txn, "na\xc3\xafve name/with\n\xff all sorts");
    put_text(txn, spaced, "k", "spaced");
    commit(txn);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    expect_text(txn, open_db(txn, name), "k", "shortest");
    name[1] = 'n';
    expect_text(txn, open_db(txn, name), "k", "longest");
    name[510] = '\0';
    CHECK_ERROR(zdb_db_open(txn, name, 0, &db), ZDB_NOT_FOUND);
    expect_text(txn, open_db(txn, "na\xc3\xafve name/with\n\xff all sorts"), "k", "spaced");
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void wrong_arguments_of_db_open_are_refused(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db;
    CHECK_ERROR(zdb_db_open(txn, "n", 0x1, &db), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_open(txn, "n", ZDB_CREATE | 0x80000000u, &db), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_open(txn, "n", ZDB_CREATE, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_open(txn, "n", 0, &db), ZDB_NOT_FOUND);
    abort_txn(txn);
    close_env(env);
}

static void databases_do_not_see_one_another(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db one = create_db(txn, "one"), other = create_db(txn, "other");
    put_text(txn, ZDB_MAIN_DB, "k", "main");
    put_text(txn, one, "k", "of one");
    put_text(txn, other, "k", "of other");
    put_text(txn, other, "l", "only other");
    expect_absent(txn, one, "l");
    expect_absent(txn, ZDB_MAIN_DB, "l");
    delete_text(txn, one, "k");
    commit(txn);

    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "main");
    expect_absent(txn, one, "k");
    expect_text(txn, other, "k", "of other");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);
    CHECK_NUMBER(entries(txn, one), 0);
    CHECK_NUMBER(entries(txn, other), 2);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void a_key_of_the_main_database_may_be_named_as_a_database(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db users = create_db(txn, "users");
    put_text(txn, users, "k", "v");
    expect_absent(txn, ZDB_MAIN_DB, "users");
    put_text(txn, ZDB_MAIN_DB, "users", "a key like any other");
    commit(txn);
    txn = begin_write(env);
    expect_text(txn, ZDB_MAIN_DB, "users", "a key like any other");
    expect_text(txn, open_db(txn, "users"), "k", "v");
    delete_text(txn, ZDB_MAIN_DB, "users");
    expect_text(txn, users, "k", "v");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 0);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    expect_entry(cursor, ZDB_FIRST, NULL);
    close_cursor(cursor);
    commit(txn);
    close_env(env);
}

enum { MANY = 300 };

static void three_hundred_databases_live_side_by_side(void) {
    char name[KEY_BYTES], value[KEY_BYTES];
    zdb_db dbs[MANY];
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < MANY; i++) {
        numbered(name, "database ", i);
        dbs[i] = create_db(txn, name);
        for (unsigned j = 0; j < i; j++) CHECK(dbs[j] != dbs[i]);
    }
    for (unsigned i = 0; i < MANY; i++) {
        numbered_value(value, i);
        put_text(txn, dbs[i], "own", value);
        put_text(txn, dbs[i], value, "only here");
    }
    commit(txn);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.databases, MANY);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    for (unsigned i = MANY; i-- > 0;) {
        numbered(name, "database ", i);
        numbered_value(value, i);
        zdb_db db = open_db(txn, name);
        CHECK_NUMBER(entries(txn, db), 2);
        expect_text(txn, db, "own", value);
        expect_text(txn, db, value, "only here");
    }
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 0);
    abort_txn(txn);
    zdb_verify_report report;
    memset(&report, 0, sizeof(report));
    report.struct_size = sizeof(report);
    CHECK_CODE(zdb_env_verify(env, NULL, &report), ZDB_OK);
    CHECK_NUMBER(report.databases, MANY);
    CHECK_NUMBER(report.entries, 2 * MANY);
    close_env(env);
}

/* ------------------------------------------------------------------ handles */

static void a_handle_serves_all_transactions(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_db(txn, "n");
    put_text(txn, db, "k", "1");
    commit(txn);
    for (unsigned i = 0; i < 5; i++) {
        txn = begin_read(env);
        expect_text(txn, db, "k", "1");
        abort_txn(txn);
        txn = begin_write(env);
        put_text(txn, db, "k", "1");
        commit(txn);
    }
    close_env(env);
}

static void a_handle_opened_by_a_reader_outlives_it(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, create_db(txn, "n"), "k", "v");
    commit(txn);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    zdb_db db = open_db(txn, "n");
    abort_txn(txn);
    txn = begin_write(env);
    expect_text(txn, db, "k", "v");
    put_text(txn, db, "l", "w");
    CHECK_NUMBER(open_db(txn, "n"), db);
    commit(txn);
    close_env(env);
}

static void a_database_whose_creation_was_aborted_is_gone(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_db(txn, "n");
    put_text(txn, db, "k", "v");
    abort_txn(txn);

    zdb_val key = text("k"), value = nothing();
    txn = begin_read(env);
    CHECK_ERROR(zdb_get(txn, db, &key, &value), ZDB_BAD_DB);
    zdb_db again;
    CHECK_ERROR(zdb_db_open(txn, "n", 0, &again), ZDB_NOT_FOUND);
    abort_txn(txn);

    txn = begin_write(env);
    value = text("v");
    CHECK_ERROR(zdb_put(txn, db, &key, &value, 0), ZDB_BAD_DB);
    /* When the database is made again, by any transaction, it has its handle back. */
    CHECK_NUMBER(create_db(txn, "n"), db);
    expect_absent(txn, db, "k");
    put_text(txn, db, "k", "second life");
    commit(txn);
    txn = begin_read(env);
    expect_text(txn, db, "k", "second life");
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void an_older_snapshot_does_not_have_a_newer_database(void) {
    zdb_env *env = open_env("env");
    zdb_txn *reader = begin_read(env), *writer = begin_write(env);
    zdb_db db = create_db(writer, "n");
    put_text(writer, db, "k", "v");
    zdb_val key = text("k"), value = nothing();
    CHECK_ERROR(zdb_get(reader, db, &key, &value), ZDB_BAD_DB);
    commit(writer);
    CHECK_ERROR(zdb_get(reader, db, &key, &value), ZDB_BAD_DB);
    zdb_db found;
    CHECK_ERROR(zdb_db_open(reader, "n", 0, &found), ZDB_NOT_FOUND);
    REQUIRE_OK(zdb_txn_reset(reader));
    REQUIRE_OK(zdb_txn_renew(reader));
    expect_text(reader, db, "k", "v");
    abort_txn(reader);
    close_env(env);
}

/* Every function that takes a database returns ZDB_BAD_DB for one that was not opened. */
static void check_bad_db(zdb_txn *txn, zdb_db db) {
    zdb_val key = text("k"), value = text("v");
    CHECK_ERROR(zdb_get(txn, db, &key, &value), ZDB_BAD_DB);
    CHECK_ERROR(zdb_put(txn, db, &key, &value, 0), ZDB_BAD_DB);
    CHECK_ERROR(zdb_del(txn, db, &key, NULL), ZDB_BAD_DB);
    zdb_cursor *cursor = NULL;
    CHECK_ERROR(zdb_cursor_open(txn, db, &cursor), ZDB_BAD_DB);
    zdb_db_stat stat;
    memset(&stat, 0, sizeof(stat));
    stat.struct_size = sizeof(stat);
    CHECK_ERROR(zdb_stat(txn, db, &stat), ZDB_BAD_DB);
}

static void handles_that_were_not_opened_are_refused(void) {
    static const zdb_db numbers[] = {1, 7, 1000, 0x7fffffff, 0x80000000u, UINT32_MAX};
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        check_bad_db(txn, numbers[i]);
    }
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    close_env(env);
}

static void a_handle_is_good_in_its_own_environment_only(void) {
    zdb_env *one = open_env("one"), *other = open_env("other");
    zdb_txn *txn = begin_write(one);
    zdb_db db = UINT32_MAX;
    for (unsigned i = 0; i < 5; i++) {
        char name[KEY_BYTES];
        numbered(name, "database ", i);
        db = create_db(txn, name);
    }
    commit(txn);
    txn = begin_write(other);
    zdb_db first = create_db(txn, "first");
    CHECK(first != db);
    check_bad_db(txn, db);
    put_text(txn, first, "k", "v");
    commit(txn);
    close_env(one);
    close_env(other);
}

static void a_handle_ends_with_its_environment(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_db(txn, "n");
    commit(txn);
    close_env(env);
    env = open_env("env");
    txn = begin_write(env);
    check_bad_db(txn, db);
    abort_txn(txn);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_named_database_is_made_once_and_found_again),
    TEST(no_name_means_the_main_database),
    TEST(making_a_database_needs_a_write_transaction),
    TEST(names_have_1_to_511_bytes),
    TEST(wrong_arguments_of_db_open_are_refused),
    TEST(databases_do_not_see_one_another),
    TEST(a_key_of_the_main_database_may_be_named_as_a_database),
    TEST(three_hundred_databases_live_side_by_side),
    TEST(a_handle_serves_all_transactions),
    TEST(a_handle_opened_by_a_reader_outlives_it),
    TEST(a_database_whose_creation_was_aborted_is_gone),
    TEST(an_older_snapshot_does_not_have_a_newer_database),
    TEST(handles_that_were_not_opened_are_refused),
    TEST(a_handle_is_good_in_its_own_environment_only),
    TEST(a_handle_ends_with_its_environment),
};

DEFINE_SUITE(databases, tests);
