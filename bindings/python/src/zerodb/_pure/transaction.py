"""Transactions."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._pure.cursor import CursorCore
from zerodb._pure.database import DatabaseCore
from zerodb._pure.ending import UninterruptedExit
from zerodb._pure.environment import EnvironmentCore
from zerodb._pure.packed import ITEMS, KEYS, PART_MAX, VALUES, get_fixed, get_packed, put_packed
from zerodb._pure.state import ReaderState, TransactionState
from zerodb._pure.values import COPIED_MAX, read_value
from zerodb._ranges import KeyRange

_NO_KEY = object()
# Looked up for each call.
_NOT_FOUND = _abi.NOT_FOUND
_SCRATCH_SIZE = _ffi.scratch_size
_RDONLY = _abi.RDONLY
_new_pointer = _ffi.new_pointer
_quick_abort = _ffi.quick_abort
_quick_begin = _ffi.quick_begin
_quick_get = _ffi.quick_get
_quick_put = _ffi.quick_put
_reference = _ffi.reference
_weak_reference = weakref.ref
_COPIED_MAX = COPIED_MAX
_QUICK_SIZE_MAX = _ffi.quick_size_max
_scratches = _ffi.scratches
_entries = _ffi.entries
_quick_get_val = _ffi.quick_get_val


def _nothing(handle: int) -> None:
    """Called from inside for what going inside does."""


class TransactionCore:
    """A transaction."""

    __slots__ = (
        "__weakref__",
        "_buffers",
        "_default",
        "_number",
        "_parent",
        "_state",
        "environment",
    )

    def __init__(
        self,
        env: t.Any,
        db: t.Any = None,
        parent: t.Any = None,
        write: bool = False,
        buffers: bool = False,
        durability: t.Any = None,
        wait: float | None = None,
    ) -> None:
        if hasattr(self, "_state"):
            return  # it has begun
        if not isinstance(env, EnvironmentCore):
            raise TypeError(f"env must be an environment, not {type(env).__name__}")
        if parent is not None and not isinstance(parent, TransactionCore):
            raise TypeError(f"parent must be a transaction, not {type(parent).__name__}")
        self.environment = env
        self._buffers = False if buffers is False else bool(buffers)
        self._parent = parent
        self._default: t.Any = None
        self._number = _abi.MAIN_DB
        self._state: TransactionState
        if write or parent is not None or durability is not None or env._quick is None:
            env._begin(self, parent, bool(write), durability, wait)
        else:
            # A read transaction, if that succeeds at once.
            begun = _new_pointer()
            state: ReaderState | None = None
            try:
                code = _quick_begin(env._quick, None, _RDONLY, _reference(begun))
                if code == 0:
                    self._state = state = ReaderState(begun, env._calls, env._make_error)
                    env._transactions.add(state)
            except BaseException:
                # A signal handler may raise when the transaction has just begun.
                env._take_back(state, begun)
                raise
            if code != 0:
                env._begin(self, parent, False, durability, wait)
        if db is not None:
            try:
                self._number = self._database(db)
            except BaseException:
                self._end("was aborted")
                raise
            self._default = db

    # ----------------------------------------------------------------- reading

    def get(self, key: t.Buffer, default: t.Any = None, db: t.Any = None) -> t.Any:
        """The value of a key, its first one; or `default` if the key is not there."""
        fast = self._state.fast
        if fast is None or self._buffers or type(key) is not bytes:
            if self._buffers and type(key) is bytes:
                return self._get_view(key, default, db)
            return self._get_slowly(key, default, db)
        database = self._number if db is None else self._database(db)
        try:
            scratch = _scratches.pop()
        except IndexError:
            scratch = _ffi.Scratch()
        code = _quick_get(
            fast,
            database,
            key,
            len(key),
            scratch.bytes_pointer,
            _SCRATCH_SIZE,
            scratch.size_pointer,
        )
        if code == 0:
            size = scratch.size.value
            if size <= _SCRATCH_SIZE:
                value = scratch.bytes[:size]
                _scratches.append(scratch)
                return value
        _scratches.append(scratch)
        if code == _NOT_FOUND:
            return default
        return self._get_slowly(key, default, db)

    def _get_view(self, key: bytes, default: t.Any, db: t.Any) -> t.Any:
        state = self._state
        fast = state.fast
        memory = state.memory
        views = state.views
        count = len(views)
        if (
            fast is None
            or memory is None
            or not count
            or (count >= 63 and not count & (count + 1))  # see add_view()
        ):
            return self._get_slowly(key, default, db)
        database = self._number if db is None else self._database(db)
        try:
            entry = _entries.pop()
        except IndexError:
            entry = _ffi.Entry()
        key_input = entry.key_input
        key_input.data = key
        key_input.size = len(key)
        code = _quick_get_val(fast, database, entry.key_reference, entry.value_reference)
        if code == 0:
            data, size = entry.value_place()
            _entries.append(entry)
            if size > _COPIED_MAX:
                # As view_of() does.
                end = data + size
                keeper: t.Any = state.keeper
                if keeper is not None:
                    if data < keeper.lowest:
                        keeper.lowest = data
                    if end > keeper.end:
                        keeper.end = end
                    view = memory[data:end]
                    views.append(_weak_reference(view))
                    # What ends the transaction first takes the list of its views away.
                    if state.views is views:
                        return view
                    view.release()
        else:
            _entries.append(entry)
            if code == _NOT_FOUND:
                return default
        return self._get_slowly(key, default, db)

    def _get_slowly(self, key: t.Buffer, default: t.Any, db: t.Any) -> t.Any:
        state = self._state
        database = self._number if db is None else self._database(db)
        inside: dict[int, t.Any] = {}
        try:
            if state.lock.setdefault(0, inside) is not inside:
                state.enter(inside)
            if state.handle is None:
                raise state.ended()
            value = _abi.Val()
            wanted, held = _ffi.input_val(key, "key")
            code = state.calls.get(
                state.handle, database, _ffi.reference(wanted), _ffi.reference(value)
            )
            del held
            if code == _abi.OK:
                return read_value(state, value, self._buffers)
        finally:
            if state.lock.get(0) is inside:
                del state.lock[0]
        if code == _abi.NOT_FOUND or self._is_too_long(code, key):
            return default
        raise state.error(code)

    def __getitem__(self, key: t.Buffer) -> t.Any:
        value = self.get(key, _NO_KEY)
        if value is _NO_KEY:
            raise self._no_key(key)
        return value

    def __contains__(self, key: t.Buffer) -> bool:
        code = self._on_key(self._state.calls.get, key, None, None)
        if code not in (_abi.OK, _abi.NOT_FOUND):
            raise self._state.error(code)
        return code == _abi.OK

    def __iter__(self) -> Iterator[t.Any]:
        return self.keys()

    def get_many(
        self, keys: Iterable[t.Buffer], default: t.Any = None, db: t.Any = None
    ) -> t.Any:
        """The values of many keys, in their order, with `default` for those not there."""
        wanted = list(keys)
        values = None if self._buffers else get_packed(self, self._database(db), wanted, 0)
        if values is None:
            return [self.get(key, default, db) for key in wanted]
        if default is not None:
            return [default if value is None else value for value in values]
        return values

    def _get_pairs(self, keys: Iterable[t.Buffer], db: t.Any = None) -> t.Any:
        """The keys that are there with their values."""
        wanted = list(keys)
        flags = _abi.PACK_KEYS
        pairs = None if self._buffers else get_packed(self, self._database(db), wanted, flags)
        if pairs is not None:
            return pairs
        found = ((key, self.get(key, None, db)) for key in wanted)
        return [(key, value) for key, value in found if value is not None]

    def _get_fixed(self, keys: Iterable[t.Buffer], size: int, db: t.Any = None) -> bytes | None:
        """All values of keys, each behind its key, where values have one size; None if that
        must be done one by one."""
        return get_fixed(self, self._database(db), list(keys), size)

    def cursor(self, db: t.Any = None) -> t.Any:
        """Opens a cursor, on no entry yet."""
        return self.environment._cursor_type(self._default if db is None else db, self)

    def items(
        self,
        db: t.Any = None,
        start: t.Buffer | None = None,
        stop: t.Buffer | None = None,
        prefix: t.Buffer | None = None,
        reverse: bool = False,
    ) -> Iterator[t.Any]:
        """The entries of a database, or of a range of its keys, in the order of the keys."""
        return self._walk(db, KeyRange(start, stop, prefix), reverse, ITEMS)

    def keys(
        self,
        db: t.Any = None,
        start: t.Buffer | None = None,
        stop: t.Buffer | None = None,
        prefix: t.Buffer | None = None,
        reverse: bool = False,
    ) -> Iterator[t.Any]:
        """The keys of a database, or of a range of it, as :meth:`items`."""
        return self._walk(db, KeyRange(start, stop, prefix), reverse, KEYS)

    def values(
        self,
        db: t.Any = None,
        start: t.Buffer | None = None,
        stop: t.Buffer | None = None,
        prefix: t.Buffer | None = None,
        reverse: bool = False,
    ) -> Iterator[t.Any]:
        """The values of a database, or of a range of its keys, as :meth:`items`."""
        return self._walk(db, KeyRange(start, stop, prefix), reverse, VALUES)

    # ----------------------------------------------------------------- writing

    def put(
        self,
        key: t.Buffer,
        value: t.Buffer,
        dupdata: bool = True,
        overwrite: bool = True,
        append: bool = False,
        db: t.Any = None,
    ) -> bool:
        """Puts a key and its value."""
        state = self._state
        database = self._number if db is None else self._database(db)
        flags = 0
        if not (dupdata and overwrite) or append:
            dupdata = dupdata is None or dupdata
            overwrite = overwrite is None or overwrite
            flags = self._put_flags(dupdata, overwrite, append, db)
        fast = state.fast
        if fast is not None and type(key) is bytes and type(value) is bytes:
            size = len(value)
            if 0 < size <= _QUICK_SIZE_MAX:
                if state.ahead:
                    state.call(_nothing)
                state.changes += 1
                code = _quick_put(fast, database, key, len(key), value, size, flags)
                if code == 0:
                    return True
                return self._was_put(code, dupdata, overwrite)
        if self.environment._lmdb_style and not _ffi.size_of(value, "value"):
            self._check_empty(db)
        inside: dict[int, t.Any] = {}
        try:
            if state.lock.setdefault(0, inside) is not inside:
                state.enter(inside)
            if state.handle is None:
                raise state.ended()
            state.before_write()
            # Held through the call: the library reads through the addresses of these.
            key_val, held = _ffi.input_val(key, "key")
            value_val, held_too = _ffi.input_val(value, "value")
            code = state.calls.put(
                state.handle,
                database,
                _ffi.reference(key_val),
                _ffi.reference(value_val),
                flags,
            )
            del held, held_too
        finally:
            if state.lock.get(0) is inside:
                del state.lock[0]
        return self._was_put(code, dupdata, overwrite)

    def _was_put(self, code: int, dupdata: bool, overwrite: bool) -> bool:
        if code == _abi.OK:
            return True
        if code == _abi.KEYEXIST and not (overwrite and dupdata):
            return False
        if code == _abi.NOT_SORTED and self.environment._lmdb_style:
            return False
        raise self._state.error(code)

    def put_many(
        self,
        items: t.Any,
        dupdata: bool = True,
        overwrite: bool = True,
        append: bool = False,
        db: t.Any = None,
    ) -> tuple[int, int]:
        """Puts many entries; returns how many there were and how many were put."""
        database = self._database(db)
        dupdata = dupdata is None or dupdata
        overwrite = overwrite is None or overwrite
        flags = self._put_flags(dupdata, overwrite, append, db)
        source = iter(items.items() if isinstance(items, dict) else items)
        count = added = 0
        while True:
            part = list(islice(source, PART_MAX))
            if not part:
                return count, added
            put, done = put_packed(self, database, part, flags)
            added += put
            # One after the other, which says what is wrong with one.
            for key, value in part[done:]:
                added += self.put(key, value, dupdata, overwrite, append, db)
            count += len(part)

    def delete(self, key: t.Buffer, value: t.Buffer | None = b"", db: t.Any = None) -> bool:
        """Deletes a key, or with `value` only that value of it."""
        code = self._delete(key, value, db)
        if code == _abi.NOT_FOUND or self._is_too_long(code, key):
            return False
        if code != _abi.OK:
            raise self._state.error(code)
        return True

    def replace(self, key: t.Buffer, value: t.Buffer, db: t.Any = None) -> t.Any:
        """Puts a key and its value and returns the value that it replaces, or None."""
        with CursorCore(self._default if db is None else db, self) as cursor:
            return cursor.replace(key, value)

    def pop(self, key: t.Buffer, db: t.Any = None) -> t.Any:
        """Deletes a key and returns its value, or None if the key is not there."""
        with CursorCore(self._default if db is None else db, self) as cursor:
            return cursor.pop(key)

    def __setitem__(self, key: t.Buffer, value: t.Buffer) -> None:
        self.put(key, value)

    def __delitem__(self, key: t.Buffer) -> None:
        code = self._delete(key, b"", None)
        if code == _abi.NOT_FOUND:
            raise self._no_key(key)
        if code != _abi.OK:
            raise self._state.error(code)

    def _no_key(self, key: t.Buffer) -> BaseException:
        """The KeyError of a mapping."""
        return self._state.make_error(_abi.NOT_FOUND, f"the database has no key {bytes(key)!r}")

    # ---------------------------------------------------------------- lifetime

    @property
    def write(self) -> bool:
        """Whether it is a write transaction."""
        return self._state.write

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self._state.handle is not None

    def commit(self) -> None:
        """Commits and ends the transaction."""
        state = self._state
        child = state.child
        code = state.call(state.commit, self.environment._lmdb_style)
        if state.handle is None:
            self.environment._forget(state)
            if child is not None:
                self.environment._forget(child)
        if code != _abi.OK:
            raise state.error(code)

    def abort(self) -> None:
        """Ends the transaction and forgets its changes. Does nothing if it has ended."""
        self._end("was aborted")

    def reset(self) -> None:
        """Gives up a read transaction's snapshot; :meth:`renew` gives it a new one."""
        state = self._state
        code = state.call(self._reset)
        if code != _abi.OK:
            raise state.error(code)

    def renew(self) -> None:
        """Gives a read transaction that was reset the newest snapshot."""
        code = self._state.call(_ffi.txn_renew)
        if code != _abi.OK:
            raise self._state.error(code)

    def __enter__(self) -> t.Any:
        if self.environment._lmdb_style and self._state.handle is None:
            raise self._state.ended()
        self._state.entered += 1
        return self

    __exit__ = UninterruptedExit()

    def _leave(self, kind: t.Any) -> None:
        state = self._state
        if state.handle is None:
            return
        if state.fast is not None and not (state.write or state.cursors or state.views):
            # Nothing else has to be ended.
            _quick_abort(state.fast)
            state.handle = state.fast = None
            state.outcome = "has ended" if kind is None else "was aborted"
            self.environment._transactions.discard(state)
            return
        if kind is not None:
            # With one that is nested in it, to which the traceback may still refer.
            self._end("was aborted", ends_child=True)
        elif self.write:
            self.commit()
        else:
            self._end("has ended")

    def _drop(self) -> None:
        state = self._state
        if state.handle is not None:
            state.attempt(lambda: state.abort("was aborted"))
        self.environment._forget(state)

    def __del__(self) -> None:
        try:
            state = self._state
        except AttributeError:
            return  # it has not begun
        if state.handle is None or state.inherited:
            return
        if not state.attempt(lambda: state.abort("was dropped")):
            return  # the environment is closing and ends it
        self.environment._forget(state)
        if self.environment._warns:
            warnings.warn(
                f"a transaction of the environment at {self.environment._path} was dropped "
                "without commit() or abort(), and has been aborted",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    # ----------------------------------------------------------------- private

    @property
    def _handle(self) -> int | None:
        return self._state.handle

    @property
    def _open_cursors(self) -> int:
        return len(self._state.cursors)

    def _call(self, function: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        """Calls a function with the transaction's handle and `arguments`; meanwhile another
        thread, or the function, that uses the transaction gets BusyError."""
        return self._state.call(function, *arguments)

    def _database(self, db: t.Any) -> int:
        """The library's handle of a database; None is the transaction's default."""
        if db is None:
            db = self._default
            if db is None:
                return _abi.MAIN_DB
        if not isinstance(db, DatabaseCore):
            raise TypeError(
                f"db must be a zerodb.Database, not {type(db).__name__}; "
                "open_db() gives one for a name"
            )
        if db.environment is not self.environment:
            raise self._state.make_error(
                _abi.BAD_DB,
                f"database {db.name!r} belongs to the environment at {db.environment._path}, "
                f"not to the one at {self.environment._path}; open it there with open_db()",
            )
        return db._handle

    def _is_too_long(self, code: int, key: t.Buffer) -> bool:
        """Whether a key is longer than any can be, so that for LMDB it is not there."""
        return (
            code == _abi.BAD_VALSIZE
            and self.environment._lmdb_style
            and _ffi.size_of(key, "key") > 0
        )

    def _check_empty(self, db: t.Any) -> None:
        """Refuses an empty value where keys have several, as LMDB does."""
        if self._database_flags(db or self._default) & _abi.DUPSORT:
            raise self._state.make_error(
                _abi.BAD_VALSIZE, "a value of a database with dupsort has at least one byte"
            )

    def _database_flags(self, db: t.Any) -> int:
        database = self._database(db)
        if db is not None:
            return int(db._flags)
        flags = _ffi.new_count()
        code = self._state.call(_ffi.db_flags, database, _ffi.reference(flags))
        if code != _abi.OK:
            raise self._state.error(code)
        return int(flags.value)

    def _on_key(
        self, function: t.Callable[..., int], key: t.Buffer, db: t.Any, last: t.Any
    ) -> int:
        """Calls a function with the handle, the database, a key and one more argument."""
        database = self._database(db)
        state = self._state
        inside: dict[int, t.Any] = {}
        try:
            if state.lock.setdefault(0, inside) is not inside:
                state.enter(inside)
            if state.handle is None:
                raise state.ended()
            wanted, held = _ffi.input_val(key, "key")
            code = function(state.handle, database, _ffi.reference(wanted), last)
            del held
            return code
        finally:
            if state.lock.get(0) is inside:
                del state.lock[0]

    def _delete(self, key: t.Buffer, value: t.Buffer | None, db: t.Any) -> int:
        state = self._state
        only = held = None
        if value is not None and _ffi.size_of(value, "value"):
            only, held = _ffi.input_val(value, "value")
            only = _ffi.reference(only)

        def delete(*arguments: t.Any) -> int:
            state.before_write()
            code: int = state.calls.delete(*arguments)
            return code

        code = self._on_key(delete, key, db, only)
        del held
        return code

    def _put_flags(self, dupdata: bool, overwrite: bool, append: bool, db: t.Any) -> int:
        flags = 0 if overwrite else _abi.NOOVERWRITE
        if append or not dupdata:
            duplicates = self._database_flags(db or self._default) & _abi.DUPSORT
            if append:
                flags |= _abi.APPENDDUP if duplicates else _abi.APPEND
            if not dupdata and duplicates:
                flags |= _abi.NODUPDATA
        return flags

    def _walk(self, db: t.Any, keys: KeyRange, reverse: bool, want: int) -> Iterator[t.Any]:
        cursor = CursorCore(self._default if db is None else db, self)
        step = _abi.CURSOR_PREV if reverse else _abi.CURSOR_NEXT
        if not keys.lower and keys.upper is None:
            return cursor._entries(step, want, None, None)
        size_max = self.environment._max_key_size
        flags = self._database_flags(cursor.database)
        order = keys.order(self, cursor.database, flags, size_max)
        if order.is_empty:
            return iter(())
        bound = keys.upper if reverse else keys.lower
        start = (
            partial(order.start_reverse if reverse else order.start, size_max),
            bound if bound and len(bound) <= size_max else None,
        )
        until = (keys.lower or None) if reverse else keys.upper
        return cursor._entries(step, want, start, until)

    def _reset(self, handle: int) -> int:
        state = self._state
        if state.has_views():
            raise state.make_error(
                _abi.BUSY, "memoryviews of values are in use; release them first"
            )
        code: int = _ffi.txn_reset(handle)
        if code == _abi.OK:
            state.resets += 1
        return code

    def _end(self, outcome: str, ends_child: bool = False) -> None:
        state = self._state
        if state.handle is None:
            return
        if state.inherited:
            state.abort(outcome)
            return
        child = state.child
        ends_child = ends_child or self.environment._lmdb_style
        if child is not None and child.handle is not None and not ends_child:
            raise state.make_error(
                _abi.BAD_TXN,
                "a transaction that is nested in this one is open; end that one first",
            )
        if not state.attempt(lambda: state.abort(outcome)):
            raise state.busy()
        self.environment._forget(state)
