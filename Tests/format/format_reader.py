"""A reader of ZeroDB's data.zdb and log, written from docs/FORMAT.md alone.

It shares no code with the library and is in no hurry: it reads whole files into memory, checks
everything that the document says about them, and raises FormatError where it finds something
else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
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
INLINE_VALUE, OVERFLOW_VALUE = 0, 1
PENDING, YOUNG, AVAILABLE = 0, 1, 2
REGION_PAGES = 512
PAGE_NUMBERS = 1 << 47


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

    @classmethod
    def parse(cls, data: bytes, what: str) -> TreeRecord:
        """From the 64 bytes that are stored."""
        require(len(data) == TREE_RECORD_SIZE, f"{what}: a tree record of {len(data)} bytes")
        record = cls(Reference.parse(u64(data, 0)), *struct.unpack_from("<5QB", data, 8))
        require(u16(data, 50) == 0, f"{what}: flags are set")
        require(data[49] == 0 and not any(data[52:]), f"{what}: reserved bytes are set")
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
    prefixes: list[bytes] = field(default_factory=list)
    """Of its leaves."""
    branch_pages: int = 0
    leaf_pages: int = 0
    overflow_pages: int = 0


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

    def contents(self) -> dict[bytes, dict[bytes, bytes]]:
        """All databases after the log has been replayed; the main one has the name b""."""
        state = {b"": dict(self.main.entries)}
        for name, tree in self.databases.items():
            state[name] = dict(tree.entries)
        for record in self.records:
            record.replay(state)
        return state

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
            self.read_page(tree, name, record.root, record.depth - 1, b"", None)
        keys = [key for key, _ in tree.entries]
        require(all(a < b for a, b in zip(keys, keys[1:])), f"{name}: keys are not in order")
        found = (len(keys), tree.branch_pages, tree.leaf_pages, tree.overflow_pages)
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
    ) -> None:
        """Reads a branch or leaf whose keys must be at least `low` and below `high`."""
        number = reference.number
        self.use(number, name)
        start = number * self.page_size
        page = self.data[start : start + self.page_size]
        self.check_header(page, self.page_size, reference)
        where = f"page {number} ({name})"
        require(page[24] == (BRANCH if level else LEAF), f"{where}: kind {page[24]}")
        require(page[25] == level, f"{where}: level {page[25]}")
        require(u16(page, 26) == 0 and u32(page, 36) == 0, f"{where}: reserved bytes are set")
        count, prefix_length, heap_used, heap_dead = struct.unpack_from("<4H", page, 28)
        prefix = page[HEADER_SIZE : HEADER_SIZE + prefix_length]
        slots = HEADER_SIZE + (prefix_length + 7) // 8 * 8
        slot_size = 16 if level else 8
        slots_end = slots + count * slot_size
        heap = self.page_size - heap_used
        require(slots_end <= heap, f"{where}: slots and heap overlap")
        require(count > 0, f"{where}: no entries")
        require(not any(page[HEADER_SIZE + prefix_length : slots]), f"{where}: padding is set")
        require(not any(page[slots_end:heap]), f"{where}: the gap is not clear")
        require(prefix_length <= self.page_size // 4, f"{where}: a prefix too long")

        keys: list[bytes] = []
        ends: list[int] = []
        live = 0
        for index in range(count):
            slot = page[slots + index * slot_size :][:slot_size]
            head, offset, key_field = struct.unpack_from("<IHH", slot)
            suffix_length = key_field & 0x3FFF
            rest = max(0, suffix_length - 4)
            entry_end = offset + rest if level else offset + rest + 2
            suffix = struct.pack(">I", head)[:suffix_length]
            if rest or not level:
                require(offset >= heap, f"{where}: entry {index} begins before the heap")
                require(entry_end <= self.page_size, f"{where}: entry {index} is cut off")
                suffix += page[offset : offset + rest]
            unused = struct.pack(">I", head)[suffix_length:]
            require(not any(unused), f"{where}: bytes after the end of key {index}")
            keys.append(prefix + suffix)
            require(len(keys[-1]) <= self.page_size // 4 - 8, f"{where}: a key too long")
            if level:
                require(key_field >> 14 == 0, f"{where}: a separator with a value kind")
                if index == 0:
                    require(
                        (head, offset, key_field) == (0, 0, 0), f"{where}: entry 0 has a key"
                    )
                live += rest
            else:
                live += rest + 2 + u16(page, entry_end - 2)
                ends.append(entry_end)
        require(live == heap_used - heap_dead, f"{where}: heap counts are wrong")

        # A branch's first separator is not stored.
        bounded = keys[1:] if level else keys
        require(all(low <= key for key in bounded), f"{where}: a key before its range")
        require(high is None or all(key < high for key in bounded), f"{where}: one after it")
        require(all(a < b for a, b in zip(bounded, bounded[1:])), f"{where}: unordered keys")
        if level:
            tree.branch_pages += 1
            children = [u64(page, slots + index * 16 + 8) for index in range(count)]
            lows = [low, *bounded]
            highs = [*bounded, high]
            for child, child_low, child_high in zip(children, lows, highs):
                below = Reference.parse(child)
                self.read_page(tree, name, below, level - 1, child_low, child_high)
        else:
            tree.leaf_pages += 1
            tree.prefixes.append(prefix)
            for index, (key, end) in enumerate(zip(keys, ends)):
                kind = u16(page, slots + index * 8 + 6) >> 14
                size = u16(page, end - 2)
                require(end + size <= self.page_size, f"{where}: value {index} is cut off")
                tree.entries.append(
                    (key, self.read_value(tree, where, kind, page[end:][:size]))
                )

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
            if key[0] == AVAILABLE and len(key) == 9:
                self.read_available(int.from_bytes(key[1:], "big"), value)
                continue
            require(len(value) % 8 == 0, f"free space: a value of {len(value)} bytes")
            words = [word for (word,) in struct.iter_unpack("<Q", value)]
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

    def read_available(self, region: int, bitmap: bytes) -> None:
        """Reads which pages of a region are available."""
        require(region < PAGE_NUMBERS // REGION_PAGES, f"free space: region {region}")
        require(len(bitmap) * 8 == REGION_PAGES, f"a bitmap of {len(bitmap)} bytes")
        require(any(bitmap), f"free space: region {region} has no available page")
        first = region * REGION_PAGES
        for page in range(REGION_PAGES):
            if bitmap[page // 8] >> page % 8 & 1:
                self.available.append((first + page, 1))

    def use_free_runs(self, runs: list[tuple[int, int]], what: str) -> None:
        """Notes that pages are free."""
        for start, pages in runs:
            require(pages > 0, f"an empty run at {start}, {what}")
            for number in range(start, start + pages):
                self.use(number, what)


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
RECORD_HEADER_SIZE = 64
RECORD_MAGIC = b"zlog"
TRANSACTION, END_OF_SEGMENT = 1, 2
PUT, DELETE, NAME, CREATE = 1, 2, 3, 4


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

    def replay(self, state: dict[bytes, dict[bytes, bytes]]) -> None:
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
            require(code <= CREATE, f"transaction {self.transaction}: operation {code}")
            database = number()
            if code == NAME:
                names[database] = run()
            elif code == CREATE:
                state.setdefault(names[database], {})
            elif code == PUT:
                key = run()
                state[names[database]][key] = run()
            else:
                del state[names[database]][run()]
        require(len(rest) < 8 and not any(rest), f"transaction {self.transaction}: padding")


@dataclass(frozen=True)
class Segment:
    """A file of the log."""

    base: int
    capacity: int
    records: bytes

    @classmethod
    def parse(cls, base: int, data: bytes, meta: Meta) -> Segment | None:
        """From a file's bytes; None if its header is not that of this place in this log."""
        used = data[:LOG_HEADER_USED]
        if len(used) < LOG_HEADER_USED or used[8:16] != LOG_MAGIC:
            return None
        seed = int.from_bytes(LOG_MAGIC, "little")
        if xxhash.xxh3_64_intdigest(used[8:], seed=seed) != u64(used, 0):
            return None
        if used[24:40] != meta.environment_id or u64(used, 40) != base:
            return None
        require(u32(used, 16) == FORMAT_VERSION, "a log segment of another version")
        require(not any(used[20:24]) and not any(used[56:]), "reserved bytes are set")
        require(not any(data[LOG_HEADER_USED:LOG_HEADER_SIZE]), "reserved bytes are set")
        capacity = u64(used, 48)
        records = data[LOG_HEADER_SIZE : LOG_HEADER_SIZE + capacity]
        return cls(base, capacity, records.ljust(capacity, b"\0"))

    @property
    def end(self) -> int:
        """The position after the segment."""
        return self.base + self.capacity

    def record(self, position: int, seed: int) -> LogRecord | None:
        """The record at a position, if there is one."""
        return LogRecord.parse(self.records[position - self.base :], position, seed)

    def records_from(self, position: int, seed: int) -> Iterator[tuple[int, LogRecord]]:
        """All records at or after a position, whatever lies between."""
        offset = self.records.find(RECORD_MAGIC, max(0, position - self.base))
        while offset >= 0:
            place = self.base + offset - 8
            record = self.record(place, seed) if offset >= 8 and offset % 8 == 0 else None
            if record is not None and place >= position:
                yield place, record
            offset = self.records.find(RECORD_MAGIC, offset + 1)


def read_log(meta: Meta, files: Mapping[int, bytes]) -> list[LogRecord]:
    """The transactions in the log after a state, in order."""
    parsed = [Segment.parse(base, data, meta) for base, data in files.items()]
    segments = {segment.base: segment for segment in parsed if segment is not None}
    position, previous = meta.log_end, meta.log_checksum
    segment = segments.get(meta.log_segment) if position else None
    if segment is None:
        position = (position or 1) + 4095 & ~4095
        segment = segments.get(position)
    found: list[LogRecord] = []
    transaction = meta.transaction
    while segment is not None and segment.base <= position <= segment.end:
        record = None
        if segment.end - position >= RECORD_HEADER_SIZE:
            record = segment.record(position, meta.seed)
            if record is None or record.previous != previous:
                break
            if record.transaction != transaction + 1:
                break
        if record is None or record.kind == END_OF_SEGMENT:
            following = segments.get(segment.end)
            if following is None:
                break
            previous = record.checksum if record else previous
            segment, position = following, segment.end
            continue
        found.append(record)
        previous = record.checksum
        position += record.length
        transaction = record.transaction
    for other in segments.values():
        for place, later in other.records_from(position, meta.seed):
            problem = f"transaction {later.transaction} at position {place} was written"
            require(
                later.transaction <= transaction or later.flushed <= position,
                f"the log is damaged at {position}: {problem} after that was on disk",
            )
    return found
