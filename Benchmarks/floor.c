#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FLOOR_PAGES 1024

static unsigned char floor_page[4096];

static void write_page(struct floor_file *file) {
    off_t offset = (off_t)(file->next_page % FLOOR_PAGES) * (off_t)sizeof floor_page;
    if (pwrite(file->descriptor, floor_page, sizeof floor_page, offset) !=
        (ssize_t)sizeof floor_page) {
        die("cannot write %s: %s", file->path, strerror(errno));
    }
    file->next_page++;
}

static void flush(struct floor_file *file) {
    if (fdatasync(file->descriptor) != 0) {
        die("cannot flush %s: %s", file->path, strerror(errno));
    }
}

void floor_open(const struct config *config, struct floor_file *file) {
    make_directory(config->dir);
    join_path(file->path, config->dir, "floor");
    file->next_page = 0;
    file->descriptor = open(file->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file->descriptor < 0) {
        die("cannot create %s: %s", file->path, strerror(errno));
    }
    for (unsigned i = 0; i < FLOOR_PAGES; i++) {
        write_page(file);
    }
    flush(file);
}

void floor_close(struct floor_file *file) {
    close(file->descriptor);
    unlink(file->path);
}

double floor_measure(struct floor_file *file, unsigned count) {
    double start = now_ns();
    for (unsigned i = 0; i < count; i++) {
        write_page(file);
        flush(file);
    }
    return (now_ns() - start) / count;
}
