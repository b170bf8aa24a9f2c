"""What coroutines have done in threads: shared by `zerodb.aio` and `zerodb.lmdb.aio`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
import weakref
from collections.abc import Generator
from typing import Any, Callable, Generic, TypeVar

from zerodb import _abi
from zerodb._errors import BusyError

Executor = concurrent.futures.Executor
Result = TypeVar("Result")
_SLICE_SECONDS = 0.02


async def to_its_end(executor: Executor | None, call: Callable[[], Result]) -> Result:
    """Calls a function in a thread.

    A task that is cancelled meanwhile goes on when the function has returned: nothing is under
    way that it does not know of.
    """
    future = asyncio.get_running_loop().run_in_executor(executor, call)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # is told to nobody, as the task has another
        raise cancelled
    return future.result()


async def begun_when_free(
    executor: Executor | None,
    begin: Callable[[float], Result],
    wait: float | None,
) -> Result:
    """Begins a write transaction in a thread, which waits there for the one before.

    A task that is cancelled meanwhile ends the wait; a transaction that has just begun is
    aborted.

    :param begin: begins it, or raises BusyError after waiting for so many seconds.
    :param wait: seconds to wait at most; None: until the other has ended.
    """
    begun: list[Any] = []
    end = None if wait is None else time.monotonic() + wait

    def wait_a_little() -> None:
        left = _SLICE_SECONDS if end is None else end - time.monotonic()
        try:
            begun.append(begin(max(0.0, min(left, _SLICE_SECONDS))))
        except BusyError:
            if left <= _SLICE_SECONDS and end is not None:
                raise

    try:
        while True:
            # A thread for each part of the wait: the one that the transaction before needs for
            # its commit is free again after each.
            began = time.monotonic()
            await to_its_end(executor, wait_a_little)
            if begun:
                break
            # One that is refused at once, as for a transaction of the same thread, is tried
            # again at the same pace.
            await asyncio.sleep(max(0.0, began + _SLICE_SECONDS - time.monotonic()))
    except BaseException:
        for txn in begun:
            await to_its_end(executor, txn.abort)
        raise
    result: Result = begun[0]
    return result


class Turn:
    """The tasks of one event loop that write in an environment, one after the other."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[Any] | None = None

    async def take(self, wait: float | None) -> None:
        """Waits for the tasks before.

        :param wait: seconds to wait at most; None: until they have ended.
        :raises BusyError: another has the turn after that time, or this task has it already.
        """
        if self._task is not None and self._task is asyncio.current_task():
            raise BusyError(
                "this task has a write transaction open already; end it, or use it", _abi.BUSY
            )
        try:
            if wait is None:
                await self._lock.acquire()
            else:
                await asyncio.wait_for(self._lock.acquire(), wait)
        except asyncio.TimeoutError:
            raise BusyError(
                "another write transaction of this event loop is open; wait for its end",
                _abi.BUSY,
            ) from None
        self._task = asyncio.current_task()

    def give_back(self) -> None:
        """Lets the next task write."""
        self._task = None
        self._lock.release()


_turns: weakref.WeakKeyDictionary[
    Any, weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turn]
] = weakref.WeakKeyDictionary()


def turn_of(environment: Any) -> Turn:
    """The turn of the event loop that runs."""
    by_loop = _turns.setdefault(environment, weakref.WeakKeyDictionary())
    return by_loop.setdefault(asyncio.get_running_loop(), Turn())


class Beginning(Generic[Result]):
    """What begins when it is awaited, or at the beginning of an ``async with`` block."""

    def __init__(self, begin: Callable[[], Any]) -> None:
        self._begin = begin
        self._begun: Any = None

    def __await__(self) -> Generator[Any, None, Result]:
        result: Generator[Any, None, Result] = self._begin().__await__()
        return result

    async def __aenter__(self) -> Result:
        self._begun = await self._begin()
        entered: Result = await self._begun.__aenter__()
        return entered

    async def __aexit__(self, *raised: Any) -> Any:
        return await self._begun.__aexit__(*raised)
