"""Recovery mode: reading what is left of a damaged environment."""

from __future__ import annotations

from pathlib import Path

import pytest

import zerodb
from test_durability import leave_to_recover

PAGE_SIZE = 4096
ENTRIES = {b"key%04d" % number: b"value %d" % number for number in range(1000)}


@pytest.fixture
def damaged(path: Path) -> tuple[Path, int]:
    """An environment with a damaged leaf in the middle, and the number of that page."""
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        for key, value in ENTRIES.items():
            txn[key] = value
    data = bytearray((path / "data.zdb").read_bytes())
    pages = range(2, len(data) // PAGE_SIZE)
    page = next(
        page
        for page in pages
        if data[page * PAGE_SIZE + 24] == 2
        and b"value 500" in data[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
    )
    data[page * PAGE_SIZE + 1000] ^= 1
    (path / "data.zdb").write_bytes(data)
    return path, page


def test_iteration_passes_over_damage(damaged: tuple[Path, int]) -> None:
    path, page = damaged
    events: list[tuple[str, str]] = []
    before = (path / "data.zdb").read_bytes()
    with (
        zerodb.open(
            path, recovery=True, on_event=lambda level, text: events.append((level, text))
        ) as env,
        env.begin() as txn,
    ):
        found = dict(txn.items())
        assert 0 < len(found) < len(ENTRIES)
        assert found.items() <= ENTRIES.items()
        assert b"key0000" in found
        assert b"key0999" in found
        for key in ENTRIES.keys() - found.keys():
            with pytest.raises(zerodb.CorruptedError) as raised:
                txn.get(key)
            assert raised.value.page == page
    told = [text for level, text in events if level == "warning"]
    assert len(told) == 1
    assert f"page {page} " in told[0]
    assert (path / "data.zdb").read_bytes() == before


def test_without_it_damage_ends_iteration(damaged: tuple[Path, int]) -> None:
    path, _ = damaged
    with (
        zerodb.open(path, read_only=True) as env,
        env.begin() as txn,
        pytest.raises(zerodb.CorruptedError),
    ):
        dict(txn.items())


def test_nothing_can_be_written(damaged: tuple[Path, int]) -> None:
    path, _ = damaged
    with zerodb.open(path, recovery=True) as env:
        with pytest.raises(zerodb.ReadOnlyError):
            env.begin(write=True)
        with pytest.raises(zerodb.ReadOnlyError):
            env.checkpoint()


def test_the_log_is_replayed_in_memory_and_older_states_can_be_chosen(path: Path) -> None:
    leave_to_recover(path, 5)
    files = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with zerodb.open(path, recovery=True) as env:
        newest = env.info().last_txn_id
        with env.begin() as txn:
            assert len(list(txn.items())) == 5
    with zerodb.open(path, recovery=True, recovery_root=newest - 2) as env, env.begin() as txn:
        assert txn.id == newest - 2
        assert [key for key, _ in txn.items()] == [b"0", b"1", b"2"]
    with pytest.raises(zerodb.NotFoundError):
        zerodb.open(path, recovery=True, recovery_root=newest + 1)
    assert files == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_wrong_options(path: Path) -> None:
    with pytest.raises(zerodb.BadArgumentError):
        zerodb.open(path, recovery_root=5)
    with pytest.raises(zerodb.BadArgumentError):
        zerodb.open(path, recovery=True, recovery_root=-1)
    with pytest.raises(zerodb.PathNotFoundError):
        zerodb.open(path, recovery=True)
