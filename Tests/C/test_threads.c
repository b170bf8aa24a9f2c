/* Many threads in one environment. The tests count operations, not time: every thread does a
 * fixed number of them. */
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"
#include "support.h"

enum { READERS = 4, WRITERS = 4, OPENERS = 4 };

/* ------------------------------------------------------------------ accounts */

enum { ACCOUNTS = 200, OPENING_BALANCE = 1000 };

static zdb_val account_key(char buffer[KEY_BYTES], unsigned account) {
    return numbered(buffer, "account ", account);
}

static int64_t balance_of(zdb_txn *txn, unsigned account) {
    char key_text[KEY_BYTES];
    zdb_val key = account_key(key_text, account), value = nothing();
    int64_t balance = INT64_MIN;
    CHECK_CODE(zdb_get(txn, ZDB_MAIN_DB, &key, &value), ZDB_OK);
    if (value.size == sizeof(balance)) memcpy(&balance, value.data, sizeof(balance));
    return balance;
}

static void set_balance(zdb_txn *txn, unsigned account, int64_t balance) {
    char key_text[KEY_BYTES];
    zdb_val key = account_key(key_text, account), value = bytes(&balance, sizeof(balance));
    CHECK_CODE(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0), ZDB_OK);
}

static void open_accounts(zdb_env *env) {
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < ACCOUNTS; i++) set_balance(txn, i, OPENING_BALANCE);
    commit(txn);
}

/* Sums up twice, by gets and by a cursor: a snapshot gives the same sum both times. */
static void check_sums(zdb_txn *txn) {
    int64_t sum = 0;
    for (unsigned i = 0; i < ACCOUNTS; i++) sum += balance_of(txn, i);
    CHECK(sum == (int64_t)ACCOUNTS * OPENING_BALANCE);

    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    zdb_val value = nothing();
    unsigned count = 0;
    sum = 0;
    while (zdb_cursor_get(cursor, NULL, &value, ZDB_NEXT) == ZDB_OK) {
        int64_t balance = 0;
        if (value.size == sizeof(balance)) memcpy(&balance, value.data, sizeof(balance));
        sum += balance;
        count++;
    }
    CHECK(count == ACCOUNTS);
    CHECK(sum == (int64_t)ACCOUNTS * OPENING_BALANCE);
    close_cursor(cursor);
}

static void *read_with_new_transactions(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    for (unsigned i = 0; i < repetitions(300); i++) {
        zdb_txn *txn = begin_read(env);
        check_sums(txn);
        abort_txn(txn);
    }
    return NULL;
}

static void *read_with_renewed_transaction(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    zdb_txn *txn = begin_read(env);
    uint64_t id = zdb_txn_id(txn);
    for (unsigned i = 0; i < repetitions(300); i++) {
        check_sums(txn);
        REQUIRE_OK(zdb_txn_reset(txn));
        REQUIRE_OK(zdb_txn_renew(txn));
        CHECK(zdb_txn_id(txn) >= id);
        id = zdb_txn_id(txn);
    }
    abort_txn(txn);
    return NULL;
}

static void transfer(zdb_env *env, uint64_t *random) {
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < 10; i++) {
        unsigned from = (unsigned)(next_random(random) % ACCOUNTS);
        unsigned to = (unsigned)(next_random(random) % ACCOUNTS);
        int64_t amount = (int64_t)(next_random(random) % 100);
        set_balance(txn, from, balance_of(txn, from) - amount);
        set_balance(txn, to, balance_of(txn, to) + amount);
    }
    if (next_random(random) % 8 == 0) {
        abort_txn(txn);
    } else {
        commit(txn);
    }
}

static void *transfer_often(void *argument) {
    uint64_t random = 0x5eed0004;
    for (unsigned i = 0; i < repetitions(150); i++) transfer((zdb_env *)argument, &random);
    return NULL;
}

static void every_reader_sees_a_consistent_snapshot(void) {
    zdb_env *env = open_env("env");
    open_accounts(env);
    pthread_t writer = start_thread(transfer_often, env);
    pthread_t readers[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = start_thread(
            i % 2 == 0 ? read_with_new_transactions : read_with_renewed_transaction, env);
    }
    for (unsigned i = 0; i < READERS; i++) join_thread(readers[i]);
    join_thread(writer);
    zdb_txn *txn = begin_read(env);
    check_sums(txn);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

static void *count_up(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    for (unsigned i = 0; i < repetitions(50); i++) {
        zdb_txn *txn = begin_write(env);
        set_balance(txn, 0, balance_of(txn, 0) + 1);
        commit(txn);
    }
    return NULL;
}

static void writers_of_many_threads_take_turns(void) {
    zdb_env *env = open_env("env");
    open_accounts(env);
    pthread_t writers[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) writers[i] = start_thread(count_up, env);
    for (unsigned i = 0; i < WRITERS; i++) join_thread(writers[i]);
    zdb_txn *txn = begin_read(env);
    CHECK(balance_of(txn, 0) == (int64_t)(OPENING_BALANCE + WRITERS * repetitions(50)));
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

/* -------------------------------------------------- transactions across threads */

static void *finish_writer(void *argument) {
    zdb_txn *txn = (zdb_txn *)argument;
    put_text(txn, ZDB_MAIN_DB, "second", "from another thread");
    commit(txn);
    return NULL;
}

static void a_writer_may_change_its_thread(void) {
    zdb_env *env = open_env("env");
    zdb_txn *writer = begin_write(env);
    put_text(writer, ZDB_MAIN_DB, "first", "from this thread");
    join_thread(start_thread(finish_writer, writer));
    /* The lock went with the transaction: this thread may write again. */
    writer = begin_write(env);
    expect_text(writer, ZDB_MAIN_DB, "first", "from this thread");
    expect_text(writer, ZDB_MAIN_DB, "second", "from another thread");
    commit(writer);
    close_env(env);
}

static void *finish_reader(void *argument) {
    zdb_txn *txn = (zdb_txn *)argument;
    expect_text(txn, ZDB_MAIN_DB, "k", "v");
    abort_txn(txn);
    return NULL;
}

static void a_reader_may_change_its_thread(void) {
    zdb_env *env = open_env("env");
    zdb_txn *writer = begin_write(env);
    put_text(writer, ZDB_MAIN_DB, "k", "v");
    commit(writer);
    zdb_txn *reader = begin_read(env);
    expect_text(reader, ZDB_MAIN_DB, "k", "v");
    join_thread(start_thread(finish_reader, reader));
    close_env(env);
}

static void *leave_reader_behind(void *argument) {
    return begin_read((zdb_env *)argument);
}

static void a_reader_outlives_the_thread_that_began_it(void) {
    zdb_env *env = open_env("env");
    zdb_txn *writer = begin_write(env);
    put_numbered(writer, ZDB_MAIN_DB, 100);
    commit(writer);
    void *reader = NULL;
    pthread_t thread = start_thread(leave_reader_behind, env);
    REQUIRE(pthread_join(thread, &reader) == 0);
    for (unsigned i = 0; i < 20; i++) {
        writer = begin_write(env);
        put_text(writer, ZDB_MAIN_DB, "key00000007", "changed");
        commit(writer);
    }
    expect_numbered((zdb_txn *)reader, ZDB_MAIN_DB, 100);
    abort_txn((zdb_txn *)reader);
    close_env(env);
}

/* --------------------------------------- two threads in one write transaction */

struct intruder {
    zdb_txn *txn;
    unsigned id;
    unsigned done; /* puts that returned ZDB_OK, numbered from 0 */
};

/* Puts until enough puts have succeeded; the presence of the other thread is no failure. */
static void *put_in_shared_transaction(void *argument) {
    struct intruder *intruder = (struct intruder *)argument;
    unsigned wanted = repetitions(2000);
    while (intruder->done < wanted) {
        char key_text[KEY_BYTES], value_text[KEY_BYTES];
        zdb_val key = numbered(key_text, intruder->id == 0 ? "a" : "b", intruder->done);
        zdb_val value = numbered_value(value_text, intruder->done);
        int code = zdb_put(intruder->txn, ZDB_MAIN_DB, &key, &value, 0);
        CHECK_EITHER(code, ZDB_OK, ZDB_BUSY);
        if (code == ZDB_OK) intruder->done++;
    }
    return NULL;
}

static void two_threads_in_one_writer_do_it_no_harm(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    struct intruder intruders[2] = {{txn, 0, 0}, {txn, 1, 0}};
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = start_thread(put_in_shared_transaction, &intruders[i]);
    }
    for (unsigned i = 0; i < 2; i++) join_thread(threads[i]);
    commit(txn);

    txn = begin_read(env);
    CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), intruders[0].done + intruders[1].done);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    for (unsigned id = 0; id < 2; id++) {
        for (unsigned i = 0; i < intruders[id].done; i++) {
            char key_text[KEY_BYTES];
            numbered(key_text, id == 0 ? "a" : "b", i);
            expect_entry(cursor, ZDB_NEXT, key_text);
        }
    }
    expect_entry(cursor, ZDB_NEXT, NULL);
    close_cursor(cursor);
    abort_txn(txn);
    expect_sound(env);
    close_env(env);
}

/* When one thread ends the transaction first, the other learns of it. */
static void *put_until_the_end(void *argument) {
    zdb_txn *txn = (zdb_txn *)argument;
    for (unsigned i = 0;; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i % 1000), value = text("v");
        int code = zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0);
        if (code == ZDB_OK || code == ZDB_BUSY) continue;
        CHECK_EITHER(code, ZDB_BAD_TXN, ZDB_BAD_HANDLE);
        return NULL;
    }
}

static void ending_a_writer_under_another_thread_does_no_harm(void) {
    zdb_env *env = open_env("env");
    for (unsigned i = 0; i < repetitions(50); i++) {
        zdb_txn *txn = begin_write(env);
        pthread_t thread = start_thread(put_until_the_end, txn);
        int code;
        do {
            code = i % 2 == 0 ? zdb_txn_commit(txn) : zdb_txn_abort(txn);
        } while (code == ZDB_BUSY);
        CHECK_CODE(code, ZDB_OK);
        join_thread(thread);
    }
    expect_sound(env);
    close_env(env);
}

/* ------------------------------------------------------ opening and closing */

struct opener {
    pthread_barrier_t *start;
    zdb_env *env;
    int code;
};

static void *open_same_path(void *argument) {
    struct opener *opener = (struct opener *)argument;
    zdb_env_options options;
    default_options(&options);
    pthread_barrier_wait(opener->start);
    opener->code = zdb_env_open("env", &options, &opener->env);
    return NULL;
}

static void of_threads_that_open_one_path_one_succeeds(void) {
    /* Valgrind does not know that waiting for the lock of an open file description blocks, and
     * stops all threads while one waits for another. */
    if (tests_run_slowly()) return;
    for (unsigned round = 0; round < repetitions(20); round++) {
        pthread_barrier_t start;
        REQUIRE(pthread_barrier_init(&start, NULL, OPENERS) == 0);
        struct opener openers[OPENERS];
        pthread_t threads[OPENERS];
        for (unsigned i = 0; i < OPENERS; i++) {
            openers[i].start = &start;
            openers[i].env = NULL;
            openers[i].code = 0;
            threads[i] = start_thread(open_same_path, &openers[i]);
        }
        for (unsigned i = 0; i < OPENERS; i++) join_thread(threads[i]);
        unsigned opened = 0;
        for (unsigned i = 0; i < OPENERS; i++) {
            CHECK_EITHER(openers[i].code, ZDB_OK, ZDB_BUSY);
            if (openers[i].code == ZDB_OK) {
                opened++;
                close_env(openers[i].env);
            } else {
                CHECK(openers[i].env == NULL);
            }
        }
        CHECK_NUMBER(opened, 1);
        REQUIRE(pthread_barrier_destroy(&start) == 0);
    }
}

static void *open_own_path(void *argument) {
    const char *path = (const char *)argument;
    for (unsigned i = 0; i < repetitions(30); i++) {
        zdb_env *env = open_env(path);
        zdb_txn *txn = begin_write(env);
        put_text(txn, ZDB_MAIN_DB, "path", path);
        commit(txn);
        txn = begin_read(env);
        expect_text(txn, ZDB_MAIN_DB, "path", path);
        abort_txn(txn);
        close_env(env);
    }
    return NULL;
}

static void threads_open_and_close_environments_of_their_own(void) {
    static char paths[OPENERS][16];
    pthread_t threads[OPENERS];
    for (unsigned i = 0; i < OPENERS; i++) {
        snprintf(paths[i], sizeof(paths[i]), "env-%u", i);
        threads[i] = start_thread(open_own_path, paths[i]);
    }
    for (unsigned i = 0; i < OPENERS; i++) join_thread(threads[i]);
}

static void *read_until_closed(void *argument) {
    zdb_env *env = (zdb_env *)argument;
    for (;;) {
        zdb_txn *txn = NULL;
        int code = zdb_txn_begin(env, NULL, ZDB_RDONLY, &txn);
        if (code != ZDB_OK) {
            CHECK_CODE(code, ZDB_BAD_HANDLE);
            return NULL;
        }
        expect_text(txn, ZDB_MAIN_DB, "k", "v");
        abort_txn(txn);
    }
}

static void closing_while_readers_come_and_go_does_no_harm(void) {
    for (unsigned round = 0; round < repetitions(20); round++) {
        zdb_env *env = open_env("env");
        zdb_txn *txn = begin_write(env);
        put_text(txn, ZDB_MAIN_DB, "k", "v");
        commit(txn);
        pthread_t threads[2];
        for (unsigned i = 0; i < 2; i++) threads[i] = start_thread(read_until_closed, env);
        int code;
        while ((code = zdb_env_close(env)) == ZDB_BUSY) {
        }
        CHECK_CODE(code, ZDB_OK);
        for (unsigned i = 0; i < 2; i++) join_thread(threads[i]);
    }
}

/* ----------------------------------------------------------------- databases */

struct db_opener {
    zdb_env *env;
    zdb_db dbs[20];
};

static void *open_all_databases(void *argument) {
    struct db_opener *opener = (struct db_opener *)argument;
    zdb_txn *txn = begin_read(opener->env);
    for (unsigned i = 0; i < 20; i++) {
        char name[KEY_BYTES];
        numbered(name, "database ", i);
        opener->dbs[i] = open_db(txn, name);
        expect_text(txn, opener->dbs[i], "name", name);
    }
    abort_txn(txn);
    return NULL;
}

static void threads_that_open_one_database_get_one_handle(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < 20; i++) {
        char name[KEY_BYTES];
        numbered(name, "database ", i);
        put_text(txn, create_db(txn, name), "name", name);
    }
    commit(txn);
    close_env(env);

    env = open_env("env");
    struct db_opener openers[READERS];
    pthread_t threads[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        openers[i].env = env;
        threads[i] = start_thread(open_all_databases, &openers[i]);
    }
    for (unsigned i = 0; i < READERS; i++) join_thread(threads[i]);
    for (unsigned i = 1; i < READERS; i++) {
        CHECK(memcmp(openers[i].dbs, openers[0].dbs, sizeof(openers[0].dbs)) == 0);
    }
    close_env(env);
}

static void *verify_often(void *argument) {
    for (unsigned i = 0; i < repetitions(50); i++) expect_sound((zdb_env *)argument);
    return NULL;
}

static void verifying_while_a_writer_commits_finds_no_problem(void) {
    zdb_env *env = open_env("env");
    open_accounts(env);
    pthread_t writer = start_thread(transfer_often, env);
    pthread_t verifier = start_thread(verify_often, env);
    join_thread(verifier);
    join_thread(writer);
    expect_sound(env);
    close_env(env);
}

static const struct test tests[] = {
    TEST(every_reader_sees_a_consistent_snapshot),
    TEST(writers_of_many_threads_take_turns),
    TEST(a_writer_may_change_its_thread),
    TEST(a_reader_may_change_its_thread),
    TEST(a_reader_outlives_the_thread_that_began_it),
    TEST(two_threads_in_one_writer_do_it_no_harm),
    TEST(ending_a_writer_under_another_thread_does_no_harm),
    TEST(of_threads_that_open_one_path_one_succeeds),
    TEST(threads_open_and_close_environments_of_their_own),
    TEST(closing_while_readers_come_and_go_does_no_harm),
    TEST(threads_that_open_one_database_get_one_handle),
    TEST(verifying_while_a_writer_commits_finds_no_problem),
};

DEFINE_SUITE(threads, tests);
