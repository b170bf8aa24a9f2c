"""Many entries in one call of the library, packed into one buffer.

A packed list of the library is what `marshal` writes for a list of bytes or of pairs of bytes,
so that it is made and read at the speed of C.
"""

from __future__ import annotations

import errno
import marshal

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._pure.state import TransactionState

ITEMS, KEYS, VALUES = 0, 1, 2
PART_MAX = 4096
"""Entries that are put in one call."""
_FORMAT = 2
"""The version of `marshal` that writes bytes without references to earlier ones."""
_WANTED = (
    _abi.PACK_KEYS | _abi.PACK_VALUES | _abi.PACK_FLAT,
    _abi.PACK_KEYS,
    _abi.PACK_VALUES,
)
_BUFFER_SIZE = 256 << 10
# Looked up for each call.
_read_from = _ffi.cursor_read_from
_size_argument = _ffi.size_argument
_loads = marshal.loads

buffers: list[_ffi.Packed] = []
"""Those that no call uses."""


def take_buffer(size: int = _BUFFER_SIZE) -> _ffi.Packed:
    try:
        buffer = buffers.pop()
    except IndexError:
        return _ffi.Packed(max(size, _BUFFER_SIZE))
    return buffer if buffer.size >= size else _ffi.Packed(size)


def _give_back(buffer: _ffi.Packed) -> None:
    # Others were made for one large list.
    if buffer.size <= 4 * _BUFFER_SIZE:
        buffers.append(buffer)


def read_packed(
    state: TransactionState,
    cursor: t.Any,
    step: int,
    want: int,
    until: bytes | None,
    limit: int,
    with_current: bool,
) -> list[bytes]:
    """Up to `limit` entries that a cursor comes to; the caller is inside.

    :param cursor: a pointer to it.
    """
    buffer = take_buffer()
    flags = _WANTED[want] | (_abi.PACK_CURRENT if with_current else 0)
    end = held = None
    if until is not None:
        end, held = _ffi.input_val(until, "until")
        end = _ffi.reference(end)
    while True:
        code = _ffi.cursor_read(
            cursor,
            step,
            flags,
            end,
            limit,
            buffer.pointer,
            buffer.size_argument,
            buffer.count_reference,
            buffer.used_reference,
        )
        if code != errno.ENOBUFS:
            break
        # The cursor is on the entry that has no room.
        flags |= _abi.PACK_CURRENT
        buffer = take_buffer(buffer.used.value)
    del held
    strings: list[bytes] = []
    if code == _abi.OK:
        strings = marshal.loads(buffer.bytes)
    _give_back(buffer)
    if code not in (_abi.OK, _abi.NOT_FOUND):
        raise state.error(code)
    return strings


def read_from(
    cursor: t.Any, key: bytes, step: int, want: int, until: bytes | None, limit: int
) -> list[bytes] | None:
    """Moves a cursor to a key and reads up to `limit` entries from there on; the caller is
    inside. Going back, from the last entry before the key.

    :return: None if that fails, and must be done in single steps: they say why.
    """
    end = held = None
    if until is not None:
        end, held = _ffi.input_val(until, "until")
        end = _ffi.reference(end)
    try:
        buffer = buffers.pop()
    except IndexError:
        buffer = take_buffer()
    code = _read_from(
        cursor,
        key,
        len(key),
        step,
        _WANTED[want],
        end,
        _size_argument(limit),
        buffer.pointer,
        buffer.size_argument,
        None,
        None,
    )
    del held
    strings: list[bytes] | None = None
    if code == 0:
        strings = _loads(buffer.bytes)
    elif code == _abi.NOT_FOUND:
        strings = []
    buffers.append(buffer)
    return strings


def get_packed(txn: t.Any, database: int, keys: list[t.Any], flags: int) -> list[t.Any] | None:
    """The values of many keys, or the pairs of both; None if that must be done one by one."""
    state: TransactionState = txn._state
    packed = _packed(keys)
    if packed is None or state.calls is not _ffi.keeping:
        return None
    size = max(_BUFFER_SIZE, 256 * len(keys))

    def get(handle: int) -> tuple[int, _ffi.Packed]:
        nonlocal size
        while True:
            buffer = take_buffer(size)
            code = _ffi.get_packed(
                _ffi.pointer_to(handle),
                database,
                flags,
                packed,
                len(packed),
                buffer.pointer,
                buffer.size_argument,
                buffer.used_reference,
            )
            if code != errno.ENOBUFS:
                return code, buffer
            size = buffer.used.value
            if size > _ffi.quick_size_max:
                return code, buffer

    code, buffer = state.call(get)
    if code != _abi.OK:
        # One by one, the key that is wrong is found.
        return None
    found: list[t.Any] = marshal.loads(buffer.bytes)
    _give_back(buffer)
    return found


def get_fixed(txn: t.Any, database: int, keys: list[t.Any], value_size: int) -> bytes | None:
    """All values of keys in a database with values of one size, each behind its key; None if
    that must be done one by one."""
    state: TransactionState = txn._state
    packed = _packed(keys)
    if packed is None or state.calls is not _ffi.keeping or not 0 < value_size < PART_MAX:
        return None

    def get(handle: int) -> bytes | None:
        size = _BUFFER_SIZE
        while True:
            buffer = take_buffer(size)
            code = _ffi.get_fixed(
                _ffi.pointer_to(handle),
                database,
                packed,
                len(packed),
                value_size,
                buffer.pointer,
                buffer.size_argument,
                buffer.used_reference,
            )
            size = buffer.used.value
            found = bytes(memoryview(buffer.bytes)[:size]) if code == _abi.OK else None
            _give_back(buffer)
            if code != errno.ENOBUFS:
                # One by one, what is wrong is found.
                return found

    found: bytes | None = state.call(get)
    return found


def put_packed(txn: t.Any, database: int, items: list[t.Any], flags: int) -> tuple[int, int]:
    """Puts entries; returns how many were put, and the index from which on that must be done
    one by one, if at all."""
    state: TransactionState = txn._state
    passes_over = flags & (_abi.NOOVERWRITE | _abi.NODUPDATA)
    if passes_over and flags & (_abi.APPEND | _abi.APPENDDUP):
        # The number of those that were put would not tell which one is out of order.
        return 0, 0
    packed = _packed(items)
    if packed is None or state.calls is not _ffi.keeping:
        return 0, 0
    buffer = take_buffer()
    code = state.call(
        lambda handle: _ffi.put_packed(
            _ffi.pointer_to(handle),
            database,
            packed,
            len(packed),
            flags,
            buffer.count_reference,
        )
    )
    added: int = buffer.count.value
    _give_back(buffer)
    if code == _abi.OK:
        return added, len(items)
    if code == _abi.NOT_SORTED and txn.environment._lmdb_style and not passes_over:
        return added, added
    if added == 0:
        return 0, 0
    raise state.error(code)


def _packed(objects: list[t.Any]) -> bytes | None:
    """A list of bytes, or of pairs of bytes, as the library takes it."""
    try:
        packed = marshal.dumps(objects, _FORMAT)
    except ValueError:
        return None
    return packed if len(packed) <= _ffi.quick_size_max else None
