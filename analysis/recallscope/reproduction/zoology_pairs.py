"""Zoology (arXiv 2312.04927), Appendix F: accuracy against the number of pairs, from the rows of a sweep."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from recallscope.reproduction.statements import Row, Spread, spread, statement
from recallscope.training.sweeps.plots.points import accuracy_rows, best_points

if TYPE_CHECKING:
    import pyarrow as pa


def accuracy_by_pairs(swept: pa.Table) -> list[Row]:
    """A point for every two-layer model and test, at the rate that validates best over all tests: mean over seeds.

    `low` and `high` are the worst and the best seed; `window` is the window of sliding windows. Tests of more pairs are
    longer here, `length` says how long.
    """
    rows = [row for row in accuracy_rows(swept, None) if row["layers"] == 2]
    chosen = {point["subject"]: point["rate"] for point in best_points(rows)}
    points = []
    for subject, rate in chosen.items():
        own = [row for row in rows if (row["subject"], row["rate"]) == (subject, rate)]
        for length, pairs in sorted({(row["length"], row["pairs"]) for row in own}):
            test = [row for row in own if (row["length"], row["pairs"]) == (length, pairs)]
            values = [row["value"] or 0.0 for row in test]
            kept = ("subject", "metric", "unit", "kind", "source", "mixer", "vocabulary", "length", "pairs", "chance",
                    "state_elements", "parameters", "device", "commit")  # fmt: skip
            points.append({name: test[0][name] for name in kept} | {
                "value": float(np.mean(values)), "low": min(values), "high": max(values), "n": len(values),
                "rate": rate, "seeds": len(values),
            })  # fmt: skip
    return points


def zoology_pairs_statements(points: list[Row]) -> list[Row]:
    """Attention holds at every number of pairs; all that keep a state of fixed size fall; a larger window falls less.

    `points` are those of `accuracy_by_pairs`. Models of which a seed has not learnt the fewest pairs (below 0.5) cannot
    fall and are left out.
    """
    by_model: dict[str, list[Row]] = {}
    for row in sorted(points, key=lambda row: row["pairs"]):
        by_model.setdefault(row["subject"], []).append(row)
    attention = next((own for own in by_model.values() if own[0]["mixer"] == "attention"), None)
    if attention is None:
        raise ValueError("points: those of attention among them, got none")
    worst = min(attention, key=lambda row: row["value"])
    learnt = {name: own for name, own in by_model.items() if own[0]["mixer"] != "attention" and own[0]["low"] >= 0.5}
    fallen = 100 * float(np.mean([own[-1]["high"] < own[0]["low"] for own in learnt.values()]))
    below = 100 * float(np.mean([own[-1]["high"] < attention[-1]["low"] for own in learnt.values()]))
    found = [
        statement(f"attention, lowest accuracy ({worst['pairs']} pairs)", spread(worst), worst["low"] >= 0.9,
                  "at least 0.9 with every seed", n=worst["n"]),
        statement("other models that learnt: lower with the most pairs than with the fewest", Spread(fallen),
                  fallen == 100, "all of them, worst and best seeds apart", unit="%", n=len(learnt)),
        statement("other models that learnt: below attention with the most pairs", Spread(below), below == 100,
                  "all of them, worst and best seeds apart", unit="%", n=len(learnt)),
    ]  # fmt: skip
    return [*found, _windows(by_model)]


def _windows(by_model: dict[str, list[Row]]) -> Row:
    """Mean accuracy of all tests, in the order of the windows."""
    windows = [own for own in by_model.values() if own[0]["mixer"] == "sliding_window"]
    windows.sort(key=lambda own: own[-1]["state_elements"])
    values = [float(np.mean([row["value"] for row in own])) for own in windows]
    if len(values) < 2:
        raise ValueError(f"points: those of at least 2 sliding windows, got {len(values)}")
    return statement("sliding windows: mean accuracy of the largest less that of the smallest",
                     Spread(values[-1] - values[0]), all(a < b for a, b in pairwise(values)),
                     "rises with every larger window", n=len(values))  # fmt: skip
