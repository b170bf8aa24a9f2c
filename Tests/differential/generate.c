/* Chooses the next transaction, database or cursor; generate_calls.c draws the call. */
#include <string.h>

#include "generate.h"

unsigned innermost_writer(const struct generator *generator) {
    for (unsigned level = WRITER_LEVELS; level-- > 0;) {
        if (generator->txns[level].is_open) return level;
    }
    return TRANSACTIONS;
}

void start_generator(struct generator *generator, const struct setting *setting) {
    memset(generator, 0, sizeof(*generator));
    generator->setting = setting;
    generator->random = random_of(setting->seed);
    for (unsigned i = 0; i < setting->databases; i++) {
        generator->content[i] =
            choose_content(&generator->random, &setting->database[i], draw(&generator->random));
        generator->next_key[i] = generator->content[i].keys;
        generator->next_value[i] = generator->content[i].values;
    }
    /* Trees of several levels, now and then. */
    if (percent(&generator->random, 25)) {
        unsigned most = percent(&generator->random, 70) ? 1500 : 6000;
        generator->preload = below(&generator->random, most);
    }
    generator->is_growing = percent(&generator->random, 50);
    generator->opening = setting->databases + 2;
}

void finish(struct generator *generator) {
    generator->is_closing = true;
    generator->reopens = false;
    generator->opening = 0;
}

/* --------------------------------------------------- beginnings and endings */

/* A write transaction that opens all databases, and makes those that are not there. */
static void draw_opening(struct generator *generator, struct operation *operation) {
    unsigned databases = generator->setting->databases;
    if (generator->opening == 1 && generator->preload > 0) {
        generator->preload--;
        operation->txn = 0;
        draw_plain_put(generator, below(&generator->random, databases), operation);
        return;
    }
    unsigned step = databases + 2 - generator->opening--;
    operation->txn = 0;
    if (step == 0) {
        operation->action = TXN_BEGIN;
    } else if (step <= databases) {
        operation->action = DB_OPEN;
        operation->database = step - 1;
        operation->flags = generator->setting->database[step - 1].flags | ZDB_CREATE;
    } else {
        operation->action = TXN_COMMIT;
    }
}

static bool draw_closing(struct generator *generator, struct operation *operation) {
    for (unsigned i = 0; i < CURSORS; i++) {
        if (!generator->cursors[i].is_open) continue;
        operation->action = CURSOR_CLOSE;
        operation->cursor = i;
        operation->txn = generator->cursors[i].txn;
        operation->database = generator->cursors[i].database;
        return true;
    }
    for (unsigned i = TRANSACTIONS; i-- > 0;) {
        if (!generator->txns[i].is_open) continue;
        operation->action = percent(&generator->random, 80) ? TXN_COMMIT : TXN_ABORT;
        operation->txn = i;
        return true;
    }
    if (!generator->reopens) return false;
    generator->is_closing = generator->reopens = false;
    operation->action = ENV_REOPEN;
    return true;
}

static bool draw_orphan(struct generator *generator, struct operation *operation) {
    for (unsigned i = 0; i < CURSORS; i++) {
        struct drawn_cursor *cursor = &generator->cursors[i];
        if (!cursor->is_open || !cursor->is_orphan) continue;
        operation->action = cursor->was_probed ? CURSOR_CLOSE : CURSOR_GET;
        operation->flags = ZDB_NEXT;
        operation->cursor = i;
        operation->txn = cursor->txn;
        operation->database = cursor->database;
        cursor->was_probed = true;
        return true;
    }
    return false;
}

static bool draw_writer(struct generator *generator, struct operation *operation) {
    struct random *random = &generator->random;
    unsigned level = innermost_writer(generator);
    if (level == TRANSACTIONS) {
        if (!percent(random, 40)) return false;
        operation->action = TXN_BEGIN;
        operation->txn = 0;
        return true;
    }
    if (level + 1 < WRITER_LEVELS && once_in(random, 120)) {
        operation->action = TXN_BEGIN;
        operation->txn = level + 1;
        return true;
    }
    if (!once_in(random, level > 0 ? 60 : 180)) return false;
    operation->action = percent(random, level > 0 ? 70 : 85) ? TXN_COMMIT : TXN_ABORT;
    /* Sometimes the wrong one: a parent's end is refused. */
    operation->txn = level > 0 && percent(random, 5) ? below(random, level) : level;
    return true;
}

static bool draw_reader(struct generator *generator, struct operation *operation) {
    struct random *random = &generator->random;
    if (!once_in(random, 40)) return false;
    unsigned slot = WRITER_LEVELS + below(random, READERS);
    const struct drawn_txn *txn = &generator->txns[slot];
    operation->txn = slot;
    if (!txn->is_open) {
        operation->action = TXN_BEGIN;
    } else if (txn->is_reset) {
        operation->action = percent(random, 70) ? TXN_RENEW : TXN_ABORT;
    } else {
        if (!percent(random, 40)) return false;
        operation->action = percent(random, 50)   ? TXN_RESET
                            : percent(random, 50) ? TXN_ABORT
                                                  : TXN_COMMIT;
    }
    return true;
}

static bool draw_environment(struct generator *generator, struct operation *operation) {
    struct random *random = &generator->random;
    if (once_in(random, 2000)) {
        operation->action = ENV_CHECKPOINT;
        return true;
    }
    if (once_in(random, 6000)) {
        generator->is_closing = generator->reopens = true;
        return draw_closing(generator, operation);
    }
    return false;
}

/* --------------------------------------------------------------- databases */

/* Flags that are not those of the database. */
static uint32_t other_flags(struct random *random, uint32_t flags) {
    static const uint32_t changes[] = {ZDB_DUPSORT, ZDB_REVERSEKEY, ZDB_INTEGERKEY};
    uint32_t other = flags ^ changes[below(random, 3)];
    return other & ZDB_DUPSORT ? other : other & (ZDB_REVERSEKEY | ZDB_INTEGERKEY);
}

static void draw_open(struct generator *generator, unsigned txn, struct operation *operation) {
    struct random *random = &generator->random;
    unsigned database = below(random, generator->setting->databases);
    uint32_t flags = generator->setting->database[database].flags;
    operation->action = DB_OPEN;
    operation->txn = txn;
    operation->database = database;
    operation->flags = percent(random, 50) ? flags : 0;
    if (percent(random, 15)) {
        operation->database = NO_DATABASE;
        operation->flags = is_writer(txn) || percent(random, 50) ? 0 : ZDB_CREATE;
    } else if (percent(random, 15)) {
        operation->flags = other_flags(random, flags);
    } else if (percent(random, 5)) {
        operation->flags = ZDB_DUPFIXED;
    } else if (percent(random, 50)) {
        operation->flags = flags | ZDB_CREATE;
    }
}

static bool draw_database(struct generator *generator, struct operation *operation) {
    struct random *random = &generator->random;
    unsigned level = innermost_writer(generator);
    unsigned database = below(random, generator->setting->databases);
    if (level != TRANSACTIONS && generator->is_missing[database] && percent(random, 5)) {
        operation->action = DB_OPEN;
        operation->txn = level;
        operation->database = database;
        operation->flags = generator->setting->database[database].flags | ZDB_CREATE;
        return true;
    }
    if (!once_in(random, 150)) return false;
    unsigned txn = level != TRANSACTIONS && percent(random, 80)
                       ? level
                       : WRITER_LEVELS + below(random, READERS);
    if (!generator->txns[txn].is_open || generator->txns[txn].is_reset) return false;
    if (percent(random, 60)) {
        draw_open(generator, txn, operation);
        return true;
    }
    if (!percent(random, generator->is_growing ? 2 : 8)) return false;
    operation->txn = txn;
    operation->database = database;
    /* A drop in a nested transaction that aborts leaves LMDB without a handle that has the parent's
     * changes. A reader is refused both; the error for the main database does not matter. */
    bool may_drop = txn == 0 || (!is_writer(txn) && generator->setting->database[0].name != NULL);
    operation->action = may_drop && percent(random, 40) ? DB_DROP : DB_CLEAR;
    return true;
}

/* ---------------------------------------------------------------- cursors */

static bool draw_cursor(struct generator *generator, struct operation *operation) {
    struct random *random = &generator->random;
    unsigned index = below(random, CURSORS);
    const struct drawn_cursor *cursor = &generator->cursors[index];
    unsigned level = innermost_writer(generator);
    unsigned txn = level != TRANSACTIONS && percent(random, 80)
                       ? level
                       : WRITER_LEVELS + below(random, READERS);
    operation->cursor = index;
    if (!cursor->is_open) {
        if (!generator->txns[txn].is_open) return false;
        operation->action = CURSOR_OPEN;
        operation->txn = txn;
        operation->database = percent(random, 70) ? generator->focus_database
                                                  : below(random, generator->setting->databases);
        return true;
    }
    operation->database = cursor->database;
    operation->txn = cursor->txn;
    bool is_parents = is_writer(cursor->txn) && cursor->txn != level && !cursor->has_ended;
    bool is_idle = cursor->has_ended || generator->txns[cursor->txn].is_reset;
    if (once_in(random, is_idle ? 3 : 60)) {
        if (is_parents) return false;
        operation->action = CURSOR_CLOSE;
        bool can_renew = generator->txns[txn].is_open && !generator->txns[txn].is_reset;
        if (can_renew && percent(random, 60)) {
            operation->action = CURSOR_RENEW;
            operation->txn = txn;
        }
        return true;
    }
    if ((is_parents || is_idle) && !percent(random, 10)) return false;
    draw_cursor_call(generator, index, operation);
    return true;
}

static void draw_phase(struct generator *generator) {
    struct random *random = &generator->random;
    static const enum phase growing[] = {PHASE_GROW, PHASE_BULK, PHASE_GROW, PHASE_BULK,
                                         PHASE_MIX,  PHASE_READ, PHASE_DRAIN};
    generator->phase =
        generator->is_growing ? growing[below(random, 7)] : (enum phase)below(random, PHASES);
    generator->phase_left = between(random, 100, 1500);
    generator->focus_database = below(random, generator->setting->databases);
    if (generator->phase == PHASE_READ) generator->phase_left /= 3;
    if (generator->phase == PHASE_DRAIN) {
        if (has_duplicates(&generator->setting->database[generator->focus_database])) {
            generator->phase_left *= 3;
        } else {
            generator->phase = PHASE_SHRINK;
        }
    }
    for (unsigned i = 0; i < generator->setting->databases; i++) {
        generator->focus_key[i] = below(random, generator->content[i].keys);
    }
}

/* The transaction of a call: mostly the writer, sometimes a reader, rarely a parent. */
static unsigned draw_txn(struct generator *generator) {
    struct random *random = &generator->random;
    unsigned level = innermost_writer(generator);
    if (level != TRANSACTIONS && percent(random, 85)) {
        return level > 0 && once_in(random, 50) ? below(random, level) : level;
    }
    return WRITER_LEVELS + below(random, READERS);
}

bool next_operation(struct generator *generator, struct operation *operation) {
    for (;;) {
        memset(operation, 0, sizeof(*operation));
        operation->txn = TRANSACTIONS;
        if (generator->opening > 0) {
            draw_opening(generator, operation);
            return true;
        }
        if (draw_orphan(generator, operation)) return true;
        if (generator->is_closing) return draw_closing(generator, operation);
        if (generator->phase_left == 0) draw_phase(generator);
        if (draw_environment(generator, operation) || draw_writer(generator, operation) ||
            draw_reader(generator, operation) || draw_database(generator, operation)) {
            return true;
        }
        generator->phase_left--;
        if (percent(&generator->random, 65)) {
            if (draw_cursor(generator, operation)) return true;
            continue;
        }
        unsigned txn = draw_txn(generator);
        if (!generator->txns[txn].is_open) continue;
        if (generator->txns[txn].is_reset && !percent(&generator->random, 10)) continue;
        operation->txn = txn;
        draw_call(generator, txn, operation);
        return true;
    }
}

/* ---------------------------------------------------------------- learning */

static void learn_end(struct generator *generator, unsigned txn, bool commits) {
    generator->txns[txn].is_open = false;
    for (unsigned i = 0; i < CURSORS; i++) {
        struct drawn_cursor *cursor = &generator->cursors[i];
        if (cursor->is_open && cursor->txn == txn) cursor->has_ended = true;
    }
    if (commits || !is_writer(txn)) return;
    for (unsigned i = 0; i < DATABASES; i++) generator->is_missing[i] = true;
}

static void learn_drop(struct generator *generator, unsigned database) {
    generator->is_missing[database] = true;
    for (unsigned i = 0; i < CURSORS; i++) {
        struct drawn_cursor *cursor = &generator->cursors[i];
        if (cursor->is_open && !cursor->has_ended && cursor->database == database &&
            is_writer(cursor->txn)) {
            cursor->is_orphan = true;
        }
    }
}

static void learn_cursor(struct generator *generator, const struct operation *operation) {
    struct drawn_cursor *cursor = &generator->cursors[operation->cursor];
    if (operation->action == CURSOR_OPEN) memset(cursor, 0, sizeof(*cursor));
    cursor->is_open = operation->action != CURSOR_CLOSE;
    cursor->has_ended = false;
    cursor->txn = operation->txn;
    cursor->database = operation->database;
}

void learn(struct generator *generator, const struct operation *operation, enum answer answer) {
    if (answer != ANSWER_OK) return;
    struct drawn_txn *txn = &generator->txns[operation->txn < TRANSACTIONS ? operation->txn : 0];
    switch (operation->action) {
    case TXN_BEGIN:
        txn->is_open = true;
        txn->is_reset = false;
        break;
    case TXN_COMMIT: learn_end(generator, operation->txn, true); break;
    case TXN_ABORT: learn_end(generator, operation->txn, false); break;
    case TXN_RESET: txn->is_reset = true; break;
    case TXN_RENEW: txn->is_reset = false; break;
    case DB_OPEN:
        if (operation->database < DATABASES && is_writer(operation->txn)) {
            generator->is_missing[operation->database] = false;
        }
        break;
    case DB_DROP: learn_drop(generator, operation->database); break;
    case CURSOR_OPEN:
    case CURSOR_CLOSE:
    case CURSOR_RENEW: learn_cursor(generator, operation); break;
    case ENV_REOPEN: generator->opening = generator->setting->databases + 2; break;
    default: break;
    }
}
