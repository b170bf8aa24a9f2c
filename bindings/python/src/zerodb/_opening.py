"""The function that opens environments."""

from __future__ import annotations

import os
from collections.abc import Callable

from zerodb import _hints as t
from zerodb._environment import Environment
from zerodb._open import encoded_path


def open(  # noqa: A001
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    read_only: bool = False,
    create: bool = True,
    page_size: int = 0,
    max_size: int | None = None,
    max_txn_pages: int | None = 0,
    max_txn_memory: int | None = None,
    checksum: t.Checksum = "fast",
    max_readers: int | None = None,
    file_mode: int | None = None,
    durability: t.Durability = "full",
    log_size: int | None = None,
    threads: bool = True,
    writer_wait_ms: int = 0,
    auto_compact_percent: int | None = None,
    auto_compact_rate: int | None = None,
    recovery: bool = False,
    recovery_root: int = 0,
    on_event: Callable[[t.EventLevel, str], object] | None = None,
    event_level: t.EventLevel = "information",
    slow_txn_ms: int = 0,
    archive: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None = None,
    archive_log_kept: int | None = None,
    reopen_after_fork: bool | None = None,
) -> Environment:
    """Opens the environment in a directory, creating both if they are not there.

    A process opens a path once and shares the Environment among its threads. If the programs
    that had it open did not close it, the first to open it replays its log.

    :param path: the directory.
    :param read_only: write nothing; the environment must be there.
    :param create: whether to create the environment if it is not there.
    :param page_size: bytes, a power of two from 4096 to 65536; has an effect only at creation.
        0: the default of 4096.
    :param max_size: bytes that the data file may ever reach. Default: 1 TiB.
    :param max_txn_pages: pages of trees that one transaction may dirty, 0, the default, for no
        bound: `max_txn_memory` bounds the memory. Pages of large values do not count. None: the
        library's default of 10000.
    :param max_txn_memory: bytes of pages and large values that one transaction keeps in memory
        until it commits, at least 1 MiB, 0 for no bound. What is beyond, it writes to a file
        without a name in the directory. Default: 512 MiB.
    :param checksum: when to check the checksums of pages: "none", "fast" (when this process
        first reads a version of a page) or "full" (at every access).
    :param max_readers: slots that the reader table may grow to. Default: 65536.
    :param file_mode: permissions of new files; the directory gets the same, and x where there
        is r. Default: 0o600.
    :param durability: what commits wait for, unless their transaction says otherwise: "full"
        (to be on disk), "relaxed" (nothing; on disk within 100 ms) or "none" (nothing; on disk
        with the next checkpoint).
    :param log_size: bytes of log after which a checkpoint is made. Default: 64 MiB.
    :param threads: whether the library may start threads, which make checkpoints and flush
        relaxed commits. If not, commits do that work.
    :param writer_wait_ms: milliseconds that a write transaction waits for another to end, and
        any call for what another process does meanwhile (such as replaying the log), before it
        raises BusyError. 0: until that has ended.
    :param auto_compact_percent: of 100 pages of the data file, how many may be free before a
        thread of the library moves pages from its end so that it can be cut off; 0: never.
        Default: 50.
    :param auto_compact_rate: bytes a second that this moves at most, 0 for no bound.
        Default: 16 MiB.
    :param recovery: open what can be read of a damaged environment, for reading only. Nothing
        is written; cursors and iteration pass over pages that cannot be read, which
        ``on_event`` is told, and a get of a key that may be below such a page raises
        CorruptedError. The log is replayed in memory.
    :param recovery_root: with ``recovery``: the transaction whose state is shown, one that
        ``zerodb-check --list-roots`` lists; 0, the default: the newest.
    :param on_event: called with a level ("debug", "information", "warning" or "error") and a
        message when the library acts by itself (recovery, checkpoints, growth, compaction,
        failures of background work), and for slow transactions. It is called from any thread,
        the library's own included, and must not use this package. An exception in it goes to
        sys.unraisablehook and changes nothing.
    :param event_level: the least level that ``on_event`` is called for.
    :param slow_txn_ms: milliseconds after which ``on_event`` is told of a transaction when it
        ends: whose it is, what it did, and for how long it waited for the writer before it,
        worked, wrote, and waited for the disk. 0: never.
    :param archive: a directory in which the environment is archived while it is open, made if
        it is not there: a copy of its pages first, then its log as it grows, by a thread of the
        library. ``zerodb-backup restore`` makes an environment of it, as it was at any moment.
        From then on every transaction is logged, those of durability "none" too, and the log
        is kept until it is archived, until ``zerodb-backup stop``. Needs ``threads``.
    :param archive_log_kept: bytes of log that are kept at most while the archive cannot be
        written; what is beyond is removed, and the archive gets a gap. Default: 4 GiB.
    :param reopen_after_fork: whether a child made by ``fork()`` that uses the environment opens
        it anew. If not, it gets ForkedError. Default: if it is ``read_only``.
    :raises PathNotFoundError: there is no environment and none may be created.
    :raises InvalidFileError: the files are no environment.
    :raises VersionMismatchError: they are one of a format that the library does not read.
    :raises CorruptedError: they are damaged.
    :raises NotFoundError: there is no state of ``recovery_root``.
    :raises RecoveryNeededError: the log has to be replayed, and ``read_only`` forbids it.
    :raises BusyError: this process has the environment open already.
    :raises OperatingSystemError: the operating system refused.
    """
    text = os.fsdecode(encoded_path(path))
    options = {
        "read_only": read_only,
        "create": create,
        "page_size": page_size,
        "max_size": max_size,
        "max_txn_pages": max_txn_pages,
        "max_txn_memory": max_txn_memory,
        "checksum": checksum,
        "max_readers": max_readers,
        "file_mode": file_mode,
        "durability": durability,
        "log_size": log_size,
        "threads": threads,
        "writer_wait_ms": writer_wait_ms,
        "auto_compact_percent": auto_compact_percent,
        "auto_compact_rate": auto_compact_rate,
        "recovery": recovery,
        "recovery_root": recovery_root,
        "on_event": on_event,
        "event_level": event_level,
        "slow_txn_ms": slow_txn_ms,
        "archive": archive,
        "archive_log_kept": archive_log_kept,
        "reopen_after_fork": reopen_after_fork,
    }
    return Environment(text, options)
