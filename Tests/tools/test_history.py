"""zerodb stat --history and --txn, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import zerodb
from conftest import Run, contents, everything, leave_commits


def build(path: Path) -> None:
    """Makes a few transactions."""
    with zerodb.open(path) as environment:
        named = environment.open_db("named", create=True)
        with environment.begin(write=True) as transaction:
            transaction.put(b"one", b"1")
            transaction.put(b"two", b"2" * 1000)
            transaction.put(b"three", b"3", db=named)
        with environment.begin(write=True) as transaction:
            transaction.delete(b"one")


def test_transactions_are_listed(run: Run, tmp_path: Path) -> None:
    build(tmp_path / "env")
    before = everything(tmp_path / "env")
    result = run("zerodb-stat", "--history", "env")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["transaction", "time", "bytes", "durability", "operations"]
    assert lines[2].endswith('checkpointed  main: 2 puts; "named": 1 put')
    assert lines[3].endswith("main: 1 delete")
    assert lines[4].startswith("3 transactions, ")
    assert everything(tmp_path / "env") == before


def test_json_has_the_same(run: Run, tmp_path: Path) -> None:
    build(tmp_path / "env")
    found = json.loads(run("zerodb-stat", "--history", "--json", "env").stdout)
    assert [one["transaction"] for one in found["transactions"]] == [2, 3, 4]
    assert found["checkpoint"] == 4
    assert (found["gaps"], found["problems"]) == ([], [])
    second = found["transactions"][1]
    assert second["operations"] == 3
    assert [one.get("name") for one in second["databases"]] == [None, '"named"']


def test_one_transaction_lists_its_operations(run: Run, tmp_path: Path) -> None:
    build(tmp_path / "env")
    result = run("zerodb-stat", "--history", "--txn", "3", "--width", "5", "env")
    assert result.returncode == 0
    assert '  main: put "one" = "1"\n' in result.stdout
    assert '  main: put "two" = "22222"… (1000 bytes)\n' in result.stdout
    assert '  "named": put "three" = "3"\n' in result.stdout
    listed = json.loads(run("zerodb-stat", "--txn", "3", "--json", "env").stdout)["listed"]
    assert [one["operation"] for one in listed] == ["put"] * 3
    assert listed[1]["valueBytes"] == 1000
    result = run("zerodb-stat", "--txn", "77", "env")
    assert (result.returncode, result.stdout) == (2, "")
    assert "no record of transaction 77; it has transactions 2 to 4" in result.stderr


def test_transactions_that_are_not_logged_are_named(run: Run, tmp_path: Path) -> None:
    build(tmp_path / "env")
    with (
        zerodb.open(tmp_path / "env") as environment,
        environment.begin(write=True, durability="none") as transaction,
    ):
        transaction.put(b"four", b"4")
    result = run("zerodb-stat", "--history", "env")
    assert result.returncode == 0
    assert "-- transaction 5: not in the log; a checkpoint includes it\n" in result.stdout


def test_a_log_to_replay_is_told_and_left_alone(run: Run, tmp_path: Path) -> None:
    leave_commits(tmp_path / "env")
    before = everything(tmp_path / "env")
    result = run("zerodb-stat", "--history", "--json", "env")
    assert result.returncode == 0
    found = json.loads(result.stdout)["transactions"]
    assert len(found) == 10
    assert {one["durability"] for one in found[:-1]} == {"flushed"}
    assert found[-1]["durability"] == "written"
    assert everything(tmp_path / "env") == before


def test_a_busy_environment(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"key", b"value")
        assert run("zerodb-stat", "--history", "env").returncode == 0


def test_a_damaged_log_tells_what_it_cannot(run: Run, tmp_path: Path) -> None:
    build(tmp_path / "env")
    found = json.loads(run("zerodb-stat", "--history", "--json", "env").stdout)
    place = found["transactions"][1]["position"]
    segment = tmp_path / "env/log/0000000000001000.log"
    data = bytearray(segment.read_bytes())
    data[place + 90] ^= 1
    segment.write_bytes(data)
    before = everything(tmp_path / "env")
    result = run("zerodb-stat", "--history", "env")
    assert result.returncode == 1
    assert "-- transaction 3: cannot be shown: the log is damaged at position" in result.stdout
    assert "main: 1 delete" in result.stdout
    assert "damaged: the log is damaged at position" in result.stdout
    assert run("zerodb-stat", "--txn", "4", "env").returncode == 0
    result = run("zerodb-stat", "--txn", "3", "env")
    assert (result.returncode, result.stdout) == (1, "")
    assert "no record of transaction 3" in result.stderr
    assert everything(tmp_path / "env") == before


def test_foreign_and_absent_environments(run: Run, tmp_path: Path) -> None:
    for arguments in (["--history"], ["--txn", "3"]):
        result = run("zerodb-stat", *arguments, "env")
        assert result.returncode == 2
        assert result.stderr.startswith("zerodb stat: ")
    folder = tmp_path / "env"
    folder.mkdir()
    (folder / "data.zdb").write_bytes(b"something else" * 1000)
    before = everything(folder)
    result = run("zerodb-stat", "--history", "env")
    assert result.returncode == 2
    assert "is not a ZeroDB data file" in result.stderr
    assert everything(folder) == before
    assert contents(folder) == before


def test_wrong_arguments(run: Run, path: Path) -> None:
    assert path.is_dir()
    assert run("zerodb-stat", "--width", "0", "--history", "env").returncode == 2
    assert run("zerodb-stat", "--txn", "one", "env").returncode == 2
