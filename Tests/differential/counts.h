/* Counts of all calls and answers, in memory that the processes of all sequences share. */
#ifndef COUNTS_H
#define COUNTS_H

#include "meant.h"

enum { VARIANTS = 128, REMEMBERED_KEYS = 4096 };

struct counts {
    uint64_t seed, operation; /* of the sequence that runs */
    uint64_t meant[MEANT_COUNT];
    uint64_t answers[ACTIONS][VARIANTS][ANSWERS];
    uint64_t operations, positions_compared, databases_compared, entries_compared;
    uint64_t most_values, largest_database, deepest_level, shrunken_keys;
    uint64_t value_counts[REMEMBERED_KEYS]; /* the largest count seen of a key, by hash */
};

extern struct counts *counts;

/** Makes room for the counts. */
void share_counts(void);

void count_operation(const struct operation *operation, enum answer answer);

/** A cursor has counted the values of a key. */
void count_values(const struct operation *operation, struct bytes key, uint64_t values);

/** The number of entries that a database has reported. */
void count_entries(uint64_t entries);

void print_counts(void);

/** Prints the calls and answers that a long enough run must have covered and has not.
 *  @return whether nothing is missing. */
bool check_counts(void);

#endif /* COUNTS_H */
