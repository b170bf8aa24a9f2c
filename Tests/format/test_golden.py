"""The golden files are read, by the independent reader and by the library."""

from __future__ import annotations

from pathlib import Path

from environments import tree_pages
from format_reader import Environment
from format_records import (
    BRANCH,
    COUNTED_BRANCH,
    DIGESTS,
    LEAF,
    OVERFLOW,
    PACKED,
    REVERSED,
    VALUE_LEAF,
    database_digest,
    u16,
    values_digest,
)
from golden import FORMAT_1, content, content_after_log, pack, unpack

import zerodb

LOG_NAME = "0000000000001000.log"


def golden() -> tuple[Environment, bytes, bytes]:
    """The environment, and the bytes of data file and log."""
    data = unpack((FORMAT_1 / "data.zdb.sparse").read_bytes())
    segment = unpack((FORMAT_1 / f"{LOG_NAME}.sparse").read_bytes())
    return Environment(data, {4096: segment}), data, segment


def test_the_golden_files_have_every_kind_of_page() -> None:
    found, data, _ = golden()
    starts = [number * found.page_size for number in tree_pages(found)]
    # Behind the first page of an overflow run there are no headers.
    types = {
        (data[start + 24], u16(data, start + 26))
        for start in starts
        if "overflow" not in found.uses[start // found.page_size]
    }
    assert types == {
        (BRANCH, 0),
        (BRANCH, COUNTED_BRANCH),
        (LEAF, 0),
        (LEAF, VALUE_LEAF),
        (LEAF, VALUE_LEAF | REVERSED),
        (LEAF, VALUE_LEAF | PACKED),
        (LEAF, VALUE_LEAF | PACKED | REVERSED),
    }
    runs = [start for start in starts if "overflow" in found.uses[start // found.page_size]]
    assert any(data[start + 24] == OVERFLOW for start in runs)
    assert any(tree.inline_values for tree in found.databases.values())
    assert any(prefix for prefix in found.main.prefixes)
    for pages in (found.free_tree_pages, found.free_list):
        assert pages.available
    freed = found.free_tree_pages.freed + found.free_list.freed
    assert any(pages.holder is not None for pages in freed)
    # Written before and after the checkpoint that the log follows.
    assert len({pages.birth for pages in freed}) > 1
    operations = {record.operations[0] for record in found.records}
    assert len(found.records) == 3
    assert operations


def test_the_golden_files_contain_what_was_put_there(tmp_path: Path) -> None:
    found, data, segment = golden()
    trees = {b"": found.main, **found.databases}
    assert {name: tree.values() for name, tree in trees.items()} == content()
    after = found.contents()
    assert after == content_after_log()

    lines = (FORMAT_1 / "content.txt").read_text(encoding="utf-8").splitlines()
    expected = {}
    digest = 0
    for line in lines[1:]:
        _, name, flags, count, hexadecimal = line.split()
        plain = b"" if name == "-" else bytes.fromhex(name)
        assert values_digest(after[plain]) == int(hexadecimal, 16)
        digest += database_digest(plain, int(flags), int(hexadecimal, 16))
        expected[plain] = int(count), int(hexadecimal, 16)
    assert expected.keys() == after.keys()
    assert lines[0].split()[1:] == [f"{found.meta.digest:032x}", f"{digest % DIGESTS:032x}"]

    path = tmp_path / "environment"
    (path / "log").mkdir(parents=True)
    (path / "data.zdb").write_bytes(data)
    (path / "log" / LOG_NAME).write_bytes(segment)
    with zerodb.open(path) as env:
        assert env.info().recovered_records == len(found.records)
        assert env.info().digest == digest % DIGESTS
        report = env.verify()
        assert report.problems == 0, report.first_problem
        with env.begin() as txn:
            for known, counts in expected.items():
                stat = txn.stat(txn.db(known) if known else None)
                assert (stat.entries, stat.digest) == counts


def test_packing_leaves_out_zeros_only() -> None:
    for data in (b"", bytes(1000), b"a" + bytes(999), bytes(999) + b"a", bytes(64) + b"b" * 65):
        assert unpack(pack(data)) == data
        assert len(pack(bytes(100_000))) == 8
