"""lmdb.open() and all its arguments."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

FLAG_DEFAULTS = {
    "subdir": True,
    "readonly": False,
    "metasync": True,
    "sync": True,
    "map_async": False,
    "readahead": True,
    "writemap": False,
    "meminit": True,
    "lock": True,
}


def put(env: Any, key: bytes, value: bytes) -> None:
    with env.begin(write=True) as txn:
        txn.put(key, value)


def get(env: Any, key: bytes) -> Any:
    with env.begin() as txn:
        return txn.get(key)


def test_open_is_the_class(lmdb: Any) -> None:
    assert lmdb.open is lmdb.Environment


def test_defaults(lmdb: Any, path: str) -> None:
    with lmdb.open(path) as env:
        assert env.info()["map_size"] == 10485760
        assert env.max_readers() == 126
        assert env.flags() == FLAG_DEFAULTS


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("metasync", False),
        ("sync", False),
        ("readahead", False),
        ("meminit", False),
        ("lock", False),
        ("writemap", True),
    ],
)
def test_flags_tell_what_was_given(lmdb: Any, path: str, option: str, value: bool) -> None:
    with lmdb.open(path, **{option: value}) as env:
        assert env.flags() == {**FLAG_DEFAULTS, option: value}
        put(env, b"a", b"1")
        assert get(env, b"a") == b"1"


def test_map_async(lmdb: Any, path: str) -> None:
    with lmdb.open(path, writemap=True, map_async=True) as env:
        assert env.flags()["map_async"]
        put(env, b"a", b"1")
        env.sync(True)
    with lmdb.open(path) as env:
        assert get(env, b"a") == b"1"


def test_all_arguments_by_position(lmdb: Any, path: str) -> None:
    arguments = [path, 1 << 21, True, False, False, False, False, 0o700, True]
    with lmdb.open(*arguments, False, False, False, 50, 3, 1, False) as env:
        assert env.info()["map_size"] == 1 << 21
        assert env.flags() == {
            **FLAG_DEFAULTS,
            "metasync": False,
            "sync": False,
            "readahead": False,
            "meminit": False,
            "lock": False,
        }
        for name in (b"1", b"2", b"3"):
            env.open_db(name)
        with pytest.raises(lmdb.DbsFullError):
            env.open_db(b"4")


def test_unknown_argument(lmdb: Any, path: str) -> None:
    with pytest.raises(TypeError):
        lmdb.open(path, no_such_option=1)


def test_no_path(lmdb: Any) -> None:
    with pytest.raises(TypeError):
        lmdb.open()


def test_path_of_wrong_type(lmdb: Any) -> None:
    with pytest.raises(TypeError):
        lmdb.open(5)


def test_path_as_bytes(lmdb: Any, path: str) -> None:
    with lmdb.open(path.encode()) as env:
        assert env.path() == path


def test_path_that_is_not_ascii(lmdb: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "Überraschung")
    with lmdb.open(path) as env:
        assert env.path() == path
        put(env, b"a", b"1")
    with lmdb.open(path) as env:
        assert get(env, b"a") == b"1"


def test_entries_are_there_when_opened_again(lmdb: Any, path: str) -> None:
    with lmdb.open(path) as env:
        put(env, b"a", b"1")
    with lmdb.open(path) as env:
        assert get(env, b"a") == b"1"


def test_same_environment_twice(lmdb: Any, path: str) -> None:
    with lmdb.open(path), pytest.raises(lmdb.Error):
        lmdb.open(path)
    lmdb.open(path).close()


def test_same_environment_by_another_name(lmdb: Any, tmp_path: Path) -> None:
    os.symlink("env", tmp_path / "link")
    with lmdb.open(str(tmp_path / "env")), pytest.raises(lmdb.Error):
        lmdb.open(str(tmp_path / "link"))


def test_makes_the_directory(lmdb: Any, path: str) -> None:
    lmdb.open(path).close()
    assert os.path.isdir(path)


def test_makes_no_parents(lmdb: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lmdb.open(str(tmp_path / "a" / "b"))


def test_directory_that_is_there(lmdb: Any, path: str) -> None:
    os.mkdir(path)
    with lmdb.open(path) as env:
        put(env, b"a", b"1")


def test_create_false_without_a_directory(lmdb: Any, path: str) -> None:
    with pytest.raises(lmdb.Error) as raised:
        lmdb.open(path, create=False)
    assert raised.value.code == 2
    assert not os.path.exists(path)


def test_create_false_with_a_directory(lmdb: Any, path: str) -> None:
    os.mkdir(path)
    with lmdb.open(path, create=False) as env:
        put(env, b"a", b"1")


def test_readonly_of_a_missing_environment(lmdb: Any, path: str) -> None:
    with pytest.raises(lmdb.Error) as raised:
        lmdb.open(path, readonly=True)
    assert raised.value.code == 2
    assert not os.path.exists(path)


def test_readonly_of_an_empty_directory(lmdb: Any, path: str) -> None:
    os.mkdir(path)
    with pytest.raises(lmdb.Error):
        lmdb.open(path, readonly=True)


@pytest.mark.parametrize("lock", [True, False])
def test_readonly_reads_and_does_not_write(lmdb: Any, path: str, lock: bool) -> None:
    with lmdb.open(path) as env:
        put(env, b"a", b"1")
    with lmdb.open(
        path, readonly=True, lock=lock, readahead=False, meminit=False, max_readers=1
    ) as env:
        assert env.flags()["readonly"]
        assert get(env, b"a") == b"1"
        with pytest.raises(lmdb.ReadonlyError):
            env.begin(write=True)
        with env.begin() as txn, pytest.raises(lmdb.ReadonlyError):
            txn.put(b"b", b"2")


def test_readonly_opens_named_databases(lmdb: Any, path: str) -> None:
    with lmdb.open(path, max_dbs=2) as env:
        db = env.open_db(b"name")
        with env.begin(write=True, db=db) as txn:
            txn.put(b"a", b"1")
    with lmdb.open(path, max_dbs=2, readonly=True) as env:
        db = env.open_db(b"name")
        with env.begin(db=db) as txn:
            assert txn.get(b"a") == b"1"
        with pytest.raises(lmdb.ReadonlyError):
            env.open_db(b"other")
        with pytest.raises(lmdb.NotFoundError):
            env.open_db(b"other", create=False)


@pytest.mark.parametrize(("mode", "file_mode"), [(0o755, 0o644), (0o700, 0o600)])
def test_mode(lmdb: Any, path: str, mode: int, file_mode: int) -> None:
    before = os.umask(0)
    try:
        lmdb.open(path, mode=mode).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == mode
    files = [entry for entry in Path(path).iterdir() if entry.name.startswith("data.")]
    assert files
    for entry in files:
        assert stat.S_IMODE(entry.stat().st_mode) == file_mode


def test_subdir_false(lmdb: Any, path: str) -> None:
    with lmdb.open(path, subdir=False) as env:
        assert env.path() == path
        assert not env.flags()["subdir"]
        put(env, b"a", b"1")
    assert os.path.exists(path)
    with lmdb.open(path, subdir=False, readonly=True) as env:
        assert get(env, b"a") == b"1"


def test_subdir_false_readonly_of_a_missing_environment(lmdb: Any, path: str) -> None:
    with pytest.raises(lmdb.Error):
        lmdb.open(path, subdir=False, readonly=True)


def test_a_file_in_the_way(lmdb: Any, path: str) -> None:
    Path(path).write_bytes(b"something else")
    with pytest.raises((lmdb.Error, OSError)):
        lmdb.open(path)
    with pytest.raises(lmdb.Error):
        lmdb.open(path, subdir=False)


def test_directory_of_the_other_kind(lmdb: Any, path: str, is_zerodb: bool) -> None:
    """A file that is no environment is refused, and left as it is."""
    os.mkdir(path)
    name = "data.zdb" if is_zerodb else "data.mdb"
    Path(path, name).write_bytes(b"no database" * 1000)
    with pytest.raises(lmdb.InvalidError):
        lmdb.open(path)
    assert Path(path, name).read_bytes() == b"no database" * 1000


def test_file_of_another_kind(lmdb: Any, path: str) -> None:
    for content in (b"A" * 8192, b"short"):
        Path(path).write_bytes(content)
        with pytest.raises(lmdb.InvalidError):
            lmdb.open(path, subdir=False)
        assert Path(path).read_bytes() == content


def test_version_of_the_library_is_not_negative(lmdb: Any, path: str) -> None:
    with pytest.raises(OverflowError):
        lmdb.open(path, lib_version=-1)


def test_max_readers_is_told(lmdb: Any, path: str) -> None:
    with lmdb.open(path, max_readers=5) as env:
        assert env.max_readers() == 5
        assert env.info()["max_readers"] == 5


def test_max_readers_limits_readers(lmdb: Any, path: str) -> None:
    with lmdb.open(path, max_readers=2) as env:
        first, second = env.begin(), env.begin()
        with pytest.raises(lmdb.ReadersFullError):
            env.begin()
        first.abort()
        second.abort()


def test_max_spare_txns(lmdb: Any, path: str) -> None:
    with lmdb.open(path, max_spare_txns=4) as env:
        put(env, b"a", b"1")
        for _ in range(10):
            assert get(env, b"a") == b"1"


@pytest.mark.parametrize("option", [*FLAG_DEFAULTS, "create", "max_readers", "max_spare_txns"])
def test_none_is_the_default(lmdb: Any, path: str, option: str) -> None:
    with lmdb.open(path, **{option: None}) as env:
        assert env.flags() == FLAG_DEFAULTS
        assert env.max_readers() == 126
        put(env, b"a", b"1")
        assert get(env, b"a") == b"1"


@pytest.mark.parametrize("option", ["map_size", "max_readers", "max_dbs"])
def test_numbers_are_not_negative(lmdb: Any, path: str, option: str) -> None:
    with pytest.raises((OverflowError, ValueError)):
        lmdb.open(path, **{option: -1})


def test_an_lmdb_environment_is_refused_with_advice(tmp_path: Path) -> None:
    """ZeroDB reads no data.mdb; it says how to import it."""
    real = pytest.importorskip("lmdb")
    ours = pytest.importorskip("zerodb.lmdb")
    directory, file = str(tmp_path / "directory"), str(tmp_path / "file")
    for target, subdir in ((directory, True), (file, False)):
        with real.open(target, subdir=subdir) as env:
            put(env, b"a", b"1")
        for options in ({}, {"readonly": True, "lock": False}):
            with pytest.raises(ours.InvalidError, match="zerodb-load --lmdb"):
                ours.open(target, subdir=subdir, **options)
    assert sorted(os.listdir(directory)) == ["data.mdb", "lock.mdb"]


def open_together(lmdb: Any, path: str, together: Any, problems: Any, subdir: bool) -> None:
    """Opens an environment at the moment at which others do, and puts an entry."""
    try:
        together.wait(30)
        with lmdb.open(path, subdir=subdir) as env:
            put(env, b"%d" % os.getpid(), b"1")
    except Exception as problem:
        problems.put(repr(problem))


def put_from_processes(lmdb: Any, path: str, subdir: bool) -> None:
    """Opens an environment in four processes at one moment; each puts an entry."""
    context = multiprocessing.get_context("fork")
    problems = context.SimpleQueue()
    together = context.Barrier(4)
    processes = [
        context.Process(target=open_together, args=(lmdb, path, together, problems, subdir))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert problems.empty(), problems.get()


@pytest.mark.parametrize("subdir", [True, False])
def test_processes_that_open_a_new_environment_at_one_moment(
    lmdb: Any, tmp_path: Path, subdir: bool
) -> None:
    for number in range(12):
        path = str(tmp_path / f"env{number}")
        put_from_processes(lmdb, path, subdir)
        with lmdb.open(path, subdir=subdir) as env:
            assert env.stat()["entries"] == 4


def test_processes_that_open_a_copy_at_one_moment(lmdb: Any, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"copy{number}") for number in range(8)]
    with lmdb.open(str(tmp_path / "source")) as env:
        put(env, b"a", b"1")
        for path in paths:
            with open(path, "wb") as file:
                env.copyfd(file.fileno())
    for path in paths:
        put_from_processes(lmdb, path, subdir=False)
        with lmdb.open(path, subdir=False) as env:
            assert env.stat()["entries"] == 5


def test_a_lock_that_somebody_keeps_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may read a directory may lock it."""
    import zerodb.lmdb as ours
    from zerodb.lmdb import _paths

    copy = str(tmp_path / "copy")
    with ours.open(str(tmp_path / "source")) as env, open(copy, "wb") as file:
        put(env, b"a", b"1")
        env.copyfd(file.fileno())
    monkeypatch.setattr(_paths, "_WAIT_SECONDS", 0.1)
    parent = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(parent, fcntl.LOCK_EX)
    try:
        with ours.open(str(tmp_path / "new")) as env:
            put(env, b"a", b"1")
        with pytest.raises(ours.LockError):
            ours.open(copy, subdir=False)
    finally:
        os.close(parent)
    with ours.open(copy, subdir=False) as env:
        assert get(env, b"a") == b"1"


@pytest.mark.parametrize("is_moved", [True, False])
def test_a_copy_that_a_killed_program_was_moving_is_there(
    tmp_path: Path, is_moved: bool
) -> None:
    import zerodb.lmdb as ours

    copy = tmp_path / "copy"
    with ours.open(str(tmp_path / "source")) as env, open(copy, "wb") as file:
        put(env, b"a", b"1")
        env.copyfd(file.fileno())
    moving = tmp_path / ".copy.moving"
    moving.mkdir()
    if is_moved:
        copy.rename(moving / "data.zdb")
    with ours.open(str(copy), subdir=False) as env:
        assert get(env, b"a") == b"1"
    assert not moving.exists()


def test_a_copy_is_not_moved_where_somebody_else_may_have_it(tmp_path: Path) -> None:
    import zerodb.lmdb as ours

    copy = tmp_path / "copy"
    with ours.open(str(tmp_path / "source")) as env, open(copy, "wb") as file:
        put(env, b"a", b"1")
        env.copyfd(file.fileno())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".copy.moving").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ours.Error):
        ours.open(str(copy), subdir=False)
    assert copy.is_file()
    assert list((tmp_path / "elsewhere").iterdir()) == []
