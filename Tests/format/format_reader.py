"""A reader of ZeroDB's data.zdb and log, written from docs/FORMAT.md alone.

It shares no code with the library and need not be fast: it reads whole files into memory,
checks every rule of the document, and raises FormatError if a file violates one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import xxhash
from format_free_pages import FreePages, Run, parse_free_tree, read_free_list
from format_log import State, read_log
from format_pages import check_keys, read_entries, read_inline_values, read_value_leaf
from format_records import (
    BRANCH,
    COUNTED,
    COUNTED_BRANCH,
    DUPLICATES,
    FIXED_VALUES,
    HEADER_SIZE,
    INLINE_VALUE,
    INLINE_VALUES,
    INTEGER_KEYS,
    LEAF,
    META_PAGES,
    OVERFLOW,
    OVERFLOW_VALUE,
    PACKED,
    REVERSED,
    VALUE_LEAF,
    VALUE_SIZE_MAX,
    VALUE_TREE,
    Reference,
    TreeRecord,
    Value,
    ValueTree,
    newest_meta,
    require,
    stored_key,
    u16,
    u64,
    value_key,
)


@dataclass
class Tree:
    """The entries and counts of a tree, as they were found."""

    record: TreeRecord
    entries: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Pairs of key and value, as they were given, in the order of the database."""
    keys: int = 0
    inline_values: int = 0
    """Keys with inline values: several, in the leaf that has the key."""
    value_trees: int = 0
    """Keys with a value tree."""
    prefixes: list[bytes] = field(default_factory=list)
    """Of its leaves."""
    branch_pages: int = 0
    leaf_pages: int = 0
    overflow_pages: int = 0

    @property
    def flags(self) -> int:
        """The flags of the database."""
        return self.record.flags

    @property
    def value_width(self) -> int:
        """Bytes of every value in a database with duplicates; 0 if they differ."""
        return self.record.value_width if self.flags & FIXED_VALUES else 0

    def values(self) -> dict[bytes, Value]:
        """The value of each key, or its values in a database with duplicates."""
        if not self.flags & DUPLICATES:
            return dict(self.entries)
        found: dict[bytes, set[bytes]] = {}
        for key, value in self.entries:
            found.setdefault(key, set()).add(value)
        return dict(found)


class Environment:
    """Everything in a data.zdb, checked, and the changes that the log adds.

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

        self.main = self.read_tree(self.meta.main, "the main database")
        self.catalog = self.read_tree(self.meta.catalog, "the catalog")
        for name, value in self.catalog.entries:
            record = TreeRecord.parse(value, f"database {name!r}")
            self.databases[name] = self.read_tree(record, f"database {name!r}")
        self.free_tree = self.read_tree(self.meta.free_tree, "the free tree")
        self.free_tree_pages = parse_free_tree(self.free_tree.entries, self.meta)
        self.use_free(self.free_tree_pages, "the free tree")
        self.free_list = read_free_list(data, self.meta)
        self.use_free(self.free_list, "the free list")
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
        """Notes the use of a page; every page has exactly one use."""
        in_file = META_PAGES <= number < self.meta.page_count
        require(in_file, f"{what}: page {number} is not one of {self.meta.page_count}")
        require(number not in self.uses, f"page {number}: {self.uses.get(number)} and {what}")
        self.uses[number] = what

    def check_header(self, start: bytes, length: int, reference: Reference) -> None:
        """Checks the common part of pages and overflow runs: their first 24 bytes."""
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
            self.read_page(
                tree, name, record.root, record.depth - 1, b"", None, in_value_tree=False
            )
        flags = record.flags
        duplicates = flags & DUPLICATES
        pairs = [
            (stored_key(flags, key), value_key(flags, value) if duplicates else b"")
            for key, value in tree.entries
        ]
        require(all(a < b for a, b in zip(pairs, pairs[1:])), f"{name}: pairs are not in order")
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
        in_value_tree: bool,
    ) -> list[bytes]:
        """Reads a branch or leaf whose keys must be at least `low` and below `high`.

        Adds what is in the leaves of a database to its tree. If `in_value_tree` is
        true, the page belongs to a value tree, and the values below it are returned.
        """
        number = reference.number
        self.use(number, name)
        start = number * self.page_size
        page = self.data[start : start + self.page_size]
        self.check_header(page, self.page_size, reference)
        where = f"page {number} ({name})"
        require(page[24] == (BRANCH if level else LEAF), f"{where}: kind {page[24]}")
        require(page[25] == level, f"{where}: level {page[25]}")
        layout = page_layout(tree, level, in_value_tree)
        require(u16(page, 26) == layout, f"{where}: flags of {u16(page, 26)}, not {layout}")
        width = tree.value_width if layout & PACKED else 0
        require(u16(page, 36) == width, f"{where}: a width of {u16(page, 36)}, not {width}")
        require(u16(page, 38) == 0, f"{where}: reserved bytes are set")
        require(u16(page, 28) > 0, f"{where}: no entries")
        if level:
            tree.branch_pages += 1
            return self.read_branch(tree, name, page, low, high, in_value_tree=in_value_tree)
        tree.leaf_pages += 1
        if in_value_tree:
            values = read_value_leaf(page, layout, where)
            check_keys([value_key(tree.flags, value) for value in values], low, high, where)
            return values
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
        in_value_tree: bool,
    ) -> list[bytes]:
        """Reads a branch and all below it, as `read_page`."""
        where = f"page {u64(page, 8)} ({name})"
        counted = bool(tree.flags & COUNTED)
        entries = read_entries(page, where, 8 * counted)
        require(entries[0].slot[:4] == bytes(4), f"{where}: entry 0 has a head")
        require(entries[0].length == 0, f"{where}: entry 0 has a key")
        for entry in entries:
            require(entry.kind == 0, f"{where}: a separator with a value kind")
            in_heap = entry.end > entry.offset if entry.offset else False
            require(in_heap or entry.offset == 0, f"{where}: an offset without bytes")
        # The first separator is not stored.
        separators = [entry.key for entry in entries[1:]]
        check_keys(separators, low, high, where)
        values: list[bytes] = []
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
                in_value_tree=in_value_tree,
            )
            values += below
            if counted:
                found = len(below) if in_value_tree else len(tree.entries) - before
                count = u64(page, entry.end - 8)
                require(count == found, f"{where}: an entry count of {count}, {found} found")
        return values

    def read_leaf(
        self, tree: Tree, name: str, page: bytes, low: bytes, high: bytes | None
    ) -> None:
        """Reads a leaf of a database and the values that its entries lead to."""
        where = f"page {u64(page, 8)} ({name})"
        entries = read_entries(page, where)
        keys = [entry.key for entry in entries]
        require(all(keys), f"{where}: an empty key")
        check_keys(keys, low, high, where)
        tree.prefixes.append(page[HEADER_SIZE : HEADER_SIZE + u16(page, 30)])
        for entry in entries:
            rest = max(0, entry.length - 4)
            stored = page[entry.offset + rest + 2 : entry.end]
            key = stored_key(tree.flags, entry.key)
            tree.keys += 1
            if tree.flags & DUPLICATES:
                values = self.read_values(tree, where, entry.kind, stored)
                sizes = {len(value) for value in values}
                require(max(sizes) <= self.page_size // 2 - 64, f"{where}: a value too long")
                if tree.flags & FIXED_VALUES:
                    require(sizes == {tree.value_width}, f"{where}: values of {sizes} bytes")
                tree.entries += [(key, value) for value in values]
            else:
                tree.entries.append((key, self.read_value(tree, where, entry.kind, stored)))

    def read_values(self, tree: Tree, where: str, kind: int, stored: bytes) -> list[bytes]:
        """The values of a key in a database with duplicates."""
        if kind == INLINE_VALUE:
            return [stored]
        if kind == INLINE_VALUES:
            tree.inline_values += 1
            return read_inline_values(stored, tree.value_width, where)
        require(kind == VALUE_TREE, f"{where}: a value of kind {kind}")
        tree.value_trees += 1
        record = ValueTree.parse(stored, where)
        pages = (tree.branch_pages, tree.leaf_pages)
        name = f"the values of a key in {where}"
        values = self.read_page(
            tree, name, record.root, record.depth - 1, b"", None, in_value_tree=True
        )
        found = (len(values), tree.branch_pages - pages[0], tree.leaf_pages - pages[1])
        counted = (record.entries, record.branch_pages, record.leaf_pages)
        require(found == counted, f"{name}: counts are {counted}, found are {found}")
        return values

    def read_value(self, tree: Tree, where: str, kind: int, stored: bytes) -> bytes:
        """The value that a leaf's entry has or leads to."""
        if kind == INLINE_VALUE:
            return stored
        require(kind == OVERFLOW_VALUE, f"{where}: a value of kind {kind}")
        require(len(stored) == 16, f"{where}: an overflow pointer of {len(stored)} bytes")
        reference, length = Reference.parse(u64(stored, 0)), u64(stored, 8)
        require(length <= VALUE_SIZE_MAX, f"{where}: a value of {length} bytes")
        pages = -(-(HEADER_SIZE + length) // self.page_size)
        self.use_run((reference.number, pages), f"overflow run of {where}")
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

    # Free pages ----------------------------------------------------------------------------

    def use_free(self, pages: FreePages, place: str) -> None:
        """Notes that pages are free, as the free list or the free tree says."""
        for run in pages.available:
            self.use_run(run, f"free: available, in {place}")
        for freed in pages.freed:
            for run in freed.runs:
                self.use_run(run, f"free: freed by {freed.transaction}, in {place}")

    def use_run(self, run: Run, what: str) -> None:
        """Notes the use of the pages of a run."""
        start, pages = run
        require(start + pages <= self.meta.page_count, f"{what}: {pages} pages from {start}")
        for number in range(start, start + pages):
            self.use(number, what)


def page_layout(tree: Tree, level: int, in_value_tree: bool) -> int:
    """The flags that a page of a tree must have."""
    if level:
        return COUNTED_BRANCH if tree.flags & COUNTED else 0
    if not in_value_tree:
        return 0
    packed = PACKED if tree.flags & FIXED_VALUES else 0
    return VALUE_LEAF | packed | (REVERSED if value_key(tree.flags, b"ab") == b"ba" else 0)
