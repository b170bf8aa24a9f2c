/* Operations and answers as text. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "names.h"

static const char *const answer_names[ANSWERS] = {
    [ANSWER_OK] = "ok",
    [ANSWER_NOT_FOUND] = "not found",
    [ANSWER_EXISTS] = "exists",
    [ANSWER_NOT_SORTED] = "not sorted",
    [ANSWER_BAD_SIZE] = "bad size",
    [ANSWER_INCOMPATIBLE] = "incompatible",
    [ANSWER_BAD_CURSOR] = "bad cursor",
    [ANSWER_BAD_DATABASE] = "bad database",
    [ANSWER_BAD_TRANSACTION] = "bad transaction",
    [ANSWER_READ_ONLY] = "read only",
    [ANSWER_BAD_ARGUMENT] = "bad argument",
    [ANSWER_OTHER] = "other",
    [ANSWER_NONE] = "not asked",
};

static const char *const action_names[ACTIONS] = {
    [TXN_BEGIN] = "txn_begin",
    [TXN_COMMIT] = "txn_commit",
    [TXN_ABORT] = "txn_abort",
    [TXN_RESET] = "txn_reset",
    [TXN_RENEW] = "txn_renew",
    [DB_OPEN] = "db_open",
    [DB_CLEAR] = "db_clear",
    [DB_DROP] = "db_drop",
    [DB_FLAGS] = "db_flags",
    [DB_STAT] = "stat",
    [GET] = "get",
    [PUT] = "put",
    [DELETE] = "del",
    [COMPARE_KEYS] = "cmp",
    [COMPARE_VALUES] = "dcmp",
    [CURSOR_OPEN] = "cursor_open",
    [CURSOR_CLOSE] = "cursor_close",
    [CURSOR_RENEW] = "cursor_renew",
    [CURSOR_GET] = "cursor_get",
    [CURSOR_PUT] = "cursor_put",
    [CURSOR_DELETE] = "cursor_del",
    [CURSOR_COUNT] = "cursor_count",
    [MULTIPLE_FORWARD] = "cursor_get GET_MULTIPLE, NEXT_MULTIPLE...",
    [MULTIPLE_BACKWARD] = "cursor_get PREV_MULTIPLE..., FIRST_DUP",
    [ENV_CHECKPOINT] = "env_checkpoint",
    [ENV_REOPEN] = "env_close, env_open",
};

static const char *const move_names[] = {
    "FIRST",         "FIRST_DUP", "GET_BOTH",      "GET_BOTH_RANGE", "GET_CURRENT",
    "GET_MULTIPLE",  "LAST",      "LAST_DUP",      "NEXT",           "NEXT_DUP",
    "NEXT_MULTIPLE", "NEXT_NODUP", "PREV",         "PREV_DUP",       "PREV_NODUP",
    "SET",           "SET_KEY",   "SET_RANGE",     "PREV_MULTIPLE",
};

static const struct {
    uint32_t flag;
    const char *name;
} put_flags[PUT_FLAGS] = {
    {ZDB_NOOVERWRITE, "NOOVERWRITE"}, {ZDB_NODUPDATA, "NODUPDATA"}, {ZDB_CURRENT, "CURRENT"},
    {ZDB_RESERVE, "RESERVE"},         {ZDB_APPEND, "APPEND"},       {ZDB_APPENDDUP, "APPENDDUP"},
    {ZDB_MULTIPLE, "MULTIPLE"},
};

const char *answer_name(enum answer answer) {
    return answer_names[answer];
}

unsigned variant_of(const struct operation *operation) {
    unsigned variant = 0;
    switch (operation->action) {
    case PUT:
    case CURSOR_PUT:
        for (unsigned i = 0; i < PUT_FLAGS; i++) {
            if (operation->flags & put_flags[i].flag) variant |= 1u << i;
        }
        return variant;
    case CURSOR_GET: return operation->flags;
    case CURSOR_DELETE: return operation->flags != 0;
    case DELETE: return operation->with_value;
    case DB_OPEN: return (operation->flags & ZDB_CREATE) != 0;
    case TXN_BEGIN:
    case TXN_COMMIT:
    case TXN_ABORT: return !is_writer(operation->txn) ? 2 : operation->txn > 0 ? 1 : 0;
    default: return 0;
    }
}

static void append(char *to, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *to, size_t size, const char *format, ...) {
    size_t used = strlen(to);
    va_list arguments;
    va_start(arguments, format);
    if (used < size) vsnprintf(to + used, size - used, format, arguments);
    va_end(arguments);
}

void name_variant(enum action action, unsigned variant, char *to, size_t size) {
    static const char *const transactions[] = {"", " nested", " reader"};
    to[0] = '\0';
    append(to, size, "%s", action_names[action]);
    switch (action) {
    case PUT:
    case CURSOR_PUT:
        for (unsigned i = 0; i < PUT_FLAGS; i++) {
            if (variant >> i & 1) append(to, size, " %s", put_flags[i].name);
        }
        break;
    case CURSOR_GET: append(to, size, " %s", move_names[variant]); break;
    case CURSOR_DELETE: append(to, size, "%s", variant ? " NODUPDATA" : ""); break;
    case DELETE: append(to, size, "%s", variant ? " of a value" : ""); break;
    case DB_OPEN: append(to, size, "%s", variant ? " CREATE" : ""); break;
    case TXN_BEGIN:
    case TXN_COMMIT:
    case TXN_ABORT: append(to, size, "%s", transactions[variant]); break;
    default: break;
    }
}

void describe_bytes(struct bytes bytes, char *to, size_t size) {
    const unsigned char *data = bytes.data;
    to[0] = '\0';
    append(to, size, "%zu bytes", bytes.size);
    for (size_t i = 0; i < bytes.size && i < 24; i++) {
        append(to, size, "%s%02x", i == 0 ? " " : "", data[i]);
    }
    if (bytes.size > 24) append(to, size, "...");
}

void describe_operation(const struct operation *operation, char *to, size_t size) {
    char bytes[100];
    name_variant(operation->action, variant_of(operation), to, size);
    if (operation->action >= CURSOR_OPEN && operation->action <= MULTIPLE_BACKWARD) {
        append(to, size, " cursor %u,", operation->cursor);
    }
    append(to, size, " txn %u, db %u", operation->txn, operation->database);
    if (operation->action == DB_OPEN) append(to, size, ", flags 0x%x", operation->flags);
    if (operation->key.data != NULL) {
        describe_bytes(operation->key, bytes, sizeof(bytes));
        append(to, size, ", key %s", bytes);
    }
    if (operation->value.data != NULL) {
        describe_bytes(operation->value, bytes, sizeof(bytes));
        append(to, size, ", value %s", bytes);
    }
    if (operation->multiple > 0) append(to, size, ", %zu values", operation->multiple);
}

void describe_result(const struct result *result, char *to, size_t size) {
    char bytes[100];
    to[0] = '\0';
    append(to, size, "%s (code %d)", answer_names[result->answer], result->code);
    if (result->has_number) append(to, size, ", number %lld", (long long)result->number);
    if (result->has_key) {
        describe_bytes(result->key, bytes, sizeof(bytes));
        append(to, size, ", key %s", bytes);
    }
    if (result->has_value) {
        describe_bytes(result->value, bytes, sizeof(bytes));
        append(to, size, ", value %s", bytes);
    }
}
