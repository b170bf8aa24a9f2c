/* zdb_env_verify(): what it says of damage, its levels and scopes, and that it finds nothing wrong with
 * a sound environment while threads and processes write it, compact it and make checkpoints. */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

enum { PAGE = 4096, ENTRIES = 3000, KEPT = 64 };

struct kept {
    zdb_problem problem;
    char database[KEY_BYTES], low[KEY_BYTES], high[KEY_BYTES], message[256];
};

struct found {
    unsigned count;
    struct kept kept[KEPT];
};

static zdb_val copy(char *to, zdb_val value) {
    CHECK(value.size < KEY_BYTES);
    if (value.data == NULL) return nothing();
    memcpy(to, value.data, value.size);
    return bytes(to, value.size);
}

static void keep(void *context, const zdb_problem *problem) {
    struct found *found = (struct found *)context;
    if (found->count < KEPT) {
        struct kept *kept = &found->kept[found->count];
        kept->problem = *problem;
        kept->problem.database = copy(kept->database, problem->database);
        kept->problem.low = copy(kept->low, problem->low);
        kept->problem.high = copy(kept->high, problem->high);
        strncpy(kept->message, problem->message, sizeof(kept->message) - 1);
    }
    found->count++;
}

static struct found *verify(zdb_env *env, uint32_t level, const char *database, int expected) {
    struct found *found = (struct found *)calloc(1, sizeof(*found));
    REQUIRE(found != NULL);
    zdb_verify_options options;
    verify_options_init(&options, keep, found);
    options.level = level;
    options.database = database;
    zdb_verify_report report;
    memset(&report, 0, sizeof(report));
    report.struct_size = sizeof(report);
    CHECK_CODE(zdb_env_verify(env, &options, &report), expected);
    CHECK_NUMBER(report.problems, found->count);
    return found;
}

static void put_entries(zdb_env *env, const char *name) {
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, name == NULL ? ZDB_MAIN_DB : create_db(txn, name), ENTRIES);
    commit(txn);
}

/* Damages the leaf of the named database that has a key in its middle. */
static uint64_t damage_leaf(const char *path, const char *key) {
    size_t size = 0;
    unsigned char *data = read_file(path, &size);
    uint64_t page = 0;
    for (size_t start = 2 * PAGE; start + PAGE <= size && page == 0; start += PAGE) {
        /* A leaf whose keys have a prefix; the rest of the key is in its slots and its heap. */
        if (data[start + 24] != 2) continue;
        for (size_t at = start + 40; at + strlen(key) <= start + PAGE; at++) {
            if (memcmp(data + at, key, strlen(key)) == 0) {
                page = start / PAGE;
                break;
            }
        }
    }
    free(data);
    REQUIRE(page != 0);
    flip_byte(path, page * PAGE + PAGE - 100);
    return page;
}

static void a_problem_names_database_keys_entries_and_writer(void) {
    zdb_env *env = open_unbounded("env");
    put_entries(env, NULL);
    put_entries(env, "named");
    zdb_info info;
    get_info(env, &info);
    close_env(env);
    /* The value of an entry in the middle, which no other page has. */
    char value_text[KEY_BYTES];
    numbered_value(value_text, 1500);
    uint64_t page = damage_leaf("env/data.zdb", value_text);
    env = open_env("env");
    struct found *found = verify(env, 0, NULL, ZDB_CORRUPTED);
    CHECK_NUMBER(zdb_last_error_page(), page);
    REQUIRE(found->count > 0);
    const zdb_problem *problem = &found->kept[0].problem;
    CHECK_NUMBER(problem->kind, ZDB_PROBLEM_CHECKSUM);
    CHECK_NUMBER(problem->page, page);
    CHECK_NUMBER(problem->has_range, 1);
    CHECK_NUMBER(problem->reserved, 0);
    CHECK(problem->entries > 10 && problem->entries < 300);
    CHECK(problem->txn_id >= 2 && problem->txn_id <= info.last_txn_id);
    CHECK(problem->wall_clock > UINT64_C(1000000000) * 1600000000);
    bool is_named = problem->place == ZDB_PLACE_NAMED_DB;
    CHECK(is_named || problem->place == ZDB_PLACE_MAIN_DB);
    CHECK_NUMBER(problem->database.size, is_named ? strlen("named") : 0);
    char key_text[KEY_BYTES];
    zdb_val key = numbered(key_text, "key", 1500);
    REQUIRE(problem->low.data != NULL && problem->high.data != NULL);
    CHECK(memcmp(problem->low.data, key.data, problem->low.size) <= 0);
    CHECK(memcmp(problem->high.data, key.data, problem->high.size) > 0);
    free(found);
    /* Only the database that has the page. */
    free(verify(env, 0, is_named ? "named" : "", ZDB_CORRUPTED));
    free(verify(env, 0, is_named ? "" : "named", ZDB_OK));
    free(verify(env, 0, "absent", ZDB_NOT_FOUND));
    /* The page is no root. */
    free(verify(env, ZDB_VERIFY_HEADERS, NULL, ZDB_OK));
    free(verify(env, ZDB_VERIFY_TREES, NULL, ZDB_CORRUPTED));
    close_env(env);
}

static int count_calls(void *context, uint64_t pages_done, uint64_t pages_total) {
    unsigned *calls = (unsigned *)context;
    CHECK(pages_done <= pages_total);
    (*calls)++;
    return 0;
}

static int refuse(void *context, uint64_t pages_done, uint64_t pages_total) {
    (void)pages_done;
    (void)pages_total;
    (*(unsigned *)context)++;
    return 1;
}

static void a_verification_tells_its_progress_and_ends_when_it_is_told_to(void) {
    zdb_env *env = open_unbounded("env");
    put_entries(env, NULL);
    unsigned calls = 0;
    zdb_verify_options options;
    verify_options_init(&options, NULL, &calls);
    options.on_progress = count_calls;
    CHECK_CODE(zdb_env_verify(env, &options, NULL), ZDB_OK);
    CHECK(calls > 0);
    calls = 0;
    options.on_progress = refuse;
    zdb_verify_report report;
    memset(&report, 0, sizeof(report));
    report.struct_size = sizeof(report);
    CHECK_ERROR(zdb_env_verify(env, &options, &report), ECANCELED);
    CHECK_NUMBER(calls, 1);
    CHECK(report.pages > 0);
    close_env(env);
}

/* ------------------------------------------------------------------ under load */

struct load {
    zdb_env *env;
    unsigned number;
};

static uint32_t pick_durability(uint64_t *random) {
    static const uint32_t all[] = {ZDB_DURABILITY_FULL, ZDB_DURABILITY_RELAXED,
                                   ZDB_DURABILITY_NONE};
    return all[next_random(random) % 3];
}

static void write_once(zdb_env *env, uint64_t *random) {
    zdb_txn *txn = begin_at(HERE, env, pick_durability(random));
    char name[KEY_BYTES], key_text[KEY_BYTES];
    (void)numbered(name, "database", (unsigned)(next_random(random) % 4));
    zdb_db named = create_db(txn, name);
    char *value = (char *)new_pattern(OVERFLOW_BYTES, next_random(random) | 1);
    unsigned count = 1 + (unsigned)(next_random(random) % 300);
    for (unsigned i = 0; i < count; i++) {
        zdb_val key = numbered(key_text, "key", (unsigned)(next_random(random) % 20000));
        zdb_db db = next_random(random) % 2 ? named : ZDB_MAIN_DB;
        if (next_random(random) % 3 == 0) {
            CHECK_EITHER(zdb_del(txn, db, &key, NULL), ZDB_OK, ZDB_NOT_FOUND);
            continue;
        }
        size_t size = next_random(random) % (next_random(random) % 50 == 0 ? OVERFLOW_BYTES : 200);
        zdb_val what = bytes(value, size);
        REQUIRE_OK(zdb_put(txn, db, &key, &what, 0));
    }
    free(value);
    if (next_random(random) % 10 == 0) abort_txn(txn);
    else commit(txn);
}

static void *write_often(void *argument) {
    struct load *load = (struct load *)argument;
    uint64_t random = load->number + 1;
    for (unsigned i = 0; i < repetitions(120); i++) write_once(load->env, &random);
    return NULL;
}

static void *compact_and_make_checkpoints(void *argument) {
    struct load *load = (struct load *)argument;
    for (unsigned i = 0; i < repetitions(60); i++) {
        REQUIRE_OK(zdb_env_checkpoint(load->env));
        if (i % 3 == 0) REQUIRE_OK(zdb_env_compact(load->env, NULL, NULL));
    }
    return NULL;
}

static void write_in_threads(void *argument) {
    unsigned process = *(const unsigned *)argument;
    zdb_env_options options;
    default_options(&options);
    options.log_size = MIB;
    zdb_env *env = open_env_with("env", &options);
    struct load loads[3];
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++) {
        loads[i].env = env;
        loads[i].number = process * 3 + i;
        threads[i] = start_thread(i < 2 ? write_often : compact_and_make_checkpoints, &loads[i]);
    }
    for (unsigned i = 0; i < 3; i++) join_thread(threads[i]);
    close_env(env);
}

static void a_sound_environment_is_sound_while_processes_write_and_compact_it(void) {
    static const uint32_t levels[] = {ZDB_VERIFY_HEADERS, ZDB_VERIFY_TREES, ZDB_VERIFY_FULL};
    zdb_env *env = open_unbounded("env");
    put_entries(env, NULL);
    close_env(env);
    pid_t processes[2];
    for (unsigned i = 0; i < 2; i++) processes[i] = start_process(write_in_threads, &i);
    env = open_env("env");
    unsigned rounds = 0, running = 2;
    while (running > 0) {
        struct found *found = (struct found *)calloc(1, sizeof(*found));
        REQUIRE(found != NULL);
        zdb_verify_options options;
        verify_options_init(&options, keep, found);
        options.level = levels[rounds % 3];
        options.threads = 1 + rounds % 2;
        CHECK_CODE(zdb_env_verify(env, &options, NULL), ZDB_OK);
        for (unsigned i = 0; i < found->count && i < KEPT; i++) {
            check_failed(HERE, "round %u, level %u: %s", rounds, options.level,
                         found->kept[i].message);
        }
        free(found);
        rounds++;
        for (unsigned i = 0; i < 2; i++) {
            siginfo_t info;
            memset(&info, 0, sizeof(info));
            if (processes[i] == 0) continue;
            REQUIRE(waitid(P_PID, (id_t)processes[i], &info, WEXITED | WNOHANG | WNOWAIT) == 0);
            if (info.si_pid == 0) continue;
            finish_process(processes[i]);
            processes[i] = 0;
            running--;
        }
    }
    CHECK(rounds > 3);
    expect_sound(env);
    close_env(env);
}

static const struct test tests[] = {
    TEST(a_problem_names_database_keys_entries_and_writer),
    TEST(a_verification_tells_its_progress_and_ends_when_it_is_told_to),
    TEST(a_sound_environment_is_sound_while_processes_write_and_compact_it),
};

DEFINE_SUITE(verify, tests);
