#include "model_run.h"

bool run_has_duplicates(const struct model_run *run) {
    return (run->flags & ZDB_DUPSORT) != 0;
}

unsigned run_random_below(struct model_run *run, unsigned bound) {
    return (unsigned)(next_random(&run->random) % bound);
}

void run_differs(const struct model_run *run, const char *what) {
    require_failed(HERE, "%s, %s: %s differs from the model", flags_name(run->flags), run->doing,
                   what);
}

void run_expect_code(const struct model_run *run, int code, int expected) {
    if (code == expected) return;
    require_failed(HERE, "%s, %s: %s instead of %s (%s)", flags_name(run->flags), run->doing,
                   code_name(code), code_name(expected), zdb_last_error());
}

bool same_bytes(zdb_val found, zdb_val expected) {
    return found.size == expected.size && memcmp(found.data, expected.data, expected.size) == 0;
}

void run_expect_key(const struct model_run *run, zdb_val found, pair_number pair) {
    char buffer[NUMBER_BYTES];
    if (!same_bytes(found, encoded_key(buffer, run->flags, key_of(pair))))
        run_differs(run, "the key");
}

void run_expect_value(const struct model_run *run, zdb_val found, pair_number pair) {
    char buffer[NUMBER_BYTES];
    if (!same_bytes(found, encoded_value(buffer, run->flags, value_of(pair))))
        run_differs(run, "the value");
}
