/* Opens an environment, puts and gets, and says the version: C99, C11 and C++17 at once. */
#include <stdio.h>
#include <string.h>
#include <zerodb.h>

static int failed(const char *what) {
    fprintf(stderr, "use: %s: %s\n", what, zdb_last_error());
    return 1;
}

int main(int argc, char **argv) {
    zdb_env_options options;
    zdb_env *env;
    zdb_txn *txn;
    zdb_val key, value;
    int major;

    if (argc != 2) return 2;
    if (zdb_env_options_init(&options) != ZDB_OK) return failed("zdb_env_options_init");
    options.log_size = 1 << 20;
    if (zdb_env_open(argv[1], &options, &env) != ZDB_OK) return failed("zdb_env_open");

    key.data = "greeting";
    key.size = strlen("greeting");
    value.data = "hello, world";
    value.size = strlen("hello, world");
    if (zdb_txn_begin(env, NULL, 0, &txn) != ZDB_OK) return failed("zdb_txn_begin");
    if (zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0) != ZDB_OK) return failed("zdb_put");
    if (zdb_txn_commit(txn) != ZDB_OK) return failed("zdb_txn_commit");

    if (zdb_txn_begin(env, NULL, ZDB_RDONLY, &txn) != ZDB_OK) return failed("zdb_txn_begin");
    if (zdb_get(txn, ZDB_MAIN_DB, &key, &value) != ZDB_OK) return failed("zdb_get");
    printf("%s: %.*s\n", zdb_version(&major, NULL, NULL), (int)value.size, (const char *)value.data);
    if (zdb_txn_abort(txn) != ZDB_OK) return failed("zdb_txn_abort");
    if (zdb_env_verify(env, NULL, NULL) != ZDB_OK) return failed("zdb_env_verify");
    if (zdb_env_close(env) != ZDB_OK) return failed("zdb_env_close");
    return major == ZDB_VERSION_MAJOR ? 0 : 1;
}
