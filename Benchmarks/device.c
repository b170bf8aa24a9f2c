#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util.h"

#define SECTOR_BYTES 512 /* of this file, whatever the device has */

/* Of the device's counters; empty: there is no such device. */
static char stat_path[64];

bool device_find(const char *directory) {
    struct stat status;
    if (stat(directory, &status) != 0) {
        die("cannot stat %s: %s", directory, strerror(errno));
    }
    snprintf(stat_path, sizeof stat_path, "/sys/dev/block/%u:%u/stat", major(status.st_dev),
             minor(status.st_dev));
    if (access(stat_path, R_OK) != 0) {
        stat_path[0] = '\0';
    }
    return stat_path[0] != '\0';
}

static void write_all(const char *directory) {
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0 || syncfs(descriptor) != 0) {
        die("cannot flush the file system of %s: %s", directory, strerror(errno));
    }
    close(descriptor);
}

uint64_t device_bytes_written(const char *directory) {
    if (stat_path[0] == '\0') {
        return 0;
    }
    write_all(directory);
    FILE *file = fopen(stat_path, "r");
    unsigned long long sectors;
    /* Reads, merged, sectors, milliseconds; then the same of writes. */
    if (file == NULL || fscanf(file, "%*u %*u %*u %*u %*u %*u %llu", &sectors) != 1) {
        die("cannot read %s", stat_path);
    }
    fclose(file);
    return sectors * SECTOR_BYTES;
}
