"""Compares this package with py-lmdb: `make bench-python`. Measured are `zerodb` and
`zerodb.lmdb`, each on both cores.

Each of them works in a process of its own, for the whole run. The rounds alternate: one
measures a case in one of them, then in the next. Printed are the medians and their ratios to
py-lmdb's.

    compare.py [--entries N] [--rounds N] [--only WORD] [--subject NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import importlib
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
    "lmdb native": ("zerodb.lmdb", "native"),
    "lmdb ctypes": ("zerodb.lmdb", "ctypes"),
}
"""Names of what is measured, with the module and the core. `native` is `zerodb` on that core,
`lmdb native` is `zerodb.lmdb`."""
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
    "get 1 MB, buffers": (1.0, 1.0),
    "4 threads of gets": (1.0, 1.0),
    # These are not named where the others are promised, and follow from them.
    "put in order": (0.8, 3.0),
    "putmulti in order": (0.8, 0.8),
    "getmulti of fixed sizes": (0.8, 0.8),
}
VALUE = bytes(range(150))
LARGE = 1_000_000


class Subject:
    """A library with the entries, and the cases."""

    def __init__(self, module: str, folder: str, entries: int) -> None:
        self.has_lmdb_names = module != "zerodb"
        self.random = random.Random(1)
        self.keys = [b"%024x" % self.random.getrandbits(96) for _ in range(entries)]
        self.env = self._open(module, os.path.join(folder, "one"))
        self.fixed_env = self._open(module, os.path.join(folder, "several"), databases=1)
        ordered = sorted(self.keys)
        with self.env.begin(write=True) as txn:
            with txn.cursor() as cursor:
                cursor.putmulti(((key, VALUE) for key in ordered), append=True)
            for number in range(20):
                txn.put(b"large%03d" % number, os.urandom(LARGE))
        self.fixed = self._open_fixed()
        with self.fixed_env.begin(write=True) as txn, txn.cursor(self.fixed) as cursor:
            for number in range(1000):
                values = [b"%08d" % value for value in range(20)]
                cursor.putmulti((b"%08d" % number, value) for value in values)
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
            "put in order": self.put_in_order,
            "putmulti in order": self.put_multi_in_order,
            "getmulti of fixed sizes": self.get_multi_fixed,
        }

    def _open(self, module: str, folder: str, databases: int = 0) -> Any:
        if self.has_lmdb_names:
            lmdb = importlib.import_module(module)
            return lmdb.open(folder, map_size=1 << 34, sync=False, max_dbs=databases)
        import zerodb

        return zerodb.open(folder, durability="none", max_txn_memory=1 << 30)

    def _open_fixed(self) -> Any:
        if self.has_lmdb_names:
            return self.fixed_env.open_db(b"fixed", dupsort=True, dupfixed=True)
        return self.fixed_env.open_db("fixed", create=True, dupsort=True, dupfixed=True)

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

    def put_in_order(self) -> tuple[float, int]:
        keys = [b"new%09d" % number for number in range(20_000)]
        txn = self.env.begin(write=True)
        begun = time.perf_counter()
        for key in keys:
            txn.put(key, VALUE)
        taken = time.perf_counter() - begun
        txn.abort()
        return taken, len(keys)

    def put_multi_in_order(self) -> tuple[float, int]:
        pairs = [(b"new%09d" % number, VALUE) for number in range(20_000)]
        parts = [pairs[at : at + 1000] for at in range(0, len(pairs), 1000)]
        txn = self.env.begin(write=True)
        with txn.cursor() as cursor:
            begun = time.perf_counter()
            for part in parts:
                cursor.putmulti(part)
            taken = time.perf_counter() - begun
        txn.abort()
        return taken, len(pairs)

    def get_multi_fixed(self) -> tuple[float, int]:
        keys = [b"%08d" % self.random.randrange(1000) for _ in range(1000)]
        with self.fixed_env.begin() as txn, txn.cursor(self.fixed) as cursor:
            begun = time.perf_counter()
            for _ in range(10):
                cursor.getmulti(keys, dupdata=True, dupfixed_bytes=8, keyfixed=True)
            return time.perf_counter() - begun, 10 * len(keys)


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
        subject.fixed_env.close()


def start(name: str, entries: int) -> subprocess.Popen[str]:
    module, implementation = SUBJECTS[name]
    return subprocess.Popen(
        [sys.executable, __file__, "--serve", module, "--entries", str(entries)],
        env={**os.environ, "ZERODB_IMPLEMENTATION": implementation},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def measure(
    subjects: list[str], entries: int, rounds: int, only: str
) -> dict[str, dict[str, float]]:
    """Medians of nanoseconds by case and library."""
    processes = {}
    cases: list[str] = []
    for name in subjects:
        processes[name] = process = start(name, entries)
        assert process.stdout is not None
        cases = [case for case in json.loads(process.stdout.readline()) if only in case]
    times: dict[str, dict[str, list[float]]] = {
        case: {name: [] for name in subjects} for case in cases
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


def report(results: dict[str, dict[str, float]], subjects: list[str]) -> None:
    """Prints two tables: nanoseconds, and ratios with a mark where a target is missed."""
    print(f"{'ns':24}" + "".join(f"{name:>13}" for name in subjects))
    for case, times in results.items():
        print(f"{case:24}" + "".join(f"{times[name]:13.0f}" for name in subjects))
    print(f"\n{'of the time of py-lmdb':24}" + "".join(f"{name:>13}" for name in subjects[1:]))
    for case, times in results.items():
        line = f"{case:24}"
        for name in subjects[1:]:
            target = TARGETS[case][SUBJECTS[name][1] == "ctypes"]
            ratio = times[name] / times["py-lmdb"]
            line += f"{ratio:12.2f}{'!' if ratio > target else ' '}"
        print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="measure the cases with this in their names")
    parser.add_argument("--subject", choices=list(SUBJECTS)[1:], action="append")
    parser.add_argument("--json")
    parser.add_argument("--serve")
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.entries)
    else:
        chosen = ["py-lmdb", *(options.subject or list(SUBJECTS)[1:])]
        medians = measure(chosen, options.entries, options.rounds, options.only)
        report(medians, chosen)
        if options.json:
            with open(options.json, "w") as file:
                json.dump(medians, file, indent=1)
