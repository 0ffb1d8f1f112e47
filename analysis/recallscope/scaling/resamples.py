"""Bootstrap refits of a loss law, all at once."""

from __future__ import annotations

import numpy as np

from recallscope.scaling.descent import descend
from recallscope.scaling.law import Floats
from recallscope.scaling.objective import Problem, fitted, objective_of, row_of

RESAMPLES = ("runs", "residuals")
NUDGES = 3
"""Further starts of every refit, around the optimum of all runs."""
NUDGE = 0.3
"""Their standard deviation, in the unknowns of standardised sizes."""


def bootstrap_rows(task: Problem, best: Floats, count: int, resample: str, seed: int) -> Floats:
    """Constants `[count, 1 + 2K]` of refits to resamples, each the best of descents from the optimum and around it.

    `"runs"`: as many runs as there are, drawn with replacement (draws with fewer than three different values of a size
    determine no power law and are drawn again). `"residuals"`: every run stays, its log loss is the fitted one plus a
    centred log residual drawn with replacement and widened by √(n / (n - 1 - 2K)) for the constants that were fitted.
    """
    if resample not in RESAMPLES:
        raise ValueError(f"resample: {' or '.join(RESAMPLES)}, got {resample!r}")
    if count < 0:
        raise ValueError(f"bootstrap: not negative, got {count}")
    if not count:
        return np.empty((0, len(best)))
    generator = np.random.default_rng(seed)
    draw = _weights if resample == "runs" else _losses
    drawn = draw(task, best, count, generator)
    ends, values = np.empty((0, count, len(best))), np.empty((0, count))
    for nudge in range(1 + NUDGES):
        starts = best + (NUDGE if nudge else 0.0) * generator.standard_normal((count, len(best)))
        end, value = descend(objective_of(task, *drawn), starts)
        ends, values = np.concatenate([ends, end[None]]), np.concatenate([values, value[None]])
    return row_of(task, ends[values.argmin(0), np.arange(count)])


def _weights(task: Problem, best: Floats, count: int, generator: np.random.Generator) -> tuple[Floats, None]:
    """How often each run is in each resample, `[count, n]`."""
    runs = len(task.y)
    weights = np.empty((count, runs))
    for row in weights:
        while True:
            row[:] = np.bincount(generator.integers(runs, size=runs), minlength=runs)
            if all(len(np.unique(one[row > 0])) >= 3 for one in task.u) and (row > 0).sum() >= len(best):
                break
    return weights, None


def _losses(task: Problem, best: Floats, count: int, generator: np.random.Generator) -> tuple[None, Floats]:
    """Log losses of each resample, `[count, n]`."""
    center = fitted(task, best)
    left = task.y - center
    runs = len(left)
    widened = (left - left.mean()) * np.sqrt(runs / max(runs - len(best), 1))
    return None, center + widened[generator.integers(runs, size=(count, runs))]
