/* The reader table: its readers, how it grows, and dead processes, which neither fill it nor pin
 * pages. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare() */
#endif
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lock_file.h"
#include "partner.h"
#include "suites.h"
#include "support.h"

/* -------------------------------------------------------------------- listing */

enum { LISTED_MAX = 400 };

struct listing {
    unsigned count;
    zdb_reader readers[LISTED_MAX];
};

static void list_reader(void *context, const zdb_reader *reader) {
    struct listing *listing = (struct listing *)context;
    REQUIRE(listing->count < LISTED_MAX);
    listing->readers[listing->count++] = *reader;
}

static struct listing list_readers(zdb_env *env) {
    struct listing listing;
    memset(&listing, 0, sizeof(listing));
    REQUIRE_OK(zdb_reader_list(env, list_reader, &listing));
    return listing;
}

static void write_once(zdb_env *env) {
    zdb_txn *txn = begin_write(env);
    put_text(txn, ZDB_MAIN_DB, "k", "v");
    commit(txn);
}

static void readers_are_listed_with_their_snapshots(void) {
    zdb_env *env = open_env("env");
    CHECK_NUMBER(list_readers(env).count, 0);
    write_once(env);
    zdb_txn *old = begin_read(env);
    write_once(env);
    zdb_txn *young = begin_read(env);
    struct listing listing = list_readers(env);
    REQUIRE(listing.count == 2);
    CHECK_NUMBER(listing.readers[0].txn_id, zdb_txn_id(old));
    CHECK_NUMBER(listing.readers[1].txn_id, zdb_txn_id(young));
    CHECK(listing.readers[0].slot != listing.readers[1].slot);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_NUMBER(listing.readers[i].process_id, (uint64_t)getpid());
        CHECK(listing.readers[i].thread == listing.readers[0].thread);
    }
    REQUIRE_OK(zdb_txn_reset(old));
    listing = list_readers(env);
    REQUIRE(listing.count == 2);
    CHECK_NUMBER(listing.readers[0].txn_id, UINT64_MAX);
    abort_txn(old);
    abort_txn(young);
    CHECK_NUMBER(list_readers(env).count, 0);
    close_env(env);
}

static void the_writer_is_no_reader(void) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_write(env);
    CHECK_NUMBER(list_readers(env).count, 0);
    abort_txn(txn);
    close_env(env);
}

static void wrong_arguments_are_refused(void) {
    zdb_env *env = open_env("env");
    CHECK_ERROR(zdb_reader_list(env, NULL, NULL), ZDB_BAD_ARGUMENT);
    CHECK_CODE(zdb_reader_check(env, NULL), ZDB_OK);
    uint32_t dead = 77;
    CHECK_CODE(zdb_reader_check(env, &dead), ZDB_OK);
    CHECK_NUMBER(dead, 0);
    close_env(env);
}

static void the_table_grows_with_its_readers(void) {
    zdb_env *env = open_env("env");
    write_once(env);
    zdb_txn *readers[LISTED_MAX];
    for (unsigned i = 0; i < LISTED_MAX; i++) {
        readers[i] = begin_read(env);
        if (i % 100 == 0) write_once(env);
    }
    struct listing listing = list_readers(env);
    CHECK_NUMBER(listing.count, LISTED_MAX);
    for (unsigned i = 0; i < LISTED_MAX; i++) {
        CHECK_NUMBER(listing.readers[i].txn_id, zdb_txn_id(readers[i]));
        expect_text(readers[i], ZDB_MAIN_DB, "k", "v");
    }
    for (unsigned i = 0; i < LISTED_MAX; i++) abort_txn(readers[i]);
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.readers, 0);
    close_env(env);
}

enum { READERS_OF_PARTNER = 150 };

static void hold_many_readers(struct partner *partner) {
    zdb_env *env = open_env("env");
    zdb_txn *readers[READERS_OF_PARTNER];
    for (unsigned i = 0; i < READERS_OF_PARTNER; i++) readers[i] = begin_read(env);
    partner_done(partner);
    partner_wait(partner);
    for (unsigned i = 0; i < READERS_OF_PARTNER; i++) {
        expect_text(readers[i], ZDB_MAIN_DB, "k", "v");
        abort_txn(readers[i]);
    }
    close_env(env);
    partner_done(partner);
}

static void a_table_that_another_process_has_grown_serves_this_one(void) {
    struct partner partner;
    zdb_env *env = open_env("env");
    write_once(env);
    zdb_txn *reader = begin_read(env);
    start_partner(&partner, hold_many_readers, NULL);
    await_partner(&partner);
    struct listing listing = list_readers(env);
    CHECK_NUMBER(listing.count, READERS_OF_PARTNER + 1);
    unsigned own = 0;
    for (unsigned i = 0; i < listing.count; i++) {
        if (listing.readers[i].process_id == (uint32_t)getpid())
            own++;
        else
            CHECK_NUMBER(listing.readers[i].process_id, (uint64_t)partner.process);
    }
    CHECK_NUMBER(own, 1);
    zdb_txn *readers[READERS_OF_PARTNER];
    for (unsigned i = 0; i < READERS_OF_PARTNER; i++) readers[i] = begin_read(env);
    CHECK_NUMBER(list_readers(env).count, 2 * READERS_OF_PARTNER + 1);
    for (unsigned i = 0; i < READERS_OF_PARTNER; i++) abort_txn(readers[i]);
    let_partner_step(&partner);
    finish_partner(&partner);
    abort_txn(reader);
    CHECK_NUMBER(list_readers(env).count, 0);
    close_env(env);
}

/* ----------------------------------------------------------------- pinned space */

/* Some eighty pages. */
enum { PINNED_ENTRIES = 10000, ROUNDS = 40, OTHERS = 5, KILLS = 12 };

static void fill(zdb_env *env) {
    zdb_txn *txn = begin_write(env);
    put_numbered(txn, ZDB_MAIN_DB, PINNED_ENTRIES);
    commit(txn);
    REQUIRE_OK(zdb_env_checkpoint(env));
}

static uint64_t page_count(zdb_env *env) {
    zdb_info info;
    get_info(env, &info);
    return info.page_count;
}

/* Writes all entries again and again. Returns how many pages the environment then has: if freed pages
 * can be used again, a state's, and as many for what waits for a checkpoint, and those of each snapshot
 * that a reader has. */
static uint64_t pages_after_overwriting(zdb_env *env, unsigned rounds) {
    for (unsigned i = 0; i < rounds; i++) {
        zdb_txn *txn = begin_at(HERE, env, ZDB_DURABILITY_NONE);
        put_numbered(txn, ZDB_MAIN_DB, PINNED_ENTRIES);
        commit(txn);
        REQUIRE_OK(zdb_env_checkpoint(env));
    }
    return page_count(env);
}

/* Pages of one state. */
static uint64_t state_pages(zdb_env *env) {
    zdb_db_stat stat;
    zdb_txn *txn = begin_read(env);
    memset(&stat, 0, sizeof(stat));
    stat.struct_size = sizeof(stat);
    REQUIRE_OK(zdb_stat(txn, ZDB_MAIN_DB, &stat));
    abort_txn(txn);
    return stat.branch_pages + stat.leaf_pages;
}

static void read_and_wait(struct partner *partner) {
    zdb_env *env = open_env("env");
    zdb_txn *txn = begin_read(env);
    partner_done(partner);
    partner_wait(partner);
    expect_numbered(txn, ZDB_MAIN_DB, PINNED_ENTRIES);
    abort_txn(txn);
    close_env(env);
    partner_done(partner);
}

static void a_living_reader_of_another_process_keeps_its_snapshot(void) {
    struct partner partner;
    start_partner(&partner, read_and_wait, NULL);
    zdb_env *env = open_env("env");
    await_partner(&partner);
    kill_partner(&partner);
    fill(env);
    start_partner(&partner, read_and_wait, NULL);
    await_partner(&partner);
    uint64_t pages = pages_after_overwriting(env, repetitions(ROUNDS));
    CHECK(pages > 2 * state_pages(env));
    uint32_t dead = 77;
    REQUIRE_OK(zdb_reader_check(env, &dead));
    CHECK_NUMBER(dead, 0);
    CHECK_NUMBER(list_readers(env).count, 1);
    let_partner_step(&partner);
    finish_partner(&partner);
    expect_sound(env);
    close_env(env);
}

static void readers_of_other_processes_cost_no_more_than_they_see(void) {
    zdb_env *env = open_env("env");
    fill(env);
    uint64_t alone = pages_after_overwriting(env, repetitions(ROUNDS));
    struct partner others[OTHERS];
    for (unsigned i = 0; i < OTHERS; i++) {
        start_partner(&others[i], read_and_wait, NULL);
        await_partner(&others[i]);
        uint64_t pages = pages_after_overwriting(env, repetitions(ROUNDS));
        CHECK(pages <= alone + (i + 1) * state_pages(env) * 5 / 4);
    }
    CHECK_NUMBER(list_readers(env).count, OTHERS);
    uint64_t pages = page_count(env);
    for (unsigned i = 0; i < OTHERS; i++) {
        let_partner_step(&others[i]);
        finish_partner(&others[i]);
        CHECK(pages_after_overwriting(env, repetitions(ROUNDS)) <= pages);
    }
    expect_sound(env);
    close_env(env);
}

static void a_killed_reader_pins_nothing_that_a_writer_needs(void) {
    zdb_env *env = open_env("env");
    fill(env);
    uint64_t alone = pages_after_overwriting(env, ROUNDS);
    for (unsigned i = 0; i < KILLS; i++) {
        struct partner partner;
        start_partner(&partner, read_and_wait, NULL);
        await_partner(&partner);
        CHECK_NUMBER(list_readers(env).count, 1);
        kill_partner(&partner);
        /* One that was kept would cost a state each time. */
        CHECK(pages_after_overwriting(env, 4) <= alone + 2 * state_pages(env));
        CHECK_NUMBER(list_readers(env).count, 0);
    }
    expect_sound(env);
    close_env(env);
}

static void dead_readers_are_counted_and_freed_on_request(void) {
    zdb_env *env = open_env("env");
    fill(env);
    zdb_txn *own = begin_read(env);
    struct partner partner;
    start_partner(&partner, read_and_wait, NULL);
    await_partner(&partner);
    kill_partner(&partner);
    CHECK_NUMBER(list_readers(env).count, 2);
    uint32_t dead = 0;
    REQUIRE_OK(zdb_reader_check(env, &dead));
    CHECK_NUMBER(dead, 1);
    CHECK_NUMBER(list_readers(env).count, 1);
    REQUIRE_OK(zdb_reader_check(env, &dead));
    CHECK_NUMBER(dead, 0);
    expect_numbered(own, ZDB_MAIN_DB, PINNED_ENTRIES);
    abort_txn(own);
    close_env(env);
}

static zdb_env *open_with_three_slots(void) {
    zdb_env_options options;
    default_options(&options);
    options.max_readers = 3;
    return open_env_with("env", &options);
}

static void fill_table_and_wait(struct partner *partner) {
    zdb_env *env = open_with_three_slots();
    for (unsigned i = 0; i < 3; i++) begin_read(env);
    partner_done(partner);
    partner_wait(partner); /* in vain */
}

static void slots_of_killed_processes_are_taken_when_they_are_needed(void) {
    zdb_env *env = open_with_three_slots();
    for (unsigned i = 0; i < 5; i++) {
        struct partner partner;
        start_partner(&partner, fill_table_and_wait, NULL);
        await_partner(&partner);
        zdb_txn *txn = NULL;
        CHECK_ERROR(zdb_txn_begin(env, NULL, ZDB_RDONLY, &txn), ZDB_READERS_FULL);
        kill_partner(&partner);
        zdb_txn *readers[3];
        for (unsigned j = 0; j < 3; j++) readers[j] = begin_read(env);
        for (unsigned j = 0; j < 3; j++) abort_txn(readers[j]);
    }
    CHECK_NUMBER(list_readers(env).count, 0);
    close_env(env);
}

/* --------------------------------------------------------- identities that return */

static unsigned slot_of_process(zdb_env *env, pid_t process) {
    struct listing listing = list_readers(env);
    for (unsigned i = 0; i < listing.count; i++) {
        if (listing.readers[i].process_id == (uint32_t)process) return listing.readers[i].slot;
    }
    require_failed(HERE, "process %d has no reader slot", (int)process);
    return 0;
}

/* A process has died, and another one, which lives, has its place in the table of processes. */
static void a_process_in_the_place_of_a_dead_one_does_not_keep_its_readers(void) {
    zdb_env *env = open_env("env");
    fill(env);
    struct lock_file lock_file = map_lock_file();
    struct partner dead, heir;
    start_partner(&dead, read_and_wait, NULL);
    await_partner(&dead);
    uint64_t dead_owner = slot_owner(&lock_file, slot_of_process(env, dead.process));
    kill_partner(&dead);
    start_partner(&heir, read_and_wait, NULL);
    await_partner(&heir);
    unsigned heir_slot = slot_of_process(env, heir.process);
    /* The next generation of the same entry. */
    CHECK_NUMBER(slot_owner(&lock_file, heir_slot), owner_of_generation(dead_owner, 1));
    CHECK_NUMBER(list_readers(env).count, 2);
    uint32_t freed = 0;
    REQUIRE_OK(zdb_reader_check(env, &freed));
    CHECK_NUMBER(freed, 1);
    struct listing listing = list_readers(env);
    REQUIRE(listing.count == 1);
    CHECK_NUMBER(listing.readers[0].slot, heir_slot);
    pages_after_overwriting(env, ROUNDS);
    CHECK_NUMBER(slot_owner(&lock_file, heir_slot), owner_of_generation(dead_owner, 1));
    let_partner_step(&heir);
    finish_partner(&heir);
    unmap_lock_file(&lock_file);
    expect_sound(env);
    close_env(env);
}

static void a_slot_of_another_generation_neither_pins_nor_frees(void) {
    zdb_env *env = open_env("env");
    fill(env);
    struct lock_file lock_file = map_lock_file();
    struct partner partner;
    start_partner(&partner, read_and_wait, NULL);
    await_partner(&partner);
    unsigned slot = slot_of_process(env, partner.process);
    uint64_t owner = slot_owner(&lock_file, slot), snapshot = slot_snapshot(&lock_file, slot);
    static const int64_t generations[] = {-1, 1, 1000000};
    for (unsigned i = 0; i < 3; i++) {
        forge_slot(&lock_file, slot + 1 + i, owner_of_generation(owner, generations[i]), 1);
    }
    pages_after_overwriting(env, ROUNDS);
    for (unsigned i = 0; i < 3; i++) CHECK_NUMBER(slot_owner(&lock_file, slot + 1 + i), 0);
    CHECK_NUMBER(slot_owner(&lock_file, slot), owner);
    CHECK_NUMBER(slot_snapshot(&lock_file, slot), snapshot);
    let_partner_step(&partner);
    finish_partner(&partner);
    CHECK_NUMBER(list_readers(env).count, 0);

    /* With no reader alive, only such a slot could pin a page. */
    zdb_info info;
    get_info(env, &info);
    uint64_t pages = info.page_count;
    forge_slot(&lock_file, slot, owner_of_generation(owner, -1), info.last_txn_id);
    CHECK(pages_after_overwriting(env, ROUNDS) <= pages);
    CHECK_NUMBER(list_readers(env).count, 0);
    unmap_lock_file(&lock_file);
    expect_sound(env);
    close_env(env);
}

static void a_slot_of_an_impossible_process_pins_nothing(void) {
    static const uint64_t owners[] = {
        1 << 16 /* no entry */, (1 << 16) + 0xffff, (1 << 16) + 1025, UINT64_MAX,
        5 /* never used */,
    };
    zdb_env *env = open_env("env");
    fill(env);
    uint64_t alone = pages_after_overwriting(env, ROUNDS);
    struct lock_file lock_file = map_lock_file();
    for (unsigned i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
        zdb_info info;
        get_info(env, &info);
        forge_slot(&lock_file, i, owners[i], info.last_txn_id);
        /* One that was kept would cost a state each time. */
        CHECK(pages_after_overwriting(env, 4) <= alone + state_pages(env) / 2);
        CHECK_NUMBER(slot_owner(&lock_file, i), 0);
    }
    unmap_lock_file(&lock_file);
    close_env(env);
}

/* --------------------------------------------------------- process ids that return */

struct namespace_step {
    struct partner *partner;
    struct gate ready;
};

/* The second process of the namespace: one is killed, another one outlives that. */
static void read_until_killed(void *argument) {
    struct namespace_step *step = (struct namespace_step *)argument;
    REQUIRE(getpid() == 2);
    begin_read(open_env("env"));
    gate_give(&step->ready);
    pause();
}

static void read_under_the_same_id(void *argument) {
    struct namespace_step *step = (struct namespace_step *)argument;
    REQUIRE(getpid() == 2);
    read_and_wait(step->partner);
}

static void let_process_id_return(void) {
    FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");
    REQUIRE(file != NULL);
    REQUIRE(fputs("1", file) >= 0);
    REQUIRE(fclose(file) == 0);
}

/* The first process of the namespace. */
static void run_namespace(void *argument) {
    struct namespace_step step;
    step.partner = (struct partner *)argument;
    REQUIRE(getpid() == 1);
    gate_open(&step.ready);
    pid_t process = start_process(read_until_killed, &step);
    REQUIRE(process == 2);
    gate_wait(&step.ready);
    partner_done(step.partner);
    partner_wait(step.partner);
    REQUIRE(kill(process, SIGKILL) == 0);
    REQUIRE(waitpid(process, NULL, 0) == process);
    let_process_id_return();
    process = start_process(read_under_the_same_id, &step);
    REQUIRE(process == 2);
    finish_process(process);
}

static void enter_namespace(struct partner *partner) {
    REQUIRE(unshare(CLONE_NEWPID) == 0);
    finish_process(start_process(run_namespace, partner));
}

static void try_namespace(void *argument) {
    int *is_allowed = (int *)argument;
    *is_allowed = unshare(CLONE_NEWPID) == 0 && access("/proc/sys/kernel/ns_last_pid", W_OK) == 0;
    exit(*is_allowed ? 0 : 1);
}

static bool may_make_namespaces(void) {
    int is_allowed = 0, status = 0;
    pid_t process = start_process(try_namespace, &is_allowed);
    REQUIRE(waitpid(process, &status, 0) == process);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void a_process_id_in_use_again_neither_pins_nor_frees(void) {
    if (!may_make_namespaces()) {
        fprintf(stderr, "skipped: process ids that return need the right to make namespaces\n");
        return;
    }
    zdb_env *env = open_env("env");
    fill(env);
    struct partner partner;
    start_partner(&partner, enter_namespace, NULL);
    await_partner(&partner);
    struct listing listing = list_readers(env);
    REQUIRE(listing.count == 1);
    CHECK_NUMBER(listing.readers[0].process_id, 2);
    uint64_t dead_snapshot = listing.readers[0].txn_id;
    /* The snapshot of the dead process lacks an entry that the other snapshot has. */
    fill(env);
    let_partner_step(&partner);
    listing = list_readers(env);
    REQUIRE(listing.count == 2);
    CHECK_NUMBER(listing.readers[0].process_id, 2);
    CHECK_NUMBER(listing.readers[1].process_id, 2);

    uint32_t dead = 0;
    REQUIRE_OK(zdb_reader_check(env, &dead));
    CHECK_NUMBER(dead, 1);
    listing = list_readers(env);
    REQUIRE(listing.count == 1);
    CHECK(listing.readers[0].txn_id > dead_snapshot);
    pages_after_overwriting(env, ROUNDS);
    CHECK_NUMBER(list_readers(env).count, 1);
    let_partner_step(&partner);
    finish_partner(&partner);
    expect_sound(env);
    close_env(env);
}

static const struct test tests[] = {
    TEST(readers_are_listed_with_their_snapshots),
    TEST(the_writer_is_no_reader),
    TEST(wrong_arguments_are_refused),
    TEST(the_table_grows_with_its_readers),
    TEST(a_table_that_another_process_has_grown_serves_this_one),
    TEST(a_living_reader_of_another_process_keeps_its_snapshot),
    TEST(readers_of_other_processes_cost_no_more_than_they_see),
    TEST(a_killed_reader_pins_nothing_that_a_writer_needs),
    TEST(dead_readers_are_counted_and_freed_on_request),
    TEST(slots_of_killed_processes_are_taken_when_they_are_needed),
    TEST(a_process_in_the_place_of_a_dead_one_does_not_keep_its_readers),
    TEST(a_slot_of_another_generation_neither_pins_nor_frees),
    TEST(a_slot_of_an_impossible_process_pins_nothing),
    TEST(a_process_id_in_use_again_neither_pins_nor_frees),
};

DEFINE_SUITE(readers, tests);
