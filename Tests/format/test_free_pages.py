"""docs/FORMAT.md is true of free pages, in the free list and in the free tree."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from environments import MAIN, Databases, change, check, tree_pages
from format_free_pages import Freed
from format_reader import Environment
from format_records import u64

import zerodb


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path where an environment can be made."""
    return tmp_path / "environment"


def put(env: zerodb.Environment, key: bytes, value: bytes) -> None:
    """A transaction that puts one pair."""
    with env.begin(write=True) as txn:
        txn[key] = value


def writers(found: Environment, freed: Freed) -> set[int]:
    """The transactions that wrote some freed pages, by what the pages still hold."""
    numbers = [number for start, pages in freed.runs for number in range(start, start + pages)]
    return {u64(found.data, number * found.page_size + 16) for number in numbers}


def freers(freed: Iterable[Freed], durable: int) -> tuple[set[int], set[int]]:
    """The transactions that freed pages of the durable state, and of younger pages."""
    freed = list(freed)
    pending = {group.transaction for group in freed if group.birth <= durable}
    return pending, {group.transaction for group in freed if group.birth > durable}


# The free list ----------------------------------------------------------------------------


def test_small_commits_need_only_the_free_list(path: Path) -> None:
    for session in range(5):
        with zerodb.open(path, threads=False) as env:
            for number in range(3):
                put(env, b"key", b"%d" % number)
        found = check(path, {MAIN: {b"key": b"2"}})
        last = found.meta.transaction
        assert found.free_tree.record.depth == 0
        # What is left of the reserve for a full disk.
        assert found.free_list.available_pages == (6 if session else 7)
        # The pages of the durable state and those of the second commit are freed. The third
        # commit has taken those of the first.
        pending, young = freers(found.free_list.freed, last - 3)
        assert pending == ({last - 2} if session else set())
        assert young == {last}
        births = [group.birth for group in found.free_list.freed]
        assert births == ([last - 3] if session else []) + [last - 1]
        assert found.meta.page_count == 11
        assert found.meta.pinned_total == session


def test_the_free_list_says_which_transactions_wrote_its_pages(path: Path) -> None:
    with zerodb.open(path, threads=False) as env:
        put(env, b"key", b"durable")
    commits = 20
    with zerodb.open(path, threads=False) as env, contextlib.ExitStack() as readers:
        for number in range(commits):
            # Each state is read, and so none of its pages is used again.
            readers.enter_context(env.begin())
            put(env, b"key", b"%d" % number)
    found = check(path, {MAIN: {b"key": b"%d" % (commits - 1)}})
    # A reader lies between any two of them, and so each has a group of its own.
    groups = found.free_list.freed
    ranges = [(group.birth, group.transaction) for group in groups]
    assert ranges == [(number, number + 1) for number in range(2, 2 + commits)]
    for group in groups:
        assert writers(found, group) == {group.birth}


def test_the_free_list_keeps_together_what_the_same_states_need(path: Path) -> None:
    with zerodb.open(path, threads=False) as env:
        put(env, b"key", b"durable")
    with zerodb.open(path, threads=False) as env, contextlib.ExitStack() as readers:
        for number in range(4):
            put(env, b"key", b"%d" % number)
        readers.enter_context(env.begin())
        for number in range(40):
            with env.begin(write=True) as txn:
                txn[b"key"] = b"%d" % number
                txn.db("other", create=True)
    found = check(path, {MAIN: {b"key": b"39"}, b"other": {}})
    # What the durable state has, what the reader has besides, and what the last commit freed.
    assert [group.birth for group in found.free_list.freed] == [2, 6, 45]
    for group in found.free_list.freed:
        assert group.birth <= min(writers(found, group))


def test_pages_become_available_when_no_state_needs_them(path: Path) -> None:
    with zerodb.open(path, threads=False) as env:
        with env.begin():
            for number in range(9):
                put(env, b"key", b"%d" % number)
        put(env, b"key", b"last")
    found = check(path, {MAIN: {b"key": b"last"}})
    assert found.free_list.available_pages == 7
    assert (found.free_list.pending_pages, found.meta.page_count) == (1, 11)


def test_pages_never_written_may_be_the_last_of_the_file(path: Path) -> None:
    with zerodb.open(path, threads=False) as env:
        put(env, b"key", bytes(400_000))
    found = check(path, {MAIN: {b"key": bytes(400_000)}})
    start, pages = found.free_list.available[-1]
    assert start + pages == found.meta.page_count
    assert found.data[start * 4096 :] == bytes(pages * 4096)


# The free tree ----------------------------------------------------------------------------


@pytest.mark.parametrize(("pages", "is_in_tree"), [(8, False), (9, True)])
def test_long_runs_are_freed_to_the_free_tree(path: Path, pages: int, is_in_tree: bool) -> None:
    with zerodb.open(path, threads=False) as env:
        put(env, b"long", bytes(pages * 4096 - 40))
    with zerodb.open(path, threads=False) as env:
        put(env, b"long", b"short")
    found = check(path, {MAIN: {b"long": b"short"}})
    place, other = found.free_list, found.free_tree_pages
    if is_in_tree:
        place, other = other, place
    assert freers(place.freed, 2) == ({3}, set())
    assert place.pending_pages == pages + 1
    assert other.freed == []


def test_freed_pages_wait_for_a_state_that_has_them(path: Path) -> None:
    rng = random.Random(5)
    keys = [rng.randbytes(24) for _ in range(20000)]
    entries = dict.fromkeys(keys, bytes(150))

    def change_many(env: zerodb.Environment) -> None:
        # This frees more pages than the free list has room for.
        with env.begin(write=True) as txn:
            for key in rng.sample(keys, 300):
                entries[key] = rng.randbytes(150)
                txn[key] = entries[key]

    with zerodb.open(path, threads=False) as env, env.begin(write=True) as txn:
        for key, value in entries.items():
            txn[key] = value
    with zerodb.open(path, threads=False) as env, contextlib.ExitStack() as readers:
        for _ in range(5):
            readers.enter_context(env.begin())
            change_many(env)
    found = check(path, {MAIN: entries})
    entries_found = found.free_tree_pages.freed
    assert {entry.transaction for entry in entries_found} == {3, 4, 5, 6, 7}
    for entry in entries_found:
        # All states are needed, and so no two writers are in one entry.
        assert writers(found, entry) == {entry.birth}
        assert entry.holder is not None
        assert entry.recorder == entry.transaction
    assert {entry.birth for entry in entries_found} == {2, 3, 4, 5, 6}
    with zerodb.open(path, threads=False) as env:
        for _ in range(2):
            change_many(env)
    found = check(path, {MAIN: entries})
    young = [entry for entry in found.free_tree_pages.freed if entry.holder is None]
    assert young
    assert {(entry.birth, entry.transaction) for entry in young} == {(8, 9)}
    with zerodb.open(path, threads=False) as env:
        change_many(env)
    assert check(path, {MAIN: entries}).meta.available_pages > 0


def test_pages_moved_to_the_free_tree_keep_who_freed_them(path: Path) -> None:
    with zerodb.open(path, threads=False) as env:
        put(env, b"key", b"durable")
        put(env, b"long", bytes(40_000))
    before = check(path, {MAIN: {b"key": b"durable", b"long": bytes(40_000)}})
    with zerodb.open(path, threads=False) as env:
        put(env, b"key", b"4")
        put(env, b"key", b"5")
        put(env, b"long", b"6")
    found = check(path, {MAIN: {b"key": b"5", b"long": b"6"}})
    leaf = before.main.record.root.number
    # Transaction 4 freed the leaf, and 6, which freed the run, moved it.
    assert "freed by 4, in the free tree" in found.uses[leaf]
    freed = found.free_tree_pages.freed
    assert {entry.transaction for entry in freed if entry.holder == 3} == {4, 6}
    assert {entry.recorder for entry in freed} == {6}
    assert found.meta.pinned_total - before.meta.pinned_total == 1 + 10


def test_every_free_page_is_recorded_after_random_commits(path: Path) -> None:
    rng = random.Random(3)
    model: Databases = {MAIN: {}, b"second": {}}
    seen: set[str] = set()
    with zerodb.open(path, threads=False) as env:
        change(env, model, rng, 500)
    before = check(path, model)
    for _ in range(30):
        with zerodb.open(path, threads=False) as env:
            readers = []
            for _ in range(rng.choice([1, 2, 5, 12])):
                if rng.random() < 0.3:
                    readers.append(env.begin())
                change(env, model, rng, rng.choice([1, 1, 1, 2, 10, 60]))
                if readers and rng.random() < 0.3:
                    readers.pop(0).abort()
            for reader in readers:
                reader.abort()
        found = check(path, model)
        # Pages that the older of two durable states needs are never taken, and counted once.
        freed = tree_pages(before) - tree_pages(found)
        assert found.meta.pinned_total - before.meta.pinned_total == len(freed)
        for place, pages in (("list", found.free_list), ("tree", found.free_tree_pages)):
            seen |= {f"{place}: available" for _ in pages.available}
            for group in pages.freed:
                is_pending = group.birth <= before.meta.transaction
                seen.add(f"{place}: {'pending' if is_pending else 'young'}")
        before = found
    assert len(seen) == 6, seen


def test_the_file_always_holds_all_pages_below_the_page_count(path: Path) -> None:
    rng = random.Random(1)
    keys = [rng.randbytes(24) for _ in range(10000)]
    entries = {key: bytes(150) for key in keys}
    with zerodb.open(path) as env:
        with env.begin(write=True) as txn:
            for key, value in entries.items():
                txn[key] = value
        for count in (5, 500, 50, 5000, 1, 500, 5000, 50, 5000, 5000):
            with env.begin(write=True) as txn:
                for key in rng.sample(keys, count):
                    entries[key] = rng.randbytes(rng.choice([10, 150, 300]))
                    txn[key] = entries[key]
            info = env.info()
            assert info.file_size >= info.page_count * info.page_size
    check(path, {MAIN: entries})
