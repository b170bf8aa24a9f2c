"""py-lmdb's exceptions. Each that this library can raise is its own exception too, so that
``except zerodb.Error`` and ``except zerodb.FullError`` work."""

from __future__ import annotations

import errno
import os

import zerodb
from zerodb import _abi, _ffi
from zerodb._words import NAMES, in_words


class Error(zerodb.Error):
    """What LMDB has no name for, and the base class of all others."""

    name: str = ""
    """LMDB's name, such as MDB_MAP_FULL."""
    hint: str = ""
    """What LMDB's users know the limit as."""
    number: int = 0
    """LMDB's code."""

    def __init__(
        self, what: str = "", code: int | None = None, page: int | None = None
    ) -> None:
        super().__init__(what, self.number if code is None else code, page)

    @property
    def what(self) -> str:
        """The library's message: what went wrong, where, and what to do about it."""
        return self.message

    @property
    def reason(self) -> str:
        """LMDB's name of the error, or the operating system's text."""
        if self.name:
            return self.name
        return os.strerror(self.code) if self.code > 0 else "Successful return: 0"

    def __str__(self) -> str:
        text = f"{self.name}: {self.message}" if self.name else self.message
        return f"{text} ({self.hint})" if self.hint else text


class KeyExistsError(Error, zerodb.KeyExistsError):
    """The key or the pair is there already."""

    name: str = "MDB_KEYEXIST"
    number: int = -30799


class NotFoundError(Error, zerodb.NotFoundError):
    """There is no such database. (A key that is not there gives None.)"""

    name: str = "MDB_NOTFOUND"
    number: int = -30798


class PageNotFoundError(Error):
    """Never raised."""

    name: str = "MDB_PAGE_NOTFOUND"
    number: int = -30797


class CorruptedError(Error, zerodb.CorruptedError):
    """A page failed its checksum or its structure is impossible."""

    name: str = "MDB_CORRUPTED"
    number: int = -30796


class PanicError(Error, zerodb.PanicError):
    """A flush or a write failed; the environment refuses to write until it is opened again."""

    name: str = "MDB_PANIC"
    number: int = -30795


class VersionMismatchError(Error, zerodb.VersionMismatchError):
    """The environment has a format that the library does not read."""

    name: str = "MDB_VERSION_MISMATCH"
    number: int = -30794


class InvalidError(Error, zerodb.InvalidFileError):
    """The file is not an environment of ZeroDB. The message says so if it is one of LMDB."""

    name: str = "MDB_INVALID"
    number: int = -30793


class MapFullError(Error, zerodb.FullError):
    """The environment has reached its map_size."""

    name: str = "MDB_MAP_FULL"
    number: int = -30792
    hint: str = "map_size is the limit; set_mapsize() makes it larger"


class DbsFullError(Error):
    """More named databases were opened than max_dbs says."""

    name: str = "MDB_DBS_FULL"
    number: int = -30791
    hint: str = "please open the environment with a larger max_dbs"


class ReadersFullError(Error, zerodb.ReadersFullError):
    """More transactions read than max_readers says."""

    name: str = "MDB_READERS_FULL"
    number: int = -30790
    hint: str = "please open the environment with a larger max_readers"


class TlsFullError(Error):
    """Never raised."""

    name: str = "MDB_TLS_FULL"
    number: int = -30789


class TxnFullError(Error, zerodb.TransactionFullError):
    """Never raised: transactions have no limit here."""

    name: str = "MDB_TXN_FULL"
    number: int = -30788


class CursorFullError(Error):
    """Never raised."""

    name: str = "MDB_CURSOR_FULL"
    number: int = -30787


class PageFullError(Error):
    """Never raised."""

    name: str = "MDB_PAGE_FULL"
    number: int = -30786


class MapResizedError(Error, zerodb.FullError):
    """Another process with a larger map_size has let the environment grow beyond this one's."""

    name: str = "MDB_MAP_RESIZED"
    number: int = -30785
    hint: str = "set_mapsize(0) adopts the size"


class IncompatibleError(Error, zerodb.IncompatibleError):
    """The operation does not fit the database."""

    name: str = "MDB_INCOMPATIBLE"
    number: int = -30784


class BadRslotError(Error):
    """Never raised."""

    name: str = "MDB_BAD_RSLOT"
    number: int = -30783


class BadTxnError(Error, zerodb.BadTransactionError):
    """An earlier error has made the transaction unusable, or it has an open child."""

    name: str = "MDB_BAD_TXN"
    number: int = -30782


class BadValsizeError(Error, zerodb.BadValueSizeError):
    """A key that is empty or too long, a value that is too long, or with duplicates an empty
    one."""

    name: str = "MDB_BAD_VALSIZE"
    number: int = -30781


class BadDbiError(Error, zerodb.BadDatabaseError):
    """The database does not exist in the transaction's snapshot."""

    name: str = "MDB_BAD_DBI"
    number: int = -30780


class ProblemError(Error):
    """Never raised."""

    name: str = "MDB_PROBLEM"
    number: int = -30779


class BadChecksumError(Error):
    """Never raised: a page with a wrong checksum is a CorruptedError."""

    name: str = "MDB_BAD_CHECKSUM"
    number: int = -30778


class CryptoFailError(Error):
    """Never raised."""

    name: str = "MDB_CRYPTO_FAIL"
    number: int = -30777


class EnvEncryptionError(Error):
    """Never raised."""

    name: str = "MDB_ENV_ENCRYPTION"
    number: int = -30776


class ReadonlyError(Error, zerodb.ReadOnlyError):
    """A write through a read-only transaction or environment, or to files that may not be
    written."""

    number: int = errno.EACCES


class InvalidParameterError(Error, zerodb.BadArgumentError, zerodb.BadCursorError):
    """An argument is wrong, or the cursor is on no entry."""

    number: int = errno.EINVAL


class LockError(Error, zerodb.BusyError):
    """The environment or the transaction is in use."""

    number: int = errno.EAGAIN


class MemoryError(Error):  # noqa: A001
    """There is no memory left."""

    number: int = errno.ENOMEM


class DiskError(Error):
    """There is no room left on the disk."""

    number: int = errno.ENOSPC


class _EndedError(
    Error, zerodb.BadTransactionError, zerodb.BadCursorError, zerodb.BadHandleError
):
    """The object is closed, or has ended: for that LMDB has no code."""


class _ForkedError(Error, zerodb.ForkedError):
    """The transaction is one of the process that this one was forked from."""


class _OtherEnvironmentError(Error, zerodb.BadDatabaseError):
    """The database belongs to another environment."""


class _GoneError(BadDbiError, InvalidParameterError):
    """The database has been deleted, which LMDB takes for a wrong argument in some calls."""


class _RecoveryNeededError(Error, zerodb.RecoveryNeededError):
    """The log must be replayed, which this process may not do."""


_CLASS_OF_CODE: dict[int, type[Error]] = {
    _abi.KEYEXIST: KeyExistsError,
    _abi.NOT_FOUND: NotFoundError,
    _abi.CORRUPTED: CorruptedError,
    _abi.VERSION_MISMATCH: VersionMismatchError,
    _abi.INVALID: InvalidError,
    _abi.FULL: MapFullError,
    _abi.TXN_FULL: TxnFullError,
    _abi.READERS_FULL: ReadersFullError,
    _abi.BAD_TXN: BadTxnError,
    _abi.BAD_HANDLE: _EndedError,
    _abi.BAD_DB: _GoneError,
    _abi.BAD_VALSIZE: BadValsizeError,
    _abi.INCOMPATIBLE: IncompatibleError,
    _abi.READ_ONLY: ReadonlyError,
    _abi.BUSY: LockError,
    _abi.FORKED: _ForkedError,
    _abi.PANIC: PanicError,
    _abi.BAD_ARGUMENT: InvalidParameterError,
    _abi.BAD_CURSOR: InvalidParameterError,
    _abi.RECOVERY_NEEDED: _RecoveryNeededError,
    errno.EACCES: ReadonlyError,
    errno.EPERM: ReadonlyError,
    errno.EROFS: ReadonlyError,
    errno.EINVAL: InvalidParameterError,
    errno.EAGAIN: LockError,
    errno.ENOMEM: MemoryError,
    errno.ENOSPC: DiskError,
    errno.EDQUOT: DiskError,
}

_CLASS_OF_OWN_CODE: dict[int, type[Error]] = {
    _abi.BAD_TXN: _EndedError,
    _abi.BAD_HANDLE: _EndedError,
    _abi.BAD_CURSOR: _EndedError,
    _abi.BAD_DB: _OtherEnvironmentError,
}
"""Where the message is one of this package, which looks before it calls the library."""


_NAMES = {
    **NAMES,
    "ZDB_CURRENT": "replace()",
    "ZDB_INTEGERDUP": "integerdup=True",
    "ZDB_INTEGERKEY": "integerkey=True",
    "max_size": "map_size",
}


def make_error(code: int, message: str | None = None, page: int | None = None) -> Error:
    """The exception for a result code: that of a call on this thread that has just returned it,
    unless there is a message."""
    kind = _CLASS_OF_CODE.get(code, Error)
    if message is None:
        marked, page = _ffi.last_failure(code)
        message = in_words(marked, _NAMES)
        if code == _abi.FULL and "in another process" in message:
            kind = MapResizedError
    else:
        kind = _CLASS_OF_OWN_CODE.get(code, kind)
    return kind(message, code if code > 0 else None, page)


def converted(error: zerodb.Error) -> Error:
    """The exception for one that code which knows nothing of LMDB has raised."""
    if isinstance(error, Error):
        return error
    kind = _CLASS_OF_CODE.get(error.code, Error)
    return kind(error.message, error.code if error.code > 0 else None, error.page)


def check(code: int) -> None:
    """Raises the exception for a result code, unless it is success."""
    if code != _abi.OK:
        raise make_error(code)
