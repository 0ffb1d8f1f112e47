"""What state does to a loss, without a law: slopes within groups of cells that differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recallscope.scaling.intervals import LEVEL, Interval, percentile_interval
from recallscope.scaling.law import Floats
from recallscope.scaling.recall.losses import Grid, group_losses, resampled_documents, resampled_errors

FACTOR = 4.0
"""Slopes are per factor of this in the state."""


@dataclass(frozen=True)
class Effect:
    """Change of a loss, in nats per token, when the state is multiplied by `FACTOR` at equal size and data.

    `value` with its `interval`; `drawn` `[R]`, the resampled values, paired between the groups of one call.
    """

    group: str
    value: float
    interval: Interval | None
    drawn: Floats


def state_effects(
    grid: Grid,
    groups: Sequence[str],
    *,
    bootstrap: int = 2000,
    runs: bool = True,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Effect]:
    """Slope of the loss of each group against log state, common to all cells of equal size and data.

    Least squares with an intercept for each pair (N, D): nothing is assumed of how size and data act. Resamples draw
    documents and the residuals of whole runs (`resampled_errors`), the same draws for all groups, so that differences
    of two effects have an interval too (`difference`). Residuals hold what a line does not fit as well as chance. With
    `runs` False documents alone are drawn: for a few cells, of which nothing says how much is chance.

    Raises `ValueError` where no two cells differ in state alone.
    """
    x = within(grid, np.log(grid.sizes["S"]) / np.log(FACTOR))
    scale = float(x @ x)
    if scale <= 0:
        raise ValueError("grid: cells of equal N and D that differ in S, got none")
    lost = len(_alike(grid.sizes["N"])) + 1
    weights = resampled_documents(grid, bootstrap, np.random.default_rng(seed))
    found = {}
    for group in groups:
        losses = within(grid, group_losses(grid, group))
        value = float(x @ losses) / scale
        drawn = within(grid, group_losses(grid, group, weights)) @ x / scale
        if runs:
            generator = np.random.default_rng([seed, 1])
            drawn = drawn + resampled_errors(losses - value * x, grid.run, bootstrap, lost, generator) @ x / scale
        found[group] = Effect(group, value, percentile_interval(drawn, level) if bootstrap else None, drawn)
    return found


def difference(one: Effect, other: Effect, level: float = LEVEL) -> tuple[float, Interval | None]:
    """The first effect minus the second, with its interval over the paired resamples."""
    return one.value - other.value, percentile_interval(one.drawn - other.drawn, level)


def within(grid: Grid, values: Floats) -> Floats:
    """Values `[..., C]` minus the mean over the cells of equal N and D."""
    out = values.copy()
    for cells in _alike(grid.sizes["N"], grid.sizes["D"]):
        out[..., cells] -= values[..., cells].mean(-1, keepdims=True)
    return out


def _alike(*sizes: Floats) -> list[np.ndarray]:
    """Indices of the cells that agree in all sizes to within 1 %, group by group."""
    logs = np.log(np.stack(sizes))
    equal = (np.abs(logs[:, :, None] - logs[:, None]) < 0.01).all(0)
    first = equal.argmax(1)  # of each cell, the first cell that it equals
    return [np.flatnonzero(first == k) for k in np.unique(first)]
