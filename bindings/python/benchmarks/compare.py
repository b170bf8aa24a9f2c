"""Compares this package, on each of its cores, with py-lmdb: `make bench-python`.

Each library works in a process of its own, for the whole run. The rounds alternate: one
measures a case in one library, then in the next. Printed are the medians and their ratios to
py-lmdb's.

    compare.py [--entries N] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Callable

SUBJECTS = {
    "py-lmdb": ("lmdb", ""),
    "native": ("zerodb", "native"),
    "ctypes": ("zerodb", "ctypes"),
}
TARGETS = {
    # The most that a time may be of py-lmdb's: native, ctypes.
    "iterate over all": (0.5, 0.6),
    "iterate backwards": (0.5, 0.6),
    "range of 1000": (0.5, 0.6),
    "range of 100": (0.5, 0.6),
    "range of 10": (0.5, 0.6),
    "get": (0.8, 3.0),
    "get, 1000 hot keys": (0.8, 3.0),
    "put": (0.8, 3.0),
    "begin + get + end": (0.8, 3.0),
    "getmulti of 1000": (0.8, 0.8),
    "putmulti of 1000": (0.8, 0.8),
    "get 1 MB, buffers": (1.0, None),
    "4 threads of gets": (1.0, 1.0),
}
VALUE = bytes(range(150))
LARGE = 1_000_000


class Subject:
    """A library with the entries, and the cases."""

    def __init__(self, module: str, folder: str, entries: int) -> None:
        self.is_lmdb = module == "lmdb"
        self.random = random.Random(1)
        self.keys = [b"%024x" % self.random.getrandbits(96) for _ in range(entries)]
        self.env = self._open(module, folder)
        ordered = sorted(self.keys)
        with self.env.begin(write=True) as txn:
            with txn.cursor() as cursor:
                cursor.putmulti(((key, VALUE) for key in ordered), append=True)
            for number in range(20):
                txn.put(b"large%03d" % number, os.urandom(LARGE))
        self.cases: dict[str, Callable[[], tuple[float, int]]] = {
            "get": self.get,
            "get, 1000 hot keys": self.get_hot,
            "put": self.put,
            "begin + get + end": self.begin_get_end,
            "iterate over all": self.iterate,
            "iterate backwards": self.iterate_back,
            "range of 10": lambda: self.range_of(10),
            "range of 100": lambda: self.range_of(100),
            "range of 1000": lambda: self.range_of(1000),
            "getmulti of 1000": self.get_multi,
            "putmulti of 1000": self.put_multi,
            "get 1 MB, buffers": self.get_large,
            "4 threads of gets": self.get_in_threads,
        }

    def _open(self, module: str, folder: str) -> Any:
        if self.is_lmdb:
            import lmdb

            return lmdb.open(folder, map_size=1 << 34, sync=False, lock=True)
        import zerodb

        return zerodb.open(folder, durability="none", max_txn_memory=1 << 30)

    def some_keys(self, count: int) -> list[bytes]:
        return self.random.sample(self.keys, min(count, len(self.keys)))

    def get(self) -> tuple[float, int]:
        keys = self.some_keys(100_000)
        with self.env.begin() as txn:
            begun = time.perf_counter()
            for key in keys:
                txn.get(key)
            return time.perf_counter() - begun, len(keys)

    def get_hot(self) -> tuple[float, int]:
        keys = self.some_keys(1000) * 100
        with self.env.begin() as txn:
            begun = time.perf_counter()
            for key in keys:
                txn.get(key)
            return time.perf_counter() - begun, len(keys)

    def put(self) -> tuple[float, int]:
        keys = self.some_keys(20_000)
        txn = self.env.begin(write=True)
        begun = time.perf_counter()
        for key in keys:
            txn.put(key, VALUE)
        taken = time.perf_counter() - begun
        txn.abort()
        return taken, len(keys)

    def begin_get_end(self) -> tuple[float, int]:
        keys = self.some_keys(50_000)
        begun = time.perf_counter()
        for key in keys:
            with self.env.begin() as txn:
                txn.get(key)
        return time.perf_counter() - begun, len(keys)

    def iterate(self) -> tuple[float, int]:
        with self.env.begin() as txn, txn.cursor() as cursor:
            begun = time.perf_counter()
            count = 0
            for _ in cursor.iternext():
                count += 1
            return time.perf_counter() - begun, count

    def iterate_back(self) -> tuple[float, int]:
        with self.env.begin() as txn, txn.cursor() as cursor:
            begun = time.perf_counter()
            count = 0
            for _ in cursor.iterprev():
                count += 1
            return time.perf_counter() - begun, count

    def range_of(self, size: int) -> tuple[float, int]:
        starts = self.some_keys(100_000 // size)
        with self.env.begin() as txn, txn.cursor() as cursor:
            begun = time.perf_counter()
            for start in starts:
                cursor.set_range(start)
                left = size
                for _ in cursor.iternext():
                    left -= 1
                    if left == 0:
                        break
            return time.perf_counter() - begun, len(starts)

    def get_multi(self) -> tuple[float, int]:
        parts = [self.some_keys(1000) for _ in range(50)]
        with self.env.begin() as txn, txn.cursor() as cursor:
            begun = time.perf_counter()
            for part in parts:
                assert len(cursor.getmulti(part)) == len(part)
            return time.perf_counter() - begun, len(parts) * len(parts[0])

    def put_multi(self) -> tuple[float, int]:
        parts = [[(key, VALUE) for key in self.some_keys(1000)] for _ in range(20)]
        txn = self.env.begin(write=True)
        with txn.cursor() as cursor:
            begun = time.perf_counter()
            for part in parts:
                cursor.putmulti(part)
            taken = time.perf_counter() - begun
        txn.abort()
        return taken, len(parts) * len(parts[0])

    def get_large(self) -> tuple[float, int]:
        keys = [b"large%03d" % number for number in range(20)] * 500
        with self.env.begin(buffers=True) as txn:
            begun = time.perf_counter()
            for key in keys:
                txn.get(key)
            return time.perf_counter() - begun, len(keys)

    def get_in_threads(self) -> tuple[float, int]:
        parts = [self.some_keys(25_000) for _ in range(4)]

        def work(keys: list[bytes]) -> None:
            with self.env.begin() as txn:
                for key in keys:
                    txn.get(key)

        threads = [threading.Thread(target=work, args=(part,)) for part in parts]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - begun, sum(map(len, parts))


def serve(module: str, entries: int) -> None:
    """Measures the cases that the parent asks for by name, a line each."""
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(module, folder, entries)
        print(json.dumps(list(subject.cases)), flush=True)
        for line in sys.stdin:
            gc.collect()
            taken, count = subject.cases[line.strip()]()
            print(taken / count * 1e9, flush=True)
        subject.env.close()


def start(name: str, entries: int) -> subprocess.Popen[str]:
    module, implementation = SUBJECTS[name]
    return subprocess.Popen(
        [sys.executable, __file__, "--serve", module, "--entries", str(entries)],
        env={**os.environ, "ZERODB_IMPLEMENTATION": implementation},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def measure(entries: int, rounds: int) -> dict[str, dict[str, float]]:
    """Medians of nanoseconds by case and library."""
    processes = {}
    cases: list[str] = []
    for name in SUBJECTS:
        processes[name] = process = start(name, entries)
        assert process.stdout is not None
        cases = json.loads(process.stdout.readline())
    times: dict[str, dict[str, list[float]]] = {
        case: {name: [] for name in SUBJECTS} for case in cases
    }
    for case in cases:
        for _ in range(rounds):
            for name, process in processes.items():
                assert process.stdin is not None
                assert process.stdout is not None
                print(case, file=process.stdin, flush=True)
                times[case][name].append(float(process.stdout.readline()))
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    return {
        case: {name: statistics.median(found) for name, found in by_name.items()}
        for case, by_name in times.items()
    }


def report(results: dict[str, dict[str, float]]) -> None:
    """Prints a table, with a mark where a target is missed."""
    print(f"{'ns':22}{'py-lmdb':>10}{'native':>10}{'ctypes':>10}{'native':>9}{'ctypes':>9}")
    for case, times in results.items():
        line = f"{case:22}" + "".join(f"{times[name]:10.0f}" for name in SUBJECTS)
        for name, target in zip(("native", "ctypes"), TARGETS[case]):
            ratio = times[name] / times["py-lmdb"]
            missed = target is not None and ratio > target
            line += f"{ratio:8.2f}{'!' if missed else ' '}"
        print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    parser.add_argument("--serve")
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.entries)
    else:
        medians = measure(options.entries, options.rounds)
        report(medians)
        if options.json:
            with open(options.json, "w") as file:
                json.dump(medians, file, indent=1)
