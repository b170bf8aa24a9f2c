/* The two stress tests, each in the file named after it. Each ends the program if it finds
 * something wrong; otherwise it prints what it has done. */
#ifndef STRESS_H
#define STRESS_H

#include <stdint.h>

/** Processes killed at random moments, that many times. */
void stress_kills(unsigned kills, uint64_t seed);

/** Readers and writers of two processes, for so long. */
void stress_mixed(unsigned seconds, uint64_t seed);

#endif /* STRESS_H */
