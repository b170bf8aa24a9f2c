/* The engines under test, behind one table of functions.
 *
 * All engines are reached through the same indirect calls, so the table costs all the same. A
 * failure is never measured: the functions print the failed call and end the program.
 */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opaque; each engine casts them to its own handles. */
struct benv;
struct btxn;
struct bcursor;

struct bytes {
    const void *data;
    size_t size;
};

/** The type of the main database of an environment. */
enum kind {
    PLAIN,
    DUPLICATES,         /* keys have many values */
    INTEGER_DUPLICATES, /* the same, of one size and ordered as integers */
    COUNTED             /* branches count what is below them; ZeroDB's */
};

struct env_options {
    enum kind kind;       /* of a new environment; later the same */
    uint32_t page_size;   /* bytes, 0 for the default; engines with a fixed one ignore it */
    uint64_t max_size;    /* bytes to reserve, 0 for the default; engines that have one */
    uint64_t entries_max; /* entries of the later content, for engines that need to know */
    uint64_t log_size;    /* bytes of log before a checkpoint, 0 for the default; ZeroDB's */
    uint64_t cache_bytes; /* of engines with a cache of their own; 0 for CACHE_BYTES_DEFAULT */
    bool unflushed;       /* commits wait for no flush */
    bool survives_kill;   /* with that: a commit still survives the end of the process; ZeroDB's, the
                             others always do */
};

/** Holds all entries of the default run, so that these engines read from memory as the others do. */
#define CACHE_BYTES_DEFAULT ((uint64_t)1 << 30)

static inline uint64_t cache_bytes(const struct env_options *options) {
    return options->cache_bytes != 0 ? options->cache_bytes : CACHE_BYTES_DEFAULT;
}

enum step {
    STEP_FIRST,
    STEP_LAST,
    STEP_NEXT,
    STEP_PREV,
    STEP_SEEK, /* at or after the key */
    /* With duplicates only: */
    STEP_NEXT_KEY,     /* the first value of the next key */
    STEP_BOTH,         /* this key and value */
    STEP_MULTIPLE,     /* the current value and those after it that lie together: an array */
    STEP_NEXT_MULTIPLE /* the array after it, of the same key */
};

struct engine {
    const char *name; /* as on the command line and in the results */
    const char *title;
    const char *data_file;     /* its name inside the environment's directory */
    const char *log_directory; /* the same; NULL where there is none */
    /* The files, as a pattern of fnmatch(), that are kept for later commits and hold nothing once the
     * environment is closed. NULL where there are none. */
    const char *spare_files;
    bool env_per_thread;       /* threads must not share a struct benv; each opens its own */
    uint64_t txn_puts_max;     /* puts that a transaction can have; 0 for no such limit */
    /* NULL, or what is missing and how to get it, in a line. NULL itself where the program cannot
     * be built without the engine; other functions may be called only if it is there. */
    const char *(*absent)(void);
    const char *(*version)(void);
    const char *flags;           /* its settings, in words */
    const char *unflushed_flags; /* what differs where commits wait for no flush */

    struct benv *(*open)(const char *directory, const struct env_options *options);
    void (*close)(struct benv *env);
    /* Up to the last page ever used. NULL where there is no such thing. */
    uint64_t (*used_bytes)(struct benv *env);
    /* Does the background work of the engine (checkpoint, compaction) at once. NULL where it
     * leaves nothing to do. */
    void (*checkpoint)(struct benv *env);

    struct btxn *(*begin_read)(struct benv *env);
    struct btxn *(*begin_write)(struct benv *env);
    void (*commit)(struct btxn *txn);
    void (*abort)(struct btxn *txn); /* also ends a read transaction */
    void (*reset)(struct btxn *txn);
    void (*renew)(struct btxn *txn);

    bool (*get)(struct btxn *txn, const struct bytes *key, struct bytes *value);
    void (*put)(struct btxn *txn, const struct bytes *key, const struct bytes *value);
    /* As put(), for a key after all others. */
    void (*append)(struct btxn *txn, const struct bytes *key, const struct bytes *value);

    /* Deletes a key that is there. */
    void (*del)(struct btxn *txn, const struct bytes *key);

    struct bcursor *(*cursor_open)(struct btxn *txn);
    void (*cursor_close)(struct bcursor *cursor);
    /* False at the end. *key is read by STEP_SEEK and STEP_BOTH, *value by STEP_BOTH; what an
     * engine does not return stays as it is. */
    bool (*cursor_move)(struct bcursor *cursor, enum step step, struct bytes *key,
                        struct bytes *value);

    /* NULL where the engine has no such thing. */

    /* How many values the current key has. */
    uint64_t (*cursor_count)(struct bcursor *cursor);
    /* Returns how many of the keys are there. */
    size_t (*get_many)(struct btxn *txn, const struct bytes *keys, struct bytes *values,
                       size_t count);
    /* Returns how many entries there were, 0 at the end. */
    size_t (*cursor_next_many)(struct bcursor *cursor, struct bytes *keys, struct bytes *values,
                               size_t capacity);
    /* How many entries come before a key that is there. */
    uint64_t (*rank)(struct btxn *txn, const struct bytes *key);
    /* Moves to the entry that has so many before it. */
    void (*cursor_set_rank)(struct bcursor *cursor, uint64_t rank, struct bytes *key,
                            struct bytes *value);
};

/** LMDB_WRITEMAP takes part where its way of writing matters, for information: targets are
 *  compared with LMDB. */
enum engine_id {
    ZERODB,
    LMDB,
    LMDB_WRITEMAP,
    LMDB1,
    MDBX,
    ROCKSDB,
    WIREDTIGER,
    SQLITE,
    ENGINES
};

/** By engine_id. */
extern const struct engine *const engines[ENGINES];
extern const struct engine engine_zerodb;
extern const struct engine engine_lmdb;
extern const struct engine engine_lmdb_writemap;
extern const struct engine engine_lmdb1;
extern const struct engine engine_mdbx;
extern const struct engine engine_rocksdb;
extern const struct engine engine_wiredtiger;
extern const struct engine engine_sqlite;

#endif
