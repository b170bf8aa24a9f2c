/* zdb_env_info(), zdb_stat() and zdb_env_verify(): counts that agree with the entries put, and
 * with one another. */
#include <stdlib.h>

#include "suites.h"
#include "support.h"

static zdb_verify_report verified(struct place place, zdb_env *env) {
    zdb_verify_report report;
    memset(&report, 0, sizeof(report));
    report.struct_size = sizeof(report);
    check_code(place, zdb_env_verify(env, NULL, &report), ZDB_OK, "zdb_env_verify");
    check_number(place, report.problems, 0, "problems");
    return report;
}

static void an_empty_environment_has_empty_statistics(void) {
    zdb_env *env = open_env("env");
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.format_version, 1);
    CHECK_NUMBER(info.page_size, 4096);
    CHECK_NUMBER(info.max_key_size, 1984);
    CHECK_NUMBER(info.databases, 0);
    CHECK_NUMBER(info.readers, 0);
    CHECK_NUMBER(info.oldest_reader_txn, info.last_txn_id);
    CHECK(info.page_count >= 2);
    CHECK(info.free_pages < info.page_count);

    zdb_txn *txn = begin_read(env);
    zdb_db_stat stat;
    get_stat(txn, ZDB_MAIN_DB, &stat);
    CHECK_NUMBER(stat.page_size, 4096);
    CHECK_NUMBER(stat.depth, 0);
    CHECK_NUMBER(stat.entries, 0);
    CHECK_NUMBER(stat.branch_pages, 0);
    CHECK_NUMBER(stat.leaf_pages, 0);
    CHECK_NUMBER(stat.overflow_pages, 0);
    abort_txn(txn);

    zdb_verify_report report = verified(HERE, env);
    CHECK_NUMBER(report.entries, 0);
    CHECK_NUMBER(report.databases, 0);
    CHECK_NUMBER(report.overflow_pages, 0);
    close_env(env);
}

static void info_repeats_the_options(void) {
    zdb_env_options options;
    default_options(&options);
    options.page_size = 8192;
    options.max_size = 64 * MIB;
    options.max_txn_pages = 1234;
    options.max_readers = 17;
    options.checksum = ZDB_CHECKSUM_FULL;
    zdb_env *env = open_env_with("env", &options);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.page_size, 8192);
    CHECK_NUMBER(info.max_size, 64 * MIB);
    CHECK_NUMBER(info.max_txn_pages, 1234);
    CHECK_NUMBER(info.max_readers, 17);
    CHECK_NUMBER(info.checksum, ZDB_CHECKSUM_FULL);
    close_env(env);

    options.max_txn_pages = 0;
    options.checksum = ZDB_CHECKSUM_NONE;
    env = open_env_with("env", &options);
    get_info(env, &info);
    CHECK_NUMBER(info.page_size, 8192);
    CHECK_NUMBER(info.max_txn_pages, 0);
    CHECK_NUMBER(info.checksum, ZDB_CHECKSUM_NONE);
    close_env(env);
}

static void stat_counts_entries_as_they_come_and_go(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    for (unsigned i = 0; i < 500; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i), value = text("v");
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), i + 1);
        REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
        CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), i + 1);
    }
    zdb_txn *reader = begin_read(env);
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 0);
    commit(txn);
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 0);
    abort_txn(reader);
    txn = begin_write(env);
    for (unsigned i = 0; i < 500; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i);
        REQUIRE_OK(zdb_del(txn, ZDB_MAIN_DB, &key, NULL));
        CHECK_ERROR(zdb_del(txn, ZDB_MAIN_DB, &key, NULL), ZDB_NOT_FOUND);
        CHECK_NUMBER(entries(txn, ZDB_MAIN_DB), 499 - i);
    }
    abort_txn(txn);
    reader = begin_read(env);
    CHECK_NUMBER(entries(reader, ZDB_MAIN_DB), 500);
    abort_txn(reader);
    close_env(env);
}

static void a_tree_grows_deeper_with_its_entries(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db_stat stat;
    put_numbered(txn, ZDB_MAIN_DB, 1);
    get_stat(txn, ZDB_MAIN_DB, &stat);
    CHECK_NUMBER(stat.depth, 1);
    CHECK_NUMBER(stat.leaf_pages, 1);
    CHECK_NUMBER(stat.branch_pages, 0);
    put_numbered(txn, ZDB_MAIN_DB, 2000);
    get_stat(txn, ZDB_MAIN_DB, &stat);
    CHECK_NUMBER(stat.entries, 2000);
    CHECK(stat.depth >= 2);
    CHECK(stat.branch_pages >= 1);
    /* 2000 entries of 28 bytes: some 14 pages at the least, and no page holds just one. */
    CHECK(stat.leaf_pages >= 14 && stat.leaf_pages <= 1000);
    commit(txn);
    zdb_txn *reader = begin_read(env);
    zdb_db_stat committed;
    get_stat(reader, ZDB_MAIN_DB, &committed);
    CHECK(memcmp(&committed, &stat, sizeof(stat)) == 0);
    abort_txn(reader);
    close_env(env);
}

static void overflow_pages_are_counted(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    void *memory = new_pattern(MIB, 1);
    zdb_val key = text("large"), value = bytes(memory, MIB);
    REQUIRE_OK(zdb_put(txn, ZDB_MAIN_DB, &key, &value, 0));
    free(memory);
    zdb_db_stat stat;
    get_stat(txn, ZDB_MAIN_DB, &stat);
    CHECK(stat.overflow_pages >= 256 && stat.overflow_pages <= 266);
    commit(txn);
    zdb_verify_report report = verified(HERE, env);
    CHECK_NUMBER(report.overflow_pages, stat.overflow_pages);
    txn = begin_write(env);
    delete_text(txn, ZDB_MAIN_DB, "large");
    get_stat(txn, ZDB_MAIN_DB, &stat);
    CHECK_NUMBER(stat.overflow_pages, 0);
    commit(txn);
    report = verified(HERE, env);
    CHECK_NUMBER(report.overflow_pages, 0);
    close_env(env);
}

static void info_stat_and_verify_agree(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db dbs[3];
    dbs[0] = ZDB_MAIN_DB;
    dbs[1] = create_db(txn, "one");
    dbs[2] = create_db(txn, "two");
    put_numbered(txn, dbs[0], 1000);
    put_numbered(txn, dbs[1], 500);
    void *memory = new_pattern(30000, 1);
    for (unsigned i = 0; i < 10; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i), value = bytes(memory, 30000);
        REQUIRE_OK(zdb_put(txn, dbs[2], &key, &value, 0));
    }
    free(memory);
    commit(txn);
    /* Some free pages too. */
    txn = begin_write(env);
    for (unsigned i = 0; i < 5; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i);
        REQUIRE_OK(zdb_del(txn, dbs[2], &key, NULL));
    }
    commit(txn);

    zdb_verify_report report = verified(HERE, env);
    zdb_info info;
    get_info(env, &info);
    uint64_t tree_pages = 0, overflow_pages = 0, all_entries = 0;
    txn = begin_read(env);
    for (unsigned i = 0; i < 3; i++) {
        zdb_db_stat stat;
        get_stat(txn, dbs[i], &stat);
        tree_pages += stat.branch_pages + stat.leaf_pages;
        overflow_pages += stat.overflow_pages;
        all_entries += stat.entries;
    }
    abort_txn(txn);
    CHECK_NUMBER(all_entries, 1000 + 500 + 5);
    CHECK_NUMBER(report.entries, all_entries);
    CHECK_NUMBER(report.databases, 2);
    CHECK_NUMBER(info.databases, 2);
    CHECK_NUMBER(report.overflow_pages, overflow_pages);
    /* The trees that the library keeps for itself are counted too. */
    CHECK(report.tree_pages >= tree_pages);
    /* Every page is reachable from exactly one place, or is one of the two meta pages. */
    CHECK_NUMBER(report.tree_pages + report.overflow_pages + report.free_pages + 2, report.pages);
    CHECK_NUMBER(info.page_count, report.pages);
    CHECK_NUMBER(info.file_size, file_size("env/data.zdb"));
    CHECK(info.file_size >= info.page_count * info.page_size);
    CHECK(info.file_size <= info.max_size);
    close_env(env);
}

static void readers_are_counted_and_the_oldest_is_known(void) {
    zdb_env *env = open_env("env");
    zdb_info info;
    zdb_txn *writer = begin_write(env);
    put_text(writer, ZDB_MAIN_DB, "k", "v");
    commit(writer);
    zdb_txn *old = begin_read(env);
    uint64_t oldest = zdb_txn_id(old);
    for (unsigned i = 0; i < 3; i++) {
        writer = begin_write(env);
        put_text(writer, ZDB_MAIN_DB, "k", "v");
        commit(writer);
    }
    zdb_txn *young = begin_read(env);
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 2);
    CHECK_NUMBER(info.oldest_reader_txn, oldest);
    CHECK(info.last_txn_id > oldest);
    abort_txn(old);
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 1);
    CHECK_NUMBER(info.oldest_reader_txn, zdb_txn_id(young));
    abort_txn(young);
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 0);
    CHECK_NUMBER(info.oldest_reader_txn, info.last_txn_id);
    close_env(env);
}

static void verifying_goes_on_beside_readers_and_the_writer(void) {
    zdb_env *env = open_env("env");
    zdb_txn *writer = begin_write(env);
    put_numbered(writer, ZDB_MAIN_DB, 1000);
    commit(writer);
    zdb_txn *reader = begin_read(env);
    writer = begin_write(env);
    for (unsigned i = 0; i < 500; i++) {
        char key_text[KEY_BYTES];
        zdb_val key = numbered(key_text, "key", i);
        REQUIRE_OK(zdb_del(writer, ZDB_MAIN_DB, &key, NULL));
    }
    zdb_verify_report report = verified(HERE, env);
    CHECK_NUMBER(report.entries, 1000);
    commit(writer);
    report = verified(HERE, env);
    CHECK_NUMBER(report.entries, 500);
    expect_numbered(reader, ZDB_MAIN_DB, 1000);
    abort_txn(reader);
    report = verified(HERE, env);
    CHECK_NUMBER(report.entries, 500);
    close_env(env);
}

static void verifying_needs_neither_callback_nor_report(void) {
    zdb_env *env = open_env("env");
    CHECK_CODE(zdb_env_verify(env, NULL, NULL), ZDB_OK);
    close_env(env);
}

static void check_digests(struct place place, zdb_digest found, zdb_digest expected) {
    check_number(place, found.low, expected.low, "low half of the digest");
    check_number(place, found.high, expected.high, "high half of the digest");
}

static void the_same_content_has_the_same_digest(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    zdb_db_stat stat;
    get_stat(txn, ZDB_MAIN_DB, &stat);
    zdb_digest none = {0, 0};
    check_digests(HERE, stat.digest, none);
    put_numbered(txn, ZDB_MAIN_DB, 1000);
    put_overflow(txn, ZDB_MAIN_DB, 5000);
    commit(txn);

    zdb_env_options options;
    REQUIRE_OK(zdb_env_options_init(&options));
    options.page_size = 16384;
    zdb_env *other = open_env_with("other", &options);
    for (unsigned i = 0; i < 3; i++) {
        txn = begin_write(other);
        put_overflow(txn, ZDB_MAIN_DB, 5000);
        put_numbered(txn, ZDB_MAIN_DB, 1000);
        put_text(txn, ZDB_MAIN_DB, "more", "text");
        zdb_val key = {"more", 4};
        if (i == 2) REQUIRE_OK(zdb_del(txn, ZDB_MAIN_DB, &key, NULL));
        commit(txn);
    }
    zdb_info info;
    zdb_info of_other;
    get_info(env, &info);
    get_info(other, &of_other);
    check_digests(HERE, of_other.digest, info.digest);
    check_digests(HERE, verified(HERE, other).digest, info.digest);
    zdb_txn *reader = begin_read(env);
    get_stat(reader, ZDB_MAIN_DB, &stat);
    abort_txn(reader);
    zdb_db_stat stat_of_other;
    reader = begin_read(other);
    get_stat(reader, ZDB_MAIN_DB, &stat_of_other);
    abort_txn(reader);
    check_digests(HERE, stat_of_other.digest, stat.digest);

    txn = begin_write(other);
    put_text(txn, ZDB_MAIN_DB, "key 5", "another value");
    commit(txn);
    get_info(other, &of_other);
    CHECK(of_other.digest.low != info.digest.low);
    close_env(other);
    close_env(env);
}

static const struct test tests[] = {
    TEST(an_empty_environment_has_empty_statistics),
    TEST(info_repeats_the_options),
    TEST(stat_counts_entries_as_they_come_and_go),
    TEST(a_tree_grows_deeper_with_its_entries),
    TEST(overflow_pages_are_counted),
    TEST(info_stat_and_verify_agree),
    TEST(readers_are_counted_and_the_oldest_is_known),
    TEST(verifying_goes_on_beside_readers_and_the_writer),
    TEST(the_same_content_has_the_same_digest),
    TEST(verifying_needs_neither_callback_nor_report),
};

DEFINE_SUITE(statistics, tests);
