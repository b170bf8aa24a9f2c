"""The log of a ZeroDB environment, from docs/FORMAT.md alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import xxhash
from format_records import (
    DIGESTS,
    DUPLICATES,
    FORMAT_VERSION,
    FormatError,
    Meta,
    Value,
    check_flags,
    database_digest,
    require,
    stored_key,
    u32,
    u64,
    u128,
    values_digest,
)

LOG_HEADER_SIZE = 4096
LOG_HEADER_USED = 64
LOG_MAGIC = b"\x89zdblseg"
LOG_BASE_FIRST = 4096
CAPACITY_MAX = 1 << 40
RECORD_HEADER_SIZE = 80
RECORD_MAGIC = b"zlog"
TRANSACTION, END_OF_SEGMENT = 1, 2
PUT, DELETE, NAME, CREATE, CLEAR, DROP, RENAME, DELETE_RANGE, DELETE_PAIR = range(1, 10)
FROM_GIVEN, TO_GIVEN = 1, 2


@dataclass
class State:
    """Databases by their names, the main one by b"", while a log is replayed."""

    flags: dict[bytes, int] = field(default_factory=dict)
    values: dict[bytes, dict[bytes, Value]] = field(default_factory=dict)

    @property
    def digest(self) -> int:
        """The digest of an environment with these databases."""
        digests = (
            database_digest(name, self.flags[name], values_digest(values))
            for name, values in self.values.items()
        )
        return sum(digests) % DIGESTS


def several_values(value: Value) -> set[bytes]:
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
    digest: int
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
            digest=u128(data, 64),
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
                require(database > 0, f"transaction {self.transaction}: a name for database 0")
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
                    values[key] = {value} | several_values(values.get(key, set()))
                else:
                    values[key] = value
            elif code == DELETE:
                del values[run()]
            elif code == DELETE_PAIR:
                key, value = run(), run()
                left = several_values(values.pop(key))
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
                low = stored_key(flags, run()) if ends & FROM_GIVEN else b""
                high = stored_key(flags, run()) if ends & TO_GIVEN else None
                for key in list(values):
                    stored = stored_key(flags, key)
                    if stored >= low and (high is None or stored < high):
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
    """All records in a part of the log that begins at a position.

    Other bytes may lie between them.
    """
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
            first = segment.record(position, meta.seed)
            require(
                first is None
                or first.previous == previous
                or first.transaction <= meta.transaction
                or meta.log_end == 0,
                f"the log lacks what was before the record at {position}",
            )
    found: list[LogRecord] = []
    transaction = meta.transaction
    while segment is not None:
        record = None
        if segment.end - position >= RECORD_HEADER_SIZE:
            record = segment.record(position, meta.seed)
            if record is None or record.previous != previous:
                break
            require(
                record.transaction <= transaction + 1,
                f"the log is damaged at {position}: it goes on from the state of transaction "
                f"{record.transaction - 1}, which is lost",
            )
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
