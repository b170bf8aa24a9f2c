"""Programs that run beside a test, on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

STAGE = Path(os.environ["ZERODB_STAGE"])
SHARED = STAGE / "share" / "zerodb"
WAIT_SECONDS = 30


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetch(url: str) -> str:
    """What a server on this machine answers."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


@contextlib.contextmanager
def serving(arguments: list[str], url: str, log: Path) -> Iterator[None]:
    """Runs a server until the block ends, which begins when the server answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output)
    try:
        await_answer(process, url, log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=WAIT_SECONDS)


def await_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Waits until a server answers."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            fetch(url)
            return
        time.sleep(0.05)
    raise AssertionError(f"{url} does not answer: {log.read_text()}")


def run(name: str, *arguments: str | Path, text: str | None = None) -> str:
    """Runs a program that must succeed, and returns what it prints."""
    result = subprocess.run(
        [name, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def metrics_of(path: Path) -> str:
    """The metrics of an environment, from a program of their own."""
    return run(str(STAGE / "bin" / "zerodb-stat"), path, "--metrics")
