#include "compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "counts.h"
#include "names.h"

static bool are_equal(struct bytes left, struct bytes right) {
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

/* ZeroDB's PREV_MULTIPLE leaves out the values of the current page, which is not LMDB's page: all
 * before that page must be there. */
static bool is_beginning(const struct comparison *comparison, struct bytes all,
                         struct bytes beginning) {
    if (beginning.size > all.size) return false;
    if (all.size - beginning.size > comparison->setting->page_size) return false;
    return beginning.size == 0 || memcmp(all.data, beginning.data, beginning.size) == 0;
}

/* The difference; NULL: none. */
static const char *difference(const struct comparison *comparison,
                              const struct operation *operation, const struct result *expected,
                              const struct result *actual) {
    if (expected->answer != actual->answer) return "the answers differ";
    if (expected->has_number != actual->has_number ||
        (expected->has_number && expected->number != actual->number)) {
        return "the numbers differ";
    }
    if (expected->has_key != actual->has_key ||
        (expected->has_key && !are_equal(expected->key, actual->key))) {
        return "the keys differ";
    }
    if (expected->has_value != actual->has_value) return "one returns a value, the other none";
    if (!expected->has_value) return NULL;
    bool is_same = operation->action == MULTIPLE_BACKWARD
                       ? is_beginning(comparison, expected->value, actual->value)
                       : are_equal(expected->value, actual->value);
    return is_same ? NULL : "the values differ";
}

static void print_side(const char *name, const struct result *result) {
    char text[400];
    describe_result(result, text, sizeof(text));
    printf("  %-8s %s\n", name, text);
}

enum answer run(struct comparison *comparison, const struct operation *operation) {
    char text[600];
    struct result expected, actual;
    if (comparison->is_failed) return ANSWER_OTHER;
    if (comparison->is_verbose) {
        describe_operation(operation, text, sizeof(text));
        printf("%8" PRIu64 " %s%s\n", comparison->operation, comparison->during != NULL ? "  " : "",
               text);
        fflush(stdout);
    }
    const struct engine *engines = comparison->engines;
    engines[0].apply(engines[0].state, operation, &expected);
    if (expected.answer == ANSWER_NONE) return ANSWER_NONE;
    engines[1].apply(engines[1].state, operation, &actual);
    const char *what = difference(comparison, operation, &expected, &actual);
    if (comparison->is_verbose && what == NULL) print_side("both", &expected);
    if (what == NULL) {
        if (operation->action == DB_STAT) count_entries((uint64_t)expected.number);
        return expected.answer;
    }
    comparison->is_failed = true;
    describe_operation(operation, text, sizeof(text));
    printf("\nseed %" PRIu64 ", operation %" PRIu64 "%s%s: %s\n  %s\n", comparison->setting->seed,
           comparison->operation, comparison->during != NULL ? ", " : "",
           comparison->during != NULL ? comparison->during : "", what, text);
    print_side(engines[0].name, &expected);
    print_side(engines[1].name, &actual);
    if (actual.answer != ANSWER_OK) printf("  %s says: %s\n", engines[1].name, zdb_last_error());
    return ANSWER_OTHER;
}

/* ---------------------------------------------------------------- positions */

static struct operation current_of(const struct drawn_cursor *cursor, unsigned index) {
    struct operation operation = {
        .action = CURSOR_GET,
        .flags = (uint32_t)ZDB_GET_CURRENT,
        .cursor = index,
        .txn = cursor->txn,
        .database = cursor->database,
    };
    return operation;
}

static void look_at(struct comparison *comparison, const struct generator *generator,
                    unsigned index, const char *during) {
    const struct drawn_cursor *cursor = &generator->cursors[index];
    if (!cursor->is_open || comparison->is_failed) return;
    struct operation operation = current_of(cursor, index);
    comparison->during = during;
    run(comparison, &operation);
    comparison->during = NULL;
    counts->positions_compared++;
}

/* Remembers how many values of a key a cursor has counted. */
static void note_value_count(struct comparison *comparison, const struct operation *operation) {
    const struct engine *reference = &comparison->engines[0];
    struct operation current = *operation;
    struct result number, entry;
    reference->apply(reference->state, operation, &number);
    current.action = CURSOR_GET;
    current.flags = (uint32_t)ZDB_GET_CURRENT;
    reference->apply(reference->state, &current, &entry);
    if (number.answer != ANSWER_OK || entry.answer != ANSWER_OK) return;
    count_values(operation, entry.key, (uint64_t)number.number);
}

static bool is_write(enum action action) {
    return action == PUT || action == DELETE || action == CURSOR_PUT ||
           action == CURSOR_DELETE || action == DB_CLEAR;
}

void run_and_look(struct comparison *comparison, const struct generator *generator,
                  const struct operation *operation, enum answer *answer) {
    /* A snapshot must not have changed when it ends. */
    bool ends_reader = !is_writer(operation->txn) &&
                       (operation->action == TXN_COMMIT || operation->action == TXN_ABORT ||
                        operation->action == TXN_RESET);
    if (ends_reader && !generator->txns[operation->txn].is_reset &&
        percent(&comparison->random, 20)) {
        compare_databases(comparison, operation->txn);
    }
    *answer = run(comparison, operation);
    if (comparison->is_failed || *answer == ANSWER_NONE) return;
    bool is_cursors = operation->action >= CURSOR_GET && operation->action <= MULTIPLE_BACKWARD;
    if (is_cursors) look_at(comparison, generator, operation->cursor, "the cursor after it");
    if (operation->action == CURSOR_COUNT && *answer == ANSWER_OK) {
        note_value_count(comparison, operation);
    }
    /* Not always: cursors must also find their places after several writes. */
    bool looks_at_all = is_write(operation->action) && percent(&comparison->random, 50);
    for (unsigned i = 0; looks_at_all && i < CURSORS; i++) {
        const struct drawn_cursor *cursor = &generator->cursors[i];
        if (is_cursors && i == operation->cursor) continue;
        if (cursor->has_ended || cursor->txn != operation->txn) continue;
        look_at(comparison, generator, i, "another cursor after it");
    }
    bool ends_nested = (operation->action == TXN_COMMIT || operation->action == TXN_ABORT) &&
                       is_writer(operation->txn) && operation->txn > 0 && *answer == ANSWER_OK;
    for (unsigned i = 0; ends_nested && i < CURSORS; i++) {
        const struct drawn_cursor *cursor = &generator->cursors[i];
        if (cursor->has_ended || cursor->txn + 1 != operation->txn) continue;
        look_at(comparison, generator, i, "a cursor of the parent after it");
    }
}

/* ---------------------------------------------------------- whole databases */

static void walk(struct comparison *comparison, struct operation *operation, zdb_cursor_op move) {
    operation->action = CURSOR_GET;
    operation->flags = (uint32_t)move;
    while (run(comparison, operation) == ANSWER_OK) counts->entries_compared++;
}

void compare_databases(struct comparison *comparison, unsigned txn) {
    comparison->during = "comparing whole databases";
    for (unsigned i = 0; i < comparison->setting->databases; i++) {
        struct operation operation = {
            .action = CURSOR_OPEN, .txn = txn, .database = i, .cursor = SPARE_CURSOR};
        if (run(comparison, &operation) != ANSWER_OK) continue;
        walk(comparison, &operation, ZDB_NEXT);
        operation.action = CURSOR_CLOSE;
        run(comparison, &operation);
        operation.action = CURSOR_OPEN;
        run(comparison, &operation);
        walk(comparison, &operation, ZDB_PREV);
        operation.action = DB_STAT;
        run(comparison, &operation);
        operation.action = CURSOR_CLOSE;
        run(comparison, &operation);
        counts->databases_compared++;
    }
    comparison->during = NULL;
}
