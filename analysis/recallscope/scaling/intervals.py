"""Intervals from bootstrap rows: of the constants of a fit, and of anything that follows from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from recallscope.scaling.fit import LossFit
from recallscope.scaling.law import Floats, constant_names

Interval = tuple[float, float]
LEVEL = 0.95


def percentile_interval(values: ArrayLike, level: float = LEVEL) -> Interval | None:
    """The middle `level` of resampled values; None for fewer than two, or where one of them is not a number."""
    if not 0 < level < 1:
        raise ValueError(f"level: between 0 and 1, got {level:g}")
    numbers = np.asarray(values, float)
    if len(numbers) < 2 or np.isnan(numbers).any():
        return None
    low, high = np.quantile(numbers, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def constant_intervals(fit: LossFit, level: float = LEVEL) -> dict[str, Interval | None]:
    """Percentile interval of each constant of a fit; None without a bootstrap."""
    columns = zip(constant_names(fit.terms), fit.rows.T, strict=True)
    return {name: percentile_interval(column, level) for name, column in columns}


def covariance(fit: LossFit) -> Floats:
    """Covariance `[1 + 2K, 1 + 2K]` of the bootstrap rows of ln E, ln A, alpha, ln B, beta, ....

    Of the logs of E and of the coefficients, which are what is fitted: a coefficient and its exponent hang together so
    closely that the spread of a coefficient alone says little. Raises `ValueError` without a bootstrap.
    """
    if len(fit.rows) < 2:
        raise ValueError(f"fit: a covariance needs bootstrap rows, got {len(fit.rows)}; fit with bootstrap=1000")
    rows = fit.rows.copy()
    logged = [0, *range(1, rows.shape[1], 2)]
    rows[:, logged] = np.log(np.maximum(rows[:, logged], 1e-300))
    return np.cov(rows.T)


def derived_interval(fit: LossFit, quantity: Callable[[Any], Any], level: float = LEVEL) -> Interval | None:
    """Percentile interval of a quantity of the constants: a function of rows `[R, 1 + 2K]` that returns `[R]`."""
    return percentile_interval(quantity(fit.rows), level)
