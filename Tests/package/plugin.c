#include "plugin.h"

#include <stdio.h>
#include <zerodb.h>

/* Commits are relaxed: a thread of the library's flushes them, later. */
int plugin_commit(const char *path, void **handle) {
    zdb_env *env = (zdb_env *)*handle;
    int number;

    if (!env) {
        zdb_env_options options;
        if (zdb_env_options_init(&options) != ZDB_OK) return 1;
        options.durability = ZDB_DURABILITY_RELAXED;
        if (zdb_env_open(path, &options, &env) != ZDB_OK) goto failed;
        *handle = env;
    }
    for (number = 0; number < 100; number++) {
        zdb_txn *txn;
        zdb_val key = {&number, sizeof number}, value = {"plugin", 6};
        if (zdb_txn_begin(env, NULL, 0, &txn) != ZDB_OK) goto failed;
        if (zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0) != ZDB_OK) goto failed;
        if (zdb_txn_commit(txn) != ZDB_OK) goto failed;
    }
    return 0;

failed:
    fprintf(stderr, "plugin: %s\n", zdb_last_error());
    return 1;
}
