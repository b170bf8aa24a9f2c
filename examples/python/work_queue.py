"""A queue of jobs for several processes: each job is done once, also if a process is killed.

work_queue.py [DIRECTORY]
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import sys
import tempfile
import time

import zerodb


class Queue:
    """Jobs in the order in which they came. One that is taken has a time by which it is to be
    done; then another process may take it."""

    def __init__(self, path: str) -> None:
        self.env = zerodb.open(path)
        self.jobs = self.env.open_db("jobs", create=True)
        self.taken = self.env.open_db("taken", create=True)
        self.results = self.env.open_db("results", create=True)

    def put(self, jobs: list[bytes]) -> None:
        """Adds jobs: all of them or none."""
        with self.env.begin(self.jobs, write=True) as txn:
            last = next(txn.keys(reverse=True), None)
            number = struct.unpack(">Q", last)[0] if last else 0
            for job in jobs:
                number += 1
                txn.put(struct.pack(">Q", number), job, append=True)

    def take(self, seconds: float) -> tuple[bytes, bytes] | None:
        """A job and its number, for some seconds; None if there is none to be done."""
        with self.env.begin(write=True) as txn:
            for number, job in txn.items(self.jobs):
                until = txn.get(number, db=self.taken)
                if until is None or struct.unpack(">d", until)[0] < time.time():
                    until = struct.pack(">d", time.time() + seconds)
                    txn.put(number, until, db=self.taken)
                    return number, job
            return None

    def done(self, number: bytes, result: bytes) -> bool:
        """Stores the result of a job, unless another process has been faster."""
        with self.env.begin(write=True) as txn:
            if not txn.delete(number, db=self.jobs):
                return False
            txn.delete(number, db=self.taken)
            return txn.put(number, result, db=self.results)


def work(path: str, dies: bool) -> None:
    """What each process does."""
    queue = Queue(path)
    with queue.env:
        while len(queue.jobs):
            taken = queue.take(seconds=0.5)
            if taken is None:
                time.sleep(0.05)
                continue
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
            number, job = taken
            queue.done(number, b"%d" % int(job) ** 2)


def main(path: str) -> None:
    queue = Queue(path)
    queue.put([b"%d" % number for number in range(100)])
    queue.env.close()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(path, number == 0)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    queue = Queue(path)
    results = list(queue.results.values())
    assert results == [b"%d" % number**2 for number in range(100)]
    print(len(results), "jobs are done, each once, and one process was killed")
    queue.env.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder + "/queue.zdb")
