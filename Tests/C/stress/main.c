/* Stress for minutes: zerodb-c-stress kills N [seed]
 *                     zerodb-c-stress mixed SECONDS [seed]
 *
 * Works in a directory of its own below $TMPDIR, which is left there if something goes wrong.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lanes.h"
#include "stress.h"

static int usage(const char *program) {
    fprintf(stderr, "usage: %s kills N [seed] | mixed SECONDS [seed]\n", program);
    return 2;
}

static bool parse(const char *text, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number > 0 && *number < UINT32_MAX;
}

int main(int count, char **arguments) {
    uint64_t amount, seed = nanoseconds_now() / 1000 % 1000000 + 1;
    if (count < 3 || count > 4 || !parse(arguments[2], &amount) ||
        (count == 4 && !parse(arguments[3], &seed))) {
        return usage(arguments[0]);
    }
    bool is_kills = strcmp(arguments[1], "kills") == 0;
    if (!is_kills && strcmp(arguments[1], "mixed") != 0) return usage(arguments[0]);
    const char *parent = getenv("TMPDIR");
    char directory[PATH_BYTES];
    int length = snprintf(directory, sizeof(directory), "%s/zerodb-c-stress-XXXXXX",
                          parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    if (length < 0 || (size_t)length >= sizeof(directory) || mkdtemp(directory) == NULL ||
        chdir(directory) != 0) {
        fprintf(stderr, "cannot make a directory like %s: %s\n", directory, strerror(errno));
        return 2;
    }
    printf("stress: %s %s, seed %" PRIu64 ", in %s\n", arguments[1], arguments[2], seed, directory);
    fflush(stdout);
    if (is_kills) {
        stress_kills((unsigned)amount, seed);
    } else {
        stress_mixed((unsigned)amount, seed);
    }
    if (chdir("/") == 0) remove_tree(directory);
    return 0;
}
