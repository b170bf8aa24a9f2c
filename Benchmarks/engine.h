/* The engines under test, behind one table of functions.
 *
 * Both engines are reached through the same indirect calls, so the table costs both the
 * same. A failure is never measured: the functions print what failed and end the program.
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

struct env_options {
    uint32_t page_size;   /* bytes, 0 for the default; engines with a fixed one ignore it */
    uint64_t max_size;    /* bytes to reserve, 0 for the default; engines that have one */
    uint64_t entries_max; /* what the environment will hold, for engines that need to know */
    bool unflushed;       /* only the file's size counts: an engine may leave out flushing */
};

enum step { STEP_FIRST, STEP_LAST, STEP_NEXT, STEP_PREV, STEP_SEEK /* at or after the key */ };

struct engine {
    const char *name; /* as on the command line and in the results */
    const char *title;
    const char *data_file; /* its name inside the environment's directory */
    const char *(*version)(void);
    const char *flags; /* what is set for it, in words */

    struct benv *(*open)(const char *directory, const struct env_options *options);
    void (*close)(struct benv *env);
    uint64_t (*used_bytes)(struct benv *env); /* up to the last page ever used */

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

    struct bcursor *(*cursor_open)(struct btxn *txn);
    void (*cursor_close)(struct bcursor *cursor);
    /* False at the end. *key is read by STEP_SEEK and written by all. */
    bool (*cursor_move)(struct bcursor *cursor, enum step step, struct bytes *key,
                        struct bytes *value);
};

/** LMDB_WRITEMAP takes part where its way of writing matters, for information: targets are held
 *  against LMDB. */
enum engine_id { ZERODB, LMDB, LMDB_WRITEMAP, ENGINES };

/** By engine_id. */
extern const struct engine *const engines[ENGINES];
extern const struct engine engine_zerodb;
extern const struct engine engine_lmdb;
extern const struct engine engine_lmdb_writemap;

#endif
