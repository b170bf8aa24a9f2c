"""The end of a with statement."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

from zerodb import _hints as t


class Entrances:
    """Counts how often a with statement has entered an object."""

    __slots__ = ("entered",)

    def __init__(self) -> None:
        self.entered = 0


_NOT_BEGUN = Entrances()


class UninterruptedExit:
    """`__exit__` of objects with `_leave`, which ends them by the type of the exception, and
    `_drop`, which ends them if that was interrupted. Their `_state` counts in `entered` the
    calls of `__enter__`.

    A with statement asks for `__exit__` before it calls `__enter__`. A function in Python can
    be interrupted by a signal handler before its first statement, and the object would stay
    open. A generator that waits in a try statement cannot.
    """

    def __get__(self, instance: t.Any, owner: type) -> t.Any:
        if instance is None:
            return _leave
        try:
            state = instance._state
        except AttributeError:
            state = _NOT_BEGUN
        guard = _guard(instance, state)
        next(guard)
        # max() is a function in C that calls another with each argument: here with the None,
        # then with type, value and traceback of the exception. It returns the None, as no
        # result is greater than the first.
        return partial(max, None, key=guard.send)


def _leave(instance: t.Any, kind: t.Any, error: t.Any, traceback: t.Any) -> None:
    """What the class has as `__exit__`, for those that call it with an instance."""
    instance.__exit__(kind, error, traceback)


def _guard(instance: t.Any, state: t.Any) -> Generator[bool, t.Any, None]:
    entered = state.entered
    is_called = is_ended = False
    try:
        yield False
        is_called = True
        kind = yield False  # the None
        instance._leave(kind)
        is_ended = True
        yield False  # the type
        yield False  # the value
        yield False  # the traceback
    finally:
        # Otherwise somebody has only looked at `__exit__`, as hasattr() does.
        if not is_ended and (is_called or state.entered != entered):
            # A second time, in case that a signal handler raises in the first.
            try:
                instance._drop()
            finally:
                instance._drop()
