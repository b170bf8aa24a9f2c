"""A queue of jobs that several processes fill and empty."""

# mypy: ignore-errors

import multiprocessing
import struct
import sys

import lmdb


class Queue:
    def __init__(self, path):
        self.env = lmdb.open(path, max_dbs=3, map_size=1 << 26)
        self.waiting = self.env.open_db(b"waiting")
        self.taken = self.env.open_db(b"taken")

    def put(self, job):
        with self.env.begin(write=True, db=self.waiting) as txn:
            with txn.cursor() as cursor:
                last = struct.unpack(">Q", cursor.key())[0] if cursor.last() else 0
            taken = txn.cursor(self.taken)
            if taken.last():
                last = max(last, struct.unpack(">Q", taken.key())[0])
            txn.put(struct.pack(">Q", last + 1), job, append=True)

    def take(self):
        with self.env.begin(write=True) as txn:
            cursor = txn.cursor(self.waiting)
            if not cursor.first():
                return None
            key, job = cursor.item()
            cursor.delete()
            txn.put(key, job, db=self.taken)
            return key, job

    def counts(self):
        with self.env.begin() as txn:
            return txn.stat(self.waiting)["entries"], txn.stat(self.taken)["entries"]


def fill(path, name):
    queue = Queue(path)
    for number in range(25):
        queue.put(b"%s %d" % (name, number))


def empty(path, results):
    queue = Queue(path)
    jobs = []
    while True:
        taken = queue.take()
        if taken is None:
            break
        jobs.append(taken)
    results.put(jobs)


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn" if len(sys.argv) > 2 else "fork")
    names = [b"a", b"b", b"c"]
    writers = [context.Process(target=fill, args=(sys.argv[1], name)) for name in names]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    queue = Queue(sys.argv[1])
    print(queue.counts())
    queue.env.close()
    results = context.Queue()
    readers = [context.Process(target=empty, args=(sys.argv[1], results)) for _ in range(2)]
    for process in readers:
        process.start()
    jobs = sorted(job for _ in readers for job in results.get(timeout=60))
    for process in readers:
        process.join()
    print(len(jobs), [struct.unpack(">Q", key)[0] for key, _ in jobs] == list(range(1, 76)))
    print(sorted(job for _, job in jobs)[:3])
    print(Queue(sys.argv[1]).counts())
