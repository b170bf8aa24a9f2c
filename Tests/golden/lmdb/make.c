/* Writes the files of LMDB that the tests read: see README.md. */

#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state = 12345;

static uint32_t next(uint32_t bound) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % bound;
}

static void check(int code, const char *what) {
    if (code != MDB_SUCCESS && code != MDB_KEYEXIST && code != MDB_NOTFOUND) {
        fprintf(stderr, "%s: %s\n", what, mdb_strerror(code));
        exit(1);
    }
}

static MDB_val text(char *room, size_t size) {
    for (size_t i = 0; i < size; i++) {
        room[i] = (char)(i < 6 ? next(256) : 'a' + i % 26);
    }
    return (MDB_val){size, room};
}

/* Puts and deletes at random, so that pages have been split, merged and shifted. */
static void fill(MDB_txn *txn, MDB_dbi dbi, unsigned flags, int count) {
    static char key_room[512], value_room[9000];
    for (int i = 0; i < count; i++) {
        uint32_t number = next(1u << 30), small = next(1u << 30);
        MDB_val key = {4, &number}, value;
        if (!(flags & MDB_INTEGERKEY)) {
            key = text(key_room, 1 + next(next(20) ? 16 : 200));
        }
        if (flags & MDB_DUPFIXED) {
            value = (MDB_val){4, &small};
        } else if (flags & MDB_DUPSORT) {
            value = text(value_room, 1 + next(24));
        } else {
            value = text(value_room, next(40) ? next(60) : next(9000));
        }
        check(mdb_put(txn, dbi, &key, &value, 0), "put");
        /* Some keys get several values, a few of them many. */
        int more = flags & MDB_DUPSORT ? (i % 20 == 7 ? 250 : (int)next(4)) : 0;
        for (int j = 0; j < more; j++) {
            small = next(1u << 30);
            if (!(flags & MDB_DUPFIXED)) value = text(value_room, 1 + next(24));
            check(mdb_put(txn, dbi, &key, &value, 0), "put of a value");
        }
    }
}

/* Deletes every third entry. */
static void thin(MDB_txn *txn, MDB_dbi dbi) {
    MDB_cursor *cursor;
    MDB_val key, value;
    int i = 0;
    check(mdb_cursor_open(txn, dbi, &cursor), "cursor");
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == MDB_SUCCESS) {
        if (i++ % 3 == 0) check(mdb_cursor_del(cursor, 0), "delete");
    }
    mdb_cursor_close(cursor);
}

static void hex(const MDB_val *bytes) {
    for (size_t i = 0; i < bytes->mv_size; i++) {
        printf("%02x", ((const unsigned char *)bytes->mv_data)[i]);
    }
}

/* Prints what the library reads back. */
static void print(MDB_txn *txn, const char *name, MDB_dbi dbi, unsigned flags) {
    MDB_cursor *cursor;
    MDB_val key, value;
    printf("database %s %u\n", name ? name : "-", flags & 0xffu);
    check(mdb_cursor_open(txn, dbi, &cursor), "cursor");
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == MDB_SUCCESS) {
        /* Names of databases begin with "db-". */
        if (!name && key.mv_size > 3 && !memcmp(key.mv_data, "db-", 3)) continue;
        hex(&key);
        printf(" ");
        hex(&value);
        printf("\n");
    }
    mdb_cursor_close(cursor);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        unsigned flags;
        int count;
    } databases[] = {
        {NULL, 0, 50},
        {"db-dup", MDB_DUPSORT, 16},
        {"db-empty", 0, 0},
        {"db-fixed", MDB_DUPSORT | MDB_DUPFIXED, 16},
        {"db-intdup", MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP, 10},
        {"db-integer", MDB_INTEGERKEY, 100},
        {"db-revdup", MDB_DUPSORT | MDB_REVERSEDUP, 10},
        {"db-reverse", MDB_REVERSEKEY, 60},
    };
    enum { COUNT = sizeof databases / sizeof *databases };
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbis[COUNT];
    check(mdb_env_create(&env), "create");
    check(mdb_env_set_maxdbs(env, COUNT), "maxdbs");
    check(mdb_env_set_mapsize(env, 64 << 20), "mapsize");
#if MDB_VERSION_MAJOR > 0
    if (argc > 2) check(mdb_env_set_pagesize(env, atoi(argv[2])), "pagesize");
#endif
    check(argc > 1 ? mdb_env_open(env, argv[1], MDB_NOSUBDIR | MDB_NOSYNC, 0644) : 22, "open");
    for (int round = 0; round < 2; round++) {
        check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
        for (int i = 0; i < COUNT; i++) {
            unsigned flags = databases[i].flags;
            check(mdb_dbi_open(txn, databases[i].name, flags | MDB_CREATE, &dbis[i]), "dbi");
            fill(txn, dbis[i], flags, databases[i].count);
            if (i > 0 && round == 0) thin(txn, dbis[i]);
        }
        check(mdb_txn_commit(txn), "commit");
    }
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "begin");
    for (int i = 0; i < COUNT; i++) print(txn, databases[i].name, dbis[i], databases[i].flags);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return 0;
}
