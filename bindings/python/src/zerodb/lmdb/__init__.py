"""py-lmdb's interface to ZeroDB: ``import zerodb.lmdb as lmdb`` runs a program written for it.

Names, arguments, defaults, results and exceptions are py-lmdb's; the exceptions are zerodb's
too. What is different:

- The files are ZeroDB's. A directory or file of LMDB is an InvalidError that says how to import
  it: ``zerodb-load --lmdb OLD NEW``.
- ``subdir=False``: a directory has the place of the single file.
- The names of named databases are no keys of the main database. Its cursors show them all the
  same, since programs list databases in this way, with 48 bytes of 0 for LMDB's record, and
  ``stat()`` counts them. But ``txn.get()`` does not find them, and a key may have the name of a
  database.
- Keys may have 1984 bytes rather than 511, and so may values with ``dupsort``.
- ``map_size`` is at least 1 MiB.
- ``sync=False``, ``metasync=False`` and ``map_async=True`` cannot damage an environment, and
  lose nothing when a program is killed. ``lock=False`` is taken as ``lock=True``.
- A thread that has a write transaction and begins another gets a LockError; with LMDB it waits
  forever.
- An environment works in a child made by ``fork()``, and pickles.
- A path may be a ``pathlib.Path``.
- Integer keys and values have 4 or 8 bytes; others are a BadValsizeError. So is a value whose
  size differs from the others with ``dupfixed``.
"""

from __future__ import annotations

from zerodb.lmdb._cursor import Cursor
from zerodb.lmdb._database import _Database
from zerodb.lmdb._environment import LMDB_VERSION, Environment
from zerodb.lmdb._errors import (
    BadChecksumError,
    BadDbiError,
    BadRslotError,
    BadTxnError,
    BadValsizeError,
    CorruptedError,
    CryptoFailError,
    CursorFullError,
    DbsFullError,
    DiskError,
    EnvEncryptionError,
    Error,
    IncompatibleError,
    InvalidError,
    InvalidParameterError,
    KeyExistsError,
    LockError,
    MapFullError,
    MapResizedError,
    MemoryError,  # noqa: A004
    NotFoundError,
    PageFullError,
    PageNotFoundError,
    PanicError,
    ProblemError,
    ReadersFullError,
    ReadonlyError,
    TlsFullError,
    TxnFullError,
    VersionMismatchError,
)
from zerodb.lmdb._transaction import Transaction

__version__ = "3.0.0"
"""The version of py-lmdb whose interface this is. That of ZeroDB is ``zerodb.__version__``."""

open = Environment  # noqa: A001


def version(subpatch: bool = False, lib_version: int | None = None) -> tuple[int, ...]:
    """The version of LMDB that this follows, with `subpatch` as four numbers:
    1 says that :meth:`Environment.copy` takes a transaction."""
    if lib_version is not None and lib_version < 0:
        raise OverflowError("lib_version must not be negative")
    return (*LMDB_VERSION, 1) if subpatch else LMDB_VERSION


def enable_drop_gil() -> None:
    """Does nothing: calls that may wait let other threads run."""


__all__ = [
    "BadChecksumError",
    "BadDbiError",
    "BadRslotError",
    "BadTxnError",
    "BadValsizeError",
    "CorruptedError",
    "CryptoFailError",
    "Cursor",
    "CursorFullError",
    "DbsFullError",
    "DiskError",
    "EnvEncryptionError",
    "Environment",
    "Error",
    "IncompatibleError",
    "InvalidError",
    "InvalidParameterError",
    "KeyExistsError",
    "LockError",
    "MapFullError",
    "MapResizedError",
    "MemoryError",
    "NotFoundError",
    "PageFullError",
    "PageNotFoundError",
    "PanicError",
    "ProblemError",
    "ReadersFullError",
    "ReadonlyError",
    "TlsFullError",
    "Transaction",
    "TxnFullError",
    "VersionMismatchError",
    "_Database",
    "enable_drop_gil",
    "version",
]
