/* What stands for the peers that the program was built without. peers.h is written by the Makefile. */
#include "engine.h"

#include "peers.h"

#if !HAVE_LMDB1
static const char *lmdb1_absent(void) {
    return "its sources are not in build/peers: `make -C Benchmarks peers` brings them from PyPI";
}

const struct engine engine_lmdb1 = {.name = "lmdb1", .title = "LMDB 1.0", .absent = lmdb1_absent};
#endif

#if !HAVE_WIREDTIGER
static const char *wiredtiger_absent(void) {
    return "its header is missing: apt-get install libwiredtiger-dev";
}

const struct engine engine_wiredtiger = {
    .name = "wiredtiger", .title = "WiredTiger", .absent = wiredtiger_absent};
#endif
