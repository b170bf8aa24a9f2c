"""Interrupts (Ctrl-C) at random moments leave nothing open.

A timer or another thread interrupts the work of a thread again and again. After each time no
transaction may be open, no reader slot taken and the writer's lock free, or the environment
must be closed. ZERODB_INTERRUPTS says how many interrupts each test has.
"""

from __future__ import annotations

import ctypes
import dis
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Callable

import pytest

import zerodb
from conftest import collect
from zerodb import _callbacks, lmdb
from zerodb._core import EnvironmentCore

INTERRUPTS = int(os.environ.get("ZERODB_INTERRUPTS", "1000"))
"""A campaign has 20 000."""
SECONDS_MAX = 12 + INTERRUPTS / 100

pytestmark = pytest.mark.filterwarnings(
    # An object that is interrupted before its `with` block has it is dropped, with a warning;
    # an interrupt may be raised in a finalizer.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


class Interrupter:
    """A timer that raises KeyboardInterrupt in the main thread while it is armed."""

    def __init__(self) -> None:
        self.armed = False

    def __enter__(self) -> Interrupter:
        self._before = signal.signal(signal.SIGALRM, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def _interrupt(self, _: int, frame: Any) -> None:
        if self.armed and frame.f_code is not Interrupter.during.__code__:
            self.armed = False
            raise KeyboardInterrupt

    def during(self, work: Callable[[], object], seconds: float) -> bool:
        """Calls a function until it is interrupted, after that time or a little later.

        Returns whether the interrupt came out of it. If not, a finalizer swallowed it.
        """
        self.armed = True
        # Again, in case that the first comes when nothing is under way.
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.002)
        try:
            while self.armed:
                work()
        except KeyboardInterrupt:
            return True
        finally:
            self.armed = False
        return False


@pytest.fixture
def interrupter() -> Iterator[Interrupter]:
    """The timer; what finalizers raise is not shown."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with Interrupter() as made:
            yield made
    finally:
        sys.unraisablehook = hook


def nothing_is_open(env: zerodb.Environment) -> None:
    """Fails if a transaction is open, a reader slot taken, or the writer's lock."""
    if env._open_transactions:
        # In a cycle with an exception's traceback.
        collect()
    assert not env._open_transactions
    assert env.transactions() == []
    assert env.info().readers == 0
    env.begin(write=True, wait=0).abort()


def interrupted_often(
    interrupter: Interrupter,
    work: Callable[[], object],
    check: Callable[[], object],
    seconds: float = 4e-4,
    times: int = INTERRUPTS,
) -> None:
    """Interrupts `work` many times, and checks after each."""
    randomness = random.Random(times)
    end = time.monotonic() + SECONDS_MAX
    count = 0
    while count < times and time.monotonic() < end:
        count += interrupter.during(work, randomness.uniform(1e-5, seconds))
        check()
    assert count > times / 10


@pytest.fixture
def filled(path: Path) -> Iterator[zerodb.Environment]:
    """An environment with a hundred entries, and one more database."""
    with zerodb.open(path, durability="none") as env:
        with env.begin(write=True) as txn:
            txn.db("dup", create=True, dupsort=True)
            txn.put_many([(b"%03d" % number, b"v" * 50) for number in range(100)])
        yield env


def blocks(env: zerodb.Environment) -> Callable[[], None]:
    """With blocks of transactions and cursors, one in the other."""

    def work() -> None:
        with env.begin(write=True) as txn:
            txn[b"a"] = b"1"
            with txn.cursor() as cursor:
                cursor.set_range(b"0")
                cursor.next()
            with env.begin(parent=txn, write=True) as nested:
                nested[b"b"] = b"2"
        with env.begin() as txn:
            assert txn[b"a"] == b"1"

    return work


def iterations(env: zerodb.Environment) -> Callable[[], None]:
    """Iterations, to their end and not."""

    def work() -> None:
        with env.begin(buffers=True) as txn:
            for _, value in txn.items(prefix=b"0"):
                assert value[:1] == b"v"
            for _ in txn.keys(start=b"05", reverse=True):
                break
            list(txn.values())
            with txn.cursor() as cursor:
                for _ in cursor.iternext():
                    pass
        with env.begin() as txn:
            assert len(list(txn.items())) >= 100
            txn.get_many([b"001", b"none"])

    return work


def mappings(env: zerodb.Environment) -> Callable[[], None]:
    """Databases as mappings, whose calls have transactions of their own."""
    db = env.open_db(None)
    dup = env.open_db("dup")

    def work() -> None:
        db[b"c"] = b"3"
        assert db[b"c"] == b"3"
        db.update({b"d": b"4"})
        db.pop(b"d", None)
        dup[b"k"] = b"1"
        assert list(db.items(start=b"09", stop=b"091"))
        env.stat(db)
        env.databases()

    return work


@pytest.mark.parametrize("kind", [blocks, iterations, mappings])
def test_interrupted_work_leaves_no_transaction_open(
    filled: zerodb.Environment, interrupter: Interrupter, kind: Any
) -> None:
    interrupted_often(interrupter, kind(filled), lambda: nothing_is_open(filled))
    assert filled.verify().sound


def test_an_interrupted_wait_leaves_no_transaction_open(
    filled: zerodb.Environment, interrupter: Interrupter
) -> None:
    ends = threading.Event()
    wanted, held, freed = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        # Some waits are interrupted, others end just then.
        randomness = random.Random(1)
        while True:
            wanted.wait()
            wanted.clear()
            if ends.is_set():
                return
            with filled.begin(write=True):
                held.set()
                time.sleep(randomness.uniform(0, 4e-4))
            freed.set()

    def wait() -> None:
        with filled.begin(write=True) as txn:
            txn[b"w"] = b"1"

    def ready() -> None:
        freed.wait()
        nothing_is_open(filled)
        freed.clear()
        held.clear()
        wanted.set()
        held.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        freed.set()
        ready()
        interrupted_often(interrupter, wait, ready, times=max(INTERRUPTS // 4, 50))
    finally:
        ends.set()
        wanted.set()
        holder.join()


def test_an_interrupted_opening_or_closing_leaves_nothing_open(
    path: Path, interrupter: Interrupter
) -> None:
    zerodb.open(path).close()

    def work() -> None:
        with zerodb.open(path, durability="none", threads=False) as env:
            txn = env.begin()
            with env.begin(write=True) as writer:
                writer[b"k"] = b"v"
            txn.get(b"k")
            env.close()

    def check() -> None:
        collect()
        # Refused while another is open here.
        with zerodb.open(path) as env:
            nothing_is_open(env)

    descriptors = len(os.listdir("/proc/self/fd"))
    interrupted_often(interrupter, work, check, seconds=3e-3, times=max(INTERRUPTS // 20, 40))
    assert len(os.listdir("/proc/self/fd")) == descriptors


def closing(env: zerodb.Environment) -> Callable[[], None]:
    """Closes it from a function in Python, so that the timer tells it from the test."""

    def close() -> None:
        env.close()
        # PyPy looks for signals in loops.
        for _ in range(100):
            pass

    return close


def test_an_interrupt_in_a_wait_for_a_thread_that_is_in_a_call_ends_close(
    path: Path, interrupter: Interrupter
) -> None:
    for _ in range(max(INTERRUPTS // 40, 10)):
        env = zerodb.open(path, durability="none")
        stop = threading.Event()

        def read(env: zerodb.Environment = env, stop: threading.Event = stop) -> None:
            with suppress(zerodb.Error):
                while not stop.is_set():
                    with env.begin() as txn:
                        for _ in range(50):
                            txn.get(b"k")

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        interrupter.during(closing(env), random.uniform(1e-5, 2e-3))
        stop.set()
        env.close()
        for reader in readers:
            reader.join()
        assert env.closed
        zerodb.open(path).close()


@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="PyThreadState_SetAsyncExc is of CPython"
)
@pytest.mark.parametrize("kind", [blocks, iterations, mappings])
def test_exceptions_sent_to_threads_leave_no_transaction_open(
    filled: zerodb.Environment, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    randomness = random.Random(2)
    end = time.monotonic() + SECONDS_MAX

    class StopThread(BaseException):
        pass

    def run() -> None:
        try:
            work = kind(filled)
            started.set()
            while True:
                work()
        except StopThread:
            pass

    send = ctypes.pythonapi.PyThreadState_SetAsyncExc
    for _ in range(max(INTERRUPTS // 8, 50)):
        if time.monotonic() > end:
            break
        started = threading.Event()
        thread = threading.Thread(target=run)
        thread.start()
        started.wait()
        time.sleep(randomness.uniform(1e-5, 1e-3))
        while thread.is_alive():
            # Again, if a finalizer has swallowed it.
            send(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(StopThread))
            thread.join(0.2)
        nothing_is_open(filled)


class Stepper:
    """Raises KeyboardInterrupt before one instruction of some functions, as CPython 3.9 and
    PyPy do for signals."""

    def __init__(self, codes: set[CodeType], number: int) -> None:
        self.left = number
        self._codes = codes

    def __enter__(self) -> None:
        sys.settrace(self._called)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code not in self._codes:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self._stepped


USES: dict[str, Callable[[zerodb.Transaction, zerodb.Cursor], object]] = {
    "set_range": lambda txn, cursor: cursor.set_range(b"01"),
    "_move": lambda txn, cursor: cursor.next(),
    "_current": lambda txn, cursor: cursor.key(),
    "_call": lambda txn, cursor: cursor.put(b"000", b"v"),
    "_entries": lambda txn, cursor: next(cursor.iternext()),
    "_get_slowly": lambda txn, cursor: txn.get(bytearray(b"001")),
    "put": lambda txn, cursor: txn.put(bytearray(b"a"), b"1"),
    "_on_key": lambda txn, cursor: b"a" in txn,
    "_open": lambda txn, cursor: txn.cursor().close(),
    "call": lambda txn, cursor: txn.stat(),
    "attempt": lambda txn, cursor: txn.cursor().close(),
}
"""Calls that go inside a transaction, by the name of the function that does."""


@pytest.mark.skipif(zerodb.implementation != "ctypes", reason="these are functions in Python")
@pytest.mark.skipif(
    sys.implementation.name != "cpython" or sys.version_info >= (3, 12),
    reason="sys.settrace does not stop there at each instruction",
)
@pytest.mark.parametrize("name", USES)
def test_an_interrupt_at_any_instruction_leaves_the_transaction_usable(
    filled: zerodb.Environment, name: str
) -> None:
    from zerodb._pure import cursor as cursors
    from zerodb._pure import state, transaction, walks

    owners: list[Any] = [cursors.CursorCore, walks.Walks, transaction.TransactionCore]
    owners.append(state.TransactionState)
    codes = {vars(owner)[name].__code__ for owner in owners if name in vars(owner)}
    for number in itertools.count(1):
        txn = filled.begin(write=True)
        cursor = txn.cursor()
        cursor.first()
        stepper = Stepper(codes, number)
        with suppress(KeyboardInterrupt), stepper:
            USES[name](txn, cursor)
        for use in USES.values():
            use(txn, cursor)
        cursor.close()
        txn.abort()
        nothing_is_open(filled)
        if stepper.left > 0:
            break
    assert number > 20


@pytest.mark.skipif(sys.version_info < (3, 11), reason="these have no tables of exceptions")
def test_loops_in_try_statements_have_no_jump_outside_of_them() -> None:
    # CPython 3.13 handles signals at such a jump, and passes by `except` and `finally`.
    functions: list[Any] = [_callbacks._guard]
    if zerodb.implementation == "ctypes":
        functions.append(vars(EnvironmentCore)["_close"])
    for function in functions:
        code: Any = dis.Bytecode(function)
        guarded = [
            range(entry.start, entry.end) for entry in code.exception_entries if not entry.lasti
        ]
        before = None
        for instruction in code:
            if instruction.opname == "JUMP_BACKWARD":
                assert before is not None
                inside = [before.offset in part for part in guarded]
                assert [instruction.offset in part for part in guarded] == inside, function
            before = instruction


def test_an_interrupted_callback_tells_of_the_interrupt(
    filled: zerodb.Environment, interrupter: Interrupter
) -> None:
    with filled.begin(write=True) as txn:
        for number in range(50):
            txn.db(f"n{number}", create=True)

    def work() -> None:
        assert len(filled.databases()) == 51

    interrupted_often(interrupter, work, lambda: nothing_is_open(filled))


def test_an_interrupted_set_mapsize_leaves_the_environment_open(
    tmp_path: Path, interrupter: Interrupter
) -> None:
    with lmdb.open(str(tmp_path / "env"), map_size=1 << 24) as env:

        def check() -> None:
            # A second signal may have ended the wait for the thread that opens it.
            end = time.monotonic() + 10
            while env.closed and time.monotonic() < end:
                time.sleep(0.001)
            assert env.stat()["entries"] == 0

        interrupted_often(interrupter, lambda: env.set_mapsize(1 << 24), check, 2e-3, 100)
