/* The call in a transaction or with a cursor: its function, flags, key and value. */
#include <string.h>

#include "generate.h"

/* ---------------------------------------------------------- keys and values */

static unsigned draw_key_number(struct generator *generator, unsigned database) {
    struct random *random = &generator->random;
    const struct content *content = &generator->content[database];
    bool has_values = has_duplicates(&generator->setting->database[database]);
    if (percent(random, has_values ? 45 : 10)) {
        /* Around the key that the phase is about, where duplicates come together. */
        unsigned spread = content->keys < 10 ? 1 : 8;
        return (generator->focus_key[database] + below(random, spread)) % content->keys;
    }
    if (percent(random, 10)) return below(random, generator->next_key[database] + 1);
    return below(random, content->keys);
}

static void set_key(struct generator *generator, unsigned database, unsigned number,
                    struct operation *operation) {
    operation->key.data = generator->key;
    operation->key.size = make_key(&generator->setting->database[database],
                                   &generator->content[database], number, generator->key);
}

static unsigned draw_value_number(struct generator *generator, unsigned database) {
    struct random *random = &generator->random;
    if (percent(random, 10)) return below(random, generator->next_value[database] + 1);
    return below(random, generator->content[database].values);
}

static void set_value(struct generator *generator, unsigned database, unsigned number,
                      struct operation *operation) {
    const struct database *described = &generator->setting->database[database];
    const struct content *content = &generator->content[database];
    operation->value.data = generator->value;
    operation->value.size =
        has_duplicates(described)
            ? make_duplicate(described, content, number, generator->value)
            : make_value(&generator->random, content, generator->value);
}

static void remember_pair(struct generator *generator, unsigned database, unsigned key,
                          unsigned value) {
    struct drawn_pair pair = {key, value};
    generator->pairs[database][generator->next_pair++ % REMEMBERED_PAIRS] = pair;
}

/* A recent pair, half of the time. */
static void set_known_pair(struct generator *generator, unsigned database,
                           struct operation *operation) {
    struct random *random = &generator->random;
    struct drawn_pair pair = generator->pairs[database][below(random, REMEMBERED_PAIRS)];
    if (percent(random, 50)) {
        pair.key = draw_key_number(generator, database);
        pair.value = draw_value_number(generator, database);
    }
    set_key(generator, database, pair.key, operation);
    set_value(generator, database, pair.value, operation);
}

/* Keys, and values where they are duplicates, that both libraries refuse for their size. */
static void spoil_key(struct generator *generator, const struct database *database,
                      struct operation *operation) {
    struct random *random = &generator->random;
    if (database->key_size != 0 && percent(random, 50)) {
        operation->key.size = database->key_size == 8 ? 5 : 6;
        memset(generator->key, 1, operation->key.size);
    } else {
        operation->key.size = percent(random, 50) ? 0 : SIZE_BEYOND_ALL;
        memset(generator->key, 2, operation->key.size);
    }
    operation->key.data = generator->key;
}

static void spoil_value(struct generator *generator, const struct database *database,
                        struct operation *operation) {
    struct random *random = &generator->random;
    operation->value.size = SIZE_BEYOND_ALL;
    if (database->value_size != 0 && percent(random, 50)) {
        operation->value.size = database->value_size == 1 ? 2 : database->value_size - 1;
        if (database->flags & ZDB_INTEGERDUP) operation->value.size = 5;
    }
    memset(generator->value, 3, operation->value.size);
    operation->value.data = generator->value;
}

/* Two mistakes at once: it does not matter which error comes first. */
static bool may_spoil(struct generator *generator, unsigned txn, unsigned database) {
    return txn == innermost_writer(generator) && !generator->is_missing[database] &&
           once_in(&generator->random, 120);
}

/* -------------------------------------------------------------------- puts */

static uint32_t draw_put_flags(struct generator *generator, bool has_values) {
    struct random *random = &generator->random;
    unsigned chance = below(random, 100);
    if (generator->phase == PHASE_BULK && chance < 50) {
        if (!has_values) return ZDB_APPEND;
        return chance < 35 ? ZDB_APPENDDUP : chance < 45 ? ZDB_APPEND
                                                         : ZDB_APPEND | ZDB_APPENDDUP;
    }
    if (chance < 60) return 0;
    if (chance < 70) return ZDB_NOOVERWRITE;
    if (chance < 80) return has_values ? ZDB_NODUPDATA : ZDB_RESERVE;
    if (chance < 84) return has_values ? ZDB_NOOVERWRITE | ZDB_NODUPDATA
                                       : ZDB_NOOVERWRITE | ZDB_RESERVE;
    if (chance < 88) return ZDB_APPEND;
    if (chance < 90) return has_values ? ZDB_APPENDDUP : ZDB_APPEND | ZDB_RESERVE;
    return 0;
}

/* Flags that do not go together, or that the database does not allow. */
static uint32_t draw_wrong_flags(struct random *random, bool has_values, bool with_cursor) {
    if (with_cursor && percent(random, 40)) return ZDB_CURRENT | ZDB_NOOVERWRITE;
    if (has_values) return ZDB_RESERVE;
    return percent(random, 50) ? ZDB_NODUPDATA : ZDB_APPENDDUP;
}

/* Keys and values for appending rise, mostly. */
static void set_pair(struct generator *generator, unsigned database, uint32_t flags,
                     struct operation *operation) {
    struct random *random = &generator->random;
    unsigned key = draw_key_number(generator, database);
    unsigned value = draw_value_number(generator, database);
    if ((flags & ZDB_APPEND) && percent(random, 80)) key = ++generator->next_key[database];
    if ((flags & ZDB_APPENDDUP) && percent(random, 80)) {
        value = ++generator->next_value[database];
    }
    if ((flags & (ZDB_NOOVERWRITE | ZDB_NODUPDATA)) && percent(random, 30)) {
        set_known_pair(generator, database, operation);
        return;
    }
    remember_pair(generator, database, key, value);
    set_key(generator, database, key, operation);
    set_value(generator, database, value, operation);
}

void draw_plain_put(struct generator *generator, unsigned database, struct operation *operation) {
    operation->action = PUT;
    operation->database = database;
    set_pair(generator, database, 0, operation);
}

static void draw_put(struct generator *generator, unsigned txn, unsigned database,
                     bool with_cursor, struct operation *operation) {
    struct random *random = &generator->random;
    const struct database *described = &generator->setting->database[database];
    bool has_values = has_duplicates(described);
    operation->flags = is_writer(txn) ? draw_put_flags(generator, has_values) : 0;
    set_pair(generator, database, operation->flags, operation);
    if (!may_spoil(generator, txn, database)) return;
    if (percent(random, 30)) {
        operation->flags = draw_wrong_flags(random, has_values, with_cursor);
    } else {
        operation->flags = 0;
        if (has_values && percent(random, 50)) {
            spoil_value(generator, described, operation);
        } else {
            spoil_key(generator, described, operation);
        }
    }
}

static void draw_multiple(struct generator *generator, unsigned database,
                          struct operation *operation) {
    struct random *random = &generator->random;
    const struct database *described = &generator->setting->database[database];
    const struct content *content = &generator->content[database];
    operation->flags = ZDB_MULTIPLE;
    set_key(generator, database, draw_key_number(generator, database), operation);
    operation->multiple = between(random, 1, percent(random, 50) ? 10 : MULTIPLE_MAX);
    unsigned number = draw_value_number(generator, database);
    bool rises = percent(random, 60);
    if (percent(random, 20)) {
        operation->flags |= ZDB_APPENDDUP;
        number = generator->next_value[database];
        generator->next_value[database] += (unsigned)operation->multiple;
        rises = true;
    }
    unsigned char *to = generator->multiple;
    for (size_t i = 0; i < operation->multiple; i++) {
        number = rises ? number + 1 : draw_value_number(generator, database);
        to += make_duplicate(described, content, number, to);
    }
    operation->value.data = generator->multiple;
    operation->value.size = (size_t)(to - generator->multiple);
}

/* ------------------------------------------------------------------- calls */

static void draw_lookup(struct generator *generator, unsigned txn, unsigned database,
                        struct operation *operation) {
    set_key(generator, database, draw_key_number(generator, database), operation);
    if (may_spoil(generator, txn, database)) {
        spoil_key(generator, &generator->setting->database[database], operation);
    }
}

static void draw_comparison(struct generator *generator, unsigned database,
                            struct operation *operation) {
    struct random *random = &generator->random;
    const struct database *described = &generator->setting->database[database];
    const struct content *content = &generator->content[database];
    operation->key.data = generator->key;
    operation->value.data = generator->value;
    if (percent(random, 50)) {
        operation->action = COMPARE_KEYS;
        operation->key.size = make_key(described, content, below(random, 40), generator->key);
        operation->value.size = make_key(described, content, below(random, 40), generator->value);
    } else {
        operation->action = COMPARE_VALUES;
        operation->key.size = make_duplicate(described, content, below(random, 40), generator->key);
        operation->value.size =
            make_duplicate(described, content, below(random, 40), generator->value);
    }
}

static void draw_delete(struct generator *generator, unsigned txn, unsigned database,
                        struct operation *operation) {
    struct random *random = &generator->random;
    bool has_values = has_duplicates(&generator->setting->database[database]);
    operation->action = DELETE;
    /* Whole keys are deleted rarely, so that keys come to have many values. */
    operation->with_value = has_values ? !percent(random, 4) : percent(random, 20);
    if (operation->with_value && !once_in(random, 50)) {
        set_known_pair(generator, database, operation);
        return;
    }
    draw_lookup(generator, txn, database, operation);
    if (operation->with_value) {
        set_value(generator, database, draw_value_number(generator, database), operation);
    }
}

static bool writes(struct generator *generator) {
    static const unsigned chances[PHASES] = {
        [PHASE_GROW] = 85, [PHASE_SHRINK] = 70, [PHASE_BULK] = 80, [PHASE_MIX] = 55,
        [PHASE_READ] = 5, [PHASE_DRAIN] = 60,
    };
    return percent(&generator->random, chances[generator->phase]);
}

static bool deletes(struct generator *generator) {
    static const unsigned chances[PHASES] = {
        [PHASE_GROW] = 8, [PHASE_SHRINK] = 92, [PHASE_BULK] = 5, [PHASE_MIX] = 45,
        [PHASE_READ] = 50, [PHASE_DRAIN] = 97,
    };
    return percent(&generator->random, chances[generator->phase]);
}

static unsigned draw_database_number(struct generator *generator) {
    return percent(&generator->random, 70)
               ? generator->focus_database
               : below(&generator->random, generator->setting->databases);
}

void draw_call(struct generator *generator, unsigned txn, struct operation *operation) {
    struct random *random = &generator->random;
    unsigned database = draw_database_number(generator);
    operation->database = database;
    unsigned write_chance = is_writer(txn) ? 100 : 10;
    if (writes(generator) && percent(random, write_chance)) {
        if (deletes(generator)) {
            draw_delete(generator, txn, database, operation);
        } else {
            operation->action = PUT;
            draw_put(generator, txn, database, false, operation);
        }
        return;
    }
    unsigned chance = below(random, 100);
    bool is_usable = !generator->txns[txn].is_reset;
    if (chance < 4) {
        operation->action = DB_STAT;
    } else if (chance < 6) {
        operation->action = DB_FLAGS;
    } else if (chance < 14 && is_usable) {
        draw_comparison(generator, database, operation);
    } else {
        operation->action = GET;
        draw_lookup(generator, txn, database, operation);
    }
}

/* ----------------------------------------------------------------- cursors */

static zdb_cursor_op draw_move(struct random *random, bool has_values) {
    static const zdb_cursor_op steps[] = {ZDB_NEXT,       ZDB_NEXT,       ZDB_NEXT, ZDB_PREV,
                                          ZDB_PREV,       ZDB_NEXT_NODUP, ZDB_PREV_NODUP,
                                          ZDB_NEXT_DUP,   ZDB_NEXT_DUP,   ZDB_PREV_DUP};
    static const zdb_cursor_op places[] = {ZDB_FIRST,     ZDB_LAST,      ZDB_SET,
                                           ZDB_SET_KEY,   ZDB_SET_RANGE, ZDB_GET_CURRENT,
                                           ZDB_FIRST_DUP, ZDB_LAST_DUP};
    static const zdb_cursor_op pairs[] = {ZDB_GET_BOTH, ZDB_GET_BOTH_RANGE};
    /* The moves for duplicates are the last in each list, and are refused in other databases. */
    bool is_for_values = has_values || once_in(random, 20);
    if (percent(random, 50)) return steps[below(random, is_for_values ? 10 : 7)];
    if (percent(random, 60)) return places[below(random, is_for_values ? 8 : 6)];
    return is_for_values ? pairs[below(random, 2)] : ZDB_SET_RANGE;
}

/* Among the duplicates of one key. */
static void draw_draining_move(struct generator *generator, unsigned database,
                               struct operation *operation) {
    struct random *random = &generator->random;
    unsigned chance = below(random, 100);
    set_key(generator, database, generator->focus_key[database], operation);
    set_value(generator, database, draw_value_number(generator, database), operation);
    operation->action = chance < 8 ? CURSOR_COUNT : CURSOR_GET;
    operation->flags = (uint32_t)(chance < 45   ? ZDB_NEXT_DUP
                                  : chance < 60 ? ZDB_PREV_DUP
                                  : chance < 90 ? ZDB_GET_BOTH_RANGE
                                                : ZDB_SET);
}

static void draw_cursor_move(struct generator *generator, const struct drawn_cursor *cursor,
                             struct operation *operation) {
    struct random *random = &generator->random;
    const struct database *described = &generator->setting->database[cursor->database];
    bool has_values = has_duplicates(described);
    unsigned chance = below(random, 100);
    if (generator->phase == PHASE_DRAIN && cursor->database == generator->focus_database &&
        percent(random, 90)) {
        draw_draining_move(generator, cursor->database, operation);
        return;
    }
    if (chance < 5) {
        operation->action = CURSOR_COUNT;
        return;
    }
    if (chance < 7 && (has_fixed_duplicates(described) || once_in(random, 10))) {
        operation->action = percent(random, 70) ? MULTIPLE_FORWARD : MULTIPLE_BACKWARD;
        return;
    }
    operation->action = CURSOR_GET;
    zdb_cursor_op move = draw_move(random, has_values);
    operation->flags = (uint32_t)move;
    set_known_pair(generator, cursor->database, operation);
    bool is_search = move == ZDB_SET || move == ZDB_SET_KEY || move == ZDB_SET_RANGE;
    if (is_search && !cursor->has_ended && may_spoil(generator, cursor->txn, cursor->database)) {
        spoil_key(generator, described, operation);
    }
}

static void draw_cursor_put(struct generator *generator, const struct drawn_cursor *cursor,
                            struct operation *operation) {
    struct random *random = &generator->random;
    const struct database *described = &generator->setting->database[cursor->database];
    operation->action = CURSOR_PUT;
    unsigned chance = below(random, 100);
    if (chance < 15) {
        operation->flags = ZDB_CURRENT;
        set_value(generator, cursor->database, draw_value_number(generator, cursor->database),
                  operation);
    } else if (chance < 35 && has_fixed_duplicates(described) && is_writer(cursor->txn)) {
        draw_multiple(generator, cursor->database, operation);
    } else {
        draw_put(generator, cursor->txn, cursor->database, true, operation);
    }
}

void draw_cursor_call(struct generator *generator, unsigned index, struct operation *operation) {
    struct random *random = &generator->random;
    const struct drawn_cursor *cursor = &generator->cursors[index];
    unsigned write_chance = is_writer(cursor->txn) ? 60 : 4;
    if (!writes(generator) || !percent(random, write_chance)) {
        draw_cursor_move(generator, cursor, operation);
    } else if (deletes(generator)) {
        operation->action = CURSOR_DELETE;
        bool has_values = has_duplicates(&generator->setting->database[cursor->database]);
        bool may_all = is_writer(cursor->txn) && once_in(random, has_values ? 60 : 300);
        operation->flags = may_all ? ZDB_NODUPDATA : 0;
    } else {
        draw_cursor_put(generator, cursor, operation);
    }
}
