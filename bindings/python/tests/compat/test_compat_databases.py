"""Named databases."""

from __future__ import annotations

from typing import Any

import pytest

NO_FLAGS = {
    "reverse_key": False,
    "dupsort": False,
    "integerkey": False,
    "integerdup": False,
    "dupfixed": False,
}


def test_main_database(lmdb: Any, env: Any) -> None:
    main = env.open_db()
    assert isinstance(main, lmdb._Database)
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
    for db in (main, env.open_db(None), env.open_db(key=None)):
        with env.begin() as txn:
            assert txn.get(b"a", db=db) == b"1"


def test_databases_are_apart(env: Any) -> None:
    first, second = env.open_db(b"first"), env.open_db(b"second")
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1", db=first)
        txn.put(b"a", b"2", db=second)
        txn.put(b"b", b"2", db=second)
    with env.begin() as txn:
        assert txn.get(b"a", db=first) == b"1"
        assert txn.get(b"a", db=second) == b"2"
        assert txn.get(b"a") is None
        assert txn.stat(first)["entries"] == 1
        assert txn.stat(db=second)["entries"] == 2


def test_default_database_of_a_transaction(env: Any) -> None:
    db = env.open_db(b"name")
    with env.begin(db=db, write=True) as txn:
        txn.put(b"a", b"1")
        txn.put(b"main", b"0", db=env.open_db(txn=txn))
        assert txn.stat()["entries"] == 1
        assert list(txn.cursor()) == [(b"a", b"1")]
        assert txn.replace(b"a", b"2") == b"1"
        assert txn.pop(b"a") == b"2"
        txn.put(b"b", b"1")
        assert txn.delete(b"b") is True
    with env.begin() as txn:
        assert txn.get(b"a") is None
        assert txn.get(b"main") == b"0"


def test_database_in_every_method(env: Any) -> None:
    db = env.open_db(b"name")
    with env.begin(write=True) as txn:
        assert txn.put(b"a", b"1", db=db)
        assert txn.get(b"a", db=db) == b"1"
        assert txn.replace(b"a", b"2", db=db) == b"1"
        assert txn.replace(b"a", b"3", db) == b"2"
        assert txn.cursor(db).get(b"a") == b"3"
        assert txn.cursor(db=db).get(b"a") == b"3"
        assert txn.pop(b"a", db=db) == b"3"
        txn.put(b"a", b"1", True, True, False, db)
        assert txn.get(b"a", None, db) == b"1"
        assert txn.delete(b"a", b"", db) is True


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, {}),
        ({"reverse_key": True}, {"reverse_key": True}),
        ({"dupsort": True}, {"dupsort": True}),
        ({"integerkey": True}, {"integerkey": True}),
        ({"dupsort": True, "dupfixed": True}, {"dupsort": True, "dupfixed": True}),
        ({"dupfixed": True}, {"dupsort": True, "dupfixed": True}),
        (
            {"integerdup": True},
            {"dupsort": True, "dupfixed": True, "integerdup": True},
        ),
        (
            {"dupsort": True, "integerkey": True, "reverse_key": False},
            {"dupsort": True, "integerkey": True},
        ),
    ],
)
def test_flags(lmdb: Any, path: str, options: Any, flags: Any) -> None:
    with lmdb.open(path, max_dbs=1) as env:
        db = env.open_db(b"name", **options)
        assert db.flags() == {**NO_FLAGS, **flags}
        with env.begin() as txn:
            assert db.flags(txn) == {**NO_FLAGS, **flags}
    with lmdb.open(path, max_dbs=1) as env:
        assert env.open_db(b"name").flags() == {**NO_FLAGS, **flags}


def test_flags_of_the_main_database(env: Any) -> None:
    assert env.open_db().flags() == NO_FLAGS


def test_main_database_has_no_flags(env: Any) -> None:
    with pytest.raises(ValueError, match="main database"):
        env.open_db(None, dupsort=True)


def test_flags_are_ignored_for_a_database_that_exists(env: Any) -> None:
    env.open_db(b"name")
    assert env.open_db(b"name", dupsort=True).flags() == NO_FLAGS
    env.open_db(b"dup", dupsort=True)
    assert env.open_db(b"dup").flags()["dupsort"]
    assert env.open_db(b"dup", integerkey=True).flags() == {**NO_FLAGS, "dupsort": True}


def test_create_false(lmdb: Any, env: Any) -> None:
    with pytest.raises(lmdb.NotFoundError):
        env.open_db(b"name", create=False)
    env.open_db(b"name")
    assert env.open_db(b"name", create=False)


def test_open_by_position(env: Any) -> None:
    db = env.open_db(b"name", None, False, True, True, False, False, True)
    assert db.flags() == {**NO_FLAGS, "dupsort": True, "dupfixed": True}


def test_made_in_a_transaction(env: Any) -> None:
    with env.begin(write=True) as txn:
        db = env.open_db(b"name", txn=txn)
        txn.put(b"a", b"1", db=db)
    with env.begin(db=db) as txn:
        assert txn.get(b"a") == b"1"


def test_gone_if_its_transaction_aborts(lmdb: Any, env: Any) -> None:
    txn = env.begin(write=True)
    env.open_db(b"name", txn=txn)
    txn.abort()
    with pytest.raises(lmdb.NotFoundError):
        env.open_db(b"name", create=False)
    with env.begin() as reader:
        assert env.dbs(reader) == []


def test_opened_in_a_read_transaction(lmdb: Any, env: Any) -> None:
    env.open_db(b"name")
    with env.begin() as txn:
        assert env.open_db(b"name", txn=txn)
        with pytest.raises(lmdb.ReadonlyError):
            env.open_db(b"other", txn=txn)
        with pytest.raises(lmdb.NotFoundError):
            env.open_db(b"other", txn=txn, create=False)


def test_open_in_a_transaction_that_has_ended(lmdb: Any, env: Any, is_zerodb: bool) -> None:
    if not is_zerodb:
        pytest.skip("py-lmdb 3.0.0 ends in a segmentation fault")
    txn = env.begin(write=True)
    txn.commit()
    with pytest.raises(lmdb.Error):
        env.open_db(b"name", txn=txn)


def test_names_are_bytes(env: Any) -> None:
    with pytest.raises(TypeError):
        env.open_db("name")


def test_names_are_contiguous(env: Any) -> None:
    assert env.open_db(memoryview(b"name")).flags()
    with pytest.raises(BufferError):
        env.open_db(memoryview(b"n-a-m-e")[::2])
    assert env.dbs() == [b"name"]


def test_none_is_the_default_of_open_db_and_drop(lmdb: Any, env: Any) -> None:
    db = env.open_db(b"name", None, None, None, None, None, None, None)
    assert not any(db.flags().values())
    with env.begin(write=True) as txn:
        txn.drop(db, None)
    with pytest.raises(lmdb.NotFoundError):
        env.open_db(b"name", create=False)


@pytest.mark.parametrize("name", [b"a b", "é".encode(), b"\xff\xfe", b"x" * 200])
def test_names(env: Any, name: bytes) -> None:
    db = env.open_db(name)
    with env.begin(write=True, db=db) as txn:
        txn.put(b"a", b"1")
    assert env.dbs() == [name]
    with env.begin(db=env.open_db(name, create=False)) as txn:
        assert txn.get(b"a") == b"1"


def test_without_max_dbs(lmdb: Any, path: str) -> None:
    with lmdb.open(path) as env:
        with pytest.raises(lmdb.DbsFullError):
            env.open_db(b"name")
        assert env.open_db()


def test_max_dbs(lmdb: Any, path: str) -> None:
    with lmdb.open(path, max_dbs=2) as env:
        env.open_db(b"1")
        env.open_db(b"2")
        env.open_db(b"1")
        with pytest.raises(lmdb.DbsFullError):
            env.open_db(b"3")
        env.open_db(b"2")
        env.open_db()
    with lmdb.open(path, max_dbs=3) as env:
        env.open_db(b"3")


def test_handle_of_another_environment(lmdb: Any, env: Any, path: str) -> None:
    with lmdb.open(path + "2", max_dbs=1) as other:
        db = other.open_db(b"name")
        with env.begin() as txn:
            use: Any
            for use in (
                lambda: txn.get(b"a", db=db),
                lambda: txn.cursor(db),
                lambda: txn.stat(db),
            ):
                with pytest.raises(lmdb.Error):
                    use()
        with pytest.raises(lmdb.Error):
            env.begin(db=db)


def test_drop_keeps_an_empty_database(env: Any) -> None:
    db = env.open_db(b"name", dupsort=True)
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1", db=db)
        assert txn.drop(db, delete=False) is None
        assert txn.stat(db)["entries"] == 0
        txn.put(b"b", b"1", db=db)
    assert env.dbs() == [b"name"]
    with env.begin(db=db) as txn:
        assert list(txn.cursor()) == [(b"b", b"1")]


def test_drop_deletes(lmdb: Any, env: Any) -> None:
    db = env.open_db(b"name")
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1", db=db)
        txn.drop(db)
        with pytest.raises(lmdb.Error):
            txn.get(b"a", db=db)
    assert env.dbs() == []
    with pytest.raises(lmdb.NotFoundError):
        env.open_db(b"name", create=False)


def test_made_anew_after_drop(env: Any) -> None:
    db = env.open_db(b"name", dupsort=True)
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1", db=db)
        txn.drop(db)
    db = env.open_db(b"name")
    assert db.flags() == NO_FLAGS
    with env.begin(write=True, db=db) as txn:
        assert txn.get(b"a") is None
        txn.put(b"a", b"2")
    with env.begin(db=db) as txn:
        assert txn.get(b"a") == b"2"


def test_drop_of_the_main_database_empties_it(env: Any) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
    with env.begin(write=True) as txn:
        txn.drop(env.open_db(txn=txn), delete=False)
        assert txn.stat()["entries"] == 0
    assert env.stat()["entries"] == 0


def test_drop_and_abort(env: Any) -> None:
    db = env.open_db(b"name")
    with env.begin(write=True, db=db) as txn:
        txn.put(b"a", b"1")
    txn = env.begin(write=True)
    txn.drop(db, delete=False)
    txn.abort()
    with env.begin(db=db) as txn:
        assert txn.get(b"a") == b"1"


def test_reader_keeps_what_was_dropped(env: Any) -> None:
    db = env.open_db(b"name")
    with env.begin(write=True, db=db) as txn:
        txn.put(b"a", b"1")
    with env.begin(db=db) as reader:
        with env.begin(write=True) as txn:
            txn.drop(db, delete=False)
        assert reader.get(b"a") == b"1"


def test_names_in_the_main_database(env: Any) -> None:
    """Programs list databases by going through the main one."""
    names = [b"b", b"a", b"c"]
    for name in names:
        env.open_db(name)
    assert env.dbs() == sorted(names)
    with env.begin() as txn:
        assert [key for key, _ in txn.cursor()] == sorted(names)
        assert list(txn.cursor().iternext(values=False)) == sorted(names)
        assert list(txn.cursor().iterprev(values=False)) == sorted(names, reverse=True)
        assert txn.stat()["entries"] == 3
        assert txn.cursor().set_key(b"b")
        assert len(txn.cursor().get(b"b")) == 48
        assert env.open_db(txn.cursor().getmulti([b"b"], values=False)[0], txn=txn)


def test_names_among_the_keys_of_the_main_database(lmdb: Any, env: Any) -> None:
    for name in (b"b", b"d", b"f"):
        env.open_db(name)
    everything = [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]
    with env.begin(write=True) as txn:
        for key in (b"a", b"c", b"e", b"g"):
            txn.put(key, b"value of " + key)
        cursor = txn.cursor()
        assert list(cursor.iternext(values=False)) == everything
        assert cursor.item() == (b"", b"")
        assert list(cursor.iterprev(values=False)) == everything[::-1]
        assert cursor.set_range(b"bb") is True
        assert cursor.item() == (b"c", b"value of c")
        assert cursor.prev() is True
        assert cursor.key() == b"b"
        assert cursor.prev() is True
        assert cursor.key() == b"a"
        assert cursor.prev() is False
        assert cursor.next() is True
        assert cursor.key() == b"b"
        assert list(cursor.iternext(values=False)) == everything[1:]
        assert cursor.set_range(b"h") is False
        assert cursor.prev() is True
        assert cursor.key() == b"g"
        assert cursor.next() is False
        assert cursor.next() is False
        assert cursor.set_key(b"c") is True
        assert cursor.delete() is True
        assert cursor.key() == b"d"
        assert cursor.put(b"cc", b"1") is True
        assert cursor.next() is True
        assert cursor.key() == b"d"
        assert txn.stat()["entries"] == 7
        assert cursor.pop(b"e") == b"value of e"
        assert cursor.key() == b"f"
        assert cursor.replace(b"a", b"2") == b"value of a"


def test_a_name_cannot_be_deleted_by_a_cursor(lmdb: Any, env: Any) -> None:
    env.open_db(b"name")
    txn = env.begin(write=True)
    cursor = txn.cursor()
    cursor.first()
    with pytest.raises(lmdb.IncompatibleError):
        cursor.delete()
    txn.abort()
    assert env.dbs() == [b"name"]


def test_name_of_a_key_in_the_main_database(lmdb: Any, env: Any, is_zerodb: bool) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"somename", b"somedata")
    if is_zerodb:
        env.open_db(b"somename")
        return
    with pytest.raises(lmdb.IncompatibleError):
        env.open_db(b"somename")


def test_name_of_a_database_as_a_key(lmdb: Any, env: Any, is_zerodb: bool) -> None:
    env.open_db(b"name")
    txn = env.begin(write=True)
    if is_zerodb:
        assert txn.put(b"name", b"1")
        assert txn.delete(b"name")
        txn.abort()
        return
    with pytest.raises(lmdb.IncompatibleError):
        txn.put(b"name", b"1")
    txn.abort()
    txn = env.begin(write=True)
    with pytest.raises(lmdb.IncompatibleError):
        txn.delete(b"name")
    txn.abort()


def test_integer_keys(env: Any) -> None:
    db = env.open_db(b"name", integerkey=True)
    with env.begin(write=True, db=db) as txn:
        for number in (300, 2, 70000, 256):
            txn.put(number.to_bytes(8, "little"), b"%d" % number)
        assert [value for _, value in txn.cursor()] == [b"2", b"256", b"300", b"70000"]


def test_reverse_keys(env: Any) -> None:
    db = env.open_db(b"name", reverse_key=True)
    with env.begin(write=True, db=db) as txn:
        for key in (b"www.example.org", b"example.com", b"mail.example.org"):
            txn.put(key, b"")
        assert [key for key, _ in txn.cursor()] == [
            b"mail.example.org",
            b"www.example.org",
            b"example.com",
        ]


def test_integer_values(env: Any) -> None:
    db = env.open_db(b"name", integerdup=True)
    with env.begin(write=True, db=db) as txn:
        for number in (300, 2, 70000, 256):
            txn.put(b"a", number.to_bytes(8, "little"))
        values = [int.from_bytes(value, "little") for _, value in txn.cursor()]
        assert values == [2, 256, 300, 70000]


def test_databases_that_are_gone_leave_their_places(lmdb: Any, path: str) -> None:
    with lmdb.open(path, max_dbs=2) as env:
        for number in range(10):
            db = env.open_db(b"dropped %d" % number)
            with env.begin(write=True) as txn:
                txn.drop(db)
        for number in range(10):
            txn = env.begin(write=True)
            env.open_db(b"aborted %d" % number, txn=txn)
            txn.abort()
        for number in range(10):
            with pytest.raises(lmdb.NotFoundError):
                env.open_db(b"absent %d" % number, create=False)
        env.open_db(b"first")
        env.open_db(b"second")
        with pytest.raises(lmdb.DbsFullError):
            env.open_db(b"third")


def test_a_name_that_is_too_long(lmdb: Any, env: Any) -> None:
    with pytest.raises(lmdb.BadValsizeError):
        env.open_db(b"n" * 600)


def test_dbs_wants_a_transaction(env: Any) -> None:
    env.open_db(b"name")
    with pytest.raises(TypeError):
        env.dbs(5)
    with env.begin(buffers=True) as txn:
        assert env.dbs(txn) == [b"name"]
        assert isinstance(env.dbs(txn)[0], bytes)
