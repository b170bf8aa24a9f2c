/* Content that proves itself, for many writers that may be killed at any moment.
 *
 * A lane is one writer's share of the environment: a counter and a ring of values. What the ring
 * holds follows from the counter alone, so that whoever sees a lane in a snapshot can check all of
 * it; and how far each lane has come is kept in memory that the processes share, so that nothing
 * acknowledged can be lost unnoticed.
 */
#ifndef LANES_H
#define LANES_H

#include <stdatomic.h>

#include "../support.h"

enum {
    LANES_MAX = 16,
    /** Places in a lane's ring, and how many of them, the newest, hold a value. */
    RING_SLOTS = 16,
    RING_VALUES = 8,
    WAITS = 5,
};

/** What a thread may have to wait in. */
enum wait { WAIT_OPEN, WAIT_BEGIN_READ, WAIT_BEGIN_WRITE, WAIT_COMMIT, WAIT_FLUSH };

extern const char *const wait_names[WAITS];

/** A lane's progress, in memory that all processes share. */
struct lane_progress {
    /** The newest number that a commit was begun for. */
    _Atomic uint64_t attempted;
    /** The newest number whose commit returned ZDB_OK: visible to all who begin to read then. */
    _Atomic uint64_t acknowledged;
    /** The newest of those that were durable: they outlive the death of all processes. */
    _Atomic uint64_t durable;
    /** When the thread entered the call that it is in, nanoseconds; 0: it is in none. */
    _Atomic uint64_t waiting_since;
    _Atomic uint32_t waiting_in;
};

struct progress {
    unsigned lanes;
    struct lane_progress of[LANES_MAX];
    _Atomic uint64_t worst_wait[WAITS];
    _Atomic uint64_t commits, aborts, reads, checkpoints, reopenings;
    /** Transactions that recoveries replayed. */
    _Atomic uint64_t replayed, replayed_max;
    /** Nobody commits without a log record: then all that is acknowledged outlives all processes,
     *  as long as the system does not go down. */
    _Atomic bool logs_everything;
    _Atomic bool is_over;
};

/** Memory that child processes share with this one. */
struct progress *new_progress(unsigned lanes);

/** What was done, and how long anybody had to wait. */
void print_progress(struct progress *progress);

uint64_t nanoseconds_now(void);
void raise_to(_Atomic uint64_t *maximum, uint64_t value);

/** Around a call that may wait. */
void begin_wait(struct progress *progress, unsigned lane, enum wait wait);
void end_wait(struct progress *progress, unsigned lane);

/** One transaction that moves a lane on by one. `durability` is a flag of zdb_txn_begin(), 0 the
 *  environment's. `aborts` instead of committing. */
void advance_lane(struct progress *progress, zdb_env *env, unsigned lane, uint32_t durability,
                  bool aborts);

/** What a look at all lanes must find at the least. */
struct expectation {
    uint64_t at_least[LANES_MAX];
};

/** To be called before the transaction is begun that is then checked. */
void expect_acknowledged(struct progress *progress, struct expectation *expectation);
/** When all processes have died since. */
void expect_durable(struct progress *progress, struct expectation *expectation);

/** The transaction shows every lane whole, and as far as expected or further. */
void check_lanes(struct progress *progress, zdb_txn *txn, const struct expectation *expectation);

/** After the death of all processes: what is there now is what was acknowledged. */
void settle_lanes(struct progress *progress, zdb_txn *txn);

/** Checkpoint, verification, and the sums that must then agree: no page is lost, none is pinned. */
void check_space(zdb_env *env);

#endif /* LANES_H */
