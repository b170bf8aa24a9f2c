"""Transactions, as py-lmdb has them.

What programs call most is the core's, without a frame of Python in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zerodb.lmdb
from zerodb import _abi, _ffi
from zerodb._core import TransactionCore
from zerodb.lmdb._cursor import Cursor
from zerodb.lmdb._database import _Database
from zerodb.lmdb._errors import BadTxnError, check
from zerodb.lmdb._names import names_of, with_names

FIRST_TXN = 1
"""The id of a new environment, which is 0 with LMDB."""


class Transaction(TransactionCore):
    """A transaction, from :meth:`Environment.begin`."""

    __slots__ = ()

    if TYPE_CHECKING:
        environment: zerodb.lmdb.Environment

    def id(self) -> int:
        """For a reader the newest commit it sees, for a writer the id its commit will have."""
        number: int = self._call(_ffi.txn_id)
        if number == 0:
            raise BadTxnError("a nested transaction is open in this one; end it first")
        return number - FIRST_TXN

    def stat(self, db: _Database | None = None) -> dict[str, int]:
        """Statistics of a database; None is the transaction's default."""
        raw = _ffi.sized(_abi.DbStat)
        database = self._database(db)
        check(self._call(_ffi.stat, database, _ffi.reference(raw)))
        entries = raw.entries
        if database == _abi.MAIN_DB and self.environment._has_databases:
            # As those of LMDB's main database, which the records of the others are.
            entries += len(names_of(self))
        return {
            "psize": raw.page_size,
            "depth": raw.depth,
            "branch_pages": raw.branch_pages,
            "leaf_pages": raw.leaf_pages,
            "overflow_pages": raw.overflow_pages,
            "entries": entries,
        }

    def cursor(self, db: _Database | None = None) -> Cursor:
        """Opens a cursor, on no entry yet."""
        cursor: Cursor = super().cursor(db)
        return with_names(cursor) if self.environment._has_databases else cursor

    def drop(self, db: _Database, delete: bool = True) -> None:
        """Deletes all entries of a database, and with `delete` the database too, unless it is
        the main one."""
        if not isinstance(db, _Database):
            raise TypeError(f"db must be a database, not {type(db).__name__}")
        database = self._database(db)
        delete = delete is None or delete
        is_named = database != _abi.MAIN_DB
        check(self._call(_ffi.db_drop if delete and is_named else _ffi.db_clear, database))

    @property
    def env(self) -> zerodb.lmdb.Environment:
        """The environment."""
        return self.environment

    def __reduce__(self) -> Any:
        raise TypeError("a transaction cannot be copied or pickled; begin another one")
