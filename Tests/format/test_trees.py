"""docs/FORMAT.md is true of trees: a reader that follows it can read the library's trees."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from environments import MAIN, Databases, change, check, read
from format_reader import Environment
from format_records import PAGE_SIZES, FormatError

import zerodb


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path where an environment can be made."""
    return tmp_path / "environment"


@pytest.mark.parametrize("compact", [False, True])
def test_a_copy_is_an_environment(path: Path, compact: bool) -> None:
    model: Databases = {MAIN: {}, b"second": {}, b"third \xff": {}}
    copied = path.with_name("copy")
    with zerodb.open(path) as env:
        for operations in (100, 200, 40):
            change(env, model, random.Random(operations), operations)
        env.copy(copied, compact=compact)
    check(copied, model)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_reader_finds_what_was_written(path: Path, page_size: int) -> None:
    rng = random.Random(page_size)
    model: Databases = {MAIN: {}, b"second": {}, b"third \xff": {}}
    for operations in (1, 10, 150, 40, 3, 1):
        with zerodb.open(path, page_size=page_size) as env:
            change(env, model, rng, operations)
        check(path, model)


def test_new_environment_is_empty(path: Path) -> None:
    zerodb.open(path).close()
    found = check(path, {MAIN: {}})
    assert (found.meta.transaction, found.meta.page_count) == (1, 2)
    assert len(found.data) == 2 * found.page_size


def test_trees_with_many_levels(path: Path) -> None:
    # Keys that differ in their last byte only make separators long and branches narrow.
    entries = {b"%03d" % (index // 3) * 330 + b"%d" % index: b"" for index in range(1000)}
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for key, value in entries.items():
            txn[key] = value
    found = check(path, {MAIN: entries})
    assert found.main.record.depth > 4


def test_keys_of_a_leaf_share_its_prefix(path: Path) -> None:
    entries = {b"a/long/common/prefix/%05d" % index: b"" for index in range(2000)}
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for key, value in entries.items():
            txn[key] = value
    found = check(path, {MAIN: entries})
    shared = [len(prefix) for prefix in found.main.prefixes]
    assert sum(length > 20 for length in shared) >= len(shared) - 1


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_longest_key_is_a_quarter_of_a_page_less_8(path: Path, page_size: int) -> None:
    longest = bytes(page_size // 2 - 64)
    with zerodb.open(path, page_size=page_size) as env:
        assert env.max_key_size == len(longest)
        with env.begin(write=True) as txn:
            txn[longest] = b"value"
            with pytest.raises(zerodb.BadValueSizeError):
                txn[longest + b"x"] = b"value"
    check(path, {MAIN: {longest: b"value"}})


@pytest.mark.parametrize("page_size", PAGE_SIZES)
@pytest.mark.parametrize("key_size", [1, 4, 5, 100])
def test_values_move_to_overflow_runs_where_the_document_says(
    path: Path, page_size: int, key_size: int
) -> None:
    largest = (page_size - 40) // 2 - 18 - max(0, key_size - 4)
    key = b"k" * key_size
    for size, pages in ((largest, 0), (largest + 1, 1), (page_size - 40, 1), (page_size, 2)):
        with zerodb.open(path, page_size=page_size) as env, env.begin(write=True) as txn:
            txn[key] = bytes(size)
        assert check(path, {MAIN: {key: bytes(size)}}).main.overflow_pages == pages


def test_values_beside_the_longest_keys_move_where_the_document_says(path: Path) -> None:
    largest = 32
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for size in (largest, largest + 1):
            txn[bytes([size % 256]) * env.max_key_size] = bytes(size)
    assert read(path).main.overflow_pages == 1


def test_every_byte_of_a_page_in_use_is_under_its_checksum(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"value"
        txn[b"long"] = bytes(3000)
    data = bytearray((path / "data.zdb").read_bytes())
    found = Environment(bytes(data))
    leaf = found.main.record.root.number * 4096
    overflow = next(page for page, use in found.uses.items() if "overflow" in use) * 4096
    for offset in [*range(leaf, leaf + 4096, 61), *range(overflow, overflow + 3040, 61)]:
        data[offset] ^= 0x10
        with pytest.raises(FormatError):
            Environment(bytes(data))
        data[offset] ^= 0x10
