"""Arguments as the library takes them."""

from __future__ import annotations

import operator
from collections.abc import Mapping

from zerodb import _abi
from zerodb import _hints as t
from zerodb._errors import BadArgumentError

CHECKSUMS = {
    "none": _abi.CHECKSUM_NONE,
    "fast": _abi.CHECKSUM_FAST,
    "full": _abi.CHECKSUM_FULL,
}
DURABILITIES = {
    "full": _abi.DURABILITY_FULL,
    "relaxed": _abi.DURABILITY_RELAXED,
    "none": _abi.DURABILITY_NONE,
}


def database_name(name: str | bytes) -> bytes:
    """The name of a database as the library takes it."""
    encoded = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    if b"\0" in encoded:
        raise BadArgumentError(f"a name holds no zero bytes: {name!r}", _abi.BAD_ARGUMENT)
    return encoded


def choice(name: str, value: str, choices: Mapping[t.Any, int]) -> int:
    """The number that stands for an option's value in the library."""
    if value not in choices:
        raise BadArgumentError(
            f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}",
            _abi.BAD_ARGUMENT,
        )
    return choices[value]


def unsigned(name: str, value: int, bits: int) -> int:
    """An option's value, which ctypes would otherwise cut to its field's width."""
    number = operator.index(value)
    if not 0 <= number < 1 << bits:
        raise BadArgumentError(
            f"{name} must be from 0 to {(1 << bits) - 1}, not {number}", _abi.BAD_ARGUMENT
        )
    return number
