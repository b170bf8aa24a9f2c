"""The command `check` of :mod:`zerodb._tool`."""

from __future__ import annotations

from typing import Any

import zerodb
from zerodb._tool_common import (
    DAMAGED,
    NOT_DONE,
    SUCCESS,
    fail,
    message_of,
    open_environment,
    status_of,
)
from zerodb._tool_output import (
    bytes_text,
    count_text,
    digest_text,
    name_text,
    path_text,
    time_text,
    without_none,
    write,
    write_json,
)
from zerodb._types import Problem, VerifyReport

_LISTED_MAX = 1000


class _Found:
    """What a check has found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.count = 0
        self.parts: dict[tuple[str, bytes | None], list[int]] = {}
        self.report: VerifyReport | None = None
        self.page_size = 0

    def add(self, problem: Problem) -> None:
        """Lists a problem, or counts it."""
        self.count += 1
        part = self.parts.setdefault((problem.place, problem.database), [0, 0, 0])
        part[0] += 1
        entries = problem.entries or 0
        if problem.kind == "count" and problem.page is None:
            part[1] = max(part[1], entries)
        else:
            part[2] += entries
        if len(self.problems) < _LISTED_MAX:
            self.problems.append(problem)


def run_check(options: Any) -> int:
    """Runs it. :returns: the exit status."""
    found = _Found()
    failure: zerodb.Error | None = None
    try:
        with open_environment(
            options, read_only=not options.recover, checksum="full"
        ) as environment:
            found.page_size = environment.info().page_size
            found.report = environment.verify(
                "headers" if options.quick else "everything",
                database=options.database,
                threads=options.threads,
                on_problem=found.add,
            )
        status = DAMAGED if found.count else SUCCESS
    except zerodb.Error as error:
        failure, status = error, status_of(error)
        if not options.quiet or status == NOT_DONE:
            fail(options, error)
    if not options.quiet:
        if options.json:
            write_json(_check_result(options, found, failure, status))
        else:
            _write_check(options, found)
    return status


def _check_result(
    options: Any, found: _Found, failure: zerodb.Error | None, status: int
) -> dict[str, Any]:
    report = found.report
    problems = [_problem_result(problem) for problem in found.problems]
    if isinstance(failure, zerodb.CorruptedError):
        problems.insert(0, without_none(page=failure.page, message=message_of(failure)))
    counts = {
        "pages": "pages",
        "treePages": "tree_pages",
        "overflowPages": "overflow_pages",
        "freePages": "free_pages",
        "databases": "databases",
        "entries": "entries",
        "logRecords": "log_records",
        "logBytes": "log_bytes",
    }
    return {
        **without_none(
            environment=path_text(options.environment),
            state=("sound", "damaged", "unchecked")[status],
            checked=("headers" if options.quick else "everything") if report else None,
            transaction=report.txn_id if report else None,
            digest=digest_text(report.digest) if report and report.digest else None,
        ),
        **{name: getattr(report, field, 0) for name, field in counts.items()},
        "problemCount": found.count + isinstance(failure, zerodb.CorruptedError),
        "problems": problems,
        "damaged": [
            without_none(
                place=place,
                database=None if database is None else name_text(database),
                problems=problems_,
                entries=max(missing, affected) or None,
            )
            for (place, database), (problems_, missing, affected) in found.parts.items()
        ],
        "advice": [_ADVICE] if status == DAMAGED else [],
    }


_ADVICE = "zerodb-check says what can be done, and does it with --fix or --salvage."


def _problem_result(problem: Problem) -> dict[str, Any]:
    low, high = problem.keys or (None, None)
    return without_none(
        kind=problem.kind,
        place=problem.place,
        database=None if problem.database is None else name_text(problem.database),
        page=problem.page,
        **{"from": None if low is None else name_text(low)},
        to=None if high is None else name_text(high),
        entries=problem.entries,
        transaction=problem.txn_id,
        committed=None if problem.wall_clock is None else time_text(problem.wall_clock),
        message=problem.message,
    )


def _write_check(options: Any, found: _Found) -> None:
    for problem in found.problems:
        write(problem.message)
    if found.count > len(found.problems):
        write(f"… and {count_text(found.count - len(found.problems), 'more problem')}")
    report = found.report
    if report is not None:
        size = bytes_text(report.pages * found.page_size)
        parts = [
            f"{path_text(options.environment)}: transaction {report.txn_id}",
            f"{count_text(report.pages, 'page')} ({size})",
            count_text(report.databases, "named database"),
            count_text(report.entries, "entry", "entries"),
        ]
        if report.log_records:
            records = count_text(report.log_records, "transaction")
            parts.append(f"{records} in the log ({bytes_text(report.log_bytes)})")
        if report.digest:
            parts.append(f"digest {digest_text(report.digest)}")
        write(", ".join(parts))
    if found.count:
        write(f"It is damaged: {count_text(found.count, 'problem')}.")
        write(f"- {_ADVICE}")
    elif report is not None:
        write("It is sound.")
