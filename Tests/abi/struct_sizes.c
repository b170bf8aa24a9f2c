/* What becomes of each struct with a struct_size, whatever that says: a size that a released version had
 * is taken, any other is refused by name. The struct ends where memory ends, so that a byte too many that
 * is read or written is a crash. sizes.h has the borders of the recorded fields: scripts/abi.py writes it.
 *
 *     struct_sizes ENVIRONMENT */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#endif
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zerodb.h>

#include "sizes.h"

static zdb_env *env;
static zdb_txn *txn;
static char path[4096], copy[4200];
static unsigned char *end; /* of the memory that may be used */
static long page;

#define HOLDS(condition)                                                                                 \
    do {                                                                                                 \
        if (!(condition)) {                                                                              \
            fprintf(stderr, "does not hold: %s (%s, %zu bytes): %s\n", #condition, type, size,           \
                    zdb_last_error());                                                                   \
            return 1;                                                                                    \
        }                                                                                                \
    } while (0)

static int open_with(void *options) {
    zdb_env *other;
    int code = zdb_env_open(copy, (const zdb_env_options *)options, &other);
    return code == ZDB_OK ? zdb_env_close(other) : code;
}
static int init_options(void *options) {
    size_t size;
    memcpy(&size, options, sizeof size);
    return zdb_env_options_init_size((zdb_env_options *)options, size);
}
static int compact_with(void *options) {
    return zdb_env_compact(env, (const zdb_compact_options *)options, NULL);
}
static int compact_into(void *result) { return zdb_env_compact(env, NULL, (zdb_compact_result *)result); }
static int info_into(void *result) { return zdb_env_info(env, (zdb_info *)result); }
static int limits_into(void *result) { return zdb_env_limits(env, (zdb_limits *)result); }
static int verify_with(void *options) {
    return zdb_env_verify(env, (const zdb_verify_options *)options, NULL);
}
static int verify_into(void *result) { return zdb_env_verify(env, NULL, (zdb_verify_report *)result); }
static int to_nowhere(const zdb_copy_options *options, zdb_copy_result *result) {
    FILE *file = tmpfile();
    int code = zdb_env_copy_fd(env, fileno(file), options, result);
    fclose(file);
    return code;
}
static int copy_with(void *options) { return to_nowhere((const zdb_copy_options *)options, NULL); }
static int copy_into(void *result) { return to_nowhere(NULL, (zdb_copy_result *)result); }
static int stat_into(void *result) { return zdb_stat(txn, ZDB_MAIN_DB, (zdb_db_stat *)result); }

/* A struct of a size, filled with a byte, at the end of the memory. */
static void *sized(size_t size, unsigned char filling) {
    unsigned char *start = end - size;
    memset(start, filling, size);
    if (size >= sizeof size) memcpy(start, &size, sizeof size);
    return start;
}

static int is_filled(const unsigned char *start, size_t size, unsigned char filling) {
    size_t i;
    for (i = sizeof(size_t); i < size; i++)
        if (start[i] != filling) return 0;
    return 1;
}

/* A size that nobody has had: refused, with a message that names the struct and both sizes. */
static int refuses(const char *type, size_t size, size_t known, int (*call)(void *)) {
    static const unsigned char fillings[] = {0, 0x5a};
    char number[32];
    size_t i;
    for (i = 0; i < sizeof fillings; i++) {
        unsigned char *start = (unsigned char *)sized(size, fillings[i]);
        HOLDS(call(start) == ZDB_BAD_ARGUMENT);
        HOLDS(is_filled(start, size, fillings[i]));
        HOLDS(strstr(zdb_last_error(), type));
        snprintf(number, sizeof number, "%zu", size);
        HOLDS(strstr(zdb_last_error(), number));
        snprintf(number, sizeof number, "%zu", known);
        HOLDS(strstr(zdb_last_error(), number));
    }
    return 0;
}

static int check(const char *type, const size_t *borders, int (*call)(void *), int is_result) {
    size_t last = 0, size, i;
    for (i = 0; borders[i]; i++) last = borders[i];
    for (i = 0; borders[i]; i++)
        if (borders[i] != last && borders[i] >= sizeof(size_t) && refuses(type, borders[i], last, call))
            return 1;
    for (i = 1; i <= 32; i++)
        if (refuses(type, last + i, last, call) || (last - i >= sizeof(size_t) && last - i != last &&
                                                    refuses(type, last - i, last, call)))
            return 1;
    if (refuses(type, (size_t)page, last, call)) return 1;
    /* The recorded one; twice, so that the first call's result is there for the second. */
    size = last;
    for (i = 0; i < 2; i++) {
        unsigned char *start = (unsigned char *)sized(size, is_result ? 0x5a : 0);
        HOLDS(call(start) == ZDB_OK);
        HOLDS(!is_result || !is_filled(start, size, 0x5a));
        HOLDS(memcmp(start, &size, sizeof size) == 0);
    }
    return 0;
}

int main(int argc, char **argv) {
    zdb_val key = {"key", 3}, value = {"value", 5};
    unsigned char *memory;
    int failed = 0;

    if (argc != 2) return 2;
    snprintf(path, sizeof path, "%s", argv[1]);
    snprintf(copy, sizeof copy, "%s.other", path);
    page = sysconf(_SC_PAGESIZE);
    memory = (unsigned char *)mmap(NULL, (size_t)page * 3, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + page * 2, (size_t)page, PROT_NONE) != 0) return 3;
    end = memory + page * 2;

    if (zdb_env_open(path, NULL, &env) || zdb_txn_begin(env, NULL, 0, &txn) ||
        zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0) || zdb_txn_commit(txn) ||
        zdb_txn_begin(env, NULL, ZDB_RDONLY, &txn)) {
        fprintf(stderr, "%s\n", zdb_last_error());
        return 1;
    }
#define CHECK(type, call, is_result) failed |= check(#type, sizes_##type, call, is_result)
    CHECK(zdb_env_options, init_options, 1);
    CHECK(zdb_compact_options, compact_with, 0);
    CHECK(zdb_compact_result, compact_into, 1);
    CHECK(zdb_info, info_into, 1);
    CHECK(zdb_limits, limits_into, 1);
    CHECK(zdb_verify_options, verify_with, 0);
    CHECK(zdb_verify_report, verify_into, 1);
    CHECK(zdb_copy_options, copy_with, 0);
    CHECK(zdb_copy_result, copy_into, 1);
    CHECK(zdb_db_stat, stat_into, 1);
    /* All zeros are no options that open: what has been made by zdb_env_options_init() is. */
    {
        const size_t known = sizeof(zdb_env_options);
        const size_t *border;
        for (border = sizes_zdb_env_options; *border; border++)
            if (*border != known) failed |= refuses("zdb_env_options", *border, known, open_with);
        failed |= refuses("zdb_env_options", known + 8, known, open_with);
        failed |= refuses("zdb_env_options", (size_t)page, known, open_with);
        if (init_options(sized(known, 0)) != ZDB_OK || open_with(end - known) != ZDB_OK) {
            fprintf(stderr, "options at the end of the memory: %s\n", zdb_last_error());
            failed = 1;
        }
    }
    /* One more struct with a size needs a line above. */
    if (SIZED_STRUCTS != 10) {
        fprintf(stderr, "%d structs have a size, and 10 are checked\n", SIZED_STRUCTS);
        failed = 1;
    }
    if (zdb_txn_abort(txn) || zdb_env_close(env)) failed = 1;
    return failed;
}
