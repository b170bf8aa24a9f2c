"""The entries of single pages of ZeroDB's files, from docs/FORMAT.md alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from format_records import (
    HEADER_SIZE,
    INLINE_VALUE,
    INLINE_VALUES,
    OVERFLOW_VALUE,
    PACKED,
    REVERSED,
    VALUE_TREE,
    require,
    u16,
    u32,
)


def check_keys(keys: list[bytes], low: bytes, high: bytes | None, where: str) -> None:
    """Checks that the keys of a page are in order and in its range."""
    require(all(low <= key for key in keys), f"{where}: a key before its range")
    require(high is None or all(key < high for key in keys), f"{where}: one after it")
    require(all(a < b for a, b in zip(keys, keys[1:])), f"{where}: unordered keys")


@dataclass(frozen=True)
class Entry:
    """An entry of a branch or leaf with slots."""

    slot: bytes
    key: bytes
    offset: int
    length: int
    """Bytes of the key's suffix."""
    kind: int
    end: int
    """Where the entry's bytes in the heap end."""


def read_entries(page: bytes, where: str, count_size: int = 0) -> list[Entry]:
    """The entries of a branch or leaf with a prefix, slots and a heap.

    In a branch, `count_size` bytes follow the key of each entry; in a leaf, its value does.
    """
    count, prefix_length, heap_used, heap_dead = struct.unpack_from("<4H", page, 28)
    require(prefix_length <= len(page) // 2 - 64, f"{where}: a prefix too long")
    prefix = page[HEADER_SIZE : HEADER_SIZE + prefix_length]
    slots = HEADER_SIZE + (prefix_length + 7) // 8 * 8
    require(not any(page[HEADER_SIZE + prefix_length : slots]), f"{where}: padding is set")
    slot_size = 16 if page[25] else 8
    heap = check_gap(page, slots + count * slot_size, where)
    entries: list[Entry] = []
    live = 0
    for index in range(count):
        slot = page[slots + index * slot_size :][:slot_size]
        head, offset, key_field = struct.unpack_from("<IHH", slot)
        length = key_field & 0x7FFF
        rest = max(0, length - 4)
        suffix = struct.pack(">I", head)
        require(not any(suffix[length:]), f"{where}: bytes after the end of key {index}")
        # In a leaf the length of the value follows, which is needed to know the end.
        behind = 0 if page[25] else 2
        require(offset + rest + behind <= len(page), f"{where}: entry {index} is cut off")
        kind, value_size = key_field >> 15, count_size
        if behind:
            kind, value_size = read_length(u16(page, offset + rest), kind)
        end = offset + rest + behind + value_size
        if end > offset:
            require(offset >= heap, f"{where}: entry {index} begins before the heap")
            require(end <= len(page), f"{where}: entry {index} is cut off")
            live += end - offset
        key = b"" if page[25] and index == 0 else prefix + suffix[:length]
        key += page[offset : offset + rest]
        require(len(key) <= len(page) // 2 - 64, f"{where}: a key too long")
        entries.append(Entry(slot, key, offset, length, kind, end))
    require(live == heap_used - heap_dead, f"{where}: heap counts are wrong")
    return entries


def read_length(field: int, is_indirect: int) -> tuple[int, int]:
    """The kind and the length of a stored value."""
    if not is_indirect:
        return INLINE_VALUE, field
    if field < 0x8000:
        return INLINE_VALUES, field
    return VALUE_TREE if field & 0x4000 else OVERFLOW_VALUE, field & 0x3FFF


def check_gap(page: bytes, end: int, where: str) -> int:
    """Checks the gap between the end of the slots and the heap; returns the heap's start."""
    heap = len(page) - u16(page, 32)
    require(end <= heap, f"{where}: slots and heap overlap")
    require(not any(page[end:heap]), f"{where}: the gap is not clear")
    return heap


def read_value_leaf(page: bytes, layout: int, where: str) -> list[bytes]:
    """The values of one key in a value leaf, as they were given."""
    count, prefix_length, heap_used, heap_dead = struct.unpack_from("<4H", page, 28)
    require(prefix_length == 0, f"{where}: a value leaf with a prefix")
    if layout & PACKED:
        width = u16(page, 36)
        require(width > 0, f"{where}: packed values of no bytes")
        require((heap_used, heap_dead) == (0, 0), f"{where}: packed values and a heap")
        check_gap(page, HEADER_SIZE + count * width, where)
        return [page[HEADER_SIZE + index * width :][:width] for index in range(count)]
    heap = check_gap(page, HEADER_SIZE + 8 * count, where)
    values: list[bytes] = []
    for index in range(count):
        head, offset, length = struct.unpack_from("<IHH", page, HEADER_SIZE + 8 * index)
        require(length <= len(page) // 2 - 64, f"{where}: value {index} has {length} bytes")
        if length == 0:
            require(offset == 0, f"{where}: value {index} has no bytes and a place")
        else:
            require(heap <= offset <= len(page) - length, f"{where}: value {index} cut off")
        value = page[offset : offset + length]
        key = value[::-1] if layout & REVERSED else value
        require(head == u32(key[:4][::-1].rjust(4, b"\0"), 0), f"{where}: head {index}")
        values.append(value)
    live = sum(len(value) for value in values)
    require(live == heap_used - heap_dead, f"{where}: heap counts are wrong")
    return values


def read_inline_values(stored: bytes, width: int, where: str) -> list[bytes]:
    """The inline values of a key: several values in the leaf that has the key."""
    require(len(stored) >= 4, f"{where}: inline values of {len(stored)} bytes")
    count, stored_width = u16(stored, 0), u16(stored, 2)
    require(count >= 2, f"{where}: {count} inline values")
    require(
        stored_width == width, f"{where}: inline values of a width {stored_width}, not {width}"
    )
    if width:
        ends = [width * (index + 1) for index in range(count)]
        values = stored[4:]
    else:
        require(len(stored) >= 4 + 2 * count, f"{where}: a table that is cut off")
        ends = [u16(stored, 4 + 2 * index) for index in range(count)]
        values = stored[4 + 2 * count :]
    starts = [0, *ends[:-1]]
    require(all(a <= b for a, b in zip(starts, ends)), f"{where}: values end before they begin")
    require(ends[-1] == len(values), f"{where}: bytes behind the last inline value")
    return [values[a:b] for a, b in zip(starts, ends)]
