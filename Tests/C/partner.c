#include "partner.h"

#include <signal.h>
#include <sys/wait.h>

static void run_partner(void *argument) {
    struct partner *partner = (struct partner *)argument;
    gate_only_wait(&partner->step);
    gate_only_give(&partner->done);
    partner->run(partner);
}

void start_partner(struct partner *partner, void (*run)(struct partner *partner), void *argument) {
    gate_open(&partner->step);
    gate_open(&partner->done);
    partner->run = run;
    partner->argument = argument;
    partner->process = start_process(run_partner, partner);
    gate_only_give(&partner->step);
    gate_only_wait(&partner->done);
}

void partner_wait(struct partner *partner) {
    gate_wait(&partner->step);
}

void partner_done(struct partner *partner) {
    gate_give(&partner->done);
}

void tell_partner(struct partner *partner) {
    gate_give(&partner->step);
}

void await_partner(struct partner *partner) {
    gate_wait(&partner->done);
}

void let_partner_step(struct partner *partner) {
    tell_partner(partner);
    await_partner(partner);
}

void finish_partner(struct partner *partner) {
    finish_process(partner->process);
    gate_close(&partner->step);
    gate_close(&partner->done);
}

void kill_partner(struct partner *partner) {
    REQUIRE(kill(partner->process, SIGKILL) == 0);
    int status;
    REQUIRE(waitpid(partner->process, &status, 0) == partner->process);
    REQUIRE(WIFSIGNALED(status));
    gate_close(&partner->step);
    gate_close(&partner->done);
}
