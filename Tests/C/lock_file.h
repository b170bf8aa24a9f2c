/* Reads lock.zdb itself, for tests of facts that no call reports: how far the log is on disk,
 * and reader slots as dead processes leave them. The layout is that of SharedState in the
 * library. */
#ifndef LOCK_FILE_H
#define LOCK_FILE_H

#include <fcntl.h>

#include "support.h"

/** A lock on bytes of a file, for fcntl(); a count of 0 means all that follow. */
static inline struct flock lock_of_bytes(short type, off_t start, off_t count) {
    struct flock lock;
    memset(&lock, 0, sizeof(lock));
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = count;
    return lock;
}

struct lock_file {
    unsigned char *memory;
    size_t size;
};

/** Maps env/lock.zdb, which must be open in some process. */
struct lock_file map_lock_file(void);
void unmap_lock_file(struct lock_file *file);

/** The newest commit, which the next writer starts from: readers may not see it yet. */
uint64_t newest_commit(const struct lock_file *file);

/** The position up to which the log is on disk. */
uint64_t log_flushed(const struct lock_file *file);

/** The owner of a slot of the reader table: 16 bits of the process's entry in the table of
 *  processes, and the entry's generation. 0: the slot is free. */
uint64_t slot_owner(const struct lock_file *file, unsigned slot);
uint64_t slot_snapshot(const struct lock_file *file, unsigned slot);

/** The owner that the process with this one's entry had in another generation. */
uint64_t owner_of_generation(uint64_t owner, int64_t later);

/** Takes a slot in the name of another owner. */
void forge_slot(struct lock_file *file, unsigned slot, uint64_t owner, uint64_t snapshot);

#endif /* LOCK_FILE_H */
