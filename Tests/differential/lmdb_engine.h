/* The state of the LMDB side, shared by its two halves: apply_lmdb.c, apply_lmdb_cursors.c. */
#ifndef LMDB_ENGINE_H
#define LMDB_ENGINE_H

#include <lmdb.h>

#include "meant.h"

/* A handle of LMDB's is good for the transactions begun after the one that opened it has committed,
 * and is closed for all by a drop. */
enum handle_state {
    HANDLE_UNKNOWN, /* a write transaction can open it */
    HANDLE_ABSENT,  /* there is no such database */
    HANDLE_PRESENT
};

struct handle {
    enum handle_state state;
    MDB_dbi dbi;
};

struct lmdb_txn {
    MDB_txn *txn; /* NULL: not begun */
    bool is_reset;
    struct handle handles[DATABASES];
};

/* A cursor of ZeroDB's is nowhere, or at the place of an entry: on it while the entry is there, in
 * the gap it left otherwise. So the place is kept here. LMDB's own cursor is used for as long as it
 * is where it should be, and put there anew when it is not. */
struct lmdb_cursor {
    bool is_open, has_ended;
    unsigned txn, database;
    bool is_placed;
    unsigned char key[KEY_SIZE_MAX];
    unsigned char value[KEY_SIZE_MAX]; /* with duplicates only */
    size_t key_size, value_size;

    MDB_cursor *native; /* may be NULL */
    bool is_fresh;      /* native has never been moved */
    bool is_in_step;    /* native is on the entry at the place, and there was no write since */
};

struct lmdb {
    const struct setting *setting;
    char *path;
    MDB_env *env;
    struct handle committed[DATABASES];
    struct lmdb_txn txns[TRANSACTIONS];
    struct lmdb_cursor cursors[CURSORS + 1];
    unsigned char *values; /* the values that MULTIPLE operations return */
    size_t values_capacity;
};

static inline MDB_val lmdb_val(struct bytes bytes) {
    MDB_val val;
    val.mv_data = (void *)(uintptr_t)bytes.data;
    val.mv_size = bytes.size;
    return val;
}

static inline struct bytes bytes_of(MDB_val val) {
    struct bytes bytes = {val.mv_data, val.mv_size};
    return bytes;
}

/** The answer that a code means where it needs no further knowledge. */
void set_lmdb_code(struct result *result, int code);

/** The answer of a put: LMDB has one code for two errors. */
void set_lmdb_put_code(struct result *result, int code, uint32_t flags);

static inline void set_answer(struct result *result, enum answer answer) {
    result->answer = answer;
}

/** Finds the handle of a database in a transaction.
 *  @return ANSWER_OK, ANSWER_BAD_DATABASE, ANSWER_BAD_TRANSACTION, ANSWER_NONE. */
enum answer lmdb_handle(struct lmdb *lmdb, unsigned txn, unsigned database, MDB_dbi *dbi);

/** meant_of_put(), but ANSWER_NONE for a wrong size in an empty database: it does not matter
 *  whether the size that all had before is still known then. */
enum answer lmdb_meant_of_put(struct lmdb *lmdb, MDB_dbi dbi, const struct operation *operation);

/** Whether a level has a transaction nested in it that is open. */
static inline bool has_child(const struct lmdb *lmdb, unsigned txn) {
    return is_writer(txn) && txn + 1 < WRITER_LEVELS && lmdb->txns[txn + 1].txn != NULL;
}

void apply_to_lmdb_cursor(struct lmdb *lmdb, const struct operation *operation,
                          struct result *result);

/** Before a write to a database: takes LMDB's cursors away from those in write transactions, but
 *  not from the one that writes, if one does. */
void put_aside_cursors(struct lmdb *lmdb, unsigned database, const struct lmdb_cursor *writing);

/** Before the transaction ends, and LMDB frees its cursors. */
void end_cursors(struct lmdb *lmdb, unsigned txn);

/** After a read transaction was renewed. */
void renew_cursors(struct lmdb *lmdb, unsigned txn);

/** Before the environment closes. */
void close_cursors(struct lmdb *lmdb);

#endif /* LMDB_ENGINE_H */
