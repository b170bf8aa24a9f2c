/* Cursors that serve several transactions. */
#include "suites.h"
#include "support.h"

static void a_cursor_can_be_given_to_another_transaction(void) {
    zdb_env *env = open_env("env"), *other = open_env("other");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_db(txn, "n");
    put_text(txn, db, "k", "1");
    commit(txn);
    txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, db);
    CHECK(zdb_cursor_txn(cursor) == txn);
    CHECK_NUMBER(zdb_cursor_db(cursor), db);
    expect_entry(cursor, ZDB_NEXT, "k");
    abort_txn(txn);
    CHECK(zdb_cursor_txn(cursor) == NULL);
    CHECK_NUMBER(zdb_cursor_db(cursor), db);
    CHECK_ERROR(zdb_cursor_renew(txn, cursor), ZDB_BAD_HANDLE);

    txn = begin_write(env);
    put_text(txn, db, "a", "2");
    REQUIRE_OK(zdb_cursor_renew(txn, cursor));
    CHECK(zdb_cursor_txn(cursor) == txn);
    expect_entry(cursor, ZDB_NEXT, "a");
    zdb_txn *elsewhere = begin_read(other);
    CHECK_ERROR(zdb_cursor_renew(elsewhere, cursor), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_renew(txn, NULL), ZDB_BAD_HANDLE);
    CHECK_ERROR(zdb_cursor_renew(NULL, cursor), ZDB_BAD_HANDLE);
    expect_entry(cursor, ZDB_NEXT, "k");
    REQUIRE_OK(zdb_db_drop(txn, db));
    CHECK_ERROR(zdb_cursor_renew(txn, cursor), ZDB_BAD_DB);
    abort_txn(txn);
    abort_txn(elsewhere);

    txn = begin_read(env);
    REQUIRE_OK(zdb_txn_reset(txn));
    CHECK_ERROR(zdb_cursor_renew(txn, cursor), ZDB_BAD_TXN);
    REQUIRE_OK(zdb_txn_renew(txn));
    REQUIRE_OK(zdb_cursor_renew(txn, cursor));
    expect_entry(cursor, ZDB_LAST, "k");
    abort_txn(txn);
    close_cursor(cursor);
    CHECK(zdb_cursor_txn(cursor) == NULL);
    CHECK_NUMBER(zdb_cursor_db(cursor), UINT32_MAX);
    CHECK_ERROR(zdb_cursor_renew(NULL, NULL), ZDB_BAD_HANDLE);
    close_env(other);
    close_env(env);
}

static void closing_an_environment_closes_its_cursors_only(void) {
    zdb_env *env = open_env("env"), *other = open_env("other");
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    abort_txn(txn);
    /* The memory of the transaction now belongs to a transaction of the other environment. */
    zdb_txn *elsewhere = begin_read(other);
    zdb_cursor *cursor_elsewhere = open_cursor(elsewhere, ZDB_MAIN_DB);
    abort_txn(elsewhere);
    close_env(env);
    CHECK_ERROR(zdb_cursor_close(cursor), ZDB_BAD_HANDLE);
    elsewhere = begin_read(other);
    REQUIRE_OK(zdb_cursor_renew(elsewhere, cursor_elsewhere));
    expect_entry(cursor_elsewhere, ZDB_FIRST, NULL);
    abort_txn(elsewhere);
    close_env(other);
}

/* Its memory was that of a cursor deep in a database of another nature. */
static void a_cursor_knows_nothing_of_the_one_before(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db deep = create_db(txn, "deep");
    zdb_db pairs = open_db_at(HERE, txn, "pairs", ZDB_CREATE | ZDB_DUPSORT);
    put_numbered(txn, deep, 3000);
    put_text(txn, pairs, "k", "b");
    put_text(txn, pairs, "l", "c");
    zdb_cursor *cursor = open_cursor(txn, deep);
    REQUIRE_OK(zdb_cursor_get(cursor, NULL, NULL, ZDB_FIRST));
    REQUIRE_OK(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT));
    close_cursor(cursor);
    cursor = open_cursor(txn, pairs);
    zdb_val key = text("k"), value = text("a");
    REQUIRE_OK(zdb_cursor_put(cursor, &key, &value, 0));
    expect_entry(cursor, ZDB_NEXT, "k");
    expect_entry(cursor, ZDB_NEXT, "l");
    REQUIRE_OK(zdb_cursor_put(cursor, &key, &value, 0));
    expect_entry(cursor, ZDB_PREV, NULL);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_cursor_can_be_given_to_another_transaction),
    TEST(closing_an_environment_closes_its_cursors_only),
    TEST(a_cursor_knows_nothing_of_the_one_before),
};

DEFINE_SUITE(cursor_renewal, tests);
