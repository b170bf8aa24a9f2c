"""Cursors that read in advance, against a model that does not."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

import zerodb

Pair = tuple[bytes, bytes]


class ModelCursor:
    """A cursor over a list of pairs, which may grow. It remembers the pair that it is on."""

    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs = pairs
        self.on: Pair | None = None

    def set_range(self, key: bytes) -> Pair | None:
        place = bisect_left(self.pairs, (key, b""))
        self.on = self.pairs[place] if place < len(self.pairs) else None
        return self.on

    def step(self, distance: int) -> Pair | None:
        if self.on is None:
            place = 0 if distance > 0 else len(self.pairs) - 1
        else:
            place = bisect_left(self.pairs, self.on) + distance
        if not 0 <= place < len(self.pairs):
            return None
        self.on = self.pairs[place]
        return self.on

    def walk(self, distance: int) -> Iterator[Pair]:
        pair = self.on or self.step(distance)
        while pair is not None:
            yield pair
            pair = self.step(distance)

    def replace(self, key: bytes, value: bytes) -> None:
        """Puts a key in a list whose keys are unique."""
        place = bisect_left(self.pairs, (key, b""))
        if place < len(self.pairs) and self.pairs[place][0] == key:
            self.pairs[place] = key, value
        else:
            self.pairs.insert(place, (key, value))
        if self.on is not None and self.on[0] == key:
            self.on = key, value


class Program:
    """Random calls of a cursor, each compared with what the model does."""

    def __init__(self, seed: int, pairs: list[Pair], txn: Any, db: Any) -> None:
        self.random = random.Random(seed)
        self.model = ModelCursor(pairs)
        self.txn = txn
        self.db = db
        self.cursor = txn.cursor(db)
        self.walks: list[tuple[Iterator[Any], Iterator[Any]]] = []

    def key(self) -> bytes:
        key: bytes = self.random.choice(self.model.pairs)[0]
        choice = self.random.randrange(4)
        if choice == 0:
            return key + b"\0" if len(key) < 1900 else key
        return key[:-1] or b"\xff" if choice == 1 else key

    def seek(self) -> None:
        key = self.key()
        assert self.cursor.set_range(key) == self.model.set_range(key)

    def walk(self) -> None:
        distance = self.random.choice((1, 1, 1, -1))
        begin = self.cursor.iternext if distance > 0 else self.cursor.iterprev
        want = self.random.randrange(5)
        pairs = self.model.walk(distance)
        walk: tuple[Iterator[Any], Iterator[Any]]
        if want == 0:
            walk = begin(values=False), (pair[0] for pair in pairs)
        elif want == 1:
            walk = begin(keys=False), (pair[1] for pair in pairs)
        else:
            walk = begin(), pairs
        self.walks = [*self.walks[-2:], walk]
        self.go_on()

    def go_on(self) -> None:
        """Takes some of what an iteration gives, of the last one or of one before it."""
        if self.walks:
            ours, models = self.random.choice(self.walks)
            count = self.random.choice((1, 2, 10, 10, 10, 15, 100))
            assert list(islice(ours, count)) == list(islice(models, count))

    def seek_and_walk(self) -> None:
        for _ in range(3):
            self.seek()
            self.walk()

    def look(self) -> None:
        if self.model.on is None:
            return
        assert self.cursor.item() == self.model.on
        assert (self.cursor.key(), self.cursor.value()) == self.model.on

    def step(self) -> None:
        if self.random.randrange(2):
            assert self.cursor.next() == self.model.step(1)
        else:
            assert self.cursor.prev() == self.model.step(-1)

    def open_again(self) -> None:
        self.cursor.close()
        self.cursor = self.txn.cursor(self.db)
        self.model.on = None
        self.walks = []

    def put(self) -> None:
        key, value = self.key(), self.random.randbytes(self.random.randrange(1, 200))
        self.txn.put(key, value, db=self.db)
        self.model.replace(key, value)

    def run(self, count: int) -> None:
        calls = [self.seek, self.walk, self.go_on, self.seek_and_walk, self.look, self.step]
        if self.txn.write:
            calls.append(self.put)
        for _ in range(count):
            self.random.choice(calls)()
            if self.random.randrange(50) == 0:
                self.open_again()


def some_pairs(seed: int) -> list[Pair]:
    """Pairs with unique keys: short and long ones, and empty and large values."""
    source = random.Random(seed)
    keys = {source.randbytes(source.randrange(1, 4)) for _ in range(500)}
    keys |= {source.randbytes(1) * 1900 for _ in range(5)}
    sizes = [0, 1, 20, 150, 150, 3000] * 40 + [300_000]
    return sorted((key, bytes([len(key) % 256]) * source.choice(sizes)) for key in keys)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("write", [False, True])
def test_what_is_read_in_advance_is_not_seen(
    env: zerodb.Environment, seed: int, write: bool
) -> None:
    pairs = some_pairs(seed)
    with env.begin(write=True) as txn:
        txn.put_many(pairs)
    with env.begin(write=write) as txn:
        Program(seed, pairs, txn, None).run(250)


@pytest.mark.parametrize("seed", range(4))
def test_nor_is_it_among_duplicates(env: zerodb.Environment, seed: int) -> None:
    source = random.Random(seed)
    db = env.open_db("pairs", create=True, dupsort=True)
    chosen = {
        (b"%d" % source.randrange(40), b"%d" % source.randrange(10_000)) for _ in range(900)
    }
    with env.begin(write=True) as txn:
        txn.put_many(sorted(chosen), db=db)
    with env.begin() as txn:
        Program(seed, sorted(chosen), txn, db).run(250)


def test_a_range_may_begin_and_end_anywhere(env: zerodb.Environment) -> None:
    source = random.Random(1)
    pairs = some_pairs(1)
    with env.begin(write=True) as txn:
        txn.put_many(pairs)
    with env.begin() as txn:
        for _ in range(300):
            start, stop = (
                source.choice([None, b"", source.randbytes(2), source.choice(pairs)[0]])
                for _ in range(2)
            )
            prefix = source.choice([None, None, b"", source.randbytes(1), b"\xff"])
            expected = [
                pair
                for pair in pairs
                if (start is None or pair[0] >= start)
                and (stop is None or pair[0] < stop)
                and pair[0].startswith(prefix or b"")
            ]
            bounds: dict[str, Any] = {"start": start, "stop": stop, "prefix": prefix}
            assert list(txn.items(**bounds)) == expected
            assert list(txn.items(**bounds, reverse=True)) == expected[::-1]
            assert list(txn.keys(**bounds)) == [pair[0] for pair in expected]


def test_pairs_that_are_kept_stay_what_they_are(env: zerodb.Environment) -> None:
    pairs = [(b"%05d" % number, b"%d" % number) for number in range(2000)]
    with env.begin(write=True) as txn:
        txn.put_many(pairs)
    with env.begin() as txn, txn.cursor() as cursor:
        kept = [item for place, item in enumerate(cursor.iternext()) if place % 3]
        assert kept == [pair for place, pair in enumerate(pairs) if place % 3]
        cursor.set_range(b"00500")
        walk = cursor.iternext()
        first = next(walk)
        second = next(walk)
        del second
        assert next(walk) == pairs[502]
        assert first == pairs[500]


@pytest.mark.parametrize("write", [False, True])
def test_lists_are_put_up_to_the_first_that_is_wrong(
    env: zerodb.Environment, write: bool
) -> None:
    good = [(b"%05d" % number, b"x" * (number % 300)) for number in range(1000)]
    with env.begin(write=True) as txn:
        assert txn.put_many(good) == (1000, 1000)
        assert list(txn.items()) == good
        wrong: Any
        for wrong in ((b"", b""), (b"k" * 5000, b""), ("key", b""), (b"key",), 5, b"ab\0"):
            items = [(b"k%s" % key, value) for key, value in good[:300]]
            with pytest.raises((zerodb.Error, TypeError, ValueError)):
                txn.put_many([*items, wrong, (b"last", b"")])
            assert list(txn.items(prefix=b"k0")) == items
            assert b"last" not in txn
            txn.delete_range(b"k", b"l")
        items = [(b"z%s" % key, value) for key, value in good]
        large = (b"zz", b"y" * 400_000)
        views = [(memoryview(key), bytearray(value)) for key, value in items[:10]]
        assert txn.put_many([*items[10:], large, *views]) == (1001, 1001)
        assert list(txn.items(prefix=b"z")) == [*items, large]


def test_values_of_a_fixed_size_come_as_one_array(env: zerodb.Environment) -> None:
    db = env.open_db("fixed", create=True, dupsort=True, dupfixed=True)
    counts = {b"aa": 1, b"bb": 30, b"cc": 5000}
    with env.begin(write=True) as txn:
        for key, count in counts.items():
            txn.put_many([(key, b"%08d" % number) for number in range(count)], db=db)
    keys = [b"cc", b"xx", b"aa", b"bb", b"aa"]
    expected = b"".join(
        key + b"%08d" % number for key in keys for number in range(counts.get(key, 0))
    )
    with env.begin() as txn, txn.cursor(db) as cursor:
        assert cursor.getmulti(keys, True, 8, True) == expected
        assert cursor.getmulti(iter(keys), True, 8, True) == expected
        assert cursor.getmulti([memoryview(key) for key in keys], True, 8, True) == expected
        assert cursor.getmulti([], True, 8, True) == b""
        with pytest.raises(zerodb.Error):
            cursor.getmulti([b""], True, 8, True)
        with pytest.raises(TypeError):
            cursor.getmulti(["aa"], True, 8, True)


@pytest.mark.parametrize("write", [True, False])
def test_a_refused_reset_leaves_a_cursor_where_it_is(
    env: zerodb.Environment, write: bool
) -> None:
    with env.begin(write=True) as txn:
        txn.put_many([(b"%04d" % number, b"v" * 5000) for number in range(100)])
    with env.begin(write=write, buffers=True) as txn:
        cursor = txn.cursor()
        iterator = iter(cursor)
        views = [next(iterator) for _ in range(20)]
        with pytest.raises((zerodb.IncompatibleError, zerodb.BusyError)):
            txn.reset()
        assert cursor.key() == b"0019"
        assert next(iterator)[0] == b"0020"
        del views
