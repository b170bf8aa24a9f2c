/* Logs that are torn, cut off or damaged, and how recovery reports them. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "killed.h"
#include "suites.h"

/* The path of the only segment of a short log. */
static void find_segment(char path[PATH_BYTES]) {
    DIR *directory = opendir("env/log");
    REQUIRE(directory != NULL);
    unsigned found = 0;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 4, ".log") != 0) continue;
        REQUIRE(snprintf(path, PATH_BYTES, "env/log/%s", entry->d_name) < PATH_BYTES);
        found++;
    }
    closedir(directory);
    REQUIRE(found == 1);
}

/* The place in the log of an entry. */
static uint64_t find_in_log(char path[PATH_BYTES], unsigned number) {
    char key_text[KEY_BYTES];
    zdb_val key = numbered(key_text, "key", number);
    find_segment(path);
    size_t size;
    unsigned char *log = read_file(path, &size);
    uint64_t offset = UINT64_MAX;
    for (size_t i = 0; i + key.size <= size && offset == UINT64_MAX; i++) {
        if (memcmp(log + i, key.data, key.size) == 0) offset = i;
    }
    free(log);
    REQUIRE(offset != UINT64_MAX);
    return offset;
}

static void a_torn_record_at_the_end_ends_the_replay(void) {
    char path[PATH_BYTES];
    leave_to_recover(10);
    uint64_t offset = find_in_log(path, 9);
    flip_byte(path, offset);
    zdb_env *env = open_env("env");
    CHECK_NUMBER(info_of(env).recovered_records, 9);
    expect_entries(env, 9);
    commit_one(env, 9);
    expect_entries(env, 10);
    close_env(env);
}

static void a_log_that_was_cut_off_is_reported(void) {
    char path[PATH_BYTES];
    leave_to_recover(10);
    uint64_t offset = find_in_log(path, 9);
    /* Segments are written whole before they are used: a shorter one has lost something. */
    REQUIRE(truncate(path, (off_t)offset + 3) == 0);
    zdb_env *env = NULL;
    CHECK_ERROR(zdb_env_open("env", NULL, &env), ZDB_CORRUPTED);
    CHECK(env == NULL);
    CHECK_CONTAINS(zdb_last_error(), "cut off");
}

static void a_damaged_record_with_good_ones_behind_it_is_reported(void) {
    char path[PATH_BYTES], position[32];
    leave_to_recover(10);
    uint64_t offset = find_in_log(path, 4);
    flip_byte(path, offset);
    for (unsigned i = 0; i < 2; i++) {
        zdb_env *env = NULL;
        CHECK_ERROR(zdb_env_open("env", NULL, &env), ZDB_CORRUPTED);
        CHECK(env == NULL);
        CHECK_CONTAINS(zdb_last_error(), "log");
        /* Somewhere before the key, in the same record. */
        bool is_named = false;
        for (uint64_t back = 0; back < 200 && back < offset; back++) {
            snprintf(position, sizeof(position), "%" PRIu64, offset - back);
            is_named = is_named || strstr(zdb_last_error(), position) != NULL;
        }
        CHECK(is_named);
    }
    /* No record has been skipped or thrown away: when the damage is undone, all of them are
     * there. */
    flip_byte(path, offset);
    zdb_env *env = open_env("env");
    expect_entries(env, 10);
    close_env(env);
}

static void files_that_do_not_belong_to_the_log_do_no_harm(void) {
    zdb_env *env = open_env("env");
    commit_one(env, 0);
    close_env(env);
    write_file("env/log/README", "text", 4);
    write_file("env/log/ffffffffffffffff.log", "text", 4);
    write_file("env/log/0000000000000000.log", "", 0);
    write_file("env/log/00.log", "text", 4);
    for (unsigned i = 1; i < 4; i++) {
        env = open_env("env");
        commit_one(env, i);
        REQUIRE_OK(zdb_env_checkpoint(env));
        expect_entries(env, i + 1);
        close_env(env);
    }
    CHECK_NUMBER(file_size("env/log/README"), 4);
}

/* ---------------------------------------------------------------------- events */

struct events {
    unsigned count;
    uint32_t level;
    char message[500];
};

/* Files with the names of segments, of 1 TiB that nobody wrote, take as long as what is in them. */
static void holes_in_files_of_the_log_are_not_read(void) {
    enum { SEGMENTS = 200 };
    char path[PATH_BYTES];
    leave_to_recover(10);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        snprintf(path, sizeof(path), "env/log/%016" PRIx64 ".log", ((uint64_t)i + 1) << 40);
        FILE *file = fopen(path, "wb");
        REQUIRE(file != NULL);
        /* Something at the beginning, and before the end of what a segment may have. */
        for (unsigned place = 0; place < 2; place++) {
            REQUIRE(fseeko(file, place == 0 ? 5000 : (off_t)1 << 29, SEEK_SET) == 0);
            REQUIRE(fwrite("something", 1, 9, file) == 9);
        }
        REQUIRE(ftruncate(fileno(file), (off_t)1 << 40) == 0 && fclose(file) == 0);
    }
    zdb_env *env = open_env("env");
    expect_entries(env, 10);
    close_env(env);
}

static void note_event(void *context, uint32_t level, const char *message) {
    struct events *events = (struct events *)context;
    events->count++;
    events->level = level;
    snprintf(events->message, sizeof(events->message), "%s", message);
}

static zdb_env *open_noting(struct events *events) {
    memset(events, 0, sizeof(*events));
    zdb_env_options options;
    default_options(&options);
    options.log = note_event;
    options.log_context = events;
    return open_env_with("env", &options);
}

static void a_recovery_is_reported(void) {
    struct events events;
    close_env(open_noting(&events));
    CHECK_NUMBER(events.count, 0);
    leave_to_recover(12);
    close_env(open_noting(&events));
    CHECK_NUMBER(events.count, 1);
    CHECK_NUMBER(events.level, ZDB_LOG_INFORMATION);
    CHECK_CONTAINS(events.message, "12");
    close_env(open_noting(&events));
    CHECK_NUMBER(events.count, 0);
}

static void a_record_that_was_cut_off_is_warned_of_once(void) {
    char path[PATH_BYTES];
    struct events events;
    /* Behind others, and alone. */
    for (unsigned left = 3; left >= 1; left--) {
        leave_to_recover(left);
        uint64_t offset = find_in_log(path, left - 1);
        flip_byte(path, offset);
        close_env(open_noting(&events));
        CHECK_NUMBER(events.count, 1);
        CHECK_NUMBER(events.level, ZDB_LOG_WARNING);
        CHECK_CONTAINS(events.message, "cut off");
        close_env(open_noting(&events));
        CHECK_NUMBER(events.count, 0);
        remove_tree("env");
    }
}

static const struct test tests[] = {
    TEST(a_torn_record_at_the_end_ends_the_replay),
    TEST(a_log_that_was_cut_off_is_reported),
    TEST(a_damaged_record_with_good_ones_behind_it_is_reported),
    TEST(files_that_do_not_belong_to_the_log_do_no_harm),
    TEST(holes_in_files_of_the_log_are_not_read),
    TEST(a_recovery_is_reported),
    TEST(a_record_that_was_cut_off_is_warned_of_once),
};

DEFINE_SUITE(log_damage, tests);
