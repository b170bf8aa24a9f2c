"""Where environments are: what py-lmdb's programs pass as a path."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator

from zerodb.lmdb._errors import Error, InvalidError, LockError

_DATA = "data.zdb"
_MAGIC = b"\x89ZERODB\n"
_WAIT_SECONDS = 10.0
_MAGIC_AT = 8
"""Where in a data file the magic number is."""


def text_of(path: object) -> str:
    """A path as text."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"path must be str, bytes or a path, not {type(path).__name__}")
    return os.fsdecode(path)


def prepare(path: str, subdir: bool, readonly: bool, create: bool, mode: int) -> None:
    """Makes the directory of an environment, and moves a file that
    :meth:`Environment.copyfd` has written to its place in it.

    Without `subdir` the directory has the place of LMDB's single file. Of several processes
    and threads that move one copy at a time, one does it.
    """
    copied = os.path.join(path, "data.mdb")
    # In this order: a file that is being moved is at one of the two places.
    if os.path.isfile(path) or any(map(os.path.exists, (_moving(path), copied))):
        with _alone_beside(path):
            is_file = not subdir and os.path.isfile(path)
            if is_file and not _is_copy(path):
                raise InvalidError(
                    f"{path} is no file of ZeroDB; zerodb-load --lmdb reads those of LMDB"
                )
            if is_file or (os.path.isdir(_moving(path)) and not os.path.exists(path)):
                _make_directory_of(path)
            if _is_copy(copied) and not os.path.exists(os.path.join(path, _DATA)):
                os.rename(copied, os.path.join(path, _DATA))
    if readonly or os.path.exists(path):
        return
    if not create and subdir:
        raise Error(f"there is no directory {path}, and create is False", errno.ENOENT)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode | (mode & 0o444) >> 2)


def size_of_data(path: str) -> int:
    """Bytes of the data file of an environment; 0 if there is none."""
    try:
        return os.stat(os.path.join(path, _DATA)).st_size
    except OSError:
        return 0


def check_target(path: str, subdir: bool) -> None:
    """Refuses a target of a copy that LMDB would refuse."""
    if subdir and not os.path.isdir(path):
        raise Error(f"there is no directory {path} to copy into", errno.ENOENT)


def _is_copy(path: str) -> bool:
    """Whether a file is the data file of an environment of ZeroDB."""
    try:
        with open(path, "rb") as file:
            file.seek(_MAGIC_AT)
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


@contextlib.contextmanager
def _alone_beside(path: str) -> Iterator[None]:
    """Holds the lock of the directory that `path` is in, where that can be opened.

    Anybody who may read that directory can hold the lock, so the wait for it has an end.
    """
    try:
        parent = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        end = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                fcntl.flock(parent, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise LockError(
                        f"another program keeps the directory that {path} is in locked; end it"
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        # A child that was forked meanwhile shares the lock, so closing alone would leave it.
        fcntl.flock(parent, fcntl.LOCK_UN)
        os.close(parent)


def _moving(path: str) -> str:
    """Where the directory is while a data file is moved into it.

    The next program goes on with one that was left when a program was killed.
    """
    parent, name = os.path.split(os.path.abspath(path))
    return os.path.join(parent, f".{name}.moving")


def _make_directory_of(path: str) -> None:
    """Makes a data file a directory that holds it."""
    directory = _moving(path)
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(directory)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise Error(f"{directory} is in the way, and not yours; remove it", errno.EEXIST)
    if os.path.exists(path):
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, stat.S_IMODE(os.stat(path).st_mode) | 0o700)
        os.rename(path, os.path.join(directory, _DATA))
    os.rename(directory, path)
