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
from zerodb._tool_check import run_check
from zerodb._tool_common import NOT_DONE, SUCCESS, fail, open_environment
from zerodb._tool_output import bytes_text, digest_text, path_text, write, write_json
from zerodb._tool_stat import run_stat

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
        return fail(options, error)
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

    check = _command(commands, "check", run_check, "Check that an environment is sound.")
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

    stat = _command(commands, "stat", run_stat, "Print statistics of an environment.")
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
    with open_environment(options) as environment:
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
