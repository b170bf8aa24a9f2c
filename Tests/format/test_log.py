"""docs/FORMAT.md is true of the log."""

from __future__ import annotations

import ctypes
import random
from pathlib import Path

import pytest
import xxhash
from environments import MAIN, Databases, change, check_copy, copy, read
from format_log import LOG_HEADER_SIZE
from format_records import FormatError

import zerodb
from zerodb import _abi, _ffi


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path where an environment can be made."""
    return tmp_path / "environment"


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
        self._txn = ctypes.c_void_p(txn._handle)

    def __call__(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, f"zdb_{name}")(self._txn, *arguments)
        assert code == 0, f"zdb_{name} returned {code}"

    def open(self, name: bytes | None, flags: int = 0) -> int:
        """The handle of a database, made if it is not there."""
        db = ctypes.c_uint32()
        self("db_open", name, _abi.CREATE | flags, ctypes.byref(db))
        return db.value

    def delete_range(self, db: int, start: bytes | None, stop: bytes | None) -> None:
        """Deletes from one key to before another."""
        ends = [
            end if end is None else ctypes.byref(_abi.InputVal(end, len(end)))
            for end in (start, stop)
        ]
        self("del_range", db, *ends, None)


def test_the_log_records_what_happened_to_whole_databases(path: Path) -> None:
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
