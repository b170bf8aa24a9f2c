"""Dumps and loads, both ways with LMDB's own tools."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from transfer import DATABASE_TYPES, Database, command, databases, done, dump_of, without_sizes

SEEDS = range(2)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder, in memory where there is one: LMDB's tools flush often."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def lmdb_of(path: Path, dump: bytes) -> Path:
    """An environment of LMDB, from a dump."""
    path.mkdir()
    done("mdb_load", path, given=dump)
    return path


@pytest.mark.parametrize("seed", SEEDS)
def test_all_databases_both_ways(tmp_path: Path, seed: int) -> None:
    dump = dump_of(databases(seed))
    theirs = done("mdb_dump", "-a", lmdb_of(tmp_path / "theirs", dump))
    # The same text, what LMDB made of it, and what LMDB makes of ours: always the same.
    done("zerodb-load", tmp_path / "a", given=dump)
    done("zerodb-load", tmp_path / "b", given=theirs)
    for name in ("a", "b"):
        ours = done("zerodb-dump", "-a", tmp_path / name)
        assert without_sizes(ours) == without_sizes(theirs)
        again = lmdb_of(tmp_path / f"again-{name}", ours)
        assert without_sizes(done("mdb_dump", "-a", again)) == without_sizes(theirs)


def test_printed_dumps_both_ways(tmp_path: Path) -> None:
    found = databases(2)
    for database in found:
        # LMDB 0.9 prints a backslash without an escape, and cannot read that again.
        database.entries = [
            (key, value) for key, value in database.entries if b"\\" not in key + value
        ]
    theirs = done(
        "mdb_dump", "-a", "-p", lmdb_of(tmp_path / "theirs", dump_of(found, printable=True))
    )
    done("zerodb-load", tmp_path / "ours", given=theirs)
    ours = done("zerodb-dump", "-a", "-p", tmp_path / "ours")
    assert without_sizes(ours) == without_sizes(theirs)
    again = lmdb_of(tmp_path / "again", ours)
    assert without_sizes(done("mdb_dump", "-ap", again)) == without_sizes(theirs)


def test_backslashes_reach_lmdb(tmp_path: Path) -> None:
    done("zerodb-load", tmp_path / "a", given=dump_of(databases(5)))
    printed = done("zerodb-dump", "-a", "-p", tmp_path / "a")
    theirs = done("mdb_dump", "-a", lmdb_of(tmp_path / "theirs", printed))
    assert without_sizes(theirs) == without_sizes(done("zerodb-dump", "-a", tmp_path / "a"))
    done("zerodb-load", tmp_path / "b", given=printed)
    assert done("zerodb-dump", "-a", "-p", tmp_path / "b") == printed


@pytest.mark.parametrize("kind", DATABASE_TYPES, ids=lambda kind: kind.name)
def test_the_main_database_of_every_kind(tmp_path: Path, kind: object) -> None:
    [database] = [one for one in databases(7) if one.kind == kind]
    theirs = done("mdb_dump", lmdb_of(tmp_path / "theirs", dump_of([database], named=False)))
    done("zerodb-load", tmp_path / "ours", given=theirs)
    ours = done("zerodb-dump", tmp_path / "ours")
    assert without_sizes(ours) == without_sizes(theirs)


def test_a_dump_says_what_it_holds(tmp_path: Path) -> None:
    done("zerodb-load", tmp_path / "a", given=dump_of(databases(1)))
    dump = done("zerodb-dump", "-a", tmp_path / "a")
    done("zerodb-load", tmp_path / "b", given=dump)
    assert done("zerodb-dump", "-a", tmp_path / "b") == dump
    # A load that lacks an entry notices it.
    lines = dump.split(b"\n")
    start = lines.index(b"HEADER=END") + 1
    del lines[start : start + 2]
    result = command("zerodb-load", tmp_path / "c", given=b"\n".join(lines))
    assert result.returncode == 1
    assert b"its source had" in result.stderr


def test_what_lmdb_does_not_have_comes_back(tmp_path: Path) -> None:
    dump = dump_of(databases(3)[:1]).replace(b"HEADER=END", b"zerodb.counted=1\nHEADER=END")
    done("zerodb-load", tmp_path / "a", given=dump)
    found = done("zerodb-dump", "-a", tmp_path / "a")
    assert b"\nzerodb.counted=1\n" in found
    done("zerodb-load", tmp_path / "b", given=found)
    assert done("zerodb-dump", "-a", tmp_path / "b") == found
    # LMDB's tool loads it all the same.
    lmdb_of(tmp_path / "theirs", found)


def test_names_that_are_no_lines(tmp_path: Path) -> None:
    name = b"two\nlines\0"
    dump = dump_of(databases(3)[:1], named=False).replace(
        b"type=btree", b"zerodb.database=" + name.hex().encode() + b"\ntype=btree"
    )
    done("zerodb-load", tmp_path / "a", given=dump)
    found = done("zerodb-dump", "-a", tmp_path / "a")
    assert b"\ndatabase=two?lines?\nzerodb.database=" + name.hex().encode() in found
    done("zerodb-load", tmp_path / "b", given=found)
    assert done("zerodb-dump", "-a", tmp_path / "b") == found


def test_names_are_listed(tmp_path: Path) -> None:
    done("zerodb-load", tmp_path / "a", given=dump_of(databases(1)))
    listed = done("zerodb-dump", "-l", tmp_path / "a").decode().splitlines()
    assert listed == sorted(kind.name for kind in DATABASE_TYPES)


def test_one_database_and_a_range(tmp_path: Path) -> None:
    entries = [(b"key%03d" % number, b"value") for number in range(100)]
    done("zerodb-load", tmp_path / "a", given=dump_of([Database(DATABASE_TYPES[0], entries)]))
    bounds = ("--from", "key010", "--to", "0x6b6579303133")
    dump = done("zerodb-dump", "-s", "plain", *bounds, "-p", tmp_path / "a")
    keys = [line for line in dump.split(b"\n") if line.startswith(b" key")]
    assert keys == [b" key010", b" key011", b" key012"]
    assert command("zerodb-dump", "-s", "absent", tmp_path / "a").returncode == 2


def test_entries_that_are_there_are_kept_or_replaced(tmp_path: Path) -> None:
    lines = b"one\n1\ntwo\n2\n"
    done("zerodb-load", "-T", tmp_path / "a", given=lines)
    done("zerodb-load", "-T", "-N", tmp_path / "a", given=b"two\nother\nthree\n3\n")
    assert b" two\n 2\n" in done("zerodb-dump", "-p", tmp_path / "a")
    done("zerodb-load", "-T", tmp_path / "a", given=b"two\nother\n")
    assert b" two\n other\n" in done("zerodb-dump", "-p", tmp_path / "a")


def test_plain_lines_are_unescaped(tmp_path: Path) -> None:
    done("zerodb-load", "-T", "-s", "words", tmp_path / "a", given=b"a\\\\b\n\\0ac\n")
    dump = done("zerodb-dump", "-s", "words", tmp_path / "a")
    assert b"\n 615c62\n 0a63\nDATA=END\n" in dump


@pytest.mark.parametrize("seed", SEEDS)
def test_json_lines_both_ways(tmp_path: Path, seed: int) -> None:
    done("zerodb-load", tmp_path / "a", given=dump_of(databases(seed)))
    lines = done("zerodb-dump", "-a", "--json-lines", tmp_path / "a")
    done("zerodb-load", "--json-lines", tmp_path / "b", given=lines)
    assert done("zerodb-dump", "-a", "--json-lines", tmp_path / "b") == lines
    text = done("zerodb-dump", "-a", tmp_path / "a")
    assert done("zerodb-dump", "-a", tmp_path / "b") == text
