"""The plain values that the package takes and returns."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Callable, Literal, NamedTuple, Optional, TypeVar, Union

if TYPE_CHECKING:
    from typing_extensions import Buffer as Buffer
elif sys.version_info >= (3, 12):
    from collections.abc import Buffer as Buffer
else:
    Buffer = Union[bytes, bytearray, memoryview]

Item = tuple[bytes, bytes]
"""A key and its value."""

Checksum = Literal["none", "fast", "full"]
"""When the checksums of pages are checked."""

Implementation = Literal["native", "ctypes"]
"""What does the work of single calls."""

Target = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]
"""Where to copy to."""

Result = TypeVar("Result")
"""Of a function that is called."""

WalkStart = tuple[Callable[..., int], Optional[bytes]]
"""What moves to the first entry of a range, and the key to go to if one move does that."""

Durability = Literal["full", "relaxed", "none"]
"""What a commit waits for.

- ``"full"``: it is on disk. Readers see it from then on, or with a later commit that waits for
  nothing.
- ``"relaxed"``: nothing. It is visible at once and on disk within 100 ms; a power cut loses
  only the last commits, never consistency.
- ``"none"``: nothing, and nothing is logged: it is on disk with the next checkpoint. Never
  corrupt.
"""


EventLevel = Literal["debug", "information", "warning", "error"]
"""The importance of an event."""


class EnvironmentInfo(NamedTuple):
    """Properties and counts of an environment."""

    format_version: int
    """Of the files."""
    page_size: int
    """Bytes."""
    max_size: int
    """Bytes that the data file may reach."""
    file_size: int
    """Bytes of the data file now."""
    page_count: int
    """Pages in use or free: the data file's high-water mark."""
    free_pages: int
    """Free pages among those. Readers may still see some of them."""
    last_txn_id: int
    """Of the newest commit."""
    oldest_reader_txn: int
    """The oldest snapshot being read; ``last_txn_id`` if there is none."""
    max_readers: int
    """Slots in the reader table."""
    readers: int
    """Slots in use."""
    max_txn_pages: int
    """Pages of trees that one transaction may dirty; 0: no bound."""
    max_txn_memory: int
    """Bytes of pages and large values that one transaction keeps in memory; 0: no bound."""
    max_key_size: int
    """Bytes."""
    checksum: str
    """When checksums are checked: ``"none"``, ``"fast"`` or ``"full"``."""
    databases: int
    """Named databases."""
    checkpoint_txn_id: int
    """The commit that the newest checkpoint holds."""
    pinned_pages: int
    """Free pages that wait for the next checkpoint."""
    log_bytes: int
    """Bytes of log that a recovery would have to replay."""
    recovered_records: int
    """Transactions that this opening of the environment replayed."""
    recovered_bytes: int
    """Bytes of log that they took."""
    recovery_ns: int
    """How long that took, in nanoseconds."""
    environment_id: bytes
    """16 random bytes from the creation of the environment."""
    digest: int
    """128 bits for all that the databases contain, with names and flags: the same in every
    environment with the same content, such as a copy, whatever its page size and history. It
    guards against faults, not against attackers."""


class CompactResult(NamedTuple):
    """What :meth:`zerodb.Environment.compact` has done."""

    pages_moved: int
    """Pages written to new places, branches above them included."""
    bytes_before: int
    """Bytes of the data file before."""
    bytes_after: int
    """Bytes of the data file now."""
    waiting_pages: int
    """Free pages that readers or the next checkpoint need."""
    bytes_punched: int
    """Bytes of free pages that have given back their room on the disk."""
    finished: bool
    """Whether the file is about as short as it can be, or as asked for. If not, a reader keeps
    pages, other programs have written much meanwhile, or ``max_pages`` was reached."""


class CopyResult(NamedTuple):
    """What :meth:`zerodb.Environment.copy` has made."""

    txn_id: int
    """The transaction whose state was copied."""
    wall_clock: int
    """When that was committed: nanoseconds since 1970."""
    file_size: int
    """Bytes of the copy's data file."""
    bytes_written: int
    """Bytes of it that were written: free pages of a file are holes."""
    digest: int
    """The digest of all that the copy has."""


class Reader(NamedTuple):
    """A read transaction of this process or another."""

    slot: int
    """Its place in the reader table."""
    process_id: int
    """Its process id, in the PID namespace of that process."""
    thread: int
    """The number of its thread, which is meaningful only in its process."""
    txn_id: int | None
    """The transaction whose state it sees; None if it was reset."""
    open_ns: int
    """Nanoseconds since it began to see that state."""


class OpenTransaction(NamedTuple):
    """A transaction that this process has open: :meth:`zerodb.Environment.transactions`."""

    write: bool
    """Whether it is the write transaction, or nested in it."""
    txn_id: int | None
    """The transaction whose state it sees, or the id that its commit will have; None if it was
    reset."""
    thread: int
    """The thread that began it; of a write transaction the last that used it."""
    thread_ended: bool
    """Whether that thread has ended."""
    open_ns: int
    """Nanoseconds since it began."""


class DatabaseFlags(NamedTuple):
    """What a database is, chosen when it is made."""

    reverse_key: bool = False
    """Keys are ordered by their bytes from the last to the first."""
    integer_key: bool = False
    """Keys are unsigned integers of 4 or of 8 bytes, little-endian, ordered as numbers."""
    dupsort: bool = False
    """A key may have several values, which are ordered too."""
    dupfixed: bool = False
    """All values have one size; with ``dupsort``."""
    integer_dup: bool = False
    """Values are integers, as keys with ``integer_key``; with ``dupfixed``."""
    reverse_dup: bool = False
    """Values are ordered by their bytes from the last to the first; with ``dupsort``."""
    counted: bool = False
    """The database knows the rank of every key."""


class DatabaseStat(NamedTuple):
    """Statistics of one database."""

    page_size: int
    """Bytes."""
    depth: int
    """Levels of the tree; 0: empty."""
    entries: int
    """Pairs of a key and a value."""
    keys: int
    """Distinct keys: fewer than entries in a database with ``dupsort`` only."""
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    """Pages that hold values too large for a leaf."""
    flags: DatabaseFlags
    """What the database is."""
    digest: int
    """128 bits for all keys and values: the same in every database with the same content; 0 if
    it is empty."""


MetricKind = Literal["counter", "gauge", "histogram"]
"""What a metric is: a ``"counter"`` only grows, and begins at 0 again when ``lock.zdb`` is made
anew; a ``"gauge"`` goes up and down; a ``"histogram"`` says how often something took how long,
or had which size."""


class MetricBucket(NamedTuple):
    """A bucket of a histogram."""

    bound: float
    """What no number in it exceeds, in seconds unless the metric's name has another unit;
    infinite in the last bucket."""
    count: int  # type: ignore[assignment]
    """Numbers up to ``bound``, those of the buckets before included."""


class Metric(NamedTuple):
    """A number that describes how an environment is used, by all processes together."""

    name: str
    """Such as ``"zerodb_operations_total"``, by the rules of Prometheus."""
    help: str
    """A sentence about it."""
    kind: MetricKind
    """What it is."""
    label: tuple[str, str] | None
    """What tells it from others of the name, such as ``("operation", "put")``."""
    value: float
    """The number; of a histogram the sum."""
    buckets: tuple[MetricBucket, ...]
    """Of a histogram, from the smallest numbers to the largest; otherwise none."""

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many numbers a histogram has."""
        return self.buckets[-1].count if self.buckets else 0

    @property
    def full_name(self) -> str:
        """The name with the label, as :meth:`zerodb.Environment.metric` takes it."""
        if self.label is None:
            return self.name
        name, value = self.label
        return f'{self.name}{{{name}="{value}"}}'


class Limits(NamedTuple):
    """All limits of an environment, as this process has them. 0 stands for no limit where an
    option has that."""

    max_size: int
    """Bytes of the data file, as mapped."""
    max_txn_pages: int
    """Pages of trees that a transaction may dirty."""
    max_txn_memory: int
    """Bytes that a transaction keeps in memory; beyond, it goes on in a file."""
    max_readers: int
    """Slots that the reader table may grow to."""
    processes: int
    """Processes that may have the environment open."""
    environments: int
    """Environments that may be open in a process."""
    transactions: int
    """Transactions that may be open in a process."""
    cursors: int
    """Cursors that may be open in a process."""
    nesting: int
    """Transactions nested in one another, the outermost not counted."""
    key_size: int
    """Bytes of a key."""
    value_size: int
    """Bytes of a value."""
    name_size: int
    """Bytes of a database's name."""
    databases: int
    """Names of databases that a process may ever use."""
    log_size: int
    """Bytes of log after which a checkpoint is made."""
    log_record: int
    """Bytes of a record of the log; a larger transaction becomes a checkpoint."""
    writer_wait_ms: int
    """Milliseconds of a wait for another program."""
    depth: int
    """Levels of a tree, the leaves' included."""
    archive_log: int
    """Bytes of log that are kept until they are archived (``archive_log_kept``)."""


VerifyLevel = Literal["headers", "trees", "everything"]
"""How much :meth:`zerodb.Environment.verify` looks at."""

ProblemKind = Literal[
    "meta",
    "checksum",
    "lost write",
    "misplaced",
    "unreadable",
    "structure",
    "order",
    "reference",
    "count",
    "digest",
    "free pages",
    "log",
]
"""What is wrong.

- ``"meta"``: a copy of a meta record, or of a free list beside it, is damaged.
- ``"checksum"``: a page does not have its checksum: bits have changed, or it was written in
  part only.
- ``"lost write"``: an older version of the page is there.
- ``"misplaced"``: another page, or one of another environment, is there.
- ``"unreadable"``: the file ends before the page, or the device cannot read it.
- ``"structure"``: what is in the page cannot be, although its checksum is right.
- ``"order"``: keys or values are not in their order, or not where they belong.
- ``"reference"``: a page has more than one use, or is not in the environment.
- ``"count"``: a count differs from what is there.
- ``"digest"``: the content is not what its digest says.
- ``"free pages"``: of the free pages one is in use, named twice, or missing.
- ``"log"``: the log is damaged or lacks a part.
"""

ProblemPlace = Literal[
    "environment", "main database", "named database", "catalog", "free pages", "log"
]
"""The part of an environment that a problem is in. ``"environment"`` is the meta pages, or no
single part; ``"catalog"`` is the tree of the databases' names."""


class Problem(NamedTuple):
    """Something wrong that :meth:`zerodb.Environment.verify` found."""

    kind: ProblemKind
    """What is wrong."""
    place: ProblemPlace
    """Where."""
    page: int | None
    """The page it is about; None if it is about no single page."""
    database: bytes | None
    """The name of the database, of a problem in a named one."""
    keys: tuple[bytes | None, bytes | None] | None
    """The keys, or in the catalog the names of the databases, that cannot be had or relied on:
    from the first on and before the second. None in the place of one stands for the end of the
    database; None for both, if they are not known."""
    entries: int | None
    """About how many entries that are; None if that is not known."""
    txn_id: int | None
    """The transaction that wrote the page, if that is known."""
    wall_clock: int | None
    """When that was committed, in nanoseconds since 1970, if log or meta pages still tell."""
    message: str
    """In words: what, where, and what to do."""


class VerifyReport(NamedTuple):
    """The result of :meth:`zerodb.Environment.verify`."""

    txn_id: int
    """The transaction whose state was verified."""
    pages: int
    """Pages of the snapshot, meta pages included."""
    tree_pages: int
    """Branch and leaf pages reached through the trees."""
    overflow_pages: int
    """Pages reached through overflow runs."""
    free_pages: int
    """Free pages."""
    entries: int
    """Entries that the records of the main and all named databases count."""
    databases: int
    """Named databases."""
    log_records: int
    """Records of the log from the checkpoint to the snapshot."""
    log_bytes: int
    """Bytes of them."""
    problems: int
    """0: the environment is sound."""
    digest: int
    """The environment's, counted anew from all entries, if all were read; otherwise 0. See
    :attr:`EnvironmentInfo.digest`."""
    first_problem: str | None
    """The first problem in words; None if there is none."""

    @property
    def sound(self) -> bool:
        """Whether there is no problem."""
        return self.problems == 0
