/* The tests by subject, each defined in the file named after it. */
#ifndef SUITES_H
#define SUITES_H

#include "check.h"

extern const struct suite errors_suite;
extern const struct suite environment_suite;
extern const struct suite values_suite;
extern const struct suite model_suite;
extern const struct suite cursor_moves_suite;
extern const struct suite cursor_puts_suite;
extern const struct suite databases_suite;
extern const struct suite transactions_suite;
extern const struct suite nesting_suite;
extern const struct suite database_flags_suite;
extern const struct suite orders_suite;
extern const struct suite ranks_suite;
extern const struct suite duplicates_suite;
extern const struct suite flag_errors_suite;
extern const struct suite limits_suite;
extern const struct suite handles_suite;
extern const struct suite arguments_suite;
extern const struct suite statistics_suite;
extern const struct suite damage_suite;
extern const struct suite threads_suite;
extern const struct suite fork_suite;
extern const struct suite durability_suite;
extern const struct suite recovery_suite;
extern const struct suite log_damage_suite;
extern const struct suite system_calls_suite;
extern const struct suite processes_suite;
extern const struct suite readers_suite;
extern const struct suite database_changes_suite;
extern const struct suite batches_suite;
extern const struct suite packed_lists_suite;
extern const struct suite ranges_suite;
extern const struct suite reserve_suite;
extern const struct suite cursor_renewal_suite;
extern const struct suite file_sizes_suite;
extern const struct suite full_disk_suite;
extern const struct suite names_suite;
extern const struct suite closing_suite;
extern const struct suite waiting_suite;
extern const struct suite endings_suite;
extern const struct suite lost_pages_suite;
extern const struct suite recovery_mode_suite;
extern const struct suite verify_suite;
extern const struct suite copy_suite;
extern const struct suite metrics_suite;
extern const struct suite users_suite;
extern const struct suite archive_suite;

#define DEFINE_SUITE(suite_name, tests)                                                            \
    const struct suite suite_name##_suite = {#suite_name, tests, TEST_COUNT(tests)}

#endif /* SUITES_H */
