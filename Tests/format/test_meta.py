"""docs/FORMAT.md is true of meta pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from environments import MAIN, check, library_reads, reader_reads, two_checkpoints
from format_records import META_RECORD_SIZE, newest_meta

import zerodb


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path where an environment can be made."""
    return tmp_path / "environment"


def test_checkpoints_alternate_between_the_meta_pages(path: Path) -> None:
    for checkpoint in range(5):
        with zerodb.open(path) as env:
            for number in range(3):
                with env.begin(write=True) as txn:
                    txn[b"key"] = b"%d" % number
        found = check(path, {MAIN: {b"key": b"2"}})
        assert found.meta.transaction == 4 + 3 * checkpoint
        assert found.meta.page == checkpoint % 2


@pytest.mark.parametrize("damaged", range(16))
def test_one_copy_of_each_meta_page_is_enough(path: Path, damaged: int) -> None:
    data = two_checkpoints(path)
    for bit, offset in enumerate((0, 2048, 4096, 6144)):
        if damaged & 1 << bit:
            data[offset + 100] ^= 1
    usable = damaged & 3 != 3 and damaged & 12 != 12
    assert reader_reads(data) == (b"new" if usable else None)
    assert library_reads(path, data) == (b"new" if usable else None)


def test_the_newer_copy_of_a_torn_meta_page_counts(path: Path) -> None:
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
