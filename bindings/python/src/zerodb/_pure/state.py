"""The library's side of a transaction, and the threads that may use it."""

from __future__ import annotations

import gc
import sys
import weakref
from collections import deque
from contextlib import suppress
from types import FrameType, MappingProxyType

from zerodb import _abi, _ffi
from zerodb import _hints as t

# Looked up for each transaction.
_process_number = _ffi.process_number
_ADDRESS_MAX = 2**64


def is_under_way(token: object) -> bool:
    """Whether a call has not ended whose local variable `inside` is this, in any thread."""
    return any(is_under_way_in(token, frame) for frame in sys._current_frames().values())


def is_under_way_in(token: object, frame: FrameType | None) -> bool:
    """The same of one thread, which is in this frame; None is no token."""
    while token is not None and frame is not None:
        if "inside" in frame.f_code.co_varnames and frame.f_locals.get("inside") is token:
            return True
        frame = frame.f_back
    return False


class Ahead:
    """Entries that a cursor has read in advance of what the program has seen of them."""

    is_sought = False
    """Whether they were read by a move to the first of them."""
    is_fresh = False
    """Whether no iteration has taken them over yet."""
    each = 2
    """How many strings are one entry."""
    back = _abi.CURSOR_PREV
    """The cursor operation that leads from one entry to the one before it."""
    before = 0
    """Entries that the same iteration has given before these; below 0 if nobody counts."""
    left = -1
    """How many entries remained when the iterator was ended; below 0 before."""

    def __init__(self, strings: list[t.Any], each: int, back: int, before: int) -> None:
        self.strings = strings
        """Keys, values, or keys and values in turn."""
        self.rest: t.Any = iter(strings)
        """What remains of it the program has not seen."""
        self.each = each
        self.back = back
        self.before = before

    @property
    def remaining(self) -> int:
        """Entries that the program has not been given."""
        if self.left >= 0:
            return self.left
        remaining: int = self.rest.__length_hint__() // self.each
        return remaining

    @property
    def given(self) -> int:
        """Entries of these that it has been given."""
        return len(self.strings) // self.each - self.remaining

    @property
    def steps(self) -> int:
        """How far the cursor is past where the program thinks it is: on the entry that it has
        been given last, or on the first one that was moved to."""
        remaining = self.remaining
        if self.is_sought:
            return min(remaining, len(self.strings) // self.each - 1)
        return remaining

    @property
    def current(self) -> tuple[bytes, bytes] | None:
        """The entry that the program thinks the cursor is on, if all of it is here."""
        if self.each == 1:
            return None
        place = (self.given - 1) * 2
        if place < 0:
            if not self.is_sought:
                return None
            place = 0
        return self.strings[place], self.strings[place + 1]

    def forget(self) -> None:
        """Ends the iterator."""
        if self.left < 0:
            self.left = self.remaining
        # As if it had been used up: a list_iterator that is past its list stays so.
        deque(self.rest, maxlen=0)


class Sought(Ahead):
    """Entries that were read by a move to the first of them."""

    is_sought = True
    is_fresh = True

    # Without what the class has: this is made for each move.
    def __init__(self, strings: list[t.Any]) -> None:
        self.strings = strings
        self.rest = iter(strings)


class Keeper:
    """Ends a read transaction when no object looks at its pages any more.

    The objects through which memoryviews look at pages refer to it.
    """

    __slots__ = ("__weakref__", "_abort", "end", "handle", "lowest")

    def __init__(self, abort: t.Callable[[int], int]) -> None:
        self._abort = abort
        self.handle: int | None = None
        """The transaction, once its Transaction has ended."""
        self.lowest = _ADDRESS_MAX
        """Between this address and `end` are all memoryviews of pages."""
        self.end = 0

    def __del__(self) -> None:
        if self.handle is not None:
            self._abort(self.handle)


class TransactionState:
    """The handles of a transaction and its cursors.

    Shared by the Transaction and its Environment, which must be able to end it when it closes,
    and refers to neither, so that they can be collected in any order.

    One thread at a time is inside, holding `lock`; a second gets BusyError at once. The library
    would refuse a second thread of a write transaction in the same way. But it cannot keep that
    thread from overwriting the structures through which a Transaction talks to the library, nor
    from ending the transaction between a call and the copying of the value it has returned.

    The lock is a dictionary that holds the token of the call that is inside, a dictionary of
    its own, which is also the local variable `inside` of that call. dict.setdefault() takes it.
    Only the call whose token is there gives it back, in a finally clause.

    In CPython 3.9 and in PyPy a signal handler may raise between any two instructions, also
    before that clause. The lock remains taken then by a call that has ended, whose frame is on
    no stack. The next call that finds it taken looks, and takes it over.
    """

    # What most transactions never have is in the class, so that beginning one is quick.
    outcome = "has not ended"
    """What has become of the transaction, for messages."""
    entered = 0
    """How often a with statement has entered the transaction."""
    cursors: t.Any = frozenset()
    """Handles of the open cursors."""
    ahead: t.Any = MappingProxyType({})
    """What cursors, by their handles, have read in advance."""
    changes = 0
    """Grows with each write."""
    resets = 0
    """How often its snapshot was given up."""
    parent: TransactionState | None = None
    child: TransactionState | None = None
    views: t.Any = ()
    """Weak references to the memoryviews of pages that were handed out."""
    keeper: Keeper | None = None
    memory: memoryview | None = None
    """What views of pages are slices of; it refers to the keeper."""

    def __init__(
        self,
        handle: int,
        write: bool,
        calls: _ffi.Calls,
        make_error: t.Callable[..., BaseException],
    ) -> None:
        self.handle: int | None = handle
        """None once the transaction has ended."""
        self.fast: t.Any = _ffi.pointer_to(handle) if calls is _ffi.keeping else None
        """The same for quick calls. They keep the lock of the interpreter, so that no other
        thread comes between. None while a thread is inside with a call that may take long."""
        self.write = write
        self.calls = calls
        self.make_error = make_error
        self.lock: dict[int, t.Any] = {}
        self.process = _ffi.process_number[0]

    def add_cursor(self, cursor: int) -> None:
        """Notes a cursor that has been opened; the caller is inside."""
        if not self.cursors:
            self.cursors = set()
        self.cursors.add(cursor)

    def add_ahead(self, cursor: int, ahead: Ahead) -> None:
        """Notes what a cursor has read in advance; the caller is inside."""
        if not self.ahead:
            self.ahead = {}
        self.ahead[cursor] = ahead

    def call(self, function: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        """Calls a function with the transaction's handle and `arguments`, from inside."""
        inside: dict[int, t.Any] = {}
        try:
            if self.lock.setdefault(0, inside) is not inside:
                self.enter(inside)
            if self.handle is None:
                raise self.ended()
            self.fast = None
            self.before_write()
            return function(self.handle, *arguments)
        finally:
            if self.lock.get(0) is inside:
                try:
                    if self.handle is not None and self.calls is _ffi.keeping:
                        self.fast = _ffi.pointer_to(self.handle)
                finally:
                    if self.lock.get(0) is inside:
                        del self.lock[0]

    def attempt(self, function: t.Callable[[], object]) -> bool:
        """Calls a function from inside, unless a thread is inside; returns whether it did."""
        inside: dict[int, t.Any] = {}
        try:
            if self.lock.setdefault(0, inside) is not inside and not self._takes_over(inside):
                return False
            function()
            return True
        finally:
            if self.lock.get(0) is inside:
                del self.lock[0]

    def enter(self, inside: dict[int, t.Any]) -> None:
        """Takes the lock for a call that has not got it at once, or raises."""
        if not self._takes_over(inside):
            raise self.busy()

    def _takes_over(self, inside: dict[int, t.Any]) -> bool:
        """Takes the lock from a call that a signal handler has ended before it gave the lock
        back; returns whether it has it."""
        while not self.inherited:
            first = self.lock.setdefault(0, inside)
            owner = first
            # The tokens of those that were interrupted here, too, each in the one before it.
            # To get one's own into a token is to have the lock: only one call can.
            while owner is not inside:
                if is_under_way(owner):
                    return False
                if self.lock.get(0) is not first:
                    break  # it was given back
                owner = owner.setdefault(0, inside)
            if owner is inside:
                self.lock[0] = inside
                return True
        return False

    @property
    def inherited(self) -> bool:
        """Whether this process was forked from the one that began the transaction."""
        return self.process != _ffi.process_number[0]

    # ------------------------------------------------------------------ errors

    def error(self, code: int) -> BaseException:
        """The error for a result of the library."""
        return self.make_error(code)

    def busy(self) -> BaseException:
        """The error for finding another thread inside."""
        if self.inherited:
            return self.forked("transaction")
        return self.make_error(
            _abi.BUSY,
            "another thread is inside this transaction; use a transaction from one thread at a "
            "time, or begin one for each thread",
        )

    def ended(self) -> BaseException:
        """The error for using the transaction after its end."""
        return self.make_error(
            _abi.BAD_TXN, f"the transaction {self.outcome}; begin another one"
        )

    def forked(self, what: str) -> BaseException:
        """The error for using what the parent process opened."""
        return self.make_error(
            _abi.FORKED,
            f"the {what} was opened by the process that this one was forked from; open the "
            "environment anew in this process",
        )

    # -------------------------------------------------------------- reading ahead

    def before_write(self) -> None:
        """Brings cursors back to where the program thinks they are; the caller is inside."""
        self.changes += 1
        if self.ahead:
            for cursor in list(self.ahead):
                self.bring_back(cursor)

    def bring_back(self, cursor: int) -> int:
        """Brings one cursor back; returns over how many entries."""
        ahead = self.ahead.get(cursor)
        if ahead is None or self.handle is None:
            return 0
        del self.ahead[cursor]
        steps: int = ahead.steps
        ahead.forget()
        if ahead.is_sought and not ahead.given:
            # To the first of them, in one move.
            return self._move_to(cursor, ahead.strings[0])
        for _ in range(steps):
            code = self.calls.cursor_get(cursor, None, None, ahead.back)
            if code != _abi.OK:
                raise self.error(code)
        return steps

    def _move_to(self, cursor: int, key: bytes) -> int:
        wanted, held = _ffi.input_val(key, "key")
        code: int = self.calls.cursor_get(
            cursor, _ffi.reference(wanted), None, _abi.CURSOR_SET_RANGE
        )
        del held
        if code != _abi.OK:
            raise self.error(code)
        return 0

    def forget_one(self, cursor: int) -> None:
        """Ends what one cursor has read in advance; the caller is inside."""
        ahead = self.ahead.get(cursor)
        if ahead is not None:
            del self.ahead[cursor]
            ahead.forget()

    def forget_ahead(self) -> None:
        """Ends what has been read in advance; the caller is inside."""
        for ahead in self.ahead.values():
            ahead.forget()
        self.ahead = MappingProxyType({})

    # --------------------------------------------------------------------- views

    def has_views(self) -> bool:
        """Whether an object looks at pages; the caller is inside."""
        if self.keeper is None:
            return False
        known = weakref.ref(self.keeper)
        self.keeper = self.memory = None
        if known() is not None and sys.implementation.name != "cpython":
            gc.collect()  # those that are gone may not have been collected yet
        self.keeper = known()
        return self.keeper is not None

    # ------------------------------------------------------------------ ending

    def commit(self, handle: int, ends_child: bool) -> int:
        """Commits and ends the transaction; the caller is inside. Returns the result code."""
        if self.child is not None and self.child.handle is not None:
            if not ends_child:
                # The library refuses, and nothing happens.
                return int(_ffi.txn_commit(handle))
            self.child.abort("was aborted by the end of its parent")
        self._let_go()
        try:
            code: int = _ffi.txn_commit(handle)
        except BaseException:
            # A signal handler has raised, after the call or, in some Pythons, before it.
            if not _ffi.txn_id(handle):
                self._finish("was committed")
            raise
        self._finish("was committed")
        if code != _abi.OK:
            self.outcome = "failed to commit"
        return code

    def abort(self, outcome: str) -> None:
        """Aborts the transaction, unless it has ended; the caller is inside.

        A child of the process that began it only forgets it.
        """
        if self.handle is None:
            return
        if self.child is not None:
            self.child.abort(outcome)
        handle = self.handle
        if not self.inherited:
            self._let_go()
            # If a signal handler raises before it has finished, it is aborted again: a handle
            # that has ended is refused.
            keeper = self.keeper
            if keeper is None:
                self.calls.txn_abort(handle)
            else:
                keeper.handle = handle
        self._finish(outcome)

    def _let_go(self) -> None:
        self.forget_ahead()
        while self.cursors:
            self.calls.cursor_close(self.cursors.pop())
        views, self.views = self.views, ()
        for reference in views:
            view = reference()
            if view is not None:
                # Unless another object looks at the memory through it.
                with suppress(BufferError):
                    view.release()

    def _finish(self, outcome: str) -> None:
        if self.handle is None:
            return
        self.handle = self.fast = self.keeper = self.memory = None
        self.outcome = outcome
        if self.parent is not None:
            self.parent.child = None


class ReaderState(TransactionState):
    """That of a read transaction which a quick call has begun."""

    write = False

    # Without what the class has, so that beginning one is quick.
    def __init__(
        self, pointer: t.Any, calls: _ffi.Calls, make_error: t.Callable[..., BaseException]
    ) -> None:
        self.handle = pointer.value
        self.fast = pointer
        self.calls = calls
        self.make_error = make_error
        self.lock = {}
        self.process = _process_number[0]
