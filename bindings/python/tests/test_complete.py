"""What the C API has beyond keys and values: duplicates, nesting, ranges, ranks, databases."""

from __future__ import annotations

import copy
import pickle
import struct
from pathlib import Path
from typing import Any, Callable

import pytest

import zerodb
from conftest import IS_CPYTHON


@pytest.fixture
def colours(env: zerodb.Environment) -> zerodb.Database:
    """A database in which keys have several values."""
    db = env.open_db("colours", create=True, dupsort=True)
    with env.begin(db, write=True) as txn:
        for key, value in [(b"apple", b"green"), (b"apple", b"red"), (b"fig", b"blue")]:
            txn.put(key, value)
    return db


def test_a_key_has_several_values(colours: zerodb.Database) -> None:
    with colours.environment.begin(colours, write=True) as txn:
        assert txn[b"apple"] == b"green"
        assert list(txn.items()) == [
            (b"apple", b"green"),
            (b"apple", b"red"),
            (b"fig", b"blue"),
        ]
        with txn.cursor() as cursor:
            assert cursor.set_key(b"apple") == (b"apple", b"green")
            assert cursor.count() == 2
            assert cursor.last_dup() == (b"apple", b"red")
            assert cursor.next_dup() is None
            assert cursor.prev_dup() == (b"apple", b"green")
            assert cursor.next_nodup() == (b"fig", b"blue")
            assert cursor.prev_nodup() == (b"apple", b"red")
            assert cursor.first_dup() == (b"apple", b"green")
            assert cursor.set_key_dup(b"apple", b"red") == (b"apple", b"red")
            assert cursor.set_key_dup(b"apple", b"blue") is None
            assert cursor.set_range_dup(b"apple", b"h") == (b"apple", b"red")
            cursor.first()
            assert list(cursor.iternext_dup()) == [b"green", b"red"]
            assert list(cursor.iternext_nodup()) == [b"apple", b"fig"]
            assert list(cursor.iterprev_nodup()) == [b"fig", b"apple"]
        assert txn.put(b"apple", b"red", dupdata=False) is False
        assert txn.put(b"apple", b"white", overwrite=False) is False
        assert txn.delete(b"apple", b"green")
        assert txn.stat().entries == 2
        assert txn.stat().keys == 2
        assert txn.flags(colours).dupsort
        assert txn.replace(b"apple", b"pink") == b"red"
        assert txn.pop(b"apple") == b"pink"
        assert txn.pop(b"apple") is None
        assert txn.compare_values(b"a", b"b") < 0


def test_keys_may_be_integers(env: zerodb.Environment) -> None:
    numbers = env.open_db("numbers", create=True, integer_key=True)
    assert numbers.flags == zerodb.DatabaseFlags(integer_key=True)
    keys = [struct.pack("<Q", number) for number in range(0, 1000, 3)]
    with env.begin(numbers, write=True) as txn:
        assert txn.put_many((key, b"v") for key in keys) == (334, 334)
        assert list(txn.keys()) == keys
        start, stop = struct.pack("<Q", 255), struct.pack("<Q", 600)
        inside = [key for key in keys if 255 <= int.from_bytes(key, "little") < 600]
        assert list(txn.keys(start=start, stop=stop)) == inside
        assert list(txn.keys(start=start, stop=stop, reverse=True)) == inside[::-1]
        assert txn.compare(start, stop) < 0
        with pytest.raises(zerodb.IncompatibleError, match="prefix"):
            list(txn.keys(prefix=b"\0"))


def test_a_counted_database_knows_ranks(env: zerodb.Environment) -> None:
    db = env.open_db("counted", create=True, counted=True)
    keys = [b"%04d" % number for number in range(1000)]
    with env.begin(db, write=True) as txn:
        txn.put_many((key, b"") for key in keys)
        assert txn.rank(b"0123") == (123, True)
        assert txn.rank(b"0123x") == (124, False)
        assert txn.count_range(b"0100", b"0200") == 100
        parts = txn.split(4)
        assert [len(list(txn.keys(None, *part))) for part in parts] == [250] * 4
        with txn.cursor() as cursor:
            assert cursor.seek_rank(7) == (b"0007", b"")
            assert cursor.rank() == 7
            assert cursor.seek_rank(1000) is None
        assert txn.delete_range(b"0100", b"0900") == 800
        assert txn.count_range() == 200
        txn.clear(db)
        assert txn.stat().entries == 0


def test_databases_are_listed_renamed_and_dropped(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        old = txn.db("old", create=True)
        txn.put(b"key", b"value", db=old)
        txn.db("other", create=True)
        new = txn.rename(old, "new")
        assert txn.get(b"key", db=new) == b"value"
        assert list(txn.databases()) == ["new", "other"]
        txn.drop(new)
        with pytest.raises(zerodb.BadDatabaseError):
            txn.get(b"key", db=new)
    assert list(env) == ["other"]
    assert "other" in env
    assert "new" not in env
    assert len(env) == 1


def test_nested_transactions_give_their_changes_to_the_parent(env: zerodb.Environment) -> None:
    with env.begin(write=True) as parent:
        parent[b"a"] = b"parent"
        with env.begin(parent=parent) as child:
            child[b"a"] = b"child"
            with pytest.raises(zerodb.BadTransactionError):
                parent.get(b"a")
            with pytest.raises(zerodb.BadTransactionError):
                parent.commit()
        assert parent[b"a"] == b"child"
        with pytest.raises(ZeroDivisionError), env.begin(parent=parent) as child:
            child[b"b"] = b"lost"
            raise ZeroDivisionError
        assert b"b" not in parent
    with env.begin() as txn:
        assert list(txn.items()) == [(b"a", b"child")]


def test_many_are_read_and_put_in_one_call(env: zerodb.Environment) -> None:
    items = {b"%05d" % number: b"v" * (number % 300) for number in range(10_000)}
    with env.begin(write=True) as txn:
        assert txn.put_many(items.items()) == (10_000, 10_000)
        assert txn.put_many(items.items(), overwrite=False) == (10_000, 0)
        assert txn.put_many([(bytearray(b"x"), memoryview(b"y"))]) == (1, 1)
        keys = [*items, b"none"]
        assert txn.get_many(keys) == [*items.values(), None]
        assert txn.get_many([b"none"], b"default") == [b"default"]
        with txn.cursor() as cursor:
            assert cursor.getmulti(keys) == list(items.items())
            assert cursor.putmulti([(b"z", b"1"), (b"z", b"2")]) == (2, 2)
        with pytest.raises(TypeError, match="key must be bytes-like"):
            txn.put_many([("text", b"value")])
        with pytest.raises(zerodb.BadValueSizeError):
            txn.get_many([b""])


@pytest.mark.parametrize("reverse", [False, True])
def test_an_iteration_sees_what_is_written_meanwhile(
    env: zerodb.Environment, reverse: bool
) -> None:
    with env.begin(write=True) as txn:
        keys = [b"%04d" % number for number in range(0, 1000, 2)]
        txn.put_many((key, b"") for key in keys)
        seen = []
        for number, key in enumerate(txn.keys(reverse=reverse)):
            seen.append(key)
            if number == 100:
                following = int(key) - 1 if reverse else int(key) + 1
                txn[b"%04d" % following] = b"new"
                del txn[b"%04d" % (int(key) - 4 if reverse else int(key) + 4)]
        expected = sorted([*keys, b"%04d" % following], reverse=reverse)
        expected.remove(b"%04d" % (following - 3 if reverse else following + 3))
        assert seen == expected


def test_a_cursor_is_where_its_iteration_is(env: zerodb.Environment) -> None:
    items = [(b"%04d" % number, b"%d" % number) for number in range(1000)]
    with env.begin(write=True) as txn:
        txn.put_many(items)
    for write in (False, True):
        with env.begin(write=write) as txn, txn.cursor() as cursor:
            for number, item in enumerate(cursor):
                if number % 97 == 0:
                    assert cursor.item() == item
                if number == 500:
                    break
            assert cursor.key() == b"0500"
            assert cursor.next() == items[501]
            assert next(cursor.iterprev()) == items[501]
            back = cursor.iterprev()
            assert [next(back) for _ in range(300)] == items[501:201:-1]
            assert cursor.item() == items[202]
            assert cursor.prev() == items[201]


def test_views_refuse_use_after_their_transaction(env: zerodb.Environment) -> None:
    large = bytes(range(256)) * 100
    with env.begin(write=True) as txn:
        txn[b"large"] = large
        txn[b"small"] = b"small"
    with env.begin(buffers=True) as txn:
        views: list[Any] = [
            txn[b"large"],
            txn[b"small"],
            next(txn.items())[1],
            next(txn.keys()),
        ]
        part = views[0][256:512]
        assert views[0] == large
        assert views[0].readonly
    for view in views:
        with pytest.raises(ValueError, match="released"):
            bytes(view)
    for number in range(50):
        with env.begin(write=True) as txn:
            txn[b"large"] = bytes([number]) * len(large)
    assert part == large[:256]  # a slice keeps the snapshot
    assert env.info().readers == (1 if IS_CPYTHON else 0)  # in PyPy it is one of a copy
    part.release()
    assert env.info().readers == 0


def test_a_view_of_a_closed_environment_does_no_harm(path: Path) -> None:
    env = zerodb.open(path)
    with env.begin(write=True) as txn:
        txn[b"key"] = b"value" * 1000
    txn = env.begin(buffers=True)
    part = txn[b"key"][5:10]
    env.close()
    assert bytes(part) in (b"value", bytes(5))


def test_a_database_is_a_mapping(env: zerodb.Environment) -> None:
    fruit = env["fruit"]
    fruit[b"apple"] = b"red"
    fruit.update({b"fig": b"blue", b"banana": b"yellow"})
    assert fruit[b"apple"] == b"red"
    assert b"fig" in fruit
    assert len(fruit) == 3
    assert list(fruit) == [b"apple", b"banana", b"fig"]
    assert list(fruit.items(start=b"b", reverse=True)) == [
        (b"fig", b"blue"),
        (b"banana", b"yellow"),
    ]
    assert list(fruit.values(prefix=b"b")) == [b"yellow"]
    assert fruit.get(b"kiwi", b"none") == b"none"
    assert fruit.setdefault(b"kiwi", b"green") == b"green"
    assert fruit.pop(b"kiwi") == b"green"
    assert fruit.pop(b"kiwi", None) is None
    with pytest.raises(KeyError):
        fruit.pop(b"kiwi")
    del fruit[b"apple"]
    with pytest.raises(KeyError):
        fruit[b"apple"]
    assert fruit.stat().entries == 2
    fruit.clear()
    assert list(fruit) == []


def test_an_environment_pickles_by_its_path(path: Path) -> None:
    with zerodb.open(path, durability="relaxed") as env:
        fruit = env["fruit"]
        fruit[b"apple"] = b"red"
        assert pickle.loads(pickle.dumps(env)) is env
        pickled = pickle.dumps(fruit)
    again = pickle.loads(pickled)
    assert again[b"apple"] == b"red"
    again.environment.close()


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_cannot_be_copied_says_so(
    fruit: zerodb.Environment, how: Callable[[Any], Any]
) -> None:
    with fruit.begin() as txn, txn.cursor() as cursor:
        for each in (txn, cursor):
            with pytest.raises(TypeError, match="copied or pickled"):
                how(each)
    if how is not pickle.dumps:
        with pytest.raises(TypeError, match="cannot be copied"):
            how(fruit)


def test_a_wait_for_the_writer_has_an_end(env: zerodb.Environment) -> None:
    import threading

    with env.begin(write=True):
        found: list[object] = []

        def try_it() -> None:
            for wait in (0, 0.15):
                try:
                    env.begin(write=True, wait=wait)
                except zerodb.BusyError as error:
                    found.append(error)

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        assert len(found) == 2
