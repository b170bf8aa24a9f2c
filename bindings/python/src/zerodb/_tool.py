"""Look after ZeroDB environments with what the library does.

The commands are those of zerodb(1), with the same options, output and exit status, as far as
their work is done by the library. What takes the program itself is refused, with its name.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import zerodb
from zerodb._tool_output import (
    bytes_text,
    count_text,
    digest_text,
    name_text,
    number,
    path_text,
    prometheus_lines,
    time_text,
    without_none,
    write,
    write_json,
    write_table,
)
from zerodb._types import DatabaseFlags, DatabaseStat, Metric, Problem, VerifyReport

SUCCESS = 0
"""Done; sound, where that is asked."""
DAMAGED = 1
"""Done, and damage was found."""
NOT_DONE = 2
"""Not done: arguments, rights, a file that is no environment."""

_LISTED_MAX = 1000
_WAIT_MS = 10_000
_FLAG_NAMES = {
    "reverse_key": "reverse keys",
    "dupsort": "duplicates",
    "integer_key": "integer keys",
    "dupfixed": "duplicates of one size",
    "integer_dup": "integer duplicates",
    "reverse_dup": "reverse duplicates",
    "counted": "counted",
}
# What takes the program: commands, and options of others with their number of arguments.
_PROGRAMS = ("backup", "dump", "load")
_ELSEWHERE: dict[str, dict[str, int | str]] = {
    "check": {
        "--fix": 0,
        "--salvage": 1,
        "--list-roots": 0,
        "--backup": 1,
        "--from": 1,
        "--truncate-log": 0,
        "--lost-and-found": 0,
        "--root": 1,
    },
    "copy": {},
    "stat": {"--pages": 0, "--svg": 1, "--page": 1, "--history": 0, "--txn": 1, "--watch": "?"},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    :param argv: the arguments; None for those of the process.
    :returns: the exit status.
    """
    parser = _make_parser()
    options, unknown = parser.parse_known_args(argv)
    if options.command in _PROGRAMS:
        return _refuse(options.command, f"zerodb-{options.command}")
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    for option in _ELSEWHERE.get(options.command, {}):
        if getattr(options, _attribute(option)) is not None:
            return _refuse(options.command, f"zerodb-{options.command} {option}")
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except zerodb.Error as error:
        return _fail(options, error)
    except OSError as error:
        # What is not written must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:  # Whoever reads has enough.
            return NOT_DONE
        print(f"zerodb: cannot write the output: {error.strerror}", file=sys.stderr)
        return NOT_DONE
    return status


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m zerodb",
        description="Look after ZeroDB environments.",
        epilog="The program zerodb does more: see zerodb(1).",
    )
    version = f"zerodb {zerodb.__version__}, library {zerodb.library_version}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)

    check = _command(commands, "check", _check, "Check that an environment is sound.")
    check.add_argument("--database", metavar="name", help=_DATABASE_HELP)
    check.add_argument(
        "--quick",
        action="store_true",
        help="check the meta pages, the log, the free pages, and the names and roots of the "
        "databases only",
    )
    check.add_argument(
        "--threads",
        type=_threads,
        default=0,
        metavar="count",
        help="threads to work with, at most 64",
    )
    check.add_argument(
        "--recover",
        action="store_true",
        help="replay the log first if a program left it after a crash; this writes",
    )
    _add_quiet(check)

    copy = _command(commands, "copy", _copy, "Copy an environment while it is in use.")
    copy.add_argument("target", help="a directory that is not there or is empty; or -")
    copy.add_argument(
        "--compact",
        action="store_true",
        help="leave free pages out, and put pages in the order of their keys",
    )
    copy.add_argument(
        "--rate",
        type=_size,
        default=0,
        metavar="bytes",
        help="write so many bytes a second at most, such as 50MiB",
    )
    _add_quiet(copy)

    stat = _command(commands, "stat", _stat, "Print statistics of an environment.")
    stat.add_argument("--database", metavar="name", help="only this database")
    stat.add_argument("--readers", action="store_true", help="list the readers too")
    stat.add_argument(
        "--metrics",
        action="store_true",
        help="print the metrics of all programs that use or have used the environment, in the "
        "text format of Prometheus",
    )

    for name in _PROGRAMS:
        commands.add_parser(name, add_help=False, help=f"use the program zerodb-{name}")
    return parser


_DATABASE_HELP = "only this database, and the meta pages; an empty name is the main database"


def _command(
    commands: Any, name: str, run: Callable[[Any], int], description: str
) -> argparse.ArgumentParser:
    """A command of an environment."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        description=description,
        help=description[0].lower() + description[1:-1],
        epilog=f"zerodb-{name}(1) says more, and does more.",
        allow_abbrev=False,
    )
    command.add_argument("environment", help="the directory of the environment")
    command.add_argument("--json", action="store_true", help="print JSON")
    for option, arguments in _ELSEWHERE[name].items():
        kind: dict[str, Any] = (
            {"action": "store_const", "const": True} if arguments == 0 else {}
        )
        if arguments == "?":
            kind = {"nargs": "?", "const": True}
        command.add_argument(
            option, help=argparse.SUPPRESS, default=None, dest=_attribute(option), **kind
        )
    command.set_defaults(run=run)
    return command


def _add_quiet(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-q", "--quiet", action="store_true", help="print nothing; the exit status tells"
    )
    # The program shows on a terminal how far it is. Here that is not done.
    command.add_argument("--no-progress", action="store_true", help=argparse.SUPPRESS)


def _attribute(option: str) -> str:
    return "elsewhere_" + option.strip("-").replace("-", "_")


def _threads(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 64:
        raise argparse.ArgumentTypeError("it takes a number from 0 to 64")
    return number


def _size(text: str) -> int:
    """A number of bytes: "4096", "32MiB", "1G"."""
    digits = len(text) - len(text.lstrip("0123456789"))
    unit = text[digits:].lower()
    if unit.endswith("ib"):
        unit = unit[:-2]
    shifts = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
    if digits == 0 or unit not in shifts:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes, such as 50MiB")
    return int(text[:digits]) << shifts[unit]


# --------------------------------------------------------------------- failures


def _refuse(command: str, program: str) -> int:
    print(
        f"zerodb {command}: the Python package does not do this; use the program: {program}",
        file=sys.stderr,
    )
    return NOT_DONE


def _status(error: zerodb.Error) -> int:
    return DAMAGED if isinstance(error, zerodb.CorruptedError) else NOT_DONE


def _fail(options: Any, error: zerodb.Error) -> int:
    """Says why a command ends."""
    message = _message(error)
    path = path_text(options.environment)
    place = "" if path in message else f"{path}: "
    write(f"zerodb {options.command}: {place}{message}", sys.stderr)
    return _status(error)


def _message(error: zerodb.Error) -> str:
    return str(error.args[-1] if isinstance(error, OSError) else error.args[0])


def _open(options: Any, **more: Any) -> zerodb.Environment:
    """Opens it for reading, beside whoever uses it; nothing is made."""
    arguments: dict[str, Any] = {"read_only": True, "create": False, **more}
    return zerodb.open(options.environment, writer_wait_ms=_WAIT_MS, **arguments)


# ------------------------------------------------------------------------ check


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


def _check(options: Any) -> int:
    found = _Found()
    failure: zerodb.Error | None = None
    try:
        with _open(options, read_only=not options.recover, checksum="full") as environment:
            found.page_size = environment.info().page_size
            found.report = environment.verify(
                "headers" if options.quick else "everything",
                database=options.database,
                threads=options.threads,
                on_problem=found.add,
            )
        status = DAMAGED if found.count else SUCCESS
    except zerodb.Error as error:
        failure, status = error, _status(error)
        if not options.quiet or status == NOT_DONE:
            _fail(options, error)
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
        problems.insert(0, without_none(page=failure.page, message=_message(failure)))
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


# ------------------------------------------------------------------------- copy


def _copy(options: Any) -> int:
    is_stream = options.target == "-"
    if is_stream and sys.stdout.isatty():
        print(
            "zerodb copy: standard output is a terminal; send the copy to a file or a pipe",
            file=sys.stderr,
        )
        return NOT_DONE
    settings: dict[str, Any] = {"compact": options.compact, "bytes_per_second": options.rate}
    with _open(options) as environment:
        if is_stream:
            environment.copy_fd(sys.stdout.fileno(), **settings)
            return SUCCESS
        made = environment.copy(options.target, **settings)
    if options.quiet:
        return SUCCESS
    if options.json:
        write_json(
            {
                "environment": path_text(options.environment),
                "target": path_text(options.target),
                "transaction": made.txn_id,
                "wallClock": made.wall_clock,
                "fileSize": made.file_size,
                "bytesWritten": made.bytes_written,
                "digest": digest_text(made.digest),
                "compact": options.compact,
            }
        )
    else:
        write(
            f"{path_text(options.target)}: transaction {made.txn_id}, "
            f"{bytes_text(made.file_size)}, digest {digest_text(made.digest)}"
        )
    return SUCCESS


# ------------------------------------------------------------------------- stat


def _stat(options: Any) -> int:
    if options.metrics:
        if options.database is not None or options.readers:
            print("zerodb stat: --database and --readers go with the summary", file=sys.stderr)
            return NOT_DONE
        return _stat_metrics(options)
    try:
        with _open(options) as environment:
            return _summarize(options, environment, "open", [])
    except (zerodb.CorruptedError, zerodb.RecoveryNeededError) as error:
        failure = error
    # As recovery mode shows it: with its log replayed in memory.
    needs_recovery = isinstance(failure, zerodb.RecoveryNeededError)
    told: list[str] = []
    settings: dict[str, Any] = {
        "recovery": True,
        "on_event": lambda _, message: told.append(message),
        "event_level": "warning",
    }
    with _open(options, **settings) as environment:
        why = (
            "it was not closed cleanly; its log has been replayed in memory only"
            if needs_recovery
            else _message(failure)
        )
        state = "needs recovery" if needs_recovery else "damaged"
        _summarize(options, environment, state, [why, *told])
    return SUCCESS if needs_recovery and not told else DAMAGED


def _summarize(
    options: Any, environment: zerodb.Environment, state: str, notes: list[str]
) -> int:
    readers = environment.readers()
    info = environment.info()
    databases: list[dict[str, Any]] = []
    if options.database is None:
        databases.append(_database_result(None, environment.stat()))
    with environment.begin() as transaction:
        if options.database == "":
            databases.append(_database_result(None, transaction.stat()))
        elif options.database is not None:
            one = transaction.stat(transaction.db(options.database))
            databases.append(_database_result(options.database, one))
        else:
            named = transaction.databases()
            databases += [_database_result(name, one) for name, one in named.items()]
    snapshots = [reader.txn_id for reader in readers if reader.txn_id is not None]
    summary: dict[str, Any] = without_none(
        environment=path_text(options.environment),
        state=state,
        environmentID=info.environment_id.hex(),
        formatVersion=info.format_version,
        pageSize=info.page_size,
        fileSize=info.file_size,
        maxSize=info.max_size,
        pages=info.page_count,
        freePages=info.free_pages,
        pinnedPages=info.pinned_pages,
        transaction=info.last_txn_id,
        checkpoint=info.checkpoint_txn_id,
        logBytes=info.log_bytes,
        maxReaders=info.max_readers,
        oldestReader=min(snapshots, default=None),
        maxKeySize=info.max_key_size,
        digest=digest_text(info.digest),
        databases=databases,
        readers=[
            without_none(
                process=reader.process_id,
                thread=reader.thread,
                snapshot=reader.txn_id,
                seconds=reader.open_ns / 1e9,
            )
            for reader in readers
        ],
        notes=notes,
    )
    if options.json:
        write_json(summary)
    else:
        _write_summary(summary, options.readers)
    return SUCCESS


def _database_result(name: str | None, stat: DatabaseStat) -> dict[str, Any]:
    pages = stat.branch_pages + stat.leaf_pages + stat.overflow_pages
    return without_none(
        name=None if name is None else name_text(name.encode()),
        flags=_flag_names(stat.flags),
        depth=stat.depth,
        entries=stat.entries,
        keys=stat.keys,
        branchPages=stat.branch_pages,
        leafPages=stat.leaf_pages,
        overflowPages=stat.overflow_pages,
        bytes=pages * stat.page_size,
        digest=digest_text(stat.digest),
    )


def _flag_names(flags: DatabaseFlags) -> list[str]:
    return [name for field, name in _FLAG_NAMES.items() if getattr(flags, field)]


def _write_summary(summary: dict[str, Any], lists_readers: bool) -> None:
    state = summary["state"]
    write(summary["environment"] + ("" if state == "open" else f" ({state})"))

    def size(pages: int) -> str:
        return f"{pages} ({bytes_text(pages * summary['pageSize'])})"

    readers = f"{len(summary['readers'])} of at most {summary['maxReaders']}"
    if "oldestReader" in summary:
        readers += f", the oldest at transaction {summary['oldestReader']}"
    file_size, max_size = bytes_text(summary["fileSize"]), bytes_text(summary["maxSize"])
    form = f"version {summary['formatVersion']}, pages of {summary['pageSize']} bytes"
    write_table(
        [
            ("environment id", summary["environmentID"]),
            ("format", form),
            ("file", f"{file_size} of at most {max_size}"),
            ("pages", size(summary["pages"])),
            ("free pages", size(summary["freePages"])),
            ("waiting for a checkpoint", str(summary["pinnedPages"])),
            ("newest transaction", str(summary["transaction"])),
            ("checkpoint", f"transaction {summary['checkpoint']}"),
            ("log to replay", bytes_text(summary["logBytes"])),
            ("largest key", f"{summary['maxKeySize']} bytes"),
            ("digest", summary["digest"]),
            ("readers", readers),
        ]
    )
    if lists_readers:
        for reader in summary["readers"]:
            snapshot = reader.get("snapshot")
            shown = "no snapshot" if snapshot is None else f"transaction {snapshot}"
            write(
                f"  process {reader['process']}, thread {reader['thread']}: {shown}, "
                f"open for {int(reader['seconds'])} s"
            )
    for database in summary["databases"]:
        write(f"database {database['name']}" if "name" in database else "main database")
        rows = [("flags", ", ".join(database["flags"]))] if database["flags"] else []
        rows.append(("entries", str(database["entries"])))
        if database["keys"] != database["entries"]:
            rows.append(("keys", str(database["keys"])))
        pages = ", ".join(
            f"{database[f'{kind}Pages']} {kind}" for kind in ("branch", "leaf", "overflow")
        )
        rows += [
            ("depth", str(database["depth"])),
            ("pages", f"{pages} ({bytes_text(database['bytes'])})"),
            ("digest", database["digest"]),
        ]
        write_table(rows)
    for note in summary["notes"]:
        write(f"note: {note}")


def _stat_metrics(options: Any) -> int:
    with _open(options) as environment:
        metrics = environment.metrics()
    if options.json:
        results = [_metric_result(metric) for metric in metrics]
        write_json(
            {"environment": path_text(options.environment), "metrics": results, "notes": []}
        )
    else:
        sys.stdout.writelines(prometheus_lines(metrics, path_text(options.environment)))
    return SUCCESS


def _metric_result(metric: Metric) -> dict[str, Any]:
    label, label_value = metric.label or (None, None)
    is_histogram = metric.kind == "histogram"
    buckets = [{"bound": number(b.bound), "count": b.count} for b in metric.buckets[:-1]]
    return without_none(
        name=metric.name,
        kind=metric.kind,
        label=label,
        labelValue=label_value,
        value=number(metric.value),
        count=metric.count if is_histogram else None,
        buckets=buckets if is_histogram else None,
    )
