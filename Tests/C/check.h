/* The smallest test framework that keeps tests apart.
 *
 * Every test runs in a process and a directory of its own, so that no test sees what another
 * left behind, a crash or a deadlock fails one test only, and tests may fork, change their
 * directory or give up privileges. A test fails if a CHECK or a REQUIRE in it fails, if it
 * dies of a signal, or if it does not come to an end.
 *
 * CHECK records a failure and goes on; REQUIRE ends the test's process at once. Both may be
 * used from any thread.
 */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zerodb.h"

struct test {
    const char *name;
    void (*run)(void);
};

/** Tests of one subject. */
struct suite {
    const char *name;
    const struct test *tests;
    size_t count;
};

#define TEST(function) {#function, function}
#define TEST_COUNT(tests) (sizeof(tests) / sizeof((tests)[0]))

#if defined(__GNUC__)
#define CHECK_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CHECK_PRINTF(text, first)
#endif

/** A place in the tests: helpers report the line of their caller. */
struct place {
    const char *file;
    int line;
};

#define HERE place_at(__FILE__, __LINE__)

static inline struct place place_at(const char *file, int line) {
    struct place place;
    place.file = file;
    place.line = line;
    return place;
}

/** Prints and counts a failure. Ends the process when there have been too many. */
void check_failed(struct place place, const char *format, ...) CHECK_PRINTF(2, 3);

/** Prints a failure and ends the process. */
void require_failed(struct place place, const char *format, ...) CHECK_PRINTF(2, 3);

/** How many checks have failed in this process. */
unsigned check_failures(void);

/** The library's result codes, ZDB_OK first, each with its name in zerodb.h. */
struct result_code {
    int code;
    const char *name;
};

extern const struct result_code result_codes[];
extern const size_t result_code_count;

/** The name of a result code as it is spelled in zerodb.h, or "errno". */
const char *code_name(int code);

void check_true(struct place place, bool held, const char *text);
void require_true(struct place place, bool held, const char *text);
void check_code(struct place place, int code, int expected, const char *text);
void require_code(struct place place, int code, int expected, const char *text);
void check_either(struct place place, int code, int one, int other, const char *text);
void check_error(struct place place, int code, int expected, const char *text);
void check_number(struct place place, uint64_t number, uint64_t expected, const char *text);
void check_text(struct place place, const char *found, const char *expected, const char *text);
void check_contains(struct place place, const char *found, const char *part, const char *text);
void check_bytes(struct place place, zdb_val found, const void *data, size_t size,
                 const char *text);

#define CHECK(condition) check_true(HERE, (condition), #condition)
#define REQUIRE(condition) require_true(HERE, (condition), #condition)

/** The call returns this result code. */
#define CHECK_CODE(call, expected) check_code(HERE, (call), (expected), #call)
#define REQUIRE_CODE(call, expected) require_code(HERE, (call), (expected), #call)
#define REQUIRE_OK(call) require_code(HERE, (call), ZDB_OK, #call)

/** The call returns one of two codes, where zerodb.h allows both. */
#define CHECK_EITHER(call, one, other) check_either(HERE, (call), (one), (other), #call)

/** The call fails with this code, and zdb_last_error() and zdb_last_error_code() say so. */
#define CHECK_ERROR(call, expected) check_error(HERE, (call), (expected), #call)

#define CHECK_NUMBER(number, expected) check_number(HERE, (number), (expected), #number)
#define CHECK_TEXT(found, expected) check_text(HERE, (found), (expected), #found)
#define CHECK_CONTAINS(found, part) check_contains(HERE, (found), (part), #found)

/** A zdb_val holds these bytes. */
#define CHECK_BYTES(found, data, size) check_bytes(HERE, (found), (data), (size), #found)
#define CHECK_VALUE(found, string) check_bytes(HERE, (found), (string), strlen(string), #found)

#endif /* CHECK_H */
