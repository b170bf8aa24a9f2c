/* The operations and results of both libraries, in words that belong to neither. */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zerodb.h"

enum {
    WRITER_LEVELS = 5, /* the outermost write transaction and those nested in it */
    READERS = 3,
    TRANSACTIONS = WRITER_LEVELS + READERS, /* the writer's levels come first */
    CURSORS = 6,
    SPARE_CURSOR = CURSORS, /* of the comparison of whole databases */
    DATABASES = 3,
    NO_DATABASE = DATABASES, /* a name of which no database is ever made */
    KEY_SIZE_MAX = 511,      /* the smaller of the two limits: LMDB's */
    SIZE_BEYOND_ALL = 20000, /* more than any limit on keys and duplicates */
    VALUE_SIZE_MAX = 30000,  /* of generated values where there is no limit */
    MULTIPLE_MAX = 300       /* values of one put with ZDB_MULTIPLE */
};

struct bytes {
    const void *data;
    size_t size;
};

/* The result of a call, as far as both libraries distinguish it. */
enum answer {
    ANSWER_OK,
    ANSWER_NOT_FOUND,
    ANSWER_EXISTS,
    ANSWER_NOT_SORTED,
    ANSWER_BAD_SIZE,
    ANSWER_INCOMPATIBLE,
    ANSWER_BAD_CURSOR,
    ANSWER_BAD_DATABASE,
    ANSWER_BAD_TRANSACTION,
    ANSWER_READ_ONLY,
    ANSWER_BAD_ARGUMENT,
    ANSWER_OTHER,
    ANSWER_NONE, /* LMDB cannot be asked this: ZeroDB is not asked either */
    ANSWERS
};

enum action {
    TXN_BEGIN, /* of a writer's level: nested in the level below; of a reader: for reading */
    TXN_COMMIT,
    TXN_ABORT,
    TXN_RESET,
    TXN_RENEW,
    DB_OPEN,
    DB_CLEAR,
    DB_DROP,
    DB_FLAGS,
    DB_STAT,
    GET,
    PUT,
    DELETE,
    COMPARE_KEYS,
    COMPARE_VALUES,
    CURSOR_OPEN,
    CURSOR_CLOSE,
    CURSOR_RENEW,
    CURSOR_GET,
    CURSOR_PUT,
    CURSOR_DELETE,
    CURSOR_COUNT,
    MULTIPLE_FORWARD,  /* the current value and all after it, with GET_MULTIPLE, NEXT_MULTIPLE */
    MULTIPLE_BACKWARD, /* the values before the current one's page, with PREV_MULTIPLE; then
                          FIRST_DUP */
    ENV_CHECKPOINT,
    ENV_REOPEN,
    ACTIONS
};

struct operation {
    enum action action;
    unsigned txn;      /* 0 to TRANSACTIONS - 1; of cursor calls, the cursor's own */
    unsigned database; /* 0 to DATABASES */
    unsigned cursor;
    uint32_t flags; /* of puts, deletes, databases; of CURSOR_GET, the zdb_cursor_op */
    bool with_value; /* DELETE: of one value of the key */
    struct bytes key;
    struct bytes value; /* with ZDB_MULTIPLE: the values one after the other */
    size_t multiple;    /* how many they are */
};

/* Keys and values are good until the next call of the same engine. */
struct result {
    enum answer answer;
    int code; /* the library's own */
    bool has_key, has_value, has_number;
    struct bytes key, value;
    int64_t number;
};

/* The properties of a database. */
struct database {
    const char *name; /* NULL: the main database */
    uint32_t flags;   /* ZDB_DUPSORT, ... */
    size_t key_size;  /* with ZDB_INTEGERKEY, otherwise 0 */
    size_t value_size; /* with ZDB_DUPFIXED, otherwise 0 */
};

/* Choices that are made once for a sequence of operations. */
struct setting {
    uint64_t seed;
    const char *directory;
    uint32_t page_size; /* ZeroDB's */
    unsigned databases;
    struct database database[DATABASES];
};

/* One of the two that are compared. */
struct engine {
    const char *name;
    void *state;
    void (*apply)(void *state, const struct operation *operation, struct result *result);
    /* Returns NULL, or a message about a problem of the files. No transaction is open. */
    const char *(*verify)(void *state);
    void (*close)(void *state);
};

/** LMDB, with the differences of meant.h made up for. */
struct engine open_lmdb(const struct setting *setting, const char *subdirectory);
struct engine open_zerodb(const struct setting *setting, const char *subdirectory);

static inline bool is_writer(unsigned txn) {
    return txn < WRITER_LEVELS;
}

static inline bool has_duplicates(const struct database *database) {
    return (database->flags & ZDB_DUPSORT) != 0;
}

static inline bool has_fixed_duplicates(const struct database *database) {
    return (database->flags & ZDB_DUPFIXED) != 0;
}

/** The name of a database that is never made, or of one of the setting's. */
const char *database_name(const struct setting *setting, unsigned database);

/** Prints an error that the program cannot survive, and ends it. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** memory, or the end of the program. */
void *allocate(size_t size);

#endif /* MODEL_H */
