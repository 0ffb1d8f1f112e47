"""Fit of a loss law to a table of runs, by the published protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from recallscope.scaling.descent import descend
from recallscope.scaling.law import Floats, LossLaw, constant_names, law_of_row, sizes_of
from recallscope.scaling.objective import Problem, inner, objective_of, problem, row_of
from recallscope.scaling.resamples import bootstrap_rows
from recallscope.scaling.starts import PUBLISHED_STARTS, grid_of_starts

DELTA = 1e-3
"""Huber's δ of Hoffmann et al. 2022, Appendix D.2, in log loss."""
DISTINCT = 3
"""Different sizes that a power term with its own coefficient and exponent needs beside an entropy."""


@dataclass(frozen=True)
class LossFit:
    """A fitted law and what it was fitted to.

    `law`; `objective`, the sum of Huber losses at it; `sizes` `[K, n]` and `losses` `[n]`; `delta`; `starts`, how many
    descents were run, and `agreeing`, how many of them ended within a millionth of the best value; `rows`
    `[R, 1 + 2K]`, constants of bootstrap refits in the order of `constant_names` (R = 0 without a bootstrap).
    """

    law: LossLaw
    objective: float
    sizes: Floats
    losses: Floats
    delta: float
    starts: int
    agreeing: int
    rows: Floats

    @property
    def terms(self) -> tuple[str, ...]:
        return self.law.terms


def fit_loss_law(
    sizes: Mapping[str, ArrayLike],
    losses: ArrayLike,
    *,
    delta: float = DELTA,
    starts: int = PUBLISHED_STARTS,
    bootstrap: int = 0,
    resample: str = "runs",
    seed: int = 0,
) -> LossFit:
    """Fit L = E + A/N^α + B/D^β, or with any one to three sizes, to measured losses.

    `sizes` names the columns and gives their values, each `[n]`: `{"N": parameters, "D": tokens}` is the published
    form, `{"N": ..., "D": ..., "S": state_elements}` adds C/S^σ, `{"N": ...}` alone is E + A/N^α. `losses` `[n]` are in
    nats per token. Minimises the sum over runs of Huber_δ(LSE(a - α ln N, b - β ln D, e) - ln L) from every point of
    the published grid of starts (at most `starts` of them, `grid_of_starts`), all descents at once with the exact
    gradient (Hoffmann et al. 2022, Appendix D.2). BFGS with relative stopping rules stands in place of L-BFGS.

    With `bootstrap` the law is refitted that many times, from the optimum and from three further starts, to resampled
    `"runs"`, or, where the runs are a designed grid, to fitted losses with resampled `"residuals"` (`bootstrap_rows`).

    Raises `ValueError` for lengths that differ, sizes or losses that are not finite and above 0, fewer runs than
    constants, a size with fewer than three different values, and a `delta` not above 0.
    """
    if starts < 1:
        raise ValueError(f"starts: at least 1, got {starts}")
    columns, measured = checked_runs(sizes, losses, delta)
    terms = tuple(sizes)
    task = problem(columns, measured, delta)
    ends, values = _from_grid(task, starts, seed)
    best = ends[values.argmin()]
    agreeing = int((values <= values.min() * (1 + 1e-6)).sum())
    rows = bootstrap_rows(task, best, bootstrap, resample, seed)
    law = law_of_row(row_of(task, best), terms, f"fit to {len(measured):,} runs")
    return LossFit(law, float(values.min()), columns, measured, delta, len(ends), agreeing, rows)


def _from_grid(task: Problem, starts: int, seed: int) -> tuple[Floats, Floats]:
    """Ends and values of the descents from the grid; the best end is sharpened by a second descent from it."""
    floor = len(task.y) * 0.5e-18  # residuals of 1e-9: the rounding of an exact law
    ends, values = descend(objective_of(task), inner(task, grid_of_starts(len(task.u), starts, seed)), floor=floor)
    best = values.argmin()
    ends[best : best + 1], values[best : best + 1] = descend(
        objective_of(task), ends[best : best + 1], tolerance=1e-13, floor=floor * 1e-6
    )
    return ends, values


def checked_runs(sizes: Mapping[str, ArrayLike], losses: ArrayLike, delta: float) -> tuple[Floats, Floats]:
    """Sizes `[K, n]` and losses `[n]` that can determine a law; `ValueError` as `fit_loss_law` says."""
    names = constant_names(tuple(sizes))
    if not delta > 0:
        raise ValueError(f"delta: above 0, got {delta:g}")
    columns = sizes_of(tuple(sizes), sizes)
    measured = np.asarray(losses, float)
    for name, column in zip(sizes, columns, strict=True):
        if column.shape != measured.shape or measured.ndim != 1:
            raise ValueError(f"{name}: one size per loss, got shapes {column.shape} and {measured.shape}")
    if not np.all(np.isfinite(measured) & (measured > 0)):
        bad = measured[~(np.isfinite(measured) & (measured > 0))][0]
        raise ValueError(f"losses: finite and above 0, in nats per token, got {bad:g}")
    if len(measured) < len(names):
        raise ValueError(f"losses: {len(names)} constants ({', '.join(names)}) need as many runs, got {len(measured)}")
    for name, column in zip(sizes, columns, strict=True):
        if len(np.unique(column)) < DISTINCT:
            raise ValueError(f"{name}: a power law needs {DISTINCT} different sizes, got {len(np.unique(column))}")
    return np.stack(columns), measured
