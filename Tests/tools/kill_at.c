// kill_at N PROGRAM ARGUMENT...: runs a program and kills it just before its Nth system call, those of all
// its threads counted. Calls that change no file are not counted: a file is after them as it was before.
// Exits with the status of the program, or KILLED.

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLED = 99, FAILED = 98 };

static void fail(const char *what) {
    perror(what);
    exit(FAILED);
}

static int changes_no_file(unsigned long call) {
    switch (call) {
        case SYS_read:
        case SYS_pread64:
        case SYS_newfstatat:
        case SYS_fcntl:
        case SYS_mmap:
        case SYS_mprotect:
        case SYS_munmap:
        case SYS_brk:
        case SYS_futex:
        case SYS_close: return 1;
        default: return 0;
    }
}

static int run(char **arguments) {
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) fail("ptrace");
    raise(SIGSTOP);
    execv(arguments[0], arguments);
    fail(arguments[0]);
    return FAILED;
}

int main(int count, char **arguments) {
    if (count < 3) return FAILED;
    long left = atol(arguments[1]);
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) return run(arguments + 2);
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) fail("waitpid");
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE;
    if (ptrace(PTRACE_SETOPTIONS, child, 0, options) != 0) fail("ptrace");
    pid_t stopped = child;
    long signal = 0;
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, stopped, 0, signal) != 0 && errno != ESRCH) fail("ptrace");
        stopped = waitpid(-1, &status, __WALL);
        if (stopped < 0) fail("waitpid");
        signal = 0;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (stopped != child) continue;
            return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
        }
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            if (ptrace(PTRACE_GET_SYSCALL_INFO, stopped, sizeof info, &info) <= 0) fail("ptrace");
            if (info.op != PTRACE_SYSCALL_INFO_ENTRY) continue;
            if (changes_no_file(info.entry.nr) || --left > 0) continue;
            kill(child, SIGKILL);
            while (waitpid(child, &status, __WALL) == child && !WIFSIGNALED(status)) {}
            return KILLED;
        }
        int number = WSTOPSIG(status);
        if (number != SIGTRAP && number != SIGSTOP) signal = number;
    }
}
