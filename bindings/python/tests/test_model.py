"""The binding against a model: sorted dictionaries, and copies of them for snapshots."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Callable, Optional

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

import zerodb

Contents = dict[Optional[str], dict[bytes, bytes]]

NAMES: list[str | None] = [None, "users", "posts"]

keys = st.binary(min_size=1, max_size=4) | st.builds(
    lambda byte, size: bytes([byte]) * size, st.integers(0, 255), st.integers(1, 1984)
)
values = st.binary(max_size=20) | st.builds(
    lambda byte, size: bytes([byte]) * size, st.integers(0, 255), st.integers(0, 20_000)
)
names = st.sampled_from(NAMES)


class Model(RuleBasedStateMachine):
    """An environment, its committed content, and the changes of the write transaction."""

    readers: Bundle[tuple[zerodb.Transaction, Contents]] = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.committed: Contents = {None: {}}
        self.changed: Contents = {}
        self.writer: zerodb.Transaction | None = None

    @initialize(page_size=st.sampled_from([4096, 16384, 65536]))
    def create(self, page_size: int) -> None:
        self.env = zerodb.open(self.folder, page_size=page_size)

    def teardown(self) -> None:
        self.env.close()
        shutil.rmtree(self.folder)

    # ------------------------------------------------------------ transactions

    @precondition(lambda self: self.writer is None)
    @rule()
    def begin_write(self) -> None:
        self.writer = self.env.begin(write=True)
        self.changed = _copy(self.committed)

    @precondition(lambda self: self.writer is not None)
    @rule()
    def commit(self) -> None:
        self._writer.commit()
        self.writer = None
        self.committed = self.changed

    @precondition(lambda self: self.writer is not None)
    @rule()
    def abort(self) -> None:
        self._writer.abort()
        self.writer = None

    @rule(target=readers)
    def begin_read(self) -> tuple[zerodb.Transaction, Contents]:
        return self.env.begin(), _copy(self.committed)

    @rule(target=readers, reader=consumes(readers))
    def renew(
        self, reader: tuple[zerodb.Transaction, Contents]
    ) -> tuple[zerodb.Transaction, Contents]:
        txn, _ = reader
        if not txn.active:  # the environment has been opened anew
            return reader
        txn.reset()
        txn.renew()
        return txn, _copy(self.committed)

    @rule(reader=consumes(readers))
    def end_read(self, reader: tuple[zerodb.Transaction, Contents]) -> None:
        reader[0].abort()

    @rule(target=readers)
    def reopen(self) -> MultipleResults[tuple[zerodb.Transaction, Contents]]:
        assert self.env.verify().sound
        self.env.close()
        self.writer = None
        self.env = zerodb.open(self.folder)
        report = self.env.verify()
        assert report.sound
        assert report.databases == len(self.committed) - 1
        return multiple()

    # ----------------------------------------------------------------- writing

    @precondition(lambda self: self.writer is not None)
    @rule(name=names)
    def create_database(self, name: str | None) -> None:
        self._writer.db(name, create=True)
        self.changed.setdefault(name, {})

    @precondition(lambda self: self.writer is not None)
    @rule(name=names, key=keys, value=values, overwrite=st.booleans())
    def put(self, name: str | None, key: bytes, value: bytes, overwrite: bool) -> None:
        model = self._changed(name)
        stored = self._writer.put(key, value, overwrite=overwrite, db=self._database(name))
        assert stored == (overwrite or key not in model)
        if stored:
            model[key] = value

    @precondition(lambda self: self.writer is not None)
    @rule(name=names, start=st.integers(0, 200), size=st.integers(0, 3000))
    def put_many(self, name: str | None, start: int, size: int) -> None:
        model = self._changed(name)
        database = self._database(name)
        for number in range(start, start + 50):
            key = b"%06d" % number
            model[key] = bytes([number % 256]) * size
            self._writer.put(key, model[key], db=database)

    @precondition(lambda self: self.writer is not None)
    @rule(name=names, key=keys, value=values)
    def append(self, name: str | None, key: bytes, value: bytes) -> None:
        model = self._changed(name)
        try:
            self._writer.put(key, value, append=True, db=self._database(name))
        except zerodb.NotSortedError:
            assert key <= max(model)
        else:
            assert not model or key > max(model)
            model[key] = value

    @precondition(lambda self: self.writer is not None)
    @rule(name=names, data=st.data())
    def delete(self, name: str | None, data: st.DataObject) -> None:
        model = self._changed(name)
        key = data.draw(_key_near(model))
        assert self._writer.delete(key, db=self._database(name)) == (key in model)
        model.pop(key, None)

    @precondition(lambda self: self.writer is not None)
    @rule(name=names, data=st.data(), count=st.integers(1, 60), forward=st.booleans())
    def delete_through_a_cursor(
        self, name: str | None, data: st.DataObject, count: int, forward: bool
    ) -> None:
        model = self._changed(name)
        start = data.draw(_key_near(model))
        with self._writer.cursor(self._database(name)) as cursor:
            item = cursor.seek(start)
            for _ in range(count):
                if item is None:
                    break
                assert model.pop(item[0]) == item[1]
                cursor.delete()
                item = cursor.next() if forward else cursor.prev()

    @precondition(lambda self: self.writer is not None)
    @rule(name=names, data=st.data(), value=values)
    def replace_through_a_cursor(
        self, name: str | None, data: st.DataObject, value: bytes
    ) -> None:
        model = self._changed(name)
        with self._writer.cursor(self._database(name)) as cursor:
            item = cursor.seek(data.draw(_key_near(model)))
            if item is not None:
                cursor.set_value(value)
                assert cursor.item() == (item[0], value)
                model[item[0]] = value

    # ----------------------------------------------------------------- reading

    @precondition(lambda self: self.writer is not None)
    @rule(name=names, data=st.data())
    def read_own_changes(self, name: str | None, data: st.DataObject) -> None:
        self._changed(name)
        _check_reads(self._writer, self.changed, name, data)

    @rule(reader=readers, name=names, data=st.data())
    def read_snapshot(
        self,
        reader: tuple[zerodb.Transaction, Contents],
        name: str | None,
        data: st.DataObject,
    ) -> None:
        txn, contents = reader
        if txn.active:
            _check_reads(txn, contents, name, data)

    @invariant()
    def the_newest_snapshot_is_what_was_committed(self) -> None:
        with self.env.begin() as txn:
            for name, model in self.committed.items():
                assert list(txn.items(txn.db(name))) == sorted(model.items())

    # ----------------------------------------------------------------- private

    @property
    def _writer(self) -> zerodb.Transaction:
        assert self.writer is not None
        return self.writer

    def _database(self, name: str | None) -> zerodb.Database:
        return self._writer.db(name)

    def _changed(self, name: str | None) -> dict[bytes, bytes]:
        self._writer.db(name, create=True)
        return self.changed.setdefault(name, {})


def _copy(contents: Contents) -> Contents:
    return {name: dict(model) for name, model in contents.items()}


def _key_near(model: dict[bytes, bytes]) -> st.SearchStrategy[bytes]:
    return keys | st.sampled_from(sorted(model)) if model else keys


def _check_reads(
    txn: zerodb.Transaction, contents: Contents, name: str | None, data: st.DataObject
) -> None:
    """Compares the entries that a transaction reads from one database with the model."""
    if name not in contents:
        try:
            txn.db(name)
        except zerodb.NotFoundError:
            return
        raise AssertionError(f"database {name} should not be in this snapshot")
    database = txn.db(name)
    model = contents[name]
    ordered = sorted(model)
    key = data.draw(_key_near(model))
    assert txn.get(key, db=database) == model.get(key)
    assert txn.stat(database).entries == len(model)
    assert list(txn.keys(database, start=key)) == [k for k in ordered if k >= key]
    assert list(txn.keys(database, stop=key, reverse=True)) == [
        k for k in reversed(ordered) if k < key
    ]
    with txn.cursor(database) as cursor:
        moves: list[Callable[[], object]] = [cursor.next, cursor.prev]
        place = next((i for i, k in enumerate(ordered) if k >= key), None)
        item = cursor.seek(key)
        if place is None:
            assert item is None
            return
        for move in data.draw(st.lists(st.sampled_from([0, 1]), max_size=8)):
            assert cursor.item() == (ordered[place], model[ordered[place]])
            target = place + (-1 if move else 1)
            moved = moves[move]()
            if 0 <= target < len(ordered):
                place = target
                assert moved == (ordered[place], model[ordered[place]])
            else:
                assert moved is None


TestModel = Model.TestCase
TestModel.settings = settings(
    max_examples=50, stateful_step_count=50, deadline=None, database=None, print_blob=True
)
