"""Functions of Python that the library calls while it works."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from functools import partial

from zerodb import _hints as t


class _Answer(int):
    """What a function returns to the library, told from equal arguments by its identity."""


_GO_ON = _Answer(0)
_END = _Answer(1)


class Callback:
    """What the library calls during one of its calls, on the same thread.

    An exception cannot pass through the library: it ends the work, and :meth:`check` raises it
    afterwards. That holds for the exception of a signal handler too, which may come before the
    first statement of a function in Python, and which ctypes would drop, returning any number
    to the library. A generator that waits in a try statement has no such moment, if no
    conditional jump leads back in its loops: CPython 3.13 handles signals at such a jump as if
    it were not in the try statement.
    """

    def __init__(self, kind: t.Any, body: Callable[..., object]) -> None:
        """
        :param kind: the type of the function, of ctypes.
        :param body: is called with the arguments after the context. If it returns True, the
            work ends: at once, if the last argument is a positive number, or at the next call.
        """
        self._failures: list[BaseException] = []
        guard = _guard(body, len(kind._argtypes_), self._failures)
        next(guard)
        # max() is a function in C that calls another with each argument. It returns the first
        # of those for which that returned the greatest number.
        self.function = kind(partial(max, _GO_ON, _END, key=guard.send))
        """For the library, for which it must be kept until the call has returned."""

    def during(self, call: Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        """Calls what calls the function, for :meth:`check` afterwards."""
        if sys.implementation.name == "cpython":
            return call(*arguments)
        return _undisturbed(self._failures, call, arguments)

    @property
    def failed(self) -> bool:
        """Whether the function has raised an exception."""
        return bool(self._failures)

    def check(self) -> None:
        """Raises what the function has raised."""
        if self._failures:
            raise self._failures.pop()


def _guard(
    body: Callable[..., object], count: int, failures: list[BaseException]
) -> Generator[int, t.Any, None]:
    """Gets the two answers and then the arguments of each call, and gives each a number, which
    is greatest for the one to return."""
    given: list[t.Any] = []
    try:
        while True:
            yield 0  # for the last argument of the call before
            yield 0  # for _GO_ON
            given.append((yield 0))  # for _END
            for _ in range(count - 1):
                given.append((yield 0))  # for the argument before
            if body(*given[1:]) is True or failures:
                break
            given.clear()
    except GeneratorExit:
        return  # it is collected
    except BaseException as failure:
        failures.append(failure)
    number = int(len(given) == count and isinstance(given[-1], int))
    del given
    while True:
        try:
            while True:
                number = int((yield number) is _END)
        except GeneratorExit:
            return
        except BaseException as failure:
            failures.append(failure)


def calling_back(call: Callable[..., int], function: t.Any, kind: t.Any, body: t.Any) -> int:
    """Has the library call a function of Python for each of some things.

    :param call: calls a function of the library with a handle.
    :param kind: the type of `body` for ctypes.
    :returns: the library's result.
    """
    callback = Callback(kind, body)
    code: int = callback.during(call, function, callback.function, None)
    callback.check()
    return code


def _undisturbed(
    failures: list[BaseException], call: Callable[..., t.Any], arguments: tuple[t.Any, ...]
) -> t.Any:
    """Calls a function during which signal handlers raise nothing, but have what they raise
    noted. PyPy's ctypes is in Python: what is raised in that, around a function that the
    library calls, is dropped together with the call.
    """
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return call(*arguments)  # signal handlers run in the main thread only
    handlers: dict[int, t.Any] = {}

    def handle(number: int, frame: t.Any) -> None:
        try:
            handlers[number](number, frame)
        except BaseException as failure:
            failures.append(failure)

    try:
        for number in signal.valid_signals():
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, handle)
        return call(*arguments)
    finally:
        _restore(list(handlers.items()), handle)


def _restore(handlers: list[tuple[int, t.Any]], ours: t.Any) -> None:
    import signal

    if not handlers:
        return
    try:
        number, handler = handlers.pop()
        if signal.getsignal(number) is ours:
            signal.signal(number, handler)
    finally:
        # Also if the handler that is in place again raises at once.
        _restore(handlers, ours)
