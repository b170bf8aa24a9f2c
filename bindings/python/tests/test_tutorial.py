"""The code of the tutorial runs, and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.M | re.S)


def test_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "tutorial"}
    printed = ""
    blocks = BLOCK.findall(TUTORIAL.read_text())
    assert len(blocks) > 10
    for language, text in blocks:
        if language == "text":
            assert printed == text
            printed = ""
            continue
        assert printed == "", "the tutorial does not show this output"
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(text, f"{TUTORIAL.name}: {text[:40]!r}", "exec"), names)
        printed = output.getvalue()
    assert printed == ""
