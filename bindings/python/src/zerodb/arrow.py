"""Entries as Arrow record batches and Parquet files.

This module needs `pyarrow`, which the package does not depend on: install `zerodb[arrow]`. All
tables have two columns, `key` and `value`, of bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from zerodb import _abi
from zerodb._database import Database
from zerodb._environment import Environment
from zerodb._errors import BusyError, NotSortedError
from zerodb._transaction import Transaction
from zerodb._types import Buffer, Item

SCHEMA = pyarrow.schema(
    [
        pyarrow.field("key", pyarrow.binary(), nullable=False),
        pyarrow.field("value", pyarrow.binary(), nullable=False),
    ]
)
"""The columns of what :func:`read` and :func:`write_parquet` make."""

_BATCH_BYTES = 16 << 20
_ROWS_MAX = 10_000
_TRIES_MAX = 100


def read(
    transaction: Transaction,
    db: Database | None = None,
    *,
    start: Buffer | None = None,
    stop: Buffer | None = None,
    prefix: Buffer | None = None,
    batch_bytes: int = _BATCH_BYTES,
) -> Any:
    """The entries of a database, or of a range of its keys, as record batches.

    Entries are copied. They are read as the batches are asked for, so the transaction must stay
    open until then.

    :param batch_bytes: bytes of keys and values after which a batch ends.
    :returns: a `pyarrow.RecordBatchReader`; its `read_all()` is a table.
    """
    items = transaction.items(db, start, stop, prefix)
    return pyarrow.RecordBatchReader.from_batches(SCHEMA, _batches(items, batch_bytes))


def write_parquet(
    transaction: Transaction,
    path: str | os.PathLike[str],
    db: Database | None = None,
    *,
    start: Buffer | None = None,
    stop: Buffer | None = None,
    prefix: Buffer | None = None,
    batch_bytes: int = _BATCH_BYTES,
) -> int:
    """Writes the entries of a database, or of a range of its keys, to a Parquet file.

    Each batch is a row group. If the transaction fails, for example because a page is damaged,
    the file is removed, so that nothing takes it for all of the entries.

    :returns: how many entries were written.
    """
    count = 0
    items = transaction.items(db, start, stop, prefix)
    try:
        with pyarrow.parquet.ParquetWriter(path, SCHEMA) as writer:
            for batch in _batches(items, batch_bytes):
                writer.write_batch(batch)
                count += batch.num_rows
    except BaseException:
        if os.path.exists(path):
            os.remove(path)
        raise
    return count


def write_parquet_parts(
    environment: Environment,
    directory: str | os.PathLike[str],
    db: Database | None = None,
    *,
    parts: int | None = None,
    start: Buffer | None = None,
    stop: Buffer | None = None,
    batch_bytes: int = _BATCH_BYTES,
) -> int:
    """Writes the entries of a database, or of a range of its keys, to Parquet files in
    parallel.

    The range is divided into parts with equal numbers of entries, each of which a thread writes
    to a file: ``part-00000.parquet`` and so on, in the order of the keys. All of them are of
    one snapshot. Reading holds the lock of the interpreter, encoding and compressing do not.
    `pyarrow.dataset.dataset(directory)` reads the files as one.

    :param directory: is made if it is not there. If one part fails, all files are removed.
    :param db: a database that was made with ``counted``.
    :param parts: how many; as many as there are processors without it.
    :returns: how many entries were written.
    :raises IncompatibleError: the database was made without ``counted``.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []

    def write(number: int, transaction: Transaction, keys: Any) -> int:
        path = folder / f"part-{number:05}.parquet"
        written.append(path)
        first, last = keys
        return write_parquet(
            transaction, path, db, start=first, stop=last, batch_bytes=batch_bytes
        )

    try:
        with _parts(environment, parts, start, stop, db) as ranges:
            return sum(_in_threads(write, ranges))
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def read_parts(
    environment: Environment,
    db: Database | None = None,
    *,
    parts: int | None = None,
    start: Buffer | None = None,
    stop: Buffer | None = None,
    batch_bytes: int = _BATCH_BYTES,
) -> Any:
    """The entries of a database, or of a range of its keys, as a table that threads have read,
    each a part with an equal number of entries of one snapshot.

    Parameters and exceptions are those of :func:`write_parquet_parts`.

    :returns: a `pyarrow.Table`, in the order of the keys.
    """

    def read_part(number: int, transaction: Transaction, keys: Any) -> Any:
        first, last = keys
        return read(transaction, db, start=first, stop=last, batch_bytes=batch_bytes).read_all()

    with _parts(environment, parts, start, stop, db) as ranges:
        return pyarrow.concat_tables(_in_threads(read_part, ranges))


@contextmanager
def _parts(
    environment: Environment,
    parts: int | None,
    start: Buffer | None,
    stop: Buffer | None,
    db: Database | None,
) -> Iterator[list[tuple[Transaction, Any]]]:
    """Parts of a range, each with a transaction of its own; all see the same snapshot."""
    if parts is None:
        parts = os.cpu_count() or 1
    for _ in range(_TRIES_MAX):
        with ExitStack() as stack:
            first = stack.enter_context(environment.begin())
            keys = first.split(parts, start, stop, db)
            others = [stack.enter_context(environment.begin()) for _ in keys[1:]]
            # A commit may have come in between.
            if all(other.id == first.id for other in others):
                yield list(zip([first, *others], keys))
                return
    raise BusyError(
        "transactions were committed too fast to begin several readers of one snapshot; try "
        "again, or with fewer parts",
        _abi.BUSY,
    )


def _in_threads(work: Any, ranges: list[tuple[Transaction, Any]]) -> list[Any]:
    """What work gives for each range, in their order."""
    with ThreadPoolExecutor(max_workers=max(1, len(ranges))) as pool:
        futures = [
            pool.submit(work, number, transaction, keys)
            for number, (transaction, keys) in enumerate(ranges)
        ]
        return [future.result() for future in futures]


def load(transaction: Transaction, source: Any, db: Database | None = None) -> int:
    """Puts rows into a database, in one transaction: all of them are there when it commits.

    Rows in the order of the keys, after those that are there, are appended. For more rows than
    a transaction may change pages, open the environment with `max_txn_pages=0`, or load batches
    in several transactions.

    :param source: a table, a record batch, a reader of batches, or batches one after another,
        with columns `key` and `value` of bytes or text.
    :returns: how many rows there were.
    :raises ValueError: a column is missing or has a null. The rows of batches before are put.
    """
    count = 0
    append = True
    for batch in _batches_of(source):
        keys, values = _column(batch, "key"), _column(batch, "value")
        for row in range(0, batch.num_rows, _ROWS_MAX):
            part = slice(row, row + _ROWS_MAX)
            for key, value in zip(keys[part].to_pylist(), values[part].to_pylist()):
                append = _put(transaction, key, value, db, append)
        count += batch.num_rows
    return count


def load_parquet(
    transaction: Transaction, path: str | os.PathLike[str], db: Database | None = None
) -> int:
    """Puts the rows of a Parquet file into a database, as :func:`load`, batch by batch."""
    with pyarrow.parquet.ParquetFile(path) as file:
        return load(transaction, file.iter_batches(), db)


def _batches(items: Iterator[Item], batch_bytes: int) -> Iterator[Any]:
    """Record batches of entries."""
    keys: list[bytes] = []
    values: list[bytes] = []
    size = 0
    for key, value in items:
        keys.append(key)
        values.append(value)
        size += len(key) + len(value)
        if size >= batch_bytes:
            yield _batch(keys, values)
            keys, values, size = [], [], 0
    if keys:
        yield _batch(keys, values)


def _batch(keys: list[bytes], values: list[bytes]) -> Any:
    columns = [pyarrow.array(column, pyarrow.binary()) for column in (keys, values)]
    return pyarrow.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _batches_of(source: Any) -> Iterator[Any]:
    if isinstance(source, pyarrow.RecordBatch):
        yield source
    elif isinstance(source, pyarrow.Table):
        yield from source.to_batches()
    else:
        yield from source


def _column(batch: Any, name: str) -> Any:
    """A column as bytes."""
    if name not in batch.schema.names:
        raise ValueError(f"the rows have no column {name!r}, only {batch.schema.names}")
    column = batch.column(name)
    if column.null_count > 0:
        raise ValueError(f"the column {name!r} has {column.null_count} nulls")
    return column.cast(pyarrow.large_binary())


def _put(
    transaction: Transaction, key: bytes, value: bytes, db: Database | None, append: bool
) -> bool:
    """Puts an entry.

    :returns: whether to append the next one.
    """
    if append:
        try:
            transaction.put(key, value, append=True, db=db)
            return True
        except NotSortedError:
            pass
    transaction.put(key, value, db=db)
    return False
