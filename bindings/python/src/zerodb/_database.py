"""Databases of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zerodb import _ffi
from zerodb._errors import BadArgumentError, BadDatabaseError, error_from_code

if TYPE_CHECKING:
    from zerodb._environment import Environment


class Database:
    """A database of an environment, from :meth:`Environment.open_db` or :meth:`Transaction.db`.

    It serves all transactions of its environment, on any thread.
    """

    __slots__ = ("_environment", "_handle", "_name")

    def __init__(self, environment: Environment, handle: int, name: str | None) -> None:
        self._environment = environment
        self._handle = handle
        self._name = name

    @property
    def environment(self) -> Environment:
        """The environment that the database belongs to."""
        return self._environment

    @property
    def name(self) -> str | None:
        """The database's name; None for the main database."""
        return self._name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Database):
            return NotImplemented
        return self._environment is other._environment and self._handle == other._handle

    def __hash__(self) -> int:
        return hash((id(self._environment), self._handle))

    def __repr__(self) -> str:
        name = "the main database" if self._name is None else repr(self._name)
        return f"<zerodb.Database {name} of {self._environment.path!r}>"


def open_database(
    transaction: int, environment: Environment, name: str | bytes | None, create: bool
) -> Database:
    """Opens a database through a transaction's handle, whose caller is inside."""
    encoded = _encoded_name(name)
    handle: Any = _ffi.new_database_handle()
    flags = _ffi.CREATE if create else 0
    code = _ffi.db_open(transaction, encoded, flags, _ffi.reference(handle))
    if code != _ffi.OK:
        raise error_from_code(code)
    text = None if encoded is None else encoded.decode("utf-8", "backslashreplace")
    return Database(environment, handle.value, text)


def handle_of(database: Database | None, environment: Environment) -> int:
    """The handle to pass to the library; None is the main database.

    Handles are small numbers, so the library cannot tell those of two environments apart.
    """
    if database is None:
        return _ffi.MAIN_DB
    if not isinstance(database, Database):
        raise TypeError(
            f"db must be a zerodb.Database, not {type(database).__name__}; "
            "open_db() gives one for a name"
        )
    if database._environment is not environment:
        raise BadDatabaseError(
            f"database {database.name!r} belongs to the environment at "
            f"{database.environment.path}, not to the one at {environment.path}; "
            "open it there with open_db()",
            _ffi.BAD_DB,
        )
    return database._handle


def _encoded_name(name: str | bytes | None) -> bytes | None:
    if name is None:
        return None
    if isinstance(name, str):
        name = name.encode("utf-8")
    elif not isinstance(name, bytes):
        raise TypeError(
            f"a database's name must be str, bytes or None, not {type(name).__name__}"
        )
    if b"\0" in name:
        raise BadArgumentError(
            f"a database's name holds no zero bytes: {name!r}", _ffi.BAD_ARGUMENT
        )
    return name
