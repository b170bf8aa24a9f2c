"""A loader that makes the map larger when it is full, and nested transactions."""

# mypy: ignore-errors

import sys

import lmdb

env = lmdb.open(sys.argv[1], map_size=1 << 20, max_dbs=1)
grown = 0
number = 0
while number < 3000:
    try:
        with env.begin(write=True) as txn:
            for key in range(number, number + 300):
                txn.put(b"%08d" % key, b"x" * 1000)
        number += 300
    except lmdb.MapFullError:
        env.set_mapsize(env.info()["map_size"] * 2)
        grown += 1
print(env.stat()["entries"], grown > 0)

with env.begin(write=True) as parent:
    parent.put(b"a", b"kept")
    for name, good in ((b"b", True), (b"c", False)):
        try:
            with env.begin(parent=parent, write=True) as child:
                child.put(name, b"1")
                if not good:
                    raise RuntimeError
        except RuntimeError:
            print("undone")
    print([parent.get(name) for name in (b"a", b"b", b"c")])

env.set_mapsize(1 << 25)
reader = env.begin()
with env.begin(write=True) as txn:
    for key in range(0, 3000, 2):
        txn.delete(b"%08d" % key)
print(reader.stat()["entries"], env.stat()["entries"], reader.id() < env.info()["last_txnid"])
reader.abort()
for call in (lambda: reader.get(b"a"), lambda: env.begin().put(b"a", b"b")):
    try:
        call()
    except lmdb.ReadonlyError:
        print("read only")
    except lmdb.Error:
        print("ended")
try:
    with env.begin(write=True) as txn:
        txn.put(b"", b"")
except lmdb.BadValsizeError:
    print("no empty keys")
