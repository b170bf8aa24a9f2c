"""Environments in coroutines.

    async with zerodb.aio.open("path/to/directory") as env:
        async with env.begin(write=True) as txn:
            txn[b"key"] = b"value"
        async with env.begin() as txn:
            value = txn[b"key"]
        async for key, value in env.items(prefix=b"k"):
            ...

What may wait is awaited, and works in a thread meanwhile: for another write transaction, for
the disk at the end of a block that writes, for long reads. A call of a transaction that reads
or writes single entries takes a microsecond or two, a fiftieth of the time that asking a thread
for it would take, and is made at once: `txn` is a :class:`zerodb.Transaction`.

A task that is cancelled leaves nothing open.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Generator, Iterator
from functools import partial
from itertools import islice
from typing import Any, Callable, TypeVar

import zerodb
from zerodb._threads import Executor, Turn, begun_when_free, to_its_end, turn_of
from zerodb._types import (
    Buffer,
    CompactResult,
    CopyResult,
    DatabaseStat,
    Durability,
    EnvironmentInfo,
    Target,
    VerifyReport,
)

__all__ = ["AsyncEnvironment", "AsyncTransaction", "open", "wrap"]

Result = TypeVar("Result")


class AsyncEnvironment:
    """An environment for coroutines, from :func:`open` or :func:`wrap`.

    At the end of an ``async with`` block it is closed.
    """

    def __init__(
        self, opened: Callable[[], zerodb.Environment], executor: Executor | None
    ) -> None:
        self._opened = opened
        self._environment: zerodb.Environment | None = None
        self._executor = executor
        self._opening: asyncio.Future[AsyncEnvironment] | None = None

    @property
    def environment(self) -> zerodb.Environment:
        """The environment itself, whose methods wait where they have to.

        :raises BadHandleError: it is not open yet.
        """
        if self._environment is None:
            raise zerodb.BadHandleError(
                "the environment is not open; await it, or use it in `async with`", -10
            )
        return self._environment

    async def _open(self) -> AsyncEnvironment:
        while self._environment is None and self._opening is not None:
            # Another task does it, or tries.
            await asyncio.wait([self._opening])
        if self._environment is None:
            self._opening = asyncio.get_running_loop().create_future()
            try:
                await self._open_now()
            finally:
                self._opening.set_result(self)
                self._opening = None
        return self

    async def _open_now(self) -> None:
        if self._environment is None:
            opened: list[zerodb.Environment] = []
            try:
                await self._call(lambda: opened.append(self._opened()))
            except asyncio.CancelledError:
                for environment in opened:
                    await self._call(environment.close)
                raise
            self._environment = opened[0]

    def __await__(self) -> Generator[Any, None, AsyncEnvironment]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncEnvironment:
        return await self._open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the environment; aborts its transactions."""
        if self._environment is not None:
            await self._call(self._environment.close)

    # ------------------------------------------------------------ transactions

    def begin(
        self,
        db: zerodb.Database | None = None,
        write: bool = False,
        buffers: bool = False,
        durability: Durability | None = None,
        wait: float | None = None,
    ) -> AsyncTransaction:
        """A transaction, for ``async with``; parameters as :meth:`zerodb.Environment.begin`.

        It begins when no other writes, commits at the end of the block, and aborts after an
        exception. Do not await for long in a block that writes: others wait for it.

        :raises BusyError: when the block is entered, as `begin()` of an environment; also if
            this task has a write transaction open, whose end would never come.
        """
        return AsyncTransaction(self, db, write, buffers, durability, wait)

    async def run(
        self, function: Callable[..., Result], *arguments: Any, write: bool = False
    ) -> Result:
        """Calls ``function(txn, *arguments)`` in a thread, in a transaction of its own, which
        commits if `write`, and returns what that returns. For long work."""
        if write:
            async with self.begin(write=True) as txn:
                return await self._call(partial(function, txn, *arguments))

        def read() -> Result:
            with self.environment.begin() as txn:
                return function(txn, *arguments)

        return await self._call(read)

    async def items(
        self,
        start: Buffer | None = None,
        stop: Buffer | None = None,
        prefix: Buffer | None = None,
        reverse: bool = False,
        db: zerodb.Database | None = None,
        batch: int = 1000,
    ) -> AsyncIterator[tuple[bytes, bytes]]:
        """The entries of a range, of one snapshot, for ``async for``.

        :param batch: how many are read in a thread at once.

        The other parameters are those of :meth:`zerodb.Transaction.items`.
        """
        if batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        txn = self.environment.begin(db)
        try:
            walk: Iterator[Any] = txn.items(
                start=start, stop=stop, prefix=prefix, reverse=reverse
            )
            while True:
                entries = await self._call(lambda: list(islice(walk, batch)))
                if not entries:
                    return
                for entry in entries:
                    yield entry
        finally:
            txn.abort()

    # ------------------------------------------------------------- other calls

    async def open_db(
        self, name: str | bytes | None, create: bool = False, **flags: bool
    ) -> zerodb.Database:
        """:meth:`zerodb.Environment.open_db`."""
        if name is not None or not create:
            try:
                return self.environment.open_db(name, False, None, **flags)
            except zerodb.NotFoundError:
                if not create:
                    raise
        async with self.begin(write=True) as txn:
            return txn.db(name, create=True, **flags)

    async def stat(self, db: zerodb.Database | None = None) -> DatabaseStat:
        """:meth:`zerodb.Environment.stat`."""
        return self.environment.stat(db)

    async def info(self) -> EnvironmentInfo:
        """:meth:`zerodb.Environment.info`."""
        return await self._call(self.environment.info)

    async def sync(self) -> None:
        """:meth:`zerodb.Environment.sync`."""
        await self._call(self.environment.sync)

    async def checkpoint(self) -> None:
        """:meth:`zerodb.Environment.checkpoint`."""
        await self._call(self.environment.checkpoint)

    async def compact(self, **options: Any) -> CompactResult:
        """:meth:`zerodb.Environment.compact`."""
        return await self._call(partial(self.environment.compact, **options))

    async def verify(self, **options: Any) -> VerifyReport:
        """:meth:`zerodb.Environment.verify`; a task that is cancelled ends it.

        `on_progress` and `on_problem` are called in a thread.
        """
        return await self._ending(self.environment.verify, options)

    async def copy(self, path: Target, **options: Any) -> CopyResult:
        """:meth:`zerodb.Environment.copy`; a task that is cancelled ends it.

        `on_progress` is called in a thread.
        """
        return await self._ending(partial(self.environment.copy, path), options)

    # ----------------------------------------------------------------- private

    async def _call(self, call: Callable[[], Result]) -> Result:
        return await to_its_end(self._executor, call)

    async def _ending(self, call: Callable[..., Result], options: dict[str, Any]) -> Result:
        """Calls what tells of its progress, and ends it if the task is cancelled."""
        ends = False
        told = options.pop("on_progress", None)

        def on_progress(done: int, total: int) -> bool:
            return not ends and (told is None or told(done, total) is not False)

        work = asyncio.ensure_future(
            self._call(partial(call, on_progress=on_progress, **options))
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            ends = True
            await asyncio.wait([work])
            if not work.cancelled():
                work.exception()  # that it was ended
            raise


class AsyncTransaction:
    """A transaction that begins and ends with an ``async with`` block."""

    def __init__(
        self,
        env: AsyncEnvironment,
        db: zerodb.Database | None,
        write: bool,
        buffers: bool,
        durability: Durability | None,
        wait: float | None,
    ) -> None:
        self._env = env
        self._write = write
        self._wait = wait
        self._begin = partial(
            env.environment.begin, db, write=write, buffers=buffers, durability=durability
        )
        self._txn: zerodb.Transaction | None = None
        self._turn: Turn | None = None

    async def __aenter__(self) -> zerodb.Transaction:
        if self._txn is not None:
            raise zerodb.BadTransactionError("a transaction has one block; begin another", -9)
        if not self._write:
            self._txn = self._begin()
            return self._txn
        turn = turn_of(self._env.environment)
        end = None if self._wait is None else time.monotonic() + self._wait
        await turn.take(self._wait)
        try:
            self._txn = await self._begun(end)
        except BaseException:
            turn.give_back()
            raise
        self._turn = turn
        return self._txn

    async def _begun(self, end: float | None) -> zerodb.Transaction:
        try:
            # Most often no other thread or process writes.
            return self._begin(wait=0)
        except zerodb.BusyError:
            if self._wait is not None and self._wait <= 0:
                raise
        left = None if end is None else end - time.monotonic()
        return await begun_when_free(
            self._env._executor, lambda wait: self._begin(wait=wait), left
        )

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        txn = self._txn
        assert txn is not None
        try:
            if txn.active:
                end = txn.commit if kind is None else txn.abort
                if self._write:
                    await self._env._call(end)
                else:
                    end()
        finally:
            if self._turn is not None:
                self._turn.give_back()
                self._turn = None
            # If the task was cancelled before a thread had begun to end it.
            if txn.active:
                txn.abort()


def open(  # noqa: A001
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    executor: Executor | None = None,
    **options: Any,
) -> AsyncEnvironment:
    """Opens an environment: to be awaited, or for ``async with``.

    :param executor: where calls wait; None: the default one of the event loop.
    :param options: those of :func:`zerodb.open`.
    """
    return AsyncEnvironment(partial(zerodb.open, path, **options), executor)


def wrap(env: zerodb.Environment, executor: Executor | None = None) -> AsyncEnvironment:
    """An environment that is open, for coroutines.

    :param executor: where calls wait; None: the default one of the event loop.
    """
    wrapped = AsyncEnvironment(lambda: env, executor)
    wrapped._environment = env
    return wrapped
