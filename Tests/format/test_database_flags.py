"""docs/FORMAT.md is true of databases with all flags: orders, duplicates, entry counts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import xxhash
from environments import copy, read
from format_reader import Environment
from format_records import (
    COUNTED,
    DUPLICATES,
    FIXED_VALUES,
    INTEGER_KEYS,
    INTEGER_VALUES,
    REVERSE_KEYS,
    REVERSE_VALUES,
    FormatError,
    TreeRecord,
    Value,
)
from library import CREATE, Library, Transaction

import zerodb

Databases = dict[bytes, dict[bytes, Value]]
FIXED = DUPLICATES | FIXED_VALUES


@dataclass(frozen=True)
class DatabaseType:
    """The flags of a database, and how many bytes its keys and values have."""

    flags: int
    key_width: int = 0
    value_width: int = 0

    def key(self, rng: random.Random, keys: int) -> bytes:
        """One of so many keys."""
        number = rng.randrange(keys)
        if self.key_width:
            return (number * 0x010203).to_bytes(self.key_width, "little")
        return b"%d" % number * (1 + number % 60)

    def value(self, rng: random.Random) -> bytes:
        """A value of the right size."""
        if self.value_width:
            return rng.randrange(2000).to_bytes(self.value_width, "little")
        if not self.flags & DUPLICATES:
            return rng.randbytes(rng.choice([0, 10, 100, 3000]))
        size = rng.choice([0, 3, 90, rng.randrange(1984)])
        return rng.randbytes(size)


SINGLE = [
    DatabaseType(0),
    DatabaseType(REVERSE_KEYS),
    DatabaseType(INTEGER_KEYS, 4),
    DatabaseType(INTEGER_KEYS, 8),
    DatabaseType(COUNTED),
    DatabaseType(COUNTED | REVERSE_KEYS),
    DatabaseType(COUNTED | INTEGER_KEYS, 8),
]
SEVERAL = [
    DatabaseType(DUPLICATES),
    DatabaseType(DUPLICATES | REVERSE_VALUES | REVERSE_KEYS),
    DatabaseType(FIXED, 0, 3),
    DatabaseType(FIXED, 0, 200),
    DatabaseType(FIXED | REVERSE_VALUES | INTEGER_KEYS, 4, 9),
    DatabaseType(FIXED | INTEGER_VALUES, 0, 4),
    DatabaseType(FIXED | INTEGER_VALUES | INTEGER_KEYS, 8, 8),
]
TYPES = [
    *SINGLE,
    *SEVERAL,
    *(DatabaseType(k.flags | COUNTED, k.key_width, k.value_width) for k in SEVERAL),
]


def name(database_type: DatabaseType) -> bytes:
    """The name of a database of some type."""
    of = database_type
    return f"{of.flags:#x} {of.key_width} {of.value_width}".encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path where an environment can be made."""
    return tmp_path / "environment"


def change(
    txn: Transaction,
    database_type: DatabaseType,
    model: dict[bytes, Value],
    rng: random.Random,
    keys: int,
) -> None:
    """Some puts and deletes in a database of some type."""
    database = txn.open(name(database_type), CREATE | database_type.flags)
    for _ in range(300):
        key = database_type.key(rng, keys)
        if rng.random() < 0.85:
            value = database_type.value(rng)
            txn.put(database, key, value)
            if database_type.flags & DUPLICATES:
                model[key] = {value} | values_of(model, key)
            else:
                model[key] = value
        elif key in model and rng.random() < 0.1:
            txn.delete(database, key)
            del model[key]
        elif key in model and database_type.flags & DUPLICATES:
            delete_value(txn, database, model, key, rng)


def values_of(model: dict[bytes, Value], key: bytes) -> set[bytes]:
    """The values of a key in a database with duplicates."""
    values = model.get(key, set())
    assert isinstance(values, set)
    return values


def delete_value(
    txn: Transaction, database: int, model: dict[bytes, Value], key: bytes, rng: random.Random
) -> None:
    """Deletes one value of a key; the last value goes together with its key."""
    values = values_of(model, key)
    value = rng.choice(sorted(values))
    txn.delete(database, key, value)
    if len(values) > 1:
        model[key] = values - {value}
    else:
        del model[key]


def check(path: Path, expected: Databases) -> Environment:
    """Checks that reader, library and model agree on a closed environment."""
    found = read(path)
    assert found.contents() == {b"": {}, **expected}
    with zerodb.open(path, create=False) as env:
        report = env.verify()
        assert report.problems == 0, report.first_problem
    found = read(path)
    assert found.contents() == {b"": {}, **expected}
    with Library(path) as library, library.transaction() as txn:
        for database, tree in found.databases.items():
            assert list(txn.items(txn.open(database))) == tree.entries
    return found


@pytest.mark.parametrize("keys", [5, 300])
def test_reader_finds_what_was_written_in_every_type_of_database(path: Path, keys: int) -> None:
    rng = random.Random(keys)
    model: Databases = {name(database_type): {} for database_type in TYPES}
    for _ in range(4):
        with Library(path) as library, library.transaction() as txn:
            for database_type in TYPES:
                change(txn, database_type, model[name(database_type)], rng, keys)
        found = check(path, model)
    several = [
        found.databases[name(database_type)]
        for database_type in TYPES
        if database_type.flags & DUPLICATES
    ]
    assert any(tree.inline_values for tree in several)
    assert any(tree.value_trees for tree in several)
    assert keys > 5 or any(tree.value_trees and tree.branch_pages for tree in several)


@pytest.mark.parametrize("database_type", TYPES, ids=name)
def test_the_log_records_every_type_of_database(
    path: Path, database_type: DatabaseType
) -> None:
    rng = random.Random(7)
    model: dict[bytes, Value] = {}
    with Library(path) as library:
        for transactions in range(1, 4):
            with library.transaction() as txn:
                change(txn, database_type, model, rng, 20)
            copied = copy(path)
            assert len(read(copied).records) == transactions
            check(copied, {name(database_type): model})


@pytest.mark.parametrize("database_type", TYPES, ids=name)
def test_ranges_go_by_the_order_of_the_database(
    path: Path, database_type: DatabaseType
) -> None:
    rng = random.Random(9)
    model: dict[bytes, Value] = {}
    with Library(path) as library:
        with library.transaction() as txn:
            change(txn, database_type, model, rng, 40)
            pairs = list(txn.items(txn.open(name(database_type))))
        keys = list(dict.fromkeys(key for key, _ in pairs))
        low, high = keys[len(keys) // 4], keys[len(keys) // 2]
        with library.transaction() as txn:
            txn.delete_range(txn.open(name(database_type)), low, high)
        for key in keys[len(keys) // 4 : len(keys) // 2]:
            del model[key]
        copied = copy(path)
        check(copied, {name(database_type): model})
    check(path, {name(database_type): model})


def test_the_main_database_may_be_of_any_type(path: Path) -> None:
    with Library(path) as library, library.transaction() as txn:
        main = txn.open(None, CREATE | DUPLICATES | COUNTED)
        for number in range(3000):
            txn.put(main, b"%d" % (number % 3), b"%d" % number)
    found = read(path)
    assert found.main.flags == DUPLICATES | COUNTED
    assert found.main.value_trees == 3
    assert len(found.main.entries) == 3000
    values = found.contents()[b""]
    assert values[b"1"] == {b"%d" % number for number in range(1, 3000, 3)}


def test_values_move_to_a_value_tree_where_the_document_says(path: Path) -> None:
    # An entry has 8 bytes of slot and 2 of length. Its inline values have 4 bytes, and 2 and
    # 98 for each value.
    fitting = ((4096 - 40) // 2 - 8 - 8 - 2 - 4) // 100
    for count, trees in ((fitting, 0), (fitting + 1, 1)):
        with Library(path) as library, library.transaction() as txn:
            database = txn.open(b"d", CREATE | DUPLICATES)
            for number in range(count):
                txn.put(database, b"key", b"%098d" % number)
        tree = read(path).databases[b"d"]
        assert (tree.inline_values, tree.value_trees) == (1 - trees, trees)
        assert tree.leaf_pages == 1 + trees


def test_a_long_value_of_a_long_key_has_a_value_tree(path: Path) -> None:
    key, value = b"k" * 1984, b"v" * 1984
    with Library(path) as library, library.transaction() as txn:
        txn.put(txn.open(b"d", CREATE | DUPLICATES), key, value)
    tree = check(path, {b"d": {key: {value}}}).databases[b"d"]
    assert (tree.value_trees, tree.leaf_pages, tree.overflow_pages) == (1, 2, 0)


# Damage that the reader must notice -----------------------------------------------------


@dataclass
class Damaged:
    """A data file that tests change before they correct its checksums."""

    data: bytearray
    found: Environment

    def pages(self, kind: int, flags: int) -> list[int]:
        """Where the pages in use that are of a kind and have these flags begin."""
        starts = (page * 4096 for page in sorted(self.found.uses) if page > 1)
        wanted = bytes([kind]), flags
        return [
            start
            for start in starts
            if not self.found.uses[start // 4096].startswith("free: ")
            and (bytes(self.data[start + 24 : start + 25]), self.data[start + 26]) == wanted
        ]

    def seal(self, start: int) -> None:
        """Corrects the checksum of a page."""
        digest = xxhash.xxh3_64_intdigest(
            bytes(self.data[start + 8 : start + 4096]), seed=self.found.seed
        )
        self.data[start : start + 8] = digest.to_bytes(8, "little")


@pytest.fixture
def damaged(path: Path) -> Damaged:
    """A file with two counted databases; the value leaves of one of them are packed."""
    with Library(path) as library, library.transaction() as txn:
        for database, flags in ((b"fixed", FIXED), (b"any", DUPLICATES)):
            handle = txn.open(database, CREATE | COUNTED | flags)
            for number in range(2000):
                txn.put(handle, b"%d" % (number % 2), b"%08d" % number)
            txn.put(handle, b"set", b"00000001")
            txn.put(handle, b"set", b"00000002")
    return Damaged(bytearray((path / "data.zdb").read_bytes()), read(path))


def swap(data: bytearray, first: int, second: int, size: int) -> None:
    """Exchanges two stretches of bytes."""
    one, other = data[first : first + size], data[second : second + size]
    data[first : first + size], data[second : second + size] = other, one


def wrong_entry_count(file: Damaged) -> None:
    start = file.pages(1, 8)[0]
    count = file.data[start + 4096 - 8 : start + 4096]
    file.data[start + 4096 - 8] ^= 1
    assert count != file.data[start + 4096 - 8 : start + 4096]
    file.seal(start)


def packed_disorder(file: Damaged) -> None:
    start = file.pages(2, 3)[0]
    swap(file.data, start + 40, start + 48, 8)
    file.seal(start)


def disorder(file: Damaged) -> None:
    start = file.pages(2, 1)[0]
    swap(file.data, start + 40, start + 48, 8)
    file.seal(start)


def wrong_width(file: Damaged) -> None:
    start = file.pages(2, 3)[0]
    file.data[start + 36] = 4
    file.seal(start)


def wrong_flags(file: Damaged) -> None:
    start = file.pages(2, 1)[0]
    file.data[start + 26] = 5
    file.seal(start)


def wrong_values_count(file: Damaged) -> None:
    # The record of a value tree with 1000 values, in a leaf.
    count = (1000).to_bytes(8, "little")
    leaf = next(start for start in file.pages(2, 0) if count in file.data[start:][:4096])
    file.data[file.data.index(count, leaf)] ^= 1
    file.seal(leaf)


def inline_disorder(file: Damaged) -> None:
    place = file.data.index(b"0000000100000002")
    swap(file.data, place, place + 8, 8)
    file.seal(place // 4096 * 4096)


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (wrong_entry_count, "an entry count of"),
        (packed_disorder, "unordered keys"),
        (disorder, "unordered keys|head"),
        (wrong_width, "a width of 4"),
        (wrong_flags, "flags of 5"),
        (wrong_values_count, "counts are"),
        (inline_disorder, "not in order"),
    ],
)
def test_damage_is_noticed(
    path: Path, damaged: Damaged, harm: Callable[[Damaged], None], problem: str
) -> None:
    harm(damaged)
    with pytest.raises(FormatError, match=problem):
        Environment(bytes(damaged.data))
    (path / "data.zdb").write_bytes(damaged.data)
    with zerodb.open(path) as env:
        assert env.verify().problems > 0


@pytest.mark.parametrize("flags", [0x01, 0x0A, 0x10, 0x24, 0x74, 0x40, 0x100])
def test_flags_that_do_not_go_together_are_refused(flags: int) -> None:
    record = bytearray(64)
    record[50:52] = flags.to_bytes(2, "little")
    with pytest.raises(FormatError):
        TreeRecord.parse(bytes(record), "a database")
