/* Runs the tests: zerodb-c-test [-l] [-v] [part of a name]...
 *
 *   -l  list the tests instead of running them
 *   -v  name each test before it runs
 *
 * With parts of names, only the tests whose "suite/name" contains one of them run. The last
 * line printed is "N passed, N failed"; the exit status is 0 only if none failed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "suites.h"
#include "support.h"

static const struct suite *const suites[] = {
    &errors_suite,         &environment_suite,      &values_suite,
    &model_suite,          &cursor_moves_suite,     &cursor_puts_suite,
    &cursor_renewal_suite, &database_flags_suite,   &orders_suite,
    &ranks_suite,          &duplicates_suite,       &flag_errors_suite,
    &databases_suite,      &transactions_suite,     &nesting_suite,
    &limits_suite,         &handles_suite,          &arguments_suite,
    &statistics_suite,     &durability_suite,       &recovery_suite,
    &log_damage_suite,     &damage_suite,           &threads_suite,
    &fork_suite,           &system_calls_suite,     &processes_suite,
    &readers_suite,        &batches_suite,          &ranges_suite,
    &reserve_suite,        &database_changes_suite, &file_sizes_suite,
    &full_disk_suite,      &names_suite,            &closing_suite,
    &waiting_suite,        &endings_suite,          &lost_pages_suite,
    &recovery_mode_suite,  &verify_suite,           &metrics_suite,
    &copy_suite,           &packed_lists_suite,     &users_suite,
    &archive_suite,
};

enum { SUITE_COUNT = sizeof(suites) / sizeof(suites[0]) };

/* A test that deadlocks is ended after this time. No other test takes nearly as long. */
enum { HANG_SECONDS = 120, HANG_SECONDS_SLOW = 1800 };

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t running_test; /* process of the test that runs, 0 if none */

static void interrupt(int signal_number) {
    interrupted = signal_number;
    if (running_test > 0) kill(-(pid_t)running_test, SIGKILL);
}

/* In the test's own process, in a group of its own, so that its children can be ended with it. */
static void run_in_child(const struct test *test, const char *directory) {
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    alarm(tests_run_slowly() ? HANG_SECONDS_SLOW : HANG_SECONDS);
    if (chdir(directory) != 0) {
        fprintf(stderr, "cannot enter %s: %s\n", directory, strerror(errno));
        exit(1);
    }
    test->run();
    exit(check_failures() == 0 ? 0 : 1);
}

static bool run_test(const char *suite_name, const struct test *test, const char *directory) {
    if (mkdir(directory, 0700) != 0) {
        fprintf(stderr, "cannot make %s: %s\n", directory, strerror(errno));
        return false;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        fprintf(stderr, "cannot fork: %s\n", strerror(errno));
        return false;
    }
    if (child == 0) run_in_child(test, directory);

    setpgid(child, child);
    running_test = child;
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    running_test = 0;
    kill(-child, SIGKILL);
    remove_tree(directory);

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "FAILED %s/%s: %s\n", suite_name, test->name,
                WTERMSIG(status) == SIGALRM ? "did not come to an end"
                                            : strsignal(WTERMSIG(status)));
    } else {
        fprintf(stderr, "FAILED %s/%s: exit status %d\n", suite_name, test->name,
                WEXITSTATUS(status));
    }
    return false;
}

static bool is_chosen(const char *full_name, char **parts, int count) {
    if (count == 0) return true;
    for (int i = 0; i < count; i++) {
        if (strstr(full_name, parts[i]) != NULL) return true;
    }
    return false;
}

int main(int argument_count, char **arguments) {
    bool list = false, verbose = false;
    int option;
    while ((option = getopt(argument_count, arguments, "lv")) != -1) {
        if (option == 'l') {
            list = true;
        } else if (option == 'v') {
            verbose = true;
        } else {
            fprintf(stderr, "usage: %s [-l] [-v] [part of a name]...\n", arguments[0]);
            return 2;
        }
    }

    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
    signal(SIGHUP, interrupt);
    const char *parent = getenv("TMPDIR");
    char base[PATH_BYTES], directory[PATH_BYTES + 16];
    int length = snprintf(base, sizeof(base), "%s/zerodb-c-test-XXXXXX",
                          parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    if (!list && (length < 0 || (size_t)length >= sizeof(base) || mkdtemp(base) == NULL)) {
        fprintf(stderr, "cannot make a directory like %s: %s\n", base, strerror(errno));
        return 2;
    }

    unsigned passed = 0, failed = 0;
    for (size_t i = 0; i < SUITE_COUNT; i++) {
        for (size_t j = 0; j < suites[i]->count && !interrupted; j++) {
            const struct test *test = &suites[i]->tests[j];
            char full_name[256];
            snprintf(full_name, sizeof(full_name), "%s/%s", suites[i]->name, test->name);
            if (!is_chosen(full_name, arguments + optind, argument_count - optind)) continue;
            if (list || verbose) printf("%s\n", full_name);
            if (list) continue;
            snprintf(directory, sizeof(directory), "%s/%u", base, passed + failed);
            if (run_test(suites[i]->name, test, directory)) {
                passed++;
            } else {
                failed++;
            }
        }
    }
    if (list) return 0;
    remove_tree(base);
    if (interrupted) {
        signal(interrupted, SIG_DFL);
        raise(interrupted);
    }
    if (passed + failed == 0) {
        fprintf(stderr, "no test has such a name\n");
        return 2;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
