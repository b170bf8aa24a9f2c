"""Cursors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._pure.packed import ITEMS, KEYS, VALUES
from zerodb._pure.state import TransactionState
from zerodb._pure.values import add_view, read_value
from zerodb._pure.walks import NOWHERE, OVER_ENTRIES, Walks


class CursorCore(Walks):
    """A position in one database of one transaction."""

    __slots__ = (
        "__weakref__",
        "_buffers",
        "_entry",
        "_handle",
        "_lmdb_style",
        "_state",
        "database",
        "transaction",
    )

    def __init__(self, db: t.Any, txn: t.Any) -> None:
        if hasattr(self, "_state"):
            return  # it has been opened
        self._handle: int | None = None
        # Nothing else has this, nor has a transaction that has not begun.
        if not hasattr(txn, "_open_cursors"):
            raise TypeError(f"txn must be a transaction, not {type(txn).__name__}")
        database = txn._database(db)
        self.transaction = txn
        self.database = db
        self._state: TransactionState = txn._state
        self._buffers: bool = txn._buffers
        self._lmdb_style: bool = txn.environment._lmdb_style
        self._unset = True
        self._pointer: t.Any = None
        self._is_sought = False
        self._expected: int = txn.environment._expected
        self._flags: int | None = None if db is None else db._flags
        try:
            self._entry = _ffi.entries.pop()
        except IndexError:
            self._entry = _ffi.Entry()
        self._open(database)

    def _open(self, database: int) -> None:
        state = self._state
        inside: dict[int, t.Any] = {}
        try:
            opened = _ffi.handles.pop()
        except IndexError:
            opened = _ffi.Handle()
        try:
            if state.lock.setdefault(0, inside) is not inside:
                state.enter(inside)
            if state.handle is None:
                raise state.ended()
            code = state.calls.cursor_open(state.handle, database, opened.reference)
            if code != _abi.OK:
                raise state.error(code)
        finally:
            # Also if a signal handler raises when the cursor has just been opened.
            try:
                handle = opened.value
                if handle is not None:
                    state.add_cursor(handle)
                    self._handle = handle
                opened.free()
            finally:
                if state.lock.get(0) is inside:
                    del state.lock[0]

    # ------------------------------------------------------------------ moving

    def first(self) -> t.Any:
        """Moves to the first entry."""
        return self._move(_abi.CURSOR_FIRST)

    def last(self) -> t.Any:
        """Moves to the last entry."""
        return self._move(_abi.CURSOR_LAST)

    def next(self) -> t.Any:
        """Moves to the next entry, or to the first if the cursor is on none yet."""
        return self._move(_abi.CURSOR_NEXT)

    def prev(self) -> t.Any:
        """Moves to the entry before, or to the last if the cursor is on none yet."""
        return self._move(_abi.CURSOR_PREV)

    def first_dup(self) -> t.Any:
        """Moves to the first value of the key."""
        return self._move(_abi.CURSOR_FIRST_DUP)

    def last_dup(self) -> t.Any:
        """Moves to the last value of the key."""
        return self._move(_abi.CURSOR_LAST_DUP)

    def next_dup(self) -> t.Any:
        """Moves to the next value of the key."""
        return self._move(_abi.CURSOR_NEXT_DUP)

    def prev_dup(self) -> t.Any:
        """Moves to the value of the key before this one."""
        return self._move(_abi.CURSOR_PREV_DUP)

    def next_nodup(self) -> t.Any:
        """Moves to the first value of the next key."""
        return self._move(_abi.CURSOR_NEXT_NODUP)

    def prev_nodup(self) -> t.Any:
        """Moves to the last value of the key before."""
        return self._move(_abi.CURSOR_PREV_NODUP)

    def set_key(self, key: t.Buffer, /) -> t.Any:
        """Moves to the entry with exactly this key, and to the first of its values."""
        return self._move(_abi.CURSOR_SET_KEY, key)

    def set_key_dup(self, key: t.Buffer, value: t.Buffer) -> t.Any:
        """Moves to the entry with exactly this key and value."""
        return self._move(_abi.CURSOR_GET_BOTH, key, value)

    def _seek_range(self, key: t.Buffer) -> t.Any:
        size = _ffi.size_of(key, "key")
        if not size:
            return self._move(_abi.CURSOR_FIRST)
        longest = self.transaction.environment._max_key_size
        if self._lmdb_style and size > longest:
            wanted = bytes(key)[:longest]
            found = self._move(_abi.CURSOR_SET_RANGE, wanted)
            # No other key is between its longest prefix and it.
            return self.next() if found and self.key() == wanted else found
        return self._move(_abi.CURSOR_SET_RANGE, key)

    def set_range_dup(self, key: t.Buffer, value: t.Buffer) -> t.Any:
        """Moves to the first value of exactly this key that is at or after `value`."""
        return self._move(_abi.CURSOR_GET_BOTH_RANGE, key, value)

    # ----------------------------------------------------------------- reading

    def item(self) -> t.Any:
        """The key and the value that the cursor is on."""
        return self._current(ITEMS)

    def key(self) -> t.Any:
        """The key that the cursor is on."""
        return self._current(KEYS)

    def value(self) -> t.Any:
        """The value that the cursor is on."""
        return self._current(VALUES)

    def get(self, key: t.Buffer, default: t.Any = None) -> t.Any:
        """Moves to a key and returns its first value, or `default` if the key is not there."""
        found = self._move(_abi.CURSOR_SET_KEY, key)
        return self.value() if found else default

    def count(self) -> int:
        """The number of values of the key that the cursor is on."""
        number = _ffi.new_long_count()
        code = self._call(self._state.calls.cursor_count, _ffi.reference(number))
        if code != _abi.OK:
            raise self._state.error(code)
        counted: int = number.value
        return counted

    # --------------------------------------------------------------- iterating

    def __iter__(self) -> Iterator[t.Any]:
        return Walks.iternext(self)

    def iterprev(self, keys: bool = True, values: bool = True) -> Iterator[t.Any]:
        """The entries from the one that the cursor is on, or from the last, to the first."""
        return self._walk(_abi.CURSOR_PREV, keys, values)

    def iternext_dup(self, keys: bool = False, values: bool = True) -> Iterator[t.Any]:
        """The values of the key from the one that the cursor is on to the last."""
        return self._walk(_abi.CURSOR_NEXT_DUP, keys, values)

    def iterprev_dup(self, keys: bool = False, values: bool = True) -> Iterator[t.Any]:
        """The values of the key from the one that the cursor is on to the first."""
        return self._walk(_abi.CURSOR_PREV_DUP, keys, values)

    def iternext_nodup(self, keys: bool = True, values: bool = False) -> Iterator[t.Any]:
        """Each key once, from the one that the cursor is on, or the first, to the last."""
        return self._walk(_abi.CURSOR_NEXT_NODUP, keys, values)

    def iterprev_nodup(self, keys: bool = True, values: bool = False) -> Iterator[t.Any]:
        """Each key once, from the one that the cursor is on, or the last, to the first."""
        return self._walk(_abi.CURSOR_PREV_NODUP, keys, values)

    # ----------------------------------------------------------------- writing

    def put(
        self,
        key: t.Buffer,
        value: t.Buffer,
        dupdata: bool = True,
        overwrite: bool = True,
        append: bool = False,
    ) -> bool:
        """Puts an entry and moves to it."""
        dupdata = dupdata is None or dupdata
        overwrite = overwrite is None or overwrite
        flags = self._put_flags(dupdata, overwrite, append)
        if self._lmdb_style and not _ffi.size_of(value, "value"):
            self.transaction._check_empty(self.database)
        code = self._call(self._put, key, value, flags, write=True)
        return self._was_put(code, dupdata, overwrite)

    def set_value(self, value: t.Buffer) -> None:
        """Replaces the value that the cursor is on."""
        code = self._call(self._put, b"", value, _abi.CURRENT, write=True)
        if code != _abi.OK:
            raise self._state.error(code)

    def delete(self, dupdata: bool = False) -> t.Any:
        """Deletes the entry that the cursor is on, with `dupdata` all values of its key."""
        if self._lmdb_style and not self._is_somewhere():
            return False
        flags = _abi.NODUPDATA if dupdata and self._duplicates() else 0
        code = self._call(self._state.calls.cursor_delete, flags, write=True)
        if code != _abi.OK:
            raise self._state.error(code)
        if self._lmdb_style:
            self._move(_abi.CURSOR_NEXT)
        return True

    def replace(self, key: t.Buffer, value: t.Buffer) -> t.Any:
        """Puts an entry, moves to it and returns the value that it replaces, or None."""
        old = self.get(key)
        if old is not None and self._buffers:
            old = self._lasting(old)
        self.put(key, value)
        if old is not None and self._duplicates():
            # A value that is refused takes the place of none: all go once the new one is there.
            self.delete(True)
            self.put(key, value)
        return old

    def pop(self, key: t.Buffer) -> t.Any:
        """Deletes a key and returns its value, or None if the key is not there."""
        if not self._move(_abi.CURSOR_SET_KEY, key):
            return None
        old = self.value()
        if self._buffers:
            old = self._lasting(old)
        self.delete()
        return old

    def _lasting(self, view: t.Any) -> t.Any:
        """A copy of a value that is about to go; py-lmdb's is bytes."""
        copy = bytes(view)
        return copy if self._lmdb_style else memoryview(copy)

    # --------------------------------------------------------------- many at once

    def getmulti(
        self,
        keys: Iterable[t.Buffer],
        dupdata: bool = False,
        dupfixed_bytes: int | None = None,
        keyfixed: bool = False,
    ) -> t.Any:
        """A list of the keys that are there, each with its first value, or with `dupdata` with
        each of its values.

        :param dupfixed_bytes: the size of a value, in a database with ``dupfixed``.
        :param keyfixed: with `dupfixed_bytes`: all keys have one size, and the result is a
            bytearray of keys and values one after the other.
        """
        found: list[t.Any] = []
        if not dupdata and not dupfixed_bytes:
            pairs: list[t.Any] = self.transaction._get_pairs(keys, self.database)
            return pairs
        if dupfixed_bytes and keyfixed:
            keys = list(keys)
            joined = self.transaction._get_fixed(keys, dupfixed_bytes, self.database)
            if joined is not None:
                return bytearray(joined)
        for key in keys:
            if not self._move(_abi.CURSOR_SET_KEY, key):
                continue
            found.extend(self.iternext_dup(True, True))
        if dupfixed_bytes and keyfixed:
            return bytearray().join(part for item in found for part in item)
        return found

    def putmulti(
        self,
        items: Iterable[tuple[t.Buffer, t.Buffer]],
        dupdata: bool = True,
        overwrite: bool = True,
        append: bool = False,
    ) -> tuple[int, int]:
        """Puts many entries; returns how many there were and how many were put."""
        done: tuple[int, int] = self.transaction.put_many(
            items, dupdata, overwrite, append, self.database
        )
        return done

    # ---------------------------------------------------------------- lifetime

    def close(self) -> None:
        """Closes the cursor. Closing it again does nothing."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        state = self._state
        if state.inherited:
            return

        def close_handle() -> None:
            ahead = state.ahead.get(handle)
            if ahead is not None:
                del state.ahead[handle]
                self._learn(ahead)
                self.transaction.environment._expected = self._expected
                ahead.forget()
            if handle in state.cursors:
                state.cursors.remove(handle)
                state.calls.cursor_close(handle)
                _ffi.entries.append(self._entry)

        # If another thread is inside, or this one is and the garbage collector came between,
        # the transaction closes the cursor when it ends.
        state.attempt(close_handle)

    def __enter__(self) -> t.Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    # ----------------------------------------------------------------- private

    def _move(self, operation: int, key: t.Any = None, value: t.Any = None) -> t.Any:
        has_key = operation in _SEEKS
        has_value = operation in _PAIR_SEEKS
        state = self._state
        inside: dict[int, t.Any] = {}
        try:
            if state.lock.setdefault(0, inside) is not inside:
                state.enter(inside)
            handle = self._handle
            if handle is None or state.handle is None:
                raise self._closed()
            if state.ahead:
                if operation in _ABSOLUTE:
                    state.forget_one(handle)
                else:
                    state.bring_back(handle)
            held = _ffi.point_at(self._entry.key_input, key, "key") if has_key else None
            held_value = None
            if has_value:
                held_value = _ffi.point_at(self._entry.value_input, value, "value")
            entry = self._entry
            code = state.calls.cursor_get(
                handle, entry.key_reference, entry.value_reference, operation
            )
            del held, held_value
            instead = _INSTEAD.get(code, {}).get(operation) if self._lmdb_style else None
            if instead is not None:
                code = state.calls.cursor_get(
                    handle, entry.key_reference, entry.value_reference, instead
                )
            if code == _abi.OK:
                self._unset = False
                if self._lmdb_style:
                    return True
                if has_value:
                    # The library returns no key then.
                    code = state.calls.cursor_get(
                        handle, entry.key_reference, None, _abi.CURSOR_GET_CURRENT
                    )
                return self._read(ITEMS)
        finally:
            if state.lock.get(0) is inside:
                del state.lock[0]
        if code == _abi.NOT_FOUND:
            self._unset = True
            return False if self._lmdb_style else None
        if self._lmdb_style:
            if code == _abi.BAD_CURSOR and operation not in _NEED_ENTRY:
                return False
            if has_key and self.transaction._is_too_long(code, key):
                self._unset = True
                return False
        raise state.error(code)

    def _is_somewhere(self) -> bool:
        """Whether the cursor is on an entry, as LMDB sees it: on the one after it if its entry
        has been deleted."""
        if self._unset:
            self._call(lambda handle: _abi.OK)  # raises if the cursor has ended
            if self._state.inherited:
                raise self._state.forked("cursor")
            return False
        code = self._call(self._state.calls.cursor_get, None, None, _abi.CURSOR_GET_CURRENT)
        return code == _abi.OK or bool(self._move(_abi.CURSOR_NEXT))

    def _read(self, want: int) -> t.Any:
        """What the library has returned in the cursor's structures."""
        state = self._state
        found = self._entry.key
        if want == VALUES:
            return read_value(state, self._entry.value, self._buffers)
        key: t.Any = _ffi.copy_bytes(found.data, found.size)
        if self._buffers:
            key = memoryview(key)
            add_view(state, key)
        if want == KEYS:
            return key
        return key, read_value(state, self._entry.value, self._buffers)

    def _current(self, want: int) -> t.Any:
        state = self._state
        inside: dict[int, t.Any] = {}
        try:
            if state.lock.setdefault(0, inside) is not inside:
                state.enter(inside)
            handle = self._handle
            if handle is None or state.handle is None:
                raise self._closed()
            if state.ahead:
                ahead = state.ahead.get(handle)
                known = None if ahead is None else ahead.current
                if known is not None and not state.inherited:
                    return known if want == ITEMS else known[want - KEYS]
                state.bring_back(handle)
            if self._lmdb_style and self._unset:
                if state.inherited:
                    raise state.forked("cursor")
                code = _abi.BAD_CURSOR
            else:
                code = state.calls.cursor_get(
                    handle,
                    self._entry.key_reference,
                    None if want == KEYS else self._entry.value_reference,
                    _abi.CURSOR_GET_CURRENT,
                )
                if code in NOWHERE and self._lmdb_style:
                    # Its entry has been deleted: LMDB's cursor is on the one after that.
                    code = state.calls.cursor_get(
                        handle,
                        self._entry.key_reference,
                        self._entry.value_reference,
                        _abi.CURSOR_NEXT,
                    )
                    self._unset = code != _abi.OK
            if code == _abi.OK:
                return self._read(want)
        finally:
            if state.lock.get(0) is inside:
                del state.lock[0]
        if code not in NOWHERE:
            raise state.error(code)
        if self._lmdb_style:
            empty: t.Any = memoryview(b"") if self._buffers else b""
            return (empty, empty) if want == ITEMS else empty
        raise state.make_error(
            _abi.BAD_CURSOR, "the cursor is on no entry; move it to one first"
        )

    def _call(
        self, function: t.Callable[..., int], *arguments: t.Any, write: bool = False
    ) -> int:
        """Calls a function with the cursor's handle and `arguments`, from inside."""
        state = self._state
        inside: dict[int, t.Any] = {}
        try:
            if state.lock.setdefault(0, inside) is not inside:
                state.enter(inside)
            if self._handle is None or state.handle is None:
                raise self._closed()
            if write:
                state.before_write()
            elif state.ahead:
                state.bring_back(self._handle)
            return function(self._handle, *arguments)
        finally:
            if state.lock.get(0) is inside:
                del state.lock[0]

    def _put(self, handle: int, key: t.Buffer, value: t.Buffer, flags: int) -> int:
        # Held through the call: the library reads through the addresses of these.
        held = (
            _ffi.point_at(self._entry.key_input, key, "key"),
            _ffi.point_at(self._entry.value_input, value, "value"),
        )
        code: int = self._state.calls.cursor_put(
            handle, self._entry.key_reference, self._entry.value_reference, flags
        )
        self._entry.value_input.data = None
        del held
        if code in (_abi.OK, _abi.KEYEXIST):
            self._unset = False
        return code

    def _put_flags(self, dupdata: bool, overwrite: bool, append: bool) -> int:
        flags = 0 if overwrite else _abi.NOOVERWRITE
        if append:
            flags |= _abi.APPENDDUP if self._duplicates() else _abi.APPEND
        if not dupdata and self._duplicates():
            flags |= _abi.NODUPDATA
        return flags

    def _was_put(self, code: int, dupdata: bool, overwrite: bool) -> bool:
        if code == _abi.OK:
            return True
        if code == _abi.KEYEXIST and not (overwrite and dupdata):
            return False
        if code == _abi.NOT_SORTED and self._lmdb_style:
            return False
        raise self._state.error(code)

    def _duplicates(self) -> bool:
        flags = self._flags
        if flags is None:
            self._flags = flags = int(self.transaction._database_flags(self.database))
        return bool(flags & _abi.DUPSORT)

    def _closed(self) -> BaseException:
        """The error for using the cursor after its end."""
        state = self._state
        if state.inherited:
            return state.forked("cursor")
        if self._handle is None:
            return state.make_error(_abi.BAD_HANDLE, "the cursor is closed; open another one")
        return state.make_error(
            _abi.BAD_CURSOR,
            f"the cursor's transaction {state.outcome}; begin another one and open a cursor "
            "in it",
        )


_SEEKS = frozenset(
    (
        _abi.CURSOR_SET,
        _abi.CURSOR_SET_KEY,
        _abi.CURSOR_SET_RANGE,
        _abi.CURSOR_GET_BOTH,
        _abi.CURSOR_GET_BOTH_RANGE,
    )
)
_ABSOLUTE = _SEEKS | {_abi.CURSOR_FIRST, _abi.CURSOR_LAST}
"""Moves that do not depend on where the cursor is."""
_NEED_ENTRY = frozenset((_abi.CURSOR_FIRST_DUP, _abi.CURSOR_LAST_DUP))
_INSTEAD: dict[int, dict[int, int]] = {
    # It has been on no entry.
    _abi.BAD_CURSOR: {
        _abi.CURSOR_NEXT_DUP: _abi.CURSOR_FIRST,
        _abi.CURSOR_PREV_DUP: _abi.CURSOR_LAST,
    },
    # Keys have one value.
    _abi.INCOMPATIBLE: OVER_ENTRIES,
}
"""By the library's result and the move: what LMDB's cursor does."""
_PAIR_SEEKS = frozenset((_abi.CURSOR_GET_BOTH, _abi.CURSOR_GET_BOTH_RANGE))
