"""zerodb check, as a user runs it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

import zerodb
from conftest import (
    PAGE_SIZE,
    STAGE,
    Run,
    contents,
    damage,
    damage_meta,
    leave,
    leave_commits,
    used_page,
)


def test_a_sound_environment(run: Run, path: Path) -> None:
    before = contents(path)
    result = run("zerodb-check", "env")
    assert (result.returncode, result.stderr) == (0, "")
    assert "1000 entries" in result.stdout
    assert result.stdout.endswith("It is sound.\n")
    assert contents(path) == before


def test_the_name_and_the_command_are_one_program(run: Run, path: Path) -> None:
    assert path.is_dir()
    assert run("zerodb", "check", "env").stdout == run("zerodb-check", "env").stdout


def test_a_damaged_page_is_named(run: Run, path: Path) -> None:
    page = used_page(path)
    damage(path, page)
    before = contents(path)
    result = run("zerodb-check", "env")
    assert result.returncode == 1
    assert f"page {page} at byte {page * PAGE_SIZE} of data.zdb" in result.stdout
    assert "It is damaged" in result.stdout
    assert contents(path) == before


def test_names_do_not_command_the_terminal(run: Run, tmp_path: Path) -> None:
    name = "\x1b]0;title\x07\u009b31m\u202e"
    with zerodb.open(tmp_path / "env") as environment:
        names = environment.open_db(name, create=True)
        with environment.begin(write=True) as transaction:
            transaction.put(b"key", b"value", db=names)
    for page in range(2, (tmp_path / "env/data.zdb").stat().st_size // PAGE_SIZE):
        damage(tmp_path / "env", page)
        for command in ("check", "stat"):
            result = run("zerodb", command, "env")
            shown = result.stdout + result.stderr
            assert not set(shown) & {"\x1b", "\x07", "\u009b", "\u202e"}
        damage(tmp_path / "env", page)
    assert "0x1b" in run("zerodb-stat", "env").stdout


def test_json_says_the_same(run: Run, path: Path) -> None:
    sound = json.loads(run("zerodb-check", "--json", "env").stdout)
    assert (sound["state"], sound["entries"], sound["problems"]) == ("sound", 1000, [])
    page = used_page(path)
    damage(path, page)
    result = run("zerodb-check", "--json", "env")
    damaged = json.loads(result.stdout)
    assert (result.returncode, damaged["state"]) == (1, "damaged")
    assert page in [problem.get("page") for problem in damaged["problems"]]


def test_json_says_what_is_known_of_a_problem(run: Run, path: Path) -> None:
    page = used_page(path)
    damage(path, page)
    damaged = json.loads(run("zerodb-check", "--json", "env").stdout)
    problem = next(found for found in damaged["problems"] if found.get("page") == page)
    assert problem["kind"] == "checksum"
    assert problem["place"] in ("main database", "named database")
    assert problem["entries"] > 0
    assert problem["transaction"] > 1
    assert problem["committed"].endswith(" UTC")
    assert damaged["problemCount"] == len(damaged["problems"])
    assert [part["place"] for part in damaged["damaged"]].count(problem["place"]) == 1
    assert damaged["advice"]
    assert damaged["checked"] == "everything"


def test_problems_are_listed_by_database(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment:
        letters = environment.open_db("letters", create=True)
        with environment.begin(write=True) as transaction:
            for number in range(300):
                transaction.put(b"letter%04d" % number, b"text" * 20, db=letters)
    data = (path / "data.zdb").read_bytes()
    place = data.rindex(b"text" * 20) // PAGE_SIZE
    damage(path, place)
    result = run("zerodb-check", "env")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    title = next(line for line in lines if line.startswith('database "letters": '))
    assert "damaged or lost" in title
    detail = lines[lines.index(title) + 2]
    assert "keys" in detail
    assert '"letter0' in detail
    assert "written by transaction" in detail
    assert "backup" in result.stdout
    # The others are not mentioned.
    assert "main database" not in result.stdout
    assert 'database "named"' not in result.stdout


def test_one_database(run: Run, path: Path) -> None:
    result = run("zerodb-check", "--database", "named", "env")
    assert (result.returncode, result.stderr) == (0, "")
    assert "500 entries" in result.stdout
    assert run("zerodb-check", "--database", "", "env").returncode == 0
    result = run("zerodb-check", "--database", "absent", "env")
    assert (result.returncode, result.stdout) == (2, "")
    assert "absent" in result.stderr
    assert path.is_dir()


def test_a_quick_look_reads_no_leaves(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        for number in range(5000):
            transaction[b"more%06d" % number] = b"text" * 30
    data = (path / "data.zdb").read_bytes()
    damage(path, data.rindex(b"text" * 30) // PAGE_SIZE)
    assert run("zerodb-check", "--quick", "env").returncode == 0
    assert run("zerodb-check", "env").returncode == 1
    # A copy of a meta record is looked at.
    damage_meta(path, page=0, copies=[0])
    result = run("zerodb-check", "--quick", "--json", "env")
    found = json.loads(result.stdout)
    assert (result.returncode, found["checked"]) == (1, "headers")
    assert [problem["kind"] for problem in found["problems"]] == ["meta"]


def test_progress_is_for_terminals(path: Path) -> None:
    for more, is_shown in (([], True), (["--no-progress"], False), (["--quiet"], False)):
        controller, terminal = pty.openpty()
        with os.fdopen(terminal, "w") as stderr:
            result = subprocess.run(
                [STAGE / "bin/zerodb-check", *more, path],
                stdout=subprocess.PIPE,
                stderr=stderr,
                timeout=60,
                check=False,
            )
            os.write(terminal, b"end")
            shown = b""
            while not shown.endswith(b"end"):  # A terminal hands out its output in pieces.
                shown += os.read(controller, 65536)
        os.close(controller)
        assert result.returncode == 0
        assert b"\r" not in result.stdout
        assert (b"100 % of " in shown) == is_shown
        assert shown.endswith(b"\r\x1b[Kend" if is_shown else b"end")


def test_quiet_prints_nothing(run: Run, path: Path) -> None:
    result = run("zerodb-check", "--quiet", "env")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    damage(path, used_page(path))
    result = run("zerodb-check", "-q", "env")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")


def test_what_does_not_open_because_of_damage(run: Run, path: Path) -> None:
    damage_meta(path, page=0, copies=[0, 1])
    before = contents(path)
    result = run("zerodb-check", "env")
    assert result.returncode == 1
    assert "page 0 (meta) at byte 0 of data.zdb" in result.stderr
    # What there is instead.
    assert "page 0 (meta) has no whole copy of its record; page 1 holds transaction" in (
        result.stdout
    )
    assert "It is damaged" in result.stdout
    result = run("zerodb-check", "--json", "env")
    assert (result.returncode, json.loads(result.stdout)["state"]) == (1, "damaged")
    assert contents(path) == before


def test_a_free_list_without_a_whole_copy(run: Run, path: Path) -> None:
    with (path / "data.zdb").open("r+b") as file:
        for page in (0, 1):
            for copy in (0, 1):
                file.seek(page * PAGE_SIZE + copy * PAGE_SIZE // 2 + 512 + 8)
                file.write(b"\xff" * 40)
    result = run("zerodb-check", "env")
    assert result.returncode == 1
    assert "no whole copy of its free list" in result.stdout


def test_a_log_damaged_in_the_middle(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "env"
    leave_commits(path)
    (segment,) = (path / "log").glob("*.log")
    data = bytearray(segment.read_bytes())
    # The first record of several.
    place = data.index(b"\x00zlog"[1:]) + 90
    data[place] ^= 1
    segment.write_bytes(data)
    result = run("zerodb-check", "env")
    assert result.returncode in (1, 2)
    result = run("zerodb-check", "--recover", "env")
    assert result.returncode == 1
    assert "the log is damaged at position" in result.stdout
    assert "--truncate-log" in result.stdout


@pytest.mark.parametrize("kind", ["absent", "empty", "foreign", "file"])
def test_what_is_no_environment(run: Run, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "env"
    if kind == "file":
        target.write_text("text")
    elif kind != "absent":
        target.mkdir()
    if kind == "foreign":
        (target / "data.zdb").write_bytes(b"something else" * 1000)
    before = sorted(tmp_path.rglob("*"))
    result = run("zerodb-check", "env")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("zerodb check: ")
    assert "env" in result.stderr
    # Nothing has been made.
    assert sorted(tmp_path.rglob("*")) == before
    assert json.loads(run("zerodb-check", "--json", "env").stdout)["state"] == "unchecked"


def test_an_environment_in_use(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        transaction[b"unfinished"] = b""
        result = run("zerodb-check", "env")
        assert (result.returncode, result.stderr) == (0, "")
        assert "1000 entries" in result.stdout


def test_a_log_to_replay(run: Run, tmp_path: Path) -> None:
    leave(tmp_path / "env")
    before = contents(tmp_path / "env")
    result = run("zerodb-check", "env")
    assert result.returncode == 2
    assert "replay" in result.stderr
    assert contents(tmp_path / "env") == before
    result = run("zerodb-check", "--recover", "env")
    assert (result.returncode, result.stderr) == (0, "")
    assert "1000 entries" in result.stdout
    assert run("zerodb-check", "env").returncode == 0


def test_the_output_cannot_be_written(run: Run, path: Path) -> None:
    assert path.is_dir()
    with Path("/dev/full").open("w") as full:
        result = run("zerodb-check", "env", output=full)
    assert result.returncode == 2
    assert "cannot write the output" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["env", "env"], ["--frob", "env"], ["--json"]])
def test_wrong_arguments(run: Run, path: Path, arguments: list[str]) -> None:
    assert path.is_dir()
    result = run("zerodb-check", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Usage: zerodb check" in result.stderr


def test_help_and_version(run: Run) -> None:
    for arguments in (["--help"], ["check", "--help"], ["help", "check"], ["--version"]):
        result = run("zerodb", *arguments)
        assert (result.returncode, result.stderr) == (0, "")
    assert run("zerodb", "--version").stdout == f"zerodb {zerodb.library_version}\n"
    assert "exit status" in run("zerodb", "check", "--help").stdout


def test_pages_and_completions_are_installed(run: Run) -> None:
    pages = STAGE / "share/man/man1"
    assert {page.name for page in pages.iterdir()} == {
        f"{program.name}.1" for program in (STAGE / "bin").iterdir()
    }
    scripts = {
        "bash": "share/bash-completion/completions/zerodb",
        "zsh": "share/zsh/site-functions/_zerodb",
        "fish": "share/fish/vendor_completions.d/zerodb.fish",
    }
    for shell, script in scripts.items():
        assert "check" in (STAGE / script).read_text()
        if shutil.which(shell):
            subprocess.run([shell, "-n", STAGE / script], check=True)
    assert run("zerodb-check", "--help").returncode == 0
