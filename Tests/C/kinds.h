/* Numbers as keys and values of every kind of database, encoded so that they sort as the numbers
 * do, and what all tests of duplicates share. */
#ifndef KINDS_H
#define KINDS_H

#include "support.h"

enum { NUMBER_BYTES = 64 };

/** The flags of all kinds that go together, from plain to everything at once. */
extern const uint32_t kinds[];
extern const size_t kind_count;

/** What a database's flags are called, for messages; valid until the next call. */
const char *kind_name(uint32_t flags);

/** A key that sorts by its number in a database of such flags. Of different lengths where they may
 *  be. Integers have 8 bytes, or 4 in a database with ZDB_COUNTED, so that both sizes are met. */
zdb_val kind_key(char buffer[NUMBER_BYTES], uint32_t flags, uint32_t number);

/** A value that sorts by its number among those of a key. */
zdb_val kind_value(char buffer[NUMBER_BYTES], uint32_t flags, uint32_t number);

zdb_db create_kind_at(struct place place, zdb_txn *txn, const char *name, uint32_t flags);
void put_pair_at(struct place place, zdb_txn *txn, zdb_db db, uint32_t flags, uint32_t key,
                 uint32_t value);
/** Moves to a pair with ZDB_GET_BOTH. */
void set_pair_at(struct place place, zdb_cursor *cursor, uint32_t flags, uint32_t key,
                 uint32_t value);
/** A move ends with this code, and if that is ZDB_OK on this pair. */
void expect_pair_at(struct place place, zdb_cursor *cursor, zdb_cursor_op op, uint32_t flags,
                    uint32_t key, uint32_t value);

#define create_kind(txn, name, flags) create_kind_at(HERE, (txn), (name), (flags))
#define put_pair(txn, db, flags, key, value) put_pair_at(HERE, (txn), (db), (flags), (key), (value))
#define set_pair(cursor, flags, key, value) set_pair_at(HERE, (cursor), (flags), (key), (value))
#define expect_pair(cursor, op, flags, key, value)                                                 \
    expect_pair_at(HERE, (cursor), (op), (flags), (key), (value))

#endif /* KINDS_H */
