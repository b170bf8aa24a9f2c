"""What tools find in annotations."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import zerodb

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 10), reason="Python 3.9 cannot evaluate `X | None`"
)
MODULES = ["zerodb", "zerodb.aio", "zerodb.lmdb", "zerodb.lmdb.aio", "zerodb.prometheus"]


def annotated(module: Any) -> Iterator[Any]:
    """The classes and functions of a module that are public, with all that they have."""
    for name in dir(module):
        thing = getattr(module, name)
        if name.startswith("_") or not getattr(thing, "__module__", "").startswith("zerodb"):
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield thing
        if inspect.isclass(thing):
            for _, found in inspect.getmembers(thing):
                function = found.fget if isinstance(found, property) else found
                if inspect.isfunction(function) or inspect.ismethod(function):
                    yield function


@pytest.mark.parametrize("name", MODULES)
def test_the_annotations_of_all_that_is_public_can_be_evaluated(name: str) -> None:
    found = list(annotated(importlib.import_module(name)))
    assert found
    for thing in found:
        typing.get_type_hints(thing)


def test_annotations_say_the_types_of_the_package() -> None:
    assert typing.get_type_hints(zerodb.Environment.info)["return"] is zerodb.EnvironmentInfo
    assert typing.get_type_hints(zerodb.Environment.open_db)["return"] is zerodb.Database
    hints = typing.get_type_hints(zerodb.open)
    assert hints["return"] is zerodb.Environment
    assert hints["durability"] == zerodb.Durability


def test_annotations_can_be_evaluated_in_whatever_order_modules_are_imported() -> None:
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; import zerodb; assert 'typing' not in "
        "sys.modules; import typing; print(typing.get_type_hints(zerodb.Environment.info))"
    )
    result = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert "EnvironmentInfo" in result.stdout
