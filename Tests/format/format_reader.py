"""A reader of ZeroDB's data.zdb and log, written from docs/FORMAT.md alone.

It shares no code with the library and is in no hurry: it reads whole files into memory, checks
everything that the document says about them, and raises FormatError where it finds something
else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import xxhash

MAGIC = b"\x89ZERODB\n"
FORMAT_VERSION = 1
PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)

META_PAGES = 2
META_RECORD_SIZE = 448
TREE_RECORD_SIZE = 64
HEADER_SIZE = 40
DEPTH_MAX = 32
NUMBER_LIMIT = 1 << 47
VALUE_SIZE_MAX = 1 << 31

BRANCH, LEAF, OVERFLOW = 1, 2, 3
INLINE_VALUE, OVERFLOW_VALUE, SET_VALUE, TREE_VALUE = range(4)
PENDING, YOUNG, AVAILABLE = 0, 1, 2
SET_TREE_SIZE = 40

# What a database is.
REVERSE_KEYS, DUPLICATES, INTEGER_KEYS = 0x02, 0x04, 0x08
FIXED_VALUES, INTEGER_VALUES, REVERSE_VALUES, COUNTED = 0x10, 0x20, 0x40, 0x80
DATABASE_FLAGS = 0xFE

# What a page is, beside its kind.
MEMBERS, PACKED, REVERSED, COUNTED_BRANCH = 1, 2, 4, 8

Value = bytes | set[bytes]
"""What a key has: its value, or with duplicates all its values."""


class FormatError(Exception):
    """The file is not what docs/FORMAT.md says."""


def require(holds: bool, problem: str) -> None:
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
    require(flags & DUPLICATES or not flags & of_values, f"{what}: {flags:#x} is not for one value")
    require(flags & FIXED_VALUES or not flags & INTEGER_VALUES, f"{what}: integers of any size")


def held_key(flags: int, key: bytes) -> bytes:
    """A key as pages hold it, from the key as it was given, and the other way round."""
    return key[::-1] if flags & (REVERSE_KEYS | INTEGER_KEYS) else key


def member_key(flags: int, value: bytes) -> bytes:
    """What orders a value of several, in a database with these flags."""
    return value[::-1] if flags & (REVERSE_VALUES | INTEGER_VALUES) else value


@dataclass(frozen=True)
class SetTree:
    """Where the values of a key are that has many, and their counts."""

    root: Reference
    entries: int
    branch_pages: int
    leaf_pages: int
    depth: int

    @classmethod
    def parse(cls, data: bytes, what: str) -> SetTree:
        """From the 40 bytes that are stored."""
        require(len(data) == SET_TREE_SIZE, f"{what}: a record of {len(data)} bytes")
        counts = struct.unpack_from("<3Q", data, 8)
        require(max(counts) < 1 << 60 and counts[0] > 0, f"{what}: counts of {counts}")
        require(not any(data[33:]), f"{what}: reserved bytes are set")
        require(1 <= data[32] <= DEPTH_MAX, f"{what}: a depth of {data[32]}")
        return cls(Reference.parse(u64(data, 0)), *counts, depth=data[32])


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

    @classmethod
    def parse(cls, data: bytes, what: str) -> TreeRecord:
        """From the 64 bytes that are stored."""
        require(len(data) == TREE_RECORD_SIZE, f"{what}: a tree record of {len(data)} bytes")
        record = cls(
            Reference.parse(u64(data, 0)),
            *struct.unpack_from("<5QBBHHxxQ", data, 8),
        )
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
    free: TreeRecord
    page: int
    pinned_total: int

    @classmethod
    def parse(cls, data: bytes) -> Meta:
        """From the 448 bytes that are stored."""
        require(len(data) == META_RECORD_SIZE, "the file ends before it")
        require(data[8:16] == MAGIC, "no magic number")
        computed = xxhash.xxh3_64_intdigest(data[8:], seed=int.from_bytes(MAGIC, "little"))
        require(u64(data, 0) == computed, "a wrong checksum")
        require(u32(data, 16) == FORMAT_VERSION, f"format version {u32(data, 16)}")
        require(u32(data, 20) in PAGE_SIZES, f"a page size of {u32(data, 20)}")
        require(not any(data[336:]), "reserved bytes are set")
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
            main=TreeRecord.parse(data[128:192], "the main database"),
            catalog=TreeRecord.parse(data[192:256], "the catalog"),
            free=TreeRecord.parse(data[256:320], "free space"),
            page=u64(data, 320),
            pinned_total=u64(data, 328),
        )
        require(META_PAGES <= meta.page_count < NUMBER_LIMIT, f"{meta.page_count} pages")
        require(meta.available_pages <= meta.page_count, "more available pages than pages")
        require(meta.pending_pages <= meta.page_count, "more pending pages than pages")
        require(meta.young_pages <= meta.pending_pages, "more young pages than pending ones")
        require(meta.transaction < 1 << 62, f"a transaction id of {meta.transaction}")
        require(meta.log_segment <= meta.log_end < 1 << 62, "an impossible place in the log")
        return meta

    @property
    def seed(self) -> int:
        """What the checksums of pages and log records are seeded with."""
        first, second = struct.unpack("<2Q", self.environment_id)
        return int(first ^ second)


@dataclass(frozen=True)
class PendingEntry:
    """Runs that one transaction freed: (first page, pages)."""

    transaction: int
    sequence: int
    birth: int | None
    """The oldest writer of young pages."""
    runs: list[tuple[int, int]]


@dataclass
class Tree:
    """What was found in a tree."""

    record: TreeRecord
    entries: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Pairs of key and value, as they were given, in the order of the database."""
    keys: int = 0
    sets: int = 0
    """Keys with several values in their leaf."""
    set_trees: int = 0
    """Keys with a tree of values."""
    prefixes: list[bytes] = field(default_factory=list)
    """Of its leaves."""
    branch_pages: int = 0
    leaf_pages: int = 0
    overflow_pages: int = 0

    @property
    def flags(self) -> int:
        """What the database is."""
        return self.record.flags

    @property
    def value_width(self) -> int:
        """Bytes of each value of several; 0 if they differ."""
        return self.record.value_width if self.flags & FIXED_VALUES else 0

    def values(self) -> dict[bytes, Value]:
        """What each key has."""
        if not self.flags & DUPLICATES:
            return dict(self.entries)
        found: dict[bytes, set[bytes]] = {}
        for key, value in self.entries:
            found.setdefault(key, set()).add(value)
        return dict(found)


@dataclass
class State:
    """Databases by their names, the main one by b"", while a log is replayed."""

    flags: dict[bytes, int] = field(default_factory=dict)
    values: dict[bytes, dict[bytes, Value]] = field(default_factory=dict)


class Environment:
    """Everything in a data.zdb, checked, and what the log adds to it.

    :param data: the bytes of data.zdb.
    :param log: the bytes of the log's segments, by their bases.
    """

    def __init__(self, data: bytes, log: Mapping[int, bytes] | None = None) -> None:
        self.data = data
        self.meta = newest_meta(data)
        self.page_size = self.meta.page_size
        self.seed = self.meta.seed
        self.uses = {number: f"meta page {number}" for number in range(META_PAGES)}
        self.databases: dict[bytes, Tree] = {}
        self.pending: list[PendingEntry] = []
        self.available: list[tuple[int, int]] = []

        self.main = self.read_tree(self.meta.main, "the main database")
        self.catalog = self.read_tree(self.meta.catalog, "the catalog")
        for name, value in self.catalog.entries:
            record = TreeRecord.parse(value, f"database {name!r}")
            self.databases[name] = self.read_tree(record, f"database {name!r}")
        self.free = self.read_tree(self.meta.free, "free space")
        self.read_free_space()
        unused = set(range(self.meta.page_count)) - set(self.uses)
        require(not unused, f"pages {sorted(unused)} are reachable from nowhere")
        self.records = read_log(self.meta, log or {})

    def contents(self) -> dict[bytes, dict[bytes, Value]]:
        """All databases after the log has been replayed; the main one has the name b""."""
        state = State()
        for name, tree in {b"": self.main, **self.databases}.items():
            state.flags[name] = tree.flags
            state.values[name] = tree.values()
        for record in self.records:
            record.replay(state)
        return state.values

    def use(self, number: int, what: str) -> None:
        """Notes what a page is for; every page is for one thing."""
        in_file = META_PAGES <= number < self.meta.page_count
        require(in_file, f"{what}: page {number} is not one of {self.meta.page_count}")
        require(number not in self.uses, f"page {number}: {self.uses.get(number)} and {what}")
        self.uses[number] = what

    def check_header(self, start: bytes, length: int, reference: Reference) -> None:
        """Checks what pages and overflow runs have in common: their first 24 bytes."""
        number = reference.number
        computed = xxhash.xxh3_64_intdigest(start[8:length], seed=self.seed)
        require(u64(start, 0) == computed, f"page {number}: a wrong checksum")
        require(u64(start, 8) == number, f"page {number}: says it is {u64(start, 8)}")
        transaction = u64(start, 16)
        require(transaction & 0xFFFF == reference.tag, f"page {number}: a lost write")
        require(transaction <= self.meta.transaction, f"page {number}: from the future")

    # Trees ---------------------------------------------------------------------------------

    def read_tree(self, record: TreeRecord, name: str) -> Tree:
        """All entries of a tree, in order."""
        tree = Tree(record)
        if record.depth > 0:
            self.read_page(tree, name, record.root, record.depth - 1, b"", None, in_set=False)
        flags = record.flags
        duplicates = flags & DUPLICATES
        pairs = [
            (held_key(flags, key), member_key(flags, value) if duplicates else b"")
            for key, value in tree.entries
        ]
        require(all(a < b for a, b in zip(pairs, pairs[1:])), f"{name}: entries are not in order")
        keys = tree.keys if duplicates else 0
        require(record.keys == keys, f"{name}: {record.keys} keys are counted, {keys} found")
        if flags & INTEGER_KEYS:
            sizes = {len(key) for key, _ in tree.entries}
            require(sizes <= {record.key_width}, f"{name}: keys of {sizes} bytes")
        found = (len(pairs), tree.branch_pages, tree.leaf_pages, tree.overflow_pages)
        counted = (
            record.entries,
            record.branch_pages,
            record.leaf_pages,
            record.overflow_pages,
        )
        require(found == counted, f"{name}: counts are {counted}, found are {found}")
        return tree

    def read_page(
        self,
        tree: Tree,
        name: str,
        reference: Reference,
        level: int,
        low: bytes,
        high: bytes | None,
        *,
        in_set: bool,
    ) -> list[bytes]:
        """Reads a branch or leaf whose keys must be at least `low` and below `high`.

        Adds what is in the leaves of a database to its tree. Returns the members below the page,
        in a tree of values, which the argument `in_set` says it is.
        """
        number = reference.number
        self.use(number, name)
        start = number * self.page_size
        page = self.data[start : start + self.page_size]
        self.check_header(page, self.page_size, reference)
        where = f"page {number} ({name})"
        require(page[24] == (BRANCH if level else LEAF), f"{where}: kind {page[24]}")
        require(page[25] == level, f"{where}: level {page[25]}")
        layout = page_layout(tree, level, in_set)
        require(u16(page, 26) == layout, f"{where}: flags of {u16(page, 26)}, not {layout}")
        width = tree.value_width if layout & PACKED else 0
        require(u16(page, 36) == width, f"{where}: a width of {u16(page, 36)}, not {width}")
        require(u16(page, 38) == 0, f"{where}: reserved bytes are set")
        require(u16(page, 28) > 0, f"{where}: no entries")
        if level:
            tree.branch_pages += 1
            return self.read_branch(tree, name, page, low, high, in_set=in_set)
        tree.leaf_pages += 1
        if in_set:
            members = read_members(page, layout, where)
            check_keys([member_key(tree.flags, m) for m in members], low, high, where)
            return members
        self.read_leaf(tree, name, page, low, high)
        return []

    def read_branch(
        self,
        tree: Tree,
        name: str,
        page: bytes,
        low: bytes,
        high: bytes | None,
        *,
        in_set: bool,
    ) -> list[bytes]:
        """Reads a branch and all below it, as `read_page`."""
        where = f"page {u64(page, 8)} ({name})"
        counted = bool(tree.flags & COUNTED)
        entries = read_entries(page, where, lambda _, end: end + 8 * counted)
        require(entries[0].slot[:4] == bytes(4), f"{where}: entry 0 has a head")
        require(entries[0].length == 0, f"{where}: entry 0 has a key")
        for entry in entries:
            require(entry.kind == 0, f"{where}: a separator with a value kind")
            in_heap = entry.end > entry.offset if entry.offset else False
            require(in_heap or entry.offset == 0, f"{where}: an offset without bytes")
        # The first separator is not stored.
        separators = [entry.key for entry in entries[1:]]
        check_keys(separators, low, high, where)
        members: list[bytes] = []
        bounds = zip([low, *separators], [*separators, high])
        for entry, (child_low, child_high) in zip(entries, bounds):
            before = len(tree.entries)
            below = self.read_page(
                tree,
                name,
                Reference.parse(u64(entry.slot, 8)),
                page[25] - 1,
                child_low,
                child_high,
                in_set=in_set,
            )
            members += below
            if counted:
                found = len(below) if in_set else len(tree.entries) - before
                count = u64(page, entry.end - 8)
                require(count == found, f"{where}: {count} entries counted, {found} found")
        return members

    def read_leaf(
        self, tree: Tree, name: str, page: bytes, low: bytes, high: bytes | None
    ) -> None:
        """Reads a leaf of a database and the values that its entries lead to."""
        where = f"page {u64(page, 8)} ({name})"
        entries = read_entries(page, where, lambda data, end: end + 2 + u16(data, end))
        keys = [entry.key for entry in entries]
        require(all(keys), f"{where}: an empty key")
        check_keys(keys, low, high, where)
        tree.prefixes.append(page[HEADER_SIZE : HEADER_SIZE + u16(page, 30)])
        for entry in entries:
            rest = max(0, entry.length - 4)
            stored = page[entry.offset + rest + 2 : entry.end]
            key = held_key(tree.flags, entry.key)
            tree.keys += 1
            if tree.flags & DUPLICATES:
                values = self.read_values(tree, where, entry.kind, stored)
                sizes = {len(value) for value in values}
                require(max(sizes) <= self.page_size // 4 - 8, f"{where}: a value too long")
                if tree.flags & FIXED_VALUES:
                    require(sizes == {tree.value_width}, f"{where}: values of {sizes} bytes")
                tree.entries += [(key, value) for value in values]
            else:
                tree.entries.append((key, self.read_value(tree, where, entry.kind, stored)))

    def read_values(self, tree: Tree, where: str, kind: int, stored: bytes) -> list[bytes]:
        """The values that a key has, which may have several."""
        if kind == INLINE_VALUE:
            return [stored]
        if kind == SET_VALUE:
            tree.sets += 1
            return read_set(stored, tree.value_width, where)
        require(kind == TREE_VALUE, f"{where}: a value of kind {kind}")
        tree.set_trees += 1
        record = SetTree.parse(stored, where)
        pages = (tree.branch_pages, tree.leaf_pages)
        name = f"the values of a key in {where}"
        members = self.read_page(
            tree, name, record.root, record.depth - 1, b"", None, in_set=True
        )
        found = (len(members), tree.branch_pages - pages[0], tree.leaf_pages - pages[1])
        counted = (record.entries, record.branch_pages, record.leaf_pages)
        require(found == counted, f"{name}: counts are {counted}, found are {found}")
        return members

    def read_value(self, tree: Tree, where: str, kind: int, stored: bytes) -> bytes:
        """The value that a leaf's entry has or leads to."""
        if kind == INLINE_VALUE:
            return stored
        require(kind == OVERFLOW_VALUE, f"{where}: a value of kind {kind}")
        require(len(stored) == 16, f"{where}: an overflow pointer of {len(stored)} bytes")
        reference, length = Reference.parse(u64(stored, 0)), u64(stored, 8)
        require(length <= VALUE_SIZE_MAX, f"{where}: a value of {length} bytes")
        pages = -(-(HEADER_SIZE + length) // self.page_size)
        for number in range(reference.number, reference.number + pages):
            self.use(number, f"overflow run of {where}")
        tree.overflow_pages += pages
        start = reference.number * self.page_size
        run = self.data[start : start + pages * self.page_size]
        self.check_header(run, HEADER_SIZE + length, reference)
        header = struct.unpack_from("<BBHIQ", run, 24)
        require(
            header == (OVERFLOW, 0, 0, pages, length), f"overflow run {reference}: {header}"
        )
        require(not any(run[HEADER_SIZE + length :]), f"overflow run {reference}: tail is set")
        return run[HEADER_SIZE : HEADER_SIZE + length]

    # Free space ----------------------------------------------------------------------------

    def read_free_space(self) -> None:
        """Reads the entries of the free-space tree."""
        for key, value in self.free.entries:
            require(len(value) % 8 == 0, f"free space: a value of {len(value)} bytes")
            words = [word for (word,) in struct.iter_unpack("<Q", value)]
            if key[0] == AVAILABLE and len(key) == 9:
                require(len(words) == 1, f"available space of {words}")
                self.available.append((int.from_bytes(key[1:], "big"), words[0]))
                continue
            require(key[0] in (PENDING, YOUNG) and len(key) == 13, f"a free-space key {key!r}")
            transaction, sequence = struct.unpack_from(">QI", key, 1)
            birth = words.pop(0) if key[0] == YOUNG else None
            require(birth is None or birth <= transaction, "freed before it was written")
            require(transaction <= self.meta.transaction, "pending from the future")
            require(1 <= len(words) <= 100, f"{len(words)} runs")
            runs = [(word & (1 << 48) - 1, word >> 48) for word in words]
            self.pending.append(PendingEntry(transaction, sequence, birth, runs))
        numbers = [(entry.transaction, entry.sequence) for entry in self.pending]
        require(len(numbers) == len(set(numbers)), "two pending entries with one number")
        for entry in self.pending:
            self.use_free_runs(entry.runs, f"freed by transaction {entry.transaction}")
        self.use_free_runs(self.available, "available")
        young = sum(entry_pages(entry) for entry in self.pending if entry.birth is not None)
        pending = sum(entry_pages(entry) for entry in self.pending)
        available = sum(pages for _, pages in self.available)
        counted = (self.meta.young_pages, self.meta.pending_pages, self.meta.available_pages)
        require((young, pending, available) == counted, f"free pages: {counted} are counted")

    def use_free_runs(self, runs: list[tuple[int, int]], what: str) -> None:
        """Notes that pages are free."""
        for start, pages in runs:
            require(pages > 0, f"an empty run at {start}, {what}")
            for number in range(start, start + pages):
                self.use(number, what)


def page_layout(tree: Tree, level: int, in_set: bool) -> int:
    """The flags that a page of a tree must have."""
    if level:
        return COUNTED_BRANCH if tree.flags & COUNTED else 0
    if not in_set:
        return 0
    packed = PACKED if tree.flags & FIXED_VALUES else 0
    return MEMBERS | packed | (REVERSED if member_key(tree.flags, b"ab") == b"ba" else 0)


def check_keys(keys: list[bytes], low: bytes, high: bytes | None, where: str) -> None:
    """Checks that the keys of a page are in order and in its range."""
    require(all(low <= key for key in keys), f"{where}: a key before its range")
    require(high is None or all(key < high for key in keys), f"{where}: one after it")
    require(all(a < b for a, b in zip(keys, keys[1:])), f"{where}: unordered keys")


@dataclass(frozen=True)
class Entry:
    """An entry of a branch or leaf with slots."""

    slot: bytes
    key: bytes
    offset: int
    length: int
    """Bytes of the key's suffix."""
    kind: int
    end: int
    """Where the entry's bytes in the heap end."""


def read_entries(
    page: bytes, where: str, end_of: Callable[[bytes, int], int]
) -> list[Entry]:
    """The entries of a branch or leaf with a prefix, slots and a heap.

    `end_of` says where an entry's bytes end, from where those of its key do.
    """
    count, prefix_length, heap_used, heap_dead = struct.unpack_from("<4H", page, 28)
    require(prefix_length <= len(page) // 4, f"{where}: a prefix too long")
    prefix = page[HEADER_SIZE : HEADER_SIZE + prefix_length]
    slots = HEADER_SIZE + (prefix_length + 7) // 8 * 8
    require(not any(page[HEADER_SIZE + prefix_length : slots]), f"{where}: padding is set")
    slot_size = 16 if page[25] else 8
    heap = check_gap(page, slots + count * slot_size, where)
    entries: list[Entry] = []
    live = 0
    for index in range(count):
        slot = page[slots + index * slot_size :][:slot_size]
        head, offset, key_field = struct.unpack_from("<IHH", slot)
        length = key_field & 0x3FFF
        rest = max(0, length - 4)
        suffix = struct.pack(">I", head)
        require(not any(suffix[length:]), f"{where}: bytes after the end of key {index}")
        require(offset + rest <= len(page) - (0 if page[25] else 2), f"{where}: {index} cut off")
        end = end_of(page, offset + rest)
        if end > offset:
            require(offset >= heap, f"{where}: entry {index} begins before the heap")
            require(end <= len(page), f"{where}: entry {index} is cut off")
            live += end - offset
        key = b"" if page[25] and index == 0 else prefix + suffix[:length]
        key += page[offset : offset + rest]
        require(len(key) <= len(page) // 4 - 8, f"{where}: a key too long")
        entries.append(Entry(slot, key, offset, length, key_field >> 14, end))
    require(live == heap_used - heap_dead, f"{where}: heap counts are wrong")
    return entries


def check_gap(page: bytes, end: int, where: str) -> int:
    """Checks what is between the slots, which end there, and the heap; where that begins."""
    heap = len(page) - u16(page, 32)
    require(end <= heap, f"{where}: slots and heap overlap")
    require(not any(page[end:heap]), f"{where}: the gap is not clear")
    return heap


def read_members(page: bytes, layout: int, where: str) -> list[bytes]:
    """The members of a leaf of a tree of values, as they were given."""
    count, prefix_length, heap_used, heap_dead = struct.unpack_from("<4H", page, 28)
    require(prefix_length == 0, f"{where}: members with a prefix")
    if layout & PACKED:
        width = u16(page, 36)
        require(width > 0, f"{where}: members of no bytes")
        require((heap_used, heap_dead) == (0, 0), f"{where}: packed members and a heap")
        check_gap(page, HEADER_SIZE + count * width, where)
        return [page[HEADER_SIZE + index * width :][:width] for index in range(count)]
    heap = check_gap(page, HEADER_SIZE + 8 * count, where)
    members: list[bytes] = []
    for index in range(count):
        head, offset, length = struct.unpack_from("<IHH", page, HEADER_SIZE + 8 * index)
        require(length <= len(page) // 4 - 8, f"{where}: member {index} has {length} bytes")
        if length == 0:
            require(offset == 0, f"{where}: member {index} has no bytes and a place")
        else:
            require(heap <= offset <= len(page) - length, f"{where}: member {index} cut off")
        member = page[offset : offset + length]
        key = member[::-1] if layout & REVERSED else member
        require(head == u32(key[:4][::-1].rjust(4, b"\0"), 0), f"{where}: head {index}")
        members.append(member)
    live = sum(len(member) for member in members)
    require(live == heap_used - heap_dead, f"{where}: heap counts are wrong")
    return members


def read_set(stored: bytes, width: int, where: str) -> list[bytes]:
    """The values of a key that has several, in its leaf."""
    require(len(stored) >= 4, f"{where}: a set of {len(stored)} bytes")
    count, stored_width = u16(stored, 0), u16(stored, 2)
    require(count >= 2, f"{where}: a set of {count} values")
    require(stored_width == width, f"{where}: a set of values of {stored_width}, not {width}")
    if width:
        ends = [width * (index + 1) for index in range(count)]
        members = stored[4:]
    else:
        require(len(stored) >= 4 + 2 * count, f"{where}: a table that is cut off")
        ends = [u16(stored, 4 + 2 * index) for index in range(count)]
        members = stored[4 + 2 * count :]
    starts = [0, *ends[:-1]]
    require(all(a <= b for a, b in zip(starts, ends)), f"{where}: values end before they begin")
    require(ends[-1] == len(members), f"{where}: a set that its values do not fill")
    return [members[a:b] for a, b in zip(starts, ends)]


def entry_pages(entry: PendingEntry) -> int:
    """How many pages a pending entry names."""
    return sum(pages for _, pages in entry.runs)


def newest_meta(data: bytes) -> Meta:
    """The state that a file is in: the newest record, if both meta pages are usable."""
    page_size = find_page_size(data)
    records: list[Meta] = []
    for number in range(META_PAGES):
        usable: list[Meta] = []
        problems: list[str] = []
        for copy in range(2):
            offset = number * page_size + copy * page_size // 2
            try:
                record = Meta.parse(data[offset : offset + META_RECORD_SIZE])
                require(record.page_size == page_size, f"a page size of {record.page_size}")
                require(record.page == number, f"the record of meta page {record.page}")
                usable.append(record)
            except FormatError as error:
                problems.append(str(error))
        require(bool(usable), f"meta page {number}: both copies are damaged: {problems}")
        records += usable
    newest = max(records, key=lambda record: record.transaction)
    in_use = newest.page_count * page_size
    require(in_use <= len(data), f"the file has {len(data)} bytes, {in_use} are in use")
    return newest


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


# The log -------------------------------------------------------------------------------------

LOG_HEADER_SIZE = 4096
LOG_HEADER_USED = 64
LOG_MAGIC = b"\x89zdblseg"
LOG_BASE_FIRST = 4096
CAPACITY_MAX = 1 << 30
RECORD_HEADER_SIZE = 64
RECORD_MAGIC = b"zlog"
TRANSACTION, END_OF_SEGMENT = 1, 2
PUT, DELETE, NAME, CREATE, CLEAR, DROP, RENAME, DELETE_RANGE, DELETE_PAIR = range(1, 10)
FROM_GIVEN, TO_GIVEN = 1, 2


def as_set(value: Value) -> set[bytes]:
    """The values of a key in a database with duplicates."""
    require(isinstance(value, set), "a database with duplicates has a key with one value")
    return set(value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class LogRecord:
    """A transaction in the log, or the mark at the end of a segment."""

    checksum: int
    kind: int
    length: int
    previous: int
    transaction: int
    wall_clock: int
    flushed: int
    operations: bytes

    @classmethod
    def parse(cls, data: bytes, position: int, seed: int) -> LogRecord | None:
        """The record that begins some bytes; None if there is none of that position."""
        if len(data) < RECORD_HEADER_SIZE or data[8:12] != RECORD_MAGIC:
            return None
        kind, length = u32(data, 12), u64(data, 16)
        if kind not in (TRANSACTION, END_OF_SEGMENT) or u64(data, 24) != position:
            return None
        if length < RECORD_HEADER_SIZE or length % 8 or length > len(data):
            return None
        if xxhash.xxh3_64_intdigest(data[8:length], seed=seed) != u64(data, 0):
            return None
        return cls(
            checksum=u64(data, 0),
            kind=kind,
            length=length,
            previous=u64(data, 32),
            transaction=u64(data, 40),
            wall_clock=u64(data, 48),
            flushed=u64(data, 56),
            operations=data[RECORD_HEADER_SIZE:length],
        )

    def replay(self, state: State) -> None:
        """Applies the operations to databases, by their names."""
        rest = self.operations
        names = {0: b""}

        def number() -> int:
            nonlocal rest
            value = shift = 0
            while True:
                require(bool(rest), f"transaction {self.transaction}: a number is cut off")
                byte, rest = rest[0], rest[1:]
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    return value

        def run() -> bytes:
            nonlocal rest
            size = number()
            require(size <= len(rest), f"transaction {self.transaction}: bytes are cut off")
            taken, rest = rest[:size], rest[size:]
            return taken

        while rest and rest[0] != 0:
            code, rest = rest[0], rest[1:]
            require(code <= DELETE_PAIR, f"transaction {self.transaction}: operation {code}")
            database = number()
            if code == NAME:
                names[database] = run()
                continue
            name = names[database]
            if code == CREATE:
                require(not state.values.get(name), f"{name!r} is made and has entries")
                state.flags[name] = number()
                check_flags(state.flags[name], f"database {name!r}")
                state.values[name] = {}
                continue
            values = state.values[name]
            flags = state.flags[name]
            if code == PUT:
                key, value = run(), run()
                if flags & DUPLICATES:
                    values[key] = {value} | as_set(values.get(key, set()))
                else:
                    values[key] = value
            elif code == DELETE:
                del values[run()]
            elif code == DELETE_PAIR:
                key, value = run(), run()
                left = as_set(values.pop(key))
                require(value in left, f"{name!r}: a pair is deleted that is not there")
                if len(left) > 1:
                    values[key] = left - {value}
            elif code == CLEAR:
                values.clear()
            elif code == DROP:
                del state.values[name], state.flags[name]
            elif code == RENAME:
                new_name = run()
                require(new_name not in state.values, f"{new_name!r}, renamed to, is there")
                state.values[new_name] = state.values.pop(name)
                state.flags[new_name] = state.flags.pop(name)
            else:
                ends = number()
                require(ends <= FROM_GIVEN | TO_GIVEN, f"a range with the ends {ends}")
                low = held_key(flags, run()) if ends & FROM_GIVEN else b""
                high = held_key(flags, run()) if ends & TO_GIVEN else None
                for key in list(values):
                    held = held_key(flags, key)
                    if held >= low and (high is None or held < high):
                        del values[key]
        require(len(rest) < 8 and not any(rest), f"transaction {self.transaction}: padding")


@dataclass(frozen=True)
class Segment:
    """A file of the log."""

    base: int
    capacity: int
    records: bytes

    @classmethod
    def parse(cls, base: int, data: bytes, meta: Meta) -> Segment:
        """From the bytes of a file that must be whole."""
        what = f"log segment {base:016x}"
        used = data[:LOG_HEADER_USED]
        require(len(used) == LOG_HEADER_USED, f"{what}: the header is cut off")
        require(used[8:16] == LOG_MAGIC, f"{what}: no magic number")
        seed = int.from_bytes(LOG_MAGIC, "little")
        computed = xxhash.xxh3_64_intdigest(used[8:], seed=seed)
        require(u64(used, 0) == computed, f"{what}: a wrong checksum")
        require(u32(used, 16) == FORMAT_VERSION, f"{what}: format version {u32(used, 16)}")
        require(used[24:40] == meta.environment_id, f"{what}: of another environment")
        require(u64(used, 40) == base, f"{what}: the base {u64(used, 40)} in its header")
        require(not any(used[20:24]) and not any(used[56:]), f"{what}: reserved bytes are set")
        reserved = data[LOG_HEADER_USED:LOG_HEADER_SIZE]
        require(not any(reserved), f"{what}: reserved bytes are set")
        capacity = u64(used, 48)
        require(
            RECORD_HEADER_SIZE <= capacity <= CAPACITY_MAX, f"{what}: a capacity of {capacity}"
        )
        size = LOG_HEADER_SIZE + capacity
        require(len(data) >= size, f"{what}: {len(data)} bytes of {size}")
        return cls(base, capacity, data[LOG_HEADER_SIZE:size])

    @property
    def end(self) -> int:
        """The position after the segment."""
        return self.base + self.capacity

    def record(self, position: int, seed: int) -> LogRecord | None:
        """The record at a position, if there is one."""
        return LogRecord.parse(self.records[position - self.base :], position, seed)


def is_whole(base: int, data: bytes, meta: Meta) -> bool:
    """Whether a file is a segment of this log at this base."""
    try:
        Segment.parse(base, data, meta)
    except FormatError:
        return False
    return True


def find_records(records: bytes, base: int, seed: int) -> Iterator[tuple[int, LogRecord]]:
    """All records in a part of the log that begins at a position, whatever lies between."""
    offset = records.find(RECORD_MAGIC)
    while offset >= 0:
        start = offset - 8
        record = None
        if start >= 0 and start % 8 == 0:
            record = LogRecord.parse(records[start:], base + start, seed)
        if record is not None:
            yield base + start, record
        offset = records.find(RECORD_MAGIC, offset + 1)


def read_log(meta: Meta, files: Mapping[int, bytes]) -> list[LogRecord]:
    """The transactions in the log after a state, in order."""

    def enter(base: int) -> Segment | None:
        return Segment.parse(base, files[base], meta) if base in files else None

    position, previous = meta.log_end, meta.log_checksum
    segment = enter(meta.log_segment) if position else None
    if segment is not None:
        require(segment.base <= position <= segment.end, f"no position {position} in the log")
    else:
        aligned = (position or 1) + 4095 & ~4095
        segment = enter(aligned)
        lost = segment is None and position > 0 and bool(files)
        require(not lost, f"the log lacks the segment {meta.log_segment:016x}")
        if segment is not None:
            position = aligned
    found: list[LogRecord] = []
    transaction = meta.transaction
    while segment is not None:
        record = None
        if segment.end - position >= RECORD_HEADER_SIZE:
            record = segment.record(position, meta.seed)
            if record is None or record.previous != previous:
                break
            if record.transaction != transaction + 1:
                break
        if record is None or record.kind == END_OF_SEGMENT:
            following = enter(segment.end)
            if following is None:
                break
            previous = record.checksum if record else previous
            segment, position = following, segment.end
            continue
        found.append(record)
        previous = record.checksum
        position += record.length
        transaction = record.transaction
    check_end(meta, files, segment, position, transaction)
    return found


def check_end(
    meta: Meta,
    files: Mapping[int, bytes],
    segment: Segment | None,
    position: int,
    transaction: int,
) -> None:
    """Checks that nothing behind the end of the log proves that it went on there.

    :param segment: the one that the log ends in, if there is one.
    """
    parts = [(base, data[LOG_HEADER_SIZE:]) for base, data in files.items() if base > position]
    if segment is not None:
        parts.append((position, segment.records[position - segment.base :]))
    for start, records in parts:
        for place, later in find_records(records, start, meta.seed):
            problem = f"transaction {later.transaction} at position {place} was written"
            require(
                later.transaction <= transaction or later.flushed <= position,
                f"the log is damaged at {position}: {problem} after that was on disk",
            )
    following = LOG_BASE_FIRST if segment is None else segment.end
    for base, data in files.items():
        is_proof = base > max(position, following) and is_whole(base, data, meta)
        problem = f"segment {base:016x} was made after that was on disk"
        require(not is_proof, f"the log is damaged at {position}: {problem}")
