"""What a signal handler cannot cut short."""

from __future__ import annotations

import _thread
from typing import Callable


def uninterrupted(work: Callable[[], object]) -> None:
    """Calls a function in a thread of its own, where no signal handler runs, and waits for it.

    What a signal handler raises meanwhile, such as KeyboardInterrupt, is raised when the
    function has returned; or at once, if it has not been called yet, and then it is not. A
    second interrupt may end the wait. The function still runs to its end then.
    """
    # Whoever takes this first decides whether the function is called.
    claim = _thread.allocate_lock()
    finished = _thread.allocate_lock()
    finished.acquire()
    ended: list[BaseException | None] = []

    def run() -> None:
        if not claim.acquire(False):
            return
        try:
            work()
            ended.append(None)
        except BaseException as error:
            ended.append(error)
        finally:
            finished.release()

    interrupt: BaseException | None = None
    try:
        _thread.start_new_thread(run, ())
    except BaseException as error:
        # There is no thread, or a signal handler has raised when there was one.
        if claim.acquire(False):
            raise
        interrupt = error
    while not ended:
        try:
            finished.acquire()
        except BaseException as error:
            interrupt = error
    failure = ended.pop()
    try:
        if interrupt is not None:
            raise interrupt from failure
        if failure is not None:
            raise failure
    finally:
        # They refer to this frame.
        del interrupt, failure
