#include <inttypes.h>
#include <stdio.h>

#include "counts.h"

/* The names are those of the table in README.md. */
static const char *const names[MEANT_COUNT] = {
    [MEANT_APPEND_HAS_ITS_OWN_CODE] = "append-has-its-own-code",
    [MEANT_DUPLICATE_FLAGS_ON_PLAIN] = "duplicate-flags-on-plain",
    [MEANT_RESERVE_OF_DUPLICATE] = "reserve-of-duplicate",
    [MEANT_CURRENT_WITH_OTHER_FLAGS] = "current-with-other-flags",
    [MEANT_FIXED_SIZE_CHECKED] = "fixed-size-checked",
    [MEANT_LOOKUP_SIZE_CHECKED] = "lookup-size-checked",
    [MEANT_DUPLICATE_MOVES_ON_PLAIN] = "duplicate-moves-on-plain",
    [MEANT_NOWHERE_HAS_NO_DUPLICATES] = "nowhere-has-no-duplicates",
    [MEANT_COMPARE_VALUES_ON_PLAIN] = "compare-values-on-plain",
    [MEANT_OPEN_AS_SOMETHING_ELSE] = "open-as-something-else",
    [MEANT_FLAGS_THAT_NEED_DUPLICATES] = "flags-that-need-duplicates",
    [MEANT_NAMES_BESIDE_ANY_MAIN] = "names-beside-any-main",
    [MEANT_DROP_OF_MAIN] = "drop-of-main",
    [MEANT_PARENT_OF_CHILD] = "parent-of-child",
    [MEANT_END_OF_PARENT] = "end-of-parent",
    [MEANT_CURSOR_OF_ENDED_TRANSACTION] = "cursor-of-ended-transaction",
    [MEANT_RESET_HAS_ITS_OWN_CODE] = "reset-has-its-own-code",
    [MEANT_GAP_IS_NO_ENTRY] = "gap-is-no-entry",
    [MEANT_MOVES_FROM_GAP] = "moves-from-gap",
    [MEANT_FAILED_SEARCH_LEAVES_NOWHERE] = "failed-search-leaves-nowhere",
    [MEANT_FAILED_PUT_LEAVES_CURSOR] = "failed-put-leaves-cursor",
    [MEANT_LAST_KEY_KEEPS_ITS_VALUES] = "last-key-keeps-its-values",
    [MEANT_PREV_FROM_NOWHERE] = "prev-from-nowhere",
    [MEANT_CURSORS_FOLLOW_WRITES] = "cursors-follow-writes",
    [MEANT_RENEW_ANY_CURSOR] = "renew-any-cursor",
    [MEANT_RENEWED_TRANSACTION_RENEWS_CURSORS] = "renewed-transaction-renews-cursors",
    [MEANT_CURRENT_SORTS_DUPLICATE] = "current-sorts-duplicate",
    [MEANT_MULTIPLE_STOPS_EARLY] = "multiple-stops-early",
    [MEANT_MULTIPLE_OF_PAGE] = "multiple-of-page",
    [MEANT_FIRST_DUP_RETURNS_KEY] = "first-dup-returns-key",
    [MEANT_HANDLE_OF_DROPPED_DATABASE] = "handle-of-dropped-database",
};

void meant(enum meant meant) {
    counts->meant[meant]++;
}

static enum answer answer(enum meant difference, enum answer answer) {
    meant(difference);
    return answer;
}

enum answer meant_of_put(const struct operation *operation, const struct database *database) {
    uint32_t flags = operation->flags;
    if ((flags & ZDB_CURRENT) && flags != ZDB_CURRENT) {
        return answer(MEANT_CURRENT_WITH_OTHER_FLAGS, ANSWER_INCOMPATIBLE);
    }
    if (!has_duplicates(database) && (flags & (ZDB_NODUPDATA | ZDB_APPENDDUP))) {
        return answer(MEANT_DUPLICATE_FLAGS_ON_PLAIN, ANSWER_INCOMPATIBLE);
    }
    if (has_duplicates(database) && (flags & ZDB_RESERVE)) {
        return answer(MEANT_RESERVE_OF_DUPLICATE, ANSWER_INCOMPATIBLE);
    }
    bool has_key = !(flags & ZDB_CURRENT);
    if (has_key && operation->key.size > 0 && operation->key.size <= KEY_SIZE_MAX &&
        database->key_size != 0 && operation->key.size != database->key_size) {
        return answer(MEANT_FIXED_SIZE_CHECKED, ANSWER_BAD_SIZE);
    }
    if (database->value_size != 0 && !(flags & ZDB_MULTIPLE) &&
        operation->value.size != database->value_size) {
        return answer(MEANT_FIXED_SIZE_CHECKED, ANSWER_BAD_SIZE);
    }
    return ANSWER_OK;
}

static bool is_between_duplicates(zdb_cursor_op move) {
    switch (move) {
    case ZDB_FIRST_DUP:
    case ZDB_LAST_DUP:
    case ZDB_NEXT_DUP:
    case ZDB_PREV_DUP: return true;
    default: return false;
    }
}

enum answer meant_of_move(const struct operation *operation, const struct database *database) {
    zdb_cursor_op move = (zdb_cursor_op)operation->flags;
    if (!has_duplicates(database) && is_between_duplicates(move)) {
        return answer(MEANT_DUPLICATE_MOVES_ON_PLAIN, ANSWER_INCOMPATIBLE);
    }
    return ANSWER_OK;
}

enum answer meant_off_entry(zdb_cursor_op move, bool nowhere) {
    if (nowhere) {
        return is_between_duplicates(move)
                   ? answer(MEANT_NOWHERE_HAS_NO_DUPLICATES, ANSWER_BAD_CURSOR)
                   : ANSWER_OK;
    }
    switch (move) {
    case ZDB_GET_CURRENT:
    case ZDB_FIRST_DUP:
    case ZDB_LAST_DUP: return answer(MEANT_GAP_IS_NO_ENTRY, ANSWER_BAD_CURSOR);
    default: return ANSWER_OK;
    }
}

enum answer meant_of_lookup(const struct operation *operation, const struct database *database) {
    size_t size = operation->key.size;
    if (size > KEY_SIZE_MAX) return answer(MEANT_LOOKUP_SIZE_CHECKED, ANSWER_BAD_SIZE);
    if (size > 0 && database->key_size != 0 && size != database->key_size) {
        return answer(MEANT_LOOKUP_SIZE_CHECKED, ANSWER_BAD_SIZE);
    }
    return ANSWER_OK;
}

enum answer meant_of_open(const struct operation *operation, const struct database *database) {
    uint32_t flags = operation->flags & ~ZDB_CREATE;
    if ((flags & (ZDB_DUPFIXED | ZDB_INTEGERDUP | ZDB_REVERSEDUP)) && !(flags & ZDB_DUPSORT)) {
        return answer(MEANT_FLAGS_THAT_NEED_DUPLICATES, ANSWER_INCOMPATIBLE);
    }
    if (flags != 0 && flags != database->flags) {
        return answer(MEANT_OPEN_AS_SOMETHING_ELSE, ANSWER_INCOMPATIBLE);
    }
    return ANSWER_OK;
}

void print_meant(void) {
    printf("\nDifferences that are meant, and how often they occurred:\n");
    for (unsigned i = 0; i < MEANT_COUNT; i++) {
        printf("  %-36s %12" PRIu64 "\n", names[i], counts->meant[i]);
    }
}
