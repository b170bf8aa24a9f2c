"""The exceptions: one class for each result code of the library."""

from __future__ import annotations

import errno

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._words import in_words


class Error(Exception):
    """The base class of all errors of the library. Its text is the library's message."""

    def __init__(self, message: str, code: int, page: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        """What went wrong, where, and what to do about it."""
        self.code = code
        """The library's code: negative, or a positive errno."""
        self.page = page
        """The number of the page that the message is about, or None."""

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[t.Any, ...]:
        # Pickled by these arguments: the OSErrors among the subclasses keep others in args.
        return type(self), (self.message, self.code, self.page)


class KeyExistsError(Error):
    """The key is there already."""


class NotFoundError(Error, KeyError):
    """No such key or database. Also a KeyError."""


class CorruptedError(Error):
    """A page failed its checksum or its structure is impossible; ``page`` names it."""


class VersionMismatchError(Error):
    """The environment was written by a format version that this library does not read."""


class InvalidFileError(Error):
    """The file is not a ZeroDB environment."""


class FullError(Error):
    """The environment has reached max_size. The transaction can only be aborted."""


class TransactionFullError(Error):
    """The transaction has dirtied max_txn_pages pages. It can only be aborted."""


class ReadersFullError(Error):
    """Every slot of the reader table is taken."""


class BadTransactionError(Error):
    """The transaction is finished or reset, or an earlier error has made it unusable."""


class BadHandleError(Error):
    """The environment or the cursor is closed."""


class BadDatabaseError(Error):
    """The database belongs to another environment, or does not exist in this snapshot."""


class BadValueSizeError(Error, ValueError):
    """A key that is empty or too long, or a value that is too long. Also a ValueError."""


class IncompatibleError(Error):
    """The operation does not fit the object, or its options do not fit one another."""


class ReadOnlyError(Error):
    """A write through a read-only transaction or environment."""


class BusyError(Error):
    """The object is in use: another thread uses this transaction, this thread has another write
    transaction, or this process has another Environment on the same path."""


class ForkedError(Error):
    """The object was inherited through fork(); open the environment anew in the child."""


class PanicError(Error):
    """A flush or a write failed so that the content of the disk is unknown. The environment
    refuses to write until all processes that write have closed it and it is opened again."""


class BadArgumentError(Error, ValueError):
    """An option or an argument is out of its range. Also a ValueError."""


class BadCursorError(Error):
    """The cursor is not on an entry, or its transaction has ended."""


class UnsupportedError(Error):
    """This version of the library does not support the request."""


class NotSortedError(Error, ValueError):
    """A put with append=True got a key that is not after the last one. Also a ValueError."""


class RecoveryNeededError(Error):
    """The environment was not closed cleanly, and its log holds transactions that only an
    opening for writing can replay: open it once without read_only."""


class OperatingSystemError(Error, OSError):
    """The operating system refused. Also an OSError, with errno and filename."""

    def __init__(
        self,
        message: str,
        code: int,
        page: int | None = None,
        filename: str | None = None,
    ) -> None:
        OSError.__init__(self, code, message)
        self.message = message
        self.code = code
        self.page = page
        self.filename = filename

    def __reduce__(self) -> tuple[t.Any, ...]:
        return type(self), (self.message, self.code, self.page, self.filename)


class PathNotFoundError(OperatingSystemError, FileNotFoundError):
    """There is no environment at the path (ENOENT). Also a FileNotFoundError."""


class PathNotADirectoryError(OperatingSystemError, NotADirectoryError):
    """The path is not a directory (ENOTDIR). Also a NotADirectoryError."""


class PathPermissionError(OperatingSystemError, PermissionError):
    """The files may not be opened (EACCES, EPERM). Also a PermissionError."""


_CLASS_OF_CODE: dict[int, type[Error]] = {
    _abi.KEYEXIST: KeyExistsError,
    _abi.NOT_FOUND: NotFoundError,
    _abi.CORRUPTED: CorruptedError,
    _abi.VERSION_MISMATCH: VersionMismatchError,
    _abi.INVALID: InvalidFileError,
    _abi.FULL: FullError,
    _abi.TXN_FULL: TransactionFullError,
    _abi.READERS_FULL: ReadersFullError,
    _abi.BAD_TXN: BadTransactionError,
    _abi.BAD_HANDLE: BadHandleError,
    _abi.BAD_DB: BadDatabaseError,
    _abi.BAD_VALSIZE: BadValueSizeError,
    _abi.INCOMPATIBLE: IncompatibleError,
    _abi.READ_ONLY: ReadOnlyError,
    _abi.BUSY: BusyError,
    _abi.FORKED: ForkedError,
    _abi.PANIC: PanicError,
    _abi.BAD_ARGUMENT: BadArgumentError,
    _abi.BAD_CURSOR: BadCursorError,
    _abi.UNSUPPORTED: UnsupportedError,
    _abi.NOT_SORTED: NotSortedError,
    _abi.RECOVERY_NEEDED: RecoveryNeededError,
}

_CLASS_OF_ERRNO: dict[int, type[OperatingSystemError]] = {
    errno.ENOENT: PathNotFoundError,
    errno.ENOTDIR: PathNotADirectoryError,
    errno.EACCES: PathPermissionError,
    errno.EPERM: PathPermissionError,
}


def error_from_code(code: int, filename: str | None = None) -> Error:
    """The exception for a result code that a call on this thread has just returned."""
    marked, page = _ffi.last_failure(code)
    message = in_words(marked)
    if code > 0:
        return _CLASS_OF_ERRNO.get(code, OperatingSystemError)(message, code, page, filename)
    return _CLASS_OF_CODE.get(code, Error)(message, code, page)


def make_error(code: int, message: str | None = None) -> Error:
    """The exception for a result code: that of a call on this thread that has just returned it,
    unless there is a message, which this package has made."""
    if message is None:
        return error_from_code(code)
    return _CLASS_OF_CODE.get(code, Error)(message, code)


def check(code: int) -> None:
    """Raises the exception for a result code, unless it is success."""
    if code != _abi.OK:
        raise error_from_code(code)
