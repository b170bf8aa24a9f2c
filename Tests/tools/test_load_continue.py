"""zerodb load --continue after what interrupts a load."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import pytest

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


HEAD = "VERSION=3\nformat=bytevalue\ntype=btree\ndatabase={}\nHEADER=END\n"


def databases(*, mistake: str = "") -> dict[str, str]:
    """Text of two databases in both formats; the second has a mistake in its first entry."""
    second = mistake or "63"
    text = HEAD.format("a") + " 61\n 62\nDATA=END\n"
    text += HEAD.format("b") + f" {second}\n 62\nDATA=END\n"
    lines = '{"database": "a"}\n{"key": "a", "value": "b"}\n{"end": 1}\n'
    key = '"key"' if not mistake else '"kez"'
    lines += f'{{"database": "b"}}\n{{{key}: "c", "value": "b"}}\n{{"end": 1}}\n'
    return {"text": text, "json": lines}


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_load_goes_on_behind_the_end_of_a_database(
    run: Run, tmp_path: Path, form: str
) -> None:
    options = ["--json-lines"] if form == "json" else []
    command = ["zerodb-load", *options, "--continue", "-f", "text", "new"]
    (tmp_path / "text").write_text(databases(mistake="6x")[form])
    result = run(*command)
    assert (result.returncode, "goes on there" in result.stderr) == (1, True), result.stderr
    assert run(*command).returncode == 1
    (tmp_path / "text").write_text(databases()[form])
    result = run(*command)
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 entries" in result.stdout
    assert "2 databases" in result.stdout
    with zerodb.open(tmp_path / "new") as environment, environment.begin() as transaction:
        for name, key in (("a", b"a"), ("b", b"c")):
            assert transaction.get(key, db=transaction.db(name)) == b"b"


def test_a_database_with_the_name_of_the_record_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text").write_text(HEAD.format("zerodb.load") + " 61\n 62\nDATA=END\n")
    result = run("zerodb-load", "--continue", "-f", "text", "new")
    assert result.returncode != 0
    assert "zerodb.load" in result.stderr
    assert run("zerodb-load", "-f", "text", "other").returncode == 0
