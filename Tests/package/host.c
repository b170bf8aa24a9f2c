/* Loads a plugin, lets it commit, and unloads it with its environment open and threads of the library
 * running; twice; then exits. What the plugin was linked with must stay.
 *
 *     host PLUGIN ENVIRONMENT */
#include "plugin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int threads(void) {
    int count = 0;
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) return 0;
    while ((entry = readdir(tasks)) != NULL) count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

int main(int argc, char **argv) {
    void *env = NULL;
    int round;

    if (argc != 3) return 2;
    for (round = 0; round < 2; round++) {
        plugin_commit_fn commit;
        void *symbol, *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!plugin || !(symbol = dlsym(plugin, "plugin_commit"))) {
            fprintf(stderr, "host: %s\n", dlerror());
            return 1;
        }
        memcpy(&commit, &symbol, sizeof commit);
        if (commit(argv[2], &env) != 0) return 1;
        if (threads() < 2) {
            fprintf(stderr, "host: no thread of the library is running\n");
            return 1;
        }
        if (dlclose(plugin) != 0) return 1;
    }
    printf("unloaded twice, %d threads go on\n", threads());
    return 0;
}
