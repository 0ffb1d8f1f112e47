"""The AR-aware law: the loss on AR tokens and on the others, each fitted against parameters, data and state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recallscope.scaling.descent import descend
from recallscope.scaling.fit import DELTA, fit_loss_law
from recallscope.scaling.intervals import LEVEL, Interval, percentile_interval
from recallscope.scaling.law import Floats, LossLaw, law_of_row
from recallscope.scaling.objective import Problem, fitted, objective_of, problem, row_of, unknowns_of
from recallscope.scaling.recall.losses import Grid, group_losses, resampled_documents, resampled_errors
from recallscope.scaling.resamples import NUDGE, NUDGES

FORMS = {"N, D": ("N", "D"), "N, D, S": ("N", "D", "S"), "D": ("D",), "D, S": ("D", "S")}
"""The laws that are compared: a term A/x^α for each size named, and an entropy."""
STARTS = 1500
EXPONENTS, COEFFICIENTS = (0.0, 5.0), (1e-3, 1e9)
"""Bounds of the intervals of constants that count as determined."""


@dataclass(frozen=True)
class RecallLaw:
    """A law of one group's loss.

    `law` with `intervals` of its constants by name; `left_out`, the root mean square of ln(measured / predicted) of
    cells whose whole run was left out of the fit, and `residual`, of all cells in the fit; `rows` `[R, 1 + 2K]`, the
    bootstrap refits.
    """

    group: str
    form: str
    law: LossLaw
    intervals: dict[str, Interval | None]
    residual: float
    left_out: float
    rows: Floats


def fit_recall_law(
    grid: Grid,
    group: str,
    form: str = "N, D, S",
    *,
    starts: int = STARTS,
    bootstrap: int = 500,
    level: float = LEVEL,
    seed: int = 0,
) -> RecallLaw:
    """Fit L = E + A/N^α + B/D^β + C/S^σ, or a simpler form of `FORMS`, to a group's losses.

    The fit is that of `fit_loss_law`. Left out are whole runs, one at a time: the cells of a run share weights up to
    their branch, so that a cell is no test of a law that saw its neighbours. A resample draws documents, which moves
    all cells together, and residuals of whole runs, and is refitted from the optimum and from three points around it.

    Raises `ValueError` for an unknown form or group, and what `fit_loss_law` refuses.
    """
    if form not in FORMS:
        raise ValueError(f"form: one of {'; '.join(FORMS)}, got {form!r}")
    terms, losses = FORMS[form], group_losses(grid, group)
    sizes = {name: grid.sizes[name] for name in terms}
    law = fit_loss_law(sizes, losses, starts=starts, seed=seed).law
    task = problem(np.stack(list(sizes.values())), losses, DELTA)
    best = unknowns_of(task, law.row())
    residuals = task.y - fitted(task, best)
    rows = row_of(task, _resampled(grid, group, terms, task, best, bootstrap, seed))
    names = list(law.constants())
    intervals = {name: percentile_interval(rows[:, k], level) for k, name in enumerate(names)}
    return RecallLaw(group, form, law, intervals, _rms(residuals), _rms(_left_out(task, best, grid.run, seed)), rows)


def compare_forms(
    grid: Grid, group: str, forms: Sequence[str] = tuple(FORMS), *, starts: int = STARTS, seed: int = 0
) -> dict[str, RecallLaw]:
    """Several forms fitted to one group, without a bootstrap."""
    return {form: fit_recall_law(grid, group, form, starts=starts, bootstrap=0, seed=seed) for form in forms}


def state_share(law: RecallLaw, grid: Grid, level: float = LEVEL) -> tuple[float, Interval | None]:
    """How much of the loss the state moves over the grid: C/S^σ at the smallest state minus that at the largest, nats.

    Better determined than C and σ apart, which make up for each other. Raises `ValueError` for a law without S.
    """
    if "S" not in law.law.terms:
        raise ValueError(f"law: one with the size S, got {law.form}")
    ends = np.array([grid.sizes["S"].min(), grid.sizes["S"].max()])

    def moved(row: Floats) -> float:
        term = law_of_row(row, law.law.terms)
        with np.errstate(over="ignore", invalid="ignore"):  # a resample that determines nothing: not a number
            values = term.coefficients[-1] * ends ** -term.exponents[-1]
            return float(values[0] - values[1])

    return moved(law.law.row()), percentile_interval([moved(row) for row in law.rows], level)


def undetermined(law: RecallLaw) -> list[str]:
    """Constants that the cells leave open: resamples put an exponent outside of 0 to 5, or a coefficient anywhere."""
    found = []
    for name, interval in law.intervals.items():
        least, most = EXPONENTS if name in ("alpha", "beta", "sigma") else COEFFICIENTS
        if interval is None or interval[0] < least or interval[1] > most:
            found.append(name)
    return found


def _resampled(
    grid: Grid, group: str, terms: Sequence[str], task: Problem, best: Floats, count: int, seed: int
) -> Floats:
    """Refits `[count, P]` to resampled documents and resampled residuals of runs."""
    if not count:
        return np.empty((0, len(best)))
    generator = np.random.default_rng([seed, 2])
    weights = resampled_documents(grid, count, np.random.default_rng(seed))
    center = fitted(task, best)
    between = 1 + 2 * sum(name != "D" for name in terms)  # constants that differences between runs determine
    errors = resampled_errors(task.y - center, grid.run, count, between, generator)
    y = center + errors + np.log(group_losses(grid, group, weights)) - task.y
    return _refit(task, best, generator, y=y)


def _left_out(task: Problem, best: Floats, run: np.ndarray, seed: int) -> Floats:
    """ln(measured / predicted) of each cell, its run left out of the fit, `[C]`."""
    weights = 1.0 - (run == np.unique(run)[:, None])
    found = _refit(task, best, np.random.default_rng([seed, 3]), weights=weights)
    predicted = np.stack([fitted(task, phi) for phi in found])
    return task.y - predicted[np.searchsorted(np.unique(run), run), np.arange(len(run))]


def _refit(
    task: Problem, best: Floats, generator: np.random.Generator, weights: Floats | None = None, y: Floats | None = None
) -> Floats:
    """The best of descents from the optimum and from points around it, for each row of weights or of log losses."""
    given = weights if weights is not None else y
    assert given is not None
    ends, values = [], []
    for nudge in range(1 + NUDGES):
        starts = best + (NUDGE if nudge else 0.0) * generator.standard_normal((len(given), len(best)))
        end, value = descend(objective_of(task, weights, y), starts)
        ends.append(end)
        values.append(value)
    return np.stack(ends)[np.argmin(values, 0), np.arange(len(given))]


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
