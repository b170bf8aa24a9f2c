"""The completions, as bash, zsh and fish show them."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from conftest import STAGE

BASH = STAGE / "share/bash-completion/completions"
ZSH = STAGE / "share/zsh/site-functions"
FISH = STAGE / "share/fish/vendor_completions.d"
NAMES = [f"zerodb-{name}" for name in ("backup", "check", "copy", "dump", "load", "stat")]

# A line that is typed, and words that it may become.
TYPED = [
    ("zerodb ch", {"check"}),
    ("zerodb check --qu", {"--quick", "--quiet"}),
    ("zerodb-check --qu", {"--quick", "--quiet"}),
    ("zerodb-check --quick --qu", {"--quiet"}),
    ("zerodb-backup res", {"restore"}),
    ("zerodb-backup restore --lat", {"--latest"}),
    ("zerodb-load --lm", {"--lmdb"}),
]

IN_BASH = """
COMP_LINE=$1 COMP_POINT=${#1}
read -ra COMP_WORDS <<<"$1"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
. "$2/${COMP_WORDS[0]}"
[[ $(complete -p "${COMP_WORDS[0]}") =~ -F\\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" "${COMP_WORDS[0]}" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def variables(folder: Path) -> dict[str, str]:
    """A user with a home of its own, who has the program on the path."""
    return {
        **os.environ,
        "HOME": str(folder),
        "PATH": f"{STAGE / 'bin'}:{os.environ['PATH']}",
        "TERM": "dumb",
        "XDG_DATA_DIRS": f"{STAGE / 'share'}:/usr/share",
    }


def shell(folder: Path, *command: str) -> str:
    """What a shell prints."""
    done = subprocess.run(
        command, env=variables(folder), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(("line", "words"), TYPED)
def test_bash(tmp_path: Path, line: str, words: set[str]) -> None:
    assert set(shell(tmp_path, "bash", "-c", IN_BASH, "bash", line, str(BASH)).split()) == words


@pytest.mark.parametrize(("line", "words"), TYPED)
def test_fish(tmp_path: Path, line: str, words: set[str]) -> None:
    # Only the file of the name is loaded.
    shown = shell(tmp_path, "fish", "-c", "complete --do-complete $argv[1]", line)
    assert {offer.split("\t")[0] for offer in shown.splitlines()} == words


def read_until(terminal: int, wanted: str) -> str:
    """What a terminal shows, up to what is looked for."""
    shown, end = "", time.monotonic() + 60
    while wanted not in shown:
        left = end - time.monotonic()
        assert left > 0, f"the terminal shows {shown!r}"
        if select.select([terminal], [], [], left)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


def test_zsh(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-f", "-i"],
        env=variables(tmp_path),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    try:
        setup = f"PS1=; unsetopt prompt_sp; fpath=({ZSH} $fpath); autoload -U compinit; "
        setup += "compinit -u -D; echo rea''dy\n"
        os.write(controller, setup.encode())
        read_until(controller, "ready")
        for line, words in TYPED:
            if len(words) > 1:
                continue
            (word,) = words
            # A tab completes what only one word begins with; the shell then prints the line.
            os.write(controller, f"{line}\t".encode())
            read_until(controller, line.rpartition(" ")[0] + " " + word)
            os.write(controller, b"\x15")
        for name in NAMES:
            os.write(controller, f"echo 'is' $_comps[{name}]\n".encode())
            read_until(controller, "is _zerodb")
    finally:
        process.kill()
        process.wait()
        os.close(controller)


def test_each_name_has_completions() -> None:
    for name in NAMES:
        assert (BASH / name).resolve() == (BASH / "zerodb").resolve()
        assert (FISH / f"{name}.fish").resolve() == (FISH / "zerodb.fish").resolve()
