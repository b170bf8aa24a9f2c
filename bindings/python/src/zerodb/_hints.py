"""The names in annotations, as ``t.Any`` after ``from zerodb import _hints as t``.

They are looked up when somebody asks for them, as `typing.get_type_hints()` does. Importing
`typing` takes as long as all of this package.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any as Any
    from typing import Callable as Callable
    from typing import ClassVar as ClassVar

    from zerodb._environment import Environment as Environment
    from zerodb._transaction import Transaction as Transaction
    from zerodb._types import Buffer as Buffer
    from zerodb._types import Checksum as Checksum
    from zerodb._types import CompactResult as CompactResult
    from zerodb._types import CopyResult as CopyResult
    from zerodb._types import DatabaseFlags as DatabaseFlags
    from zerodb._types import DatabaseStat as DatabaseStat
    from zerodb._types import Durability as Durability
    from zerodb._types import EnvironmentInfo as EnvironmentInfo
    from zerodb._types import EventLevel as EventLevel
    from zerodb._types import Implementation as Implementation
    from zerodb._types import Item as Item
    from zerodb._types import Limits as Limits
    from zerodb._types import Metric as Metric
    from zerodb._types import MetricKind as MetricKind
    from zerodb._types import OpenTransaction as OpenTransaction
    from zerodb._types import Problem as Problem
    from zerodb._types import ProblemKind as ProblemKind
    from zerodb._types import ProblemPlace as ProblemPlace
    from zerodb._types import Reader as Reader
    from zerodb._types import Result as Result
    from zerodb._types import Target as Target
    from zerodb._types import VerifyLevel as VerifyLevel
    from zerodb._types import VerifyReport as VerifyReport
    from zerodb._types import WalkStart as WalkStart
else:

    def __getattr__(name):
        if name.startswith("__"):
            raise AttributeError(name)  # not one of those
        import typing

        import zerodb
        from zerodb import _types

        for module in (_types, zerodb, typing):
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
