#include "lock_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    TIP = 72,
    FLUSHED = 200,
    SLOTS_USED = 256,
    SLOTS = 192512,
    SLOT_SIZE = 64,
    ENTRY_BITS = 16,
};

struct lock_file map_lock_file(void) {
    struct lock_file file;
    file.size = (size_t)file_size("env/lock.zdb");
    REQUIRE(file.size > SLOTS);
    int descriptor = open("env/lock.zdb", O_RDWR);
    REQUIRE(descriptor >= 0);
    void *memory = mmap(NULL, file.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    REQUIRE(memory != MAP_FAILED);
    file.memory = (unsigned char *)memory;
    /* Closing the file loses no lock of the library: its locks belong to its own file
     * descriptions. */
    REQUIRE(close(descriptor) == 0);
    return file;
}

void unmap_lock_file(struct lock_file *file) {
    REQUIRE(munmap(file->memory, file->size) == 0);
}

/* Other processes change the words at the same time, each as a whole. */

static uint64_t load(const struct lock_file *file, size_t offset) {
    REQUIRE(offset + sizeof(uint64_t) <= file->size);
    return __atomic_load_n((const uint64_t *)(const void *)(file->memory + offset),
                           __ATOMIC_SEQ_CST);
}

static void store(struct lock_file *file, size_t offset, uint64_t value) {
    REQUIRE(offset + sizeof(uint64_t) <= file->size);
    __atomic_store_n((uint64_t *)(void *)(file->memory + offset), value, __ATOMIC_SEQ_CST);
}

static size_t slot_offset(unsigned slot) {
    return SLOTS + (size_t)slot * SLOT_SIZE;
}

uint64_t newest_commit(const struct lock_file *file) {
    return load(file, TIP);
}

uint64_t log_flushed(const struct lock_file *file) {
    return load(file, FLUSHED);
}

uint64_t slot_owner(const struct lock_file *file, unsigned slot) {
    return load(file, slot_offset(slot));
}

uint64_t slot_snapshot(const struct lock_file *file, unsigned slot) {
    return load(file, slot_offset(slot) + 8);
}

uint64_t owner_of_generation(uint64_t owner, int64_t later) {
    return owner + ((uint64_t)later << ENTRY_BITS);
}

void forge_slot(struct lock_file *file, unsigned slot, uint64_t owner, uint64_t snapshot) {
    store(file, slot_offset(slot) + 8, snapshot);
    store(file, slot_offset(slot), owner);
    if (load(file, SLOTS_USED) <= slot) store(file, SLOTS_USED, slot + 1);
}
