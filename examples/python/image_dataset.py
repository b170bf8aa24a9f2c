"""A dataset as PyTorch's are: opened once, read by processes that are forked or spawned.

image_dataset.py [DIRECTORY]

With PyTorch, `Images` derives from `torch.utils.data.Dataset`, and a `DataLoader` does what
`load` does here.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from typing import Any

import zerodb


def pixels(index: int) -> bytes:
    """Stands for a picture."""
    return bytes((index * 31 + place) % 256 for place in range(3 * 32 * 32))


def write(path: str, count: int) -> None:
    """Writes pictures in the order of their keys, in transactions of bounded size."""
    with zerodb.open(path, durability="none") as env:
        for first in range(0, count, 500):
            last = min(first + 500, count)
            with env.begin(write=True) as txn:
                txn.put_many(
                    ((b"%08d" % index, pixels(index)) for index in range(first, last)),
                    append=True,
                )
        env.sync()


class Images:
    """Pictures by their numbers.

    An environment that is open for reading only works in a child made by fork(), which opens it
    anew when it first reads, and pickles as its path, for processes that are spawned.
    """

    def __init__(self, path: str) -> None:
        self.env = zerodb.open(path, read_only=True)
        self.length = self.env.stat().entries

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> bytes:
        with self.env.begin() as txn:
            return txn[b"%08d" % index]


def load(images: Images, indexes: list[int], results: Any) -> None:
    """What each process does with its part."""
    results.put([(index, sum(images[index])) for index in indexes])


def main(path: str) -> None:
    write(path, 2000)
    images = Images(path)
    expected = [sum(pixels(index)) for index in range(len(images))]
    for method in ("fork", "spawn"):
        context: Any = multiprocessing.get_context(method)
        results = context.Queue()
        parts = [list(range(part, len(images), 4)) for part in range(4)]
        processes = [context.Process(target=load, args=(images, p, results)) for p in parts]
        for process in processes:
            process.start()
        sums = dict(pair for _ in processes for pair in results.get())
        for process in processes:
            process.join()
        assert [sums[index] for index in range(len(images))] == expected
        print(f"{method}: {len(sums)} pictures by {len(processes)} processes")
    images.env.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder + "/images.zdb")
