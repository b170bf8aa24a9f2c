/* Transactions: snapshots, abort, reset and renew, ids, the one writer. */
#include "suites.h"
#include "support.h"

static zdb_env *open_with_one_entry(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "first");
    commit(txn);
    return env;
}

/* Puts a value for "k" in a transaction of its own. */
static void commit_value(zdb_env *env, const char *value) {
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", value);
    commit(txn);
}

/* ---------------------------------------------------------------- snapshots */

static void a_reader_sees_the_newest_commit_and_nothing_after_it(void) {
    zdb_env *env = open_with_one_entry();
    zdb_txn *old_reader = begin_read(env), *writer = begin_write(env);
    put_text(writer, ZDB_MAIN_DB, "k", "second");
    put_text(writer, ZDB_MAIN_DB, "new", "1");
    zdb_txn *reader = begin_read(env);
    expect_text(old_reader, ZDB_MAIN_DB, "k", "first");
    expect_text(reader, ZDB_MAIN_DB, "k", "first");
    expect_absent(reader, ZDB_MAIN_DB, "new");
    expect_text(writer, ZDB_MAIN_DB, "k", "second");
    commit(writer);
    expect_text(old_reader, ZDB_MAIN_DB, "k", "first");
    expect_text(reader, ZDB_MAIN_DB, "k", "first");
    expect_absent(reader, ZDB_MAIN_DB, "new");
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 1);
    abort_txn(reader);
    reader = begin_read(env);
    expect_text(reader, ZDB_MAIN_DB, "k", "second");
    expect_text(reader, ZDB_MAIN_DB, "new", "1");
    expect_text(old_reader, ZDB_MAIN_DB, "k", "first");
    abort_txn(reader);
    abort_txn(old_reader);
    close_env(env);
}

static void readers_of_many_snapshots_each_keep_their_own(void) {
    enum { COUNT = 20 };
    zdb_env *env = open_with_one_entry();
    zdb_txn *readers[COUNT];
    char value[KEY_BYTES];
    for (unsigned i = 0; i < COUNT; i++) {
        numbered_value(value, i);
        commit_value(env, value);
        readers[i] = begin_read(env);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        numbered_value(value, i);
        expect_text(readers[i], ZDB_MAIN_DB, "k", value);
        if (i > 0) CHECK(zdb_txn_id(readers[i]) > zdb_txn_id(readers[i - 1]));
    }
    for (unsigned i = 0; i < COUNT; i++) abort_txn(readers[i]);
    expect_sound(env);
    close_env(env);
}

static void an_abort_forgets_every_change(void) {
    zdb_env *env = open_with_one_entry();
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "changed");
    put_text(txn, create_db(txn, "n"), "k", "v");
    put_numbered(txn, ZDB_MAIN_DB, 1000);
    abort_txn(txn);
    txn = begin_write(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "first");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);
    delete_text(txn, ZDB_MAIN_DB, "k");
    abort_txn(txn);
    txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "first");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);
    abort_txn(txn);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.databases, 0);
    expect_sound(env);
    close_env(env);
}

static void aborting_no_transaction_is_allowed(void) {
    CHECK_CODE(zdb_txn_abort(NULL), ZDB_OK);
    CHECK_CODE(zdb_cursor_close(NULL), ZDB_OK);
}

static void committing_a_reader_ends_it(void) {
    zdb_env *env = open_with_one_entry();
    zdb_txn *txn = begin_read(env);
    commit(txn);
    CHECK_EITHER(zdb_txn_abort(txn), ZDB_BAD_TXN, ZDB_BAD_HANDLE);
    close_env(env);
}

static void a_transaction_without_changes_commits(void) {
    zdb_env *env = open_with_one_entry();
    commit(begin_write(env));
    commit(begin_write(env));
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "first");
    abort_txn(txn);
    close_env(env);
}

/* ---------------------------------------------------------- reset and renew */

static void a_renewed_reader_sees_the_newest_commit(void) {
    zdb_env *env = open_with_one_entry();
    zdb_txn *reader = begin_read(env);
    uint64_t first_id = zdb_txn_id(reader);
    for (unsigned i = 0; i < 10; i++) {
        char value[KEY_BYTES];
        numbered_value(value, i);
        REQUIRE_OK(zdb_txn_reset(reader));
        commit_value(env, value);
        REQUIRE_OK(zdb_txn_renew(reader));
        expect_text(reader, ZDB_MAIN_DB, "k", value);
    }
    CHECK(zdb_txn_id(reader) > first_id);
    abort_txn(reader);
    close_env(env);
}

static void a_reader_that_was_reset_reads_nothing(void) {
    zdb_env *env = open_with_one_entry();
    zdb_txn *reader = begin_read(env);
    REQUIRE_OK(zdb_txn_reset(reader));
    zdb_val key = text("k"), value = nothing();
    zdb_db db;
    zdb_cursor *cursor = NULL;
    CHECK_ERROR(zdb_get(reader, ZDB_MAIN_DB, &key, &value), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_db_open(reader, "n", 0, &db), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_cursor_open(reader, ZDB_MAIN_DB, &cursor), ZDB_BAD_TXN);
    abort_txn(reader);
    /* It has ended for good, like any other. */
    CHECK_EITHER(zdb_txn_renew(reader), ZDB_BAD_TXN, ZDB_BAD_HANDLE);
    close_env(env);
}

static void only_a_reader_that_was_reset_is_renewed(void) {
    zdb_env *env = open_with_one_entry();
    zdb_txn *reader = begin_read(env);
    commit_value(env, "second");
    CHECK(zdb_txn_renew(reader) != ZDB_OK);
    expect_text(reader, ZDB_MAIN_DB, "k", "first");
    abort_txn(reader);
    close_env(env);
}

static void a_writer_is_not_reset_or_renewed(void) {
    zdb_env *env = open_with_one_entry();
    zdb_txn *writer = begin_write(env);
    put_text(writer, ZDB_MAIN_DB, "k", "second");
    CHECK_ERROR(zdb_txn_reset(writer), ZDB_INCOMPATIBLE);
    CHECK_EITHER(zdb_txn_renew(writer), ZDB_INCOMPATIBLE, ZDB_BAD_TXN);
    expect_text(writer, ZDB_MAIN_DB, "k", "second");
    commit(writer);
    zdb_txn *reader = begin_read(env);
    expect_text(reader, ZDB_MAIN_DB, "k", "second");
    abort_txn(reader);
    close_env(env);
}

/* ---------------------------------------------------------------------- ids */

static void ids_follow_the_order_of_commits(void) {
    zdb_env *env = open_with_one_entry();
    zdb_info info;
    for (unsigned i = 0; i < 5; i++) {
        get_info(env, &info);
        uint64_t newest = info.last_txn_id;
        zdb_txn *reader = begin_read(env), *writer = begin_write(env);
        CHECK_NUMBER(zdb_txn_id(reader), newest);
        uint64_t id = zdb_txn_id(writer);
        CHECK(id > newest);
        put_text(writer, ZDB_MAIN_DB, "k", i % 2 == 0 ? "even" : "odd");
        commit(writer);
        get_info(env, &info);
        CHECK_NUMBER(info.last_txn_id, id);
        CHECK_NUMBER(zdb_txn_id(reader), newest);
        abort_txn(reader);
    }
    uint64_t last = info.last_txn_id;
    close_env(env);
    env = open_env("env");
    get_info(env, &info);
    CHECK(info.last_txn_id >= last);
    close_env(env);
}

static void a_pointer_that_is_no_transaction_has_no_id(void) {
    zdb_env *env = open_with_one_entry();
    CHECK_NUMBER(zdb_txn_id(NULL), 0);
    zdb_txn *txn = begin_read(env);
    CHECK(zdb_txn_id(txn) != 0);
    abort_txn(txn);
    CHECK_NUMBER(zdb_txn_id(txn), 0);
    close_env(env);
}

/* --------------------------------------------------------- the write access */

static void a_reader_writes_nothing(void) {
    zdb_env *env = open_with_one_entry();
    zdb_txn *txn = begin_read(env);
    zdb_val key = text("k"), value = text("v");
    zdb_db db;
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_NOOVERWRITE), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_del(txn, ZDB_MAIN_DB, &key, NULL), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_db_open(txn, "n", ZDB_CREATE, &db), ZDB_READ_ONLY);
    expect_text(txn, ZDB_MAIN_DB, "k", "first");
    abort_txn(txn);
    close_env(env);
}

static void a_thread_has_one_write_transaction_at_a_time(void) {
    zdb_env *env = open_with_one_entry();
    zdb_txn *writer = begin_write(env);
    zdb_txn *second = writer;
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0, &second), ZDB_BUSY);
    CHECK(second == NULL);
    put_text(writer, ZDB_MAIN_DB, "k", "second");
    commit(writer);
    writer = begin_write(env);
    expect_text(writer, ZDB_MAIN_DB, "k", "second");
    abort_txn(writer);
    commit(begin_write(env));
    close_env(env);
}

static void a_thread_may_write_in_several_environments(void) {
    zdb_env *one = open_env("one"), *other = open_env("other");
    zdb_txn *in_one = begin_write(one), *in_other = begin_write(other);
    put_text(in_one, ZDB_MAIN_DB, "k", "one");
    put_text(in_other, ZDB_MAIN_DB, "k", "other");
    commit(in_one);
    put_text(in_other, ZDB_MAIN_DB, "l", "other");
    commit(in_other);
    in_one = begin_read(one);
    in_other = begin_read(other);
    expect_text(in_one, ZDB_MAIN_DB, "k", "one");
    expect_text(in_other, ZDB_MAIN_DB, "k", "other");
    abort_txn(in_one);
    abort_txn(in_other);
    close_env(one);
    close_env(other);
}

static void wrong_arguments_of_begin_are_refused(void) {
    static const uint32_t flags[] = {0x2, 0x8, ZDB_RDONLY | 0x10, ZDB_CREATE, 0x80000000u};
    zdb_env *env = open_with_one_entry();
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        char poison;
        zdb_txn *txn = (zdb_txn *)(void *)&poison;
        CHECK_ERROR(zdb_txn_begin(env, NULL, flags[i], &txn), ZDB_BAD_ARGUMENT);
        CHECK(txn == NULL);
    }
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_RDONLY, NULL), ZDB_BAD_ARGUMENT);
    /* None of those left a transaction open. */
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_reader_sees_the_newest_commit_and_nothing_after_it),
    TEST(readers_of_many_snapshots_each_keep_their_own),
    TEST(an_abort_forgets_every_change),
    TEST(aborting_no_transaction_is_allowed),
    TEST(committing_a_reader_ends_it),
    TEST(a_transaction_without_changes_commits),
    TEST(a_renewed_reader_sees_the_newest_commit),
    TEST(a_reader_that_was_reset_reads_nothing),
    TEST(only_a_reader_that_was_reset_is_renewed),
    TEST(a_writer_is_not_reset_or_renewed),
    TEST(ids_follow_the_order_of_commits),
    TEST(a_pointer_that_is_no_transaction_has_no_id),
    TEST(a_reader_writes_nothing),
    TEST(a_thread_has_one_write_transaction_at_a_time),
    TEST(a_thread_may_write_in_several_environments),
    TEST(wrong_arguments_of_begin_are_refused),
};

DEFINE_SUITE(transactions, tests);
