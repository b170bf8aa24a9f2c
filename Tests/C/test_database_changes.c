/* Databases as a whole: their flags, clearing, dropping, renaming, listing. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

/* Ends a process that still has its environment open, as a crash would. */
static void leave(void) {
    fflush(NULL);
    _exit(check_failures() == 0 ? 0 : 1);
}

static uint32_t flags_of(zdb_txn *txn, zdb_db db) {
    uint32_t flags = UINT32_MAX;
    REQUIRE_OK(zdb_db_flags(txn, db, &flags));
    return flags;
}

/* --------------------------------------------------------------------- flags */

static void the_flags_of_a_database_are_recorded_and_compared(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db;
    zdb_db counted = open_db_at(HERE, txn, "counted", ZDB_CREATE | ZDB_COUNTED);
    zdb_db plain = create_db(txn, "plain");
    CHECK_NUMBER(flags_of(txn, counted), ZDB_COUNTED);
    CHECK_NUMBER(flags_of(txn, plain), 0);
    commit(txn);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    CHECK_NUMBER(flags_of(txn, open_db(txn, "counted")), ZDB_COUNTED);
    CHECK_CODE(zdb_db_open(txn, "counted", ZDB_COUNTED, &db), ZDB_OK);
    CHECK_ERROR(zdb_db_open(txn, "counted", ZDB_REVERSEKEY, &db), ZDB_INCOMPATIBLE);
    CHECK_CONTAINS(zdb_last_error(), "\"counted\" is of counts");
    CHECK_CONTAINS(zdb_last_error(), "of keys in reverse order");
    CHECK_ERROR(zdb_db_open(txn, "plain", ZDB_COUNTED, &db), ZDB_INCOMPATIBLE);
    CHECK_CONTAINS(zdb_last_error(), "\"plain\" is plain");
    zdb_db_stat stat;
    get_stat(txn, open_db(txn, "counted"), &stat);
    CHECK_NUMBER(stat.flags, ZDB_COUNTED);
    CHECK_NUMBER(stat.reserved, 0);
    abort_txn(txn);
    close_env(env);
}

static void flags_that_do_not_go_together_are_refused(void) {
    static const uint32_t wrong[] = {
        ZDB_REVERSEKEY | ZDB_INTEGERKEY,
        ZDB_DUPFIXED,
        ZDB_INTEGERDUP,
        ZDB_REVERSEDUP,
        ZDB_DUPSORT | ZDB_INTEGERDUP,
        ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_INTEGERDUP | ZDB_REVERSEDUP,
    };
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK_ERROR(zdb_db_open(txn, "n", ZDB_CREATE | wrong[i], &db), ZDB_INCOMPATIBLE);
        CHECK_CONTAINS(zdb_last_error(), "ZDB_");
        CHECK_ERROR(zdb_db_open(txn, NULL, ZDB_CREATE | wrong[i], &db), ZDB_INCOMPATIBLE);
    }
    CHECK_ERROR(zdb_db_open(txn, "n", ZDB_CREATE | 0x100u, &db), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_open(txn, "n", 0, &db), ZDB_NOT_FOUND);
    put_text(txn, create_db(txn, "n"), "k", "v");
    commit(txn);
    close_env(env);
}

static void a_plain_and_empty_main_database_can_be_given_flags(void) {
    zdb_env *env = open_env("env");
    zdb_db db;
    zdb_txn *txn = begin_read(env);
    CHECK_ERROR(zdb_db_open(txn, NULL, ZDB_CREATE | ZDB_COUNTED, &db), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_db_open(txn, NULL, ZDB_COUNTED, &db), ZDB_INCOMPATIBLE);
    abort_txn(txn);
    txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    CHECK_ERROR(zdb_db_open(txn, NULL, ZDB_CREATE | ZDB_COUNTED, &db), ZDB_INCOMPATIBLE);
    delete_text(txn, ZDB_MAIN_DB, "k");
    CHECK_CODE(zdb_db_open(txn, NULL, ZDB_CREATE | ZDB_COUNTED, &db), ZDB_OK);
    CHECK_NUMBER(flags_of(txn, ZDB_MAIN_DB), ZDB_COUNTED);
    CHECK_ERROR(zdb_db_open(txn, NULL, ZDB_CREATE | ZDB_DUPSORT, &db), ZDB_INCOMPATIBLE);
    commit(txn);
    close_env(env);
    env = open_env("env");
    txn = begin_read(env);
    CHECK_NUMBER(flags_of(txn, ZDB_MAIN_DB), ZDB_COUNTED);
    CHECK_CODE(zdb_db_open(txn, NULL, 0, &db), ZDB_OK);
    abort_txn(txn);
    close_env(env);
}

/* --------------------------------------------------------------- clear, drop */

enum { COUNT = 3000, LARGE = 20000 };

/* Small entries, and a few in overflow runs. */
static void fill(zdb_txn *txn, zdb_db db) {
    put_numbered(txn, db, COUNT);
    for (unsigned i = 0; i < 5; i++) {
        char key_text[KEY_BYTES];
        void *memory = new_pattern(LARGE, i);
        zdb_val key = numbered(key_text, "large", i), value = bytes(memory, LARGE);
        REQUIRE_OK(zdb_put(txn, db, &key, &value, 0));
        free(memory);
    }
}

static void expect_filled(zdb_txn *txn, zdb_db db) {
    CHECK_NUMBER(entries(txn, db), COUNT + 5);
    for (unsigned i = 0; i < 5; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "large", i), value = nothing();
        REQUIRE_OK(zdb_get(txn, db, &key, &value));
        CHECK_NUMBER(value.size, LARGE);
        CHECK(has_pattern(value.data, value.size, i));
    }
    for (unsigned i = 0; i < COUNT; i += 100) {
        char key_text[KEY_BYTES], value_text[KEY_BYTES];
        numbered(key_text, "key", i);
        numbered_value(value_text, i);
        expect_text(txn, db, key_text, value_text);
    }
}

static void a_cleared_database_is_empty_and_can_be_used_on(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_db(txn, "n");
    fill(txn, db);
    fill(txn, ZDB_MAIN_DB);
    commit(txn);

    zdb_txn *reader = begin_read(env);
    txn = begin_write(env);
    zdb_cursor *cursor = open_cursor(txn, db);
    expect_entry(cursor, ZDB_FIRST, "key00000000");
    REQUIRE_OK(zdb_db_clear(txn, db));
    REQUIRE_OK(zdb_db_clear(txn, db));
    CHECK_NUMBER(entries(txn, db), 0);
    expect_absent(txn, db, "key00000001");
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_GET_CURRENT), ZDB_BAD_CURSOR);
    expect_entry(cursor, ZDB_NEXT, NULL);
    put_text(txn, db, "new", "1");
    expect_entry(cursor, ZDB_NEXT, "new");
    close_cursor(cursor);
    REQUIRE_OK(zdb_db_clear(txn, ZDB_MAIN_DB));
    commit(txn);

    expect_filled(reader, db);
    expect_filled(reader, ZDB_MAIN_DB);
    abort_txn(reader);
    txn = begin_read(env);
    CHECK_NUMBER(entries(txn, db), 1);
    expect_text(txn, db, "new", "1");
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 0);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void a_dropped_database_is_gone_for_later_snapshots_only(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_db(txn, "n");
    fill(txn, db);
    commit(txn);

    zdb_txn *reader = begin_read(env);
    expect_text(reader, db, "key00000001", "value of 00000001");
    txn = begin_write(env);
    REQUIRE_OK(zdb_db_drop(txn, db));
    zdb_val key = text("key00000001"), value = nothing();
    zdb_db again;
    CHECK_ERROR(zdb_get(txn, db, &key, &value), ZDB_BAD_DB);
    CHECK_ERROR(zdb_db_drop(txn, db), ZDB_BAD_DB);
    CHECK_ERROR(zdb_db_open(txn, "n", 0, &again), ZDB_NOT_FOUND);
    commit(txn);

    expect_filled(reader, db);
    abort_txn(reader);
    txn = begin_read(env);
    CHECK_ERROR(zdb_get(txn, db, &key, &value), ZDB_BAD_DB);
    CHECK_ERROR(zdb_db_open(txn, "n", 0, &again), ZDB_NOT_FOUND);
    abort_txn(txn);
    expect_sound(env);

    txn = begin_write(env);
    CHECK_NUMBER(create_db(txn, "n"), db);
    CHECK_NUMBER(entries(txn, db), 0);
    put_text(txn, db, "k", "anew");
    commit(txn);
    txn = begin_read(env);
    expect_text(txn, db, "k", "anew");
    abort_txn(txn);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.databases, 1);
    close_env(env);
}

static void an_abort_takes_back_what_was_done_to_databases(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db one = create_db(txn, "one"), two = create_db(txn, "two");
    zdb_db three = create_db(txn, "three");
    fill(txn, one);
    fill(txn, two);
    fill(txn, three);
    commit(txn);
    txn = begin_write(env);
    zdb_db renamed;
    REQUIRE_OK(zdb_db_drop(txn, one));
    REQUIRE_OK(zdb_db_clear(txn, two));
    REQUIRE_OK(zdb_db_rename(txn, three, "four", &renamed));
    create_db(txn, "five");
    abort_txn(txn);
    txn = begin_read(env);
    expect_filled(txn, one);
    expect_filled(txn, two);
    expect_filled(txn, three);
    zdb_db db;
    CHECK_ERROR(zdb_db_open(txn, "four", 0, &db), ZDB_NOT_FOUND);
    CHECK_ERROR(zdb_db_open(txn, "five", 0, &db), ZDB_NOT_FOUND);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void the_pages_of_dropped_databases_are_used_again(void) {
    zdb_env *env = open_env("env");
    zdb_info info;
    uint64_t pages = 0;
    for (unsigned round = 0; round < 12; round++) {
        zdb_txn *txn = begin_write(env);
        zdb_db db = create_db(txn, "n");
        fill(txn, db);
        commit(txn);
        txn = begin_write(env);
        if (round % 2 == 0) {
            REQUIRE_OK(zdb_db_drop(txn, db));
        } else {
            REQUIRE_OK(zdb_db_clear(txn, db));
        }
        commit(txn);
        REQUIRE_OK(zdb_env_checkpoint(env));
        get_info(env, &info);
        if (round == 2) pages = info.page_count;
    }
    CHECK(info.page_count <= pages + 20);
    expect_sound(env);
    close_env(env);
}

/* --------------------------------------------------------------------- rename */

static void a_renamed_database_is_found_under_its_new_name(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db old = open_db_at(HERE, txn, "old", ZDB_CREATE | ZDB_COUNTED);
    zdb_db other = create_db(txn, "other");
    fill(txn, old);
    put_text(txn, other, "k", "other");
    commit(txn);
    zdb_txn *reader = begin_read(env);
    txn = begin_write(env);
    zdb_db new_db = UINT32_MAX;
    CHECK_ERROR(zdb_db_rename(txn, old, "other", &new_db), ZDB_KEYEXIST);
    CHECK_ERROR(zdb_db_rename(txn, old, "old", &new_db), ZDB_KEYEXIST);
    CHECK_NUMBER(new_db, UINT32_MAX);
    REQUIRE_OK(zdb_db_rename(txn, old, "new", &new_db));
    CHECK(new_db != old);
    zdb_val key = text("k"), value = nothing();
    CHECK_ERROR(zdb_get(txn, old, &key, &value), ZDB_BAD_DB);
    expect_filled(txn, new_db);
    REQUIRE_OK(zdb_db_rename(txn, other, "old", NULL));
    expect_text(txn, old, "k", "other");
    commit(txn);
    expect_filled(reader, old);
    CHECK_ERROR(zdb_db_open(reader, "new", 0, &new_db), ZDB_NOT_FOUND);
    abort_txn(reader);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    new_db = open_db(txn, "new");
    CHECK_NUMBER(flags_of(txn, new_db), ZDB_COUNTED);
    expect_filled(txn, new_db);
    expect_text(txn, open_db(txn, "old"), "k", "other");
    CHECK_ERROR(zdb_db_open(txn, "other", 0, &old), ZDB_NOT_FOUND);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

/* ----------------------------------------------------------------------- list */

struct listing {
    char names[256];
    uint64_t entries;
    unsigned calls;
    unsigned stop_after;
    zdb_txn *txn;
};

static int note(void *context, const char *name, const zdb_db_stat *stat) {
    struct listing *listing = (struct listing *)context;
    strcat(listing->names, name);
    strcat(listing->names, " ");
    CHECK_NUMBER(stat->struct_size, sizeof(*stat));
    listing->entries += stat->entries;
    listing->calls++;
    if (listing->txn != NULL) {
        zdb_db db = open_db(listing->txn, name);
        CHECK_NUMBER(entries(listing->txn, db), stat->entries);
    }
    return listing->stop_after != 0 && listing->calls == listing->stop_after ? 77 : 0;
}

static struct listing list(zdb_txn *txn, unsigned stop_after, int expected) {
    struct listing listing;
    memset(&listing, 0, sizeof(listing));
    listing.stop_after = stop_after;
    listing.txn = txn;
    CHECK_NUMBER((unsigned)zdb_db_list(txn, note, &listing), (unsigned)expected);
    return listing;
}

static void databases_are_listed_in_the_order_of_their_names(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    CHECK_TEXT(list(txn, 0, ZDB_OK).names, "");
    put_text(txn, create_db(txn, "m"), "k", "v");
    create_db(txn, "z");
    create_db(txn, "aa");
    CHECK_TEXT(list(txn, 0, ZDB_OK).names, "aa m z ");
    commit(txn);
    zdb_txn *reader = begin_read(env);
    txn = begin_write(env);
    REQUIRE_OK(zdb_db_drop(txn, open_db(txn, "z")));
    REQUIRE_OK(zdb_db_rename(txn, open_db(txn, "aa"), "q", NULL));
    put_numbered(txn, create_db(txn, "b"), 10);
    struct listing listing = list(txn, 0, ZDB_OK);
    CHECK_TEXT(listing.names, "b m q ");
    CHECK_NUMBER(listing.entries, 11);
    commit(txn);
    CHECK_TEXT(list(reader, 0, ZDB_OK).names, "aa m z ");
    abort_txn(reader);
    txn = begin_read(env);
    CHECK_TEXT(list(txn, 0, ZDB_OK).names, "b m q ");
    CHECK_TEXT(list(txn, 2, 77).names, "b m ");
    abort_txn(txn);
    close_env(env);
}

/* ---------------------------------------------------------------------- crash */

static void change_and_leave(void *argument) {
    (void)argument;
    zdb_env *env = open_env_to_leave("env");
    zdb_txn *txn = begin_write(env);
    zdb_db a = open_db(txn, "a"), b = open_db(txn, "b"), c = open_db(txn, "c");
    zdb_db renamed, main_db;
    /* Databases that are dropped and made again, renamed to the name of a dropped one, cleared
     * and put to. */
    REQUIRE_OK(zdb_db_drop(txn, a));
    create_db(txn, "a");
    put_text(txn, a, "k", "a anew");
    REQUIRE_OK(zdb_db_drop(txn, b));
    REQUIRE_OK(zdb_db_rename(txn, a, "b", &renamed));
    CHECK_NUMBER(renamed, b);
    put_text(txn, b, "l", "after renaming");
    REQUIRE_OK(zdb_db_clear(txn, c));
    put_text(txn, c, "k", "after clearing");
    zdb_db d = open_db_at(HERE, txn, "d", ZDB_CREATE | ZDB_COUNTED);
    put_text(txn, d, "k", "d");
    REQUIRE_OK(zdb_db_rename(txn, d, "e", &renamed));
    put_text(txn, create_db(txn, "d"), "k", "another d");
    commit(txn);
    txn = begin_write(env);
    REQUIRE_OK(zdb_db_clear(txn, ZDB_MAIN_DB));
    REQUIRE_OK(zdb_db_open(txn, NULL, ZDB_CREATE | ZDB_COUNTED, &main_db));
    REQUIRE_OK(zdb_db_drop(txn, open_db(txn, "d")));
    commit(txn);
    leave();
}

static void changes_to_databases_are_replayed_from_the_log(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    fill(txn, ZDB_MAIN_DB);
    fill(txn, create_db(txn, "a"));
    fill(txn, create_db(txn, "b"));
    fill(txn, create_db(txn, "c"));
    commit(txn);
    close_env(env);
    run_in_process(change_and_leave, NULL);

    env = open_env("env");
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.recovered_records, 2);
    txn = begin_read(env);
    CHECK_TEXT(list(txn, 0, ZDB_OK).names, "b c e ");
    zdb_db b = open_db(txn, "b"), c = open_db(txn, "c"), e = open_db(txn, "e");
    expect_text(txn, b, "k", "a anew");
    expect_text(txn, b, "l", "after renaming");
    CHECK_NUMBER(entries(txn, b), 2);
    expect_text(txn, c, "k", "after clearing");
    CHECK_NUMBER(entries(txn, c), 1);
    expect_text(txn, e, "k", "d");
    CHECK_NUMBER(flags_of(txn, e), ZDB_COUNTED);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 0);
    CHECK_NUMBER(flags_of(txn, ZDB_MAIN_DB), ZDB_COUNTED);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

/* ------------------------------------------------------------------ wrong use */

static void wrong_calls_are_refused_and_leave_the_transaction_usable(void) {
    static char long_name[513];
    memset(long_name, 'n', 512);
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db db = create_db(txn, "n");
    put_text(txn, db, "k", "v");
    commit(txn);

    txn = begin_read(env);
    CHECK_ERROR(zdb_db_clear(txn, db), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_db_drop(txn, db), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_db_rename(txn, db, "m", NULL), ZDB_READ_ONLY);
    CHECK_ERROR(zdb_db_list(txn, NULL, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_flags(txn, db, NULL), ZDB_BAD_ARGUMENT);
    uint32_t flags;
    CHECK_ERROR(zdb_db_flags(txn, 99, &flags), ZDB_BAD_DB);
    expect_text(txn, db, "k", "v");
    abort_txn(txn);

    txn = begin_write(env);
    CHECK_ERROR(zdb_db_drop(txn, ZDB_MAIN_DB), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_db_rename(txn, ZDB_MAIN_DB, "m", NULL), ZDB_INCOMPATIBLE);
    CHECK_ERROR(zdb_db_clear(txn, 99), ZDB_BAD_DB);
    CHECK_ERROR(zdb_db_drop(txn, 99), ZDB_BAD_DB);
    CHECK_ERROR(zdb_db_rename(txn, 99, "m", NULL), ZDB_BAD_DB);
    CHECK_ERROR(zdb_db_rename(txn, db, NULL, NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_rename(txn, db, "", NULL), ZDB_BAD_ARGUMENT);
    CHECK_ERROR(zdb_db_rename(txn, db, long_name, NULL), ZDB_BAD_ARGUMENT);
    put_text(txn, db, "l", "w");
    commit(txn);
    txn = begin_read(env);
    expect_text(txn, db, "k", "v");
    expect_text(txn, db, "l", "w");
    CHECK_TEXT(list(txn, 0, ZDB_OK).names, "n ");
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void a_transaction_knows_its_environment(void) {
    zdb_env *env = open_env("env"), *other = open_env("other");
    zdb_txn *txn = begin_write(env), *reader = begin_read(other);
    CHECK(zdb_txn_env(txn) == env);
    CHECK(zdb_txn_env(reader) == other);
    abort_txn(txn);
    CHECK(zdb_txn_env(txn) == NULL);
    CHECK_NUMBER((unsigned)zdb_last_error_code(), (unsigned)ZDB_BAD_HANDLE);
    CHECK(zdb_txn_env(NULL) == NULL);
    abort_txn(reader);
    close_env(other);
    close_env(env);
}

static const struct test tests[] = {
    TEST(the_flags_of_a_database_are_recorded_and_compared),
    TEST(flags_that_do_not_go_together_are_refused),
    TEST(a_plain_and_empty_main_database_can_be_given_flags),
    TEST(a_cleared_database_is_empty_and_can_be_used_on),
    TEST(a_dropped_database_is_gone_for_later_snapshots_only),
    TEST(an_abort_takes_back_what_was_done_to_databases),
    TEST(the_pages_of_dropped_databases_are_used_again),
    TEST(a_renamed_database_is_found_under_its_new_name),
    TEST(databases_are_listed_in_the_order_of_their_names),
    TEST(changes_to_databases_are_replayed_from_the_log),
    TEST(wrong_calls_are_refused_and_leave_the_transaction_usable),
    TEST(a_transaction_knows_its_environment),
};

DEFINE_SUITE(database_changes, tests);
