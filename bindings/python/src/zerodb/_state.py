"""The library's side of a transaction, and the threads that may use it."""

from __future__ import annotations

import os
import threading
from typing import Any, Callable

from zerodb import _ffi
from zerodb._errors import BadTransactionError, BusyError, Error, forked


class TransactionState:
    """The handles of a transaction and its cursors.

    Shared by the Transaction and its Environment, which must be able to end it when it closes,
    and refers to neither, so that they can be collected in any order.

    One thread at a time is inside, holding `lock`; a second gets BusyError at once. The library
    would refuse a second thread of a write transaction in the same way. But it cannot keep that
    thread from overwriting the structures through which a Transaction talks to the library, nor
    from ending the transaction between a call and the copying of the value it has returned.

    A thread that goes inside takes the lock in a try statement whose finally clause releases
    it, not through a context manager of ours: a signal handler may raise at the first
    instruction of __exit__, and would leave the lock taken.
    """

    __slots__ = ("cursors", "handle", "lock", "outcome", "process", "write")

    def __init__(self, handle: int, write: bool) -> None:
        self.handle: int | None = handle
        """None once the transaction has ended."""
        self.write = write
        self.cursors: set[int] = set()
        """Handles of the open cursors."""
        self.lock = threading.Lock()
        self.outcome = "not ended"
        """What has become of the transaction, for messages."""
        self.process = os.getpid()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function with the transaction's handle and `arguments`, from inside."""
        entered = True
        try:
            if not self.lock.acquire(False):
                entered = False
                raise self.busy()
            if self.handle is None:
                raise self.ended()
            return function(self.handle, *arguments)
        finally:
            if entered:
                self.lock.release()

    def attempt(self, function: Callable[[], object]) -> bool:
        """Calls a function from inside, unless a thread is inside; returns whether it did."""
        entered = True
        try:
            if not self.lock.acquire(False):
                entered = False
                return False
            function()
            return True
        finally:
            if entered:
                self.lock.release()

    @property
    def inherited(self) -> bool:
        """Whether this process was forked from the one that began the transaction."""
        return self.process != os.getpid()

    def busy(self) -> Error:
        """The error for finding another thread inside."""
        if self.inherited:
            return forked("transaction")
        return BusyError(
            "another thread is inside this transaction; use a transaction from one thread at a "
            "time, or begin one for each thread",
            _ffi.BUSY,
        )

    def ended(self) -> Error:
        """The error for using the transaction after its end."""
        return BadTransactionError(
            f"the transaction {self.outcome}; begin another one", _ffi.BAD_TXN
        )

    def commit(self, handle: int) -> int:
        """Commits and ends the transaction; the caller is inside. Returns the result code."""
        self._close_cursors()
        try:
            code: int = _ffi.txn_commit(handle)
        finally:
            self.handle = None
            self.outcome = "was committed"
        if code != _ffi.OK:
            self.outcome = "failed to commit"
        return code

    def abort(self, outcome: str) -> None:
        """Aborts the transaction, unless it has ended; the caller is inside.

        A child of the process that began it only forgets it.
        """
        if self.handle is None:
            return
        if not self.inherited:
            self._close_cursors()
            try:
                # The handle is good and no other thread is inside: the result does not matter.
                _ffi.txn_abort(self.handle)
            finally:
                self.handle = None
        self.handle = None
        self.outcome = outcome

    def _close_cursors(self) -> None:
        while self.cursors:
            _ffi.cursor_close(self.cursors.pop())
