"""Points of a sweep over some of its tests: mean over seeds at the best rate, from the worst to the best seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope.reproduction.statements import Row
from recallscope.training.sweeps.plots.points import accuracy_rows, best_points

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = (
    "subject", "metric", "unit", "kind", "source", "sweep", "mixer", "options", "width", "parameters", "steps", "batch",
    "device", "commit", "task", "vocabulary", "state_elements_longest",
)  # fmt: skip


def rows_at_best_rate(swept: pa.Table) -> list[Row]:
    """Rows of accuracy of every model at the rate that validates best over all tests; a diverged member scores 0."""
    rows = accuracy_rows(swept, None)
    best = {point["subject"]: point["rate"] for point in best_points(rows)}
    return [row | {"value": row["value"] or 0.0} for row in rows if row["rate"] == best[row["subject"]]]


def points_over(rows: list[Row], **columns: Any) -> list[Row]:
    """One row for each model: the mean over the tests of `rows`, and the spread of its seeds; `columns` are added."""
    points = []
    for subject in dict.fromkeys(row["subject"] for row in rows):
        own = [row for row in rows if row["subject"] == subject]
        seeds = {seed: [r["value"] for r in own if r["seed"] == seed] for seed in sorted({r["seed"] for r in own})}
        means = [float(np.mean(values)) for values in seeds.values()]
        kept = {name: own[0][name] for name in KEPT} | {"state_elements": own[0]["state_elements_longest"]}
        points.append(kept | {
            "value": float(np.mean(means)), "low": min(means), "high": max(means), "n": len(means),
            "rate": own[0]["rate"], "by_seed": means, **columns,
        })  # fmt: skip
    return points


def without_seeds(points: list[Row]) -> list[Row]:
    """The same without the list of seeds, which is no column of a table."""
    return [{name: value for name, value in point.items() if name != "by_seed"} for point in points]
