"""A cache on disk: values expire, and beyond a bound the ones that expire first go.

persistent_cache.py [DIRECTORY]
"""

from __future__ import annotations

import pickle
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, TypeVar

import zerodb

Result = TypeVar("Result")


class Cache:
    """What functions have returned, by their arguments; for all processes."""

    def __init__(self, path: str, entries_max: int) -> None:
        # A power cut may take the last moments: it is only a cache.
        self.env = zerodb.open(path, durability="relaxed")
        self.values = self.env.open_db("values", create=True)
        # From the time at which a value expires, big-endian, to its keys.
        self.expiry = self.env.open_db("expiry", create=True, dupsort=True)
        self.entries_max = entries_max

    def get(self, key: bytes) -> Any:
        """A value; LookupError if it is not there or has expired."""
        with self.env.begin(self.values, buffers=True) as txn:
            stored = txn.get(key)
            if stored is None or struct.unpack(">d", stored[:8])[0] <= time.time():
                raise LookupError(key)
            return pickle.loads(stored[8:])

    def put(self, key: bytes, value: Any, seconds: float) -> None:
        """Stores a value for some seconds."""
        expires = struct.pack(">d", time.time() + seconds)
        with self.env.begin(write=True) as txn:
            old = txn.replace(key, expires + pickle.dumps(value), db=self.values)
            if old is not None:
                txn.delete(old[:8], key, db=self.expiry)
            txn.put(expires, key, db=self.expiry)
            while txn.stat(self.values).entries > self.entries_max:
                first, its_key = next(txn.items(self.expiry))
                txn.delete(its_key, db=self.values)
                txn.delete(first, its_key, db=self.expiry)

    def remember(
        self, function: Callable[..., Result], seconds: float
    ) -> Callable[..., Result]:
        """The function, which is called only for arguments that the cache does not have."""

        def remembered(*arguments: Any) -> Result:
            key = pickle.dumps((function.__name__, arguments))
            try:
                result: Result = self.get(key)
            except LookupError:
                result = function(*arguments)
                self.put(key, result, seconds)
            return result

        return remembered


def divisors(number: int) -> list[int]:
    """What takes long."""
    return [n for n in range(1, number + 1) if number % n == 0]


def main(path: str) -> None:
    cache = Cache(path, entries_max=100)
    quick = cache.remember(divisors, seconds=60)
    began = time.perf_counter()
    first = quick(1_000_000)
    computed = time.perf_counter() - began
    began = time.perf_counter()
    assert quick(1_000_000) == first
    found = time.perf_counter() - began
    print(f"computed in {computed * 1000:.1f} ms, found in {found * 1000:.2f} ms")
    for number in range(1, 300):
        quick(number)
    print(len(cache.values), "values are kept")
    cache.put(b"soon gone", 1, seconds=0)
    try:
        cache.get(b"soon gone")
    except LookupError:
        print("an expired value is not there")
    cache.env.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder + "/cache.zdb")
