"""Databases whose keys have several values."""

from __future__ import annotations

from typing import Any

import pytest

ENTRIES = [
    (b"a", b"1"),
    (b"a", b"2"),
    (b"a", b"3"),
    (b"b", b"1"),
    (b"c", b"1"),
    (b"c", b"2"),
]
NOWHERE = (b"", b"")


@pytest.fixture
def dtxn(env: Any, dup: Any) -> Any:
    """A write transaction whose database is `dup`, with some entries."""
    txn = env.begin(write=True, db=dup)
    for key, value in ENTRIES:
        assert txn.put(key, value) is True
    yield txn
    txn.abort()


@pytest.fixture
def cursor(dtxn: Any) -> Any:
    """A cursor on no entry."""
    return dtxn.cursor()


# --------------------------------------------------------------- transaction


def test_get_is_the_first_value(dtxn: Any) -> None:
    assert dtxn.get(b"a") == b"1"


def test_stat_counts_values(dtxn: Any) -> None:
    assert dtxn.stat()["entries"] == 6


def test_put_of_a_pair_that_exists(dtxn: Any) -> None:
    assert dtxn.put(b"a", b"1") is True
    assert dtxn.put(b"a", b"1", dupdata=False) is False
    assert dtxn.put(b"a", b"1", False) is False
    assert dtxn.put(b"a", b"4", dupdata=False) is True
    assert dtxn.stat()["entries"] == 7


def test_put_without_overwriting(dtxn: Any) -> None:
    assert dtxn.put(b"a", b"9", overwrite=False) is False
    assert dtxn.put(b"x", b"9", overwrite=False) is True
    assert dtxn.stat()["entries"] == 7


def test_put_at_the_end(dtxn: Any) -> None:
    assert dtxn.put(b"a", b"0", append=True) is False
    assert dtxn.put(b"a", b"3", append=True) is False
    assert dtxn.put(b"a", b"4", append=True) is True
    assert dtxn.put(b"d", b"1", append=True) is True
    assert dtxn.put(b"bb", b"1", append=True) is True
    assert [key for key, _ in dtxn.cursor()] == [b"a"] * 4 + [b"b", b"bb", b"c", b"c", b"d"]


def test_delete_of_all_values(dtxn: Any) -> None:
    assert dtxn.delete(b"a") is True
    assert dtxn.delete(b"a") is False
    assert dtxn.stat()["entries"] == 3


def test_delete_of_one_value(dtxn: Any) -> None:
    assert dtxn.delete(b"a", b"2") is True
    assert dtxn.delete(b"a", b"2") is False
    assert dtxn.delete(b"a", value=b"9") is False
    assert list(dtxn.cursor())[:2] == [(b"a", b"1"), (b"a", b"3")]


@pytest.mark.parametrize("nothing", [b"", None])
def test_delete_with_no_value(dtxn: Any, nothing: Any) -> None:
    assert dtxn.delete(b"a", nothing) is True
    assert dtxn.stat()["entries"] == 3


def test_replace_leaves_one_value(dtxn: Any) -> None:
    assert dtxn.replace(b"a", b"9") == b"1"
    assert list(dtxn.cursor())[:2] == [(b"a", b"9"), (b"b", b"1")]
    assert dtxn.replace(b"x", b"9") is None


def test_pop_takes_the_first_value(dtxn: Any) -> None:
    assert dtxn.pop(b"a") == b"1"
    assert dtxn.pop(b"a") == b"2"
    assert dtxn.pop(b"a") == b"3"
    assert dtxn.pop(b"a") is None
    assert dtxn.stat()["entries"] == 3


def test_values_that_are_empty(lmdb: Any, dtxn: Any) -> None:
    with pytest.raises(lmdb.BadValsizeError):
        dtxn.put(b"a", b"")


def test_values_that_are_too_long(lmdb: Any, env: Any, dtxn: Any) -> None:
    with pytest.raises(lmdb.BadValsizeError):
        dtxn.put(b"a", b"x" * (env.max_key_size() + 1))
    assert dtxn.stat()["entries"] == 6


# -------------------------------------------------------------------- moving


def test_next_goes_through_all(cursor: Any) -> None:
    found = []
    while cursor.next():
        found.append(cursor.item())
    assert found == ENTRIES


def test_prev_goes_through_all(cursor: Any) -> None:
    found = []
    while cursor.prev():
        found.append(cursor.item())
    assert found == ENTRIES[::-1]


def test_first_and_last(cursor: Any) -> None:
    cursor.first()
    assert cursor.item() == (b"a", b"1")
    cursor.last()
    assert cursor.item() == (b"c", b"2")


def test_next_dup(cursor: Any) -> None:
    cursor.set_key(b"a")
    assert cursor.next_dup() is True
    assert cursor.item() == (b"a", b"2")
    assert cursor.next_dup() is True
    assert cursor.next_dup() is False
    assert cursor.item() == NOWHERE
    assert cursor.next() is True
    assert cursor.item() == (b"b", b"1")


def test_prev_dup(cursor: Any) -> None:
    cursor.set_key_dup(b"a", b"3")
    assert cursor.prev_dup() is True
    assert cursor.item() == (b"a", b"2")
    assert cursor.prev_dup() is True
    assert cursor.prev_dup() is False
    assert cursor.item() == NOWHERE


def test_next_nodup_and_prev_nodup(cursor: Any) -> None:
    assert cursor.next_nodup() is True
    assert cursor.item() == (b"a", b"1")
    assert cursor.next_nodup() is True
    assert cursor.item() == (b"b", b"1")
    assert cursor.next_nodup() is True
    assert cursor.next_nodup() is False
    assert cursor.item() == NOWHERE
    cursor.set_key(b"c")
    assert cursor.prev_nodup() is True
    assert cursor.prev_nodup() is True
    assert cursor.item() == (b"a", b"3")
    assert cursor.prev_nodup() is False


def test_first_dup_and_last_dup(cursor: Any) -> None:
    cursor.set_key(b"a")
    assert cursor.last_dup() is True
    assert cursor.item() == (b"a", b"3")
    assert cursor.first_dup() is True
    assert cursor.item() == (b"a", b"1")
    cursor.set_key(b"b")
    assert cursor.last_dup() is True
    assert cursor.item() == (b"b", b"1")


def test_first_dup_on_no_entry(lmdb: Any, cursor: Any) -> None:
    for move in (cursor.first_dup, cursor.last_dup):
        with pytest.raises(lmdb.Error):
            move()


def test_set_key_is_the_first_value(cursor: Any) -> None:
    assert cursor.set_key(b"c") is True
    assert cursor.item() == (b"c", b"1")
    assert cursor.set_range(b"bb") is True
    assert cursor.item() == (b"c", b"1")


def test_set_key_dup(lmdb: Any, cursor: Any) -> None:
    assert cursor.set_key_dup(b"a", b"2") is True
    assert cursor.item() == (b"a", b"2")
    assert cursor.set_key_dup(key=b"a", value=b"22") is False
    assert cursor.item() == NOWHERE
    assert cursor.set_key_dup(b"x", b"1") is False
    with pytest.raises(lmdb.BadValsizeError):
        cursor.set_key_dup(b"", b"1")


def test_set_range_dup(cursor: Any) -> None:
    assert cursor.set_range_dup(b"a", b"11") is True
    assert cursor.item() == (b"a", b"2")
    assert cursor.set_range_dup(key=b"a", value=b"4") is False
    assert cursor.item() == NOWHERE
    assert cursor.set_range_dup(b"aa", b"1") is False


def test_count(lmdb: Any, cursor: Any) -> None:
    cursor.set_key(b"a")
    assert cursor.count() == 3
    cursor.set_key(b"b")
    assert cursor.count() == 1
    assert cursor.item() == (b"b", b"1")


def test_count_of_many(dtxn: Any, cursor: Any) -> None:
    for number in range(5000):
        dtxn.put(b"many", b"%05d" % number)
    cursor.set_key(b"many")
    assert cursor.count() == 5000
    assert len(list(cursor.iternext_dup())) == 5000


# ----------------------------------------------------------------- iteration


def test_iternext_dup(cursor: Any) -> None:
    cursor.set_key(b"a")
    assert list(cursor.iternext_dup()) == [b"1", b"2", b"3"]
    assert cursor.item() == NOWHERE
    assert cursor.next() is True
    assert cursor.item() == (b"b", b"1")
    cursor.set_key(b"a")
    assert list(cursor.iternext_dup(keys=True)) == ENTRIES[:3]
    cursor.set_key(b"a")
    assert list(cursor.iternext_dup(True, False)) == [b"a"] * 3
    cursor.set_key_dup(b"a", b"2")
    assert list(cursor.iternext_dup()) == [b"2", b"3"]


def test_iterprev_dup(cursor: Any) -> None:
    cursor.set_key(b"a")
    cursor.last_dup()
    assert list(cursor.iterprev_dup()) == [b"3", b"2", b"1"]
    cursor.set_key_dup(b"a", b"2")
    assert list(cursor.iterprev_dup(keys=True)) == [(b"a", b"2"), (b"a", b"1")]


def test_iteration_of_the_values_of_no_key(cursor: Any) -> None:
    assert list(cursor.iternext_dup()) == []
    assert list(cursor.iterprev_dup()) == []
    cursor.set_key(b"x")
    assert list(cursor.iternext_dup()) == []


def test_iternext_nodup(cursor: Any) -> None:
    assert list(cursor.iternext_nodup()) == [b"a", b"b", b"c"]
    assert cursor.item() == NOWHERE
    assert list(cursor.iternext_nodup(keys=True, values=True)) == [
        (b"a", b"1"),
        (b"b", b"1"),
        (b"c", b"1"),
    ]
    assert list(cursor.iternext_nodup(keys=False, values=True)) == [b"1", b"1", b"1"]
    cursor.set_key(b"b")
    assert list(cursor.iternext_nodup()) == [b"b", b"c"]


def test_iterprev_nodup(cursor: Any) -> None:
    assert list(cursor.iterprev_nodup()) == [b"c", b"b", b"a"]
    assert list(cursor.iterprev_nodup(values=True)) == [
        (b"c", b"2"),
        (b"b", b"1"),
        (b"a", b"3"),
    ]


def test_keys_and_their_counts(cursor: Any) -> None:
    found = {}
    for key in cursor.iternext_nodup():
        found[key] = cursor.count()
    assert found == {b"a": 3, b"b": 1, b"c": 2}


# ------------------------------------------------------------------- writing


def test_put_moves_to_the_pair(cursor: Any) -> None:
    assert cursor.put(b"a", b"22") is True
    assert cursor.item() == (b"a", b"22")
    assert cursor.next() is True
    assert cursor.item() == (b"a", b"3")


def test_put_of_a_pair_that_exists_by_a_cursor(cursor: Any) -> None:
    assert cursor.put(b"a", b"2") is True
    assert cursor.put(b"a", b"2", dupdata=False) is False
    assert cursor.item() == (b"a", b"2")
    assert cursor.put(b"c", b"9", overwrite=False) is False
    assert cursor.key() == b"c"


def test_delete_one_value(cursor: Any) -> None:
    cursor.set_key_dup(b"a", b"2")
    assert cursor.delete() is True
    assert cursor.item() == (b"a", b"3")


def test_delete_every_pair(dtxn: Any, cursor: Any) -> None:
    cursor.first()
    count = 0
    while cursor.delete():
        count += 1
    assert count == 6
    assert dtxn.stat()["entries"] == 0


def test_next_after_the_last_value_was_deleted(cursor: Any) -> None:
    cursor.set_key_dup(b"b", b"1")
    assert cursor.delete() is True
    assert cursor.item() == (b"c", b"1")


def test_delete_all_values_of_the_key(dtxn: Any, cursor: Any) -> None:
    cursor.set_key_dup(b"a", b"2")
    assert cursor.delete(dupdata=True) is True
    assert cursor.item() == (b"b", b"1")
    assert list(dtxn.cursor()) == ENTRIES[3:]


def test_delete_the_last_key(cursor: Any) -> None:
    cursor.last()
    assert cursor.delete(True) is True
    assert cursor.item() == NOWHERE
    assert cursor.delete() is False


def test_replace_by_a_cursor(dtxn: Any, cursor: Any) -> None:
    assert cursor.replace(b"a", b"9") == b"1"
    assert cursor.item() == (b"a", b"9")
    assert list(dtxn.cursor()) == [(b"a", b"9"), *ENTRIES[3:]]


def test_pop_by_a_cursor(cursor: Any) -> None:
    assert cursor.pop(b"a") == b"1"
    assert cursor.item() == (b"a", b"2")
    assert cursor.pop(b"b") == b"1"
    assert cursor.item() == (b"c", b"1")


def test_a_cursor_on_no_entry_moves_to_the_first_or_the_last(env: Any, dup: Any) -> None:
    with env.begin(dup, write=True) as txn:
        assert txn.cursor().next_dup() is False
        assert txn.cursor().prev_dup() is False
        for key, value in ((b"a", b"1"), (b"a", b"2"), (b"b", b"3"), (b"b", b"4")):
            txn.put(key, value)
        cursor = txn.cursor()
        assert cursor.next_dup() is True
        assert cursor.item() == (b"a", b"1")
        cursor = txn.cursor()
        assert cursor.prev_dup() is True
        assert cursor.item() == (b"b", b"4")
