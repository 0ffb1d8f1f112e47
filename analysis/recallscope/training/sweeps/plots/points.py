"""Rows of a sweep's evidence to the points that its figures draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from recallscope.evidence import evidence
from recallscope.training.sweeps.best import best_of

Test = Mapping[str, Any]
Row = dict[str, Any]


def accuracy_rows(table: pa.Table, test: Test | None) -> list[Row]:
    """Rows of accuracy on the chosen tests of one sweep, and published ones."""
    rows = table.to_pylist()
    metrics = sorted({row["metric"] for row in rows})
    if "accuracy" not in metrics:
        raise ValueError(f"table: expected rows of the metric 'accuracy'; got {', '.join(metrics) or 'no rows'}")
    rows = [row for row in rows if row["metric"] == "accuracy" and row["value"] is not None]
    for name, value in (test or {}).items():
        if name not in table.column_names:
            raise ValueError(f"test: columns are {', '.join(table.column_names)}; got {name!r}")
        known = sorted({row[name] for row in rows if row[name] is not None})
        if value not in known:
            raise ValueError(f"test: {name} is one of {', '.join(map(str, known))}; got {value!r}")
        rows = [row for row in rows if row[name] == value]
    sweeps = list(dict.fromkeys(row.get("sweep") for row in rows if row["kind"] != "published"))
    if len(sweeps) > 1:
        raise ValueError(
            f"test: the table holds several sweeps; choose with 'sweep' one of {', '.join(map(str, sweeps))}"
        )
    return rows


def rows_of(rows: list[Row], subjects: Sequence[str] | None) -> list[Row]:
    """Rows of the given subjects, in that order; None is all."""
    known = list(dict.fromkeys(row["subject"] for row in rows))
    for subject in subjects or ():
        if subject not in known:
            raise ValueError(f"subjects: expected some of {', '.join(known)}; got {subject!r}")
    return rows if subjects is None else [row for subject in subjects for row in rows if row["subject"] == subject]


def measured_rows(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] != "published"]


def best_points(rows: list[Row]) -> list[Row]:
    """One point for each subject at its best rate, with its seeds and its state; then the published rows."""
    points, measured = [], measured_rows(rows)
    for point in best_of(evidence(measured)).to_pylist() if measured else ():
        own = [row for row in measured if row["subject"] == point["subject"]]
        seeds, state = sorted({row["seed"] for row in own}), max(row["state_elements"] for row in own)
        points.append(point | {"seeds": seeds, "state": state})
    published = [row for row in rows if row["kind"] == "published"]
    return points + [
        row | {"mixer": row.get("mixer") or row["subject"], "state": row.get("state_elements")} for row in published
    ]


def points_at_each_rate(rows: list[Row]) -> list[Row]:
    """A point for each subject and rate; `chosen` where the rate is the best on validation."""
    rows = measured_rows(rows)
    best = {point["subject"]: point["rate"] for point in best_points(rows)}
    rates = sorted({row["rate"] for row in rows})
    every = [point for rate in rates for point in best_points([row for row in rows if row["rate"] == rate])]
    return [point | {"chosen": best[point["subject"]] == point["rate"]} for point in every]


def tests_of(rows: list[Row]) -> list[Row]:
    """One row of each test: those of the first member."""
    rows = measured_rows(rows)
    first = [(row["subject"], row["rate"], row["seed"]) for row in rows[:1]]
    return [row for row in rows if (row["subject"], row["rate"], row["seed"]) in first]
