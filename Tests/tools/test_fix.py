"""zerodb check --fix, as a user runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import zerodb
from conftest import Run, contents, leave

PAGE_SIZE = 4096
KIND = 24
LEAF = 2


def zero(path: Path, page: int) -> None:
    """Overwrites a page with zeros."""
    with (path / "data.zdb").open("r+b") as file:
        file.seek(page * PAGE_SIZE)
        file.write(bytes(PAGE_SIZE))


def leaves_with(path: Path, text: bytes) -> list[int]:
    """The leaves that have a text in them."""
    data = (path / "data.zdb").read_bytes()
    pages = [data[start : start + PAGE_SIZE] for start in range(0, len(data), PAGE_SIZE)]
    return [
        number
        for number, page in enumerate(pages)
        if number > 1 and page[KIND] == LEAF and text in page
    ]


def test_a_sound_environment_is_not_changed(run: Run, path: Path) -> None:
    before = contents(path)
    result = run("zerodb-check", "env", "--fix")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("It is sound; nothing was changed.\n")
    assert contents(path) == before
    assert not path.with_name("env.before-repair-1").exists()


@pytest.mark.parametrize("name", [".", "./", "../env", "../env/"])
def test_the_copy_is_beside_the_environment_whatever_its_path(
    run: Run, path: Path, name: str
) -> None:
    zero(path, leaves_with(path, b"value" * 20)[0])
    assert run("zerodb-check", name, "--fix", folder=path).returncode == 1
    assert (path.parent / "env.before-repair-1" / "manifest").exists()
    assert not [name for name in os.listdir(path) if "before" in name]


def test_what_is_lost_is_listed_and_the_rest_is_there(run: Run, path: Path) -> None:
    zero(path, leaves_with(path, b"value" * 20)[0])
    assert run("zerodb-check", "env").returncode == 1
    result = run("zerodb-check", "env", "--fix")
    assert (result.returncode, result.stderr) == (1, "")
    assert "lost: the main database, keys from" in result.stdout
    assert "env.before-repair-1" in result.stdout
    assert (path.parent / "env.before-repair-1" / "manifest").read_text().endswith("end\n")
    assert run("zerodb-check", "env").returncode == 0
    with zerodb.open(path) as environment, environment.begin() as transaction:
        left = sum(transaction.get(b"key%04d" % number) is not None for number in range(500))
        assert 0 < left < 500
        named = transaction.db("named")
        assert all(transaction.get(b"key%04d" % number, db=named) for number in range(500))
    assert run("zerodb-check", "env", "--fix").returncode == 0


def test_a_copy_gives_back_what_was_damaged(run: Run, path: Path) -> None:
    before = (path / "data.zdb").read_bytes()
    copy = path.with_name("copy")
    copy.mkdir()
    (copy / "data.zdb").write_bytes(before)
    zero(path, leaves_with(path, b"value" * 20)[0])
    result = run("zerodb-check", "env", "--fix", "--from", "copy", "--backup", "kept")
    assert (result.returncode, result.stderr) == (0, "")
    assert "nothing is lost" in result.stdout
    assert path.with_name("kept").is_dir()


def test_a_damaged_record_is_written_anew(run: Run, path: Path) -> None:
    before = contents(path)
    with (path / "data.zdb").open("r+b") as file:
        file.seek(60)
        file.write(b"damage")
    result = run("zerodb-check", "env", "--fix", "--json")
    assert result.returncode == 0
    report = json.loads(result.stdout)
    assert (report["state"], report["changed"], report["losses"]) == ("mended", True, [])
    assert contents(path) == before


def test_a_crash_is_recovered(run: Run, tmp_path: Path) -> None:
    leave(tmp_path / "left")
    result = run("zerodb-check", "left", "--fix")
    assert (result.returncode, result.stderr) == (0, "")
    assert "replayed" in result.stdout
    assert run("zerodb-check", "left").returncode == 0


def test_an_environment_in_use_is_left_alone(run: Run, path: Path) -> None:
    with zerodb.open(path):
        result = run("zerodb-check", "env", "--fix")
    assert result.returncode == 2
    assert "close it there first" in result.stderr


@pytest.mark.parametrize("option", [["--backup", "x"], ["--from", "x"], ["--truncate-log"]])
def test_options_of_the_repair_need_it(run: Run, path: Path, option: list[str]) -> None:
    assert path.is_dir()
    result = run("zerodb-check", "env", *option)
    assert result.returncode == 2
    assert "needs --fix" in result.stderr


def test_nothing_is_made_where_no_environment_is(run: Run, tmp_path: Path) -> None:
    result = run("zerodb-check", "absent", "--fix")
    assert result.returncode == 2
    assert list(tmp_path.iterdir()) == []
