"""Objects used after their end, and objects dropped in any order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import zerodb
from conftest import IS_CPYTHON, collect

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
