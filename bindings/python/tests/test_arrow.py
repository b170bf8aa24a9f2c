"""Entries as Arrow tables and Parquet files."""

from __future__ import annotations

import random
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
