"""The durability of commits, checkpoints, and the state after a process was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import zerodb
from zerodb import Durability

MIB = 1 << 20
DURABILITIES: list[Durability] = ["full", "relaxed", "none"]

PROGRAM = """
import os, signal, sys
import zerodb

path = sys.argv[1]

def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def start(path: Path, program: str) -> subprocess.Popen[str]:
    """Runs a program in a process of its own; `path` and `die()` are there for it."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_until_killed(path: Path, program: str) -> None:
    with start(path, program) as process:
        process.wait()
    assert process.returncode == -signal.SIGKILL


def leave_to_recover(path: Path, commits: int) -> None:
    """Lets a process commit so often, each time a key, and be killed."""
    run_until_killed(
        path,
        f"""
env = zerodb.open(path)
for number in range({commits}):
    with env.begin(write=True) as txn:
        txn[b"%d" % number] = b"value"
die()
""",
    )


def numbers(txn: zerodb.Transaction) -> list[int]:
    return [int(key) for key in txn]


# ------------------------------------------------------------------- durability


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_commit_of_any_durability_is_seen_and_kept(
    path: Path, durability: Durability
) -> None:
    with zerodb.open(path, durability=durability) as env:
        with env.begin(write=True) as txn:
            txn[b"key"] = b"value"
        with env.begin() as txn:
            assert txn[b"key"] == b"value"
    with zerodb.open(path) as env:
        assert env.info().recovered_records == 0
        with env.begin() as txn:
            assert txn[b"key"] == b"value"


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("own", DURABILITIES)
def test_a_transaction_may_have_a_durability_of_its_own(
    path: Path, durability: Durability, own: Durability
) -> None:
    with zerodb.open(path, durability=durability) as env:
        with env.begin(write=True, durability=own) as txn:
            txn[b"key"] = b"value"
        # Only commits that need not be durable before a checkpoint are not logged.
        assert (env.info().log_bytes > 0) == (own != "none")
        with env.begin() as txn:
            assert txn[b"key"] == b"value"


def test_a_durability_that_is_none_of_them_is_a_value_error(env: zerodb.Environment) -> None:
    wrong: Any = "utter"
    with pytest.raises(zerodb.BadArgumentError, match="durability"):
        env.begin(write=True, durability=wrong)


def test_a_read_transaction_has_no_durability(env: zerodb.Environment) -> None:
    with pytest.raises(zerodb.BadArgumentError, match="durability"):
        env.begin(durability="full")


# ------------------------------------------------------------------ checkpoints


def test_a_checkpoint_leaves_nothing_to_replay(env: zerodb.Environment) -> None:
    for number in range(10):
        with env.begin(write=True) as txn:
            txn[b"%d" % number] = b"value"
    before = env.info()
    assert before.log_bytes > 0
    assert before.checkpoint_txn_id < before.last_txn_id
    env.checkpoint()
    after = env.info()
    assert after.log_bytes == 0
    assert after.checkpoint_txn_id == after.last_txn_id == before.last_txn_id
    env.checkpoint()
    assert env.info() == after


def test_a_checkpoint_makes_pinned_pages_available(env: zerodb.Environment) -> None:
    for value in (b"a", b"b"):
        with env.begin(write=True) as txn:
            for number in range(1000):
                txn[b"%d" % number] = value * 100
        env.checkpoint()
    with env.begin(write=True) as txn:
        txn[b"0"] = b"c"
    assert env.info().pinned_pages > 0
    env.checkpoint()
    # The pages are given back by the writers that need them.
    for number in range(20):
        with env.begin(write=True) as txn:
            txn[b"0"] = b"%d" % number
    page_count = env.info().page_count
    for number in range(200):
        with env.begin(write=True) as txn:
            txn[b"0"] = b"%d" % number
    assert env.info().page_count == page_count


def test_the_log_stays_within_its_size(path: Path) -> None:
    with zerodb.open(path, log_size=MIB, durability="relaxed") as env:
        first = env.info().checkpoint_txn_id
        for number in range(50):
            with env.begin(write=True) as txn:
                txn[b"key"] = b"%d" % number * 100_000
            assert env.info().log_bytes <= 2 * MIB + 300_000
        assert env.info().checkpoint_txn_id > first


def test_an_environment_opened_read_only_makes_no_checkpoint(path: Path) -> None:
    zerodb.open(path).close()
    with zerodb.open(path, read_only=True) as env:
        with pytest.raises(zerodb.ReadOnlyError):
            env.checkpoint()
        env.sync()


def threads_of_this_process() -> int:
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_without_threads_the_library_starts_none_and_makes_checkpoints_all_the_same(
    path: Path,
) -> None:
    threads = threads_of_this_process()
    with zerodb.open(path, threads=False, log_size=MIB, durability="relaxed") as env:
        first = env.info().checkpoint_txn_id
        for number in range(20):
            with env.begin(write=True) as txn:
                txn[b"key"] = b"%d" % number * 100_000
            assert env.info().log_bytes <= MIB + 300_000
            assert threads_of_this_process() == threads
        assert env.info().checkpoint_txn_id > first


# --------------------------------------------------------------------- recovery


def test_commits_of_a_killed_process_are_there(path: Path) -> None:
    run_until_killed(
        path,
        """
env = zerodb.open(path)
for number in range(20):
    with env.begin(write=True) as txn:
        txn[b"%d" % number] = b"value"
unfinished = env.begin(write=True)
unfinished[b"unfinished"] = b"value"
die()
""",
    )
    with zerodb.open(path) as env:
        info = env.info()
        assert info.recovered_records == 20
        assert info.recovered_bytes >= 20 * len(b"0value")
        assert info.recovery_ns > 0
        assert info.log_bytes == 0
        with env.begin() as txn:
            assert sorted(numbers(txn)) == list(range(20))
        assert env.verify().sound
    with zerodb.open(path) as env:
        assert env.info().recovered_records == 0
        assert env.info().recovery_ns == 0


@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_every_acknowledged_commit_outlives_a_kill_at_any_moment(
    path: Path, durability: Durability
) -> None:
    program = f"""
env = zerodb.open(path, log_size=1 << 20, durability={durability!r})
with env.begin() as txn:
    number = len(list(txn))
while True:
    with env.begin(write=True) as txn:
        txn[b"%06d" % number] = b"v" * 5000
    print(number, flush=True)
    number += 1
"""
    acknowledged = -1
    for acknowledgements in range(1, 100, 17):
        with start(path, program) as process:
            assert process.stdout is not None
            for _ in range(acknowledgements):
                acknowledged = int(process.stdout.readline())
            process.kill()
            for line in process.stdout:
                acknowledged = int(line)
        with zerodb.open(path) as env:
            with env.begin() as txn:
                found = numbers(txn)
            assert found == list(range(len(found)))
            # One more may have been complete but not yet acknowledged.
            assert len(found) in (acknowledged + 1, acknowledged + 2)
            assert env.verify().sound


def test_without_durability_a_kill_loses_the_commits_after_the_last_sync(path: Path) -> None:
    run_until_killed(
        path,
        """
env = zerodb.open(path, durability="none")
for number in range(4):
    with env.begin(write=True) as txn:
        txn[b"%d" % number] = b"value"
    if number == 1:
        env.sync()
die()
""",
    )
    with zerodb.open(path) as env:
        with env.begin() as txn:
            assert numbers(txn) == [0, 1]
        assert env.verify().sound


def test_a_durable_commit_keeps_those_without_durability_before_it(path: Path) -> None:
    run_until_killed(
        path,
        """
env = zerodb.open(path)
for number in range(4):
    with env.begin(write=True, durability="none" if number < 3 else "full") as txn:
        txn[b"%d" % number] = b"value"
die()
""",
    )
    with zerodb.open(path) as env, env.begin() as txn:
        assert numbers(txn) == [0, 1, 2, 3]


def test_a_process_that_is_killed_leaves_the_others_undisturbed(
    env: zerodb.Environment,
) -> None:
    run_until_killed(
        Path(env.path),
        """
env = zerodb.open(path)
with env.begin(write=True) as txn:
    txn[b"0"] = b"value"
reader = env.begin()
unfinished = env.begin(write=True)
unfinished[b"1"] = b"value"
die()
""",
    )
    with env.begin() as txn:
        assert numbers(txn) == [0]
    with env.begin(write=True) as txn:
        txn[b"2"] = b"value"
        assert numbers(txn) == [0, 2]
    assert env.info().recovered_records == 0
    assert env.verify().sound


def test_a_read_only_opening_is_refused_where_recovery_is_needed(path: Path) -> None:
    leave_to_recover(path, commits=1)
    for _ in range(2):
        with pytest.raises(zerodb.RecoveryNeededError) as caught:
            zerodb.open(path, read_only=True)
        assert caught.value.code == -22
        assert str(path) in str(caught.value)
    zerodb.open(path).close()
    with zerodb.open(path, read_only=True) as env, env.begin() as txn:
        assert numbers(txn) == [0]


def test_an_environment_that_is_closed_by_all_needs_no_recovery(path: Path) -> None:
    with zerodb.open(path) as env, env.begin(write=True) as txn:
        txn[b"0"] = b"value"
    with zerodb.open(path, read_only=True) as env, env.begin() as txn:
        assert numbers(txn) == [0]


# ----------------------------------------------------------------------- events


def test_a_recovery_is_reported(path: Path) -> None:
    events: list[tuple[str, str]] = []
    zerodb.open(path, on_event=lambda *event: events.append(event)).close()
    assert events == []
    leave_to_recover(path, commits=12)
    with (
        zerodb.open(path, on_event=lambda *event: events.append(event)) as env,
        env.begin(write=True) as txn,
    ):
        txn[b"key"] = b"value"
    ((level, message),) = events
    assert level == "information"
    assert "12" in message


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_in_an_event_callback_changes_nothing(path: Path) -> None:
    leave_to_recover(path, commits=1)

    def fail(level: str, message: str) -> None:
        raise ZeroDivisionError

    with zerodb.open(path, on_event=fail) as env, env.begin() as txn:
        assert numbers(txn) == [0]


# ---------------------------------------------------------------------- readers


def test_readers_of_all_processes_are_listed(env: zerodb.Environment) -> None:
    assert env.readers() == []
    with env.begin(write=True) as txn:
        txn[b"key"] = b"value"
    program = """
env = zerodb.open(path)
reader = env.begin()
print(reader.id, flush=True)
sys.stdin.read()
"""
    with env.begin() as own, start(Path(env.path), program) as process:
        assert process.stdout is not None
        other_id = int(process.stdout.readline())
        readers = sorted(env.readers(), key=lambda reader: reader.process_id != os.getpid())
        assert [reader.process_id for reader in readers] == [os.getpid(), process.pid]
        assert [reader.txn_id for reader in readers] == [own.id, other_id]
        assert readers[0].slot != readers[1].slot
        assert env.check_readers() == 0
        process.kill()
        process.wait()
        assert env.check_readers() == 1
        own.reset()
        (reader,) = env.readers()
        assert reader.process_id == os.getpid()
        assert reader.txn_id is None
        assert env.check_readers() == 0
    assert env.readers() == []


def test_open_transactions_are_listed_with_their_age(env: zerodb.Environment) -> None:
    assert env.transactions() == []
    with env.begin(write=True) as writer, env.begin() as reader:
        listed = sorted(env.transactions(), key=lambda transaction: transaction.write)
        assert [transaction.write for transaction in listed] == [False, True]
        assert [transaction.txn_id for transaction in listed] == [reader.id, writer.id]
        assert all(transaction.open_ns > 0 for transaction in listed)
        assert not any(transaction.thread_ended for transaction in listed)
        (from_table,) = env.readers()
        assert from_table.open_ns > 0
    assert env.transactions() == []


def test_a_writer_waits_no_longer_than_it_was_told(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env", writer_wait_ms=20) as env, env.begin(write=True):
        failures: list[Exception] = []

        def begin() -> None:
            try:
                env.begin(write=True)
            except zerodb.BusyError as error:
                failures.append(error)

        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()
        assert len(failures) == 1


# ------------------------------------------------------------------- compaction


def test_free_pages_give_back_their_room(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env", max_txn_pages=0, auto_compact_percent=0) as env:
        with env.begin(write=True) as txn:
            for number in range(4000):
                txn.put(b"%08d" % number, bytes(1000))
        with env.begin(write=True) as txn:
            for number in range(500, 3500):
                txn.delete(b"%08d" % number)
        env.checkpoint()
        file = tmp_path / "env" / "data.zdb"
        before = file.stat().st_blocks
        result = env.compact(max_pages=1, punch_holes=True)
        assert result.bytes_punched > 1 << 20
        assert file.stat().st_blocks * 512 < before * 512 - result.bytes_punched // 2
        assert env.verify().sound
        assert env.compact(max_pages=1).bytes_punched == 0


def test_a_compaction_makes_the_file_shorter(env: zerodb.Environment) -> None:
    for first in range(0, 20_000, 2000):
        with env.begin(write=True) as txn:
            for number in range(first, first + 2000):
                txn[b"%08d" % number] = b"value" * 40
    for first in range(0, 20_000, 2000):
        with env.begin(write=True) as txn:
            for number in range(first, first + 2000):
                if number % 20:
                    del txn[b"%08d" % number]
    result = env.compact()
    assert result.finished
    assert result.bytes_after * 5 < result.bytes_before
    assert env.info().file_size == result.bytes_after
    with env.begin() as txn:
        assert txn.get(b"%08d" % 40) == b"value" * 40
        assert txn.get(b"%08d" % 41) is None
    assert env.verify().problems == 0
