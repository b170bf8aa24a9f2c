"""The mirror of zerodb.h against the header itself."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from zerodb import _abi

HEADER = Path(__file__).resolve().parents[3] / "include" / "zerodb.h"
COMPILER = shutil.which("cc")

pytestmark = pytest.mark.skipif(
    COMPILER is None or not HEADER.exists(), reason="needs a C compiler and zerodb.h"
)

STRUCTURES: dict[str, Any] = {
    "zdb_val": _abi.Val,
    "zdb_env_options": _abi.EnvOptions,
    "zdb_digest": _abi.Digest,
    "zdb_info": _abi.Info,
    "zdb_limits": _abi.Limits,
    "zdb_reader": _abi.Reader,
    "zdb_metric_bucket": _abi.MetricBucket,
    "zdb_metric": _abi.Metric,
    "zdb_txn_info": _abi.TxnInfo,
    "zdb_problem": _abi.Problem,
    "zdb_copy_options": _abi.CopyOptions,
    "zdb_copy_result": _abi.CopyResult,
    "zdb_verify_options": _abi.VerifyOptions,
    "zdb_verify_report": _abi.Report,
    "zdb_db_stat": _abi.DbStat,
}

# Names that differ from those of the header by more than the ZDB_ before them.
CONSTANTS = {
    "ABI_MAJOR": "ZDB_VERSION_MAJOR",
    **{
        name: "ZDB_" + name.replace("CURSOR_", "", 1)
        for name in vars(_abi)
        if name.startswith("CURSOR_")
    },
    "NO_PAGE": "UINT64_MAX",
    "NO_TXN": "UINT64_MAX",
}


def compile_assertions(assertions: list[str]) -> None:
    assert COMPILER is not None
    lines = ["#include <zerodb.h>"]
    lines += [f"_Static_assert({assertion}, {_quoted(assertion)});" for assertion in assertions]
    result = subprocess.run(
        [COMPILER, "-std=c11", "-fsyntax-only", f"-I{HEADER.parent}", "-x", "c", "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'") + '"'


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_are_laid_out_as_in_the_header(name: str) -> None:
    structure = STRUCTURES[name]
    assertions = [f"sizeof({name}) == {ctypes.sizeof(structure)}"]
    for field, _ in structure._fields_:
        place = getattr(structure, field)
        assertions.append(f"offsetof({name}, {field}) == {place.offset}")
        assertions.append(f"sizeof((({name} *)0)->{field}) == {place.size}")
    compile_assertions(assertions)


def test_keys_and_values_passed_in_have_the_layout_of_those_returned() -> None:
    assert ctypes.sizeof(_abi.InputVal) == ctypes.sizeof(_abi.Val)
    assert _abi.InputVal.data.offset == _abi.Val.data.offset
    assert _abi.InputVal.size.offset == _abi.Val.size.offset


def test_constants_have_the_values_of_the_header() -> None:
    constants = {
        name: value
        for name, value in vars(_abi).items()
        if name.isupper() and not name.startswith("_") and type(value) is int
    }
    assert len(constants) > 30
    compile_assertions(
        [
            f"{CONSTANTS.get(name, 'ZDB_' + name)} == {value}{'u' if value > 2**62 else ''}"
            for name, value in constants.items()
        ]
    )
