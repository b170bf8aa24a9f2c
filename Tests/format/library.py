"""The part of the library's C interface that makes databases of all types."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from pathlib import Path

from zerodb._ffi import library_path

NOT_FOUND = -2
CREATE = 0x40000
FIRST, NEXT = 0, 8


class Val(ctypes.Structure):
    """zdb_val."""

    _fields_ = [("data", c_void_p), ("size", c_size_t)]


_library = ctypes.CDLL(library_path)
for _name, _arguments in {
    "zdb_env_open": (c_char_p, c_void_p, POINTER(c_void_p)),
    "zdb_env_close": (c_void_p,),
    "zdb_txn_begin": (c_void_p, c_void_p, c_uint32, POINTER(c_void_p)),
    "zdb_txn_commit": (c_void_p,),
    "zdb_txn_abort": (c_void_p,),
    "zdb_db_open": (c_void_p, c_char_p, c_uint32, POINTER(c_uint32)),
    "zdb_put": (c_void_p, c_uint32, POINTER(Val), POINTER(Val), c_uint32),
    "zdb_del": (c_void_p, c_uint32, POINTER(Val), POINTER(Val)),
    "zdb_del_range": (c_void_p, c_uint32, POINTER(Val), POINTER(Val), c_void_p),
    "zdb_cursor_open": (c_void_p, c_uint32, POINTER(c_void_p)),
    "zdb_cursor_close": (c_void_p,),
    "zdb_cursor_get": (c_void_p, POINTER(Val), POINTER(Val), c_int),
}.items():
    getattr(_library, _name).argtypes = _arguments
_library.zdb_last_error.restype = c_char_p


class LibraryError(Exception):
    """A call of the library has failed."""


def call(name: str, *arguments: object, allowed: int = 0) -> int:
    """Calls a function, which must return 0 or the code that is allowed."""
    code = int(getattr(_library, name)(*arguments))
    if code not in (0, allowed):
        message = _library.zdb_last_error().decode("utf-8", "replace")
        raise LibraryError(f"{name} returned {code}: {message}")
    return code


def val(data: bytes | None) -> Val | None:
    """A key or value to pass; its memory is that of `data`."""
    if data is None:
        return None
    return Val(ctypes.cast(c_char_p(data), c_void_p), len(data))


class Transaction:
    """A write transaction, or one that reads."""

    def __init__(self, handle: c_void_p) -> None:
        self._handle = handle

    def open(self, name: bytes | None, flags: int = 0) -> int:
        """Opens a database, or makes it one with these flags. None is the main one."""
        database = c_uint32()
        call("zdb_db_open", self._handle, name, flags, byref(database))
        return database.value

    def put(self, database: int, key: bytes, value: bytes) -> None:
        """Puts a pair."""
        call("zdb_put", self._handle, database, val(key), val(value), 0)

    def delete(self, database: int, key: bytes, value: bytes | None = None) -> None:
        """Deletes a pair, or a key with all its values."""
        call("zdb_del", self._handle, database, val(key), val(value))

    def delete_range(self, database: int, low: bytes | None, high: bytes | None) -> None:
        """Deletes the keys from one to another, not included."""
        call("zdb_del_range", self._handle, database, val(low), val(high), None)

    def items(self, database: int) -> Iterator[tuple[bytes, bytes]]:
        """All pairs, in order."""
        cursor, key, value = c_void_p(), Val(), Val()
        call("zdb_cursor_open", self._handle, database, byref(cursor))
        move = FIRST
        try:
            while not call(
                "zdb_cursor_get", cursor, byref(key), byref(value), move, allowed=NOT_FOUND
            ):
                yield (
                    ctypes.string_at(key.data or 0, key.size),
                    ctypes.string_at(value.data or 0, value.size),
                )
                move = NEXT
        finally:
            call("zdb_cursor_close", cursor)


class Library:
    """An environment, open with all defaults."""

    def __init__(self, path: Path) -> None:
        self._handle = c_void_p()
        call("zdb_env_open", str(path).encode(), None, byref(self._handle))

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        call("zdb_env_close", self._handle)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction that commits at the end of the block."""
        handle = c_void_p()
        call("zdb_txn_begin", self._handle, None, 0, byref(handle))
        try:
            yield Transaction(handle)
        except BaseException:
            call("zdb_txn_abort", handle)
            raise
        call("zdb_txn_commit", handle)
