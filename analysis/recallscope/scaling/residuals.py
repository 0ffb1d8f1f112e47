"""What a law leaves over: the published objective at given constants, outlying runs, and whether it is a minimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from recallscope.scaling.descent import descend
from recallscope.scaling.fit import DELTA, LossFit, checked_runs, fit_loss_law
from recallscope.scaling.law import Floats, LossLaw, sizes_of
from recallscope.scaling.objective import objective_of, problem, unknowns_of

OUTLYING = 5.0
"""Robust standard deviations from the law beyond which a run is reported."""
NORMAL = 1.4826
"""A median absolute deviation times this is the standard deviation of normal errors."""
ROUNDING = 1e-6
"""A log residual that no measured loss is accurate to."""
DROP = 1e-3
"""Constants from which a descent lowers the objective by more than this share were no minimum."""


@dataclass(frozen=True)
class Outlier:
    """A run far from the law: its index in the table, its sizes, the loss measured and predicted, and how far.

    `deviations` is ln(measured / predicted) over the robust standard deviation of all runs.
    """

    index: int
    sizes: dict[str, float]
    loss: float
    predicted: float
    deviations: float


def log_residuals(law: LossLaw, sizes: Mapping[str, ArrayLike], losses: ArrayLike) -> Floats:
    """ln(measured / predicted) `[n]`."""
    return np.log(np.asarray(losses, float)) - np.log(law.loss(**sizes))


def huber_objective(law: LossLaw, sizes: Mapping[str, ArrayLike], losses: ArrayLike, *, delta: float = DELTA) -> float:
    """Sum over runs of Huber_δ of the log residuals, what `fit_loss_law` minimises (Hoffmann et al. 2022, App. D.2)."""
    left = np.abs(log_residuals(law, sizes, losses))
    return float(np.where(left <= delta, left**2 / 2, delta * (left - delta / 2)).sum())


def outliers(fit: LossFit, beyond: float = OUTLYING) -> list[Outlier]:
    """Runs more than `beyond` robust standard deviations from the law, the farthest first.

    The scale is 1.4826 times the median absolute log residual, without the 1 + 2K smallest, which a fit makes nearly 0
    however far the others are. A fit with Huber's losses is bent little by one such
    run, but those at one end of the range bend an exponent: with and without the five highest losses of the digitised
    runs of Hoffmann et al. β differs by a quarter. `without_outliers` shows it.
    """
    sizes = dict(zip(fit.terms, fit.sizes, strict=True))
    left = log_residuals(fit.law, sizes, fit.losses)
    rest = np.sort(np.abs(left))[min(len(fit.law.row()), len(left) - 1) :]
    scale = max(NORMAL * float(np.median(rest)), ROUNDING)
    predicted = fit.law.loss(**sizes)
    order = [int(i) for i in np.argsort(-np.abs(left)) if abs(left[i]) > beyond * scale]
    return [
        Outlier(i, {name: float(column[i]) for name, column in sizes.items()}, float(fit.losses[i]),
                float(predicted[i]), float(left[i] / scale))
        for i in order
    ]  # fmt: skip


def without_outliers(fit: LossFit, beyond: float = OUTLYING, *, starts: int = 300) -> LossFit:
    """The law refitted without its outlying runs, once; no bootstrap."""
    keep = np.ones(len(fit.losses), bool)
    keep[[one.index for one in outliers(fit, beyond)]] = False
    sizes = dict(zip(fit.terms, fit.sizes[:, keep], strict=True))
    return fit_loss_law(sizes, fit.losses[keep], delta=fit.delta, starts=starts)


def check_minimum(law: LossLaw, sizes: Mapping[str, ArrayLike], losses: ArrayLike, *, delta: float = DELTA) -> None:
    """Raise a `ValueError` if these constants are not at a minimum of the objective on these runs.

    For constants that another optimiser returned. The objective is small (about 1e-3 for 240 runs), so an optimiser
    with absolute tolerances stops where it stands, sooner the smaller the objective is scaled: on the mean over runs
    in place of the sum, SciPy's L-BFGS-B ends two steps from its start. That is what Besiroglu et al. 2024 (arXiv
    2404.10102) found behind the constants of Hoffmann et al. 2022. Here a descent with relative tolerances starts from
    the constants; they are refused if it lowers the objective by more than a thousandth.
    """
    columns, measured = checked_runs(dict(zip(law.terms, sizes_of(law.terms, sizes), strict=True)), losses, delta)
    task = problem(columns, measured, delta)
    before = huber_objective(law, dict(zip(law.terms, columns, strict=True)), measured, delta=delta)
    _, after = descend(objective_of(task), unknowns_of(task, law.row())[None], tolerance=1e-12, floor=1e-18)
    if after[0] < (1 - DROP) * before and before > 1e-15:
        raise ValueError(
            f"law: constants at a minimum, got some from which a descent lowers the objective from {before:.6g} to "
            f"{after[0]:.6g}: an optimiser stopped early, as one with absolute tolerances does on a badly scaled "
            "objective (a mean in place of the sum)"
        )
