#include "inject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum fault {
    LOSE_PUT,
    LOSE_DELETE,
    LOSE_COMMIT,
    KEEP_ABORTED,
    KEEP_ABORTED_NESTED,
    WRONG_ANSWER,
    WRONG_BYTE,
    WRONG_KEY,
    MISCOUNT,
    STRAY_CURSOR,
    STALE_SNAPSHOT,
    FAULTS
};

static const char *const names[FAULTS] = {
    [LOSE_PUT] = "lose-put",
    [LOSE_DELETE] = "lose-delete",
    [LOSE_COMMIT] = "lose-commit",
    [KEEP_ABORTED] = "keep-aborted",
    [KEEP_ABORTED_NESTED] = "keep-aborted-nested",
    [WRONG_ANSWER] = "wrong-answer",
    [WRONG_BYTE] = "wrong-byte",
    [WRONG_KEY] = "wrong-key",
    [MISCOUNT] = "miscount",
    [STRAY_CURSOR] = "stray-cursor",
    [STALE_SNAPSHOT] = "stale-snapshot",
};

struct injection {
    struct engine engine;
    enum fault fault;
    unsigned calls;
    unsigned char bytes[VALUE_SIZE_MAX];
};

/* The first calls are right, and later most are. */
static bool is_due(struct injection *injection) {
    injection->calls++;
    return injection->calls > 500 && injection->calls % 37 == 0;
}

static void spoil(struct injection *injection, struct bytes *bytes) {
    if (bytes->size == 0 || bytes->size > sizeof(injection->bytes)) return;
    memcpy(injection->bytes, bytes->data, bytes->size);
    injection->bytes[bytes->size / 2] ^= 1;
    bytes->data = injection->bytes;
}

static void delete_again(struct injection *injection, const struct operation *operation) {
    struct operation undo = *operation;
    struct result ignored;
    undo.action = DELETE;
    undo.with_value = true;
    injection->engine.apply(injection->engine.state, &undo, &ignored);
}

static void stray(struct injection *injection, const struct operation *operation) {
    struct operation next = *operation;
    struct result ignored;
    next.flags = (uint32_t)ZDB_NEXT;
    injection->engine.apply(injection->engine.state, &next, &ignored);
}

/* Does something else than it is asked for. Returns whether it did, and then there is nothing
 * more to do. */
static bool do_wrong(struct injection *injection, const struct operation *operation,
                     struct result *result) {
    struct operation changed = *operation;
    switch (injection->fault) {
    case LOSE_DELETE:
        if (operation->action != CURSOR_DELETE) return false;
        changed.action = CURSOR_GET;
        changed.flags = (uint32_t)ZDB_GET_CURRENT;
        break;
    case LOSE_COMMIT:
        if (operation->action != TXN_COMMIT || operation->txn != 0) return false;
        changed.action = TXN_ABORT;
        break;
    case KEEP_ABORTED:
        if (operation->action != TXN_ABORT || operation->txn != 0) return false;
        changed.action = TXN_COMMIT;
        break;
    case KEEP_ABORTED_NESTED:
        if (operation->action != TXN_ABORT || operation->txn == 0) return false;
        if (!is_writer(operation->txn)) return false;
        changed.action = TXN_COMMIT;
        break;
    default: return false;
    }
    injection->engine.apply(injection->engine.state, &changed, result);
    result->has_key = result->has_value = false;
    return true;
}

/* Spoils a right result. */
static void spoil_result(struct injection *injection, const struct operation *operation,
                         struct result *result) {
    bool is_ok = result->answer == ANSWER_OK;
    switch (injection->fault) {
    case LOSE_PUT:
        if (operation->action == PUT && is_ok &&
            (operation->flags & (ZDB_NOOVERWRITE | ZDB_NODUPDATA))) {
            delete_again(injection, operation);
        }
        break;
    case WRONG_ANSWER:
        if (result->answer == ANSWER_EXISTS) result->answer = ANSWER_OK;
        break;
    case WRONG_BYTE:
        if (result->has_value && is_due(injection)) spoil(injection, &result->value);
        break;
    case WRONG_KEY:
        if (result->has_key && is_due(injection)) spoil(injection, &result->key);
        break;
    case MISCOUNT:
        if (operation->action == CURSOR_COUNT && result->number > 100) result->number--;
        break;
    case STRAY_CURSOR:
        if (operation->action == CURSOR_GET && is_ok && is_due(injection)) {
            stray(injection, operation);
        }
        break;
    case STALE_SNAPSHOT:
        /* A reader that follows the writer. */
        if (operation->action == TXN_COMMIT && operation->txn == 0) {
            for (unsigned i = WRITER_LEVELS; i < TRANSACTIONS; i++) {
                struct operation renewal = {.action = TXN_RESET, .txn = i};
                struct result ignored;
                if (injection->calls >> i & 1) {
                    injection->engine.apply(injection->engine.state, &renewal, &ignored);
                    renewal.action = TXN_RENEW;
                    injection->engine.apply(injection->engine.state, &renewal, &ignored);
                }
            }
        }
        if (operation->txn >= WRITER_LEVELS && operation->txn < TRANSACTIONS && is_ok) {
            unsigned bit = 1u << operation->txn;
            if (operation->action == TXN_BEGIN || operation->action == TXN_RENEW) {
                injection->calls |= bit;
            } else if (operation->action == TXN_COMMIT || operation->action == TXN_ABORT ||
                       operation->action == TXN_RESET) {
                injection->calls &= ~bit;
            }
        }
        break;
    default: break;
    }
}

static void apply(void *state, const struct operation *operation, struct result *result) {
    struct injection *injection = state;
    if (do_wrong(injection, operation, result)) return;
    injection->engine.apply(injection->engine.state, operation, result);
    spoil_result(injection, operation, result);
}

static const char *verify(void *state) {
    struct injection *injection = state;
    return injection->engine.verify(injection->engine.state);
}

static void close_engine(void *state) {
    struct injection *injection = state;
    injection->engine.close(injection->engine.state);
    free(injection);
}

bool inject(struct engine *engine, const char *fault) {
    for (unsigned i = 0; i < FAULTS; i++) {
        if (strcmp(fault, names[i]) != 0) continue;
        struct injection *injection = allocate(sizeof(*injection));
        memset(injection, 0, sizeof(*injection));
        injection->engine = *engine;
        injection->fault = (enum fault)i;
        struct engine wrapped = {engine->name, injection, apply, verify, close_engine};
        *engine = wrapped;
        return true;
    }
    return false;
}

void print_faults(void) {
    for (unsigned i = 0; i < FAULTS; i++) printf("%s\n", names[i]);
}
