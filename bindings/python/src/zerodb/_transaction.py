"""Transactions."""

from __future__ import annotations

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._arguments import unsigned
from zerodb._callbacks import Callback, calling_back
from zerodb._core import TransactionCore
from zerodb._database import Database, encoded_name, flag_bits, flag_names, open_database
from zerodb._errors import BadTransactionError, check

TYPE_CHECKING = False


class Transaction(TransactionCore):
    """A transaction, from :meth:`Environment.begin`.

    A read transaction sees the newest commit, unchanged for as long as it lives. A write
    transaction also sees its own changes, and is on disk when :meth:`commit` returns, unless
    it was begun with less durability.

    As a context manager it commits at the end of the block and aborts if that raises. As a
    mapping it is its default database: ``txn[key]``, ``txn[key] = value``, ``del txn[key]``,
    ``key in txn``, ``for key in txn``. That is the main one unless :meth:`Environment.begin`
    was given another.

    Keys and values are any contiguous bytes-like objects; those returned are bytes, copied, or
    memoryviews if it was begun with ``buffers=True``. One thread at a time may use a
    transaction and its cursors; a second gets BusyError.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        environment: t.Environment

    # ---------------------------------------------------------------- databases

    def db(
        self,
        name: str | bytes | None,
        create: bool = False,
        *,
        reverse_key: bool = False,
        integer_key: bool = False,
        dupsort: bool = False,
        dupfixed: bool = False,
        integer_dup: bool = False,
        reverse_dup: bool = False,
        counted: bool = False,
    ) -> Database:
        """Opens a named database; None is the main database.

        :param create: make it if it is not there, which takes a write transaction. If that
            aborts, the database is gone again.

        The other parameters say what the database is, see :class:`DatabaseFlags`. Without them
        one that exists is opened as it is.

        :raises NotFoundError: no database has this name.
        :raises IncompatibleError: the database has other flags, or they do not go together.
        """
        flags = flag_bits(
            {
                "reverse_key": reverse_key,
                "integer_key": integer_key,
                "dupsort": dupsort,
                "dupfixed": dupfixed,
                "integer_dup": integer_dup,
                "reverse_dup": reverse_dup,
                "counted": counted,
            }
        )
        bits = flags | (_abi.CREATE if create else 0)
        database: Database = self._open_db(name, bits, Database)
        return database

    def _open_db(self, name: str | bytes | None, flags: int, kind: t.Any) -> t.Any:
        return self._call(open_database, self.environment, kind, name, flags)

    def databases(self) -> dict[str, t.DatabaseStat]:
        """The named databases with their statistics, in the order of their names."""
        found: dict[str, t.DatabaseStat] = {}

        def add(name: bytes, raw: t.Any) -> None:
            found[name.decode("utf-8", "surrogateescape")] = stat_of(raw.contents)

        check(calling_back(self._call, _ffi.db_list, _abi.DbListFunction, add))
        return found

    def stat(self, db: Database | None = None) -> t.DatabaseStat:
        """Statistics of a database, at the cost of a lookup."""
        database = self._database(db)
        raw = _ffi.sized(_abi.DbStat)
        check(self._call(_ffi.stat, database, _ffi.reference(raw)))
        return stat_of(raw)

    def clear(self, db: Database | None = None) -> None:
        """Deletes all entries of a database."""
        check(self._call(_ffi.db_clear, self._database(db)))

    def drop(self, db: Database, delete: bool = True) -> None:
        """Deletes a named database with all its entries, or with ``delete=False`` only these.

        :raises IncompatibleError: it is the main database, which can only be emptied.
        """
        if not isinstance(db, Database):
            raise TypeError(f"db must be a zerodb.Database, not {type(db).__name__}")
        function = _ffi.db_drop if delete else _ffi.db_clear
        check(self._call(function, self._database(db)))

    def rename(self, db: Database, name: str | bytes) -> Database:
        """Gives a named database another name, and returns it under that. `db` is no database
        any more.

        :raises KeyExistsError: there is a database of that name.
        """
        renamed = _ffi.new_database_handle()
        encoded = encoded_name(name)
        if encoded is None:
            raise TypeError("a database's new name must be str or bytes, not None")
        code = self._call(_ffi.db_rename, self._database(db), encoded, _ffi.reference(renamed))
        check(code)
        text = encoded.decode("utf-8", "surrogateescape")
        return type(db)(self.environment, renamed.value, text, db._flags)

    def flags(self, db: Database | None = None) -> t.DatabaseFlags:
        """What a database is."""
        bits = _ffi.new_count()
        check(self._call(_ffi.db_flags, self._database(db), _ffi.reference(bits)))
        return flag_names(bits.value)

    # ------------------------------------------------------------------- ranges

    def delete_range(
        self,
        start: t.Buffer | None = None,
        stop: t.Buffer | None = None,
        db: Database | None = None,
    ) -> int:
        """Deletes the entries from the key `start` up to but not including `stop`, and returns
        how many there were. None is the beginning or the end of the database."""
        return self._on_range(_ffi.delete_range, start, stop, db)

    def count_range(
        self,
        start: t.Buffer | None = None,
        stop: t.Buffer | None = None,
        db: Database | None = None,
    ) -> int:
        """How many entries are from the key `start` up to but not including `stop`: at the cost
        of two lookups in a database made with ``counted``, otherwise in a pass over them."""
        return self._on_range(_ffi.count_range, start, stop, db)

    def rank(self, key: t.Buffer, db: Database | None = None) -> tuple[int, bool]:
        """How many entries come before a key, and whether the key is there.

        :raises IncompatibleError: the database was made without ``counted``.
        """
        number = _ffi.new_long_count()
        value, held = _ffi.input_val(key, "key")
        code = self._call(
            _ffi.rank, self._database(db), _ffi.reference(value), _ffi.reference(number)
        )
        del held
        if code != _abi.NOT_FOUND:
            check(code)
        return number.value, code == _abi.OK

    def split(
        self,
        parts: int,
        start: t.Buffer | None = None,
        stop: t.Buffer | None = None,
        db: Database | None = None,
    ) -> list[tuple[bytes | None, bytes | None]]:
        """Divides a range of keys into parts with equal numbers of entries, for parallel work.

        :returns: `start` and `stop` of each part, for :meth:`items`. Fewer than `parts` if
            there are fewer keys.
        :raises IncompatibleError: the database was made without ``counted``.
        """
        bounds: list[bytes | None] = [None if start is None else _ffi.to_bytes(start, "start")]

        def add(key: t.Any) -> None:
            bounds.append(_ffi.val_bytes(key.contents) or b"")

        each = Callback(_abi.SplitFunction, add)
        first, held = (None, None) if start is None else _ffi.input_val(start, "start")
        last, held_too = (None, None) if stop is None else _ffi.input_val(stop, "stop")
        code = each.during(
            self._call,
            _ffi.split_range,
            self._database(db),
            None if first is None else _ffi.reference(first),
            None if last is None else _ffi.reference(last),
            unsigned("parts", parts, 32),
            each.function,
            None,
        )
        del held, held_too
        each.check()
        check(code)
        bounds.append(None if stop is None else _ffi.to_bytes(stop, "stop"))
        return list(zip(bounds, bounds[1:]))

    def compare(self, left: t.Buffer, right: t.Buffer, db: Database | None = None) -> int:
        """Orders two keys as a database does: a number below, equal to or above 0."""
        return self._compare(_ffi.compare_keys, left, right, db)

    def compare_values(
        self, left: t.Buffer, right: t.Buffer, db: Database | None = None
    ) -> int:
        """Orders two values of one key as a database with ``dupsort`` does."""
        return self._compare(_ffi.compare_values, left, right, db)

    # ----------------------------------------------------------------- lifetime

    @property
    def id(self) -> int:
        """For a reader the newest commit it sees, for a writer the id its commit will have."""
        transaction_id: int = self._call(_ffi.txn_id)
        if transaction_id == 0:
            raise BadTransactionError(
                "the transaction has no snapshot: it was reset, or a nested one is open in it",
                _abi.BAD_TXN,
            )
        return transaction_id

    def __repr__(self) -> str:
        kind = "write" if self.write else "read"
        return f"<zerodb.Transaction {kind} {'active' if self.active else 'ended'}>"

    def __reduce__(self) -> t.Any:
        raise TypeError("a transaction cannot be copied or pickled; begin another one")

    # ----------------------------------------------------------------- private

    def _on_range(
        self,
        function: t.Any,
        start: t.Buffer | None,
        stop: t.Buffer | None,
        db: Database | None,
    ) -> int:
        first, held = (None, None) if start is None else _ffi.input_val(start, "start")
        last, held_too = (None, None) if stop is None else _ffi.input_val(stop, "stop")
        number = _ffi.new_long_count()
        code = self._call(
            function,
            self._database(db),
            None if first is None else _ffi.reference(first),
            None if last is None else _ffi.reference(last),
            _ffi.reference(number),
        )
        del held, held_too
        check(code)
        count: int = number.value
        return count

    def _compare(self, function: t.Any, left: t.Buffer, right: t.Buffer, db: t.Any) -> int:
        first, held = _ffi.input_val(left, "left")
        second, held_too = _ffi.input_val(right, "right")
        order = _ffi.new_order()
        code = self._call(
            function,
            self._database(db),
            _ffi.reference(first),
            _ffi.reference(second),
            _ffi.reference(order),
        )
        del held, held_too
        check(code)
        number: int = order.value
        return number


def stat_of(raw: t.Any) -> t.DatabaseStat:
    """Statistics as the library returns them, for a program to keep."""
    from zerodb._types import DatabaseStat

    return DatabaseStat(
        page_size=raw.page_size,
        depth=raw.depth,
        entries=raw.entries,
        keys=raw.keys,
        branch_pages=raw.branch_pages,
        leaf_pages=raw.leaf_pages,
        overflow_pages=raw.overflow_pages,
        flags=flag_names(raw.flags),
        digest=int(raw.digest),
    )
