"""A full-text index: which documents contain all of some words, and how often.

text_index.py [FILE ...]
"""

from __future__ import annotations

import heapq
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import zerodb

WORD = re.compile(r"[^\W\d_]{2,}")


class Index:
    """Words, each with the documents that contain it. A value has the document's number and how
    often, eight bytes together, so that `dupfixed` keeps them without a header each."""

    def __init__(self, path: str) -> None:
        self.env = zerodb.open(path)
        self.documents = self.env.open_db("documents", create=True)
        self.words = self.env.open_db("words", create=True, dupsort=True, dupfixed=True)

    def add(self, documents: list[tuple[str, str]]) -> None:
        """Adds documents: names and texts."""
        with self.env.begin(write=True) as txn:
            number = txn.stat(self.documents).entries
            pairs: list[tuple[bytes, bytes]] = []
            for name, text in documents:
                txn.put(number.to_bytes(4, "big"), name.encode(), db=self.documents)
                for word, count in Counter(WORD.findall(text.lower())).items():
                    value = number.to_bytes(4, "big") + min(count, 2**32 - 1).to_bytes(4, "big")
                    pairs.append((word.encode(), value))
                number += 1
            # In the order of their keys, puts find the same pages again.
            txn.put_many(sorted(pairs), db=self.words)

    def search(self, query: str, best: int = 3) -> list[tuple[int, str]]:
        """The documents that contain all words of a query, and how often they do."""
        found: dict[bytes, int] | None = None
        with self.env.begin() as txn:
            for word in WORD.findall(query.lower()):
                with txn.cursor(self.words) as cursor:
                    there = cursor.set_key(word.encode()) is not None
                    values = list(cursor.iternext_dup()) if there else []
                counts = {value[:4]: int.from_bytes(value[4:], "big") for value in values}
                if found is None:
                    found = counts
                else:
                    found = {n: found[n] + counts[n] for n in found.keys() & counts.keys()}
            scored = heapq.nlargest(best, ((count, n) for n, count in (found or {}).items()))
            return [(count, txn.get(n, db=self.documents).decode()) for count, n in scored]

    def beginning_with(self, prefix: str) -> list[str]:
        """The words that begin with some letters."""
        with self.env.begin() as txn, txn.cursor(self.words) as cursor:
            wanted = prefix.lower().encode()
            words: list[str] = []
            item = cursor.set_range(wanted)
            while item is not None and item[0].startswith(wanted):
                words.append(item[0].decode())
                item = cursor.next_nodup()
            return words


def main(files: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = Index(folder + "/index.zdb")
        index.add([(file.name, file.read_text(errors="replace")) for file in files])
        words = index.env.stat(index.words)
        print(f"{words.keys} words, {words.entries} pairs, of {len(files)} files")
        for query in ("transaction", "page checksum", "cursor key"):
            print(f"{query}: {index.search(query)}")
        print("snap...:", index.beginning_with("snap"))
        index.env.close()


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    main([Path(name) for name in sys.argv[1:]] or sorted(root.glob("docs/*.md")))
