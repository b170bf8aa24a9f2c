"""Results files of the benchmark: rows, medians, ratios to the best peer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWN = "zerodb"
# Rows that are parts of another, the quiet side of a comparison, or an engine by itself: they
# stand in the tables, but are neither counted nor drawn.
PARTS = (
    ".puts",
    ".commit",
    ".quiet.p50",
    ".quiet.p99",
    ".used",
    ".scaling",
    ".share",
    ".slowdown",
    "open.growth",
)
# Lays a database open to stray pointers: shown, but nothing is compared with it.
NOT_COMPARED = "lmdb-writemap"


@dataclass
class Cell:
    """What was measured of one engine."""

    median: float
    first_quartile: float
    third_quartile: float
    samples: int


@dataclass
class Row:
    """One line of the table."""

    id: str
    title: str
    unit: str
    is_detail: bool
    more_is_better: bool
    cells: dict[str, Cell]  # by the name of the engine

    def best_peer(self) -> str | None:
        """The name of the best peer; None if ZeroDB was measured alone."""
        peers = [name for name in self.cells if name not in (OWN, NOT_COMPARED)]
        if OWN not in self.cells or not peers:
            return None
        choose = max if self.more_is_better else min
        return choose(peers, key=lambda name: self.cells[name].median)

    def ratio(self) -> float | None:
        """ZeroDB by the best peer, so that below 1 ZeroDB is better; None if there is none."""
        best = self.best_peer()
        if best is None:
            return None
        own, other = self.cells[OWN].median, self.cells[best].median
        if self.more_is_better:
            own, other = other, own
        return own / other if other > 0 else None


@dataclass
class Results:
    """One run."""

    time: str
    entries: int
    page_size: int
    slices: int
    rounds: int
    machine: dict[str, Any]
    engines: dict[str, dict[str, str]]  # by name: title, version, flags, unflushed
    rows: list[Row]

    def title(self, engine: str) -> str:
        """The name of an engine for readers."""
        return self.engines[engine]["title"]


def compared(results: Results) -> list[tuple[Row, float, str]]:
    """The rows that compare with a peer, each with the ratio and the name of the best peer."""
    chosen = []
    for row in results.rows:
        ratio, best = row.ratio(), row.best_peer()
        if ratio is not None and best is not None and not row.id.endswith(PARTS):
            chosen.append((row, ratio, best))
    return chosen


def _row(entry: dict[str, Any], engines: dict[str, dict[str, str]]) -> Row:
    cells = {
        name: Cell(
            entry[name]["median"],
            entry[name]["first_quartile"],
            entry[name]["third_quartile"],
            len(entry[name]["samples"]),
        )
        for name in engines
        if name in entry
    }
    return Row(
        entry["id"],
        entry["title"],
        entry["unit"],
        entry["detail"],
        entry["better"] == "more",
        cells,
    )


def load(path: Path) -> Results:
    """Reads a results file."""
    data = json.loads(path.read_text())
    engines = data["engines"]
    return Results(
        data["time"],
        data["entries"],
        data["page_size"],
        data["slices"],
        data["rounds"],
        data["machine"],
        engines,
        [_row(entry, engines) for entry in data["rows"]],
    )


def merge(parts: list[Results]) -> Results:
    """One run of results of the same rows, each with other engines."""
    whole, *others = sorted(parts, key=lambda part: OWN not in part.engines)
    for part in others:
        whole.engines |= part.engines
        for row, other in zip(whole.rows, part.rows, strict=True):
            row.cells |= other.cells
    return whole


def number(value: float) -> str:
    """Three significant digits or so, whatever the magnitude."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"
