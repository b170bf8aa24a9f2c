/* Numbers as keys and values of databases with all combinations of flags, encoded so that they
 * sort as the numbers do, and helpers that all tests of duplicates share. */
#ifndef DATABASE_FLAGS_H
#define DATABASE_FLAGS_H

#include "support.h"

enum { NUMBER_BYTES = 64 };

/** All combinations of flags that are valid, from none to all at once. */
extern const uint32_t flag_combinations[];
extern const size_t flag_combination_count;

/** The names of the flags, for messages; valid until the next call. */
const char *flags_name(uint32_t flags);

/** A key that sorts by its number in a database with such flags. Keys differ in length where
 *  they may. Integers have 8 bytes, or 4 in a database with ZDB_COUNTED, so that tests cover
 *  both sizes. */
zdb_val encoded_key(char buffer[NUMBER_BYTES], uint32_t flags, uint32_t number);

/** A value that sorts by its number among those of a key. */
zdb_val encoded_value(char buffer[NUMBER_BYTES], uint32_t flags, uint32_t number);

zdb_db create_with_flags_at(struct place place, zdb_txn *txn, const char *name, uint32_t flags);
void put_pair_at(struct place place, zdb_txn *txn, zdb_db db, uint32_t flags, uint32_t key,
                 uint32_t value);
/** Moves to a pair with ZDB_GET_BOTH. */
void set_pair_at(struct place place, zdb_cursor *cursor, uint32_t flags, uint32_t key,
                 uint32_t value);
/** A move ends with this code, and if that is ZDB_OK on this pair. */
void expect_pair_at(struct place place, zdb_cursor *cursor, zdb_cursor_op op, uint32_t flags,
                    uint32_t key, uint32_t value);

#define create_with_flags(txn, name, flags) create_with_flags_at(HERE, (txn), (name), (flags))
#define put_pair(txn, db, flags, key, value) put_pair_at(HERE, (txn), (db), (flags), (key), (value))
#define set_pair(cursor, flags, key, value) set_pair_at(HERE, (cursor), (flags), (key), (value))
#define expect_pair(cursor, op, flags, key, value)                                                 \
    expect_pair_at(HERE, (cursor), (op), (flags), (key), (value))

#endif /* DATABASE_FLAGS_H */
