/* Damaged and foreign files: for any content of a file, the library returns the right data or an
 * error that names the place, and never crashes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

#define DATA_FILE "env/data.zdb"

/* ------------------------------------------------------------- foreign files */

static void make_directory_with_file(const void *data, size_t size) {
    REQUIRE(mkdir("env", 0700) == 0);
    write_file(DATA_FILE, data, size);
}

static void a_file_of_another_kind_is_refused_and_left_alone(void) {
    enum { SIZE = 65536 };
    unsigned char *garbage = (unsigned char *)new_pattern(SIZE, 77);
    make_directory_with_file(garbage, SIZE);
    zdb_env *env = NULL;
    CHECK_ERROR(zdb_env_open("env", NULL, &env), ZDB_INVALID);
    CHECK(env == NULL);
    CHECK_CONTAINS(zdb_last_error(), "data.zdb");
    size_t size = 0;
    unsigned char *found = read_file(DATA_FILE, &size);
    CHECK(size == SIZE && memcmp(found, garbage, SIZE) == 0);
    free(found);
    free(garbage);
}

static void a_short_file_of_another_kind_is_refused(void) {
    static const size_t sizes[] = {1, 10, 511, 4095, 4096, 8191, 8192};
    unsigned char *garbage = (unsigned char *)new_pattern(8192, 78);
    make_directory_with_file(garbage, 1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        write_file(DATA_FILE, garbage, sizes[i]);
        zdb_env *env = NULL;
        CHECK_ERROR(zdb_env_open("env", NULL, &env), ZDB_INVALID);
        CHECK(env == NULL);
    }
    free(garbage);
}

/* As libraries of LMDB begin their files: the header of a page, a magic number, a version. */
static void an_environment_of_lmdb_is_refused_with_advice(void) {
    static const size_t headers[] = {12, 16, 24};
    static const unsigned char magic[] = {0xde, 0xc0, 0xef, 0xbe, 1, 0, 0, 0};
    REQUIRE(mkdir("env", 0700) == 0);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        unsigned char page[4096] = {0};
        memcpy(page + headers[i], magic, sizeof(magic));
        write_file("env/data.mdb", page, sizeof(page));
        write_file("file", page, sizeof(page));
        zdb_env *env = NULL;
        CHECK_ERROR(zdb_env_open("env", NULL, &env), ZDB_INVALID);
        CHECK(env == NULL);
        CHECK_CONTAINS(zdb_last_error(), "zerodb-load --lmdb env");
        CHECK(access(DATA_FILE, F_OK) != 0 && access("env/lock.zdb", F_OK) != 0);
        CHECK_ERROR(zdb_env_open("file", NULL, &env), ZDB_INVALID);
        CHECK_CONTAINS(zdb_last_error(), "zerodb-load --lmdb file");
    }
}

static void a_file_of_zeros_is_refused_or_made_an_environment(void) {
    static const size_t sizes[] = {0, 1, 4096, 8192, 65536};
    REQUIRE(mkdir("env", 0700) == 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        void *zeros = calloc(1, sizes[i] + 1);
        REQUIRE(zeros != NULL);
        write_file(DATA_FILE, zeros, sizes[i]);
        free(zeros);
        /* A crash during creation may have left it. */
        zdb_env_options options;
        default_options(&options);
        zdb_env *env = NULL;
        int code = zdb_env_open("env", &options, &env);
        if (code == ZDB_OK) {
            zdb_txn *txn = begin_write(env);
            put_text(txn, ZDB_MAIN_DB, "k", "v");
            commit(txn);
            expect_sound(env);
            close_env(env);
        } else {
            CHECK_EITHER(code, ZDB_INVALID, ZDB_CORRUPTED);
        }
    }
}

static void a_directory_in_place_of_the_file_is_an_error(void) {
    REQUIRE(mkdir("env", 0700) == 0);
    REQUIRE(mkdir(DATA_FILE, 0700) == 0);
    zdb_env *env = NULL;
    CHECK_EITHER(zdb_env_open("env", NULL, &env), EISDIR, ZDB_INVALID);
    CHECK(env == NULL);
}

/* --------------------------------------------------------------- a small tree */

enum { ENTRIES = 600, LARGE_EVERY = 100, LARGE_SIZE = 9000, NAMED_ENTRIES = 50 };

static size_t small_value_size(unsigned number) {
    return number * 13 % 200;
}

/* An environment of some tens of pages: two levels, a named database, some free pages and, if
 * asked for, large values in overflow runs. */
static zdb_verify_report make_environment(bool with_large_values) {
    char key_text[KEY_BYTES];
    zdb_env *env = open_env("env");
    for (unsigned pass = 0; pass < 2; pass++) {
        zdb_txn *txn = begin_write(env);
        for (unsigned i = 0; i < ENTRIES; i++) {
            bool is_large = with_large_values && i % LARGE_EVERY == 0;
            size_t size = is_large ? (size_t)LARGE_SIZE : small_value_size(i);
            void *memory = new_pattern(size, i);
            zdb_val key = numbered(key_text, "key", i), value = bytes(memory, size);
            REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
            free(memory);
        }
        put_numbered(txn, create_db(txn, "named"), NAMED_ENTRIES);
        commit(txn);
    }
    zdb_verify_report report;
    memset(&report, 0, sizeof(report));
    report.struct_size = sizeof(report);
    REQUIRE_OK(zdb_env_verify(env, NULL, &report));
    close_env(env);
    return report;
}

/* Counts what the reads of a damaged environment find. */
struct findings {
    unsigned errors;
    uint64_t page; /* that the first error named */
};

/* A call must return the right data or report a damaged page. */
static void judge(struct findings *findings, int code, const char *what) {
    if (code == ZDB_OK) return;
    if (code != ZDB_CORRUPTED) {
        check_failed(HERE, "%s returns %s for damage: %s", what, code_name(code), zdb_last_error());
        return;
    }
    uint64_t page = zdb_last_error_page();
    if (page == UINT64_MAX) {
        check_failed(HERE, "%s names no page: %s", what, zdb_last_error());
    } else {
        char number[32];
        snprintf(number, sizeof(number), "%" PRIu64, page);
        CHECK_CONTAINS(zdb_last_error(), number);
    }
    if (findings->errors++ == 0) findings->page = page;
}

static void get_everything(zdb_txn *txn, bool with_large_values, struct findings *findings) {
    char key_text[KEY_BYTES];
    for (unsigned i = 0; i < ENTRIES; i++) {
        zdb_val key = numbered(key_text, "key", i), value = nothing();
        int code = zdb_get(txn, ZDB_MAIN_DB, &key, &value);
        judge(findings, code, "zdb_get");
        if (code != ZDB_OK) continue;
        bool is_large = with_large_values && i % LARGE_EVERY == 0;
        size_t size = is_large ? (size_t)LARGE_SIZE : small_value_size(i);
        if (value.size != size || !has_pattern(value.data, size, i)) {
            check_failed(HERE, "zdb_get gives a wrong value for %s", key_text);
        }
    }
}

static void scan_everything(zdb_txn *txn, struct findings *findings) {
    char key_text[KEY_BYTES];
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    unsigned next = 0;
    int code;
    zdb_val key = nothing(), value = nothing();
    while ((code = zdb_cursor_get(cursor, &key, &value, ZDB_NEXT)) == ZDB_OK) {
        if (next == ENTRIES) break;
        zdb_val expected = numbered(key_text, "key", next++);
        CHECK_BYTES(key, expected.data, expected.size);
    }
    if (code == ZDB_NOT_FOUND) {
        CHECK_NUMBER(next, ENTRIES);
    } else {
        judge(findings, code, "zdb_cursor_get");
        CHECK(code != ZDB_OK);
    }
    close_cursor(cursor);
}

static void read_named_database(zdb_txn *txn, struct findings *findings) {
    zdb_db db;
    int code = zdb_db_open(txn, "named", 0, &db);
    judge(findings, code, "zdb_db_open");
    if (code != ZDB_OK) return;
    char key_text[KEY_BYTES], value_text[KEY_BYTES];
    for (unsigned i = 0; i < NAMED_ENTRIES; i++) {
        zdb_val key = numbered(key_text, "key", i), value = nothing();
        code = zdb_get(txn, db, &key, &value);
        judge(findings, code, "zdb_get");
        numbered_value(value_text, i);
        if (code == ZDB_OK) CHECK_VALUE(value, value_text);
    }
}

struct problems {
    unsigned count;
    uint64_t first_page;
};

static void count_problem(void *context, const zdb_problem *problem) {
    struct problems *problems = (struct problems *)context;
    CHECK(problem->message != NULL && problem->message[0] != '\0');
    CHECK(problem->kind >= ZDB_PROBLEM_META && problem->kind <= ZDB_PROBLEM_LOG);
    if (problems->count++ == 0) problems->first_page = problem->page;
}

/* Opens, reads and verifies a damaged environment. Returns whether opening or verifying noticed
 * the damage; the findings of reading are in *findings. */
static bool examine(bool with_large_values, struct findings *findings) {
    memset(findings, 0, sizeof(*findings));
    zdb_env_options options;
    default_options(&options);
    zdb_env *env = NULL;
    int code = zdb_env_open("env", &options, &env);
    if (code != ZDB_OK) {
        CHECK_EITHER(code, ZDB_CORRUPTED, ZDB_INVALID);
        findings->errors = 1;
        findings->page = zdb_last_error_page();
        return true;
    }
    zdb_txn *txn = NULL;
    code = zdb_txn_begin(env, NULL, ZDB_RDONLY, &txn);
    judge(findings, code, "zdb_txn_begin");
    if (code == ZDB_OK) {
        get_everything(txn, with_large_values, findings);
        scan_everything(txn, findings);
        read_named_database(txn, findings);
        abort_txn(txn);
    }

    struct problems problems = {0, 0};
    zdb_verify_report report;
    memset(&report, 0, sizeof(report));
    report.struct_size = sizeof(report);
    zdb_verify_options verify_options;
    verify_options_init(&verify_options, count_problem, &problems);
    code = zdb_env_verify(env, &verify_options, &report);
    CHECK_EITHER(code, ZDB_OK, ZDB_CORRUPTED);
    CHECK_NUMBER(report.problems, problems.count);
    CHECK((code == ZDB_OK) == (problems.count == 0));
    /* Any damage that reading finds, verifying finds too. */
    CHECK(findings->errors == 0 || code == ZDB_CORRUPTED);
    if (code == ZDB_CORRUPTED) {
        CHECK_NUMBER(zdb_last_error_page(), problems.first_page);
        if (findings->errors == 0) findings->page = problems.first_page;
    }
    close_env(env);
    return code == ZDB_CORRUPTED;
}

/* ------------------------------------------------------------- damaged bytes */

static void damage_page_after_page(bool with_large_values) {
    zdb_verify_report report = make_environment(with_large_values);
    size_t size;
    unsigned char *original = read_file(DATA_FILE, &size);
    static const unsigned offsets[] = {0, 9, 37, 2000, 4095};
    unsigned step = tests_run_slowly() ? 7 : 1;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        uint64_t noticed = 0;
        for (uint64_t page = 0; page < report.pages; page += step) {
            write_file(DATA_FILE, original, size);
            flip_byte(DATA_FILE, page * 4096 + offsets[i]);
            struct findings findings;
            if (!examine(with_large_values, &findings)) continue;
            noticed++;
            if (page < 2) continue;
            /* An overflow run is damaged as a whole and goes by its first page. */
            uint64_t run = with_large_values ? (LARGE_SIZE + 4095) / 4096 : 0;
            if (findings.page > page || findings.page + run < page) {
                check_failed(HERE, "damage to page %" PRIu64 " is reported for page %" PRIu64, page,
                             findings.page);
            }
        }
        if (step > 1) continue;
        /* Of all pages in use, only the end of a run, beyond the value, may be damaged without
         * effect. */
        uint64_t run_ends = with_large_values ? ENTRIES / LARGE_EVERY : 0;
        CHECK(noticed + run_ends >= report.tree_pages + report.overflow_pages);
    }
    free(original);
}

static void damage_to_a_tree_page_is_noticed_and_named(void) {
    damage_page_after_page(false);
}

static void damage_to_a_large_value_is_noticed_and_named(void) {
    damage_page_after_page(true);
}

static void damage_does_no_harm_when_checksums_are_not_checked(void) {
    zdb_verify_report report = make_environment(true);
    size_t size;
    unsigned char *original = read_file(DATA_FILE, &size);
    uint64_t random = 0x5eed0003;
    zdb_env_options options;
    default_options(&options);
    options.checksum = ZDB_CHECKSUM_NONE;
    for (unsigned i = 0; i < repetitions(150); i++) {
        write_file(DATA_FILE, original, size);
        for (unsigned j = 0; j < 4; j++) {
            /* Headers and slots, where damage misleads most, are at the start of a page. */
            uint64_t page = next_random(&random) % report.pages;
            flip_byte(DATA_FILE, page * 4096 + next_random(&random) % 256);
        }
        zdb_env *env = NULL;
        if (zdb_env_open("env", &options, &env) != ZDB_OK) continue;
        zdb_txn *txn = NULL;
        if (zdb_txn_begin(env, NULL, ZDB_RDONLY, &txn) == ZDB_OK) {
            char key_text[KEY_BYTES];
            for (unsigned k = 0; k < ENTRIES; k++) {
                zdb_val key = numbered(key_text, "key", k), value = nothing();
                if (zdb_get(txn, ZDB_MAIN_DB, &key, &value) == ZDB_OK) {
                    has_pattern(value.data, value.size, k);
                }
            }
            zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
            zdb_val key = nothing(), value = nothing();
            unsigned seen = 0;
            while (zdb_cursor_get(cursor, &key, &value, ZDB_NEXT) == ZDB_OK &&
                   seen < 10 * ENTRIES) {
                has_pattern(value.data, value.size, seen++);
            }
            CHECK(seen < 10 * ENTRIES); /* the walk does not go round in circles */
            close_cursor(cursor);
            abort_txn(txn);
        }
        CHECK_EITHER(zdb_env_verify(env, NULL, NULL), ZDB_OK, ZDB_CORRUPTED);
        close_env(env);
    }
    free(original);
}

static void full_checking_notices_damage_done_while_open(void) {
    zdb_verify_report report = make_environment(false);
    zdb_env_options options;
    default_options(&options);
    options.checksum = ZDB_CHECKSUM_FULL;
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *txn = begin_read(env);
    struct findings findings = {0, 0};
    get_everything(txn, false, &findings);
    CHECK(findings.errors == 0);
    for (uint64_t page = 2; page < report.pages; page++) {
        flip_byte(DATA_FILE, page * 4096 + 2000);
    }
    get_everything(txn, false, &findings);
    CHECK(findings.errors == ENTRIES);
    abort_txn(txn);
    CHECK_ERROR(zdb_env_verify(env, NULL, NULL), ZDB_CORRUPTED);
    close_env(env);
}

static void a_writer_that_finds_damage_can_only_abort(void) {
    zdb_verify_report report = make_environment(false);
    for (uint64_t page = 2; page < report.pages; page++) {
        flip_byte(DATA_FILE, page * 4096 + 2000);
    }
    zdb_env_options options;
    default_options(&options);
    zdb_env *env = NULL;
    int code = zdb_env_open("env", &options, &env);
    if (code != ZDB_OK) {
        CHECK_ERROR(code, ZDB_CORRUPTED);
        return;
    }
    zdb_txn *txn = NULL;
    code = zdb_txn_begin(env, NULL, 0, &txn);
    if (code == ZDB_OK) {
        zdb_val key = text("key00000007"), value = text("v");
        CHECK_ERROR(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0), ZDB_CORRUPTED);
        CHECK(zdb_last_error_page() != UINT64_MAX);
        CHECK_EITHER(zdb_txn_commit(txn), ZDB_BAD_TXN, ZDB_CORRUPTED);
    } else {
        CHECK_ERROR(code, ZDB_CORRUPTED);
    }
    close_env(env);
}

/* ------------------------------------------------------------- cut-off files */

static void a_file_cut_off_in_the_pages_in_use_is_noticed(void) {
    zdb_verify_report report = make_environment(true);
    size_t size;
    unsigned char *original = read_file(DATA_FILE, &size);
    uint64_t used = report.pages * 4096;
    CHECK(used <= size);
    const uint64_t lengths[] = {1,         100,      4095,     4096,         8191,        8192,
                                8192 + 10, used / 4, used / 2, used / 2 + 1, used * 3 / 4};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        write_file(DATA_FILE, original, (size_t)lengths[i]);
        struct findings findings;
        CHECK(examine(true, &findings));
    }
    /* Pages at the end that are cut off may have been free. */
    for (uint64_t length = used - 8192; length < used; length += 1000) {
        write_file(DATA_FILE, original, (size_t)length);
        struct findings findings;
        examine(true, &findings);
    }
    write_file(DATA_FILE, original, size);
    struct findings findings;
    CHECK(!examine(true, &findings));
    free(original);
}

static const struct test tests[] = {
    TEST(a_file_of_another_kind_is_refused_and_left_alone),
    TEST(a_short_file_of_another_kind_is_refused),
    TEST(an_environment_of_lmdb_is_refused_with_advice),
    TEST(a_file_of_zeros_is_refused_or_made_an_environment),
    TEST(a_directory_in_place_of_the_file_is_an_error),
    TEST(damage_to_a_tree_page_is_noticed_and_named),
    TEST(damage_to_a_large_value_is_noticed_and_named),
    TEST(damage_does_no_harm_when_checksums_are_not_checked),
    TEST(full_checking_notices_damage_done_while_open),
    TEST(a_writer_that_finds_damage_can_only_abort),
    TEST(a_file_cut_off_in_the_pages_in_use_is_noticed),
};

DEFINE_SUITE(damage, tests);
