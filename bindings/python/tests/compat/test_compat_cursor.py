"""Cursors of databases without duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

ENTRIES = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")]
NOWHERE = (b"", b"")


@pytest.fixture
def cursor(txn: Any) -> Any:
    """A cursor on no entry, in a database with some."""
    for key, value in ENTRIES:
        txn.put(key, value)
    return txn.cursor()


# -------------------------------------------------------------------- moving


def test_begins_on_no_entry(cursor: Any) -> None:
    assert cursor.key() == b""
    assert cursor.value() == b""
    assert cursor.item() == NOWHERE


def test_first_and_last(cursor: Any) -> None:
    assert cursor.first() is True
    assert cursor.item() == ENTRIES[0]
    assert cursor.last() is True
    assert cursor.item() == ENTRIES[-1]
    assert (cursor.key(), cursor.value()) == ENTRIES[-1]


def test_next_goes_through_all(cursor: Any) -> None:
    found = []
    while cursor.next():
        found.append(cursor.item())
    assert found == ENTRIES
    assert cursor.item() == NOWHERE


def test_prev_goes_through_all(cursor: Any) -> None:
    found = []
    while cursor.prev():
        found.append(cursor.item())
    assert found == ENTRIES[::-1]
    assert cursor.item() == NOWHERE


def test_next_at_the_end(cursor: Any) -> None:
    cursor.last()
    assert cursor.next() is False
    assert cursor.item() == NOWHERE
    assert cursor.next() is False
    assert cursor.prev() is True
    assert cursor.item() == ENTRIES[-2]


def test_prev_at_the_beginning(cursor: Any) -> None:
    cursor.first()
    assert cursor.prev() is False
    assert cursor.item() == NOWHERE
    assert cursor.prev() is False
    assert cursor.next() is True
    assert cursor.item() == ENTRIES[1]


def test_empty_database(txn: Any) -> None:
    cursor = txn.cursor()
    for move in (cursor.first, cursor.last, cursor.next, cursor.prev):
        assert move() is False
        assert cursor.item() == NOWHERE
    assert cursor.set_range(b"a") is False
    assert cursor.set_range(b"") is False
    assert cursor.set_key(b"a") is False
    assert list(cursor) == []
    assert list(cursor.iterprev()) == []


def test_set_key(cursor: Any) -> None:
    assert cursor.set_key(b"b") is True
    assert cursor.item() == (b"b", b"2")
    assert cursor.set_key(b"bb") is False
    assert cursor.item() == NOWHERE


def test_set_range(cursor: Any) -> None:
    assert cursor.set_range(b"b") is True
    assert cursor.item() == (b"b", b"2")
    assert cursor.set_range(b"bb") is True
    assert cursor.item() == (b"c", b"3")
    assert cursor.set_range(b"e") is False
    assert cursor.item() == NOWHERE


def test_set_range_of_an_empty_key_is_first(cursor: Any) -> None:
    assert cursor.set_range(b"") is True
    assert cursor.item() == ENTRIES[0]


def test_after_set_range_past_the_end_prev_is_the_last(cursor: Any) -> None:
    """How programs find the last key below a bound."""
    assert cursor.set_range(b"e") is False
    assert cursor.prev() is True
    assert cursor.item() == ENTRIES[-1]
    assert cursor.set_range(b"bb") is True
    assert cursor.prev() is True
    assert cursor.item() == (b"b", b"2")


def test_get(cursor: Any) -> None:
    assert cursor.get(b"b") == b"2"
    assert cursor.item() == (b"b", b"2")
    assert cursor.get(b"x") is None
    assert cursor.item() == NOWHERE
    assert cursor.get(b"x", b"none") == b"none"
    assert cursor.get(key=b"x", default=7) == 7


def test_moves_of_duplicates_without_duplicates(lmdb: Any, cursor: Any) -> None:
    cursor.first()
    assert cursor.next_nodup() is True
    assert cursor.item() == ENTRIES[1]
    assert cursor.prev_nodup() is True
    assert cursor.item() == ENTRIES[0]
    for use in (
        cursor.first_dup,
        cursor.last_dup,
        cursor.count,
        lambda: cursor.set_key_dup(b"a", b"1"),
        lambda: cursor.set_range_dup(b"a", b"1"),
    ):
        cursor.first()
        with pytest.raises(lmdb.IncompatibleError):
            use()


# ------------------------------------------------------------------- writing


def test_put_moves_to_the_entry(cursor: Any) -> None:
    assert cursor.put(b"bb", b"5") is True
    assert cursor.item() == (b"bb", b"5")
    assert cursor.next() is True
    assert cursor.key() == b"c"


def test_put_without_overwriting_moves_to_what_is_there(cursor: Any) -> None:
    assert cursor.put(b"b", b"5", overwrite=False) is False
    assert cursor.item() == (b"b", b"2")
    assert cursor.put(b"b", b"5", True, True, False) is True
    assert cursor.item() == (b"b", b"5")


def test_put_at_the_end(cursor: Any) -> None:
    assert cursor.put(b"e", b"5", append=True) is True
    assert cursor.item() == (b"e", b"5")
    assert cursor.put(b"b", b"6", append=True) is False
    assert cursor.get(b"b") == b"2"


def test_replace(cursor: Any) -> None:
    assert cursor.replace(b"b", b"5") == b"2"
    assert cursor.item() == (b"b", b"5")
    assert cursor.replace(b"x", b"6") is None
    assert cursor.item() == (b"x", b"6")
    assert cursor.replace(key=b"x", value=b"7") == b"6"


def test_pop(cursor: Any) -> None:
    assert cursor.pop(b"b") == b"2"
    assert cursor.item() == (b"c", b"3")
    assert cursor.pop(b"b") is None
    assert cursor.pop(key=b"d") == b"4"


def test_delete_moves_to_the_next(cursor: Any) -> None:
    cursor.set_key(b"b")
    assert cursor.delete() is True
    assert cursor.item() == (b"c", b"3")
    assert cursor.delete() is True
    assert cursor.item() == (b"d", b"4")
    assert cursor.delete() is True
    assert cursor.item() == NOWHERE
    assert cursor.delete() is False


def test_delete_on_no_entry(cursor: Any) -> None:
    assert cursor.delete() is False
    cursor.set_key(b"x")
    assert cursor.delete() is False
    assert len(list(cursor.iternext())) == 4


def test_delete_all_with_one_cursor(txn: Any, cursor: Any) -> None:
    cursor.first()
    count = 0
    while cursor.delete():
        count += 1
    assert count == 4
    assert txn.stat()["entries"] == 0


def test_delete_with_dupdata_without_duplicates(cursor: Any) -> None:
    cursor.first()
    assert cursor.delete(True) is True
    assert cursor.delete(dupdata=True) is True
    assert cursor.item() == (b"c", b"3")


def test_cursor_after_its_entry_was_deleted(txn: Any, cursor: Any) -> None:
    cursor.set_key(b"b")
    txn.delete(b"b")
    assert cursor.item() == (b"c", b"3")


def test_cursor_after_another_entry_was_deleted(txn: Any, cursor: Any) -> None:
    cursor.set_key(b"c")
    txn.delete(b"a")
    assert cursor.item() == (b"c", b"3")
    assert cursor.prev() is True
    assert cursor.item() == (b"b", b"2")


def test_cursor_sees_a_value_that_was_put(txn: Any, cursor: Any) -> None:
    cursor.set_key(b"b")
    txn.put(b"b", b"a longer value than before")
    assert cursor.item() == (b"b", b"a longer value than before")
    assert cursor.value() == b"a longer value than before"


def test_cursor_keeps_its_place_through_many_puts(txn: Any, cursor: Any) -> None:
    cursor.set_key(b"c")
    for number in range(2000):
        txn.put(b"b%05d" % number, bytes(50))
        txn.put(b"e%05d" % number, bytes(50))
    assert cursor.item() == (b"c", b"3")
    assert cursor.next() is True
    assert cursor.key() == b"d"


def test_two_cursors(txn: Any, cursor: Any) -> None:
    other = txn.cursor()
    cursor.set_key(b"b")
    other.set_key(b"b")
    cursor.delete()
    assert other.item() == (b"c", b"3")
    other.put(b"bb", b"5")
    assert cursor.item() == (b"c", b"3")
    assert cursor.prev() is True
    assert cursor.item() == (b"bb", b"5")


# ----------------------------------------------------------------- iteration


def test_iteration(cursor: Any) -> None:
    assert list(cursor) == ENTRIES
    assert list(cursor.iternext()) == ENTRIES
    assert list(cursor.iternext(keys=True, values=True)) == ENTRIES


def test_iteration_of_keys_or_values(cursor: Any) -> None:
    assert list(cursor.iternext(values=False)) == [b"a", b"b", b"c", b"d"]
    assert list(cursor.iternext(True, False)) == [b"a", b"b", b"c", b"d"]
    assert list(cursor.iternext(keys=False)) == [b"1", b"2", b"3", b"4"]
    assert list(cursor.iternext(False, True)) == [b"1", b"2", b"3", b"4"]
    assert list(cursor.iterprev(values=False)) == [b"d", b"c", b"b", b"a"]
    assert list(cursor.iterprev(keys=False)) == [b"4", b"3", b"2", b"1"]


def test_iteration_backwards(cursor: Any) -> None:
    assert list(cursor.iterprev()) == ENTRIES[::-1]


def test_iteration_from_where_the_cursor_is(cursor: Any) -> None:
    cursor.set_key(b"c")
    assert list(cursor) == ENTRIES[2:]
    cursor.set_key(b"c")
    assert list(cursor.iterprev()) == ENTRIES[2::-1]
    cursor.set_range(b"bb")
    assert list(cursor.iternext(values=False)) == [b"c", b"d"]


def test_iteration_after_a_failed_search_begins_anew(cursor: Any) -> None:
    assert cursor.set_key(b"x") is False
    assert list(cursor.iternext(values=False)) == [b"a", b"b", b"c", b"d"]


def test_iteration_ends_on_no_entry_and_begins_anew(cursor: Any) -> None:
    assert list(cursor) == ENTRIES
    assert cursor.item() == NOWHERE
    assert list(cursor) == ENTRIES
    assert list(cursor.iterprev()) == ENTRIES[::-1]
    assert list(cursor) == ENTRIES


def test_iteration_moves_the_cursor(cursor: Any) -> None:
    iterator = iter(cursor)
    assert next(iterator) == ENTRIES[0]
    assert cursor.item() == ENTRIES[0]
    assert next(iterator) == ENTRIES[1]
    assert cursor.item() == ENTRIES[1]
    cursor.set_key(b"d")
    assert next(iterator, None) is None


def test_iterator_is_an_iterator(cursor: Any) -> None:
    iterator = cursor.iternext()
    assert iter(iterator) is iterator
    assert next(iterator) == ENTRIES[0]
    assert list(iterator) == ENTRIES[1:]
    assert list(iterator) == []


def test_position_is_taken_when_the_iterator_is_made(cursor: Any) -> None:
    cursor.set_key(b"c")
    iterator = cursor.iternext(values=False)
    assert list(iterator) == [b"c", b"d"]


def test_iter_from(cursor: Any) -> None:
    assert list(cursor._iter_from(b"b", False)) == ENTRIES[1:]
    assert list(cursor._iter_from(b"bb", False)) == ENTRIES[2:]
    assert list(cursor._iter_from(b"x", False)) == []
    assert list(cursor._iter_from(b"bb", True)) == ENTRIES[2::-1]
    assert list(cursor._iter_from(b"x", True)) == ENTRIES[::-1]


def test_delete_while_iterating(txn: Any, cursor: Any) -> None:
    """Deleting moves to the next entry, and so does the iterator then."""
    seen = []
    for key, _ in cursor:
        seen.append(key)
        cursor.delete()
    assert seen == [b"a", b"c"]
    assert list(txn.cursor()) == [(b"b", b"2"), (b"d", b"4")]


def test_delete_by_the_transaction_while_iterating(txn: Any, cursor: Any) -> None:
    for key in list(txn.cursor().iternext(values=False)):
        txn.delete(key)
    assert txn.stat()["entries"] == 0
    assert list(cursor) == []


def test_put_of_present_keys_while_iterating(txn: Any, cursor: Any) -> None:
    seen = []
    for key, value in cursor:
        seen.append(key)
        txn.put(key, value * 1000)
    assert seen == [b"a", b"b", b"c", b"d"]
    assert txn.get(b"d") == b"4" * 1000


def test_range_by_prefix(txn: Any) -> None:
    for key in (b"a1", b"b1", b"b2", b"b3", b"c1"):
        txn.put(key, key)
    cursor = txn.cursor()
    found = []
    if cursor.set_range(b"b"):
        for key, _ in cursor:
            if not key.startswith(b"b"):
                break
            found.append(key)
    assert found == [b"b1", b"b2", b"b3"]


# ----------------------------------------------------------------------- end


def test_close(lmdb: Any, cursor: Any) -> None:
    assert cursor.close() is None
    assert cursor.close() is None
    for use in (
        cursor.first,
        cursor.next,
        cursor.key,
        cursor.value,
        cursor.item,
        cursor.delete,
        lambda: cursor.set_key(b"a"),
        lambda: cursor.put(b"a", b"1"),
        lambda: list(cursor),
    ):
        with pytest.raises(lmdb.Error):
            use()


def test_context_manager(lmdb: Any, txn: Any) -> None:
    with txn.cursor() as cursor:
        assert isinstance(cursor, lmdb.Cursor)
        assert cursor.first() is False
    with pytest.raises(lmdb.Error):
        cursor.first()


def test_after_the_end_of_the_transaction(lmdb: Any, env: Any) -> None:
    txn = env.begin(write=True)
    txn.put(b"a", b"1")
    txn.put(b"b", b"2")
    cursor = txn.cursor()
    cursor.first()
    iterator = iter(txn.cursor())
    next(iterator)
    txn.commit()
    for use in (cursor.next, cursor.item, cursor.key, cursor.delete, lambda: next(iterator)):
        with pytest.raises(lmdb.Error):
            use()
    assert cursor.close() is None


def test_by_its_class(lmdb: Any, env: Any, txn: Any) -> None:
    db = env.open_db(txn=txn)
    txn.put(b"a", b"1")
    assert list(lmdb.Cursor(db, txn)) == [(b"a", b"1")]
    assert list(lmdb.Cursor(db=db, txn=txn)) == [(b"a", b"1")]
    with pytest.raises(TypeError):
        lmdb.Cursor(txn, db)


def test_set_key_takes_no_keyword(cursor: Any) -> None:
    with pytest.raises(TypeError):
        cursor.set_key(key=b"a")
    with pytest.raises(TypeError):
        cursor.set_range(key=b"a")


def test_a_cursor_of_a_parent_says_that_a_nested_transaction_is_open(
    lmdb: Any, env: Any, is_zerodb: bool
) -> None:
    if not is_zerodb:
        pytest.skip("what LMDB does with such a cursor is not documented")
    with env.begin(write=True) as txn:
        for key in (b"a", b"b", b"c"):
            txn.put(key, b"1")
        cursor = txn.cursor()
        assert cursor.set_key(b"b")
        nested = env.begin(parent=txn, write=True)
        for call in (
            cursor.delete,
            cursor.item,
            cursor.next,
            lambda: cursor.replace(b"a", b"2"),
            lambda: cursor.pop(b"a"),
        ):
            with pytest.raises(lmdb.BadTxnError):
                call()
        nested.abort()
        assert cursor.item() == (b"b", b"1")
        assert cursor.delete()
        assert cursor.item() == (b"c", b"1")


# ------------------------------------------- values of a key where it has one


@pytest.fixture(params=[None, b"plain"])
def plain(env: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A cursor of a database without duplicates: the main one with a name, or a named one."""
    env.open_db(b"z", create=True)
    db = None if request.param is None else env.open_db(request.param)
    with env.begin(write=True, db=db) as txn:
        for key in (b"a", b"b", b"c"):
            txn.put(key, key * 2)
        yield txn.cursor()


def test_next_dup_and_prev_dup_move_over_entries(plain: Any) -> None:
    assert plain.next_dup() is True
    assert plain.item() == (b"a", b"aa")
    assert plain.next_dup() is True
    assert plain.item() == (b"b", b"bb")
    assert plain.prev_dup() is True
    assert plain.prev_dup() is False
    assert plain.item() == (b"", b"")
    plain.last()
    assert plain.next_dup() is False
    assert plain.item() == (b"", b"")


def test_prev_dup_of_a_cursor_on_no_entry_moves_to_the_last(plain: Any) -> None:
    assert plain.prev_dup() is True
    assert plain.next() is False


def test_iternext_dup_and_iterprev_dup_give_entries(plain: Any) -> None:
    plain.set_key(b"b")
    assert list(plain.iternext_dup())[:2] == [b"bb", b"cc"]
    assert plain.item() == (b"", b"")
    plain.set_key(b"b")
    assert list(plain.iternext_dup(keys=True, values=False))[:2] == [b"b", b"c"]
    plain.set_key(b"b")
    assert list(plain.iterprev_dup(keys=True)) == [(b"b", b"bb"), (b"a", b"aa")]
    assert plain.item() == (b"", b"")


def test_iternext_dup_of_a_cursor_on_no_entry_gives_nothing(plain: Any) -> None:
    assert list(plain.iternext_dup()) == []
    assert list(plain.iterprev_dup()) == []
    plain.last()
    plain.next()
    assert list(plain.iternext_dup()) == []


@pytest.mark.parametrize("buffers", [False, True])
def test_iternext_dup_of_many_entries(env: Any, buffers: bool) -> None:
    pairs = [(b"%05d" % number, b"%d" % number) for number in range(1000)]
    with env.begin(write=True) as txn:
        txn.cursor().putmulti(pairs)
    with env.begin(buffers=buffers) as txn:
        cursor = txn.cursor()
        cursor.first()
        walk = cursor.iternext_dup(True)
        assert [tuple(map(bytes, next(walk))) for _ in range(500)] == pairs[:500]
        assert cursor.prev() is True
        assert tuple(map(bytes, cursor.item())) == pairs[498]
        cursor.last()
        walk = cursor.iterprev_dup(True)
        assert [tuple(map(bytes, item)) for item in walk] == pairs[::-1]


def test_first_dup_and_last_dup_are_refused(lmdb: Any, plain: Any, is_zerodb: bool) -> None:
    for move in (plain.first_dup, plain.last_dup):
        plain.set_key(b"b")
        with pytest.raises(lmdb.IncompatibleError):
            move()
        assert plain.item() == ((b"b", b"bb") if is_zerodb else (b"", b""))


# ---------------------------------------------------------- None for a default


def test_none_is_the_default_of_iterations(plain: Any) -> None:
    for name in ("iternext", "iterprev"):
        walk = getattr(plain, name)
        assert (b"b", b"bb") in list(walk(None, None))
        assert b"b" in list(walk(keys=None, values=False))
        assert b"bb" in list(walk(keys=False, values=None))
    for name in ("iternext_nodup", "iterprev_nodup"):
        walk = getattr(plain, name)
        assert b"b" in list(walk(None, None))
        assert (b"b", b"bb") in list(walk(keys=None, values=True))
    for name in ("iternext_dup", "iterprev_dup"):
        plain.set_key(b"b")
        assert next(getattr(plain, name)(None, None)) == b"bb"
        plain.set_key(b"b")
        assert next(getattr(plain, name)(keys=True, values=None)) == (b"b", b"bb")


def test_none_is_the_default_of_puts(txn: Any) -> None:
    cursor = txn.cursor()
    for put in (txn.put, cursor.put):
        assert put(b"a", b"1", None, None, None) is True
        assert put(b"a", b"2", overwrite=None) is True
        assert put(b"a", b"2", dupdata=None) is True
    assert cursor.item() == (b"a", b"2")
    assert cursor.delete(None) is True
