"""python -m lmdb, and python -m zerodb.lmdb."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def tool(lmdb: Any, tmp_path: Path) -> Any:
    """Runs the tool with arguments; returns what it has printed."""

    def call(*arguments: str, status: int = 0, text: bool = True) -> Any:
        result = subprocess.run(
            [sys.executable, "-m", lmdb.__name__, *arguments],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (result.returncode == 0) == (status == 0), result.stderr.decode()
        return result.stdout.decode() if text else result.stdout

    return call


@pytest.fixture
def filled(lmdb: Any, path: str) -> str:
    """The path of an environment with two databases."""
    with lmdb.open(path, max_dbs=2) as env:
        db = env.open_db(b"name")
        with env.begin(write=True) as txn:
            txn.put(b"a", b"1", db=db)
            txn.put(b"b", b"two words", db=db)
    return path


def content(lmdb: Any, path: str, name: bytes | None = None) -> list[tuple[bytes, bytes]]:
    with lmdb.open(path, max_dbs=2) as env, env.begin(db=env.open_db(name)) as txn:
        return list(txn.cursor())


def test_module(lmdb: Any) -> None:
    assert callable(importlib.import_module(lmdb.__name__ + ".tool").main)


def test_help(tool: Any) -> None:
    text = tool("--help")
    for command in [
        "copy",
        "copyfd",
        "drop",
        "dump",
        "edit",
        "get",
        "readers",
        "restore",
        "rewrite",
        "shell",
        "stat",
        "warm",
        "watch",
    ]:
        assert f"{command}:" in text


def test_unknown_command(tool: Any, filled: str) -> None:
    tool("nothing", "-e", filled, status=1)


def test_no_environment(tool: Any) -> None:
    tool("stat", status=1)


def test_get(tool: Any, filled: str) -> None:
    text = tool("get", "-e", filled, "-d", "name", "a", "b")
    assert "1" in text
    assert "two words" in text


def test_edit(lmdb: Any, tool: Any, filled: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content of a file")
    tool("edit", "-e", filled, "-d", "name", "--set", "a=9", "--add", "b=8", "--add", "c=7")
    tool("edit", "-e", filled, "-d", "name", "--set-file", "d=file", "--delete", "b")
    assert content(lmdb, filled, b"name") == [
        (b"a", b"9"),
        (b"c", b"7"),
        (b"d", b"content of a file"),
    ]


def test_dump_and_restore(lmdb: Any, tool: Any, filled: str, tmp_path: Path) -> None:
    tool("dump", "-e", filled, "name=dumped")
    assert (tmp_path / "dumped").read_bytes() == b"+1,1:a->1\n+1,9:b->two words\n\n"
    (tmp_path / "restored").mkdir()
    tool("restore", "-e", str(tmp_path / "restored"), ":main:=dumped")
    assert content(lmdb, str(tmp_path / "restored")) == [(b"a", b"1"), (b"b", b"two words")]


def test_dump_of_all(tool: Any, filled: str, tmp_path: Path) -> None:
    tool("dump", "-e", filled, "--all")
    assert (tmp_path / "main.cdbmake").exists()
    assert (tmp_path / "name.cdbmake").read_bytes().startswith(b"+1,1:a->1\n")


def test_copy(lmdb: Any, tool: Any, filled: str, tmp_path: Path) -> None:
    for number, options in enumerate(([], ["--compact"])):
        target = str(tmp_path / f"copy{number}")
        tool("copy", "-e", filled, *options, target)
        assert len(content(lmdb, target, b"name")) == 2


def test_copyfd(lmdb: Any, tool: Any, filled: str, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.mkdir()
    (target / "data.mdb").write_bytes(tool("copyfd", "-e", filled, text=False))
    assert len(content(lmdb, str(target), b"name")) == 2


def test_drop(lmdb: Any, tool: Any, filled: str) -> None:
    tool("drop", "-e", filled, "name")
    with lmdb.open(filled, max_dbs=2) as env:
        assert env.dbs() == []


def test_rewrite(lmdb: Any, tool: Any, filled: str, tmp_path: Path) -> None:
    target = str(tmp_path / "rewritten")
    tool("rewrite", "-e", filled, "-E", target, "name")
    assert len(content(lmdb, target, b"name")) == 2


def test_readers(tool: Any, filled: str) -> None:
    assert "(no active readers)" in tool("readers", "-e", filled)
    tool("readers", "-e", filled, "-c")


def test_stat(tool: Any, filled: str) -> None:
    text = tool("stat", "-e", filled, "-d", "name")
    assert "entries" in text
    assert "2" in text


def test_warm(tool: Any, filled: str) -> None:
    tool("warm", "-e", filled)


def test_single_file(lmdb: Any, tool: Any, path: str) -> None:
    with lmdb.open(path, subdir=False) as env, env.begin(write=True) as txn:
        txn.put(b"a", b"1")
    assert "1" in tool("get", "-s", "-e", path, "a")
    assert os.path.exists(path)


def test_functions_of_the_tool(lmdb: Any, filled: str) -> None:
    """What programs that embed it use."""
    tool: Any = importlib.import_module(lmdb.__name__ + ".tool")
    assert tool.delta([1, 3, 6]) == [2, 3]
    assert tool.isprint("A")
    assert not tool.isprint("\n")
    assert "0000010: 51" in tool.xxd(b"ABCDEFGHIJKLMNOPQ")
    options, arguments = tool.make_parser().parse_args(["-e", "x", "-r", "stat"])
    assert (options.env, options.read, arguments) == ("x", True, ["stat"])
    with pytest.raises(SystemExit) as ended:
        tool.die("no %s", "thing")
    assert ended.value.code == 1
    with lmdb.open(filled, max_dbs=2) as env:
        file = io.BytesIO()
        db = env.open_db(b"name")
        with env.begin() as txn:
            tool.dump_cursor_to_fp(txn.cursor(db), file)
        assert b"->" in file.getvalue()
        file.seek(0)
        with env.begin(write=True) as txn:
            assert tool.restore_cursor_from_fp(txn, file, db) >= 2
            for damaged in (b"X1,1:a->b\n\n", b"+1,1:aXXb\n\n", b"+9,1:a->b\n\n"):
                with pytest.raises(SystemExit):
                    tool.restore_cursor_from_fp(txn, io.BytesIO(damaged), db)
    assert tool.main(["-e", filled, "stat"]) in (None, 0)
    assert tool.ENV.path() == filled
    tool.ENV.close()
    vars(tool)["ENV"] = None
