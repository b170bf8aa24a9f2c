"""Events by time, found by ranges of time and by their source."""

# mypy: ignore-errors

import struct
import sys

import lmdb

env = lmdb.open(sys.argv[1], max_dbs=2, map_size=1 << 26, writemap=True)
events = env.open_db(b"events")
sources = env.open_db(b"sources", dupsort=True, integerdup=False)


def stamp(second, number=0):
    return struct.pack(">QI", second, number)


with env.begin(write=True) as txn:
    for second in range(1000, 3000):
        for number in range(second % 3):
            source = b"source%d" % (second * number % 7)
            txn.put(stamp(second, number), source + b": event", db=events)
            txn.put(source, stamp(second, number), db=sources)


def between(txn, first, last):
    cursor = txn.cursor(events)
    if not cursor.set_range(stamp(first)):
        return
    for key, value in cursor:
        if key >= stamp(last):
            break
        yield struct.unpack(">QI", key), bytes(value)


def last_before(txn, second):
    cursor = txn.cursor(events)
    found = cursor.prev() if cursor.set_range(stamp(second)) else cursor.last()
    return struct.unpack(">QI", cursor.key()) if found else None


with env.begin() as txn:
    print(len(list(between(txn, 1500, 1600))), list(between(txn, 2998, 9999)))
    print(last_before(txn, 1000), last_before(txn, 1500), last_before(txn, 10**9))
    cursor = txn.cursor(sources)
    for source in (b"source3", b"source6"):
        cursor.set_key(source)
        after = cursor.set_range_dup(source, stamp(2000))
        print(source, after, struct.unpack(">QI", cursor.value()))
    counts = {}
    for source in cursor.iternext_nodup():
        counts[source] = cursor.count()
    print(counts)

with env.begin(write=True) as txn:
    cursor = txn.cursor(events)
    removed = 0
    cursor.first()
    while cursor.key() and cursor.key() < stamp(2000):
        cursor.delete()
        removed += 1
    print(removed, txn.stat(events)["entries"])
    print(next(iter(cursor))[0] == stamp(2000, 0), cursor.key() == stamp(2000, 0))
env.close()
