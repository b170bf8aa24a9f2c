"""Verifying environments."""

from __future__ import annotations

from collections.abc import Callable

from zerodb import _abi, _ffi
from zerodb import _hints as t
from zerodb._arguments import choice, database_name, unsigned
from zerodb._callbacks import Callback
from zerodb._errors import error_from_code
from zerodb._words import in_words

_LEVELS: dict[t.VerifyLevel, int] = {
    "headers": _abi.VERIFY_HEADERS,
    "trees": _abi.VERIFY_TREES,
    "everything": _abi.VERIFY_FULL,
}
_PROBLEM_KINDS: dict[int, t.ProblemKind] = {
    _abi.PROBLEM_META: "meta",
    _abi.PROBLEM_CHECKSUM: "checksum",
    _abi.PROBLEM_LOST_WRITE: "lost write",
    _abi.PROBLEM_MISPLACED: "misplaced",
    _abi.PROBLEM_UNREADABLE: "unreadable",
    _abi.PROBLEM_STRUCTURE: "structure",
    _abi.PROBLEM_ORDER: "order",
    _abi.PROBLEM_REFERENCE: "reference",
    _abi.PROBLEM_COUNT: "count",
    _abi.PROBLEM_DIGEST: "digest",
    _abi.PROBLEM_FREE_PAGES: "free pages",
    _abi.PROBLEM_LOG: "log",
}
_PROBLEM_PLACES: dict[int, t.ProblemPlace] = {
    _abi.PLACE_ENVIRONMENT: "environment",
    _abi.PLACE_MAIN_DB: "main database",
    _abi.PLACE_NAMED_DB: "named database",
    _abi.PLACE_CATALOG: "catalog",
    _abi.PLACE_FREE_PAGES: "free pages",
    _abi.PLACE_LOG: "log",
}


def verify(
    call: Callable[..., int],
    level: t.VerifyLevel,
    database: str | bytes | None,
    threads: int,
    on_problem: Callable[[t.Problem], object] | None,
    on_progress: Callable[[int, int], object] | None,
) -> t.VerifyReport:
    """What Environment.verify() does.

    :param call: calls a function of the library with the environment's handle.
    """

    def report_problem(problem: t.Any) -> None:
        if on_problem is not None:
            on_problem(_problem(problem.contents))

    def report_progress(done: int, total: int) -> bool:
        if problems.failed:
            return True
        return on_progress is not None and on_progress(done, total) is False

    problems = Callback(_abi.ProblemFunction, report_problem)
    progress = Callback(_abi.ProgressFunction, report_progress)
    options = _ffi.sized(_abi.VerifyOptions)
    options.level = choice("level", level, _LEVELS)
    options.threads = unsigned("threads", threads, 32)
    if database is not None:
        options.database = database_name(database)
    if on_problem is not None:
        options.on_problem = problems.function
    if on_problem is not None or on_progress is not None:
        options.on_progress = progress.function
    raw = _ffi.sized(_abi.Report)
    code = problems.during(call, _ffi.env_verify, _ffi.reference(options), _ffi.reference(raw))
    problems.check()
    progress.check()
    if code != _abi.OK and not (code == _abi.CORRUPTED and raw.problems > 0):
        raise error_from_code(code)
    from zerodb._types import VerifyReport

    return VerifyReport(
        txn_id=raw.txn_id,
        pages=raw.pages,
        tree_pages=raw.tree_pages,
        overflow_pages=raw.overflow_pages,
        free_pages=raw.free_pages,
        entries=raw.entries,
        databases=raw.databases,
        log_records=raw.log_records,
        log_bytes=raw.log_bytes,
        problems=raw.problems,
        digest=int(raw.digest),
        first_problem=None if code == _abi.OK else in_words(_ffi.last_failure(code)[0]),
    )


def _problem(raw: t.Any) -> t.Problem:
    """A problem as the library passes it, for a program to keep."""
    place = _PROBLEM_PLACES.get(raw.place, "environment")
    from zerodb._types import Problem

    return Problem(
        kind=_PROBLEM_KINDS.get(raw.kind, "structure"),
        place=place,
        page=None if raw.page == _abi.NO_PAGE else raw.page,
        database=_ffi.val_bytes(raw.database) if place == "named database" else None,
        keys=((_ffi.val_bytes(raw.low), _ffi.val_bytes(raw.high)) if raw.has_range else None),
        entries=raw.entries or None,
        txn_id=raw.txn_id or None,
        wall_clock=raw.wall_clock or None,
        message=raw.message.decode("utf-8", "replace"),
    )
