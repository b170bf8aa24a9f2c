/* Writing through cursors, and cursors that stand while others write. */
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"
#include "support.h"

static zdb_env *open_with_numbered(unsigned count) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, count);
    commit(txn);
    return env;
}

static void set_cursor(zdb_cursor *cursor, unsigned number) {
    char key_text[KEY_BYTES];
    zdb_val key = numbered(key_text, "key", number);
    REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_SET));
}

static void expect_number(zdb_cursor *cursor, zdb_cursor_op op, unsigned number) {
    char key_text[KEY_BYTES];
    numbered(key_text, "key", number);
    expect_entry(cursor, op, key_text);
}

static void delete_number(zdb_txn *txn, unsigned number) {
    char key_text[KEY_BYTES];
    zdb_val key = numbered(key_text, "key", number);
    REQUIRE_OK(zdb_del(txn, ZDB_MAIN_DB, &key, NULL));
}

/* --------------------------------------------------------------------- puts */

static void a_put_leaves_the_cursor_on_its_entry(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    static const char *const keys[] = {"m", "c", "x", "d", "a"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        zdb_val key = text(keys[i]), value = text("v");
        REQUIRE_OK(zdb_cursor_put(cursor, &key, &value, 0));
        expect_entry(cursor, ZDB_GET_CURRENT, keys[i]);
    }
    expect_entry(cursor, ZDB_NEXT, "c");
    zdb_val key = text("m"), value = text("replaced");
    REQUIRE_OK(zdb_cursor_put(cursor, &key, &value, 0));
    expect_entry(cursor, ZDB_PREV, "d");
    expect_text(txn, ZDB_MAIN_DB, "m", "replaced");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 5);
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void a_put_through_a_cursor_obeys_its_flags(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = text("k"), value = text("first");
    CHECK_CODE(zdb_cursor_put(cursor, &key, &value, ZDB_NOOVERWRITE), ZDB_OK);
    value = text("second");
    CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_NOOVERWRITE), ZDB_KEYEXIST);
    CHECK_VALUE(value, "first");
    key = text("l");
    value = text("v");
    CHECK_CODE(zdb_cursor_put(cursor, &key, &value, ZDB_APPEND), ZDB_OK);
    expect_entry(cursor, ZDB_GET_CURRENT, "l");
    key = text("k");
    CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_APPEND), ZDB_NOT_SORTED);
    expect_text(txn, ZDB_MAIN_DB, "k", "first");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

/* For any change since the cursor was last used. */
static void a_refused_append_leaves_the_cursor_where_it_was(void) {
    static const uint32_t key_orders[] = {0, ZDB_REVERSEKEY, ZDB_DUPSORT,
                                             ZDB_DUPSORT | ZDB_REVERSEKEY};
    zdb_env *env = open_env("env");
    for (size_t i = 0; i < sizeof(key_orders) / sizeof(key_orders[0]); i++) {
        zdb_txn *txn = begin_write(env);
        zdb_db db = open_db_at(HERE, txn, "n", ZDB_CREATE | key_orders[i]);
        put_text(txn, db, "d", "v");
        zdb_cursor *cursor = open_cursor(txn, db);
        zdb_val key = text("a"), value = text("v");
        CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_APPEND), ZDB_NOT_SORTED);
        CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
        expect_entry(cursor, ZDB_NEXT, "d");
        put_text(txn, db, "c", "v");
        put_text(txn, db, "e", "v");
        CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_APPEND), ZDB_NOT_SORTED);
        expect_entry(cursor, ZDB_GET_CURRENT, "d");
        expect_entry(cursor, ZDB_PREV, "c");
        expect_entry(cursor, ZDB_NEXT, "d");
        delete_text(txn, db, "d");
        CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_APPEND), ZDB_NOT_SORTED);
        CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
        expect_entry(cursor, ZDB_NEXT, "e");
        close_cursor(cursor);
        abort_txn(txn);
    }
    close_env(env);
}

static void current_replaces_the_value_under_the_cursor(void) {
    zdb_env *env = open_with_numbered(500);
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    /* Small, empty and large values alternate, so that pages split under the cursor. */
    static const size_t sizes[] = {5, 0, 700, 9000};
    void *memory = new_pattern(9000, 4);
    for (unsigned i = 0; i < 500; i++) {
        expect_number(cursor, ZDB_NEXT, i);
        zdb_val value = bytes(memory, sizes[i % 4]);
        zdb_val ignored = text("this key is ignored");
        REQUIRE_OK(zdb_cursor_put(cursor, i % 2 == 0 ? NULL : &ignored, &value, ZDB_CURRENT));
        zdb_val found = nothing();
        REQUIRE_OK(zdb_cursor_get(cursor, NULL, &found, ZDB_GET_CURRENT));
        CHECK_BYTES(found, memory, sizes[i % 4]);
    }
    expect_entry(cursor, ZDB_NEXT, NULL);
    close_cursor(cursor);
    commit(txn);

    txn = begin_read(env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 500);
    for (unsigned i = 0; i < 500; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i), found = nothing();
        REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &found));
        CHECK_BYTES(found, memory, sizes[i % 4]);
    }
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
    free(memory);
}

static void current_needs_an_entry_under_the_cursor(void) {
    zdb_env *env = open_with_numbered(3);
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val value = text("v");
    CHECK_ERROR(zdb_cursor_put(cursor, NULL, &value, ZDB_CURRENT), ZDB_BAD_CURSOR);
    set_cursor(cursor, 1);
    delete_number(txn, 1);
    CHECK_ERROR(zdb_cursor_put(cursor, NULL, &value, ZDB_CURRENT), ZDB_BAD_CURSOR);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 2);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void current_is_refused_with_flags_about_the_key(void) {
    zdb_env *env = open_with_numbered(3);
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    set_cursor(cursor, 1);
    zdb_val key = text("k"), value = text("v");
    CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_CURRENT | ZDB_NOOVERWRITE),
                ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_CURRENT | ZDB_APPEND), ZDB_INCOMPATIBLE);
    expect_numbered(txn, ZDB_MAIN_DB, 3);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

/* ------------------------------------------------------------------ deletes */

static void deleting_everything_while_walking_forward(void) {
    unsigned count = repetitions(4000);
    zdb_env *env = open_with_numbered(count);
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (unsigned i = 0; i < count; i++) {
        expect_number(cursor, ZDB_NEXT, i);
        REQUIRE_OK(zdb_cursor_del(cursor, 0));
    }
    expect_entry(cursor, ZDB_NEXT, NULL);
    expect_entry(cursor, ZDB_FIRST, NULL);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 0);
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void deleting_everything_while_walking_backward(void) {
    unsigned count = repetitions(4000);
    zdb_env *env = open_with_numbered(count);
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (unsigned i = count; i-- > 0;) {
        expect_number(cursor, ZDB_PREV, i);
        REQUIRE_OK(zdb_cursor_del(cursor, 0));
    }
    expect_entry(cursor, ZDB_PREV, NULL);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 0);
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void deleting_two_of_three_while_walking(void) {
    unsigned count = repetitions(6000) / 3 * 3;
    zdb_env *env = open_with_numbered(count);
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (unsigned i = 0; i < count; i++) {
        expect_number(cursor, ZDB_NEXT, i);
        if (i % 3 != 0) REQUIRE_OK(zdb_cursor_del(cursor, 0));
    }
    expect_entry(cursor, ZDB_NEXT, NULL);
    for (unsigned i = 0; i < count; i += 3) {
        expect_number(cursor, i == 0 ? ZDB_FIRST : ZDB_NEXT, i);
    }
    expect_entry(cursor, ZDB_NEXT, NULL);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), count / 3);
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void deleting_needs_an_entry_under_the_cursor(void) {
    zdb_env *env = open_with_numbered(3);
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    CHECK_ERROR(zdb_cursor_del(cursor, 0), ZDB_BAD_CURSOR);
    set_cursor(cursor, 1);
    CHECK_ERROR(zdb_cursor_del(cursor, 0x1), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_del(cursor, ZDB_NODUPDATA), ZDB_INCOMPATIBLE);
    CHECK_CODE(zdb_cursor_del(cursor, 0), ZDB_OK);
    CHECK_ERROR(zdb_cursor_del(cursor, 0), ZDB_BAD_CURSOR);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 2);
    expect_number(cursor, ZDB_NEXT, 2);
    CHECK_CODE(zdb_cursor_del(cursor, 0), ZDB_OK);
    expect_entry(cursor, ZDB_NEXT, NULL);
    CHECK_ERROR(zdb_cursor_del(cursor, 0), ZDB_BAD_CURSOR);
    expect_number(cursor, ZDB_PREV, 0);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void cursors_of_readers_do_not_write(void) {
    zdb_env *env = open_with_numbered(3);
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    set_cursor(cursor, 1);
    zdb_val key = text("k"), value = text("v");
    CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, 0), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, ZDB_CURRENT), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_cursor_del(cursor, 0), ZDB_READ_ONLY);
    expect_number(cursor, ZDB_GET_CURRENT, 1);
    expect_numbered(txn, ZDB_MAIN_DB, 3);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

/* --------------------------------------------------------- writes by others */

static void a_cursor_sees_entries_put_beside_it(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "b", "1");
    put_text(txn, ZDB_MAIN_DB, "m", "2");
    put_text(txn, ZDB_MAIN_DB, "y", "3");
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = text("m"), value = nothing();
    REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_SET));

    put_text(txn, ZDB_MAIN_DB, "l", "4");
    put_text(txn, ZDB_MAIN_DB, "n", "5");
    put_text(txn, ZDB_MAIN_DB, "m", "replaced");
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_GET_CURRENT));
    CHECK_VALUE(key, "m");
    CHECK_VALUE(value, "replaced");
    expect_entry(cursor, ZDB_NEXT, "n");
    expect_entry(cursor, ZDB_PREV, "m");
    expect_entry(cursor, ZDB_PREV, "l");
    delete_text(txn, ZDB_MAIN_DB, "b");
    expect_entry(cursor, ZDB_PREV, NULL);
    delete_text(txn, ZDB_MAIN_DB, "m");
    expect_entry(cursor, ZDB_NEXT, "n");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void a_cursor_stays_on_its_key_while_pages_split_and_merge(void) {
    enum { STEP = 10 };
    unsigned count = repetitions(3000);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    char key_text[KEY_BYTES];
    zdb_val value = text("a value long enough to make the pages split now and then");
    for (unsigned i = 0; i < count; i += STEP) {
        zdb_val key = numbered(key_text, "key", i);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    }
    unsigned middle = count / 2 / STEP * STEP;
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    set_cursor(cursor, middle);
    for (unsigned i = 0; i < count; i++) {
        if (i % STEP == 0) continue;
        zdb_val key = numbered(key_text, "key", i);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        if (i % 50 == 1) expect_number(cursor, ZDB_GET_CURRENT, middle);
    }
    expect_number(cursor, ZDB_NEXT, middle + 1);
    expect_number(cursor, ZDB_PREV, middle);
    for (unsigned i = 0; i < count; i++) {
        if (i != middle) delete_number(txn, i);
        if (i % 50 == 1) expect_number(cursor, ZDB_GET_CURRENT, middle);
    }
    expect_number(cursor, ZDB_GET_CURRENT, middle);
    expect_entry(cursor, ZDB_NEXT, NULL);
    expect_entry(cursor, ZDB_PREV, NULL);
    expect_number(cursor, ZDB_GET_CURRENT, middle);
    close_cursor(cursor);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static void a_gap_where_a_cursor_stood_finds_its_neighbours(void) {
    unsigned count = repetitions(3000);
    zdb_env *env = open_with_numbered(count);
    zdb_txn *txn = begin_write(env);
    zdb_cursor *forward = open_cursor(txn, ZDB_MAIN_DB);
    zdb_cursor *backward = open_cursor(txn, ZDB_MAIN_DB);
    unsigned low = count / 3, high = count * 2 / 3;
    set_cursor(forward, low);
    set_cursor(backward, high);
    for (unsigned i = low; i <= high; i++) delete_number(txn, i);
    CHECK_ERROR(zdb_cursor_get(forward, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    expect_number(forward, ZDB_NEXT, high + 1);
    expect_number(backward, ZDB_PREV, low - 1);
    expect_number(forward, ZDB_PREV, low - 1);
    expect_number(backward, ZDB_NEXT, high + 1);
    close_cursor(forward);
    close_cursor(backward);
    abort_txn(txn);
    close_env(env);
}

static void an_entry_deleted_through_one_cursor_is_gone_for_the_others(void) {
    zdb_env *env = open_with_numbered(10);
    zdb_txn *txn = begin_write(env);
    zdb_cursor *one = open_cursor(txn, ZDB_MAIN_DB), *other = open_cursor(txn, ZDB_MAIN_DB);
    set_cursor(one, 4);
    set_cursor(other, 4);
    REQUIRE_OK(zdb_cursor_del(one, 0));
    CHECK_ERROR(zdb_cursor_get(other, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    CHECK_ERROR(zdb_cursor_del(other, 0), ZDB_BAD_CURSOR);
    expect_number(other, ZDB_NEXT, 5);
    expect_number(one, ZDB_PREV, 3);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 9);

    zdb_val value = text("from one");
    REQUIRE_OK(zdb_cursor_put(one, NULL, &value, ZDB_CURRENT));
    expect_number(other, ZDB_PREV, 3);
    REQUIRE_OK(zdb_cursor_get(other, NULL, &value, ZDB_GET_CURRENT));
    CHECK_VALUE(value, "from one");
    close_cursor(one);
    close_cursor(other);
    abort_txn(txn);
    close_env(env);
}

static void changes_to_other_databases_do_not_move_a_cursor(void) {
    zdb_env *env = open_with_numbered(100);
    zdb_txn *txn = begin_write(env);
    zdb_db other_db = create_db(txn, "other");
    put_numbered(txn, other_db, 100);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_cursor *other = open_cursor(txn, other_db);
    set_cursor(cursor, 50);
    set_cursor(other, 50);
    for (unsigned i = 0; i < 100; i++) {
        if (i != 20) delete_number(txn, i);
    }
    expect_number(other, ZDB_GET_CURRENT, 50);
    expect_number(other, ZDB_NEXT, 51);
    REQUIRE_OK(zdb_cursor_del(other, 0));
    expect_entry(cursor, ZDB_NEXT, NULL);
    expect_number(cursor, ZDB_PREV, 20);
    CHECK_NUMBER(entries(txn, other_db), 99);
    close_cursor(cursor);
    close_cursor(other);
    commit(txn);
    expect_sound(env);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_put_leaves_the_cursor_on_its_entry),
    TEST(a_put_through_a_cursor_obeys_its_flags),
    TEST(a_refused_append_leaves_the_cursor_where_it_was),
    TEST(current_replaces_the_value_under_the_cursor),
    TEST(current_needs_an_entry_under_the_cursor),
    TEST(current_is_refused_with_flags_about_the_key),
    TEST(deleting_everything_while_walking_forward),
    TEST(deleting_everything_while_walking_backward),
    TEST(deleting_two_of_three_while_walking),
    TEST(deleting_needs_an_entry_under_the_cursor),
    TEST(cursors_of_readers_do_not_write),
    TEST(a_cursor_sees_entries_put_beside_it),
    TEST(a_cursor_stays_on_its_key_while_pages_split_and_merge),
    TEST(a_gap_where_a_cursor_stood_finds_its_neighbours),
    TEST(an_entry_deleted_through_one_cursor_is_gone_for_the_others),
    TEST(changes_to_other_databases_do_not_move_a_cursor),
};

DEFINE_SUITE(cursor_puts, tests);
