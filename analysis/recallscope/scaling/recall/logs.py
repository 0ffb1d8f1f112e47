"""Plainer forms beside the law: log loss linear in the logs of the sizes, also with products of two of them."""

from __future__ import annotations

import numpy as np

from recallscope.scaling.law import Floats
from recallscope.scaling.recall.losses import Grid, group_losses

LOG_FORMS = {
    "log: N, D": ("N", "D"),
    "log: N, D, S": ("N", "D", "S"),
    "log: N, D, S, DS": ("N", "D", "S", "DS"),
    "log: N, D, S, DS, NS": ("N", "D", "S", "DS", "NS"),
}
"""Regressors by name: logs of sizes, and of two sizes multiplied (state acting more where there are more data, or more
parameters), each size about its mean."""


def log_form_errors(grid: Grid, group: str, form: str) -> tuple[float, float]:
    """Root mean squares of ln(measured / predicted): of all cells in the fit, and of cells whose run was left out.

    Least squares on ln L, where `fit_recall_law` has an entropy and Huber's losses. Raises `ValueError` for an unknown
    form.
    """
    if form not in LOG_FORMS:
        raise ValueError(f"form: one of {'; '.join(LOG_FORMS)}, got {form!r}")
    logs = {name: np.log(values) - np.log(values).mean() for name, values in grid.sizes.items()}
    columns = [np.prod([logs[letter] for letter in name], axis=0) for name in LOG_FORMS[form]]
    x, y = np.column_stack([np.ones(len(grid)), *columns]), np.log(group_losses(grid, group))
    left = np.empty(len(grid))
    for run in np.unique(grid.run):
        out = grid.run == run
        left[out] = _residuals(x, y, ~out)[out]
    return _rms(_residuals(x, y, np.ones(len(grid), bool))), _rms(left)


def _residuals(x: Floats, y: Floats, used: np.ndarray) -> Floats:
    return y - x @ np.linalg.lstsq(x[used], y[used], rcond=None)[0]


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
