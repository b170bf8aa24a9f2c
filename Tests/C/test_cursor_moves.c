/* Moving cursors: every operation from every place a cursor can be in. */
#include <stdlib.h>

#include "suites.h"
#include "support.h"

/* The entries "b", "d", "f", each with itself doubled as its value. */
static zdb_env *open_with_three_entries(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "b", "bb");
    put_text(txn, ZDB_MAIN_DB, "d", "dd");
    put_text(txn, ZDB_MAIN_DB, "f", "ff");
    commit(txn);
    return env;
}

/* Brings a fresh cursor of a write transaction into a state. */
typedef void (*preparation)(zdb_txn *txn, zdb_cursor *cursor);

static void leave_nowhere(zdb_txn *txn, zdb_cursor *cursor) {
    (void)txn, (void)cursor;
}

static void to_the_first(zdb_txn *txn, zdb_cursor *cursor) {
    (void)txn;
    expect_entry(cursor, ZDB_FIRST, "b");
}

static void to_the_middle(zdb_txn *txn, zdb_cursor *cursor) {
    (void)txn;
    zdb_val key = text("d");
    REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_SET));
}

static void to_the_last(zdb_txn *txn, zdb_cursor *cursor) {
    (void)txn;
    expect_entry(cursor, ZDB_LAST, "f");
}

static void past_the_last(zdb_txn *txn, zdb_cursor *cursor) {
    (void)txn;
    expect_entry(cursor, ZDB_LAST, "f");
    expect_entry(cursor, ZDB_NEXT, NULL);
    expect_entry(cursor, ZDB_NEXT, NULL);
}

static void before_the_first(zdb_txn *txn, zdb_cursor *cursor) {
    (void)txn;
    expect_entry(cursor, ZDB_FIRST, "b");
    expect_entry(cursor, ZDB_PREV, NULL);
    expect_entry(cursor, ZDB_PREV, NULL);
}

static void delete_the_middle_with_the_cursor(zdb_txn *txn, zdb_cursor *cursor) {
    to_the_middle(txn, cursor);
    REQUIRE_OK(zdb_cursor_del(cursor, 0));
}

static void delete_the_middle_under_the_cursor(zdb_txn *txn, zdb_cursor *cursor) {
    to_the_middle(txn, cursor);
    delete_text(txn, ZDB_MAIN_DB, "d");
}

static void delete_the_first_with_the_cursor(zdb_txn *txn, zdb_cursor *cursor) {
    to_the_first(txn, cursor);
    REQUIRE_OK(zdb_cursor_del(cursor, 0));
}

static void delete_the_last_under_the_cursor(zdb_txn *txn, zdb_cursor *cursor) {
    to_the_last(txn, cursor);
    delete_text(txn, ZDB_MAIN_DB, "f");
}

static void delete_everything_under_the_cursor(zdb_txn *txn, zdb_cursor *cursor) {
    to_the_middle(txn, cursor);
    delete_text(txn, ZDB_MAIN_DB, "b");
    delete_text(txn, ZDB_MAIN_DB, "d");
    delete_text(txn, ZDB_MAIN_DB, "f");
}

/* For each state, the key that each operation ends on; NULL: ZDB_NOT_FOUND. */
struct state {
    const char *name;
    preparation bring;
    const char *current; /* NULL: ZDB_BAD_CURSOR */
    const char *next, *prev;
    const char *first, *last;
    const char *set;        /* to "d" */
    const char *range;      /* to "c" or after */
    const char *range_late; /* to "e" or after */
};

static const struct state states[] = {
    {"nowhere", leave_nowhere, NULL, "b", "f", "b", "f", "d", "d", "f"},
    {"on the first", to_the_first, "b", "d", NULL, "b", "f", "d", "d", "f"},
    {"in the middle", to_the_middle, "d", "f", "b", "b", "f", "d", "d", "f"},
    {"on the last", to_the_last, "f", NULL, "d", "b", "f", "d", "d", "f"},
    {"past the last", past_the_last, "f", NULL, "d", "b", "f", "d", "d", "f"},
    {"before the first", before_the_first, "b", "d", NULL, "b", "f", "d", "d", "f"},
    {"deleted in the middle", delete_the_middle_with_the_cursor, NULL, "f", "b", "b", "f", NULL,
     "f", "f"},
    {"deleted in the middle by others", delete_the_middle_under_the_cursor, NULL, "f", "b", "b",
     "f", NULL, "f", "f"},
    {"deleted the first", delete_the_first_with_the_cursor, NULL, "d", NULL, "d", "f", "d", "d",
     "f"},
    {"deleted the last by others", delete_the_last_under_the_cursor, NULL, NULL, "d", "b", "d", "d",
     "d", NULL},
    {"everything deleted", delete_everything_under_the_cursor, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL},
};

static void check_move(const struct state *state, zdb_env *env, zdb_cursor_op op,
                       const char *sought, const char *expected) {
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    state->bring(txn, cursor);

    zdb_val key = sought == NULL ? nothing() : text(sought), value = nothing();
    int code = zdb_cursor_get(cursor, &key, &value, op);
    int expected_code = expected != NULL        ? ZDB_OK
                        : op == ZDB_GET_CURRENT ? ZDB_BAD_CURSOR
                                                : ZDB_NOT_FOUND;
    if (code != expected_code) {
        check_failed(HERE, "%s: operation %d gave %s, expected %s", state->name, (int)op,
                     code_name(code), code_name(expected_code));
    } else if (code == ZDB_OK) {
        char doubled[3] = {expected[0], expected[0], '\0'};
        if (key.size != 1 || memcmp(key.data, expected, 1) != 0) {
            check_failed(HERE, "%s: operation %d is not on %s", state->name, (int)op, expected);
        }
        CHECK_VALUE(value, doubled);
        expect_entry(cursor, ZDB_GET_CURRENT, expected);
    }
    close_cursor(cursor);
    abort_txn(txn);
}

static void every_operation_works_from_every_state(void) {
    zdb_env *env = open_with_three_entries();
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        const struct state *state = &states[i];
        check_move(state, env, ZDB_GET_CURRENT, NULL, state->current);
        check_move(state, env, ZDB_NEXT, NULL, state->next);
        check_move(state, env, ZDB_PREV, NULL, state->prev);
        check_move(state, env, ZDB_FIRST, NULL, state->first);
        check_move(state, env, ZDB_LAST, NULL, state->last);
        check_move(state, env, ZDB_SET, "d", state->set);
        check_move(state, env, ZDB_SET_KEY, "d", state->set);
        check_move(state, env, ZDB_SET_KEY, "c", NULL);
        check_move(state, env, ZDB_SET_RANGE, "c", state->range);
        check_move(state, env, ZDB_SET_RANGE, "e", state->range_late);
        check_move(state, env, ZDB_SET_RANGE, "g", NULL);
        check_move(state, env, ZDB_SET_RANGE, "a", state->first);
    }
    close_env(env);
}

static void a_failing_move_at_an_end_stays_there(void) {
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (unsigned i = 0; i < 3; i++)
        expect_entry(cursor, ZDB_NEXT, i == 0 ? "b" : i == 1 ? "d" : "f");
    expect_entry(cursor, ZDB_NEXT, NULL);
    expect_entry(cursor, ZDB_GET_CURRENT, "f");
    expect_entry(cursor, ZDB_NEXT, NULL);
    expect_entry(cursor, ZDB_PREV, "d");
    expect_entry(cursor, ZDB_PREV, "b");
    expect_entry(cursor, ZDB_PREV, NULL);
    expect_entry(cursor, ZDB_GET_CURRENT, "b");
    expect_entry(cursor, ZDB_NEXT, "d");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void an_empty_database_has_no_entries_to_move_to(void) {
    static const zdb_cursor_op ops[] = {ZDB_FIRST, ZDB_LAST,    ZDB_NEXT,     ZDB_PREV,
                                        ZDB_SET,   ZDB_SET_KEY, ZDB_SET_RANGE};
    zdb_env *env = open_env("env");
    for (uint32_t flags = 0; flags <= ZDB_RDONLY; flags++) {
        zdb_txn *txn = begin_at(HERE, env, flags);
        for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
            zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
            zdb_val key = text("k"), value = nothing();
            CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ops[i]), ZDB_NOT_FOUND);
            CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
            close_cursor(cursor);
        }
        abort_txn(txn);
    }
    close_env(env);
}

static void set_leaves_the_key_alone_and_set_key_returns_the_stored_one(void) {
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    const char sought[] = "d";
    zdb_val key = bytes(sought, 1), value = nothing();
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_SET));
    CHECK(key.data == sought && key.size == 1);
    CHECK_VALUE(value, "dd");
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_SET_KEY));
    CHECK(key.data != sought);
    CHECK_VALUE(key, "d");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void key_and_value_may_be_null_where_they_are_not_needed(void) {
    static const zdb_cursor_op ops[] = {ZDB_FIRST, ZDB_NEXT, ZDB_GET_CURRENT, ZDB_LAST, ZDB_PREV};
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        CHECK_CODE(zdb_cursor_get(cursor, NULL, NULL, ops[i]), ZDB_OK);
    }
    zdb_val key = nothing(), value = nothing();
    CHECK_CODE(zdb_cursor_get(cursor, &key, NULL, ZDB_GET_CURRENT), ZDB_OK);
    CHECK_VALUE(key, "d");
    CHECK_CODE(zdb_cursor_get(cursor, NULL, &value, ZDB_GET_CURRENT), ZDB_OK);
    CHECK_VALUE(value, "dd");

    CHECK_ERROR(zdb_cursor_get(cursor, NULL, &value, ZDB_SET), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, &value, ZDB_SET_KEY), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, &value, ZDB_SET_RANGE), ZDB_BAD_ARGUMENT);
    key = bytes(NULL, 1);
    CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_SET), ZDB_BAD_ARGUMENT);
    expect_entry(cursor, ZDB_FIRST, "b");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void operations_on_several_values_need_several(void) {
    static const zdb_cursor_op ops[] = {ZDB_FIRST_DUP,    ZDB_LAST_DUP,      ZDB_NEXT_DUP,
                                        ZDB_PREV_DUP,     ZDB_GET_BOTH,      ZDB_GET_BOTH_RANGE,
                                        ZDB_GET_MULTIPLE, ZDB_NEXT_MULTIPLE, ZDB_PREV_MULTIPLE};
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    expect_entry(cursor, ZDB_FIRST, "b");
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        zdb_val key = text("d"), value = text("dd");
        CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ops[i]), ZDB_INCOMPATIBLE);
    }
    expect_entry(cursor, ZDB_GET_CURRENT, "b");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void without_several_values_the_next_key_is_the_next_entry(void) {
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    expect_entry(cursor, ZDB_NEXT_NODUP, "b");
    expect_entry(cursor, ZDB_NEXT_NODUP, "d");
    expect_entry(cursor, ZDB_NEXT_NODUP, "f");
    expect_entry(cursor, ZDB_NEXT_NODUP, NULL);
    expect_entry(cursor, ZDB_PREV_NODUP, "d");
    expect_entry(cursor, ZDB_PREV_NODUP, "b");
    expect_entry(cursor, ZDB_PREV_NODUP, NULL);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void unknown_operations_are_refused(void) {
    static const int ops[] = {-1, 19, 31, 1000};
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    expect_entry(cursor, ZDB_FIRST, "b");
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        zdb_val key = text("d"), value = nothing();
        CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, (zdb_cursor_op)ops[i]), ZDB_BAD_ARGUMENT);
    }
    expect_entry(cursor, ZDB_GET_CURRENT, "b");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void keys_returned_are_copies_that_outlive_writes(void) {
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = nothing();
    REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_FIRST));
    delete_text(txn, ZDB_MAIN_DB, "b");
    put_numbered(txn, ZDB_MAIN_DB, 300);
    CHECK_VALUE(key, "b");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static void the_key_a_cursor_returned_can_be_given_back_to_it(void) {
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val key = nothing(), value = nothing();
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_LAST));
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_SET_RANGE));
    CHECK_VALUE(key, "f");
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_SET_KEY));
    CHECK_VALUE(key, "f");
    value = text("new");
    REQUIRE_OK(zdb_cursor_put(cursor, &key, &value, 0));
    expect_text(txn, ZDB_MAIN_DB, "f", "new");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 3);
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

/* -------------------------------------------------------------------- scans */

static void scan_both_ways(zdb_txn *txn, unsigned count) {
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (unsigned i = 0; i < count; i++) {
        zdb_val key = nothing(), value = nothing();
        REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_NEXT));
        numbered(key_text, "key", i);
        numbered_value(value_text, i);
        CHECK_VALUE(key, key_text);
        CHECK_VALUE(value, value_text);
    }
    expect_entry(cursor, ZDB_NEXT, NULL);
    for (unsigned i = count - 1; i-- > 0;) {
        zdb_val key = nothing(), value = nothing();
        REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_PREV));
        numbered(key_text, "key", i);
        numbered_value(value_text, i);
        CHECK_VALUE(key, key_text);
        CHECK_VALUE(value, value_text);
    }
    expect_entry(cursor, ZDB_PREV, NULL);
    close_cursor(cursor);
}

static void a_scan_visits_every_entry_in_order_in_both_directions(void) {
    unsigned count = repetitions(10000);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, count);
    scan_both_ways(txn, count);
    commit(txn);
    txn = begin_read(env);
    scan_both_ways(txn, count);
    abort_txn(txn);
    close_env(env);
}

static void a_range_starts_at_or_after_any_key(void) {
    enum { COUNT = 1000 };
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    char key_text[KEY_BYTES];
    for (unsigned i = 0; i < COUNT; i++) {
        zdb_val key = numbered(key_text, "key", i * 10), value = text("v");
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    }
    commit(txn);
    txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (unsigned i = 0; i <= (COUNT - 1) * 10; i += 3) {
        zdb_val key = numbered(key_text, "key", i);
        REQUIRE_OK(zdb_cursor_get(cursor, &key, NULL, ZDB_SET_RANGE));
        numbered(key_text, "key", (i + 9) / 10 * 10);
        CHECK_VALUE(key, key_text);
        if (i % 10 != 0) {
            key = numbered(key_text, "key", i);
            CHECK_ERROR(zdb_cursor_get(cursor, &key, NULL, ZDB_SET), ZDB_NOT_FOUND);
        }
    }
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

/* ---------------------------------------------------------------- lifetimes */

static void cursors_move_each_on_its_own(void) {
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_read(env);
    zdb_cursor *one = open_cursor(txn, ZDB_MAIN_DB), *other = open_cursor(txn, ZDB_MAIN_DB);
    CHECK(one != other);
    expect_entry(one, ZDB_FIRST, "b");
    expect_entry(other, ZDB_LAST, "f");
    expect_entry(one, ZDB_NEXT, "d");
    expect_entry(other, ZDB_GET_CURRENT, "f");
    close_cursor(one);
    expect_entry(other, ZDB_PREV, "d");
    close_cursor(other);
    abort_txn(txn);
    close_env(env);
}

static void many_cursors_are_open_at_once(void) {
    enum { COUNT = 1000 };
    static zdb_cursor *cursors[COUNT];
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, COUNT);
    char key_text[KEY_BYTES];
    for (unsigned i = 0; i < COUNT; i++) {
        cursors[i] = open_cursor(txn, ZDB_MAIN_DB);
        zdb_val key = numbered(key_text, "key", i);
        REQUIRE_OK(zdb_cursor_get(cursors[i], &key, NULL, ZDB_SET));
    }
    for (unsigned i = 0; i < COUNT; i++) {
        numbered(key_text, "key", i);
        expect_entry(cursors[i], ZDB_GET_CURRENT, key_text);
        close_cursor(cursors[i]);
    }
    commit(txn);
    close_env(env);
}

static void check_cursor_of_ended_transaction(zdb_cursor *cursor) {
    static const zdb_cursor_op ops[] = {ZDB_FIRST, ZDB_NEXT, ZDB_GET_CURRENT, ZDB_SET};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        zdb_val key = text("d"), value = text("v");
        CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ops[i]), ZDB_BAD_CURSOR);
    }
    zdb_val key = text("d"), value = text("v");
    CHECK_ERROR(zdb_cursor_put(cursor, &key, &value, 0), ZDB_BAD_CURSOR);
    CHECK_ERROR(zdb_cursor_del(cursor, 0), ZDB_BAD_CURSOR);
    close_cursor(cursor);
}

static void a_cursor_ends_with_its_transaction(void) {
    zdb_env *env = open_with_three_entries();
    for (unsigned i = 0; i < 4; i++) {
        bool writes = i % 2 != 0, commits = i / 2 != 0;
        zdb_txn *txn = begin_at(HERE, env, writes ? 0 : ZDB_RDONLY);
        zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
        expect_entry(cursor, ZDB_FIRST, "b");
        if (commits) {
            commit(txn);
        } else {
            abort_txn(txn);
        }
        check_cursor_of_ended_transaction(cursor);
    }
    close_env(env);
}

static void a_cursor_of_a_reset_transaction_answers_with_an_error(void) {
    zdb_env *env = open_with_three_entries();
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    expect_entry(cursor, ZDB_FIRST, "b");
    REQUIRE_OK(zdb_txn_reset(txn));
    CHECK_EITHER(zdb_cursor_get(cursor, NULL, NULL, ZDB_NEXT), ZDB_BAD_CURSOR, ZDB_BAD_TXN);
    CHECK_EITHER(zdb_cursor_get(cursor, NULL, NULL, ZDB_FIRST), ZDB_BAD_CURSOR, ZDB_BAD_TXN);
    REQUIRE_OK(zdb_txn_renew(txn));
    expect_text(txn, ZDB_MAIN_DB, "b", "bb");
    close_cursor(cursor);
    abort_txn(txn);
    close_env(env);
}

static const struct test tests[] = {
    TEST(every_operation_works_from_every_state),
    TEST(a_failing_move_at_an_end_stays_there),
    TEST(an_empty_database_has_no_entries_to_move_to),
    TEST(set_leaves_the_key_alone_and_set_key_returns_the_stored_one),
    TEST(key_and_value_may_be_null_where_they_are_not_needed),
    TEST(operations_on_several_values_need_several),
    TEST(without_several_values_the_next_key_is_the_next_entry),
    TEST(unknown_operations_are_refused),
    TEST(keys_returned_are_copies_that_outlive_writes),
    TEST(the_key_a_cursor_returned_can_be_given_back_to_it),
    TEST(a_scan_visits_every_entry_in_order_in_both_directions),
    TEST(a_range_starts_at_or_after_any_key),
    TEST(cursors_move_each_on_its_own),
    TEST(many_cursors_are_open_at_once),
    TEST(a_cursor_ends_with_its_transaction),
    TEST(a_cursor_of_a_reset_transaction_answers_with_an_error),
};

DEFINE_SUITE(cursor_moves, tests);
