"""Environments, as py-lmdb has them."""

from __future__ import annotations

import errno
import operator
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

import zerodb
from zerodb import _abi, _ffi
from zerodb._callbacks import calling_back
from zerodb._copy import copy
from zerodb._core import EnvironmentCore
from zerodb._open import OpenedEnvironment
from zerodb.lmdb import _paths
from zerodb.lmdb._cursor import Cursor
from zerodb.lmdb._database import FLAGS, _Database
from zerodb.lmdb._errors import (
    BadTxnError,
    BadValsizeError,
    DbsFullError,
    Error,
    InvalidParameterError,
    NotFoundError,
    ReadonlyError,
    check,
    converted,
    make_error,
)
from zerodb.lmdb._names import names_of
from zerodb.lmdb._transaction import FIRST_TXN, Transaction
from zerodb.lmdb._uninterrupted import uninterrupted

_MAP_SIZE = 10485760
_SIZE_MIN, _SIZE_MAX = 1 << 20, 2**63 - 1
_MAX_READERS = 126
_LOG_MIN, _LOG_MAX = 1 << 20, 64 << 20
_NAME_MAX = 511
_NO_HANDLE = 2**32 - 1
_FLAG_NAMES = (
    "subdir",
    "readonly",
    "metasync",
    "sync",
    "map_async",
    "readahead",
    "writemap",
    "meminit",
    "lock",
)


class Environment(EnvironmentCore):
    """An environment: a directory that holds databases.

    Takes py-lmdb's arguments. These have an effect:

    :param path: the directory. With ``subdir=False`` too: it has the place of LMDB's file.
    :param map_size: bytes that the data file may reach, at least 1 MiB; then MapFullError.
    :param readonly: write nothing. If the programs that wrote were killed, the log is replayed
        first, which writes.
    :param sync: False: a commit waits for nothing and is flushed within 100 ms. A power cut may
        take the last commits, but never the environment, and a killed program loses nothing.
    :param metasync: False: the same.
    :param map_async: with ``writemap``: the same.
    :param mode: permissions of the directory; the files get the same without x.
    :param create: whether to make the directory.
    :param max_readers: transactions that may read at the same time, in all processes; with
        ``lock=False`` any number.
    :param max_dbs: named databases that may be opened.

    The others are accepted: ``readahead``, ``writemap``, ``meminit`` and ``max_spare_txns`` are
    about how LMDB works, and locks are always taken, which costs readers nothing. None for an
    argument is its default.

    Unlike py-lmdb's, it works in a child made by ``fork()``, which opens it anew when it first
    uses it, and it pickles as its path and its arguments.
    """

    __slots__ = (
        "_arguments",
        "_databases",
        "_has_databases",
        "_map_size",
        "_opener",
        "_place",
    )

    _lmdb_style = True
    _warns = False
    _transaction_type = Transaction
    _cursor_type = Cursor
    _make_error = staticmethod(make_error)

    def __init__(
        self,
        path: Any,
        map_size: int | None = 10485760,
        subdir: bool | None = True,
        readonly: bool | None = False,
        metasync: bool | None = True,
        sync: bool | None = True,
        map_async: bool | None = False,
        mode: int | None = 0o755,
        create: bool | None = True,
        readahead: bool | None = True,
        writemap: bool | None = False,
        meminit: bool | None = True,
        max_readers: int | None = 126,
        max_dbs: int | None = 0,
        max_spare_txns: int | None = 0,
        lock: bool | None = True,
        lib_version: int | None = None,
    ) -> None:
        text = _paths.text_of(path)
        map_size = _MAP_SIZE if map_size is None else map_size
        max_dbs = 0 if max_dbs is None else max_dbs
        max_readers = _MAX_READERS if max_readers is None else max_readers
        mode = 0o755 if mode is None else mode
        subdir, create = _given(subdir), _given(create)
        numbers = {"map_size": map_size, "max_readers": max_readers, "max_dbs": max_dbs}
        for name, number in numbers.items():
            if number < 0:
                raise OverflowError(f"{name} must not be negative")
        if lib_version is not None and lib_version < 0:
            raise OverflowError("lib_version must not be negative")
        if max_readers == 0:
            raise InvalidParameterError("max_readers must be at least 1")
        self._arguments: dict[str, Any] = {
            "path": text,
            "map_size": map_size,
            "subdir": subdir,
            "readonly": bool(readonly),
            "metasync": _given(metasync),
            "sync": _given(sync),
            "map_async": bool(map_async),
            "mode": mode,
            "create": create,
            "readahead": _given(readahead),
            "writemap": bool(writemap),
            "meminit": _given(meminit),
            "max_readers": max_readers,
            "max_dbs": max_dbs,
            "max_spare_txns": max_spare_txns or 0,
            "lock": _given(lock),
        }
        # The program may go to another directory before the environment is opened again.
        self._place = os.path.abspath(text)
        self._map_size = map_size
        self._databases: dict[bytes, _Database] = {}
        # Without named databases no cursor has to look for names.
        self._has_databases = max_dbs > 0
        _paths.prepare(text, subdir, bool(readonly), create, mode)
        self._open()

    # ------------------------------------------------------------ transactions

    if TYPE_CHECKING:

        def begin(
            self,
            db: _Database | None = None,
            parent: Transaction | None = None,
            write: bool = False,
            buffers: bool = False,
            durability: Any = None,
            wait: float | None = None,
        ) -> Transaction:
            """Begins a transaction.

            :param db: the default of its methods, in place of the main database.
            :param parent: a write transaction to nest it in.
            :param buffers: keys and values are given as memoryviews.

            `durability` and `wait` are as for :meth:`zerodb.Environment.begin`.
            """
            raise NotImplementedError

    # --------------------------------------------------------------- databases

    def open_db(
        self,
        key: bytes | None = None,
        txn: Transaction | None = None,
        reverse_key: bool = False,
        dupsort: bool = False,
        create: bool = True,
        integerkey: bool = False,
        integerdup: bool = False,
        dupfixed: bool = False,
    ) -> _Database:
        """Opens a named database, and makes it if it is not there; None is the main one.

        The flags say what a database is that is made. One that is there keeps its own.

        :param txn: the transaction to do that in; without it, the call takes one of its own.
        """
        self._check_open()
        create = _given(create)
        flags = 0
        dupfixed = dupfixed or integerdup
        given = (reverse_key, dupsort or dupfixed, integerkey, integerdup, dupfixed)
        for is_set, bit in zip(given, FLAGS.values()):
            flags |= bit if is_set else 0
        name = self._name_of(key)
        if name is None and flags:
            raise ValueError("the main database has no flags; give them to a named one")
        if txn is not None:
            if not isinstance(txn, Transaction):
                raise TypeError(f"txn must be a transaction, not {type(txn).__name__}")
            if txn.environment is not self:
                raise InvalidParameterError("the transaction belongs to another environment")
            return self._open_in(txn, name, flags, create)
        with self.begin() as reader:
            try:
                return self._open_in(reader, name, flags, False)
            except NotFoundError:
                if not create:
                    raise
        if self._arguments["readonly"]:
            raise ReadonlyError("the environment is open for reading only")
        with self.begin(write=True) as writer:
            return self._open_in(writer, name, flags, True)

    def dbs(self, txn: Transaction | None = None) -> list[Any]:
        """The names of the named databases."""
        if txn is None:
            with self.begin() as reader:
                return self.dbs(reader)
        if not isinstance(txn, Transaction):
            raise TypeError(f"txn must be a transaction, not {type(txn).__name__}")
        return names_of(txn)

    # ------------------------------------------------------------------- facts

    def stat(self) -> dict[str, int]:
        """Statistics of the main database."""
        with self.begin() as reader:
            return reader.stat()

    def info(self) -> dict[str, int]:
        """Facts about the environment."""
        raw = _ffi.sized(_abi.Info)
        check(self._call(_ffi.env_info, _ffi.reference(raw)))
        return {
            "map_addr": 0,
            "map_size": self._map_size,
            "last_pgno": raw.page_count - 1,
            "last_txnid": raw.last_txn_id - FIRST_TXN,
            "max_readers": self._arguments["max_readers"],
            "num_readers": raw.readers,
        }

    def flags(self) -> dict[str, bool]:
        """Those arguments of the constructor that are flags."""
        self._check_open()
        return {name: self._arguments[name] for name in _FLAG_NAMES}

    def path(self) -> str:  # type: ignore[override]
        """The path, as it was given."""
        self._check_open()
        path: str = self._arguments["path"]
        return path

    def max_key_size(self) -> int:  # type: ignore[override]
        """The length of the longest key, in bytes."""
        self._check_open()
        return self._max_key_size

    def max_readers(self) -> int:
        """How many transactions may read at the same time."""
        self._check_open()
        return int(self._arguments["max_readers"])

    def lib_version(self) -> tuple[int, int, int]:
        """The version of LMDB that this follows."""
        return LMDB_VERSION

    def readers(self) -> str:
        """The transactions of all processes that read, one a line."""
        lines: list[str] = []

        def add(reader: Any) -> None:
            raw = reader.contents
            txn = "-" if raw.txn_id == _abi.NO_TXN else str(raw.txn_id - FIRST_TXN)
            lines.append(f"{raw.process_id:10d} {raw.thread:x} {txn}\n")

        check(calling_back(self._call, _ffi.reader_list, _abi.ReaderFunction, add))
        if not lines:
            return "(no active readers)\n"
        return "    pid     thread     txnid\n" + "".join(lines)

    def reader_check(self) -> int:
        """Frees the slots of readers whose processes have died, and returns how many."""
        dead = _ffi.new_count()
        check(self._call(_ffi.reader_check, _ffi.reference(dead)))
        count: int = dead.value
        return count

    # ------------------------------------------------------------ disk and size

    def sync(self, force: bool = False) -> None:
        """Waits until every commit is on disk."""
        self._check_open()
        if self._arguments["readonly"]:
            raise ReadonlyError("the environment is open for reading only")
        check(self._call(_ffi.env_sync))

    def set_mapsize(self, map_size: int | None = 0) -> None:
        """Changes the size that the data file may reach: opens the environment anew.

        Transactions that read are ended; one that writes must not be open. Calls of other
        threads meanwhile fail as on an environment that is closed. An interrupt (Ctrl-C) is
        raised when the environment is open again; it is also if it cannot have that size.

        :param map_size: bytes; 0 for the size it has, or that another process has given it.
        """
        self._check_open()
        size = 0 if map_size is None else operator.index(map_size)
        if not 0 <= size <= _SIZE_MAX:
            raise OverflowError(f"map_size must be between 0 and {_SIZE_MAX}, not {size}")
        if self._is_written():
            raise Error("a write transaction is open; end it before the size is changed")
        # Asked here, as the thread that closes would wait for a call of this one.
        self._check_not_inside()
        uninterrupted(lambda: self._reopen(size))

    def copy(self, path: Any, compact: bool = False, txn: Transaction | None = None) -> None:
        """Copies the environment into an empty directory, while others read and write.

        :param compact: without free pages.
        :param txn: the transaction whose state is copied, with ``compact`` only.
        """
        self._check_open()
        target = _paths.text_of(path)
        _paths.check_target(target, self._arguments["subdir"])
        if txn is None:
            self._copy(target, compact)
        else:
            self._copy_state(target, compact, txn)

    def copyfd(self, fd: int, compact: bool = False, txn: Transaction | None = None) -> None:
        """Writes a copy of the environment's data file to a descriptor, such as a pipe.

        Written to a file ``data.mdb`` or ``data.zdb`` in an empty directory, it is an
        environment.

        :param compact: without free pages.
        :param txn: the transaction whose state is copied, with ``compact`` only.
        """
        self._check_open()
        if txn is None:
            self._copy(fd, compact)
            return
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory(dir=os.path.dirname(self._place)) as folder:
            target = os.path.join(folder, "copy")
            self._copy_state(target, compact, txn)
            with (
                open(os.path.join(target, "data.zdb"), "rb") as source,
                open(fd, "wb", closefd=False) as output,
            ):
                shutil.copyfileobj(source, output)

    # ---------------------------------------------------------------- lifetime

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<zerodb.lmdb.Environment {self._arguments['path']!r} {state}>"

    def __reduce__(self) -> Any:
        arguments = {**self._arguments, "path": self._place, "map_size": self._map_size}
        return _opened_again, (type(self), arguments)

    def __copy__(self) -> Any:
        raise TypeError("an environment cannot be copied; its threads share it")

    def __deepcopy__(self, memo: object) -> Any:
        raise TypeError("an environment cannot be copied; its threads share it")

    # ----------------------------------------------------------------- private

    def _open(self) -> None:
        """Opens the environment, and in it the databases that it had."""
        arguments = self._arguments
        self._map_size = max(self._map_size, _paths.size_of_data(self._place))
        size = max(self._map_size, _SIZE_MIN)
        loses = not (arguments["sync"] and arguments["metasync"])
        loses = loses or (arguments["writemap"] and arguments["map_async"])
        options = {
            "read_only": arguments["readonly"],
            "max_size": size,
            "max_txn_pages": 0,
            # Pages that only the last checkpoint needs must leave room in a small map.
            "log_size": min(max(size // 8, _LOG_MIN), _LOG_MAX),
            # Without locks LMDB counts no readers: programs that say 1 then have many.
            "max_readers": (arguments["lock"] and arguments["max_readers"]) or None,
            "file_mode": arguments["mode"] & 0o666,
            "durability": "relaxed" if loses else "full",
        }
        try:
            opened = self._opened(options)
        except zerodb.Error as error:
            raise converted(error) from None
        assert opened.handle is not None
        self._attach(opened.handle, self._place)
        opened.handle = None
        self._opener = os.getpid()
        _open_environments[os.path.realpath(self._place)] = self
        if self._databases:
            self._open_databases()

    def _reopen(self, map_size: int) -> None:
        """Opens the environment anew with a size, or if that fails with the one before; 0 for
        that."""
        before = self._map_size
        self.close()
        try:
            self._map_size = map_size or before
            self._open()
        except BaseException:
            self.close()
            self._map_size = before
            self._open()
            raise

    def _opened(self, options: dict[str, Any]) -> OpenedEnvironment:
        try:
            return OpenedEnvironment(self._place, **options)
        except zerodb.RecoveryNeededError:
            OpenedEnvironment(self._place, **{**options, "read_only": False}).close()
            return OpenedEnvironment(self._place, **options)

    def _after_fork(self) -> None:
        """Called in a child of the process that opened the environment."""
        with _fork_lock:
            if self._opener != os.getpid():
                self._open()

    def _open_databases(self) -> None:
        """Gives databases the handles that they have now that the environment is open anew."""
        with self.begin() as reader:
            for name, database in self._databases.items():
                try:
                    self._look_up(reader, name, 0, database)
                except NotFoundError:
                    database.__init__(self, _NO_HANDLE, database.name, 0)  # type: ignore[misc]

    def _open_in(
        self, txn: Transaction, name: bytes | None, flags: int, create: bool
    ) -> _Database:
        """Opens a database in a transaction."""
        known = None
        if name is not None:
            known = self._databases.get(name)
            if known is None and self._databases_left(txn) <= 0:
                raise DbsFullError(f"{self._arguments['max_dbs']} databases are open")
        try:
            database = self._look_up(txn, name, 0, known)
        except NotFoundError:
            if not create:
                raise
            if not txn.write:
                raise ReadonlyError("a read transaction makes no database") from None
            database = self._look_up(txn, name, flags | _abi.CREATE, known)
        if name is not None:
            self._databases[name] = database
        return database

    def _databases_left(self, txn: Transaction) -> int:
        """How many databases may still be opened. Those that are gone do not count."""
        most: int = self._arguments["max_dbs"]
        if len(self._databases) < most:
            return most - len(self._databases)
        there = set(names_of(txn))
        if txn.write:
            # No other transaction may have made them.
            for name in self._databases.keys() - there:
                del self._databases[name]
        return most - len(self._databases.keys() & there)

    def _look_up(
        self, txn: Transaction, name: bytes | None, flags: int, known: _Database | None
    ) -> _Database:
        """Opens a database, and describes it in the object that there is, if there is one."""
        handle, bits = _ffi.new_database_handle(), _ffi.new_count()
        check(txn._call(_ffi.db_open, name, flags, _ffi.reference(handle)))
        check(txn._call(_ffi.db_flags, handle.value, _ffi.reference(bits)))
        text = None if name is None else name.decode("utf-8", "backslashreplace")
        if known is None:
            return _Database(self, handle.value, text, bits.value)
        known.__init__(self, handle.value, text, bits.value)  # type: ignore[misc]
        return known

    def _name_of(self, key: Any) -> bytes | None:
        if key is None:
            return None
        if isinstance(key, str):
            raise TypeError("a database's name is bytes; encode it, for example with .encode()")
        view = memoryview(key)
        if not view.c_contiguous:
            raise BufferError("a database's name is contiguous; pass a copy, as with bytes()")
        name = bytes(view)
        if not name:
            raise BadValsizeError("a database's name has at least one byte")
        if len(name) > _NAME_MAX:
            raise BadValsizeError(
                f"a database's name has at most {_NAME_MAX} bytes, not {len(name)}"
            )
        if b"\0" in name:
            raise InvalidParameterError(f"a database's name holds no zero bytes: {name!r}")
        return name

    def _check_open(self) -> None:
        if self.closed:
            raise make_error(_abi.BAD_HANDLE, "the environment is closed; open it again")

    def _is_written(self) -> bool:
        """Whether this process has a write transaction open."""
        found: list[int] = []

        def add(transaction: Any) -> None:
            found.append(transaction.contents.flags)

        check(calling_back(self._call, _ffi.txn_list, _abi.TxnFunction, add))
        return any(not flags & _abi.RDONLY for flags in found)

    def _copy(self, target: str | int, compact: bool) -> None:
        try:
            copy(self._call, target, compact, 0, None)
        except zerodb.Error as error:
            raise converted(error) from None

    def _copy_state(self, target: str, compact: bool, txn: Transaction) -> None:
        """Makes an environment of what a transaction sees, entry by entry."""
        if not isinstance(txn, Transaction):
            raise TypeError(f"txn must be a transaction, not {type(txn).__name__}")
        if not compact:
            raise TypeError("the state of a transaction is copied with compact=True only")
        if txn.environment is not self:
            raise BadTxnError("the transaction belongs to another environment")
        if os.path.isdir(target) and os.listdir(target):
            raise Error(f"{target} is not empty", errno.ENOTEMPTY)
        names = self.dbs(txn)
        with Environment(target, map_size=2**40, sync=False, max_dbs=len(names)) as other:
            with other.begin(write=True) as writer:
                for name in [None, *map(bytes, names)]:
                    _copy_database(self, txn, other, writer, name)
            other.sync(True)


def _copy_database(
    source: Environment, txn: Transaction, other: Environment, writer: Any, name: bytes | None
) -> None:
    handle, bits = _ffi.new_database_handle(), _ffi.new_count()
    check(txn._call(_ffi.db_open, name, 0, _ffi.reference(handle)))
    check(txn._call(_ffi.db_flags, handle.value, _ffi.reference(bits)))
    database = _Database(source, handle.value, None, bits.value)
    flags = bits.value | _abi.CREATE if bits.value or name is not None else 0
    copied = other._look_up(writer, name, flags, None)
    writer.put_many(iter(Cursor(database, txn)), True, True, True, copied)


def _given(flag: bool | None) -> bool:
    """A flag that is True unless the program says otherwise."""
    return flag is None or bool(flag)


def _opened_again(kind: type[Environment], arguments: dict[str, Any]) -> Environment:
    """What a pickle of an environment is read as: the one that the process has open, or a new
    one."""
    known = _open_environments.get(os.path.realpath(arguments["path"]))
    if known is not None and not known.closed:
        return known
    return kind(**arguments)


LMDB_VERSION = (0, 9, 36)
"""The version of LMDB whose behaviour this follows."""

_open_environments: weakref.WeakValueDictionary[str, Environment] = (
    weakref.WeakValueDictionary()
)
"""Those that this process has opened, by their paths."""

_fork_lock = threading.Lock()


def _new_fork_lock() -> None:
    # The thread that had it does not exist in the child.
    global _fork_lock
    _fork_lock = threading.Lock()


os.register_at_fork(after_in_child=_new_fork_lock)
