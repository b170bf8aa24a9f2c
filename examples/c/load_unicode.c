/* Loads the Unicode Character Database and a word list into a ZeroDB environment.
 *
 *     cc load_unicode.c unicode_data.c -o load_unicode $(pkg-config --cflags --libs zerodb)
 *     ./load_unicode ENVIRONMENT [UNICODE-DIRECTORY [WORD-LIST]]
 *
 * It makes three named databases. Numbers are 4 bytes big-endian, so that the order of the
 * bytes, in which a database keeps its keys, is the order of the numbers.
 *
 *     codepoints   code point  ->  its properties, one "label: value" a line
 *     names        name        ->  code point
 *     words        word        ->  its line in the word list
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zerodb.h>

#include "unicode_data.h"

/* Few enough that the pages they dirty stay below the default max_txn_pages. */
#define ENTRIES_PER_TXN 50000

/* Puts entries into one database, a transaction for each ENTRIES_PER_TXN of them. */
struct loader {
    zdb_env *env;
    const char *name;
    zdb_db db;
    zdb_txn *txn;
    unsigned entries_in_txn;
    unsigned long entries, transactions;
    struct timespec start;
};

static void check(int code, const char *doing) {
    if (code != ZDB_OK) die("%s: %s", doing, zdb_last_error());
}

static void commit(struct loader *loader) {
    check(zdb_txn_commit(loader->txn), "commit");
    loader->txn = NULL;
    loader->transactions++;
    loader->entries += loader->entries_in_txn;
    loader->entries_in_txn = 0;
}

static void put(struct loader *loader, zdb_val key, zdb_val value) {
    if (loader->txn == NULL) {
        check(zdb_txn_begin(loader->env, NULL, 0, &loader->txn), "begin");
        check(zdb_db_open(loader->txn, loader->name, ZDB_CREATE, &loader->db), loader->name);
    }
    check(zdb_put(loader->txn, loader->db, &key, &value, 0), "put");
    if (++loader->entries_in_txn == ENTRIES_PER_TXN) commit(loader);
}

static struct loader begin_load(zdb_env *env, const char *name) {
    struct loader loader = {0};

    loader.env = env;
    loader.name = name;
    clock_gettime(CLOCK_MONOTONIC, &loader.start);
    return loader;
}

static void end_load(struct loader *loader) {
    struct timespec now;
    double seconds;

    if (loader->txn != NULL) commit(loader);
    clock_gettime(CLOCK_MONOTONIC, &now);
    seconds = (double)(now.tv_sec - loader->start.tv_sec) +
              (double)(now.tv_nsec - loader->start.tv_nsec) / 1e9;
    printf("  %-12s %10lu %13lu %10.2f %12.0f\n", loader->name, loader->entries,
           loader->transactions, seconds, (double)loader->entries / seconds);
}

static zdb_val number(unsigned char buffer[4], uint32_t n) {
    zdb_val bytes = {buffer, 4};

    buffer[0] = (unsigned char)(n >> 24);
    buffer[1] = (unsigned char)(n >> 16);
    buffer[2] = (unsigned char)(n >> 8);
    buffer[3] = (unsigned char)n;
    return bytes;
}

static zdb_val string(const char *text) {
    zdb_val bytes = {text, strlen(text)};

    return bytes;
}

static void load_code_points(zdb_env *env) {
    struct loader loader = begin_load(env, "codepoints");
    struct unicode_entry entry;
    unsigned char key[4];

    while (unicode_data_next(&entry)) {
        zdb_val value = {entry.text, entry.size};

        put(&loader, number(key, entry.code_point), value);
    }
    end_load(&loader);
}

/* Reads the names from one database while it writes them to the other: a program may read
 * and write at the same time, as in any number of transactions. */
static void load_names(zdb_env *env) {
    struct loader loader = begin_load(env, "names");
    zdb_txn *reader;
    zdb_db codepoints;
    zdb_cursor *cursor;
    zdb_val key, value;
    int code;

    check(zdb_txn_begin(env, NULL, ZDB_RDONLY, &reader), "begin");
    check(zdb_db_open(reader, "codepoints", 0, &codepoints), "codepoints");
    check(zdb_cursor_open(reader, codepoints, &cursor), "cursor");
    while ((code = zdb_cursor_get(cursor, &key, &value, ZDB_NEXT)) == ZDB_OK) {
        const char *name = (const char *)value.data + strlen("name: ");
        const char *end = memchr(name, '\n', value.size - strlen("name: "));
        zdb_val name_bytes = {name, (size_t)(end - name)};

        if (*name != '<') put(&loader, name_bytes, key);
    }
    if (code != ZDB_NOT_FOUND) check(code, "reading the names");
    zdb_cursor_close(cursor);
    zdb_txn_abort(reader);
    end_load(&loader);
}

static void load_words(zdb_env *env, char *words) {
    struct loader loader = begin_load(env, "words");
    unsigned char line[4];
    char *word;
    uint32_t line_number = 0;

    while ((word = next_line(&words)) != NULL)
        put(&loader, string(word), number(line, ++line_number));
    end_load(&loader);
}

int main(int argc, char **argv) {
    const char *unicode_directory = argc > 2 ? argv[2] : "/usr/share/unicode";
    const char *word_list = argc > 3 ? argv[3] : "/usr/share/dict/american-english-huge";
    char *words;
    zdb_info info = {0};
    zdb_env *env;

    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: load_unicode ENVIRONMENT [UNICODE-DIRECTORY [WORD-LIST]]\n");
        return 2;
    }
    unicode_data_read(unicode_directory);
    words = read_file(word_list);

    check(zdb_env_open(argv[1], NULL, &env), argv[1]);
    printf("  %-12s %10s %13s %10s %12s\n", "database", "entries", "transactions", "seconds",
           "entries/s");
    load_code_points(env);
    load_names(env);
    load_words(env, words);

    info.struct_size = sizeof info;
    check(zdb_env_info(env, &info), "info");
    printf("  %.1f MB in %" PRIu64 " pages of %" PRIu32 " bytes; every transaction is on disk.\n",
           (double)(info.page_count * info.page_size) / 1e6, info.page_count, info.page_size);
    check(zdb_env_close(env), "close");
    free(words);
    return 0;
}
