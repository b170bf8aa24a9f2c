"""Messages and docstrings in the words of Python."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest

import zerodb
import zerodb.lmdb
from conftest import collect
from zerodb._words import NAMES, in_words

SOURCES = Path(__file__).resolve().parents[3] / "Sources"
OF_C = re.compile(r"[Zz][Dd][Bb]_|[\x00-\x1f]|->|struct|NULL|RDONLY")
"""What no message for a program in Python says."""


def failures(env: zerodb.Environment) -> Iterator[Callable[[], Any]]:
    """Calls that fail, each in another way."""
    path = Path(env.path)
    for options in (
        {"page_size": 5000},
        {"max_size": 1},
        {"max_txn_memory": 1},
        {"log_size": 1},
        {"max_readers": 1 << 31},
        {"file_mode": 0o7},
        {"auto_compact_percent": 100},
        {"archive": b""},
        {"archive": b"x", "archive_log_kept": 1},
        {"recovery_root": 5},
        {"checksum": "some"},
        {"durability": "some"},
        {"event_level": "loud"},
        {"page_size": 1 << 40},
        {"create": False},
        {"read_only": True},
    ):
        yield partial(zerodb.open, path.parent / "other", **options)
    (path.parent / "file").touch()
    yield lambda: zerodb.open(path.parent / "file")
    yield lambda: zerodb.open(path.parent / "absent" / "environment")
    yield lambda: zerodb.open(path.parent / "nul\0")
    yield lambda: zerodb.open(path)
    yield lambda: env.open_db("missing")
    yield lambda: env.open_db("")
    yield lambda: env.open_db("n" * 600)
    for flags in (
        {"integer_key": True, "reverse_key": True},
        {"integer_dup": True, "reverse_dup": True, "dupsort": True},
        {"integer_dup": True, "dupsort": True},
        {"dupfixed": True},
        {"integer_dup": True},
        {"reverse_dup": True},
    ):
        yield partial(env.open_db, "flags", True, None, **flags)
    yield lambda: env.open_db("dup", integer_key=True)
    yield lambda: env.open_db(None, dupsort=True)
    yield lambda: env.begin(durability="full")
    yield lambda: env.metric("no such metric")
    yield lambda: env.verify(level="deep")  # type: ignore[arg-type]
    yield lambda: env.verify(threads=65)
    yield lambda: env.copy(path)
    yield lambda: env.copy_fd(99)


def failures_in(
    env: zerodb.Environment, txn: zerodb.Transaction, gone: zerodb.Database
) -> Iterator[Callable[[], Any]]:
    """The same in a transaction."""
    plain, dup = env.open_db("plain"), env.open_db("dup")
    fixed, integers = env.open_db("fixed"), env.open_db("integers")
    cursor = txn.cursor(plain)
    keys = [b"", b"k" * 3000]
    for key in keys:
        yield partial(txn.get, key)
        yield partial(txn.__getitem__, key)
        yield partial(txn.put, key, b"v")
        yield partial(txn.delete, key)
        yield partial(txn.put_many, [(key, b"v")])
        yield partial(txn.get_many, [key])
        yield partial(cursor.seek, key)
    yield lambda: txn[b"missing"]
    yield lambda: txn.__delitem__(b"missing")
    yield lambda: txn.put(b"k", b"v", db=plain, append=True)
    yield lambda: txn.put(b"k", b"v", db=plain, dupdata=False)
    yield lambda: txn.put(b"k", b"v" * 3000, db=dup)
    yield lambda: txn.put(b"k", b"1234567", db=fixed)
    yield lambda: txn.put(b"k", b"v", db=integers)
    yield lambda: txn.put(b"12345", b"v", db=integers)
    yield lambda: txn.put_many([(b"a", b"v")], db=plain, append=True)
    yield lambda: txn.rank(b"k", plain)
    yield lambda: txn.split(0, db=plain)
    yield lambda: txn.split(2, db=plain)
    yield lambda: txn.compare_values(b"a", b"b", plain)
    yield lambda: txn.drop(txn.db(None))
    yield lambda: txn.rename(plain, "dup")
    yield lambda: txn.stat(gone)
    for move in (
        "count",
        "delete",
        "first_dup",
        "last_dup",
        "next_dup",
        "prev_dup",
        "next_nodup",
        "prev_nodup",
    ):
        if hasattr(cursor, move):
            yield getattr(cursor, move)
            yield getattr(txn.cursor(dup), move)
    yield lambda: cursor.set_value(b"v")
    yield lambda: cursor.delete(dupdata=True)
    yield lambda: env.begin(write=True)
    yield lambda: env.checkpoint()
    yield lambda: env.compact()


def message_of(call: Callable[[], Any]) -> str | None:
    """What a failing call says; None if it does not fail."""
    try:
        made = call()
    except (zerodb.Error, zerodb.lmdb.Error) as error:
        return str(error)
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(made, zerodb.Environment):
        made.close()
    return None


@pytest.fixture
def databases(env: zerodb.Environment) -> zerodb.Environment:
    """An environment with various databases."""
    with env.begin(write=True) as txn:
        plain = txn.db("plain", create=True)
        txn.put(b"k", b"v", db=plain)
        txn.put(b"k", b"v", db=txn.db("dup", create=True, dupsort=True))
        txn.put(b"k", b"1234", db=txn.db("fixed", create=True, dupsort=True, dupfixed=True))
        txn.put(b"1234", b"v", db=txn.db("integers", create=True, integer_key=True))
    return env


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_message_has_names_of_the_c_interface(databases: zerodb.Environment) -> None:
    messages = [message_of(call) for call in failures(databases)]
    gone = databases.open_db("gone", create=True)
    with databases.begin(write=True) as txn:
        txn.drop(gone)
    for write in (False, True):
        collect()  # transactions that failing calls have begun
        txn = databases.begin(write=write)
        messages += [message_of(call) for call in failures_in(databases, txn, gone)]
        txn.abort()
        messages += [message_of(partial(txn.get, b"k")), message_of(txn.commit)]
    databases.close()
    messages.append(message_of(databases.info))
    said = [message for message in messages if message]
    assert len(said) > 60
    assert [message for message in said if OF_C.search(message)] == []


def test_no_message_of_zerodb_lmdb_has_names_of_the_c_interface(path: Path) -> None:
    env = zerodb.lmdb.open(str(path), max_dbs=2, map_size=1 << 20)
    messages = []
    for call in (
        lambda: env.open_db(b"missing", create=False),
        lambda: env.open_db(b"a") and env.open_db(b"b") and env.open_db(b"c"),
        lambda: zerodb.lmdb.open(str(path) + "/missing", create=False),
    ):
        messages.append(message_of(call))
    with env.begin() as txn:
        messages.append(message_of(lambda: txn.put(b"k", b"v")))
        messages.append(message_of(lambda: txn.get(b"")))
    with pytest.raises(zerodb.lmdb.MapFullError) as full, env.begin(write=True) as txn:
        for number in range(1000):
            txn.put(b"%d" % number, bytes(4000))
    assert "map_size" in str(full.value)
    assert "max_size" not in str(full.value)
    messages.append(str(full.value))
    env.close()
    said = [message for message in messages if message]
    assert len(said) == len(messages)
    assert [message for message in said if OF_C.search(message)] == []


def test_messages_say_what_a_program_in_python_says(databases: zerodb.Environment) -> None:
    with pytest.raises(zerodb.NotFoundError, match=r'"missing" .* with create=True to make it'):
        databases.open_db("missing")
    with databases.begin() as txn:
        with pytest.raises(zerodb.IncompatibleError, match="without counted=True"):
            txn.rank(b"k", databases.open_db("plain"))
        with pytest.raises(zerodb.ReadOnlyError, match="begin one that writes"):
            txn.put(b"k", b"v")


def test_a_key_error_shows_the_key(fruit: zerodb.Environment) -> None:
    db = fruit.open_db(None)
    with fruit.begin(write=True) as txn:
        for call in (
            lambda: txn[b"fig\xff"],
            lambda: txn.__delitem__(b"fig\xff"),
            lambda: txn[memoryview(b"fig\xff")],
        ):
            with pytest.raises(KeyError) as caught:
                call()
            assert isinstance(caught.value, zerodb.NotFoundError)
            assert str(caught.value) == r"the database has no key b'fig\xff'"
    for of_database in (
        lambda: db[b"fig"],
        lambda: db.__delitem__(b"fig"),
        lambda: db.pop(b"fig"),
    ):
        with pytest.raises(KeyError, match="no key b'fig'"):
            of_database()


def test_each_name_in_the_messages_of_the_library_has_words_in_python() -> None:
    names = set()
    for source in [*SOURCES.glob("ZeroDB/**/*.swift"), *SOURCES.glob("CZeroDBABI/*.swift")]:
        names |= set(re.findall(r'\\\(c: "([^"]+)"\)', source.read_text(encoding="utf-8")))
    of_c = {name for name in names if OF_C.search(name)}
    assert of_c
    assert of_c - set(NAMES) - {"ZDB_X"} == set()


def test_names_are_put_into_messages() -> None:
    marked = "\x0ezdb_put: \x0fuse \x0eZDB_CREATE\x0f or \x0emax_size\x0f"
    assert in_words(marked) == "use create=True or max_size"
    assert in_words("plain") == "plain"


def modules() -> Iterator[Any]:
    yield zerodb
    for found in pkgutil.walk_packages(zerodb.__path__, "zerodb."):
        if found.name in (
            "zerodb.arrow",
            "zerodb.prometheus",
            "zerodb.lmdb.__main__",
            "zerodb.libzerodb",
        ):
            continue
        if "._" not in found.name:
            yield importlib.import_module(found.name)


def test_no_docstring_has_names_of_the_c_interface() -> None:
    found = []
    for module in modules():
        for name, thing in vars(module).items():
            if name.startswith("_") or not str(getattr(thing, "__module__", "")).startswith(
                "zerodb"
            ):
                continue
            inner = [getattr(thing, part, None) for part in dir(thing)]
            for documented in (thing, *inner):
                if re.search("zdb_|ZDB_", inspect.getdoc(documented) or ""):
                    found.append((module.__name__, name, documented))
    assert found == []
