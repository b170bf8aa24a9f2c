/* The table on stdout and the results file. report.c holds the list of all rows, with their
 * units and targets. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "stats.h"

/** Prints the engines, the machine and the head of the table. */
void report_begin(const struct config *config);

/** Prints one row.
 *  @param id      of the list of rows in report.c
 *  @param series  by engine_id; an empty series is an engine that took no part */
void report_row(const char *id, const struct series series[ENGINES]);

/** As report_row(), with the time that the machine itself takes for the same.
 *  @param machine  an empty series: it was not measured */
void report_row_and_machine(const char *id, const struct series series[ENGINES],
                            const struct series *machine);

/** Prints a measurement of the machine itself, to compare with the rows above.
 *  @param id  of the list of rows */
void report_reference(const char *id, const struct series *series);

/** Prints the verdict and writes the results file if one was asked for.
 *  @return how many targets were missed */
int report_end(const struct config *config);

#endif
