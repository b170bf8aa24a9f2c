"""Environment.copy() and copy_fd()."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

import zerodb


@pytest.fixture
def full(env: zerodb.Environment) -> zerodb.Environment:
    """An environment with some entries."""
    with env.begin(write=True) as transaction:
        named = transaction.db("named", create=True)
        for number in range(2000):
            transaction.put(b"key%05d" % number, b"value" * (number % 300))
            transaction.put(b"key%05d" % number, b"other", db=named)
    return env


@pytest.mark.parametrize("compact", [False, True])
def test_a_copy_holds_the_same(full: zerodb.Environment, tmp_path: Path, compact: bool) -> None:
    result = full.copy(tmp_path / "copy", compact=compact)
    assert result.txn_id == full.info().last_txn_id
    assert result.file_size == (tmp_path / "copy" / "data.zdb").stat().st_size
    with zerodb.open(tmp_path / "copy") as copy:
        assert copy.verify().problems == 0
        assert copy.info().digest == full.info().digest == result.digest


@pytest.mark.parametrize("compact", [False, True])
def test_a_copy_goes_through_a_pipe(
    full: zerodb.Environment, tmp_path: Path, compact: bool
) -> None:
    reading, writing = os.pipe()
    target = tmp_path / "copy"
    target.mkdir()

    def receive() -> None:
        with os.fdopen(reading, "rb") as pipe:
            (target / "data.zdb").write_bytes(pipe.read())

    thread = threading.Thread(target=receive)
    thread.start()
    full.copy_fd(writing, compact=compact)
    os.close(writing)
    thread.join()
    with zerodb.open(target) as copy:
        assert copy.verify().problems == 0
        assert copy.info().digest == full.info().digest


def test_a_directory_that_is_not_empty_is_refused(
    full: zerodb.Environment, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "file").touch()
    with pytest.raises(zerodb.OperatingSystemError) as caught:
        full.copy(tmp_path / "copy")
    assert caught.value.errno == errno.ENOTEMPTY


def test_progress_may_end_a_copy_or_raise(full: zerodb.Environment, tmp_path: Path) -> None:
    with pytest.raises(zerodb.OperatingSystemError) as caught:
        full.copy(tmp_path / "copy", on_progress=lambda done, total: False)
    assert caught.value.errno == errno.ECANCELED

    def fail(done: int, total: int) -> None:
        raise KeyError(done)

    with pytest.raises(KeyError):
        full.copy(tmp_path / "other", on_progress=fail)
    # It goes on from what is there, and that opens as no environment.
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["data.zdb.new"]
    with pytest.raises(zerodb.PathNotFoundError):
        zerodb.open(tmp_path / "other", create=False)
    assert full.copy(tmp_path / "other").digest == full.info().digest
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["data.zdb"]


def test_a_path_with_a_zero_is_refused(full: zerodb.Environment) -> None:
    with pytest.raises(zerodb.BadArgumentError):
        full.copy("a\0b")


def test_a_path_is_no_descriptor_and_a_descriptor_no_path(
    env: zerodb.Environment, path: Path
) -> None:
    file = open(path.with_name("file"), "wb")  # noqa: SIM115
    with file, pytest.raises(TypeError, match="copy_fd"):
        env.copy(file.fileno())  # type: ignore[arg-type]
    assert path.with_name("file").stat().st_size == 0
    with pytest.raises(TypeError):
        env.copy_fd("name")  # type: ignore[arg-type]
    assert not os.path.exists("name")
