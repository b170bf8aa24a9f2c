"""Opening environments."""

from __future__ import annotations

import os

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._arguments import CHECKSUMS, DURABILITIES, choice, unsigned
from zerodb._errors import BadArgumentError, check, error_from_code

_EVENT_LEVELS: dict[int, t.EventLevel] = {
    _abi.LOG_DEBUG: "debug",
    _abi.LOG_INFORMATION: "information",
    _abi.LOG_WARNING: "warning",
    _abi.LOG_ERROR: "error",
}
_WIDTHS = {
    "page_size": 32,
    "max_size": 64,
    "max_txn_pages": 64,
    "max_txn_memory": 64,
    "max_readers": 32,
    "file_mode": 32,
    "log_size": 64,
    "writer_wait_ms": 32,
    "auto_compact_percent": 32,
    "auto_compact_rate": 64,
    "recovery_root": 64,
    "slow_txn_ms": 32,
    "archive_log_kept": 64,
}
"""Options that are numbers, and the bits of each. None stands for the library's default."""


class OpenedEnvironment:
    """An environment that the library has opened, with the options of :func:`zerodb.open`.

    It closes the environment again if it is dropped before another has taken that over, as when
    a signal handler raises in between.
    """

    handle: int | None = None

    def __init__(self, path: str, **given: t.Any) -> None:
        options = _abi.EnvOptions()
        check(_ffi.env_options_init(options))
        for name, bits in _WIDTHS.items():
            number = given.get(name)
            if number is not None:
                setattr(options, name, unsigned(name, number, bits))
        if given.get("read_only"):
            options.flags |= _abi.RDONLY
        if not given.get("create", True):
            options.flags |= _abi.NOCREATE
        options.checksum = choice("checksum", given.get("checksum", "fast"), CHECKSUMS)
        options.durability = choice("durability", given.get("durability", "full"), DURABILITIES)
        threads = given.get("threads", True)
        options.threads = _abi.THREADS_DEFAULT if threads else _abi.THREADS_NONE
        options.recovery = int(given.get("recovery", False))
        levels = {level: number for number, level in _EVENT_LEVELS.items()}
        level = given.get("event_level", "information")
        options.log_level = choice("event_level", level, levels)
        archive = given.get("archive")
        if archive is not None:
            options.archive = encoded_path(archive)
        on_event = given.get("on_event")
        self.tell: t.Any = None
        """What the library calls for events; it must live as long as the environment is
        open."""
        if on_event is not None:
            options.log = self.tell = _event_function(on_event)
        encoded = encoded_path(path)
        opened = _ffi.new_handle()
        try:
            code = _ffi.env_open(encoded, _ffi.reference(options), _ffi.reference(opened))
            if code != _abi.OK:
                raise error_from_code(code, filename=path)
            self.handle = opened.value
        except BaseException:
            # A signal handler may raise when the environment has just been opened.
            self.handle = opened.value
            raise

    def close(self) -> None:
        """Closes it again, unless another has taken that over."""
        if self.handle is not None:
            # A handle that has been closed is refused.
            _ffi.env_close(self.handle)
            self.handle = None

    __del__ = close


def encoded_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> bytes:
    """A path as the library takes it."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise BadArgumentError(f"a path holds no zero bytes: {encoded!r}", _abi.BAD_ARGUMENT)
    return encoded


def _event_function(on_event: t.Callable[[t.EventLevel, str], object]) -> t.Any:
    """The function for the library to call that passes events to `on_event`."""

    def tell(_: object, level: int, message: bytes) -> None:
        on_event(_EVENT_LEVELS.get(level, "error"), message.decode("utf-8", "replace"))

    return _abi.LogFunction(tell)
