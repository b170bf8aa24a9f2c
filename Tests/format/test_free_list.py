"""docs/FORMAT.md is true of the bytes of a free list, and of the choice among its copies."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import xxhash
from environments import MAIN, check, library_reads, reader_reads, two_checkpoints
from format_free_pages import FREE_LIST_GROUPS, FREE_LIST_WORDS
from format_reader import Environment
from format_records import (
    FREE_LIST_OFFSET,
    FREE_LIST_SIZE,
    MAGIC,
    META_RECORD_SIZE,
    FormatError,
    newest_meta,
)

import zerodb


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path where an environment can be made."""
    return tmp_path / "environment"


@pytest.mark.parametrize("damaged", range(16))
def test_one_copy_of_the_newest_free_list_is_enough(path: Path, damaged: int) -> None:
    data = two_checkpoints(path)
    assert newest_meta(bytes(data)).page == 1
    for bit, offset in enumerate((0, 2048, 4096, 6144)):
        if damaged & 1 << bit:
            data[offset + FREE_LIST_OFFSET + 900] ^= 1
    usable = damaged & 12 != 12
    assert reader_reads(data) == (b"new" if usable else None)
    assert library_reads(path, data) == (b"new" if usable else None)
    if usable:
        with zerodb.open(path) as env:
            assert env.verify().problems == (1 if damaged & 12 else 0)


@pytest.mark.parametrize("written", [FREE_LIST_SIZE, FREE_LIST_SIZE + 512, 2 * FREE_LIST_SIZE])
def test_a_checkpoint_may_end_after_its_free_list(path: Path, written: int) -> None:
    data = two_checkpoints(path)
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"newest"
    newer = (path / "data.zdb").read_bytes()
    assert newest_meta(newer).page == 0
    # Transaction 4 has written its pages, and some of its free list to page 0. The records
    # there are still the older ones.
    cut = bytearray(newer)
    cut[:4096] = data[:4096]
    for copy in range(2):
        start = copy * 2048 + FREE_LIST_OFFSET
        size = max(0, min(FREE_LIST_SIZE, written - copy * FREE_LIST_SIZE))
        assert data[start : start + FREE_LIST_SIZE] != newer[start : start + FREE_LIST_SIZE]
        cut[start : start + size] = newer[start : start + size]
    assert reader_reads(cut) == b"new"
    assert library_reads(path, cut) == b"newest", "it is in the log"
    check(path, {MAIN: {b"key": b"newest"}})


@dataclass
class FreeList:
    """The parts of a free list, to be changed and put together again."""

    runs: list[tuple[int, int]]
    groups: list[list[int]]
    """The words of each."""
    unused: int = 0
    """The last word of the available runs."""

    def stored(self) -> bytes:
        """Its 1536 bytes."""
        words = [0] * FREE_LIST_WORDS
        group_words = [word for group in self.groups for word in group]
        words[0] = len(group_words) << 32 | len(self.runs)
        words[1 : 1 + len(self.runs)] = [pages << 48 | start for start, pages in self.runs]
        if self.unused:
            words[FREE_LIST_GROUPS - 1] = self.unused
        words[FREE_LIST_GROUPS : FREE_LIST_GROUPS + len(group_words)] = group_words
        return struct.pack(f"<{FREE_LIST_WORDS}Q", *words[:FREE_LIST_WORDS])


@dataclass
class FreeListFile:
    """A file, and the free list that its newest state shall have."""

    data: bytes
    found: Environment
    free_list: FreeList
    counts: tuple[int, int]
    """The counts of available and of other pages in the free list, as the record has them."""

    def written(self) -> bytearray:
        """The file with that free list, and the checksums that go with it."""
        data = bytearray(self.data)
        free_list = self.free_list.stored()
        seed = int.from_bytes(MAGIC, "little")
        for copy in range(2):
            start = self.found.meta.page * 4096 + copy * 2048
            data[start + FREE_LIST_OFFSET : start + FREE_LIST_OFFSET + FREE_LIST_SIZE] = (
                free_list
            )
            record = bytearray(data[start : start + META_RECORD_SIZE])
            digest = xxhash.xxh3_64_intdigest(free_list, seed=seed)
            struct.pack_into("<QII", record, 336, digest, *self.counts)
            digest = xxhash.xxh3_64_intdigest(bytes(record[8:]), seed=seed)
            struct.pack_into("<Q", record, 0, digest)
            data[start : start + META_RECORD_SIZE] = record
        return data


@pytest.fixture
def file(path: Path) -> FreeListFile:
    """A file whose free list has two available runs, a pending group and a young one."""
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
    ((start, pages),) = found.free_list.available
    groups = [
        [freed.transaction, freed.birth, len(freed.runs)]
        + [pages << 48 | start for start, pages in freed.runs]
        for freed in found.free_list.freed
    ]
    assert [birth <= 2 for _, birth, *_ in groups] == [True, False]
    counts = (found.meta.free_list_available, found.meta.free_list_pending)
    return FreeListFile(
        data, found, FreeList([(start, 1), (start + 1, pages - 1)], groups), counts
    )


def test_a_free_list_is_what_the_document_says(path: Path, file: FreeListFile) -> None:
    data = file.written()
    assert data != file.data, "its one available run is now in two parts"
    assert reader_reads(data) == b"new"
    assert library_reads(path, data) == b"new"
    check(path, {MAIN: {b"key": b"new"}})


def disordered(file: FreeListFile) -> None:
    file.free_list.runs.reverse()


def twice_available(file: FreeListFile) -> None:
    start, pages = file.free_list.runs[0]
    file.free_list.runs.insert(0, (start, pages))
    file.counts = (file.counts[0] + pages, file.counts[1])


def twice_free(file: FreeListFile) -> None:
    start, pages = file.free_list.runs[0]
    file.free_list.groups[0][3] = pages << 48 | start


def in_a_tree(file: FreeListFile) -> None:
    file.free_list.groups[0][3] = 1 << 48 | file.found.main.record.root.number


def beyond_the_file(file: FreeListFile) -> None:
    file.free_list.groups[0][3] = 1 << 48 | file.found.meta.page_count


def in_a_meta_page(file: FreeListFile) -> None:
    file.free_list.groups[0][3] = 1 << 48 | 1


def empty_run(file: FreeListFile) -> None:
    start, _ = file.free_list.runs[0]
    file.free_list.runs.insert(0, (start, 0))


def empty_group(file: FreeListFile) -> None:
    file.free_list.groups.append([1, 0, 0])


def group_cut_off(file: FreeListFile) -> None:
    file.free_list.groups[-1][2] += 1


def group_to_come(file: FreeListFile) -> None:
    file.free_list.groups[0][0] = file.found.meta.transaction + 1


def group_of_unwritten_pages(file: FreeListFile) -> None:
    file.free_list.groups[1][1] = file.free_list.groups[1][0] + 1


def miscounted(file: FreeListFile) -> None:
    file.counts = (file.counts[0], file.counts[1] + 1)


def forgotten(file: FreeListFile) -> None:
    pages = file.free_list.runs.pop()[1]
    file.counts = (file.counts[0] - pages, file.counts[1])


def unused_word(file: FreeListFile) -> None:
    file.free_list.unused = 1


def too_many_runs(file: FreeListFile) -> None:
    file.free_list.runs = [(2, 1)] * FREE_LIST_GROUPS


def too_many_words(file: FreeListFile) -> None:
    file.free_list.groups.append([1, 0, 97, *range(97)])


IMPOSSIBLE = [
    (twice_available, "not in order"),
    (twice_free, "in the free list and free: "),
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
# The library need not look for this, as no page in use is taken because of it.
UNTIDY = [(unused_word, "unused words")]


@pytest.mark.parametrize(("harm", "problem"), IMPOSSIBLE + UNTIDY)
def test_an_impossible_free_list_is_noticed(
    file: FreeListFile, harm: Callable[[FreeListFile], None], problem: str
) -> None:
    harm(file)
    with pytest.raises(FormatError, match=problem):
        Environment(bytes(file.written()))


@pytest.mark.parametrize("harm", [harm for harm, _ in IMPOSSIBLE])
def test_the_library_notices_an_impossible_free_list(
    path: Path, file: FreeListFile, harm: Callable[[FreeListFile], None]
) -> None:
    harm(file)
    (path / "data.zdb").write_bytes(file.written())
    try:
        with zerodb.open(path) as env:
            assert env.verify().problems > 0
    except zerodb.CorruptedError:
        pass
