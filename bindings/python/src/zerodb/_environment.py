"""Environments."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import fields
from types import TracebackType
from typing import Any, TypeVar

from zerodb import _ffi
from zerodb._arguments import CHECKSUMS, DURABILITIES, choice, unsigned
from zerodb._copy import Target, copy
from zerodb._database import Database
from zerodb._errors import (
    BadArgumentError,
    BadHandleError,
    BusyError,
    NotFoundError,
    check,
    error_from_code,
    forked,
)
from zerodb._state import TransactionState
from zerodb._transaction import Transaction
from zerodb._types import (
    CompactResult,
    CopyResult,
    DatabaseStat,
    Durability,
    EnvironmentInfo,
    Limits,
    Metric,
    MetricBucket,
    MetricKind,
    OpenTransaction,
    Problem,
    Reader,
    VerifyLevel,
    VerifyReport,
)
from zerodb._verify import verify

_CHECKSUM_NAMES = {number: name for name, number in CHECKSUMS.items()}
_METRIC_KINDS: dict[int, MetricKind] = {
    _ffi.METRIC_COUNTER: "counter",
    _ffi.METRIC_GAUGE: "gauge",
    _ffi.METRIC_HISTOGRAM: "histogram",
}
Result = TypeVar("Result")


class Environment:
    """An environment, from :func:`zerodb.open`: a directory that holds databases.

    All threads may use it at once. As a context manager it closes at the end of the block.
    """

    __slots__ = (
        "__weakref__",
        "_handle",
        "_inside",
        "_lock",
        "_max_key_size",
        "_path",
        "_process",
        "_tell",
        "_transactions",
    )

    def __init__(self, handle: int, path: str, tell: object = None) -> None:
        self._handle: int | None = handle
        # The library calls this for events: it must live as long as the environment is open.
        self._tell = tell
        self._path = path
        self._process = os.getpid()
        # Guards _handle and _inside. Reentrant for signal handlers.
        self._lock = threading.RLock()
        # Calls of the library that are under way with _handle, except those of transactions.
        self._inside = 0
        self._transactions: set[TransactionState] = set()
        self._max_key_size: int = _ffi.env_max_key_size(handle)

    @property
    def path(self) -> str:
        """The directory, as it was given."""
        return self._path

    @property
    def max_key_size(self) -> int:
        """The length of the longest key, in bytes."""
        return self._max_key_size

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._handle is None

    # ------------------------------------------------------------ transactions

    def begin(self, write: bool = False, durability: Durability | None = None) -> Transaction:
        """Begins a transaction.

        A read transaction never waits. A write transaction waits for the one before it, in
        this or another process.

        :param durability: what the commit of this write transaction waits for, in place of the
            environment's.
        :raises BusyError: this thread has a write transaction already.
        :raises ReadOnlyError: a write transaction of an environment opened read-only.
        :raises ReadersFullError: every slot of the reader table is taken.
        """
        flags = 0 if write else _ffi.RDONLY
        if durability is not None:
            if not write:
                raise BadArgumentError(
                    "durability is for write transactions; a read transaction commits nothing",
                    _ffi.BAD_ARGUMENT,
                )
            flags |= choice("durability", durability, DURABILITIES)
        return self._call(self._begin, write, flags)

    def open_db(
        self,
        name: str | bytes | None,
        create: bool = False,
        txn: Transaction | None = None,
    ) -> Database:
        """Opens a named database; None is the main database.

        :param create: make it if it is not there.
        :param txn: the transaction to open it in; without it, the call takes a transaction of
            its own and commits a database that it has made.
        :raises NotFoundError: no database has this name.
        """
        if txn is not None:
            if txn.environment is not self:
                raise BadArgumentError(
                    f"the transaction belongs to the environment at {txn.environment.path}, "
                    f"not to the one at {self._path}",
                    _ffi.BAD_ARGUMENT,
                )
            return txn.db(name, create)
        try:
            with self.begin() as reader:
                return reader.db(name)
        except NotFoundError:
            if not create:
                raise
        with self.begin(write=True) as writer:
            return writer.db(name, create=True)

    # ------------------------------------------------------------------- facts

    def stat(self, db: Database | None = None) -> DatabaseStat:
        """Statistics of a database as of the newest commit."""
        with self.begin() as reader:
            return reader.stat(db)

    def info(self) -> EnvironmentInfo:
        """Properties and counts of the environment."""
        raw = _ffi.sized(_ffi.Info)
        check(self._call(_ffi.env_info, _ffi.reference(raw)))
        return EnvironmentInfo(
            format_version=raw.format_version,
            page_size=raw.page_size,
            max_size=raw.max_size,
            file_size=raw.file_size,
            page_count=raw.page_count,
            free_pages=raw.free_pages,
            last_txn_id=raw.last_txn_id,
            oldest_reader_txn=raw.oldest_reader_txn,
            max_readers=raw.max_readers,
            readers=raw.readers,
            max_txn_pages=raw.max_txn_pages,
            max_txn_memory=raw.max_txn_memory,
            max_key_size=raw.max_key_size,
            checksum=_CHECKSUM_NAMES[raw.checksum],
            databases=raw.databases,
            checkpoint_txn_id=raw.checkpoint_txn_id,
            pinned_pages=raw.pinned_pages,
            log_bytes=raw.log_bytes,
            recovered_records=raw.recovered_records,
            recovered_bytes=raw.recovered_bytes,
            recovery_ns=raw.recovery_ns,
            environment_id=bytes(raw.environment_id),
            digest=int(raw.digest),
        )

    def limits(self) -> Limits:
        """All limits of the environment. How often each was met is the metric
        ``zerodb_limits_hit_total``."""
        raw = _ffi.sized(_ffi.Limits)
        check(self._call(_ffi.env_limits, _ffi.reference(raw)))
        return Limits(**{field.name: getattr(raw, field.name) for field in fields(Limits)})

    def metrics(self) -> list[Metric]:
        """Counts and times of all processes that use the environment or have used it, since
        ``lock.zdb`` was made. What a transaction does is counted when it ends. Metrics of one
        name follow one another.

        ``zerodb-stat --metrics`` prints the same without a part in the program;
        :class:`zerodb.prometheus.Collector` hands it to ``prometheus_client``.
        """
        found: list[Metric] = []

        def add(_: object, metric: Any) -> None:
            raw = metric.contents
            label = None
            if raw.label is not None:
                label = (raw.label.decode(), raw.label_value.decode())
            buckets = raw.buckets[: raw.bucket_count] if raw.bucket_count else []
            found.append(
                Metric(
                    name=raw.name.decode(),
                    help=raw.help.decode(),
                    kind=_METRIC_KINDS[raw.kind],
                    label=label,
                    value=raw.value,
                    buckets=tuple(MetricBucket(item.bound, item.count) for item in buckets),
                )
            )

        check(self._call(_ffi.env_metrics, _ffi.MetricFunction(add), None))
        return found

    def metric(self, name: str) -> float:
        """One metric; of a histogram, how many numbers it has.

        :param name: with its label, as in ``zerodb_operations_total{operation="put"}``, or
            without: the sum of all of the name.
        :raises NotFoundError: there is no metric of the name.
        """
        value = _ffi.new_number()
        check(self._call(_ffi.env_metric, name.encode(), _ffi.reference(value)))
        number: float = value.value
        return number

    def readers(self) -> list[Reader]:
        """The read transactions of all processes that have the environment open."""
        found: list[Reader] = []

        def add(_: object, reader: Any) -> None:
            raw = reader.contents
            found.append(
                Reader(
                    slot=raw.slot,
                    process_id=raw.process_id,
                    thread=raw.thread,
                    txn_id=None if raw.txn_id == _ffi.NO_TXN else raw.txn_id,
                    open_ns=raw.open_ns,
                )
            )

        check(self._call(_ffi.reader_list, _ffi.ReaderFunction(add), None))
        return found

    def transactions(self) -> list[OpenTransaction]:
        """The transactions that this process has open in the environment."""
        found: list[OpenTransaction] = []

        def add(_: object, transaction: Any) -> None:
            raw = transaction.contents
            found.append(
                OpenTransaction(
                    write=not raw.flags & _ffi.RDONLY,
                    txn_id=None if raw.txn_id == _ffi.NO_TXN else raw.txn_id,
                    thread=raw.thread,
                    thread_ended=bool(raw.thread_ended),
                    open_ns=raw.open_ns,
                )
            )

        check(self._call(_ffi.txn_list, _ffi.TxnFunction(add), None))
        return found

    def check_readers(self) -> int:
        """Frees the reader slots of processes that have died, and returns how many there were.

        No program has to call this: a process that needs a slot, or pages that a dead reader
        pins, does it by itself.
        """
        dead = _ffi.new_count()
        check(self._call(_ffi.reader_check, _ffi.reference(dead)))
        count: int = dead.value
        return count

    def verify(
        self,
        level: VerifyLevel = "everything",
        *,
        database: str | bytes | None = None,
        threads: int = 0,
        on_problem: Callable[[Problem], object] | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> VerifyReport:
        """Reads the newest snapshot and checks it: pages, order, counts, digests, the use of
        every page, the meta pages and the log. Other transactions go on at the same time.
        Damage raises no exception: look at `problems` of the report.

        :param level: how much is looked at: "headers" (meta pages, log, free pages, names and
            roots of databases), "trees" (all pages of trees too) or "everything" (all values
            too, and digests).
        :param database: verify only the database of this name, and the meta pages; an empty
            name is the main database. None: all of the environment.
        :param threads: that work on it, at most 64; 0: two if the environment is large.
        :param on_problem: called for each problem.
        :param on_progress: called several times a second with the pages that have been looked
            at and the pages there are; False ends the verification.

        If one of these functions raises an exception, the verification ends, and verify()
        raises it.

        :raises NotFoundError: there is no database of that name.
        :raises OperatingSystemError: `on_progress` has ended it (ECANCELED), or the operating
            system refused.
        """
        return verify(self._call, level, database, threads, on_problem, on_progress)

    def copy(
        self,
        path: Target,
        *,
        compact: bool = False,
        bytes_per_second: int = 0,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> CopyResult:
        """Copies the newest snapshot into a new environment.

        Other transactions go on at the same time. All that is read is checked: damage ends the
        copy, and leaves nothing that could be taken for one. When this returns the copy is on
        disk. One that ends early goes on when it is made again in the same directory, unless it is
        compact.

        :param path: a directory that is not there, or is empty.
        :param compact: without free pages, and with the pages in the order of their keys. Such
            a copy is an environment of its own: pages and log of the original do not fit it.
        :param bytes_per_second: to be written at most; 0 for no bound.
        :param on_progress: called several times a second with the pages that have been read and
            the pages there are; False ends the copy.

        If `on_progress` raises an exception, the copy ends, and copy() raises it.

        :raises CorruptedError: what was read is damaged.
        :raises OperatingSystemError: something is in the directory (EEXIST, ENOTEMPTY),
            `on_progress` has ended the copy (ECANCELED), or the operating system refused.
        """
        return copy(self._call, path, compact, bytes_per_second, on_progress)

    def copy_fd(
        self,
        fd: int,
        *,
        compact: bool = False,
        bytes_per_second: int = 0,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> CopyResult:
        """Writes the bytes of a copy's ``data.zdb`` to a file descriptor, such as a pipe.

        A copy that ends early is shorter than its meta pages say, and does not open.

        :param fd: stays open, and is not flushed.

        For the other parameters and exceptions see :meth:`copy`.
        """
        return copy(self._call, fd, compact, bytes_per_second, on_progress)

    def sync(self) -> None:
        """Waits until every commit is on disk, of any durability."""
        check(self._call(_ffi.env_sync))

    def checkpoint(self) -> None:
        """Writes the newest commit to the data file, so that no part of the log has to be
        replayed and the pages that it pins can be used again. Other transactions go on at the
        same time.

        The library does this by itself: when the log or the pinned pages have grown, and when
        the last program closes the environment.

        :raises ReadOnlyError: the environment was opened read-only.
        """
        check(self._call(_ffi.env_checkpoint))

    def compact(
        self,
        *,
        max_pages: int = 0,
        bytes_per_second: int = 0,
        target_size: int = 0,
        punch_holes: bool = False,
    ) -> CompactResult:
        """Makes the data file shorter: moves pages from its end into free pages further up,
        fills sparse leaves, and gives the end back to the file system. Other transactions go
        on at the same time, and content does not change.

        The library does this by itself, slowly, when more than half of the file is free
        (``auto_compact_percent``).

        :param max_pages: pages to be moved at most, and some dozens more; 0 for no bound.
        :param bytes_per_second: to be moved or read at most; 0 for no bound.
        :param target_size: bytes of the file that are enough; 0: as short as it can be.
        :param punch_holes: whether free pages that stay in the middle of the file give back their
            room on the disk, in runs of 32 KiB or more. On a full disk a transaction that takes
            them again fails (ENOSPC).
        :raises ReadOnlyError: the environment was opened read-only.
        :raises BusyError: this thread has a write transaction open.
        """
        options = _ffi.sized(_ffi.CompactOptions)
        options.max_pages = unsigned("max_pages", max_pages, 64)
        options.bytes_per_second = unsigned("bytes_per_second", bytes_per_second, 64)
        options.target_size = unsigned("target_size", target_size, 64)
        options.flags = _ffi.COMPACT_PUNCH_HOLES if punch_holes else 0
        raw = _ffi.sized(_ffi.CompactResult)
        check(self._call(_ffi.env_compact, _ffi.reference(options), _ffi.reference(raw)))
        return CompactResult(
            pages_moved=raw.pages_moved,
            bytes_before=raw.bytes_before,
            bytes_after=raw.bytes_after,
            waiting_pages=raw.waiting_pages,
            bytes_punched=raw.bytes_punched,
            finished=bool(raw.is_finished),
        )

    # ---------------------------------------------------------------- lifetime

    def close(self) -> None:
        """Closes the environment; aborts its transactions. Closing it again does nothing.

        A child of the process that opened it only forgets it.

        :raises BusyError: another call is under way in it or in one of its transactions; then
            it is not closed.
        :raises PanicError: the last flush or checkpoint failed; it is closed all the same.
        """
        if self._handle is None:
            return
        if self._process != os.getpid():
            self._handle = None
            return
        with self._lock:
            if self._handle is None:
                return
            self._end_transactions()
            handle, self._handle = self._handle, None
            code = _ffi.env_close(handle)
            if code == _ffi.BUSY:
                self._handle = handle
            if code != _ffi.OK:
                raise error_from_code(code)

    def __enter__(self) -> Environment:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._handle is None or self._process != os.getpid():
            return
        self.close()
        warnings.warn(
            f"the environment at {self._path} was dropped without close(), and has been closed",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )

    def __repr__(self) -> str:
        return f"<zerodb.Environment {self._path!r} {'closed' if self.closed else 'open'}>"

    # ----------------------------------------------------------------- private

    def _call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls a function with the environment's handle and `arguments`; meanwhile no thread
        can close the environment."""
        # Before the lock, which another thread may have held when this process was forked.
        if self._process != os.getpid():
            raise forked("environment")
        counted = False
        try:
            with self._lock:
                handle = self._handle
                if handle is None:
                    raise BadHandleError(
                        f"the environment at {self._path} is closed; open it again",
                        _ffi.BAD_HANDLE,
                    )
                self._inside += 1
                counted = True
            return function(handle, *arguments)
        finally:
            if counted:
                with self._lock:
                    self._inside -= 1

    def _begin(self, handle: int, write: bool, flags: int) -> Transaction:
        begun = _ffi.new_handle()
        state: TransactionState | None = None
        try:
            check(_ffi.txn_begin(handle, None, flags, _ffi.reference(begun)))
            state = TransactionState(begun.value, write)
            self._transactions.add(state)
            return Transaction(self, state)
        except BaseException:
            # A signal handler may raise when the wait for the writer before is just over.
            if state is not None:
                state.abort("was aborted")
                self._forget(state)
            elif begun.value is not None:
                _ffi.txn_abort(begun.value)
            raise

    def _forget(self, state: TransactionState) -> None:
        """Forgets a transaction that has ended."""
        self._transactions.discard(state)

    def _end_transactions(self) -> None:
        """Aborts all transactions, or raises and aborts none; the caller holds the lock."""
        entered: list[TransactionState] = []
        try:
            busy = self._inside > 0
            for state in [] if busy else list(self._transactions):
                if not state.lock.acquire(False):
                    busy = True
                    break
                entered.append(state)
            if busy:
                raise BusyError(
                    f"a call is under way in the environment at {self._path}; let it return "
                    "before closing",
                    _ffi.BUSY,
                )
            for state in entered:
                state.abort("was aborted by the closing of its environment")
                self._forget(state)
        finally:
            for state in entered:
                state.lock.release()
