/* Faults put into one side on purpose: a comparison that does not find them is worth nothing. */
#ifndef INJECT_H
#define INJECT_H

#include "model.h"

/** Wraps an engine so that it makes one mistake again and again.
 *  @return false if there is no fault of that name. */
bool inject(struct engine *engine, const char *fault);

/** Prints the names of all faults, one a line. */
void print_faults(void);

#endif /* INJECT_H */
