"""Named databases."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

import zerodb


def test_named_databases_are_apart_from_one_another(env: zerodb.Environment) -> None:
    users = env.open_db("users", create=True)
    posts = env.open_db("posts", create=True)
    with env.begin(write=True) as txn:
        txn.put(b"key", b"user", db=users)
        txn.put(b"key", b"post", db=posts)
        txn.put(b"key", b"main")
    with env.begin() as txn:
        assert txn.get(b"key", db=users) == b"user"
        assert txn.get(b"key", db=posts) == b"post"
        assert txn[b"key"] == b"main"
    with env.begin(write=True) as txn:
        assert txn.delete(b"key", db=users)
        assert not txn.delete(b"key", db=users)
        assert txn.get(b"key", db=posts) == b"post"
    assert env.info().databases == 2


def test_named_databases_outlive_the_environment_object(path: Path) -> None:
    with zerodb.open(path) as env:
        users = env.open_db("users", create=True)
        with env.begin(write=True) as txn:
            txn.put(b"key", b"value", db=users)
    with zerodb.open(path) as env:
        users = env.open_db("users")
        with env.begin() as txn:
            assert txn.get(b"key", db=users) == b"value"
            assert list(txn.items(users)) == [(b"key", b"value")]


def test_opening_a_database_that_is_not_there_raises_not_found(
    env: zerodb.Environment,
) -> None:
    with pytest.raises(zerodb.NotFoundError):
        env.open_db("users")
    with env.begin() as txn, pytest.raises(zerodb.NotFoundError):
        txn.db("users")


def test_a_name_opened_again_gives_the_same_database(env: zerodb.Environment) -> None:
    users = env.open_db("users", create=True)
    again = env.open_db(b"users", create=True)
    assert users == again
    assert hash(users) == hash(again)
    assert users != env.open_db("posts", create=True)
    assert users != "users"


def test_a_database_is_made_in_the_transaction_it_is_given(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        users = env.open_db("users", create=True, txn=txn)
        txn.put(b"key", b"value", db=users)
        posts = txn.db("posts", create=True)
        txn.put(b"key", b"value", db=posts)
    with env.begin() as txn:
        assert txn.get(b"key", db=txn.db("users")) == b"value"
        assert txn.get(b"key", db=posts) == b"value"


def test_a_database_made_by_an_aborted_transaction_is_gone(env: zerodb.Environment) -> None:
    with pytest.raises(ZeroDivisionError), env.begin(write=True) as txn:
        users = txn.db("users", create=True)
        raise ZeroDivisionError
    with env.begin() as txn:
        with pytest.raises(zerodb.BadDatabaseError):
            txn.get(b"key", db=users)
        with pytest.raises(zerodb.NotFoundError):
            txn.db("users")
    assert env.open_db("users", create=True) == users
    with env.begin() as txn:
        assert txn.get(b"key", db=users) is None


def test_no_name_is_the_main_database(env: zerodb.Environment) -> None:
    main = env.open_db(None)
    assert main.name is None
    with env.begin(write=True) as txn:
        txn.put(b"key", b"value", db=main)
        assert txn[b"key"] == b"value"


def test_a_name_may_hold_any_text(env: zerodb.Environment) -> None:
    for name in ("größe", "日本語", "with space", "a/b", "x" * 511):
        assert env.open_db(name, create=True).name == name
    assert env.info().databases == 5


@pytest.mark.parametrize("name", ["", "x" * 512, "zero\0byte"])
def test_a_name_of_the_wrong_length_or_with_a_zero_byte_is_refused(
    env: zerodb.Environment, name: str
) -> None:
    with env.begin(write=True) as txn, pytest.raises(zerodb.BadArgumentError):
        txn.db(name, create=True)


def test_a_name_is_text_or_bytes(env: zerodb.Environment) -> None:
    with pytest.raises(TypeError, match="int"):
        env.open_db(7)  # type: ignore[arg-type]


def test_a_database_of_another_environment_is_refused(
    env: zerodb.Environment, tmp_path: Path
) -> None:
    env.open_db("users", create=True)
    with zerodb.open(tmp_path / "other") as other:
        foreign = other.open_db("users", create=True)
        with env.begin(write=True) as txn:
            with pytest.raises(zerodb.BadDatabaseError):
                txn.get(b"key", db=foreign)
            with pytest.raises(zerodb.BadDatabaseError):
                txn.put(b"key", b"value", db=foreign)
            with pytest.raises(zerodb.BadDatabaseError):
                txn.cursor(foreign)
            with pytest.raises(zerodb.BadArgumentError):
                other.open_db("users", txn=txn)


def test_a_name_in_place_of_a_database_is_a_type_error(env: zerodb.Environment) -> None:
    with env.begin() as txn, pytest.raises(TypeError, match="open_db"):
        txn.get(b"key", db="users")


def test_a_database_says_what_it_is(env: zerodb.Environment) -> None:
    users = env.open_db("users", create=True)
    assert users.name == "users"
    assert users.environment is env
    assert "'users'" in repr(users)
    assert "main" in repr(env.open_db(None))


def test_many_databases_serve_all_transactions(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        databases = [txn.db(f"database {number}", create=True) for number in range(200)]
        for number, database in enumerate(databases):
            txn.put(b"number", b"%d" % number, db=database)
    with env.begin() as txn:
        for number, database in enumerate(databases):
            assert txn.get(b"number", db=database) == b"%d" % number
    assert env.info().databases == 200
    assert env.verify().sound


def test_names_that_are_no_text_come_back_as_they_were(env: zerodb.Environment) -> None:
    named = env.open_db(b"\xff\xfe", create=True)
    named[b"key"] = b"value"
    assert [len(env[name]) for name in env] == [1]
    assert len(env) == 1
    assert pickle.loads(pickle.dumps(named)) == named
    with env.begin() as txn:
        assert [os.fsencode(name) for name in txn.databases()] == [b"\xff\xfe"]


def test_drop_takes_a_database(env: zerodb.Environment) -> None:
    users = env.open_db("users", create=True)
    users[b"key"] = b"value"
    txn = env.begin(users, write=True)
    with pytest.raises(TypeError, match="not NoneType"):
        txn.drop(None)  # type: ignore[arg-type]
    txn.commit()
    assert list(env) == ["users"]


def test_update_takes_what_dict_takes(env: zerodb.Environment) -> None:
    first, second = env.open_db("first", create=True), env.open_db("second", create=True)
    first.update({b"a": b"1", b"b": b"2"})
    second.update(first)
    second.update([(b"c", b"3")])
    assert dict(second) == {b"a": b"1", b"b": b"2", b"c": b"3"}
