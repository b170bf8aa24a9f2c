"""docs/FORMAT.md is true of digests, features and encodings."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
import xxhash
from environments import MAIN, Databases, change, check, check_copy, copy, read
from format_reader import Environment
from format_records import (
    MAGIC,
    META_RECORD_SIZE,
    FormatError,
    database_digest,
    pair_digest,
    u64,
)

import zerodb


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path where an environment can be made."""
    return tmp_path / "environment"


def seal_page(data: bytearray, number: int, length: int, seed: int) -> None:
    """Puts the checksum of a page, or of the part of a run that counts, right."""
    start = number * 4096
    digest = xxhash.xxh3_64_intdigest(bytes(data[start + 8 : start + length]), seed=seed)
    struct.pack_into("<Q", data, start, digest)


def seal_meta(data: bytearray, page: int) -> None:
    """Puts the checksums of the records of a meta page right."""
    for start in (page * 4096, page * 4096 + 2048):
        record = bytes(data[start + 8 : start + META_RECORD_SIZE])
        digest = xxhash.xxh3_64_intdigest(record, seed=int.from_bytes(MAGIC, "little"))
        struct.pack_into("<Q", data, start, digest)


def test_a_digest_is_what_the_document_says(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"value"
        db = txn.db(b"named", create=True)
        txn.put(b"k", b"", db=db)
    pair = xxhash.xxh3_128_intdigest(b"\x03\0\0\0keyvalue")
    named = xxhash.xxh3_128_intdigest(b"\x01\0\0\0k")
    of_main = xxhash.xxh3_128_intdigest(b"\0\0" + pair.to_bytes(16, "little"))
    of_named = xxhash.xxh3_128_intdigest(b"\0\0" + named.to_bytes(16, "little") + b"named")
    with zerodb.open(path) as env:
        assert env.info().digest == (of_main + of_named) % (1 << 128)
        with env.begin() as txn:
            assert txn.stat().digest == pair == pair_digest(b"key", b"value")
            assert txn.stat(txn.db(b"named")).digest == named
    assert of_main == database_digest(b"", 0, pair)


def test_the_same_content_has_the_same_digest(path: Path) -> None:
    digests = set()
    for page_size, seed in ((4096, 1), (65536, 2)):
        rng = random.Random(seed)
        numbers = list(range(2000))
        rng.shuffle(numbers)
        place = path.with_name(f"of {page_size}")
        with zerodb.open(place, page_size=page_size) as env, env.begin(write=True) as txn:
            for number in numbers:
                txn[b"%d" % number] = b"v" * (number * 7 % 6000)
        with zerodb.open(place) as env:
            digests.add(env.info().digest)
    assert len(digests) == 1


def test_a_changed_value_shows_in_the_digest_alone(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"original"
    found = check(path, {MAIN: {b"key": b"original"}})
    data = bytearray(found.data)
    root = found.main.record.root.number
    data[data.index(b"original", root * 4096)] ^= 1
    seal_page(data, root, 4096, found.seed)
    with pytest.raises(FormatError, match="a wrong digest"):
        Environment(bytes(data))
    (path / "data.zdb").write_bytes(data)
    with zerodb.open(path) as env:
        report = env.verify()
        assert report.problems == 1
        assert "digest" in str(report.first_problem)
        assert report.digest != env.info().digest


def test_a_record_with_another_digest_is_damage(path: Path) -> None:
    model: Databases = {MAIN: {}}
    with zerodb.open(path, threads=False) as env:
        for _ in range(3):
            change(env, model, random.Random(4), 20)
        copied = copy(path)
    check_copy(copied, model)
    copied = copy_with_wrong_digest(path)
    with pytest.raises(FormatError, match="a wrong digest"):
        read(copied).contents()
    with pytest.raises(zerodb.CorruptedError, match="digest"):
        zerodb.open(copied)


def copy_with_wrong_digest(path: Path) -> Path:
    """A copy whose last record names another digest than that of its content."""
    with zerodb.open(path, threads=False) as env:
        for number in range(3):
            with env.begin(write=True) as txn:
                txn[b"number"] = b"%d" % number
        copied = copy(path)
    found = read(copied)
    segment = copied / "log" / f"{found.meta.log_segment:016x}.log"
    data = bytearray(segment.read_bytes())
    record = found.records[-1]
    place = data.index(struct.pack("<Q", record.checksum))
    assert u64(bytes(data), place + 40) == record.transaction
    data[place + 64] ^= 1
    digest = xxhash.xxh3_64_intdigest(
        bytes(data[place + 8 : place + record.length]), seed=found.seed
    )
    struct.pack_into("<Q", data, place, digest)
    segment.write_bytes(data)
    return copied


@pytest.mark.parametrize(
    ("offset", "error"),
    [(384, zerodb.VersionMismatchError), (392, zerodb.VersionMismatchError), (408, None)],
)
def test_what_this_version_does_not_know_is_refused(
    path: Path, offset: int, error: type[zerodb.Error] | None
) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"value"
    found = read(path)
    data = bytearray(found.data)
    for start in (0, 2048):
        data[found.meta.page * 4096 + start + offset] = 2
    seal_meta(data, found.meta.page)
    (path / "data.zdb").write_bytes(data)
    with pytest.raises(error or zerodb.Error):
        zerodb.open(path)
    if offset == 392:
        with zerodb.open(path, read_only=True) as env, env.begin() as txn:
            assert txn[b"key"] == b"value"


def test_an_encoded_value_is_refused(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = bytes(5000)
    found = read(path)
    data = bytearray(found.data)
    run = min(number for number, use in found.uses.items() if "overflow" in use)
    data[run * 4096 + 26] = 1
    seal_page(data, run, 5040, found.seed)
    with pytest.raises(FormatError):
        Environment(bytes(data))
    (path / "data.zdb").write_bytes(data)
    with zerodb.open(path) as env, env.begin() as txn, pytest.raises(zerodb.Error):
        txn[b"key"]
