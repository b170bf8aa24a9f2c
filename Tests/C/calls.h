/* Every function that takes a handle, with all its other arguments in order, so that tests can
 * pass each wrong handle to all of them. */
#ifndef CALLS_H
#define CALLS_H

#include "check.h"

/* `call` returns the result of the function. */
struct env_call {
    const char *name;
    int (*call)(zdb_env *env);
};

struct txn_call {
    const char *name;
    int (*call)(zdb_txn *txn);
};

struct cursor_call {
    const char *name;
    int (*call)(zdb_cursor *cursor);
};

extern const struct env_call env_calls[];
extern const size_t env_call_count;
extern const struct txn_call txn_calls[];
extern const size_t txn_call_count;
extern const struct cursor_call cursor_calls[];
extern const size_t cursor_call_count;

/** Every function that takes a handle of this type returns `one` or `other`, with a message;
 *  functions that return no code return 0, NULL or UINT32_MAX. A cursor cannot be renewed for
 *  `txn`, a live transaction, either. */
void check_env_calls(struct place place, zdb_env *env, int one, int other);
void check_txn_calls(struct place place, zdb_txn *txn, int one, int other);
void check_cursor_calls(struct place place, zdb_cursor *cursor, zdb_txn *txn, int one, int other);

#endif /* CALLS_H */
