"""The exceptions."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

import zerodb
from zerodb._errors import error_from_code

CLASSES = {
    -1: zerodb.KeyExistsError,
    -2: zerodb.NotFoundError,
    -3: zerodb.CorruptedError,
    -4: zerodb.VersionMismatchError,
    -5: zerodb.InvalidFileError,
    -6: zerodb.FullError,
    -7: zerodb.TransactionFullError,
    -8: zerodb.ReadersFullError,
    -9: zerodb.BadTransactionError,
    -10: zerodb.BadHandleError,
    -11: zerodb.BadDatabaseError,
    -12: zerodb.BadValueSizeError,
    -13: zerodb.IncompatibleError,
    -14: zerodb.ReadOnlyError,
    -15: zerodb.BusyError,
    -16: zerodb.ForkedError,
    -17: zerodb.PanicError,
    -18: zerodb.BadArgumentError,
    -19: zerodb.BadCursorError,
    -20: zerodb.UnsupportedError,
    -21: zerodb.NotSortedError,
    -22: zerodb.RecoveryNeededError,
}


@pytest.mark.parametrize("code", CLASSES)
def test_each_code_of_the_library_has_its_class_and_text(code: int) -> None:
    error = error_from_code(code)
    assert type(error) is CLASSES[code]
    assert error.code == code
    assert str(error)


def test_a_code_of_a_later_library_is_an_error_still() -> None:
    error = error_from_code(-9999)
    assert type(error) is zerodb.Error
    assert error.code == -9999


@pytest.mark.parametrize(
    ("code", "standard", "ours"),
    [
        (errno.ENOENT, FileNotFoundError, zerodb.PathNotFoundError),
        (errno.ENOTDIR, NotADirectoryError, zerodb.PathNotADirectoryError),
        (errno.EACCES, PermissionError, zerodb.PathPermissionError),
        (errno.EPERM, PermissionError, zerodb.PathPermissionError),
        (errno.ENOSPC, OSError, zerodb.OperatingSystemError),
        (errno.EIO, OSError, zerodb.OperatingSystemError),
    ],
)
def test_errors_of_the_operating_system_are_os_errors(
    code: int, standard: type[OSError], ours: type[zerodb.OperatingSystemError]
) -> None:
    error = error_from_code(code, "some/path")
    assert type(error) is ours
    assert isinstance(error, standard)
    assert isinstance(error, zerodb.Error)
    assert error.errno == error.code == code
    assert error.filename == "some/path"
    assert error.strerror
    assert str(error)


def test_an_error_carries_the_message_of_the_library(path: Path) -> None:
    with pytest.raises(zerodb.PathNotFoundError) as caught:
        zerodb.open(path, create=False)
    assert str(path) in str(caught.value)
    assert caught.value.message == str(caught.value)
    assert caught.value.page is None


def test_the_text_of_a_missing_key_is_a_sentence_not_its_representation(
    env: zerodb.Environment,
) -> None:
    with env.begin() as txn, pytest.raises(zerodb.NotFoundError) as caught:
        txn[b"key"]
    assert not str(caught.value).startswith("'")


def test_errors_survive_pickling(path: Path) -> None:
    with pytest.raises(zerodb.PathNotFoundError) as caught:
        zerodb.open(path, create=False)
    for error in (caught.value, zerodb.CorruptedError("corrupted page 7", -3, 7)):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert (copy.code, copy.page) == (error.code, error.page)
        assert getattr(copy, "filename", None) == getattr(error, "filename", None)


def test_a_failure_does_not_colour_the_next_one(env: zerodb.Environment) -> None:
    with env.begin() as txn:
        with pytest.raises(zerodb.BadValueSizeError):
            txn.get(b"k" * (env.max_key_size + 1))
        with pytest.raises(zerodb.NotFoundError) as caught:
            txn[b"missing"]
        assert caught.value.code == -2
        assert txn.get(b"missing") is None
