#!/usr/bin/env python3
"""Draws the chart of a results file: for each row the ratio of ZeroDB to the best peer.

    chart.py RESULTS OUT.svg

The axis is logarithmic, so that a row that takes twice as long is as far from the middle as one
that takes half. Wins and losses are drawn alike.
"""
# mypy: disable-error-code="import-not-found, import-untyped"

import sys
from pathlib import Path

from matplotlib import pyplot as plt

from results import Results, compared, load

# Colours that readers with any colour vision can tell apart.
AHEAD, BEHIND = "#0072b2", "#d55e00"
RATIO_MIN, RATIO_MAX = 1 / 32, 32
INCHES_A_ROW = 0.235


def label_of(ratio: float, best: str, results: Results) -> str:
    """What stands at the end of a bar."""
    return f"{ratio:.2f} of {results.title(best)}"


def draw(results: Results, out: Path) -> None:
    """Writes the chart."""
    plt.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "zerodb",
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
            "font.size": 8.5,
        }
    )
    rows = compared(results)
    whole, axes = plt.subplots(figsize=(10, 1.6 + INCHES_A_ROW * len(rows)))
    for place, (_, ratio, best) in enumerate(rows):
        drawn = min(max(ratio, RATIO_MIN), RATIO_MAX)
        axes.barh(place, drawn - 1, left=1, height=0.62, color=AHEAD if ratio < 1 else BEHIND)
        axes.annotate(
            label_of(ratio, best, results),
            (drawn, place),
            xytext=(-4 if ratio < 1 else 4, 0),
            textcoords="offset points",
            ha="right" if ratio < 1 else "left",
            va="center",
        )
    axes.set_yticks(range(len(rows)), [row.title for row, _, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlim(RATIO_MIN / 6, RATIO_MAX * 6)
    ticks = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32]
    names = ["1/32", "1/16", "1/8", "1/4", "1/2", "1", "2", "4", "8", "16", "32"]
    axes.set_xticks(ticks, names)
    axes.minorticks_off()
    axes.axvline(1, color="#333333", linewidth=0.8)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_ticks_position("top")
    axes.set_title(
        f"ZeroDB by the best peer of each row, {results.time[:10]},"
        f" {results.entries} entries.\n"
        "To the left of 1 ZeroDB is faster or smaller, to the right the peer is.",
        loc="left",
    )
    whole.savefig(out, metadata={"Date": None}, bbox_inches="tight", facecolor="white")


def main() -> None:
    """As the head of this file says."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    draw(load(Path(sys.argv[1])), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
