"""Transactions: reading, writing, their end, and nesting."""

from __future__ import annotations

import array
import gc
import mmap
from typing import Any

import pytest


def entries(env: Any) -> list[tuple[bytes, bytes]]:
    with env.begin() as txn:
        return list(txn.cursor())


# ------------------------------------------------------------------ put, get


def test_put_and_get(txn: Any) -> None:
    assert txn.put(b"a", b"1") is True
    assert txn.get(b"a") == b"1"
    assert isinstance(txn.get(b"a"), bytes)


def test_put_by_keyword(txn: Any) -> None:
    assert txn.put(key=b"a", value=b"1", dupdata=True, overwrite=True, append=False, db=None)
    assert txn.get(key=b"a", default=None, db=None) == b"1"


def test_put_replaces(txn: Any) -> None:
    txn.put(b"a", b"1")
    assert txn.put(b"a", b"2") is True
    assert txn.get(b"a") == b"2"
    assert txn.stat()["entries"] == 1


def test_get_of_a_missing_key(txn: Any) -> None:
    assert txn.get(b"a") is None
    assert txn.get(b"a", b"none") == b"none"
    assert txn.get(b"a", default=7) == 7


def test_put_without_overwriting(txn: Any) -> None:
    assert txn.put(b"a", b"1", overwrite=False) is True
    assert txn.put(b"a", b"2", overwrite=False) is False
    assert txn.put(b"a", b"2", True, False) is False
    assert txn.get(b"a") == b"1"


def test_put_at_the_end(txn: Any) -> None:
    assert txn.put(b"b", b"1", append=True) is True
    assert txn.put(b"c", b"1", True, True, True) is True
    assert txn.put(b"a", b"2", append=True) is False
    assert txn.put(b"c", b"2", append=True) is False
    assert list(txn.cursor()) == [(b"b", b"1"), (b"c", b"1")]


def test_dupdata_is_nothing_without_duplicates(txn: Any) -> None:
    assert txn.put(b"a", b"1", dupdata=False) is True
    assert txn.put(b"a", b"1", dupdata=False) is True
    assert txn.put(b"a", b"2", dupdata=False) is True


def test_empty_value(txn: Any) -> None:
    assert txn.put(b"a", b"") is True
    assert txn.get(b"a") == b""
    assert txn.get(b"a", b"none") == b""


def test_bytes_of_all_values(txn: Any) -> None:
    for number in range(256):
        txn.put(bytes([number]), bytes([255 - number]))
    assert [key for key, _ in txn.cursor()] == [bytes([number]) for number in range(256)]


def test_large_value(txn: Any) -> None:
    value = bytes(range(256)) * 10_000
    txn.put(b"a", value)
    assert txn.get(b"a") == value


@pytest.mark.parametrize(
    "wrap", [bytearray, memoryview, lambda data: array.array("b", data)], ids=str
)
def test_objects_with_bytes(txn: Any, wrap: Any) -> None:
    assert txn.put(wrap(b"key"), wrap(b"value")) is True
    assert txn.get(wrap(b"key")) == b"value"
    assert txn.replace(wrap(b"key"), wrap(b"other")) == b"value"
    assert txn.cursor().set_key(wrap(b"key")) is True
    assert txn.delete(wrap(b"key"), wrap(b"value")) is True


def test_mapped_memory_and_arrays_of_numbers(txn: Any) -> None:
    with mmap.mmap(-1, 100) as mapped:
        mapped[:3] = b"abc"
        txn.put(b"mapped", mapped)
    assert txn.get(b"mapped") == b"abc" + bytes(97)
    numbers = array.array("d", [1.5, 2.5])
    txn.put(b"numbers", numbers)
    assert txn.get(b"numbers") == numbers.tobytes()


def test_memory_that_is_not_contiguous(txn: Any) -> None:
    with pytest.raises((BufferError, TypeError)):
        txn.put(memoryview(b"abcdef")[::2], b"1")


@pytest.mark.parametrize("key", ["text", 1, 1.5, [b"a"]])
def test_keys_that_are_not_bytes(txn: Any, key: Any) -> None:
    use: Any
    for use in (
        lambda: txn.put(key, b"1"),
        lambda: txn.get(key),
        lambda: txn.delete(key),
        lambda: txn.replace(key, b"1"),
        lambda: txn.pop(key),
        lambda: txn.cursor().set_key(key),
        lambda: txn.cursor().set_range(key),
        lambda: txn.cursor().get(key),
        lambda: txn.cursor().put(key, b"1"),
        lambda: txn.cursor().putmulti([(key, b"1")]),
        lambda: txn.cursor().getmulti([key]),
    ):
        with pytest.raises(TypeError):
            use()
    assert list(txn.cursor()) == []


def test_values_that_are_not_bytes(txn: Any) -> None:
    for value in ("text", 1):
        with pytest.raises(TypeError):
            txn.put(b"a", value)
    assert txn.get(b"a") is None


def test_empty_keys(lmdb: Any, txn: Any) -> None:
    use: Any
    for use in (
        lambda: txn.get(b""),
        lambda: txn.delete(b""),
        lambda: txn.pop(b""),
        lambda: txn.cursor().set_key(b""),
        lambda: txn.cursor().get(b""),
        lambda: txn.cursor().getmulti([b""]),
        lambda: txn.put(b"", b"1"),
    ):
        with pytest.raises(lmdb.BadValsizeError):
            use()


def test_put_of_an_empty_key_by_a_cursor(lmdb: Any, txn: Any) -> None:
    with pytest.raises(lmdb.BadValsizeError):
        txn.cursor().put(b"", b"1")


def test_replace_of_an_empty_key(lmdb: Any, txn: Any) -> None:
    with pytest.raises(lmdb.BadValsizeError):
        txn.replace(b"", b"1")


def test_keys_that_are_too_long(lmdb: Any, env: Any, txn: Any) -> None:
    key = b"x" * (env.max_key_size() + 1)
    with pytest.raises(lmdb.BadValsizeError):
        txn.put(key, b"1")


def test_looking_for_a_key_that_is_too_long(env: Any, txn: Any) -> None:
    key = b"x" * (env.max_key_size() + 1)
    txn.put(b"y", b"1")
    assert txn.get(key) is None
    assert txn.get(key, 1) == 1
    assert txn.delete(key) is False
    assert txn.pop(key) is None
    assert txn.cursor().set_key(key) is False
    assert txn.cursor().get(key) is None
    assert txn.cursor().getmulti([key, b"y"]) == [(b"y", b"1")]
    cursor = txn.cursor()
    assert cursor.set_range(key) is True
    assert cursor.key() == b"y"


# -------------------------------------------------------- replace, pop, delete


def test_replace(txn: Any) -> None:
    assert txn.replace(b"a", b"1") is None
    assert txn.replace(b"a", b"2") == b"1"
    assert txn.replace(key=b"a", value=b"3", db=None) == b"2"
    assert txn.get(b"a") == b"3"


def test_pop(txn: Any) -> None:
    txn.put(b"a", b"1")
    assert txn.pop(b"a") == b"1"
    assert txn.pop(b"a") is None
    assert txn.pop(key=b"a", db=None) is None
    assert txn.stat()["entries"] == 0


def test_delete(txn: Any) -> None:
    txn.put(b"a", b"1")
    assert txn.delete(b"a") is True
    assert txn.delete(b"a") is False
    assert txn.get(b"a") is None


def test_delete_ignores_the_value_without_duplicates(txn: Any) -> None:
    txn.put(b"a", b"1")
    assert txn.delete(b"a", b"another") is True
    txn.put(b"a", b"1")
    assert txn.delete(b"a", None) is True
    txn.put(b"a", b"1")
    assert txn.delete(key=b"a", value=b"", db=None) is True


# ------------------------------------------------------------------------ end


def test_commit(env: Any) -> None:
    txn = env.begin(write=True)
    txn.put(b"a", b"1")
    assert txn.commit() is None
    assert entries(env) == [(b"a", b"1")]


def test_abort(env: Any) -> None:
    txn = env.begin(write=True)
    txn.put(b"a", b"1")
    assert txn.abort() is None
    assert entries(env) == []


def test_block_commits(env: Any) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
    assert entries(env) == [(b"a", b"1")]


def test_block_aborts_after_an_exception(env: Any) -> None:
    with pytest.raises(ZeroDivisionError), env.begin(write=True) as txn:
        txn.put(b"a", b"1")
        raise ZeroDivisionError
    assert entries(env) == []


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_end_within_its_block(env: Any, end: str) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
        getattr(txn, end)()
    assert entries(env) == ([(b"a", b"1")] if end == "commit" else [])


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("end", ["commit", "abort"])
def test_use_after_the_end(lmdb: Any, env: Any, write: bool, end: str) -> None:
    txn = env.begin(write=write)
    cursor = txn.cursor()
    getattr(txn, end)()
    use: Any
    for use in (
        lambda: txn.get(b"a"),
        lambda: txn.put(b"a", b"1"),
        lambda: txn.delete(b"a"),
        lambda: txn.replace(b"a", b"1"),
        lambda: txn.pop(b"a"),
        txn.cursor,
        txn.stat,
        txn.id,
        txn.commit,
        txn.__enter__,
        cursor.first,
        cursor.next,
        cursor.key,
        cursor.item,
        lambda: cursor.put(b"a", b"1"),
    ):
        with pytest.raises(lmdb.Error):
            use()


def test_abort_after_the_end_does_nothing(env: Any) -> None:
    for end in ("commit", "abort"):
        txn = env.begin(write=True)
        getattr(txn, end)()
        assert txn.abort() is None
        assert txn.abort() is None


def test_commit_of_a_read_transaction(env: Any) -> None:
    assert env.begin().commit() is None


def test_writing_in_a_read_transaction(lmdb: Any, env: Any) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
    db = env.open_db()
    with env.begin() as txn:
        cursor = txn.cursor()
        cursor.first()
        use: Any
        for use in (
            lambda: txn.put(b"a", b"2"),
            lambda: txn.delete(b"a"),
            lambda: txn.replace(b"a", b"2"),
            lambda: txn.pop(b"a"),
            lambda: txn.drop(db, delete=False),
            lambda: cursor.put(b"a", b"2"),
            lambda: cursor.replace(b"a", b"2"),
            lambda: cursor.pop(b"a"),
            lambda: cursor.putmulti([(b"a", b"2")]),
        ):
            with pytest.raises(lmdb.ReadonlyError):
                use()
    assert entries(env) == [(b"a", b"1")]


def test_dropped_write_transaction_is_aborted(env: Any) -> None:
    txn = env.begin(write=True)
    txn.put(b"a", b"1")
    del txn
    gc.collect()
    with env.begin(write=True) as txn:
        assert txn.get(b"a") is None


def test_many_dropped_read_transactions(lmdb: Any, path: str) -> None:
    with lmdb.open(path, max_readers=5) as env:
        for _ in range(100):
            assert env.begin().get(b"a") is None


def test_a_cursor_keeps_its_transaction(env: Any) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
    cursor = env.begin().cursor()
    gc.collect()
    assert cursor.first()
    assert cursor.item() == (b"a", b"1")


def test_an_iterator_keeps_its_transaction(env: Any) -> None:
    with env.begin(write=True) as txn:
        txn.put(b"a", b"1")
    iterator = iter(env.begin().cursor())
    gc.collect()
    assert list(iterator) == [(b"a", b"1")]


# ---------------------------------------------------------------- isolation


def test_reader_sees_its_snapshot(env: Any) -> None:
    with env.begin() as reader:
        with env.begin(write=True) as txn:
            txn.put(b"a", b"1")
        assert reader.get(b"a") is None
    with env.begin() as reader:
        assert reader.get(b"a") == b"1"


def test_uncommitted_writes_are_not_seen(env: Any, txn: Any) -> None:
    txn.put(b"a", b"1")
    with env.begin() as reader:
        assert reader.get(b"a") is None
    assert txn.get(b"a") == b"1"


def test_several_readers_in_one_thread(env: Any) -> None:
    readers = []
    for number in range(5):
        with env.begin(write=True) as txn:
            txn.put(b"a", b"%d" % number)
        readers.append(env.begin())
    assert [reader.get(b"a") for reader in readers] == [b"%d" % number for number in range(5)]
    for reader in readers:
        reader.abort()


def test_id(env: Any) -> None:
    with env.begin() as reader:
        before = reader.id()
        assert before == env.info()["last_txnid"]
    with env.begin(write=True) as txn:
        assert txn.id() == before + 1
        txn.put(b"a", b"1")
    with env.begin() as reader:
        assert reader.id() == before + 1


# ------------------------------------------------------------------- nesting


def test_nested_commit(env: Any) -> None:
    with env.begin(write=True) as parent:
        parent.put(b"a", b"1")
        with env.begin(parent=parent, write=True) as child:
            assert child.get(b"a") == b"1"
            child.put(b"b", b"2")
        assert parent.get(b"b") == b"2"
    assert entries(env) == [(b"a", b"1"), (b"b", b"2")]


def test_nested_abort(env: Any) -> None:
    with env.begin(write=True) as parent:
        parent.put(b"a", b"1")
        child = env.begin(parent=parent, write=True)
        child.put(b"a", b"2")
        child.put(b"b", b"2")
        child.abort()
        assert parent.get(b"a") == b"1"
    assert entries(env) == [(b"a", b"1")]


def test_nested_exception(env: Any) -> None:
    with env.begin(write=True) as parent:
        parent.put(b"a", b"1")
        with pytest.raises(ZeroDivisionError), env.begin(parent=parent, write=True) as child:
            child.put(b"b", b"2")
            raise ZeroDivisionError
        assert parent.get(b"b") is None
    assert entries(env) == [(b"a", b"1")]


def test_nested_three_deep(env: Any) -> None:
    with env.begin(write=True) as first:
        with env.begin(parent=first, write=True) as second:
            second.put(b"b", b"2")
            with env.begin(parent=second, write=True) as third:
                third.put(b"c", b"3")
        first.put(b"a", b"1")
    assert [key for key, _ in entries(env)] == [b"a", b"b", b"c"]


def test_nested_commit_and_outer_abort(env: Any) -> None:
    parent = env.begin(write=True)
    with env.begin(parent=parent, write=True) as child:
        child.put(b"a", b"1")
    parent.abort()
    assert entries(env) == []


def test_end_of_the_parent_ends_the_child(lmdb: Any, env: Any) -> None:
    for end in ("commit", "abort"):
        parent = env.begin(write=True)
        child = env.begin(parent=parent, write=True)
        child.put(b"a", b"1")
        getattr(parent, end)()
        with pytest.raises(lmdb.Error):
            child.put(b"b", b"2")
        child.abort()
        with env.begin(write=True) as txn:
            txn.delete(b"a")


def test_dropped_child_is_aborted(env: Any) -> None:
    with env.begin(write=True) as parent:
        child = env.begin(parent=parent, write=True)
        child.put(b"a", b"1")
        del child
        gc.collect()
        assert parent.get(b"a") is None
        parent.put(b"b", b"2")
    assert entries(env) == [(b"b", b"2")]


def test_parent_is_a_writer(lmdb: Any, env: Any, txn: Any) -> None:
    with env.begin() as reader:
        for write in (False, True):
            with pytest.raises(lmdb.InvalidParameterError):
                env.begin(parent=reader, write=write)


def test_parent_that_has_ended(lmdb: Any, env: Any) -> None:
    txn = env.begin(write=True)
    txn.commit()
    with pytest.raises(lmdb.Error):
        env.begin(parent=txn, write=True)


def test_parent_of_another_type(env: Any) -> None:
    with pytest.raises(TypeError):
        env.begin(parent=env, write=True)


# -------------------------------------------------------------- construction


def test_begin_by_position(env: Any) -> None:
    db = env.open_db(b"name")
    txn = env.begin(db, None, True, False)
    assert txn.put(b"a", b"1")
    txn.commit()
    with env.begin(db) as txn:
        assert txn.get(b"a") == b"1"
    assert env.stat()["entries"] != 0 or env.dbs() == [b"name"]


def test_transaction_by_its_class(lmdb: Any, env: Any) -> None:
    with lmdb.Transaction(env, write=True) as txn:
        assert isinstance(txn, lmdb.Transaction)
        txn.put(b"a", b"1")
    with lmdb.Transaction(env) as txn:
        assert txn.get(b"a") == b"1"
    with lmdb.Transaction(env=env, db=None, parent=None, write=True, buffers=False) as txn:
        txn.put(b"a", b"2")
    assert entries(env) == [(b"a", b"2")]


def test_begin_gives_a_transaction(lmdb: Any, env: Any) -> None:
    with env.begin() as txn:
        assert isinstance(txn, lmdb.Transaction)
        assert isinstance(txn.cursor(), lmdb.Cursor)


def test_database_of_another_type(env: Any) -> None:
    with pytest.raises(TypeError):
        env.begin(db="name")
    with env.begin() as txn:
        with pytest.raises(TypeError):
            txn.get(b"a", db=b"name")
        with pytest.raises(TypeError):
            txn.cursor(b"name")


def test_writer_of_another_type(lmdb: Any) -> None:
    with pytest.raises(TypeError):
        lmdb.Transaction("path")
