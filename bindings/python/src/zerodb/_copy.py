"""Copying environments."""

from __future__ import annotations

import os
from collections.abc import Callable

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._arguments import unsigned
from zerodb._callbacks import Callback
from zerodb._errors import BadArgumentError, check


def copy(
    call: Callable[..., int],
    target: t.Target | int,
    compact: bool,
    bytes_per_second: int,
    on_progress: Callable[[int, int], object] | None,
) -> t.CopyResult:
    """What Environment.copy() and copy_fd() do.

    :param call: calls a function of the library with the environment's handle.
    :param target: a path, or a file descriptor.
    """

    def report(done: int, total: int) -> bool:
        return on_progress is not None and on_progress(done, total) is False

    progress = Callback(_abi.ProgressFunction, report)
    options = _ffi.sized(_abi.CopyOptions)
    options.flags = _abi.COPY_COMPACT if compact else 0
    options.bytes_per_second = unsigned("bytes_per_second", bytes_per_second, 64)
    options.on_progress = progress.function
    raw = _ffi.sized(_abi.CopyResult)
    arguments: list[t.Any] = [_ffi.reference(options), _ffi.reference(raw)]
    if isinstance(target, int):
        code = progress.during(call, _ffi.env_copy_fd, unsigned("fd", target, 31), *arguments)
    else:
        path = os.fsencode(target)
        if b"\0" in path:
            raise BadArgumentError(f"a path holds no zero bytes: {path!r}", _abi.BAD_ARGUMENT)
        code = progress.during(call, _ffi.env_copy, path, *arguments)
    progress.check()
    check(code)
    from zerodb._types import CopyResult

    return CopyResult(
        txn_id=raw.txn_id,
        wall_clock=raw.wall_clock,
        file_size=raw.file_size,
        bytes_written=raw.bytes_written,
        digest=int(raw.digest),
    )
