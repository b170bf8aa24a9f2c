"""A cache on disk with times of expiry and a bound on its size."""

# mypy: ignore-errors

import hashlib
import pickle
import struct
import sys

import lmdb


class Cache:
    def __init__(self, path, limit):
        self.env = lmdb.open(path, max_dbs=3, map_size=64 * 1024**2, metasync=False, sync=False)
        self.values = self.env.open_db(b"values")
        self.expiry = self.env.open_db(b"expiry", dupsort=True)
        self.limit = limit
        self.now = 0.0

    def _key(self, name):
        return hashlib.sha1(repr(name).encode()).digest()

    def set(self, name, value, ttl):
        key, when = self._key(name), struct.pack(">d", self.now + ttl)
        with self.env.begin(write=True) as txn:
            old = txn.replace(key, when + pickle.dumps((name, value)), db=self.values)
            if old is not None:
                txn.delete(old[:8], key, db=self.expiry)
            txn.put(when, key, db=self.expiry)
            self._evict(txn)

    def _evict(self, txn):
        with txn.cursor(self.expiry) as cursor:
            while txn.stat(self.values)["entries"] > self.limit and cursor.first():
                txn.delete(cursor.value(), db=self.values)
                cursor.delete()

    def get(self, name, default=None):
        with self.env.begin(buffers=True) as txn:
            found = txn.get(self._key(name), db=self.values)
            if found is None or struct.unpack(">d", found[:8])[0] <= self.now:
                return default
            return pickle.loads(found[8:])[1]

    def expire(self):
        gone = 0
        with self.env.begin(write=True, db=self.expiry) as txn:
            cursor = txn.cursor()
            while cursor.first() and struct.unpack(">d", cursor.key())[0] <= self.now:
                txn.delete(cursor.value(), db=self.values)
                cursor.delete()
                gone += 1
        return gone

    def __contains__(self, name):
        with self.env.begin(db=self.values) as txn:
            return txn.cursor().set_key(self._key(name))

    def __len__(self):
        with self.env.begin() as txn:
            return txn.stat(self.values)["entries"]

    def __iter__(self):
        with self.env.begin(db=self.values) as txn:
            for value in txn.cursor().iternext(keys=False):
                yield pickle.loads(value[8:])[0]

    def clear(self):
        with self.env.begin(write=True) as txn:
            txn.drop(self.values, delete=False)
            txn.drop(self.expiry, delete=False)


cache = Cache(sys.argv[1], limit=50)
for number in range(80):
    cache.set(number, {"square": number**2}, ttl=number + 1)
print(len(cache), cache.get(79), cache.get(3, "gone"), 79 in cache, 3 in cache)
cache.set(79, "again", ttl=1000)
cache.now = 60.0
print(cache.expire(), len(cache), cache.get(79), sorted(cache)[:3])
cache.env.close()
cache = Cache(sys.argv[1], limit=50)
print(len(cache), cache.get(79))
cache.clear()
print(len(cache), cache.get(79))
try:
    lmdb.open(sys.argv[1])
except lmdb.Error:
    print("open already")
