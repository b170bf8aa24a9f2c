"""The exceptions."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

NAMES = [
    "BadChecksumError",
    "BadDbiError",
    "BadRslotError",
    "BadTxnError",
    "BadValsizeError",
    "CorruptedError",
    "CryptoFailError",
    "CursorFullError",
    "DbsFullError",
    "DiskError",
    "EnvEncryptionError",
    "IncompatibleError",
    "InvalidError",
    "InvalidParameterError",
    "KeyExistsError",
    "LockError",
    "MapFullError",
    "MapResizedError",
    "MemoryError",
    "NotFoundError",
    "PageFullError",
    "PageNotFoundError",
    "PanicError",
    "ProblemError",
    "ReadersFullError",
    "ReadonlyError",
    "TlsFullError",
    "TxnFullError",
    "VersionMismatchError",
]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_an_error(lmdb: Any, name: str) -> None:
    error = getattr(lmdb, name)
    assert issubclass(error, lmdb.Error)
    assert issubclass(error, Exception)
    assert error is not lmdb.Error
    assert name in lmdb.__all__


def test_they_are_different(lmdb: Any) -> None:
    classes = [getattr(lmdb, name) for name in NAMES]
    for one in classes:
        assert [other for other in classes if issubclass(one, other)] == [one]


def test_memory_error_is_not_pythons(lmdb: Any) -> None:
    assert lmdb.MemoryError is not MemoryError


def test_can_be_made_and_pickled(lmdb: Any) -> None:
    for error in (lmdb.Error("what"), lmdb.Error("what", 5), lmdb.MapFullError("what")):
        assert "what" in str(error)
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)


def raised(lmdb: Any, path: str) -> Any:
    with lmdb.open(path) as env, pytest.raises(lmdb.DbsFullError) as info:
        env.open_db(b"name")
    return info.value


def test_text_names_lmdbs_code(lmdb: Any, path: str) -> None:
    error = raised(lmdb, path)
    assert "MDB_DBS_FULL" in str(error)
    assert "max_dbs" in str(error)
    assert isinstance(error.what, str)
    assert error.code == -30791
    assert "MDB_DBS_FULL" in error.reason


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("KeyExistsError", -30799),
        ("NotFoundError", -30798),
        ("MapFullError", -30792),
        ("BadValsizeError", -30781),
        ("BadTxnError", -30782),
        ("IncompatibleError", -30784),
    ],
)
def test_codes_of_errors_that_were_raised(
    lmdb: Any, env: Any, path: str, name: str, code: int
) -> None:
    with lmdb.open(path + "2", map_size=1 << 20) as small:
        provoke = {
            "NotFoundError": lambda: env.open_db(b"none", create=False),
            "MapFullError": lambda: small.begin(write=True).put(b"a", bytes(1 << 22)),
            "BadValsizeError": lambda: env.begin(write=True).put(b"", b"1"),
            "IncompatibleError": lambda: env.begin().cursor().count(),
        }
        if name not in provoke:
            pytest.skip("no call of this library raises it without effort")
        with pytest.raises(getattr(lmdb, name)) as info:
            provoke[name]()
        assert info.value.code == code
        assert isinstance(info.value, lmdb.Error)


def test_text_of_map_full(lmdb: Any, path: str) -> None:
    with lmdb.open(path, map_size=1 << 20) as env:
        txn = env.begin(write=True)
        with pytest.raises(lmdb.MapFullError, match=r"MDB_MAP_FULL.*map_size"):
            txn.put(b"a", bytes(1 << 22))
        txn.abort()


def test_text_of_an_ended_object(lmdb: Any, env: Any) -> None:
    txn = env.begin()
    txn.abort()
    with pytest.raises(lmdb.Error) as info:
        txn.get(b"a")
    assert info.value.code == 0


def test_wrong_numbers(lmdb: Any, path: str) -> None:
    with pytest.raises(lmdb.InvalidParameterError):
        lmdb.open(path, max_readers=0)
    with pytest.raises(OverflowError):
        lmdb.version(lib_version=-1)


def test_numbers_of_transactions_begin_with_0(lmdb: Any, path: str) -> None:
    with lmdb.open(path) as env:
        assert env.info()["last_txnid"] == 0
        with env.begin() as txn:
            assert txn.id() == 0
        with env.begin(write=True) as txn:
            assert txn.id() == 1
            txn.put(b"a", b"1")
        assert env.info()["last_txnid"] == 1


def test_keys_of_several_sizes_are_not_joined(lmdb: Any, path: str) -> None:
    with lmdb.open(path, max_dbs=1) as env:
        db = env.open_db(b"fixed", dupsort=True, dupfixed=True)
        with env.begin(write=True, db=db) as txn:
            txn.put(b"a", b"1")
            txn.put(b"bb", b"2")
            with pytest.raises(ValueError):  # noqa: PT011
                txn.cursor().getmulti([b"a", b"bb"], True, 1, True)
