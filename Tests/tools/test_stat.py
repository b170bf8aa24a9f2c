"""zerodb stat, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import zerodb
from conftest import Run, contents, leave


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


def test_what_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    result = run("zerodb-stat", "env")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("zerodb stat: ")
    leave(tmp_path / "env")
    assert run("zerodb-stat", "env").returncode == 2
    (tmp_path / "env/data.zdb").write_bytes(b"")
    assert run("zerodb-stat", "env").returncode == 2
