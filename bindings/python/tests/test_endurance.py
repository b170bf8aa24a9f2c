"""Much work leaves nothing behind, and ends of programs are quiet."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import zerodb
from conftest import IS_CPYTHON, collect

TRANSACTIONS = int(os.environ.get("ZERODB_TRANSACTIONS", "100000"))


def resident_bytes() -> int:
    """The memory of this process that is not of files."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def test_a_hundred_thousand_transactions_leave_nothing_behind(path: Path) -> None:
    def work(env: zerodb.Environment, rounds: int) -> None:
        for number in range(rounds):
            with env.begin() as txn:
                txn.get(b"key")
            if number % 4 == 0:
                with env.begin(write=True) as txn:
                    txn[b"key"] = b"%d" % number
            elif number % 4 == 1:
                with env.begin(buffers=True) as txn, txn.cursor() as cursor:
                    cursor.first()
                    for _ in txn.items():
                        break
            elif number % 4 == 2:
                env.begin().abort()

    with zerodb.open(path, durability="none") as env:
        work(env, TRANSACTIONS // 10)
        collect()
        objects = len(gc.get_objects()) if IS_CPYTHON else 0
        growths = []
        for _ in range(5):
            before = resident_bytes()
            work(env, TRANSACTIONS // 10)
            collect()
            growths.append(resident_bytes() - before)
        assert env.info().readers == 0
        assert env.transactions() == []
        # What leaks grows in each part; the heap may grow at once, and then no more.
        assert statistics.median(growths) * len(growths) < 4 << 20, growths
        if IS_CPYTHON:
            assert len(gc.get_objects()) - objects < 1000


def test_environments_that_come_and_go_leave_nothing_behind(path: Path) -> None:
    zerodb.open(path).close()
    for number in range(60):
        if number == 20:
            collect()
            before, descriptors = resident_bytes(), len(os.listdir("/proc/self/fd"))
        with zerodb.open(path, threads=number % 2 == 0) as env, env.begin() as txn:
            env.databases()
            list(txn.items())
    collect()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert resident_bytes() - before < 4 << 20


OPEN_AT_THE_END = """
import atexit, sys, threading, time
import zerodb
env = zerodb.open(sys.argv[1], durability="none", on_event=lambda *_: None, event_level="debug")
with env.begin(write=True) as txn:
    txn.put_many([(b"%05d" % number, bytes(100)) for number in range(2000)])
    txn.db("name", create=True)
"""

THINGS = {
    "environment": "env",
    "reader": "env.begin()",
    "cursor": "env.begin().cursor()",
    "iterator": "env.begin().items()",
    "begun iterator": "next_of(env.begin().items())",
    "memoryview": "with_its_view(env.begin(buffers=True))",
    "slice": "with_its_view(env.begin(buffers=True))[1][1:]",
    "database": "env.open_db('name')",
    "writer": "env.begin(write=True)",
}


def run(program: str, path: Path) -> None:
    """Runs a program, which must end with "end" and no complaint."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "ignore", "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")
    with zerodb.open(path) as env, env.begin() as txn:
        assert txn.stat().entries == 2000
        assert b"lost" not in txn


@pytest.mark.skipif(
    not IS_CPYTHON, reason="PyPy finalizes nothing at the end, and so closes no environment"
)
@pytest.mark.parametrize("rotation", range(3))
def test_a_program_ends_quietly_with_everything_open_in_any_order(
    path: Path, rotation: int
) -> None:
    names = [*THINGS][rotation * 3 :] + [*THINGS][: rotation * 3]
    lines = [f"kept_{index} = {THINGS[name]}" for index, name in enumerate(names)]
    program = f"""{OPEN_AT_THE_END}
def next_of(iterator):
    next(iterator)
    return iterator
def with_its_view(txn):
    kept_too.append(txn)
    return txn, memoryview(txn.get(b"00001"))
kept_too = []
{chr(10).join(lines)}
class Cycle:
    pass
cycle = Cycle()
cycle.me, cycle.kept = cycle, [{", ".join(f"kept_{index}" for index in range(len(names)))}]
del env
print("end")
"""
    run(program, path)


def test_a_program_ends_quietly_with_daemon_threads_in_calls(path: Path) -> None:
    program = f"""{OPEN_AT_THE_END}
def read():
    while True:
        with env.begin() as txn:
            for _ in txn.items():
                pass
def wait():
    env.begin(write=True)
def work():
    while True:
        env.verify()
def check():
    while True:
        env.sync()
writer = env.begin(write=True)
writer[b"lost"] = b""
for target in (read, read, wait, work, check):
    threading.Thread(target=target, daemon=True).start()
time.sleep(0.2)
print("end", flush=True)
"""
    run(program, path)


@pytest.mark.parametrize("first", [True, False])
def test_functions_at_exit_use_and_close_an_environment(path: Path, first: bool) -> None:
    register = "atexit.register(last)"
    program = f"""
import atexit
def last():
    with env.begin(write=True) as txn:
        txn[b"00000"] = b"at exit"
    reader.get(b"00000")
    env.close()
    print("end")
{register if first else ""}
{OPEN_AT_THE_END}
{"" if first else register}
reader = env.begin()
"""
    run(program, path)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_objects_are_collected_in_any_order(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn.put_many([(b"%d" % number, b"v") for number in range(10)])
    for order in itertools.permutations(range(4)):
        env = zerodb.open(path)
        txn = env.begin(buffers=True)
        kept: list[Any] = [env, txn, txn.items(), txn.get(b"1")]
        next(kept[2])
        del env, txn
        for index in order:
            kept[index] = None
            gc.collect()
        collect()
        zerodb.open(path).close()


def read_and_count(env: zerodb.Environment, key: bytes) -> bytes:
    """In a process of its own: reads, and adds to a number."""
    with env.begin(write=True) as txn:
        txn[b"count"] = b"%d" % (int(txn.get(b"count", b"0")) + 1)
    value = env.open_db(None)[key]
    env.close()
    return value


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_environment_goes_to_other_processes(path: Path, method: str) -> None:
    with zerodb.open(path, reopen_after_fork=True) as env:
        with env.begin(write=True) as txn:
            txn[b"key"] = b"value"
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.starmap(read_and_count, [(env, b"key")] * 4) == [b"value"] * 4
        assert env.open_db(None)[b"count"] == b"4"
