"""Named databases and several values for a key."""

# mypy: ignore-errors

import sys

import lmdb

env = lmdb.open(sys.argv[1], max_dbs=10)
home_db = env.open_db(b"home")
business_db = env.open_db(b"business")
tags = env.open_db(b"tags", dupsort=True)

with env.begin(write=True) as txn:
    txn.put(b"mum", b"012345678", db=home_db)
    txn.put(b"dad", b"011232211", db=home_db)
    txn.put(b"dentist", b"044415121", db=home_db)
    txn.put(b"hospital", b"078126321", db=home_db)
    txn.put(b"vendor", b"0917465628", db=business_db)
    txn.put(b"customer", b"0553211232", db=business_db)
    txn.put(b"coworker", b"0147652935", db=business_db)
    for name, tag in [(b"mum", b"family"), (b"mum", b"old"), (b"dad", b"family")]:
        txn.put(tag, name, db=tags)

with env.begin() as txn:
    for name, db in (("home", home_db), ("business", business_db)):
        print(name, [(key.decode(), value.decode()) for key, value in txn.cursor(db=db)])
    print(list(txn.cursor(tags).iternext_nodup()))
    cursor = txn.cursor(tags)
    if cursor.set_key(b"family"):
        print(cursor.count(), list(cursor.iternext_dup()))

with env.begin(write=True, db=home_db) as txn:
    print(txn.pop(b"dentist"), txn.delete(b"mum"), txn.replace(b"dad", b"999"))
    deleted = [key for key, value in txn.cursor() if value.startswith(b"0")]
    for key in deleted:
        txn.delete(key)
    print(deleted, txn.stat()["entries"])

try:
    with env.begin(write=True, db=business_db) as txn:
        txn.drop(business_db, delete=False)
        raise ValueError("never mind")
except ValueError as error:
    print(error)
with env.begin() as txn:
    print(txn.stat(business_db)["entries"], env.dbs(txn))
print(env.info()["map_size"], env.max_readers(), env.flags()["subdir"])
