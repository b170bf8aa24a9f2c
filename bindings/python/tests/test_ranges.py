"""Walking over ranges of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zerodb
from conftest import FRUIT, collect


def test_items_keys_and_values_walk_the_whole_database(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn:
        assert list(txn.items()) == FRUIT
        assert list(txn.keys()) == [key for key, _ in FRUIT]
        assert list(txn.values()) == [value for _, value in FRUIT]


def test_reverse_walks_from_the_last_key_to_the_first(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn:
        assert list(txn.items(reverse=True)) == FRUIT[::-1]
        assert list(txn.keys(reverse=True)) == [key for key, _ in FRUIT[::-1]]
        assert list(txn.values(reverse=True)) == [value for _, value in FRUIT[::-1]]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"start": b"apricot"}, FRUIT[1:]),
        ({"start": b"b"}, FRUIT[2:]),
        ({"start": b"x"}, []),
        ({"stop": b"banana"}, FRUIT[:2]),
        ({"stop": b"x"}, FRUIT),
        ({"stop": b""}, []),
        ({"start": b""}, FRUIT),
        ({"start": b"apricot", "stop": b"date"}, FRUIT[1:4]),
        ({"start": b"date", "stop": b"apple"}, []),
        ({"prefix": b"ap"}, FRUIT[:2]),
        ({"prefix": b"apple"}, FRUIT[:1]),
        ({"prefix": b"apples"}, []),
        ({"prefix": b""}, FRUIT),
        ({"prefix": b"\xff"}, []),
        ({"prefix": b"ap", "start": b"apr"}, FRUIT[1:2]),
        ({"prefix": b"ap", "stop": b"apr"}, FRUIT[:1]),
        ({"prefix": b"ap", "start": b"b"}, []),
        ({"start": bytearray(b"apricot"), "stop": memoryview(b"date")}, FRUIT[1:4]),
    ],
    ids=str,
)
def test_start_stop_and_prefix_bound_a_walk(
    fruit: zerodb.Environment, bounds: dict[str, Any], expected: list[tuple[bytes, bytes]]
) -> None:
    with fruit.begin() as txn:
        assert list(txn.items(**bounds)) == expected
        assert list(txn.items(**bounds, reverse=True)) == expected[::-1]
        assert list(txn.keys(**bounds)) == [key for key, _ in expected]
        assert list(txn.values(**bounds)) == [value for _, value in expected]


def test_bounds_may_be_longer_than_any_key(env: zerodb.Environment) -> None:
    longest = b"k" * env.max_key_size
    with env.begin(write=True) as txn:
        txn[longest] = b"longest"
        txn[b"l"] = b"after"
        txn[b"a"] = b"before"
        beyond = longest + b"k"
        assert list(txn.keys(start=beyond)) == [b"l"]
        assert list(txn.keys(stop=beyond)) == [b"a", longest]
        assert list(txn.keys(start=beyond, reverse=True)) == [b"l"]
        assert list(txn.keys(stop=beyond, reverse=True)) == [longest, b"a"]
        assert list(txn.keys(prefix=beyond)) == []
        assert list(txn.keys(prefix=longest)) == [longest]


def test_a_walk_over_a_named_database_stays_in_it(fruit: zerodb.Environment) -> None:
    colours = fruit.open_db("colours", create=True)
    with fruit.begin(write=True) as txn:
        txn.put(b"red", b"apple", db=colours)
        assert list(txn.items(colours)) == [(b"red", b"apple")]
        assert list(txn.keys(colours, prefix=b"a")) == []
        assert list(txn.values(db=colours, reverse=True)) == [b"apple"]


def test_a_database_may_be_changed_during_a_walk_over_it(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        for number in range(1000):
            txn[b"%06d" % number] = b"v"
        for key in txn.keys():
            if int(key) % 3 == 0:
                del txn[key]
            else:
                txn[key] = b"w" * 50
        assert list(txn.items()) == [
            (b"%06d" % number, b"w" * 50) for number in range(1000) if number % 3
        ]


def test_wrong_bounds_are_refused_by_the_call_itself(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn:
        with pytest.raises(TypeError, match="start must be bytes-like, not str"):
            txn.items(start="apple")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="stop"):
            txn.keys(stop=1)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="prefix"):
            txn.values(prefix="a")  # type: ignore[arg-type]


def test_a_walk_given_up_leaves_nothing_behind(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn:
        for key in txn.keys():
            assert key == b"apple"
            break
        walk = txn.items()
        assert next(walk) == FRUIT[0]
        del walk
        collect()
        assert not txn._open_cursors


short_keys = st.binary(min_size=1, max_size=3)
bounds = st.none() | st.binary(max_size=4)


@settings(
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sets(short_keys, max_size=20), bounds, bounds, bounds, st.booleans())
def test_any_range_equals_a_filter_over_sorted_keys(
    env: zerodb.Environment,
    keys: set[bytes],
    start: bytes | None,
    stop: bytes | None,
    prefix: bytes | None,
    reverse: bool,
) -> None:
    expected = [
        key
        for key in sorted(keys, reverse=reverse)
        if (start is None or key >= start)
        and (stop is None or key < stop)
        and (prefix is None or key.startswith(prefix))
    ]
    txn = env.begin(write=True)
    try:
        for key in keys:
            txn[key] = b""
        assert (
            list(txn.keys(start=start, stop=stop, prefix=prefix, reverse=reverse)) == expected
        )
    finally:
        txn.abort()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bound", ["start", "stop"])
def test_bounds_that_integers_cannot_have_are_refused(
    env: zerodb.Environment, bound: str, reverse: bool
) -> None:
    numbers = env.open_db("numbers", create=True, integer_key=True)
    with env.begin(numbers, write=True) as txn:
        for number in range(10):
            txn[number.to_bytes(8, "little")] = b"value"
        for wrong in (b"\x05\0\0\0", b"zz", b"x" * 9, b"z" * 2500):
            with pytest.raises(zerodb.BadValueSizeError):
                list(txn.keys(**{bound: wrong}, reverse=reverse))


def test_bounds_may_be_longer_than_keys_that_are_ordered_from_their_last_byte(
    env: zerodb.Environment,
) -> None:
    db = env.open_db("reversed", create=True, reverse_key=True)
    size_max = env.max_key_size
    longest = b"m" * size_max
    keys = [b"a" * 8, b"b", longest[1:], longest, b"xm", b"n", b"\xff" * size_max]

    def order(key: bytes) -> bytes:
        return key[::-1]

    with env.begin(db, write=True) as txn:
        for key in keys:
            txn[key] = b"value"
        keys.sort(key=order)
        bounds = [b"m" * (size_max + 5), b"a" + longest, b"z" + longest]
        for bound in [*bounds, b"\xff" * 2500, b"z" * 2500]:
            before = [key for key in keys if order(key) < order(bound)]
            behind = [key for key in keys if order(key) >= order(bound)]
            assert list(txn.keys(stop=bound)) == before
            assert list(txn.keys(stop=bound, reverse=True)) == before[::-1]
            assert list(txn.keys(start=bound)) == behind
            assert list(txn.keys(start=bound, reverse=True)) == behind[::-1]


@pytest.mark.parametrize("given", [1, 60])
@pytest.mark.parametrize("reverse", [False, True])
def test_iterations_end_when_their_transaction_is_reset(
    env: zerodb.Environment, given: int, reverse: bool
) -> None:
    with env.begin(write=True) as txn:
        for number in range(500):
            txn[b"%03d" % number] = b"value"
    with env.begin() as txn:
        cursor = txn.cursor()
        walks: list[Any] = [
            cursor.iterprev() if reverse else iter(cursor),
            txn.items(reverse=reverse),
            txn.items(start=b"100", reverse=reverse),
            txn.keys(reverse=reverse),
        ]
        for walk in walks:
            for _ in range(given):
                next(walk)
        fresh = txn.keys()
        txn.reset()
        txn.renew()
        for walk in walks:
            with pytest.raises(zerodb.BadCursorError, match="was reset"):
                next(walk)
        assert next(fresh) == b"000"
        assert next(txn.keys()) == b"000"


def test_reading_keys_reads_no_large_values(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for number in range(20):
            txn[b"%03d" % number] = bytes([65 + number]) * (1 << 20)
    data = path / "data.zdb"
    content = data.read_bytes()
    # Damage in the values only: where a value is read, its checksum shows it.
    damaged = content
    for number in range(20):
        at = content.index(bytes([65 + number]) * 5000)
        damaged = damaged[:at] + b"damage" + damaged[at + 6 :]
    data.write_bytes(damaged)
    with zerodb.open(path, read_only=True) as env, env.begin() as txn:
        expected = [b"%03d" % number for number in range(20)]
        assert list(txn.keys()) == expected
        assert list(txn.keys(start=b"005", reverse=True)) == expected[:4:-1]
        assert list(txn.cursor().iternext(values=False)) == expected
        assert all(key in txn for key in expected)
        with pytest.raises(zerodb.CorruptedError):
            txn.get(b"003")
        with pytest.raises(zerodb.CorruptedError):
            list(txn.items())
