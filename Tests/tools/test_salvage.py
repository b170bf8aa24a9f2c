"""zerodb check --salvage and --list-roots, as a user runs them."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

import pytest

import zerodb
from conftest import PAGE_SIZE, STAGE, Run, contents, damage, leave, used_page

Content = dict[str | None, list[tuple[bytes, bytes]]]


def read(path: Path, *more: str, recovery: bool = False) -> Content:
    """All entries of an environment, by the names of its databases."""
    with (
        zerodb.open(path, recovery=recovery) as environment,
        environment.begin() as transaction,
    ):
        found: Content = {None: list(transaction.items())}
        for name in ("named", *more):
            try:
                found[name] = list(transaction.items(db=transaction.db(name)))
            except (zerodb.NotFoundError, zerodb.CorruptedError):
                continue
        return found


def lose(path: Path, page: int) -> None:
    """Damages both copies of the record of a meta page."""
    with (path / "data.zdb").open("r+b") as file:
        for copy in (0, PAGE_SIZE // 2):
            file.seek(page * PAGE_SIZE + copy + 100)
            file.write(b"\xff" * 40)


def test_a_sound_environment_is_copied_whole(run: Run, path: Path, tmp_path: Path) -> None:
    before = contents(path)
    result = run("zerodb-check", "--salvage", "copy", "env")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("is in copy.\n")
    assert contents(path) == before
    assert read(tmp_path / "copy") == read(path)
    assert run("zerodb-check", "copy").returncode == 0


def test_what_is_lost_is_listed_and_all_else_is_copied(
    run: Run, path: Path, tmp_path: Path
) -> None:
    undamaged = read(path)
    page = used_page(path)
    damage(path, page)
    before = contents(path)
    result = run("zerodb-check", "--salvage", "copy", "env")
    assert (result.returncode, result.stderr) == (1, "")
    assert f"(page {page})" in result.stdout
    assert contents(path) == before
    copied = read(tmp_path / "copy")
    assert copied == read(path, recovery=True)
    for name, entries in copied.items():
        assert set(entries) <= set(undamaged[name])
    assert run("zerodb-check", "copy").returncode == 0


def test_json_says_what_is_missing(run: Run, path: Path) -> None:
    page = used_page(path)
    damage(path, page)
    result = run("zerodb-check", "--json", "--salvage", "copy", "env")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert found["state"] == "incomplete"
    missing = [part for database in found["databases"] for part in database["missing"]]
    assert page in [part["page"] for part in missing + found["missingNames"]]
    assert (
        any(not database["complete"] for database in found["databases"])
        or found["missingNames"]
    )


def test_what_does_not_open_is_salvaged(run: Run, path: Path, tmp_path: Path) -> None:
    undamaged = read(path)
    lose(path, 1)
    assert run("zerodb-check", "env").returncode == 1
    result = run("zerodb-check", "--salvage", "copy", "env")
    assert result.returncode in (0, 1)
    assert "is lost" in result.stdout
    for name, entries in read(tmp_path / "copy").items():
        assert set(entries) <= set(undamaged.get(name, []))


def test_the_log_is_salvaged(run: Run, tmp_path: Path) -> None:
    leave(tmp_path / "env")
    before = contents(tmp_path / "env")
    result = run("zerodb-check", "--salvage", "copy", "env")
    assert (result.returncode, result.stderr) == (0, "")
    assert "log: 1 transaction applied" in result.stdout
    assert contents(tmp_path / "env") == before
    assert {name: len(found) for name, found in read(tmp_path / "copy").items()} == {
        None: 500,
        "named": 500,
    }


def test_lost_and_found(run: Run, path: Path, tmp_path: Path) -> None:
    undamaged = read(path)
    # The branch above all leaves of the main database.
    data = (path / "data.zdb").read_bytes()
    pages = range(2, len(data) // PAGE_SIZE)
    branch = next(page for page in pages if data[page * PAGE_SIZE + 24] == 1)
    damage(path, branch)
    result = run("zerodb-check", "--salvage", "copy", "--lost-and-found", "env")
    assert result.returncode == 1
    assert "lost and found: " in result.stdout
    result = run("zerodb-check", "--json", "--salvage", "other", "--lost-and-found", "env")
    names = [part["name"] for part in json.loads(result.stdout)["lostAndFound"]]
    copied = read(tmp_path / "copy", *names)
    kept = set()
    for name in names:
        assert int(name.removeprefix("lost+found/")) > 0
        for key, value in copied.pop(name):
            assert len(key) == 12
            length = int.from_bytes(value[4:8], "little")
            if value[0] == 0:
                kept.add((value[8 : 8 + length], value[8 + length :]))
    lost = [
        entry
        for name, entries in undamaged.items()
        for entry in entries
        if entry not in copied.get(name, [])
    ]
    assert lost
    assert set(lost) <= kept


@pytest.mark.parametrize("kind", ["absent", "foreign", "target"])
def test_what_cannot_be_salvaged(run: Run, path: Path, tmp_path: Path, kind: str) -> None:
    if kind == "target":
        (tmp_path / "copy").mkdir()
    source = "env" if kind == "target" else kind
    if kind == "foreign":
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "data.zdb").write_bytes(b"something else" * 1000)
    before = contents(path)
    result = run("zerodb-check", "--salvage", "copy", source)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("zerodb check: ")
    assert contents(path) == before


def test_salvage_beside_a_program_that_writes(run: Run, path: Path, tmp_path: Path) -> None:
    with zerodb.open(path) as environment:
        with environment.begin(write=True) as transaction:
            transaction[b"new"] = b"value"
        result = run("zerodb-check", "--salvage", "copy", "env")
        assert (result.returncode, result.stderr) == (0, "")
    assert read(tmp_path / "copy") == read(path)


def test_roots_of_a_sound_environment(run: Run, path: Path) -> None:
    result = run("zerodb-check", "--list-roots", "env")
    assert (result.returncode, result.stderr) == (0, "")
    with zerodb.open(path) as environment:
        newest = environment.info().last_txn_id
    assert f"transaction {newest} of " in result.stdout
    found = json.loads(run("zerodb-check", "--list-roots", "--json", "env").stdout)
    assert [root["usable"] for root in found["roots"]] == [True] * 4
    assert newest in [root["transaction"] for root in found["roots"]]


def test_roots_of_a_damaged_environment(run: Run, path: Path) -> None:
    lose(path, 0)
    result = run("zerodb-check", "--list-roots", "--json", "env")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert [root["usable"] for root in found["roots"]][:2] == [False, False]
    assert found["roots"][0]["problem"]
    assert "page 0 (meta), byte 0: damaged" in run("zerodb-check", "--list-roots", "env").stdout


def test_roots_that_the_log_leads_to(run: Run, tmp_path: Path) -> None:
    leave(tmp_path / "env")
    before = contents(tmp_path / "env")
    found = json.loads(run("zerodb-check", "--list-roots", "--json", "env").stdout)
    (logged,) = found["logged"]
    assert "the log leads on" in run("zerodb-check", "--list-roots", "env").stdout
    assert contents(tmp_path / "env") == before
    with (
        zerodb.open(
            tmp_path / "env", recovery=True, recovery_root=logged["transaction"]
        ) as environment,
        environment.begin() as transaction,
    ):
        assert len(list(transaction.items())) == 500
    run("zerodb-check", "--salvage", "old", "--root", str(logged["root"]), "env")
    assert read(tmp_path / "old") == {None: []}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lost-and-found", "env"],
        ["--root", "3", "env"],
        ["--list-roots", "--salvage", "o", "env"],
    ],
)
def test_options_that_do_not_go_together(run: Run, path: Path, arguments: list[str]) -> None:
    assert path.is_dir()
    result = run("zerodb-check", *arguments)
    assert (result.returncode, result.stdout) == (2, "")


def test_what_a_full_disk_left_is_said_to_be_incomplete(path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        for number in range(20):
            transaction.put(b"large%d" % number, bytes(100_000))
    result = subprocess.run(
        [STAGE / "bin" / "zerodb-check", "env", "--salvage", "new"],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        restore_signals=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert result.returncode == 2
    assert "what was made at new is not complete: remove it" in result.stderr
