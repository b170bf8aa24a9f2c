"""Totals of a large table, computed by several processes over parts of equal size.

parallel_totals.py [DIRECTORY]

With Dask, `dask.bag.from_sequence(parts).map(total_of_part, path)` takes the place of the pool:
the parts are pairs of keys, and each process reads its own.
"""

from __future__ import annotations

import importlib.util
import struct
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from multiprocessing import get_context
from typing import Any, Optional

import zerodb

Part = tuple[Optional[bytes], Optional[bytes]]
RECORD = struct.Struct("<Id")
CITIES = ["Basel", "Bern", "Chur", "Genf", "Zug"]


def write(path: str, count: int) -> None:
    """Sales by their numbers. `counted` lets the table be divided without reading it."""
    with zerodb.open(path) as env:
        sales = env.open_db("sales", create=True, counted=True)
        with env.begin(sales, write=True) as txn:
            txn.put_many(
                (
                    (struct.pack(">Q", number), RECORD.pack(number % 5, number % 100))
                    for number in range(count)
                ),
                append=True,
            )


def total_of_part(part: Part, path: str) -> Counter[str]:
    """The totals by city of a part of the table."""
    totals: Counter[str] = Counter()
    with zerodb.open(path, read_only=True) as env, env.begin(env.open_db("sales")) as txn:
        for value in txn.values(start=part[0], stop=part[1]):
            city, amount = RECORD.unpack(value)
            totals[CITIES[city]] += int(amount)
    return totals


def main(path: str) -> None:
    count = 100_000
    write(path, count)
    with zerodb.open(path, read_only=True) as env, env.begin(env.open_db("sales")) as txn:
        parts: list[Part] = txn.split(8)
    if importlib.util.find_spec("dask") is not None:
        bag: Any = importlib.import_module("dask.bag")
        results = bag.from_sequence(parts).map(total_of_part, path).compute()
    else:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            results = list(pool.map(total_of_part, parts, [path] * len(parts)))
    totals: Counter[str] = reduce(lambda left, right: left + right, results)
    assert sum(totals.values()) == sum(number % 100 for number in range(count))
    print(len(parts), "parts:", dict(sorted(totals.items())))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder + "/sales.zdb")
