#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "zdb_platform.h"

static _Thread_local zp_error thread_error = {0, UINT64_MAX, NULL, NULL};
_Thread_local zp_slot_hints zp_thread_hints;

zp_error *zp_thread_error(void) { return &thread_error; }

static pthread_once_t message_once = PTHREAD_ONCE_INIT;
static pthread_key_t message_key;
static int has_message_key;

/* What else the thread does at its end may fail too. */
static void free_message(void *message) {
    thread_error.message = NULL;
    free(message);
}

static void make_message_key(void) {
    has_message_key = pthread_key_create(&message_key, free_message) == 0;
}

char *zp_error_message(void) {
    if (thread_error.message != NULL) return thread_error.message;
    pthread_once(&message_once, make_message_key);
    char *message = has_message_key ? malloc(2 * ZP_ERROR_MESSAGE_SIZE) : NULL;
    if (message == NULL) return NULL;
    if (pthread_setspecific(message_key, message) != 0) {
        free(message);
        return NULL;
    }
    message[0] = message[ZP_ERROR_MESSAGE_SIZE] = '\0';
    thread_error.message = message;
    return message;
}

static uint64_t threads_numbered;

/* Linux has no process id, nor thread id, beyond 22 bits. */
enum { THREAD_ID_BITS = 22 };

uint64_t zp_number_thread(void) {
    uint64_t serial = __atomic_add_fetch(&threads_numbered, 1, __ATOMIC_RELAXED);
    zp_thread_hints.thread = serial << THREAD_ID_BITS | (uint64_t)gettid();
    return zp_thread_hints.thread;
}

static uint32_t system_thread_id(uint64_t thread) {
    return (uint32_t)(thread & ((1u << THREAD_ID_BITS) - 1));
}

uint32_t zp_system_thread_id(void) { return system_thread_id(zp_thread_id()); }

bool zp_thread_has_ended(uint64_t thread) {
    pid_t id = (pid_t)system_thread_id(thread);
    return id != 0 && tgkill(getpid(), id, 0) != 0 && errno == ESRCH;
}

bool zp_process_is_stopped(pid_t process) {
    char path[32], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)process);
    int fd = zp_open_at(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0) return false;
    ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (size <= 0) return false;
    text[size] = 0;
    /* The state follows the name, which is in parentheses and may have some in it. */
    const char *end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' && (end[2] == 'T' || end[2] == 't');
}

/* Both clocks when the library was loaded. */
static uint64_t first_ticks, first_ns;

__attribute__((constructor)) static void note_clocks(void) {
    first_ns = zp_monotonic_ns();
    first_ticks = zp_ticks();
}

/* Both clocks since then, long enough ago for the rate of one to the other. */
static void read_clocks(uint64_t *now, uint64_t *elapsed) {
    do {
        *now = zp_ticks();
        *elapsed = zp_monotonic_ns() - first_ns;
    } while (*elapsed < 1000000 || *now <= first_ticks);
}

uint64_t zp_nanoseconds_since(uint64_t ticks) {
    uint64_t now, elapsed;
    read_clocks(&now, &elapsed);
    if (ticks > now) return 0;
    return (uint64_t)((double)(now - ticks) * (double)elapsed / (double)(now - first_ticks));
}

uint64_t zp_tick_rate;
double zp_tick_nanoseconds;

uint64_t zp_measure_between(uint64_t from, uint64_t to) {
    uint64_t now, elapsed;
    read_clocks(&now, &elapsed);
    double nanoseconds = (double)elapsed / (double)(now - first_ticks);
    /* A microsecond between the two readings is less than a ten-thousandth of this. */
    if (elapsed > 20000000) {
        __atomic_store(&zp_tick_nanoseconds, &nanoseconds, __ATOMIC_RELAXED);
        /* After it: a thread that finds the one known uses the other. */
        __atomic_store_n(&zp_tick_rate, (uint64_t)(nanoseconds * 4294967296.0), __ATOMIC_RELEASE);
    }
    return from > to ? 0 : (uint64_t)((double)(to - from) * nanoseconds);
}

struct zp_handle_table zp_handle_tables[4];

uint32_t zp_fork_generation_value;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static int fork_watch_result;

/* Two for each environment that a process may have open. */
enum { ABANDONED_MAX = 8192 };

/* Descriptors plus one; 0 is a free entry. Under the mutex, which a thread that forks holds too. */
static int abandoned[ABANDONED_MAX];
static pthread_mutex_t abandoned_mutex = PTHREAD_MUTEX_INITIALIZER;

static void replace_abandoned(int from, int to) {
    for (int i = 0; i < ABANDONED_MAX; i++) {
        if (__atomic_load_n(&abandoned[i], __ATOMIC_RELAXED) == from) {
            __atomic_store_n(&abandoned[i], to, __ATOMIC_RELAXED);
            return;
        }
    }
}

/* Held while what all environments of the process share is changed. */
static pthread_mutex_t process_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Those that are set; under that mutex. */
static zp_exit_flush *exit_flushes;

void zp_lock_process(void) { pthread_mutex_lock(&process_mutex); }

void zp_unlock_process(void) { pthread_mutex_unlock(&process_mutex); }

int zp_abandon_in_child(int fd) {
    int error = zp_watch_forks();
    if (error != 0) return error;
    pthread_mutex_lock(&abandoned_mutex);
    replace_abandoned(0, fd + 1);
    pthread_mutex_unlock(&abandoned_mutex);
    return 0;
}

void zp_close_abandoned(int fd) {
    /* A child forked in between would keep the descriptor, and with it the locks. */
    pthread_mutex_lock(&abandoned_mutex);
    replace_abandoned(fd + 1, 0);
    close(fd);
    pthread_mutex_unlock(&abandoned_mutex);
}

static uint64_t forks;

uint64_t zp_forks(void) { return __atomic_load_n(&forks, __ATOMIC_SEQ_CST); }

int zp_map_without_children(int fd, size_t length, int writable, void **address) {
    int error = 0;
    /* No fork between the two calls. */
    zp_lock_process();
    void *map = mmap(NULL, length, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                     MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map == MAP_FAILED) {
        error = errno;
    } else {
        /* Where this is refused, a child may keep the locks of a parent that has died. */
        madvise(map, length, MADV_DONTFORK);
    }
    zp_unlock_process();
    if (error == 0) *address = map;
    return error;
}

bool zp_touch(const void *address) {
    /* No timer has this number, which the kernel notices when it has copied the value. The page fault of
     * that copy ends in EFAULT where one of the process ends in SIGBUS. Unlike madvise() with
     * MADV_POPULATE_READ, the call has the disk read at once, and any kernel knows it. */
    return syscall(SYS_setitimer, -1, address, NULL) == 0 || errno != EFAULT;
}

int zp_find_resident(void *address, size_t length, unsigned char *residency) {
    while (mincore(address, length, residency) != 0) {
        if (errno != EAGAIN) return errno;
    }
    return 0;
}

/* No thread is in the middle of a change of what the process shares while it forks: the child finds
 * it whole, and its mutexes free. */
static void before_fork(void) {
    pthread_mutex_lock(&process_mutex);
    pthread_mutex_lock(&abandoned_mutex);
}

static void after_fork_in_parent(void) {
    /* After the fork and before the list can be changed: a thread that has opened a file meanwhile,
     * even after before_fork(), sees it when it has put the descriptor on the list. */
    __atomic_fetch_add(&forks, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&abandoned_mutex);
    pthread_mutex_unlock(&process_mutex);
}

static void after_fork_in_child(void) {
    __atomic_fetch_add(&zp_fork_generation_value, 1, __ATOMIC_RELAXED);
    zp_thread_hints.thread = 0;
    pthread_mutex_init(&process_mutex, NULL);
    exit_flushes = NULL;
    pthread_mutex_init(&abandoned_mutex, NULL);
    int nowhere = -1, first = -1;
    for (int i = 0; i < ABANDONED_MAX; i++) {
        int fd = abandoned[i] - 1;
        if (fd < 0) continue;
        abandoned[i] = 0;
        if (first < 0) {
            /* There may be no other descriptor left than this one; and no /dev. */
            first = fd;
            close(fd);
            nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
            if (nowhere < 0) nowhere = open("/", O_PATH | O_CLOEXEC);
        }
        if (nowhere != fd && (nowhere < 0 || dup3(nowhere, fd, O_CLOEXEC) < 0)) close(fd);
    }
    if (nowhere >= 0 && nowhere != first) close(nowhere);
}

struct zp_exit_flush {
    zp_exit_flush *next, *previous;
    uint64_t *flushed, *poison;
    uint64_t end;
    uint32_t generation;
    int fd;
    bool is_set;
};

zp_exit_flush *zp_exit_flush_make(void) {
    return calloc(1, sizeof(zp_exit_flush));
}

void zp_exit_flush_set(zp_exit_flush *flush, int fd, uint64_t end, void *flushed, void *poison) {
    if (flush == NULL) return;
    zp_lock_process();
    if (!flush->is_set || flush->end < end) {
        flush->fd = fd;
        flush->end = end;
        flush->flushed = flushed;
        flush->poison = poison;
    }
    if (!flush->is_set) {
        flush->is_set = true;
        flush->generation = zp_fork_generation();
        flush->previous = NULL;
        flush->next = exit_flushes;
        if (exit_flushes != NULL) exit_flushes->previous = flush;
        exit_flushes = flush;
    }
    zp_unlock_process();
}

void zp_exit_flush_end(zp_exit_flush *flush) {
    if (flush == NULL) return;
    zp_lock_process();
    /* In a child the list is empty: what is set is its parent's. */
    if (flush->is_set && flush->generation == zp_fork_generation()) {
        if (flush->next != NULL) flush->next->previous = flush->previous;
        *(flush->previous != NULL ? &flush->previous->next : &exit_flushes) = flush->next;
    }
    flush->is_set = false;
    zp_unlock_process();
}

void zp_exit_flush_free(zp_exit_flush *flush) {
    zp_exit_flush_end(flush);
    free(flush);
}

/* At the exit other threads may be anywhere, and so may this one, if a signal handler calls exit(): no lock
 * is waited for. */
__attribute__((destructor)) static void flush_at_exit(void) {
    if (pthread_mutex_trylock(&process_mutex) != 0) return;
    for (zp_exit_flush *flush = exit_flushes; flush != NULL; flush = flush->next) {
        if (__atomic_load_n(flush->flushed, __ATOMIC_SEQ_CST) >= flush->end) continue;
        if (__atomic_load_n(flush->poison, __ATOMIC_SEQ_CST) != 0) continue;
        int result;
        do {
            result = fdatasync(flush->fd);
        } while (result != 0 && errno == EINTR);
        /* Of a descriptor that the host has closed the disk knows nothing: others can flush. */
        if (result != 0 && errno != EBADF)
            __atomic_store_n(flush->poison, (uint64_t)errno, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&process_mutex);
}

static void watch_forks(void) {
    fork_watch_result = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* Before any thread can be forking: a fork that is under way misses what is registered meanwhile. */
__attribute__((constructor)) static void watch_forks_from_the_start(void) {
    pthread_once(&fork_once, watch_forks);
}

int zp_watch_forks(void) {
    int result = pthread_once(&fork_once, watch_forks);
    return result != 0 ? result : fork_watch_result;
}

int zp_lock_range(int fd, int mode, off_t start, off_t length, int wait) {
    static const short types[] = {F_UNLCK, F_RDLCK, F_WRLCK};
    struct flock lock = {0};
    lock.l_type = types[mode];
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    while (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) != 0) {
        if (errno == EACCES) return EAGAIN;
        if (errno != EINTR) return errno;
    }
    return 0;
}

int zp_write_out(int fd, off_t start, off_t length, int wait) {
    unsigned flags = wait ? SYNC_FILE_RANGE_WAIT_BEFORE : SYNC_FILE_RANGE_WRITE;
    while (sync_file_range(fd, start, length, flags) != 0) {
        if (errno == ENOSYS || errno == EINVAL || errno == ESPIPE) return 0;
        if (errno != EINTR) return errno;
    }
    return 0;
}

int zp_punch_hole(int fd, off_t start, off_t length) {
    while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length) != 0) {
        if (errno == ENOSYS) return EOPNOTSUPP;
        if (errno != EINTR) return errno;
    }
    return 0;
}

int zp_range_is_locked(int fd, off_t start, off_t length) {
    struct flock lock = {0};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return -errno;
    return lock.l_type != F_UNLCK;
}

const int zp_unnamed_file = O_TMPFILE;
const int zp_seek_data = SEEK_DATA;
const int zp_seek_hole = SEEK_HOLE;

int zp_hold_cancellation(void) {
    int before = PTHREAD_CANCEL_ENABLE;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void zp_release_cancellation(int before) { pthread_setcancelstate(before, NULL); }

/* Takes those of the descriptors 0, 1 and 2 that are closed, for a moment, with ones that can neither be
 * read nor written, as if they were closed. Returns how many. */
static int occupy_standard(int taken[3]) {
    int count = 0;
    while (count < 3) {
        if (fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0) break;
        int fd = open("/", O_PATH | O_CLOEXEC);
        if (fd < 0) break;
        taken[count++] = fd;
    }
    return count;
}

int zp_open_at(int directory, const char *path, int flags, unsigned mode) {
    int taken[3];
    int count = occupy_standard(taken);
    int fd;
    do {
        fd = openat(directory, path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    int error = errno;
    if (fd >= 0 && fd <= STDERR_FILENO) {
        /* Another thread has closed one just now. */
        int low = fd;
        fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        error = errno;
        close(low);
    }
    while (count > 0) close(taken[--count]);
    return fd >= 0 ? fd : -error;
}

static int spawn_shell(
    const char *command, char *setting, size_t setting_name, int input, pid_t *process) {
    extern char **environ;
    size_t count = 0;
    while (environ[count]) count++;
    char **variables = malloc((count + 2) * sizeof *variables);
    if (!variables) return ENOMEM;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], setting, setting_name) != 0) variables[used++] = environ[i];
    }
    variables[used++] = setting;
    variables[used] = NULL;

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = posix_spawnattr_init(&attributes);
        if (error == 0) {
            posix_spawnattr_setpgroup(&attributes, 0);
            posix_spawnattr_setsigmask(&attributes, &none);
            posix_spawnattr_setsigdefault(&attributes, &all);
            posix_spawnattr_setflags(
                &attributes,
                POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
            error = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
            char *arguments[] = {"sh", "-c", (char *)command, NULL};
            if (error == 0) {
                error = posix_spawn(process, "/bin/sh", &actions, &attributes, arguments, variables);
            }
            posix_spawnattr_destroy(&attributes);
        }
        posix_spawn_file_actions_destroy(&actions);
    }
    free(variables);
    return error;
}

int zp_spawn_shell(
    const char *command, const char *variable, const char *value, pid_t *process, int *descriptor) {
    size_t name = strlen(variable) + 1;
    size_t size = name + strlen(value) + 1;
    char *setting = malloc(size);
    if (!setting) return ENOMEM;
    snprintf(setting, size, "%s=%s", variable, value);
    int ends[2];
    int error = pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno;
    if (error == 0) {
        /* Not 0, 1 or 2, which may be closed in the host. */
        for (int i = 0; i < 2; i++) {
            if (ends[i] > STDERR_FILENO) continue;
            int low = ends[i];
            ends[i] = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
            if (ends[i] < 0) error = errno;
            close(low);
        }
        if (error == 0) error = spawn_shell(command, setting, name, ends[0], process);
        if (ends[0] >= 0) close(ends[0]);
        if (error == 0) {
            *descriptor = ends[1];
        } else if (ends[1] >= 0) {
            close(ends[1]);
        }
    }
    free(setting);
    return error;
}

int zp_rename_to_new(int directory, const char *from, const char *to) {
    return zp_move_to_new(directory, from, directory, to);
}

int zp_move_to_new(int directory, const char *from, int target, const char *to) {
    if (renameat2(directory, from, target, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    /* A file system that cannot do it at one stroke. */
    struct stat status;
    if (fstatat(target, to, &status, AT_SYMLINK_NOFOLLOW) == 0) return EEXIST;
    return renameat(directory, from, target, to) == 0 ? 0 : errno;
}

int zp_take_access(int fd, int from) {
    struct stat own;
    struct stat other;
    if (fstat(fd, &own) != 0 || fstat(from, &other) != 0) return errno;
    mode_t mode = other.st_mode & 0666;
    if (S_ISDIR(own.st_mode)) mode |= (mode & 0444) >> 2;
    /* The owner is root's to give. A group that the caller is not in stays as it is. */
    if (own.st_uid != other.st_uid && fchown(fd, other.st_uid, (gid_t)-1) != 0 && errno != EPERM)
        return errno;
    if (own.st_gid != other.st_gid && fchown(fd, (uid_t)-1, other.st_gid) != 0 && errno != EPERM)
        return errno;
    if ((own.st_mode & 0777) != mode && fchmod(fd, mode) != 0 && errno != EPERM) return errno;
    if (own.st_uid != geteuid() || own.st_uid == other.st_uid) return 0;
    /* It is the caller's. The owner of the other file must be able to use it all the same. */
    if (fstat(fd, &own) != 0) return errno;
    bool is_given = own.st_uid == other.st_uid;
    bool by_group = own.st_gid == other.st_gid && (mode & 0060) == 0060;
    bool by_others = own.st_gid != other.st_gid && (mode & 0006) == 0006;
    return is_given || by_group || by_others ? 0 : EACCES;
}

void zp_give_back(void *memory) { free(memory); }

int zp_fill_random(void *buffer, size_t size) {
    char *next = buffer;
    while (size > 0) {
        ssize_t result = getrandom(next, size, 0);
        if (result < 0 && errno == EINTR) continue;
        if (result <= 0) return result < 0 ? errno : EIO;
        next += result;
        size -= (size_t)result;
    }
    return 0;
}

uint64_t zp_file_size_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return limit.rlim_cur;
}

uint64_t zp_file_system_type(int fd) {
    struct statfs info;
    return fstatfs(fd, &info) == 0 ? (uint64_t)info.f_type : 0;
}

/* There in a process that runs LeakSanitizer. */
__attribute__((weak)) void __lsan_register_root_region(const void *start, size_t size);

void zp_declare_roots(const void *start, size_t size) {
    if (__lsan_register_root_region) __lsan_register_root_region(start, size);
}
