"""docs/ARCHIVE.md is true of archives."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from archive_reader import Archive
from format_reader import Environment

import zerodb


@pytest.mark.parametrize("page_size", [4096, 16384])
def test_every_state_can_be_had_by_the_document(tmp_path: Path, page_size: int) -> None:
    rng = random.Random(page_size)
    model: dict[bytes, bytes] = {}
    states: dict[int, tuple[int, dict[bytes, bytes]]] = {}
    archive = tmp_path / "archive"
    for copies in range(1, 4):
        with zerodb.open(tmp_path / "env", page_size=page_size, archive=archive) as env:
            # The first thing to be archived is a copy: of all, or of what has changed.
            deadline = time.monotonic() + 20
            while len(list(archive.glob("*-full-*")) + list(archive.glob("*-incr-*"))) < copies:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            for _ in range(25):
                with env.begin(write=True, durability=rng.choice(["full", "none"])) as txn:
                    for _ in range(rng.randrange(1, 30)):
                        key = b"key %d" % rng.randrange(300)
                        value = rng.randbytes(rng.choice([10, 100, 9000]))
                        txn.put(key, value)
                        model[key] = value
                info = env.info()
                states[info.last_txn_id] = (int(info.digest), dict(model))
                if rng.random() < 0.1:
                    env.checkpoint()
        # What the next opening adds begins with what has changed.
        (tmp_path / "env" / "archive.zdb").rename(tmp_path / "kept")
        with zerodb.open(tmp_path / "env") as env:
            for _ in range(5):
                with env.begin(write=True, durability="none") as txn:
                    txn.put(b"unlogged", rng.randbytes(50))
                    txn.delete(b"unlogged")
                env.checkpoint()
        (tmp_path / "kept").rename(tmp_path / "env" / "archive.zdb")
    found = Archive(archive)
    assert {file.kind for file in found.files} == {"full", "incr", "log"}
    pages = [file.last for file in found.files if file.kind != "log"]
    checked = 0
    for transaction in [*sorted(states)[::9], max(states)]:
        if transaction < min(pages):
            continue
        data, log = found.restore(transaction)
        read = Environment(data, log)
        assert read.contents()[b""] == states[transaction][1]
        checked += 1
    assert checked > 3
