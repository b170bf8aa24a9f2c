"""Ranges of keys."""

from __future__ import annotations

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._errors import IncompatibleError, error_from_code


class KeyRange:
    """The keys from `start` up to but not including `stop` that begin with `prefix`."""

    __slots__ = ("has_prefix", "lower", "upper")

    def __init__(
        self, start: t.Buffer | None, stop: t.Buffer | None, prefix: t.Buffer | None
    ) -> None:
        # Copies: the range outlives the call that it was given to.
        lower = b"" if start is None else _ffi.to_bytes(start, "start")
        upper = None if stop is None else _ffi.to_bytes(stop, "stop")
        self.has_prefix = prefix is not None
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

    def order(self, txn: t.Any, db: t.Any, flags: int, size_max: int) -> Order:
        """The range in a database with these flags."""
        if flags & _abi.REVERSEKEY and not flags & _abi.INTEGERKEY:
            self._shorten(size_max)
        if flags & (_abi.REVERSEKEY | _abi.INTEGERKEY):
            if self.has_prefix:
                raise IncompatibleError(
                    "a prefix is for databases whose keys are ordered as bytes",
                    _abi.INCOMPATIBLE,
                )
            return DatabaseOrder(self, txn, db)
        return Order(self)

    def _shorten(self, size_max: int) -> None:
        """Replaces bounds that are longer than any key can be, where keys are ordered from
        their last byte: by the first key behind all that end as the bound does."""
        if len(self.lower) > size_max:
            after = _after_prefix(self.lower[: -size_max - 1 : -1])
            if after is None:
                self.upper = b""
            else:
                self.lower = after[::-1]
        if self.upper is not None and len(self.upper) > size_max:
            after = _after_prefix(self.upper[: -size_max - 1 : -1])
            self.upper = None if after is None else after[::-1]


class Order:
    """A range of keys that are ordered as bytes.

    Bounds may be longer than any key can be, but the library refuses to look for such keys. So
    the search looks for the longest possible part, and steps over the keys between that and the
    bound.
    """

    def __init__(self, keys: KeyRange) -> None:
        self.lower = keys.lower
        self.upper = keys.upper

    @property
    def is_empty(self) -> bool:
        """Whether no key can be in it."""
        return self.upper is not None and self.upper <= self.lower

    def is_past(self, key: bytes) -> bool:
        """Whether a key is at or after the end of the range."""
        return self.upper is not None and key >= self.upper

    def is_below(self, key: bytes) -> bool:
        """Whether a key is before the range."""
        return key < self.lower

    def start(self, size_max: int, get: t.Callable[..., int], *cursor: t.Any) -> int:
        """Moves a cursor to the first entry of the range, or to one after it."""
        if not self.lower:
            return get(*cursor, _abi.CURSOR_FIRST)
        code = _set_range(get, cursor, self.lower[:size_max])
        while code == _abi.OK and len(self.lower) > size_max and self.is_below(_key(cursor)):
            code = get(*cursor, _abi.CURSOR_NEXT)
        return code

    def start_reverse(self, size_max: int, get: t.Callable[..., int], *cursor: t.Any) -> int:
        """Moves a cursor to the last entry of the range, or to one before it."""
        if self.upper is None:
            return get(*cursor, _abi.CURSOR_LAST)
        if not self.upper:
            return _abi.NOT_FOUND
        code = _set_range(get, cursor, self.upper[:size_max])
        if code == _abi.NOT_FOUND:
            code = get(*cursor, _abi.CURSOR_LAST)
        while code == _abi.OK and self.is_past(_key(cursor)):
            code = get(*cursor, _abi.CURSOR_PREV)
        return code


class DatabaseOrder(Order):
    """A range of keys in the order of their database."""

    def __init__(self, keys: KeyRange, txn: t.Any, db: t.Any) -> None:
        super().__init__(keys)
        self._txn = txn
        self._database = txn._database(db)

    @property
    def is_empty(self) -> bool:
        """Whether no key can be in it, as far as that is known."""
        return self.upper == b""

    def is_past(self, key: bytes) -> bool:
        """Whether a key is at or after the end of the range."""
        return self.upper is not None and self._compare(key, self.upper) >= 0

    def is_below(self, key: bytes) -> bool:
        """Whether a key is before the range."""
        return bool(self.lower) and self._compare(key, self.lower) < 0

    def _compare(self, left: bytes, right: bytes) -> int:
        return compare(self._txn._handle, self._database, left, right)


def compare(transaction: int, database: int, left: t.Buffer, right: t.Buffer) -> int:
    """Orders two keys as a database does, by a transaction whose caller is inside."""
    order = _ffi.new_order()
    first, held = _ffi.input_val(left, "key")
    second, held_too = _ffi.input_val(right, "key")
    code = _ffi.compare_keys(
        transaction,
        database,
        _ffi.reference(first),
        _ffi.reference(second),
        _ffi.reference(order),
    )
    del held, held_too
    if code != _abi.OK:
        raise error_from_code(code)
    result: int = order.value
    return result


def _set_range(get: t.Callable[..., int], cursor: tuple[t.Any, ...], key: bytes) -> int:
    handle, key_reference, value_reference = cursor
    found = _ffi.referenced(key_reference)
    held = _ffi.point_at(_ffi.input_view(found), key, "key")
    code = get(handle, key_reference, value_reference, _abi.CURSOR_SET_RANGE)
    del held
    return code


def _key(cursor: tuple[t.Any, ...]) -> bytes:
    found = _ffi.referenced(cursor[1])
    return _ffi.copy_bytes(found.data, found.size)


def _after_prefix(prefix: bytes) -> bytes | None:
    """The first key after all that begin with `prefix`; None if no key is."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None
