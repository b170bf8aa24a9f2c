#!/usr/bin/env python3
"""Checks the benchmark itself, with few entries: that every case runs with every engine that is
there, that every row is a number and stands in the results file, and, where strace is there,
that each durable commit of each engine flushes and that an unflushed one does not; and which
commits survive a kill.

    selftest.py BENCH DATA

The values that the rows have are not looked at: with so few entries they mean nothing.
"""

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ENTRIES = 2000
# LMDB gives no array of the values of a key that has only one: each of the thousand keys needs
# more.
ENTRIES_OF_PAIRS = 10000
COMMITS = 40
FLUSHES = ("fsync", "fdatasync", "msync", "sync_file_range", "syncfs")
# Cases that have their own rows; each must have at least one for each engine that takes part.
ROWS_OF_ALL = (
    "get.hit",
    "scan.forward",
    "commit.one",
    "commit.1000",
    "writers.8",
    "commit.unflushed",
    "commit.relaxed",
    "life.batch.max",
    "life.one.p999",
    "life.open",
    "life.delete",
    "life.size",
    "large.64k.put",
    "large.1m.get",
    "tiny.get",
    "prefix.scan",
    "memory.private",
    "pressed.get",
)


def run(bench: str, *arguments: str) -> str:
    """Runs the benchmark; its failure is this script's."""
    done = subprocess.run([bench, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"selftest: {' '.join(arguments)}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def is_number(value: object) -> bool:
    """Whether it is a number as a median must be."""
    return isinstance(value, (int, float)) and math.isfinite(value) and value >= 0


def check_rows(bench: str, data: str) -> list[str]:
    """Runs all cases; returns the engines."""
    engines = run(bench, "--engines").split()
    results = Path(data) / "selftest.json"
    few = ("--slices", "1", "--rounds", "1", "--dir", data, "--json", str(results))
    cases = run(bench, "--cases").split()
    rows: dict[str, dict[str, Any]] = {}
    for entries, wanted in (
        (ENTRIES, [case for case in cases if case != "duplicates"]),
        (ENTRIES_OF_PAIRS, ["duplicates"]),
    ):
        run(bench, *few, "--n", str(entries), "--only", ",".join(wanted))
        rows |= {row["id"]: row for row in json.loads(results.read_text())["rows"]}
        results.unlink()
    for row in rows.values():
        for engine in engines:
            if engine in row and not is_number(row[engine]["median"]):
                sys.exit(f"selftest: {row['id']}: {engine} has {row[engine]}")
    for name in ROWS_OF_ALL:
        for engine in engines:
            if engine != "lmdb-writemap" and engine not in rows.get(name, {}):
                sys.exit(f"selftest: the row {name} has no {engine}")
    print(f"selftest: {len(cases)} cases, {len(rows)} rows, {len(engines)} engines")
    return engines


def flushes(bench: str, data: str, engine: str, loop: str, commits: int) -> int:
    """How many times a loop of commits calls what flushes."""
    trace = Path(data) / "selftest.trace"
    command = ["strace", "--seccomp-bpf", "-f", "-e", "trace=" + ",".join(FLUSHES)]
    command += ["-o", str(trace), bench, "--loop", loop, "--engine", engine]
    command += ["--count", str(commits), "--n", str(ENTRIES), "--dir", data]
    subprocess.run(command, check=True, capture_output=True)
    calls = re.findall(rf"\b(?:{'|'.join(FLUSHES)})\(", trace.read_text())
    trace.unlink()
    return len(calls)


def check_flushes(bench: str, data: str, engines: list[str]) -> None:
    """Each durable commit flushes at least once; an unflushed one does not."""
    for engine in engines:
        flushes(bench, data, engine, "commit", 1)  # makes the environment
        counts = {}
        for loop in ("commit", "commit-none"):
            few = flushes(bench, data, engine, loop, COMMITS)
            many = flushes(bench, data, engine, loop, 3 * COMMITS)
            counts[loop] = (many - few) / (2 * COMMITS)
        # Work in the background flushes now and then.
        if counts["commit"] < 0.95 or counts["commit-none"] > 0.3:
            sys.exit(f"selftest: {engine}: flushes a commit: {counts}")
        print(f"selftest: {engine}: {counts['commit']:.2f} flushes a durable commit")


def check_survival(bench: str, data: str, engines: list[str]) -> None:
    """Which commits survive a kill is what README.md says."""
    lines = dict(
        line.split(" ", 1) for line in run(bench, "--survival", "--dir", data).splitlines()
    )
    for engine in engines:
        unflushed = 0 if engine == "zerodb" else 1
        if lines.get(engine) != f"durable=1 unflushed={unflushed} relaxed=1":
            sys.exit(f"selftest: {engine}: after a kill: {lines.get(engine)}")
    print("selftest: commits survive a kill as README.md says")


def main() -> None:
    """As the head of this file says."""
    bench, data = sys.argv[1:]
    Path(data).mkdir(parents=True, exist_ok=True)
    engines = check_rows(bench, data)
    check_survival(bench, data, engines)
    if shutil.which("strace"):
        check_flushes(bench, data, engines)
    else:
        print("selftest: without strace, flushes are not counted")
    for kept in Path(data).glob(f"*-loop-{ENTRIES}-*"):
        shutil.rmtree(kept)
    print("selftest: passed")


if __name__ == "__main__":
    main()
