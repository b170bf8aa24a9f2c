"""The C ABI of zerodb.h, mirrored: constants, structures and the types of callbacks."""

from __future__ import annotations

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_int,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)

ABI_MAJOR = 1
"""The major version of the library whose ABI this module mirrors."""

# ------------------------------------------------------------------ constants

OK = 0
KEYEXIST = -1
NOT_FOUND = -2
CORRUPTED = -3
VERSION_MISMATCH = -4
INVALID = -5
FULL = -6
TXN_FULL = -7
READERS_FULL = -8
BAD_TXN = -9
BAD_HANDLE = -10
BAD_DB = -11
BAD_VALSIZE = -12
INCOMPATIBLE = -13
READ_ONLY = -14
BUSY = -15
FORKED = -16
PANIC = -17
BAD_ARGUMENT = -18
BAD_CURSOR = -19
UNSUPPORTED = -20
NOT_SORTED = -21
RECOVERY_NEEDED = -22

RDONLY = 0x1
NOCREATE = 0x2

CHECKSUM_NONE = 1
CHECKSUM_FAST = 2
CHECKSUM_FULL = 3

DURABILITY_FULL = 0x100
DURABILITY_RELAXED = 0x200
DURABILITY_NONE = 0x400

THREADS_DEFAULT = 0
THREADS_NONE = 1

COMPACT_PUNCH_HOLES = 0x1

COPY_COMPACT = 0x1

VERIFY_HEADERS = 1
VERIFY_TREES = 2
VERIFY_FULL = 3

PROBLEM_META = 1
PROBLEM_CHECKSUM = 2
PROBLEM_LOST_WRITE = 3
PROBLEM_MISPLACED = 4
PROBLEM_UNREADABLE = 5
PROBLEM_STRUCTURE = 6
PROBLEM_ORDER = 7
PROBLEM_REFERENCE = 8
PROBLEM_COUNT = 9
PROBLEM_DIGEST = 10
PROBLEM_FREE_PAGES = 11
PROBLEM_LOG = 12

PLACE_ENVIRONMENT = 0
PLACE_MAIN_DB = 1
PLACE_NAMED_DB = 2
PLACE_CATALOG = 3
PLACE_FREE_PAGES = 4
PLACE_LOG = 5

LOG_DEBUG = 0
LOG_INFORMATION = 1
LOG_WARNING = 2
LOG_ERROR = 3

METRIC_COUNTER = 1
METRIC_GAUGE = 2
METRIC_HISTOGRAM = 3

MAIN_DB = 0
CREATE = 0x40000

REVERSEKEY = 0x02
DUPSORT = 0x04
INTEGERKEY = 0x08
DUPFIXED = 0x10
INTEGERDUP = 0x20
REVERSEDUP = 0x40
COUNTED = 0x80

PACK_KEYS = 0x1
PACK_VALUES = 0x2
PACK_CURRENT = 0x4
PACK_FLAT = 0x8

NOOVERWRITE = 0x10
NODUPDATA = 0x20
CURRENT = 0x40
APPEND = 0x20000
APPENDDUP = 0x40000
MULTIPLE = 0x80000

NOWAIT = 0x4
CLOSE_ABORT = 0x1
WAIT_FOREVER = 0xFFFFFFFF

CURSOR_FIRST = 0
CURSOR_FIRST_DUP = 1
CURSOR_GET_BOTH = 2
CURSOR_GET_BOTH_RANGE = 3
CURSOR_GET_CURRENT = 4
CURSOR_GET_MULTIPLE = 5
CURSOR_LAST = 6
CURSOR_LAST_DUP = 7
CURSOR_NEXT = 8
CURSOR_NEXT_DUP = 9
CURSOR_NEXT_MULTIPLE = 10
CURSOR_NEXT_NODUP = 11
CURSOR_PREV = 12
CURSOR_PREV_DUP = 13
CURSOR_PREV_NODUP = 14
CURSOR_SET = 15
CURSOR_SET_KEY = 16
CURSOR_SET_RANGE = 17
CURSOR_PREV_MULTIPLE = 18

NO_PAGE = 2**64 - 1
NO_TXN = 2**64 - 1

# ----------------------------------------------------------------- structures


class Val(Structure):
    """zdb_val, as the library fills it: an address and a size."""

    _fields_ = [("data", c_void_p), ("size", c_size_t)]


class InputVal(Structure):
    """zdb_val, as the library reads it. Its data takes a bytes object as it is, without a copy.

    Never read data from it: ctypes would take it for a NUL-terminated string.
    """

    _fields_ = [("data", c_char_p), ("size", c_size_t)]


LogFunction = CFUNCTYPE(None, c_void_p, c_uint32, c_char_p)
"""zdb_log_fn."""


class EnvOptions(Structure):
    """zdb_env_options."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("flags", c_uint32),
        ("page_size", c_uint32),
        ("max_size", c_uint64),
        ("max_txn_pages", c_uint64),
        ("max_txn_memory", c_uint64),
        ("checksum", c_uint32),
        ("max_readers", c_uint32),
        ("file_mode", c_uint32),
        ("durability", c_uint32),
        ("log_size", c_uint64),
        ("threads", c_uint32),
        ("writer_wait_ms", c_uint32),
        ("log", LogFunction),
        ("log_context", c_void_p),
        ("auto_compact_rate", c_uint64),
        ("auto_compact_percent", c_uint32),
        ("recovery", c_uint32),
        ("recovery_root", c_uint64),
        ("log_level", c_uint32),
        ("slow_txn_ms", c_uint32),
        ("archive", c_char_p),
        ("archive_log_kept", c_uint64),
    ]


class CompactOptions(Structure):
    """zdb_compact_options."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("max_pages", c_uint64),
        ("bytes_per_second", c_uint64),
        ("target_size", c_uint64),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class CompactResult(Structure):
    """zdb_compact_result."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("pages_moved", c_uint64),
        ("bytes_before", c_uint64),
        ("bytes_after", c_uint64),
        ("waiting_pages", c_uint64),
        ("is_finished", c_uint32),
        ("reserved", c_uint32),
        ("bytes_punched", c_uint64),
    ]


class Digest(Structure):
    """zdb_digest."""

    _fields_ = [("low", c_uint64), ("high", c_uint64)]

    def __int__(self) -> int:
        return int(self.high) << 64 | int(self.low)


class Info(Structure):
    """zdb_info."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("format_version", c_uint32),
        ("page_size", c_uint32),
        ("max_size", c_uint64),
        ("file_size", c_uint64),
        ("page_count", c_uint64),
        ("free_pages", c_uint64),
        ("last_txn_id", c_uint64),
        ("oldest_reader_txn", c_uint64),
        ("max_readers", c_uint32),
        ("readers", c_uint32),
        ("max_txn_pages", c_uint64),
        ("max_txn_memory", c_uint64),
        ("max_key_size", c_uint32),
        ("checksum", c_uint32),
        ("databases", c_uint64),
        ("checkpoint_txn_id", c_uint64),
        ("pinned_pages", c_uint64),
        ("log_bytes", c_uint64),
        ("recovered_records", c_uint64),
        ("recovered_bytes", c_uint64),
        ("recovery_ns", c_uint64),
        ("environment_id", c_uint8 * 16),
        ("digest", Digest),
    ]


class Limits(Structure):
    """zdb_limits."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("max_size", c_uint64),
        ("max_txn_pages", c_uint64),
        ("max_txn_memory", c_uint64),
        ("max_readers", c_uint64),
        ("processes", c_uint64),
        ("environments", c_uint64),
        ("transactions", c_uint64),
        ("cursors", c_uint64),
        ("nesting", c_uint64),
        ("key_size", c_uint64),
        ("value_size", c_uint64),
        ("name_size", c_uint64),
        ("databases", c_uint64),
        ("log_size", c_uint64),
        ("log_record", c_uint64),
        ("writer_wait_ms", c_uint64),
        ("depth", c_uint64),
        ("archive_log", c_uint64),
    ]


class Reader(Structure):
    """zdb_reader."""

    _fields_ = [
        ("slot", c_uint32),
        ("process_id", c_uint32),
        ("thread", c_uint64),
        ("txn_id", c_uint64),
        ("open_ns", c_uint64),
    ]


class MetricBucket(Structure):
    """zdb_metric_bucket."""

    _fields_ = [("bound", c_double), ("count", c_uint64)]


class Metric(Structure):
    """zdb_metric."""

    _fields_ = [
        ("name", c_char_p),
        ("help", c_char_p),
        ("label", c_char_p),
        ("label_value", c_char_p),
        ("kind", c_uint32),
        ("bucket_count", c_uint32),
        ("value", c_double),
        ("buckets", POINTER(MetricBucket)),
    ]


class TxnInfo(Structure):
    """zdb_txn_info."""

    _fields_ = [
        ("txn", c_void_p),
        ("txn_id", c_uint64),
        ("thread", c_uint64),
        ("open_ns", c_uint64),
        ("flags", c_uint32),
        ("thread_ended", c_uint32),
    ]


class Problem(Structure):
    """zdb_problem."""

    _fields_ = [
        ("kind", c_uint32),
        ("place", c_uint32),
        ("page", c_uint64),
        ("txn_id", c_uint64),
        ("wall_clock", c_uint64),
        ("entries", c_uint64),
        ("database", Val),
        ("has_range", c_uint32),
        ("reserved", c_uint32),
        ("low", Val),
        ("high", Val),
        ("message", c_char_p),
    ]


ProblemFunction = CFUNCTYPE(None, c_void_p, POINTER(Problem))
"""zdb_problem_fn."""

ProgressFunction = CFUNCTYPE(c_int, c_void_p, c_uint64, c_uint64)
"""zdb_progress_fn."""


class CopyOptions(Structure):
    """zdb_copy_options."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("flags", c_uint32),
        ("reserved", c_uint32),
        ("bytes_per_second", c_uint64),
        ("on_progress", ProgressFunction),
        ("context", c_void_p),
    ]


class CopyResult(Structure):
    """zdb_copy_result."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("txn_id", c_uint64),
        ("wall_clock", c_uint64),
        ("file_size", c_uint64),
        ("bytes_written", c_uint64),
        ("digest", Digest),
    ]


class VerifyOptions(Structure):
    """zdb_verify_options."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("level", c_uint32),
        ("threads", c_uint32),
        ("database", c_char_p),
        ("on_problem", ProblemFunction),
        ("on_progress", ProgressFunction),
        ("context", c_void_p),
    ]


class Report(Structure):
    """zdb_verify_report."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("txn_id", c_uint64),
        ("pages", c_uint64),
        ("tree_pages", c_uint64),
        ("overflow_pages", c_uint64),
        ("free_pages", c_uint64),
        ("entries", c_uint64),
        ("databases", c_uint64),
        ("log_records", c_uint64),
        ("log_bytes", c_uint64),
        ("problems", c_uint64),
        ("digest", Digest),
    ]


class DbStat(Structure):
    """zdb_db_stat."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("page_size", c_uint32),
        ("depth", c_uint32),
        ("entries", c_uint64),
        ("keys", c_uint64),
        ("branch_pages", c_uint64),
        ("leaf_pages", c_uint64),
        ("overflow_pages", c_uint64),
        ("flags", c_uint32),
        ("reserved", c_uint32),
        ("digest", Digest),
    ]


ReaderFunction = CFUNCTYPE(None, c_void_p, POINTER(Reader))
"""zdb_reader_fn."""

MetricFunction = CFUNCTYPE(None, c_void_p, POINTER(Metric))
"""zdb_metric_fn."""

TxnFunction = CFUNCTYPE(None, c_void_p, POINTER(TxnInfo))
"""zdb_txn_fn."""

DbListFunction = CFUNCTYPE(c_int, c_void_p, c_char_p, POINTER(DbStat))
"""zdb_db_list_fn."""

SplitFunction = CFUNCTYPE(c_int, c_void_p, POINTER(Val))
"""zdb_split_fn."""
