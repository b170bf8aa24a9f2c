"""docs/FORMAT.md is true of the bytes of a stock, and of which of its copies count."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import xxhash
from environments import MAIN, check, library_reads, reader_reads, two_checkpoints
from format_free import STOCK_GROUPS, STOCK_WORDS
from format_reader import Environment
from format_records import (
    MAGIC,
    META_RECORD_SIZE,
    STOCK_OFFSET,
    STOCK_SIZE,
    FormatError,
    newest_meta,
)

import zerodb


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an environment can be made."""
    return tmp_path / "environment"


@pytest.mark.parametrize("damaged", range(16))
def test_one_copy_of_the_newest_stock_is_enough(path: Path, damaged: int) -> None:
    data = two_checkpoints(path)
    assert newest_meta(bytes(data)).page == 1
    for bit, offset in enumerate((0, 2048, 4096, 6144)):
        if damaged & 1 << bit:
            data[offset + STOCK_OFFSET + 900] ^= 1
    usable = damaged & 12 != 12
    assert reader_reads(data) == (b"new" if usable else None)
    assert library_reads(path, data) == (b"new" if usable else None)
    if usable:
        with zerodb.open(path) as env:
            assert env.verify().problems == (1 if damaged & 12 else 0)


@pytest.mark.parametrize("written", [STOCK_SIZE, STOCK_SIZE + 512, 2 * STOCK_SIZE])
def test_a_checkpoint_may_end_after_its_stock(path: Path, written: int) -> None:
    data = two_checkpoints(path)
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"newest"
    newer = (path / "data.zdb").read_bytes()
    assert newest_meta(newer).page == 0
    # Transaction 4 has written its pages and some of its stock to page 0; the records stay.
    cut = bytearray(newer)
    cut[:4096] = data[:4096]
    for copy in range(2):
        start = copy * 2048 + STOCK_OFFSET
        size = max(0, min(STOCK_SIZE, written - copy * STOCK_SIZE))
        assert data[start : start + STOCK_SIZE] != newer[start : start + STOCK_SIZE]
        cut[start : start + size] = newer[start : start + size]
    assert reader_reads(cut) == b"new"
    assert library_reads(path, cut) == b"newest", "it is in the log"
    check(path, {MAIN: {b"key": b"newest"}})


@dataclass
class Stock:
    """The parts of a stock, to be changed and put together again."""

    runs: list[tuple[int, int]]
    groups: list[list[int]]
    """The words of each."""
    unused: int = 0
    """What the last word of the available runs holds."""

    def stored(self) -> bytes:
        """Its 1536 bytes."""
        words = [0] * STOCK_WORDS
        group_words = [word for group in self.groups for word in group]
        words[0] = len(group_words) << 32 | len(self.runs)
        words[1 : 1 + len(self.runs)] = [pages << 48 | start for start, pages in self.runs]
        if self.unused:
            words[STOCK_GROUPS - 1] = self.unused
        words[STOCK_GROUPS : STOCK_GROUPS + len(group_words)] = group_words
        return struct.pack(f"<{STOCK_WORDS}Q", *words[:STOCK_WORDS])


@dataclass
class Stocked:
    """A file, and what the stock of its newest state is to be."""

    data: bytes
    found: Environment
    stock: Stock
    counts: tuple[int, int]
    """Of available and other pages in stock, as the record has them."""

    def written(self) -> bytearray:
        """The file with that stock, and the checksums that go with it."""
        data = bytearray(self.data)
        stock = self.stock.stored()
        seed = int.from_bytes(MAGIC, "little")
        for copy in range(2):
            start = self.found.meta.page * 4096 + copy * 2048
            data[start + STOCK_OFFSET : start + STOCK_OFFSET + STOCK_SIZE] = stock
            record = bytearray(data[start : start + META_RECORD_SIZE])
            digest = xxhash.xxh3_64_intdigest(stock, seed=seed)
            struct.pack_into("<QII", record, 336, digest, *self.counts)
            digest = xxhash.xxh3_64_intdigest(bytes(record[8:]), seed=seed)
            struct.pack_into("<Q", record, 0, digest)
            data[start : start + META_RECORD_SIZE] = record
        return data


@pytest.fixture
def stocked(path: Path) -> Stocked:
    """A file whose stock has two available runs, a pending group and a young one."""
    with zerodb.open(path, threads=False) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"durable"
    with zerodb.open(path, threads=False) as env:
        with env.begin():
            for number in range(5):
                with env.begin(write=True) as txn:
                    txn[b"key"] = b"%d" % number
        with env.begin(write=True) as txn:
            txn[b"key"] = b"new"
    data = (path / "data.zdb").read_bytes()
    found = Environment(data)
    ((start, pages),) = found.stock.available
    groups = [
        [freed.transaction, freed.birth or 0, len(freed.runs)]
        + [pages << 48 | start for start, pages in freed.runs]
        for freed in found.stock.freed
    ]
    assert [bool(birth) for _, birth, *_ in groups] == [False, True]
    counts = (found.meta.stock_available, found.meta.stock_pending)
    return Stocked(data, found, Stock([(start, 1), (start + 1, pages - 1)], groups), counts)


def test_a_stock_is_what_the_document_says(path: Path, stocked: Stocked) -> None:
    data = stocked.written()
    assert data != stocked.data, "its one available run is now in two parts"
    assert reader_reads(data) == b"new"
    assert library_reads(path, data) == b"new"
    check(path, {MAIN: {b"key": b"new"}})


def disordered(file: Stocked) -> None:
    file.stock.runs.reverse()


def twice_available(file: Stocked) -> None:
    start, pages = file.stock.runs[0]
    file.stock.runs.insert(0, (start, pages))
    file.counts = (file.counts[0] + pages, file.counts[1])


def twice_free(file: Stocked) -> None:
    start, pages = file.stock.runs[0]
    file.stock.groups[0][3] = pages << 48 | start


def in_a_tree(file: Stocked) -> None:
    file.stock.groups[0][3] = 1 << 48 | file.found.main.record.root.number


def beyond_the_file(file: Stocked) -> None:
    file.stock.groups[0][3] = 1 << 48 | file.found.meta.page_count


def in_a_meta_page(file: Stocked) -> None:
    file.stock.groups[0][3] = 1 << 48 | 1


def empty_run(file: Stocked) -> None:
    start, _ = file.stock.runs[0]
    file.stock.runs.insert(0, (start, 0))


def empty_group(file: Stocked) -> None:
    file.stock.groups.append([1, 0, 0])


def group_cut_off(file: Stocked) -> None:
    file.stock.groups[-1][2] += 1


def group_to_come(file: Stocked) -> None:
    file.stock.groups[0][0] = file.found.meta.transaction + 1


def group_of_unwritten_pages(file: Stocked) -> None:
    file.stock.groups[1][1] = file.stock.groups[1][0] + 1


def miscounted(file: Stocked) -> None:
    file.counts = (file.counts[0], file.counts[1] + 1)


def forgotten(file: Stocked) -> None:
    pages = file.stock.runs.pop()[1]
    file.counts = (file.counts[0] - pages, file.counts[1])


def unused_word(file: Stocked) -> None:
    file.stock.unused = 1


def too_many_runs(file: Stocked) -> None:
    file.stock.runs = [(2, 1)] * STOCK_GROUPS


def too_many_words(file: Stocked) -> None:
    file.stock.groups.append([1, 0, 97, *range(97)])


IMPOSSIBLE = [
    (twice_available, "not in order"),
    (twice_free, "in the stock and free: "),
    (in_a_tree, "the main database and free: "),
    (beyond_the_file, "pages from"),
    (in_a_meta_page, "page 1 is not one of"),
    (empty_run, "an empty run"),
    (empty_group, "cut off"),
    (group_cut_off, "a group of"),
    (miscounted, "counts are"),
    (forgotten, "reachable from nowhere"),
    (too_many_runs, "available runs"),
    (too_many_words, "words"),
    (disordered, "not in order"),
    (group_to_come, "to come"),
    (group_of_unwritten_pages, "before it was written"),
]
# The library need not look for this: no page is taken that is in use.
UNTIDY = [(unused_word, "unused words")]


@pytest.mark.parametrize(("harm", "problem"), IMPOSSIBLE + UNTIDY)
def test_a_stock_that_cannot_be_is_noticed(
    stocked: Stocked, harm: Callable[[Stocked], None], problem: str
) -> None:
    harm(stocked)
    with pytest.raises(FormatError, match=problem):
        Environment(bytes(stocked.written()))


@pytest.mark.parametrize("harm", [harm for harm, _ in IMPOSSIBLE])
def test_the_library_notices_a_stock_that_cannot_be(
    path: Path, stocked: Stocked, harm: Callable[[Stocked], None]
) -> None:
    harm(stocked)
    (path / "data.zdb").write_bytes(stocked.written())
    try:
        with zerodb.open(path) as env:
            assert env.verify().problems > 0
    except zerodb.CorruptedError:
        pass
