"""zerodb dump on environments that are in use, damaged or absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transfer import command, done

import zerodb
from conftest import Run, contents, damage, leave, used_page


def test_a_dump_is_one_snapshot(path: Path) -> None:
    before = done("zerodb-dump", "-a", path)
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        transaction[b"new"] = b"value"
        assert done("zerodb-dump", "-a", path) == before
    assert done("zerodb-dump", "-a", path) != before


def test_nothing_is_changed(path: Path) -> None:
    before = contents(path)
    done("zerodb-dump", "-a", path)
    done("zerodb-dump", "-l", path)
    assert contents(path) == before


@pytest.mark.parametrize("options", [[], ["--json-lines"]])
def test_damage_ends_a_dump(path: Path, options: list[str]) -> None:
    whole = done("zerodb-dump", "-a", *options, path)
    page = used_page(path)
    damage(path, page)
    result = command("zerodb-dump", "-a", *options, path)
    assert result.returncode == 1
    assert f"page {page}".encode() in result.stderr
    end = b'{"end":' if options else b"DATA=END\n"
    assert whole.count(end) == 2
    assert result.stdout.count(end) < 2
    assert not result.stdout.split(b"\n")[-2].startswith(end.strip())
    # What is there cannot be taken for all of it.
    loaded = command("zerodb-load", *options, path.with_name("other"), given=result.stdout)
    assert loaded.returncode == 1
    assert b"ends early" in loaded.stderr


def test_a_full_output_is_an_error(path: Path, run: Run) -> None:
    result = run("zerodb-dump", "-f", "/dev/full", str(path))
    assert result.returncode == 2
    assert "cannot write" in result.stderr
    with open("/dev/full", "w") as full:
        assert run("zerodb-dump", str(path), output=full).returncode == 2


@pytest.mark.parametrize("kind", ["absent", "foreign", "left"])
def test_what_cannot_be_dumped(run: Run, tmp_path: Path, kind: str) -> None:
    if kind == "foreign":
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "data.zdb").write_bytes(b"something else" * 1000)
    if kind == "left":
        leave(tmp_path / kind)
    for options in ([], ["-l"], ["--json-lines"]):
        result = run("zerodb-dump", *options, kind)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("zerodb dump: ")


def test_json_lines_are_json(tmp_path: Path) -> None:
    with (
        zerodb.open(tmp_path / "env") as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction['ä"\\\n\x7f'.encode()] = b"\xff\x00"
        transaction[b"\xc3("] = b"a"
    lines = done("zerodb-dump", "--json-lines", tmp_path / "env").splitlines()
    head, *entries, end = [json.loads(line) for line in lines]
    assert (head["database"], head["entries"], end) == (None, 2, {"end": 2})
    assert entries == [
        {"key_base64": "wyg=", "value": "a"},
        {"key": 'ä"\\\n\x7f', "value_base64": "/wA="},
    ]


@pytest.mark.parametrize("name", ["env/data.zdb", "env/lock.zdb", "env/new", "env/log/new"])
def test_a_dump_does_not_go_into_the_environment(run: Run, path: Path, name: str) -> None:
    before = contents(path)
    result = run("zerodb-dump", "--all", "-f", name, "env")
    assert result.returncode == 2
    assert "in the environment" in result.stderr
    assert contents(path) == before
