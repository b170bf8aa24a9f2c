"""Dumps the example of docs/FORMAT.md anew, into the document: `make format-dump`."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from environments import copy, read

import zerodb

DOCUMENT = Path(__file__).parents[2] / "docs" / "FORMAT.md"
DAYS = (b"friday", b"monday", b"saturday", b"sunday", b"thursday")


def make(path: Path) -> Path:
    """Makes the environment that the document describes; returns the copy with a log."""
    with zerodb.open(path, threads=False) as env, env.begin(write=True) as txn:
        txn[b"greeting"] = b"hello"
        txn[b"draft"] = b"d" * 400_000
        txn[b"long"] = b"z" * 3000
        days = txn.db(b"days", create=True)
        for number, day in enumerate(DAYS, 1):
            txn.put(b"day/" + day, b"%d" % number * 900, db=days)
    with zerodb.open(path, threads=False) as env, env.begin(write=True) as txn:
        txn[b"greeting"] = b"hi"
        del txn[b"draft"]
    with zerodb.open(path, threads=False) as env:
        with env.begin(write=True) as txn:
            txn[b"greeting"] = b"good morning"
            txn[b"note"] = b"n" * 40_000
        with env.begin(write=True) as txn:
            del txn[b"note"]
        with env.begin(write=True) as txn:
            txn[b"greeting"] = b"goodbye"
            txn.put(b"day/thursday", b"6" * 900, db=txn.db(b"days"))
    with zerodb.open(path, threads=False) as env:
        with env.begin(write=True) as txn:
            txn[b"greeting"] = b"bonjour"
            txn.delete(b"day/friday", db=txn.db(b"days"))
        return copy(path)


def dump(data: bytes, start: int, end: int) -> list[str]:
    """Lines as of `hexdump -C`, without those that are all zeros."""
    lines: list[str] = []
    previous = b""
    starred = False
    for offset in range(start, end, 16):
        row = data[offset : offset + 16]
        # Behind a star even zeros are shown: they end the repetition.
        if not any(row) and not starred:
            previous = row
            continue
        if row == previous:
            if not starred:
                lines.append("*")
            starred = True
            continue
        previous, starred = row, False
        halves = (" ".join(f"{byte:02x}" for byte in half) for half in (row[:8], row[8:]))
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset:08x}  " + "  ".join(halves) + f"  |{text}|")
    if lines and lines[-1] == "*":
        lines.append(f"{end:08x}")
    return lines


def main() -> None:
    """Writes the dump into the document and says which pages there are."""
    with tempfile.TemporaryDirectory() as directory:
        copied = make(Path(directory) / "environment")
        found = read(copied)
        segment = (copied / "log" / "0000000000001000.log").read_bytes()
    data, size = found.data, found.page_size
    blocks: dict[str, list[str]] = {}
    end = found.meta.page_count * size
    blocks["0"] = [
        line for page in (0, 1) for line in dump(data, page * size, page * size + size // 2)
    ]
    shown = [n for n, use in sorted(found.uses.items()) if not use.startswith(("free", "meta"))]
    for number in shown:
        print(f"page {number}: {found.uses[number]}")
        blocks[str(number)] = dump(data, number * size, (number + 1) * size)
    if shown:
        last = blocks[str(shown[-1])]
        if not re.fullmatch("[0-9a-f]{8}", last[-1]) or int(last[-1], 16) != end:
            last.append(f"{end:08x}")
    log_end = found.meta.log_end
    log_lines = dump(segment, 0, 4096) + dump(segment, log_end // 16 * 16, log_end + 4096)
    blocks["log"] = [*log_lines, f"{len(segment):08x}"]
    text = DOCUMENT.read_text(encoding="utf-8")
    head, tail = text.split("## An environment, byte by byte", 1)
    used: set[str] = set()

    def replace(match: re.Match[str]) -> str:
        key = match[2] if match[2] else "log"
        used.add(key)
        body = "\n".join(blocks.get(key, ["no such page any more"]))
        return f"{match[1]}{match[3]}```\n{body}\n```"

    pattern = r"(?s)(### (?:Pages? (\d+)|`?log/)[^\n]*\n)(\n)```\n.*?\n```"
    tail = re.sub(pattern, replace, tail)
    meta = found.meta
    for before, number in (
        ("seed of the checksums of pages and log records,", found.seed),
        ("record with the\nchecksum", meta.log_checksum),
        ("free list has the checksum", meta.free_list_checksum),
    ):
        words = r"\s".join(map(re.escape, before.split()))
        tail = re.sub(rf"({words}\s)`0x[0-9a-f]+`", rf"\1`{number:#x}`", tail)
    DOCUMENT.write_text(head + "## An environment, byte by byte" + tail, encoding="utf-8")
    for key in blocks.keys() - used:
        print(f"the document has no section for page {key}")
    free = [(n, use) for n, use in sorted(found.uses.items()) if use.startswith("free")]
    for number, use in free:
        print(f"page {number}: {use}")
    print(f"seed {found.seed:#x}, log end {meta.log_end:#x}, checksum {meta.log_checksum:#x}")
    print(f"free list {meta.free_list_checksum:#x}, digest {meta.digest:032x}")


if __name__ == "__main__":
    main()
