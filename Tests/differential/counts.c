#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "counts.h"
#include "names.h"
#include "random.h"

struct counts *counts;

/* The duplicates of a key are taken to lie in a value tree when they are more than this, and in
 * their leaf again when they are fewer than that. */
static const uint64_t many_values = 600, few_values = 6;

void share_counts(void) {
    counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED) give_up("no memory for the counts: %s", strerror(errno));
}

void count_operation(const struct operation *operation, enum answer answer) {
    counts->answers[operation->action][variant_of(operation)][answer]++;
    counts->operations++;
    if (operation->action == TXN_BEGIN && is_writer(operation->txn) &&
        operation->txn > counts->deepest_level) {
        counts->deepest_level = operation->txn;
    }
}

void count_values(const struct operation *operation, struct bytes key, uint64_t values) {
    uint64_t hash = mix(counts->seed ^ operation->database);
    const unsigned char *data = key.data;
    for (size_t i = 0; i < key.size; i++) hash = mix(hash ^ data[i]);
    uint64_t *largest = &counts->value_counts[hash % REMEMBERED_KEYS];
    if (values > counts->most_values) counts->most_values = values;
    if (values > *largest) *largest = values;
    if (values > few_values || *largest < many_values) return;
    counts->shrunken_keys++;
    *largest = values;
}

void count_entries(uint64_t entries) {
    if (entries > counts->largest_database) counts->largest_database = entries;
}

void print_counts(void) {
    printf("\n%-44s", "Answers");
    for (unsigned answer = 0; answer < ANSWERS; answer++) {
        char word[12];
        snprintf(word, sizeof(word), "%s", answer_name((enum answer)answer));
        printf(" %9.9s", word);
    }
    printf("\n");
    for (unsigned action = 0; action < ACTIONS; action++) {
        for (unsigned variant = 0; variant < VARIANTS; variant++) {
            const uint64_t *row = counts->answers[action][variant];
            uint64_t sum = 0;
            for (unsigned answer = 0; answer < ANSWERS; answer++) sum += row[answer];
            if (sum == 0) continue;
            char name[80];
            name_variant((enum action)action, variant, name, sizeof(name));
            printf("%-44s", name);
            for (unsigned answer = 0; answer < ANSWERS; answer++) {
                if (row[answer] == 0) {
                    printf(" %9s", ".");
                } else {
                    printf(" %9" PRIu64, row[answer]);
                }
            }
            printf("\n");
        }
    }
    print_meant();
    printf("\n%" PRIu64 " operations; %" PRIu64 " cursor positions, %" PRIu64
           " whole databases with %" PRIu64 " entries compared\n",
           counts->operations, counts->positions_compared, counts->databases_compared,
           counts->entries_compared);
    printf("most values of a key in a count: %" PRIu64 "; keys counted with more than %" PRIu64
           " values and later with at most %" PRIu64 ": %" PRIu64
           "; deepest nested transaction: %" PRIu64 "; largest database: %" PRIu64 " entries\n",
           counts->most_values, many_values, few_values, counts->shrunken_keys,
           counts->deepest_level, counts->largest_database);
}

/* ------------------------------------------------------- what must be covered */

static unsigned missing;

static void need(enum action action, uint32_t flags, enum answer answer) {
    struct operation operation = {.action = action, .flags = flags, .with_value = flags != 0,
                                  .txn = flags};
    unsigned variant = variant_of(&operation);
    if (counts->answers[action][variant][answer] > 0) return;
    char name[80];
    name_variant(action, variant, name, sizeof(name));
    printf("never covered: %s: %s\n", name, answer_name(answer));
    missing++;
}

static void need_moves(void) {
    static const zdb_cursor_op moves[] = {
        ZDB_FIRST,     ZDB_FIRST_DUP,  ZDB_GET_BOTH, ZDB_GET_BOTH_RANGE, ZDB_GET_CURRENT,
        ZDB_LAST,      ZDB_LAST_DUP,   ZDB_NEXT,     ZDB_NEXT_DUP,       ZDB_NEXT_NODUP,
        ZDB_PREV,      ZDB_PREV_DUP,   ZDB_PREV_NODUP, ZDB_SET,          ZDB_SET_KEY,
        ZDB_SET_RANGE,
    };
    for (unsigned i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        need(CURSOR_GET, (uint32_t)moves[i], ANSWER_OK);
        bool needs_entry = moves[i] == ZDB_FIRST_DUP || moves[i] == ZDB_LAST_DUP ||
                           moves[i] == ZDB_GET_CURRENT;
        need(CURSOR_GET, (uint32_t)moves[i], needs_entry ? ANSWER_BAD_CURSOR : ANSWER_NOT_FOUND);
    }
    need(MULTIPLE_FORWARD, 0, ANSWER_OK);
    need(MULTIPLE_BACKWARD, 0, ANSWER_OK);
    need(CURSOR_COUNT, 0, ANSWER_OK);
}

static void need_puts(void) {
    static const uint32_t flags[] = {
        0,          ZDB_NOOVERWRITE, ZDB_NODUPDATA, ZDB_RESERVE, ZDB_APPEND,
        ZDB_APPENDDUP, ZDB_NOOVERWRITE | ZDB_NODUPDATA, ZDB_NOOVERWRITE | ZDB_RESERVE,
    };
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        need(PUT, flags[i], ANSWER_OK);
        need(CURSOR_PUT, flags[i], ANSWER_OK);
        if (flags[i] & (ZDB_NOOVERWRITE | ZDB_NODUPDATA)) {
            need(PUT, flags[i], ANSWER_EXISTS);
            need(CURSOR_PUT, flags[i], ANSWER_EXISTS);
        }
        if (flags[i] & (ZDB_APPEND | ZDB_APPENDDUP)) {
            need(PUT, flags[i], ANSWER_NOT_SORTED);
            need(CURSOR_PUT, flags[i], ANSWER_NOT_SORTED);
        }
    }
    need(PUT, 0, ANSWER_BAD_SIZE);
    need(PUT, 0, ANSWER_READ_ONLY);
    need(PUT, 0, ANSWER_BAD_TRANSACTION);
    need(CURSOR_PUT, ZDB_CURRENT, ANSWER_OK);
    need(CURSOR_PUT, ZDB_CURRENT, ANSWER_BAD_CURSOR);
    need(CURSOR_PUT, ZDB_MULTIPLE, ANSWER_OK);
    need(CURSOR_PUT, ZDB_MULTIPLE | ZDB_APPENDDUP, ANSWER_OK);
}

static void need_transactions(void) {
    static const uint32_t outer = 0, nested = 1, reader = WRITER_LEVELS;
    const uint32_t slots[] = {outer, nested, reader};
    for (unsigned i = 0; i < 3; i++) {
        need(TXN_BEGIN, slots[i], ANSWER_OK);
        need(TXN_COMMIT, slots[i], ANSWER_OK);
        need(TXN_ABORT, slots[i], ANSWER_OK);
    }
    need(TXN_COMMIT, nested, ANSWER_BAD_TRANSACTION);
    need(TXN_RESET, 0, ANSWER_OK);
    need(TXN_RENEW, 0, ANSWER_OK);
    need(ENV_REOPEN, 0, ANSWER_OK);
}

bool check_counts(void) {
    missing = 0;
    need_moves();
    need_puts();
    need_transactions();
    need(CURSOR_DELETE, 0, ANSWER_OK);
    need(CURSOR_DELETE, ZDB_NODUPDATA, ANSWER_OK);
    need(DELETE, 0, ANSWER_OK);
    need(DELETE, 1, ANSWER_OK);
    need(DELETE, 1, ANSWER_NOT_FOUND);
    need(GET, 0, ANSWER_OK);
    need(GET, 0, ANSWER_NOT_FOUND);
    need(DB_OPEN, 0, ANSWER_INCOMPATIBLE);
    need(DB_OPEN, ZDB_CREATE, ANSWER_READ_ONLY);
    need(DB_CLEAR, 0, ANSWER_OK);
    need(DB_DROP, 0, ANSWER_OK);
    need(DB_STAT, 0, ANSWER_OK);
    need(DB_FLAGS, 0, ANSWER_OK);
    need(COMPARE_KEYS, 0, ANSWER_OK);
    need(COMPARE_VALUES, 0, ANSWER_OK);
    need(CURSOR_RENEW, 0, ANSWER_OK);
    need(GET, 0, ANSWER_BAD_DATABASE);
    if (counts->shrunken_keys == 0) {
        printf("never covered: a key that had many values and has few again\n");
        missing++;
    }
    if (counts->deepest_level + 1 < WRITER_LEVELS) {
        printf("never covered: a nested transaction of depth %d\n", WRITER_LEVELS - 1);
        missing++;
    }
    return missing == 0;
}
