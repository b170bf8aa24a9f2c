"""Cursors, as py-lmdb has them.

What programs call most is the core's, without a frame of Python in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import zerodb.lmdb
from zerodb import _abi, _ffi
from zerodb._core import CursorCore, implementation
from zerodb.lmdb._database import _Database
from zerodb.lmdb._errors import BadValsizeError, Error, check

_CHUNK = 4096


class Cursor(CursorCore):
    """A position in a database, from :meth:`Transaction.cursor`.

    It begins on no entry, and is on none after a move that returned False: then its key and its
    value are empty.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        transaction: zerodb.lmdb.Transaction

    @property
    def db(self) -> _Database:
        """The database."""
        database: _Database | None = self.database
        if database is None:
            database = self.transaction.environment.open_db(txn=self.transaction)
        return database

    @property
    def txn(self) -> zerodb.lmdb.Transaction:
        """The transaction."""
        return self.transaction

    def getmulti(
        self,
        keys: Iterable[Any],
        dupdata: bool = False,
        dupfixed_bytes: int | None = None,
        keyfixed: bool = False,
        values: bool = True,
    ) -> Any:
        """A list of the keys that are there, each with its value.

        :param dupdata: with all its values, in a database with ``dupsort``.
        :param dupfixed_bytes: the size of each value, in a database with ``dupfixed``.
        :param keyfixed: all keys have one size, too: a memoryview of keys and values, one after
            the other.
        :param values: False for a list of the keys alone.
        """
        values = values is None or values
        if (dupfixed_bytes or keyfixed) and not (dupdata and dupfixed_bytes):
            raise TypeError("keyfixed needs dupfixed_bytes, and that needs dupdata")
        if dupdata and not values:
            raise TypeError(
                "values=False gives keys without their duplicates: not with dupdata"
            )
        if dupfixed_bytes is not None and dupfixed_bytes < 0:
            raise OverflowError("dupfixed_bytes must not be negative")
        if dupfixed_bytes:
            return self._get_fixed(keys, dupfixed_bytes, keyfixed)
        if not values:
            return [self.key() for key in keys if self.set_key(key)]
        if implementation == "native":
            return super().getmulti(keys, dupdata and self._has_duplicates())
        if dupdata and self._has_duplicates():
            return [item for key in keys if self.set_key(key) for item in self._pairs()]
        wanted = list(keys)
        found = self.transaction.get_many(wanted, None, self.database)
        view = memoryview if self.transaction._buffers else bytes
        return [
            (key if type(key) is view else view(bytes(key)), value)
            for key, value in zip(wanted, found)
            if value is not None
        ]

    def putmulti(
        self,
        items: Iterable[tuple[Any, Any]],
        dupdata: bool = True,
        overwrite: bool = True,
        append: bool = False,
    ) -> tuple[int, int]:
        """Puts many entries. Returns how many there were, and how many were put."""
        dupdata = dupdata is None or dupdata
        overwrite = overwrite is None or overwrite
        consumed = added = 0
        last = None
        failure: BaseException | None = None
        duplicates = self._has_duplicates()
        iterator = iter(items)
        put_many = self.transaction.put_many
        is_last = False
        while not is_last:
            chunk: list[tuple[Any, Any]] = []
            try:
                chunk.extend(islice(iterator, _CHUNK))
            except BaseException as raised:
                # What came before it is in the list, and is put.
                failure = raised
            is_last = len(chunk) < _CHUNK
            if not _are_pairs(chunk, duplicates):
                place, wrong = _first_wrong(chunk, duplicates)
                if wrong is not None:
                    del chunk[place:]
                    failure, is_last = wrong, True
            if not chunk:
                break
            try:
                counts = put_many(chunk, dupdata, overwrite, append, self.database)
            except Exception:
                with suppress(Error):
                    place = self._put_until_failure(chunk, dupdata, overwrite, append)
                    last = chunk[place - 1] if place else last
                    self._settle(last, duplicates, dupdata, overwrite, append)
                raise
            consumed += counts[0]
            added += counts[1]
            last = chunk[-1]
        if failure is not None:
            with suppress(Error):
                self._settle(last, duplicates, dupdata, overwrite, append)
            raise failure
        self._settle(last, duplicates, dupdata, overwrite, append)
        return consumed, added

    def _put_until_failure(
        self, items: list[tuple[Any, Any]], dupdata: bool, overwrite: bool, append: bool
    ) -> int:
        """Puts what has been put once more, which changes nothing, up to what cannot be put;
        returns its index."""
        for place, (key, value) in enumerate(items):
            try:
                self.put(key, value, dupdata, overwrite, append)
            except Exception:
                return place
        return len(items)

    def _settle(
        self,
        item: tuple[Any, Any] | None,
        duplicates: bool,
        dupdata: bool,
        overwrite: bool,
        append: bool,
    ) -> None:
        """Moves to where LMDB's cursor is when it has put an entry, or has refused to."""
        if item is None:
            return
        key, value = item
        if append and not duplicates:
            self.last()
        elif append:
            if self.set_key(key):
                self.last_dup()
        elif not (dupdata and overwrite):
            # It is there, so that this only moves to it.
            self.put(key, value, dupdata, overwrite)
        elif duplicates:
            self.set_key_dup(key, value)
        else:
            self.set_key(key)

    def _iter_from(self, k: Any, reverse: bool) -> Iterator[tuple[Any, Any]]:
        """The entries from the first at or after a key to the last, or to the first; backwards
        from the last if there is none."""
        found = self.set_range(k)
        if not reverse:
            return self.iternext() if found else iter(())
        if not found:
            self.last()
        return self.iterprev()

    def __reduce__(self) -> Any:
        raise TypeError("a cursor cannot be copied or pickled; open another one")

    # ----------------------------------------------------------------- private

    def _has_duplicates(self) -> bool:
        return bool(self.db._flags & _abi.DUPSORT)

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        return self.iternext_dup(True, True)

    def _get_fixed(self, keys: Iterable[Any], size: int, joined: bool) -> Any:
        """All values of keys where values have one size."""
        found: list[Any] = []
        keys = list(keys)
        if joined and all(type(key) is bytes for key in keys) and len(set(map(len, keys))) < 2:
            everything = self.transaction._get_fixed(keys, size, self.database)
            if everything is not None:
                return memoryview(everything)
        width: int | None = None
        for key in keys:
            if not self.set_key(key):
                continue
            stored = bytes(self.key())
            if joined and len(stored) != (width if width is not None else len(stored)):
                raise ValueError(
                    f"with keyfixed all keys have one size: {stored!r} has {len(stored)} "
                    f"bytes, and those before have {width}"
                )
            width = len(stored)
            for block in self._blocks():
                if joined:
                    found.append(_interleaved(stored, block, size))
                else:
                    found.extend(
                        (stored, block[at : at + size]) for at in range(0, len(block), size)
                    )
        if joined:
            return memoryview(b"".join(found))
        if self.transaction._buffers:
            return [(memoryview(key), memoryview(value)) for key, value in found]
        return found

    def _blocks(self) -> Iterator[bytes]:
        """The values of the key that the cursor is on, those of a page at a time."""
        value = _abi.Val()
        operation = _abi.CURSOR_GET_MULTIPLE
        while True:
            code = self._call(_ffi.keeping.cursor_get, None, _ffi.reference(value), operation)
            if code == _abi.NOT_FOUND:
                return
            check(code)
            yield _ffi.val_bytes(value) or b""
            operation = _abi.CURSOR_NEXT_MULTIPLE


def _are_pairs(items: list[Any], duplicates: bool) -> bool:
    """Whether all are pairs, and where keys have several values these are not empty."""
    if set(map(type, items)) != {tuple} or set(map(len, items)) != {2}:
        return not items
    try:
        return not duplicates or 0 not in map(len, map(itemgetter(1), items))
    except TypeError:
        return False


def _first_wrong(items: list[Any], duplicates: bool) -> tuple[int, BaseException | None]:
    """The first of which that is not so, and the error for it; None if a put says what is wrong
    with it."""
    for place, item in enumerate(items):
        if type(item) is not tuple or len(item) != 2:
            error = "putmulti() takes pairs: tuples of a key and a value"
            return place, TypeError(error)
        if duplicates and hasattr(item[1], "__len__") and len(item[1]) == 0:
            error = "a value of a database with dupsort is not empty"
            return place, BadValsizeError(error)
    return len(items), None


def _interleaved(key: bytes, values: bytes, size: int) -> bytes:
    """The key before each value. Slices with a step copy at the speed of C."""
    width = len(key) + size
    count = len(values) // size
    joined = bytearray(width * count)
    for at, byte in enumerate(key):
        joined[at::width] = bytes((byte,)) * count
    for at in range(size):
        joined[len(key) + at :: width] = values[at : count * size : size]
    return bytes(joined)
