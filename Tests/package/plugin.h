/* A plugin that leaves an environment open, and the host that unloads it. */
#ifndef PLUGIN_H
#define PLUGIN_H

/* Opens the environment, unless *env has it already, and commits so that the library's threads have work.
 * Returns 0, or tells the error and returns 1. */
typedef int (*plugin_commit_fn)(const char *path, void **env);

#endif
