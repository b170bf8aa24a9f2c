"""A dataset of images in one file, read by several processes, as training programs have it."""

# mypy: ignore-errors

import io
import multiprocessing
import os
import pickle
import sys

import lmdb

PATH = sys.argv[1]


def image(index):
    return bytes((index * 7 + i) % 256 for i in range(1000 + index))


def write():
    db = lmdb.open(
        PATH,
        subdir=False,
        map_size=1099511627776 // 1024,
        readonly=False,
        meminit=False,
        map_async=True,
    )
    txn = db.begin(write=True)
    for index in range(200):
        txn.put(f"{index}".encode("ascii"), pickle.dumps((image(index), index % 10)))
        if index % 50 == 0:
            txn.commit()
            txn = db.begin(write=True)
    txn.commit()
    keys = [f"{k}".encode("ascii") for k in range(200)]
    with db.begin(write=True) as txn:
        txn.put(b"__keys__", pickle.dumps(keys))
        txn.put(b"__len__", pickle.dumps(len(keys)))
    db.sync()
    db.close()


class ImageFolderLMDB:
    def __init__(self, db_path, lazy):
        self.db_path = db_path
        self.env = None
        if not lazy:
            self._open()

    def _open(self):
        self.env = lmdb.open(
            self.db_path,
            subdir=os.path.isdir(self.db_path),
            readonly=True,
            lock=False,
            readahead=False,
            meminit=False,
            max_readers=1,
        )
        with self.env.begin(write=False, buffers=True) as txn:
            self.length = pickle.loads(txn.get(b"__len__"))
            self.keys = pickle.loads(txn.get(b"__keys__"))

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if self.env is None:
            self._open()
        with self.env.begin(write=False) as txn:
            buffer = io.BytesIO(txn.get(self.keys[index]))
        data, target = pickle.load(buffer)
        return sum(data), target


def load(dataset, indexes, results):
    results.put([(index, dataset[index]) for index in indexes])


def load_all(dataset, method):
    context = multiprocessing.get_context(method)
    results = context.Queue()
    processes = [
        context.Process(target=load, args=(dataset, list(range(part, 200, 4)), results))
        for part in range(4)
    ]
    for process in processes:
        process.start()
    items = dict(pair for _ in processes for pair in results.get(timeout=60))
    for process in processes:
        process.join()
    return [items[index] for index in range(200)]


if __name__ == "__main__":
    write()
    opened = ImageFolderLMDB(PATH, lazy=False)
    print(len(opened), opened[0], opened[199])
    expected = [opened[index] for index in range(200)]
    print(load_all(opened, "fork") == expected)
    opened.env.close()
    print(load_all(ImageFolderLMDB(PATH, lazy=True), "fork") == expected)
    print(sum(total for total, _ in expected))
