"""The examples run, and say nothing on standard error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import IS_CPYTHON

FOLDER = Path(__file__).parents[3] / "examples" / "python"
EXAMPLES = sorted(set(FOLDER.glob("*.py")) - {FOLDER / "explore_unicode.py"})
"""All but the one that `make demo` runs, on an environment that it has made."""


NO_POOL = "a ProcessPoolExecutor of PyPy 3.9 makes no processes with `spawn`"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example(example: Path) -> None:
    if not IS_CPYTHON and sys.version_info < (3, 10) and example.stem == "parallel_totals":
        pytest.skip(NO_POOL)
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(example)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout
