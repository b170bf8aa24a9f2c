"""lmdb.aio: the same from coroutines."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
from collections.abc import Coroutine
from typing import Any

import pytest


@pytest.fixture
def aio(lmdb: Any) -> Any:
    """The module with the coroutines."""
    return importlib.import_module(lmdb.__name__ + ".aio")


@pytest.fixture
def aenv(aio: Any, env: Any) -> Any:
    """An environment for coroutines."""
    return aio.wrap(env)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def test_wrap(aio: Any, env: Any) -> None:
    assert isinstance(aio.wrap(env), aio.AsyncEnvironment)
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        assert isinstance(aio.wrap(env, executor=executor), aio.AsyncEnvironment)


def test_commit_at_the_end_of_the_block(aenv: Any) -> None:
    async def main() -> None:
        async with aenv.begin(write=True) as txn:
            assert await txn.put(b"a", b"1") is True
            assert await txn.get(b"a") == b"1"
        async with aenv.begin() as txn:
            assert await txn.get(b"a") == b"1"

    run(main())


def test_abort_after_an_exception(aenv: Any) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with aenv.begin(write=True) as txn:
                await txn.put(b"a", b"1")
                raise ZeroDivisionError
        async with aenv.begin() as txn:
            assert await txn.get(b"a") is None

    run(main())


def test_begin_can_be_awaited(aenv: Any, aio: Any) -> None:
    async def main() -> None:
        txn = await aenv.begin(write=True)
        assert isinstance(txn, aio.AsyncTransaction)
        await txn.put(b"a", b"1")
        await txn.commit()
        txn = await aenv.begin(write=True)
        await txn.put(b"a", b"2")
        await txn.abort()
        txn = await aenv.begin()
        assert await txn.get(b"a") == b"1"
        await txn.abort()

    run(main())


def test_methods_of_a_transaction(aenv: Any) -> None:
    async def main() -> None:
        db = await aenv.open_db(b"name")
        async with aenv.begin(write=True, db=db) as txn:
            assert await txn.put(b"a", b"1")
            assert await txn.replace(b"a", b"2") == b"1"
            assert await txn.pop(b"a") == b"2"
            assert await txn.put(b"b", b"1")
            assert await txn.delete(b"b") is True
            assert (await txn.stat())["entries"] == 0
            assert isinstance(txn.id(), int)
            await txn.drop(db, delete=False)

    run(main())


def test_methods_of_an_environment(aenv: Any, env: Any) -> None:
    async def main() -> None:
        assert aenv.path() == env.path()
        assert aenv.flags() == env.flags()
        assert aenv.max_key_size() == env.max_key_size()
        assert aenv.max_readers() == 126
        assert (await aenv.stat())["entries"] == 0
        assert (await aenv.info())["map_size"] == 10485760
        assert await aenv.readers() == "(no active readers)\n"
        assert await aenv.reader_check() == 0
        assert await aenv.dbs() == []
        await aenv.sync(True)
        await aenv.set_mapsize(1 << 25)
        assert (await aenv.info())["map_size"] == 1 << 25

    run(main())


def test_cursor(aenv: Any, aio: Any) -> None:
    async def main() -> None:
        async with aenv.begin(write=True) as txn:
            async with txn.cursor() as cursor:
                assert isinstance(cursor, aio.AsyncCursor)
                assert await cursor.putmulti([(b"a", b"1"), (b"b", b"2")]) == (2, 2)
                assert await cursor.first() is True
                assert (cursor.key(), cursor.value()) == (b"a", b"1")
                assert await cursor.next() is True
                assert cursor.item() == (b"b", b"2")
                assert await cursor.set_key(b"a")
                assert await cursor.iternext() == [(b"a", b"1"), (b"b", b"2")]
                assert await cursor.iterprev(values=False) == [b"b", b"a"]
                assert await cursor.getmulti([b"a"]) == [(b"a", b"1")]
                assert await cursor.set_range(b"b")
                assert await cursor.delete() is True
            cursor = await txn.cursor()
            assert await cursor.get(b"a") == b"1"
            await cursor.close()

    run(main())


def test_gather_in_one_transaction(aenv: Any) -> None:
    async def main() -> None:
        async with aenv.begin(write=True) as txn:
            await asyncio.gather(*(txn.put(b"%d" % i, b"x") for i in range(50)))
        async with aenv.begin() as txn:
            values = await asyncio.gather(*(txn.get(b"%d" % i) for i in range(50)))
        assert values == [b"x"] * 50

    run(main())


def test_writers_at_the_same_time(aenv: Any) -> None:
    async def add() -> None:
        async with aenv.begin(write=True) as txn:
            count = int(await txn.get(b"count", b"0"))
            await asyncio.sleep(0)
            await txn.put(b"count", b"%d" % (count + 1))

    async def main() -> None:
        await asyncio.gather(*(add() for _ in range(20)))
        async with aenv.begin() as txn:
            assert await txn.get(b"count") == b"20"

    run(main())


def test_block_of_the_environment_closes_it(lmdb: Any, aio: Any, path: str) -> None:
    async def main() -> None:
        env = lmdb.open(path)
        async with aio.wrap(env) as aenv, aenv.begin(write=True) as txn:
            await txn.put(b"a", b"1")
        with pytest.raises(lmdb.Error):
            env.stat()

    run(main())


def test_errors_pass(lmdb: Any, aenv: Any) -> None:
    async def main() -> None:
        async with aenv.begin() as txn:
            with pytest.raises(lmdb.ReadonlyError):
                await txn.put(b"a", b"1")
            with pytest.raises(TypeError):
                await txn.get("text")

    run(main())


def test_unknown_attribute(aenv: Any) -> None:
    with pytest.raises(AttributeError):
        _ = aenv.no_such_thing


def test_methods_are_those_of_the_classes(lmdb: Any, aio: Any) -> None:
    assert aio.AsyncTransaction.get.__wrapped__ is lmdb.Transaction.get
    assert asyncio.iscoroutinefunction(aio.AsyncTransaction.get)
    assert not asyncio.iscoroutinefunction(aio.AsyncEnvironment.path)
    for name in dir(lmdb.Cursor):
        if not name.startswith("_") and callable(getattr(lmdb.Cursor, name)):
            assert hasattr(aio.AsyncCursor, name)
