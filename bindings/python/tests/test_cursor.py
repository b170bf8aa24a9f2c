"""Moving, reading and writing through cursors."""

from __future__ import annotations

import pytest

import zerodb
from conftest import FRUIT


def test_a_cursor_moves_in_the_order_of_the_keys(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn, txn.cursor() as cursor:
        assert cursor.first() == FRUIT[0]
        assert cursor.next() == FRUIT[1]
        assert cursor.last() == FRUIT[-1]
        assert cursor.prev() == FRUIT[-2]
        assert cursor.transaction is txn


def test_next_and_prev_of_a_cursor_that_is_nowhere_start_at_the_ends(
    fruit: zerodb.Environment,
) -> None:
    with fruit.begin() as txn:
        assert txn.cursor().next() == FRUIT[0]
        assert txn.cursor().prev() == FRUIT[-1]


def test_a_cursor_stays_where_it_is_at_the_ends(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn, txn.cursor() as cursor:
        cursor.last()
        assert cursor.next() is None
        assert cursor.item() == FRUIT[-1]
        assert cursor.prev() == FRUIT[-2]
        cursor.first()
        assert cursor.prev() is None
        assert cursor.item() == FRUIT[0]
        assert cursor.next() == FRUIT[1]


def test_seek_finds_the_key_or_the_one_after(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn, txn.cursor() as cursor:
        assert cursor.seek(b"banana") == FRUIT[2]
        assert cursor.seek(b"bananas") == FRUIT[3]
        assert cursor.seek(b"a") == FRUIT[0]
        assert cursor.seek(b"e") is None


def test_seek_exact_finds_the_key_or_nothing(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn, txn.cursor() as cursor:
        assert cursor.seek_exact(b"banana") == FRUIT[2]
        assert cursor.next() == FRUIT[3]
        assert cursor.seek_exact(b"bananas") is None


def test_item_key_and_value_read_where_the_cursor_is(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn, txn.cursor() as cursor:
        cursor.seek(b"banana")
        assert cursor.item() == (b"banana", b"yellow")
        assert cursor.key() == b"banana"
        assert cursor.value() == b"yellow"


def test_a_cursor_that_is_nowhere_has_no_item(fruit: zerodb.Environment) -> None:
    with fruit.begin(write=True) as txn, txn.cursor() as cursor:
        for read in (cursor.item, cursor.key, cursor.value):
            with pytest.raises(zerodb.BadCursorError):
                read()
        with pytest.raises(zerodb.BadCursorError):
            cursor.delete()
        with pytest.raises(zerodb.BadCursorError):
            cursor.set_value(b"value")


def test_a_cursor_on_an_empty_database_finds_nothing(env: zerodb.Environment) -> None:
    with env.begin() as txn, txn.cursor() as cursor:
        assert cursor.first() is None
        assert cursor.last() is None
        assert cursor.next() is None
        assert cursor.prev() is None
        assert cursor.seek(b"key") is None
        assert cursor.seek_exact(b"key") is None
        assert list(cursor) == []
        assert list(cursor.iter_reverse()) == []


def test_iteration_starts_at_the_ends_for_a_cursor_that_is_nowhere(
    fruit: zerodb.Environment,
) -> None:
    with fruit.begin() as txn:
        assert list(txn.cursor()) == FRUIT
        assert list(txn.cursor().iter_reverse()) == FRUIT[::-1]


def test_iteration_starts_where_the_cursor_is(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn, txn.cursor() as cursor:
        cursor.seek(b"banana")
        assert list(cursor) == FRUIT[2:]
        cursor.seek(b"banana")
        assert list(cursor.iter_reverse()) == FRUIT[2::-1]


def test_put_leaves_the_cursor_on_its_entry(fruit: zerodb.Environment) -> None:
    with fruit.begin(write=True) as txn, txn.cursor() as cursor:
        assert cursor.put(b"blueberry", b"blue") is True
        assert cursor.item() == (b"blueberry", b"blue")
        assert cursor.next() == (b"cherry", b"dark red")
        assert cursor.put(b"apple", b"green", overwrite=False) is False
        assert txn[b"apple"] == b"red"
        assert cursor.put(b"elderberry", b"black", append=True) is True
        with pytest.raises(zerodb.NotSortedError):
            cursor.put(b"c", b"value", append=True)


def test_set_value_changes_the_value_under_the_cursor(fruit: zerodb.Environment) -> None:
    with fruit.begin(write=True) as txn, txn.cursor() as cursor:
        cursor.seek(b"banana")
        cursor.set_value(b"green, then yellow")
        assert cursor.item() == (b"banana", b"green, then yellow")
        assert txn[b"banana"] == b"green, then yellow"
        cursor.set_value(bytearray(b"y" * 100_000))
        assert txn[b"banana"] == b"y" * 100_000


def test_delete_leaves_the_cursor_between_its_neighbours(fruit: zerodb.Environment) -> None:
    with fruit.begin(write=True) as txn, txn.cursor() as cursor:
        cursor.seek(b"banana")
        cursor.delete()
        assert b"banana" not in txn
        assert cursor.next() == (b"cherry", b"dark red")
        cursor.delete()
        assert cursor.prev() == (b"apricot", b"orange")


def test_iteration_over_a_cursor_goes_on_after_the_entry_it_deleted(
    fruit: zerodb.Environment,
) -> None:
    with fruit.begin(write=True) as txn, txn.cursor() as cursor:
        cursor.seek(b"banana")
        cursor.delete()
        assert list(cursor) == FRUIT[3:]


def test_a_cursor_can_delete_all_that_it_walks_over(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        for number in range(2000):
            txn[b"%06d" % number] = b"v" * 50
    with env.begin(write=True) as txn, txn.cursor() as cursor:
        for key, _ in cursor:
            if int(key) % 2:
                cursor.delete()
        assert [int(key) for key in txn.keys()] == list(range(0, 2000, 2))
    assert env.verify().sound


def test_a_cursor_stays_on_its_key_through_other_writes(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        for number in range(0, 1000, 2):
            txn[b"%06d" % number] = b"v" * 100
        with txn.cursor() as cursor:
            cursor.seek_exact(b"000500")
            for number in range(1, 1000, 2):
                txn[b"%06d" % number] = b"w" * 100
            assert cursor.key() == b"000500"
            assert cursor.next() == (b"000501", b"w" * 100)


def test_cursors_of_one_transaction_move_apart(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn, txn.cursor() as one, txn.cursor() as other:
        one.first()
        other.last()
        one.next()
        assert one.key() == b"apricot"
        assert other.key() == b"date"


def test_a_cursor_of_a_named_database_sees_that_one(fruit: zerodb.Environment) -> None:
    colours = fruit.open_db("colours", create=True)
    with fruit.begin(write=True) as txn:
        with txn.cursor(colours) as cursor:
            cursor.put(b"red", b"apple")
        assert list(txn.cursor(colours)) == [(b"red", b"apple")]
        assert b"red" not in txn


def test_the_pairs_of_an_iteration_are_values_of_their_own(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn, txn.cursor() as cursor:
        # Each is let go of, and its tuple may be used again: no hash of it may be left.
        assert [hash(pair) for pair in cursor.iternext()] == [hash(pair) for pair in FRUIT]
        cursor.first()
        assert [hash(pair) for pair in cursor.iternext()] == [hash(pair) for pair in FRUIT]
        kept = list(cursor.iterprev())
        assert list(cursor.iternext()) == FRUIT
        assert kept == FRUIT[::-1]


def test_two_iterations_of_a_cursor_do_not_share_their_pairs(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn, txn.cursor() as cursor:
        cursor.first()
        one = cursor.iternext()
        first = next(one)
        other = cursor.iternext()
        pairs = [first, next(other), next(one), next(other)]
        assert first == FRUIT[0]
        assert all(type(pair) is tuple and pair in FRUIT for pair in pairs)
        assert len({id(pair) for pair in pairs}) == 4
