/* Invalid and closed handles: every function recognises them. */
#include <stdlib.h>

#include "calls.h"
#include "suites.h"
#include "support.h"

/* An environment, a write transaction, a reader and a cursor, all alive. */
struct handles {
    zdb_env *env;
    zdb_txn *writer, *reader;
    zdb_cursor *cursor;
};

static struct handles open_handles(void) {
    struct handles handles;
    handles.env = open_env("env");
    handles.writer = begin_write(handles.env);
    put_text(handles.writer, ZDB_MAIN_DB, "k", "v");
    commit(handles.writer);
    handles.writer = begin_write(handles.env);
    handles.reader = begin_read(handles.env);
    handles.cursor = open_cursor(handles.writer, ZDB_MAIN_DB);
    expect_entry(handles.cursor, ZDB_FIRST, "k");
    return handles;
}

/* None of the wrong calls did any harm to them. */
static void check_and_close(struct handles *handles) {
    expect_entry(handles->cursor, ZDB_GET_CURRENT, "k");
    expect_text(handles->reader, ZDB_MAIN_DB, "k", "v");
    put_text(handles->writer, ZDB_MAIN_DB, "l", "w");
    CHECK_NUMBER(entries(handles->writer, ZDB_MAIN_DB), 2);
    close_cursor(handles->cursor);
    commit(handles->writer);
    abort_txn(handles->reader);
    expect_sound(handles->env);
    close_env(handles->env);
}

static void null_handles_are_refused(void) {
    struct handles handles = open_handles();
    check_env_calls(HERE, NULL, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_txn_calls(HERE, NULL, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_cursor_calls(HERE, NULL, handles.reader, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_and_close(&handles);
}

static bool is_live(const struct handles *handles, const void *handle) {
    return handle == (const void *)handles->env || handle == (const void *)handles->writer ||
           handle == (const void *)handles->reader || handle == (const void *)handles->cursor;
}

static void check_garbage(const struct handles *handles, void *garbage) {
    if (is_live(handles, garbage)) return;
    check_env_calls(HERE, (zdb_env *)garbage, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_txn_calls(HERE, (zdb_txn *)garbage, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_cursor_calls(HERE, (zdb_cursor *)garbage, handles->reader, ZDB_BAD_HANDLE,
                       ZDB_BAD_HANDLE);
}

static void numbers_that_are_no_handles_are_refused(void) {
    static const uintptr_t numbers[] = {
        1,
        2,
        7,
        8,
        16,
        0x1000,
        0xdeadbeef,
        0x7fffffffffff,
        0x7ffffffff000,
        (uintptr_t)1 << 48,
        (uintptr_t)1 << 63,
        UINTPTR_MAX - 7,
        UINTPTR_MAX,
    };
    struct handles handles = open_handles();
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        check_garbage(&handles, (void *)numbers[i]);
    }
    check_and_close(&handles);
}

static void pointers_that_are_no_handles_are_refused(void) {
    static uint64_t zeros[64], ones[64];
    memset(ones, 0xff, sizeof(ones));
    char on_the_stack[256];
    memset(on_the_stack, 1, sizeof(on_the_stack));
    void *on_the_heap = new_pattern(512, 1);
    struct handles handles = open_handles();
    check_garbage(&handles, zeros);
    check_garbage(&handles, ones);
    check_garbage(&handles, on_the_stack);
    check_garbage(&handles, on_the_heap);
    check_garbage(&handles, &handles);
    /* A pointer near a handle is no handle. */
    uintptr_t near_to[] = {(uintptr_t)handles.env, (uintptr_t)handles.writer,
                           (uintptr_t)handles.reader, (uintptr_t)handles.cursor};
    for (size_t i = 0; i < sizeof(near_to) / sizeof(near_to[0]); i++) {
        for (uintptr_t distance = 1; distance <= 64; distance *= 2) {
            check_garbage(&handles, (void *)(near_to[i] + distance));
            check_garbage(&handles, (void *)(near_to[i] - distance));
        }
    }
    check_and_close(&handles);
    free(on_the_heap);
}

static void handles_of_another_kind_are_refused(void) {
    struct handles handles = open_handles();
    void *env = handles.env, *writer = handles.writer, *cursor = handles.cursor;
    check_env_calls(HERE, (zdb_env *)writer, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_env_calls(HERE, (zdb_env *)cursor, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_txn_calls(HERE, (zdb_txn *)env, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_txn_calls(HERE, (zdb_txn *)cursor, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_cursor_calls(HERE, (zdb_cursor *)env, handles.reader, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_cursor_calls(HERE, (zdb_cursor *)writer, handles.reader, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    check_and_close(&handles);
}

static void a_closed_environment_is_refused(void) {
    zdb_env *env = open_env("env");
    close_env(env);
    check_env_calls(HERE, env, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
}

static void a_finished_transaction_is_refused(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < 4; i++) {
        zdb_txn *txn = begin_at(HERE, env, i % 2 == 0 ? 0 : ZDB_RDONLY);
        if (i / 2 == 0) {
            commit(txn);
        } else {
            abort_txn(txn);
        }
        check_txn_calls(HERE, txn, ZDB_BAD_TXN, ZDB_BAD_HANDLE);
    }
    close_env(env);
}

static void a_closed_cursor_is_refused(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    close_cursor(cursor);
    check_cursor_calls(HERE, cursor, txn, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    abort_txn(txn);
    close_env(env);
}

/* A closed handle must not come to mean one that was opened later: a program that keeps the old
 * one would then work on the new one without knowing. */

static void a_closed_environment_is_not_taken_for_a_later_one(void) {
    zdb_env *old = open_env("old");
    close_env(old);
    for (unsigned i = 0; i < 20; i++) {
        zdb_env *env = open_env("new");
        CHECK(env != old);
        CHECK_ERROR(zdb_env_close(old), ZDB_BAD_HANDLE);
        close_env(env);
    }
}

static void a_finished_transaction_is_not_taken_for_a_later_one(void) {
    zdb_env *env = open_env("env");
    zdb_txn *old = begin_read(env);
    abort_txn(old);
    for (unsigned i = 0; i < 100; i++) {
        zdb_txn *txn = begin_at(HERE, env, i % 2 == 0 ? 0 : ZDB_RDONLY);
        CHECK(txn != old);
        CHECK_EITHER(zdb_txn_abort(old), ZDB_BAD_TXN, ZDB_BAD_HANDLE);
        abort_txn(txn);
    }
    close_env(env);
}

static void a_closed_cursor_is_not_taken_for_a_later_one(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    zdb_cursor *old = open_cursor(txn, ZDB_MAIN_DB);
    close_cursor(old);
    for (unsigned i = 0; i < 100; i++) {
        zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
        CHECK(cursor != old);
        CHECK_ERROR(zdb_cursor_close(old), ZDB_BAD_HANDLE);
        close_cursor(cursor);
    }
    abort_txn(txn);
    close_env(env);
}

static void handles_of_a_closed_environment_are_refused(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    abort_txn(txn);
    close_env(env);
    zdb_env *other = open_env("other");
    zdb_txn *alive = begin_read(other);
    check_txn_calls(HERE, txn, ZDB_BAD_TXN, ZDB_BAD_HANDLE);
    check_cursor_calls(HERE, cursor, alive, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    abort_txn(alive);
    close_env(other);
    env = open_env("env");
    alive = begin_read(env);
    check_txn_calls(HERE, txn, ZDB_BAD_TXN, ZDB_BAD_HANDLE);
    check_cursor_calls(HERE, cursor, alive, ZDB_BAD_HANDLE, ZDB_BAD_HANDLE);
    abort_txn(alive);
    close_env(env);
}

static const struct test tests[] = {
    TEST(null_handles_are_refused),
    TEST(numbers_that_are_no_handles_are_refused),
    TEST(pointers_that_are_no_handles_are_refused),
    TEST(handles_of_another_kind_are_refused),
    TEST(a_closed_environment_is_refused),
    TEST(a_finished_transaction_is_refused),
    TEST(a_closed_cursor_is_refused),
    TEST(a_closed_environment_is_not_taken_for_a_later_one),
    TEST(a_finished_transaction_is_not_taken_for_a_later_one),
    TEST(a_closed_cursor_is_not_taken_for_a_later_one),
    TEST(handles_of_a_closed_environment_are_refused),
};

DEFINE_SUITE(handles, tests);
