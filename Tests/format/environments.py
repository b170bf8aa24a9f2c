"""Environments that the library makes and that the independent reader checks."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from format_reader import Environment, Tree
from format_records import FormatError

import zerodb

Databases = dict[bytes, dict[bytes, bytes]]
MAIN = b""
"""Stands for the main database: no other database can have this name."""


def read(path: Path) -> Environment:
    """An environment that no program has open, as the independent reader finds it."""
    segments = sorted((path / "log").glob("*.log"))
    log = {int(segment.stem, 16): segment.read_bytes() for segment in segments}
    return Environment((path / "data.zdb").read_bytes(), log)


def copy(path: Path) -> Path:
    """A copy of an environment that is open and not being changed."""
    target = path.with_name("copy")
    shutil.rmtree(target, ignore_errors=True)
    # Files for segments to come hold no commits, and the library is still making them.
    shutil.copytree(path, target, ignore=shutil.ignore_patterns("spare*"))
    return target


def check(path: Path, expected: Databases) -> Environment:
    """Checks that reader, library and model agree on a closed environment."""
    found = read(path)
    assert found.records == []
    trees = {MAIN: found.main, **found.databases}
    assert {name: dict(tree.entries) for name, tree in trees.items()} == expected
    with zerodb.open(path, create=False) as env:
        report = env.verify()
        assert report.problems == 0, report.first_problem
        info = env.info()
        assert info.page_size == found.page_size
        assert info.page_count == found.meta.page_count
        assert info.last_txn_id == found.meta.transaction
        assert info.environment_id == found.meta.environment_id
        assert info.databases == len(found.databases)
        assert info.free_pages == found.meta.free_pages
        assert info.digest == report.digest == found.meta.digest
        for name, tree in trees.items():
            check_database(env, None if name == MAIN else env.open_db(name), tree)
    return found


def tree_pages(found: Environment) -> set[int]:
    """The numbers of the pages of all trees."""
    free = ("meta ", "free: ")
    return {number for number, use in found.uses.items() if not use.startswith(free)}


def check_database(env: zerodb.Environment, db: zerodb.Database | None, tree: Tree) -> None:
    """Checks that library and reader find the same entries in a database."""
    with env.begin() as txn:
        assert list(txn.items(db)) == tree.entries
        stat = txn.stat(db)
    assert stat.depth == tree.record.depth
    assert stat.entries == len(tree.entries)
    assert stat.digest == tree.digest
    assert stat.branch_pages == tree.branch_pages
    assert stat.leaf_pages == tree.leaf_pages
    assert stat.overflow_pages == tree.overflow_pages


def check_copy(path: Path, expected: Databases) -> Environment:
    """Checks that reader and library find the same in a copy that needs its log."""
    found = read(path)
    assert found.contents() == expected
    with zerodb.open(path) as env:
        assert env.info().last_txn_id == found.meta.transaction + len(found.records)
    check(path, expected)
    return found


def random_key(rng: random.Random, key_max: int) -> bytes:
    """A key of any length; many share prefixes, end in zeros or are as long as can be."""
    kind = rng.randrange(5)
    if kind == 0:
        return b"user/%06d" % rng.randrange(5000)
    if kind == 1:
        return rng.choice([b"", b"a", b"prefix/"]) + bytes(rng.randint(1, 9))
    if kind == 2:
        return bytes([rng.randrange(256)]) * key_max
    return rng.randbytes(rng.randint(1, 40))


def random_value(rng: random.Random, page_size: int) -> bytes:
    """A value of any length, at times one for an overflow run."""
    size = rng.choice([0, 1, 16, 17, 100, page_size // 4, page_size, page_size * 3])
    return rng.randbytes(rng.randint(size // 2, size))


def change(
    env: zerodb.Environment, model: Databases, rng: random.Random, operations: int
) -> None:
    """One transaction of random puts and deletes."""
    with env.begin(write=True) as txn:
        for name, entries in model.items():
            db = None if name == MAIN else txn.db(name, create=True)
            for _ in range(operations):
                if entries and rng.random() < 0.4:
                    key = rng.choice(list(entries))
                    del entries[key]
                    assert txn.delete(key, db=db)
                else:
                    key = random_key(rng, env.max_key_size)
                    entries[key] = random_value(rng, env.info().page_size)
                    txn.put(key, entries[key], db=db)


def two_checkpoints(path: Path) -> bytearray:
    """The file of an environment with transactions 2 and 3 in its meta pages."""
    for value in (b"old", b"new"):
        with zerodb.open(path) as env, env.begin(write=True) as txn:
            txn[b"key"] = value
    return bytearray((path / "data.zdb").read_bytes())


def library_reads(path: Path, data: bytearray) -> bytes | None:
    """The value that the library finds for b"key" in a file; None if it reports damage."""
    (path / "data.zdb").write_bytes(data)
    try:
        with zerodb.open(path) as env, env.begin() as txn:
            found: bytes | None = txn.get(b"key")
        return found
    except zerodb.CorruptedError:
        return None


def reader_reads(data: bytearray) -> bytes | None:
    """The value that the independent reader finds for b"key"; None if it reports damage."""
    try:
        return dict(Environment(bytes(data)).main.entries)[b"key"]
    except FormatError:
        return None
