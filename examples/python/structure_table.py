"""A table of molecules with numbers, properties and a query by element, as ASE's databases are.

structure_table.py [DIRECTORY]
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import zerodb


class Table:
    """Rows by number, and an index from each element to the rows that contain it."""

    def __init__(self, path: str) -> None:
        self.env = zerodb.open(path)
        self.rows = self.env.open_db("rows", create=True, integer_key=True)
        self.elements = self.env.open_db(
            "elements", create=True, dupsort=True, dupfixed=True, integer_dup=True
        )

    def write(self, symbols: list[str], **properties: Any) -> int:
        """Adds a row and returns its number. Row and index are there together or not at all."""
        with self.env.begin(write=True) as txn:
            last = next(txn.keys(self.rows, reverse=True), b"")
            number = int.from_bytes(last, "little") + 1
            key = number.to_bytes(8, "little")
            row = {"symbols": symbols, **properties}
            txn.put(key, json.dumps(row).encode(), db=self.rows, append=True)
            for symbol in set(symbols):
                txn.put(symbol.encode(), key, db=self.elements)
            return number

    def update(self, number: int, **properties: Any) -> None:
        """Changes properties of a row."""
        key = number.to_bytes(8, "little")
        with self.env.begin(self.rows, write=True) as txn:
            txn[key] = json.dumps({**json.loads(txn[key]), **properties}).encode()

    def select(self, *symbols: str) -> Iterator[tuple[int, Any]]:
        """The rows that contain all of some elements."""
        with self.env.begin() as txn:
            numbers: set[bytes] | None = None
            for symbol in symbols:
                with txn.cursor(self.elements) as cursor:
                    there = cursor.set_key(symbol.encode()) is not None
                    found = set(cursor.iternext_dup()) if there else set()
                numbers = found if numbers is None else numbers & found
            for key in sorted(numbers or (), key=lambda key: int.from_bytes(key, "little")):
                yield int.from_bytes(key, "little"), json.loads(txn.get(key, db=self.rows))

    def delete(self, number: int) -> None:
        """Deletes a row, and what the index has of it."""
        key = number.to_bytes(8, "little")
        with self.env.begin(self.rows, write=True) as txn:
            for symbol in set(json.loads(txn[key])["symbols"]):
                txn.delete(symbol.encode(), key, db=self.elements)
            del txn[key]


def main(path: str) -> None:
    table = Table(path)
    water = table.write(["H", "H", "O"], name="water", energy=-14.2)
    table.write(["C", "O", "O"], name="carbon dioxide", energy=-22.9)
    table.write(["C", "H", "H", "H", "H"], name="methane", energy=-24.0)
    ethanol = table.write(list("CCOHHHHHH"), name="ethanol")
    table.update(ethanol, energy=-46.8)
    for query in (["O"], ["C", "O"], ["H", "O"], ["Fe"]):
        print(query, [row["name"] for _, row in table.select(*query)])
    table.delete(water)
    print(["H", "O"], [(number, row["energy"]) for number, row in table.select("H", "O")])
    table.env.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder + "/molecules.zdb")
