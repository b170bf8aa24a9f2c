"""Databases, as py-lmdb has them."""

from __future__ import annotations

from typing import Any

from zerodb import _ffi
from zerodb._core import DatabaseCore

FLAGS = {
    "reverse_key": _ffi.REVERSEKEY,
    "dupsort": _ffi.DUPSORT,
    "integerkey": _ffi.INTEGERKEY,
    "integerdup": _ffi.INTEGERDUP,
    "dupfixed": _ffi.DUPFIXED,
}
"""The arguments of open_db(), and the library's flags."""


class _Database(DatabaseCore):
    """A database, from :meth:`Environment.open_db`."""

    __slots__ = ()

    def flags(self, txn: Any = None) -> dict[str, bool]:
        """What the database is, as arguments of :meth:`Environment.open_db`."""
        return {name: bool(self._flags & bit) for name, bit in FLAGS.items()}

    def __reduce__(self) -> Any:
        raise TypeError("a database cannot be copied or pickled; open it by its name")
