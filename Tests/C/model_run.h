/* A run of random operations on one database and on a sorted list of pairs, compared after each. */
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include "database_flags.h"
#include "pair_model.h"

/** Keys are numbered in threes, so that there is space between them. */
enum { KEY_STEP = 3, CURSORS = 6 };

/** One database, its model, and cursors with their expected places: on a pair, where a deleted
 *  pair was, or NOWHERE. */
struct model_run {
    uint32_t flags;
    zdb_txn *txn;
    zdb_db db;
    struct pair_model *model;
    zdb_cursor *cursors[CURSORS];
    pair_number places[CURSORS];
    uint32_t keys;
    uint32_t values; /* keys have values below this */
    uint64_t random;
    const char *doing;
};

/* ------------------------------------------------------------------ comparing */

bool run_has_duplicates(const struct model_run *run);
unsigned run_random_below(struct model_run *run, unsigned bound);
void run_expect_code(const struct model_run *run, int code, int expected);
void run_expect_key(const struct model_run *run, zdb_val found, pair_number pair);
void run_expect_value(const struct model_run *run, zdb_val found, pair_number pair);
/** Ends the test. */
void run_differs(const struct model_run *run, const char *what);
bool same_bytes(zdb_val found, zdb_val expected);

/* ------------------------------------------------- writes, of the cursor number c */

void run_put_one(struct model_run *run, unsigned c, bool through_cursor);
void run_put_current(struct model_run *run, unsigned c);
void run_put_multiple(struct model_run *run, unsigned c);
void run_delete_one(struct model_run *run);
void run_delete_current(struct model_run *run, unsigned c);
void run_delete_range(struct model_run *run);

/* -------------------------------------------------------------------- reads */

void run_move(struct model_run *run, unsigned c, zdb_cursor_op op);
void run_seek(struct model_run *run, unsigned c);
void run_get_multiple(struct model_run *run, unsigned c);
void run_get_multiple_before(struct model_run *run, unsigned c);
void run_next_many(struct model_run *run, unsigned c);
void run_prev_many(struct model_run *run, unsigned c);
void run_count_values(struct model_run *run, unsigned c);
void run_rank_of_cursor(struct model_run *run, unsigned c);
void run_set_rank(struct model_run *run, unsigned c);
void run_rank_of_key(struct model_run *run);
void run_count_range(struct model_run *run);
void run_get_many(struct model_run *run);
void run_check_statistics(struct model_run *run);

#endif /* MODEL_RUN_H */
