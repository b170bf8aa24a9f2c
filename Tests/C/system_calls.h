/* Stands between the library and the system at each call that changes a file or flushes it, so that
 * a test can count such calls, make one fail, or stop the process at one. */
#ifndef SYSTEM_CALLS_H
#define SYSTEM_CALLS_H

#include "support.h"

/** Called before each such call, on the thread that makes it, the library's own included.
 *  @return 0 to let the call be made, or the errno that it fails with instead. */
typedef int (*system_call_hook)(void *context, const char *name);

/** Installs the hook; NULL removes it. Not while other threads are in the library. */
void hook_system_calls(system_call_hook hook, void *context);

/** Limits the bytes that each call writes, and reports as written; 0: no limit. Not while other
 *  threads are in the library. */
void shorten_writes(size_t bytes);

/** Has fsync() and fdatasync() succeed without doing anything, for tests that make a great many
 *  files. Not while other threads are in the library. */
void skip_flushes(bool skips);

/** Whether a call flushes, or reports an error of a flush, which no later flush would report
 *  again. */
bool is_flush(const char *name);

#endif /* SYSTEM_CALLS_H */
