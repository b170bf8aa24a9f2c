"""getmulti() and putmulti()."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def cursor(txn: Any) -> Any:
    """A cursor of the main database, with some entries."""
    for key, value in ((b"a", b"1"), (b"b", b"2"), (b"c", b"3")):
        txn.put(key, value)
    return txn.cursor()


@pytest.fixture
def dcursor(dup: Any, txn: Any) -> Any:
    """A cursor of a database with duplicates."""
    for key, value in ((b"a", b"1"), (b"a", b"2"), (b"b", b"1")):
        txn.put(key, value, db=dup)
    return txn.cursor(dup)


@pytest.fixture
def fcursor(env: Any) -> Any:
    """A cursor of a database whose keys have four bytes, and whose values eight."""
    db = env.open_db(b"fixed", dupsort=True, dupfixed=True)
    with env.begin(write=True, db=db) as txn:
        cursor = txn.cursor()
        for key in range(3):
            for value in range(1000):
                cursor.put(struct.pack(">I", key), struct.pack(">Q", value))
        yield cursor


# -------------------------------------------------------------------- getmulti


def test_getmulti(cursor: Any) -> None:
    assert cursor.getmulti([b"a", b"c"]) == [(b"a", b"1"), (b"c", b"3")]
    assert cursor.getmulti([b"c", b"x", b"a", b"a"]) == [
        (b"c", b"3"),
        (b"a", b"1"),
        (b"a", b"1"),
    ]
    assert cursor.getmulti([]) == []
    assert cursor.getmulti([b"x"]) == []


def test_getmulti_takes_any_iterable(cursor: Any) -> None:
    assert cursor.getmulti(key for key in (b"a", b"b")) == [(b"a", b"1"), (b"b", b"2")]
    assert cursor.getmulti((bytearray(b"a"), memoryview(b"b"))) == [(b"a", b"1"), (b"b", b"2")]
    assert cursor.getmulti(keys={b"a": None}) == [(b"a", b"1")]
    with pytest.raises(TypeError):
        cursor.getmulti(5)


def test_getmulti_of_many(txn: Any) -> None:
    keys = [b"%05d" % number for number in range(5000)]
    for key in keys:
        txn.put(key, key[::-1])
    assert txn.cursor().getmulti(keys) == [(key, key[::-1]) for key in keys]
    assert txn.cursor().getmulti(keys[::-1]) == [(key, key[::-1]) for key in keys[::-1]]


def test_getmulti_of_keys_only(cursor: Any) -> None:
    assert cursor.getmulti([b"a", b"x", b"c"], values=False) == [b"a", b"c"]


def test_getmulti_whose_iterator_fails(cursor: Any) -> None:
    def keys() -> Any:
        yield b"a"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cursor.getmulti(keys())


def test_getmulti_of_first_values(dcursor: Any) -> None:
    assert dcursor.getmulti([b"a", b"b", b"c"]) == [(b"a", b"1"), (b"b", b"1")]
    assert dcursor.getmulti([b"a"], values=False) == [b"a"]


def test_getmulti_of_all_values(dcursor: Any) -> None:
    everything = [(b"a", b"1"), (b"a", b"2"), (b"b", b"1")]
    assert dcursor.getmulti([b"a", b"b", b"c"], dupdata=True) == everything
    assert dcursor.getmulti([b"a", b"b", b"c"], True) == everything


def test_getmulti_of_values_of_one_size(fcursor: Any) -> None:
    keys = [struct.pack(">I", number) for number in (0, 2, 9)]
    expected = [(key, struct.pack(">Q", value)) for key in keys[:2] for value in range(1000)]
    assert fcursor.getmulti(keys, dupdata=True, dupfixed_bytes=8) == expected
    assert fcursor.getmulti(keys, True, 8) == expected
    assert fcursor.getmulti(keys, dupdata=True) == expected


def test_getmulti_as_one_array(fcursor: Any) -> None:
    keys = [struct.pack(">I", number) for number in (0, 2, 9)]
    array = fcursor.getmulti(keys, dupdata=True, dupfixed_bytes=8, keyfixed=True)
    assert isinstance(array, memoryview)
    assert array.nbytes == 2000 * 12
    assert bytes(array) == b"".join(
        key + struct.pack(">Q", value) for key in keys[:2] for value in range(1000)
    )
    assert bytes(fcursor.getmulti([b"none"], True, 8, True)) == b""


def test_getmulti_wants_arguments_that_fit(dcursor: Any) -> None:
    for arguments in (
        {"dupfixed_bytes": 8},
        {"keyfixed": True},
        {"dupdata": True, "keyfixed": True},
        {"dupdata": True, "values": False},
    ):
        with pytest.raises(TypeError):
            dcursor.getmulti([b"a"], **arguments)


def test_getmulti_of_one_size_where_sizes_differ(lmdb: Any, dcursor: Any) -> None:
    with pytest.raises(lmdb.IncompatibleError):
        dcursor.getmulti([b"a"], dupdata=True, dupfixed_bytes=1)


def test_getmulti_with_a_negative_size(fcursor: Any) -> None:
    with pytest.raises((OverflowError, ValueError)):
        fcursor.getmulti([b"a"], dupdata=True, dupfixed_bytes=-1)


# -------------------------------------------------------------------- putmulti


def test_putmulti(txn: Any) -> None:
    cursor = txn.cursor()
    assert cursor.putmulti([(b"b", b"2"), (b"a", b"1")]) == (2, 2)
    assert list(txn.cursor()) == [(b"a", b"1"), (b"b", b"2")]
    assert cursor.putmulti([]) == (0, 0)


def test_putmulti_takes_any_iterable(txn: Any) -> None:
    cursor = txn.cursor()
    assert cursor.putmulti({b"a": b"1", b"b": b"2"}.items()) == (2, 2)
    assert cursor.putmulti((b"%d" % number, b"x") for number in range(100)) == (100, 100)
    assert cursor.putmulti(items=[(bytearray(b"c"), memoryview(b"3"))]) == (1, 1)
    assert txn.stat()["entries"] == 103


def test_putmulti_of_many(txn: Any) -> None:
    items = [(b"%06d" % number, b"%d" % number) for number in range(20_000)]
    assert txn.cursor().putmulti(items) == (20_000, 20_000)
    assert list(txn.cursor()) == items
    assert txn.cursor().putmulti(items) == (20_000, 20_000)


def test_putmulti_without_overwriting(cursor: Any, txn: Any) -> None:
    assert cursor.putmulti([(b"a", b"9"), (b"d", b"4")], overwrite=False) == (2, 1)
    assert txn.get(b"a") == b"1"
    assert txn.get(b"d") == b"4"


def test_putmulti_at_the_end(cursor: Any, txn: Any) -> None:
    items = [(b"d", b"4"), (b"b", b"9"), (b"e", b"5"), (b"e", b"6")]
    assert cursor.putmulti(items, append=True) == (4, 2)
    assert [key for key, _ in txn.cursor()] == [b"a", b"b", b"c", b"d", b"e"]
    assert txn.get(b"b") == b"2"


def test_putmulti_of_duplicates(dcursor: Any, txn: Any, dup: Any) -> None:
    assert dcursor.putmulti([(b"a", b"1"), (b"a", b"3")]) == (2, 2)
    assert dcursor.putmulti([(b"a", b"1"), (b"a", b"4")], dupdata=False) == (2, 1)
    assert dcursor.putmulti([(b"a", b"5"), (b"c", b"1")], overwrite=False) == (2, 1)
    assert dcursor.putmulti([(b"a", b"0"), (b"z", b"1")], append=True) == (2, 1)
    assert txn.stat(dup)["entries"] == 7


def test_putmulti_by_position(cursor: Any) -> None:
    assert cursor.putmulti([(b"a", b"9")], True, False, False) == (1, 0)


def test_putmulti_of_what_are_no_pairs(cursor: Any, txn: Any) -> None:
    for item in ([b"x", b"1"], (b"x", b"1", b"2"), (b"x",), b"xy", None):
        with pytest.raises(TypeError):
            cursor.putmulti([item])
    assert txn.get(b"x") is None


def test_putmulti_of_a_bad_key(lmdb: Any, txn: Any) -> None:
    with pytest.raises(lmdb.BadValsizeError):
        txn.cursor().putmulti([(b"a", b"1"), (b"", b"2"), (b"b", b"3")])


def test_putmulti_of_empty_values_with_duplicates(lmdb: Any, dcursor: Any) -> None:
    with pytest.raises(lmdb.BadValsizeError):
        dcursor.putmulti([(b"x", b"")])


def test_putmulti_of_much_that_is_out_of_order(txn: Any) -> None:
    items = [(b"%05d" % (number ^ 1), b"") for number in range(2000)]
    assert txn.cursor().putmulti(items, append=True) == (2000, 1000)
    assert txn.stat()["entries"] == 1000


def test_putmulti_whose_iterator_fails(txn: Any) -> None:
    def items() -> Any:
        yield b"a", b"1"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        txn.cursor().putmulti(items())
    assert txn.get(b"a") == b"1"
    assert txn.stat()["entries"] == 1


def test_putmulti_leaves_the_cursor_on_an_entry(txn: Any) -> None:
    cursor = txn.cursor()
    cursor.putmulti([(b"a", b"1"), (b"b", b"2")])
    assert cursor.item() == (b"b", b"2")


@pytest.mark.parametrize(
    "wrong", [(b"b", b""), [b"b", b"2"], (b"b",), (b"b", b"2", b"3"), None]
)
def test_what_comes_before_a_wrong_item_is_put(
    lmdb: Any, env: Any, dup: Any, wrong: Any
) -> None:
    with env.begin(dup, write=True) as txn:
        cursor = txn.cursor()
        with pytest.raises((TypeError, lmdb.BadValsizeError)):
            cursor.putmulti([(b"a", b"1"), (b"a", b"2"), wrong, (b"c", b"3")])
        assert cursor.item() == (b"a", b"2")
        assert list(txn.cursor()) == [(b"a", b"1"), (b"a", b"2")]


def test_what_comes_before_an_exception_is_put(txn: Any) -> None:
    def items() -> Any:
        yield b"a", b"1"
        yield b"b", b"2"
        raise RuntimeError

    cursor = txn.cursor()
    with pytest.raises(RuntimeError):
        cursor.putmulti(items())
    assert cursor.item() == (b"b", b"2")


@pytest.mark.parametrize("overwrite", [True, False])
def test_putmulti_at_the_end_that_passes_over_some(env: Any, dup: Any, overwrite: bool) -> None:
    items = [(b"a", b"1"), (b"a", b"1"), (b"b", b"2"), (b"a", b"0"), (b"c", b"3"), (b"b", b"1")]
    with env.begin(dup, write=True) as txn:
        counts = txn.cursor().putmulti(items, dupdata=False, overwrite=overwrite, append=True)
        assert counts == (6, 3)
        assert list(txn.cursor()) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]


def boom(items: list[Any]) -> Iterator[Any]:
    yield from items
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "wrong", [(b"", b"v"), ("str", b"v"), (b"d", None), (b"d",), b"dv", boom], ids=str
)
def test_where_the_cursor_is_when_putmulti_has_failed(
    lmdb: Any, cursor: Any, wrong: Any
) -> None:
    items = [(b"x", b"1"), (b"b", b"4"), wrong, (b"z", b"5")]
    cursor.first()
    with pytest.raises((lmdb.Error, TypeError, ZeroDivisionError)):
        cursor.putmulti(boom(items[:2]) if wrong is boom else items)
    assert cursor.item() == (b"b", b"4")
    assert cursor.next()
    assert cursor.item() == (b"c", b"3")
    with pytest.raises((lmdb.Error, TypeError, ZeroDivisionError)):
        cursor.putmulti(boom([]) if wrong is boom else [wrong, (b"y", b"1")])
    assert cursor.item() == (b"c", b"3")
    with pytest.raises((lmdb.Error, TypeError, ZeroDivisionError)):
        cursor.putmulti([(b"m", b"1")] * 5000 + [(b"", b"v")])
    assert cursor.item() == (b"m", b"1")


def test_where_the_cursor_is_when_a_value_is_wrong(lmdb: Any, dcursor: Any) -> None:
    with pytest.raises((lmdb.Error, TypeError, ZeroDivisionError)):
        dcursor.putmulti([(b"b", b"3"), (b"a", b"0"), (b"b", b"x" * 3000)])
    assert dcursor.item() == (b"a", b"0")
    assert dcursor.next()
    assert dcursor.item() == (b"a", b"1")


def test_where_the_cursor_is_when_the_last_was_not_put(cursor: Any) -> None:
    assert cursor.putmulti([(b"x", b"1"), (b"b", b"4")], overwrite=False) == (2, 1)
    assert cursor.item() == (b"b", b"2")
    assert cursor.putmulti([(b"y", b"1"), (b"b", b"4")], append=True) == (2, 1)
    assert cursor.item() == (b"y", b"1")


def test_where_the_cursor_is_when_the_last_duplicate_was_not_put(dcursor: Any) -> None:
    assert dcursor.putmulti([(b"c", b"1"), (b"a", b"9")], overwrite=False) == (2, 1)
    assert dcursor.item() == (b"a", b"1")
    assert dcursor.putmulti([(b"d", b"1"), (b"a", b"2")], dupdata=False) == (2, 1)
    assert dcursor.item() == (b"a", b"2")
    assert dcursor.putmulti([(b"a", b"3"), (b"a", b"0")], append=True) == (2, 1)
    assert dcursor.item() == (b"a", b"3")


def test_none_is_the_default_of_getmulti(dcursor: Any, cursor: Any) -> None:
    assert cursor.getmulti([b"a"], None, None, None, None) == [(b"a", b"1")]
    assert dcursor.getmulti([b"a"], dupdata=None, values=None) == [(b"a", b"1")]
    both = [(b"a", b"1"), (b"a", b"2")]
    assert dcursor.getmulti([b"a"], dupdata=True, values=None) == both


def test_none_is_the_default_of_putmulti(dcursor: Any, cursor: Any) -> None:
    assert cursor.putmulti([(b"a", b"4")], None, None, None) == (1, 1)
    assert cursor.item() == (b"a", b"4")
    assert dcursor.putmulti([(b"a", b"2")], None, None, None) == (1, 1)
    assert dcursor.item() == (b"a", b"2")


@pytest.mark.parametrize("keys", [[b"a"], [b"b", b"a"], [b"a", b"x"]])
def test_getmulti_of_all_values_leaves_the_cursor_on_nothing(dcursor: Any, keys: Any) -> None:
    dcursor.getmulti(keys, dupdata=True)
    assert dcursor.item() == (b"", b"")
