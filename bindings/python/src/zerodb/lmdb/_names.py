"""The names of databases among the keys of the main one, where LMDB's cursors show them.

In ZeroDB they are apart. Programs that list databases do it with a cursor of the main database,
so such a cursor shows them; their values stand for LMDB's records.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Any

import zerodb.lmdb
from zerodb import _abi, _ffi
from zerodb._callbacks import calling_back
from zerodb.lmdb._cursor import Cursor
from zerodb.lmdb._errors import IncompatibleError, check

RECORD = bytes(48)
"""What stands for the record of a database."""
_END = None
"""Stands for the place after all keys."""


def names_of(txn: zerodb.lmdb.Transaction) -> list[bytes]:
    """The names of the databases that a transaction sees, in order."""
    names: list[bytes] = []

    def add(name: bytes, stat: object) -> None:
        names.append(name)

    check(calling_back(txn._call, _ffi.db_list, _abi.DbListFunction, add))
    return names


def with_names(cursor: Cursor) -> Cursor:
    """The cursor, or in its place one that shows names: if it is one of the main database, and
    there are any."""
    database = cursor.database
    if database is not None and (database._handle != _abi.MAIN_DB or database._flags):
        return cursor
    txn = cursor.transaction
    names = names_of(txn)
    if not names:
        return cursor
    cursor.close()
    shows_names = NamesCursor(database, txn)
    shows_names._names = names
    shows_names._fail(b"")
    return shows_names


class NamesCursor(Cursor):
    """A cursor of the main database that shows the names of databases too.

    It goes by the key that it is on, and searches for it in both at each move.
    """

    __slots__ = ("_is_on", "_name", "_names", "_place")

    _names: list[bytes]
    _is_on: bool
    """Whether the cursor is on a name or an entry."""
    _name: bytes | None
    """The name that it is on; None if it is on an entry."""
    _place: bytes | None
    """From where it goes on if it is not on an entry: the last key that it was on."""

    # ------------------------------------------------------------------ moving

    def first(self) -> bool:
        return self._to_smaller(super().first(), 0, b"")

    def last(self) -> bool:
        return self._to_larger(super().last(), len(self._names) - 1, _END)

    def next(self) -> bool:
        place = self._where()
        if place is None:  # as _END
            return self._fail(_END)
        if self._is_on and self._name is None:
            return self._to_smaller(super().next(), bisect_right(self._names, place), place)
        found = super().set_range(place)
        if found and bytes(super().key()) == place:
            found = super().next()
        return self._to_smaller(found, bisect_right(self._names, place), place)

    def prev(self) -> bool:
        place = self._where()
        if not place:
            return self.last() if place is _END or not self._is_on else self._fail(place)
        if self._is_on and self._name is None:
            found = super().prev()
        else:
            found = super().prev() if super().set_range(place) else super().last()
        return self._to_larger(found, bisect_left(self._names, place) - 1, place)

    def next_nodup(self) -> bool:
        return self.next()

    def prev_nodup(self) -> bool:
        return self.prev()

    def next_dup(self) -> bool:
        return self.next()

    def prev_dup(self) -> bool:
        return self.prev()

    def set_key(self, key: Any, /) -> bool:
        wanted = bytes(key)
        if wanted in self._names:
            self._is_on, self._name, self._place = True, wanted, wanted
            return True
        if not super().set_key(key):
            return self._fail(wanted)
        self._is_on, self._name, self._place = True, None, wanted
        return True

    def set_range(self, key: Any, /) -> bool:
        at = bisect_left(self._names, bytes(key))
        return self._to_smaller(super().set_range(key), at, _END)

    # ----------------------------------------------------------------- reading

    def key(self) -> Any:
        if self._name is not None:
            return self._given(self._name)
        return super().key() if self._is_on else self._given(b"")

    def value(self) -> Any:
        if self._name is not None:
            return self._given(RECORD)
        return super().value() if self._is_on else self._given(b"")

    def item(self) -> Any:
        if self._is_on and self._name is None:
            return super().item()
        return self.key(), self.value()

    def get(self, key: Any, default: Any = None) -> Any:
        return self.value() if self.set_key(key) else default

    def __iter__(self) -> Iterator[Any]:
        return self.iternext()

    def iternext(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        return self._merged(True, keys is None or keys, values is None or values)

    def iterprev(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        return self._merged(False, keys is None or keys, values is None or values)

    def iternext_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]:
        return self.iternext(keys, bool(values))

    def iterprev_nodup(self, keys: bool = True, values: bool = False) -> Iterator[Any]:
        return self.iterprev(keys, bool(values))

    def iternext_dup(self, keys: bool = False, values: bool = True) -> Iterator[Any]:
        return self._from_here(True, bool(keys), values is None or values)

    def iterprev_dup(self, keys: bool = False, values: bool = True) -> Iterator[Any]:
        return self._from_here(False, bool(keys), values is None or values)

    # ----------------------------------------------------------------- writing

    def put(self, key: Any, value: Any, *arguments: Any, **named: Any) -> bool:
        self._refuse(key)
        put: bool = super().put(key, value, *arguments, **named)
        self._is_on, self._name, self._place = True, None, bytes(key)
        return put

    def putmulti(self, items: Iterable[Any], *arguments: Any, **named: Any) -> tuple[int, int]:
        counts = super().putmulti(items, *arguments, **named)
        self._is_on, self._name = bool(counts[0]), None
        self._place = bytes(super().key())
        return counts

    def replace(self, key: Any, value: Any) -> Any:
        self._refuse(key)
        replaced = self.transaction.replace(key, value, self.database)
        self.set_key(key)
        return replaced

    def pop(self, key: Any) -> Any:
        self._refuse(key)
        popped = self.transaction.pop(key, self.database)
        self.set_range(key)
        return popped

    def delete(self, dupdata: bool = False) -> bool:
        if not self._is_on:
            return False
        key = bytes(self.key())
        self._refuse(key)
        super().delete(dupdata)
        self.set_range(key)
        return True

    # ----------------------------------------------------------------- private

    def _given(self, data: bytes) -> Any:
        """Bytes as the transaction gives them; raises if the cursor has ended."""
        super().key()
        return memoryview(data) if self.transaction._buffers else data

    def _fail(self, place: bytes | None) -> bool:
        self._is_on, self._name, self._place = False, None, place
        return False

    def _to_smaller(self, found: bool, at: int, place: bytes | None) -> bool:
        """Moves to the smaller of the entry that was found and the name at an index."""
        key = bytes(super().key()) if found else None
        name = self._names[at] if at < len(self._names) else None
        return self._choose(key, name, place, name is not None and (key is None or name < key))

    def _to_larger(self, found: bool, at: int, place: bytes | None) -> bool:
        """Moves to the larger of the two."""
        key = bytes(super().key()) if found else None
        name = self._names[at] if at >= 0 else None
        return self._choose(key, name, place, name is not None and (key is None or name > key))

    def _choose(
        self, key: bytes | None, name: bytes | None, place: bytes | None, by_name: bool
    ) -> bool:
        if key is None and name is None:
            return self._fail(place)
        self._is_on, self._name = True, name if by_name else None
        self._place = name if by_name else key
        return True

    def _where(self) -> bytes | None:
        """From where the cursor goes on."""
        if self._is_on and self._name is None:
            return bytes(super().key())
        return self._place

    def _merged(self, forward: bool, keys: bool, values: bool) -> Iterator[Any]:
        """The entries and the names from the one that the cursor is on."""
        if not self._is_on and not (self.first() if forward else self.last()):
            return iter(())
        place, on_name = self._where() or b"", self._name is not None
        edge: bytes | None
        if forward:
            names = self._names[bisect_left(self._names, place) :]
            edge = bytes(super().key()) if super().last() else b""
        else:
            names = self._names[: bisect_right(self._names, place)][::-1]
            edge = bytes(super().key()) if super().first() else None
        # Those behind all entries need not be compared with each of these.
        between = [name for name in names if edge is not None and (name < edge) is forward]
        behind = names[len(between) :]
        found = super().set_range(place)
        if on_name and not forward:
            found = super().prev() if found else super().last()
        walk = super().iternext if forward else super().iterprev
        entries = walk(True, values) if found else iter(())
        merged = self._until_names_end(entries, between[::-1], forward, keys, values)
        rest = map(itemgetter(1), entries) if values and not keys else entries
        last = (self._on_name(name, keys, values) for name in behind)
        return chain(merged, rest, last, self._at_end(forward))

    def _from_here(self, forward: bool, keys: bool, values: bool) -> Iterator[Any]:
        """The same, but nothing if the cursor is on none."""
        self._given(b"")
        if self._is_on:
            yield from self._merged(forward, keys, values)

    def _until_names_end(
        self,
        entries: Iterator[Any],
        names: list[bytes],
        forward: bool,
        keys: bool,
        values: bool,
    ) -> Iterator[Any]:
        """Entries as long as there are names, and these between them."""
        while names:
            entry = next(entries, None)
            if entry is None:
                yield self._on_name(names.pop(), keys, values)
                continue
            key = bytes(entry[0] if values else entry)
            while names and (names[-1] < key) is forward:
                yield self._on_name(names.pop(), keys, values)
            self._is_on, self._name = True, None
            yield entry if keys or not values else entry[1]
        self._is_on, self._name = True, None

    def _at_end(self, forward: bool) -> Iterator[Any]:
        """Gives nothing, and leaves the cursor on nothing, behind what it was on last."""
        if self.last() if forward else self.first():
            self._fail(self._where())
        return
        yield

    def _on_name(self, name: bytes, keys: bool, values: bool) -> Any:
        self._is_on, self._name, self._place = True, name, name
        return self.item() if keys and values else self.value() if values else self.key()

    def _refuse(self, key: Any) -> None:
        if bytes(key) in self._names:
            raise IncompatibleError(
                f"{bytes(key)!r} is the name of a database, which drop() deletes"
            )
