"""What the golden files contain, and how they are stored: see Tests/golden/README.md."""

from __future__ import annotations

import struct
from pathlib import Path

from format_records import (
    COUNTED,
    DUPLICATES,
    FIXED_VALUES,
    INTEGER_KEYS,
    INTEGER_VALUES,
    REVERSE_KEYS,
    REVERSE_VALUES,
    Value,
)

FORMAT_1 = Path(__file__).parents[1] / "golden" / "format-1"

FLAGS: dict[bytes, int] = {
    b"": 0,
    b"counted": COUNTED,
    b"reversed keys": REVERSE_KEYS,
    b"integers": INTEGER_KEYS,
    b"pairs": DUPLICATES,
    b"reversed pairs": DUPLICATES | REVERSE_VALUES,
    b"sized pairs": DUPLICATES | FIXED_VALUES,
    b"integer pairs": DUPLICATES | FIXED_VALUES | INTEGER_VALUES | COUNTED,
    b"to clear": 0,
    b"to drop": 0,
    b"to rename": 0,
    b"empty": REVERSE_KEYS,
}
"""The databases before the log, the main one with the name b""."""


def texts(count: int) -> set[bytes]:
    """Different values of different lengths."""
    return {b"value %d of many" % number + b"." * (number % 7) for number in range(count)}


def content() -> dict[bytes, dict[bytes, Value]]:
    """What the databases contain before the log is replayed."""
    numbers = {b"%04d" % number: b"%d" % (number * number) for number in range(300)}
    few = {b"one": {b"value"}, b"few": texts(5), b"many": texts(400)}
    sized = {value[:8] for value in (struct.pack(">Q", number) for number in range(900))}
    return {
        b"": {
            **{b"key/%03d" % number: b"value %d" % number * 5 for number in range(120)},
            b"large": b"0123456789" * 500,
            b"k" * 1000: b"of a long key",
            b"no value": b"",
        },
        b"counted": dict(numbers),
        b"reversed keys": {b"abc": b"1", b"zba": b"2", b"a" * 40: b"3"},
        b"integers": {struct.pack("<I", number * 97): b"%d" % number for number in range(20)},
        b"pairs": dict(few),
        b"reversed pairs": dict(few),
        b"sized pairs": {b"few": {b"8 bytes!", b"another."}, b"many": sized},
        b"integer pairs": {b"few": {bytes(8), b"8 bytes!"}, b"many": sized},
        b"to clear": dict(few_values(3)),
        b"to drop": dict(few_values(3)),
        b"to rename": dict(few_values(3)),
        b"empty": {},
    }


def few_values(count: int) -> dict[bytes, Value]:
    """Some keys with a value each."""
    return {b"%d" % number: b"value" for number in range(count)}


def content_after_log() -> dict[bytes, dict[bytes, Value]]:
    """What they contain after the log has been replayed."""
    databases = content()
    main = databases[b""]
    main[b"key/000"] = b"replaced"
    main[b"large"] = b"shrunk"
    main[b"new and large"] = b"abc" * 2000
    del main[b"key/001"]
    databases[b"made"] = {b"key": {b"first", b"second"}}
    pairs = databases[b"pairs"]
    pairs[b"many"] = texts(400) - {b"value 0 of many"}
    del pairs[b"few"]
    databases[b"to clear"] = {}
    del databases[b"to drop"]
    databases[b"renamed"] = databases.pop(b"to rename")
    databases[b"counted"] = {
        key: value for key, value in databases[b"counted"].items() if not b"01" <= key < b"02"
    }
    return databases


def pack(data: bytes) -> bytes:
    """A file without its zeros, as the golden files are stored."""
    parts = [struct.pack("<Q", len(data))]
    start = None
    for offset in range(0, len(data) + 64, 64):
        is_set = any(data[offset : offset + 64])
        if is_set and start is None:
            start = offset
        if not is_set and start is not None:
            part = data[start:offset]
            parts.append(struct.pack("<QQ", start, len(part)) + part)
            start = None
    return b"".join(parts)


def unpack(packed: bytes) -> bytes:
    """The file that was packed."""
    data = bytearray(struct.unpack_from("<Q", packed)[0])
    place = 8
    while place < len(packed):
        offset, length = struct.unpack_from("<QQ", packed, place)
        place += 16
        data[offset : offset + length] = packed[place : place + length]
        place += length
    return bytes(data)
