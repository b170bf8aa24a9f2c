/* Nested transactions: what they see, what their commit and their abort do, and which calls are
 * refused at the same time. */
#include "calls.h"
#include "suites.h"
#include "support.h"

#include <stdlib.h>
#include <unistd.h>

static zdb_txn *begin_nested_at(struct place place, zdb_env *env, zdb_txn *parent) {
    zdb_txn *txn = NULL;
    require_code(place, zdb_txn_begin(env, parent, 0, &txn), ZDB_OK, "zdb_txn_begin, nested");
    return txn;
}

#define begin_nested(env, parent) begin_nested_at(HERE, (env), (parent))

/* ------------------------------------------------- seeing, giving, taking back */

static void a_child_sees_its_parent_and_adds_to_it(void) {
    zdb_env *env = open_env("env");
    zdb_txn *parent = begin_write(env);
    put_text(parent, ZDB_MAIN_DB, "changed", "parent");
    put_text(parent, ZDB_MAIN_DB, "deleted", "parent");
    uint64_t id = zdb_txn_id(parent);
    zdb_txn *child = begin_nested(env, parent);
    CHECK_NUMBER(zdb_txn_id(child), id);
    expect_text(child, ZDB_MAIN_DB, "changed", "parent");
    put_text(child, ZDB_MAIN_DB, "changed", "child");
    delete_text(child, ZDB_MAIN_DB, "deleted");
    zdb_db db = create_db(child, "made");
    put_text(child, db, "k", "child");
    commit(child);
    expect_text(parent, ZDB_MAIN_DB, "changed", "child");
    expect_absent(parent, ZDB_MAIN_DB, "deleted");
    expect_text(parent, db, "k", "child");
    zdb_txn *reader = begin_read(env);
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 0);
    abort_txn(reader);
    commit(parent);
    reader = begin_read(env);
    expect_text(reader, ZDB_MAIN_DB, "changed", "child");
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 1);
    expect_text(reader, db, "k", "child");
    abort_txn(reader);
    expect_sound(env);
    close_env(env);
}

static void the_changes_of_a_child_are_taken_back(void) {
    enum { COUNT = 20000, SIZE = 100000 };
    zdb_env *env = open_env("env");
    zdb_txn *parent = begin_write(env);
    put_numbered(parent, ZDB_MAIN_DB, COUNT);
    commit(parent);
    parent = begin_write(env);
    put_text(parent, ZDB_MAIN_DB, "parent", "was here");
    zdb_txn *child = begin_nested(env, parent);
    char buffer[KEY_BYTES];
    for (unsigned i = 0; i < COUNT; i += i % 3 + 1) {
        zdb_val key = numbered(buffer, "key", i);
        REQUIRE_OK(zdb_del(child, ZDB_MAIN_DB, &key, NULL));
    }
    put_text(child, ZDB_MAIN_DB, "parent", "was there");
    zdb_val key = text("large"), value = bytes(new_pattern(SIZE, 1), SIZE);
    REQUIRE_OK(zdb_put(child, ZDB_MAIN_DB, &key, &value, 0));
    free((void *)value.data);
    zdb_db db = create_db(child, "made");
    abort_txn(child);
    expect_text(parent, ZDB_MAIN_DB, "parent", "was here");
    delete_text(parent, ZDB_MAIN_DB, "parent");
    expect_numbered(parent, ZDB_MAIN_DB, COUNT);
    CHECK_ERROR(zdb_get(parent, db, &key, &value), ZDB_BAD_DB);
    commit(parent);
    expect_sound(env);
    zdb_txn *reader = begin_read(env);
    expect_numbered(reader, ZDB_MAIN_DB, COUNT);
    abort_txn(reader);
    close_env(env);
}

static void a_parent_takes_back_what_its_children_gave_it(void) {
    zdb_env *env = open_env("env");
    zdb_txn *outer = begin_write(env);
    put_text(outer, ZDB_MAIN_DB, "k", "outer");
    zdb_txn *middle = begin_nested(env, outer), *inner = begin_nested(env, middle);
    put_text(inner, ZDB_MAIN_DB, "k", "inner");
    put_numbered(inner, ZDB_MAIN_DB, 1000);
    commit(inner);
    expect_text(middle, ZDB_MAIN_DB, "k", "inner");
    CHECK_NUMBER(entries(middle, ZDB_MAIN_DB), 1001);
    abort_txn(middle);
    expect_text(outer, ZDB_MAIN_DB, "k", "outer");
    CHECK_NUMBER(entries(outer, ZDB_MAIN_DB), 1);
    commit(outer);
    expect_sound(env);
    close_env(env);
}

/* Reserves values, which are filled after the call, so that only the library's log can bring
 * them back. */
static void put_reserved(zdb_txn *txn, const char *key_text, size_t size, uint64_t seed) {
    zdb_val key = text(key_text), value = bytes(NULL, size);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, ZDB_RESERVE));
    fill_pattern((void *)value.data, size, seed);
}

static void expect_pattern(zdb_txn *txn, const char *key_text, size_t size, uint64_t seed) {
    zdb_val key = text(key_text), value = nothing();
    REQUIRE_OK(zdb_get(txn, ZDB_MAIN_DB, &key, &value));
    CHECK(value.size == size && has_pattern(value.data, size, seed));
}

static void reserve_and_die(void *argument) {
    (void)argument;
    zdb_env *env = open_env_to_leave("env");
    zdb_txn *parent = begin_write(env);
    put_reserved(parent, "small", 100, 1);
    zdb_txn *child = begin_nested(env, parent);
    abort_txn(child);
    put_reserved(parent, "large", 100000, 2);
    child = begin_nested(env, parent);
    put_text(child, ZDB_MAIN_DB, "small", "taken back");
    put_reserved(child, "large", 200000, 3);
    abort_txn(child);
    child = begin_nested(env, parent);
    put_reserved(child, "child's", 50000, 4);
    commit(child);
    commit(parent);
    _exit(check_failures() == 0 ? 0 : 1);
}

static void a_replay_brings_back_space_that_was_filled(void) {
    run_in_process(reserve_and_die, NULL);
    zdb_env *env = open_env("env");
    zdb_txn *reader = begin_read(env);
    expect_pattern(reader, "small", 100, 1);
    expect_pattern(reader, "large", 100000, 2);
    expect_pattern(reader, "child's", 50000, 4);
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 3);
    abort_txn(reader);
    expect_sound(env);
    close_env(env);
}

static void put_many_values(zdb_txn *txn, zdb_db db, const char *key_text, unsigned count) {
    char buffer[KEY_BYTES];
    for (unsigned i = 0; i < count; i++) {
        zdb_val key = text(key_text), value = numbered(buffer, "value", i);
        REQUIRE_OK(zdb_put(txn, db, &key, &value, 0));
    }
}

/* In one transaction or in nested ones: databases are cleared, dropped, renamed and made anew,
 * and a key gets thousands of values, which lie in a value tree. */
static void turn_databases_over(zdb_txn *txn, const zdb_db db[3]) {
    zdb_db made;
    put_many_values(txn, db[0], "k", 3000);
    zdb_val key = text("k"), value = text("value00000007");
    REQUIRE_OK(zdb_del(txn, db[0], &key, &value));
    REQUIRE_OK(zdb_db_clear(txn, db[1]));
    put_text(txn, db[1], "k", "after clearing");
    REQUIRE_OK(zdb_db_drop(txn, db[2]));
    REQUIRE_OK(zdb_db_rename(txn, db[1], "renamed", NULL));
    REQUIRE_OK(zdb_db_open(txn, "second", ZDB_CREATE, &made));
    put_text(txn, made, "k", "another database");
    REQUIRE_OK(zdb_del_range(txn, ZDB_MAIN_DB, NULL, NULL, NULL));
}

static void expect_turned_over(zdb_txn *txn, const zdb_db db[3]) {
    CHECK_NUMBER(entries(txn, db[0]), 2999);
    expect_text(txn, open_db(txn, "renamed"), "k", "after clearing");
    expect_text(txn, db[1], "k", "another database");
    zdb_val key = text("k");
    CHECK_ERROR(zdb_get(txn, db[2], &key, NULL), ZDB_BAD_DB);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 0);
}

static void databases_are_turned_over_and_taken_back(void) {
    zdb_env *env = open_env("env");
    zdb_txn *parent = begin_write(env);
    zdb_db db[3];
    REQUIRE_OK(zdb_db_open(parent, "first", ZDB_CREATE | ZDB_DUPSORT, &db[0]));
    db[1] = create_db(parent, "second");
    db[2] = create_db(parent, "third");
    put_numbered(parent, ZDB_MAIN_DB, 5000);
    put_many_values(parent, db[0], "k", 2000);
    put_numbered(parent, db[1], 5000);
    put_numbered(parent, db[2], 5000);
    commit(parent);
    parent = begin_write(env);
    put_many_values(parent, db[0], "l", 2000);
    zdb_cursor *cursor = open_cursor(parent, db[1]);
    expect_entry(cursor, ZDB_FIRST, "key00000000");

    for (unsigned round = 0; round < 3; round++) {
        zdb_txn *child = begin_nested(env, parent), *grandchild = begin_nested(env, child);
        turn_databases_over(grandchild, db);
        commit(grandchild);
        zdb_val key = text("l");
        REQUIRE_OK(zdb_del(child, db[0], &key, NULL));
        expect_turned_over(child, db);
        abort_txn(child);
        CHECK_NUMBER(entries(parent, db[0]), 4000);
        expect_numbered(parent, ZDB_MAIN_DB, 5000);
        expect_numbered(parent, db[1], 5000);
        expect_numbered(parent, db[2], 5000);
        zdb_db renamed;
        CHECK_ERROR(zdb_db_open(parent, "renamed", 0, &renamed), ZDB_NOT_FOUND);
    }
    expect_entry(cursor, ZDB_NEXT, "key00000001");
    zdb_txn *child = begin_nested(env, parent);
    turn_databases_over(child, db);
    zdb_val key = text("l");
    REQUIRE_OK(zdb_del(child, db[0], &key, NULL));
    commit(child);
    expect_turned_over(parent, db);
    /* The database that its handle stands for now has one key, before the one that the cursor
     * was on. */
    expect_entry(cursor, ZDB_NEXT, NULL);
    expect_entry(cursor, ZDB_PREV, "k");
    close_cursor(cursor);
    commit(parent);
    expect_sound(env);
    zdb_txn *reader = begin_read(env);
    expect_turned_over(reader, db);
    abort_txn(reader);
    close_env(env);
}

/* A program that dies after its outermost commit leaves the log to be replayed. */
static void commit_and_die(void *argument) {
    (void)argument;
    zdb_env *env = open_env_to_leave("env");
    zdb_txn *parent = begin_write(env);
    zdb_txn *child = begin_nested(env, parent);
    put_text(child, ZDB_MAIN_DB, "lost", "child");
    abort_txn(child);
    child = begin_nested(env, parent);
    put_text(child, ZDB_MAIN_DB, "kept", "child");
    commit(child);
    commit(parent);
    parent = begin_write(env);
    child = begin_nested(env, parent);
    put_text(child, ZDB_MAIN_DB, "kept", "but for this");
    commit(child);
    _exit(check_failures() == 0 ? 0 : 1);
}

static void a_replay_brings_back_the_changes_that_were_not_taken_back(void) {
    run_in_process(commit_and_die, NULL);
    zdb_env *env = open_env("env");
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.recovered_records, 1);
    zdb_txn *reader = begin_read(env);
    expect_text(reader, ZDB_MAIN_DB, "kept", "child");
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 1);
    abort_txn(reader);
    expect_sound(env);
    close_env(env);
}

/* ------------------------------------------- calls that are refused meanwhile */

static void a_parent_answers_nothing_while_it_has_a_child(void) {
    zdb_env *env = open_env("env");
    zdb_txn *parent = begin_write(env);
    put_text(parent, ZDB_MAIN_DB, "k", "v");
    zdb_cursor *cursor = open_cursor(parent, ZDB_MAIN_DB);
    expect_entry(cursor, ZDB_FIRST, "k");
    zdb_cursor *to_close = open_cursor(parent, ZDB_MAIN_DB);
    zdb_txn *child = begin_nested(env, parent), *second = child;
    /* Committing and aborting are among the calls. */
    check_txn_calls(HERE, parent, ZDB_BAD_TXN, ZDB_BAD_TXN);
    CHECK_CONTAINS(zdb_last_error(), "nested");
    CHECK(zdb_txn_env(parent) == env);
    for (size_t i = 0; i < cursor_call_count; i++) {
        if (cursor_calls[i].call == zdb_cursor_close) continue;
        CHECK_ERROR(cursor_calls[i].call(cursor), ZDB_BAD_TXN);
    }
    CHECK_ERROR(zdb_txn_begin(env, parent, 0, &second), ZDB_BAD_TXN);
    CHECK(second == NULL);
    close_cursor(to_close);

    zdb_txn *grandchild = begin_nested(env, child);
    CHECK_ERROR(zdb_txn_commit(parent), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_txn_commit(child), ZDB_BAD_TXN);
    CHECK_ERROR(zdb_txn_abort(child), ZDB_BAD_TXN);
    put_text(grandchild, ZDB_MAIN_DB, "l", "v");
    commit(grandchild);
    CHECK_ERROR(zdb_txn_commit(parent), ZDB_BAD_TXN);
    commit(child);

    expect_entry(cursor, ZDB_GET_CURRENT, "k");
    expect_entry(cursor, ZDB_NEXT, "l");
    close_cursor(cursor);
    commit(parent);
    close_env(env);
}

static void an_environment_with_a_child_open_is_not_closed(void) {
    zdb_env *env = open_env("env");
    zdb_txn *parent = begin_write(env), *child = begin_nested(env, parent), *other = NULL;
    CHECK_ERROR(zdb_env_close(env), ZDB_BUSY);
    /* The thread has a write transaction; this would wait for it. */
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0, &other), ZDB_BUSY);
    commit(child);
    CHECK_ERROR(zdb_env_close(env), ZDB_BUSY);
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0, &other), ZDB_BUSY);
    commit(parent);
    commit(begin_write(env));
    close_env(env);
}

static void a_child_that_has_ended_is_no_handle(void) {
    zdb_env *env = open_env("env");
    zdb_txn *parent = begin_write(env);
    for (unsigned i = 0; i < 2; i++) {
        zdb_txn *child = begin_nested(env, parent), *grandchild = NULL;
        put_text(child, ZDB_MAIN_DB, "k", "v");
        zdb_cursor *cursor = open_cursor(child, ZDB_MAIN_DB);
        expect_entry(cursor, ZDB_FIRST, "k");
        if (i == 0) {
            commit(child);
        } else {
            abort_txn(child);
        }
        check_txn_calls(HERE, child, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
        CHECK_ERROR(zdb_txn_begin(env, child, 0, &grandchild), ZDB_BAD_HANDLE);
        CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_FIRST), ZDB_BAD_CURSOR);
        close_cursor(cursor);
    }
    expect_text(parent, ZDB_MAIN_DB, "k", "v");
    commit(parent);
    close_env(env);
}

static void wrong_parents_and_flags_are_refused(void) {
    static const uint32_t flags[] = {ZDB_RDONLY, ZDB_DURABILITY_FULL, ZDB_DURABILITY_RELAXED,
                                     ZDB_DURABILITY_NONE};
    zdb_env *env = open_env("env"), *other_env = open_env("other");
    zdb_txn *parent = begin_write(env), *child = parent;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        CHECK_ERROR(zdb_txn_begin(env, parent, flags[i], &child), ZDB_INCOMPATIBLE);
        CHECK(child == NULL);
    }
    CHECK_ERROR(zdb_txn_begin(env, parent, 0x2, &child), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_txn_begin(env, parent, 0, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_txn_begin(other_env, parent, 0, &child), ZDB_INCOMPATIBLE);
    zdb_txn *reader = begin_read(env);
    CHECK_ERROR(zdb_txn_begin(env, reader, 0, &child), ZDB_INCOMPATIBLE);
    abort_txn(reader);
    CHECK_ERROR(zdb_txn_begin(env, reader, 0, &child), ZDB_BAD_HANDLE);
    char not_a_transaction;
    CHECK_ERROR(zdb_txn_begin(env, (zdb_txn *)(void *)&not_a_transaction, 0, &child),
                ZDB_BAD_HANDLE);
    /* None of this affected the parent. */
    put_text(parent, ZDB_MAIN_DB, "k", "v");
    commit(parent);
    close_env(other_env);
    close_env(env);
}

static void children_are_nested_up_to_the_maximum_depth(void) {
    zdb_env *env = open_env("env");
    zdb_txn *levels[ZDB_MAX_NESTING + 1], *deeper = NULL;
    char buffer[KEY_BYTES];
    levels[0] = begin_write(env);
    for (unsigned i = 1; i <= ZDB_MAX_NESTING; i++) {
        levels[i] = begin_nested(env, levels[i - 1]);
        zdb_val key = numbered(buffer, "level", i);
        REQUIRE_OK(zdb_put(levels[i], ZDB_MAIN_DB, &key, &key, 0));
    }
    CHECK_ERROR(zdb_txn_begin(env, levels[ZDB_MAX_NESTING], 0, &deeper), ZDB_FULL);
    /* Refusing a level damages nothing. */
    put_text(levels[ZDB_MAX_NESTING], ZDB_MAIN_DB, "deepest", "v");
    for (unsigned i = ZDB_MAX_NESTING; i >= 1; i--) {
        if (i == 10) {
            abort_txn(levels[i]);
        } else {
            commit(levels[i]);
        }
    }
    CHECK_NUMBER(entries(levels[0], ZDB_MAIN_DB), 9);
    commit(levels[0]);
    expect_sound(env);
    close_env(env);
}

/* -------------------------------------------------------------------- errors */

static void fill_until_full(zdb_txn *txn) {
    char buffer[KEY_BYTES], filler[1000];
    memset(filler, 'f', sizeof(filler));
    int code = ZDB_OK;
    for (unsigned i = 0; i < 100000 && code == ZDB_OK; i++) {
        zdb_val key = numbered(buffer, "filler", i), value = bytes(filler, sizeof(filler));
        code = zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0);
    }
    CHECK_CODE(code, ZDB_TXN_FULL);
}

static void a_child_that_breaks_leaves_its_parent_whole(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_txn_pages = 100;
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *parent = begin_write(env), *none = NULL;
    put_numbered(parent, ZDB_MAIN_DB, 100);
    for (unsigned i = 0; i < 2; i++) {
        zdb_txn *child = begin_nested(env, parent);
        fill_until_full(child);
        zdb_val key = text("k"), value = nothing();
        CHECK_ERROR(zdb_get(child, ZDB_MAIN_DB, &key, &value), ZDB_BAD_TXN);
        CHECK_CONTAINS(zdb_last_error(), "max_txn_pages");
        CHECK_ERROR(zdb_txn_begin(env, child, 0, &none), ZDB_BAD_TXN);
        if (i == 0) {
            CHECK_ERROR(zdb_txn_commit(child), ZDB_BAD_TXN);
            CHECK_ERROR(zdb_txn_abort(child), ZDB_BAD_HANDLE);
        } else {
            abort_txn(child);
        }
        expect_numbered(parent, ZDB_MAIN_DB, 100);
    }
    put_text(parent, ZDB_MAIN_DB, "after", "v");
    commit(parent);
    /* And a parent that has failed takes no children. */
    parent = begin_write(env);
    fill_until_full(parent);
    CHECK_ERROR(zdb_txn_begin(env, parent, 0, &none), ZDB_BAD_TXN);
    abort_txn(parent);
    zdb_txn *reader = begin_read(env);
    expect_text(reader, ZDB_MAIN_DB, "after", "v");
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 101);
    abort_txn(reader);
    expect_sound(env);
    close_env(env);
}

/* ------------------------------------------------------------------- cursors */

static void cursors_of_the_parent_keep_their_places(void) {
    zdb_env *env = open_env("env");
    zdb_txn *parent = begin_write(env);
    put_numbered(parent, ZDB_MAIN_DB, 1000);
    zdb_cursor *cursor = open_cursor(parent, ZDB_MAIN_DB);
    char buffer[KEY_BYTES];
    zdb_val key = numbered(buffer, "key", 500), value = nothing();
    REQUIRE_OK(zdb_cursor_get(cursor, &key, &value, ZDB_SET));

    zdb_txn *child = begin_nested(env, parent);
    for (unsigned i = 0; i < 1000; i++) {
        key = numbered(buffer, "key", i);
        REQUIRE_OK(zdb_del(child, ZDB_MAIN_DB, &key, NULL));
    }
    abort_txn(child);
    expect_entry(cursor, ZDB_NEXT, "key00000501");
    expect_entry(cursor, ZDB_PREV, "key00000500");

    child = begin_nested(env, parent);
    for (unsigned i = 400; i < 600; i++) {
        key = numbered(buffer, "key", i);
        REQUIRE_OK(zdb_del(child, ZDB_MAIN_DB, &key, NULL));
    }
    commit(child);
    CHECK_ERROR(zdb_cursor_get(cursor, &key, &value, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    expect_entry(cursor, ZDB_NEXT, "key00000600");
    expect_entry(cursor, ZDB_PREV, "key00000399");
    close_cursor(cursor);
    commit(parent);
    close_env(env);
}

/* ---------------------------------------------------------- threads, processes */

struct family {
    zdb_env *env;
    zdb_txn *parent;
    zdb_txn *child;
};

static void *end_the_child(void *argument) {
    struct family *family = (struct family *)argument;
    put_text(family->child, ZDB_MAIN_DB, "other thread", "v");
    commit(family->child);
    family->child = begin_nested(family->env, family->parent);
    put_text(family->child, ZDB_MAIN_DB, "other thread's own", "v");
    return NULL;
}

static void a_child_is_used_by_another_thread_than_its_parent(void) {
    struct family family;
    family.env = open_env("env");
    family.parent = begin_write(family.env);
    family.child = begin_nested(family.env, family.parent);
    join_thread(start_thread(end_the_child, &family));
    commit(family.child);
    expect_text(family.parent, ZDB_MAIN_DB, "other thread", "v");
    expect_text(family.parent, ZDB_MAIN_DB, "other thread's own", "v");
    commit(family.parent);
    close_env(family.env);
}

static void *call_the_parent(void *argument) {
    struct family *family = (struct family *)argument;
    for (unsigned i = 0; i < 20000; i++) {
        zdb_val key = text("k"), value = nothing();
        int code = zdb_get(family->parent, ZDB_MAIN_DB, &key, &value);
        CHECK(code == ZDB_BAD_TXN || code == ZDB_BUSY || code == ZDB_OK);
    }
    return NULL;
}

/* A thread that calls the parent by mistake is refused, at any moment of its child's work. */
static void a_parent_is_not_entered_while_its_child_ends(void) {
    struct family family;
    family.env = open_env("env");
    family.parent = begin_write(family.env);
    put_text(family.parent, ZDB_MAIN_DB, "k", "v");
    pthread_t thread = start_thread(call_the_parent, &family);
    for (unsigned i = 0; i < 2000; i++) {
        int code = zdb_txn_begin(family.env, family.parent, 0, &family.child);
        CHECK(code == ZDB_OK || code == ZDB_BUSY);
        if (code != ZDB_OK) continue;
        put_text(family.child, ZDB_MAIN_DB, "child", "v");
        if (i % 2 == 0) {
            commit(family.child);
        } else {
            abort_txn(family.child);
        }
    }
    join_thread(thread);
    commit(family.parent);
    expect_sound(family.env);
    close_env(family.env);
}

static void use_inherited_child(void *argument) {
    struct family *family = (struct family *)argument;
    zdb_txn *grandchild = NULL;
    check_txn_calls(HERE, family->child, ZDB_FORKED, ZDB_FORKED);
    CHECK_ERROR(zdb_txn_begin(family->env, family->child, 0, &grandchild), ZDB_FORKED);
}

static void a_nested_transaction_is_not_inherited_through_fork(void) {
    struct family family;
    family.env = open_env("env");
    family.parent = begin_write(family.env);
    family.child = begin_nested(family.env, family.parent);
    put_text(family.child, ZDB_MAIN_DB, "k", "v");
    run_in_process(use_inherited_child, &family);
    commit(family.child);
    commit(family.parent);
    zdb_txn *reader = begin_read(family.env);
    expect_text(reader, ZDB_MAIN_DB, "k", "v");
    abort_txn(reader);
    close_env(family.env);
}

static const struct test tests[] = {
    TEST(a_child_sees_its_parent_and_adds_to_it),
    TEST(the_changes_of_a_child_are_taken_back),
    TEST(a_parent_takes_back_what_its_children_gave_it),
    TEST(a_replay_brings_back_the_changes_that_were_not_taken_back),
    TEST(a_replay_brings_back_space_that_was_filled),
    TEST(databases_are_turned_over_and_taken_back),
    TEST(a_parent_answers_nothing_while_it_has_a_child),
    TEST(an_environment_with_a_child_open_is_not_closed),
    TEST(a_child_that_has_ended_is_no_handle),
    TEST(wrong_parents_and_flags_are_refused),
    TEST(children_are_nested_up_to_the_maximum_depth),
    TEST(a_child_that_breaks_leaves_its_parent_whole),
    TEST(cursors_of_the_parent_keep_their_places),
    TEST(a_child_is_used_by_another_thread_than_its_parent),
    TEST(a_parent_is_not_entered_while_its_child_ends),
    TEST(a_nested_transaction_is_not_inherited_through_fork),
};

DEFINE_SUITE(nesting, tests);
