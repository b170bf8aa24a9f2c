/* The smallest complete program: open an environment, put, get, close.
 *
 *     cc hello.c -o hello $(pkg-config --cflags --libs zerodb) && ./hello
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <zerodb.h>

int main(void) {
    zdb_env *env = NULL;
    zdb_txn *txn = NULL;
    zdb_val key = {"greeting", 8};
    zdb_val value = {"hello, world", 12};
    zdb_val found;
    int code;

    /* NULL: default options. The directory is created if it is not there. */
    if ((code = zdb_env_open("hello.zdb", NULL, &env)) != ZDB_OK) goto done;

    if ((code = zdb_txn_begin(env, NULL, 0, &txn)) != ZDB_OK) goto done;
    if ((code = zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0)) != ZDB_OK) goto done;
    code = zdb_txn_commit(txn); /* on disk when this returns ZDB_OK */
    txn = NULL;
    if (code != ZDB_OK) goto done;

    if ((code = zdb_txn_begin(env, NULL, ZDB_RDONLY, &txn)) != ZDB_OK) goto done;
    if ((code = zdb_get(txn, ZDB_MAIN_DB, &key, &found)) != ZDB_OK) goto done;
    /* `found` points into the database and is valid until the transaction ends. */
    printf("%.*s\n", (int)found.size, (const char *)found.data);

done:
    if (code != ZDB_OK) fprintf(stderr, "hello: %s\n", zdb_last_error());
    zdb_txn_abort(txn); /* NULL is allowed */
    if (env != NULL) zdb_env_close(env);
    return code == ZDB_OK ? 0 : 1;
}
