"""An inverted index: words, and in which documents they are."""

# mypy: ignore-errors

import array
import sys

import lmdb

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "a quick survey of trees that lie on a disk",
    "pages, leaves and branches of trees",
    "the dog sleeps under the trees",
    "brown leaves on the ground",
]

env = lmdb.open(sys.argv[1], max_dbs=4, map_size=10 * 1024 * 1024)
texts = env.open_db(b"texts", integerkey=True)
words = env.open_db(b"words", dupsort=True, integerdup=True)


def number_bytes(number):
    return array.array("L", [number]).tobytes()


with env.begin(write=True) as txn:
    pairs = []
    for number, text in enumerate(TEXTS * 40):
        txn.put(number_bytes(number), text.encode(), db=texts)
        pairs += [(w.strip(",").encode(), number_bytes(number)) for w in set(text.split())]
    print(len(pairs), txn.cursor(words).putmulti(pairs, dupdata=False))
    print(txn.cursor(words).putmulti(pairs, dupdata=False))

with env.begin(db=words) as txn:

    def documents(word):
        found = txn.cursor().getmulti([word.encode()], dupdata=True, dupfixed_bytes=8)
        return {int.from_bytes(value, sys.byteorder) for _, value in found}

    def search(query):
        return sorted(set.intersection(*(documents(word) for word in query.split())))

    print(search("trees the")[:6], search("brown leaves")[:4], search("fox cat"))
    joined = txn.cursor().getmulti([b"trees", b"quick"], True, 8, True)
    print(joined.nbytes, bytes(joined[:13]))
    cursor = txn.cursor()
    found = []
    if cursor.set_range(b"br"):
        for word in cursor.iternext_nodup():
            if not word.startswith(b"br"):
                break
            found.append((word, cursor.count()))
    print(found)
    print([bytes(word) for word in txn.cursor().iterprev_nodup()][:4])
    first = txn.get(number_bytes(search("trees the")[0]), db=texts)
    print(first.decode())
