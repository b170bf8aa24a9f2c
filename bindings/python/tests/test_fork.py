"""Objects that a parent process opened, in its children."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Callable

import pytest

import zerodb
from conftest import collect

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def in_child(work: Callable[[], None]) -> None:
    """Calls a function in a child process; raises if it raises there."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            work()
            status = 0
        except BaseException:
            os.write(write, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        complaint = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert status == 0, complaint


def test_inherited_objects_raise_forked_errors_in_a_child(fruit: zerodb.Environment) -> None:
    users = fruit.open_db("users", create=True)
    reader = fruit.begin()
    writer = fruit.begin(write=True)
    cursor = reader.cursor()

    def work() -> None:
        for call in (
            lambda: fruit.begin(),
            lambda: fruit.begin(write=True),
            lambda: fruit.stat(users),
            lambda: fruit.info(),
            lambda: fruit.verify(),
            lambda: fruit.sync(),
            lambda: fruit.checkpoint(),
            lambda: fruit.readers(),
            lambda: fruit.check_readers(),
            lambda: reader.get(b"apple"),
            lambda: reader.get(b"apple", db=users),
            lambda: reader.cursor(),
            lambda: reader.stat(),
            lambda: writer.put(b"apple", b"green"),
            lambda: writer.delete(b"apple"),
            lambda: cursor.first(),
            lambda: writer.commit(),
        ):
            with pytest.raises(zerodb.ForkedError):
                call()

    in_child(work)
    assert reader[b"apple"] == b"red"
    assert cursor.first() == (b"apple", b"red")
    writer[b"apple"] = b"green"
    writer.commit()
    reader.abort()
    with fruit.begin() as txn:
        assert txn[b"apple"] == b"green"


def test_a_child_of_a_thread_that_was_inside_does_not_hang(fruit: zerodb.Environment) -> None:
    with fruit.begin() as reader:

        def work() -> None:
            with pytest.raises(zerodb.ForkedError):
                reader.get(b"apple")

        # As if another thread had been in the middle of a call when the process was forked.
        reader._call(lambda _: in_child(work))


def test_a_child_that_drops_inherited_objects_does_not_affect_the_parent(
    fruit: zerodb.Environment,
) -> None:
    held = [fruit.begin(), fruit.begin(write=True)]
    held[1][b"fig"] = b"green"
    walks = [txn.items() for txn in held]
    assert [next(walk) for walk in walks] == [(b"apple", b"red")] * 2

    def work() -> None:
        # Warnings are errors here, and errors in finalizers reach the hook.
        complaints: list[object] = []
        sys.unraisablehook = complaints.append
        held[0].abort()
        held.clear()
        walks.clear()
        collect()
        fruit.close()
        assert not complaints

    in_child(work)
    reader, writer = held
    assert [next(walk) for walk in walks] == [(b"apricot", b"orange")] * 2
    assert reader[b"apple"] == b"red"
    writer.commit()
    reader.abort()
    with fruit.begin() as txn:
        assert txn[b"fig"] == b"green"


def test_a_child_sees_nothing_of_what_a_cursor_has_read_in_advance(path: Path) -> None:
    pairs = [(b"%06d" % number, b"x" * 150) for number in range(5000)]
    with zerodb.open(path) as first, first.begin(write=True) as txn:
        txn.put_many(pairs)
    with zerodb.open(path) as env, env.begin() as txn:
        sought, begun, going = (txn.cursor() for _ in range(3))
        assert sought.set_range(b"000100") == pairs[100]
        assert begun.set_range(b"000100") == pairs[100]
        walks = [begun.iternext(), going.iternext(), txn.items(), txn.items(start=b"0")]
        for walk in walks[1:]:
            assert [next(walk) for _ in range(5)] == pairs[:5]

        def work() -> None:
            for call in (sought.item, sought.key, going.item):
                with pytest.raises(zerodb.ForkedError):
                    call()
            for walk in walks:
                with pytest.raises(zerodb.ForkedError):
                    next(walk)

        in_child(work)
        assert sought.item() == pairs[100]
        assert list(walks[0]) == pairs[100:]
        for walk in walks[1:]:
            assert list(walk) == pairs[5:]


def test_a_child_that_leaves_a_block_by_an_exception_sees_that_exception(
    fruit: zerodb.Environment,
) -> None:
    def work() -> None:
        with pytest.raises(ZeroDivisionError), txn:
            raise ZeroDivisionError

    with fruit.begin(write=True) as txn:
        txn[b"fig"] = b"green"
        in_child(work)
    with fruit.begin() as reader:
        assert reader[b"fig"] == b"green"


def test_a_child_reads_and_writes_through_an_environment_of_its_own(
    fruit: zerodb.Environment,
) -> None:
    def work() -> None:
        with zerodb.open(fruit.path) as own:
            with own.begin() as txn:
                assert txn[b"apple"] == b"red"
            with own.begin(write=True) as txn:
                txn[b"apple"] = b"green"

    with fruit.begin() as before:
        in_child(work)
        assert before[b"apple"] == b"red"
    with fruit.begin(write=True) as txn:
        assert txn[b"apple"] == b"green"
        txn[b"banana"] = b"brown"
    assert fruit.verify().sound


def test_parent_and_children_write_one_after_the_other(env: zerodb.Environment) -> None:
    def increment(environment: zerodb.Environment) -> None:
        with environment.begin(write=True) as txn:
            txn[b"count"] = b"%d" % (int(txn.get(b"count", b"0")) + 1)

    def work() -> None:
        with zerodb.open(env.path) as own:
            for _ in range(5):
                increment(own)

    for _ in range(4):
        increment(env)
        in_child(work)
    with env.begin() as txn:
        assert txn[b"count"] == b"24"
    assert env.verify().sound


def test_memoryviews_of_pages_show_zeros_in_a_child(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        for number in range(50):
            txn[b"%d" % number] = b"v" * 100000
    with env.begin(buffers=True) as txn:
        views = [txn.get(b"%d" % number) for number in range(50)]
        part = views[7][5:]
        views.pop(7)

        def look() -> None:
            found = b"".join(views[3:9]) + bytes(part)
            assert not found.strip(b"\0")
            assert len(found) == 700000 - 5

        in_child(look)
        assert bytes(views[3]) == b"v" * 100000


@pytest.mark.parametrize("gives_archive", [False, True])
def test_a_relative_path_counts_where_the_environment_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gives_archive: bool
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    archive = "archive" if gives_archive else None
    with zerodb.open("store", reopen_after_fork=True, archive=archive) as env:
        assert env.path == "store"
        with env.begin(write=True) as txn:
            txn[b"key"] = b"value"
        monkeypatch.chdir(tmp_path / "there")
        pickled = pickle.dumps(env)
        assert pickle.loads(pickled) is env

        def use() -> None:
            with env.begin(write=True) as txn:
                assert txn[b"key"] == b"value"
                txn[b"from the child"] = b"1"
            env.close()

        in_child(use)
        with env.begin() as txn:
            assert txn[b"from the child"] == b"1"
    assert os.listdir(tmp_path / "there") == []
    with pickle.loads(pickled) as env, env.begin() as txn:
        assert txn[b"key"] == b"value"
    assert os.listdir(tmp_path / "there") == []
