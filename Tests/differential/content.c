#include "content.h"

#include <string.h>

/* ------------------------------------------------------------------- types */

struct type {
    const char *name;
    uint32_t flags;
    size_t key_size;
    size_t value_size; /* SIZE_MAX: any one */
};

static const struct type types[] = {
    {"plain", 0, 0, 0},
    {"reversekey", ZDB_REVERSEKEY, 0, 0},
    {"integerkey4", ZDB_INTEGERKEY, 4, 0},
    {"integerkey8", ZDB_INTEGERKEY, 8, 0},
    {"dupsort", ZDB_DUPSORT, 0, 0},
    {"dupfixed", ZDB_DUPSORT | ZDB_DUPFIXED, 0, SIZE_MAX},
    {"integerdup4", ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_INTEGERDUP, 0, 4},
    {"integerdup8", ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_INTEGERDUP, 0, 8},
    {"reversedup", ZDB_DUPSORT | ZDB_REVERSEDUP, 0, 0},
    {"reversekey+dupsort", ZDB_REVERSEKEY | ZDB_DUPSORT, 0, 0},
    {"reversekey+reversedup", ZDB_REVERSEKEY | ZDB_DUPSORT | ZDB_REVERSEDUP, 0, 0},
    {"reversedup+dupfixed", ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_REVERSEDUP, 0, SIZE_MAX},
    {"integerkey4+dupsort", ZDB_INTEGERKEY | ZDB_DUPSORT, 4, 0},
    {"integerkey8+dupfixed", ZDB_INTEGERKEY | ZDB_DUPSORT | ZDB_DUPFIXED, 8, SIZE_MAX},
    {"integerkey8+integerdup8",
     ZDB_INTEGERKEY | ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_INTEGERDUP, 8, 8},
    {"integerkey4+integerdup4",
     ZDB_INTEGERKEY | ZDB_DUPSORT | ZDB_DUPFIXED | ZDB_INTEGERDUP, 4, 4},
};

unsigned type_count(void) {
    return sizeof(types) / sizeof(types[0]);
}

const char *type_name(unsigned type) {
    return types[type].name;
}

struct database database_of_type(unsigned type, struct random *random) {
    static const size_t sizes[] = {1, 2, 3, 4, 8, 16, 100, 511};
    size_t any = sizes[below(random, sizeof(sizes) / sizeof(sizes[0]))];
    struct database database = {
        .flags = types[type].flags,
        .key_size = types[type].key_size,
        .value_size = types[type].value_size == SIZE_MAX ? any : types[type].value_size,
    };
    return database;
}

struct content choose_content(struct random *random, const struct database *database,
                              uint64_t salt) {
    static const unsigned key_counts[] = {3, 3, 40, 500, 2000, 20000};
    static const unsigned value_counts[] = {6, 100, 3000, 3000, 20000};
    struct content content = {
        .key_style = (enum style)below(random, STYLES),
        .value_style = (enum style)below(random, STYLES),
        .keys = key_counts[below(random, 6)],
        .values = value_counts[below(random, 5)],
        .has_large_values = percent(random, 40),
        .salt = salt,
    };
    if (!has_duplicates(database) && content.keys < 2000) content.keys *= 20;
    /* With few keys, there are many duplicates. */
    if (has_duplicates(database) && content.keys < 10 && content.values < 3000) {
        content.values = 3000;
    }
    return content;
}

/* ------------------------------------------------------------------- bytes */

static void fill(struct random *random, unsigned char *to, size_t size) {
    size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        uint64_t bytes = draw(random);
        memcpy(to + at, &bytes, 8);
    }
    for (; at < size; at++) to[at] = (unsigned char)draw(random);
}

static void reverse(unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size / 2; i++) {
        unsigned char byte = bytes[i];
        bytes[i] = bytes[size - 1 - i];
        bytes[size - 1 - i] = byte;
    }
}

/* The number in `size` bytes that rise with it as long as it fits. */
static void put_number(uint64_t number, unsigned char *to, size_t size) {
    for (size_t i = 0; i < size; i++) {
        size_t from_end = size - 1 - i;
        to[i] = from_end < 8 ? (unsigned char)(number >> (8 * from_end)) : 0;
    }
}

static size_t make_integer(enum style style, uint64_t hash, unsigned number, unsigned char *to,
                           size_t size) {
    /* Little-endian, as zerodb.h has it: the same as a cast on this machine. */
    uint64_t value = style == STYLE_SEQUENTIAL ? number
                     : style == STYLE_CLUSTERED ? (uint64_t)number << (8 * size - 24)
                                                : hash;
    for (size_t i = 0; i < size; i++) to[i] = (unsigned char)(value >> (8 * i));
    return size;
}

static size_t make_fixed(enum style style, struct random *random, unsigned number,
                         unsigned char *to, size_t size, bool is_reversed) {
    if (style == STYLE_SEQUENTIAL || size <= 2) {
        put_number(number, to, size);
    } else if (style == STYLE_CLUSTERED) {
        memset(to, 'c', size);
        put_number(number, to + size - 3, 3);
    } else {
        fill(random, to, size);
    }
    if (is_reversed) reverse(to, size);
    return size;
}

static size_t make_bytes(enum style style, struct random *random, unsigned number,
                         unsigned char *to, bool is_reversed) {
    size_t size;
    switch (style) {
    case STYLE_TINY:
        size = between(random, 1, 3);
        fill(random, to, size);
        /* Few different bytes, so that there are prefixes. */
        for (size_t i = 0; i < size; i++) to[i] %= 32;
        break;
    case STYLE_SHORT:
        size = between(random, 1, 20);
        fill(random, to, size);
        break;
    case STYLE_LONG:
        size = between(random, 150, KEY_SIZE_MAX);
        fill(random, to, size);
        break;
    case STYLE_MIXED:
        size = percent(random, 80) ? between(random, 1, 40) : between(random, 1, KEY_SIZE_MAX);
        fill(random, to, size);
        break;
    case STYLE_CLUSTERED: {
        size_t prefix = number % 3 == 0 ? 20 : number % 3 == 1 ? 100 : 400;
        memset(to, 'a' + (int)(number % 5), prefix);
        put_number(number, to + prefix, 4);
        size = prefix + 4 + below(random, 30);
        fill(random, to + prefix + 4, size - prefix - 4);
        break;
    }
    default:
        put_number(number, to, 6);
        size = 6 + below(random, 8);
        fill(random, to + 6, size - 6);
        break;
    }
    if (is_reversed) reverse(to, size);
    return size;
}

size_t make_key(const struct database *database, const struct content *content, unsigned number,
                unsigned char *to) {
    uint64_t hash = mix(content->salt ^ number);
    if (database->flags & ZDB_INTEGERKEY) {
        return make_integer(content->key_style, hash, number, to, database->key_size);
    }
    struct random random = random_of(hash);
    return make_bytes(content->key_style, &random, number, to,
                      (database->flags & ZDB_REVERSEKEY) != 0);
}

size_t make_duplicate(const struct database *database, const struct content *content,
                      unsigned number, unsigned char *to) {
    uint64_t hash = mix(~content->salt ^ number);
    if (database->flags & ZDB_INTEGERDUP) {
        return make_integer(content->value_style, hash, number, to, database->value_size);
    }
    struct random random = random_of(hash);
    bool is_reversed = (database->flags & ZDB_REVERSEDUP) != 0;
    if (database->value_size > 0) {
        return make_fixed(content->value_style, &random, number, to, database->value_size,
                          is_reversed);
    }
    return make_bytes(content->value_style, &random, number, to, is_reversed);
}

size_t make_value(struct random *random, const struct content *content, unsigned char *to) {
    unsigned limit = percent(random, 70) ? 40 : 600;
    if (content->has_large_values) {
        if (percent(random, 15)) limit = 5000;
        if (once_in(random, 60)) limit = VALUE_SIZE_MAX;
    }
    size_t size = below(random, limit + 1);
    fill(random, to, size);
    return size;
}
