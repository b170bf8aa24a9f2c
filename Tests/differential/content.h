/* The keys and values of a database: byte strings numbered from 0, the same number the same bytes,
 * so that operations find the pairs that others have put. */
#ifndef CONTENT_H
#define CONTENT_H

#include "model.h"
#include "random.h"

enum style {
    STYLE_TINY,       /* 1 to 3 bytes: many are prefixes of others */
    STYLE_SHORT,      /* 1 to 20 */
    STYLE_LONG,       /* 150 to 511 */
    STYLE_MIXED,      /* 1 to 511, mostly short */
    STYLE_SEQUENTIAL, /* rise with their number in the order of the database */
    STYLE_CLUSTERED,  /* long common prefixes (or endings, where those are compared first) */
    STYLES
};

struct content {
    enum style key_style, value_style;
    unsigned keys, values; /* how many numbers there are to draw from */
    bool has_large_values; /* of databases without duplicates */
    uint64_t salt;
};

struct content choose_content(struct random *random, const struct database *database,
                              uint64_t salt);

/** Writes the key of a number; `to` has room for KEY_SIZE_MAX bytes. @return its size. */
size_t make_key(const struct database *database, const struct content *content, unsigned number,
                unsigned char *to);

/** The same of a duplicate. */
size_t make_duplicate(const struct database *database, const struct content *content,
                      unsigned number, unsigned char *to);

/** Any value, of a database without duplicates; `to` has room for VALUE_SIZE_MAX. */
size_t make_value(struct random *random, const struct content *content, unsigned char *to);

/** Types of databases: their flags and sizes. */
unsigned type_count(void);
const char *type_name(unsigned type);
struct database database_of_type(unsigned type, struct random *random);

#endif /* CONTENT_H */
