"""ZeroDB: an embedded, transactional, ordered key-value store.

::

    import zerodb

    with zerodb.open("path/to/directory") as env:
        with env.begin(write=True) as txn:
            txn[b"key"] = b"value"
        with env.begin() as txn:
            for key, value in txn.items(prefix=b"k"):
                print(key, value)
"""

from zerodb._core import implementation
from zerodb._cursor import Cursor
from zerodb._database import Database
from zerodb._environment import Environment
from zerodb._errors import (
    BadArgumentError,
    BadCursorError,
    BadDatabaseError,
    BadHandleError,
    BadTransactionError,
    BadValueSizeError,
    BusyError,
    CorruptedError,
    Error,
    ForkedError,
    FullError,
    IncompatibleError,
    InvalidFileError,
    KeyExistsError,
    NotFoundError,
    NotSortedError,
    OperatingSystemError,
    PanicError,
    PathNotADirectoryError,
    PathNotFoundError,
    PathPermissionError,
    ReadersFullError,
    ReadOnlyError,
    RecoveryNeededError,
    TransactionFullError,
    UnsupportedError,
    VersionMismatchError,
)
from zerodb._ffi import library_path, library_version
from zerodb._opening import open  # noqa: A004
from zerodb._transaction import Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zerodb._types import (
        CompactResult,
        CopyResult,
        DatabaseFlags,
        DatabaseStat,
        Durability,
        EnvironmentInfo,
        EventLevel,
        Limits,
        Metric,
        MetricBucket,
        MetricKind,
        OpenTransaction,
        Problem,
        ProblemKind,
        ProblemPlace,
        Reader,
        VerifyLevel,
        VerifyReport,
    )

__version__ = "1.0.0"

__all__ = [
    "BadArgumentError",
    "BadCursorError",
    "BadDatabaseError",
    "BadHandleError",
    "BadTransactionError",
    "BadValueSizeError",
    "BusyError",
    "CompactResult",
    "CopyResult",
    "CorruptedError",
    "Cursor",
    "Database",
    "DatabaseFlags",
    "DatabaseStat",
    "Durability",
    "Environment",
    "EnvironmentInfo",
    "Error",
    "EventLevel",
    "ForkedError",
    "FullError",
    "IncompatibleError",
    "InvalidFileError",
    "KeyExistsError",
    "Limits",
    "Metric",
    "MetricBucket",
    "MetricKind",
    "NotFoundError",
    "NotSortedError",
    "OpenTransaction",
    "OperatingSystemError",
    "PanicError",
    "PathNotADirectoryError",
    "PathNotFoundError",
    "PathPermissionError",
    "Problem",
    "ProblemKind",
    "ProblemPlace",
    "ReadOnlyError",
    "Reader",
    "ReadersFullError",
    "RecoveryNeededError",
    "Transaction",
    "TransactionFullError",
    "UnsupportedError",
    "VerifyLevel",
    "VerifyReport",
    "VersionMismatchError",
    "implementation",
    "library_path",
    "library_version",
    "open",
]

if not TYPE_CHECKING:

    def __getattr__(name):
        """The types of results, which are made when they are asked for: `typing`, which that
        takes, is slow to import."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from zerodb import _types

        found = globals()[name] = getattr(_types, name)
        return found

    def __dir__():
        return sorted({*globals(), *__all__})
