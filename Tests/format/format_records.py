"""The numbers, records and meta pages of ZeroDB's files, from docs/FORMAT.md alone."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

import xxhash

MAGIC = b"\x89ZERODB\n"
FORMAT_VERSION = 1
PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)

META_PAGES = 2
META_RECORD_SIZE = 512
FREE_LIST_OFFSET = 512
"""Bytes from the start of a record to the copy of the free list that belongs to it."""
FREE_LIST_SIZE = 1536
TREE_RECORD_SIZE = 80
TREE_PLACE_SIZE = 64
"""A tree record without its digest, as it is in a meta record."""
DIGEST_SIZE = 16
DIGESTS = 1 << 128
"""Digests are summed modulo this."""
HEADER_SIZE = 40
DEPTH_MAX = 32
NUMBER_LIMIT = 1 << 47
VALUE_SIZE_MAX = 1 << 31

BRANCH, LEAF, OVERFLOW = 1, 2, 3
INLINE_VALUE, OVERFLOW_VALUE, INLINE_VALUES, VALUE_TREE = range(4)
VALUE_TREE_SIZE = 56
OVERFLOW_POINTER_SIZE = 32

# Flags of databases.
REVERSE_KEYS, DUPLICATES, INTEGER_KEYS = 0x02, 0x04, 0x08
FIXED_VALUES, INTEGER_VALUES, REVERSE_VALUES, COUNTED = 0x10, 0x20, 0x40, 0x80
DATABASE_FLAGS = 0xFE

# Flags of pages.
VALUE_LEAF, PACKED, REVERSED, COUNTED_BRANCH = 1, 2, 4, 8

Value = Union[bytes, set[bytes]]
"""The value of a key, or, in a database with duplicates, all its values."""


class FormatError(Exception):
    """The file violates a rule of docs/FORMAT.md."""


def require(holds: object, problem: str) -> None:
    """Raises unless something holds."""
    if not holds:
        raise FormatError(problem)


def u16(data: bytes, offset: int) -> int:
    """The little-endian number of 16 bits at an offset."""
    return int(struct.unpack_from("<H", data, offset)[0])


def u32(data: bytes, offset: int) -> int:
    """The little-endian number of 32 bits at an offset."""
    return int(struct.unpack_from("<I", data, offset)[0])


def u64(data: bytes, offset: int) -> int:
    """The little-endian number of 64 bits at an offset."""
    return int(struct.unpack_from("<Q", data, offset)[0])


def u128(data: bytes, offset: int) -> int:
    """The little-endian number of 128 bits at an offset."""
    return int.from_bytes(data[offset : offset + DIGEST_SIZE], "little")


def pair_digest(key: bytes, value: bytes) -> int:
    """What a pair, as it was given, adds to the digest of its database."""
    return int(xxhash.xxh3_128_intdigest(struct.pack("<I", len(key)) + key + value))


def database_digest(name: bytes, flags: int, digest: int) -> int:
    """What a database adds to the digest of its environment; the main one has the name b""."""
    message = struct.pack("<H", flags) + digest.to_bytes(DIGEST_SIZE, "little") + name
    return int(xxhash.xxh3_128_intdigest(message))


def values_digest(values: Mapping[bytes, Value]) -> int:
    """The digest of a database with these values of its keys."""
    pairs = (
        (key, value)
        for key, found in values.items()
        for value in (found if isinstance(found, set) else {found})
    )
    return sum(pair_digest(key, value) for key, value in pairs) % DIGESTS


@dataclass(frozen=True)
class Reference:
    """A page number and the low bits of the transaction that wrote the page."""

    number: int
    tag: int

    @classmethod
    def parse(cls, word: int) -> Reference:
        """From the 64 bits that are stored."""
        return cls(number=word & (1 << 48) - 1, tag=word >> 48)


def check_flags(flags: int, what: str) -> None:
    """Checks that the flags of a database are known and go together."""
    require(flags & ~DATABASE_FLAGS == 0, f"{what}: flags of {flags:#x}")
    conflicts = (REVERSE_KEYS | INTEGER_KEYS, REVERSE_VALUES | INTEGER_VALUES)
    require(all(flags & pair != pair for pair in conflicts), f"{what}: two orders")
    of_values = FIXED_VALUES | INTEGER_VALUES | REVERSE_VALUES
    require(flags & DUPLICATES or not flags & of_values, f"{what}: {flags:#x} of one value")
    require(flags & FIXED_VALUES or not flags & INTEGER_VALUES, f"{what}: integers of any size")


def stored_key(flags: int, key: bytes) -> bytes:
    """The key as a tree stores it, from the key as it was given, and the other way round."""
    return key[::-1] if flags & (REVERSE_KEYS | INTEGER_KEYS) else key


def value_key(flags: int, value: bytes) -> bytes:
    """The key that orders a value among those of its key, in a database with these flags."""
    return value[::-1] if flags & (REVERSE_VALUES | INTEGER_VALUES) else value


@dataclass(frozen=True)
class ValueTree:
    """The record of a value tree: where the many values of a key are, and their counts."""

    root: Reference
    entries: int
    branch_pages: int
    leaf_pages: int
    depth: int
    digest: int

    @classmethod
    def parse(cls, data: bytes, what: str) -> ValueTree:
        """From the 56 bytes that are stored."""
        require(len(data) == VALUE_TREE_SIZE, f"{what}: a record of {len(data)} bytes")
        counts = struct.unpack_from("<3Q", data, 8)
        require(max(counts) < 1 << 60 and counts[0] > 0, f"{what}: counts of {counts}")
        require(not any(data[33:40]), f"{what}: reserved bytes are set")
        require(1 <= data[32] <= DEPTH_MAX, f"{what}: a depth of {data[32]}")
        entries, branch_pages, leaf_pages = counts
        root = Reference.parse(u64(data, 0))
        return cls(
            root, entries, branch_pages, leaf_pages, depth=data[32], digest=u128(data, 40)
        )


@dataclass(frozen=True)
class TreeRecord:
    """Where a tree is, and its counts."""

    root: Reference
    entries: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    created: int
    depth: int
    key_width: int
    flags: int
    value_width: int
    keys: int
    digest: int

    @classmethod
    def parse(cls, data: bytes, what: str) -> TreeRecord:
        """From the 80 bytes that are stored."""
        require(len(data) == TREE_RECORD_SIZE, f"{what}: a tree record of {len(data)} bytes")
        place = struct.unpack_from("<5QBBHHxxQ", data, 8)
        fields: tuple[int, ...] = (*place, u128(data, TREE_PLACE_SIZE))
        record = cls(Reference.parse(u64(data, 0)), *fields)
        check_flags(record.flags, what)
        require(record.key_width in (0, 4, 8), f"{what}: keys of {record.key_width} bytes")
        require(record.flags & INTEGER_KEYS or not record.key_width, f"{what}: a width of keys")
        require(record.flags & FIXED_VALUES or not record.value_width, f"{what}: one of values")
        if record.flags & INTEGER_VALUES:
            require(record.value_width in (0, 4, 8), f"{what}: a width of {record.value_width}")
        require(record.flags & DUPLICATES or not record.keys, f"{what}: a count of keys")
        require(record.keys <= record.entries, f"{what}: more keys than entries")
        require(not any(data[54:56]), f"{what}: reserved bytes are set")
        require(record.depth <= DEPTH_MAX, f"{what}: a depth of {record.depth}")
        require((u64(data, 0) == 0) == (record.depth == 0), f"{what}: root and depth disagree")
        counts = (record.entries, record.branch_pages, record.leaf_pages, record.overflow_pages)
        require(max(counts) < 1 << 60, f"{what}: counts of {counts}")
        return record


@dataclass(frozen=True)
class Meta:
    """One record of a meta page: a state of the environment."""

    page_size: int
    environment_id: bytes
    transaction: int
    page_count: int
    available_pages: int
    pending_pages: int
    allocation_cursor: int
    wall_clock: int
    young_pages: int
    log_end: int
    log_checksum: int
    log_segment: int
    logged_transaction: int
    main: TreeRecord
    catalog: TreeRecord
    free_tree: TreeRecord
    page: int
    pinned_total: int
    free_list_checksum: int
    free_list_available: int
    free_list_pending: int
    digest: int

    @classmethod
    def parse(cls, data: bytes) -> Meta:
        """From the 512 bytes that are stored."""
        require(len(data) == META_RECORD_SIZE, "the file ends before it")
        require(data[8:16] == MAGIC, "no magic number")
        computed = xxhash.xxh3_64_intdigest(data[8:], seed=int.from_bytes(MAGIC, "little"))
        require(u64(data, 0) == computed, "a wrong checksum")
        require(u32(data, 16) == FORMAT_VERSION, f"format version {u32(data, 16)}")
        features = struct.unpack_from("<3Q", data, 384)
        require(features == (0, 0, 0), f"features {features}")
        require(not any(data[408:424]), "it is encrypted")
        require(u32(data, 20) in PAGE_SIZES, f"a page size of {u32(data, 20)}")
        require(not any(data[424:]), "reserved bytes are set")
        no_digest = bytes(DIGEST_SIZE)
        meta = cls(
            page_size=u32(data, 20),
            environment_id=data[24:40],
            transaction=u64(data, 40),
            page_count=u64(data, 48),
            available_pages=u64(data, 56),
            pending_pages=u64(data, 64),
            allocation_cursor=u64(data, 72),
            wall_clock=u64(data, 80),
            young_pages=u64(data, 88),
            log_end=u64(data, 96),
            log_checksum=u64(data, 104),
            log_segment=u64(data, 112),
            logged_transaction=u64(data, 120),
            main=TreeRecord.parse(data[128:192] + data[352:368], "the main database"),
            catalog=TreeRecord.parse(data[192:256] + no_digest, "the catalog"),
            free_tree=TreeRecord.parse(data[256:320] + no_digest, "the free tree"),
            page=u64(data, 320),
            pinned_total=u64(data, 328),
            free_list_checksum=u64(data, 336),
            free_list_available=u32(data, 344),
            free_list_pending=u32(data, 348),
            digest=u128(data, 368),
        )
        require(META_PAGES <= meta.page_count < NUMBER_LIMIT, f"{meta.page_count} pages")
        require(meta.available_pages <= meta.page_count, "more available pages than pages")
        require(meta.pending_pages <= meta.page_count, "more pending pages than pages")
        require(meta.young_pages <= meta.pending_pages, "more young pages than pending ones")
        require(
            meta.free_list_available <= meta.page_count, "more pages in the list than pages"
        )
        require(
            meta.free_list_pending <= meta.page_count, "more freed pages in the list than pages"
        )
        require(meta.transaction < 1 << 62, f"a transaction id of {meta.transaction}")
        require(meta.log_segment <= meta.log_end < 1 << 62, "an impossible place in the log")
        return meta

    @property
    def seed(self) -> int:
        """The seed of the checksums of pages and log records."""
        first, second = struct.unpack("<2Q", self.environment_id)
        return int(first ^ second)

    @property
    def free_pages(self) -> int:
        """Pages that belong to no tree."""
        in_tree = self.available_pages + self.pending_pages
        return in_tree + self.free_list_available + self.free_list_pending


def newest_meta(data: bytes) -> Meta:
    """The state that a file is in: the newest record, if both meta pages are usable."""
    page_size = find_page_size(data)
    pages: list[list[Meta]] = []
    for number in range(META_PAGES):
        usable: list[Meta] = []
        problems: list[str] = []
        for copy in range(2):
            offset = number * page_size + copy * page_size // 2
            try:
                record = Meta.parse(data[offset : offset + META_RECORD_SIZE])
                require(record.page_size == page_size, f"a page size of {record.page_size}")
                require(record.page == number, f"the record of meta page {record.page}")
                check_zeros(data, offset, page_size)
                usable.append(record)
            except FormatError as error:
                problems.append(str(error))
        require(bool(usable), f"meta page {number}: both copies are damaged: {problems}")
        pages.append(usable)
    common = set.intersection(*({record.environment_id for record in page} for page in pages))
    require(len(common) == 1, "the meta pages are of two environments")
    records = [record for page in pages for record in page if record.environment_id in common]
    newest = max(records, key=lambda record: record.transaction)
    in_use = newest.page_count * page_size
    require(in_use <= len(data), f"the file has {len(data)} bytes, {in_use} are in use")
    return newest


def check_zeros(data: bytes, start: int, page_size: int) -> None:
    """Checks the bytes between and behind record and free list in half a meta page."""
    half = data[start : start + page_size // 2]
    unused = half[META_RECORD_SIZE:FREE_LIST_OFFSET] + half[FREE_LIST_OFFSET + FREE_LIST_SIZE :]
    require(not any(unused), "bytes between and behind record and free list are set")


def find_page_size(data: bytes) -> int:
    """The page size, by the first record that is whole."""
    offsets = [0]
    for page_size in PAGE_SIZES:
        offsets += [page_size // 2, page_size, page_size + page_size // 2]
    for offset in offsets:
        try:
            return Meta.parse(data[offset : offset + META_RECORD_SIZE]).page_size
        except FormatError:
            continue
    raise FormatError("no record of a meta page is whole")
