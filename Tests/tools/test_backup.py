"""zerodb backup, as a user runs it: archives, restores, and what can go wrong with them."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import zerodb
from conftest import STAGE, Run, damage, fill, leave, used_page

Digests = dict[int, int]


def change(environment: zerodb.Environment, numbers: random.Random) -> tuple[int, int]:
    """Makes a random commit; returns its transaction and the digest after it."""
    durability: Any = numbers.choice(["full", "relaxed", "none"])
    with environment.begin(write=True, durability=durability) as transaction:
        for _ in range(numbers.randrange(1, 8)):
            key = b"key%04d" % numbers.randrange(900)
            if numbers.random() < 0.2:
                transaction.delete(key)
            else:
                transaction.put(key, numbers.randbytes(numbers.randrange(300)))
    info = environment.info()
    return info.last_txn_id, int(info.digest)


@contextmanager
def following(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `zerodb backup follow` that is ended at the end, and must end well."""
    process = subprocess.Popen(
        [STAGE / "bin" / "zerodb-backup", "follow", "env", *arguments, "--interval", "0.05"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "all pages" in process.stdout.readline()
        yield process
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, ""), output
    finally:
        process.kill()
        process.wait()


def info(run: Run, archive: str = "archive") -> dict[str, Any]:
    """What `zerodb backup info` says."""
    result = run("zerodb-backup", "info", archive, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def restored(run: Run, target: str, *arguments: str) -> dict[str, Any]:
    """Restores, and checks the result with `zerodb check`."""
    result = run("zerodb-backup", "restore", "archive", target, "--json", *arguments)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    assert run("zerodb-check", target).returncode == 0
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_create_adds_copies_and_restore_gives_them_back(run: Run, path: Path) -> None:
    numbers = random.Random(1)
    digests: Digests = {}
    for arguments in [(), ("--incremental",), ("--incremental",), ()]:
        with zerodb.open(path) as environment:
            for _ in range(5):
                transaction, digest = change(environment, numbers)
            digests[transaction] = digest
            # Beside the program that has it open.
            result = run("zerodb-backup", "create", "env", "archive", "--json", *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        report = json.loads(result.stdout)
        assert report["to"] == transaction
        assert report["content"] == ("incremental" if arguments else "full")
    spans = info(run)["restorable"]
    assert [span["last"] for span in spans] == sorted(digests)
    for transaction, digest in digests.items():
        report = restored(run, f"to{transaction}", "--to-txn", str(transaction))
        assert int(report["digest"], 16) == digest
    result = run(
        "zerodb-backup", "restore", "archive", "none", "--to-txn", str(min(digests) + 1)
    )
    assert result.returncode == 2
    assert f"{min(digests)} before it and" in result.stderr
    assert run("zerodb-backup", "verify", "archive").returncode == 0


def test_follow_archives_every_commit_of_other_programs(run: Run, path: Path) -> None:
    numbers = random.Random(2)
    digests: Digests = {}
    times: dict[int, int] = {}
    with following(path.parent, "archive"), zerodb.open(path) as environment:
        for _ in range(200):
            transaction, digest = change(environment, numbers)
            digests[transaction] = digest
            times[transaction] = time.time_ns()
    assert info(run)["transaction"] == max(digests)
    for transaction in list(digests)[::40]:
        report = restored(run, f"to{transaction}", "--to-txn", str(transaction))
        assert int(report["digest"], 16) == digests[transaction]
        at = restored(run, f"at{transaction}", "--to-time", str(times[transaction]))
        assert at["transaction"] == transaction
    assert int(restored(run, "newest", "--latest")["digest"], 16) == digests[max(digests)]
    result = run("zerodb-backup", "check", "archive", "--max-age", "1h")
    assert (result.returncode, result.stderr) == (0, "")


def test_kills_lose_nothing_that_was_committed(run: Run, path: Path) -> None:
    """The archiver and a writer are killed again and again, at any moment."""
    program = (
        "import random, sys, zerodb\n"
        "numbers = random.Random(int(sys.argv[2]))\n"
        "environment = zerodb.open(sys.argv[1], log_size=1 << 20)\n"
        "while True:\n"
        "    durability = numbers.choice(['full', 'relaxed', 'none'])\n"
        "    with environment.begin(write=True, durability=durability) as transaction:\n"
        "        for _ in range(5):\n"
        "            key = b'key%d' % numbers.randrange(500)\n"
        "            transaction.put(key, numbers.randbytes(2000))\n"
        "    info = environment.info()\n"
        "    print(info.last_txn_id, info.digest, flush=True)\n"
    )
    digests: dict[int, set[int]] = {}
    numbers = random.Random(3)
    program_path = str(STAGE / "bin" / "zerodb-backup")
    follow = [program_path, "follow", "env", "archive", "--interval", "0.01"]
    for round_ in range(8):
        archiver = subprocess.Popen(follow, cwd=path.parent, stdout=subprocess.PIPE, text=True)
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(round_)],
            stdout=subprocess.PIPE,
            text=True,
        )
        time.sleep(numbers.uniform(0.1, 0.6))
        first, second = (archiver, writer) if numbers.random() < 0.5 else (writer, archiver)
        first.kill()
        time.sleep(numbers.uniform(0, 0.2))
        second.kill()
        output, _ = writer.communicate(timeout=60)
        archiver.communicate(timeout=60)
        # The last line may be cut off.
        for line in output.split("\n")[:-1]:
            number, left = (int(word) for word in line.split())
            # What a commit did not wait for can be lost; its number is then another's.
            digests.setdefault(number, set()).add(left)
    with following_end(path):
        pass
    assert run("zerodb-backup", "verify", "archive").returncode == 0
    spans = info(run)["restorable"]
    assert len(spans) == 1
    known = [number for number in digests if number >= spans[0]["first"]]
    assert len(known) > 50
    for transaction in sorted(known)[:: len(known) // 6]:
        report = restored(run, f"to{transaction}", "--to-txn", str(transaction))
        assert int(report["digest"], 16) in digests[transaction]
    with zerodb.open(path) as environment:
        digest = int(environment.info().digest)
    assert int(restored(run, "newest", "--latest")["digest"], 16) == digest


@contextmanager
def following_end(path: Path) -> Iterator[None]:
    """A last run that archives what is left."""
    process = subprocess.Popen(
        [STAGE / "bin" / "zerodb-backup", "follow", "env", "archive"],
        cwd=path.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.5)
    yield
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_command_keeps_the_archive(run: Run, path: Path) -> None:
    (path.parent / "archive").mkdir()
    numbers = random.Random(4)
    with (
        following(path.parent, "--command", 'cat > "archive/$ZERODB_FILE"'),
        zerodb.open(path) as environment,
    ):
        for _ in range(30):
            transaction, digest = change(environment, numbers)
    report = restored(run, "newest", "--latest")
    assert (report["transaction"], int(report["digest"], 16)) == (transaction, digest)


def test_a_command_that_fails_is_tried_again(path: Path, run: Run) -> None:
    (path.parent / "archive").mkdir()
    command = (
        'test -e go || { cat > "archive/$ZERODB_FILE"; exit 7; }; cat > "archive/$ZERODB_FILE"'
    )
    process = subprocess.Popen(
        [
            STAGE / "bin" / "zerodb-backup",
            "follow",
            "env",
            "--command",
            command,
            "--interval",
            "0.01",
        ],
        cwd=path.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert "status 7" in process.stderr.readline()
    (path.parent / "go").touch()
    assert "all pages" in process.stdout.readline()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert run("zerodb-backup", "verify", "archive").returncode == 0


def test_the_option_archives_in_the_background(run: Run, path: Path) -> None:
    numbers = random.Random(5)
    archive = path.parent / "archive"
    with zerodb.open(path, archive=archive) as environment:
        for _ in range(50):
            transaction, digest = change(environment, numbers)
        deadline = time.monotonic() + 20
        while not list(archive.glob("*-full-*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(50):
            transaction, digest = change(environment, numbers)
    # Closed: all of it is there.
    report = restored(run, "newest", "--latest")
    assert (report["transaction"], int(report["digest"], 16)) == (transaction, digest)
    with zerodb.open(path, archive=os.fsencode(archive)) as environment:
        transaction, digest = change(environment, numbers)
    assert restored(run, "later", "--latest")["transaction"] == transaction
    with pytest.raises(zerodb.BadArgumentError):
        zerodb.open(path, archive=archive, threads=False)
    with pytest.raises(zerodb.BadArgumentError):
        zerodb.open(path, archive="")


def wait_for_archiver(archive: Path) -> None:
    """Waits until it lets go of the directory: it goes on in one that is moved."""
    with open(archive / "lock", "r+b") as lock:
        for _ in range(200):
            with suppress(BlockingIOError):
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.05)
    raise AssertionError("the archive stays locked")


def test_a_full_destination_holds_no_writer_up(path: Path, run: Run, tmp_path: Path) -> None:
    """The archive cannot be written: writers go on, and what is kept has a bound."""
    archive = tmp_path / "archive"
    events: list[tuple[str, str]] = []
    with zerodb.open(
        path,
        archive=archive,
        archive_log_kept=1 << 20,
        log_size=1 << 20,
        on_event=lambda level, message: events.append((level, message)),
    ) as environment:
        deadline = time.monotonic() + 20
        while not list(archive.glob("*-full-*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        wait_for_archiver(archive)
        shutil.move(archive, tmp_path / "away")
        archive.write_text("in the way")
        for number in range(60):
            with environment.begin(write=True) as transaction:
                transaction.put(b"key%d" % number, os.urandom(200_000))
        environment.checkpoint()
        while not any("is not archived" in message for _, message in events):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        kept = sum(file.stat().st_size for file in (path / "log").iterdir())
        assert kept < 16 << 20
        metrics = {metric.name: metric for metric in environment.metrics()}
        assert "zerodb_archive_failures_total" in metrics
        archive.unlink()
        shutil.move(tmp_path / "away", archive)
        deadline = time.monotonic() + 90
        while not list(archive.glob("*-incr-*")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        digest = int(environment.info().digest)
    assert any("has a gap" in message for _, message in events)
    assert int(restored(run, "newest", "--latest")["digest"], 16) == digest


def test_damage_ends_a_copy_and_leaves_nothing(run: Run, path: Path) -> None:
    damage(path, used_page(path))
    result = run("zerodb-backup", "create", "env", "archive")
    assert result.returncode == 1
    assert "page" in result.stderr
    assert not list((path.parent / "archive").glob("*.zdba"))
    assert not (path.parent / "archive" / "unfinished").exists()


def test_a_restore_that_is_killed_goes_on(run: Run, path: Path) -> None:
    numbers = random.Random(6)
    with following(path.parent, "archive"), zerodb.open(path) as environment:
        for _ in range(100):
            _transaction, digest = change(environment, numbers)
    program = str(STAGE / "bin" / "zerodb-backup")
    command = [program, "restore", "archive", "target", "--latest", "-q"]
    for number in range(12):
        process = subprocess.Popen(command, cwd=path.parent)
        time.sleep(numbers.uniform(0, 0.03))
        process.kill()
        if process.wait() == 0:
            break
        target = path.parent / "target"
        if target.exists() and os.listdir(target) == ["restoring"]:
            with pytest.raises(zerodb.Error, match="restore"):
                zerodb.open(target)
            # It leaves nothing there either.
            assert os.listdir(target) == ["restoring"], number
    if not (path.parent / "target" / "data.zdb").exists():
        assert run("zerodb-backup", "restore", "archive", "target", "--latest").returncode == 0
    assert run("zerodb-check", "target").returncode == 0
    with zerodb.open(path.parent / "target") as environment:
        assert int(environment.info().digest) == digest
    result = run("zerodb-backup", "restore", "archive", "target", "--latest")
    assert result.returncode == 2
    assert "data.zdb" in result.stderr


def test_a_full_copy_that_is_killed_goes_on(run: Run, path: Path) -> None:
    numbers = random.Random(8)
    archive = path.parent / "archive"
    program = str(STAGE / "bin" / "zerodb-backup")
    command = [program, "create", "env", "archive", "-q"]
    slow = [*command, "--rate", "1MiB"]
    with zerodb.open(path, max_txn_pages=0) as environment:
        with environment.begin(write=True) as transaction:
            for number in range(4000):
                transaction.put(b"large %d" % number, numbers.randbytes(1500))
        digest = int(environment.info().digest)
        left = []
        for _ in range(12):
            process = subprocess.Popen(slow, cwd=path.parent)
            time.sleep(numbers.uniform(0.1, 0.4))
            process.send_signal(numbers.choice([signal.SIGKILL, signal.SIGTERM]))
            process.wait()
            left.append((archive / "unfinished-copy").exists())
            _transaction, digest = change(environment, numbers)
        assert any(left)
        subprocess.run(command, cwd=path.parent, check=True)
        assert not (archive / "unfinished-copy").exists()
    assert run("zerodb-backup", "verify", "archive").returncode == 0
    assert int(restored(run, "target", "--latest")["digest"], 16) == digest
    assert run("zerodb-check", "target").returncode == 0


def test_restores_into_one_target_do_not_mix(run: Run, path: Path) -> None:
    digests: dict[str, int] = {}
    numbers = random.Random(7)
    with following(path.parent, "archive"), zerodb.open(path) as environment:
        for _ in range(20):
            transaction, digests[str(transaction)] = change(environment, numbers)
    program = str(STAGE / "bin" / "zerodb-backup")
    for round_ in range(6):
        target = f"target{round_}"
        restores = []
        for number in numbers.sample(sorted(digests), 4):
            command = [program, "restore", "archive", target, "--to-txn", number, "--json"]
            restores.append(
                subprocess.Popen(
                    command,
                    cwd=path.parent,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            time.sleep(numbers.uniform(0, 0.02))
        outputs = [process.communicate(timeout=60)[0] for process in restores]
        codes = [process.returncode for process in restores]
        assert codes.count(0) == 1
        assert codes.count(2) == 3
        report = json.loads(outputs[codes.index(0)])
        with zerodb.open(path.parent / target) as environment:
            info_ = environment.info()
        assert info_.last_txn_id == report["transaction"]
        assert int(info_.digest) == digests[str(report["transaction"])]


def test_the_environment_opens_whatever_is_wrong_with_its_archive(run: Run, path: Path) -> None:
    archive = path.parent / "archive"
    archive.write_text("in the way")
    events: list[str] = []
    with zerodb.open(
        path, archive=archive, on_event=lambda _, message: events.append(message)
    ) as environment:
        with environment.begin(write=True, durability="none") as transaction:
            transaction.put(b"key", b"value")
        deadline = time.monotonic() + 20
        while not any("not archived" in message for message in events):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    archive.unlink()
    (path / "archive.zdb").write_bytes(b"damage" * 30)
    with zerodb.open(path, archive=archive) as environment:
        deadline = time.monotonic() + 20
        while not list(archive.glob("*-full-*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        digest = int(environment.info().digest)
    assert int(restored(run, "newest", "--latest")["digest"], 16) == digest
    with zerodb.open(path.with_name("other")) as environment:
        fill(environment)
    with pytest.raises(zerodb.IncompatibleError):
        zerodb.open(path.with_name("other"), archive=archive)


def test_a_copy_is_made_of_what_needs_recovery(run: Run, tmp_path: Path) -> None:
    leave(tmp_path / "env")
    assert run("zerodb-backup", "create", "env", "archive").returncode == 0
    restored(run, "newest", "--latest")


def test_dry_run_prune_and_list(run: Run, path: Path) -> None:
    for _ in range(3):
        with zerodb.open(path) as environment:
            fill(environment)
        assert run("zerodb-backup", "create", "env", "archive").returncode == 0
    result = run("zerodb-backup", "restore", "archive", "target", "--latest", "--dry-run")
    assert (result.returncode, result.stderr) == (0, "")
    assert "0000000003-full" in result.stdout
    assert not (path.parent / "target").exists()
    before = sorted(os.listdir(path.parent / "archive"))
    result = run("zerodb-backup", "prune", "archive", "--keep", "2", "--dry-run")
    assert "1 file" in result.stdout
    assert sorted(os.listdir(path.parent / "archive")) == before
    assert run("zerodb-backup", "prune", "archive", "--keep", "2").returncode == 0
    result = run("zerodb-backup", "list", "archive")
    assert [line.split("-")[0] for line in result.stdout.splitlines()] == [
        "0000000002",
        "0000000003",
    ]
    assert run("zerodb-backup", "verify", "archive").returncode == 0
    assert run("zerodb-backup", "prune", "archive", "--keep", "0").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["restore", "none", "target", "--latest"], "none"),
        (["restore", "archive", "target"], "--latest"),
        (["restore", "archive", "target", "--to-time", "yesterday"], "--to-time"),
        (["restore", "archive", "target", "--to-time", "1999-01-01"], "so early"),
        (["follow", "env"], "--command"),
        (["create", "none", "archive"], "none"),
        (["check", "none"], "none"),
        (["list", "env"], "env"),
    ],
)
def test_mistakes_are_explained(run: Run, path: Path, arguments: list[str], said: str) -> None:
    assert run("zerodb-backup", "create", "env", "archive", "-q").returncode == 0
    result = run("zerodb-backup", *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert not (path.parent / "none").exists()
    assert not (path.parent / "target").exists()


def test_another_environment_is_refused(run: Run, path: Path) -> None:
    assert run("zerodb-backup", "create", "env", "archive", "-q").returncode == 0
    with zerodb.open(path.with_name("other")) as environment:
        fill(environment)
    result = run("zerodb-backup", "create", "other", "archive")
    assert result.returncode == 2
    assert "another environment" in result.stderr


def test_an_old_archive_is_not_current(run: Run, path: Path) -> None:
    assert run("zerodb-backup", "create", "env", "archive", "-q").returncode == 0
    time.sleep(2.1)
    result = run("zerodb-backup", "check", "archive", "--max-age", "1s")
    assert result.returncode == 1
    assert "too long" in result.stdout


def test_two_archivers_take_turns(run: Run, path: Path) -> None:
    """Two programs with the option, and a copy beside them."""
    archive = path.parent / "archive"
    program = (
        "import sys, zerodb\n"
        "with zerodb.open(sys.argv[1], archive=sys.argv[2]) as environment:\n"
        "    for number in range(100):\n"
        "        with environment.begin(write=True) as transaction:\n"
        "            transaction.put(b'%s %d' % (sys.argv[3].encode(), number), b'v' * 300)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(archive), name])
        for name in ("a", "b")
    ]
    results: list[int] = []

    def copy() -> None:
        for _ in range(5):
            result = run("zerodb-backup", "create", "env", "archive", "--incremental", "-q")
            results.append(result.returncode)

    thread = threading.Thread(target=copy)
    thread.start()
    for process in processes:
        assert process.wait(timeout=60) == 0
    thread.join()
    assert set(results) <= {0, 2}
    with zerodb.open(path, archive=archive) as environment:
        digest = int(environment.info().digest)
    assert run("zerodb-backup", "verify", "archive").returncode == 0
    assert int(restored(run, "newest", "--latest")["digest"], 16) == digest
