"""Environments."""

from __future__ import annotations

import operator
import os
import weakref
from collections.abc import Callable, Iterator

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._arguments import CHECKSUMS, unsigned
from zerodb._callbacks import calling_back
from zerodb._copy import copy
from zerodb._core import EnvironmentCore
from zerodb._cursor import Cursor
from zerodb._database import Database
from zerodb._errors import BadArgumentError, NotFoundError, check, make_error
from zerodb._open import OpenedEnvironment
from zerodb._transaction import Transaction
from zerodb._verify import verify

TYPE_CHECKING = False

_CHECKSUM_NAMES = {number: name for name, number in CHECKSUMS.items()}
_METRIC_KINDS: dict[int, t.MetricKind] = {
    _abi.METRIC_COUNTER: "counter",
    _abi.METRIC_GAUGE: "gauge",
    _abi.METRIC_HISTOGRAM: "histogram",
}


class Environment(EnvironmentCore):
    """An environment, from :func:`zerodb.open`: a directory that holds databases.

    All threads may use it at once. As a context manager it closes at the end of the block.

    ``env[name]`` is a named database, which is made if it is not there, ``env[None]`` the main
    one; ``name in env``, ``for name in env`` and ``len(env)`` are about the named ones.

    It pickles as its path and options: who reads the pickle opens the environment, or gets the
    one that is open in the process. A child made by ``fork()`` that uses it gets ForkedError,
    or with ``reopen_after_fork`` opens it anew.
    """

    __slots__ = ("_options", "_place", "_tell")

    _transaction_type = Transaction
    _cursor_type = Cursor
    _database_type: t.Any = Database
    _make_error = staticmethod(make_error)

    def __init__(self, path: str, options: dict[str, t.Any]) -> None:
        self._options = options
        # The program may go to another directory before the environment is opened again.
        self._place = _absolute(path)
        self._open(path, path)
        archive = options.get("archive")
        if archive is not None:
            self._options = {**options, "archive": _absolute(archive)}

    def _open(self, place: str, path: str) -> None:
        """Opens the environment, with the options that it has.

        :param path: what it is called.
        """
        opened = OpenedEnvironment(place, **self._options)
        assert opened.handle is not None
        # The library calls this for events: it must live as long as the environment is open.
        self._tell = opened.tell
        has_events = opened.tell is not None
        self._attach(opened.handle, path, self._options.get("writer_wait_ms", 0), has_events)
        opened.handle = None
        _open_environments[os.path.realpath(self._place)] = self

    # ------------------------------------------------------------ transactions

    if TYPE_CHECKING:

        def begin(
            self,
            db: Database | None = None,
            parent: Transaction | None = None,
            write: bool = False,
            buffers: bool = False,
            durability: t.Durability | None = None,
            wait: float | None = None,
        ) -> Transaction:
            """Begins a transaction.

            A read transaction never waits. A write transaction waits for the one before it, in
            this or another process.

            :param db: the default for those methods of the transaction that take a database, in
                place of the main database.
            :param parent: a write transaction, in which the new one is nested: its commit gives
                its changes to the parent, its abort takes them back. Until then the parent
                cannot be used.
            :param buffers: values are read as memoryviews, not copied. They are released when
                the transaction ends; what was made of them and cannot be released, such as a
                slice or an array, keeps the snapshot until it is gone. In a write transaction
                they are views of copies.
            :param durability: what the commit of this write transaction waits for, in place of
                the environment's.
            :param wait: seconds that a write transaction waits for another at most, in place of
                the environment's `writer_wait_ms`; 0: not at all.
            :raises BusyError: another write transaction is open after that time, or this thread
                has one already.
            :raises ReadOnlyError: a write transaction of an environment opened read-only.
            :raises ReadersFullError: every slot of the reader table is taken.
            """
            raise NotImplementedError

    def open_db(
        self,
        name: str | bytes | None,
        create: bool = False,
        txn: Transaction | None = None,
        **flags: bool,
    ) -> Database:
        """Opens a named database; None is the main database.

        :param create: make it if it is not there.
        :param txn: the transaction to open it in; without it, the call takes a transaction of
            its own and commits a database that it has made.
        :param flags: what the database is, see :class:`DatabaseFlags`. Without them one that
            exists is opened as it is.
        :raises NotFoundError: no database has this name.
        :raises IncompatibleError: the database has other flags, or they do not go together.
        """
        if txn is not None:
            if txn.environment is not self:
                raise BadArgumentError(
                    f"the transaction belongs to the environment at {txn.environment.path}, "
                    f"not to the one at {self.path}",
                    _abi.BAD_ARGUMENT,
                )
            return txn.db(name, create, **flags)
        if name is None and any(flags.values()):
            with self.begin(write=create) as txn:
                return txn.db(name, create, **flags)
        try:
            with self.begin() as reader:
                return reader.db(name, **flags)
        except NotFoundError:
            if not create:
                raise
        with self.begin(write=True) as writer:
            return writer.db(name, create=True, **flags)

    def databases(self) -> dict[str, t.DatabaseStat]:
        """The named databases with their statistics, in the order of their names."""
        with self.begin() as reader:
            return reader.databases()

    def __getitem__(self, name: str | bytes | None) -> Database:
        return self.open_db(name, create=not self._options.get("read_only", False))

    def __contains__(self, name: str | bytes | None) -> bool:
        try:
            self.open_db(name)
        except NotFoundError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.databases())

    def __len__(self) -> int:
        return self.info().databases

    def __bool__(self) -> bool:
        return True

    # ------------------------------------------------------------------- facts

    def stat(self, db: Database | None = None) -> t.DatabaseStat:
        """Statistics of a database as of the newest commit."""
        with self.begin() as reader:
            return reader.stat(db)

    def info(self) -> t.EnvironmentInfo:
        """Properties and counts of the environment."""
        from zerodb._types import EnvironmentInfo

        raw = _ffi.sized(_abi.Info)
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

    def limits(self) -> t.Limits:
        """All limits of the environment. How often each was met is the metric
        ``zerodb_limits_hit_total``."""
        from zerodb._types import Limits

        raw = _ffi.sized(_abi.Limits)
        check(self._call(_ffi.env_limits, _ffi.reference(raw)))
        return Limits._make(getattr(raw, name) for name in Limits._fields)

    def metrics(self) -> list[t.Metric]:
        """Counts and times of all processes that use the environment or have used it, since
        ``lock.zdb`` was made. What a transaction does is counted when it ends. Metrics of one
        name follow one another.

        ``zerodb-stat --metrics`` prints the same without a part in the program;
        :class:`zerodb.prometheus.Collector` hands it to ``prometheus_client``.
        """
        from zerodb._types import Metric, MetricBucket

        found: list[t.Metric] = []

        def add(metric: t.Any) -> None:
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

        check(calling_back(self._call, _ffi.env_metrics, _abi.MetricFunction, add))
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

    def readers(self) -> list[t.Reader]:
        """The read transactions of all processes that have the environment open."""
        from zerodb._types import Reader

        found: list[t.Reader] = []

        def add(reader: t.Any) -> None:
            raw = reader.contents
            found.append(
                Reader(
                    slot=raw.slot,
                    process_id=raw.process_id,
                    thread=raw.thread,
                    txn_id=None if raw.txn_id == _abi.NO_TXN else raw.txn_id,
                    open_ns=raw.open_ns,
                )
            )

        check(calling_back(self._call, _ffi.reader_list, _abi.ReaderFunction, add))
        return found

    def transactions(self) -> list[t.OpenTransaction]:
        """The transactions that this process has open in the environment."""
        from zerodb._types import OpenTransaction

        found: list[t.OpenTransaction] = []

        def add(transaction: t.Any) -> None:
            raw = transaction.contents
            found.append(
                OpenTransaction(
                    write=not raw.flags & _abi.RDONLY,
                    txn_id=None if raw.txn_id == _abi.NO_TXN else raw.txn_id,
                    thread=raw.thread,
                    thread_ended=bool(raw.thread_ended),
                    open_ns=raw.open_ns,
                )
            )

        check(calling_back(self._call, _ffi.txn_list, _abi.TxnFunction, add))
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
        level: t.VerifyLevel = "everything",
        *,
        database: str | bytes | None = None,
        threads: int = 0,
        on_problem: Callable[[t.Problem], object] | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> t.VerifyReport:
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
        path: t.Target,
        *,
        compact: bool = False,
        bytes_per_second: int = 0,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> t.CopyResult:
        """Copies the newest snapshot into a new environment.

        Other transactions go on at the same time. All that is read is checked: damage ends the
        copy, and leaves nothing that could be taken for one. When this returns the copy is on
        disk. One that ends early goes on when it is made again in the same directory, unless it
        is compact.

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
        if isinstance(path, int):
            raise TypeError("path must be a path, not int; copy_fd() takes a file descriptor")
        return copy(self._call, path, compact, bytes_per_second, on_progress)

    def copy_fd(
        self,
        fd: int,
        *,
        compact: bool = False,
        bytes_per_second: int = 0,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> t.CopyResult:
        """Writes the bytes of a copy's ``data.zdb`` to a file descriptor, such as a pipe.

        A copy that ends early is shorter than its meta pages say, and does not open.

        :param fd: stays open, and is not flushed.

        For the other parameters and exceptions see :meth:`copy`.
        """
        return copy(self._call, operator.index(fd), compact, bytes_per_second, on_progress)

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
    ) -> t.CompactResult:
        """Makes the data file shorter: moves pages from its end into free pages further up,
        fills sparse leaves, and gives the end back to the file system. Other transactions go
        on at the same time, and content does not change.

        The library does this by itself, slowly, when more than half of the file is free
        (``auto_compact_percent``).

        :param max_pages: pages to be moved at most, and some dozens more; 0 for no bound.
        :param bytes_per_second: to be moved or read at most; 0 for no bound.
        :param target_size: bytes of the file that are enough; 0: as short as it can be.
        :param punch_holes: whether free pages that stay in the middle of the file give back
            their room on the disk, in runs of 32 KiB or more. On a full disk a transaction that
            takes them again fails (ENOSPC).
        :raises ReadOnlyError: the environment was opened read-only.
        :raises BusyError: this thread has a write transaction open.
        """
        options = _ffi.sized(_abi.CompactOptions)
        options.max_pages = unsigned("max_pages", max_pages, 64)
        options.bytes_per_second = unsigned("bytes_per_second", bytes_per_second, 64)
        options.target_size = unsigned("target_size", target_size, 64)
        options.flags = _abi.COMPACT_PUNCH_HOLES if punch_holes else 0
        raw = _ffi.sized(_abi.CompactResult)
        check(self._call(_ffi.env_compact, _ffi.reference(options), _ffi.reference(raw)))
        from zerodb._types import CompactResult

        return CompactResult(
            pages_moved=raw.pages_moved,
            bytes_before=raw.bytes_before,
            bytes_after=raw.bytes_after,
            waiting_pages=raw.waiting_pages,
            bytes_punched=raw.bytes_punched,
            finished=bool(raw.is_finished),
        )

    # ---------------------------------------------------------------- lifetime

    if TYPE_CHECKING:

        def close(self) -> None:
            """Closes the environment; aborts its transactions. Closing it again does nothing.

            It waits for the calls that other threads have under way. What they call later
            raises.

            A child of the process that opened it only forgets it.

            :raises BusyError: a call of this thread is under way; then it is not closed.
            :raises PanicError: the last flush or checkpoint failed; it is closed all the same.
            """

    def __repr__(self) -> str:
        return f"<zerodb.Environment {self.path!r} {'closed' if self.closed else 'open'}>"

    def __reduce__(self) -> t.Any:
        return _opened_again, (type(self), self._place, self._options)

    def __copy__(self) -> t.Any:
        raise TypeError("an environment cannot be copied; its threads share it")

    def __deepcopy__(self, memo: object) -> t.Any:
        raise TypeError("an environment cannot be copied; its threads share it")

    # ----------------------------------------------------------------- private

    def _after_fork(self) -> None:
        """Called in a child of the process that opened the environment."""
        reopens = self._options.get("reopen_after_fork")
        if reopens is None:
            reopens = self._options.get("read_only", False)
        if not reopens:
            raise make_error(
                _abi.FORKED,
                "the environment was opened by the process that this one was forked from; open "
                "the environment anew in this process, or with reopen_after_fork=True",
            )
        self._open(self._place, self.path)


_open_environments: weakref.WeakValueDictionary[str, Environment] = (
    weakref.WeakValueDictionary()
)
"""Those that this process has opened, by their paths."""


def _absolute(path: t.Any) -> t.Any:
    try:
        return os.path.abspath(path)
    except OSError:  # the working directory has been deleted
        return path


def _opened_again(kind: t.Any, path: str, options: dict[str, t.Any]) -> Environment:
    """What a pickle of an environment is read as."""
    known = _open_environments.get(os.path.realpath(path))
    if known is not None and type(known) is kind and not known.closed:
        return known
    environment: Environment = kind.__new__(kind)
    Environment.__init__(environment, path, options)
    return environment
