"""zerodb check --fix, as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import zerodb
from conftest import STAGE, Run, contents, damage_meta, leave, leave_commits

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


# ------------------------------------------------------------ killed in the middle

KILLED = 99


@pytest.fixture(scope="session")
def kill_at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that kills another before one of its system calls."""
    program = tmp_path_factory.mktemp("kill_at") / "kill_at"
    source = Path(__file__).with_name("kill_at.c")
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-o", program, source], check=True)
    return program


def damage_leaf(path: Path) -> None:
    """Damages a leaf under a log that has commits yet to be replayed."""
    leave_commits(path)
    zero(path, leaves_with(path, b"value" * 20)[0])


def damage_log(path: Path) -> None:
    """Damages a leaf, and a log in the middle."""
    leave_commits(path)
    zero(path, leaves_with(path, b"value" * 20)[0])
    segment = next(path.glob("log/*"))
    content = bytearray(segment.read_bytes())
    at = content.rindex(b"key4")
    content[at] ^= 0x10
    segment.write_bytes(content)


def damage_records(path: Path) -> None:
    """Damages a copy of each meta record."""
    damage_meta(path, 0, [1])
    damage_meta(path, 1, [0])


def entries(path: Path) -> dict[bytes, bytes]:
    """What is in the databases of an environment."""
    with zerodb.open(path) as environment, environment.begin() as transaction:
        named = transaction.db("named")
        found = dict(transaction.items())
        return found | {b"named " + key: value for key, value in transaction.items(db=named)}


@pytest.mark.parametrize("damage", [damage_leaf, damage_log, damage_records])
def test_it_may_be_killed_at_every_system_call(
    run: Run, path: Path, kill_at: Path, damage: Callable[[Path], None]
) -> None:
    damage(path)
    options = ["--fix", "--truncate-log"]
    folder = path.parent
    damaged = folder / "damaged"
    shutil.copytree(path, damaged)
    ended = run("zerodb-check", "env", *options).returncode
    mended = entries(path)
    seen = set()
    for call in range(1, 5000):
        for old in folder.glob("env*"):
            shutil.rmtree(old)
        shutil.copytree(damaged, path)
        program = str(STAGE / "bin" / "zerodb-check")
        command = [str(kill_at), str(call), program, "env", *options]
        status = subprocess.run(command, cwd=folder, capture_output=True, timeout=60).returncode
        assert status in (KILLED, ended)
        state = hash(tuple(contents(folder).items()))
        if state not in seen:
            seen.add(state)
            assert run("zerodb-check", "env", *options).returncode in (0, ended), call
            assert run("zerodb-check", "env").returncode == 0, call
            assert entries(path) == mended, call
        if status != KILLED:
            break
    else:
        pytest.fail("it never came to its end")
    assert len(seen) > 2
