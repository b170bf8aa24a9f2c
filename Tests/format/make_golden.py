"""Writes the golden files of the present format: `make golden`. See Tests/golden/README.md."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from environments import copy, read
from format_log import LOG_HEADER_SIZE
from format_records import META_PAGES, database_digest, values_digest
from golden import FLAGS, FORMAT_1, content, content_after_log, pack
from library import CREATE, Transaction, call

import zerodb

LOG_NAME = "0000000000001000.log"


@contextmanager
def writing(env: zerodb.Environment) -> Iterator[Transaction]:
    """A write transaction with the calls that the package does not have."""
    with env.begin(write=True) as txn:
        yield Transaction(ctypes.c_void_p(txn._handle))


def fill(path: Path) -> None:
    """Puts everything in, so that pages of all types become free on the way."""
    with zerodb.open(path, threads=False) as env, writing(env) as txn:
        for name, values in content().items():
            database = txn.open(name or None, FLAGS[name] | CREATE if name else 0)
            for key, found in values.items():
                for value in sorted(found) if isinstance(found, set) else [found]:
                    txn.put(database, key, value)
        txn.put(0, b"draft", b"d" * 300_000)
    with zerodb.open(path, threads=False) as env, writing(env) as txn:
        txn.delete(0, b"draft")
    with zerodb.open(path, threads=False) as env:
        with writing(env) as txn:
            txn.put(0, b"note", b"n" * 40_000)
        with writing(env) as txn:
            txn.delete(0, b"note")
        for value in (b"1", b"2"):
            with writing(env) as txn:
                txn.put(0, b"note", value)
        with writing(env) as txn:
            txn.delete(0, b"note")
    # What is free for the durable state, and what is not, is in the free list then.
    for _ in range(2):
        with zerodb.open(path, threads=False) as env:
            for value in (b"1", b"2"):
                with writing(env) as txn:
                    txn.put(0, b"note", value)
            with writing(env) as txn:
                txn.delete(0, b"note")


def log(path: Path) -> Path:
    """Makes the changes that are in the log only; returns a copy with them."""
    with zerodb.open(path, threads=False) as env:
        with writing(env) as txn:
            txn.put(0, b"key/000", b"replaced")
            txn.put(0, b"large", b"shrunk")
            txn.put(0, b"new and large", b"abc" * 2000)
            txn.delete(0, b"key/001")
        with writing(env) as txn:
            made = txn.open(b"made", FLAGS[b"pairs"] | CREATE)
            txn.put(made, b"key", b"first")
            txn.put(made, b"key", b"second")
            pairs = txn.open(b"pairs")
            txn.delete(pairs, b"many", b"value 0 of many")
            txn.delete(pairs, b"few")
        with writing(env) as txn:
            handle = txn._handle
            call("zdb_db_clear", handle, ctypes.c_uint32(txn.open(b"to clear")))
            call("zdb_db_drop", handle, ctypes.c_uint32(txn.open(b"to drop")))
            renamed = ctypes.c_uint32(txn.open(b"to rename"))
            call("zdb_db_rename", handle, renamed, ctypes.c_char_p(b"renamed"), None)
            txn.delete_range(txn.open(b"counted"), b"01", b"02")
        return copy(path)


def describe(before: int) -> str:
    """The lines of content.txt."""
    after = 0
    lines = []
    flags = {**FLAGS, b"made": FLAGS[b"pairs"], b"renamed": FLAGS[b"to rename"]}
    for name, values in sorted(content_after_log().items()):
        digest = values_digest(values)
        entries = sum(len(v) if isinstance(v, set) else 1 for v in values.values())
        after += database_digest(name, flags[name], digest)
        lines.append(f"database {name.hex() or '-'} {flags[name]} {entries} {digest:032x}")
    return "\n".join([f"environment {before:032x} {after % (1 << 128):032x}", *lines]) + "\n"


def main() -> None:
    """Writes the files."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "environment"
        fill(path)
        copied = log(path)
        found = read(copied)
        assert found.contents() == content_after_log()
        data = bytearray(found.data)
        page_size = found.page_size
        del data[found.meta.page_count * page_size :]
        for number in range(META_PAGES, found.meta.page_count):
            if found.uses[number].startswith("free"):
                data[number * page_size : (number + 1) * page_size] = bytes(page_size)
        FORMAT_1.mkdir(parents=True, exist_ok=True)
        (FORMAT_1 / "data.zdb.sparse").write_bytes(pack(bytes(data)))
        segment = bytearray((copied / "log" / LOG_NAME).read_bytes())
        # The base of the segment is the length of its header.
        segment[LOG_HEADER_SIZE : found.meta.log_end] = bytes(
            found.meta.log_end - LOG_HEADER_SIZE
        )
        (FORMAT_1 / f"{LOG_NAME}.sparse").write_bytes(pack(bytes(segment)))
        (FORMAT_1 / "content.txt").write_text(describe(found.meta.digest), encoding="utf-8")
    size = sum(file.stat().st_size for file in FORMAT_1.iterdir())
    print(f"{FORMAT_1}: {size} bytes")


if __name__ == "__main__":
    main()
