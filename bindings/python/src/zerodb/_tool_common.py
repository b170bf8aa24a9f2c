"""What the commands of :mod:`zerodb._tool` share: opening, failures and exit statuses."""

from __future__ import annotations

import sys
from typing import Any

import zerodb
from zerodb._tool_output import path_text, write

SUCCESS = 0
"""Done; sound, where that is asked."""
DAMAGED = 1
"""Done, and damage was found."""
NOT_DONE = 2
"""Not done: arguments, rights, a file that is no environment."""

_WAIT_MS = 10_000


def status_of(error: zerodb.Error) -> int:
    """The exit status of a command that an error ends."""
    return DAMAGED if isinstance(error, zerodb.CorruptedError) else NOT_DONE


def fail(options: Any, error: zerodb.Error) -> int:
    """Says why a command ends."""
    message = message_of(error)
    path = path_text(options.environment)
    place = "" if path in message else f"{path}: "
    write(f"zerodb {options.command}: {place}{message}", sys.stderr)
    return status_of(error)


def message_of(error: zerodb.Error) -> str:
    """What an error says, without its number."""
    return str(error.args[-1] if isinstance(error, OSError) else error.args[0])


def open_environment(options: Any, **more: Any) -> zerodb.Environment:
    """Opens it for reading, beside whoever uses it; nothing is made."""
    arguments: dict[str, Any] = {"read_only": True, "create": False, **more}
    return zerodb.open(options.environment, writer_wait_ms=_WAIT_MS, **arguments)
