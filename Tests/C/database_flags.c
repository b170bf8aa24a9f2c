#include "database_flags.h"

#include <stdio.h>

#define FIXED (ZDB_DUPSORT | ZDB_DUPFIXED)
#define INTEGERS (FIXED | ZDB_INTEGERDUP)

#define OF_EVERY_KEY_ORDER(flags) (flags), (flags) | ZDB_REVERSEKEY, (flags) | ZDB_INTEGERKEY

/* For values: one a key, several of any size, of one size, integers, and reversed. */
#define OF_EVERY_VALUE(flags)                                                                      \
    OF_EVERY_KEY_ORDER(flags), OF_EVERY_KEY_ORDER((flags) | ZDB_DUPSORT),                          \
        OF_EVERY_KEY_ORDER((flags) | FIXED), OF_EVERY_KEY_ORDER((flags) | INTEGERS),               \
        OF_EVERY_KEY_ORDER((flags) | ZDB_DUPSORT | ZDB_REVERSEDUP),                                \
        OF_EVERY_KEY_ORDER((flags) | FIXED | ZDB_REVERSEDUP)

const uint32_t flag_combinations[] = {OF_EVERY_VALUE(0u), OF_EVERY_VALUE(ZDB_COUNTED)};
const size_t flag_combination_count = sizeof(flag_combinations) / sizeof(flag_combinations[0]);

const char *flags_name(uint32_t flags) {
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {
        {ZDB_REVERSEKEY, "REVERSEKEY "}, {ZDB_INTEGERKEY, "INTEGERKEY "},
        {ZDB_DUPSORT, "DUPSORT "},       {ZDB_DUPFIXED, "DUPFIXED "},
        {ZDB_INTEGERDUP, "INTEGERDUP "}, {ZDB_REVERSEDUP, "REVERSEDUP "},
        {ZDB_COUNTED, "COUNTED "},
    };
    static char text_of_flags[128];
    size_t length = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((flags & names[i].flag) == 0) continue;
        length += (size_t)snprintf(text_of_flags + length, sizeof(text_of_flags) - length, "%s",
                                   names[i].name);
    }
    return length == 0 ? "plain" : text_of_flags;
}

static void put_big_endian(char out[4], uint32_t number) {
    for (unsigned i = 0; i < 4; i++) out[i] = (char)(unsigned char)(number >> (24 - 8 * i));
}

static void put_little_endian(char *out, uint64_t number, size_t size) {
    for (size_t i = 0; i < size; i++) out[i] = (char)(unsigned char)(number >> (8 * i));
}

static void reverse(char *memory, size_t size) {
    for (size_t i = 0; i < size / 2; i++) {
        char byte = memory[i];
        memory[i] = memory[size - 1 - i];
        memory[size - 1 - i] = byte;
    }
}

/* Four bytes that sort, then `tail` bytes that tell whether the right ones came back. */
static size_t encode(char buffer[NUMBER_BYTES], uint32_t number, size_t tail, bool reversed) {
    put_big_endian(buffer, number);
    for (size_t i = 0; i < tail; i++) buffer[4 + i] = (char)(unsigned char)(number * 37 + i * 11);
    if (reversed) reverse(buffer, 4 + tail);
    return 4 + tail;
}

static zdb_val integer(char buffer[NUMBER_BYTES], uint32_t flags, uint32_t number) {
    size_t size = flags & ZDB_COUNTED ? 4 : 8;
    /* Numbers beyond 32 bits: their upper half counts too. */
    uint64_t large = size == 8 ? (uint64_t)number << 20 | number % 1000 : number;
    put_little_endian(buffer, large, size);
    return bytes(buffer, size);
}

zdb_val encoded_key(char buffer[NUMBER_BYTES], uint32_t flags, uint32_t number) {
    if (flags & ZDB_INTEGERKEY) return integer(buffer, flags, number);
    return bytes(buffer, encode(buffer, number, number % 29, (flags & ZDB_REVERSEKEY) != 0));
}

zdb_val encoded_value(char buffer[NUMBER_BYTES], uint32_t flags, uint32_t number) {
    if (flags & ZDB_INTEGERDUP) return integer(buffer, flags, number);
    size_t tail = flags & ZDB_DUPFIXED ? 6 : number % 37;
    return bytes(buffer, encode(buffer, number, tail, (flags & ZDB_REVERSEDUP) != 0));
}

zdb_db create_with_flags_at(struct place place, zdb_txn *txn, const char *name, uint32_t flags) {
    return open_db_at(place, txn, name, ZDB_CREATE | flags);
}

void put_pair_at(struct place place, zdb_txn *txn, zdb_db db, uint32_t flags, uint32_t key,
                 uint32_t value) {
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val k = encoded_key(key_bytes, flags, key), v = encoded_value(value_bytes, flags, value);
    require_code(place, zdb_put(txn, db, &k, &v, 0), ZDB_OK, "zdb_put of a pair");
}

void set_pair_at(struct place place, zdb_cursor *cursor, uint32_t flags, uint32_t key,
                 uint32_t value) {
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val k = encoded_key(key_bytes, flags, key), v = encoded_value(value_bytes, flags, value);
    require_code(place, zdb_cursor_get(cursor, &k, &v, ZDB_GET_BOTH), ZDB_OK, "ZDB_GET_BOTH");
}

void expect_pair_at(struct place place, zdb_cursor *cursor, zdb_cursor_op op, uint32_t flags,
                    uint32_t key, uint32_t value) {
    char key_bytes[NUMBER_BYTES], value_bytes[NUMBER_BYTES];
    zdb_val expected_key = encoded_key(key_bytes, flags, key);
    zdb_val expected_value = encoded_value(value_bytes, flags, value);
    zdb_val k = nothing(), v = nothing();
    int code = zdb_cursor_get(cursor, &k, &v, op);
    if (code != ZDB_OK) {
        check_failed(place, "operation %d gave %s, expected pair (%u, %u)", (int)op,
                     code_name(code), key, value);
        return;
    }
    check_bytes(place, k, expected_key.data, expected_key.size, "the key");
    check_bytes(place, v, expected_value.data, expected_value.size, "the value");
}
