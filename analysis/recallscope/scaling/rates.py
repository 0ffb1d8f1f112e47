"""The step law: peak learning rate and batch of a run from its parameters and tokens (arXiv 2503.04715).

The formula is as other pages state the paper's (second-hand); mean and covariance of the bootstrap fits are computed
from the 1,000 rows of constants that the authors publish with their code. The law holds for AdamW with the final rate
fixed at 1e-5; N are non-embedding parameters. Its optimum is flat: on the authors' dense runs the run nearest the law
loses 0.10 % on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from recallscope.scaling.intervals import LEVEL, Interval, percentile_interval
from recallscope.scaling.law import Floats

QUANTITIES = ("learning rate", "batch in tokens")
COEFFICIENTS = {
    "learning rate": ("intercept", "exponent of parameters", "exponent of tokens"),
    "batch in tokens": ("intercept", "exponent of tokens"),
}


@dataclass(frozen=True)
class Step:
    """Peak learning rate and batch in tokens, each with an interval, and what lies outside of the fitted range.

    `outside` has one line for each size beyond the runs that the law was fitted to; empty inside.
    """

    learning_rate: float
    learning_rate_interval: Interval
    batch_tokens: float
    batch_tokens_interval: Interval
    outside: tuple[str, ...]


def step_law(parameters: float, tokens: float, *, level: float = LEVEL, rows: ArrayLike | None = None) -> Step:
    """Peak rate 1.79 N^-0.713 D^0.307 and batch 0.58 D^0.571 tokens, with the band of their bootstrap.

    `parameters` without embeddings. A prefactor and its exponents are strongly correlated, so the band is that of the
    log of the whole law: normal, from the covariance of the bootstrap fits, or the percentiles of `rows` `[R, 5]` (log
    intercept, exponent of N, exponent of D; log intercept, exponent of D). It says how well the authors' grid of optima
    determines the law, not how far the optimum of another model family may lie; outside of the fitted range it widens,
    and `outside` says so. Raises `ValueError` for sizes that are not above 0.
    """
    for name, value in (("parameters", parameters), ("tokens", tokens)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}: finite and above 0, got {value:g}")
    if not 0 < level < 1:
        raise ValueError(f"level: between 0 and 1, got {level:g}")
    logs = {"intercept": 1.0, "exponent of parameters": math.log(parameters), "exponent of tokens": math.log(tokens)}
    values = [_printed(quantity, logs) for quantity in QUANTITIES]
    bands = [_normal_band(quantity, logs, level) for quantity in QUANTITIES]
    if rows is not None:
        bands = _percentile_bands(np.asarray(rows, float), logs, level)
    return Step(values[0], bands[0], values[1], bands[1], _outside(parameters, tokens))


def fitted_range() -> dict[str, Interval]:
    """Least and most parameters and tokens of the runs that the law was fitted to."""
    rows = [row for row in _bootstrap() if row["row"] == "range"]
    return {row["metric"]: (row["low"], row["high"]) for row in rows}


def _printed(quantity: str, logs: dict[str, float]) -> float:
    cells = _law()[quantity]
    return cells["prefactor"] * math.exp(sum(cells[name] * logs[name] for name in COEFFICIENTS[quantity][1:]))


def _normal_band(quantity: str, logs: dict[str, float], level: float) -> Interval:
    from scipy.special import ndtri

    names = COEFFICIENTS[quantity]
    own = {row["metric"]: row["value"] for row in _bootstrap() if row["row"] == quantity}
    x = np.array([logs[name] for name in names])
    middle = sum(own[f"mean of {name}"] * logs[name] for name in names)
    pairs = [[own.get(f"covariance of {one} and {two}", own.get(f"covariance of {two} and {one}")) for two in names]
             for one in names]  # fmt: skip
    half = float(ndtri((1 + level) / 2)) * math.sqrt(x @ np.array(pairs, float) @ x)
    return math.exp(middle - half), math.exp(middle + half)


def _percentile_bands(rows: Floats, logs: dict[str, float], level: float) -> list[Interval]:
    if rows.ndim != 2 or rows.shape[1] != 5 or len(rows) < 2:
        raise ValueError(f"rows: at least two of five constants each, got shape {rows.shape}")
    ends = []
    for quantity, columns in zip(QUANTITIES, (rows[:, :3], rows[:, 3:]), strict=True):
        x = np.array([logs[name] for name in COEFFICIENTS[quantity]])
        found = percentile_interval(np.exp(columns @ x), level)
        if found is None:
            raise ValueError("rows: finite constants, got some that are not numbers")
        ends.append(found)
    return ends


def _outside(parameters: float, tokens: float) -> tuple[str, ...]:
    found: Sequence[tuple[str, float]] = (("parameters", parameters), ("tokens", tokens))
    ranges = fitted_range()
    return tuple(
        f"{name}: fitted from {ranges[name][0]:.3g} to {ranges[name][1]:.3g}, got {value:.3g}"
        for name, value in found
        if not ranges[name][0] <= value <= ranges[name][1]
    )


@cache
def _law() -> dict[str, dict[str, float]]:
    from recallscope.published import published_table

    cells: dict[str, dict[str, float]] = {}
    for row in published_table("step_law").to_pylist():
        cells.setdefault(row["row"], {})[row["metric"]] = row["value"]
    return cells


@cache
def _bootstrap() -> list[dict]:
    from recallscope.evidence import read_evidence

    return read_evidence(Path(__file__).parent / "step_law_bootstrap.jsonl").to_pylist()
