"""Threads, processes, and objects that end in any order."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
import warnings
import weakref
from pathlib import Path
from typing import Any

import pytest


def fill(env: Any, count: int = 100) -> None:
    with env.begin(write=True) as txn:
        for number in range(count):
            txn.put(b"%03d" % number, b"value of %d" % number)


# ------------------------------------------------------------------- threads


def test_readers_in_threads(env: Any) -> None:
    fill(env)
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(50):
                with env.begin() as txn:
                    assert txn.get(b"050") == b"value of 50"
                    assert len(list(txn.cursor())) == 100
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_writers_in_threads_take_turns_by_waiting(env: Any) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"count", b"0")

    def add() -> None:
        for _ in range(50):
            with env.begin(write=True) as txn:
                txn.put(b"count", b"%d" % (int(txn.get(b"count")) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with env.begin() as txn:
        assert txn.get(b"count") == b"200"


def test_a_read_transaction_goes_to_another_thread(env: Any) -> None:
    fill(env)
    txn = env.begin()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(txn.get(b"001")))
    thread.start()
    thread.join()
    assert found == [b"value of 1"]
    txn.abort()


# ------------------------------------------------------- collection and copies


def test_collected_in_any_order(lmdb: Any, tmp_path: Path) -> None:
    generator = random.Random(1)
    for round_number in range(6):
        env = lmdb.open(str(tmp_path / str(round_number)), max_dbs=1)
        fill(env, 10)
        db = env.open_db(b"name")
        reader = env.begin()
        writer = env.begin(write=True)
        cursors = [reader.cursor(), writer.cursor(db), writer.cursor()]
        iterators = [iter(cursors[0]), cursors[2].iterprev()]
        next(iterators[0])
        objects = [env, db, reader, writer, *cursors, *iterators]
        del env, db, reader, writer, cursors, iterators
        generator.shuffle(objects)
        while objects:
            objects.pop()
            gc.collect()


def test_nothing_warns(lmdb: Any, path: str) -> None:
    """py-lmdb ends what a program drops without a word."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = lmdb.open(path)
        env.begin().get(b"a")
        env.begin(write=True).put(b"a", b"1")
        txn = env.begin()
        txn.cursor().first()
        del txn
        del env
        gc.collect()
    assert caught == []


def test_dropped_environment_is_closed(lmdb: Any, path: str) -> None:
    env = lmdb.open(path)
    fill(env)
    del env
    gc.collect()
    with lmdb.open(path) as env:
        assert env.stat()["entries"] == 100


def test_weak_references(env: Any) -> None:
    with env.begin() as txn:
        assert weakref.ref(txn)() is txn


def test_transactions_and_cursors_are_not_pickled(env: Any) -> None:
    with env.begin() as txn:
        for thing in (txn, txn.cursor(), env.open_db()):
            with pytest.raises(TypeError):
                pickle.dumps(thing)
            with pytest.raises(TypeError):
                copy.copy(thing)


def test_environments_are_pickled_by_path(lmdb: Any, env: Any, is_zerodb: bool) -> None:
    fill(env)
    if not is_zerodb:
        with pytest.raises(TypeError):
            pickle.dumps(env)
        return
    pickled = pickle.dumps(env)
    env.close()
    with pickle.loads(pickled) as other:
        assert pickle.loads(pickle.dumps(other)) is other
        assert other.stat()["entries"] == 100
        other.open_db(b"name")


def test_environments_are_not_copied(env: Any) -> None:
    with pytest.raises(TypeError):
        copy.copy(env)
    assert env.stat()["entries"] == 0


def test_a_hundred_thousand_transactions(lmdb: Any, path: str) -> None:
    with lmdb.open(path) as env:
        fill(env)
        for _ in range(20_000):
            with env.begin() as txn:
                txn.get(b"001")
            env.begin().get(b"002")
        assert env.readers() == "(no active readers)\n" or env.info()["num_readers"] <= 2


def test_end_of_the_interpreter_with_everything_open(lmdb: Any, tmp_path: Path) -> None:
    program = f"""
import importlib
lmdb = importlib.import_module({lmdb.__name__!r})
env = lmdb.open({str(tmp_path / "env")!r}, max_dbs=1)
with env.begin(write=True) as txn:
    for number in range(10):
        txn.put(b"%d" % number, b"")
db = env.open_db(b"name")
reader = env.begin()
cursor = reader.cursor()
iterator = iter(cursor)
next(iterator)
writer = env.begin(write=True)
writer.put(b"lost", b"")
class Cycle: pass
cycle = Cycle()
cycle.me = cycle
cycle.things = [iterator, writer, cursor, env]
print("end")
"""
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")


# ------------------------------------------------------------------ processes


class Dataset:
    """As a PyTorch dataset is written: opened in the constructor, read in other processes."""

    def __init__(self, module: str, path: str) -> None:
        import importlib

        self.env: Any = importlib.import_module(module).open(
            path, readonly=True, lock=False, readahead=False, meminit=False, max_readers=32
        )
        with self.env.begin() as txn:
            self.length = txn.stat()["entries"]

    def __len__(self) -> int:
        return int(self.length)

    def __getitem__(self, index: int) -> bytes:
        with self.env.begin(write=False) as txn:
            return bytes(txn.get(b"%03d" % index))


def read_items(dataset: Dataset, indexes: list[int], results: Any) -> None:
    results.put([dataset[index] for index in indexes])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dataset_that_is_opened_before_fork(lmdb: Any, path: str) -> None:
    with lmdb.open(path) as env:
        fill(env)
    dataset = Dataset(lmdb.__name__, path)
    assert dataset[3] == b"value of 3"
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(target=read_items, args=(dataset, [first, first + 1], results))
        for first in (10, 20)
    ]
    for process in processes:
        process.start()
    found = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert found == [[b"value of 10", b"value of 11"], [b"value of 20", b"value of 21"]]
    assert dataset[5] == b"value of 5"
    dataset.env.close()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_dataset_that_is_pickled(lmdb: Any, path: str, is_zerodb: bool, method: str) -> None:
    if not is_zerodb:
        pytest.skip("py-lmdb does not pickle environments")
    with lmdb.open(path) as env:
        fill(env)
    dataset = Dataset(lmdb.__name__, path)
    context: Any = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=read_items, args=(dataset, [10, 11], results))
    process.start()
    assert results.get(timeout=60) == [b"value of 10", b"value of 11"]
    process.join()
    assert process.exitcode == 0
    dataset.env.close()


def run_in_child(function: Any) -> int:
    """Calls a function in a child made by fork(); returns its exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_writing_in_a_child_is_for_zerodb(lmdb: Any, path: str, is_zerodb: bool) -> None:
    """LMDB forbids using an environment that was opened before fork()."""
    if not is_zerodb:
        pytest.skip("LMDB forbids it")
    with lmdb.open(path, max_dbs=2) as env:
        fill(env, 10)
        db = env.open_db(b"name")

        def write() -> None:
            with env.begin(write=True, db=db) as txn:
                txn.put(b"from the child", b"1")
            assert env.stat()["entries"] >= 10

        assert run_in_child(write) == 0
        with env.begin(db=db) as txn:
            assert txn.get(b"from the child") == b"1"
        with env.begin(write=True) as txn:
            txn.put(b"from the parent", b"1")


def test_transactions_of_the_parent_end_in_a_child(
    lmdb: Any, path: str, is_zerodb: bool
) -> None:
    if not is_zerodb:
        pytest.skip("LMDB forbids it")
    with lmdb.open(path) as env:
        fill(env, 10)
        txn = env.begin(write=True)
        txn.put(b"a", b"1")
        cursor = txn.cursor()

        def use() -> None:
            for call in (lambda: txn.get(b"a"), lambda: txn.put(b"b", b"1"), cursor.first):
                with pytest.raises(lmdb.Error):
                    call()
            txn.abort()

        assert run_in_child(use) == 0
        txn.commit()
        with env.begin() as txn:
            assert txn.get(b"a") == b"1"


def test_iterators_and_cursors_of_the_parent_end_in_a_child(
    lmdb: Any, path: str, is_zerodb: bool
) -> None:
    if not is_zerodb:
        pytest.skip("LMDB forbids it")
    with lmdb.open(path, max_dbs=20) as env:
        fill(env, 100)
        for names in (False, True):
            for number in range(20 if names else 0):
                env.open_db(b"name%02d" % number)
            with env.begin() as txn:
                unset, sought = txn.cursor(), txn.cursor()
                assert sought.set_range(b"name05") is names
                walks = [
                    txn.cursor().iternext(),
                    txn.cursor().iterprev(values=False),
                    txn.cursor().iternext_nodup(),
                    sought.iternext(),
                ]
                for walk in walks[: 3 + names]:
                    next(walk)
                    next(walk)
                calls: list[Any] = [walk.__next__ for walk in walks]
                calls += [unset.key, unset.item, unset.iternext_dup().__next__, unset.next]

                def use(calls: list[Any] = calls) -> None:
                    for call in calls:
                        with pytest.raises(lmdb.Error):
                            call()

                assert run_in_child(use) == 0


def test_two_processes(lmdb: Any, path: str) -> None:
    program = f"""
import importlib
lmdb = importlib.import_module({lmdb.__name__!r})
with lmdb.open({path!r}) as env:
    for number in range(20):
        with env.begin(write=True) as txn:
            txn.put(b"count", b"%d" % (int(txn.get(b"count", b"0")) + 1))
"""
    with lmdb.open(path) as env:
        child = subprocess.Popen([sys.executable, "-c", program])
        for _ in range(20):
            with env.begin(write=True) as txn:
                txn.put(b"count", b"%d" % (int(txn.get(b"count", b"0")) + 1))
        assert child.wait(60) == 0
        with env.begin() as txn:
            assert txn.get(b"count") == b"40"


def test_another_process_makes_the_map_larger(lmdb: Any, path: str, is_zerodb: bool) -> None:
    program = f"""
import importlib
lmdb = importlib.import_module({lmdb.__name__!r})
with lmdb.open({path!r}, map_size=1 << 26) as env, env.begin(write=True) as txn:
    for number in range(5000):
        txn.put(b"%05d" % number, bytes(1000))
"""
    with lmdb.open(path, map_size=1 << 20) as env:
        fill(env)
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
        try:
            txn = env.begin()
        except lmdb.MapResizedError:
            assert not is_zerodb, "its map is adopted without the program's help"
            env.set_mapsize(0)
            assert env.info()["map_size"] > 5_000_000
            txn = env.begin()
        assert len(txn.get(b"04999")) == 1000
        txn.abort()


def test_killed_writer(lmdb: Any, path: str) -> None:
    """What it had committed is there, also for a program that only reads."""
    program = f"""
import importlib, os, signal
lmdb = importlib.import_module({lmdb.__name__!r})
env = lmdb.open({path!r}, sync=False)
with env.begin(write=True) as txn:
    txn.put(b"a", b"1")
txn = env.begin(write=True)
txn.put(b"a", b"2")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with lmdb.open(path, readonly=True, lock=False) as env, env.begin() as txn:
        assert txn.get(b"a") == b"1"
    with lmdb.open(path) as env, env.begin(write=True) as txn:
        assert txn.get(b"a") == b"1"
