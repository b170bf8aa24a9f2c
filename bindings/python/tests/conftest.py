"""Fixtures that the tests share."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zerodb

IS_CPYTHON = sys.implementation.name == "cpython"


def collect() -> None:
    """Collects what is not used. PyPy takes some rounds for objects with finalizers that refer
    to one another."""
    for _ in range(1 if IS_CPYTHON else 3):
        gc.collect()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path where an environment can be made."""
    return tmp_path / "environment"


@pytest.fixture
def env(path: Path) -> Iterator[zerodb.Environment]:
    """A new environment."""
    with zerodb.open(path) as environment:
        yield environment


@pytest.fixture
def fruit(env: zerodb.Environment) -> zerodb.Environment:
    """An environment whose main database holds a few entries."""
    with env.begin(write=True) as txn:
        for key, value in FRUIT:
            txn[key] = value
    return env


FRUIT = [
    (b"apple", b"red"),
    (b"apricot", b"orange"),
    (b"banana", b"yellow"),
    (b"cherry", b"dark red"),
    (b"date", b"brown"),
]
"""The entries of `fruit`, in order."""
