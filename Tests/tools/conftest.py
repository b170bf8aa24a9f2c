"""The installed program, and environments to try it on."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

import zerodb

STAGE = Path(os.environ["ZERODB_STAGE"])

PAGE_SIZE = 4096

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a program of the installation in the folder of the test, or another."""

    def run(
        name: str,
        *arguments: str,
        output: IO[str] | int = subprocess.PIPE,
        folder: Path = tmp_path,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [STAGE / "bin" / name, *arguments],
            cwd=folder,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed environment of a thousand entries in two databases."""
    with zerodb.open(tmp_path / "env") as environment:
        fill(environment)
    return tmp_path / "env"


def fill(environment: zerodb.Environment) -> None:
    """Puts what the tests look for."""
    with environment.begin(write=True) as transaction:
        named = transaction.db("named", create=True)
        for number in range(500):
            key = b"key%04d" % number
            transaction.put(key, b"value" * 20)
            transaction.put(key, b"other", db=named)


def leave(path: Path) -> None:
    """Makes an environment in a process that ends without closing it."""
    program = (
        "import os, sys, zerodb\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from conftest import fill\n"
        "environment = zerodb.open(sys.argv[2])\n"
        "fill(environment)\n"
        "os._exit(0)\n"
    )
    folder = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", program, folder, str(path)], check=True, timeout=60)


def leave_commits(path: Path) -> None:
    """Makes an environment and some commits, each on disk when the next begins, in a process
    that ends without closing it."""
    program = (
        "import os, sys, zerodb\n"
        "environment = zerodb.open(sys.argv[1])\n"
        "for number in range(10):\n"
        "    with environment.begin(write=True) as transaction:\n"
        "        transaction[b'key%d' % number] = b'value'\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)


def contents(path: Path) -> dict[str, bytes]:
    """All files of an environment but the one that running programs share."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != "lock.zdb"
    }


def everything(path: Path) -> dict[str, bytes]:
    """All files of an environment."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def damage(path: Path, page: int) -> None:
    """Changes a byte of a page."""
    with (path / "data.zdb").open("r+b") as file:
        file.seek(page * PAGE_SIZE + 1000)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x40]))


def damage_meta(path: Path, page: int, copies: list[int]) -> None:
    """Overwrites copies of a meta record."""
    with (path / "data.zdb").open("r+b") as file:
        for copy in copies:
            file.seek(page * PAGE_SIZE + copy * PAGE_SIZE // 2 + 100)
            file.write(b"\xff" * 40)


def used_page(path: Path) -> int:
    """A page that says that it is a leaf."""
    data = (path / "data.zdb").read_bytes()
    pages = range(2, len(data) // PAGE_SIZE)
    found = [page for page in pages if data[page * PAGE_SIZE + 24] == 2]
    return found[0]


def show(*arguments: str | Path) -> tuple[int, str]:
    """Runs a program of the installation with a terminal for its output."""
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stdout:
        result = subprocess.run(
            [STAGE / "bin" / arguments[0], *arguments[1:]],
            stdout=stdout,
            timeout=60,
            check=False,
            env={**os.environ, "TERM": "xterm"},
        )
        os.write(terminal, b"end")
        shown = b""
        while not shown.endswith(b"end"):  # A terminal hands out its output in pieces.
            shown += os.read(controller, 65536)
    os.close(controller)
    return result.returncode, shown.removesuffix(b"end").decode()
