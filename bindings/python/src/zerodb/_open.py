"""Opening environments."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal

from zerodb import _ffi
from zerodb._arguments import CHECKSUMS, DURABILITIES, choice, unsigned
from zerodb._environment import Environment
from zerodb._errors import BadArgumentError, check, error_from_code
from zerodb._types import Durability, EventLevel

_EVENT_LEVELS: dict[int, EventLevel] = {
    _ffi.LOG_DEBUG: "debug",
    _ffi.LOG_INFORMATION: "information",
    _ffi.LOG_WARNING: "warning",
    _ffi.LOG_ERROR: "error",
}


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
    event_level: EventLevel = "information",
    slow_txn_ms: int = 0,
    archive: str | bytes | os.PathLike[str] | os.PathLike[bytes] | None = None,
    archive_log_kept: int | None = None,
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
    options.page_size = unsigned("page_size", page_size, 32)
    options.checksum = choice("checksum", checksum, CHECKSUMS)
    options.durability = choice("durability", durability, DURABILITIES)
    options.writer_wait_ms = unsigned("writer_wait_ms", writer_wait_ms, 32)
    options.threads = _ffi.THREADS_DEFAULT if threads else _ffi.THREADS_NONE
    if max_size is not None:
        options.max_size = unsigned("max_size", max_size, 64)
    if max_txn_pages is not None:
        options.max_txn_pages = unsigned("max_txn_pages", max_txn_pages, 64)
    if max_txn_memory is not None:
        options.max_txn_memory = unsigned("max_txn_memory", max_txn_memory, 64)
    if max_readers is not None:
        options.max_readers = unsigned("max_readers", max_readers, 32)
    if file_mode is not None:
        options.file_mode = unsigned("file_mode", file_mode, 32)
    if log_size is not None:
        options.log_size = unsigned("log_size", log_size, 64)
    if auto_compact_percent is not None:
        percent = unsigned("auto_compact_percent", auto_compact_percent, 32)
        options.auto_compact_percent = percent
    if auto_compact_rate is not None:
        options.auto_compact_rate = unsigned("auto_compact_rate", auto_compact_rate, 64)
    options.recovery = int(recovery)
    options.recovery_root = unsigned("recovery_root", recovery_root, 64)
    levels = {level: number for number, level in _EVENT_LEVELS.items()}
    options.log_level = choice("event_level", event_level, levels)
    options.slow_txn_ms = unsigned("slow_txn_ms", slow_txn_ms, 32)
    if archive is not None:
        options.archive = os.fsencode(archive)
        if b"\0" in os.fsencode(archive):
            message = f"a path holds no zero bytes: {archive!r}"
            raise BadArgumentError(message, _ffi.BAD_ARGUMENT)
    if archive_log_kept is not None:
        options.archive_log_kept = unsigned("archive_log_kept", archive_log_kept, 64)
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


def _event_function(on_event: Callable[[EventLevel, str], object]) -> Any:
    """The function for the library to call that passes events to `on_event`."""

    def tell(_: object, level: int, message: bytes) -> None:
        on_event(_EVENT_LEVELS.get(level, "error"), message.decode("utf-8", "replace"))

    return _ffi.LogFunction(tell)
