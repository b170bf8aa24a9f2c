"""Long random programs do the same with py-lmdb and with zerodb.lmdb.

What LMDB leaves open is not compared: where a cursor is after a move that has failed, and, with
duplicates, cursors that stand while others write (LMDB's lose entries then).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

Call = Callable[[Any, Any], Any]
"""An operation on a transaction and a cursor."""

OPTIONS: dict[str, dict[str, bool]] = {
    "plain": {},
    "reverse": {"reverse_key": True},
    "integer": {"integerkey": True},
    "dup": {"dupsort": True},
    "dupfixed": {"dupsort": True, "dupfixed": True},
    "names": {},
}
"""What the database is. With names it is the main one, beside some named ones."""

NAMES = [b"1 is before most keys", b"2", b"kkk", b"kkkl", b"zz is behind all"]
RECORD_SIZE = 48
MOVES = ["next", "prev", "item", "key", "value"]
DUP_MOVES = [
    "next_dup",
    "prev_dup",
    "next_nodup",
    "prev_nodup",
    "first_dup",
    "last_dup",
    "count",
]
WALKS = ["iternext", "iterprev"]
DUP_WALKS = ["iternext_dup", "iterprev_dup", "iternext_nodup", "iterprev_nodup"]


class Program:
    """A random program for one database."""

    def __init__(self, kind: str, seed: int) -> None:
        self.random = random.Random(f"{kind} {seed}")
        self.kind = kind
        self.duplicates = kind.startswith("dup")
        self.keys = self.random.choice([3, 30, 300])
        self.held: list[bytes] = []
        """All keys: py-lmdb gives those of set_key_dup() back, and does not keep them."""

    def key(self) -> bytes:
        self.held.append(self.new_key())
        return self.held[-1]

    def new_key(self) -> bytes:
        number = self.random.randrange(self.keys)
        if self.kind == "names" and number < 3:
            return b"3"  # "2" and "kkk" are names
        if self.kind == "integer":
            return number.to_bytes(8, "little")
        if self.random.random() < 0.2:
            return b"k" * self.random.randrange(4 if self.kind == "names" else 1, 200)
        return b"%d" % number

    def value(self) -> bytes:
        if self.kind == "dupfixed":
            return b"%04d" % self.random.randrange(40)
        if self.kind == "plain" and self.random.random() < 0.1:
            return bytes(self.random.randrange(5000))
        return b"%d" % self.random.randrange(40)

    def search(self) -> tuple[str, Call]:
        """A move to a place that does not depend on where the cursor is."""
        key, value = self.key(), self.value()
        names = ["first", "last", "set_key", "set_range"]
        if self.duplicates:
            names += ["set_key_dup", "set_range_dup"]
        name = self.random.choice(names)
        arguments: tuple[bytes, ...] = ()
        if name.startswith("set"):
            arguments = (key, value) if name.endswith("dup") else (key,)
        return name, lambda txn, cursor: getattr(cursor, name)(*arguments)

    def step(self) -> tuple[str, Call]:
        """Something that a cursor does which is on an entry."""
        name = self.random.choice(MOVES + WALKS + (DUP_MOVES + DUP_WALKS) * self.duplicates)
        if not name.startswith("iter"):
            return name, lambda txn, cursor: getattr(cursor, name)()
        wants = self.random.random() < 0.8, self.random.random() < 0.8
        most = self.random.randrange(1, 20)

        def walk(txn: Any, cursor: Any) -> Any:
            found = []
            for item in getattr(cursor, name)(*wants):
                found.append(item)
                if len(found) == most:
                    break
            return found

        return name, walk

    def read(self) -> tuple[str, Call]:
        key, keys = self.key(), [self.key() for _ in range(5)]
        return self.random.choice(
            [
                ("get", lambda txn, cursor: txn.get(key)),
                ("stat", lambda txn, cursor: txn.stat()["entries"]),
                ("getmulti", lambda txn, cursor: txn.cursor().getmulti(keys)),
                (
                    "getmulti",
                    lambda txn, cursor: txn.cursor().getmulti(keys, self.duplicates),
                ),
            ]
        )

    def write(self) -> tuple[str, Call]:
        key, value, flag = self.key(), self.value(), self.random.random() < 0.6
        items = [(self.key(), self.value()) for _ in range(self.random.randrange(20))]
        return self.random.choice(
            [
                ("put", lambda txn, cursor: txn.put(key, value, dupdata=flag)),
                ("put", lambda txn, cursor: txn.put(key, value, overwrite=flag)),
                (
                    "append",
                    # At the end there may be a name, which is no obstacle for us.
                    lambda txn, cursor: (
                        self.kind == "names" or txn.put(key, value, append=True)
                    ),
                ),
                ("delete", lambda txn, cursor: txn.delete(key)),
                ("delete value", lambda txn, cursor: txn.delete(key, value)),
                ("replace", lambda txn, cursor: txn.replace(key, value)),
                ("pop", lambda txn, cursor: txn.pop(key)),
                ("putmulti", lambda txn, cursor: txn.cursor().putmulti(items, overwrite=flag)),
                ("cursor put", lambda txn, cursor: cursor.put(key, value, dupdata=flag)),
                ("cursor put", lambda txn, cursor: cursor.put(key, value, overwrite=flag)),
                ("cursor pop", lambda txn, cursor: cursor.pop(key)),
                ("cursor replace", lambda txn, cursor: cursor.replace(key, value)),
            ]
        )


class Sides:
    """The same environment, transaction and cursor in both modules."""

    def __init__(
        self, modules: list[Any], folder: Any, options: dict[str, bool], with_names: bool
    ) -> None:
        self.environments = [
            module.open(str(folder / module.__name__), map_size=1 << 26, max_dbs=9)
            for module in modules
        ]
        self.databases = [
            env.open_db(None if with_names else b"name", **options) for env in self.environments
        ]
        for env in self.environments if with_names else []:
            for name in NAMES:
                env.open_db(name)
        self.begin(True)

    def begin(self, write: bool) -> None:
        self.write = write
        pairs = zip(self.environments, self.databases)
        self.transactions = [env.begin(db=db, write=write) for env, db in pairs]
        self.new_cursors()

    def new_cursors(self) -> None:
        self.cursors = [txn.cursor() for txn in self.transactions]

    def both(self, call: Call) -> list[Any]:
        return [call(*pair) for pair in zip(self.transactions, self.cursors)]

    def content(self) -> list[Any]:
        return self.both(lambda txn, cursor: list(txn.cursor()))


def without_records(result: Any) -> Any:
    """A result without LMDB's records of databases, and what stands for them."""
    if isinstance(result, (list, tuple)):
        return type(result)(map(without_records, result))
    return b"record" if isinstance(result, bytes) and len(result) == RECORD_SIZE else result


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("seed", range(8))
def test_same_results(tmp_path: Any, kind: str, seed: int) -> None:
    modules = [pytest.importorskip("lmdb"), pytest.importorskip("zerodb.lmdb")]
    program = Program(kind, seed)
    sides = Sides(modules, tmp_path, OPTIONS[kind], kind == "names")
    log: list[Any] = []

    def same(name: str, call: Call) -> Any:
        results = [without_records(result) for result in sides.both(call)]
        log.append((name, results[0]))
        assert results[0] == results[1], log[-10:]
        return results[0]

    for _ in range(300):
        choice = program.random.random()
        if choice < 0.05:
            end = program.random.choice(["commit", "abort"])
            for txn in sides.transactions:
                getattr(txn, end)()
            sides.begin(program.random.random() < 0.7)
            ours, theirs = map(without_records, sides.content())
            assert ours == theirs, log[-10:]
        elif choice < 0.45:
            same(*program.search())
            if same("item", lambda txn, cursor: cursor.item()) != (b"", b""):
                same(*program.step())
        elif choice < 0.6 or not sides.write:
            same(*program.read())
        else:
            same(*program.write())
            if program.duplicates:
                sides.new_cursors()
        if sides.write and program.random.random() < 0.1:
            key = same("last", lambda txn, cursor: cursor.last() and cursor.key())
            if key and not (kind == "names" and key in NAMES):
                same("delete", lambda txn, cursor: cursor.delete())
    for env in sides.environments:
        env.close()
