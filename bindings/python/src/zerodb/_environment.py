"""Environments."""

from __future__ import annotations

import operator
import os
import threading
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar

from zerodb import _ffi
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
    DatabaseStat,
    Durability,
    EnvironmentInfo,
    EventLevel,
    OpenTransaction,
    Problem,
    ProblemKind,
    ProblemPlace,
    Reader,
    VerifyLevel,
    VerifyReport,
)

_CHECKSUMS = {
    "none": _ffi.CHECKSUM_NONE,
    "fast": _ffi.CHECKSUM_FAST,
    "full": _ffi.CHECKSUM_FULL,
}
_CHECKSUM_NAMES = {number: name for name, number in _CHECKSUMS.items()}
_EVENT_LEVELS: dict[int, EventLevel] = {
    _ffi.LOG_INFORMATION: "information",
    _ffi.LOG_WARNING: "warning",
    _ffi.LOG_ERROR: "error",
}
_LEVELS: dict[VerifyLevel, int] = {
    "headers": _ffi.VERIFY_HEADERS,
    "trees": _ffi.VERIFY_TREES,
    "everything": _ffi.VERIFY_FULL,
}
_PROBLEM_KINDS: dict[int, ProblemKind] = {
    _ffi.PROBLEM_META: "meta",
    _ffi.PROBLEM_CHECKSUM: "checksum",
    _ffi.PROBLEM_LOST_WRITE: "lost write",
    _ffi.PROBLEM_MISPLACED: "misplaced",
    _ffi.PROBLEM_UNREADABLE: "unreadable",
    _ffi.PROBLEM_STRUCTURE: "structure",
    _ffi.PROBLEM_ORDER: "order",
    _ffi.PROBLEM_REFERENCE: "reference",
    _ffi.PROBLEM_COUNT: "count",
    _ffi.PROBLEM_DIGEST: "digest",
    _ffi.PROBLEM_FREE_PAGES: "free pages",
    _ffi.PROBLEM_LOG: "log",
}
_PROBLEM_PLACES: dict[int, ProblemPlace] = {
    _ffi.PLACE_ENVIRONMENT: "environment",
    _ffi.PLACE_MAIN_DB: "main database",
    _ffi.PLACE_NAMED_DB: "named database",
    _ffi.PLACE_CATALOG: "catalog",
    _ffi.PLACE_FREE_PAGES: "free pages",
    _ffi.PLACE_LOG: "log",
}
_DURABILITIES = {
    "full": _ffi.DURABILITY_FULL,
    "relaxed": _ffi.DURABILITY_RELAXED,
    "none": _ffi.DURABILITY_NONE,
}

Result = TypeVar("Result")


def open_environment(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    read_only: bool = False,
    create: bool = True,
    page_size: int = 0,
    max_size: int | None = None,
    max_txn_pages: int | None = None,
    max_txn_memory: int | None = None,
    checksum: Literal["none", "fast", "full"] = "fast",
    max_readers: int | None = None,
    file_mode: int | None = None,
    durability: Durability = "full",
    log_size: int | None = None,
    threads: bool = True,
    writer_wait_ms: int = 0,
    auto_compact_percent: int | None = None,
    auto_compact_rate: int | None = None,
    recovery: bool = False,
    recovery_root: int = 0,
    on_event: Callable[[EventLevel, str], object] | None = None,
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
    :param max_txn_pages: pages of trees that one transaction may dirty, 0 for no bound. Pages
        of large values do not count. Default: 10000.
    :param max_txn_memory: bytes of pages and large values that one transaction keeps in memory
        until it commits, at least 1 MiB, 0 for no bound. What is beyond, it writes to a file
        without a name in the directory. Default: 256 MiB.
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
    :param on_event: called with a level ("information", "warning" or "error") and a message
        when the library acts by itself: recovery, failures of background work. It is called
        from any thread, the library's own included, and must not use this package. An
        exception in it goes to sys.unraisablehook and changes nothing.
    :raises PathNotFoundError: there is no environment and none may be created.
    :raises InvalidFileError: the files are no environment.
    :raises VersionMismatchError: they are one of a format that the library does not read.
    :raises CorruptedError: they are damaged.
    :raises NotFoundError: there is no state of ``recovery_root``.
    :raises RecoveryNeededError: the log has to be replayed, and ``read_only`` forbids it.
    :raises BusyError: this process has the environment open already.
    :raises OperatingSystemError: the operating system refused.
    """
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise BadArgumentError(f"a path holds no zero bytes: {encoded!r}", _ffi.BAD_ARGUMENT)
    options = _ffi.EnvOptions()
    check(_ffi.env_options_init(options))
    if read_only:
        options.flags |= _ffi.RDONLY
    if not create:
        options.flags |= _ffi.NOCREATE
    options.page_size = _unsigned("page_size", page_size, 32)
    options.checksum = _choice("checksum", checksum, _CHECKSUMS)
    options.durability = _choice("durability", durability, _DURABILITIES)
    options.writer_wait_ms = _unsigned("writer_wait_ms", writer_wait_ms, 32)
    options.threads = _ffi.THREADS_DEFAULT if threads else _ffi.THREADS_NONE
    if max_size is not None:
        options.max_size = _unsigned("max_size", max_size, 64)
    if max_txn_pages is not None:
        options.max_txn_pages = _unsigned("max_txn_pages", max_txn_pages, 64)
    if max_txn_memory is not None:
        options.max_txn_memory = _unsigned("max_txn_memory", max_txn_memory, 64)
    if max_readers is not None:
        options.max_readers = _unsigned("max_readers", max_readers, 32)
    if file_mode is not None:
        options.file_mode = _unsigned("file_mode", file_mode, 32)
    if log_size is not None:
        options.log_size = _unsigned("log_size", log_size, 64)
    if auto_compact_percent is not None:
        percent = _unsigned("auto_compact_percent", auto_compact_percent, 32)
        options.auto_compact_percent = percent
    if auto_compact_rate is not None:
        options.auto_compact_rate = _unsigned("auto_compact_rate", auto_compact_rate, 64)
    options.recovery = int(recovery)
    options.recovery_root = _unsigned("recovery_root", recovery_root, 64)
    tell: Any = None
    if on_event is not None:
        options.log = tell = _event_function(on_event)
    text = os.fsdecode(encoded)
    opened = _ffi.new_handle()
    try:
        code = _ffi.env_open(encoded, _ffi.reference(options), _ffi.reference(opened))
        if code != _ffi.OK:
            raise error_from_code(code, filename=text)
        return Environment(opened.value, text, tell)
    except BaseException:
        # A signal handler may raise when the environment has just been opened.
        if opened.value is not None:
            _ffi.env_close(opened.value)
        raise


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
            flags |= _choice("durability", durability, _DURABILITIES)
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
        failures: list[BaseException] = []

        def report_problem(_: object, problem: Any) -> None:
            if on_problem is None or failures:
                return
            try:
                on_problem(_problem(problem.contents))
            except BaseException as failure:
                # The exception cannot pass through the library; it is raised afterwards.
                failures.append(failure)

        def report_progress(_: object, done: int, total: int) -> int:
            if failures:
                return 1
            if on_progress is None:
                return 0
            try:
                return 1 if on_progress(done, total) is False else 0
            except BaseException as failure:
                failures.append(failure)
                return 1

        options = _ffi.sized(_ffi.VerifyOptions)
        options.level = _choice("level", level, _LEVELS)
        options.threads = _unsigned("threads", threads, 32)
        if database is not None:
            options.database = _name(database)
        if on_problem is not None:
            options.on_problem = _ffi.ProblemFunction(report_problem)
        if on_problem is not None or on_progress is not None:
            options.on_progress = _ffi.ProgressFunction(report_progress)
        raw = _ffi.sized(_ffi.Report)
        code = self._call(_ffi.env_verify, _ffi.reference(options), _ffi.reference(raw))
        if failures:
            raise failures[0]
        if code != _ffi.OK and not (code == _ffi.CORRUPTED and raw.problems > 0):
            raise error_from_code(code)
        return VerifyReport(
            txn_id=raw.txn_id,
            pages=raw.pages,
            tree_pages=raw.tree_pages,
            overflow_pages=raw.overflow_pages,
            free_pages=raw.free_pages,
            entries=raw.entries,
            databases=raw.databases,
            log_records=raw.log_records,
            log_bytes=raw.log_bytes,
            problems=raw.problems,
            digest=int(raw.digest),
            first_problem=None if code == _ffi.OK else _ffi.last_failure(code)[0],
        )

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
        self, *, max_pages: int = 0, bytes_per_second: int = 0, target_size: int = 0
    ) -> CompactResult:
        """Makes the data file shorter: moves pages from its end into free pages further up,
        fills sparse leaves, and gives the end back to the file system. Other transactions go
        on at the same time, and content does not change.

        The library does this by itself, slowly, when more than half of the file is free
        (``auto_compact_percent``).

        :param max_pages: pages to be moved at most, and some dozens more; 0 for no bound.
        :param bytes_per_second: to be moved or read at most; 0 for no bound.
        :param target_size: bytes of the file that are enough; 0: as short as it can be.
        :raises ReadOnlyError: the environment was opened read-only.
        :raises BusyError: this thread has a write transaction open.
        """
        options = _ffi.sized(_ffi.CompactOptions)
        options.max_pages = _unsigned("max_pages", max_pages, 64)
        options.bytes_per_second = _unsigned("bytes_per_second", bytes_per_second, 64)
        options.target_size = _unsigned("target_size", target_size, 64)
        raw = _ffi.sized(_ffi.CompactResult)
        check(self._call(_ffi.env_compact, _ffi.reference(options), _ffi.reference(raw)))
        return CompactResult(
            pages_moved=raw.pages_moved,
            bytes_before=raw.bytes_before,
            bytes_after=raw.bytes_after,
            waiting_pages=raw.waiting_pages,
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


def _event_function(on_event: Callable[[EventLevel, str], object]) -> Any:
    """The function for the library to call that passes events to `on_event`."""

    def tell(_: object, level: int, message: bytes) -> None:
        on_event(_EVENT_LEVELS.get(level, "error"), message.decode("utf-8", "replace"))

    return _ffi.LogFunction(tell)


def _problem(raw: Any) -> Problem:
    """A problem as the library passes it, for a program to keep."""
    place = _PROBLEM_PLACES.get(raw.place, "environment")
    return Problem(
        kind=_PROBLEM_KINDS.get(raw.kind, "structure"),
        place=place,
        page=None if raw.page == _ffi.NO_PAGE else raw.page,
        database=_ffi.val_bytes(raw.database) if place == "named database" else None,
        keys=((_ffi.val_bytes(raw.low), _ffi.val_bytes(raw.high)) if raw.has_range else None),
        entries=raw.entries or None,
        txn_id=raw.txn_id or None,
        wall_clock=raw.wall_clock or None,
        message=raw.message.decode("utf-8", "replace"),
    )


def _name(name: str | bytes) -> bytes:
    """The name of a database as the library takes it."""
    encoded = name.encode() if isinstance(name, str) else name
    if b"\0" in encoded:
        raise BadArgumentError(f"a name holds no zero bytes: {name!r}", _ffi.BAD_ARGUMENT)
    return encoded


def _choice(name: str, value: str, choices: Mapping[Any, int]) -> int:
    """The number that stands for an option's value in the library."""
    if value not in choices:
        raise BadArgumentError(
            f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}",
            _ffi.BAD_ARGUMENT,
        )
    return choices[value]


def _unsigned(name: str, value: int, bits: int) -> int:
    """An option's value, which ctypes would otherwise cut to its field's width."""
    number = operator.index(value)
    if not 0 <= number < 1 << bits:
        raise BadArgumentError(
            f"{name} must be from 0 to {(1 << bits) - 1}, not {number}", _ffi.BAD_ARGUMENT
        )
    return number
