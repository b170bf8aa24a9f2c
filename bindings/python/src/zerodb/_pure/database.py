"""Databases, as the core needs them."""

from __future__ import annotations

from zerodb import _hints as t


class DatabaseCore:
    """A database of an environment."""

    __slots__ = ("__weakref__", "_flags", "_handle", "environment", "name")

    def __init__(self, environment: t.Any, handle: int, name: str | None, flags: int) -> None:
        self.environment = environment
        self.name = name
        self._handle = handle
        self._flags = flags
