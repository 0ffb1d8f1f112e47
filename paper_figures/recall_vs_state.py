"""Recall against state: the figures of the sweep `recall-vs-state`, as HTML beside this file or in a given folder.

    python paper_figures/recall_vs_state.py [FOLDER]

Each page draws with the `plotly.min.js` that is written beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import recallscope as rs

HERE = Path(__file__).parent


def main(folder: Path = HERE) -> None:
    table = rs.read_evidence(HERE / "evidence" / "recall_vs_state.jsonl")
    curves = rs.plots.read_curves(HERE / "evidence" / "recall_vs_state_curves.jsonl")
    best = max(rs.best_of(table).to_pylist(), key=lambda row: row["value"])["subject"]
    figures = {
        "state": rs.plots.accuracy_against_state(table),
        "state_64_tokens": rs.plots.accuracy_against_state(table, {"length": 64, "pairs": 16}),
        "pairs": rs.plots.accuracy_against_pairs(table),
        "rate": rs.plots.accuracy_against_rate(table),
        "seeds": rs.plots.seed_spread(table),
        "curves": rs.plots.training_curves(table, curves, best),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.write_html(folder / f"recall_vs_state_{name}.html", include_plotlyjs="directory")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
