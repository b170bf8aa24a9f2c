"""zerodb copy, as a user runs it."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import zerodb
from conftest import STAGE, Run, contents, damage, leave, show, used_page


@pytest.mark.parametrize("options", [[], ["--compact"], ["--rate", "100MiB"]])
def test_a_copy_holds_the_same(run: Run, path: Path, options: list[str]) -> None:
    before = contents(path)
    result = run("zerodb-copy", "env", "copy", "--json", *options)
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    copied = path.with_name("copy")
    assert report["fileSize"] == (copied / "data.zdb").stat().st_size
    assert contents(path) == before
    assert run("zerodb-check", "copy").returncode == 0
    with zerodb.open(path) as original, zerodb.open(copied) as copy:
        assert original.info().digest == copy.info().digest == int(report["digest"], 16)


@pytest.mark.parametrize("options", [[], ["--compact"]])
def test_a_copy_goes_through_a_pipe(run: Run, path: Path, options: list[str]) -> None:
    path.with_name("copy").mkdir()
    with (path.with_name("copy") / "data.zdb").open("w") as file:
        result = run("zerodb", "copy", "env", "-", *options, output=file)
    assert (result.returncode, result.stderr) == (0, "")
    assert run("zerodb-check", "copy").returncode == 0
    with zerodb.open(path) as original, zerodb.open(path.with_name("copy")) as copy:
        assert original.info().digest == copy.info().digest


def test_a_copy_is_made_beside_a_writer(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment:
        ended = threading.Event()

        def write() -> None:
            number = 0
            while not ended.is_set():
                number += 1
                with environment.begin(write=True) as transaction:
                    transaction.put(b"key%04d" % (number % 500), b"%d" % number * 50)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(5):
                assert run("zerodb-copy", "env", f"copy{number}", "-q").returncode == 0
                assert run("zerodb-check", f"copy{number}").returncode == 0
        finally:
            ended.set()
            writer.join()


def test_damage_ends_a_copy(run: Run, path: Path) -> None:
    damage(path, used_page(path))
    result = run("zerodb-copy", "env", "copy")
    assert result.returncode == 1
    assert f"page {used_page(path)}" in result.stderr
    assert list(path.with_name("copy").iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--compact"]])
def test_whoever_reads_a_pipe_may_go_away(path: Path, options: list[str]) -> None:
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"large", bytes(1_000_000))
    command = [str(STAGE / "bin" / "zerodb-copy"), str(path), "-", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(timeout=60) == 2


def test_a_target_that_is_in_use_is_refused(run: Run, path: Path) -> None:
    result = run("zerodb-copy", "env", "env")
    assert result.returncode == 2
    assert "env" in result.stderr
    result = run("zerodb-copy", "env", "absent/copy")
    assert result.returncode == 2
    assert "absent" in result.stderr
    assert path.is_dir()


def test_what_needs_recovery_or_is_absent_is_not_copied(run: Run, tmp_path: Path) -> None:
    leave(tmp_path / "left")
    result = run("zerodb-copy", "left", "copy")
    assert result.returncode == 2
    assert not (tmp_path / "copy").exists()
    assert run("zerodb-copy", "absent", "copy").returncode == 2
    assert not (tmp_path / "copy").exists()


def test_a_terminal_does_not_get_a_copy(path: Path) -> None:
    status, output = show("zerodb-copy", path, "-")
    assert status == 2
    assert output == ""


def test_only_one_copy_is_made_in_a_directory(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"large", bytes(1_000_000))
    command = [str(STAGE / "bin" / "zerodb-copy"), "--rate", "100k", "env", "copy"]
    unfinished = path.with_name("copy") / "data.zdb.new"
    with subprocess.Popen(command, cwd=path.parent, stdout=subprocess.DEVNULL) as process:
        while not unfinished.exists() or unfinished.stat().st_size == 0:
            assert process.poll() is None
            time.sleep(0.01)
        result = run("zerodb-copy", "env", "copy")
        assert result.returncode == 2
        assert "being made" in result.stderr
        result = run("zerodb-load", "-T", "copy")
        assert result.returncode == 2
        assert unfinished.exists()
        process.kill()
    for name in os.listdir(unfinished.parent):
        if name != unfinished.name and not (unfinished.parent / name).is_dir():
            (unfinished.parent / name).unlink()
    for folder in [item for item in unfinished.parent.iterdir() if item.is_dir()]:
        folder.rmdir()
    assert run("zerodb-copy", "env", "copy").returncode == 0
    assert run("zerodb-check", "copy").returncode == 0


def test_a_copy_that_is_killed_goes_on(run: Run, path: Path) -> None:
    numbers = random.Random(3)
    program = str(STAGE / "bin" / "zerodb-copy")
    with zerodb.open(path, max_txn_pages=0) as environment:
        with environment.begin(write=True) as transaction:
            for number in range(4000):
                transaction.put(b"large %d" % number, numbers.randbytes(1500))
        for _ in range(10):
            process = subprocess.Popen(
                [program, "--rate", "256KiB", "-q", path, "copy"], cwd=path.parent
            )
            time.sleep(numbers.uniform(0.1, 0.4))
            process.send_signal(numbers.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
            assert process.wait() != 0
            assert os.listdir(path.with_name("copy")) == ["data.zdb.new"]
            with environment.begin(write=True) as transaction:
                for _ in range(20):
                    transaction.put(
                        b"large %d" % numbers.randrange(2000), numbers.randbytes(1500)
                    )
                transaction.delete(b"large %d" % numbers.randrange(2000))
        digest = environment.info().digest
        assert run("zerodb-copy", "env", "copy").returncode == 0
        assert run("zerodb-copy", "env", "fresh").returncode == 0
    assert os.listdir(path.with_name("copy")) == ["data.zdb"]
    copied = [path.with_name(name) / "data.zdb" for name in ("copy", "fresh")]
    assert copied[0].read_bytes() == copied[1].read_bytes()
    assert run("zerodb-check", "copy").returncode == 0
    with zerodb.open(path.with_name("copy")) as environment:
        assert environment.info().digest == digest


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's file takes root to make")
def test_what_another_user_has_left_is_not_gone_on_with(run: Run, path: Path) -> None:
    # That user could have the file open, and write to it when the copy is finished.
    assert run("zerodb-copy", "env", "first").returncode == 0
    (path.parent / "copy").mkdir()
    left = path.parent / "copy" / "data.zdb.new"
    left.write_bytes((path.parent / "first" / "data.zdb").read_bytes())
    os.chown(left, 65534, 65534)
    with left.open("r+b") as others:
        assert run("zerodb-copy", "env", "copy").returncode == 0
        finished = path.parent / "copy" / "data.zdb"
        assert finished.stat().st_ino != os.fstat(others.fileno()).st_ino
        assert finished.stat().st_uid == (path / "data.zdb").stat().st_uid
    assert run("zerodb-check", "copy").returncode == 0


def test_a_stream_into_a_file_that_may_not_grow_ends_with_an_error(path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"large", bytes(1_000_000))
    with path.with_name("file").open("wb") as file:
        result = subprocess.run(
            [STAGE / "bin" / "zerodb-copy", path, "-"],
            stdout=file,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
        )
    assert result.returncode == 2
    assert b"File too large" in result.stderr


def test_signals_do_not_make_a_copy_faster(path: Path) -> None:
    with zerodb.open(path) as environment:
        before = signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        try:
            began = time.monotonic()
            result = environment.copy(path.with_name("copy"), bytes_per_second=200_000)
            spent = time.monotonic() - began
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert spent >= result.bytes_written / 200_000 * 0.9


def test_recovery_mode_makes_compact_copies(path: Path) -> None:
    with zerodb.open(path, recovery=True) as environment:
        with pytest.raises(zerodb.IncompatibleError):
            environment.copy(path.with_name("copy"))
        environment.copy(path.with_name("other"), compact=True)
        with zerodb.open(path.with_name("other")) as copy:
            assert copy.verify().problems == 0
            assert copy.info().digest == environment.info().digest
