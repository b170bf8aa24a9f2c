"""The smallest environment, and the smallest file systems that one can live on: docs/LIMITS.md
has the numbers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import zerodb

LIMITS = Path(__file__).parents[2] / "docs/LIMITS.md"

# Runs on a file system of its own, at its first argument.
COMMIT = """
import os, sys, zerodb
path, durability = sys.argv[1], sys.argv[3]
count, page_size = int(sys.argv[2]), int(sys.argv[4])
try:
    with zerodb.open(path + "/env", page_size=page_size) as environment:
        for number in range(count):
            with environment.begin(write=True, durability=durability) as transaction:
                transaction.put(b"key%d" % number, b"value" * 20)
    with zerodb.open(path + "/env") as environment:
        assert environment.stat().entries == count
        assert environment.verify().sound
        assert environment.info().log_bytes == 0
except OSError as error:
    sys.exit(f"{error.errno}")
"""

# Commits until the disk is full; then as much as was there is there, and deletes make room.
FILL = """
import errno, os, sys, zerodb
path = sys.argv[1]
with zerodb.open(path + "/env") as environment:
    done = 0
    try:
        while True:
            with environment.begin(write=True) as transaction:
                transaction.put(b"key%06d" % done, os.urandom(1000))
            done += 1
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    assert environment.stat().entries == done
    assert environment.verify().sound
    data = os.stat(path + "/env/data.zdb").st_size
    room = os.statvfs(path)
    print(data * 100 // (room.f_blocks * room.f_frsize - 4096 * 60))
"""


def documented(what: str, page_size: int = 4096) -> int:
    """A number of KiB that docs/LIMITS.md says."""
    found = re.search(rf"{what}.*\| ([0-9]+) KiB \| ([0-9]+) KiB", LIMITS.read_text())
    assert found, what
    return int(found[1 if page_size == 4096 else 2])


def allocated(path: Path) -> int:
    """Bytes that files take on the disk, directories not counted."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def on_file_system(mount: str, folder: Path, program: str, *arguments: str) -> str | None:
    """What a program prints, or what it ends with, on a file system that only it sees; None
    where this user may not mount one.

    :param mount: a command that mounts it at $DISK.
    """
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    namespace = ["unshare", "--mount"]
    if os.geteuid() != 0:
        namespace += ["--user", "--map-root-user"]
    script = f'{mount} || exit 77; exec "$@"'
    command = [sys.executable, "-c", program, str(disk), *arguments]
    done = subprocess.run(
        [*namespace, "sh", "-c", script, "sh", *command],
        env={**os.environ, "DISK": str(disk), "IMAGE": str(folder / "image")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        return None
    assert done.returncode == 0 or done.stderr.strip().isdigit(), done.stderr
    return (done.stdout or done.stderr).strip()


def on_tmpfs(kib: int, folder: Path, program: str, *arguments: str) -> str:
    """The same on a file system in memory."""
    said = on_file_system(
        f'mount -t tmpfs -o size={kib}k none "$DISK"', folder, program, *arguments
    )
    if said is None:
        pytest.skip("this user may not mount a file system in memory")
    return said


def on_ext4(kib: int, folder: Path, program: str, *arguments: str) -> str:
    """The same on ext4 in a file."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount an ext4 in a file")
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("there is no mkfs.ext4")
    image = folder / "image"
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(kib << 10)
    make = ["mkfs.ext4", "-q", "-b", "1024", "-m", "0", "-O", "^has_journal", str(image)]
    subprocess.run(make, check=True, capture_output=True)
    said = on_file_system('mount -o loop "$IMAGE" "$DISK"', folder, program, *arguments)
    if said is None:
        pytest.skip("this machine does not mount an ext4 in a file")
    return said


@pytest.mark.parametrize("page_size", [4096, 65536])
def test_the_smallest_environment(tmp_path: Path, page_size: int) -> None:
    def kib(name: str, what: str) -> None:
        assert allocated(tmp_path / name) == documented(what, page_size) << 10

    with zerodb.open(tmp_path / "new", page_size=page_size):
        pass
    kib("new", "An environment without a commit")
    for durability, what in (("none", "with an entry, and no log"), ("full", "and its log")):
        with (
            zerodb.open(tmp_path / durability, page_size=page_size) as environment,
            environment.begin(write=True, durability=durability) as transaction,  # type: ignore[arg-type]
        ):
            transaction.put(b"key", b"value")
        kib(durability, what)


def test_a_closed_one_needs_no_lock_file(path: Path) -> None:
    (path / "lock.zdb").unlink()
    with zerodb.open(path) as environment:
        assert environment.stat().entries == 500


@pytest.mark.parametrize("page_size", [4096, 65536])
@pytest.mark.parametrize("durability", ["full", "relaxed", "none"])
def test_the_smallest_file_system_in_memory(
    tmp_path: Path, durability: str, page_size: int
) -> None:
    smallest = documented("The smallest file system: tmpfs", page_size)
    assert on_tmpfs(smallest, tmp_path, COMMIT, "1", durability, str(page_size)) == ""


@pytest.mark.parametrize("page_size", [4096, 65536])
def test_the_smallest_ext4(tmp_path: Path, page_size: int) -> None:
    smallest = documented("The smallest file system: ext4", page_size)
    assert on_ext4(smallest, tmp_path, COMMIT, "50", "full", str(page_size)) == ""


def test_the_largest_map_is_what_the_address_space_has(tmp_path: Path) -> None:
    for asked in (2**46, 2**62, 2**63 - 1):
        with zerodb.open(tmp_path / "env", max_size=asked) as environment:
            assert 2**40 <= environment.info().max_size <= asked
            with environment.begin(write=True) as transaction:
                transaction.put(b"key", b"value")
            assert environment.verify().sound
    with pytest.raises(zerodb.BadArgumentError, match=f"from 1048576 to {2**63 - 1}"):
        zerodb.open(tmp_path / "other", max_size=2**63)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kib", [64, 128, 204])
def test_a_smaller_file_system_is_refused_by_name(tmp_path: Path, kib: int) -> None:
    assert on_tmpfs(kib, tmp_path, COMMIT, "1", "full", "4096") == "28"


@pytest.mark.parametrize("kib", [512, 1024, 1500, 4096])
def test_a_small_file_system_is_filled_with_data(tmp_path: Path, kib: int) -> None:
    share = int(on_tmpfs(kib, tmp_path, FILL))
    # Where a segment of the log, which has 1 MiB, does not fit beside the data, none is kept.
    assert share >= (80 if kib < 1200 else 20)
