"""Input that zerodb load refuses, and what it says then."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from transfer import command, databases, done, dump_of

from conftest import STAGE

HEAD = b"VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (b"", None, "empty"),
        (b"hello\n", 1, "="),
        (b"VERSION=4\n", 1, "VERSION=3"),
        (b"format=print\nHEADER=END\n", 1, "VERSION=3"),
        (b"VERSION=3\nformat=other\n", 2, "format="),
        (b"VERSION=3\ntype=hash\n", 2, "type=btree"),
        (b"VERSION=3\ndupsort=yes\n", 2, "dupsort=yes"),
        (b"VERSION=3\ndb_pagesize=big\n", 2, "db_pagesize=big"),
        (b"VERSION=3\nzerodb.digest=12\n", 2, "zerodb.digest"),
        (b"VERSION=3\n" + b"x=1\n" * 2000, 1000, "1000 lines"),
        (b"VERSION=3\nx=" + b"y" * 100_000, 2, "more than"),
        (b"VERSION=3\nformat=print\n", 3, "HEADER=END"),
        (HEAD + b" 61\n", 6, "DATA=END"),
        (HEAD + b" 61\n 62", 6, "ends in it"),
        (HEAD + b" 61\n 62\n", 7, "DATA=END"),
        (HEAD + b" 61\nDATA=END\n", 6, "without a value"),
        (HEAD + b" 6\n 62\nDATA=END\n", 5, "middle of a byte"),
        (HEAD + b" 6x\n 62\nDATA=END\n", 5, "hexadecimal"),
        (HEAD + b" 61\n 6 2\nDATA=END\n", 6, "hexadecimal"),
        (HEAD + b"61\n", 5, "begins with a space"),
        (HEAD + b" \n 62\nDATA=END\n", 5, "key"),
        (HEAD + b" " + b"61" * 5000 + b"\n 62\nDATA=END\n", 5, "key"),
        (HEAD + b" " + b"61" * 100_000 + b"\n 62\nDATA=END\n", 5, "more than 65536"),
        (HEAD + b" 61\n 62\nDATA=END\nrest\n", 8, "="),
        (HEAD.replace(b"type", b"integerkey=1\ntype") + b" 61\n 62\nDATA=END\n", 6, "key"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_wrong_text(tmp_path: Path, text: bytes, line: int | None, word: str) -> None:
    result = command("zerodb-load", tmp_path / "a", given=text)
    message = result.stderr.decode()
    assert (result.returncode, result.stdout) == (1, b""), message
    assert message.startswith("zerodb load: " + (f"line {line}: " if line else ""))
    assert word in message
    assert "loaded" in message


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (b"[]\n", 1, "object"),
        (b'{"key":"a"}\n', 1, "key and a value"),
        (b'{"key":"a","value":1}\n', 1, "key and a value"),
        (b'{"key":"a","value":"b","more":"c"}\n', 1, "key and a value"),
        (b'{"key":"a","key":"b"}\n', 1, "twice"),
        (b'{"key":"a","value":"\\x"}\n', 1, "escape"),
        (b'{"key":"a","value":"\\ud800"}\n', 1, "surrogate"),
        (b'{"key":"a","value":"\xff"}\n', 1, "UTF-8"),
        (b'{"key":"a","value":"b\n', 1, "no end"),
        (b'{"key":"a","value_base64":"YQ"}\n', 1, "base64"),
        (b'{"key":"a","value":"b"} x\n', 1, "follows"),
        (b'{"database":null,"flags":["odd"]}\n', 1, "odd"),
        (b'{"database":null}\n{"key":"a","value":"b"}\n', 3, "end"),
        (b'{"database":null}\n{"key":"a","value":"b"}\n{"end":2}\n', 3, "1 entries"),
        (b'{"database":7}\n', 1, "database"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_wrong_json_lines(tmp_path: Path, text: bytes, line: int, word: str) -> None:
    result = command("zerodb-load", "--json-lines", tmp_path / "a", given=text)
    message = result.stderr.decode()
    assert (result.returncode, result.stdout) == (1, b""), message
    assert f"line {line}: " in message
    assert word in message


def test_what_comes_before_is_loaded_and_told(tmp_path: Path) -> None:
    text = HEAD + b" 61\n 62\n 63\n 64\n 65\n 6\nDATA=END\n"
    result = command("zerodb-load", tmp_path / "a", given=text)
    assert result.returncode == 1
    assert b"line 10: " in result.stderr
    assert b"the 2 entries before are loaded" in result.stderr
    assert b"\n 61\n 62\n 63\n 64\nDATA=END" in done("zerodb-dump", tmp_path / "a")


def test_changed_dumps_end_in_an_error_or_whole(tmp_path: Path) -> None:
    source = random.Random(4)
    dump = bytearray(dump_of(databases(4)[:4], named=True)[:60_000])
    for number in range(25):
        changed = bytearray(dump)
        for _ in range(source.randrange(1, 4)):
            changed[source.randrange(len(changed))] = source.choice(b"\0\n =1f\xffxE")
        result = command("zerodb-load", tmp_path / str(number), given=bytes(changed))
        assert result.returncode in (1, 2), result.stderr
        assert b"loaded" in result.stderr or result.returncode == 2


def test_arguments_that_do_not_go_together(tmp_path: Path) -> None:
    for arguments in (
        ["-T", "--json-lines"],
        ["--lmdb", "x", "-T"],
        ["--lmdb", "x", "--continue"],
        ["--any-order"],
        ["--restart"],
        ["--memory", "1"],
        ["--memory", "lots"],
    ):
        assert command("zerodb-load", *arguments, tmp_path / "a").returncode == 2
    for arguments in (["-a", "-l"], ["-p", "--json-lines"], ["-a", "--from", "x"]):
        assert command("zerodb-dump", *arguments, tmp_path / "a").returncode == 2


# ------------------------------------------------------------------ continuing


def lines_of(count: int, width: int = 100) -> bytes:
    """A dump with as many entries, in no order."""
    source = random.Random(8)
    numbers = list(range(count))
    source.shuffle(numbers)
    lines = (b" %08x\n %s\n" % (number, b"ab" * width) for number in numbers)
    return HEAD + b"".join(lines) + b"DATA=END\n"


def entries(path: Path) -> list[bytes]:
    """The lines of a dump that do not depend on sizes; digests are among them."""
    dump = done("zerodb-dump", "-a", path)
    return [line for line in dump.split(b"\n") if not line.startswith(b"mapsize=")]


def test_a_load_goes_on_after_a_mistake(tmp_path: Path) -> None:
    text = lines_of(20_000)
    file = tmp_path / "dump"
    cut = text.rindex(b"\n ", 0, len(text) // 2) - 50
    file.write_bytes(text[:cut] + b"x" + text[cut + 1 :])
    arguments = ("--continue", "--memory", "1MiB", "-f", file, tmp_path / "a")
    result = command("zerodb-load", *arguments)
    assert result.returncode == 1
    assert b"the same command goes on there" in result.stderr
    file.write_bytes(text)
    assert b"20000 entries loaded" in done("zerodb-load", *arguments)
    done("zerodb-load", tmp_path / "b", given=text)
    assert entries(tmp_path / "a") == entries(tmp_path / "b")
    assert done("zerodb-dump", "-l", tmp_path / "a") == b""


def test_another_text_is_not_gone_on_with(tmp_path: Path) -> None:
    text = lines_of(20_000)
    arguments = ("--continue", "--memory", "1MiB", tmp_path / "a")
    assert command("zerodb-load", *arguments, given=text[:-300_000]).returncode == 1
    result = command("zerodb-load", *arguments, given=text.replace(b"ab", b"cd"))
    assert result.returncode == 2
    assert b"other bytes before" in result.stderr
    # The right one may come through a pipe.
    done("zerodb-load", *arguments, given=text)
    assert command("zerodb-load", *arguments, given=text[:-300_000]).returncode == 1
    done("zerodb-load", "--restart", *arguments, given=text.replace(b"ab", b"cd"))
    assert done("zerodb-dump", "-l", tmp_path / "a") == b""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_killed_load_goes_on(tmp_path: Path, form: str) -> None:
    done("zerodb-load", tmp_path / "whole", given=lines_of(60_000))
    options = ["--json-lines"] if form == "json" else []
    file = tmp_path / "dump"
    file.write_bytes(done("zerodb-dump", *options, tmp_path / "whole"))
    arguments = [*options, "--continue", "--memory", "1MiB", "-f", str(file)]
    load = subprocess.Popen([STAGE / "bin/zerodb-load", *arguments, tmp_path / "a"])
    log = tmp_path / "a" / "data.zdb"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and load.poll() is None:
        if log.exists() and log.stat().st_size > 2 << 20:
            break
        time.sleep(0.001)
    load.send_signal(signal.SIGKILL)
    load.wait()
    done("zerodb-load", *arguments, tmp_path / "a")
    assert entries(tmp_path / "a") == entries(tmp_path / "whole")


def test_memory_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "dump"
    file.write_bytes(lines_of(150_000, width=150))
    load = subprocess.Popen(
        [STAGE / "bin/zerodb-load", "-q", "--memory", "4MiB", "-f", file, tmp_path / "a"]
    )
    peak = 0
    while load.poll() is None:
        try:
            status = Path(f"/proc/{load.pid}/status").read_text()
        except OSError:
            break
        lines = [line for line in status.splitlines() if line.startswith("RssAnon:")]
        peak = max([peak, *(int(line.split()[1]) for line in lines)])
        time.sleep(0.005)
    assert load.wait() == 0
    assert 0 < peak < 24 << 10
