"""Records in order, written in batches and read by a cursor that goes round, as Caffe does."""

# mypy: ignore-errors

import random
import struct
import sys

import lmdb

BATCH = 100


def pack(label, pixels):
    return struct.pack("<HI", label, len(pixels)) + pixels


def unpack(record):
    label, size = struct.unpack_from("<HI", record)
    return label, record[6 : 6 + size]


random.seed(1)
env = lmdb.Environment(sys.argv[1], map_size=int(1e9), map_async=True, max_dbs=0)
items = [(i % 10, random.randbytes(3 * 32 * 32)) for i in range(1000)]
order = list(range(len(items)))
random.shuffle(order)
txn = env.begin(write=True, buffers=True)
for number, index in enumerate(order):
    key = f"{number:08d}_{index}"
    txn.put(key.encode("ascii"), pack(*items[index]), append=True)
    if (number + 1) % BATCH == 0:
        txn.commit()
        txn = env.begin(write=True, buffers=True)
txn.commit()
print(env.stat()["entries"])


class Reader:
    def __init__(self):
        self.txn = env.begin(buffers=True)
        self.cursor = self.txn.cursor()
        self.cursor.first()

    def batch(self, size):
        records = []
        for _ in range(size):
            label, pixels = unpack(self.cursor.value())
            records.append((label, sum(pixels)))
            if not self.cursor.next():
                self.cursor.first()
        return records


reader = Reader()
seen = [reader.batch(300) for _ in range(7)]
print(seen[0][:3], seen[6][-1])
print(seen[3][100:] == seen[0][:200])
with env.begin() as txn:
    cursor = txn.cursor()
    print(sum(1 for _ in cursor), cursor.key())
    lengths = {len(value) for _, value in txn.cursor()}
    print(sorted(lengths))
    print(txn.cursor().set_range(b"00000500"), [k for k, _ in txn.cursor()][500])
env.close()
