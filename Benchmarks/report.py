#!/usr/bin/env python3
"""Writes the tables of the documentation from results files of the benchmark.

    report.py table RESULTS OUT             one run, with machine, versions and settings
    report.py scale OUT RESULTS...          the same rows by the number of entries
    report.py larger OUT RESULTS...         files of larger.sh, each of one engine
    report.py readme RESULTS README         a short table, between the marks of a document

Losses stand in the tables as wins do: each row names the best peer and the ratio to it.
"""

import sys
import textwrap
from pathlib import Path

from results import NOT_COMPARED, OWN, Cell, Results, Row, compared, load, merge, number

BEGIN = "<!-- benchmarks: written by make bench-readme -->"
END = "<!-- benchmarks: end -->"

README_ROWS = {
    "get.hit": "random get",
    "get.begin": "begin + get + end",
    "scan.forward": "full scan",
    "scan.range": "range of 10, random",
    "load.random": "bulk load, random order",
    "load.append.unflushed": "bulk load in order, not flushed",
    "life.update": "random updates, one transaction",
    "life.delete": "random deletes, one transaction",
    "large.64k.put": "values of 64 KiB, not flushed",
    "commit.unflushed": "commit of one put, not flushed",
    "commit.relaxed": "the same, surviving a kill of the process",
    "life.one.mean": "durable commit of one put, mean",
    "life.one.p999": "the same, 99.9th percentile",
    "life.one.max": "the same, maximum",
    "life.batch.mean": "durable batch of 1000 random puts, mean",
    "life.batch.p99": "the same, 99th percentile",
    "life.batch.max": "the same, maximum",
    "writers.8": "durable, 8 threads, a commit",
    "life.writers": "the same right behind batches",
    "life.open": "opening after batches, empty write transaction",
    "life.one.device": "bytes to the device by user bytes, single commits",
    "life.batch.device": "the same, batches of 1000",
    "life.size": "files after load, batches, updates, deletes",
    "memory.private": "peak private memory",
}


def cell_text(cell: Cell | None, *, spread: bool) -> str:
    """The median and, if they are wanted, the quartiles of several samples."""
    if cell is None:
        return ""
    text = number(cell.median)
    if spread and cell.samples > 1:
        text += f" [{number(cell.first_quartile)}-{number(cell.third_quartile)}]"
    return text


def verdict(results: Results, row: Row) -> str:
    """The ratio to the best peer, and which it is."""
    ratio, best = row.ratio(), row.best_peer()
    if ratio is None or best is None:
        return ""
    return f"{ratio:.2f} of {results.title(best)}"


def machine_text(results: Results) -> str:
    """The machine in a sentence."""
    machine = results.machine
    memory = int(str(machine["memory"]).split()[0]) / 1048576
    return (
        f"{machine['processor']}, {machine['processors']} processors, {memory:.0f} GiB of"
        f" memory, {machine['system']}, {machine['file_system']}, load average"
        f" {machine['load_before']:.2f} before the run"
    )


def table_lines(results: Results, rows: list[Row], *, spread: bool) -> list[str]:
    """A table with a column for each engine."""
    engines = [name for name in results.engines if any(name in row.cells for row in rows)]
    titles = [results.title(name) for name in engines]
    lines = [
        "| work | unit | " + " | ".join(titles) + " | ratio to the best peer |",
        "| --- | --- |" + " ---: |" * len(engines) + " --- |",
    ]
    for row in rows:
        texts = [cell_text(row.cells.get(name), spread=spread) for name in engines]
        lines.append(
            f"| {row.title} | {row.unit} | {' | '.join(texts)} | {verdict(results, row)} |"
        )
    return lines


def counts(results: Results) -> str:
    """How many rows are won and lost, parts of other rows aside."""
    ratios = [ratio for _, ratio, _ in compared(results)]
    wins = sum(ratio < 1 for ratio in ratios)
    return (
        f"ZeroDB is ahead of the best peer in {wins} of {len(ratios)} rows, and behind in the"
        " rest."
    )


def prose(*sentences: str) -> str:
    """A paragraph in lines of common length."""
    return textwrap.fill(
        " ".join(sentences), 100, break_long_words=False, break_on_hyphens=False
    )


def head(results: Results, title: str) -> list[str]:
    """What each document begins with."""
    return [
        f"# {title}",
        "",
        prose(f"Measured on {results.time[:10]}. Machine: {machine_text(results)}."),
        "",
    ]


def settings(results: Results) -> list[str]:
    """The engines, their versions and settings."""
    lines = [
        "## Versions and settings",
        "",
        "| engine | version | durable commits | not flushed |",
        "| --- | --- | --- | --- |",
    ]
    for engine in results.engines.values():
        flags = engine["flags"].replace("|", ", ")
        lines.append(
            f"| {engine['title']} | {engine['version']} | {flags} | {engine['unflushed']} |"
        )
    return [*lines, ""]


def write_table(source: Path, out: Path) -> None:
    """The document of one run."""
    results = load(source)
    chart = out.with_suffix(".svg").name
    lines = [
        *head(results, "Benchmark results"),
        prose(
            f"{results.entries} entries of 24 + 150 bytes unless the row says otherwise.",
            f"Medians, and quartiles in brackets, of {results.slices} alternating slices, of",
            f"loads and lives {results.rounds} alternating rounds. Percentiles and maxima are",
            "of the commits of all rounds. A ratio below 1: ZeroDB is faster or smaller.",
            counts(results),
            "LMDB through its map is shown and not compared. WiredTiger makes large changes in",
            "transactions of 10000, RocksDB without reading what it writes over.",
        ),
        "",
        f"![ZeroDB by the best peer, row by row]({chart})",
        "",
        *table_lines(results, results.rows, spread=True),
        "",
        *settings(results),
        "[How this is measured](../../Benchmarks/README.md).",
        "",
    ]
    out.write_text("\n".join(lines))


def write_scale(out: Path, sources: list[Path]) -> None:
    """ZeroDB's medians and ratios by the number of entries."""
    runs = sorted((load(source) for source in sources), key=lambda run: run.entries)
    sizes = [f"{run.entries:,}".replace(",", " ") for run in runs]
    lines = [
        *head(runs[-1], "Results by the number of entries"),
        "ZeroDB's median, and its ratio to the best peer.",
        "",
        "| work | unit | " + " | ".join(sizes) + " |",
        "| --- | --- |" + " ---: |" * len(runs),
    ]
    by_id = [{row.id: row for row in run.rows} for run in runs]
    for row in runs[-1].rows:
        texts = []
        for rows, run in zip(by_id, runs, strict=True):
            found = rows.get(row.id)
            own = found.cells.get(OWN) if found is not None else None
            texts.append(
                ""
                if found is None or own is None
                else f"{number(own.median)}, {verdict(run, found)}"
            )
        if row.ratio() is not None:
            lines.append(f"| {row.title} | {row.unit} | {' | '.join(texts)} |")
    out.write_text("\n".join([*lines, "", *settings(runs[-1])]))


def write_larger(out: Path, sources: list[Path]) -> None:
    """Results of a database that is larger than the memory that the engine may use."""
    limit = sources[0].name.split("-")[1]
    results = merge([load(source) for source in sources])
    lines = [
        *head(results, "A database larger than memory"),
        prose(
            f"{results.entries} entries of 24 + 150 bytes, each engine alone in a control",
            f"group with {limit} MiB of memory, the page cache included. Engines with a cache",
            "of their own have a third of that for it.",
        ),
        "",
        *table_lines(results, results.rows, spread=True),
        "",
    ]
    out.write_text("\n".join(lines))


def write_readme(source: Path, readme: Path) -> None:
    """The short table, between the two marks."""
    results = load(source)
    rows = {row.id: row for row in results.rows}
    missing = [name for name in README_ROWS if name not in rows]
    if missing:
        sys.exit(f"report: {source} has no {', '.join(missing)}: run all cases")
    chosen = []
    for name, title in README_ROWS.items():
        row = rows[name]
        row.title = title
        row.cells.pop(NOT_COMPARED, None)
        chosen.append(row)
    text = readme.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"report: {readme} has no lines {BEGIN} and {END}")
    lines = [
        BEGIN,
        prose(
            f"Measured on {results.time[:10]} with {results.entries} entries of 24 + 150",
            f"bytes, medians of {results.slices} alternating slices or {results.rounds}",
            "rounds.",
            f"Machine: {machine_text(results)}.",
        ),
        "",
        *table_lines(results, chosen, spread=False),
        END,
    ]
    readme.write_text(before + "\n".join(lines) + after)


def main() -> None:
    """As the head of this file says."""
    command, paths = sys.argv[1:2], [Path(argument) for argument in sys.argv[2:]]
    if command == ["table"] and len(paths) == 2:
        write_table(paths[0], paths[1])
    elif command == ["scale"] and len(paths) > 1:
        write_scale(paths[0], paths[1:])
    elif command == ["larger"] and len(paths) > 1:
        write_larger(paths[0], paths[1:])
    elif command == ["readme"] and len(paths) == 2:
        write_readme(paths[0], paths[1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
