"""The objects that keys and values may be."""

from __future__ import annotations

import array
import mmap
from pathlib import Path
from typing import Any

import pytest

import zerodb


class Name(bytes):
    """A subclass of bytes."""


@pytest.mark.parametrize(
    "form",
    [
        b"bytes",
        Name(b"bytes"),
        bytearray(b"bytes"),
        memoryview(b"bytes"),
        memoryview(bytearray(b"bytes")),
        memoryview(b"more bytes")[5:],
        memoryview(bytearray(b"more bytes"))[5:],
        array.array("B", b"bytes"),
    ],
    ids=lambda form: type(form).__name__,
)
def test_keys_and_values_are_any_bytes_like_objects(env: zerodb.Environment, form: Any) -> None:
    with env.begin(write=True) as txn:
        txn[form] = form
        assert txn[b"bytes"] == b"bytes"
        assert txn.get(form) == b"bytes"
        assert form in txn
        with txn.cursor() as cursor:
            assert cursor.seek(form) == (b"bytes", b"bytes")
            assert cursor.seek_exact(form) == (b"bytes", b"bytes")
            cursor.put(form, form)
        assert list(txn.keys(start=form)) == [b"bytes"]
        assert txn.delete(form)


def test_values_of_wider_elements_are_taken_as_bytes(env: zerodb.Environment) -> None:
    numbers = array.array("d", [1.5, 2.5])
    with env.begin(write=True) as txn:
        txn[b"numbers"] = numbers
        assert txn[b"numbers"] == numbers.tobytes()


def test_a_mapped_file_can_be_a_value(env: zerodb.Environment, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"contents" * 1000)
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        env.begin(write=True) as txn,
    ):
        txn[b"key"] = mapped
        assert txn[b"key"] == b"contents" * 1000


@pytest.mark.parametrize(
    "wrong", ["text", 7, None, 1.5, [b"bytes"]], ids=lambda wrong: type(wrong).__name__
)
def test_an_object_that_is_not_bytes_like_is_a_type_error(
    env: zerodb.Environment, wrong: Any
) -> None:
    with env.begin(write=True) as txn:
        for call in (
            lambda: txn.get(wrong),
            lambda: wrong in txn,
            lambda: txn.put(wrong, b"value"),
            lambda: txn.put(b"key", wrong),
            lambda: txn.delete(wrong),
            lambda: txn.cursor().seek(wrong),
            lambda: txn.cursor().seek_exact(wrong),
            lambda: txn.cursor().put(wrong, b"value"),
        ):
            with pytest.raises(TypeError, match=f"not {type(wrong).__name__}"):
                call()
        assert list(txn) == []


def test_text_is_refused_with_the_advice_to_encode_it(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        with pytest.raises(TypeError, match=r"key must be bytes-like, not str.*encode"):
            txn["key"] = b"value"  # type: ignore[index]
        with pytest.raises(TypeError, match=r"value must be bytes-like, not str.*encode"):
            txn[b"key"] = "value"  # type: ignore[assignment]


def test_memory_with_gaps_is_refused(env: zerodb.Environment) -> None:
    for view in (memoryview(b"abcdef")[::2], memoryview(bytearray(b"abcdef"))[::-1]):
        with env.begin(write=True) as txn, pytest.raises(TypeError, match="contiguous"):
            txn[b"key"] = view


def test_keys_and_values_may_hold_any_bytes(env: zerodb.Environment) -> None:
    every_byte = bytes(range(256))
    with env.begin(write=True) as txn:
        txn[every_byte] = every_byte[::-1]
        txn[b"\0"] = b"\0\0"
        txn[b"\0\0"] = b"\0"
    with env.begin() as txn:
        assert list(txn.items()) == [
            (b"\0", b"\0\0"),
            (b"\0\0", b"\0"),
            (every_byte, every_byte[::-1]),
        ]


@pytest.mark.parametrize("empty", [b"", bytearray(), memoryview(b"")])
def test_a_value_may_be_empty_and_a_key_may_not(env: zerodb.Environment, empty: Any) -> None:
    with env.begin(write=True) as txn:
        txn[b"key"] = empty
        assert txn[b"key"] == b""
        assert b"key" in txn
        assert txn.cursor().first() == (b"key", b"")
        with pytest.raises(zerodb.BadValueSizeError):
            txn[empty] = b"value"
        with pytest.raises(zerodb.BadValueSizeError):
            txn.get(empty)


def test_a_key_that_is_too_long_is_a_value_error(env: zerodb.Environment) -> None:
    longest = b"k" * env.max_key_size
    with env.begin(write=True) as txn:
        txn[longest] = b"value"
        with pytest.raises(ValueError, match=r".") as caught:
            txn[longest + b"k"] = b"value"
        assert isinstance(caught.value, zerodb.BadValueSizeError)
        assert list(txn) == [longest]


@pytest.mark.parametrize("size", [1, 1000, 4000, 4096, 5000, 65536, 1 << 20, 16 << 20])
def test_values_of_all_sizes_read_back(env: zerodb.Environment, size: int) -> None:
    value = (bytes(range(251)) * (size // 251 + 1))[:size]
    with env.begin(write=True) as txn:
        txn[b"bytes"] = value
        txn[b"bytearray"] = bytearray(value)
        assert txn[b"bytes"] == value
    with env.begin() as txn:
        assert txn[b"bytes"] == value
        assert txn[b"bytearray"] == value
    assert env.verify().sound


def test_a_returned_value_is_a_copy_that_outlives_the_transaction(
    env: zerodb.Environment,
) -> None:
    with env.begin(write=True) as txn:
        txn[b"key"] = b"first"
        first = txn[b"key"]
        txn[b"key"] = b"other"
        assert type(first) is bytes
        assert first == b"first"
    env.close()
    assert first == b"first"


def test_a_buffer_may_change_as_soon_as_the_call_returns(env: zerodb.Environment) -> None:
    with env.begin(write=True) as txn:
        value = bytearray(b"value")
        txn[b"key"] = value
        value[:] = b"other and longer: nothing holds on to the buffer"
        assert txn[b"key"] == b"value"
        with pytest.raises(zerodb.BadValueSizeError):
            txn[bytearray()] = value
        value.append(0)


def test_a_reader_is_not_reset_while_a_memoryview_shows_its_pages(
    env: zerodb.Environment,
) -> None:
    with env.begin(write=True) as txn:
        txn[b"k"] = b"v" * 5000
    with env.begin(buffers=True) as reader:
        view = reader.get(b"k")
        part = view[1:]
        with pytest.raises(zerodb.BusyError, match="memoryviews"):
            reader.reset()
        view.release()
        del view
        with pytest.raises(zerodb.BusyError, match="memoryviews"):
            reader.reset()
        for byte in b"abc":
            with env.begin(write=True) as txn:
                txn[b"k"] = bytes([byte]) * 5000
        assert bytes(part) == b"v" * 4999
        part.release()
        del part
        reader.reset()
        reader.renew()
        assert bytes(reader[b"k"]) == b"c" * 5000


@pytest.mark.parametrize("uses_cursor", [False, True])
def test_a_value_that_is_refused_replaces_none(
    env: zerodb.Environment, uses_cursor: bool
) -> None:
    db = env.open_db("values", create=True, dupsort=True)
    with env.begin(db, write=True) as txn:
        txn.put(b"key", b"1")
        txn.put(b"key", b"2")
        place = txn.cursor() if uses_cursor else txn
        for wrong in ("text", 5, b"x" * 5000):
            with pytest.raises((TypeError, zerodb.BadValueSizeError)):
                place.replace(b"key", wrong)  # type: ignore[arg-type]
            assert list(txn.items()) == [(b"key", b"1"), (b"key", b"2")]
        assert place.replace(b"key", b"2") == b"1"
        assert list(txn.items()) == [(b"key", b"2")]
        assert place.replace(b"key", b"3") == b"2"
        assert list(txn.items()) == [(b"key", b"3")]
        assert place.replace(b"other", b"4") is None
