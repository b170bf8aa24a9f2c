"""The free pages of ZeroDB's files, in the free list and the free tree.

Written from docs/FORMAT.md alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import xxhash
from format_records import FREE_LIST_OFFSET, FREE_LIST_SIZE, MAGIC, FormatError, Meta, require

PENDING, YOUNG, AVAILABLE = 0, 1, 2
REGION_PAGES = 512
PAGE_NUMBERS = 1 << 47
ENTRY_RUNS_MAX = 100
RANGE_WORDS = 2
"""Words in front of the runs of a pending or young entry."""

FREE_LIST_WORDS = FREE_LIST_SIZE // 8
FREE_LIST_GROUPS = 96
"""The word that the groups begin at; available runs lie between the first word and this."""
GROUP_HEADER_WORDS = 3

Run = tuple[int, int]
"""The first page, and the number of pages."""


def parse_run(word: int) -> Run:
    """A run from the 64 bits that are stored."""
    start, pages = word & (1 << 48) - 1, word >> 48
    require(pages > 0, f"an empty run of free pages at {start}")
    return start, pages


def count_pages(runs: Iterable[Run]) -> int:
    """How many pages runs have."""
    return sum(pages for _, pages in runs)


@dataclass(frozen=True)
class Freed:
    """Runs that were freed together."""

    transaction: int
    """The one that freed them, or a later one."""
    birth: int
    """The oldest writer of them, or an earlier one; 0 if it is not known."""
    runs: list[Run]
    holder: int | None = None
    """The state that a pending entry of the free tree waits for."""
    recorder: int | None = None
    """The transaction that made an entry of the free tree."""

    @classmethod
    def parse(
        cls,
        transaction: int,
        birth: int,
        words: list[int],
        meta: Meta,
        holder: int | None = None,
        recorder: int | None = None,
    ) -> Freed:
        """From the words that a state stores, after checking them."""
        require(transaction <= meta.transaction, f"freed by transaction {transaction}, to come")
        require(birth <= transaction, "freed before it was written")
        if holder is not None:
            require(birth <= holder < transaction, f"state {holder} does not have the pages")
        if recorder is not None:
            require(transaction <= recorder, f"recorded by {recorder}, before it was freed")
            require(
                recorder <= meta.transaction, f"an entry of transaction {recorder}, to come"
            )
        return cls(transaction, birth, [parse_run(word) for word in words], holder, recorder)

    @property
    def pages(self) -> int:
        """How many pages they have."""
        return count_pages(self.runs)


@dataclass(frozen=True)
class FreePages:
    """The pages that the free list or the free tree names."""

    available: list[Run]
    freed: list[Freed]

    @property
    def available_pages(self) -> int:
        """Pages that no state and no reader needs."""
        return count_pages(self.available)

    @property
    def pending_pages(self) -> int:
        """Pages that a durable state or a reader may need, young ones included."""
        return sum(freed.pages for freed in self.freed)

    @property
    def young_pages(self) -> int:
        """Pages of young entries, which nobody needed when these were made."""
        return sum(freed.pages for freed in self.freed if freed.holder is None)


def parse_free_list(data: bytes, meta: Meta) -> FreePages:
    """The free list of a state, from the 1536 bytes that are stored."""
    first, *words = struct.unpack(f"<{FREE_LIST_WORDS}Q", data)
    run_count, group_words = first & 0xFFFFFFFF, first >> 32
    require(run_count < FREE_LIST_GROUPS, f"the free list: {run_count} available runs")
    require(
        group_words <= FREE_LIST_WORDS - FREE_LIST_GROUPS, f"the free list: {group_words} words"
    )
    runs, groups = words[: FREE_LIST_GROUPS - 1], words[FREE_LIST_GROUPS - 1 :]
    unused = runs[run_count:] + groups[group_words:]
    require(not any(unused), "the free list: unused words are set")
    available = [parse_run(word) for word in runs[:run_count]]
    ends = [start + pages for start, pages in available]
    in_order = all(end <= start for end, (start, _) in zip(ends, available[1:]))
    require(in_order, f"the free list: available runs that are not in order, {available}")
    free_list = FreePages(available, read_groups(groups[:group_words], meta))
    found = (free_list.available_pages, free_list.pending_pages)
    counted = (meta.free_list_available, meta.free_list_pending)
    require(found == counted, f"the free list: counts are {counted}, found are {found}")
    return free_list


def read_groups(words: list[int], meta: Meta) -> list[Freed]:
    """The groups of freed runs in a free list, which fill some words."""
    groups: list[Freed] = []
    while words:
        require(len(words) > GROUP_HEADER_WORDS, "the free list: a group is cut off")
        transaction, birth, count, *words = words
        require(1 <= count <= len(words), f"the free list: a group of {count} runs")
        groups.append(Freed.parse(transaction, birth, words[:count], meta))
        words = words[count:]
    return groups


def read_free_list(data: bytes, meta: Meta) -> FreePages:
    """The free list of the newest state of a file, of whose two copies one must be whole."""
    for copy in range(2):
        start = meta.page * meta.page_size + copy * meta.page_size // 2 + FREE_LIST_OFFSET
        stored = data[start : start + FREE_LIST_SIZE]
        computed = xxhash.xxh3_64_intdigest(stored, seed=int.from_bytes(MAGIC, "little"))
        if computed == meta.free_list_checksum:
            return parse_free_list(stored, meta)
    raise FormatError(f"meta page {meta.page}: both copies of the free list are damaged")


def parse_free_tree(entries: Iterable[tuple[bytes, bytes]], meta: Meta) -> FreePages:
    """The pages that the free tree names, from the keys and values of all its entries."""
    free_tree = FreePages([], [])
    numbers: set[tuple[int, int]] = set()
    for key, value in entries:
        if key[0] == AVAILABLE and len(key) == 9:
            free_tree.available.extend(read_region(int.from_bytes(key[1:], "big"), value))
            continue
        sizes = {PENDING: 21, YOUNG: 13}
        require(sizes.get(key[0]) == len(key), f"a key of the free tree {key!r}")
        require(len(value) % 8 == 0, f"the free tree: a value of {len(value)} bytes")
        holder = int.from_bytes(key[1:9], "big") if key[0] == PENDING else None
        recorder, sequence = struct.unpack(">QI", key[-12:])
        require((recorder, sequence) not in numbers, f"the free tree: two of {key[1:]!r}")
        numbers.add((recorder, sequence))
        words = [word for (word,) in struct.iter_unpack("<Q", value)]
        require(len(words) > RANGE_WORDS, "the free tree: an entry without runs")
        birth, transaction, *words = words
        require(len(words) <= ENTRY_RUNS_MAX, f"the free tree: {len(words)} runs")
        free_tree.freed.append(Freed.parse(transaction, birth, words, meta, holder, recorder))
    found = (free_tree.young_pages, free_tree.pending_pages, free_tree.available_pages)
    counted = (meta.young_pages, meta.pending_pages, meta.available_pages)
    require(found == counted, f"the free tree: counts are {counted}, found are {found}")
    return free_tree


def read_region(region: int, bitmap: bytes) -> list[Run]:
    """Which pages of a region are available."""
    require(region < PAGE_NUMBERS // REGION_PAGES, f"the free tree: region {region}")
    require(len(bitmap) * 8 == REGION_PAGES, f"a bitmap of {len(bitmap)} bytes")
    require(any(bitmap), f"the free tree: region {region} has no available page")
    first = region * REGION_PAGES
    return [(first + i, 1) for i in range(REGION_PAGES) if bitmap[i // 8] >> i % 8 & 1]
