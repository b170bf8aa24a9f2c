"""zerodb load --continue after what interrupts a load."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import zerodb
from conftest import STAGE, Run


def test_a_load_that_is_killed_goes_on_where_it_was(run: Run, tmp_path: Path) -> None:
    lines = [b"key%07d\nvalue%d\n" % (number, number) for number in range(60_000)]
    command = [
        str(STAGE / "bin" / "zerodb-load"),
        "-T",
        "--continue",
        "--memory",
        "1MiB",
        "new",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"".join(lines[:50_000]))
        process.stdin.flush()
        time.sleep(1)
        process.kill()
        with contextlib.suppress(ConnectionError):
            process.stdin.close()
    (tmp_path / "text").write_bytes(b"".join(lines))
    with zerodb.open(tmp_path / "new") as environment:
        assert environment.stat().entries > 0
    result = run("zerodb-load", "-T", "--continue", "-f", "text", "new")
    assert result.returncode == 0, result.stderr
    with zerodb.open(tmp_path / "new") as environment:
        assert environment.stat().entries == 60_000


def test_what_is_mended_behind_the_position_is_loaded(run: Run, tmp_path: Path) -> None:
    lines = [f"key{number:04}\nvalue\n" for number in range(600)]
    (tmp_path / "text").write_text("".join(lines) + "bad\\zz\nvalue\n")
    result = run("zerodb-load", "-T", "--continue", "-f", "text", "new")
    assert result.returncode == 1
    lines[500] = "other\nvalue\n"
    (tmp_path / "text").write_text("".join(lines))
    assert run("zerodb-load", "-T", "--continue", "-f", "text", "new").returncode == 0
    with zerodb.open(tmp_path / "new") as environment, environment.begin() as transaction:
        assert transaction.get(b"key0500") is None
        assert transaction.get(b"other") == b"value"
        assert transaction.stat().entries == 600
