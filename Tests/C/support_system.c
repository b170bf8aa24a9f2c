/* Files, threads and processes for the tests. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* -------------------------------------------------------------------- files */

static struct stat status_of(const char *path) {
    struct stat status;
    if (stat(path, &status) != 0) require_failed(HERE, "stat %s: %s", path, strerror(errno));
    return status;
}

bool file_exists(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0;
}

uint64_t file_size(const char *path) {
    return (uint64_t)status_of(path).st_size;
}

mode_t file_mode(const char *path) {
    return status_of(path).st_mode & 07777;
}

void write_file(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    REQUIRE(file != NULL);
    REQUIRE(fwrite(data, 1, size, file) == size);
    REQUIRE(fclose(file) == 0);
}

unsigned char *read_file(const char *path, size_t *size) {
    *size = (size_t)file_size(path);
    unsigned char *data = (unsigned char *)malloc(*size + 1);
    FILE *file = fopen(path, "rb");
    REQUIRE(data != NULL && file != NULL);
    REQUIRE(fread(data, 1, *size, file) == *size);
    REQUIRE(fclose(file) == 0);
    return data;
}

/* Through pwrite, so that a program that has the file mapped sees it at once. */
void flip_byte(const char *path, uint64_t offset) {
    int file = open(path, O_RDWR);
    REQUIRE(file >= 0);
    unsigned char byte = 0;
    REQUIRE(pread(file, &byte, 1, (off_t)offset) == 1);
    byte ^= 0x5a;
    REQUIRE(pwrite(file, &byte, 1, (off_t)offset) == 1);
    REQUIRE(close(file) == 0);
}

unsigned directory_entries(const char *path) {
    DIR *directory = opendir(path);
    REQUIRE(directory != NULL);
    unsigned count = 0;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
    }
    closedir(directory);
    return count;
}

static int remove_entry(const char *path, const struct stat *status, int type,
                        struct FTW *position) {
    (void)status, (void)type, (void)position;
    return remove(path);
}

void remove_tree(const char *path) {
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        fprintf(stderr, "cannot remove %s: %s\n", path, strerror(errno));
    }
}

/* ------------------------------------------------------- threads, processes */

pthread_t start_thread(void *(*run)(void *), void *argument) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, run, argument) == 0);
    return thread;
}

void join_thread(pthread_t thread) {
    REQUIRE(pthread_join(thread, NULL) == 0);
}

pid_t start_process(void (*run)(void *), void *argument) {
    unsigned failures_before = check_failures();
    pid_t process = fork();
    REQUIRE(process >= 0);
    if (process == 0) {
        /* No process that a test has started outlives the test. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(argument);
        /* exit, not _exit: the work of the library at the end of a process belongs to the test. */
        exit(check_failures() == failures_before ? 0 : 1);
    }
    return process;
}

void finish_process(pid_t process) {
    int status = 0;
    REQUIRE(waitpid(process, &status, 0) == process);
    if (WIFSIGNALED(status)) {
        check_failed(HERE, "the child process was ended by: %s", strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        check_failed(HERE, "the child process failed");
    }
}

void run_in_process(void (*run)(void *), void *argument) {
    finish_process(start_process(run, argument));
}

enum { WAITING_END = 0, GIVING_END = 1 };

void gate_open(struct gate *gate) {
    REQUIRE(pipe(gate->pipe) == 0);
}

static void close_end(struct gate *gate, int end) {
    if (gate->pipe[end] < 0) return;
    REQUIRE(close(gate->pipe[end]) == 0);
    gate->pipe[end] = -1;
}

void gate_only_wait(struct gate *gate) {
    close_end(gate, GIVING_END);
}

void gate_only_give(struct gate *gate) {
    close_end(gate, WAITING_END);
}

void gate_wait(struct gate *gate) {
    char byte;
    REQUIRE(read(gate->pipe[WAITING_END], &byte, 1) == 1);
}

void gate_give(struct gate *gate) {
    REQUIRE(write(gate->pipe[GIVING_END], "", 1) == 1);
}

void gate_close(struct gate *gate) {
    close_end(gate, WAITING_END);
    close_end(gate, GIVING_END);
}
