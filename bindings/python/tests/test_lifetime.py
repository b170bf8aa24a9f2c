"""Objects used after their end, and objects dropped in any order."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest

import zerodb
from conftest import IS_CPYTHON, collect
from zerodb import lmdb

TRANSACTION_CALLS: dict[str, Callable[[zerodb.Transaction], Any]] = {
    "get": lambda txn: txn.get(b"apple"),
    "getitem": lambda txn: txn[b"apple"],
    "contains": lambda txn: b"apple" in txn,
    "put": lambda txn: txn.put(b"apple", b"green"),
    "delete": lambda txn: txn.delete(b"apple"),
    "cursor": lambda txn: txn.cursor(),
    "items": lambda txn: txn.items(),
    "iter": lambda txn: iter(txn),
    "stat": lambda txn: txn.stat(),
    "db": lambda txn: txn.db("users"),
    "id": lambda txn: txn.id,
    "commit": lambda txn: txn.commit(),
    "reset": lambda txn: txn.reset(),
    "renew": lambda txn: txn.renew(),
}

CURSOR_CALLS: dict[str, Callable[[zerodb.Cursor], Any]] = {
    "first": lambda cursor: cursor.first(),
    "next": lambda cursor: cursor.next(),
    "seek": lambda cursor: cursor.seek(b"apple"),
    "item": lambda cursor: cursor.item(),
    "key": lambda cursor: cursor.key(),
    "iter": lambda cursor: list(cursor),
    "iter_reverse": lambda cursor: list(cursor.iter_reverse()),
    "put": lambda cursor: cursor.put(b"apple", b"green"),
    "replace": lambda cursor: cursor.replace(b"apple", b"green"),
    "set_value": lambda cursor: cursor.set_value(b"green"),
    "delete": lambda cursor: cursor.delete(),
}


@pytest.mark.parametrize("call", TRANSACTION_CALLS.values(), ids=TRANSACTION_CALLS)
@pytest.mark.parametrize("end", ["commit", "abort", "close"])
def test_a_transaction_used_after_its_end_raises(
    fruit: zerodb.Environment, call: Callable[[zerodb.Transaction], Any], end: str
) -> None:
    txn = fruit.begin(write=True)
    fruit.close() if end == "close" else getattr(txn, end)()
    with pytest.raises(zerodb.BadTransactionError, match="the transaction"):
        call(txn)


@pytest.mark.parametrize("call", CURSOR_CALLS.values(), ids=CURSOR_CALLS)
@pytest.mark.parametrize("end", ["commit", "abort", "close"])
def test_a_cursor_used_after_its_transaction_raises(
    fruit: zerodb.Environment, call: Callable[[zerodb.Cursor], Any], end: str
) -> None:
    txn = fruit.begin(write=True)
    cursor = txn.cursor()
    cursor.first()
    fruit.close() if end == "close" else getattr(txn, end)()
    with pytest.raises(zerodb.BadCursorError, match="transaction"):
        call(cursor)
    cursor.close()


@pytest.mark.parametrize("call", CURSOR_CALLS.values(), ids=CURSOR_CALLS)
def test_a_cursor_used_after_close_raises(
    fruit: zerodb.Environment, call: Callable[[zerodb.Cursor], Any]
) -> None:
    with fruit.begin(write=True) as txn:
        cursor = txn.cursor()
        cursor.first()
        cursor.close()
        cursor.close()
        with pytest.raises(zerodb.BadHandleError, match="closed"):
            call(cursor)


@pytest.mark.parametrize(
    "call",
    [
        lambda env: env.begin(),
        lambda env: env.begin(write=True),
        lambda env: env.stat(),
        lambda env: env.info(),
        lambda env: env.verify(),
        lambda env: env.sync(),
        lambda env: env.open_db("users"),
    ],
)
def test_an_environment_used_after_close_raises(
    env: zerodb.Environment, call: Callable[[zerodb.Environment], Any]
) -> None:
    env.close()
    env.close()
    assert env.closed
    with pytest.raises(zerodb.BadHandleError, match="closed"):
        call(env)


@pytest.mark.parametrize("end", ["commit", "abort", "close"])
def test_a_walk_whose_transaction_ends_raises(fruit: zerodb.Environment, end: str) -> None:
    txn = fruit.begin(write=True)
    items = txn.items()
    keys = txn.keys(reverse=True)
    not_begun = txn.values()
    assert next(items) == (b"apple", b"red")
    assert next(keys) == b"date"
    fruit.close() if end == "close" else getattr(txn, end)()
    for walk in (items, keys, not_begun):
        with pytest.raises(zerodb.BadCursorError):
            next(walk)


def test_closing_an_environment_ends_its_transactions_and_cursors(
    fruit: zerodb.Environment,
) -> None:
    writer = fruit.begin(write=True)
    writer[b"fig"] = b"green"
    readers = [fruit.begin() for _ in range(3)]
    cursors = [txn.cursor() for txn in (writer, *readers)]
    fruit.close()
    assert not any(txn.active for txn in (writer, *readers))
    with zerodb.open(fruit.path) as again, again.begin() as txn:
        assert b"fig" not in txn
    for cursor in cursors:
        cursor.close()


def test_a_dropped_write_transaction_is_aborted_with_a_warning(
    env: zerodb.Environment,
) -> None:
    txn = env.begin(write=True)
    txn[b"key"] = b"value"
    with pytest.warns(ResourceWarning, match="dropped without"):
        del txn
        collect()
    with env.begin(write=True) as txn:
        assert b"key" not in txn


def test_a_dropped_read_transaction_lets_go_of_its_snapshot_with_a_warning(
    env: zerodb.Environment,
) -> None:
    txn = env.begin()
    with pytest.warns(ResourceWarning, match="dropped without"):
        del txn
        collect()
    assert env.info().readers == 0


def test_a_dropped_environment_is_closed_with_a_warning(path: Path) -> None:
    env = zerodb.open(path)
    with pytest.warns(ResourceWarning, match="dropped without close"):
        del env
        collect()
    zerodb.open(path).close()


def test_a_cursor_keeps_its_transaction_and_that_its_environment(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"value"
    cursor = zerodb.open(path).begin().cursor()
    collect()
    assert cursor.first() == (b"key", b"value")
    cursor.transaction.environment.close()


@pytest.mark.skipif(
    not IS_CPYTHON, reason="PyPy finalizes such a cycle when it likes, one object at a time"
)
def test_a_cycle_of_environment_transactions_and_cursors_is_collected(path: Path) -> None:
    class Holder:
        pass

    for _ in range(3):
        holder = Holder()
        cycle = [holder, zerodb.open(path)]
        cycle += [cycle[1].begin(), cycle[1].begin(write=True)]  # type: ignore[attr-defined]
        cycle += [cycle[2].cursor(), cycle[3].items()]  # type: ignore[attr-defined]
        holder.cycle = cycle  # type: ignore[attr-defined]
        with pytest.warns(ResourceWarning):
            del holder, cycle
            collect()
    zerodb.open(path).close()


def test_a_dropped_cursor_is_closed(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn:
        cursor = txn.cursor()
        assert txn._open_cursors == 1
        del cursor
        collect()
        assert not txn._open_cursors


def test_an_environment_forgets_the_transactions_that_have_ended(
    env: zerodb.Environment,
) -> None:
    env.begin().abort()
    env.begin().commit()
    env.begin(write=True).commit()
    with env.begin():
        assert env._open_transactions == 1
    assert not env._open_transactions


@pytest.mark.parametrize(
    "leave_open",
    [
        "env",
        "env, reader",
        "reader, env",
        "env, reader, writer, cursor, walk",
        "walk, cursor, writer, reader, env",
    ],
)
def test_a_program_that_ends_with_objects_open_ends_quietly(
    path: Path, leave_open: str
) -> None:
    program = f"""
import zerodb
from zerodb import lmdb
env = zerodb.open({str(path)!r})
reader = env.begin()
writer = env.begin(write=True)
writer[b"key"] = b"value"
cursor = reader.cursor()
walk = writer.items()
next(walk)
kept = ({leave_open},)
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    with zerodb.open(path) as env, env.begin() as txn:
        assert b"key" not in txn


def collected_at(count: int, action: Callable[[], object]) -> None:
    """Has a garbage collection call `action` when some more objects have been made."""

    class Trigger:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            with suppress(zerodb.Error):
                action()

    gc.collect()
    gc.disable()
    Trigger()
    gc.set_threshold(gc.get_count()[0] + count, 1, 1)
    gc.enable()


def open_cursor(txn: zerodb.Transaction, cursors: list[zerodb.Cursor]) -> None:
    cursors.append(txn.cursor())


@pytest.fixture
def thresholds() -> Iterator[None]:
    """Has garbage collections happen as before when the test has ended."""
    before = gc.get_threshold()
    yield
    gc.enable()
    gc.set_threshold(*before)


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="collects garbage at other times"
)
@pytest.mark.usefixtures("thresholds")
@pytest.mark.parametrize("action", ["abort", "commit", "get", "cursor", "iterate"])
@pytest.mark.parametrize("write", [True, False])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_garbage_collection_may_use_the_transaction_that_makes_views(
    env: zerodb.Environment, action: str, write: bool
) -> None:
    keys = [b"%03d" % number for number in range(80)]
    with env.begin(write=True) as txn:
        txn.put_many([(key, key * 1000) for key in keys])
    for count in range(16):
        for kept in (62, 63, 64):
            txn = env.begin(write=write, buffers=True)
            cursor = txn.cursor()
            views = [txn.get(key) for key in keys[:kept]]
            actions: dict[str, Callable[[], object]] = {
                "abort": txn.abort,
                "commit": txn.commit,
                "get": partial(txn.get_many, keys[:20]),
                "cursor": txn.cursor,
                "iterate": partial(list, cursor.iternext()),
            }
            collected_at(count, actions[action])
            with suppress(zerodb.BadTransactionError):
                views += [txn.get(key) for key in keys]
            txn.abort()
            del views


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="collects garbage at other times"
)
@pytest.mark.usefixtures("thresholds")
@pytest.mark.parametrize("write", [True, False])
def test_a_garbage_collection_at_the_end_of_a_transaction_leaves_no_cursor_open(
    env: zerodb.Environment, write: bool
) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"k", b"v" * 5000)
    for count in range(8):
        txn = env.begin(write=write, buffers=True)
        views = [txn.get(b"k") for _ in range(20)]
        # These keep the views from being released.
        parts = [view[1:] for view in views]
        cursors: list[zerodb.Cursor] = []
        collected_at(count, partial(open_cursor, txn, cursors))
        txn.abort()
        assert txn._open_cursors == 0
        for cursor in cursors:
            with pytest.raises(zerodb.BadCursorError, match="begin another one"):
                cursor.first()
        del parts


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="collects garbage at other times"
)
@pytest.mark.usefixtures("thresholds")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("write", [True, False])
def test_a_garbage_collection_may_close_the_environment(path: Path, write: bool) -> None:
    keys = [b"%03d" % number for number in range(80)]
    with zerodb.open(path, durability="none") as env, env.begin(write=True) as txn:
        txn.put_many([(key, key * 1000) for key in keys])
    for count in range(24):
        env = zerodb.open(path, durability="none")
        txn = env.begin(write=write, buffers=True)
        cursor = txn.cursor()
        walk = cursor.iternext()
        collected_at(count, env.close)
        with suppress(zerodb.Error):
            for _ in range(20):
                cursor.set_range(b"05")
                next(walk)
                txn.get(b"010")
                cursor.item()
                txn.get_many(keys[:10])
        gc.enable()
        env.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="has no buffers in Python")
@pytest.mark.parametrize("call", ["get", "getitem", "cursor", "pop"])
def test_a_key_that_closes_the_environment_when_it_is_released(
    fruit: zerodb.Environment, call: str
) -> None:
    class Key:
        def __buffer__(self, flags: int) -> memoryview:
            return memoryview(b"large")

        def __release_buffer__(self, view: memoryview) -> None:
            with suppress(zerodb.Error):
                fruit.close()

    value = bytes(range(256)) * 4000
    with fruit.begin(write=True) as txn:
        txn[b"large"] = value
    txn = fruit.begin(write=call == "pop")
    cursor = txn.cursor()
    key: Any = Key()
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: txn.get(key),
        "getitem": lambda: txn[key],
        "cursor": lambda: cursor.get(key),
        "pop": lambda: cursor.pop(key),
    }
    with suppress(zerodb.Error):
        assert calls[call]() == value


def test_only_walks_make_iterators(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn:
        kind: Any = type(txn.items())
        with pytest.raises(TypeError):
            kind()


@pytest.mark.parametrize("name", ["Environment", "Transaction", "Cursor"])
@pytest.mark.parametrize("names", [zerodb, lmdb])
def test_an_object_that_was_never_made_is_collected_quietly(names: Any, name: str) -> None:
    kind = getattr(names, name)
    try:
        thing = kind.__new__(kind)
    except TypeError:
        return  # as in C
    for attribute in ("__exit__", "__enter__", "__class__"):
        getattr(thing, attribute, None)
    del thing
    collect()


def test_looking_at_what_an_object_has_does_not_end_it(fruit: zerodb.Environment) -> None:
    with fruit.begin() as inner:
        for thing in (fruit, fruit.begin(), inner, fruit.begin(write=True)):
            assert inspect.getmembers(thing)
            assert hasattr(thing, "__exit__")
            collect()
            if isinstance(thing, zerodb.Transaction):
                assert thing.get(b"apple") == b"red"
                if thing is not inner:
                    thing.abort()
        assert not fruit.closed


def test_a_second_call_of_init_does_nothing(fruit: zerodb.Environment) -> None:
    with fruit.begin(write=True) as txn:
        cursor = txn.cursor()
        cursor.first()
        entry = cursor.item()
        txn.__init__(fruit, write=True)  # type: ignore[misc]
        cursor.__init__(None, txn)
        assert cursor.item() == entry
        assert txn._open_cursors == 1
    txn.__init__(fruit)  # type: ignore[misc]
    assert not txn.active
    assert fruit._open_transactions == 0
    fruit.begin(write=True, wait=0).abort()


def test_a_cursor_wants_a_transaction(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn:
        for wrong in (fruit, txn.cursor(), None, 5):
            with pytest.raises(TypeError, match="txn must be a transaction"):
                zerodb.Cursor(None, wrong)
