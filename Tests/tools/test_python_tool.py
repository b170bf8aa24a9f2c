"""python -m zerodb: the same words and exit status as the program, as far as it goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import zerodb
from conftest import Run, contents, damage, damage_meta, fill, leave, used_page


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the Python package as a program, in a folder."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "zerodb", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def both(run: Run, folder: Path, *arguments: str) -> tuple[Any, Any]:
    """What the program and the package print as JSON, with the same exit status."""
    program = run("zerodb", *arguments, "--json")
    package = python(folder, *arguments, "--json")
    assert package.returncode == program.returncode, package.stderr
    assert package.stderr == program.stderr
    return json.loads(program.stdout), json.loads(package.stdout)


def test_a_sound_environment(run: Run, path: Path) -> None:
    before = contents(path)
    for arguments in (["check", "env"], ["check", "-q", "env"]):
        program, package = run("zerodb", *arguments), python(path.parent, *arguments)
        assert (package.returncode, package.stdout) == (0, program.stdout)
        assert package.stderr == ""
    for options in ([], ["--quick"], ["--threads", "2"], ["--database", "named"]):
        program_json, package_json = both(run, path.parent, "check", *options, "env")
        assert package_json == program_json
    assert contents(path) == before


def test_damage_is_told_in_the_words_of_the_program(run: Run, path: Path) -> None:
    page = used_page(path)
    damage(path, page)
    before = contents(path)
    program, package = both(run, path.parent, "check", "env")
    assert package["problemCount"] >= 1
    assert package.pop("advice") == [
        "zerodb-check says what can be done, and does it with --fix or --salvage."
    ]
    program.pop("advice")
    assert package == program
    result = python(path.parent, "check", "env")
    assert result.returncode == 1
    assert f"page {page} at byte" in result.stdout
    assert "It is damaged" in result.stdout
    assert python(path.parent, "check", "--quiet", "env").stdout == ""
    assert contents(path) == before


def test_what_does_not_open(run: Run, path: Path, tmp_path: Path) -> None:
    missing = both(run, tmp_path, "check", "nowhere")
    assert missing[0] == missing[1]
    assert python(tmp_path, "check", "nowhere").returncode == 2
    for page in (0, 1):
        damage_meta(path, page, [0, 1])
    result = python(tmp_path, "check", "--json", "env")
    assert result.returncode == 1
    assert json.loads(result.stdout)["state"] == "damaged"
    assert result.stderr == run("zerodb", "check", "env").stderr


def test_statistics_are_those_of_the_program(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        several = transaction.db("several", create=True, dupsort=True, counted=True)
        transaction.put(b"key", b"one", db=several)
        transaction.put(b"key", b"two", db=several)
    for options in ([], ["--database", "named"], ["--database", ""]):
        program, package = both(run, path.parent, "stat", *options, "env")
        for found, wanted in zip(
            package.pop("databases"), program.pop("databases"), strict=True
        ):
            assert found.items() <= wanted.items()
        for reader in package.pop("readers"):
            assert reader["snapshot"] == package["transaction"]
        program.pop("readers")
        # The reader that this is has the newest snapshot, or has not begun.
        for result in (program, package):
            result.pop("oldestReader", None)
        assert package.items() <= program.items()
    text = python(path.parent, "stat", "--readers", "env")
    assert text.returncode == 0
    assert 'database "several"\n  flags    duplicates, counted\n' in text.stdout


def test_statistics_of_what_was_not_closed(run: Run, tmp_path: Path) -> None:
    leave(tmp_path / "env")
    before = contents(tmp_path / "env")
    program, package = both(run, tmp_path, "stat", "env")
    assert package["state"] == program["state"] == "needs recovery"
    assert package["notes"] == program["notes"]
    assert contents(tmp_path / "env") == before
    assert python(tmp_path, "check", "env").returncode == 2
    assert python(tmp_path, "check", "--recover", "env").returncode == 0


def test_metrics_are_those_of_the_program(run: Run, path: Path) -> None:
    program, package = both(run, path.parent, "stat", "--metrics", "env")
    assert [metric["name"] for metric in package["metrics"]] == [
        metric["name"] for metric in program["metrics"]
    ]
    assert [sorted(metric) for metric in package["metrics"]] == [
        sorted(metric) for metric in program["metrics"]
    ]
    lines = run("zerodb", "stat", "--metrics", "env").stdout.splitlines()
    found = python(path.parent, "stat", "--metrics", "env").stdout.splitlines()
    # Numbers change from one run to the next.
    assert [line.rpartition(" ")[0] for line in found if line[0] != "#"] == [
        line.rpartition(" ")[0] for line in lines if line[0] != "#"
    ]
    assert [line for line in found if line[0] == "#"] == [
        line for line in lines if line[0] == "#"
    ]


@pytest.mark.parametrize("compact", [False, True])
def test_copies(run: Run, path: Path, tmp_path: Path, compact: bool) -> None:
    options = ["--compact"] if compact else []
    made = run("zerodb", "copy", *options, "env", "one", "--json")
    same = python(tmp_path, "copy", *options, "--rate", "1GiB", "env", "two", "--json")
    assert (same.returncode, same.stderr) == (0, "")
    program, package = json.loads(made.stdout), json.loads(same.stdout)
    assert (program.pop("target"), package.pop("target")) == ("one", "two")
    assert package == program
    assert python(tmp_path, "check", "two").returncode == 0
    again = python(tmp_path, "copy", "env", "two")
    assert again.returncode == 2
    assert again.stderr == run("zerodb", "copy", "env", "two").stderr
    assert path.is_dir()


def test_a_copy_goes_to_a_pipe(path: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with (tmp_path / "copy/data.zdb").open("wb") as file:
        command = [sys.executable, "-m", "zerodb", "copy", str(path), "-"]
        subprocess.run(command, stdout=file, check=True, timeout=60)
    with zerodb.open(tmp_path / "copy") as environment:
        assert environment.stat().entries == 500


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["check", "--fix", "env"], "zerodb-check --fix"),
        (["check", "--salvage", "new", "env"], "zerodb-check --salvage"),
        (["check", "--list-roots", "env"], "zerodb-check --list-roots"),
        (["stat", "--page", "2", "env"], "zerodb-stat --page"),
        (["stat", "env", "--watch"], "zerodb-stat --watch"),
        (["stat", "--history", "env"], "zerodb-stat --history"),
        (["dump", "--all", "env"], "zerodb-dump"),
        (["load", "--help"], "zerodb-load"),
        (["backup", "create", "env", "archive"], "zerodb-backup"),
    ],
)
def test_what_takes_the_program_says_which(
    path: Path, arguments: list[str], program: str
) -> None:
    before = contents(path)
    result = python(path.parent, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.endswith(f"use the program: {program}\n")
    assert contents(path) == before


@pytest.mark.parametrize(
    "arguments",
    [[], ["check"], ["mend", "env"], ["check", "--threads", "65", "env"], ["check", "a", "b"]],
)
def test_wrong_arguments_are_status_2(tmp_path: Path, arguments: list[str]) -> None:
    result = python(tmp_path, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: python -m zerodb")


def test_help_lists_every_option_that_the_program_has_too(run: Run, tmp_path: Path) -> None:
    for command in ("check", "copy", "stat"):
        shown = python(tmp_path, command, "--help")
        assert shown.returncode == 0
        options = {word for word in shown.stdout.split() if word.startswith("--")}
        known = run("zerodb", command, "--help").stdout
        for option in {word.strip(",[]") for word in options} - {"--help"}:
            assert option in known


def test_every_option_of_the_program_is_known(run: Run, tmp_path: Path) -> None:
    for command in ("check", "copy", "stat"):
        known = run("zerodb", command, "--help").stdout.split()
        for option in {word.strip(",.[]") for word in known if word.startswith("--")}:
            if option in ("--help", "--version"):
                continue
            said = python(tmp_path, command, "nowhere", "target", option, "1").stderr
            assert f"unrecognized arguments: {option}" not in said


def test_names_do_not_command_the_terminal(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env") as environment:
        environment.open_db("\x1b]0;title\x07\u202e", create=True)
    result = python(tmp_path, "stat", "env")
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


def test_output_that_cannot_be_written_is_status_2(path: Path) -> None:
    command = [sys.executable, "-m", "zerodb", "check", str(path)]
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert result.returncode == 2
    assert "cannot write the output" in result.stderr


def test_beside_a_program_that_writes(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env") as environment:
        fill(environment)
        with environment.begin(write=True) as transaction:
            transaction.put(b"open", b"transaction")
            assert python(tmp_path, "check", "env").returncode == 0
            found = json.loads(python(tmp_path, "stat", "--json", "env").stdout)
        assert found["databases"][0]["entries"] == 500


def test_a_path_that_is_no_text_is_shown_as_the_program_shows_it(run: Run, path: Path) -> None:
    odd = os.fsdecode(b"a\xff\xe2\x82 b\xc3\xa9\x01")
    for arguments in (["stat", odd], ["check", odd], ["copy", odd, "copy"]):
        program, package = run("zerodb", *arguments), python(path.parent, *arguments)
        assert package.returncode == program.returncode == 2
        assert package.stderr == program.stderr
    path.rename(path.parent / odd)
    shown = os.fsencode(odd).decode("utf-8", "replace")
    for arguments in (["stat"], ["stat", "--metrics"], ["check"]):
        result = python(path.parent, *arguments, "--json", odd)
        assert json.loads(result.stdout)["environment"] == shown
    made = python(path.parent, "copy", odd, odd + "copy")
    assert made.stdout.startswith(shown.replace("\x01", "\\u{1}") + "copy: transaction")
    metrics = python(path.parent, "stat", "--metrics", odd)
    assert (metrics.returncode, metrics.stderr) == (0, "")
