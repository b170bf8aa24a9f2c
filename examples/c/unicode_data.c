/* Reads the files of the Unicode Character Database, for load_unicode.c.
 *
 * The files are described in Unicode Standard Annex 44.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unicode_data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_POINTS 0x110000
#define VALUES_MAX 1024 /* different values of one property: 327 blocks, 164 scripts, ... */
#define FLAGS_MAX 64    /* yes-or-no properties, a bit each */

void die(const char *format, ...) {
    va_list arguments;

    fputs("load_unicode: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* ------------------------------------------------------------- text files */

char *read_file(const char *path) {
    FILE *file;
    char *text;
    size_t used = 0, capacity = 1 << 20;

    file = fopen(path, "rb");
    if (file == NULL) die("%s: %s", path, strerror(errno));
    text = malloc(capacity);
    while (text != NULL) {
        used += fread(text + used, 1, capacity - used - 1, file);
        if (used < capacity - 1) break;
        capacity *= 2;
        text = realloc(text, capacity);
    }
    if (text == NULL) die("%s: out of memory", path);
    if (ferror(file)) die("%s: %s", path, strerror(errno));
    fclose(file);
    text[used] = '\0';
    return text;
}

char *next_line(char **text) {
    char *line = *text, *end;

    if (*line == '\0') return NULL;
    end = strchr(line, '\n');
    if (end == NULL) {
        *text = line + strlen(line);
    } else {
        *end = '\0';
        *text = end + 1;
    }
    return line;
}

static char *read_file_of(const char *directory, const char *name) {
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return read_file(path);
}

/* The next part of a line of fields between semicolons, without the blanks around it. */
static char *next_field(char **line) {
    char *field = *line, *end = field + strcspn(field, ";");

    *line = *end == ';' ? end + 1 : end;
    *end = '\0';
    field += strspn(field, " ");
    while (end > field && end[-1] == ' ') *--end = '\0';
    return field;
}

static uint32_t parse_code_point(const char *text, char **end) {
    unsigned long number = strtoul(text, end, 16);

    if (*end == text || number >= CODE_POINTS) die("'%s' is not a code point", text);
    return (uint32_t)number;
}

/* Reads the next "0041..005A ; value # comment" line of a property file. */
static char *next_range(char **text, uint32_t *first, uint32_t *last) {
    char *line, *range, *end;

    while ((line = next_line(text)) != NULL) {
        line[strcspn(line, "#")] = '\0';
        range = next_field(&line);
        if (*range == '\0') continue;
        *last = *first = parse_code_point(range, &end);
        if (strncmp(end, "..", 2) == 0) *last = parse_code_point(end + 2, &end);
        return next_field(&line);
    }
    return NULL;
}

/* ------------------------------------------------ properties of code points */

/* Properties with one value for each code point, and the files they are in. */
static struct property {
    const char *label, *file;
    const char *values[VALUES_MAX]; /* the first is that of code points the file leaves out */
} properties[] = {
    {"block", "Blocks.txt", {"No_Block"}},
    {"script", "Scripts.txt", {"Unknown"}},
    {"age", "DerivedAge.txt", {"Unassigned"}},
    {"width", "EastAsianWidth.txt", {"N"}},
};
#define PROPERTIES (sizeof properties / sizeof *properties)
static uint16_t value_of[PROPERTIES][CODE_POINTS]; /* an index into values */

/* Properties that are true or false for a code point. */
static const char *const flag_files[] = {"PropList.txt", "DerivedCoreProperties.txt"};
static const char *flags[FLAGS_MAX];
static uint64_t flags_of[CODE_POINTS];

/* The place of a value in a list; a new value is added at its end. */
static unsigned intern(const char **list, unsigned list_max, const char *value) {
    unsigned i;

    for (i = 0; i < list_max && list[i] != NULL; i++)
        if (strcmp(list[i], value) == 0) return i;
    if (i == list_max) die("more than %u different values, the last '%s'", list_max, value);
    list[i] = value;
    return i;
}

static void read_properties(const char *directory) {
    uint32_t c, first, last;
    char *text, *value;
    size_t i;
    unsigned index;

    for (i = 0; i < PROPERTIES; i++) {
        text = read_file_of(directory, properties[i].file);
        while ((value = next_range(&text, &first, &last)) != NULL) {
            index = intern(properties[i].values, VALUES_MAX, value);
            for (c = first; c <= last; c++) value_of[i][c] = (uint16_t)index;
        }
    }
    for (i = 0; i < sizeof flag_files / sizeof *flag_files; i++) {
        text = read_file_of(directory, flag_files[i]);
        while ((value = next_range(&text, &first, &last)) != NULL) {
            /* Other_Alphabetic and its like only serve to derive Alphabetic and its like. */
            if (strncmp(value, "Other_", 6) == 0) continue;
            index = intern(flags, FLAGS_MAX, value);
            for (c = first; c <= last; c++) flags_of[c] |= (uint64_t)1 << index;
        }
    }
}

/* -------------------------------------------------------------- code points */

/* The fields of a line of UnicodeData.txt, in its order. */
enum field {
    CODE_POINT,
    NAME,
    CATEGORY,
    COMBINING_CLASS,
    BIDI_CLASS,
    DECOMPOSITION,
    DECIMAL_DIGIT,
    DIGIT,
    NUMERIC_VALUE,
    BIDI_MIRRORED,
    UNICODE_1_NAME,
    ISO_COMMENT,
    UPPERCASE,
    LOWERCASE,
    TITLECASE,
    FIELDS
};

/* The fields to write, unless they are empty or have the value of nearly all code points. */
static const struct {
    enum field field;
    const char *label, *unless;
} written_fields[] = {
    {CATEGORY, "category", ""},
    {BIDI_CLASS, "bidi class", ""},
    {COMBINING_CLASS, "combining class", "0"},
    {DECOMPOSITION, "decomposition", ""},
    {NUMERIC_VALUE, "numeric value", ""},
    {BIDI_MIRRORED, "mirrored", "N"},
    {UNICODE_1_NAME, "old name", ""},
    {UPPERCASE, "uppercase", ""},
    {LOWERCASE, "lowercase", ""},
    {TITLECASE, "titlecase", ""},
};

/* A Hangul syllable's name is made of those of its letters (The Unicode Standard, 3.12). */
static void hangul_syllable_name(char *name, size_t size, uint32_t code_point) {
    static const char *const leading[] = {"G",  "GG", "N", "D",  "DD", "R", "M", "B", "BB", "S",
                                          "SS", "",   "J", "JJ", "C",  "K", "T", "P", "H"};
    static const char *const vowel[] = {"A",   "AE", "YA", "YAE", "EO", "E",  "YEO",
                                        "YE",  "O",  "WA", "WAE", "OE", "YO", "U",
                                        "WEO", "WE", "WI", "YU",  "EU", "YI", "I"};
    static const char *const trailing[] = {
        "",   "G",  "GG", "GS", "N",  "NJ", "NH", "D",  "L", "LG", "LM", "LB", "LS", "LT",
        "LP", "LH", "M",  "B",  "BS", "S",  "SS", "NG", "J", "C",  "K",  "T",  "P",  "H"};
    uint32_t index = code_point - 0xAC00;

    snprintf(name, size, "HANGUL SYLLABLE %s%s%s", leading[index / 588], vowel[index / 28 % 21],
             trailing[index % 28]);
}

/* The name of a code point, or a label in angle brackets for those that have none (The Unicode
 * Standard, 4.8). UnicodeData.txt itself names control codes "<control>" and ranges
 * "<CJK Ideograph, First>" to "<CJK Ideograph, Last>". */
static void make_name(char *name, size_t size, const char *given, uint32_t code_point) {
    const char *prefix = NULL;

    if (*given != '<')
        snprintf(name, size, "%s", given);
    else if (strncmp(given, "<Hangul Syllable", 16) == 0)
        hangul_syllable_name(name, size, code_point);
    else if (strncmp(given, "<CJK Ideograph", 14) == 0)
        prefix = "CJK UNIFIED IDEOGRAPH-";
    else if (strncmp(given, "<Tangut Ideograph", 17) == 0)
        prefix = "TANGUT IDEOGRAPH-";
    else if (strncmp(given, "<control", 8) == 0)
        snprintf(name, size, "<control-%04" PRIX32 ">", code_point);
    else if (strstr(given, "Surrogate") != NULL)
        snprintf(name, size, "<surrogate-%04" PRIX32 ">", code_point);
    else if (strstr(given, "Private Use") != NULL)
        snprintf(name, size, "<private-use-%04" PRIX32 ">", code_point);
    else
        die("U+%04" PRIX32 ": '%s' is a kind of name that this program does not know", code_point,
            given);
    if (prefix != NULL) snprintf(name, size, "%s%04" PRIX32, prefix, code_point);
}

static void append(struct unicode_entry *entry, const char *format, ...) {
    size_t room = sizeof entry->text - entry->size;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(entry->text + entry->size, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room)
        die("U+%04" PRIX32 ": more properties than this program has room for", entry->code_point);
    entry->size += (size_t)length;
}

static void describe(struct unicode_entry *entry, char *const fields[FIELDS]) {
    const char *separator = "properties: ";
    char name[128];
    size_t i;

    entry->size = 0;
    make_name(name, sizeof name, fields[NAME], entry->code_point);
    append(entry, "name: %s\n", name);
    for (i = 0; i < sizeof written_fields / sizeof *written_fields; i++) {
        const char *value = fields[written_fields[i].field];

        if (*value != '\0' && strcmp(value, written_fields[i].unless) != 0)
            append(entry, "%s: %s\n", written_fields[i].label, value);
    }
    for (i = 0; i < PROPERTIES; i++)
        append(entry, "%s: %s\n", properties[i].label,
               properties[i].values[value_of[i][entry->code_point]]);
    for (i = 0; i < FLAGS_MAX; i++) {
        if ((flags_of[entry->code_point] >> i & 1) == 0) continue;
        append(entry, "%s%s", separator, flags[i]);
        separator = " ";
    }
    if (*separator == ' ') append(entry, "\n");
}

/* The part of UnicodeData.txt that is not yet read, and the range of its last line. */
static char *unread;
static char *fields[FIELDS];
static uint32_t range_next = 1, range_last = 0;

static int ends_with(const char *text, const char *ending) {
    size_t length = strlen(text), ending_length = strlen(ending);

    return length >= ending_length && strcmp(text + length - ending_length, ending) == 0;
}

static int next_record(void) {
    char *line, *end;
    uint32_t code_point;
    int i;

    if ((line = next_line(&unread)) == NULL) return 0;
    for (i = 0; i < FIELDS; i++) fields[i] = next_field(&line);
    code_point = parse_code_point(fields[CODE_POINT], &end);
    range_last = code_point;
    range_next = code_point;
    if (!ends_with(fields[NAME], ", First>")) return 1;

    /* A range: two lines, alike but for the word. */
    if ((line = next_line(&unread)) == NULL)
        die("UnicodeData.txt: the range of U+%04" PRIX32 " has no end", code_point);
    range_last = parse_code_point(next_field(&line), &end);
    return 1;
}

void unicode_data_read(const char *directory) {
    read_properties(directory);
    unread = read_file_of(directory, "UnicodeData.txt");
}

int unicode_data_next(struct unicode_entry *entry) {
    if (range_next > range_last && !next_record()) return 0;
    entry->code_point = range_next++;
    describe(entry, fields);
    return 1;
}
