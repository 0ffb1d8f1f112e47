"""Rows that the figures draw: constants of laws, optima against compute, residuals of a fit, γ against β."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recallscope.scaling.allocation import compute_optimal
from recallscope.scaling.efficient import efficient_exponent
from recallscope.scaling.fit import LossFit
from recallscope.scaling.intervals import LEVEL, percentile_interval
from recallscope.scaling.law import Floats, LossLaw, constant_names
from recallscope.scaling.published import LAWS, published_intervals, published_law
from recallscope.scaling.residuals import log_residuals

Row = dict[str, Any]

RATIO, RESIDUAL, EXPONENT = "tokens per parameter", "log residual", "exponent of efficient size"


def published_rows(flops: Sequence[float]) -> list[Row]:
    """Constants of the published laws, with intervals where there are some in print, and their optima."""
    rows = []
    for name, subject in LAWS.items():
        law, intervals = published_law(name), published_intervals(name)
        common = {"subject": subject, "unit": "1", "source": law.source}
        for metric, value in law.constants().items():
            low, high = intervals.get(metric, (None, None))
            rows.append(common | {"metric": metric, "value": value, "low": low, "high": high, "kind": "published"})
        rows += optimum_rows(law, subject, flops)
    return rows


def law_rows(law: LossLaw, rows: Floats, subject: str, flops: Sequence[float], level: float = LEVEL) -> list[Row]:
    """Constants of one's own law with the intervals of its bootstrap rows, and its optima."""
    common = {"subject": subject, "unit": "1", "source": law.source, "kind": "derived"}
    found = []
    for (metric, value), column in zip(law.constants().items(), rows.T, strict=True):
        low, high = percentile_interval(column, level) or (None, None)
        found.append(common | {"metric": metric, "value": value, "low": low, "high": high})
    return found + optimum_rows(law, subject, flops, rows, level)


def optimum_rows(
    law: LossLaw, subject: str, flops: Sequence[float], rows: Floats | None = None, level: float = LEVEL
) -> list[Row]:
    """Tokens per parameter of the least loss at each compute, with an interval where there are bootstrap rows."""
    found = []
    for compute in flops:
        best = compute_optimal(compute, law, rows, level=level)
        low, high = best.intervals["tokens_per_parameter"] or (None, None)
        found.append({
            "subject": subject, "metric": RATIO, "value": best.tokens_per_parameter, "unit": "1", "low": low,
            "high": high, "kind": "derived", "source": law.source, "flops": float(compute),
        })  # fmt: skip
    return found


def residual_rows(fit: LossFit, subject: str) -> list[Row]:
    """ln(measured / predicted) of every run, with its sizes."""
    sizes = dict(zip(fit.terms, fit.sizes, strict=True))
    left = log_residuals(fit.law, sizes, fit.losses)
    return [
        {
            "subject": subject, "metric": RESIDUAL, "value": float(value), "unit": "1", "kind": "derived",
            "source": fit.law.source, "loss": float(fit.losses[i]),
            **{name: float(column[i]) for name, column in sizes.items()},
        }
        for i, value in enumerate(left)
    ]  # fmt: skip


def exponent_rows(law: LossLaw, subject: str, rows: Floats | None = None, level: float = LEVEL) -> list[Row]:
    """γ of a law as one row: `low` = 1 - 2β and `high` = 1 - β (reconstructed); β with its own interval, if any."""
    place = constant_names(law.terms).index("beta")
    drawn = np.empty(0) if rows is None else rows[:, place]
    own = percentile_interval(drawn, level) if len(drawn) else published_beta(subject)
    return [_exponent_row(subject, float(law.row()[place]), own, law.source)]


def published_beta(subject: str) -> tuple[float, float] | None:
    """The interval of β in print for the law that is named so."""
    names = [name for name, title in LAWS.items() if title == subject]
    return published_intervals(names[0]).get("beta") if names else None


def _exponent_row(subject: str, beta: float, interval: tuple[float, float] | None, source: str) -> Row:
    found = efficient_exponent(beta)
    low, high = interval or (None, None)
    return {
        "subject": subject, "metric": EXPONENT, "value": None, "unit": "1", "low": found.low, "high": found.high,
        "kind": "derived", "source": source, "flag": "1 - 2β to 1 - β: a reconstruction, the proof was not read",
        "beta": beta, "beta_low": low, "beta_high": high,
    }  # fmt: skip
