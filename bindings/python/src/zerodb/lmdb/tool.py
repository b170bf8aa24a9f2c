"""Basic tools for environments, as py-lmdb has them.

    copy: Copies an environment, while others write to it.
        python -m zerodb.lmdb copy -e source [--compact] target

    copyfd: Writes a copy of the data file to a descriptor.
        python -m zerodb.lmdb copyfd -e source > target/data.zdb

    drop: Deletes named databases.
        python -m zerodb.lmdb drop -e path db1

    dump: Writes databases to files in the format of cdbmake.
        python -m zerodb.lmdb dump -e path [db1=file1.cdbmake db2=file2.cdbmake]

        Without names, the main database to main.cdbmake; with --all, that and each named
        database to NAME.cdbmake.

    edit: Adds, replaces and deletes values.
        python -m zerodb.lmdb edit -e path --set key=value --set-file key=file
                   --add key=value --add-file key=file --delete key

    get: Prints values.
        python -m zerodb.lmdb get -e path [key1 key2 ...]

    readers: Prints the transactions that read; with -c, frees those of dead processes.
        python -m zerodb.lmdb readers -e path [-c]

    restore: Reads databases from files in the format of cdbmake.
        python -m zerodb.lmdb restore -e path db1=file1.cdbmake db2=file2.cdbmake

        :main: is the name of the main database.

    rewrite: Makes an environment anew, in the order of its keys.
        python -m zerodb.lmdb rewrite -e source -E target [db1 db2 ...]

        Without names, the main database.

    shell: Opens a console, in which ENV is the environment.

    stat: Prints statistics.

    verify: Checks all of an environment, while others use it.

    warm: Reads the data file, so that the system has it in memory.

    watch: Prints statistics until it is interrupted.

This is for programs that call py-lmdb's tool. zerodb(1) does more.
"""

from __future__ import annotations

import argparse
import code
import csv
import os
import pprint
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NoReturn

import zerodb.lmdb as lmdb
from zerodb._verify import verify

_MAIN = ":main:"

ENV: lmdb.Environment | None = None
"""The environment of the last command, which stays open, as py-lmdb's does."""
DB: Any = None
"""The database that its arguments named."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    global ENV, DB
    parser = make_parser()
    options, arguments = parser.parse_args(argv)
    if options.read and arguments[:1] == ["READ"]:
        # As -r was written once.
        del arguments[0]
    if not arguments:
        parser.error("please say which command; see --help")
    command = _COMMANDS.get(arguments[0])
    if command is None:
        parser.error(f"unknown command {arguments[0]!r}; see --help")
    if options.env is None:
        parser.error("please say which environment, with -e")
    options.arguments = arguments[1:]
    if ENV is not None:
        ENV.close()
    try:
        ENV = lmdb.open(
            options.env,
            map_size=options.map_size << 20,
            subdir=not options.use_single_file,
            readonly=options.read,
            max_dbs=options.max_dbs,
            create=False,
        )
        DB = (
            None if options.db is None or options.read else _named(ENV, options.db, create=True)
        )
        return command(ENV, options) or 0
    except lmdb.Error as error:
        die("%s", error)


class _Parser(argparse.ArgumentParser):
    """A parser that returns what optparse would: options and arguments."""

    def parse_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Options, and the command with its arguments."""
        options: Any = self.parse_intermixed_args(args, namespace)
        arguments = options.arguments
        del options.arguments
        return options, arguments


def make_parser() -> _Parser:
    """The parser of the command line."""
    parser = _Parser(
        prog="python -m zerodb.lmdb",
        usage="%(prog)s [options] <command>",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("arguments", nargs="*", help=argparse.SUPPRESS)
    add("-e", "--env", help="the environment")
    add("-d", "--db", help="the database (default: main)")
    add("-r", "--read", action="store_true", help="open the environment for reading only")
    add("-S", "--map_size", type=int, default=10, help="map size in megabytes (default: 10)")
    add("-s", "--use-single-file", action="store_true", help="it was made with subdir=False")
    add("-a", "--all", action="store_true", help="dump all databases")
    add("-E", "--target_env", help='the target of "rewrite"')
    add("-x", "--xxd", action="store_true", help="print values in hexadecimal")
    add("-M", "--max-dbs", type=int, default=128, help="databases at most (default: 128)")
    add("--out-fd", type=int, default=1, help='where "copyfd" writes')
    add("--compact", action="store_true", help='"copy" without free pages')
    for name in ("set", "set-file", "add", "add-file", "delete"):
        add(f"--{name}", action="append", default=[], help='for "edit"; may be repeated')
    add("-c", "--clean", action="store_true", help='"readers" frees those of dead processes')
    add("--csv", action="store_true", help='"watch" writes CSV')
    add("--interval", type=float, default=1, help='seconds of "watch" (default: 1)')
    add("--window", type=int, default=10, help='how many intervals "watch" averages')
    return parser


def die(message: str, *values: object) -> NoReturn:
    """Prints a message, formatted with %, and ends."""
    print(message % values if values else message, file=sys.stderr)
    sys.exit(1)


def _fail(message: str) -> NoReturn:
    die("%s", message)


def _to_bytes(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogateescape")


def isprint(character: str) -> bool:
    """Whether a character can be shown, the space too."""
    return character.isprintable()


def xxd(data: bytes) -> str:
    """Bytes as the program of that name prints them: sixteen on a line, in groups of two."""
    lines = []
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:07x}: {row.hex(' ', -2):39}  {shown}")
    return "\n".join(lines) + "\n"


def delta(numbers: Sequence[float]) -> list[float]:
    """The difference of each number from the one before."""
    return [later - number for number, later in zip(numbers, numbers[1:])]


# ------------------------------------------------------------------- databases


def _named(env: lmdb.Environment, name: str | None, create: bool = False) -> Any:
    """A database by its name in arguments."""
    if name is None or name == _MAIN:
        return env.open_db()
    try:
        return env.open_db(os.fsencode(name), create=create)
    except lmdb.NotFoundError:
        _fail(f"there is no database {name!r}")


def _pair(argument: str) -> tuple[str, str]:
    name, equals, value = argument.partition("=")
    if not equals:
        _fail(f"{argument!r} should be of the form NAME=VALUE")
    return name, value


def db_map_from_args(arguments: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """Databases of ENV by name, and the files for them, from NAME=FILE; without any, the main
    database."""
    assert ENV is not None
    found: dict[str, tuple[Any, str]] = {}
    for name, path in map(_pair, arguments or [f"{_MAIN}=main.cdbmake"]):
        if name in found:
            _fail(f"{name!r} is named twice")
        found[name] = _named(ENV, name), path
    return found


def _files(env: lmdb.Environment, options: Any) -> list[tuple[str, str]]:
    """Databases and their files, from the arguments."""
    if options.all:
        if options.arguments:
            _fail("--all takes no names")
        names = [os.fsdecode(name) for name in env.dbs()]
        return [(_MAIN, "main.cdbmake")] + [(name, f"{name}.cdbmake") for name in names]
    if options.arguments:
        return [_pair(argument) for argument in options.arguments]
    return [(_MAIN, "main.cdbmake")]


# -------------------------------------------------------------------- commands


def _copy(env: lmdb.Environment, options: Any) -> None:
    if len(options.arguments) != 1:
        _fail("please say where to copy to, and only that")
    target = options.arguments[0]
    if not options.use_single_file:
        if os.path.exists(target):
            _fail(f"{target} is there already")
        os.mkdir(target)
    env.copy(target, compact=options.compact)


def _copyfd(env: lmdb.Environment, options: Any) -> None:
    if options.arguments:
        _fail("copyfd takes no arguments; see --out-fd")
    env.copyfd(options.out_fd)


def _drop(env: lmdb.Environment, options: Any) -> None:
    if not options.arguments:
        _fail("please say which databases to drop")
    if _MAIN in options.arguments:
        _fail("the main database cannot be dropped")
    databases = [_named(env, name) for name in options.arguments]
    with env.begin(write=True) as txn:
        for database in databases:
            txn.drop(database)


def _dump(env: lmdb.Environment, options: Any) -> None:
    databases = [(_named(env, name), file) for name, file in _files(env, options)]
    with env.begin(buffers=True) as txn:
        for database, path in databases:
            with open(path, "wb") as file:
                count = dump_cursor_to_fp(lmdb.Cursor(database, txn), file)
            print(f"{path}: {count} entries", file=sys.stderr)


def dump_cursor_to_fp(entries: Any, file: IO[bytes]) -> int:
    """Writes what a cursor passes in the format of cdbmake; returns how many entries."""
    count = 0
    for key, value in entries:
        file.write(b"+%d,%d:%b->%b\n" % (len(key), len(value), key, value))
        count += 1
    file.write(b"\n")
    return count


def _restore(env: lmdb.Environment, options: Any) -> None:
    if not options.arguments:
        _fail("please say which databases to restore, and from which files")
    pairs = [_pair(argument) for argument in options.arguments]
    databases = [(_named(env, name, create=True), path) for name, path in pairs]
    with env.begin(write=True) as txn:
        for database, path in databases:
            with open(path, "rb") as file:
                count, _ = txn.cursor(database).putmulti(_parsed(path, file))
            print(f"{path}: {count} entries", file=sys.stderr)


def restore_cursor_from_fp(txn: Any, file: IO[bytes], db: Any) -> int:
    """Puts the entries of a file in the format of cdbmake; returns how many lines it has, with
    the one that ends it."""
    name = str(getattr(file, "name", "the file"))
    count, _ = lmdb.Cursor(db or txn.environment.open_db(None, txn), txn).putmulti(
        _parsed(name, file)
    )
    return int(count) + 1


def _parsed(path: str, file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a file in the format of cdbmake: +2,5:ab->value."""
    while True:
        start = file.read(1)
        if start in (b"\n", b""):
            return
        key_size, value_size = _number(file, b","), _number(file, b":")
        key = file.read(key_size)
        arrow = file.read(2)
        value = file.read(value_size) if arrow == b"->" else b""
        if start != b"+" or arrow != b"->" or file.read(1) != b"\n":
            _fail(f"{path}: not in the format of cdbmake, before byte {file.tell()}")
        yield key, value


def _number(file: IO[bytes], end: bytes) -> int:
    """A number and what ends it; 0 where there is none."""
    digits = b""
    while (byte := file.read(1)).isdigit() and len(digits) < 20:
        digits += byte
    return int(digits) if digits and byte == end else 0


def _edit(env: lmdb.Environment, options: Any) -> None:
    if options.arguments:
        _fail("edit takes options only, such as --set key=value")
    database = _named(env, options.db, create=True)
    changes = [(option, True) for option in options.set] + [(o, False) for o in options.add]
    files = [(option, True) for option in options.set_file]
    files += [(option, False) for option in options.add_file]
    with env.begin(write=True, db=database) as txn:
        for option, overwrite in changes:
            key, value = _pair(option)
            txn.put(os.fsencode(key), os.fsencode(value), overwrite=overwrite)
        for option, overwrite in files:
            key, path = _pair(option)
            with open(path, "rb") as file:
                txn.put(os.fsencode(key), file.read(), overwrite=overwrite)
        for key in options.delete:
            txn.delete(os.fsencode(key))


def _get(env: lmdb.Environment, options: Any) -> int:
    missing = 0
    with env.begin(db=_named(env, options.db)) as txn:
        keys = [os.fsencode(key) for key in options.arguments]
        for key in keys or list(txn.cursor().iternext(values=False)):
            value = txn.get(key)
            if value is None:
                print(f"{os.fsdecode(key)!r} is not there", file=sys.stderr)
                missing = 1
                continue
            if len(keys) != 1:
                _write(f"{os.fsdecode(key)}: ".encode("utf-8", "surrogateescape"))
            _write(xxd(value).encode() if options.xxd else value + b"\n")
    return missing


def _write(data: bytes) -> None:
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        # A program has put another in its place.
        sys.stdout.write(data.decode("utf-8", "backslashreplace"))
        return
    binary.write(data)
    binary.flush()


def _readers(env: lmdb.Environment, options: Any) -> None:
    if options.clean:
        print(f"{env.reader_check()} readers of dead processes")
    print(env.readers(), end="")


def _rewrite(env: lmdb.Environment, options: Any) -> None:
    if options.target_env is None:
        _fail("please say where to write to, with -E")
    names = options.arguments or [_MAIN]
    with (
        env.begin() as txn,
        lmdb.open(
            options.target_env, map_size=2**40, max_dbs=options.max_dbs, sync=False
        ) as target,
    ):
        for name in names:
            key = None if name == _MAIN else os.fsencode(name)
            source = env.open_db(key, txn, create=False)
            flags: dict[str, Any] = {} if key is None else dict(source.flags())
            database = target.open_db(key, **flags)
            with target.begin(write=True) as writer:
                writer.cursor(database).putmulti(lmdb.Cursor(source, txn), append=True)
        target.sync(True)


def _shell(env: lmdb.Environment, options: Any) -> None:
    code.interact(f"ENV is {env!r}", local={"ENV": env, "lmdb": lmdb})


def _stat(env: lmdb.Environment, options: Any) -> None:
    pprint.pprint(env.stat())
    pprint.pprint(env.info())
    if options.db is not None:
        with env.begin() as txn:
            pprint.pprint({options.db: txn.stat(_named(env, options.db))})


def _verify(env: lmdb.Environment, options: Any) -> int:
    problems: list[str] = []
    verify(env._call, "everything", None, 0, lambda found: problems.append(found.message), None)
    print("\n".join(problems) if problems else "verify: OK")
    return 1 if problems else 0


def _warm(env: lmdb.Environment, options: Any) -> None:
    with open(os.path.join(options.env, "data.zdb"), "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def _find_diskstat(path: str) -> str | None:
    """py-lmdb's tells of the device too; this does not."""
    return None


def _watch(env: lmdb.Environment, options: Any) -> None:
    names = ["time", "last_txnid", "txns/s", "entries", "last_pgno", "readers"]
    writer = csv.writer(sys.stdout, delimiter="," if options.csv else "\t")
    writer.writerow(names)
    history: list[tuple[float, int]] = []
    try:
        while True:
            info = env.info()
            now, txn = time.monotonic(), info["last_txnid"]
            history = [*history[-options.window :], (now, txn)]
            passed = now - history[0][0]
            rate = (txn - history[0][1]) / passed if passed else 0.0
            row = [time.strftime("%X"), txn, f"{rate:.1f}", env.stat()["entries"]]
            writer.writerow([*row, info["last_pgno"], info["num_readers"]])
            sys.stdout.flush()
            time.sleep(options.interval)
    except KeyboardInterrupt:
        pass


_COMMANDS: dict[str, Callable[[lmdb.Environment, Any], int | None]] = {
    "copy": _copy,
    "copyfd": _copyfd,
    "drop": _drop,
    "dump": _dump,
    "edit": _edit,
    "get": _get,
    "readers": _readers,
    "restore": _restore,
    "rewrite": _rewrite,
    "shell": _shell,
    "stat": _stat,
    "verify": _verify,
    "warm": _warm,
    "watch": _watch,
}


def run() -> int:
    """The program."""
    try:
        return main()
    finally:
        if ENV is not None:
            ENV.close()


if __name__ == "__main__":
    sys.exit(run())
