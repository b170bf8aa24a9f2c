/* What the engine needs from C: thread-local storage, variadic system calls, and libxxhash
 * compiled once for each instruction set. Nothing here knows of pages or transactions. */
#ifndef ZDB_PLATFORM_H
#define ZDB_PLATFORM_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/** XXH3-64 with a seed, by the fastest code the processor that runs it can execute. */
uint64_t zp_xxh3_64(const void *data, size_t size, uint64_t seed);

/** A hash of 128 bits. */
typedef struct zp_hash128 {
    uint64_t low;
    uint64_t high;
} zp_hash128;

/** XXH3-128 of few bytes. */
zp_hash128 zp_xxh3_128(const void *data, size_t size);

/** XXH3-128 of a pair of key and value: of the length of the key in 4 bytes, the key and the value.
 *
 *  @param reversed whether the key's bytes are here from the last to the first
 */
zp_hash128 zp_pair_hash(const void *key, size_t key_size, int reversed, const void *value,
                        size_t value_size);

#define ZP_ERROR_MESSAGE_SIZE 1024

/** The calling thread's last error, as the C ABI reports it. */
typedef struct zp_error {
    int code;
    uint64_t page;
    const char *text; /**< valid forever; NULL: `message` */
    char *message;    /**< as zp_error_message() has made it; NULL before that */
} zp_error;

zp_error *zp_thread_error(void);

/** Room for the message of the calling thread's last error, until the thread ends: as zdb_last_error()
 *  has it, and after ZP_ERROR_MESSAGE_SIZE bytes as zdb_last_error_marked() has it. Not in thread-local
 *  storage: a program that loads the library at run time has little of that left for it.
 *  @return 2 * ZP_ERROR_MESSAGE_SIZE bytes; NULL if there is no memory. */
char *zp_error_message(void);

/** Notes an error that is frequent, and so may cost no more than some stores.
 *  @param text valid forever. */
static inline void zp_note_error(int code, const char *text) {
    zp_error *error = zp_thread_error();
    error->code = code;
    error->page = UINT64_MAX;
    error->text = text;
}

/** Where this thread last found a free slot of each kind. Only a hint: a slot is taken by
 *  compare-and-swap, so a thread that ends leaks nothing. And its zp_thread_id(), 0 before that has
 *  been called. */
typedef struct zp_slot_hints {
    uint64_t thread;
    uint32_t transaction;
    uint32_t reader;
    uint32_t cursor;
} zp_slot_hints;

/** Asked for by every call of a transaction, so in the part of a thread's memory that is found without a
 *  call, in a library too. There is little of that, and these few bytes fit. */
extern __attribute__((visibility("hidden"), tls_model("initial-exec"))) _Thread_local zp_slot_hints
    zp_thread_hints;

static inline zp_slot_hints *zp_thread_slot_hints(void) { return &zp_thread_hints; }

/** Gives the thread its number. */
uint64_t zp_number_thread(void);

/** A number that no other thread of this process has or had. A system call the first time in a thread. */
static inline uint64_t zp_thread_id(void) {
    uint64_t known = zp_thread_hints.thread;
    return known != 0 ? known : zp_number_thread();
}

/** The system's id of the thread, as other programs show it. */
uint32_t zp_system_thread_id(void);

/** Whether the thread of this process with a zp_thread_id() has ended. False too if the system has given
 *  its id to another since. */
bool zp_thread_has_ended(uint64_t thread);

/** Whether a process is stopped, by SIGSTOP or a debugger. False if that cannot be known. */
bool zp_process_is_stopped(pid_t process);

/** Waits for a semaphore until a time of the monotonic clock, in nanoseconds. Returns 0, ETIMEDOUT or
 *  another errno. */
int zp_semaphore_wait(sem_t *semaphore, uint64_t until_ns);

/** Tries to take a semaphore for so many nanoseconds, without sleeping. Returns whether it is taken. */
bool zp_semaphore_spin(sem_t *semaphore, uint64_t nanoseconds);

/** Processors that the process may use, which can be fewer than the machine has: taskset, a container. */
long zp_processors(void);

/** Ticks of a clock that all processes of the machine share and that costs a few cycles to read. */
static inline uint64_t zp_ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
#endif
}

/** Nanoseconds since zp_ticks() was `ticks`. May take a millisecond. */
uint64_t zp_nanoseconds_since(uint64_t ticks);

/** Nanoseconds to a tick of zp_ticks(), in 2^32nds; 0 while that is not known. */
extern uint64_t zp_tick_rate;

/** The same, in nanoseconds. */
extern double zp_tick_nanoseconds;

/** zp_nanoseconds_between(), which also finds the rate when enough time has passed for that. May
 *  take a millisecond. */
uint64_t zp_measure_between(uint64_t from, uint64_t to);

/** Whether the rate of zp_ticks() is known. */
static inline bool zp_knows_tick_rate(void) {
    return __atomic_load_n(&zp_tick_rate, __ATOMIC_ACQUIRE) != 0;
}

/** Nanoseconds from one value of zp_ticks() to another, within a ten-thousandth. */
static inline uint64_t zp_nanoseconds_between(uint64_t from, uint64_t to) {
    uint64_t rate = __atomic_load_n(&zp_tick_rate, __ATOMIC_RELAXED);
    if (__builtin_expect(rate == 0, 0)) return zp_measure_between(from, to);
    if (from > to) return 0;
    return (uint64_t)((unsigned __int128)(to - from) * rate >> 32);
}

/** The same as zp_nanoseconds_since() within a ten-thousandth, by the processor's clock alone. */
static inline uint64_t zp_nanoseconds_spent(uint64_t ticks) {
    return zp_nanoseconds_between(ticks, zp_ticks());
}

/** zp_nanoseconds_spent() in the fewest instructions. Only when zp_knows_tick_rate(). */
static inline double zp_nanoseconds_spent_known(uint64_t ticks) {
    double nanoseconds;
    uint64_t now = zp_ticks();
    __atomic_load(&zp_tick_nanoseconds, &nanoseconds, __ATOMIC_RELAXED);
    return ticks > now ? 0 : (double)(int64_t)(now - ticks) * nanoseconds;
}

/** A number without its fraction. It must be one of int64_t. */
static inline uint64_t zp_whole(double number) { return (uint64_t)(int64_t)number; }

/** Asks the processor to bring a cache line in. Any address is allowed. */
static inline void zp_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/** A run of bytes of a caller's array: laid out as zdb_val in zerodb.h, so that calls that take
 *  many keys or return many entries need no copy of the array. */
typedef struct zp_bytes {
    const void *data;
    size_t size;
} zp_bytes;

extern uint32_t zp_fork_generation_value;

/** 0 in the process that loaded the library; one more in each child of a fork(). */
static inline uint32_t zp_fork_generation(void) {
    return __atomic_load_n(&zp_fork_generation_value, __ATOMIC_RELAXED);
}

/** Begins to count forks, if that has not begun when the library was loaded. Idempotent, thread-safe.
 *  Returns 0 or an errno. */
int zp_watch_forks(void);

/** Lets a forked child give up a descriptor at once: the locks of its open file description
 *  shall end with the process that took them, not with its children. In the child the
 *  descriptor then leads to /dev/null. Returns 0 or an errno. */
int zp_abandon_in_child(int fd);

/** How often this process has forked, once zp_watch_forks() has been called. A descriptor that
 *  is not abandoned yet when this changes may be in a child too. */
uint64_t zp_forks(void);

/** Maps a file to read and write, for this process and none of its children: a map keeps the open file
 *  description, and with it the locks, as a descriptor does. Returns 0 or an errno. */
int zp_map_without_children(int fd, size_t length, int writable, void **address);

/** Has the kernel read 32 bytes of memory, which maps what reading it maps. Returns false where reading it
 *  would end the process with a signal. */
bool zp_touch(const void *address);

/** mincore(): the lowest bit of a byte for each memory page says whether that is in memory, mapped by this
 *  process or not. `address` is the start of one. Returns 0 or an errno. */
int zp_find_resident(void *address, size_t length, unsigned char *residency);

/** Closes a descriptor that zp_abandon_in_child() was called for, at one stroke for threads that
 *  fork. */
void zp_close_abandoned(int fd);

/** The lock of what all environments of the process share. No thread holds it while another forks,
 *  once zp_watch_forks() has been called: it is free in a child. A leaf: nothing is locked in it. */
void zp_lock_process(void);
void zp_unlock_process(void);

enum { ZP_UNLOCK = 0, ZP_LOCK_SHARED = 1, ZP_LOCK_EXCLUSIVE = 2 };

/** An open-file-description lock (Linux F_OFD_SETLK) on [start, start + length). It belongs to
 *  the open file, not to the thread, and the kernel drops it when its last holder dies.
 *  Returns 0 or an errno; without `wait`, EAGAIN if another open file holds it. */
int zp_lock_range(int fd, int mode, off_t start, off_t length, int wait);

/** Whether another open file description holds a lock in the way of an exclusive one on the
 *  range: 1, 0, or a negated errno. */
int zp_range_is_locked(int fd, off_t start, off_t length);

/** Has the system begin to write out what was written in [start, start + length); with `wait`,
 *  waits instead until what it has begun there is done. Flushes nothing. Returns 0 or the errno that
 *  a flush would have reported; 0 too where the file system or kernel cannot do it. */
int zp_write_out(int fd, off_t start, off_t length, int wait);

/** Gives back the room on the disk of a part of a file, which is zeros afterwards.
 *  @return 0 or an errno; EOPNOTSUPP where that cannot be done. */
int zp_punch_hole(int fd, off_t start, off_t length);

/** A flush of a file that is made when the process exits, by exit() or by returning from main(). */
typedef struct zp_exit_flush zp_exit_flush;

/** NULL without memory; the others allow that. */
zp_exit_flush *zp_exit_flush_make(void);

/** Has the descriptor flushed at the exit if the 64-bit word `flushed` is below `end` then; if that fails,
 *  the word `poison` gets the errno. Both stay in memory until zp_exit_flush_end(). */
void zp_exit_flush_set(zp_exit_flush *flush, int fd, uint64_t end, void *flushed, void *poison);

/** Takes it back, in this process. */
void zp_exit_flush_end(zp_exit_flush *flush);
void zp_exit_flush_free(zp_exit_flush *flush);

/** Lets no cancellation of the calling thread (pthread_cancel()) end it until zp_release_cancellation() is
 *  given what this returns. */
int zp_hold_cancellation(void);
void zp_release_cancellation(int before);

/** openat() with O_CLOEXEC; returns a descriptor or a negated errno. The descriptor is never 0, 1 or
 *  2, even if the program has closed those: what it then prints must not end up in a database. */
int zp_open_at(int directory, const char *path, int flags, unsigned mode);

/** The flag of open() for a file without a name in the directory that the path names. */
extern const int zp_unnamed_file;

/** The whences of lseek() that find data and holes (SEEK_DATA, SEEK_HOLE). */
extern const int zp_seek_data;
extern const int zp_seek_hole;

/**
 * Starts `/bin/sh -c command` in a process group of its own, with a variable more in its environment, all
 * signals as by default, and a pipe as its standard input. Returns 0 or an errno; then there is neither.
 */
int zp_spawn_shell(
    const char *command, const char *variable, const char *value, pid_t *process, int *descriptor);

/** Renames a file in a directory to a name that no file has. Returns 0 or an errno, EEXIST if one has it. */
int zp_rename_to_new(int directory, const char *from, const char *to);

/** The same with a name in another directory of the same file system. */
int zp_move_to_new(int directory, const char *from, int target, const char *to);

/** Gives a file or directory the owner, group and mode of a file: the owner as root, the group where the
 *  caller may. A directory becomes searchable where the file is readable. Returns 0 or an errno: EACCES if
 *  it remains the caller's and the file's owner could not use it. */
int zp_take_access(int fd, int from);

/** Gives memory of malloc() back. */
void zp_give_back(void *memory);

/** Fills a buffer from the kernel's random source. Returns 0 or an errno. */
int zp_fill_random(void *buffer, size_t size);

/** How many bytes a file may have that this process writes to: RLIMIT_FSIZE, or UINT64_MAX. */
uint64_t zp_file_size_limit(void);

/** The file system's magic number of statfs(), or 0. */
uint64_t zp_file_system_type(int fd);

/** Tells LeakSanitizer, where the host program runs under it, that mapped memory holds pointers to
 *  allocated memory. It looks for them in the heap, on stacks and in globals only, and would call
 *  what is kept from nowhere else a leak. The memory must never be unmapped. */
void zp_declare_roots(const void *start, size_t size);

/** A table of handles. Those of the process are globals here, which code reaches without asking
 *  whether they have been made: before they are, they have no slots. */
struct zp_handle_table {
    void *slots;
    int64_t capacity;
    uint64_t kind;
    /** Slots that have ever been used are below. Atomic. */
    int64_t high_water;
};

/** What a handle is of. */
enum { ZP_ENVIRONMENTS = 1, ZP_TRANSACTIONS = 2, ZP_CURSORS = 3 };

extern struct zp_handle_table zp_handle_tables[4];

/** The process's table of a kind. */
static inline struct zp_handle_table *zp_handle_table_of(uint64_t kind) {
    return &zp_handle_tables[kind & 3];
}

/** NULL if the table has not been made. */
static inline void *zp_handle_slots(const struct zp_handle_table *table) {
    return __atomic_load_n(&table->slots, __ATOMIC_ACQUIRE);
}

/** How many slots have ever been used: atomic. */
static inline int64_t *zp_handle_high_water(struct zp_handle_table *table) {
    return &table->high_water;
}

/** What a handle is made of: generation, index of its slot, kind. */
enum { ZP_HANDLE_KIND_BITS = 4, ZP_HANDLE_INDEX_BITS = 20, ZP_HANDLE_GENERATION_BITS = 40 };

/** Bytes of a slot, and what lies where in it: a word (generation << 1 | in use), the address of the
 *  object, a tag. All are atomic. */
enum {
    ZP_HANDLE_SLOT_SIZE = 64,
    ZP_HANDLE_WORD_OFFSET = 0,
    ZP_HANDLE_OBJECT_OFFSET = 8,
    ZP_HANDLE_TAG_OFFSET = 16
};

/** The handle of a slot with this word. */
static inline uint64_t zp_handle(const struct zp_handle_table *table, int64_t index,
                                 uint64_t word) {
    return word >> 1 << (ZP_HANDLE_INDEX_BITS + ZP_HANDLE_KIND_BITS) |
           (uint64_t)index << ZP_HANDLE_KIND_BITS | table->kind;
}

/** The index of the slot that a handle is of. */
static inline int64_t zp_handle_index(uint64_t handle) {
    return (int64_t)(handle >> ZP_HANDLE_KIND_BITS & ((1 << ZP_HANDLE_INDEX_BITS) - 1));
}

/** The object a handle names; NULL if the handle is dead or never was one. Here, to be compiled into
 *  its callers in all modules. */
static inline void *zp_resolve_handle(const struct zp_handle_table *table, uint64_t handle) {
    const char *slots = (const char *)zp_handle_slots(table);
    if (slots == NULL) return NULL;
    int64_t index = zp_handle_index(handle);
    if (index >= __atomic_load_n(&table->high_water, __ATOMIC_RELAXED)) return NULL;
    const char *slot = slots + index * ZP_HANDLE_SLOT_SIZE;
    uint64_t word = __atomic_load_n(
        (const uint64_t *)(const void *)(slot + ZP_HANDLE_WORD_OFFSET), __ATOMIC_ACQUIRE);
    if ((word & 1) == 0 || zp_handle(table, index, word) != handle) return NULL;
    return (void *)__atomic_load_n(
        (const uintptr_t *)(const void *)(slot + ZP_HANDLE_OBJECT_OFFSET), __ATOMIC_ACQUIRE);
}

/** Whether a handle that zp_resolve_handle() has found is alive still. */
static inline bool zp_handle_is_alive(const struct zp_handle_table *table, uint64_t handle) {
    const char *slot =
        (const char *)zp_handle_slots(table) + zp_handle_index(handle) * ZP_HANDLE_SLOT_SIZE;
    uint64_t word = __atomic_load_n(
        (const uint64_t *)(const void *)(slot + ZP_HANDLE_WORD_OFFSET), __ATOMIC_SEQ_CST);
    return word << (64 - ZP_HANDLE_GENERATION_BITS - 1) ==
           ((handle >> (ZP_HANDLE_INDEX_BITS + ZP_HANDLE_KIND_BITS)) << 1 | 1)
               << (64 - ZP_HANDLE_GENERATION_BITS - 1);
}

/** Gives a table its slots. Returns false if it had some. */
static inline void zp_set_handle_slots(struct zp_handle_table *table, void *slots) {
    __atomic_store_n(&table->slots, slots, __ATOMIC_RELEASE);
}

#endif
