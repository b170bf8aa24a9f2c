"""The plain values that the package takes and returns."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Union

if TYPE_CHECKING:
    from typing_extensions import Buffer as Buffer
elif sys.version_info >= (3, 12):
    from collections.abc import Buffer as Buffer
else:
    Buffer = Union[bytes, bytearray, memoryview]

Item = tuple[bytes, bytes]
"""A key and its value."""

Durability = Literal["full", "relaxed", "none"]
"""What a commit waits for.

- ``"full"``: it is on disk. Readers see it from then on, or with a later commit that waits for
  nothing.
- ``"relaxed"``: nothing. It is visible at once and on disk within 100 ms; a power cut loses
  only the last commits, never consistency.
- ``"none"``: nothing, and nothing is logged: it is on disk with the next checkpoint. Never
  corrupt.
"""


EventLevel = Literal["information", "warning", "error"]
"""The importance of an event."""


@dataclass(frozen=True)
class EnvironmentInfo:
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


@dataclass(frozen=True)
class CompactResult:
    """What :meth:`zerodb.Environment.compact` has done."""

    pages_moved: int
    """Pages written to new places, branches above them included."""
    bytes_before: int
    """Bytes of the data file before."""
    bytes_after: int
    """Bytes of the data file now."""
    waiting_pages: int
    """Free pages that readers or the next checkpoint need."""
    finished: bool
    """Whether the file is about as short as it can be, or as asked for. If not, a reader keeps
    pages, other programs have written much meanwhile, or ``max_pages`` was reached."""


@dataclass(frozen=True)
class Reader:
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


@dataclass(frozen=True)
class OpenTransaction:
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


@dataclass(frozen=True)
class DatabaseStat:
    """Statistics of one database."""

    page_size: int
    """Bytes."""
    depth: int
    """Levels of the tree; 0: empty."""
    entries: int
    """Keys."""
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    """Pages that hold values too large for a leaf."""
    digest: int
    """128 bits for all keys and values: the same in every database with the same content; 0 if
    it is empty."""


@dataclass(frozen=True)
class VerifyReport:
    """The result of :meth:`zerodb.Environment.verify`."""

    pages: int
    """Pages of the snapshot, meta pages included."""
    tree_pages: int
    """Branch and leaf pages reached through the trees."""
    overflow_pages: int
    """Pages reached through overflow runs."""
    free_pages: int
    """Free pages."""
    entries: int
    """Keys in the main and all named databases."""
    databases: int
    """Named databases."""
    problems: int
    """0: the environment is sound."""
    digest: int
    """The environment's, counted anew from all entries: see :attr:`EnvironmentInfo.digest`."""
    first_problem: str | None
    """The first problem in words; None if there is none."""

    @property
    def sound(self) -> bool:
        """Whether there is no problem."""
        return self.problems == 0
