"""Threads."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

import zerodb
from conftest import IS_CPYTHON


def test_a_second_thread_in_a_transaction_gets_a_busy_error(
    fruit: zerodb.Environment,
) -> None:
    for write in (False, True):
        with fruit.begin(write=write) as txn:
            cursor = txn.cursor()

            # As if another thread were in the middle of a call.
            def within(_: int, txn: zerodb.Transaction = txn) -> None:
                for call in (
                    lambda: txn.get(b"apple"),
                    lambda: txn.put(b"apple", b"green"),
                    lambda: txn.delete(b"apple"),
                    lambda: txn.stat(),
                    lambda: txn.commit(),
                    lambda: txn.abort(),
                    lambda: cursor.first(),  # noqa: B023
                    lambda: cursor.delete(),  # noqa: B023
                    lambda: fruit.close(),
                ):
                    with pytest.raises(zerodb.BusyError):
                        call()

            txn._call(within)
            assert txn[b"apple"] == b"red"


def test_a_cursor_closed_while_its_transaction_is_busy_ends_with_that(
    fruit: zerodb.Environment,
) -> None:
    with fruit.begin() as txn:
        cursor = txn.cursor()
        txn._call(lambda _: cursor.close())
        assert txn._open_cursors
    assert not txn._open_cursors


def test_threads_that_fight_over_a_write_transaction_do_no_harm(
    env: zerodb.Environment,
) -> None:
    with env.begin(write=True) as txn:

        def write(thread: int) -> set[bytes]:
            done = set()
            for number in range(500):
                key = b"%d/%06d" % (thread, number)
                try:
                    txn[key] = key * 20
                    done.add(key)
                except zerodb.BusyError:
                    pass
            return done

        with ThreadPoolExecutor(4) as pool:
            written = set().union(*pool.map(write, range(4)))
        assert set(txn.keys()) == written
        assert all(value == key * 20 for key, value in txn.items())
    assert env.verify().sound


@pytest.mark.parametrize("walk", ["items", "range", "keys", "sought"])
def test_threads_that_share_an_iterator_do_no_harm(env: zerodb.Environment, walk: str) -> None:
    pairs = [(b"%06d" % number, b"x" * 20) for number in range(4000)]
    with env.begin(write=True) as txn:
        txn.put_many(pairs)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):
            with env.begin() as txn, txn.cursor() as cursor:
                if walk == "sought":
                    cursor.set_range(b"0")
                    for _ in zip(range(300), cursor.iternext()):
                        pass
                    cursor.set_range(b"0")
                walks: dict[str, Any] = {
                    "items": lambda: txn.items(),
                    "range": lambda: txn.items(start=b"000001", stop=b"9"),
                    "keys": lambda: txn.keys(reverse=True),
                    "sought": lambda: cursor.iternext(),
                }
                shared = walks[walk]()

                def take(_: int, shared: Any = shared) -> list[Any]:
                    found = []
                    while True:
                        try:
                            found.append(next(shared))
                        except StopIteration:
                            return found
                        except (ValueError, zerodb.BusyError):
                            pass  # another thread is inside

                with ThreadPoolExecutor(4) as pool:
                    found = [item for part in pool.map(take, range(4)) for item in part]
                expected = [key for key, _ in pairs] if walk == "keys" else list(pairs)
                if walk == "range":
                    del expected[0]
                assert sorted(found) == expected
    finally:
        sys.setswitchinterval(before)


@pytest.mark.skipif(
    not IS_CPYTHON, reason="PyPy does not always show one thread what another is in"
)
@pytest.mark.parametrize("end", ["abort", "reset"])
def test_no_view_outlives_a_transaction_that_another_thread_ends(
    env: zerodb.Environment, end: str
) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"key", b"x" * 50_000)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            txn = env.begin(buffers=True)
            views: list[Any] = [txn.get(b"key"), txn.get(b"key")]

            def read(txn: zerodb.Transaction = txn, views: list[Any] = views) -> None:
                with suppress(zerodb.BadTransactionError):
                    while True:
                        with suppress(zerodb.BusyError):
                            views.append(txn.get(b"key"))

            thread = threading.Thread(target=read)
            thread.start()
            if end == "reset":
                with suppress(zerodb.BusyError):
                    txn.reset()
            while txn.active:
                with suppress(zerodb.BusyError):
                    txn.abort()
            thread.join()
            for view in views:
                with pytest.raises(ValueError, match="released"):
                    view[0]
    finally:
        sys.setswitchinterval(before)


def test_a_writer_waits_for_the_writer_before_it(env: zerodb.Environment) -> None:
    order = []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        with env.begin(write=True) as txn:
            order.append(txn.get(b"key"))

    with env.begin(write=True) as txn:
        thread = threading.Thread(target=second)
        thread.start()
        begun.wait()
        txn[b"key"] = b"value"
    thread.join()
    assert order == [b"value"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupted_wait_for_the_writer_before_leaves_no_transaction_behind(
    env: zerodb.Environment,
) -> None:
    held = threading.Event()
    waiting = threading.Event()

    def hold() -> None:
        with env.begin(write=True):
            held.set()
            waiting.wait()
            os.kill(os.getpid(), signal.SIGINT)

    # A shell that starts the tests in the background has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        with pytest.raises(KeyboardInterrupt):
            waiting.set()
            env.begin(write=True)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not env._open_transactions
    env.begin(write=True).abort()


def test_increments_by_many_threads_all_count(env: zerodb.Environment) -> None:
    def increment(_: int) -> None:
        for _ in range(10):
            with env.begin(write=True) as txn:
                txn[b"count"] = b"%d" % (int(txn.get(b"count", b"0")) + 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(increment, range(8)))
    with env.begin() as txn:
        assert txn[b"count"] == b"80"


def test_readers_of_many_threads_see_whole_commits(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        for number in range(100):
            txn[b"%03d" % number] = b"0"
    finished = threading.Event()

    def read(_: int) -> int:
        seen = 0
        while True:
            last = finished.is_set()
            with env.begin() as txn:
                values = set(txn.values())
                assert len(values) == 1
                seen += 1
            if last:
                return seen

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, number) for number in range(4)]
        try:
            for commit in range(20):
                with env.begin(write=True) as txn:
                    for number in range(100):
                        txn[b"%03d" % number] = b"%d" % commit
        finally:
            finished.set()
        assert all(reader.result() >= 1 for reader in readers)


def test_a_transaction_may_move_from_one_thread_to_another(env: zerodb.Environment) -> None:
    txn = env.begin(write=True)
    txn[b"key"] = b"value"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(txn.get, b"key").result() == b"value"
        pool.submit(txn.commit).result()
    with env.begin() as reader:
        assert reader[b"key"] == b"value"


def test_messages_of_failures_stay_with_their_thread(env: zerodb.Environment) -> None:
    def fail(thread: int) -> None:
        for _ in range(50):
            with env.begin() as txn:
                if thread % 2:
                    with pytest.raises(zerodb.NotFoundError):
                        txn[b"missing"]
                else:
                    with pytest.raises(zerodb.BadValueSizeError):
                        txn.get(b"k" * (env.max_key_size + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fail, range(4)))


def test_an_environment_may_be_closed_by_any_thread(env: zerodb.Environment) -> None:
    txn = env.begin()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(env.close).result()
    assert not txn.active
    with pytest.raises(zerodb.BadHandleError):
        env.begin()
