"""What an environment tells of itself, copies, its size, and its end."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import pytest

import zerodb
from zerodb import _abi


def fill(env: Any, count: int, size: int = 100) -> None:
    with env.begin(write=True) as txn:
        for number in range(count):
            txn.put(b"%06d" % number, bytes(size))


def entries(env: Any) -> int:
    count: int = env.stat()["entries"]
    return count


# ------------------------------------------------------------------- facts


def test_stat_of_an_empty_environment(env: Any) -> None:
    stat = env.stat()
    assert stat.keys() == {
        "psize",
        "depth",
        "branch_pages",
        "leaf_pages",
        "overflow_pages",
        "entries",
    }
    assert stat["psize"] == 4096
    assert [stat[name] for name in ("depth", "branch_pages", "leaf_pages", "entries")] == [
        0
    ] * 4


def test_stat_counts(env: Any) -> None:
    fill(env, 1000)
    with env.begin(write=True) as txn:
        txn.put(b"large", bytes(100_000))
    stat = env.stat()
    assert stat["entries"] == 1001
    assert stat["depth"] >= 2
    assert stat["leaf_pages"] > 10
    assert stat["branch_pages"] >= 1
    assert stat["overflow_pages"] >= 20


def test_info(env: Any) -> None:
    info = env.info()
    assert info.keys() == {
        "map_addr",
        "map_size",
        "last_pgno",
        "last_txnid",
        "max_readers",
        "num_readers",
    }
    assert info["map_addr"] == 0
    before = info["last_txnid"]
    fill(env, 1000)
    after = env.info()
    assert after["last_txnid"] == before + 1
    assert after["last_pgno"] > info["last_pgno"]


def test_info_counts_readers(env: Any) -> None:
    readers = [env.begin() for _ in range(3)]
    assert env.info()["num_readers"] >= 3
    for reader in readers:
        reader.abort()


def test_max_key_size(env: Any) -> None:
    size = env.max_key_size()
    assert size >= 511
    with env.begin(write=True) as txn:
        assert txn.put(b"x" * size, b"1")
        assert txn.get(b"x" * size) == b"1"


def test_readers_tells_of_each_reader(env: Any) -> None:
    assert env.readers() == "(no active readers)\n"
    with env.begin():
        lines = env.readers().splitlines()
    assert lines[0].split() == ["pid", "thread", "txnid"]
    assert len(lines) == 2
    assert int(lines[1].split()[0]) == os.getpid()


def test_reader_check_finds_no_dead_readers(env: Any) -> None:
    with env.begin():
        assert env.reader_check() == 0


def test_sync(env: Any) -> None:
    fill(env, 1)
    assert env.sync() is None
    assert env.sync(True) is None
    assert env.sync(force=True) is None


def test_sync_of_a_readonly_environment(lmdb: Any, path: str) -> None:
    lmdb.open(path).close()
    with lmdb.open(path, readonly=True) as env, pytest.raises(lmdb.ReadonlyError):
        env.sync(True)


def test_dbs(env: Any) -> None:
    assert env.dbs() == []
    for name in (b"b", b"a", b"c"):
        env.open_db(name)
    assert env.dbs() == [b"a", b"b", b"c"]
    with env.begin() as txn:
        assert env.dbs(txn) == env.dbs(txn=txn) == [b"a", b"b", b"c"]


def test_version(lmdb: Any) -> None:
    version = lmdb.version()
    assert isinstance(version, tuple)
    assert len(version) == 3
    assert all(isinstance(part, int) for part in version)
    assert lmdb.version(subpatch=False) == version
    assert lmdb.version(subpatch=True) == (*version, 1)
    assert len(lmdb.version(True)) == 4
    assert isinstance(lmdb.__version__, str)


def test_lib_version_of_the_environment(lmdb: Any, env: Any) -> None:
    assert env.lib_version() == lmdb.version()


def test_enable_drop_gil_does_nothing(lmdb: Any) -> None:
    assert lmdb.enable_drop_gil() is None


# ---------------------------------------------------------------------- size


def test_map_full(lmdb: Any, path: str) -> None:
    with lmdb.open(path, map_size=1 << 20) as env:
        with pytest.raises(lmdb.MapFullError), env.begin(write=True) as txn:
            for number in range(10_000):
                txn.put(b"%06d" % number, bytes(1000))
        assert entries(env) == 0


def test_a_large_value_that_does_not_fit(lmdb: Any, path: str) -> None:
    with lmdb.open(path, map_size=1 << 20) as env:
        txn = env.begin(write=True)
        with pytest.raises(lmdb.MapFullError):
            txn.put(b"a", bytes(1 << 21))
        txn.abort()
        with env.begin(write=True) as txn:
            assert txn.put(b"a", b"1")


def test_after_map_full_the_size_can_be_set(lmdb: Any, path: str) -> None:
    with lmdb.open(path, map_size=1 << 20) as env:
        fill(env, 10)
        with pytest.raises(lmdb.MapFullError):
            fill(env, 5000, 1000)
        env.set_mapsize(1 << 24)
        assert env.info()["map_size"] == 1 << 24
        fill(env, 5000, 1000)
        assert entries(env) == 5000


def test_doubling_until_it_fits(lmdb: Any, path: str) -> None:
    """The loop that many loaders have."""
    with lmdb.open(path, map_size=1 << 20) as env:
        number = 0
        while number < 5000:
            try:
                with env.begin(write=True) as txn:
                    for key in range(number, number + 500):
                        txn.put(b"%06d" % key, bytes(1000))
                number += 500
            except lmdb.MapFullError:
                env.set_mapsize(env.info()["map_size"] * 2)
        assert entries(env) == 5000


def test_set_mapsize_ends_readers(lmdb: Any, env: Any) -> None:
    fill(env, 10)
    txn = env.begin()
    cursor = txn.cursor()
    cursor.first()
    env.set_mapsize(1 << 25)
    with pytest.raises(lmdb.Error):
        txn.get(b"000001")
    with pytest.raises(lmdb.Error):
        cursor.next()
    assert entries(env) == 10


def test_set_mapsize_in_a_write_transaction(lmdb: Any, env: Any) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
        with pytest.raises(lmdb.Error):
            env.set_mapsize(1 << 25)
        txn.put(b"b", b"2")
    assert entries(env) == 2


def test_set_mapsize_zero_keeps_the_size(env: Any) -> None:
    fill(env, 10)
    before = env.info()["map_size"]
    env.set_mapsize(0)
    assert env.info()["map_size"] == before
    assert entries(env) == 10


@pytest.mark.parametrize("size", [None, 0])
def test_set_mapsize_to_nothing_keeps_the_size(env: Any, size: Any) -> None:
    before = env.info()["map_size"]
    env.set_mapsize(size)
    assert env.info()["map_size"] == before
    env.set_mapsize()
    assert env.info()["map_size"] == before


@pytest.mark.parametrize(
    ("size", "error"),
    [
        (-1, OverflowError),
        (2**64, OverflowError),
        (1.5, TypeError),
        (25000000.0, TypeError),
        ("5", TypeError),
    ],
)
def test_set_mapsize_of_a_wrong_size_changes_nothing(env: Any, size: Any, error: Any) -> None:
    before = env.info()["map_size"]
    with pytest.raises(error):
        env.set_mapsize(size)
    assert env.info()["map_size"] == before
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")


def test_set_mapsize_that_cannot_be_had_keeps_the_size(
    lmdb: Any, env: Any, is_zerodb: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_zerodb:
        pytest.skip("py-lmdb's environment is closed then")
    db = env.open_db(b"db")
    before = env.info()["map_size"]
    opened = lmdb.Environment._opened

    def refuse(self: Any, options: Any) -> Any:
        if options["max_size"] == 1 << 25:
            raise zerodb.FullError("there is no room", _abi.FULL)
        return opened(self, options)

    monkeypatch.setattr(lmdb.Environment, "_opened", refuse)
    with pytest.raises(lmdb.MapFullError):
        env.set_mapsize(1 << 25)
    assert env.info()["map_size"] == before
    with env.begin(write=True, db=db) as txn:
        txn.put(b"a", b"1")


def test_set_mapsize_inside_a_call_is_refused(lmdb: Any, env: Any, is_zerodb: bool) -> None:
    if not is_zerodb:
        pytest.skip("py-lmdb calls nothing back")
    with pytest.raises(lmdb.Error):
        env._call(lambda handle: env.set_mapsize(1 << 25))
    assert env.info()["map_size"] == 10485760


def test_set_mapsize_keeps_handles_of_databases(env: Any) -> None:
    db = env.open_db(b"name", dupsort=True)
    with env.begin(write=True, db=db) as txn:
        txn.put(b"a", b"1")
    env.set_mapsize(1 << 25)
    with env.begin(db=db) as txn:
        assert txn.get(b"a") == b"1"


def test_set_mapsize_smaller_than_what_is_there(env: Any) -> None:
    fill(env, 3000, 1000)
    env.set_mapsize(1 << 20)
    assert entries(env) == 3000
    with env.begin() as txn:
        assert len(txn.get(b"002999")) == 1000


def test_map_size_smaller_than_what_is_there(lmdb: Any, path: str) -> None:
    with lmdb.open(path, map_size=1 << 24) as env:
        fill(env, 3000, 1000)
    with lmdb.open(path, map_size=1 << 20) as env:
        assert entries(env) == 3000
        with env.begin() as txn:
            assert len(txn.get(b"002999")) == 1000


def test_one_transaction_with_very_many_pages(lmdb: Any, path: str) -> None:
    with lmdb.open(path, map_size=1 << 30, sync=False) as env:
        with env.begin(write=True) as txn:
            for number in range(60_000):
                txn.put(b"%016x" % (number * 0x9E3779B97F4A7C15 % 2**64), bytes(1000))
        assert entries(env) == 60_000


def test_many_small_transactions_in_the_default_size(lmdb: Any, path: str) -> None:
    """A program whose data fits must not be told that the map is full because of old pages."""
    with lmdb.open(path, sync=False) as env:
        for number in range(3000):
            with env.begin(write=True) as txn:
                txn.put(b"%03d" % (number % 1000), bytes([number % 256]) * 1000)
        assert entries(env) == 1000


def test_large_values_replaced_in_the_default_size(lmdb: Any, path: str) -> None:
    with lmdb.open(path, sync=False) as env:
        for number in range(200):
            with env.begin(write=True) as txn:
                for key in range(number, number + 5):
                    txn.put(b"%d" % (key % 20), bytes(200_000))
        assert entries(env) == 20


# -------------------------------------------------------------------- copies


@pytest.mark.parametrize("compact", [False, True])
def test_copy(lmdb: Any, env: Any, tmp_path: Path, compact: bool) -> None:
    fill(env, 1000)
    target = str(tmp_path / "copy")
    os.mkdir(target)
    assert env.copy(target, compact=compact) is None
    with lmdb.open(target) as copy:
        assert entries(copy) == 1000


def test_copy_into_a_missing_directory(lmdb: Any, env: Any, tmp_path: Path) -> None:
    with pytest.raises(lmdb.Error):
        env.copy(str(tmp_path / "missing"))


def test_copy_onto_another_environment(lmdb: Any, env: Any, tmp_path: Path) -> None:
    target = str(tmp_path / "copy")
    with lmdb.open(target) as other:
        fill(other, 3)
    with pytest.raises(lmdb.Error):
        env.copy(target)
    with lmdb.open(target) as other:
        assert entries(other) == 3


def test_copy_of_a_transactions_state(lmdb: Any, env: Any, dup: Any, tmp_path: Path) -> None:
    fill(env, 10)
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1", db=dup)
        txn.put(b"a", b"2", db=dup)
    target = str(tmp_path / "copy")
    os.mkdir(target)
    with env.begin() as txn:
        before = txn.stat()["entries"]
        fill(env, 100)
        env.copy(target, compact=True, txn=txn)
    with lmdb.open(target, max_dbs=2) as copy:
        assert entries(copy) == before
        db = copy.open_db(b"dup", create=False)
        assert db.flags()["dupsort"]
        with copy.begin(db=db) as txn:
            assert list(txn.cursor()) == [(b"a", b"1"), (b"a", b"2")]


def test_copy_of_a_transactions_state_is_compact(lmdb: Any, env: Any, tmp_path: Path) -> None:
    os.mkdir(tmp_path / "copy")
    with env.begin() as txn, pytest.raises((TypeError, lmdb.Error)):
        env.copy(str(tmp_path / "copy"), txn=txn)


@pytest.mark.parametrize("compact", [False, True])
def test_copyfd_to_the_file_of_a_directory(
    lmdb: Any, env: Any, tmp_path: Path, compact: bool
) -> None:
    fill(env, 1000)
    target = tmp_path / "copy"
    target.mkdir()
    with open(target / "data.mdb", "wb") as file:
        assert env.copyfd(file.fileno(), compact) is None
    with lmdb.open(str(target)) as copy:
        assert entries(copy) == 1000


def test_copyfd_to_a_single_file(lmdb: Any, env: Any, tmp_path: Path) -> None:
    fill(env, 1000)
    target = tmp_path / "copy.mdb"
    with open(target, "wb") as file:
        env.copyfd(file.fileno())
    with lmdb.open(str(target), subdir=False) as copy:
        assert entries(copy) == 1000


def test_copyfd_to_a_descriptor_that_is_none(lmdb: Any, env: Any) -> None:
    with pytest.raises(lmdb.Error):
        env.copyfd(987)


def test_copy_of_a_single_file(lmdb: Any, tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "one"), subdir=False) as env:
        fill(env, 10)
        env.copy(str(tmp_path / "two"))
    with lmdb.open(str(tmp_path / "two"), subdir=False) as copy:
        assert entries(copy) == 10


# ----------------------------------------------------------------------- end


def test_close_twice(env: Any) -> None:
    assert env.close() is None
    assert env.close() is None


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("info", ()),
        ("stat", ()),
        ("flags", ()),
        ("readers", ()),
        ("reader_check", ()),
        ("max_key_size", ()),
        ("max_readers", ()),
        ("path", ()),
        ("sync", ()),
        ("dbs", ()),
        ("open_db", ()),
        ("open_db", (b"name",)),
        ("begin", ()),
        ("copy", ("/tmp/nowhere",)),
        ("copyfd", (1,)),
        ("set_mapsize", (1 << 24,)),
    ],
)
def test_use_after_close(lmdb: Any, env: Any, method: str, arguments: tuple[Any, ...]) -> None:
    env.close()
    with pytest.raises(lmdb.Error):
        getattr(env, method)(*arguments)


def test_close_ends_transactions_and_cursors(lmdb: Any, env: Any) -> None:
    fill(env, 3)
    reader = env.begin()
    cursor = reader.cursor()
    iterator = iter(cursor)
    next(iterator)
    env.close()
    for use in (
        lambda: reader.get(b"000001"),
        lambda: reader.cursor(),
        reader.commit,
        cursor.first,
        cursor.item,
        lambda: next(iterator),
    ):
        with pytest.raises(lmdb.Error):
            use()
    assert reader.abort() is None
    assert cursor.close() is None


def test_close_aborts_the_writer(lmdb: Any, path: str) -> None:
    env = lmdb.open(path)
    txn = env.begin(write=True)
    txn.put(b"a", b"1")
    env.close()
    with pytest.raises(lmdb.Error):
        txn.put(b"b", b"2")
    with lmdb.open(path) as env:
        assert entries(env) == 0


def test_context_manager(lmdb: Any, path: str) -> None:
    with lmdb.open(path) as env:
        assert isinstance(env, lmdb.Environment)
    with pytest.raises(lmdb.Error):
        env.stat()


def test_context_manager_closes_after_an_exception(lmdb: Any, path: str) -> None:
    with pytest.raises(ZeroDivisionError), lmdb.open(path) as env:
        raise ZeroDivisionError
    with pytest.raises(lmdb.Error):
        env.stat()


def test_weak_reference(env: Any) -> None:
    assert weakref.ref(env)() is env


def test_method_names(lmdb: Any, env: Any) -> None:
    for name in [
        "begin",
        "close",
        "copy",
        "copyfd",
        "dbs",
        "flags",
        "info",
        "lib_version",
        "max_key_size",
        "max_readers",
        "open_db",
        "path",
        "reader_check",
        "readers",
        "set_mapsize",
        "stat",
        "sync",
    ]:
        assert callable(getattr(env, name))
    assert set(lmdb.__all__) >= {"Environment", "Cursor", "Transaction", "_Database", "Error"}
