/* Operations and answers as text. */
#ifndef NAMES_H
#define NAMES_H

#include "model.h"

enum { PUT_FLAGS = 7 };

const char *answer_name(enum answer answer);

/** A number below VARIANTS that tells operations of one action apart: by flags, or by the move. */
unsigned variant_of(const struct operation *operation);
void name_variant(enum action action, unsigned variant, char *to, size_t size);

/** Texts of one line, with the beginning of the bytes in hexadecimal. */
void describe_bytes(struct bytes bytes, char *to, size_t size);
void describe_operation(const struct operation *operation, char *to, size_t size);
void describe_result(const struct result *result, char *to, size_t size);

#endif /* NAMES_H */
