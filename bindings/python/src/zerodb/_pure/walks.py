"""Iterations of a cursor.

A cursor reads entries in advance, the more the longer an iteration goes on. When the program
uses it in another way, or writes, it is first brought back to where the program thinks it is.

A program that moves to a key and then iterates, again and again, is likely to go on so: then
the move itself reads as many entries as such an iteration has come to last.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._pure.packed import (
    ITEMS,
    KEYS,
    VALUES,
    buffers,
    read_from,
    read_packed,
    take_buffer,
)
from zerodb._pure.state import Ahead, Sought, TransactionState
from zerodb._ranges import compare

TYPE_CHECKING = False

NOWHERE = frozenset((_abi.BAD_CURSOR, _abi.NOT_FOUND))
"""Results that say that a cursor is on no entry."""
_BACK = {
    _abi.CURSOR_NEXT: _abi.CURSOR_PREV,
    _abi.CURSOR_PREV: _abi.CURSOR_NEXT,
    _abi.CURSOR_NEXT_DUP: _abi.CURSOR_PREV_DUP,
    _abi.CURSOR_PREV_DUP: _abi.CURSOR_NEXT_DUP,
}
"""The operation that undoes another. What has none is not read in advance."""
_START = {
    _abi.CURSOR_NEXT: _abi.CURSOR_FIRST,
    _abi.CURSOR_NEXT_NODUP: _abi.CURSOR_FIRST,
    _abi.CURSOR_PREV: _abi.CURSOR_LAST,
    _abi.CURSOR_PREV_NODUP: _abi.CURSOR_LAST,
}
OVER_ENTRIES = {
    _abi.CURSOR_NEXT_DUP: _abi.CURSOR_NEXT,
    _abi.CURSOR_PREV_DUP: _abi.CURSOR_PREV,
}
"""What LMDB takes a step over the values of a key for where keys have one value."""
_WITHOUT_VALUES = frozenset((_abi.CURSOR_NEXT_NODUP, _abi.CURSOR_PREV_NODUP))
"""Iterations that give keys unless the program says otherwise."""
_FIRST_BATCH = 16
_BATCH_MAX = 512
_EXPECTED_MAX = 2 * _BATCH_MAX
_UNCOUNTED = -1
# Looked up for each call.
_NEXT = _abi.CURSOR_NEXT
_FLAT = _abi.PACK_KEYS | _abi.PACK_VALUES | _abi.PACK_FLAT
_buffers = buffers
_loads = marshal.loads
_read_from = _ffi.cursor_read_from
_size_argument = _ffi.size_argument
_process_number = _ffi.process_number
_known_sizes = _ffi.known_sizes


class Walks:
    """What a cursor iterates by."""

    __slots__ = ("_expected", "_flags", "_is_sought", "_pointer", "_unset")

    if TYPE_CHECKING:
        transaction: t.Any
        database: t.Any
        _buffers: bool
        _entry: _ffi.Entry
        _expected: int
        _flags: int | None
        _handle: int | None
        _is_sought: bool
        _lmdb_style: bool
        _pointer: t.Any
        _state: TransactionState
        _unset: bool

        def _closed(self) -> BaseException: ...

        def _read(self, want: int) -> t.Any: ...

        def _seek_range(self, key: t.Any) -> t.Any: ...

    # ------------------------------------------------------ moving and reading at once

    def set_range(self, key: t.Buffer, /) -> t.Any:
        """Moves to the first entry whose key is at or after `key`."""
        state = self._state
        inside: dict[int, t.Any] = {}
        try:
            if state.lock.setdefault(0, inside) is not inside:
                state.enter(inside)
            expected = self._expected
            handle = self._handle
            ahead = state.ahead.get(handle)
            if ahead is not None:
                # As _learn(), Ahead.given and forget() do, without calling them.
                left = ahead.rest.__length_hint__()
                before = ahead.before
                if before >= 0:
                    given = before + (len(ahead.strings) - left) // ahead.each
                    if given != expected:
                        self._expect(given)
                        expected = self._expected
                if left:
                    ahead.forget()
                del state.ahead[handle]
            elif self._is_sought:
                self._expect(0)
                expected = self._expected
            self._is_sought = True
            # Not in a write transaction, whose puts would bring the cursor back each time.
            if (
                expected > 1
                and state.fast is not None
                and handle is not None
                and type(key) is bytes
                and not state.write
                and not self._buffers
            ):
                try:
                    buffer = _buffers.pop()
                except IndexError:
                    buffer = take_buffer()
                count = expected if expected < _BATCH_MAX else _BATCH_MAX
                code = _read_from(
                    self._pointer or self._own_pointer(),
                    key,
                    len(key),
                    _NEXT,
                    _FLAT,
                    None,
                    _known_sizes.get(count) or _size_argument(count),
                    buffer.pointer,
                    buffer.size_argument,
                    None,
                    None,
                )
                if code == 0:
                    strings = _loads(buffer.bytes)
                    _buffers.append(buffer)
                    if not state.ahead:
                        state.ahead = {}
                    state.ahead[handle] = Sought(strings)
                    self._unset = False
                    return True if self._lmdb_style else (strings[0], strings[1])
                _buffers.append(buffer)
        finally:
            if state.lock.get(0) is inside:
                del state.lock[0]
        return self._seek_range(key)

    def _own_pointer(self) -> t.Any:
        self._pointer = pointer = _ffi.pointer_to(self._handle or 0)
        return pointer

    def _learn(self, ahead: Ahead) -> None:
        """Notes how far an iteration has gone that began where the cursor was moved to."""
        if ahead.before != _UNCOUNTED:
            self._expect(ahead.before + ahead.given)

    def _expect(self, given: int) -> None:
        before = self._expected
        if given > _EXPECTED_MAX:
            given = _EXPECTED_MAX
        self._expected = given if given >= before else (given + before) >> 1
        self._is_sought = False

    # --------------------------------------------------------------------- iterating

    def iternext(self, keys: bool = True, values: bool = True) -> Iterator[t.Any]:
        """The entries from the one that the cursor is on, or from the first, to the last."""
        ahead = self._state.ahead.get(self._handle)
        if ahead is not None and ahead.is_fresh and keys and values:
            # Those that a move has read, and what comes after them.
            ahead.is_fresh = False
            return self._entries(_NEXT, ITEMS, None, None, ahead)
        return self._walk(_NEXT, keys, values)

    def _walk(self, step: int, keys: bool, values: bool) -> Iterator[t.Any]:
        if keys is None:
            keys = step not in OVER_ENTRIES
        if values is None:
            values = step not in _WITHOUT_VALUES
        want = ITEMS if keys and values else VALUES if values else KEYS
        return self._entries(step, want, None, None)

    # A generator, which refuses a second thread. In what itertools has for this, that would
    # free what the first thread is still using.
    def _entries(
        self,
        step: int,
        want: int,
        start: t.WalkStart | None,
        until: bytes | None,
        begun: Ahead | None = None,
    ) -> Iterator[t.Any]:
        """What an iteration gives. The cursor is on the last entry that the program has been
        given when it looks.

        :param start: what moves to the first entry of a range, and the key to go to if one move
            does that; None: from where the cursor is.
        :param until: where the range ends, as the library takes it.
        :param begun: the first entries, which have been read already.
        """
        rest: t.Any
        if begun is not None:
            rest = begun.rest
            for item in zip(rest, rest):
                yield item
        state = self._state
        changes = state.changes
        resets = state.resets
        is_first = True
        begins_by = step
        size = 1 if state.write else _FIRST_BATCH
        given = _UNCOUNTED
        if start is None and self._is_sought:
            given, self._is_sought = 0, False
        if begun is not None:
            given = begun.given
            is_first = given == 0
            size = self._next_size(given, given)
        while True:
            inside: dict[int, t.Any] = {}
            try:
                if state.lock.setdefault(0, inside) is not inside:
                    state.enter(inside)
                handle = self._handle
                if handle is None or state.handle is None:
                    raise self._closed()
                if state.process != _process_number[0]:
                    raise state.forked("cursor")
                if resets != state.resets:
                    if not is_first:
                        raise state.make_error(
                            _abi.BAD_CURSOR,
                            "the transaction was reset, which ended its iterations; begin "
                            "another one",
                        )
                    resets = state.resets
                if handle in state.ahead:
                    disturbed = state.bring_back(handle)
                    if disturbed:
                        size = 1
                if step in OVER_ENTRIES and self._lmdb_style and not self._has_several_values():
                    step = OVER_ENTRIES[step]
                if step not in _BACK or changes != state.changes:
                    size = 1
                changes = state.changes
                strings, each = self._read_batch(
                    step, want, size, start, until, begins_by if is_first else None
                )
                count = len(strings) // each
                if not count:
                    self._unset = True
                    if given != _UNCOUNTED:
                        self._expect(given)
                    return
                self._unset = False
                if step in _BACK and (count > 1 or given != _UNCOUNTED):
                    ahead = Ahead(strings, each, _BACK[step], given)
                    state.add_ahead(handle, ahead)
                    rest = ahead.rest
                else:
                    rest = iter(strings)
            finally:
                if state.lock.get(0) is inside:
                    del state.lock[0]
            is_first = False
            if given != _UNCOUNTED:
                given += count
            size = self._next_size(size, given)
            # Not `yield from`, which takes longer to leave.
            for item in zip(rest, rest) if each == 2 else rest:
                yield item

    def _next_size(self, size: int, given: int) -> int:
        """How many entries to read next."""
        if 0 <= given < self._expected:
            return min(self._expected - given, _BATCH_MAX)
        return min(max(size, 1) * 3, _BATCH_MAX)

    def _read_batch(
        self,
        step: int,
        want: int,
        size: int,
        start: t.WalkStart | None,
        until: bytes | None,
        begins_by: int | None,
    ) -> tuple[list[t.Any], int]:
        """Up to `size` entries, keys or values, and how many elements of the list each is; the
        caller is inside.

        :param begins_by: at the beginning, the step that the program has asked for.
        """
        state = self._state
        is_first = begins_by is not None
        each = 2 if want == ITEMS and not self._buffers else 1
        pointer = self._pointer or self._own_pointer()
        if is_first and start is not None and start[1] and not self._buffers:
            strings = read_from(pointer, start[1], step, want, until, size)
            if strings is not None:
                return strings, each
        code = _abi.OK
        if begins_by is not None:
            code = self._begin_walk(begins_by, start, want)
            if code == _abi.NOT_FOUND:
                return [], each
            if code != _abi.OK:
                raise state.error(code)
        if not self._buffers:
            return read_packed(state, pointer, step, want, until, size, is_first), each
        if not is_first:
            code = state.calls.cursor_get(
                self._handle, self._entry.key_reference, self._entry.value_reference, step
            )
        if code == _abi.NOT_FOUND:
            return [], each
        if code != _abi.OK:
            raise state.error(code)
        item = self._read(ITEMS)
        if until is not None and self._is_past(bytes(item[0]), until, step):
            return [], each
        return [item if want == ITEMS else item[want - KEYS]], each

    def _has_several_values(self) -> bool:
        """Whether keys of the database may have several values; the caller is inside."""
        if self._flags is None:
            flags = _ffi.new_count()
            database = self.transaction._database(self.database)
            code = _ffi.db_flags(self._state.handle, database, _ffi.reference(flags))
            if code != _abi.OK:
                raise self._state.error(code)
            self._flags = int(flags.value)
        return bool(self._flags & _abi.DUPSORT)

    def _is_past(self, key: bytes, until: bytes, step: int) -> bool:
        """Whether a key is past the end of a range."""
        order = compare(
            self._state.handle or 0, self.transaction._database(self.database), key, until
        )
        return order < 0 if step == _abi.CURSOR_PREV else order >= 0

    def _begin_walk(self, step: int, start: t.WalkStart | None, want: int) -> int:
        """Moves to the first entry of an iteration."""
        get = self._state.calls.cursor_get
        # Values that nobody asks for are not read.
        reads_key_only = want == KEYS and not self._buffers
        value = None if reads_key_only else self._entry.value_reference
        arguments = self._handle, self._entry.key_reference, value
        if start is not None:
            code: int = start[0](get, *arguments)
            return code
        code = _abi.BAD_CURSOR
        if not (self._lmdb_style and self._unset):
            code = get(*arguments, _abi.CURSOR_GET_CURRENT)
            if code in NOWHERE and self._lmdb_style:
                code = get(*arguments, _abi.CURSOR_NEXT)
        if code in NOWHERE:
            # On no entry: before any move, or because the entry has been deleted.
            if self._lmdb_style:
                if step not in _START:
                    return _abi.NOT_FOUND
                code = get(*arguments, _START[step])
            else:
                code = get(*arguments, step)
        return code
