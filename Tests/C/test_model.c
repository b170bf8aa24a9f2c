/* Random operations, compared with a model: the C API against an array of values. */
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"
#include "support.h"

/* Keys are numbers; the model holds for each the seed and the size of its value. */
enum { KEYS = 400, DATABASES = 3, ABSENT = 0 };

struct model {
    uint32_t seeds[DATABASES][KEYS]; /* ABSENT: no such entry */
    uint32_t sizes[DATABASES][KEYS];
};

/* Keys of different lengths that sort by their number: "0042" and a tail of 0 to 60 bytes. */
static zdb_val model_key(char buffer[80], unsigned number) {
    int length = snprintf(buffer, 80, "%04u%.*s", number, (int)(number * 7 % 61),
                          "............................................................");
    return bytes(buffer, (size_t)length);
}

static uint32_t random_size(uint64_t *random) {
    switch (next_random(random) % 16) {
    case 0:
        return 0;
    case 1:
        return (uint32_t)(next_random(random) % 60000);
    case 2:
    case 3:
        return (uint32_t)(next_random(random) % 5000);
    default:
        return (uint32_t)(next_random(random) % 200);
    }
}

static void compare(zdb_txn *txn, const zdb_db *dbs, const struct model *model) {
    char buffer[80];
    for (unsigned d = 0; d < DATABASES; d++) {
        zdb_cursor *forward = open_cursor(txn, dbs[d]);
        uint64_t expected_entries = 0;
        for (unsigned i = 0; i < KEYS; i++) {
            zdb_val expected = model_key(buffer, i), key = nothing(), value = nothing();
            if (model->seeds[d][i] == ABSENT) {
                CHECK_ERROR(zdb_get(txn, dbs[d], &expected, NULL), ZDB_NOT_FOUND);
                continue;
            }
            expected_entries++;
            REQUIRE_OK(zdb_cursor_get(forward, &key, &value, ZDB_NEXT));
            CHECK_BYTES(key, expected.data, expected.size);
            REQUIRE(value.size == model->sizes[d][i]);
            CHECK(has_pattern(value.data, value.size, model->seeds[d][i]));
        }
        expect_entry(forward, ZDB_NEXT, NULL);
        close_cursor(forward);
        CHECK_NUMBER(entries(txn, dbs[d]), expected_entries);

        zdb_cursor *backward = open_cursor(txn, dbs[d]);
        for (unsigned i = KEYS; i-- > 0;) {
            if (model->seeds[d][i] == ABSENT) continue;
            zdb_val expected = model_key(buffer, i), key = nothing();
            REQUIRE_OK(zdb_cursor_get(backward, &key, NULL, ZDB_PREV));
            CHECK_BYTES(key, expected.data, expected.size);
        }
        expect_entry(backward, ZDB_PREV, NULL);
        close_cursor(backward);
    }
}

static void change_one_entry(zdb_txn *txn, const zdb_db *dbs, struct model *model,
                             uint64_t *random) {
    unsigned d = (unsigned)(next_random(random) % DATABASES);
    unsigned number = (unsigned)(next_random(random) % KEYS);
    char buffer[80];
    zdb_val key = model_key(buffer, number);
    uint32_t *seed = &model->seeds[d][number], *size = &model->sizes[d][number];

    if (next_random(random) % 5 < 2) {
        int expected = *seed == ABSENT ? ZDB_NOT_FOUND : ZDB_OK;
        REQUIRE_CODE(zdb_del(txn, dbs[d], &key, NULL), expected);
        *seed = ABSENT;
        return;
    }
    uint32_t new_seed = (uint32_t)next_random(random) | 1, new_size = random_size(random);
    void *memory = new_pattern(new_size, new_seed);
    zdb_val value = bytes(memory, new_size);
    if (next_random(random) % 4 == 0 && *seed != ABSENT) {
        REQUIRE_CODE(zdb_put(txn, dbs[d], &key, &value, ZDB_NOOVERWRITE), ZDB_KEYEXIST);
        REQUIRE(value.size == *size && has_pattern(value.data, value.size, *seed));
    } else {
        REQUIRE_OK(zdb_put(txn, dbs[d], &key, &value, 0));
        *seed = new_seed;
        *size = new_size;
    }
    free(memory);
}

static void open_databases(zdb_env *env, zdb_db *dbs) {
    zdb_txn *txn = begin_write(env);
    dbs[0] = open_db(txn, NULL);
    dbs[1] = create_db(txn, "one");
    dbs[2] = create_db(txn, "two");
    commit(txn);
}

static void compare_with_model(uint32_t page_size, uint64_t seed) {
    uint64_t random = seed;
    zdb_env_options options;
    default_options(&options);
    options.page_size = page_size;
    zdb_env *env = open_env_with("env", &options);
    zdb_db dbs[DATABASES];
    open_databases(env, dbs);
    struct model *committed = (struct model *)calloc(1, sizeof(struct model));
    struct model *changing = (struct model *)calloc(1, sizeof(struct model));
    struct model *seen = (struct model *)calloc(1, sizeof(struct model));
    REQUIRE(committed != NULL && changing != NULL && seen != NULL);

    zdb_txn *reader = begin_read(env);
    for (unsigned round = 0; round < repetitions(120); round++) {
        zdb_txn *writer = begin_write(env);
        *changing = *committed;
        unsigned changes = (unsigned)(next_random(&random) % 100);
        for (unsigned i = 0; i < changes; i++) change_one_entry(writer, dbs, changing, &random);
        if (round % 4 == 0) compare(writer, dbs, changing);
        if (next_random(&random) % 4 == 0) {
            abort_txn(writer);
        } else {
            commit(writer);
            *committed = *changing;
        }
        /* The reader's snapshot is some rounds old. */
        if (round % 5 == 4) {
            compare(reader, dbs, seen);
            abort_txn(reader);
            if (round % 20 == 19) {
                expect_sound(env);
                close_env(env);
                env = open_env_with("env", &options);
                open_databases(env, dbs);
            }
            reader = begin_read(env);
            *seen = *committed;
            compare(reader, dbs, seen);
        }
    }
    compare(reader, dbs, seen);
    abort_txn(reader);
    expect_sound(env);
    close_env(env);
    free(committed);
    free(changing);
    free(seen);
}

static void random_operations_agree_with_the_model(void) {
    compare_with_model(4096, 0x5eed0001);
}

static void random_operations_agree_on_the_largest_pages(void) {
    compare_with_model(65536, 0x5eed0002);
}

static const struct test tests[] = {
    TEST(random_operations_agree_with_the_model),
    TEST(random_operations_agree_on_the_largest_pages),
};

DEFINE_SUITE(model, tests);
