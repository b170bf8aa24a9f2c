"""Reading and writing through transactions."""

from __future__ import annotations

from pathlib import Path

import pytest

import zerodb
from conftest import FRUIT


def test_get_returns_the_value_none_or_the_default(fruit: zerodb.Environment) -> None:
    with fruit.begin() as txn:
        assert txn.get(b"apple") == b"red"
        assert txn.get(b"fig") is None
        assert txn.get(b"fig", b"green") == b"green"
        assert txn.get(b"fig", default=7) == 7


def test_a_transaction_is_a_mapping_of_the_main_database(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        txn[b"b"] = b"2"
        txn[b"a"] = b"1"
        assert txn[b"a"] == b"1"
        assert b"a" in txn
        assert b"c" not in txn
        assert list(txn) == [b"a", b"b"]
        del txn[b"a"]
        assert b"a" not in txn


def test_a_missing_key_is_a_key_error(fruit: zerodb.Environment) -> None:
    with fruit.begin(write=True) as txn:
        with pytest.raises(KeyError) as caught:
            txn[b"fig"]
        assert isinstance(caught.value, zerodb.NotFoundError)
        with pytest.raises(KeyError):
            del txn[b"fig"]


def test_put_replaces_a_value_unless_overwrite_is_false(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        assert txn.put(b"key", b"first") is True
        assert txn.put(b"key", b"second", overwrite=False) is False
        assert txn[b"key"] == b"first"
        assert txn.put(b"key", b"third") is True
        assert txn[b"key"] == b"third"
        assert txn.put(b"other", b"value", overwrite=False) is True


def test_append_takes_keys_in_order_only(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        for number in range(100):
            assert txn.put(b"%04d" % number, b"v", append=True)
        with pytest.raises(zerodb.NotSortedError):
            txn.put(b"0050", b"v", append=True)
        with pytest.raises(zerodb.NotSortedError):
            txn.put(b"0099", b"v", append=True)
        assert txn.put(b"0100", b"v", append=True)
    assert env.stat().entries == 101


def test_delete_returns_whether_the_key_was_there(fruit: zerodb.Environment) -> None:
    with fruit.begin(write=True) as txn:
        assert txn.delete(b"apple") is True
        assert txn.delete(b"apple") is False
        assert txn.get(b"apple") is None


def test_the_end_of_the_block_commits(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        txn[b"key"] = b"value"
    with env.begin() as txn:
        assert txn[b"key"] == b"value"


def test_an_exception_in_the_block_aborts_and_passes_through(env: zerodb.Environment) -> None:
    with pytest.raises(ZeroDivisionError), env.begin(write=True) as txn:
        txn[b"key"] = b"value"
        raise ZeroDivisionError
    with env.begin() as txn:
        assert b"key" not in txn


def test_a_block_may_end_its_transaction_itself(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        txn[b"kept"] = b"value"
        txn.commit()
    with env.begin(write=True) as txn:
        txn[b"dropped"] = b"value"
        txn.abort()
    with env.begin() as txn:
        assert list(txn) == [b"kept"]
        txn.commit()


def test_abort_forgets_changes_and_may_be_repeated(env: zerodb.Environment) -> None:
    txn = env.begin(write=True)
    txn[b"key"] = b"value"
    txn.abort()
    txn.abort()
    with env.begin() as reader:
        assert b"key" not in reader


def test_readers_keep_their_snapshot(fruit: zerodb.Environment) -> None:
    with fruit.begin() as before:
        with fruit.begin(write=True) as txn:
            txn[b"apple"] = b"green"
            del txn[b"date"]
            assert before[b"apple"] == b"red"
        assert list(before.items()) == FRUIT
        with fruit.begin() as after:
            assert after[b"apple"] == b"green"
            assert b"date" not in after
            assert after.id == before.id + 1


def test_a_writer_sees_its_own_changes_and_others_do_not(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        txn[b"key"] = b"value"
        with env.begin() as reader:
            assert b"key" not in reader
        assert txn[b"key"] == b"value"


def test_reset_and_renew_move_a_reader_to_the_newest_snapshot(
    fruit: zerodb.Environment,
) -> None:
    with fruit.begin() as reader:
        reader.reset()
        with pytest.raises(zerodb.BadTransactionError):
            reader.get(b"apple")
        with fruit.begin(write=True) as txn:
            txn[b"apple"] = b"green"
        reader.renew()
        assert reader[b"apple"] == b"green"


def test_a_reader_that_was_reset_ends_cleanly(env: zerodb.Environment) -> None:
    with env.begin() as reader:
        reader.reset()
    reader = env.begin()
    reader.reset()
    reader.abort()
    assert env.info().readers == 0


def test_a_write_transaction_cannot_be_reset(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn, pytest.raises(zerodb.Error) as caught:
        txn.reset()
    assert isinstance(caught.value, (zerodb.IncompatibleError, zerodb.BadTransactionError))


def test_ids_count_commits(env: zerodb.Environment) -> None:
    with env.begin() as reader:
        first = reader.id
    for number in range(1, 4):
        with env.begin(write=True) as txn:
            txn[b"key"] = b"%d" % number
            assert txn.id == first + number
        with env.begin() as reader:
            assert reader.id == first + number


def test_a_transaction_reports_its_mode_and_state(env: zerodb.Environment) -> None:
    with env.begin(write=True) as writer, env.begin() as reader:
        assert writer.write
        assert not reader.write
        assert writer.environment is env
        assert writer.active
        assert "write active" in repr(writer)
    assert not writer.active
    assert "read ended" in repr(reader)


def test_writing_through_a_read_transaction_raises_read_only(
    fruit: zerodb.Environment,
) -> None:
    with fruit.begin() as txn:
        with pytest.raises(zerodb.ReadOnlyError):
            txn.put(b"key", b"value")
        with pytest.raises(zerodb.ReadOnlyError):
            txn.delete(b"apple")
        with pytest.raises(zerodb.ReadOnlyError):
            txn.db("users", create=True)
        with txn.cursor() as cursor:
            cursor.first()
            with pytest.raises(zerodb.ReadOnlyError):
                cursor.delete()
        assert list(txn.items()) == FRUIT


def test_a_thread_has_one_write_transaction_at_a_time(env: zerodb.Environment) -> None:
    with env.begin(write=True), pytest.raises(zerodb.BusyError):
        env.begin(write=True)
    env.begin(write=True).abort()


def test_a_transaction_past_max_txn_pages_fails_whole(path: Path) -> None:
    with zerodb.open(path, max_txn_pages=64) as env:
        with env.begin(write=True) as txn:
            txn[b"before"] = b"value"
        with pytest.raises(zerodb.TransactionFullError), env.begin(write=True) as txn:
            for number in range(10_000):
                txn[b"%06d" % number] = b"v" * 1000
        with env.begin(write=True) as txn:
            assert list(txn) == [b"before"]
            txn[b"after"] = b"value"
        assert env.verify().sound


def test_a_transaction_past_max_txn_pages_can_only_be_aborted(path: Path) -> None:
    with zerodb.open(path, max_txn_pages=64) as env:
        txn = env.begin(write=True)
        with pytest.raises(zerodb.TransactionFullError):
            for number in range(1000):
                txn[b"%06d" % number] = b"v" * 1000
        with pytest.raises(zerodb.Error):
            txn.commit()
        assert not txn.active
        assert env.stat().entries == 0


def test_large_values_are_limited_by_neither_pages_nor_memory(path: Path) -> None:
    with zerodb.open(path, max_txn_pages=64, max_txn_memory=1 << 20) as env:
        assert env.info().max_txn_memory == 1 << 20
        values = [bytes([number]) * 3_000_000 for number in range(5)]
        with env.begin(write=True) as txn:
            for number, value in enumerate(values):
                txn[b"%d" % number] = value
            assert txn[b"0"] == values[0]
        with env.begin() as txn:
            assert [bytes(value) for value in txn.values()] == values
        assert env.verify().sound


def test_an_environment_that_has_reached_max_size_stays_usable(path: Path) -> None:
    with zerodb.open(path, max_size=1 << 20) as env:
        with env.begin(write=True) as txn:
            txn[b"before"] = b"value"
        with pytest.raises(zerodb.FullError), env.begin(write=True) as txn:
            for number in range(100):
                txn[b"%06d" % number] = b"v" * 100_000
        with env.begin(write=True) as txn:
            assert list(txn) == [b"before"]
            txn[b"after"] = b"value"
        assert env.verify().sound


def test_readers_past_the_reader_table_are_refused_until_one_ends(path: Path) -> None:
    with zerodb.open(path, max_readers=4) as env:
        readers = [env.begin() for _ in range(env.info().max_readers)]
        with pytest.raises(zerodb.ReadersFullError):
            env.begin()
        readers.pop().abort()
        env.begin().abort()
        for reader in readers:
            reader.abort()


def test_a_transaction_without_a_snapshot_has_no_id(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        number = txn.id
        nested = env.begin(parent=txn, write=True)
        with pytest.raises(zerodb.BadTransactionError, match="nested"):
            _ = txn.id
        nested.abort()
        assert txn.id == number
    with env.begin() as reader:
        reader.reset()
        with pytest.raises(zerodb.BadTransactionError):
            _ = reader.id


def test_numbers_beyond_what_the_library_takes_are_refused(env: zerodb.Environment) -> None:
    counted = env.open_db("counted", create=True, counted=True)
    with env.begin(counted, write=True) as txn:
        for number in range(5):
            txn[b"%d" % number] = b""
        cursor = txn.cursor()
        for wrong in (-1, 2**64, 2**64 + 3):
            with pytest.raises(zerodb.BadArgumentError):
                cursor.seek_rank(wrong)
            with pytest.raises(zerodb.BadArgumentError):
                txn.split(wrong)
        for text in (1.5, "x"):
            with pytest.raises(TypeError):
                cursor.seek_rank(text)
            with pytest.raises(TypeError):
                txn.split(text)  # type: ignore[arg-type]
