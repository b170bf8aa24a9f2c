/* Draws the operations of a sequence. */
#ifndef GENERATE_H
#define GENERATE_H

#include "content.h"

/* The subject of most operations for a while. Draining deletes the duplicates of one key. */
enum phase { PHASE_GROW, PHASE_SHRINK, PHASE_BULK, PHASE_MIX, PHASE_READ, PHASE_DRAIN, PHASES };

struct drawn_cursor {
    bool is_open, has_ended;
    bool is_orphan, was_probed; /* its database has been dropped: one more call, then close it */
    unsigned txn, database;
};

struct drawn_txn {
    bool is_open, is_reset;
};

/* A key and a value, by their numbers. */
struct drawn_pair {
    unsigned key, value;
};

enum { REMEMBERED_PAIRS = 128 };

struct generator {
    const struct setting *setting;
    struct random random;
    struct content content[DATABASES];
    struct drawn_txn txns[TRANSACTIONS];
    struct drawn_cursor cursors[CURSORS];
    bool is_growing; /* grows more than it shrinks */
    enum phase phase;
    unsigned phase_left;
    unsigned focus_database, focus_key[DATABASES];
    unsigned next_key[DATABASES], next_value[DATABASES]; /* of rising keys and values */
    struct drawn_pair pairs[DATABASES][REMEMBERED_PAIRS]; /* that were put, to be drawn again */
    unsigned next_pair;
    bool is_missing[DATABASES]; /* may be missing: calls that need the database are not drawn */
    unsigned preload; /* puts left of those that the first transaction begins with */
    unsigned opening; /* steps left of opening all databases */
    bool is_closing;  /* only operations that end transactions and cursors */
    bool reopens;     /* when all has ended */
    unsigned char key[SIZE_BEYOND_ALL];
    unsigned char value[VALUE_SIZE_MAX];
    unsigned char multiple[MULTIPLE_MAX * KEY_SIZE_MAX];
};

void start_generator(struct generator *generator, const struct setting *setting);

/** Draws the next operation; its bytes are good until the next is drawn.
 *  @return false if it is closing, and all has ended. */
bool next_operation(struct generator *generator, struct operation *operation);

/** Notes the effects of an operation. */
void learn(struct generator *generator, const struct operation *operation, enum answer answer);

/** From now on, draws only operations that end transactions and cursors. */
void finish(struct generator *generator);

/** The innermost write transaction, or TRANSACTIONS. */
unsigned innermost_writer(const struct generator *generator);

/** Of generate_calls.c: a put without flags. */
void draw_plain_put(struct generator *generator, unsigned database, struct operation *operation);

/** Of generate_calls.c: one call with the data in a transaction or with a cursor. */
void draw_call(struct generator *generator, unsigned txn, struct operation *operation);
void draw_cursor_call(struct generator *generator, unsigned cursor, struct operation *operation);

#endif /* GENERATE_H */
