"""zerodb.aio: environments in coroutines."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import zerodb
import zerodb.aio


@pytest.fixture
def aenv(fruit: zerodb.Environment) -> zerodb.aio.AsyncEnvironment:
    """The environment with fruit, for coroutines."""
    return zerodb.aio.wrap(fruit)


def run(coroutine: Coroutine[Any, Any, Any]) -> None:
    asyncio.run(coroutine)


def nothing_is_open(env: zerodb.Environment) -> None:
    assert env.transactions() == []
    assert env.info().readers == 0
    env.begin(write=True, wait=0).abort()


def test_an_environment_is_opened_and_closed_by_a_block(path: Path) -> None:
    async def main() -> None:
        async with zerodb.aio.open(path, durability="none") as env:
            async with env.begin(write=True) as txn:
                txn[b"key"] = b"value"
            async with env.begin() as txn:
                assert txn[b"key"] == b"value"
        assert env.environment.closed
        env = await zerodb.aio.open(path, read_only=True)
        async with env.begin() as txn:
            assert isinstance(txn, zerodb.Transaction)
            assert txn[b"key"] == b"value"
        await env.close()
        with pytest.raises(zerodb.PathNotFoundError):
            await zerodb.aio.open(path / "none", create=False)
        with pytest.raises(zerodb.BadHandleError, match="await it"):
            zerodb.aio.open(path).begin()

    run(main())


def test_a_block_that_raises_aborts(aenv: zerodb.aio.AsyncEnvironment) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with aenv.begin(write=True) as txn:
                txn[b"fig"] = b"green"
                raise ZeroDivisionError
        async with aenv.begin() as txn:
            assert b"fig" not in txn
        async with aenv.begin(write=True) as txn:
            txn.abort()

    run(main())
    nothing_is_open(aenv.environment)


def test_tasks_that_write_take_turns(aenv: zerodb.aio.AsyncEnvironment) -> None:
    async def add() -> None:
        async with aenv.begin(write=True) as txn:
            count = int(txn.get(b"count", b"0"))
            await asyncio.sleep(0)
            txn[b"count"] = b"%d" % (count + 1)

    async def main() -> None:
        await asyncio.gather(*(add() for _ in range(50)))

    run(main())
    run(main())  # in another event loop
    with aenv.environment.begin() as txn:
        assert txn[b"count"] == b"100"


@pytest.fixture
def held(fruit: zerodb.Environment) -> Iterator[threading.Event]:
    """Another thread has a write transaction open until this is set."""
    begun, ends = threading.Event(), threading.Event()

    def hold() -> None:
        with fruit.begin(write=True):
            begun.set()
            ends.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait()
    yield ends
    ends.set()
    holder.join()


def test_the_event_loop_goes_on_while_a_task_waits_for_the_writer(
    aenv: zerodb.aio.AsyncEnvironment, held: threading.Event
) -> None:
    async def write() -> None:
        async with aenv.begin(write=True) as txn:
            txn[b"fig"] = b"green"

    async def main() -> None:
        task = asyncio.ensure_future(write())
        for _ in range(20):
            await asyncio.sleep(0.001)
        async with aenv.begin() as txn:
            assert b"fig" not in txn
        assert not task.done()
        held.set()
        await task

    run(main())
    with aenv.environment.begin() as txn:
        assert txn[b"fig"] == b"green"


def test_a_wait_has_an_end(aenv: zerodb.aio.AsyncEnvironment, held: threading.Event) -> None:
    async def main() -> None:
        for wait in (0, 0.03):
            with pytest.raises(zerodb.BusyError):
                async with aenv.begin(write=True, wait=wait):
                    pass

    run(main())

    async def another() -> None:
        with pytest.raises(zerodb.BusyError, match="event loop"):
            async with aenv.begin(write=True, wait=0.01):
                pass

    async def within() -> None:
        held.set()
        async with aenv.begin(write=True):
            await asyncio.create_task(another())

    run(within())


def test_a_task_that_is_cancelled_in_its_wait_leaves_nothing_open(
    aenv: zerodb.aio.AsyncEnvironment, held: threading.Event
) -> None:
    async def write() -> None:
        async with aenv.begin(write=True):
            raise AssertionError

    async def main() -> None:
        task = asyncio.ensure_future(write())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(aenv.environment.transactions()) == 1
        held.set()
        async with aenv.begin(write=True):
            pass

    run(main())
    nothing_is_open(aenv.environment)


def test_tasks_that_are_cancelled_at_any_moment_leave_nothing_open(
    aenv: zerodb.aio.AsyncEnvironment,
) -> None:
    randomness = random.Random(3)

    async def work() -> None:
        async with aenv.begin(write=True) as txn:
            txn[b"fig"] = b"green"
            await asyncio.sleep(0)
        async for _ in aenv.items(batch=2):
            pass
        await aenv.run(lambda txn: list(txn.items()))
        await aenv.run(lambda txn: txn.put(b"a", b"b"), write=True)
        await aenv.verify()

    async def main() -> None:
        for _ in range(300):
            tasks = [asyncio.ensure_future(work()) for _ in range(2)]
            await asyncio.sleep(randomness.uniform(0, 0.004))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            nothing_is_open(aenv.environment)

    run(main())


def test_a_commit_under_way_is_waited_for(aenv: zerodb.aio.AsyncEnvironment) -> None:
    class Slow(ThreadPoolExecutor):
        def submit(self, call: Any, /, *given: Any, **named: Any) -> Any:
            def slowly() -> Any:
                time.sleep(0.02)
                return call(*given, **named)

            return super().submit(slowly)

    async def write(env: zerodb.aio.AsyncEnvironment) -> None:
        async with env.begin(write=True) as txn:
            txn[b"fig"] = b"green"

    async def main() -> None:
        with Slow(1) as executor:
            env = zerodb.aio.wrap(aenv.environment, executor)
            task = asyncio.ensure_future(write(env))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with env.begin() as txn:
                assert txn[b"fig"] == b"green"

    run(main())
    nothing_is_open(aenv.environment)


def test_entries_come_in_batches(aenv: zerodb.aio.AsyncEnvironment) -> None:
    async def main() -> None:
        for batch in (1, 2, 1000):
            found = [entry async for entry in aenv.items(prefix=b"ap", batch=batch)]
            assert found == [(b"apple", b"red"), (b"apricot", b"orange")]
        keys = [key async for key, _ in aenv.items(start=b"b", stop=b"d", reverse=True)]
        assert keys == [b"cherry", b"banana"]
        async for _ in aenv.items():
            break

    run(main())
    nothing_is_open(aenv.environment)


def test_other_methods(aenv: zerodb.aio.AsyncEnvironment, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(zerodb.NotFoundError):
            await aenv.open_db("users")
        users = await aenv.open_db("users", create=True, dupsort=True)
        assert users.flags.dupsort
        async with aenv.begin(users, write=True) as txn:
            txn[b"name"] = b"value"
        assert (await aenv.stat(users)).entries == 1
        assert (await aenv.stat()).entries == 5
        assert (await aenv.info()).databases == 1
        assert (await aenv.verify(level="trees")).sound
        await aenv.sync()
        await aenv.checkpoint()
        await aenv.compact()
        seen: list[int] = []
        await aenv.copy(tmp_path / "copy", on_progress=lambda done, _: seen.append(done))
        with zerodb.open(tmp_path / "copy") as copied:
            assert copied.stat().entries == 5
        with pytest.raises(zerodb.OperatingSystemError):
            await aenv.copy(tmp_path / "copy")
        assert await aenv.run(lambda txn, key: txn[key], b"apple") == b"red"
        await aenv.run(lambda txn: txn.put(b"a", b"b"), write=True)
        async with aenv.begin() as txn:
            assert txn[b"a"] == b"b"

    run(main())


@pytest.mark.parametrize("threads", [None, 1])
def test_waits_of_many_tasks_leave_a_thread_for_the_commit(
    fruit: zerodb.Environment, threads: int | None
) -> None:
    executor = None if threads is None else ThreadPoolExecutor(threads)

    async def put(number: int) -> None:
        async with zerodb.aio.wrap(fruit, executor).begin(write=True) as txn:
            await asyncio.sleep(0.001)
            txn[b"%02d" % number] = b"value"

    async def main() -> None:
        await asyncio.wait_for(asyncio.gather(*[put(number) for number in range(40)]), 60)

    run(main())
    with fruit.begin() as txn:
        assert len(list(txn.keys(prefix=b"0"))) == 10
    nothing_is_open(fruit)


def test_a_wait_for_a_thread_leaves_the_only_one_of_the_pool_free(
    fruit: zerodb.Environment,
) -> None:
    executor = ThreadPoolExecutor(1)

    async def main() -> None:
        aenv = zerodb.aio.wrap(fruit, executor)
        ended = threading.Event()
        began = threading.Event()

        def write() -> None:
            with fruit.begin(write=True):
                began.set()
                ended.wait(60)

        writer = threading.Thread(target=write)
        writer.start()
        began.wait(60)

        async def put() -> None:
            async with aenv.begin(write=True) as txn:
                txn[b"key"] = b"value"

        waiting = asyncio.create_task(put())
        await asyncio.sleep(0.05)
        assert len([key async for key in aenv.items()]) == 5
        ended.set()
        await asyncio.wait_for(waiting, 60)
        writer.join()

    run(main())
    nothing_is_open(fruit)


def test_a_second_write_transaction_of_a_task_is_refused(
    aenv: zerodb.aio.AsyncEnvironment,
) -> None:
    async def main() -> None:
        async with aenv.begin(write=True) as txn:
            with pytest.raises(zerodb.BusyError, match="this task"):
                async with aenv.begin(write=True):
                    pass
            with pytest.raises(zerodb.BusyError, match="this task"):
                await aenv.open_db("new", create=True)
            txn[b"key"] = b"value"

    run(main())
    nothing_is_open(aenv.environment)


def test_two_tasks_may_await_one_opening(path: Path) -> None:
    async def main() -> None:
        opening = zerodb.aio.open(path)

        async def wait() -> zerodb.aio.AsyncEnvironment:
            return await opening

        first, second = await asyncio.gather(wait(), wait())
        assert first is second
        await first.close()

    run(main())


def test_a_batch_has_entries(aenv: zerodb.aio.AsyncEnvironment) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="batch must be at least 1, not 0"):
            async for _ in aenv.items(batch=0):
                pass

    run(main())
    nothing_is_open(aenv.environment)
