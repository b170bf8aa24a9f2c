"""docs/FORMAT.md agrees with itself: its dump is an environment that follows its rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from environments import MAIN, check_copy
from format_reader import Environment

import zerodb

DOCUMENT = Path(__file__).parents[2] / "docs" / "FORMAT.md"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path where an environment can be made."""
    return tmp_path / "environment"


def document_example() -> tuple[bytes, bytes]:
    """The files that the document dumps: data.zdb, and a segment of the log."""
    text = DOCUMENT.read_text(encoding="utf-8")
    data, log = re.split(r"(?m)^#+ `?log/", text)
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
    state[b"days"][b"day/thursday"] = b"6" * 900
    assert dict(found.main.entries) == state[MAIN]
    assert dict(found.databases[b"days"].entries) == state[b"days"]
    for pages, births in ((found.free_tree_pages, {3, 4}), (found.free_list, {2, 5})):
        assert {freed.birth for freed in pages.freed} == births
        assert pages.available
    assert [record.transaction for record in found.records] == [7]
    text = DOCUMENT.read_text(encoding="utf-8")
    for number in (found.seed, found.meta.log_checksum, found.meta.free_list_checksum):
        assert f"`{number:#x}`" in text
    state[MAIN][b"greeting"] = b"bonjour"
    del state[b"days"][b"day/friday"]
    assert found.contents() == state
    zerodb.open(path).close()
    (path / "data.zdb").write_bytes(data)
    (path / "log").mkdir(exist_ok=True)
    (path / "log" / "0000000000001000.log").write_bytes(segment)
    check_copy(path, state)
