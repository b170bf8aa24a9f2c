/* A child process that goes on step by step, when it is told to. */
#ifndef PARTNER_H
#define PARTNER_H

#include "support.h"

struct partner {
    struct gate step, done;
    pid_t process;
    void (*run)(struct partner *partner);
    void *argument;
};

/** Starts a child that runs a function, which waits with partner_wait() and answers with
 *  partner_done(). */
void start_partner(struct partner *partner, void (*run)(struct partner *partner), void *argument);

/** In the child: waits to be told to go on; says that a step is done. */
void partner_wait(struct partner *partner);
void partner_done(struct partner *partner);

/** In the parent: tells the child to go on; waits until it is done; both. */
void tell_partner(struct partner *partner);
void await_partner(struct partner *partner);
void let_partner_step(struct partner *partner);

/** Waits for the child to end; a check that failed in it fails the test. */
void finish_partner(struct partner *partner);

/** Ends the child with SIGKILL, at any point. */
void kill_partner(struct partner *partner);

#endif /* PARTNER_H */
