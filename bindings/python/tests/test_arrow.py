"""Entries as Arrow tables and Parquet files."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

import zerodb

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
arrow = pytest.importorskip("zerodb.arrow")


def fill(env: zerodb.Environment, count: int = 3000) -> list[tuple[bytes, bytes]]:
    """Puts random entries, and returns them in the order of their keys."""
    source = random.Random(5)
    entries = {
        source.randbytes(source.randrange(1, 30)): source.randbytes(source.randrange(100))
        for _ in range(count)
    }
    with env.begin(write=True) as txn:
        for key, value in entries.items():
            txn[key] = value
    return sorted(entries.items())


def rows(table: object) -> list[tuple[bytes, bytes]]:
    """The rows of a table."""
    columns = table.to_pydict()  # type: ignore[attr-defined]
    return list(zip(columns["key"], columns["value"]))


def test_all_entries_are_a_table(env: zerodb.Environment) -> None:
    entries = fill(env)
    with env.begin() as txn:
        reader = arrow.read(txn, batch_bytes=10_000)
        assert reader.schema == arrow.SCHEMA
        batches = list(reader)
    assert len(batches) > 10
    assert rows(pyarrow.Table.from_batches(batches)) == entries


def test_a_range_of_a_named_database(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn:
        found = rows(arrow.read(txn, prefix=b"ap").read_all())
        assert found == [(b"apple", b"red"), (b"apricot", b"orange")]
        assert rows(arrow.read(txn, start=b"x").read_all()) == []


def test_parquet_there_and_back(env: zerodb.Environment, tmp_path: Path) -> None:
    entries = fill(env)
    with env.begin() as txn:
        assert arrow.write_parquet(txn, tmp_path / "file") == len(entries)
    assert rows(parquet.read_table(tmp_path / "file")) == entries
    with zerodb.open(tmp_path / "other") as other:
        with other.begin(write=True) as txn:
            assert arrow.load_parquet(txn, tmp_path / "file") == len(entries)
        assert other.stat().digest == env.stat().digest


def test_rows_in_any_order_and_of_text(env: zerodb.Environment) -> None:
    table = pyarrow.table({"value": ["1", "2", "3"], "key": ["b", "a", "ä"], "more": [1, 2, 3]})
    with env.begin(write=True) as txn:
        named = txn.db("named", create=True)
        for source in (table, table.to_batches()[0], table.to_reader()):
            assert arrow.load(txn, source, named) == 3
        assert dict(txn.items(named)) == {b"a": b"2", b"b": b"1", "ä".encode(): b"3"}


@pytest.mark.parametrize(
    "columns",
    [{"key": ["a"]}, {"key": ["a"], "value": [None]}, {"key": [None], "value": ["a"]}],
)
def test_rows_that_are_no_entries(
    env: zerodb.Environment, columns: dict[str, list[str | None]]
) -> None:
    table = pyarrow.table(
        {name: pyarrow.array(column, "string") for name, column in columns.items()}
    )
    with pytest.raises(ValueError, match="column"), env.begin(write=True) as txn:
        arrow.load(txn, table)
    assert env.stat().entries == 0


def test_a_failed_write_leaves_no_file(env: zerodb.Environment, tmp_path: Path) -> None:
    fill(env)
    with env.begin() as txn:
        txn.reset()
        with pytest.raises(zerodb.Error):
            arrow.write_parquet(txn, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_parts_of_a_counted_database(env: zerodb.Environment, tmp_path: Path) -> None:
    entries = {
        b"%08d" % (number * 7919 % 100_000): b"v" * (number % 50) for number in range(5000)
    }
    numbers = env.open_db("numbers", create=True, counted=True)
    with env.begin(write=True) as txn:
        for key, value in entries.items():
            txn.put(key, value, db=numbers)
    expected = sorted(entries.items())
    for parts in (1, 3, 16, None):
        table = arrow.read_parts(env, numbers, parts=parts, batch_bytes=5000)
        assert rows(table) == expected
        folder = tmp_path / f"parts{parts}"
        assert arrow.write_parquet_parts(env, folder, numbers, parts=parts) == len(expected)
        files = sorted(folder.iterdir())
        assert parts is None or len(files) == parts
        assert rows(pyarrow.concat_tables(map(parquet.read_table, files))) == expected
    middle = arrow.read_parts(env, numbers, parts=4, start=b"00020000", stop=b"00030000")
    assert rows(middle) == [item for item in expected if b"00020000" <= item[0] < b"00030000"]
    empty = env.open_db("empty", create=True, counted=True)
    assert rows(arrow.read_parts(env, empty)) == []


def test_parts_are_of_one_snapshot_beside_a_writer(env: zerodb.Environment) -> None:
    numbers = env.open_db("numbers", create=True, counted=True)
    done = threading.Event()

    def write() -> None:
        count = 0
        while not done.is_set():
            with env.begin(write=True, durability="none") as txn:
                for key in range(100):
                    txn.put(b"%04d" % key, b"%d" % count, db=numbers)
            count += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(30):
            values = arrow.read_parts(env, numbers, parts=4).column("value").to_pylist()
            assert len(set(values)) <= 1
    finally:
        done.set()
        thread.join()


def test_a_part_that_fails_leaves_no_files(env: zerodb.Environment, tmp_path: Path) -> None:
    fill(env)
    with pytest.raises(zerodb.IncompatibleError):
        arrow.write_parquet_parts(env, tmp_path / "parts", parts=3)
    assert list((tmp_path / "parts").iterdir()) == []
    assert env.readers() == []
