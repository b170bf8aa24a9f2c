"""Transactions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from zerodb import _ffi
from zerodb._cursor import Cursor, KeyRange, put_flags, walk_range
from zerodb._database import Database, handle_of, open_database
from zerodb._errors import check, error_from_code
from zerodb._state import TransactionState
from zerodb._types import Buffer, DatabaseStat, Item

if TYPE_CHECKING:
    from zerodb._environment import Environment

Default = TypeVar("Default")


class Transaction:
    """A transaction, from :meth:`Environment.begin`.

    A read transaction sees the newest commit, unchanged for as long as it lives. A write
    transaction also sees its own changes, and is on disk when :meth:`commit` returns, unless
    it was begun with less durability.

    As a context manager it commits at the end of the block and aborts if that raises. As a
    mapping it is the main database: ``txn[key]``, ``txn[key] = value``, ``del txn[key]``,
    ``key in txn``, ``for key in txn``.

    Keys and values are any contiguous bytes-like objects; those returned are bytes, copied.
    One thread at a time may use a transaction and its cursors; a second gets BusyError.
    """

    __slots__ = (
        "__weakref__",
        "_environment",
        "_key_input",
        "_key_reference",
        "_state",
        "_value",
        "_value_input",
        "_value_reference",
    )

    def __init__(self, environment: Environment, state: TransactionState) -> None:
        self._environment = environment
        self._state = state
        # Made once, since making them for every call would take as long as a short call does.
        key = _ffi.Val()
        self._key_input = _ffi.input_view(key)
        self._key_reference: Any = _ffi.reference(key)
        self._value = _ffi.Val()
        self._value_input = _ffi.input_view(self._value)
        self._value_reference: Any = _ffi.reference(self._value)

    # ----------------------------------------------------------------- reading

    @overload
    def get(
        self, key: Buffer, default: None = None, db: Database | None = None
    ) -> bytes | None: ...

    @overload
    def get(
        self, key: Buffer, default: Default, db: Database | None = None
    ) -> bytes | Default: ...

    def get(self, key: Buffer, default: Any = None, db: Database | None = None) -> Any:
        """The value of a key, or `default` if the key is not there."""
        value = self._lookup(key, db)
        return default if value is None else value

    def __getitem__(self, key: Buffer) -> bytes:
        value = self._lookup(key, None)
        if value is None:
            raise error_from_code(_ffi.NOT_FOUND)
        return value

    def __contains__(self, key: Buffer) -> bool:
        return self._lookup(key, None, want_value=False) is not None

    def __iter__(self) -> Iterator[bytes]:
        return self.keys()

    def cursor(self, db: Database | None = None) -> Cursor:
        """Opens a cursor, on no entry yet."""
        return Cursor(self, handle_of(db, self._environment))

    def items(
        self,
        db: Database | None = None,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
    ) -> Iterator[Item]:
        """The entries of a database, or of a range of its keys, in the order of the keys.

        In a write transaction the database may change during the iteration.

        :param start: the first key of the range.
        :param stop: the first key after the range.
        :param prefix: what the keys begin with.
        :param reverse: from the last key to the first.
        """
        return self._walk(db, KeyRange(start, stop, prefix), reverse, True)

    def keys(
        self,
        db: Database | None = None,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
    ) -> Iterator[bytes]:
        """The keys of a database, or of a range of it, as :meth:`items`."""
        walk = self._walk(db, KeyRange(start, stop, prefix), reverse, False)
        return (key for key, _ in walk)

    def values(
        self,
        db: Database | None = None,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
    ) -> Iterator[bytes]:
        """The values of a database, or of a range of its keys, as :meth:`items`."""
        walk = self._walk(db, KeyRange(start, stop, prefix), reverse, True)
        return (value for _, value in walk)

    def stat(self, db: Database | None = None) -> DatabaseStat:
        """Statistics of a database, at the cost of a lookup."""
        database = handle_of(db, self._environment)
        raw = _ffi.sized(_ffi.DbStat)
        check(self._state.call(_ffi.stat, database, _ffi.reference(raw)))
        return DatabaseStat(
            page_size=raw.page_size,
            depth=raw.depth,
            entries=raw.entries,
            branch_pages=raw.branch_pages,
            leaf_pages=raw.leaf_pages,
            overflow_pages=raw.overflow_pages,
            digest=int(raw.digest),
        )

    # ----------------------------------------------------------------- writing

    def put(
        self,
        key: Buffer,
        value: Buffer,
        *,
        overwrite: bool = True,
        append: bool = False,
        db: Database | None = None,
    ) -> bool:
        """Puts a key and its value.

        :param overwrite: whether to replace the value of a key that is there.
        :param append: the key is after all others, which spares the search.
        :returns: False if the key is there and `overwrite` is False.
        :raises NotSortedError: `append` was given and the key is not after the last one.
        """
        database = _ffi.MAIN_DB if db is None else handle_of(db, self._environment)
        flags = put_flags(overwrite, append)
        state = self._state
        entered = True
        try:
            if not state.lock.acquire(False):
                entered = False
                raise state.busy()
            if state.handle is None:
                raise state.ended()
            # Held through the call: the library reads through the addresses of these.
            held = (
                _ffi.point_at(self._key_input, key, "key"),
                _ffi.point_at(self._value_input, value, "value"),
            )
            code = _ffi.put(
                state.handle, database, self._key_reference, self._value_reference, flags
            )
            self._value_input.data = None
            del held
        finally:
            if entered:
                state.lock.release()
        if code == _ffi.OK:
            return True
        if code == _ffi.KEYEXIST and not overwrite:
            return False
        raise error_from_code(code)

    def delete(self, key: Buffer, db: Database | None = None) -> bool:
        """Deletes a key.

        :returns: False if the key is not there.
        """
        code = self._delete(key, db)
        if code == _ffi.NOT_FOUND:
            return False
        check(code)
        return True

    def __setitem__(self, key: Buffer, value: Buffer) -> None:
        self.put(key, value)

    def __delitem__(self, key: Buffer) -> None:
        check(self._delete(key, None))

    def db(self, name: str | bytes | None, create: bool = False) -> Database:
        """Opens a named database; None is the main database.

        :param create: make it if it is not there, which takes a write transaction. If that
            aborts, the database is gone again.
        :raises NotFoundError: no database has this name.
        """
        database: Database = self._state.call(open_database, self._environment, name, create)
        return database

    # ---------------------------------------------------------------- lifetime

    @property
    def environment(self) -> Environment:
        """The environment that the transaction belongs to."""
        return self._environment

    @property
    def write(self) -> bool:
        """Whether it is a write transaction."""
        return self._state.write

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self._state.handle is not None

    @property
    def id(self) -> int:
        """For a reader the newest commit it sees, for a writer the id its commit will have."""
        transaction_id: int = self._state.call(_ffi.txn_id)
        return transaction_id

    def commit(self) -> None:
        """Commits and ends the transaction. When it returns, its changes are on disk, unless
        its durability is less than "full".

        If it raises, they have not happened. After PanicError that is
        unknown until the environment is opened again.
        """
        state = self._state
        code = state.call(state.commit)
        self._environment._forget(state)
        check(code)

    def abort(self) -> None:
        """Ends the transaction and forgets its changes. Does nothing if it has ended."""
        self._end("was aborted")

    def reset(self) -> None:
        """Gives up a read transaction's snapshot; :meth:`renew` gives it a new one."""
        check(self._state.call(_ffi.txn_reset))

    def renew(self) -> None:
        """Gives a read transaction that was reset the newest snapshot."""
        check(self._state.call(_ffi.txn_renew))

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.active:
            return
        if kind is not None:
            self.abort()
        elif self.write:
            self.commit()
        else:
            self._end("has ended")

    def __del__(self) -> None:
        state = self._state
        if state.handle is None or state.inherited:
            return
        if not state.attempt(lambda: state.abort("was dropped")):
            return  # the environment is closing and ends it
        self._environment._forget(state)
        warnings.warn(
            f"a transaction of the environment at {self._environment.path} was dropped without "
            "commit() or abort(), and has been aborted",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )

    def __repr__(self) -> str:
        kind = "write" if self.write else "read"
        return f"<zerodb.Transaction {kind} {'active' if self.active else 'ended'}>"

    # ----------------------------------------------------------------- private

    def _lookup(
        self, key: Buffer, db: Database | None, want_value: bool = True
    ) -> bytes | None:
        """The value of a key, empty if it is not wanted; None if the key is not there."""
        database = _ffi.MAIN_DB if db is None else handle_of(db, self._environment)
        state = self._state
        entered = True
        try:
            if not state.lock.acquire(False):
                entered = False
                raise state.busy()
            if state.handle is None:
                raise state.ended()
            held = _ffi.point_at(self._key_input, key, "key")
            code = _ffi.get(
                state.handle,
                database,
                self._key_reference,
                self._value_reference if want_value else None,
            )
            del held
            if code == _ffi.OK:
                if not want_value:
                    return b""
                value = self._value
                return _ffi.copy_bytes(value.data, value.size)
        finally:
            if entered:
                state.lock.release()
        if code == _ffi.NOT_FOUND:
            return None
        raise error_from_code(code)

    def _delete(self, key: Buffer, db: Database | None) -> int:
        database = _ffi.MAIN_DB if db is None else handle_of(db, self._environment)
        state = self._state
        entered = True
        try:
            if not state.lock.acquire(False):
                entered = False
                raise state.busy()
            if state.handle is None:
                raise state.ended()
            held = _ffi.point_at(self._key_input, key, "key")
            code: int = _ffi.delete(state.handle, database, self._key_reference, None)
            del held
            return code
        finally:
            if entered:
                state.lock.release()

    def _walk(
        self, db: Database | None, keys: KeyRange, reverse: bool, want_value: bool
    ) -> Iterator[Item]:
        return walk_range(
            self.cursor(db), keys, self._environment.max_key_size, reverse, want_value
        )

    def _end(self, outcome: str) -> None:
        state = self._state
        if state.handle is None:
            return
        if state.inherited:
            state.abort(outcome)
            return
        if not state.attempt(lambda: state.abort(outcome)):
            raise state.busy()
        self._environment._forget(state)
