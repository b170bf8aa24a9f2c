"""Transactions with buffers=True give memoryviews."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def benv(env: Any) -> Any:
    """An environment with some entries."""
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
        txn.put(b"b", b"2" * 1000)
        txn.put(b"large", bytes(range(256)) * 1000)
    return env


def test_get(benv: Any) -> None:
    with benv.begin(buffers=True) as txn:
        value = txn.get(b"b")
        assert isinstance(value, memoryview)
        assert value.readonly
        assert len(value) == 1000
        assert bytes(value[:2]) == b"22"
        assert value == b"2" * 1000
        assert txn.get(b"x") is None
        assert txn.get(b"x", b"none") == b"none"


def test_large_value(benv: Any) -> None:
    with benv.begin(buffers=True) as txn:
        value = txn.get(b"large")
        assert value.nbytes == 256_000
        assert value[257] == 1
        assert bytes(value) == bytes(range(256)) * 1000


def test_cannot_be_written_to(benv: Any) -> None:
    with benv.begin(buffers=True) as txn, pytest.raises(TypeError):
        txn.get(b"a")[0] = 5


def test_by_position(benv: Any) -> None:
    with benv.begin(None, None, False, True) as txn:
        assert isinstance(txn.get(b"a"), memoryview)


def test_several_values_at_once(benv: Any) -> None:
    with benv.begin(buffers=True) as txn:
        first, second = txn.get(b"a"), txn.get(b"b")
        assert bytes(first) == b"1"
        assert bytes(second) == b"2" * 1000


def test_cursor(benv: Any) -> None:
    with benv.begin(buffers=True) as txn:
        cursor = txn.cursor()
        assert bytes(cursor.key()) == bytes(cursor.value()) == b""
        assert cursor.first()
        for part in (cursor.key(), cursor.value(), *cursor.item(), cursor.get(b"a")):
            assert isinstance(part, memoryview)
        assert bytes(cursor.key()) == b"a"
        assert cursor.set_key(b"b")
        assert bytes(cursor.value()) == b"2" * 1000


def test_iteration(benv: Any) -> None:
    with benv.begin(buffers=True) as txn:
        found = []
        for key, value in txn.cursor():
            assert isinstance(key, memoryview)
            assert isinstance(value, memoryview)
            found.append((bytes(key), len(value)))
        assert found == [(b"a", 1), (b"b", 1000), (b"large", 256_000)]
        assert [bytes(key) for key in txn.cursor().iternext(values=False)] == [
            b"a",
            b"b",
            b"large",
        ]


def test_getmulti(benv: Any) -> None:
    with benv.begin(buffers=True) as txn:
        [(key, value)] = txn.cursor().getmulti([b"a"])
        assert isinstance(value, memoryview)
        assert (bytes(key), bytes(value)) == (b"a", b"1")


def test_write_transaction(benv: Any) -> None:
    with benv.begin(write=True, buffers=True) as txn:
        assert bytes(txn.replace(b"a", b"9")) == b"1"
        assert bytes(txn.get(b"a")) == b"9"
        assert bytes(txn.pop(b"a")) == b"9"
        value = txn.get(b"b")
        assert txn.put(b"copy", value) is True
        assert bytes(txn.get(b"copy")) == b"2" * 1000


def test_replace_and_pop_give_what_lasts(benv: Any) -> None:
    with benv.begin(write=True, buffers=True) as txn:
        before = txn.replace(b"b", b"3" * 1000)
        popped = txn.pop(b"large")
        txn.put(b"c", b"4" * 1000)
        assert bytes(before) == b"2" * 1000
        assert bytes(popped) == bytes(range(256)) * 1000
        assert type(before) is type(popped) is bytes


def test_values_can_be_used_as_keys(benv: Any) -> None:
    with benv.begin(write=True, buffers=True) as txn:
        txn.put(b"pointer", b"a")
        assert bytes(txn.get(txn.get(b"pointer"))) == b"1"


def test_dbs(env: Any) -> None:
    env.open_db(b"name")
    with env.begin(buffers=True) as txn:
        assert [bytes(name) for name in env.dbs(txn)] == [b"name"]
