"""Functions of a program that the library calls while it works."""

from __future__ import annotations

from collections.abc import Callable


class Progress:
    """Calls a function that is told of progress, and keeps what it raises.

    An exception cannot pass through the library: it ends the work, and is raised afterwards.
    """

    def __init__(self, on_progress: Callable[[int, int], object] | None) -> None:
        self._on_progress = on_progress
        self.failure: BaseException | None = None

    def report(self, _: object, done: int, total: int) -> int:
        """What the library calls: 0 to go on, 1 to end."""
        if self.failure is not None:
            return 1
        if self._on_progress is None:
            return 0
        try:
            return 1 if self._on_progress(done, total) is False else 0
        except BaseException as failure:
            self.failure = failure
            return 1
