"""Programs that import lmdb, as users write them, run unchanged on zerodb.lmdb."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted(Path(__file__).with_name("programs").glob("*.py"))

IN_PLACE = """
import runpy, sys
import zerodb.lmdb
sys.modules["lmdb"] = zerodb.lmdb
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program for which ``import lmdb`` is zerodb.lmdb."""


def output(*command: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_same_output(tmp_path: Path, program: Path) -> None:
    pytest.importorskip("lmdb")
    expected = output(str(program), str(tmp_path / "lmdb"))
    assert expected
    assert output("-c", IN_PLACE, str(program), str(tmp_path / "zerodb")) == expected


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_runs(tmp_path: Path, program: Path) -> None:
    assert output("-c", IN_PLACE, str(program), str(tmp_path / "zerodb"))
