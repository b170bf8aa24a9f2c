"""zerodb backup into object storage: a server that speaks S3, and rclone, as users have it."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import zerodb
from conftest import STAGE, Run


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables by which rclone finds a server of its own, as `s3:`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "rclone.conf").touch()
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=log,
        stderr=log,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        # The machine's own settings of the cloud are none of this.
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RCLONE_"))
        }
        yield inherited | {
            # The server does not take what rclone sends of a file in several parts.
            "RCLONE_STREAMING_UPLOAD_CUTOFF": "64Mi",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
            "RCLONE_CONFIG_S3_TYPE": "s3",
            "RCLONE_CONFIG_S3_PROVIDER": "Other",
            "RCLONE_CONFIG_S3_ENDPOINT": address,
            "RCLONE_CONFIG_S3_ACCESS_KEY_ID": "key",
            "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": "secret",
            "RCLONE_CONFIG_S3_REGION": "us-east-1",
        }
    finally:
        server.terminate()
        server.wait()
        log.close()


def test_an_archive_in_object_storage(run: Run, path: Path, storage: dict[str, str]) -> None:
    subprocess.run(["rclone", "mkdir", "s3:backup"], env=storage, check=True, timeout=60)
    follow = subprocess.Popen(
        [
            STAGE / "bin" / "zerodb-backup",
            "follow",
            "env",
            "--interval",
            "0.2",
            "--command",
            'rclone rcat "s3:backup/app/$ZERODB_FILE"',
        ],
        cwd=path.parent,
        env=storage,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert follow.stdout is not None
    assert "all pages" in follow.stdout.readline()
    digests: dict[int, int] = {}
    numbers = random.Random(1)
    with zerodb.open(path) as environment:
        for _ in range(20):
            with environment.begin(write=True) as transaction:
                transaction.put(b"key%d" % numbers.randrange(9), numbers.randbytes(90_000))
            info = environment.info()
            digests[info.last_txn_id] = int(info.digest)
            time.sleep(0.03)
    follow.send_signal(signal.SIGTERM)
    _, errors = follow.communicate(timeout=60)
    assert (follow.returncode, errors) == (0, ""), errors
    subprocess.run(
        ["rclone", "copy", "s3:backup/app", str(path.parent / "archive")],
        env=storage,
        check=True,
        timeout=60,
    )
    assert run("zerodb-backup", "verify", "archive").returncode == 0
    for number in (max(digests), sorted(digests)[7]):
        target = f"to{number}"
        result = run(
            "zerodb-backup", "restore", "archive", target, "--to-txn", str(number), "-q"
        )
        assert (result.returncode, result.stderr) == (0, "")
        with zerodb.open(path.parent / target) as restored:
            assert int(restored.info().digest) == digests[number]
