"""An archive as docs/ARCHIVE.md describes it, read without the library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash
from format_records import require, u32, u64

BLOCK_HEADER = 32
FIRST_SEED = int.from_bytes(b"\x89zdbarch", "little")
INDEX_MAGIC = int.from_bytes(b"\x89zdbindx", "little")
SEGMENT_MAGIC = int.from_bytes(b"\x89zdblseg", "little")
HEADER, PAGES, META, RECORDS, END = range(1, 6)
CONTENTS = {1: "full", 2: "incr", 3: "log"}
NAME = re.compile(r"(\d{10,})-(full|incr|log)-(\d{16,})-(\d{16,})\.zdba")


@dataclass
class Place:
    """Where a record is to be in the log."""

    position: int
    previous: int
    segment: int

    @classmethod
    def parse(cls, data: bytes, offset: int) -> Place:
        """The place at an offset."""
        return cls(u64(data, offset), u64(data, offset + 8), u64(data, offset + 16))


class File:
    """A file of an archive, whole."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.data = path.read_bytes()
        self.blocks = list(self.read_blocks())
        kind, _, header = self.blocks[0]
        require(kind == HEADER and len(header) == 256, f"{self.name}: no header")
        require(self.blocks[-1][0] == END, f"{self.name}: no end")
        require(u32(header, 0) == 1, f"{self.name}: another version")
        self.kind = CONTENTS[u32(header, 4)]
        self.page_size = u32(header, 8)
        self.environment_id = header[16:32]
        self.archive_id = header[32:48]
        self.number = u64(header, 48)
        self.previous_file = u64(header, 56)
        self.history = u64(header, 64)
        self.first, self.last = u64(header, 72), u64(header, 80)
        self.digest = int.from_bytes(header[104:120], "little")
        self.parent = (u64(header, 120), u64(header, 128))
        self.log = Place.parse(header, 136)
        self.log_end = Place.parse(header, 160)
        require(not any(header[192:]), f"{self.name}: bytes behind the header")
        match = NAME.fullmatch(self.name)
        require(match is not None, f"{self.name}: a strange name")
        assert match is not None
        said = (int(match[1]), match[2], int(match[3]), int(match[4]))
        require(
            said == (self.number, self.kind, self.first, self.last),
            f"{self.name}: another name",
        )

    def read_blocks(self) -> Iterator[tuple[int, int, bytes]]:
        """Kind, place and content of each block."""
        position, count, seed = 0, 0, FIRST_SEED
        while position < len(self.data):
            block = self.data[position:]
            require(u32(block, 8) == 0x6B6C627A, f"{self.name}, byte {position}: no block")
            length = u64(block, 16)
            content = block[BLOCK_HEADER : BLOCK_HEADER + length]
            require(len(content) == length, f"{self.name}, byte {position}: cut off")
            checksum = xxhash.xxh3_64_intdigest(block[8 : BLOCK_HEADER + length], seed)
            require(
                u64(block, 0) == checksum, f"{self.name}, byte {position}: a wrong checksum"
            )
            if u32(block, 12) == END:
                told = (u64(content, 0), u64(content, 8))
                require(told == (count, position), f"{self.name}: the end counts {told}")
                require(position + BLOCK_HEADER + 16 == len(self.data), f"{self.name}: more")
            yield u32(block, 12), u64(block, 24), content
            seed = checksum
            position += BLOCK_HEADER + length
            count += 1
        self.checksum = seed


class Archive:
    """An archive in a directory, with all of its files checked."""

    def __init__(self, path: Path) -> None:
        index = (path / "index.zdba").read_bytes()
        require(len(index) == 256 and u64(index, 8) == INDEX_MAGIC, "no index")
        checksum = xxhash.xxh3_64_intdigest(index[8:], INDEX_MAGIC)
        require(u64(index, 0) == checksum and u32(index, 16) == 1, "a damaged index")
        first, last = u64(index, 64), u64(index, 72)
        self.files: list[File] = []
        names = sorted(name.name for name in path.iterdir() if NAME.fullmatch(name.name))
        for name in names:
            file = File(path / name)
            if file.number < first:
                continue
            expected = self.files[-1].number + 1 if self.files else first
            require(file.number == expected, f"{name}: file {expected} is missing")
            require(file.environment_id == index[24:40], f"{name}: another environment")
            require(file.archive_id == index[40:56], f"{name}: another archive")
            if self.files:
                before = self.files[-1].checksum
                require(file.previous_file == before, f"{name}: it does not follow")
            self.files.append(file)
        named = next(file for file in self.files if file.number == last)
        require(named.checksum == u64(index, 80), "the index names another file")
        require(u64(index, 120) == max(file.last for file in self.files), "another transaction")

    def restore(self, transaction: int) -> tuple[bytes, dict[int, bytes]]:
        """The bytes of data.zdb, and of the segments of the log, for a state."""
        pages = [f for f in self.files if f.kind != "log" and f.last <= transaction]
        base = max(pages, key=lambda file: (file.last, file.number))
        chain = [base]
        while chain[0].kind == "incr":
            number, checksum = chain[0].parent
            parent = next(file for file in self.files if file.number == number)
            require(parent.checksum == checksum, f"{chain[0].name}: another parent")
            require(parent.last == chain[0].first, f"{chain[0].name}: another parent's state")
            chain.insert(0, parent)
        data = bytearray()
        for file in chain:
            for kind, place, content in file.blocks[1:-1]:
                require(kind in (PAGES, META), f"{file.name}: a block of kind {kind}")
                start = place * file.page_size
                data.extend(bytes(max(0, start + len(content) - len(data))))
                data[start : start + len(content)] = content
        # The meta record says how many pages there are.
        page_count = u64(bytes(data[:512]), 48)
        data.extend(bytes(max(0, page_count * base.page_size - len(data))))
        del data[page_count * base.page_size :]
        return bytes(data), self.segments(base, transaction)

    def segments(self, base: File, transaction: int) -> dict[int, bytes]:
        """The segments with the records from a file of pages on."""
        found: dict[int, bytearray] = {}
        place, reached = base.log, base.last
        for file in self.files:
            if file.kind != "log" or file.last <= base.last or file.history != base.history:
                continue
            for _, position, content in file.blocks[1:-1]:
                segment, capacity = u64(content, 0), u64(content, 8)
                records = content[16:]
                while records:
                    length = u64(records, 16)
                    is_mark = u32(records, 12) == 2
                    if position >= place.position and reached < transaction:
                        if segment not in found:
                            found[segment] = self.segment(base, segment, capacity)
                        start = 4096 + position - segment
                        found[segment][start : start + length] = records[:length]
                        reached += not is_mark
                    position += length
                    records = records[length:]
        require(reached == transaction, f"the archive leads to transaction {reached}")
        if found and place.position > 0 and min(found) - place.position in range(80):
            capacity = min(found) - place.segment
            found.setdefault(place.segment, self.segment(base, place.segment, capacity))
        return {number: bytes(data) for number, data in found.items()}

    @staticmethod
    def segment(base: File, number: int, capacity: int) -> bytearray:
        """A segment without records."""
        header = bytearray(64)
        header[8:16] = SEGMENT_MAGIC.to_bytes(8, "little")
        header[16:20] = (1).to_bytes(4, "little")
        header[24:40] = base.environment_id
        header[40:48] = number.to_bytes(8, "little")
        header[48:56] = capacity.to_bytes(8, "little")
        checksum = xxhash.xxh3_64_intdigest(bytes(header[8:]), SEGMENT_MAGIC)
        header[0:8] = checksum.to_bytes(8, "little")
        return header + bytes(4096 - 64 + capacity)
