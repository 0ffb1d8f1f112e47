"""Linear regression in context, the task of looped models, with the predictors they are compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isfinite, log2

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class InContextRegression(Task):
    """Points (x_i, y_i) of a linear function, then x alone: its y? (Garg et al. 2022; Gatmiry et al. 2024.)

    w and all x are standard normal in R^d, afresh for every example. Token i is `(x_i, y_i)` with y_i = w·x_i + σ z_i,
    z_i standard normal; the last token is `(x, 0)`, and the model is asked there for w·x, without noise: noise on the
    answer would add σ² to every model's error. `inputs` is `[examples, n + 1, d + 1]` and `answers` `[examples, 1]`,
    both float32.

    The measure is the mean squared error, not accuracy: `chance` is an error, and lower is better. What can be
    reached: `least_squares` with `ridge` σ² is the mean of w·x given the points, and no predictor has a smaller error.
    Without noise that error is max(d - n, 0).

    Attributes
    ----------
    vocabulary : int
        0: there are no ids.
    length : int
        T = n + 1.
    dimensions : int
        d, at least 1.
    points : int
        n, at least 1.
    noise : float
        σ, at least 0.
    """

    vocabulary: int = field(init=False, default=0)
    length: int = field(init=False)
    dimensions: int = 10
    points: int = 20
    noise: float = 0.0

    def __post_init__(self) -> None:
        check(self.dimensions >= 1, "dimensions", "at least 1", self.dimensions)
        check(self.points >= 1, "points", "at least 1", self.points)
        check(self.noise >= 0 and isfinite(self.noise), "noise", "at least 0, finite", self.noise)
        object.__setattr__(self, "length", self.points + 1)

    def draw(self, source: Source, examples: int) -> Examples:
        weights = source.normal(examples, self.dimensions)[:, None]
        x = source.normal(examples, self.length * self.dimensions).view(examples, self.length, self.dimensions)
        y = (x * weights).sum(-1)  # no matrix product: on a GPU that may round to TF32
        answers = y[:, -1:].clone()
        y[:, -1] = 0
        if self.noise:
            y[:, :-1] += self.noise * source.normal(examples, self.points)
        positions = torch.full((examples, 1), self.points, dtype=narrow(self.length), device=source.device)
        return Examples(torch.cat([x, y[:, :, None]], dim=2), positions, answers)

    def chance(self) -> float:
        """d: the mean squared error of the answer 0, the best one that ignores the points."""
        return float(self.dimensions)

    def demand_bits(self, error: float = 0.0) -> float:
        """(d/2) log2(d / error): a state of fewer bits after the points leaves a larger mean squared error.

        A lower bound, for any number of points and any noise. The best answer from a state s is E[w | s]·x, with error
        E|w - E[w | s]|², and that is the distortion of a normal w described in so many bits. 0 for an error of d or
        more; infinite for 0: a real number has no last bit.
        """
        check(error >= 0, "error", "at least 0", error)
        if error == 0:
            return inf
        return max(0.0, self.dimensions / 2 * log2(self.dimensions / error))


def least_squares(inputs: ArrayLike | torch.Tensor, ridge: float = 0.0) -> NDArray[np.float64]:
    """Predictions at the last token, `[examples]` float64: ŵ·x with ŵ = (XᵀX + ridge I)⁻¹ Xᵀy.

    `ridge` 0: the smallest ŵ of least squares. The noise's variance is the best ridge, since w is standard normal.
    """
    check(ridge >= 0, "ridge", "at least 0", ridge)
    x, y, query = _parts(inputs)
    if ridge:
        gram = x.swapaxes(1, 2) @ x + ridge * np.eye(x.shape[2])
        weights = np.linalg.solve(gram, x.swapaxes(1, 2) @ y)
    else:
        weights = np.linalg.pinv(x) @ y
    return np.asarray((query @ weights)[:, 0, 0], np.float64)


def gradient_descent(inputs: ArrayLike | torch.Tensor, steps: int, preconditioner: ArrayLike) -> NDArray[np.float64]:
    """Predictions at the last token after 0, 1, .. `steps` steps, `[examples, steps + 1]` float64.

    w ← w + A Xᵀ(y - Xw) / n from w = 0, on the squared error of the n points. A is a number (the step) or a `[d, d]`
    matrix. The spectrum of XᵀX/n of many points reaches to (1 + √(d/n))² (Marchenko and Pastur 1967): a step near 2
    over that diverges on some examples, and those rule the mean.
    """
    check(steps >= 0, "steps", "at least 0", steps)
    x, y, query = _parts(inputs)
    points, width = x.shape[1:]
    a = np.asarray(preconditioner, np.float64)
    check(a.shape in ((), (width, width)), "preconditioner", f"a number or [{width}, {width}]", list(a.shape))
    a = a * np.eye(width) if a.ndim == 0 else a
    weights = np.zeros((len(x), width, 1))
    predictions = [(query @ weights)[:, 0, 0]]
    for _ in range(steps):
        weights = weights + a @ (x.swapaxes(1, 2) @ (y - x @ weights)) / points
        predictions.append((query @ weights)[:, 0, 0])
    return np.stack(predictions, axis=1)


def _parts(inputs: ArrayLike | torch.Tensor) -> tuple[NDArray, NDArray, NDArray]:
    """X `[B, n, d]`, y `[B, n, 1]` and the query `[B, 1, d]`, float64."""
    table = np.asarray(inputs.cpu() if isinstance(inputs, torch.Tensor) else inputs, np.float64)
    fits = table.ndim == 3 and table.shape[1] >= 2 and table.shape[2] >= 2
    check(fits, "inputs", "[examples, points + 1, dimensions + 1]", list(table.shape))
    return table[:, :-1, :-1], table[:, :-1, -1:], table[:, -1:, :-1]
