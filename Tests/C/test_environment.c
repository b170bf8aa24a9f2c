/* Opening and closing environments: options, files, modes, paths. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suites.h"
#include "support.h"

/* ------------------------------------------------------------------ options */

static void initialised_options_hold_the_defaults(void) {
    zdb_env_options options;
    memset(&options, 0xff, sizeof(options));
    REQUIRE_OK(zdb_env_options_init(&options));
    CHECK_NUMBER(options.struct_size, sizeof(zdb_env_options));
    CHECK_NUMBER(options.flags, 0);
    CHECK(options.page_size == 0 || options.page_size == 4096);
    CHECK_NUMBER(options.max_size, (uint64_t)1 << 40);
    CHECK_NUMBER(options.max_txn_pages, 10000);
    CHECK_NUMBER(options.max_txn_memory, 512 * MIB);
    CHECK(options.checksum == ZDB_CHECKSUM_DEFAULT || options.checksum == ZDB_CHECKSUM_FAST);
    CHECK_NUMBER(options.max_readers, 65536);
    CHECK_NUMBER(options.file_mode, 0600);
    CHECK_NUMBER(options.durability, ZDB_DURABILITY_DEFAULT);
    CHECK_NUMBER(options.log_size, 64 * MIB);
    CHECK_NUMBER(options.threads, ZDB_THREADS_DEFAULT);
    CHECK_NUMBER(options.writer_wait_ms, 0);
    CHECK_NUMBER(options.auto_compact_percent, 50);
    CHECK_NUMBER(options.auto_compact_rate, 16 * MIB);
    CHECK_NUMBER(options.recovery, 0);
    CHECK_NUMBER(options.recovery_root, 0);
    CHECK_NUMBER(options.log_level, ZDB_LOG_INFORMATION);
    CHECK_NUMBER(options.slow_txn_ms, 0);
    CHECK(options.log == NULL && options.log_context == NULL);
}

static void initialising_options_of_a_size_that_is_not_known_is_an_error(void) {
    static const size_t sizes[] = {0, 1, sizeof(zdb_env_options) - 1, sizeof(zdb_env_options) + 1,
                                   SIZE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        zdb_env_options options, untouched;
        memset(&options, 0x5a, sizeof(options));
        memset(&untouched, 0x5a, sizeof(untouched));
        CHECK_ERROR(zdb_env_options_init_size(&options, sizes[i]), ZDB_BAD_ARGUMENT);
        CHECK(memcmp(&options, &untouched, sizeof(options)) == 0);
    }
    CHECK_ERROR(zdb_env_options_init_size(NULL, sizeof(zdb_env_options)), ZDB_BAD_ARGUMENT);
}

static void initialising_no_options_is_an_error(void) {
    CHECK_ERROR(zdb_env_options_init(NULL), ZDB_BAD_ARGUMENT);
}

static void no_options_mean_the_defaults(void) {
    /* Not every tool can reserve that much address space. */
    if (tests_run_slowly()) return;
    zdb_env *env = NULL;
    REQUIRE_OK(zdb_env_open("env", NULL, &env));
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.page_size, 4096);
    CHECK_NUMBER(info.max_txn_pages, 10000);
    CHECK_NUMBER(info.max_txn_memory, 512 * MIB);
    CHECK_NUMBER(info.max_readers, 65536);
    CHECK_NUMBER(info.checksum, ZDB_CHECKSUM_FAST);
    CHECK_NUMBER(info.max_size, (uint64_t)1 << 40);
    close_env(env);
}

static void expect_refused(struct place place, const zdb_env_options *options) {
    char poison;
    zdb_env *env = (zdb_env *)(void *)&poison;
    check_error(place, zdb_env_open("env", options, &env), ZDB_BAD_ARGUMENT, "zdb_env_open");
    check_true(place, env == NULL, "the handle is NULL after a failure");
    check_true(place, !file_exists("env"), "nothing was created");
}

static void a_struct_size_that_is_not_known_is_refused(void) {
    static const size_t sizes[] = {0, 1, sizeof(zdb_env_options) - 1, sizeof(zdb_env_options) + 1,
                                   SIZE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        zdb_env_options options;
        default_options(&options);
        options.struct_size = sizes[i];
        expect_refused(HERE, &options);
    }
}

static void unknown_flags_are_refused(void) {
    static const uint32_t flags[] = {0x4, 0x8, 0x80000000u, UINT32_MAX, ZDB_CREATE};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        zdb_env_options options;
        default_options(&options);
        options.flags = flags[i];
        expect_refused(HERE, &options);
    }
}

static void page_sizes_out_of_range_are_refused(void) {
    static const uint32_t sizes[] = {1,     512,    2048,    4095,        4097,
                                     12288, 131072, 1 << 20, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        zdb_env_options options;
        default_options(&options);
        options.page_size = sizes[i];
        expect_refused(HERE, &options);
    }
}

static void other_options_out_of_range_are_refused(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_size = 1;
    expect_refused(HERE, &options);
    options.max_size = MIB - 1;
    expect_refused(HERE, &options);

    default_options(&options);
    options.checksum = ZDB_CHECKSUM_FULL + 1;
    expect_refused(HERE, &options);
    options.checksum = UINT32_MAX;
    expect_refused(HERE, &options);

    default_options(&options);
    options.max_readers = 65537;
    expect_refused(HERE, &options);
    options.max_readers = UINT32_MAX;
    expect_refused(HERE, &options);

    default_options(&options);
    options.file_mode = UINT32_MAX;
    expect_refused(HERE, &options);
}

static void expect_usable(struct place place, const zdb_env_options *options, const char *path) {
    zdb_env *env = open_env_at(place, path, options);
    zdb_txn *txn = begin_at(place, env, 0);
    put_text_at(place, txn, ZDB_MAIN_DB, "k", "v");
    commit_at(place, txn);
    txn = begin_at(place, env, ZDB_RDONLY);
    expect_text_at(place, txn, ZDB_MAIN_DB, "k", "v");
    abort_at(place, txn);
    close_env_at(place, env);
}

static void options_at_their_bounds_are_taken(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_size = MIB;
    expect_usable(HERE, &options, "max_size");

    default_options(&options);
    options.max_txn_pages = 0;
    expect_usable(HERE, &options, "max_txn_pages-0");
    options.max_txn_pages = UINT64_MAX;
    expect_usable(HERE, &options, "max_txn_pages-max");

    default_options(&options);
    options.max_readers = 1;
    expect_usable(HERE, &options, "max_readers-1");
    options.max_readers = 65536;
    expect_usable(HERE, &options, "max_readers-max");

    for (uint32_t checksum = ZDB_CHECKSUM_DEFAULT; checksum <= ZDB_CHECKSUM_FULL; checksum++) {
        char path[32];
        default_options(&options);
        options.checksum = checksum;
        snprintf(path, sizeof(path), "checksum-%u", (unsigned)checksum);
        expect_usable(HERE, &options, path);
    }
}

static void a_max_size_beyond_any_address_space_does_no_harm(void) {
    static const uint64_t sizes[] = {(uint64_t)1 << 47, (uint64_t)1 << 62, (uint64_t)1 << 63,
                                     UINT64_MAX - 4095, UINT64_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        zdb_env_options options;
        default_options(&options);
        options.max_size = sizes[i];
        zdb_env *env = NULL;
        if (zdb_env_open("env", &options, &env) == ZDB_OK) {
            close_env(env);
        } else {
            CHECK(env == NULL);
        }
    }
    expect_usable(HERE, NULL, "env");
}

static void every_page_size_works_and_bounds_the_keys(void) {
    for (uint32_t size = 4096; size <= 65536; size *= 2) {
        zdb_env_options options;
        char path[32];
        snprintf(path, sizeof(path), "env-%u", (unsigned)size);
        default_options(&options);
        options.page_size = size;
        expect_usable(HERE, &options, path);

        zdb_env *env = open_env(path);
        zdb_info info;
        get_info(env, &info);
        CHECK_NUMBER(info.page_size, size);
        CHECK_NUMBER(info.max_key_size, size / 2 - 64);
        CHECK_NUMBER(zdb_env_max_key_size(env), size / 2 - 64);
        close_env(env);
    }
}

static void the_page_size_counts_at_creation_only(void) {
    zdb_env_options options;
    default_options(&options);
    options.page_size = 16384;
    expect_usable(HERE, &options, "env");
    options.page_size = 4096;
    zdb_env *env = open_env_with("env", &options);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.page_size, 16384);
    zdb_txn *txn = begin_read(env);
    expect_text(txn, ZDB_MAIN_DB, "k", "v");
    abort_txn(txn);
    close_env(env);
}

/* -------------------------------------------------------------------- paths */

static void wrong_arguments_of_open_are_refused(void) {
    char poison;
    zdb_env *env = (zdb_env *)(void *)&poison;
    CHECK_ERROR(zdb_env_open(NULL, NULL, &env), ZDB_BAD_ARGUMENT);
    CHECK(env == NULL);
    CHECK_ERROR(zdb_env_open("env", NULL, NULL), ZDB_BAD_ARGUMENT);
    CHECK(!file_exists("env"));
    CHECK_EITHER(zdb_env_open("", NULL, &env), ENOENT, ZDB_BAD_ARGUMENT);
}

static void paths_that_cannot_be_opened_give_their_errno(void) {
    zdb_env *env = NULL;
    CHECK_ERROR(zdb_env_open("no/such/parent", NULL, &env), ENOENT);

    write_file("file", "text", 4);
    CHECK_ERROR(zdb_env_open("file", NULL, &env), ENOTDIR);
    CHECK_ERROR(zdb_env_open("file/env", NULL, &env), ENOTDIR);
    CHECK(env == NULL);
    CHECK_NUMBER(file_size("file"), 4);

    char long_name[5000];
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    CHECK_ERROR(zdb_env_open(long_name, NULL, &env), ENAMETOOLONG);
}

static void a_directory_without_permission_gives_eacces(void) {
    REQUIRE(mkdir("env", 0700) == 0);
    REQUIRE(chmod("env", 0) == 0);
    /* The superuser may do everything; the test's process can do without. */
    if (geteuid() == 0) REQUIRE(setuid(65534) == 0);
    zdb_env *env = NULL;
    CHECK_ERROR(zdb_env_open("env", NULL, &env), EACCES);
    CHECK(env == NULL);
}

static void nothing_is_created_when_not_asked_for(void) {
    static const uint32_t flags[] = {ZDB_NOCREATE, ZDB_RDONLY, ZDB_RDONLY | ZDB_NOCREATE};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        zdb_env_options options;
        default_options(&options);
        options.flags = flags[i];
        zdb_env *env = NULL;
        CHECK_ERROR(zdb_env_open("missing", &options, &env), ENOENT);
        CHECK(!file_exists("missing"));

        REQUIRE(mkdir("empty", 0700) == 0);
        CHECK_ERROR(zdb_env_open("empty", &options, &env), ENOENT);
        CHECK(directory_entries("empty") == 0);
        REQUIRE(rmdir("empty") == 0);
    }
}

static void an_empty_directory_becomes_an_environment(void) {
    REQUIRE(mkdir("env", 0755) == 0);
    REQUIRE(chmod("env", 0755) == 0);
    expect_usable(HERE, NULL, "env");
    CHECK(file_exists("env/data.zdb"));
    CHECK_NUMBER(file_mode("env"), 0755);
}

static void nocreate_opens_an_existing_environment(void) {
    expect_usable(HERE, NULL, "env");
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_NOCREATE;
    expect_usable(HERE, &options, "env");
}

static void check_modes(struct place place, const char *path, mode_t directory, mode_t files) {
    check_number(place, file_mode(path), directory, path);
    DIR *listing = opendir(path);
    REQUIRE(listing != NULL);
    const struct dirent *entry;
    while ((entry = readdir(listing)) != NULL) {
        if (entry->d_name[0] == '.') continue;
        char name[PATH_BYTES];
        int length = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        REQUIRE(length > 0 && (size_t)length < sizeof(name));
        struct stat status;
        REQUIRE(stat(name, &status) == 0);
        if (S_ISDIR(status.st_mode)) {
            check_modes(place, name, directory, files);
        } else {
            check_number(place, file_mode(name), files, name);
        }
    }
    closedir(listing);
}

static void files_belong_to_their_owner_alone(void) {
    umask(0);
    expect_usable(HERE, NULL, "env");
    check_modes(HERE, "env", 0700, 0600);
}

static void files_get_the_mode_that_was_asked_for(void) {
    umask(0);
    zdb_env_options options;
    default_options(&options);
    options.file_mode = 0640;
    expect_usable(HERE, &options, "group");
    check_modes(HERE, "group", 0750, 0640);
    options.file_mode = 0664;
    expect_usable(HERE, &options, "everyone");
    check_modes(HERE, "everyone", 0775, 0664);
}

/* -------------------------------------------------------- opening and closing */

static void commits_are_there_after_reopening(void) {
    zdb_env *env = open_env("env");
    zdb_info before, after;
    get_info(env, &before);
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 2000);
    commit(txn);
    txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "aborted", "1");
    abort_txn(txn);
    close_env(env);

    env = open_env("env");
    txn = begin_read(env);
    expect_numbered(txn, ZDB_MAIN_DB, 2000);
    abort_txn(txn);
    get_info(env, &after);
    CHECK(memcmp(before.environment_id, after.environment_id, 16) == 0);
    expect_sound(env);
    close_env(env);
}

static void a_path_is_opened_once_in_a_process(void) {
    zdb_env *env = open_env("env"), *second = NULL;
    CHECK_ERROR(zdb_env_open("env", NULL, &second), ZDB_BUSY);
    CHECK(second == NULL);
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_RDONLY;
    CHECK_ERROR(zdb_env_open("env", &options, &second), ZDB_BUSY);

    /* The path names the same directory in every spelling. */
    char directory[PATH_BYTES / 2], absolute[PATH_BYTES];
    REQUIRE(getcwd(directory, sizeof(directory)) != NULL);
    snprintf(absolute, sizeof(absolute), "%s/env", directory);
    CHECK_ERROR(zdb_env_open(absolute, NULL, &second), ZDB_BUSY);
    CHECK_ERROR(zdb_env_open("./env/", NULL, &second), ZDB_BUSY);
    REQUIRE(symlink("env", "link") == 0);
    CHECK_ERROR(zdb_env_open("link", NULL, &second), ZDB_BUSY);

    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    close_env(env);
    expect_usable(HERE, NULL, absolute);
}

static void an_environment_opens_and_closes_many_times(void) {
    for (unsigned i = 0; i < repetitions(100); i++) {
        zdb_env *env = open_env("env");
        zdb_txn *txn = begin_read(env);
        CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), i == 0 ? 0 : 1);
        abort_txn(txn);
        if (i == 0) {
            txn = begin_write(env);
            put_text(txn, ZDB_MAIN_DB, "k", "v");
            commit(txn);
        }
        close_env(env);
    }
}

static void many_environments_are_open_at_once(void) {
    enum { COUNT = 16 };
    zdb_env *envs[COUNT];
    uint8_t ids[COUNT][16];
    for (unsigned i = 0; i < COUNT; i++) {
        char path[32], key[KEY_BYTES];
        snprintf(path, sizeof(path), "env-%u", i);
        envs[i] = open_env(path);
        zdb_txn *txn = begin_write(envs[i]);
        numbered(key, "of ", i);
        put_text(txn, ZDB_MAIN_DB, key, path);
        commit(txn);
        zdb_info info;
        get_info(envs[i], &info);
        memcpy(ids[i], info.environment_id, 16);
        for (unsigned j = 0; j < i; j++) CHECK(memcmp(ids[i], ids[j], 16) != 0);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        char path[32], key[KEY_BYTES];
        snprintf(path, sizeof(path), "env-%u", i);
        numbered(key, "of ", i);
        zdb_txn *txn = begin_read(envs[i]);
        expect_text(txn, ZDB_MAIN_DB, key, path);
        CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 1);
        abort_txn(txn);
        close_env(envs[i]);
    }
}

static void closing_with_an_open_transaction_closes_nothing(void) {
    zdb_env *env = open_env("env");
    zdb_txn *writer = begin_write(env);
    put_text(writer, ZDB_MAIN_DB, "k", "v");
    CHECK_ERROR(zdb_env_close(env), ZDB_BUSY);
    put_text(writer, ZDB_MAIN_DB, "l", "w");
    commit(writer);

    zdb_txn *reader = begin_read(env);
    CHECK_ERROR(zdb_env_close(env), ZDB_BUSY);
    expect_text(reader, ZDB_MAIN_DB, "k", "v");
    expect_text(reader, ZDB_MAIN_DB, "l", "w");
    REQUIRE_OK(zdb_txn_reset(reader));
    CHECK_ERROR(zdb_env_close(env), ZDB_BUSY);
    REQUIRE_OK(zdb_txn_renew(reader));
    expect_text(reader, ZDB_MAIN_DB, "k", "v");
    abort_txn(reader);
    close_env(env);
}

static void closing_closes_cursors_left_over(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    zdb_cursor *cursor = open_cursor(txn, ZDB_MAIN_DB);
    abort_txn(txn);
    close_env(env);
    CHECK_ERROR(zdb_cursor_get(cursor, NULL, NULL, ZDB_FIRST), ZDB_BAD_HANDLE);
    CHECK_ERROR(zdb_cursor_close(cursor), ZDB_BAD_HANDLE);
}

static void syncing_a_sound_environment_succeeds(void) {
    zdb_env *env = open_env("env");
    CHECK_CODE(zdb_env_sync(env), ZDB_OK);
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
    CHECK_CODE(zdb_env_sync(env), ZDB_OK);
    close_env(env);
}

/* ---------------------------------------------------------------- read-only */

static void make_environment_with_one_database(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, 100);
    put_text(txn, create_db(txn, "named"), "k", "v");
    commit(txn);
    close_env(env);
}

static void read_everything_read_only(void) {
    zdb_env_options options;
    default_options(&options);
    options.flags = ZDB_RDONLY;
    zdb_env *env = open_env_with("env", &options);
    zdb_txn *txn = begin_read(env);
    expect_numbered(txn, ZDB_MAIN_DB, 100);
    zdb_db named = open_db(txn, "named");
    expect_text(txn, named, "k", "v");
    zdb_db db;
    CHECK_ERROR(zdb_db_open(txn, "new", ZDB_CREATE, &db), ZDB_READ_ONLY);
    abort_txn(txn);
    CHECK_ERROR(zdb_txn_begin(env, NULL, 0, &txn), ZDB_READ_ONLY);
    CHECK(txn == NULL);
    expect_sound(env);
    close_env(env);
}

static void a_read_only_environment_reads_and_writes_nothing(void) {
    make_environment_with_one_database();
    size_t size_before, size_after;
    unsigned char *before = read_file("env/data.zdb", &size_before);
    unsigned files_before = directory_entries("env");
    read_everything_read_only();
    unsigned char *after = read_file("env/data.zdb", &size_after);
    CHECK(size_before == size_after && memcmp(before, after, size_before) == 0);
    CHECK(directory_entries("env") == files_before);
    free(before);
    free(after);
}

static void a_data_file_alone_opens_for_reading(void) {
    make_environment_with_one_database();
    REQUIRE(rename("env", "original") == 0);
    REQUIRE(mkdir("env", 0700) == 0);
    REQUIRE(rename("original/data.zdb", "env/data.zdb") == 0);
    read_everything_read_only();
    /* Readers need a reader table: lock.zdb is made, and nothing else. */
    CHECK(directory_entries("env") == 2);
}

static void a_data_file_alone_opens_for_writing(void) {
    make_environment_with_one_database();
    REQUIRE(rename("env", "original") == 0);
    REQUIRE(mkdir("env", 0700) == 0);
    REQUIRE(rename("original/data.zdb", "env/data.zdb") == 0);
    expect_usable(HERE, NULL, "env");
}

static const struct test tests[] = {
    TEST(initialised_options_hold_the_defaults),
    TEST(initialising_options_of_a_size_that_is_not_known_is_an_error),
    TEST(initialising_no_options_is_an_error),
    TEST(no_options_mean_the_defaults),
    TEST(a_struct_size_that_is_not_known_is_refused),
    TEST(unknown_flags_are_refused),
    TEST(page_sizes_out_of_range_are_refused),
    TEST(other_options_out_of_range_are_refused),
    TEST(options_at_their_bounds_are_taken),
    TEST(a_max_size_beyond_any_address_space_does_no_harm),
    TEST(every_page_size_works_and_bounds_the_keys),
    TEST(the_page_size_counts_at_creation_only),
    TEST(wrong_arguments_of_open_are_refused),
    TEST(paths_that_cannot_be_opened_give_their_errno),
    TEST(a_directory_without_permission_gives_eacces),
    TEST(nothing_is_created_when_not_asked_for),
    TEST(an_empty_directory_becomes_an_environment),
    TEST(nocreate_opens_an_existing_environment),
    TEST(files_belong_to_their_owner_alone),
    TEST(files_get_the_mode_that_was_asked_for),
    TEST(commits_are_there_after_reopening),
    TEST(a_path_is_opened_once_in_a_process),
    TEST(an_environment_opens_and_closes_many_times),
    TEST(many_environments_are_open_at_once),
    TEST(closing_with_an_open_transaction_closes_nothing),
    TEST(closing_closes_cursors_left_over),
    TEST(syncing_a_sound_environment_succeeds),
    TEST(a_read_only_environment_reads_and_writes_nothing),
    TEST(a_data_file_alone_opens_for_reading),
    TEST(a_data_file_alone_opens_for_writing),
};

DEFINE_SUITE(environment, tests);
