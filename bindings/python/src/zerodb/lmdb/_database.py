"""Databases, as py-lmdb has them."""

from __future__ import annotations

from typing import Any

from zerodb import _abi
from zerodb._core import DatabaseCore

FLAGS = {
    "reverse_key": _abi.REVERSEKEY,
    "dupsort": _abi.DUPSORT,
    "integerkey": _abi.INTEGERKEY,
    "integerdup": _abi.INTEGERDUP,
    "dupfixed": _abi.DUPFIXED,
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
