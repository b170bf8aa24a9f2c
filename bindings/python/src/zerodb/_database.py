"""Databases of an environment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._core import DatabaseCore
from zerodb._errors import BadArgumentError, error_from_code

TYPE_CHECKING = False

_BITS = {
    "reverse_key": _abi.REVERSEKEY,
    "integer_key": _abi.INTEGERKEY,
    "dupsort": _abi.DUPSORT,
    "dupfixed": _abi.DUPFIXED,
    "integer_dup": _abi.INTEGERDUP,
    "reverse_dup": _abi.REVERSEDUP,
    "counted": _abi.COUNTED,
}


def flag_bits(flags: Mapping[str, bool]) -> int:
    """The library's flags for those that are set."""
    bits = 0
    for name, is_set in flags.items():
        if is_set:
            bits |= _BITS[name]
    return bits


def flag_names(bits: int) -> t.DatabaseFlags:
    """The flags that the library's bits stand for."""
    from zerodb._types import DatabaseFlags

    return DatabaseFlags(**{name: bool(bits & bit) for name, bit in _BITS.items()})


class Database(DatabaseCore):
    """A database of an environment, from :meth:`Environment.open_db` or :meth:`Transaction.db`.

    It serves all transactions of its environment, on any thread.

    As a mapping, ``db[key]``, ``db[key] = value``, ``del db[key]``, ``key in db``, ``len(db)``,
    it begins and ends a transaction for each operation: a write is on disk when it returns. For
    more than a few use one transaction.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        environment: t.Environment
        name: str | None

    @property
    def flags(self) -> t.DatabaseFlags:
        """What the database is."""
        return flag_names(self._flags)

    # ------------------------------------------------------------------ mapping

    def __getitem__(self, key: t.Buffer) -> bytes:
        with self.environment.begin(self) as txn:
            value: bytes = txn[key]
            return value

    def __setitem__(self, key: t.Buffer, value: t.Buffer) -> None:
        with self.environment.begin(self, write=True) as txn:
            txn[key] = value

    def __delitem__(self, key: t.Buffer) -> None:
        with self.environment.begin(self, write=True) as txn:
            del txn[key]

    def __contains__(self, key: t.Buffer) -> bool:
        with self.environment.begin(self) as txn:
            return key in txn

    def __len__(self) -> int:
        return self.stat().entries

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[bytes]:
        return self.keys()

    def get(self, key: t.Buffer, default: t.Any = None) -> t.Any:
        """The value of a key, its first one; or `default` if the key is not there."""
        with self.environment.begin(self) as txn:
            return txn.get(key, default)

    def pop(self, key: t.Buffer, *default: t.Any) -> t.Any:
        """Deletes a key and returns its value; or `default`, if that is given, for a key that
        is not there.

        :raises NotFoundError: the key is not there and there is no default.
        """
        with self.environment.begin(self, write=True) as txn:
            value = txn.pop(key)
            if value is not None:
                return value
            if not default:
                return txn[key]
            return default[0]

    def setdefault(self, key: t.Buffer, default: t.Buffer) -> bytes:
        """The value of a key, which is put if the key is not there."""
        with self.environment.begin(self, write=True) as txn:
            txn.put(key, default, overwrite=False)
            value: bytes = txn[key]
            return value

    def update(
        self, items: Mapping[t.Any, t.Any] | Database | Iterable[tuple[t.Any, t.Any]]
    ) -> None:
        """Puts many entries in one transaction: all of them or none."""
        with self.environment.begin(self, write=True) as txn:
            if hasattr(items, "keys"):
                items = items.items() if hasattr(items, "items") else _pairs_of(items)
            txn.put_many(items)

    def clear(self) -> None:
        """Deletes all entries."""
        with self.environment.begin(self, write=True) as txn:
            txn.clear(self)

    def items(
        self,
        start: t.Buffer | None = None,
        stop: t.Buffer | None = None,
        prefix: t.Buffer | None = None,
        reverse: bool = False,
    ) -> Iterator[t.Item]:
        """The entries of the database, or of a range of its keys, as :meth:`Transaction.items`.

        The iterator has a read transaction, which ends with it.
        """
        with self.environment.begin(self) as txn:
            yield from txn.items(self, start, stop, prefix, reverse)

    def keys(
        self,
        start: t.Buffer | None = None,
        stop: t.Buffer | None = None,
        prefix: t.Buffer | None = None,
        reverse: bool = False,
    ) -> Iterator[bytes]:
        """The keys of the database, or of a range of it, as :meth:`items`."""
        with self.environment.begin(self) as txn:
            yield from txn.keys(self, start, stop, prefix, reverse)

    def values(
        self,
        start: t.Buffer | None = None,
        stop: t.Buffer | None = None,
        prefix: t.Buffer | None = None,
        reverse: bool = False,
    ) -> Iterator[bytes]:
        """The values of the database, or of a range of its keys, as :meth:`items`."""
        with self.environment.begin(self) as txn:
            yield from txn.values(self, start, stop, prefix, reverse)

    def stat(self) -> t.DatabaseStat:
        """Statistics of the database as of the newest commit."""
        return self.environment.stat(self)

    # ------------------------------------------------------------------ identity

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Database):
            return NotImplemented
        return self.environment is other.environment and self._handle == other._handle

    def __hash__(self) -> int:
        return hash((id(self.environment), self._handle))

    def __repr__(self) -> str:
        name = "the main database" if self.name is None else repr(self.name)
        return f"<zerodb.Database {name} of {self.environment.path!r}>"

    def __reduce__(self) -> t.Any:
        return _reopen, (self.environment, self.name)


def _pairs_of(mapping: t.Any) -> Iterator[tuple[t.Any, t.Any]]:
    return ((key, mapping[key]) for key in mapping.keys())  # noqa: SIM118


def _reopen(environment: t.Environment, name: str | None) -> Database:
    """What a pickle of a database is read as."""
    return environment.open_db(name)


def open_database(
    transaction: int,
    environment: t.Any,
    kind: t.Any,
    name: str | bytes | None,
    flags: int,
) -> t.Any:
    """Opens a database through a transaction's handle, whose caller is inside.

    :param kind: the class of what is returned.
    :param flags: the library's.
    """
    encoded = encoded_name(name)
    handle: t.Any = _ffi.new_database_handle()
    code = _ffi.db_open(transaction, encoded, flags, _ffi.reference(handle))
    bits = _ffi.new_count()
    if code == _abi.OK:
        code = _ffi.db_flags(transaction, handle.value, _ffi.reference(bits))
    if code != _abi.OK:
        raise error_from_code(code)
    text = None if encoded is None else encoded.decode("utf-8", "surrogateescape")
    return kind(environment, handle.value, text, bits.value)


def encoded_name(name: str | bytes | None) -> bytes | None:
    """A database's name as the library takes it."""
    if name is None:
        return None
    if isinstance(name, str):
        # As for paths: bytes that are no UTF-8 come back as they were.
        name = name.encode("utf-8", "surrogateescape")
    elif not isinstance(name, bytes):
        raise TypeError(
            f"a database's name must be str, bytes or None, not {type(name).__name__}"
        )
    if b"\0" in name:
        raise BadArgumentError(
            f"a database's name holds no zero bytes: {name!r}", _abi.BAD_ARGUMENT
        )
    return name
