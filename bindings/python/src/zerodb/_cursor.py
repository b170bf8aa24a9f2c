"""Cursors, and walks over a range of keys."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable

from zerodb import _ffi
from zerodb._errors import (
    BadCursorError,
    BadHandleError,
    Error,
    check,
    error_from_code,
    forked,
)
from zerodb._types import Buffer, Item

if TYPE_CHECKING:
    from zerodb._transaction import Transaction

_NO_KEY = memoryview(b"")
"""Stands for no key where None, which a program may pass by mistake, cannot."""


class Cursor:
    """A position in one database of one transaction, from :meth:`Transaction.cursor`.

    The methods that move it return the entry it is then on, or None where there is none. In a
    write transaction it stays on its key through other writes. It ends with its transaction.

    Iterating over it gives the entries from the one it is on, or from the first if it is on
    none, to the last.
    """

    __slots__ = (
        "_handle",
        "_key",
        "_key_input",
        "_key_reference",
        "_state",
        "_transaction",
        "_value",
        "_value_input",
        "_value_reference",
    )

    def __init__(self, transaction: Transaction, database: int) -> None:
        self._handle: int | None = None
        self._transaction = transaction
        self._state = transaction._state
        self._key = _ffi.Val()
        self._key_input = _ffi.input_view(self._key)
        self._key_reference: Any = _ffi.reference(self._key)
        self._value = _ffi.Val()
        self._value_input = _ffi.input_view(self._value)
        self._value_reference: Any = _ffi.reference(self._value)
        self._state.call(self._open, database)

    # ------------------------------------------------------------------ moving

    def first(self) -> Item | None:
        """Moves to the first entry."""
        return self._move(_ffi.CURSOR_FIRST)

    def last(self) -> Item | None:
        """Moves to the last entry."""
        return self._move(_ffi.CURSOR_LAST)

    def next(self) -> Item | None:
        """Moves to the next entry, or to the first if the cursor is on none yet.

        At the end it returns None and the cursor stays where it was.
        """
        return self._move(_ffi.CURSOR_NEXT)

    def prev(self) -> Item | None:
        """Moves to the entry before, or to the last if the cursor is on none yet.

        At the beginning it returns None and the cursor stays where it was.
        """
        return self._move(_ffi.CURSOR_PREV)

    def seek(self, key: Buffer) -> Item | None:
        """Moves to the first entry whose key is at or after `key`."""
        return self._move(_ffi.CURSOR_SET_RANGE, key)

    def seek_exact(self, key: Buffer) -> Item | None:
        """Moves to the entry with exactly this key."""
        return self._move(_ffi.CURSOR_SET_KEY, key)

    # ----------------------------------------------------------------- reading

    def item(self) -> Item:
        """The key and the value that the cursor is on.

        :raises BadCursorError: the cursor is on no entry.
        """
        item = self._move(_ffi.CURSOR_GET_CURRENT)
        if item is None:
            raise self._nowhere()
        return item

    def key(self) -> bytes:
        """The key that the cursor is on.

        :raises BadCursorError: the cursor is on no entry.
        """
        item = self._move(_ffi.CURSOR_GET_CURRENT, want_value=False)
        if item is None:
            raise self._nowhere()
        return item[0]

    def value(self) -> bytes:
        """The value that the cursor is on.

        :raises BadCursorError: the cursor is on no entry.
        """
        return self.item()[1]

    def __iter__(self) -> Iterator[Item]:
        """The entries from the one the cursor is on, or from the first, to the last."""
        return self._walk(_ffi.CURSOR_NEXT)

    def iter_reverse(self) -> Iterator[Item]:
        """The entries from the one the cursor is on, or from the last, back to the first."""
        return self._walk(_ffi.CURSOR_PREV)

    # ----------------------------------------------------------------- writing

    def put(
        self, key: Buffer, value: Buffer, *, overwrite: bool = True, append: bool = False
    ) -> bool:
        """Puts an entry and moves to it.

        :param overwrite: whether to replace the value of a key that is there.
        :param append: the key is after all others, which spares the search.
        :returns: False if the key is there and `overwrite` is False.
        :raises NotSortedError: `append` was given and the key is not after the last one.
        """
        code = self._call(self._put, key, value, put_flags(overwrite, append))
        if code == _ffi.KEYEXIST and not overwrite:
            return False
        check(code)
        return True

    def replace(self, value: Buffer) -> None:
        """Replaces the value that the cursor is on.

        :raises BadCursorError: the cursor is on no entry.
        """
        check(self._call(self._put, b"", value, _ffi.CURRENT))

    def delete(self) -> None:
        """Deletes the entry that the cursor is on; :meth:`next` then gives the one after it.

        :raises BadCursorError: the cursor is on no entry.
        """
        check(self._call(_ffi.cursor_delete, 0))

    # ---------------------------------------------------------------- lifetime

    @property
    def transaction(self) -> Transaction:
        """The transaction that the cursor belongs to."""
        return self._transaction

    def close(self) -> None:
        """Closes the cursor. Closing it again does nothing."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        state = self._state
        if state.inherited:
            return

        def close_handle() -> None:
            if handle in state.cursors:
                state.cursors.remove(handle)
                _ffi.cursor_close(handle)

        # If another thread is inside, or this one is and the garbage collector came between,
        # the transaction closes the cursor when it ends.
        state.attempt(close_handle)

    def __enter__(self) -> Cursor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    # ----------------------------------------------------------------- private

    def _move(
        self, operation: int, key: Buffer = _NO_KEY, want_value: bool = True
    ) -> Item | None:
        state = self._state
        entered = True
        try:
            if not state.lock.acquire(False):
                entered = False
                raise state.busy()
            handle = self._handle
            if handle is None or state.handle is None:
                raise self._closed()
            held = None if key is _NO_KEY else _ffi.point_at(self._key_input, key, "key")
            code = _ffi.cursor_get(
                handle,
                self._key_reference,
                self._value_reference if want_value else None,
                operation,
            )
            del held
            if code == _ffi.OK:
                found = self._key
                value = self._value
                return (
                    _ffi.copy_bytes(found.data, found.size),
                    _ffi.copy_bytes(value.data, value.size) if want_value else b"",
                )
        finally:
            if entered:
                state.lock.release()
        if code == _ffi.NOT_FOUND:
            return None
        raise error_from_code(code)

    def _walk(self, step: int) -> Iterator[Item]:
        try:
            item = self._move(_ffi.CURSOR_GET_CURRENT)
        except BadCursorError:
            if self._state.handle is None:
                raise
            item = None
        if item is None:
            # On no entry: before any move, or because the entry has been deleted.
            item = self._move(step)
        while item is not None:
            yield item
            item = self._move(step)

    def _open(self, transaction: int, database: int) -> None:
        opened = _ffi.new_handle()
        try:
            check(_ffi.cursor_open(transaction, database, _ffi.reference(opened)))
        finally:
            # Also if a signal handler raises when the cursor has just been opened.
            if opened.value is not None:
                self._state.cursors.add(opened.value)
                self._handle = opened.value

    def _call(self, function: Callable[..., int], *arguments: Any) -> int:
        """Calls a function with the cursor's handle and `arguments`, from inside."""
        state = self._state
        entered = True
        try:
            if not state.lock.acquire(False):
                entered = False
                raise state.busy()
            if self._handle is None or state.handle is None:
                raise self._closed()
            return function(self._handle, *arguments)
        finally:
            if entered:
                state.lock.release()

    def _put(self, handle: int, key: Buffer, value: Buffer, flags: int) -> int:
        # Held through the call: the library reads through the addresses of these.
        held = (
            _ffi.point_at(self._key_input, key, "key"),
            _ffi.point_at(self._value_input, value, "value"),
        )
        code: int = _ffi.cursor_put(handle, self._key_reference, self._value_reference, flags)
        self._value_input.data = None
        del held
        return code

    def _closed(self) -> Error:
        """The error for using the cursor after its end."""
        if self._state.inherited:
            return forked("cursor")
        if self._handle is None:
            return BadHandleError("the cursor is closed; open another one", _ffi.BAD_HANDLE)
        return BadCursorError(
            f"the cursor's transaction {self._state.outcome}; begin another one and open a "
            "cursor in it",
            _ffi.BAD_CURSOR,
        )

    def _nowhere(self) -> Error:
        return BadCursorError(
            "the cursor is on no entry; move it to one first", _ffi.BAD_CURSOR
        )


def put_flags(overwrite: bool, append: bool) -> int:
    """The library's flags for a put."""
    return (0 if overwrite else _ffi.NOOVERWRITE) | (_ffi.APPEND if append else 0)


class KeyRange:
    """The keys from `start` up to but not including `stop` that begin with `prefix`."""

    __slots__ = ("lower", "upper")

    def __init__(
        self, start: Buffer | None, stop: Buffer | None, prefix: Buffer | None
    ) -> None:
        # Copies: the range outlives the call that it was given to.
        lower = b"" if start is None else _ffi.to_bytes(start, "start")
        upper = None if stop is None else _ffi.to_bytes(stop, "stop")
        if prefix is not None:
            beginning = _ffi.to_bytes(prefix, "prefix")
            lower = max(lower, beginning)
            end = _after_prefix(beginning)
            if end is not None:
                upper = end if upper is None else min(upper, end)
        self.lower = lower
        """The first key that may be in the range; empty: no bound."""
        self.upper = upper
        """The first key after the range; None: no bound."""


def walk_range(
    cursor: Cursor, keys: KeyRange, max_key_size: int, reverse: bool, want_value: bool
) -> Iterator[Item]:
    """The entries in a range of keys, in ascending or descending order; closes the cursor.

    Bounds may be longer than any key can be, but the library refuses to look for such keys. So
    the search looks for the longest possible part, and steps over the keys between that and the
    bound.
    """
    lower, upper = keys.lower, keys.upper
    with cursor:
        if upper is not None and upper <= lower:
            return
        if not reverse:
            if lower:
                item = cursor._move(_ffi.CURSOR_SET_RANGE, lower[:max_key_size], want_value)
                while item is not None and item[0] < lower:
                    item = cursor._move(_ffi.CURSOR_NEXT, want_value=want_value)
            else:
                item = cursor._move(_ffi.CURSOR_FIRST, want_value=want_value)
            while item is not None and (upper is None or item[0] < upper):
                yield item
                item = cursor._move(_ffi.CURSOR_NEXT, want_value=want_value)
            return
        if upper is None:
            item = cursor._move(_ffi.CURSOR_LAST, want_value=want_value)
        else:
            item = cursor._move(_ffi.CURSOR_SET_RANGE, upper[:max_key_size], want_value)
            if item is None:
                item = cursor._move(_ffi.CURSOR_LAST, want_value=want_value)
            while item is not None and item[0] >= upper:
                item = cursor._move(_ffi.CURSOR_PREV, want_value=want_value)
        while item is not None and item[0] >= lower:
            yield item
            item = cursor._move(_ffi.CURSOR_PREV, want_value=want_value)


def _after_prefix(prefix: bytes) -> bytes | None:
    """The first key after all that begin with `prefix`; None if no key is."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None
