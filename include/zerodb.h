/* ZeroDB: an embedded, transactional, ordered key-value store.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * An environment is a directory that holds any number of ordered databases: the main database
 * and named ones. Programs read through snapshots (read transactions, any number, on any
 * threads) and change data through one write transaction at a time. A committed transaction is
 * on disk when zdb_txn_commit() returns, unless the program asked for less.
 *
 * Results. Every function that can fail returns an int: ZDB_OK (0), a negative ZDB_ code, or a
 * positive errno value from the operating system. zdb_strerror() names a code; zdb_last_error()
 * describes the last failure on the calling thread: what, where (page, database, offset, limit),
 * and what to do about it.
 *
 * Handles. zdb_env, zdb_txn and zdb_cursor are opaque. A handle that was closed, that was never
 * a handle, that belongs to another environment, or that a child inherited through fork() is
 * recognised and returns an error; it is never dereferenced.
 *
 * Threads. A zdb_env may be used by all threads at once. A transaction and its cursors are used
 * by one thread at a time (not always the same one); a second thread that enters a write
 * transaction gets ZDB_BUSY. A thread that is cancelled (pthread_cancel()) while it waits or writes
 * in a call ends after the call. Functions that the library calls must return: no longjmp(), no end
 * of the thread.
 *
 * Compilers. C99 and C++11 or later, on machines of 64 bits.
 *
 * Memory. The library never frees or keeps the caller's memory: keys and values passed in are
 * copied before the call returns. Each function says what it returns and how long that is valid.
 */
#ifndef ZERODB_H
#define ZERODB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ version */

#define ZDB_VERSION_MAJOR 1
#define ZDB_VERSION_MINOR 0
#define ZDB_VERSION_PATCH 0
#define ZDB_VERSION_STRING "1.0.0"

/** The version of the library that is running, as "1.0.0".
 *  @param major  receives the first part; may be NULL.
 *  @param minor  the second; may be NULL.
 *  @param patch  the third; may be NULL.
 *  @return a static string. Never fails. */
const char *zdb_version(int *major, int *minor, int *patch);

/* ------------------------------------------------------------------- errors */

#define ZDB_OK 0
/** A put with ZDB_NOOVERWRITE found the key there, or one with ZDB_NODUPDATA the pair; a database of
 *  that name exists already. */
#define ZDB_KEYEXIST (-1)
/** No such key, no such database, or a cursor at the end. */
#define ZDB_NOT_FOUND (-2)
/** A page failed its checksum, its structure is impossible or the file ends before it, or the log is
 *  damaged or lacks a part. The message names the page, or the position in the log. */
#define ZDB_CORRUPTED (-3)
/** The environment has a format version that this library does not read, or is open in a program
 *  whose library shares it in another way. */
#define ZDB_VERSION_MISMATCH (-4)
/** The file is not a ZeroDB environment. */
#define ZDB_INVALID (-5)
/** The environment has reached max_size: the transaction can only be aborted. Or another process
 *  with a larger max_size has let it grow beyond what this one has mapped: open it again. */
#define ZDB_FULL (-6)
/** The transaction has dirtied max_txn_pages pages of trees. It can only be aborted. */
#define ZDB_TXN_FULL (-7)
/** Every slot of the reader table is taken (max_readers); or 1024 processes have the environment
 *  open, or this process has 65536 transactions open. */
#define ZDB_READERS_FULL (-8)
/** The transaction is finished or reset, has failed with an earlier error, or has an open child. */
#define ZDB_BAD_TXN (-9)
/** The handle is NULL, closed, or was never one of this library's. */
#define ZDB_BAD_HANDLE (-10)
/** The database handle was not opened in this environment, or its database does not exist
 *  in this transaction's snapshot. */
#define ZDB_BAD_DB (-11)
/** A key of 0 or more than zdb_env_max_key_size() bytes, a value of more than 2 GiB, a duplicate
 *  of more than zdb_env_max_key_size() bytes; an integer that has neither 4 nor 8 bytes, or a
 *  size that differs from the others in a database where all have one size. */
#define ZDB_BAD_VALSIZE (-12)
/** The flags do not fit the database or one another, or the operation does not fit the
 *  handle or the database. */
#define ZDB_INCOMPATIBLE (-13)
/** A write through a read-only transaction or environment. */
#define ZDB_READ_ONLY (-14)
/** In use: two threads in one write transaction, an environment that is closed while
 *  transactions are open, a second environment of one process on one path, a second write
 *  transaction of the same thread, a wait for another that has come to its end. */
#define ZDB_BUSY (-15)
/** The handle was inherited through fork(); open the environment anew in the child. */
#define ZDB_FORKED (-16)
/** A flush or a write failed, and the state on disk is unknown. The environment refuses to write
 *  until all processes that have it open for writing have closed it and it is opened again. */
#define ZDB_PANIC (-17)
/** An argument is wrong: NULL where a pointer is needed, an unknown flag, an option out of
 *  range, a struct_size that this library does not know. */
#define ZDB_BAD_ARGUMENT (-18)
/** The call needs an entry and the cursor is not on one, or the cursor's transaction has ended. */
#define ZDB_BAD_CURSOR (-19)
/** This version does not do that. */
#define ZDB_UNSUPPORTED (-20)
/** ZDB_APPEND was given a key that is not after the last one, or ZDB_APPENDDUP a value that is not
 *  after the key's last one. */
#define ZDB_NOT_SORTED (-21)
/** The environment was not closed cleanly, and its log holds transactions that only an opening
 *  for writing can replay. */
#define ZDB_RECOVERY_NEEDED (-22)

/** A short fixed text for a result code: ours, or strerror() for a positive one.
 *  @return a static string, never NULL. */
const char *zdb_strerror(int code);

/** The message of the last call that failed on this thread, with its details; also of one that returned
 *  ZDB_NOT_FOUND or ZDB_KEYEXIST. Empty if none has failed. Calls that succeed do not change it.
 *  @return a string of this thread, valid until the next failing call on it. Never NULL. */
const char *zdb_last_error(void);

/** The same message for a binding to another language, with each name that belongs to this interface
 *  (a flag, an option, a function) between the bytes 0x0e and 0x0f, so that the binding can put its own
 *  name there: "open it with \x0eZDB_CREATE\x0f to make it". A name that ends with ": " is the function
 *  that refuses, before what it says. Which names there are may change, and names from one version to
 *  the next; a binding leaves those that it does not know as they are.
 *  @return a string of this thread, valid until the next failing call on it. Never NULL. */
const char *zdb_last_error_marked(void);

/** The code that goes with zdb_last_error(), 0 if no call has failed on this thread. */
int zdb_last_error_code(void);

/** The page that zdb_last_error() names, or UINT64_MAX if it names none. */
uint64_t zdb_last_error_page(void);

/* -------------------------------------------------------------------- types */

/** An environment: a directory, open. Safe for all threads. */
typedef struct zdb_env zdb_env;
/** A transaction. One thread at a time. */
typedef struct zdb_txn zdb_txn;
/** A position in one database of one transaction. One thread at a time. */
typedef struct zdb_cursor zdb_cursor;
/** A database of an environment: a small number, valid for all transactions of the
 *  environment until it is closed. */
typedef uint32_t zdb_db;

/** The main database, which always exists. */
#define ZDB_MAIN_DB ((zdb_db)0)

/** A string of bytes: a key or a value. data may be NULL when size is 0. */
typedef struct zdb_val {
    const void *data;
    size_t size;
} zdb_val;

/* -------------------------------------------------------------- environment */

/** zdb_env_options.flags: open for reading only. Writes nothing but the reader table in lock.zdb
 *  (which it makes if it may; where it may not, as on a read-only medium, no process may write). */
#define ZDB_RDONLY 0x1u
/** zdb_env_options.flags: fail with ENOENT instead of creating files that are missing. */
#define ZDB_NOCREATE 0x2u

/** zdb_env_options.checksum: when the checksums of pages are checked. They are always
 *  written. */
#define ZDB_CHECKSUM_DEFAULT 0u /**< the default, ZDB_CHECKSUM_FAST */
#define ZDB_CHECKSUM_NONE 1u    /**< never; structure is still checked */
#define ZDB_CHECKSUM_FAST 2u    /**< when this process first accesses a version of a page */
#define ZDB_CHECKSUM_FULL 3u    /**< at every access to a page */

/** The durability of a commit: zdb_env_options.durability, and as a flag of zdb_txn_begin(). */
#define ZDB_DURABILITY_DEFAULT 0u /**< the default, ZDB_DURABILITY_FULL */
#define ZDB_DURABILITY_FULL 0x100u
/**< its log record is on disk; no reader sees it before */
#define ZDB_DURABILITY_RELAXED 0x200u
/**< nothing: visible at once (unless commits before it still wait for the disk); its flush begins
     within 100 ms, with ZDB_THREADS_NONE in the next such commit after that, or as the process
     exits. A power cut loses only the tail. If it cannot be logged (see ZDB_DURABILITY_NONE; or its
     record has more than 8 MiB), it waits for a checkpoint */
#define ZDB_DURABILITY_NONE 0x400u
/**< nothing, and nothing is logged: on disk with the next checkpoint. Never corrupt. Commits
     after it are not logged either until then: a full or relaxed one makes that checkpoint */

/** zdb_env_options.threads: whether the library has threads for checkpoints and relaxed commits. */
#define ZDB_THREADS_DEFAULT 0u /**< two threads of the library's, started when needed */
#define ZDB_THREADS_NONE 1u    /**< commits do, for programs that forbid library threads */

/** zdb_log_fn, level: what happens all the time where there is much to do: checkpoints, a data file
 *  that grows or is cut off, a transaction that goes on in a file (max_txn_memory) or becomes a
 *  checkpoint, a call that is refused because of a limit. */
#define ZDB_LOG_DEBUG 0u
/** zdb_log_fn, level: a recovery that replayed the log to its end; readers of dead processes that were
 *  given up; a compaction in the background that has ended; the state that recovery mode shows. */
#define ZDB_LOG_INFORMATION 1u
/** zdb_log_fn, level: recovery cut off a record with a wrong checksum, torn in a crash or
 *  damaged since; a damaged copy in a meta page was written anew from the other one; or the
 *  library failed to recycle the log or to make its next segment in advance, and will try
 *  again; a slow transaction (slow_txn_ms). In recovery mode: keys that are passed over. */
#define ZDB_LOG_WARNING 2u
/** zdb_log_fn, level: a flush failed; the environment refuses to write, see ZDB_PANIC. In recovery
 *  mode: transactions that are not shown. */
#define ZDB_LOG_ERROR 3u

/** Called for what the library does by itself (recovery, checkpoints, growth, compaction, failures of
 *  background work) and for slow transactions. It may be called from any thread, including the
 *  library's own and one that has a lock, and must not call the library. `message` is valid during
 *  the call. */
typedef void (*zdb_log_fn)(void *context, uint32_t level, const char *message);

/** How to open an environment. Fill with zdb_env_options_init(), then change what you need. */
typedef struct zdb_env_options {
    size_t struct_size;      /**< sizeof(zdb_env_options) */
    uint32_t flags;          /**< ZDB_RDONLY, ZDB_NOCREATE */
    uint32_t page_size;      /**< bytes: 4096 to 65536, a power of two; counts at creation only,
                                  0 for the default of 4096 */
    uint64_t max_size;       /**< bytes the data file may ever reach; address space of this size
                                  is reserved, no memory. Default 1 TiB, from 1 MiB to 2^63-1 */
    uint64_t max_txn_pages;  /**< pages of trees that one transaction may dirty; those of large
                                  values do not count. Default 10000, 0: no limit */
    uint64_t max_txn_memory; /**< bytes of pages and large values that one transaction keeps in
                                  memory until it commits; beyond, it writes them to a file
                                  without a name in the directory. Default 512 MiB, at least
                                  1 MiB, 0: no limit */
    uint32_t checksum;       /**< ZDB_CHECKSUM_ */
    uint32_t max_readers;    /**< slots the reader table may grow to; default and most 65536 */
    uint32_t file_mode;      /**< permissions of the files made; default 0600. The directory
                                  gets the same and x where there is r (0700) */
    uint32_t durability;     /**< ZDB_DURABILITY_ */
    uint64_t log_size;       /**< bytes of log after which a checkpoint is made, from 1 MiB to
                                  1 TiB; default 64 MiB */
    uint32_t threads;        /**< ZDB_THREADS_ */
    uint32_t writer_wait_ms; /**< milliseconds that zdb_txn_begin() waits for another write
                                  transaction, and any call for what another process does meanwhile
                                  (replaying the log, a checkpoint, files of the log, closing), then
                                  ZDB_BUSY; default 0: until that has ended */
    zdb_log_fn log;          /**< NULL: events are not reported */
    void *log_context;       /**< passed to log */
    uint64_t auto_compact_rate; /**< bytes a second that are moved at most for
                                  auto_compact_percent; default 16 MiB, 0: no limit */
    uint32_t auto_compact_percent; /**< of 100 pages of the data file, how many may be free before
                                  a thread of the library moves pages from its end, as
                                  zdb_env_compact() does, so that it can be cut off; files of up to
                                  4 MiB are left alone. Default 50; 0: never; at most 99 */
    uint32_t recovery;       /**< 1: open the readable part of a damaged environment, for reading
                                  only, see "Recovery mode" below. Default 0 */
    uint64_t recovery_root;  /**< with recovery: the transaction whose state is shown, one that a
                                  meta record has or that the log leads to (zerodb-check
                                  --list-roots lists them). Default 0: the newest */
    uint32_t log_level;      /**< the least level that log is called for; default
                                  ZDB_LOG_INFORMATION */
    uint32_t slow_txn_ms;    /**< milliseconds after which log is told of a transaction when it ends,
                                  with ZDB_LOG_WARNING: whose it is, what it did, and for how long it
                                  waited for the writer's lock, worked, wrote, and waited for the
                                  disk. Default 0: never */
    const char *archive;     /**< a directory in which the environment is archived while it is open,
                                  made if it is not there: a copy of its pages first, then its log as
                                  it grows, by a thread of the library's, and the rest when the
                                  environment is closed (pages only if they have at most 256 MiB; log
                                  is told of more); zerodb-backup(1) restores from it. The path counts
                                  as it is at the opening, whatever the working directory is later.
                                  From then on every transaction is logged, those of
                                  ZDB_DURABILITY_NONE too, and the log is kept until it is archived, by
                                  all programs, until `zerodb-backup stop`. Copied. Default NULL: none */
    uint64_t archive_log_kept; /**< bytes of log that are kept at most while the archive cannot be
                                  written; more is removed, and the archive gets a gap,
                                  behind which it goes on with a copy of the changed pages. Default
                                  4 GiB, at least 1 MiB */
} zdb_env_options;

/* Recovery mode. With zdb_env_options.recovery set, zdb_env_open() opens a damaged environment for
 * reading, as far as it can be read. It writes nothing, and needs no lock.zdb unless other programs have the
 * environment open; where none have, none can open it for writing meanwhile (they get ZDB_BUSY). A lost meta
 * page, a damaged record of free pages and a damaged log are no obstacles: the log is replayed in memory, as
 * far as that goes. Cursors pass over pages that cannot be read, with all that hangs below them. zdb_get()
 * and an exact search return ZDB_CORRUPTED, with the page, for a key that may be below such a page, as do
 * counts of ranges. Statistics are those of the records, lost entries included. zdb_log_fn is told the state
 * that is shown, the transactions that are not, and once for each page the database and the keys that are
 * passed over. Writing returns ZDB_READ_ONLY. */

/** Fills the first `struct_size` bytes of *options with the defaults named above and that size:
 *  what zdb_env_options_init() calls. For bindings.
 *  @return ZDB_OK; ZDB_BAD_ARGUMENT for a size that this library does not know. */
int zdb_env_options_init_size(zdb_env_options *options, size_t struct_size);

/** Fills *options with the defaults named above, struct_size included. */
static inline int zdb_env_options_init(zdb_env_options *options) {
    return zdb_env_options_init_size(options, sizeof(zdb_env_options));
}

/** Opens the environment in directory `path`, and creates directory and files if they are
 *  missing (unless ZDB_RDONLY or ZDB_NOCREATE).
 *
 *  Costs the same for a small and a huge environment. One process opens one path once.
 *  @param options  NULL for all defaults.
 *  @param env      receives the handle; set to NULL on failure.
 *  @return ZDB_OK; ZDB_BAD_ARGUMENT; ZDB_INVALID, ZDB_VERSION_MISMATCH, ZDB_CORRUPTED for what
 *  is in the files, ZDB_INVALID also for a directory or file of LMDB, in which no environment is
 *  made; ZDB_RECOVERY_NEEDED; ZDB_NOT_FOUND if there is no state of recovery_root;
 *  ZDB_BUSY if this process has it open already, if another has
 *  it open through other files or another directory, or if one that replays the log or closes the
 *  environment has not finished after writer_wait_ms;
 *  ZDB_READERS_FULL if 1024 processes have; ZDB_PANIC if the checkpoint after a replay fails;
 *  ZDB_UNSUPPORTED on a network file system; an errno (ENOENT, EACCES, ENOSPC, ...), such as EIO
 *  if a flush fails before anything is replayed. A failure to open leaves nothing that another
 *  attempt could mistake for written: it reads, replays, writes and flushes anew. */
int zdb_env_open(const char *path, const zdb_env_options *options, zdb_env **env);

/** Closes the environment. All its cursors are closed with it. Waits for the calls of other threads
 *  that are under way; their later calls return ZDB_BAD_HANDLE.
 *  @return ZDB_OK; ZDB_BAD_HANDLE; ZDB_BUSY if a transaction is still open, and then nothing
 *  is closed; ZDB_PANIC or an errno if the last flush or checkpoint failed, or one in the background
 *  after which no call has returned ZDB_PANIC: the environment is closed all the same. */
int zdb_env_close(zdb_env *env);

/** zdb_env_close_wait(): wait until all transactions have ended. */
#define ZDB_WAIT_FOREVER 0xffffffffu
/** zdb_env_close_wait(): end the transactions that are open. */
#define ZDB_CLOSE_ABORT 0x1u

/** Closes the environment when its transactions have ended, so that a server can shut down. From the
 *  call on no transaction begins in this process: zdb_txn_begin() returns ZDB_BUSY, also to threads of
 *  this process that wait for another of its threads to end its write transaction.
 *
 *  With ZDB_CLOSE_ABORT it does not wait for transactions but ends them, as zdb_txn_abort() does. It
 *  waits for threads that are inside a call with a write transaction. No other thread may be reading
 *  in a read transaction: keys and values that it has been given are bytes of 0 afterwards, and their
 *  address space stays reserved until the process ends.
 *  @param timeout_ms  milliseconds that it waits at most, or ZDB_WAIT_FOREVER.
 *  @param flags       0 or ZDB_CLOSE_ABORT.
 *  @return as zdb_env_close(); ZDB_BUSY if a transaction is still open when the time is over, or
 *  another thread is closing the environment: then transactions can begin again. */
int zdb_env_close_wait(zdb_env *env, uint32_t timeout_ms, uint32_t flags);

/** Waits until every commit is on disk, whatever its durability. One flush of the log, or a
 *  checkpoint if there are commits that were not logged. Does nothing in an environment opened
 *  for reading only.
 *  @return ZDB_OK; ZDB_BUSY as zdb_env_checkpoint(); ZDB_PANIC; an errno. */
int zdb_env_sync(zdb_env *env);

/** Makes the newest commit the durable root: two flushes. Pages that only the previous root
 *  still needed become available, and the log before the commit is recycled. Readers and the
 *  writer go on meanwhile. The library makes checkpoints by itself when the log or the pinned
 *  space has grown, and when the last program closes the environment.
 *  @return ZDB_OK; ZDB_READ_ONLY; ZDB_BUSY after writer_wait_ms, if another process makes one;
 *  ZDB_PANIC; an errno. */
int zdb_env_checkpoint(zdb_env *env);

/** The content of a database or an environment as a number of 128 bits: the same content has the
 *  same digest, whatever the page size, the machine and the history, so that a copy, a restored
 *  backup or an import is compared by one number. A database's is that of its pairs of key and
 *  value; an environment's that of its databases with their names and flags. It guards against
 *  faults, not against attackers: content with a given digest can be made. */
typedef struct zdb_digest {
    uint64_t low;  /**< the low 64 bits */
    uint64_t high; /**< the high 64 bits */
} zdb_digest;

/** zdb_env_compact(): free pages that stay in the middle of the file give back their room on the disk, in
 *  runs of 32 KiB or more. When they are written again the file system has to find room for them: on a full
 *  disk a transaction that takes them fails with ENOSPC, even one that only deletes. */
#define ZDB_COMPACT_PUNCH_HOLES 0x1u

/** How zdb_env_compact() is to work. Fill with zeros and set struct_size. */
typedef struct zdb_compact_options {
    size_t struct_size;        /**< sizeof(zdb_compact_options) */
    uint64_t max_pages;        /**< pages to be moved at most, and some dozens more; 0: no limit */
    uint64_t bytes_per_second; /**< to be moved or read at most; 0: no limit */
    uint64_t target_size;      /**< bytes of data.zdb that are enough; 0: as short as can be */
    uint32_t flags;            /**< 0 or ZDB_COMPACT_PUNCH_HOLES */
    uint32_t reserved;         /**< 0 */
} zdb_compact_options;

/** What zdb_env_compact() has done. */
typedef struct zdb_compact_result {
    size_t struct_size;     /**< in: sizeof(zdb_compact_result) */
    uint64_t pages_moved;   /**< written to new places, branches above them included */
    uint64_t bytes_before;  /**< of data.zdb */
    uint64_t bytes_after;   /**< of data.zdb */
    uint64_t waiting_pages; /**< free pages that readers or the next checkpoint need */
    uint32_t is_finished;   /**< 1 if the file is about as short as it can be, or as target_size
                                 asks for; 0 if a reader keeps pages, other programs have written
                                 much meanwhile, or max_pages was reached: call again later */
    uint32_t reserved;      /**< 0 */
    uint64_t bytes_punched; /**< of free pages that have given back their room on the disk */
} zdb_compact_result;

/** Makes data.zdb shorter: moves pages from its end into free pages further up, fills sparse leaves,
 *  and gives the end back to the file system. The library does this by itself, slowly: see
 *  auto_compact_percent.
 *
 *  Readers and writers go on meanwhile, in all processes. It works in transactions of its own of about
 *  a dozen pages, each of which has the writer's lock for a fraction of a millisecond; a large value
 *  is moved in one. They change no content. If the process ends in the middle nothing is lost, and the
 *  next call goes on from there. Pages that a reader sees stay in their place, and the file is not cut
 *  off while a reader sees a state from when it was longer.
 *
 *  Reads all branches, and all leaves of databases with large values, duplicates or sparse leaves;
 *  writes each page that is moved once, and the branches above it; makes some checkpoints.
 *  @param options  NULL for all defaults.
 *  @param result   receives what was done, if the call succeeds; may be NULL.
 *  @return ZDB_OK, also if is_finished is 0; ZDB_READ_ONLY; ZDB_BUSY if this thread has a write
 *  transaction open, or after writer_wait_ms; ZDB_CORRUPTED; ZDB_PANIC; an errno (EOPNOTSUPP if the file
 *  system makes no holes). Pages that were moved before stay moved. */
int zdb_env_compact(zdb_env *env, const zdb_compact_options *options, zdb_compact_result *result);

/** What zdb_env_info() tells about an environment. */
typedef struct zdb_info {
    size_t struct_size;          /**< in: sizeof(zdb_info) */
    uint32_t format_version;     /**< of the files: 1 */
    uint32_t page_size;          /**< bytes */
    uint64_t max_size;           /**< bytes the data file may reach, as mapped */
    uint64_t file_size;          /**< bytes of data.zdb now */
    uint64_t page_count;         /**< pages in use or free: the file's high-water mark */
    uint64_t free_pages;         /**< of those, free pages (some still seen by readers) */
    uint64_t last_txn_id;        /**< of the newest commit */
    uint64_t oldest_reader_txn;  /**< the oldest snapshot being read; last_txn_id if none */
    uint32_t max_readers;        /**< slots in the reader table */
    uint32_t readers;            /**< slots in use */
    uint64_t max_txn_pages;      /**< 0: no limit */
    uint64_t max_txn_memory;     /**< bytes; 0: no limit */
    uint32_t max_key_size;       /**< bytes */
    uint32_t checksum;           /**< ZDB_CHECKSUM_NONE, _FAST or _FULL */
    uint64_t databases;          /**< named databases */
    uint64_t checkpoint_txn_id;  /**< the commit that the newest meta page on disk holds */
    uint64_t pinned_pages;       /**< free pages that wait for the next checkpoint */
    uint64_t log_bytes;          /**< of log that a recovery would have to replay */
    uint64_t recovered_records;  /**< transactions that this process replayed when it opened */
    uint64_t recovered_bytes;    /**< bytes of log they took */
    uint64_t recovery_ns;        /**< how long that took, nanoseconds */
    uint8_t environment_id[16];  /**< random, set at creation */
    zdb_digest digest;           /**< of the environment after last_txn_id */
} zdb_info;

/** Fills *info. Set info->struct_size first. O(readers). */
int zdb_env_info(zdb_env *env, zdb_info *info);

/** All limits of an environment, as this process has them; docs/LIMITS.md says what happens beyond
 *  each. Where 0 means no limit, that is said. */
typedef struct zdb_limits {
    size_t struct_size;      /**< in: sizeof(zdb_limits) */
    uint64_t max_size;       /**< bytes of data.zdb, as mapped */
    uint64_t max_txn_pages;  /**< pages of trees that a transaction may dirty; 0: no limit */
    uint64_t max_txn_memory; /**< bytes that a transaction keeps in memory; 0: no limit */
    uint64_t max_readers;    /**< slots that the reader table may grow to */
    uint64_t processes;      /**< processes that may have the environment open */
    uint64_t environments;   /**< environments that may be open in a process */
    uint64_t transactions;   /**< transactions that may be open in a process */
    uint64_t cursors;        /**< cursors that may be open in a process */
    uint64_t nesting;        /**< transactions nested in one another, the outermost not counted */
    uint64_t key_size;       /**< bytes of a key, and of a value with ZDB_DUPSORT */
    uint64_t value_size;     /**< bytes of a value */
    uint64_t name_size;      /**< bytes of a database's name */
    uint64_t databases;      /**< names of databases that a process may ever use here */
    uint64_t log_size;       /**< bytes of log after which a checkpoint is made */
    uint64_t log_record;     /**< bytes of a record of the log; a larger transaction becomes a
                                  checkpoint */
    uint64_t writer_wait_ms; /**< milliseconds of a wait for another program; 0: no limit */
    uint64_t depth;          /**< levels of a tree, the leaves' included */
    uint64_t archive_log;    /**< bytes of log that are kept until they are archived */
} zdb_limits;

/** Fills *limits. Set limits->struct_size first. How often each was met is the metric
 *  `zerodb_limits_hit_total`. */
int zdb_env_limits(zdb_env *env, zdb_limits *limits);

/** Largest key in bytes, 0 if env is no open environment. Half a page less 64: 1984 bytes
 *  with pages of 4 KiB, 32704 with 64 KiB. */
size_t zdb_env_max_key_size(zdb_env *env);

/** A reader in the table, of this process or another. */
typedef struct zdb_reader {
    uint32_t slot;       /**< its place in the table */
    uint32_t process_id; /**< as its process knew it; nothing depends on it */
    uint64_t thread;     /**< a number of its thread, meaningful in its process only */
    uint64_t txn_id;     /**< the transaction whose state it sees; UINT64_MAX if it was reset */
    uint64_t open_ns;    /**< nanoseconds since it began to see that state */
} zdb_reader;

/** Called by zdb_reader_list() for each reader; *reader is valid during the call. */
typedef void (*zdb_reader_fn)(void *context, const zdb_reader *reader);

/** Lists the readers of all processes. O(readers).
 *  @param on_reader  called for each, on this thread; not NULL. */
int zdb_reader_list(zdb_env *env, zdb_reader_fn on_reader, void *context);

/** Frees the slots of processes that have died. You need not call it: the library does this when
 *  it needs a slot, or the space that a dead reader pins.
 *  @param dead  receives how many there were; may be NULL. */
int zdb_reader_check(zdb_env *env, uint32_t *dead);

/** zdb_metric.kind. A counter only grows, and begins at 0 again when lock.zdb is made anew. */
#define ZDB_METRIC_COUNTER 1
/** A gauge goes up and down. */
#define ZDB_METRIC_GAUGE 2
/** A histogram says how often something took how long, or had which size. */
#define ZDB_METRIC_HISTOGRAM 3

/** A bucket of a histogram. */
typedef struct zdb_metric_bucket {
    double bound;   /**< what no number in it exceeds, in seconds unless the metric's name has another
                         unit; infinite in the last bucket */
    uint64_t count; /**< numbers up to bound, those of the buckets before included */
} zdb_metric_bucket;

/** A number that describes how an environment is used, by all processes together. Named by the rules
 *  of Prometheus: `zerodb_..._total`, `_seconds`, `_bytes`. */
typedef struct zdb_metric {
    const char *name;        /**< such as "zerodb_operations_total" */
    const char *help;        /**< a sentence about it */
    const char *label;       /**< such as "operation": metrics of one name differ in its value; or NULL */
    const char *label_value; /**< such as "put"; NULL without a label */
    uint32_t kind;           /**< ZDB_METRIC_ */
    uint32_t bucket_count;   /**< 0 but for a histogram */
    double value;            /**< the number; of a histogram the sum */
    const zdb_metric_bucket *buckets; /**< from the smallest numbers to the largest; or NULL */
} zdb_metric;

/** Called by zdb_env_metrics() for each metric; *metric and what it points to are valid during the
 *  call. */
typedef void (*zdb_metric_fn)(void *context, const zdb_metric *metric);

/** Lists the metrics of all processes that use the environment or have used it since lock.zdb was
 *  made; those of processes that died count too. The work of a transaction is counted when it ends, that of a
 *  read transaction also when it is reset. Metrics of one name follow one another. O(readers); while a
 *  reader sees a state that is not the newest also O(pages of the tree of free pages).
 *  @param on_metric  called for each, on this thread; not NULL. */
int zdb_env_metrics(zdb_env *env, zdb_metric_fn on_metric, void *context);

/** One metric.
 *  @param name   as in "zerodb_operations_total{operation="put"}", or without the label: the sum of
 *                all of the name.
 *  @param value  receives the number; of a histogram how many numbers it has.
 *  @return ZDB_OK; ZDB_NOT_FOUND if there is no metric of the name. */
int zdb_env_metric(zdb_env *env, const char *name, double *value);

/** The meta pages with all their copies, the log, the free pages, the names of the databases and the
 *  root of each. The time does not depend on what the databases contain. */
#define ZDB_VERIFY_HEADERS 1
/** All pages of trees too: checksums, structure, order of keys, counts, and that each page has one
 *  use. Of values in overflow runs only the beginning. */
#define ZDB_VERIFY_TREES 2
/** All values too, and that the content has the digests that are recorded of it. The default. */
#define ZDB_VERIFY_FULL 3

/** The kind of a problem. A copy of a meta record, or of a free list beside it, is damaged. */
#define ZDB_PROBLEM_META 1
/** A page does not have its checksum: bits have changed, or it was written in part only. */
#define ZDB_PROBLEM_CHECKSUM 2
/** An older version of the page is there: a write was lost. */
#define ZDB_PROBLEM_LOST_WRITE 3
/** Another page, or one of another environment, is there. */
#define ZDB_PROBLEM_MISPLACED 4
/** The file ends before the page, or the device cannot read it. */
#define ZDB_PROBLEM_UNREADABLE 5
/** The contents of the page are impossible, although its checksum is right. */
#define ZDB_PROBLEM_STRUCTURE 6
/** Keys or values are not in their order, or not between the separators that lead to them. */
#define ZDB_PROBLEM_ORDER 7
/** A page has more than one use, or is not in the environment. */
#define ZDB_PROBLEM_REFERENCE 8
/** A count differs from what is there. */
#define ZDB_PROBLEM_COUNT 9
/** The content is not what its digest says. */
#define ZDB_PROBLEM_DIGEST 10
/** Of the free pages one is in use, named twice, or missing. */
#define ZDB_PROBLEM_FREE_PAGES 11
/** The log is damaged or lacks a part. */
#define ZDB_PROBLEM_LOG 12

/** Where a problem is. The meta pages, or no single part. */
#define ZDB_PLACE_ENVIRONMENT 0
/** The main database. */
#define ZDB_PLACE_MAIN_DB 1
/** A named database. */
#define ZDB_PLACE_NAMED_DB 2
/** The tree of the names and records of the named databases. */
#define ZDB_PLACE_CATALOG 3
/** The free list or the tree of free pages. */
#define ZDB_PLACE_FREE_PAGES 4
/** The log. */
#define ZDB_PLACE_LOG 5

/** Something wrong that zdb_env_verify() found. More fields may come, at the end. */
typedef struct zdb_problem {
    uint32_t kind;       /**< a ZDB_PROBLEM_ constant */
    uint32_t place;      /**< a ZDB_PLACE_ constant */
    uint64_t page;       /**< the page it is about; UINT64_MAX: about no single page */
    uint64_t txn_id;     /**< wrote the page, as its header says and the reference to it confirms;
                              0: not known */
    uint64_t wall_clock; /**< when that was committed, in nanoseconds since 1970, if log or meta pages
                              still tell; 0: not known */
    uint64_t entries;    /**< about how many entries cannot be had or relied on; 0: not known */
    zdb_val database;    /**< the name of a named database; no bytes otherwise */
    uint32_t has_range;  /**< 1: low and high say which keys cannot be had or relied on, or in the
                              catalog, which databases */
    uint32_t reserved;   /**< 0 */
    zdb_val low;         /**< the first key that can be among them; data NULL: the first there is */
    zdb_val high;        /**< the first key behind them; data NULL: there is none */
    const char *message; /**< in words: what, where, and what to do */
} zdb_problem;

/** Called for each problem that zdb_env_verify() finds. What `problem` points to is valid during the
 *  call. */
typedef void (*zdb_problem_fn)(void *context, const zdb_problem *problem);

/** Called several times a second by zdb_env_verify().
 *  @return 0 to go on; anything else ends the verification. */
typedef int (*zdb_progress_fn)(void *context, uint64_t pages_done, uint64_t pages_total);

/** What zdb_env_verify() is to do. Set struct_size, and leave zero what you do not need. */
typedef struct zdb_verify_options {
    size_t struct_size;          /**< sizeof(zdb_verify_options) */
    uint32_t level;              /**< a ZDB_VERIFY_ constant; 0: ZDB_VERIFY_FULL */
    uint32_t threads;            /**< that work on it, at most 64, the caller's included; 0: two where
                                      the environment is large and may have threads, otherwise one */
    const char *database;        /**< verify this database only, and the meta pages; an empty name is the
                                      main database; NULL: all of the environment */
    zdb_problem_fn on_problem;   /**< may be NULL. On the thread of the caller, like on_progress */
    zdb_progress_fn on_progress; /**< may be NULL */
    void *context;               /**< passed to them */
} zdb_verify_options;

/** What zdb_env_verify() found. */
typedef struct zdb_verify_report {
    size_t struct_size;      /**< in: sizeof(zdb_verify_report) */
    uint64_t txn_id;         /**< the transaction whose state was verified */
    uint64_t pages;          /**< pages of the snapshot, meta pages included */
    uint64_t tree_pages;     /**< reached through the trees: branch and leaf */
    uint64_t overflow_pages; /**< reached through overflow runs */
    uint64_t free_pages;     /**< in the free list and the free tree */
    uint64_t entries;        /**< that the records of the databases count */
    uint64_t databases;      /**< named databases */
    uint64_t log_records;    /**< of the log, from the checkpoint to the snapshot */
    uint64_t log_bytes;      /**< of these */
    uint64_t problems;       /**< 0: the environment is sound */
    zdb_digest digest;       /**< of the environment, counted anew from all entries, if all were read */
} zdb_verify_report;

/** Reads the newest snapshot and checks all that can be: checksums, structure, key order, counts, that
 *  every page is reachable from exactly one place, that the content has the digest that is recorded of
 *  it, both meta pages with their copies, and that the log leads from the checkpoint to the snapshot.
 *  Readers and the writer go on meanwhile; writers keep what it reads until it has ended, as for any
 *  read transaction. The functions that it calls may read and write the environment in transactions of
 *  their own, but not close it. Free pages are not looked at in recovery mode, which loads none. The time
 *  is that of reading all pages.
 *
 *  @param options  NULL: the defaults.
 *  @param report   may be NULL. Set its struct_size first.
 *  @return ZDB_OK: sound; ZDB_CORRUPTED: problems were found, the first is in zdb_last_error();
 *  ECANCELED: on_progress has ended it; ZDB_NOT_FOUND: there is no database of that name; or another
 *  error that kept it from finishing. The report says what was found until then. */
int zdb_env_verify(zdb_env *env, const zdb_verify_options *options, zdb_verify_report *report);

/** zdb_copy_options.flags: without free pages, and with the pages in the order of their keys. Such a copy is
 *  an environment of its own, with another id: pages and log of the original do not fit it. */
#define ZDB_COPY_COMPACT 0x1u

/** How zdb_env_copy() is to work. Fill with zeros and set struct_size. */
typedef struct zdb_copy_options {
    size_t struct_size;          /**< sizeof(zdb_copy_options) */
    uint32_t flags;              /**< 0 or ZDB_COPY_COMPACT */
    uint32_t reserved;           /**< 0 */
    uint64_t bytes_per_second;   /**< written at most; 0: no limit */
    zdb_progress_fn on_progress; /**< may be NULL. On the thread of the caller */
    void *context;               /**< passed to it */
} zdb_copy_options;

/** What zdb_env_copy() has made. */
typedef struct zdb_copy_result {
    size_t struct_size;     /**< in: sizeof(zdb_copy_result) */
    uint64_t txn_id;        /**< the transaction whose state was copied */
    uint64_t wall_clock;    /**< of its commit: nanoseconds since 1970 */
    uint64_t file_size;     /**< bytes of the copy's data.zdb */
    uint64_t bytes_written; /**< of these: free pages of a file are holes */
    zdb_digest digest;      /**< of all that the copy has */
} zdb_copy_result;

/** Copies the newest snapshot into a new environment, while readers and writers go on, as for any read
 *  transaction. All that is read is judged, as by zdb_env_verify(): damage ends the copy and leaves
 *  nothing that could be taken for one. When this returns ZDB_OK the copy is on disk. It begins with the
 *  transaction that it was made of, and without a log. Reads all pages in use and writes them once. If it
 *  is killed, or on_progress ends it, what was written stays in the directory as data.zdb.new, and another
 *  call with that directory goes on from there, unless the copy is compact. The
 *  function that it calls may read and write the environment in transactions of its own, but not close it.
 *  @param path     a directory that is not there, or is empty. The copy gets owner, group and mode
 *                  of the environment's data file, as far as this process may give them.
 *  @param options  NULL: the defaults.
 *  @param result   may be NULL. Set its struct_size first.
 *  @return ZDB_OK; ZDB_CORRUPTED: a page is damaged, zdb_last_error() says which; EEXIST or
 *  ENOTEMPTY: something is in the directory; ZDB_BUSY: another copy is being made there;
 *  ZDB_INCOMPATIBLE: in recovery mode only a compact copy can be made; ECANCELED: on_progress has
 *  ended it; ZDB_READERS_FULL; ZDB_FORKED; an errno (ENOSPC, EIO, ...). */
int zdb_env_copy(zdb_env *env, const char *path, const zdb_copy_options *options,
                 zdb_copy_result *result);

/** Writes such a copy to a descriptor, which may be a pipe: the bytes of its data.zdb. Put into an empty
 *  directory under that name they are an environment. Free pages are zeros in it. A copy that ends early is
 *  shorter than its meta pages say, and does not open. Without ZDB_COPY_COMPACT all pages are read before the
 *  first is written.
 *  @param fd  stays yours, and is not flushed. Need not be blocking.
 *  @return as zdb_env_copy(); EPIPE if nobody reads the pipe: SIGPIPE is not raised. */
int zdb_env_copy_fd(zdb_env *env, int fd, const zdb_copy_options *options, zdb_copy_result *result);

/* ------------------------------------------------------------- transactions */

/** zdb_txn_begin(): return ZDB_BUSY instead of waiting for another write transaction. */
#define ZDB_NOWAIT 0x4u

/** Levels of nested transactions below an outermost one, at most. */
#define ZDB_MAX_NESTING 64

/** Begins a transaction.
 *
 *  A read transaction (ZDB_RDONLY) sees the newest commit, unchanged for as long as it lives;
 *  beginning one takes no lock and makes no system call. A write transaction waits for the
 *  writer before it, in this or another process.
 *
 *  A nested transaction, one with a parent, sees what its parent has done and adds to it. Its
 *  commit gives its changes to the parent, its abort takes them back; nothing is on disk before
 *  the outermost transaction commits. While it lives, every call with its parent or the parent's
 *  cursors returns ZDB_BAD_TXN (except zdb_cursor_close()); ending an outer transaction is such
 *  a call too. It keeps a copy of each page of its parents that it changes. Cursors of the
 *  parent keep their places. An error that makes it unusable leaves its parent as it was when it
 *  began.
 *  @param parent  NULL, or a write transaction that has no child.
 *  @param flags   0 or ZDB_RDONLY; for a write transaction, one of ZDB_DURABILITY_ in place of
 *                 the environment's, and ZDB_NOWAIT. With a parent 0.
 *  @param txn     receives the handle; set to NULL on failure.
 *  @return ZDB_OK; ZDB_READ_ONLY; ZDB_READERS_FULL; ZDB_PANIC; ZDB_BUSY if this thread has a
 *  write transaction in the environment already, as it would wait for itself; if another write
 *  transaction is open and ZDB_NOWAIT is given or the wait is over (writer_wait_ms), with the id
 *  of its process, where that is known, in the message; if the thread of this process that used
 *  that transaction last has ended; or if the environment is being closed; ZDB_INCOMPATIBLE
 *  for two durabilities, or one or ZDB_NOWAIT with ZDB_RDONLY; ZDB_FULL if another process has let the
 *  environment grow beyond what this one has mapped; ZDB_FORKED; an errno. With a parent:
 *  ZDB_BAD_TXN; ZDB_INCOMPATIBLE for a parent that only reads or is of another environment;
 *  ZDB_FULL beyond ZDB_MAX_NESTING levels. */
int zdb_txn_begin(zdb_env *env, zdb_txn *parent, uint32_t flags, zdb_txn **txn);

/** Begins a write transaction as zdb_txn_begin() does, but waits for others only so long. For callers
 *  that wait in slices, between which they look for an interruption.
 *  @param flags    0 or one of ZDB_DURABILITY_.
 *  @param wait_ms  milliseconds; 0: not at all. Replaces writer_wait_ms for this call.
 *  @return as zdb_txn_begin(); ETIMEDOUT if the wait is over, where that returns ZDB_BUSY. */
int zdb_txn_begin_wait(zdb_env *env, uint32_t flags, uint32_t wait_ms, zdb_txn **txn);

/** Commits and ends the transaction. The handle is dead whatever the result, except when an open
 *  child causes ZDB_BAD_TXN: then nothing has happened. A write transaction with full durability
 *  is on disk when this returns ZDB_OK: one flush of the log, shared with the other threads that
 *  commit at the same time. When this returns anything else, the transaction has not happened,
 *  except with ZDB_PANIC, after which the outcome is unknown until the environment is opened
 *  again. Committing a read transaction ends it.
 *  @return ZDB_OK; ZDB_BAD_TXN if it has failed with an earlier error or a child is open;
 *  ZDB_FULL, ZDB_TXN_FULL; ZDB_BUSY if another process keeps it waiting longer than writer_wait_ms
 *  for a checkpoint or the files of the log; ZDB_PANIC; an errno (ENOSPC, EIO, ...). */
int zdb_txn_commit(zdb_txn *txn);

/** Ends the transaction and forgets its changes. NULL is allowed. Any thread may do this, such as for
 *  a thread that has ended (see zdb_txn_list()), while none is inside a call with the transaction.
 *  @return ZDB_OK; ZDB_BAD_TXN if a child is open, and then nothing has happened. */
int zdb_txn_abort(zdb_txn *txn);

/** Lets go of a read transaction's snapshot but keeps the handle for zdb_txn_renew().
 *  @return ZDB_OK; ZDB_INCOMPATIBLE for a write transaction. */
int zdb_txn_reset(zdb_txn *txn);

/** Gives the newest snapshot to a read transaction that was reset.
 *  @return ZDB_OK; ZDB_BAD_TXN if it was not reset; ZDB_FULL as zdb_txn_begin(). */
int zdb_txn_renew(zdb_txn *txn);

/** The snapshot's transaction id: for a reader the newest commit it sees, for a writer the id
 *  its commit will have. 0 if txn is no live transaction. */
uint64_t zdb_txn_id(zdb_txn *txn);

/** The environment of a transaction; NULL if txn is no live transaction. */
zdb_env *zdb_txn_env(zdb_txn *txn);

/** An open transaction of this process. */
typedef struct zdb_txn_info {
    zdb_txn *txn;          /**< its handle */
    uint64_t txn_id;       /**< as zdb_txn_id(); UINT64_MAX if it was reset */
    uint64_t thread;       /**< the thread that began it; of a write transaction the last that used it */
    uint64_t open_ns;      /**< nanoseconds since it began, or was renewed */
    uint32_t flags;        /**< ZDB_RDONLY for a read transaction */
    uint32_t thread_ended; /**< 1 if that thread has ended */
} zdb_txn_info;

/** Called by zdb_txn_list() for each transaction; *info is valid during the call. */
typedef void (*zdb_txn_fn)(void *context, const zdb_txn_info *info);

/** Lists the transactions that this process has open in the environment, so that one that a thread
 *  has left behind can be found, and ended with zdb_txn_abort(). O(transactions of the process).
 *  @param on_txn  called for each, on this thread; not NULL. It may end the transaction. */
int zdb_txn_list(zdb_env *env, zdb_txn_fn on_txn, void *context);

/* ---------------------------------------------------------------- databases */

/** zdb_db_open(): make the database if it does not exist; needs a write transaction. */
#define ZDB_CREATE 0x40000u

/* The kind of a database: chosen when it is made, and recorded in it. The bits are LMDB's. There are
 * no comparison callbacks: a program that lacked the right one would damage the order unnoticed,
 * and tools, recovery and other languages could not open the environment at all. Keys are best
 * encoded so that their bytes sort as they should. */
/** zdb_db_open(): keys are ordered by their bytes from the last to the first. */
#define ZDB_REVERSEKEY 0x02u
/** zdb_db_open(): a key may have several values, duplicates, which are ordered too. Each has at most
 *  zdb_env_max_key_size() bytes. */
#define ZDB_DUPSORT 0x04u
/** zdb_db_open(): keys are unsigned integers of 4 or of 8 bytes, all of one size, little-endian on
 *  every machine, and ordered as numbers. The first key put into an empty database decides on the
 *  size. */
#define ZDB_INTEGERKEY 0x08u
/** zdb_db_open(): with ZDB_DUPSORT: all values have one size. They take less space, and
 *  ZDB_GET_MULTIPLE and ZDB_MULTIPLE work. */
#define ZDB_DUPFIXED 0x10u
/** zdb_db_open(): with ZDB_DUPSORT and ZDB_DUPFIXED: values are integers, as keys with
 *  ZDB_INTEGERKEY. */
#define ZDB_INTEGERDUP 0x20u
/** zdb_db_open(): with ZDB_DUPSORT: values are ordered by their bytes from the last to the first. */
#define ZDB_REVERSEDUP 0x40u
/** zdb_db_open(): branches count the entries below them, for zdb_rank(), zdb_cursor_set_rank(),
 *  zdb_split_range(), and zdb_count_range() in O(log n). */
#define ZDB_COUNTED 0x80u

/** Opens a named database. The handle serves all transactions of the environment; asking for a
 *  name again gives the same handle. A database made by a transaction that aborts is gone; its
 *  handle stays and returns ZDB_BAD_DB until the database is made again.
 *  @param name   1 to 511 bytes, NUL-terminated; NULL for the main database.
 *  @param flags  0 or ZDB_CREATE, and the kind of the database: ZDB_REVERSEKEY, ZDB_DUPSORT, ...
 *                With none of these an existing database is opened with those it has. With
 *                ZDB_CREATE they are also given to a main database that has no flags and is
 *                empty.
 *  @return ZDB_OK; ZDB_NOT_FOUND; ZDB_INCOMPATIBLE if the database has other flags, or the flags
 *  do not go together; ZDB_READ_ONLY; ZDB_BAD_ARGUMENT; ZDB_BAD_TXN. */
int zdb_db_open(zdb_txn *txn, const char *name, uint32_t flags, zdb_db *db);

/** The flags of a database: ZDB_REVERSEKEY, ZDB_DUPSORT, ... */
int zdb_db_flags(zdb_txn *txn, zdb_db db, uint32_t *flags);

/** Deletes all entries of a database. Costs a visit of its branch pages (of all its pages if it
 *  has large values or duplicates). Readers keep what they see. */
int zdb_db_clear(zdb_txn *txn, zdb_db db);

/** Deletes a named database with all its entries. Its handle returns ZDB_BAD_DB from then on in
 *  this transaction and in later snapshots, until a database of that name is made; transactions
 *  that began before read it as it was.
 *  @return as zdb_db_clear(); ZDB_INCOMPATIBLE for the main database. */
int zdb_db_drop(zdb_txn *txn, zdb_db db);

/** Gives a named database another name. Handles stand for names: `db` returns ZDB_BAD_DB from
 *  then on, and *renamed is the handle of the new name.
 *  @param name     as for zdb_db_open(), not NULL.
 *  @param renamed  may be NULL.
 *  @return ZDB_OK; ZDB_KEYEXIST if there is a database of that name; ZDB_INCOMPATIBLE for the
 *  main database; ZDB_READ_ONLY; ZDB_BAD_DB; ZDB_BAD_ARGUMENT. */
int zdb_db_rename(zdb_txn *txn, zdb_db db, const char *name, zdb_db *renamed);

/** What zdb_stat() tells about one database, in O(1). */
typedef struct zdb_db_stat {
    size_t struct_size;       /**< in: sizeof(zdb_db_stat) */
    uint32_t page_size;       /**< bytes */
    uint32_t depth;           /**< levels of the tree; 0: empty */
    uint64_t entries;         /**< pairs of key and value */
    uint64_t keys;            /**< distinct keys; the same as entries without ZDB_DUPSORT */
    uint64_t branch_pages;    /**< those of the trees that hold many duplicates included */
    uint64_t leaf_pages;      /**< the same */
    uint64_t overflow_pages;  /**< pages in overflow runs */
    uint32_t flags;           /**< ZDB_DUPSORT, ... */
    uint32_t reserved;        /**< 0 */
    zdb_digest digest;        /**< of its pairs of key and value; 0 if it is empty */
} zdb_db_stat;

/** Fills *stat. Set stat->struct_size first. */
int zdb_stat(zdb_txn *txn, zdb_db db, zdb_db_stat *stat);

/** Called by zdb_db_list() for each named database: its name, NUL-terminated, and its
 *  statistics, both valid during the call. It must not write in the transaction. Returning a
 *  value other than 0 ends the listing. */
typedef int (*zdb_db_list_fn)(void *context, const char *name, const zdb_db_stat *stat);

/** Lists the named databases that the transaction sees, in the order of their names. O(databases).
 *  @return ZDB_OK; what `on_database` returned if not 0; ZDB_BAD_TXN; ZDB_CORRUPTED. */
int zdb_db_list(zdb_txn *txn, zdb_db_list_fn on_database, void *context);

/* -------------------------------------------------------------- keys, values */

/** Largest value: 2 GiB (a duplicate: zdb_env_max_key_size()). */
#define ZDB_MAX_VALUE_SIZE 0x80000000u

/** zdb_put(): do not change an existing key, return ZDB_KEYEXIST and its (first) value in
 *  *value. */
#define ZDB_NOOVERWRITE 0x10u
/** zdb_put(): with ZDB_DUPSORT, ZDB_KEYEXIST if the pair of key and value exists.
 *  zdb_cursor_del(): delete all values of the key. */
#define ZDB_NODUPDATA 0x20u
/** zdb_cursor_put(): replace the value of the entry under the cursor; key is ignored. */
#define ZDB_CURRENT 0x40u
/** zdb_put(): make room for value->size bytes and return its address in value->data; the caller
 *  writes them there before its next call with the transaction. Until then the content is
 *  undefined. Not with ZDB_DUPSORT. */
#define ZDB_RESERVE 0x10000u
/** zdb_put(): the key is after all others; ZDB_NOT_SORTED if not. Skips the search. */
#define ZDB_APPEND 0x20000u
/** zdb_put(): with ZDB_DUPSORT, the value is after all others of its key; ZDB_NOT_SORTED if not. */
#define ZDB_APPENDDUP 0x40000u
/** zdb_cursor_put(): with ZDB_DUPFIXED, put several values of one key. `value` points to two
 *  zdb_val: value[0].data are the values one after the other, value[0].size is the size of one,
 *  value[1].size their number; on return it is how many were put or existed. */
#define ZDB_MULTIPLE 0x80000u

/** Looks a key up.
 *  @param value  receives a pointer into the map, not aligned, valid until the transaction ends
 *                or, in a write transaction, until its next write. May be NULL to ask only
 *                whether the key exists, for which no page of a large value is read. Do not write
 *                through it. With ZDB_DUPSORT it is the
 *                first of the key's values.
 *  @return ZDB_OK; ZDB_NOT_FOUND; ZDB_BAD_VALSIZE; ZDB_BAD_DB; ZDB_CORRUPTED; EIO for a page that
 *  the device cannot read, as from every call that reads pages. */
int zdb_get(zdb_txn *txn, zdb_db db, const zdb_val *key, zdb_val *value);

/** Looks many keys up at once, overlapping their cache misses.
 *  @param keys    `count` of them, in any order.
 *  @param values  receive what zdb_get() would give; data is NULL and size 0 for a key that does
 *                 not exist (and never NULL for one that does).
 *  @param found   receives how many exist; may be NULL.
 *  @return ZDB_OK, also if keys are missing; otherwise as zdb_get(), and *values are undefined. */
int zdb_get_many(zdb_txn *txn, zdb_db db, const zdb_val *keys, zdb_val *values, size_t count,
                 size_t *found);

/** Puts a key and its value, in place of an older value if there is one; with ZDB_DUPSORT,
 *  beside the key's other values (a pair that exists stays as it is).
 *  @param value  with ZDB_NOOVERWRITE, receives the existing value on ZDB_KEYEXIST; with
 *                ZDB_RESERVE, where to write.
 *  @param flags  0, ZDB_NOOVERWRITE, ZDB_NODUPDATA, ZDB_RESERVE, ZDB_APPEND, ZDB_APPENDDUP.
 *  @return ZDB_OK; ZDB_KEYEXIST; ZDB_NOT_SORTED; ZDB_BAD_VALSIZE; ZDB_INCOMPATIBLE;
 *  ZDB_READ_ONLY; ZDB_TXN_FULL; ZDB_FULL; ZDB_CORRUPTED; ENOMEM. After ZDB_TXN_FULL, ZDB_FULL,
 *  ZDB_CORRUPTED and ENOMEM the transaction can only be aborted. */
int zdb_put(zdb_txn *txn, zdb_db db, const zdb_val *key, zdb_val *value, uint32_t flags);

/** Deletes a key.
 *  @param value  NULL: with all its values. Otherwise, with ZDB_DUPSORT, only this one; without,
 *                it is ignored.
 *  @return ZDB_OK; ZDB_NOT_FOUND; and as zdb_put(). */
int zdb_del(zdb_txn *txn, zdb_db db, const zdb_val *key, const zdb_val *value);

/** Orders two keys as a database does.
 *  @param order  receives a number below, equal to or above 0.
 *  @return ZDB_OK; ZDB_BAD_VALSIZE for a key that the database could not hold, such as an
 *  integer that differs in size from its others, or for two that it could not hold together;
 *  ZDB_BAD_DB. */
int zdb_cmp(zdb_txn *txn, zdb_db db, const zdb_val *left, const zdb_val *right, int *order);

/** Orders two values of one key, as zdb_cmp(); ZDB_BAD_VALSIZE for values in the same way.
 *  ZDB_INCOMPATIBLE without ZDB_DUPSORT. */
int zdb_dcmp(zdb_txn *txn, zdb_db db, const zdb_val *left, const zdb_val *right, int *order);

/* ------------------------------------------------------------------- ranges */
/* A range goes from the key `from`, included, to the key `to`, not included. Either may be NULL:
 * from the first, or to the end. A range whose end is not after its beginning is empty. */

/** Deletes the entries of a range.
 *  @param deleted  receives how many there were; may be NULL.
 *  @return ZDB_OK, also if there were none; and as zdb_put(). */
int zdb_del_range(zdb_txn *txn, zdb_db db, const zdb_val *from, const zdb_val *to,
                  uint64_t *deleted);

/** Counts the entries of a range: in O(log n) with ZDB_COUNTED, otherwise in a pass over its
 *  leaves. */
int zdb_count_range(zdb_txn *txn, zdb_db db, const zdb_val *from, const zdb_val *to,
                    uint64_t *count);

/** Tells how many entries come before a key, in O(log n).
 *  @param rank  receives it, also for a key that does not exist.
 *  @return ZDB_OK; ZDB_NOT_FOUND if the key does not exist; ZDB_INCOMPATIBLE without
 *  ZDB_COUNTED. */
int zdb_rank(zdb_txn *txn, zdb_db db, const zdb_val *key, uint64_t *rank);

/** Called by zdb_split_range() for each part but the first, with the key it begins with, valid
 *  during the call. It must not use the transaction. Returning a value other than 0 ends the
 *  calls. */
typedef int (*zdb_split_fn)(void *context, const zdb_val *key);

/** Divides a range into `parts` with equal numbers of entries (give or take one; keys with
 *  duplicates are not divided), for parallel work. O(parts x log n). Where there are fewer keys than
 *  parts, there are fewer parts.
 *  @param parts  1 to 1048576.
 *  @return ZDB_OK; ZDB_INCOMPATIBLE without ZDB_COUNTED; what `on_part` returned if not 0. */
int zdb_split_range(zdb_txn *txn, zdb_db db, const zdb_val *from, const zdb_val *to,
                    uint32_t parts, zdb_split_fn on_part, void *context);

/* ------------------------------------------------------------------ cursors */

/** What zdb_cursor_get() does. An entry is a pair of key and value: with ZDB_DUPSORT a key has
 *  several. Operations on values or duplicates need ZDB_DUPSORT, those with MULTIPLE
 *  ZDB_DUPFIXED: ZDB_INCOMPATIBLE otherwise. */
typedef enum zdb_cursor_op {
    ZDB_FIRST = 0,          /**< to the first entry */
    ZDB_FIRST_DUP = 1,      /**< to the first value of the current key */
    ZDB_GET_BOTH = 2,       /**< to exactly this key and value */
    ZDB_GET_BOTH_RANGE = 3, /**< to exactly this key, and its first value at or after this one */
    ZDB_GET_CURRENT = 4,    /**< the entry under the cursor */
    ZDB_GET_MULTIPLE = 5,   /**< the current value and those after it, as many as lie together in a
                                 page: *value is an array. The cursor is then on the last of them */
    ZDB_LAST = 6,           /**< to the last entry */
    ZDB_LAST_DUP = 7,       /**< to the last value of the current key */
    ZDB_NEXT = 8,           /**< to the next entry; the first if the cursor is on none */
    ZDB_NEXT_DUP = 9,       /**< to the next value of the current key */
    ZDB_NEXT_MULTIPLE = 10, /**< as ZDB_GET_MULTIPLE, from the value after the current one */
    ZDB_NEXT_NODUP = 11,    /**< to the first value of the next key */
    ZDB_PREV = 12,          /**< to the entry before; the last if the cursor is on none */
    ZDB_PREV_DUP = 13,      /**< to the value before, of the current key */
    ZDB_PREV_NODUP = 14,    /**< to the last value of the key before */
    ZDB_SET = 15,           /**< to exactly this key; does not change *key */
    ZDB_SET_KEY = 16,       /**< to exactly this key; returns the stored key too */
    ZDB_SET_RANGE = 17,     /**< to the first key at or after this one */
    ZDB_PREV_MULTIPLE = 18  /**< as ZDB_NEXT_MULTIPLE, the values before, of the page before. Needs
                                 an entry under the cursor, which is then on the first of them */
} zdb_cursor_op;

/** Opens a cursor, on no entry yet. Close it with zdb_cursor_close(), before or after its
 *  transaction ends; a cursor whose transaction has ended returns ZDB_BAD_CURSOR. */
int zdb_cursor_open(zdb_txn *txn, zdb_db db, zdb_cursor **cursor);

/** Closes a cursor. NULL is allowed. */
int zdb_cursor_close(zdb_cursor *cursor);

/** Moves the cursor and returns the entry it is on.
 *
 *  In a write transaction the cursor stays on its entry while other calls write; if its entry is
 *  deleted, ZDB_NEXT gives the one after and ZDB_PREV the one before.
 *  @param key    in for ZDB_SET, ZDB_SET_KEY, ZDB_SET_RANGE, ZDB_GET_BOTH, ZDB_GET_BOTH_RANGE;
 *                out for all but ZDB_SET, ZDB_GET_BOTH and ZDB_GET_BOTH_RANGE: a copy that the
 *                cursor owns, valid until the next call with this cursor. May be NULL where it
 *                is only out.
 *  @param value  in for ZDB_GET_BOTH and ZDB_GET_BOTH_RANGE. Out: as in zdb_get(); what the
 *                MULTIPLE operations return is valid until the next call with this cursor. May
 *                be NULL where it is only out: then no page of a large value is read.
 *  @return ZDB_OK; ZDB_NOT_FOUND (the cursor stays where it was if ZDB_NEXT, ZDB_PREV and
 *  similar moves find nothing further; after the others it is on no entry); ZDB_BAD_CURSOR;
 *  ZDB_INCOMPATIBLE; ZDB_BAD_VALSIZE; ZDB_CORRUPTED. */
int zdb_cursor_get(zdb_cursor *cursor, zdb_val *key, zdb_val *value, zdb_cursor_op op);

/** Moves the cursor on and returns many entries in one call: those after the current one, or
 *  from the first if the cursor is on none. The cursor is then on the last of them.
 *  @param keys      receives `*count` keys: copies that the cursor owns, valid until its next
 *                   call. May be NULL.
 *  @param values    receives as many values, as in zdb_get(). May be NULL.
 *  @param capacity  room in both, at least 1.
 *  @param count     receives how many; fewer than `capacity` also before the end (keys of about
 *                   64 KiB together are returned at once).
 *  @return ZDB_OK; ZDB_NOT_FOUND at the end, and *count is 0; otherwise as zdb_cursor_get(). */
int zdb_cursor_next_many(zdb_cursor *cursor, zdb_val *keys, zdb_val *values, size_t capacity,
                         size_t *count);

/** zdb_cursor_next_many() in the other direction: the entries before the current one, or from the
 *  last, each after the one that follows it in the database. */
int zdb_cursor_prev_many(zdb_cursor *cursor, zdb_val *keys, zdb_val *values, size_t capacity,
                         size_t *count);

/** Puts an entry and leaves the cursor on it. With ZDB_KEYEXIST it is on the existing entry.
 *  @param flags  as zdb_put(), ZDB_CURRENT, or ZDB_MULTIPLE. With ZDB_CURRENT and ZDB_DUPSORT
 *                the new value goes where it belongs among the key's values, and the cursor with
 *                it. */
int zdb_cursor_put(zdb_cursor *cursor, const zdb_val *key, zdb_val *value, uint32_t flags);

/** Deletes the entry under the cursor; ZDB_NEXT then gives the entry after it.
 *  @param flags  0, or ZDB_NODUPDATA to delete all values of its key. */
int zdb_cursor_del(zdb_cursor *cursor, uint32_t flags);

/** Counts the values of the current key, in O(1).
 *  @return ZDB_OK; ZDB_BAD_CURSOR; ZDB_INCOMPATIBLE without ZDB_DUPSORT. */
int zdb_cursor_count(zdb_cursor *cursor, uint64_t *count);

/** Tells how many entries come before the one under the cursor, in O(log n).
 *  @return ZDB_OK; ZDB_BAD_CURSOR; ZDB_INCOMPATIBLE without ZDB_COUNTED. */
int zdb_cursor_rank(zdb_cursor *cursor, uint64_t *rank);

/** Moves the cursor to the entry before which there are `rank` others, in O(log n).
 *  @param key    out, as in zdb_cursor_get().
 *  @param value  out, as there.
 *  @return ZDB_OK; ZDB_NOT_FOUND if there are not that many; ZDB_INCOMPATIBLE without
 *  ZDB_COUNTED. */
int zdb_cursor_set_rank(zdb_cursor *cursor, uint64_t rank, zdb_val *key, zdb_val *value);

/** Gives a cursor to another transaction of the environment (or to the same, renewed); it is
 *  then on no entry. This saves closing and opening one.
 *  @return ZDB_OK; ZDB_INCOMPATIBLE for another environment; ZDB_BAD_DB; ZDB_BAD_TXN. */
int zdb_cursor_renew(zdb_txn *txn, zdb_cursor *cursor);

/** The transaction of a cursor; NULL if it has ended or `cursor` is not a cursor. */
zdb_txn *zdb_cursor_txn(zdb_cursor *cursor);

/** The database of a cursor; UINT32_MAX if `cursor` is not a cursor. */
zdb_db zdb_cursor_db(zdb_cursor *cursor);

/* ------------------------------------------------------------- packed lists */
/* For bindings to languages in which a call of C, or a look at what it returns, costs more than what
 * these functions do. A packed list is a string of bytes: 0x5b, the number of its elements, and the
 * elements. An element is a string (0x73, its size, its bytes), an entry (0x29 0x02, its key and its
 * value as strings) or nothing (0x4e). Numbers have 4 bytes, little-endian. In lists that are passed in,
 * an entry may also begin with 0x28 and 2 as a number. (Python's marshal module reads and writes lists
 * of bytes and of pairs of bytes like this.) */

/** zdb_cursor_read(), zdb_get_packed(): pack keys. */
#define ZDB_PACK_KEYS 0x1u
/** zdb_cursor_read(): pack values. With keys too, entries. */
#define ZDB_PACK_VALUES 0x2u
/** zdb_cursor_read(): begin with the entry under the cursor. */
#define ZDB_PACK_CURRENT 0x4u
/** zdb_cursor_read(): in place of entries pack strings, a key and then its value. The list then has
 *  twice as many elements. */
#define ZDB_PACK_FLAT 0x8u

/** Moves the cursor on and packs the entries that it comes to, copied. The cursor is then on the last of
 *  them (with ZDB_PREV_NODUP and ZDB_NEXT_NODUP, on a value of its key).
 *  @param op      how it goes on: ZDB_NEXT, ZDB_PREV, ZDB_NEXT_DUP, ZDB_PREV_DUP, ZDB_NEXT_NODUP or
 *                 ZDB_PREV_NODUP.
 *  @param flags   ZDB_PACK_.
 *  @param until   where a range ends: going forward the first key after it, going back its first key.
 *                 NULL: at the end of the database.
 *  @param limit   entries at most, at least 1.
 *  @param buffer  receives a packed list.
 *  @param size    its bytes.
 *  @param count   receives how many entries; fewer than `limit` also where there is no room for more.
 *  @param used    receives the bytes of the list; may be NULL.
 *  @return ZDB_OK; ZDB_NOT_FOUND if there is nothing more, and *count is 0; ENOBUFS if there is no room
 *  for the first entry: the cursor is on it, and *used is what the list would need (call again with
 *  that and ZDB_PACK_CURRENT); otherwise as zdb_cursor_get(). */
int zdb_cursor_read(zdb_cursor *cursor, zdb_cursor_op op, uint32_t flags, const zdb_val *until,
                    size_t limit, void *buffer, size_t size, size_t *count, size_t *used);

/** Moves the cursor to a key and reads from there on, as zdb_cursor_read(), in one call.
 *  @param key    going forward, the first entry is the first one at or after it; going back, the last
 *                one before it.
 *  @param flags  without ZDB_PACK_CURRENT.
 *  @param count  receives how many entries; may be NULL.
 *  @param used   receives the bytes of the list; may be NULL.
 *  @return as zdb_cursor_read(); with ENOBUFS the cursor is on the first entry. With ZDB_NOT_FOUND it is
 *  on no entry, or on one at or after `until`; ZDB_BAD_VALSIZE for a key that none can be. */
int zdb_cursor_read_from(zdb_cursor *cursor, const void *key, size_t key_size, zdb_cursor_op op,
                         uint32_t flags, const zdb_val *until, size_t limit, void *buffer,
                         size_t size, size_t *count, size_t *used);

/** zdb_get_many() of a packed list of keys.
 *  @param flags   0: receive a list of values, with nothing for a key that does not exist; ZDB_PACK_KEYS:
 *                 a list of entries, of the keys that exist.
 *  @param buffer  receives a packed list.
 *  @param used    receives its bytes.
 *  @return as zdb_get_many(); ZDB_BAD_ARGUMENT if `keys` is no packed list of strings; ENOBUFS if there
 *  is no room: *used is what the list would need. */
int zdb_get_packed(zdb_txn *txn, zdb_db db, uint32_t flags, const void *keys, size_t keys_size,
                   void *buffer, size_t size, size_t *used);

/** Copies all values of many keys in a database with ZDB_DUPFIXED, each behind its key, with no bytes in
 *  between.
 *  @param keys        a packed list. Keys that do not exist are passed over.
 *  @param value_size  bytes of each value.
 *  @param buffer      receives the bytes.
 *  @param used        receives how many there are.
 *  @return ZDB_OK; ZDB_BAD_VALSIZE if values have another size, or for a key that none can be;
 *  ZDB_INCOMPATIBLE without ZDB_DUPFIXED; ZDB_BAD_ARGUMENT if `keys` is no packed list of strings;
 *  ENOBUFS if there is no room: *used is what there is, and the buffer holds a part of it. */
int zdb_get_fixed(zdb_txn *txn, zdb_db db, const void *keys, size_t keys_size, size_t value_size,
                  void *buffer, size_t size, size_t *used);

/** Puts the entries of a packed list, one after the other.
 *  @param flags  as zdb_put(), without ZDB_RESERVE. An entry for which that would return ZDB_KEYEXIST is
 *                passed over.
 *  @param added  receives how many were put, also when the call fails; may be NULL.
 *  @return as zdb_put(), for the first that fails: those before it are put; ZDB_BAD_ARGUMENT if `entries`
 *  is no packed list of entries: then none is. */
int zdb_put_packed(zdb_txn *txn, zdb_db db, const void *entries, size_t size, uint32_t flags,
                   size_t *added);

/** zdb_get() with a copy of the value.
 *  @param buffer  receives the value if there is room.
 *  @param used    receives its size, which may be more than `size`; then nothing is copied.
 *  @return as zdb_get(). */
int zdb_get_bytes(zdb_txn *txn, zdb_db db, const void *key, size_t key_size, void *buffer, size_t size,
                  size_t *used);

/** zdb_put() without structures. */
int zdb_put_bytes(zdb_txn *txn, zdb_db db, const void *key, size_t key_size, const void *value,
                  size_t value_size, uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif /* ZERODB_H */
