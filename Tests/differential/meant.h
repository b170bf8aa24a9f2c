/* The differences between the two libraries that are meant, all in one place.
 *
 * Nothing else in this program forgives a difference: the LMDB side (apply_lmdb*.c) asks here what
 * ZeroDB answers where LMDB's answer is another one, and answers that itself, or finds the answer
 * with other LMDB calls; the comparison is then exact. README.md has the same list in prose. */
#ifndef MEANT_H
#define MEANT_H

#include "model.h"

enum meant {
    /* Answers that ZeroDB gives where LMDB gives others. */
    MEANT_APPEND_HAS_ITS_OWN_CODE,
    MEANT_DUPLICATE_FLAGS_ON_PLAIN,
    MEANT_RESERVE_OF_DUPLICATE,
    MEANT_CURRENT_WITH_OTHER_FLAGS,
    MEANT_FIXED_SIZE_CHECKED,
    MEANT_LOOKUP_SIZE_CHECKED,
    MEANT_DUPLICATE_MOVES_ON_PLAIN,
    MEANT_NOWHERE_HAS_NO_DUPLICATES,
    MEANT_COMPARE_VALUES_ON_PLAIN,
    MEANT_OPEN_AS_SOMETHING_ELSE,
    MEANT_FLAGS_THAT_NEED_DUPLICATES,
    MEANT_NAMES_BESIDE_ANY_MAIN,
    MEANT_DROP_OF_MAIN,
    MEANT_PARENT_OF_CHILD,
    MEANT_END_OF_PARENT,
    MEANT_CURSOR_OF_ENDED_TRANSACTION,
    MEANT_RESET_HAS_ITS_OWN_CODE,
    /* Where a cursor is. */
    MEANT_GAP_IS_NO_ENTRY,
    MEANT_MOVES_FROM_GAP,
    MEANT_FAILED_SEARCH_LEAVES_NOWHERE,
    MEANT_FAILED_PUT_LEAVES_CURSOR,
    MEANT_LAST_KEY_KEEPS_ITS_VALUES,
    MEANT_PREV_FROM_NOWHERE,
    MEANT_CURSORS_FOLLOW_WRITES,
    MEANT_RENEW_ANY_CURSOR,
    MEANT_RENEWED_TRANSACTION_RENEWS_CURSORS,
    /* Puts, and the values that are returned. */
    MEANT_CURRENT_SORTS_DUPLICATE,
    MEANT_MULTIPLE_STOPS_EARLY,
    MEANT_MULTIPLE_OF_PAGE,
    MEANT_FIRST_DUP_RETURNS_KEY,
    /* Where LMDB has no answer at all. */
    MEANT_HANDLE_OF_DROPPED_DATABASE,
    MEANT_COUNT
};

/** Counts one occurrence of the difference. */
void meant(enum meant meant);

/** A put that ZeroDB refuses for its flags or sizes and LMDB does not, or not with the same answer.
 *  ANSWER_OK if LMDB is to be asked. */
enum answer meant_of_put(const struct operation *operation, const struct database *database);

/** The same of a cursor's move, on which the place of the cursor has no influence. */
enum answer meant_of_move(const struct operation *operation, const struct database *database);

/** The same of a move by a cursor that is on no entry. `nowhere`: it has never been on one;
 *  otherwise its entry has been deleted. */
enum answer meant_off_entry(zdb_cursor_op move, bool nowhere);

/** The same of the size of a key that is looked for. */
enum answer meant_of_lookup(const struct operation *operation, const struct database *database);

/** The same of opening a database that is there, or could be made. */
enum answer meant_of_open(const struct operation *operation, const struct database *database);

/** Prints how often each difference occurred. */
void print_meant(void);

#endif /* MEANT_H */
