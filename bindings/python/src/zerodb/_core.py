"""The core: the classes that do the work of single calls, in one of two implementations.

`zerodb._native` is an extension in C, in which such a call has no Python frame. `zerodb._pure`
does the same in Python on ctypes, wherever the extension is not, as on PyPy. Both have
`EnvironmentCore`, `TransactionCore`, `CursorCore` and `DatabaseCore`, from which the public
classes derive. What is called rarely is written once, in those, on top of `_call()` of the
core.
"""

from __future__ import annotations

import os
import sys

from zerodb import _ffi
from zerodb import _hints as t

TYPE_CHECKING = False

_VARIABLE = "ZERODB_IMPLEMENTATION"

implementation: t.Implementation

if TYPE_CHECKING:
    from zerodb._native import CursorCore as CursorCore
    from zerodb._native import DatabaseCore as DatabaseCore
    from zerodb._native import EnvironmentCore as EnvironmentCore
    from zerodb._native import TransactionCore as TransactionCore


def _choose() -> t.Implementation:
    """The implementation that the user asks for, or the faster one that is there."""
    asked = os.environ.get(_VARIABLE)
    if asked == "ctypes":
        return "ctypes"
    if asked not in (None, "", "native"):
        raise ImportError(f"{_VARIABLE} must be 'native' or 'ctypes', not {asked!r}")
    if asked != "native" and sys.implementation.name != "cpython":
        return "ctypes"
    try:
        from zerodb import _native
    except ImportError as error:
        if asked == "native":
            raise ImportError(
                f"{_VARIABLE} is 'native', and this package has no extension for this Python: "
                f"{error}"
            ) from error
        return "ctypes"
    _native._bind(_ffi.addresses(_native._functions))
    return "native"


implementation = _choose()
if implementation == "native":
    from zerodb._native import CursorCore, DatabaseCore, EnvironmentCore, TransactionCore
elif not TYPE_CHECKING:
    from zerodb._pure import CursorCore, DatabaseCore, EnvironmentCore, TransactionCore

__all__ = ["CursorCore", "DatabaseCore", "EnvironmentCore", "TransactionCore", "implementation"]
