"""Regression in context: exact rows, the distribution, and predictors against plain loops and known errors."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import inf, log2, pi, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from recallscope.tasks.regression import InContextRegression, gradient_descent, least_squares
from scipy.stats import chi2, kstest, norm


def exact(row: np.ndarray) -> float:
    """w·x from the first d points by elimination with fractions, no rounding at all."""
    d = row.shape[1] - 1
    table = [[Fraction(float(value)) for value in line] for line in row[:d]]
    for i in range(d):
        pivot = max(range(i, d), key=lambda k: abs(table[k][i]))
        table[i], table[pivot] = table[pivot], table[i]
        table[i] = [value / table[i][i] for value in table[i]]
        for k in range(d):
            if k != i:
                table[k] = [a - table[k][i] * b for a, b in zip(table[k], table[i], strict=True)]
    return float(sum(table[i][d] * Fraction(float(row[-1, i])) for i in range(d)))


@pytest.mark.parametrize(("dimensions", "points"), [(1, 1), (2, 2), (3, 9), (5, 20)])
def test_the_points_determine_the_answer(dimensions: int, points: int):
    task = InContextRegression(dimensions=dimensions, points=points)
    drawn = task.sample(300, seed=1)
    assert drawn.inputs.shape == (300, points + 1, dimensions + 1) and drawn.inputs.dtype == torch.float32
    assert drawn.answers.shape == (300, 1) and drawn.answers.dtype == torch.float32
    assert drawn.positions.tolist() == [[points]] * 300 and task.length == points + 1 and task.vocabulary == 0
    assert (drawn.inputs[:, -1, -1] == 0).all()
    got = np.array([exact(row) for row in drawn.inputs.numpy().astype(float)])
    condition = np.linalg.cond(drawn.inputs[:, :dimensions, :dimensions].double().numpy())
    assert (abs(got - drawn.answers[:, 0].numpy()) < 2e-6 * dimensions * (1 + condition)).all()


def test_weights_inputs_and_noise_are_standard_normal():
    drawn = InContextRegression(dimensions=3, points=8).sample(40_000, seed=2).inputs.double().numpy()
    x, y = drawn[:, :, :3], drawn[:, :-1, 3]
    assert kstest(x[:, [0, 4, 8]].ravel(), norm.cdf).pvalue > 1e-3
    weights = np.stack([np.linalg.lstsq(a[:-1], b, rcond=None)[0] for a, b in zip(x[:4000], y[:4000], strict=True)])
    assert kstest(weights.ravel(), norm.cdf).pvalue > 1e-3
    assert kstest((weights**2).sum(1), chi2(3).cdf).pvalue > 1e-3  # independent entries
    assert kstest((x[:, 8] ** 2).sum(1), chi2(3).cdf).pvalue > 1e-3


def test_noise_stands_on_the_points_and_not_on_the_answer():
    quiet = InContextRegression(dimensions=2, points=3)
    clean, noisy = quiet.sample(20_000, seed=4), replace(quiet, noise=0.7).sample(20_000, seed=4)
    residual = (noisy.inputs - clean.inputs)[:, :-1, 2].double().numpy() / 0.7  # the noise is drawn last
    assert kstest(residual.ravel(), norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(residual.T) - np.eye(3)).max() < 0.04
    assert noisy.answers.equal(clean.answers) and noisy.inputs[:, :, :2].equal(clean.inputs[:, :, :2])
    assert (noisy.inputs[:, -1, 2] == 0).all()


def error(task: InContextRegression, ridge: float = 0.0, examples: int = 20_000) -> tuple[float, float]:
    """Mean squared error of least squares, and its standard error."""
    drawn = task.sample(examples, seed=6)
    squares = (least_squares(drawn.inputs, ridge) - drawn.answers[:, 0].double().numpy()) ** 2
    return squares.mean(), squares.std() / sqrt(examples)


@pytest.mark.parametrize(
    ("dimensions", "points", "noise", "expected"),
    [
        (6, 2, 0.0, 6 - 2),  # what the points do not span
        (6, 5, 0.0, 6 - 5),
        (4, 12, 0.5, 0.25 * 4 / (12 - 4 - 1)),  # mean of the inverse Wishart distribution
        (2, 20, 2.0, 4 * 2 / (20 - 2 - 1)),
    ],
)
def test_least_squares_has_its_known_error(dimensions: int, points: int, noise: float, expected: float):
    mean, deviation = error(InContextRegression(dimensions=dimensions, points=points, noise=noise))
    assert abs(mean - expected) < 4 * deviation


def test_no_error_is_left_when_the_points_span_the_space():
    assert error(InContextRegression(dimensions=4, points=12))[0] < 1e-10


def test_the_noise_variance_is_the_best_ridge():
    task = InContextRegression(dimensions=4, points=6, noise=1.0)
    errors = {ridge: error(task, ridge)[0] for ridge in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)}
    assert min(errors, key=lambda ridge: errors[ridge]) == 1.0 and errors[1.0] < errors[0.0] / 2


@pytest.mark.parametrize("ridge", [0.0, 0.3, 5.0])
def test_ridge_is_least_squares_with_rows_added(ridge: float):
    inputs = InContextRegression(dimensions=3, points=5, noise=0.3).sample(50).inputs.double().numpy()
    for row, got in zip(inputs, least_squares(inputs, ridge), strict=True):
        x = np.vstack([row[:-1, :-1], sqrt(ridge) * np.eye(3)])
        y = np.append(row[:-1, -1], np.zeros(3))
        weights = np.linalg.lstsq(x, y, rcond=None)[0]
        assert got == pytest.approx(weights @ row[-1, :-1], abs=1e-10)


@pytest.mark.parametrize("matrix", [False, True])
def test_gradient_descent_is_the_gradient_of_the_error(matrix: bool):
    """Against automatic differentiation of the mean squared error over two."""
    inputs = InContextRegression(dimensions=3, points=7, noise=0.2).sample(40, seed=3).inputs.double()
    a = torch.tensor([[0.3, 0.1, 0.0], [0.0, 0.2, -0.1], [0.2, 0.0, 0.4]], dtype=torch.float64)
    a = a if matrix else 0.3 * torch.eye(3, dtype=torch.float64)
    got = gradient_descent(inputs, 4, a.numpy() if matrix else 0.3)
    assert got.shape == (40, 5) and got.dtype == np.float64
    for row, predictions in zip(inputs, got, strict=True):
        weights = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        for prediction in predictions:
            assert prediction == pytest.approx(float(row[-1, :-1] @ weights.detach()), abs=1e-10)
            loss = (row[:-1, -1] - row[:-1, :-1] @ weights).square().mean() / 2
            (slope,) = torch.autograd.grad(loss, weights)
            weights = (weights - a @ slope).detach().requires_grad_()


def test_gradient_descent_ends_at_least_squares():
    inputs = InContextRegression(dimensions=2, points=30, noise=0.5).sample(200, seed=5).inputs
    np.testing.assert_allclose(gradient_descent(inputs, 300, 0.5)[:, -1], least_squares(inputs), atol=1e-9)


def test_chance_is_the_error_of_zero():
    task = InContextRegression(dimensions=7, points=2)
    squares = task.sample(100_000, seed=8).answers.double().numpy() ** 2
    assert abs(squares.mean() - task.chance()) < 4 * squares.std() / sqrt(len(squares)) and task.chance() == 7


def test_demand_is_below_what_quantisers_of_the_weight_take():
    """d = 1: one bit (the sign) leaves 1 - 2/π; a fine step Δ leaves Δ²/12 and takes ½ log2(2πe/12) bits too many."""
    task = InContextRegression(dimensions=1)
    assert 0.7 < task.demand_bits(1 - 2 / pi) < 1
    step = 0.05
    edges = np.arange(-200, 201) * step
    mass = np.diff(norm.cdf(edges))
    mass = mass[mass > 0]
    entropy = -(mass * np.log2(mass)).sum()
    assert entropy - task.demand_bits(step**2 / 12) == pytest.approx(0.5 * log2(2 * pi * np.e / 12), abs=1e-3)


def test_demand_at_its_ends():
    task = InContextRegression(dimensions=6)
    assert task.demand_bits() == inf and task.demand_bits(6.0) == task.demand_bits(7.0) == 0
    assert task.demand_bits(6 / 4) == pytest.approx(6)  # a bit halves the deviation of one weight


def test_a_seed_decides():
    task = InContextRegression(noise=0.1)
    one, same, other = task.sample(5000, 1), task.sample(5000, 1), task.sample(5000, 2)
    assert one.inputs.equal(same.inputs) and one.answers.equal(same.answers)
    assert not one.inputs.equal(other.inputs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dimensions": 0}, "dimensions: at least 1, got 0"),
        ({"points": 0}, "points: at least 1, got 0"),
        ({"noise": -0.1}, "noise: at least 0, finite, got -0.1"),
        ({"noise": inf}, "noise: at least 0, finite, got inf"),
        ({"noise": float("nan")}, "noise: at least 0, finite, got nan"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        InContextRegression(**settings)


def test_bad_arguments_are_refused():
    inputs = np.zeros((2, 4, 3))
    with pytest.raises(ValueError, match="error: at least 0, got -1"):
        InContextRegression().demand_bits(-1)
    with pytest.raises(ValueError, match="ridge: at least 0, got -1"):
        least_squares(inputs, -1)
    with pytest.raises(ValueError, match="steps: at least 0, got -1"):
        gradient_descent(inputs, -1, 0.5)
    with pytest.raises(ValueError, match=r"preconditioner: a number or \[2, 2\], got \[3, 3\]"):
        gradient_descent(inputs, 1, np.eye(3))
    for shape in ((4, 3), (2, 1, 3), (2, 4, 1)):
        with pytest.raises(ValueError, match=r"inputs: \[examples, points \+ 1, dimensions \+ 1\], got"):
            least_squares(np.zeros(shape))
