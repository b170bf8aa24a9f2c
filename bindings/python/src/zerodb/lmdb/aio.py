"""The same from coroutines: py-lmdb's ``lmdb.aio``.

    aenv = zerodb.lmdb.aio.wrap(env)
    async with aenv.begin(write=True) as txn:
        await txn.put(b"key", b"value")

A call that may wait runs in an executor, so that the event loop goes on. The calls of a
transaction and its cursors are made one after the other. A write transaction has a thread of
its own, in which it begins, works and ends.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from functools import partial, wraps
from typing import Any, Callable

from zerodb._threads import Beginning, Executor, begun_when_free, to_its_end
from zerodb.lmdb._cursor import Cursor
from zerodb.lmdb._environment import Environment
from zerodb.lmdb._transaction import Transaction

_AT_ONCE = {"path", "lib_version", "max_key_size", "max_readers", "flags", "id"}
_AT_ONCE |= {"key", "value", "item"}
"""Methods that never wait, and are called at once."""


class _Wrapper:
    """An object whose methods become coroutines."""

    def __init__(
        self, wrapped: Any, executor: Executor | None, lock: asyncio.Lock | None
    ) -> None:
        self._wrapped = wrapped
        self._executor = executor
        self._lock = lock

    def __getattr__(self, name: str) -> Any:
        # _wrapped itself is missing in an object that was not made by __init__.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._wrapped, name)

    async def _run(
        self, name: str, method: Callable[..., Any], /, *given: Any, **named: Any
    ) -> Any:
        """Calls a method in the executor; an iterator that it returns is used up there."""
        call = partial(method, *given, **named)
        if name.startswith("iter"):
            call = partial(_listed, call)
        if self._lock is None:
            return await self._in_executor(call)
        async with self._lock:
            return await self._in_executor(call)

    async def _in_executor(self, call: Callable[[], Any]) -> Any:
        return await to_its_end(self._executor, call)


def _with_methods(of: Any) -> Callable[[Any], Any]:
    """Gives a class the methods of another, as its own do not: as coroutines, or if they never
    wait as they are."""

    def decorate(wrapper: Any) -> Any:
        for name in dir(of):
            method = getattr(of, name)
            if name.startswith("_") or name in vars(wrapper) or not callable(method):
                continue
            setattr(wrapper, name, _at_once(method) if name in _AT_ONCE else _awaited(method))
        return wrapper

    return decorate


def _awaited(method: Any) -> Any:
    name = method.__name__

    @wraps(method)
    async def call(self: Any, /, *given: Any, **named: Any) -> Any:
        return await self._run(name, getattr(self._wrapped, name), *given, **named)

    return _annotated_as(method, call)


def _at_once(method: Any) -> Any:
    name = method.__name__

    @wraps(method)
    def call(self: Any, /, *given: Any, **named: Any) -> Any:
        return getattr(self._wrapped, name)(*given, **named)

    return _annotated_as(method, call)


def _annotated_as(method: Any, call: Any) -> Any:
    """`call`, which wraps `method`, without annotations if that has none: tools look for the
    names in them where `method` was defined."""
    if not hasattr(method, "__annotations__"):
        call.__annotations__ = {}
    return call


def _listed(iterate: Callable[[], Any]) -> list[Any]:
    return list(iterate())


@_with_methods(Cursor)
class AsyncCursor(_Wrapper):
    """A cursor whose methods are coroutines, except ``key``, ``value`` and ``item``.

    Iterators are used up at once, and returned as lists. At the end of an ``async with`` block
    the cursor is closed.
    """

    def __init__(
        self, cursor: Any, executor: Executor | None = None, lock: asyncio.Lock | None = None
    ) -> None:
        super().__init__(cursor, executor, lock)

    async def __aenter__(self) -> AsyncCursor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@_with_methods(Transaction)
class AsyncTransaction(_Wrapper):
    """A transaction whose methods are coroutines, except ``id``.

    At the end of an ``async with`` block it commits, and after an exception it aborts.
    """

    def __init__(
        self, txn: Any, executor: Executor | None = None, owns_executor: bool = False
    ) -> None:
        super().__init__(txn, executor, asyncio.Lock())
        self._owns_executor = owns_executor

    @property
    def _done(self) -> bool:
        return not self._wrapped.active

    def cursor(self, *given: Any, **named: Any) -> Beginning[AsyncCursor]:
        """Opens a cursor: to be awaited, or for ``async with``."""

        async def opened() -> AsyncCursor:
            cursor = await self._run("cursor", self._wrapped.cursor, *given, **named)
            return AsyncCursor(cursor, self._executor, self._lock)

        return Beginning(opened)

    async def commit(self) -> None:
        """Commits."""
        await self._end("commit", self._wrapped.commit)

    async def abort(self) -> None:
        """Aborts."""
        await self._end("abort", self._wrapped.abort)

    async def _end(self, name: str, method: Callable[[], None]) -> None:
        try:
            await self._run(name, method)
        finally:
            if self._owns_executor and self._executor is not None:
                self._executor.shutdown(wait=False)
                # What is called after the end raises, in any thread.
                self._executor, self._owns_executor = None, False

    async def __aenter__(self) -> AsyncTransaction:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._wrapped.active:
            return
        if kind is None:
            await self.commit()
        else:
            await self.abort()


@_with_methods(Environment)
class AsyncEnvironment(_Wrapper):
    """An environment whose methods are coroutines, except those that never wait.

    At the end of an ``async with`` block it is closed.
    """

    def __init__(self, env: Environment, executor: Executor | None = None) -> None:
        super().__init__(env, executor, None)

    def begin(self, *given: Any, **named: Any) -> Beginning[AsyncTransaction]:
        """Begins a transaction: to be awaited, or for ``async with``.

        Takes the arguments of :meth:`zerodb.lmdb.Environment.begin`, except `parent`.
        """
        write = given[2] if len(given) > 2 else named.get("write", False)

        async def begun() -> AsyncTransaction:
            begin = partial(self._wrapped.begin, *given, **named)
            if not write:
                txn = await self._in_executor(begin)
                return AsyncTransaction(txn, self._executor)
            # Of its own, as a thread has one write transaction.
            executor = concurrent.futures.ThreadPoolExecutor(1, "zerodb-write")
            try:
                txn = await begun_when_free(executor, lambda wait: begin(wait=wait), None)
            except BaseException:
                executor.shutdown(wait=False)
                raise
            return AsyncTransaction(txn, executor, owns_executor=True)

        return Beginning(begun)

    async def open_db(self, *given: Any, **named: Any) -> Any:
        """Opens a database."""
        txn: Any = given[1] if len(given) > 1 else named.get("txn")
        if not isinstance(txn, AsyncTransaction):
            return await self._run("open_db", self._wrapped.open_db, *given, **named)
        inner = txn._wrapped
        if len(given) > 1:
            given = (given[0], inner, *given[2:])
        else:
            named = {**named, "txn": inner}
        return await txn._run("open_db", self._wrapped.open_db, *given, **named)

    async def dbs(self, txn: Any = None) -> Any:
        """The names of the databases."""
        if isinstance(txn, AsyncTransaction):
            return await txn._run("dbs", self._wrapped.dbs, txn._wrapped)
        return await self._run("dbs", self._wrapped.dbs, txn)

    async def __aenter__(self) -> AsyncEnvironment:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run("close", self._wrapped.close)


def wrap(env: Environment, executor: Executor | None = None) -> AsyncEnvironment:
    """An environment for coroutines.

    :param executor: where calls run; None: the default one of the event loop.
    """
    return AsyncEnvironment(env, executor)
