"""Environments with random contents, and what tools of LMDB make of them."""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

from conftest import STAGE

Entry = tuple[bytes, bytes]


@dataclass
class Kind:
    """What a database is, by the flags of a dump."""

    name: str
    flags: tuple[str, ...] = ()
    # Bytes of keys and values; None where they may have any number.
    key: int | None = None
    value: int | None = None


@dataclass
class Database:
    """A database of a dump, and its entries as they were made: in any order, some twice."""

    kind: Kind
    entries: list[Entry]


DATABASE_TYPES = [
    Kind("plain"),
    Kind("reversed", ("reversekey",)),
    Kind("integers", ("integerkey",), key=8),
    Kind("words", ("integerkey",), key=4),
    Kind("duplicates", ("dupsort",)),
    Kind("fixed", ("dupsort", "dupfixed"), value=6),
    Kind("numbers", ("dupsort", "dupfixed", "integerdup"), value=8),
    Kind("backwards", ("dupsort", "reversedup")),
    Kind("all-backwards", ("dupsort", "reversekey", "reversedup")),
]


def some_bytes(source: random.Random, size: int | None, most: int) -> bytes:
    """Bytes of any kind, often printable ones, and some that other formats escape."""
    count = source.randrange(1, most) if size is None else size
    if size is None and source.random() < 0.5:
        return bytes(source.choice(b'ab\\ "\xc3\xa9\n\t{}%') for _ in range(count))
    return source.randbytes(count)


def entries_of(kind: Kind, source: random.Random, count: int = 150) -> list[Entry]:
    """Entries that LMDB can hold too."""
    found = []
    for number in range(count):
        key = some_bytes(source, kind.key, 40)
        if "dupsort" in kind.flags:
            # Some keys have so many values that they need a tree of their own.
            values = 600 if number % 50 == 7 else source.choice([1, 1, 2, 5])
            found += [(key, some_bytes(source, kind.value, 30)) for _ in range(values)]
        else:
            most = 9000 if number % 20 == 0 else 60
            found.append((key, some_bytes(source, None, most)))
    return found


def databases(seed: int) -> list[Database]:
    """One of each kind."""
    source = random.Random(seed)
    return [Database(kind, entries_of(kind, source)) for kind in DATABASE_TYPES]


def printed(data: bytes) -> bytes:
    """Bytes as dumps print them."""
    plain = b"".join(
        bytes([byte]) if 32 <= byte < 127 and byte != 92 else b"\\%02x" % byte for byte in data
    )
    return plain.replace(b"\\5c", b"\\\\")


def dump_of(databases: list[Database], named: bool = True, printable: bool = False) -> bytes:
    """A dump as LMDB's tools write it, but with entries in any order."""
    lines = []
    for database in databases:
        lines += [b"VERSION=3", b"format=" + (b"print" if printable else b"bytevalue")]
        if named:
            lines.append(b"database=" + database.kind.name.encode())
        lines += [b"type=btree", b"mapsize=268435456"]
        lines += [flag.encode() + b"=1" for flag in database.kind.flags]
        lines.append(b"HEADER=END")
        for key, value in database.entries:
            for data in (key, value):
                lines.append(b" " + (printed(data) if printable else data.hex().encode()))
        lines.append(b"DATA=END")
    return b"\n".join(lines) + b"\n"


def command(*arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a program: one of LMDB's, or one of the installation."""
    name = str(arguments[0])
    program = STAGE / "bin" / name if name.startswith("zerodb") else name
    return subprocess.run(
        [program, *arguments[1:]], input=given, capture_output=True, timeout=120, check=False
    )


def done(*arguments: str | Path, given: bytes = b"") -> bytes:
    """The output of a program that must succeed."""
    result = command(*arguments, given=given)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def without_sizes(dump: bytes) -> list[bytes]:
    """The lines of a dump, but those of its heads that depend on the library."""
    ours = (b"mapsize=", b"maxreaders=", b"mapaddr=", b"db_pagesize=", b"zerodb.")
    return [line for line in dump.split(b"\n") if not line.startswith(ours)]
