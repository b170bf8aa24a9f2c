"""zerodb stat, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import zerodb
from conftest import PAGE_SIZE, STAGE, Run, contents, damage, damage_meta, leave, used_page


def test_statistics_agree_with_the_library(run: Run, path: Path) -> None:
    before = contents(path)
    result = run("zerodb-stat", "--json", "env")
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    with zerodb.open(path) as environment:
        info = environment.info()
        stat = environment.stat()
    assert found["transaction"] == info.last_txn_id
    assert found["fileSize"] == info.file_size
    assert found["pageSize"] == info.page_size
    main, named = found["databases"]
    assert (main["entries"], main["leafPages"]) == (stat.entries, stat.leaf_pages)
    assert "name" not in main
    assert (named["name"], named["entries"]) == ('"named"', 500)
    assert found["digest"] == f"{info.digest:032x}"
    assert main["digest"] == f"{stat.digest:032x}"
    assert json.loads(run("zerodb-check", "--json", "env").stdout)["digest"] == found["digest"]
    assert contents(path) == before


def test_text_names_each_database(run: Run, path: Path) -> None:
    assert path.is_dir()
    result = run("zerodb-stat", "env")
    assert result.returncode == 0
    assert "main database\n" in result.stdout
    assert 'database "named"\n' in result.stdout


def test_one_database(run: Run, path: Path) -> None:
    assert path.is_dir()
    found = json.loads(run("zerodb-stat", "--json", "--database", "named", "env").stdout)
    assert [database["entries"] for database in found["databases"]] == [500]
    result = run("zerodb-stat", "--database", "absent", "env")
    assert result.returncode == 2
    assert "absent" in result.stderr


def test_readers_of_other_processes(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin() as transaction:
        found = json.loads(run("zerodb-stat", "--json", "env").stdout)
        assert transaction.id in [reader.get("snapshot") for reader in found["readers"]]
        listed = run("zerodb-stat", "--readers", "env").stdout
        assert f"transaction {transaction.id}, open for" in listed


def test_a_reader_has_a_command_and_the_pages_that_it_needs(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin() as reader:
        for _ in range(3):
            with environment.begin(write=True) as transaction:
                for number in range(500):
                    transaction.put(b"key%04d" % number, b"again" * 20)
            environment.checkpoint()
        found = json.loads(run("zerodb-stat", "--json", "env").stdout)
        own = next(one for one in found["readers"] if one.get("snapshot") == reader.id)
        assert own["alive"]
        assert own["command"] == Path("/proc/self/comm").read_text().strip()
        assert own["pinnedPages"] > 5
        pin = next(one for one in found["pins"] if one["transaction"] == reader.id)
        assert (pin["holder"], pin["pages"]) == ("reader", own["pinnedPages"])
        text = run("zerodb-stat", "env").stdout
        assert f"transaction {reader.id} (reader): {pin['pages']} free pages" in text


def test_a_reader_that_was_killed_has_no_command(run: Run, path: Path) -> None:
    program = (
        "import os, sys, zerodb\ntransaction = zerodb.open(sys.argv[1]).begin()\nos._exit(0)\n"
    )
    with zerodb.open(path):
        subprocess.run([sys.executable, "-c", program, path], check=True, timeout=60)
        [reader] = json.loads(run("zerodb-stat", "--json", "env").stdout)["readers"]
        assert not reader["alive"]
        assert "command" not in reader
        assert ", which has died, thread" in run("zerodb-stat", "--readers", "env").stdout


def test_the_uses_of_pages_are_all_of_them(run: Run, path: Path) -> None:
    assert path.is_dir()
    found = json.loads(run("zerodb-stat", "--json", "env").stdout)
    assert sum(found["use"].values()) == found["pages"]
    assert found["durable"]
    assert all(0 < database["fill"] <= 1 for database in found["databases"])
    assert all(database["fillIsExact"] for database in found["databases"])


def test_an_environment_that_needs_recovery(run: Run, tmp_path: Path) -> None:
    leave(tmp_path / "env")
    before = contents(tmp_path / "env")
    result = run("zerodb-stat", "--json", "env")
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found["state"] == "needs recovery"
    assert [database["entries"] for database in found["databases"]] == [500, 500]
    assert len(found["notes"]) == 1
    assert "(needs recovery)\n" in run("zerodb-stat", "env").stdout
    assert contents(tmp_path / "env") == before


def test_damaged_pages_are_notes(run: Run, path: Path) -> None:
    page = used_page(path)
    damage(path, page)
    before = contents(path)
    result = run("zerodb-stat", "env")
    assert result.returncode == 1
    assert f"page {page} at byte {page * PAGE_SIZE} of data.zdb" in result.stdout
    assert "main database\n" in result.stdout
    assert contents(path) == before


def test_damaged_meta_pages(run: Run, path: Path) -> None:
    damage_meta(path, page=0, copies=[0, 1])
    before = contents(path)
    result = run("zerodb-stat", "env")
    assert result.returncode == 1
    assert "env (damaged)\n" in result.stdout
    assert "both copies of its record are damaged" in result.stdout
    damage_meta(path, page=1, copies=[0, 1])
    result = run("zerodb-stat", "env")
    assert (result.returncode, result.stdout) == (1, "")
    assert "no record in them is whole" in result.stderr
    assert contents(path).keys() == before.keys()


@pytest.mark.parametrize("kind", ["absent", "empty", "foreign", "file"])
@pytest.mark.parametrize("options", [[], ["--pages"], ["--page", "3"], ["--history"]])
def test_what_is_no_environment(
    run: Run, tmp_path: Path, kind: str, options: list[str]
) -> None:
    target = tmp_path / "env"
    if kind == "file":
        target.write_text("text")
    elif kind != "absent":
        target.mkdir()
    if kind == "foreign":
        (target / "data.zdb").write_bytes(b"something else" * 1000)
    before = sorted(tmp_path.rglob("*"))
    for more in ([], ["--json"]):
        result = run("zerodb-stat", *options, *more, "env")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("zerodb stat: ")
        assert "env" in result.stderr
    # Nothing has been made.
    assert sorted(tmp_path.rglob("*")) == before


def test_watching_repeats_until_it_is_interrupted(path: Path) -> None:
    program = subprocess.Popen(
        [STAGE / "bin/zerodb-stat", "--watch", "0.1", path], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    seen = 0
    for line in program.stdout:
        seen += line.startswith("main database")
        if seen == 3:
            break
    program.send_signal(signal.SIGINT)
    program.stdout.read()
    assert program.wait(60) == 0
    program.stdout.close()


def test_watching_what_is_not_there_ends_at_once(run: Run, tmp_path: Path) -> None:
    assert tmp_path.is_dir()
    result = run("zerodb-stat", "--watch", "env")
    assert result.returncode == 2
    assert run("zerodb-stat", "--watch", "0", "env").returncode == 2


def test_options_that_do_not_go_together(run: Run, path: Path) -> None:
    assert path.is_dir()
    for options in (
        ["--pages", "--history"],
        ["--page", "1", "--pages"],
        ["--svg", "map.svg"],
        ["--page", "one"],
        ["--page", "-1"],
        ["--readers", "--history"],
    ):
        assert run("zerodb-stat", *options, "env").returncode == 2
