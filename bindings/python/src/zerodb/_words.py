"""Messages of the library in the words of Python.

The library marks the names in a message that belong to its interface in C: flags, options and
functions. Here they become what a program in Python says for them.
"""

from __future__ import annotations

from collections.abc import Mapping

_START, _END = "\x0e", "\x0f"

NAMES = {
    "ZDB_APPENDDUP": "append=True",
    "ZDB_CLOSE_ABORT": "close()",
    "ZDB_COPY_COMPACT": "compact=True",
    "ZDB_COUNTED": "counted=True",
    "ZDB_CREATE": "create=True",
    "ZDB_CURRENT": "set_value()",
    "ZDB_DUPFIXED": "dupfixed=True",
    "ZDB_DUPSORT": "dupsort=True",
    "ZDB_INTEGERDUP": "integer_dup=True",
    "ZDB_INTEGERKEY": "integer_key=True",
    "ZDB_MULTIPLE": "an array of values",
    "ZDB_NODUPDATA": "dupdata=False",
    "ZDB_NOWAIT": "wait=0",
    "ZDB_RESERVE": "reserved room",
    "ZDB_REVERSEDUP": "reverse_dup=True",
    "ZDB_REVERSEKEY": "reverse_key=True",
    "ZDB_CHECKSUM_DEFAULT, _NONE, _FAST and _FULL": "'none', 'fast' and 'full'",
    "ZDB_DURABILITY_DEFAULT, _FULL, _RELAXED and _NONE": "'full', 'relaxed' and 'none'",
    "ZDB_LOG_DEBUG, _INFORMATION, _WARNING and _ERROR": (
        "'debug', 'information', 'warning' and 'error'"
    ),
    "ZDB_THREADS_DEFAULT": "True",
    "ZDB_THREADS_NONE": "False",
    "ZDB_VERIFY_HEADERS, _TREES and _FULL": "'headers', 'trees' and 'full'",
    "options->checksum": "checksum",
    "options->durability": "durability",
    "options->flags": "the combination of options",
    "options->level": "level",
    "options->log_level": "event_level",
    "options->recovery": "recovery",
    "options->threads": "threads",
    "zdb_db_open": "open_db()",
    "zdb_env_metrics()": "metrics()",
    "zdb_env_options": "options",
    "zdb_put": "put()",
}
"""What Python says for a name in C. Other names, as those of options, are the same in both."""


def in_words(marked: str, names: Mapping[str, str] = NAMES) -> str:
    """A message of the library in the words of Python."""
    if _START not in marked:
        return marked
    head, *rest = marked.split(_START)
    for part in rest:
        name, _, text = part.partition(_END)
        # A name that ends with a colon is the function in C that refuses, which Python shows in
        # its own way.
        head += ("" if name.endswith(": ") else names.get(name, name)) + text
    return head
