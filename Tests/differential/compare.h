/* Runs operations on both sides and compares the results. */
#ifndef COMPARE_H
#define COMPARE_H

#include "generate.h"

struct comparison {
    const struct setting *setting;
    struct engine engines[2]; /* the reference first */
    struct random random;     /* chooses additional checks */
    uint64_t operation;       /* the number of the operation that runs, from 1 */
    const char *during;       /* the additional comparison under way, or NULL */
    bool is_verbose;
    bool is_failed;
};

/** Runs one operation on both sides. If the results differ, prints that, and the comparison fails.
 *  @return the answer. */
enum answer run(struct comparison *comparison, const struct operation *operation);

/** Runs the next operation, and looks at the positions of cursors that it may have moved. */
void run_and_look(struct comparison *comparison, const struct generator *generator,
                  const struct operation *operation, enum answer *answer);

/** Compares all databases of a transaction, forwards and backwards. */
void compare_databases(struct comparison *comparison, unsigned txn);

#endif /* COMPARE_H */
