"""The best rate of each subject of a sweep, from its rows of evidence alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from recallscope.evidence import evidence

ERRORS = ("mean squared error", "total variation")
"""Metrics of which less is better."""


def best_of(table: pa.Table, metric: str = "accuracy") -> pa.Table:
    """For each subject the rate that validates best on average over seeds, and what it scores on the tests.

    `value` is the mean over test tasks and seeds, `low` and `high` the smallest and largest of a seed, `n` the seeds;
    `rate_low` and `rate_high` the smallest and largest mean of a rate: how much depends on it. Published figures report
    the best of all rates on the test examples themselves, mostly of one seed; that is `maximum`. Validation scores are
    accuracies where a task has answers to be right or wrong, else squared errors. Published rows are left out.
    """
    rows = [row for row in table.to_pylist() if row["metric"] == metric and row["kind"] != "published"]
    best, lost = _better(metric in ERRORS)
    validates, unvalidated = _better(metric == "mean squared error")
    results = []
    for subject in dict.fromkeys(row["subject"] for row in rows):
        own = [
            row | {"value": _known(row["value"], lost), "validation": _known(row["validation"], unvalidated)}
            for row in rows
            if row["subject"] == subject
        ]
        rates = sorted({row["rate"] for row in own})
        checked = {rate: _mean(row["validation"] for row in own if row["rate"] == rate) for rate in rates}
        tested = {rate: _by_seed(own, rate) for rate in rates}
        rate = validates(rates, key=lambda r: checked[r])
        seeds, means = list(tested[rate].values()), [_mean(per.values()) for per in tested.values()]
        kept = {
            key: own[0][key] for key in ("mixer", "width", "layers", "parameters", "state_elements_longest", "can_bind")
        }
        results.append({
            "subject": subject, "metric": metric, "value": _mean(seeds), "low": min(seeds), "high": max(seeds),
            "n": len(seeds), "unit": "1", "kind": "measured", "rate": rate, "rate_low": min(means),
            "rate_high": max(means), "maximum": best(v for per in tested.values() for v in per.values()), **kept,
        })  # fmt: skip
    return evidence(results)


def _by_seed(rows: Sequence[dict[str, Any]], rate: float) -> dict[int, float]:
    """Mean over test tasks, for each seed of a rate."""
    rows = [row for row in rows if row["rate"] == rate]
    return {
        seed: _mean(r["value"] for r in rows if r["seed"] == seed) for seed in dict.fromkeys(r["seed"] for r in rows)
    }


def _better(small: bool) -> tuple[Callable[..., Any], float]:
    """What chooses the better of two scores, and the score of a diverged member, which knows nothing."""
    return (min, float("inf")) if small else (max, 0.0)


def _mean(values: Any) -> float:
    values = list(values)
    return sum(values) / len(values)


def _known(value: float | None, otherwise: float) -> float:
    return value if value is not None and math.isfinite(value) else otherwise
