"""A table of structures with integer ids, indexes and metadata, as ASE's databases have."""

# mypy: ignore-errors

import json
import os
import struct
import sys
import zlib

import lmdb


def encode(obj):
    return zlib.compress(json.dumps(obj, sort_keys=True).encode("utf-8"))


def decode(data):
    return json.loads(zlib.decompress(data).decode("utf-8"))


class Table:
    def __init__(self, path, readonly=False):
        self.env = lmdb.open(
            path,
            map_size=1099511627776 // 64,
            subdir=False,
            meminit=False,
            map_async=not readonly,
            readonly=readonly,
            lock=not readonly,
            max_dbs=8,
        )
        self.rows = self.env.open_db(b"rows", integerkey=True, create=not readonly)
        self.symbols = self.env.open_db(b"symbols", dupsort=True, dupfixed=True)
        self.txn = self.env.begin(write=not readonly)

    def reserve(self):
        cursor = self.txn.cursor(self.rows)
        return struct.unpack("=Q", cursor.key())[0] + 1 if cursor.last() else 1

    def write(self, atoms, **keys):
        number = self.reserve()
        key = struct.pack("=Q", number)
        self.txn.put(key, encode({"atoms": atoms, "keys": keys}), db=self.rows, append=True)
        with self.txn.cursor(self.symbols) as cursor:
            cursor.putmulti([(symbol.encode(), key) for symbol in sorted(set(atoms))])
        return number

    def get(self, number):
        data = self.txn.get(struct.pack("=Q", number), db=self.rows)
        if data is None:
            raise KeyError(number)
        return decode(data)

    def select(self, *symbols):
        found = None
        cursor = self.txn.cursor(self.symbols)
        for symbol in symbols:
            rows = cursor.getmulti([symbol.encode()], dupdata=True, dupfixed_bytes=8)
            numbers = {struct.unpack("=Q", value)[0] for _, value in rows}
            found = numbers if found is None else found & numbers
        return sorted(found)

    def delete(self, number):
        key = struct.pack("=Q", number)
        for symbol in set(self.get(number)["atoms"]):
            self.txn.delete(symbol.encode(), key, db=self.symbols)
        self.txn.delete(key, db=self.rows)

    def commit(self):
        self.txn.commit()
        self.txn = self.env.begin(write=True)

    def close(self):
        self.txn.commit()
        self.env.close()


table = Table(sys.argv[1])
elements = ["H", "O", "C", "N", "Fe"]
for index in range(300):
    atoms = [elements[(index * step) % 5] for step in range(1, 4)]
    table.write(atoms, energy=-index / 7, index=index)
    if index % 100 == 99:
        table.commit()
print(table.reserve(), table.get(17), table.select("H", "O")[:5], len(table.select("Fe")))
table.delete(2)
try:
    table.get(2)
except KeyError as error:
    print("no", error)
print(table.txn.stat(table.rows)["entries"])
table.close()
print(os.path.exists(sys.argv[1]))
table = Table(sys.argv[1], readonly=True)
print(table.get(300)["keys"], len(table.select("C", "N")))
print(sorted(name for name in table.env.dbs()))
table.txn.abort()
table.env.close()
