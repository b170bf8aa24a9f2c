/* Content that proves itself, for many writers that may be killed at any moment.
 *
 * A lane is one writer's share of the environment: a counter and a ring of values. What the ring
 * holds follows from the counter alone, so that a reader that sees a lane in a snapshot can check
 * all of it. The progress of each lane is kept in memory that the processes share, so that a lost
 * commit that was acknowledged is noticed.
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

/** The calls in which a thread may have to wait. */
enum wait { WAIT_OPEN, WAIT_BEGIN_READ, WAIT_BEGIN_WRITE, WAIT_COMMIT, WAIT_FLUSH };

extern const char *const wait_names[WAITS];

/** A lane's progress, in memory that all processes share. */
struct lane_progress {
    /** The newest number for which a commit has begun. */
    _Atomic uint64_t attempted;
    /** The newest number whose commit returned ZDB_OK: every reader that begins then sees it. */
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
    /** No commit lacks a log record: then all that is acknowledged outlives all processes, as
     *  long as the system does not go down. */
    _Atomic bool logs_everything;
    _Atomic bool is_over;
};

/** Memory that child processes share with this one. */
struct progress *new_progress(unsigned lanes);

/** Prints what was done, and how long threads had to wait. */
void print_progress(struct progress *progress);

uint64_t nanoseconds_now(void);
void raise_to(_Atomic uint64_t *maximum, uint64_t value);

/** Around a call that may wait. */
void begin_wait(struct progress *progress, unsigned lane, enum wait wait);
void end_wait(struct progress *progress, unsigned lane);

/** One transaction that moves a lane on by one, with a durability flag of zdb_txn_begin(), or 0
 *  for that of the environment. If `aborts` is true, it aborts instead of committing. */
void advance_lane(struct progress *progress, zdb_env *env, unsigned lane, uint32_t durability,
                  bool aborts);

/** The least that a check of all lanes must find. */
struct expectation {
    uint64_t at_least[LANES_MAX];
};

/** Call this before you begin the transaction that is then checked. */
void expect_acknowledged(struct progress *progress, struct expectation *expectation);
/** The same after the death of all processes. */
void expect_durable(struct progress *progress, struct expectation *expectation);

/** The transaction shows every lane whole, and as far as expected or further. */
void check_lanes(struct progress *progress, zdb_txn *txn, const struct expectation *expectation);

/** After the death of all processes: accepts the present counters as the acknowledged ones. */
void accept_lanes(struct progress *progress, zdb_txn *txn);

/** Checkpoint, verification, and the sums that must then agree: no page is lost, none is pinned. */
void check_space(zdb_env *env);

#endif /* LANES_H */
