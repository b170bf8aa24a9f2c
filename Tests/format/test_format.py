"""docs/FORMAT.md is true: a reader written from it alone reads what the library writes."""

from __future__ import annotations

import ctypes
import random
import re
import shutil
from pathlib import Path

import pytest
import xxhash
from format_log import LOG_HEADER_SIZE
from format_reader import Environment, Tree
from format_records import META_RECORD_SIZE, PAGE_SIZES, FormatError, newest_meta

import zerodb
from zerodb import _ffi

DOCUMENT = Path(__file__).parents[2] / "docs" / "FORMAT.md"

Databases = dict[bytes, dict[bytes, bytes]]
MAIN = b""
"""Stands for the main database, whose name nobody else can have."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an environment can be made."""
    return tmp_path / "environment"


def read(path: Path) -> Environment:
    """What the independent reader finds in an environment that nobody has open."""
    segments = sorted((path / "log").glob("*.log"))
    log = {int(segment.stem, 16): segment.read_bytes() for segment in segments}
    return Environment((path / "data.zdb").read_bytes(), log)


def copy(path: Path) -> Path:
    """A copy of an environment that is open, without a thread, and nobody is changing."""
    target = path.with_name("copy")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(path, target)
    return target


def check(path: Path, expected: Databases) -> Environment:
    """Checks that reader, library and model agree on an environment closed by everybody."""
    found = read(path)
    assert found.records == []
    trees = {MAIN: found.main, **found.databases}
    assert {name: dict(tree.entries) for name, tree in trees.items()} == expected
    with zerodb.open(path, create=False) as env:
        report = env.verify()
        assert report.problems == 0, report.first_problem
        info = env.info()
        assert info.page_size == found.page_size
        assert info.page_count == found.meta.page_count
        assert info.last_txn_id == found.meta.transaction
        assert info.environment_id == found.meta.environment_id
        assert info.databases == len(found.databases)
        assert info.free_pages == found.meta.available_pages + found.meta.pending_pages
        for name, tree in trees.items():
            check_database(env, None if name == MAIN else env.open_db(name), tree)
    return found


def check_database(env: zerodb.Environment, db: zerodb.Database | None, tree: Tree) -> None:
    """Checks that the library reads from a database what the reader has found in its tree."""
    with env.begin() as txn:
        assert list(txn.items(db)) == tree.entries
        stat = txn.stat(db)
    assert stat.depth == tree.record.depth
    assert stat.entries == len(tree.entries)
    assert stat.branch_pages == tree.branch_pages
    assert stat.leaf_pages == tree.leaf_pages
    assert stat.overflow_pages == tree.overflow_pages


def random_key(rng: random.Random, key_max: int) -> bytes:
    """A key of any length; many share prefixes, end in zeros or are as long as can be."""
    kind = rng.randrange(5)
    if kind == 0:
        return b"user/%06d" % rng.randrange(5000)
    if kind == 1:
        return rng.choice([b"", b"a", b"prefix/"]) + bytes(rng.randint(1, 9))
    if kind == 2:
        return bytes([rng.randrange(256)]) * key_max
    return rng.randbytes(rng.randint(1, 40))


def random_value(rng: random.Random, page_size: int) -> bytes:
    """A value of any length, at times one for an overflow run."""
    size = rng.choice([0, 1, 16, 17, 100, page_size // 4, page_size, page_size * 3])
    return rng.randbytes(rng.randint(size // 2, size))


def change(
    env: zerodb.Environment, model: Databases, rng: random.Random, operations: int
) -> None:
    """One transaction of random puts and deletes."""
    with env.begin(write=True) as txn:
        for name, entries in model.items():
            db = None if name == MAIN else txn.db(name, create=True)
            for _ in range(operations):
                if entries and rng.random() < 0.4:
                    key = rng.choice(list(entries))
                    del entries[key]
                    assert txn.delete(key, db=db)
                else:
                    key = random_key(rng, env.max_key_size)
                    entries[key] = random_value(rng, env.info().page_size)
                    txn.put(key, entries[key], db=db)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_reader_finds_what_was_written(path: Path, page_size: int) -> None:
    rng = random.Random(page_size)
    model: Databases = {MAIN: {}, b"second": {}, b"third \xff": {}}
    for operations in (1, 10, 150, 40, 3, 1):
        with zerodb.open(path, page_size=page_size) as env:
            change(env, model, rng, operations)
        check(path, model)


def test_new_environment_is_empty(path: Path) -> None:
    zerodb.open(path).close()
    found = check(path, {MAIN: {}})
    assert (found.meta.transaction, found.meta.page_count) == (1, 2)
    assert len(found.data) == 2 * found.page_size


def test_checkpoints_alternate_between_the_meta_pages(path: Path) -> None:
    for checkpoint in range(5):
        with zerodb.open(path) as env:
            for number in range(3):
                with env.begin(write=True) as txn:
                    txn[b"key"] = b"%d" % number
        found = check(path, {MAIN: {b"key": b"2"}})
        assert found.meta.transaction == 4 + 3 * checkpoint
        assert found.meta.page == checkpoint % 2


def test_trees_with_many_levels(path: Path) -> None:
    # Keys that differ in their last byte only make separators long and branches narrow.
    entries = {b"%03d" % (index // 3) * 330 + b"%d" % index: b"" for index in range(1000)}
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for key, value in entries.items():
            txn[key] = value
    found = check(path, {MAIN: entries})
    assert found.main.record.depth > 4


def test_keys_of_a_leaf_share_its_prefix(path: Path) -> None:
    entries = {b"a/long/common/prefix/%05d" % index: b"" for index in range(2000)}
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for key, value in entries.items():
            txn[key] = value
    found = check(path, {MAIN: entries})
    shared = [len(prefix) for prefix in found.main.prefixes]
    assert sum(length > 20 for length in shared) >= len(shared) - 1


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_longest_key_is_a_quarter_of_a_page_less_8(path: Path, page_size: int) -> None:
    longest = bytes(page_size // 4 - 8)
    with zerodb.open(path, page_size=page_size) as env:
        assert env.max_key_size == len(longest)
        with env.begin(write=True) as txn:
            txn[longest] = b"value"
            with pytest.raises(zerodb.BadValueSizeError):
                txn[longest + b"x"] = b"value"
    check(path, {MAIN: {longest: b"value"}})


@pytest.mark.parametrize("page_size", PAGE_SIZES)
@pytest.mark.parametrize("key_size", [1, 4, 5, 100])
def test_values_move_to_overflow_runs_where_the_document_says(
    path: Path, page_size: int, key_size: int
) -> None:
    largest = (page_size - 40) // 2 - 18 - max(0, key_size - 4)
    key = b"k" * key_size
    for size, pages in ((largest, 0), (largest + 1, 1), (page_size - 40, 1), (page_size, 2)):
        with zerodb.open(path, page_size=page_size) as env, env.begin(write=True) as txn:
            txn[key] = bytes(size)
        assert check(path, {MAIN: {key: bytes(size)}}).main.overflow_pages == pages


def test_values_beside_the_longest_keys_move_where_the_document_says(path: Path) -> None:
    largest = (4096 - 40) // 2 - 18 - 1012
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for size in (largest, largest + 1):
            txn[bytes([size % 256]) * env.max_key_size] = bytes(size)
    assert read(path).main.overflow_pages == 1


def test_freed_pages_are_young_until_a_checkpoint_needs_them(path: Path) -> None:
    model: Databases = {MAIN: {}}
    rng = random.Random(5)
    with zerodb.open(path) as env:
        change(env, model, rng, 300)
    with zerodb.open(path) as env, env.begin():
        for _ in range(5):
            change(env, model, rng, 20)
    found = check(path, model)
    pending = {entry.transaction for entry in found.pending if entry.birth is None}
    young = {entry.transaction: entry.birth for entry in found.pending if entry.birth}
    assert pending == {3, 4, 5, 6, 7}
    assert set(young) == {4, 5, 6, 7}
    assert all(3 <= birth < transaction for transaction, birth in young.items())
    with zerodb.open(path) as env:
        change(env, model, rng, 20)
    assert check(path, model).meta.available_pages > 0


def test_the_file_holds_all_pages_whatever_free_space_does(path: Path) -> None:
    rng = random.Random(1)
    keys = [rng.randbytes(24) for _ in range(10000)]
    entries = {key: bytes(150) for key in keys}
    with zerodb.open(path) as env:
        with env.begin(write=True) as txn:
            for key, value in entries.items():
                txn[key] = value
        for count in (5, 500, 50, 5000, 1, 500, 5000, 50, 5000, 5000):
            with env.begin(write=True) as txn:
                for key in rng.sample(keys, count):
                    entries[key] = rng.randbytes(rng.choice([10, 150, 300]))
                    txn[key] = entries[key]
            info = env.info()
            assert info.file_size >= info.page_count * info.page_size
    check(path, {MAIN: entries})


# The log -----------------------------------------------------------------------------------


def check_copy(path: Path, expected: Databases) -> Environment:
    """Checks that reader and library find the same in a copy that needs its log."""
    found = read(path)
    assert found.contents() == expected
    with zerodb.open(path) as env:
        assert env.info().last_txn_id == found.meta.transaction + len(found.records)
    check(path, expected)
    return found


@pytest.mark.parametrize("page_size", [4096, 65536])
def test_the_log_holds_what_the_meta_pages_do_not(path: Path, page_size: int) -> None:
    rng = random.Random(page_size)
    model: Databases = {MAIN: {}, b"second": {}, b"third \xff": {}}
    with zerodb.open(path, page_size=page_size, threads=False) as env:
        for transactions in range(1, 6):
            change(env, model, rng, 50)
            assert len(check_copy(copy(path), model).records) == transactions
    with zerodb.open(path, threads=False) as env:
        change(env, model, rng, 50)
        assert len(check_copy(copy(path), model).records) == 1


def test_the_log_goes_on_from_segment_to_segment(path: Path) -> None:
    rng = random.Random(7)
    entries = {}
    with zerodb.open(path, threads=False) as env:
        for number in range(60):
            entries[b"%d" % number] = rng.randbytes(rng.randrange(200_000))
            with env.begin(write=True) as txn:
                txn[b"%d" % number] = entries[b"%d" % number]
        copied = copy(path)
    assert len(list((copied / "log").glob("*.log"))) > 2
    assert len(check_copy(copied, {MAIN: entries}).records) == 60


class Calls:
    """Functions of zerodb.h in a write transaction, by their names without zdb_."""

    def __init__(self, txn: zerodb.Transaction) -> None:
        self._library = ctypes.CDLL(_ffi.library_path)
        self._txn = ctypes.c_void_p(txn._state.handle)

    def __call__(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, f"zdb_{name}")(self._txn, *arguments)
        assert code == 0, f"zdb_{name} returned {code}"

    def open(self, name: bytes | None, flags: int = 0) -> int:
        """The handle of a database, made if it is not there."""
        db = ctypes.c_uint32()
        self("db_open", name, _ffi.CREATE | flags, ctypes.byref(db))
        return db.value

    def delete_range(self, db: int, start: bytes | None, stop: bytes | None) -> None:
        """Deletes from one key to before another."""
        ends = [
            end if end is None else ctypes.byref(_ffi.InputVal(end, len(end)))
            for end in (start, stop)
        ]
        self("del_range", db, *ends, None)


def test_the_log_tells_what_happened_to_whole_databases(path: Path) -> None:
    numbers = {b"%03d" % number: b"%d" % number for number in range(300)}
    model: Databases = {name: dict(numbers) for name in (MAIN, b"a", b"b", b"c", b"d")}
    with zerodb.open(path, threads=False) as env:
        with env.begin(write=True) as txn:
            for name, entries in model.items():
                db = None if name == MAIN else txn.db(name, create=True)
                for key, value in entries.items():
                    txn.put(key, value, db=db)
        with env.begin(write=True) as txn:
            call = Calls(txn)
            call("db_clear", call.open(b"a"))
            model[b"a"] = {}
            call("db_drop", call.open(b"b"))
            del model[b"b"]
            call("db_rename", call.open(b"c"), b"b", None)
            model[b"b"] = model.pop(b"c")
            txn.put(b"x", b"y", db=txn.db(b"b"))
            model[b"b"][b"x"] = b"y"
            for name, start, stop in (
                (b"d", b"100", b"200"), (b"d", None, b"050"), (b"d", b"250", None),
                (b"b", None, None),
            ):  # fmt: skip
                call.delete_range(call.open(name), start, stop)
                for key in list(model[name]):
                    if (start is None or key >= start) and (stop is None or key < stop):
                        del model[name][key]
            call("db_clear", 0)
            model[MAIN] = {}
            # A name that is free again.
            call.open(b"c")
            model[b"c"] = {}
        found = check_copy(copy(path), model)
        assert len(found.records) == 2


def test_a_transaction_too_large_for_the_log_is_in_the_meta_page(path: Path) -> None:
    value = bytes(9 << 20)
    with zerodb.open(path, threads=False) as env:
        with env.begin(write=True) as txn:
            txn[b"small"] = b"1"
        with env.begin(write=True) as txn:
            txn[b"large"] = value
        found = check_copy(copy(path), {MAIN: {b"small": b"1", b"large": value}})
        assert (found.meta.transaction, found.records) == (3, [])
        with env.begin(write=True) as txn:
            txn[b"small"] = b"2"
        found = check_copy(copy(path), {MAIN: {b"small": b"2", b"large": value}})
        assert (found.meta.transaction, len(found.records)) == (3, 1)


def five_logged(path: Path) -> tuple[Path, list[int]]:
    """A copy with five transactions in its log, and where their records are in the file."""
    with zerodb.open(path, threads=False) as env:
        for number in range(5):
            with env.begin(write=True) as txn:
                txn[b"key"] = b"%d" % number
        copied = copy(path)
    places = [LOG_HEADER_SIZE]
    for record in read(copied).records:
        places.append(places[-1] + record.length)
    assert len(places) == 6
    return copied, places


def test_a_torn_last_record_ends_the_log(path: Path) -> None:
    copied, places = five_logged(path)
    segment = copied / "log" / "0000000000001000.log"
    data = bytearray(segment.read_bytes())
    data[places[4] + 40 : places[5]] = bytes(places[5] - places[4] - 40)
    segment.write_bytes(data)
    found = check_copy(copied, {MAIN: {b"key": b"3"}})
    assert len(found.records) == 4


@pytest.mark.parametrize("number", range(4))
def test_a_damaged_record_before_a_flushed_one_is_damage(path: Path, number: int) -> None:
    copied, places = five_logged(path)
    segment = copied / "log" / "0000000000001000.log"
    data = bytearray(segment.read_bytes())
    data[places[number] + 70] ^= 1
    segment.write_bytes(data)
    # The fifth record was written when the fourth was on disk, and says so.
    with pytest.raises(FormatError, match="the log is damaged"):
        read(copied)
    with pytest.raises(zerodb.CorruptedError):
        zerodb.open(copied)


def several_segments(path: Path) -> tuple[Path, list[Path]]:
    """A copy of an environment with a checkpoint and four segments of the log, and those."""
    with zerodb.open(path, threads=False, log_size=4 << 20) as env:
        for number in range(12):
            with env.begin(write=True) as txn:
                txn[b"%d" % number] = bytes([number]) * 300_000
            if number == 0:
                env.checkpoint()
        copied = copy(path)
    segments = sorted((copied / "log").glob("*.log"))
    assert len(segments) == 4
    assert len(read(copied).records) == 11
    return copied, segments


def agree_on(path: Path) -> int | None:
    """How many transactions reader and library replay; None if both call the log damaged."""
    try:
        replayed = len(read(path).records)
    except FormatError:
        with pytest.raises((zerodb.CorruptedError, zerodb.VersionMismatchError)):
            zerodb.open(path)
        return None
    with zerodb.open(path) as env:
        assert env.info().recovered_records == replayed
    return replayed


@pytest.mark.parametrize("number", range(4))
def test_a_missing_segment_is_damage_unless_it_is_the_last(path: Path, number: int) -> None:
    copied, segments = several_segments(path)
    segments[number].unlink()
    replayed = agree_on(copied)
    assert replayed is None if number < 3 else replayed in range(1, 11)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("damage", ["header", "version", "cut", "older", "short"])
def test_a_segment_that_is_not_whole_is_damage(path: Path, number: int, damage: str) -> None:
    copied, segments = several_segments(path)
    data = bytearray(segments[number].read_bytes())
    if damage == "header":
        data[30] ^= 1
    elif damage == "version":
        data[16] += 1
        seed = int.from_bytes(data[8:16], "little")
        data[:8] = xxhash.xxh3_64_intdigest(data[8:64], seed=seed).to_bytes(8, "little")
    elif damage == "cut":
        del data[-1]
    elif damage == "older":
        data = bytearray(segments[number - 1].read_bytes())
    else:
        del data[10:]
    segments[number].write_bytes(data)
    assert agree_on(copied) is None


@pytest.mark.parametrize("is_gap", [False, True])
def test_a_whole_segment_behind_a_missing_one_is_proof_of_damage(
    path: Path, is_gap: bool
) -> None:
    copied, segments = several_segments(path)
    data = segments[3].read_bytes()
    segments[3].write_bytes(data[:LOG_HEADER_SIZE].ljust(len(data), b"\0"))
    if is_gap:
        segments[2].unlink()
    replayed = agree_on(copied)
    assert replayed is None if is_gap else replayed in range(1, 11)


def test_foreign_files_with_names_of_segments_do_no_harm(path: Path) -> None:
    copied, _ = several_segments(path)
    (copied / "log" / "ffffffffffffffff.log").write_bytes(b"text")
    (copied / "log" / "3fffffffffffffff.log").write_bytes(b"zlog" * 4000)
    assert agree_on(copied) == 11


# What is chosen at open -------------------------------------------------------------------


def two_checkpoints(path: Path) -> bytearray:
    """The file of an environment with transactions 2 and 3 in its meta pages."""
    for value in (b"old", b"new"):
        with zerodb.open(path) as env, env.begin(write=True) as txn:
            txn[b"key"] = value
    return bytearray((path / "data.zdb").read_bytes())


def library_reads(path: Path, data: bytearray) -> bytes | None:
    """What the library finds under b"key" in a file; None if it calls it damaged."""
    (path / "data.zdb").write_bytes(data)
    try:
        with zerodb.open(path) as env, env.begin() as txn:
            return txn.get(b"key")
    except zerodb.CorruptedError:
        return None


def reader_reads(data: bytearray) -> bytes | None:
    """What the independent reader finds under b"key"."""
    try:
        return dict(Environment(bytes(data)).main.entries)[b"key"]
    except FormatError:
        return None


@pytest.mark.parametrize("damaged", range(16))
def test_one_copy_of_each_meta_page_is_enough(path: Path, damaged: int) -> None:
    data = two_checkpoints(path)
    for bit, offset in enumerate((0, 2048, 4096, 6144)):
        if damaged & 1 << bit:
            data[offset + 100] ^= 1
    usable = damaged & 3 != 3 and damaged & 12 != 12
    assert reader_reads(data) == (b"new" if usable else None)
    assert library_reads(path, data) == (b"new" if usable else None)


def test_a_torn_meta_page_counts_by_its_newer_copy(path: Path) -> None:
    data = two_checkpoints(path)
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"newest"
    newer = bytearray((path / "data.zdb").read_bytes())
    for kept in (0, 2048):
        # Transaction 4 goes to page 0, where 2 was: one copy is written, the other is not.
        torn = bytearray(newer)
        torn[kept : kept + META_RECORD_SIZE] = data[kept : kept + META_RECORD_SIZE]
        assert reader_reads(torn) == b"newest"
        assert library_reads(path, torn) == b"newest"


def test_a_record_in_the_wrong_meta_page_does_not_count(path: Path) -> None:
    data = two_checkpoints(path)
    swapped = data[4096:8192] + data[:4096] + data[8192:]
    assert reader_reads(swapped) is None
    assert library_reads(path, swapped) is None


def test_a_file_shorter_than_its_pages_is_damaged(path: Path) -> None:
    data = two_checkpoints(path)
    pages = newest_meta(bytes(data)).page_count
    assert reader_reads(data[: pages * 4096 - 1]) is None
    assert library_reads(path, data[: pages * 4096 - 1]) is None


def test_every_byte_of_a_page_in_use_is_under_its_checksum(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"value"
        txn[b"long"] = bytes(3000)
    data = bytearray((path / "data.zdb").read_bytes())
    found = Environment(bytes(data))
    leaf = found.main.record.root.number * 4096
    overflow = next(page for page, use in found.uses.items() if "overflow" in use) * 4096
    for offset in [*range(leaf, leaf + 4096, 61), *range(overflow, overflow + 3040, 61)]:
        data[offset] ^= 0x10
        with pytest.raises(FormatError):
            Environment(bytes(data))
        data[offset] ^= 0x10


# The document's own example ---------------------------------------------------------------


def document_example() -> tuple[bytes, bytes]:
    """The files that the document dumps: data.zdb, and a segment of the log."""
    text = DOCUMENT.read_text(encoding="utf-8")
    data, log = text.split("\n### log/")
    return undumped(data), undumped(log)


def undumped(text: str) -> bytes:
    """The bytes of a dump: lines as of `hexdump -C`, zeros where there are none.

    A line of a star stands for repetitions of the line before it, up to the next line.
    """
    data = bytearray()
    repeated: bytes | None = None
    previous = b""
    for line in text.splitlines():
        match = re.fullmatch(r"([0-9a-f]{8})((?:  ?[0-9a-f]{2}){0,16})(?:  \|.{16}\|)?", line)
        if line == "*":
            repeated = previous
        elif match:
            offset = int(match[1], 16)
            gap = offset - len(data)
            assert gap >= 0
            assert gap % 16 == 0
            data += (repeated or bytes(16)) * (gap // 16)
            repeated = None
            previous = bytes.fromhex(match[2])
            data += previous
    return bytes(data)


def test_the_dump_in_the_document_is_an_environment(path: Path) -> None:
    data, segment = document_example()
    found = Environment(data, {4096: segment})
    days = [b"friday", b"monday", b"saturday", b"sunday", b"thursday"]
    state = {
        MAIN: {b"greeting": b"goodbye", b"long": b"z" * 3000},
        b"days": {b"day/" + day: b"%d" % number * 900 for number, day in enumerate(days, 1)},
    }
    assert dict(found.main.entries) == state[MAIN]
    assert dict(found.databases[b"days"].entries) == state[b"days"]
    assert {entry.birth for entry in found.pending} == {None, 4}
    assert found.available
    assert [record.transaction for record in found.records] == [6]
    assert f"`{found.seed:#x}`" in DOCUMENT.read_text(encoding="utf-8")
    state[MAIN][b"greeting"] = b"bonjour"
    del state[b"days"][b"day/friday"]
    assert found.contents() == state
    zerodb.open(path).close()
    (path / "data.zdb").write_bytes(data)
    (path / "log").mkdir(exist_ok=True)
    (path / "log" / "0000000000001000.log").write_bytes(segment)
    check_copy(path, state)
