"""The same tests for py-lmdb, where it is installed, and for zerodb.lmdb.

They are written from py-lmdb's documentation. py-lmdb passes them all, which shows that they
are right; where the two differ on purpose, a test says so with `is_zerodb`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MODULES = ["lmdb", "zerodb.lmdb"]


@pytest.fixture(params=MODULES)
def lmdb(request: pytest.FixtureRequest) -> Any:
    """The module under test, as a program that imports it would see it."""
    if request.param == "lmdb" and importlib.util.find_spec("lmdb") is None:
        pytest.skip("py-lmdb is not installed")
    return importlib.import_module(request.param)


@pytest.fixture
def is_zerodb(lmdb: Any) -> bool:
    """Whether the module is ours, for what differs on purpose."""
    return bool(lmdb.__name__ == "zerodb.lmdb")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where an environment can be made."""
    return str(tmp_path / "env")


@pytest.fixture
def env(lmdb: Any, path: str) -> Iterator[Any]:
    """An empty environment with room for some named databases."""
    environment = lmdb.open(path, max_dbs=10)
    yield environment
    environment.close()


@pytest.fixture
def txn(env: Any) -> Iterator[Any]:
    """A write transaction, aborted at the end if the test has not ended it."""
    transaction = env.begin(write=True)
    yield transaction
    transaction.abort()


@pytest.fixture
def dup(env: Any) -> Any:
    """A database whose keys may have several values."""
    return env.open_db(b"dup", dupsort=True)
