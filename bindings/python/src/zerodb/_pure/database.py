"""Databases, as the core needs them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class DatabaseCore:
    """A database of an environment."""

    __slots__ = ("__weakref__", "_flags", "_handle", "environment", "name")

    def __init__(self, environment: Any, handle: int, name: str | None, flags: int) -> None:
        self.environment = environment
        self.name = name
        self._handle = handle
        self._flags = flags
