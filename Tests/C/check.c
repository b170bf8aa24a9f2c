/* Reporting of failed checks. */
#include "check.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* After so many failures, which a loop may report, the test ends. */
enum { FAILURES_MAX = 20 };

static pthread_mutex_t failures_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned failures;

unsigned check_failures(void) {
    pthread_mutex_lock(&failures_lock);
    unsigned count = failures;
    pthread_mutex_unlock(&failures_lock);
    return count;
}

static void print_failure(struct place place, const char *format, va_list arguments) {
    fprintf(stderr, "%s:%d: ", place.file, place.line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void check_failed(struct place place, const char *format, ...) {
    pthread_mutex_lock(&failures_lock);
    va_list arguments;
    va_start(arguments, format);
    print_failure(place, format, arguments);
    va_end(arguments);
    bool too_many = ++failures >= FAILURES_MAX;
    pthread_mutex_unlock(&failures_lock);
    if (too_many) {
        fprintf(stderr, "%s:%d: giving up after %u failures\n", place.file, place.line,
                (unsigned)FAILURES_MAX);
        _exit(1);
    }
}

void require_failed(struct place place, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_failure(place, format, arguments);
    va_end(arguments);
    _exit(1);
}

#define NAMED(code) {code, #code}

const struct result_code result_codes[] = {
    NAMED(ZDB_OK),           NAMED(ZDB_KEYEXIST),         NAMED(ZDB_NOT_FOUND),
    NAMED(ZDB_CORRUPTED),    NAMED(ZDB_VERSION_MISMATCH), NAMED(ZDB_INVALID),
    NAMED(ZDB_FULL),         NAMED(ZDB_TXN_FULL),         NAMED(ZDB_READERS_FULL),
    NAMED(ZDB_BAD_TXN),      NAMED(ZDB_BAD_HANDLE),       NAMED(ZDB_BAD_DB),
    NAMED(ZDB_BAD_VALSIZE),  NAMED(ZDB_INCOMPATIBLE),     NAMED(ZDB_READ_ONLY),
    NAMED(ZDB_BUSY),         NAMED(ZDB_FORKED),           NAMED(ZDB_PANIC),
    NAMED(ZDB_BAD_ARGUMENT), NAMED(ZDB_BAD_CURSOR),       NAMED(ZDB_UNSUPPORTED),
    NAMED(ZDB_NOT_SORTED),   NAMED(ZDB_RECOVERY_NEEDED),
};
const size_t result_code_count = sizeof(result_codes) / sizeof(result_codes[0]);

const char *code_name(int code) {
    for (size_t i = 0; i < result_code_count; i++) {
        if (result_codes[i].code == code) return result_codes[i].name;
    }
    return code > 0 ? "errno" : "unknown";
}

/* The library's message about a code, for the report of an unexpected one. */
static const char *story_of(int code) {
    return code == ZDB_OK || code != zdb_last_error_code() ? "" : zdb_last_error();
}

void check_true(struct place place, bool held, const char *text) {
    if (!held) check_failed(place, "%s does not hold", text);
}

void require_true(struct place place, bool held, const char *text) {
    if (!held) require_failed(place, "%s does not hold", text);
}

void check_code(struct place place, int code, int expected, const char *text) {
    if (code == expected) return;
    check_failed(place, "%s\n    returned %s (%d) %s\n    expected %s (%d)", text, code_name(code),
                 code, story_of(code), code_name(expected), expected);
}

void require_code(struct place place, int code, int expected, const char *text) {
    if (code == expected) return;
    require_failed(place, "%s\n    returned %s (%d) %s\n    expected %s (%d)", text,
                   code_name(code), code, story_of(code), code_name(expected), expected);
}

void check_either(struct place place, int code, int one, int other, const char *text) {
    if (code == one || code == other) return;
    if (one == other) {
        check_code(place, code, one, text);
        return;
    }
    check_failed(place, "%s\n    returned %s (%d) %s\n    expected %s (%d) or %s (%d)", text,
                 code_name(code), code, story_of(code), code_name(one), one, code_name(other),
                 other);
}

void check_error(struct place place, int code, int expected, const char *text) {
    check_code(place, code, expected, text);
    if (code != expected) return;
    if (zdb_last_error_code() != code) {
        check_failed(place, "%s\n    returned %s, but zdb_last_error_code() is %s (%d)", text,
                     code_name(code), code_name(zdb_last_error_code()), zdb_last_error_code());
    }
    if (zdb_last_error()[0] == '\0') {
        check_failed(place, "%s\n    returned %s without a message", text, code_name(code));
    }
}

void check_number(struct place place, uint64_t number, uint64_t expected, const char *text) {
    if (number == expected) return;
    check_failed(place, "%s is %" PRIu64 ", expected %" PRIu64, text, number, expected);
}

void check_text(struct place place, const char *found, const char *expected, const char *text) {
    if (strcmp(found, expected) == 0) return;
    check_failed(place, "%s is \"%s\", expected \"%s\"", text, found, expected);
}

void check_contains(struct place place, const char *found, const char *part, const char *text) {
    if (strstr(found, part) != NULL) return;
    check_failed(place, "%s is \"%s\", which does not contain \"%s\"", text, found, part);
}

void check_bytes(struct place place, zdb_val found, const void *data, size_t size,
                 const char *text) {
    if (found.size != size) {
        check_failed(place, "%s has %zu bytes, expected %zu", text, found.size, size);
    } else if (size != 0 && (found.data == NULL || memcmp(found.data, data, size) != 0)) {
        check_failed(place, "%s has %zu bytes that are not the expected ones", text, size);
    }
}
