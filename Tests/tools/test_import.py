"""zerodb load --lmdb, of what LMDB 0.9 and 1.0 have written."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import lmdb
import pytest
from transfer import (
    DATABASE_TYPES,
    command,
    databases,
    done,
    dump_of,
    entries_of,
    without_sizes,
)

from conftest import Run

# As LMDB's Python package has them.
OPTIONS = {
    "reversekey": "reverse_key",
    "integerkey": "integerkey",
    "dupsort": "dupsort",
    "dupfixed": "dupfixed",
    "integerdup": "integerdup",
}


def make(path: Path, version: int, seed: int, subdir: bool = True) -> lmdb.Environment:
    """An environment of LMDB whose pages have been split, merged and reused."""
    source = random.Random(seed)
    environment = lmdb.open(
        str(path),
        map_size=256 << 20,
        max_dbs=20,
        sync=False,
        subdir=subdir,
        lib_version=version,
    )
    for attempt in range(3):
        with environment.begin(write=True) as transaction:
            for number in range(20):
                transaction.put(b"\0%d" % number, source.randbytes(source.randrange(6000)))
        for kind in DATABASE_TYPES:
            if not all(flag in OPTIONS for flag in kind.flags):
                continue
            options: dict[str, Any] = {OPTIONS[flag]: True for flag in kind.flags}
            database = environment.open_db(kind.name.encode(), create=True, **options)
            with environment.begin(write=True, db=database) as transaction:
                for key, value in entries_of(kind, source, 80):
                    transaction.put(key, value)
                if attempt < 2:
                    cursor = transaction.cursor()
                    found = cursor.first()
                    while found:
                        found = cursor.delete() if source.random() < 0.6 else cursor.next()
    return environment


def content(environment: lmdb.Environment) -> dict[str, list[tuple[bytes, bytes]]]:
    """All entries, as LMDB reads them."""
    found = {}
    with environment.begin() as transaction:
        for name in environment.dbs():
            database = environment.open_db(name, transaction, create=False)
            found[name.decode()] = list(transaction.cursor(database))
        names = set(found) | {f"{name}\0" for name in found}
        found[""] = [
            (key, value)
            for key, value in transaction.cursor()
            if key.decode("latin-1") not in names
        ]
    return found


def imported(path: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    """All entries of an environment of ZeroDB, from its dump."""
    found: dict[str, list[tuple[bytes, bytes]]] = {}
    for part in done("zerodb-dump", "-a", path).split(b"VERSION=3\n")[1:]:
        head, _, data = part.partition(b"HEADER=END\n")
        name = head.partition(b"database=")[2].partition(b"\n")[0].decode()
        lines = [bytes.fromhex(line.decode()) for line in data.splitlines()[:-1]]
        found[name] = list(zip(lines[::2], lines[1::2]))
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("version", [0, 1])
def test_everything_is_imported(tmp_path: Path, version: int, seed: int) -> None:
    environment = make(tmp_path / "theirs", version, seed)
    expected = content(environment)
    environment.close()
    done("zerodb-load", "--lmdb", tmp_path / "theirs", tmp_path / "ours")
    assert imported(tmp_path / "ours") == expected
    assert command("zerodb-check", tmp_path / "ours").returncode == 0


@pytest.mark.parametrize("version", [0, 1])
def test_a_file_without_a_directory(tmp_path: Path, version: int) -> None:
    environment = make(tmp_path / "file", version, 9, subdir=False)
    expected = content(environment)
    environment.close()
    done("zerodb-load", "--lmdb", tmp_path / "file", tmp_path / "ours")
    assert imported(tmp_path / "ours") == expected


def test_what_a_distribution_has_written(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    done("mdb_load", tmp_path / "theirs", given=dump_of(databases(11)))
    done("zerodb-load", "--lmdb", tmp_path / "theirs", tmp_path / "ours")
    ours = done("zerodb-dump", "-a", tmp_path / "ours")
    assert without_sizes(ours) == without_sizes(done("mdb_dump", "-a", tmp_path / "theirs"))


@pytest.mark.parametrize("version", [0, 1])
def test_an_empty_environment(tmp_path: Path, version: int) -> None:
    lmdb.open(str(tmp_path / "theirs"), lib_version=version).close()
    done("zerodb-load", "--lmdb", tmp_path / "theirs", tmp_path / "ours")
    assert imported(tmp_path / "ours") == {"": []}


def test_a_truncated_file_is_an_error(tmp_path: Path, run: Run) -> None:
    make(tmp_path / "theirs", 0, 1).close()
    data = tmp_path / "theirs" / "data.mdb"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    result = run("zerodb-load", "--lmdb", "theirs", "ours")
    assert (result.returncode, result.stdout) == (1, "")
    assert "data.mdb" in result.stderr
    assert "before are loaded" in result.stderr or "nothing is loaded" in result.stderr


@pytest.mark.parametrize("kind", ["absent", "empty", "text", "itself"])
def test_what_is_no_environment_of_lmdb(tmp_path: Path, run: Run, kind: str) -> None:
    theirs = tmp_path / "theirs"
    if kind != "absent":
        theirs.mkdir()
    if kind == "text":
        (theirs / "data.mdb").write_text("text" * 5000)
    if kind == "itself":
        done("zerodb-load", "-T", theirs, given=b"a\nb\n")
    result = run("zerodb-load", "--lmdb", "theirs", "ours")
    assert result.returncode == 2
    assert not (tmp_path / "ours").exists()


def test_the_library_sends_to_the_import(tmp_path: Path, run: Run) -> None:
    make(tmp_path / "theirs", 1, 1).close()
    before = sorted((tmp_path / "theirs").iterdir())
    for name, arguments in (
        ("zerodb-load", ["-T", "-f", "/dev/null"]),
        ("zerodb-dump", []),
        ("zerodb-check", []),
    ):
        result = run(name, *arguments, "theirs")
        assert result.returncode == 2
        assert "zerodb-load --lmdb theirs" in result.stderr
    assert sorted((tmp_path / "theirs").iterdir()) == before
    shutil.copy(tmp_path / "theirs" / "data.mdb", tmp_path / "file")
    assert "zerodb-load --lmdb file" in run("zerodb-dump", "file").stderr
