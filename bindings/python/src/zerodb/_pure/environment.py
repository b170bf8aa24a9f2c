"""Environments."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
import warnings
import weakref

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._arguments import DURABILITIES, choice
from zerodb._callbacks import calling_back
from zerodb._pure.ending import Entrances, UninterruptedExit
from zerodb._pure.state import TransactionState, is_under_way, is_under_way_in

_SLICE_SECONDS = 0.1
_SHORT_SECONDS = 0.001
_ABANDONED_MS = 1500


class _Call:
    """A call that is under way: the local variable `inside` of the function that makes it."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = threading.get_ident()


class EnvironmentCore:
    """An environment."""

    __slots__ = (
        "__weakref__",
        "_calls",
        "_closing",
        "_expected",
        "_handle",
        "_inside",
        "_max_key_size",
        "_path",
        "_process",
        "_quick",
        "_state",
        "_transactions",
        "_wait",
    )

    _transaction_type: t.ClassVar[t.Any]
    _cursor_type: t.ClassVar[t.Any]
    _lmdb_style: t.ClassVar[bool] = False
    _warns: t.ClassVar[bool] = True
    _make_error: t.ClassVar[t.Callable[..., BaseException]]

    def _attach(
        self, handle: int, path: str, wait_ms: int = 0, has_events: bool = False
    ) -> None:
        """Takes an environment that has been opened."""
        self._path = path
        self._process = _ffi.process_number[0]
        # Calls of the library that are under way, except those of transactions.
        self._inside: set[_Call] = set()
        self._transactions: set[TransactionState] = set()
        self._closing = False
        # That of one that is opened anew may be in a with statement.
        self._state: Entrances = getattr(self, "_state", None) or Entrances()
        # How far iterations go that begin with a move to a key, see walks.py.
        self._expected = 0
        self._wait = wait_ms / 1000 if wait_ms else None
        self._calls = _ffi.releasing if has_events else _ffi.keeping
        self._max_key_size: int = _ffi.env_max_key_size(handle)
        self._handle: int | None = handle
        self._quick: t.Any = None if has_events else _ffi.pointer_to(handle)
        _environments.add(self)

    @property
    def path(self) -> str:
        """The directory, as it was given."""
        return self._path

    @property
    def max_key_size(self) -> int:
        """The length of the longest key, in bytes."""
        return self._max_key_size

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return getattr(self, "_handle", None) is None

    @property
    def _open_transactions(self) -> int:
        # A signal handler may keep one that has ended from being forgotten.
        return sum(state.handle is not None for state in list(self._transactions))

    def begin(
        self,
        db: t.Any = None,
        parent: t.Any = None,
        write: bool = False,
        buffers: bool = False,
        durability: t.Any = None,
        wait: float | None = None,
    ) -> t.Any:
        """Begins a transaction."""
        return self._transaction_type(self, db, parent, write, buffers, durability, wait)

    def close(self) -> None:
        """Closes the environment; aborts its transactions. Closing it again does nothing."""
        if self.closed:
            return
        if self._process != _ffi.process_number[0]:
            self._handle = None
            return
        self._close()

    def __enter__(self) -> t.Any:
        if not self.closed:
            self._state.entered += 1
        return self

    __exit__ = UninterruptedExit()

    def __del__(self) -> None:
        if self.closed or self._process != _ffi.process_number[0]:
            return
        self._close()
        if self._warns:
            warnings.warn(
                f"the environment at {self._path} was dropped without close(), and has been "
                "closed",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    # ----------------------------------------------------------------- private

    def _call(self, function: t.Callable[..., t.Result], *arguments: t.Any) -> t.Result:
        """Calls a function with the environment's handle and `arguments`; meanwhile no thread
        can close the environment."""
        if self.closed:
            raise self._was_closed()
        if self._process != _ffi.process_number[0]:
            self._after_fork()
        inside = _Call()
        try:
            # Noted before _closing is read, as close() writes that before it looks for calls.
            self._inside.add(inside)
            handle = self._handle
            if handle is None or self._closing:
                raise self._was_closed()
            return function(handle, *arguments)
        finally:
            self._inside.discard(inside)

    def _calls_under_way(self) -> list[_Call]:
        """Those that are, except of transactions. Those that a signal handler has ended before
        they had themselves struck off are struck off now."""
        found = []
        for call in list(self._inside):
            if is_under_way(call):
                found.append(call)
            else:
                self._inside.discard(call)
        return found

    def _after_fork(self) -> None:
        """Called in a child of the process that opened the environment: opens it anew, or
        raises."""
        raise self._make_error(
            _abi.FORKED,
            "the environment was opened by the process that this one was forked from; open the "
            "environment anew in this process",
        )

    def _was_closed(self) -> BaseException:
        path = getattr(self, "_path", None)
        return self._make_error(
            _abi.BAD_HANDLE, f"the environment at {path} is closed; open it again"
        )

    def _begin(
        self, txn: t.Any, parent: t.Any, write: bool, durability: t.Any, wait: float | None
    ) -> None:
        """Begins a transaction and gives it its state."""
        flags = 0 if write else _abi.RDONLY
        if durability is not None:
            if not write or parent is not None:
                raise self._make_error(
                    _abi.BAD_ARGUMENT,
                    "durability is for write transactions that are not nested; others commit "
                    "nothing to the disk",
                )
            flags |= choice("durability", durability, DURABILITIES)
        if parent is not None:
            if self._lmdb_style and not (write and parent.write):
                raise self._make_error(
                    _abi.BAD_ARGUMENT, "only write transactions are nested in one another"
                )
            if parent.environment is not self:
                raise self._make_error(
                    _abi.BAD_ARGUMENT,
                    f"the parent belongs to the environment at {parent.environment._path}, not "
                    f"to the one at {self._path}",
                )
            self._begin_nested(txn, parent._state)
        elif write:
            self._call(self._begin_write, txn, flags, wait)
        else:
            self._call(self._begin_read, txn)

    def _take_back(self, state: TransactionState | None, begun: t.Any) -> None:
        """Aborts what has begun, when its beginning is interrupted."""
        try:
            self._take_back_once(state, begun)
        finally:
            # A second time, in case that a signal handler raises in the first.
            self._take_back_once(state, begun)

    def _take_back_once(self, state: TransactionState | None, begun: t.Any) -> None:
        if state is not None:
            state.abort("was aborted")
            self._forget(state)
        elif begun.value is not None:
            # A handle that has been closed is refused.
            _ffi.txn_abort(begun.value)

    def _begin_read(self, handle: int, txn: t.Any) -> None:
        self._begin_once(handle, txn, None, _abi.RDONLY, self._calls.txn_begin)

    def _begin_nested(self, txn: t.Any, parent: TransactionState) -> None:
        def begin(handle: int) -> None:
            self._begin_once(self._handle, txn, parent, 0, self._calls.txn_begin)

        parent.call(begin)

    def _begin_write(self, handle: int, txn: t.Any, flags: int, wait: float | None) -> None:
        if wait is None:
            wait = self._wait
        end = None if wait is None else time.monotonic() + wait
        began = time.monotonic()
        while True:
            now = time.monotonic()
            left = _SLICE_SECONDS if end is None else end - now
            if left <= 0:
                # This time the library says for whom the transaction waits.
                flags |= _abi.NOWAIT
                return self._begin_once(handle, txn, None, flags, _ffi.txn_begin)
            slice_ms = max(1, int(min(left, _SLICE_SECONDS) * 1000))
            if now - began > 1 and self._writer_is_abandoned():
                # The library notices only in a longer wait that its thread has ended.
                slice_ms = _ABANDONED_MS
            try:
                return self._begin_once(
                    handle,
                    txn,
                    None,
                    flags,
                    lambda handle, _, flags, begun, ms=slice_ms: _ffi.txn_begin_wait(
                        handle, flags, ms, begun
                    ),
                )
            except _Waits:
                pass
            if self._closing:
                raise self._was_closed()

    def _begin_once(
        self,
        handle: int | None,
        txn: t.Any,
        parent: TransactionState | None,
        flags: int,
        function: t.Callable[..., int],
    ) -> None:
        begun = _ffi.new_handle()
        state: TransactionState | None = None
        try:
            code = function(
                handle, None if parent is None else parent.handle, flags, _ffi.reference(begun)
            )
            if code != _abi.OK:
                if code == errno.ETIMEDOUT:
                    raise _Waits
                raise self._make_error(code)
            write = not flags & _abi.RDONLY
            state = TransactionState(begun.value, write, self._calls, self._make_error)
            state.parent = parent
            if parent is not None:
                parent.child = state
            self._transactions.add(state)
            txn._state = state
        except BaseException:
            # A signal handler may raise when the wait for the writer before is just over.
            self._take_back(state, begun)
            raise

    def _writer_is_abandoned(self) -> bool:
        """Whether the thread of the write transaction of this process has ended."""
        found: list[bool] = []

        def add(transaction: t.Any) -> None:
            raw = transaction.contents
            found.append(not raw.flags & _abi.RDONLY and bool(raw.thread_ended))

        calling_back(
            lambda function, *arguments: int(function(self._handle, *arguments)),
            _ffi.txn_list,
            _abi.TxnFunction,
            add,
        )
        return any(found)

    def _forget(self, state: TransactionState) -> None:
        """Forgets a transaction that has ended."""
        self._transactions.discard(state)

    def _leave(self, kind: t.Any) -> None:
        self.close()

    def _drop(self) -> None:
        if not self.closed and not self._busy_here():
            self.close()

    def _busy_here(self) -> bool:
        """Whether this thread is inside a call, so that waiting for its end is in vain."""
        thread = threading.get_ident()
        frame = sys._getframe()
        return any(call.thread == thread for call in self._calls_under_way()) or any(
            is_under_way_in(state.lock.get(0), frame) for state in list(self._transactions)
        )

    def _check_not_inside(self) -> None:
        """Raises if a call of this thread is under way."""
        if self._busy_here():
            raise self._make_error(
                _abi.BUSY,
                f"a call of this thread is under way in the environment at {self._path}; let "
                "it return before closing",
            )

    def _close(self) -> None:
        self._check_not_inside()
        self._closing = True
        quick, self._quick = self._quick, None
        try:
            pause = _SHORT_SECONDS
            # No conditional jump leads back: see Callback.
            while True:
                if self._end_transactions():
                    break
                time.sleep(pause)
                pause = min(2 * pause, _SLICE_SECONDS)
            handle = self._handle
            if handle is None:
                return
            code = _ffi.env_close_wait(handle, _abi.WAIT_FOREVER, _abi.CLOSE_ABORT)
            # Only now: what a signal handler interrupts can be closed again.
            self._handle = None
        finally:
            self._closing = False
            if self._handle is not None:
                self._quick = quick
        # It is closed already, by another thread or in a call that was interrupted.
        if code not in (_abi.OK, _abi.BAD_HANDLE):
            raise self._make_error(code)

    def _end_transactions(self) -> bool:
        """Aborts the transactions that no thread is inside; whether no call is under way."""
        for state in list(self._transactions):
            if state.attempt(
                lambda state=state: state.abort(  # type: ignore[misc]
                    "was aborted by the closing of its environment"
                )
            ):
                self._forget(state)
        return not self._transactions and not self._calls_under_way()


_environments: weakref.WeakSet[EnvironmentCore] = weakref.WeakSet()


def _forget_inherited_entries() -> None:
    """In a child, which has no transactions of its parent: ends what they have read in advance,
    so that iterators go on to a call of the library, which refuses."""
    for environment in list(_environments):
        for state in list(environment._transactions):
            state.forget_ahead()


os.register_at_fork(after_in_child=_forget_inherited_entries)


class _Waits(Exception):  # noqa: N818
    """Another write transaction is open, and may end."""
