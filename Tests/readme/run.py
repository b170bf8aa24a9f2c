#!/usr/bin/env python3
"""Pastes the code blocks of README.md, in order, as a new user would, and fails where one does.

    run.py [--keep]                        all of it, beginning with `git clone`
    run.py --installed PREFIX WHEELS       with what is built: git, make, sudo and swift do
                                           nothing, and WHEELS is the folder of the wheel

The blocks are taken mechanically. One of the shell is pasted into one shell that runs through
all of README, in a new home. Any other is saved in the file that the paragraph before it names
last. What a comment of the shell says that a command `prints` has to be printed. No block is
left out, and no block can be marked to be.

README is for a machine where one may install. Here `sudo` only runs its command, the PREFIX of
make is a folder, and the paths that a system has for /usr/local are set to that. The address
that is cloned leads to the files that git knows here, as they are now. The blocks in Python of
bindings/python/README.md are run too.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PYTHON_README = ROOT / "bindings/python/README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"`([\w./-]+\.\w+)`")
INLINE_TARGET = re.compile(r"`make ([a-z][a-z-]*)")
PRINTS = re.compile(r"# prints (.*)$", re.MULTILINE)
# What somebody has set for a build of their own.
UNSET = re.compile(
    r"(C|CPP|LD|MAKE|M)FLAGS|MAKELEVEL|DESTDIR|PREFIX|ZERODB_.*|PYTHON.*|VIRTUAL_ENV"
)


class Block(NamedTuple):
    """A code block of README."""

    line: int
    language: str
    text: str
    file: str
    """Where it is saved; empty for what is pasted into the shell."""


def blocks_of(document: str) -> "list[Block]":
    """The code blocks, each with the file that the paragraph before it names."""
    found = []
    for match in BLOCK.finditer(document):
        line = document.count("\n", 0, match.start()) + 1
        language, text = match.groups()
        file = ""
        if language != "sh":
            paragraph = document[: match.start()].rstrip("\n").rpartition("\n\n")[2]
            names = FILE_NAME.findall(paragraph)
            if not names:
                sys.exit(f"README.md:{line}: the paragraph before the block names no file")
            file = names[-1]
        found.append(Block(line, language, text, file))
    return found


def check_inline_targets(document: str) -> None:
    """What README calls a target of make is one."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in INLINE_TARGET.findall(document):
        if not re.search(rf"^{target}:", makefile, re.MULTILINE):
            sys.exit(f"README.md: there is no `make {target}`")


def project_url() -> str:
    """The address of the project, of which the Makefile has one."""
    found = re.search(r"^PROJECT_URL = (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    if not found:
        sys.exit("readme-test: the Makefile has no PROJECT_URL")
    return found[1]


def project_version() -> str:
    """The version that the header says."""
    header = (ROOT / "include/zerodb.h").read_text(encoding="utf-8")
    found = re.search(r'define ZDB_VERSION_STRING "(.*)"', header)
    if not found:
        sys.exit("readme-test: zerodb.h says no version")
    return found[1]


def git(*arguments: "str | Path", folder: Path) -> str:
    """What git prints in a folder."""
    identity = ["-c", "user.name=readme-test", "-c", "user.email=readme-test@localhost"]
    command = ["git", *identity, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def publish(repository: Path) -> None:
    """Makes a repository of the files that git knows here, as they are now, with a tag."""
    for name in git("ls-files", "-z", folder=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repository / name)
    git("init", "--quiet", "--initial-branch=main", folder=repository)
    git("add", "--all", "--force", folder=repository)
    git("commit", "--quiet", "--message=As it is now", folder=repository)
    git("tag", f"v{project_version()}", folder=repository)


def executable(path: Path, text: str) -> None:
    """Writes a program for the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def environment(work: Path, prefix: Path) -> "dict[str, str]":
    """Variables of a user with a new home, to whose system PREFIX is what /usr/local is."""
    kept = {name: value for name, value in os.environ.items() if not UNSET.fullmatch(name)}
    paths = [work / "bin", prefix / "bin", os.environ["PATH"]]
    return {
        **kept,
        "HOME": str(work / "home"),
        "PATH": ":".join(map(str, paths)),
        "LD_LIBRARY_PATH": str(prefix / "lib"),
        "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"),
        "MANPATH": f"{prefix / 'share/man'}:",
    }


def script(blocks: "list[Block]", work: Path) -> str:
    """The shell that all blocks are pasted into, which says where it is."""
    lines = ["set -eo pipefail"]
    for block in blocks:
        pasted = work / "blocks" / str(block.line)
        pasted.parent.mkdir(exist_ok=True)
        pasted.write_text(block.text, encoding="utf-8")
        told = f"readme: line {block.line}: {block.file or block.text.splitlines()[0]}"
        lines.append(f"echo {shlex.quote(told)} >&2")
        if block.file:
            file = shlex.quote(block.file)
            lines.append(f'mkdir -p "$(dirname {file})" && cp {pasted} {file}')
        else:
            lines.append(f". {pasted}")
    return "\n".join(lines) + "\n"


def paste(blocks: "list[Block]", work: Path, variables: "dict[str, str]") -> None:
    """Runs all blocks, and looks for what they are said to print."""
    log = work / "log"
    with log.open("w") as output:
        done = subprocess.run(
            ["bash", "-c", script(blocks, work)],
            cwd=work / "home",
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            check=False,
        )
    said = log.read_text(errors="replace")
    if done.returncode != 0:
        tail = "\n".join(said.splitlines()[-40:])
        sys.exit(f"{tail}\nreadme-test: the block named last ended with {done.returncode}")
    for block in blocks:
        for promised in PRINTS.findall("" if block.file else block.text):
            if promised not in said:
                sys.exit(f"README.md:{block.line}: nothing prints {promised}")


def run_python_blocks(work: Path, variables: "dict[str, str]") -> None:
    """The blocks in Python of the README of the Python package, each a program of its own."""
    document = PYTHON_README.read_text(encoding="utf-8")
    for language, text in BLOCK.findall(document):
        if language != "python":
            continue
        program = work / "block.py"
        program.write_text(text, encoding="utf-8")
        command = [str(work / "home/venv/bin/python"), "-W", "error", str(program)]
        done = subprocess.run(
            command,
            cwd=work / "home",
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"{text}\n{done.stderr}\n{PYTHON_README}: this does not run")


def build_by_address(work: Path, variables: "dict[str, str]") -> None:
    """Builds the Swift package again, with the dependency by address that its comment shows."""
    package = work / "home/by-address"
    shutil.copytree(work / "home/ada", package, ignore=shutil.ignore_patterns(".build"))
    manifest = package / "Package.swift"
    before = manifest.read_text(encoding="utf-8")
    address = re.search(r"^ *// By address: (.*)$", before, re.MULTILINE)
    if not address:
        sys.exit("README.md: Package.swift shows no dependency by address")
    after = re.sub(r'^ *\.package\(name: "zerodb".*$', address[1], before, flags=re.MULTILINE)
    manifest.write_text(after, encoding="utf-8")
    # The manager keeps the revision of each version that it has seen. It does so in the user's
    # home, whatever HOME is.
    command = ["swift", "build", "--package-path", str(package)]
    command += ["--security-path", str(work / "security")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0 or after == before:
        sys.exit(
            f"{done.stdout}{done.stderr}\nreadme-test: the package by address does not build"
        )


def run_all(blocks: "list[Block]", work: Path) -> None:
    """README from the beginning."""
    prefix = work / "prefix"
    publish(work / "published")
    executable(work / "bin/sudo", 'exec "$@"')
    real = Path.home() / ".gitconfig"
    config = f"[include]\n\tpath = {real}\n" if real.exists() else ""
    config += f'[url "{(work / "published").as_uri()}"]\n'
    config += f"\tinsteadOf = {project_url()}/zerodb.git\n"
    (work / "home/.gitconfig").write_text(config, encoding="utf-8")
    variables = environment(work, prefix)
    # What is given to make on its command line.
    variables["MAKEFLAGS"] = f" -- PREFIX={prefix}"
    paste(blocks, work, variables)
    run_python_blocks(work, variables)
    build_by_address(work, variables)
    subprocess.run(
        ["make", "uninstall"],
        cwd=work / "home/zerodb",
        env=variables,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    if prefix.exists():
        sys.exit(f"readme-test: make uninstall leaves {prefix}")


def run_installed(blocks: "list[Block]", work: Path, prefix: Path, wheels: Path) -> None:
    """README without building."""
    for name in ("git", "make", "sudo", "swift"):
        executable(work / "bin" / name, "exit 0")
    clone = work / "home/zerodb"
    (clone / "build").mkdir(parents=True)
    (clone / "Tests").symlink_to(ROOT / "Tests")
    (clone / "build/wheel").symlink_to(wheels)
    # What the program in Swift prints is looked for only where it is built.
    blocks = [
        block._replace(text=PRINTS.sub("", block.text)) if "swift run" in block.text else block
        for block in blocks
    ]
    variables = environment(work, prefix)
    paste(blocks, work, variables)
    run_python_blocks(work, variables)


def main() -> None:
    """Does what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, usage=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    parser.add_argument("--installed", nargs=2, type=Path, metavar=("PREFIX", "WHEELS"))
    options = parser.parse_args()
    document = README.read_text(encoding="utf-8")
    blocks = blocks_of(document)
    check_inline_targets(document)
    work = Path(tempfile.mkdtemp(prefix="zerodb-readme-"))
    try:
        (work / "home").mkdir()
        if options.installed:
            run_installed(blocks, work, *(path.resolve() for path in options.installed))
        else:
            run_all(blocks, work)
    finally:
        if options.keep:
            print(f"readme-test: kept {work}")
        else:
            shutil.rmtree(work)
    print(f"readme-test: {len(blocks)} blocks pasted, each works")


if __name__ == "__main__":
    main()
