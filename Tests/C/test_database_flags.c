/* Random operations on databases with all combinations of flags, compared with a sorted list of
 * pairs: the pairs written, the place of every cursor after each write of another, ranks and
 * counts. */
#include <stdio.h>

#include "model_run.h"
#include "suites.h"

static void write_once(struct model_run *run, bool growing) {
    unsigned choice = run_random_below(run, 100);
    unsigned c = run_random_below(run, CURSORS);
    bool puts = choice < (growing ? 90u : 20u);
    if (puts) {
        switch (run_random_below(run, 20)) {
        case 0:
            run_put_multiple(run, c);
            break;
        case 1:
        case 2:
            run_put_current(run, c);
            break;
        default:
            run_put_one(run, c, run_random_below(run, 3) == 0);
        }
    } else if (choice == 99 && run_random_below(run, 20) == 0) {
        run_delete_range(run);
    } else if (run_random_below(run, 2) == 0) {
        run_delete_current(run, c);
    } else {
        run_delete_one(run);
    }
}

static void read_once(struct model_run *run) {
    static const zdb_cursor_op ops[] = {
        ZDB_FIRST,    ZDB_LAST,       ZDB_NEXT,     ZDB_PREV,     ZDB_NEXT_DUP,
        ZDB_PREV_DUP, ZDB_FIRST_DUP,  ZDB_LAST_DUP, ZDB_NEXT,     ZDB_NEXT_NODUP,
        ZDB_PREV,     ZDB_PREV_NODUP, ZDB_NEXT_DUP, ZDB_PREV_DUP, ZDB_GET_CURRENT};
    unsigned c = run_random_below(run, CURSORS), choice = run_random_below(run, 25);
    if (choice < 15) {
        run_move(run, c, ops[choice]);
    } else if (choice < 17) {
        run_seek(run, c);
    } else if (choice < 19) {
        run_get_multiple(run, c);
        run_get_multiple_before(run, c);
    } else if (choice == 19) {
        run_next_many(run, c);
    } else if (choice == 24) {
        run_prev_many(run, c);
    } else if (choice == 20) {
        run_rank_of_cursor(run, c);
        run_count_values(run, c);
    } else if (choice == 21) {
        run_set_rank(run, c);
    } else if (choice == 22) {
        run_rank_of_key(run);
        run_count_range(run);
    } else {
        run_get_many(run);
    }
}

static void open_cursors(struct model_run *run) {
    for (unsigned i = 0; i < CURSORS; i++) {
        run->cursors[i] = open_cursor(run->txn, run->db);
        run->places[i] = NOWHERE;
    }
}

static void close_cursors(struct model_run *run) {
    for (unsigned i = 0; i < CURSORS; i++) close_cursor(run->cursors[i]);
}

static void check_all_cursors(struct model_run *run) {
    for (unsigned i = 0; i < CURSORS; i++) run_move(run, i, ZDB_GET_CURRENT);
}

static void run_flags(zdb_env *env, uint32_t flags, uint32_t keys, uint32_t values,
                      unsigned steps) {
    static struct pair_model model;
    struct model_run run;
    memset(&run, 0, sizeof(run));
    model.count = 0;
    run.flags = flags;
    run.model = &model;
    run.keys = keys;
    run.values = values;
    run.random = 0x9e3779b97f4a7c15u + flags;
    run.txn = begin_write(env);
    char name[16];
    snprintf(name, sizeof(name), "%x", flags);
    run.db = create_with_flags(run.txn, name, flags);
    open_cursors(&run);
    for (unsigned step = 0; step < steps; step++) {
        write_once(&run, step / (steps / 4 + 1) % 2 == 0);
        read_once(&run);
        if (step % 8 == 0) check_all_cursors(&run);
        if (step % 64 == 0) run_check_statistics(&run);
        if (step % (steps / 3 + 1) == steps / 3) {
            close_cursors(&run);
            commit(run.txn);
            run.txn = begin_write(env);
            open_cursors(&run);
        }
    }
    close_cursors(&run);
    commit(run.txn);
    run.txn = begin_read(env);
    open_cursors(&run);
    for (unsigned step = 0; step < steps / 4; step++) read_once(&run);
    run_check_statistics(&run);
    close_cursors(&run);
    abort_txn(run.txn);
    expect_sound(env);
}

static void run_all_flags(bool with_duplicates, uint32_t keys, uint32_t values, unsigned steps) {
    zdb_env *env = open_env("env");
    for (size_t i = 0; i < flag_combination_count; i++) {
        if (((flag_combinations[i] & ZDB_DUPSORT) != 0) == with_duplicates) {
            run_flags(env, flag_combinations[i], keys, values, repetitions(steps));
        }
    }
    close_env(env);
}

static void databases_with_one_value_a_key_agree_with_a_list(void) {
    run_all_flags(false, 1500, 1000, 12000);
}

/* The values are few and inline. */
static void databases_with_few_values_a_key_agree_with_a_list(void) {
    run_all_flags(true, 100, 15, 6000);
}

/* The values grow from inline values to value trees and back. */
static void databases_with_many_values_a_key_agree_with_a_list(void) {
    run_all_flags(true, 3, 3000, 8000);
}

static const struct test tests[] = {
    TEST(databases_with_one_value_a_key_agree_with_a_list),
    TEST(databases_with_few_values_a_key_agree_with_a_list),
    TEST(databases_with_many_values_a_key_agree_with_a_list),
};

DEFINE_SUITE(database_flags, tests);
