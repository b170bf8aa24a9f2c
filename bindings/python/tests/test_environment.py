"""Opening, describing, verifying and closing an environment."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import zerodb


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def damage_all_but_meta_pages(path: Path) -> None:
    """Overwrites the data file after its two meta pages of 4 KiB."""
    with (path / "data.zdb").open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(2 * 4096)
        file.write(b"\xa5" * (size - 2 * 4096))


def test_a_path_may_be_a_string_bytes_or_a_path_object(path: Path) -> None:
    for form in (path, str(path), os.fsencode(path)):
        with zerodb.open(form) as env:
            assert env.path == str(path)


def test_commits_are_there_when_the_environment_is_opened_again(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"value"
    with zerodb.open(path) as env, env.begin() as txn:
        assert txn[b"key"] == b"value"


def test_files_are_private_to_the_owner_by_default(path: Path) -> None:
    with zerodb.open(path):
        assert permissions(path) == 0o700
        assert {permissions(file) for file in path.iterdir() if file.is_file()} == {0o600}


def test_file_mode_gives_the_permissions_of_files_and_directory(path: Path) -> None:
    # The umask applies, as with open(); this one takes nothing away.
    umask = os.umask(0)
    try:
        with zerodb.open(path, file_mode=0o640):
            assert permissions(path) == 0o750
            assert {permissions(file) for file in path.iterdir() if file.is_file()} == {0o640}
    finally:
        os.umask(umask)


@pytest.mark.parametrize("page_size", [4096, 8192, 16384, 32768, 65536])
def test_page_size_counts_at_creation_and_bounds_keys(path: Path, page_size: int) -> None:
    with zerodb.open(path, page_size=page_size) as env:
        assert env.info().page_size == page_size
        assert env.max_key_size == page_size // 2 - 64
        assert env.info().max_key_size == env.max_key_size
        with env.begin(write=True) as txn:
            txn[b"k" * env.max_key_size] = b"v"
    with zerodb.open(path) as env:
        assert env.info().page_size == page_size
        with env.begin() as txn:
            assert txn[b"k" * env.max_key_size] == b"v"


def test_info_repeats_the_options_that_the_environment_was_opened_with(path: Path) -> None:
    with zerodb.open(
        path, max_size=1 << 30, max_txn_pages=500, max_readers=50, checksum="full"
    ) as env:
        info = env.info()
        assert info.max_size == 1 << 30
        assert info.max_txn_pages == 500
        assert info.max_readers == 50
        assert info.checksum == "full"


def test_info_repeats_the_defaults(env: zerodb.Environment) -> None:
    info = env.info()
    assert info.format_version == 1
    assert info.page_size == 4096
    assert info.max_size == 1 << 40
    assert info.max_txn_pages == 0
    assert info.max_readers == 65536
    assert info.checksum == "fast"
    assert info.databases == 0
    assert len(info.environment_id) == 16


def test_info_follows_commits_and_readers(env: zerodb.Environment) -> None:
    before = env.info()
    with env.begin() as reader:
        with env.begin(write=True) as txn:
            txn[b"key"] = b"value"
        during = env.info()
        assert during.last_txn_id == before.last_txn_id + 1
        assert during.readers == before.readers + 1
        assert during.oldest_reader_txn == reader.id
    assert env.info().readers == before.readers


@pytest.mark.parametrize("checksum", ["none", "fast", "full"])
def test_data_reads_back_under_each_checksum_mode(path: Path, checksum: Any) -> None:
    with zerodb.open(path, checksum=checksum) as env:
        assert env.info().checksum == checksum
        with env.begin(write=True) as txn:
            txn[b"key"] = b"value"
    with zerodb.open(path, checksum=checksum) as env, env.begin() as txn:
        assert txn[b"key"] == b"value"


def test_an_environment_opened_read_only_is_read_but_not_written(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"key"] = b"value"
    with zerodb.open(path, read_only=True) as env:
        with env.begin() as txn:
            assert txn[b"key"] == b"value"
        with pytest.raises(zerodb.ReadOnlyError):
            env.begin(write=True)
        with pytest.raises(zerodb.ReadOnlyError):
            env.open_db("users", create=True)


@pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
def test_opening_a_missing_environment_raises_file_not_found(
    path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        zerodb.open(path, **options)
    assert isinstance(caught.value, zerodb.PathNotFoundError)
    assert caught.value.filename == str(path)
    assert not path.exists()


def test_opening_below_a_missing_directory_raises_file_not_found(path: Path) -> None:
    with pytest.raises(zerodb.PathNotFoundError):
        zerodb.open(path / "below")


def test_opening_below_a_file_raises_not_a_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(NotADirectoryError) as caught:
        zerodb.open(file / "below")
    assert isinstance(caught.value, zerodb.PathNotADirectoryError)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_opening_in_a_directory_one_may_not_write_to_raises_permission_error(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        zerodb.open(tmp_path / "environment")
    assert isinstance(caught.value, zerodb.PathPermissionError)


def test_a_process_opens_a_path_once(env: zerodb.Environment) -> None:
    with pytest.raises(zerodb.BusyError):
        zerodb.open(env.path)
    env.close()
    zerodb.open(env.path).close()


def test_a_file_of_something_else_is_refused(path: Path) -> None:
    path.mkdir()
    (path / "data.zdb").write_bytes(b"no such thing as a database " * 1000)
    with pytest.raises(zerodb.InvalidFileError):
        zerodb.open(path)


def test_an_environment_of_lmdb_is_refused(path: Path) -> None:
    path.mkdir()
    (path / "data.mdb").write_bytes(bytes(16) + b"\xde\xc0\xef\xbe\x01\0\0\0" + bytes(8000))
    with pytest.raises(zerodb.InvalidFileError, match="zerodb-load --lmdb"):
        zerodb.open(path)
    assert [file.name for file in path.iterdir()] == ["data.mdb"]


@pytest.mark.parametrize(
    "options",
    [
        {"page_size": 5000},
        {"page_size": 2048},
        {"page_size": 131072},
        {"page_size": 4096 + (1 << 32)},
        {"page_size": -1},
        {"max_size": 4096},
        {"max_size": 1 << 64},
        {"max_readers": 1 << 32},
        {"max_txn_pages": -1},
        {"file_mode": -1},
        {"checksum": "sometimes"},
        {"durability": "utter"},
        {"durability": None},
        {"log_size": (1 << 20) - 1},
        {"log_size": (1 << 40) + 1},
        {"log_size": -1},
    ],
    ids=str,
)
def test_an_option_out_of_its_range_is_a_value_error(
    path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        zerodb.open(path, **options)
    assert isinstance(caught.value, zerodb.BadArgumentError)
    assert not path.exists()


def test_a_path_with_a_zero_byte_is_refused(path: Path) -> None:
    with pytest.raises(zerodb.BadArgumentError):
        zerodb.open(f"{path}\0suffix")


def test_options_are_numbers_not_strings(path: Path) -> None:
    with pytest.raises(TypeError):
        zerodb.open(path, page_size="4096")  # type: ignore[arg-type]


def test_stat_counts_the_entries_of_the_main_database(env: zerodb.Environment) -> None:
    assert env.stat().entries == 0
    assert env.stat().depth == 0
    with env.begin(write=True) as txn:
        for number in range(1000):
            txn[b"%06d" % number] = b"v" * 100
    stat = env.stat()
    assert stat.page_size == 4096
    assert stat.entries == 1000
    assert stat.depth >= 1
    assert stat.leaf_pages >= 1
    assert stat.overflow_pages == 0


def test_stat_of_a_named_database_counts_its_overflow_pages(env: zerodb.Environment) -> None:
    blobs = env.open_db("blobs", create=True)
    with env.begin(write=True) as txn:
        txn.put(b"key", b"v" * 100_000, db=blobs)
        assert txn.stat(blobs).entries == 1
    assert env.stat(blobs).overflow_pages >= 100_000 // 4096


def test_the_same_content_has_the_same_digest(env: zerodb.Environment, tmp_path: Path) -> None:
    items = [(b"%d" % number, bytes(number * 10)) for number in range(500)]
    with env.begin(write=True) as txn:
        assert txn.stat().digest == 0
        for key, value in items:
            txn[key] = value
    with zerodb.open(tmp_path / "other", page_size=8192) as other:
        with other.begin(write=True) as txn:
            txn[b"other"] = b"value"
            for key, value in reversed(items):
                txn[key] = value
        assert other.info().digest != env.info().digest
        with other.begin(write=True) as txn:
            del txn[b"other"]
        assert other.info().digest == env.info().digest == other.verify().digest
        with other.begin() as txn, env.begin() as of_env:
            assert 0 < txn.stat().digest == of_env.stat().digest < 1 << 128


def test_sync_succeeds_on_a_sound_environment(fruit: zerodb.Environment) -> None:
    fruit.sync()


def test_verify_finds_nothing_wrong_with_a_sound_environment(
    fruit: zerodb.Environment,
) -> None:
    users = fruit.open_db("users", create=True)
    with fruit.begin(write=True) as txn:
        txn.put(b"name", b"v" * 20_000, db=users)
    problems: list[zerodb.Problem] = []
    report = fruit.verify(on_problem=problems.append)
    assert report.sound
    assert report.problems == 0
    assert report.first_problem is None
    assert report.databases == 1
    assert report.entries >= 6
    assert report.pages >= 2
    assert problems == []


def test_verify_reports_each_problem_of_a_damaged_environment(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for number in range(1000):
            txn[b"%06d" % number] = b"v" * 100
    damage_all_but_meta_pages(path)
    with zerodb.open(path) as env:
        problems: list[zerodb.Problem] = []
        report = env.verify(on_problem=problems.append)
        assert not report.sound
        assert report.problems == len(problems) > 0
        assert report.first_problem
        assert any(problem.page is not None and problem.page >= 2 for problem in problems)
        assert all(problem.message for problem in problems)
        damaged = [problem for problem in problems if problem.kind == "checksum"]
        assert {problem.place for problem in damaged} >= {"main database"}
        assert all(problem.keys is not None for problem in damaged if problem.entries)
        assert env.verify().problems == report.problems


def test_verify_looks_at_as_much_as_it_is_told(fruit: zerodb.Environment) -> None:
    users = fruit.open_db("users", create=True)
    with fruit.begin(write=True) as txn:
        txn.put(b"name", b"v" * 20_000, db=users)
    everything = fruit.verify()
    for level in ("headers", "trees", "everything"):
        report = fruit.verify(level)
        assert report.sound
        assert report.txn_id == fruit.info().last_txn_id
        assert report.entries == everything.entries
    assert fruit.verify("trees", threads=3).tree_pages == everything.tree_pages
    assert fruit.verify("headers").digest == 0
    assert fruit.verify(database="users").entries == 1
    assert fruit.verify(database="").entries == everything.entries - 1
    with pytest.raises(zerodb.NotFoundError):
        fruit.verify(database="absent")
    with pytest.raises(zerodb.BadArgumentError):
        fruit.verify("thorough")  # type: ignore[arg-type]


def test_verify_tells_its_progress_and_ends_when_told_to(fruit: zerodb.Environment) -> None:
    progress: list[tuple[int, int]] = []
    fruit.verify(on_progress=lambda done, total: progress.append((done, total)))
    assert progress[-1] == (fruit.info().page_count,) * 2
    with pytest.raises(zerodb.OperatingSystemError) as caught:
        fruit.verify(on_progress=lambda done, total: False)
    assert caught.value.errno == errno.ECANCELED


def test_reading_a_damaged_page_raises_an_error_that_names_it(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for number in range(1000):
            txn[b"%06d" % number] = b"v" * 100
    damage_all_but_meta_pages(path)
    with zerodb.open(path) as env, env.begin() as txn:
        with pytest.raises(zerodb.CorruptedError) as caught:
            txn.get(b"000500")
        assert caught.value.page is not None
        assert caught.value.page >= 2
        assert str(caught.value.page) in str(caught.value)
        with pytest.raises(zerodb.CorruptedError):
            list(txn.items())


def test_an_exception_in_the_verify_callback_is_raised_when_verify_has_finished(
    path: Path,
) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for number in range(1000):
            txn[b"%06d" % number] = b"v" * 100
    damage_all_but_meta_pages(path)
    calls = []

    def refuse(problem: zerodb.Problem) -> None:
        calls.append(problem)
        raise LookupError("enough")

    with zerodb.open(path) as env:
        with pytest.raises(LookupError, match="enough"):
            env.verify(on_problem=refuse)
        assert len(calls) == 1


def test_the_verify_callback_cannot_close_the_environment_under_itself(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for number in range(1000):
            txn[b"%06d" % number] = b"v" * 100
    damage_all_but_meta_pages(path)
    with zerodb.open(path) as env:
        with pytest.raises(zerodb.BusyError):
            env.verify(on_problem=lambda problem: env.close())
        assert not env.closed


def test_an_environment_says_what_it_is(env: zerodb.Environment) -> None:
    assert env.path in repr(env)
    assert "open" in repr(env)
    env.close()
    assert "closed" in repr(env)
