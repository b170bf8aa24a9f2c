/* Reads the files of the Unicode Character Database, for load_unicode.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UNICODE_DATA_H
#define UNICODE_DATA_H

#include <stddef.h>
#include <stdint.h>

/* Prints a message in the manner of printf() and ends the program. */
_Noreturn void die(const char *format, ...);

/* A whole file in memory, NUL-terminated, for the caller to free. Dies if the file cannot be read. */
char *read_file(const char *path);

/* The next line, cut off from the text behind it; NULL at the end. */
char *next_line(char **text);

/* Reads the database in `directory` into memory. Dies if a file is missing or not understood. */
void unicode_data_read(const char *directory);

/* An assigned code point and its properties, one "label: value\n" after the other. */
struct unicode_entry {
    uint32_t code_point;
    size_t size;
    char text[4096];
};

/* Fills *entry with the next code point, in ascending order; returns 0 after the last. */
int unicode_data_next(struct unicode_entry *entry);

#endif
