#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "lanes.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

const char *const wait_names[WAITS] = {"open", "begin to read", "begin to write", "commit",
                                       "sync or checkpoint"};

/* ----------------------------------------------------------------- progress */

struct progress *new_progress(unsigned lanes) {
    void *memory = mmap(NULL, sizeof(struct progress), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    struct progress *progress = (struct progress *)memory;
    progress->lanes = lanes;
    return progress;
}

void print_progress(struct progress *progress) {
    printf("  %" PRIu64 " commits, %" PRIu64 " aborts, %" PRIu64 " snapshots checked, %" PRIu64
           " checkpoints asked for, %" PRIu64 " reopenings\n",
           atomic_load(&progress->commits), atomic_load(&progress->aborts),
           atomic_load(&progress->reads), atomic_load(&progress->checkpoints),
           atomic_load(&progress->reopenings));
    printf("  longest waits, ms:");
    for (unsigned i = 0; i < WAITS; i++) {
        printf("%s %s %.1f", i == 0 ? "" : ",", wait_names[i],
               (double)atomic_load(&progress->worst_wait[i]) / 1e6);
    }
    printf("\n");
}

uint64_t nanoseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void raise_to(_Atomic uint64_t *maximum, uint64_t value) {
    uint64_t known = atomic_load(maximum);
    while (known < value && !atomic_compare_exchange_weak(maximum, &known, value)) {
    }
}

void begin_wait(struct progress *progress, unsigned lane, enum wait wait) {
    atomic_store(&progress->of[lane].waiting_in, wait);
    atomic_store(&progress->of[lane].waiting_since, nanoseconds_now());
}

void end_wait(struct progress *progress, unsigned lane) {
    struct lane_progress *own = &progress->of[lane];
    uint64_t waited = nanoseconds_now() - atomic_load(&own->waiting_since);
    atomic_store(&own->waiting_since, 0);
    raise_to(&progress->worst_wait[atomic_load(&own->waiting_in)], waited);
}

/* ------------------------------------------------------------------ content */

/* Odd lanes live in a database of their own, the others share the main one. */
static zdb_db database_of(zdb_txn *txn, unsigned lane, uint32_t flags, bool *is_there) {
    *is_there = true;
    if (lane % 2 == 0) return ZDB_MAIN_DB;
    char name[KEY_BYTES];
    snprintf(name, sizeof(name), "lane %u", lane);
    zdb_db db = UINT32_MAX;
    int code = zdb_db_open(txn, name, flags, &db);
    *is_there = code == ZDB_OK;
    if (code != ZDB_OK) REQUIRE_CODE(code, ZDB_NOT_FOUND);
    return db;
}

static zdb_val counter_key(char buffer[KEY_BYTES], unsigned lane) {
    return bytes(buffer, (size_t)snprintf(buffer, KEY_BYTES, "%02u counter", lane));
}

static zdb_val slot_key(char buffer[KEY_BYTES], unsigned lane, uint64_t number) {
    unsigned slot = (unsigned)(number % RING_SLOTS);
    return bytes(buffer, (size_t)snprintf(buffer, KEY_BYTES, "%02u slot %02u", lane, slot));
}

static uint64_t seed_of(unsigned lane, uint64_t number) {
    return number * LANES_MAX + lane + 1;
}

/* Most values are small; some take several pages. */
static size_t size_of(unsigned lane, uint64_t number) {
    uint64_t random = seed_of(lane, number) * 0x9e3779b97f4a7c15u;
    next_random(&random);
    size_t limit = random % 8 == 0 ? 20000 : 400;
    return (size_t)(random >> 20) % limit;
}

static uint64_t read_counter(zdb_txn *txn, zdb_db db, unsigned lane) {
    char buffer[KEY_BYTES];
    zdb_val key = counter_key(buffer, lane), value = nothing();
    uint64_t counter = 0;
    int code = zdb_get(txn, db, &key, &value);
    if (code == ZDB_NOT_FOUND) return 0;
    REQUIRE_CODE(code, ZDB_OK);
    REQUIRE(value.size == sizeof(counter));
    memcpy(&counter, value.data, sizeof(counter));
    return counter;
}

static void put_next(zdb_txn *txn, zdb_db db, unsigned lane, uint64_t number) {
    char buffer[KEY_BYTES];
    static _Thread_local char pattern[20000];
    size_t size = size_of(lane, number);
    fill_pattern(pattern, size, seed_of(lane, number));
    zdb_val key = slot_key(buffer, lane, number), value = bytes(pattern, size);
    REQUIRE_OK(zdb_put(txn, db, &key, &value, 0));
    if (number > RING_VALUES) {
        key = slot_key(buffer, lane, number - RING_VALUES);
        REQUIRE_OK(zdb_del(txn, db, &key, NULL));
    }
    key = counter_key(buffer, lane);
    value = bytes(&number, sizeof(number));
    REQUIRE_OK(zdb_put(txn, db, &key, &value, 0));
}

static void check_ring(zdb_txn *txn, zdb_db db, unsigned lane, uint64_t counter) {
    char buffer[KEY_BYTES];
    uint64_t first = counter > RING_VALUES ? counter - RING_VALUES + 1 : 1;
    for (uint64_t number = first; number < first + RING_SLOTS; number++) {
        zdb_val key = slot_key(buffer, lane, number), value = nothing();
        int code = zdb_get(txn, db, &key, &value);
        if (number > counter) {
            REQUIRE_CODE(code, ZDB_NOT_FOUND);
            continue;
        }
        REQUIRE_CODE(code, ZDB_OK);
        if (value.size != size_of(lane, number) ||
            !has_pattern(value.data, value.size, seed_of(lane, number))) {
            require_failed(
                HERE, "lane %u has come to %" PRIu64 ", but its value %" PRIu64 " is another's",
                lane, counter, number);
        }
    }
}

/* ------------------------------------------------------------------- checks */

void expect_acknowledged(struct progress *progress, struct expectation *expectation) {
    for (unsigned lane = 0; lane < progress->lanes; lane++) {
        expectation->at_least[lane] = atomic_load(&progress->of[lane].acknowledged);
    }
}

void expect_durable(struct progress *progress, struct expectation *expectation) {
    for (unsigned lane = 0; lane < progress->lanes; lane++) {
        expectation->at_least[lane] = atomic_load(&progress->of[lane].durable);
    }
}

static uint64_t check_lane(struct progress *progress, zdb_txn *txn, unsigned lane,
                           uint64_t at_least, const char *role) {
    bool is_there;
    zdb_db db = database_of(txn, lane, 0, &is_there);
    uint64_t counter = is_there ? read_counter(txn, db, lane) : 0;
    /* After the counter was read: a thread that commits announces it first. */
    uint64_t attempted = atomic_load(&progress->of[lane].attempted);
    if (counter < at_least || counter > attempted) {
        require_failed(HERE,
                       "lane %u has come to %" PRIu64 " in transaction %" PRIu64 " of a %s, but "
                       "%" PRIu64 " was acknowledged and %" PRIu64 " attempted",
                       lane, counter, zdb_txn_id(txn), role, at_least, attempted);
    }
    if (is_there) check_ring(txn, db, lane, counter);
    return counter;
}

void check_lanes(struct progress *progress, zdb_txn *txn, const struct expectation *expectation) {
    for (unsigned lane = 0; lane < progress->lanes; lane++) {
        check_lane(progress, txn, lane, expectation->at_least[lane], "reader");
    }
}

void accept_lanes(struct progress *progress, zdb_txn *txn) {
    struct expectation expectation;
    expect_durable(progress, &expectation);
    for (unsigned lane = 0; lane < progress->lanes; lane++) {
        uint64_t counter = check_lane(progress, txn, lane, expectation.at_least[lane], "survey");
        atomic_store(&progress->of[lane].acknowledged, counter);
        atomic_store(&progress->of[lane].durable, counter);
        atomic_store(&progress->of[lane].waiting_since, 0);
    }
}

void advance_lane(struct progress *progress, zdb_env *env, unsigned lane, uint32_t durability,
                  bool aborts) {
    struct lane_progress *own = &progress->of[lane];
    zdb_txn *txn = NULL;
    begin_wait(progress, lane, WAIT_BEGIN_WRITE);
    REQUIRE_OK(zdb_txn_begin(env, NULL, durability, &txn));
    end_wait(progress, lane);
    bool is_there;
    zdb_db db = database_of(txn, lane, ZDB_CREATE, &is_there);
    uint64_t counter = check_lane(progress, txn, lane, atomic_load(&own->acknowledged), "writer");
    put_next(txn, db, lane, counter + 1);
    if (aborts) {
        REQUIRE_OK(zdb_txn_abort(txn));
        atomic_fetch_add(&progress->aborts, 1);
        return;
    }
    atomic_store(&own->attempted, counter + 1);
    begin_wait(progress, lane, WAIT_COMMIT);
    REQUIRE_OK(zdb_txn_commit(txn));
    end_wait(progress, lane);
    /* A commit with full durability makes the commits before it durable too, whatever their
     * durability. */
    bool is_full = durability == 0 || durability == ZDB_DURABILITY_FULL;
    if (is_full || atomic_load(&progress->logs_everything)) {
        atomic_store(&own->durable, counter + 1);
    }
    atomic_store(&own->acknowledged, counter + 1);
    atomic_fetch_add(&progress->commits, 1);
}

void check_space(zdb_env *env) {
    REQUIRE_OK(zdb_env_checkpoint(env));
    zdb_info info;
    get_info(env, &info);
    CHECK_NUMBER(info.checkpoint_txn_id, info.last_txn_id);
    CHECK_NUMBER(info.log_bytes, 0);
    CHECK_NUMBER(info.pinned_pages, 0);
    zdb_verify_report report;
    memset(&report, 0, sizeof(report));
    report.struct_size = sizeof(report);
    expect_sound(env);
    REQUIRE_OK(zdb_env_verify(env, NULL, &report));
    CHECK_NUMBER(report.problems, 0);
    CHECK_NUMBER(report.free_pages, info.free_pages);
    CHECK_NUMBER(report.pages, info.page_count);
    CHECK_NUMBER(report.tree_pages + report.overflow_pages + report.free_pages + 2, report.pages);
    REQUIRE(check_failures() == 0);
}
