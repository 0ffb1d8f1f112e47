"""The objective and its gradient against SciPy's Huber loss and log-sum-exp; descents against SciPy's minimiser."""

from __future__ import annotations

import numpy as np
import pytest
from recallscope.scaling.descent import descend
from recallscope.scaling.objective import fitted, inner, objective_of, problem, row_of, unknowns_of
from recallscope.scaling.starts import grid_of_starts
from scaling.synthetic import DELTA, ONE, THREE, plain, scattered
from scipy.optimize import rosen, rosen_der


@pytest.mark.parametrize("law", [ONE, THREE], ids=["one size", "three sizes"])
def test_values_and_gradients_of_many_candidates(law):
    sizes, losses = scattered(law, 40, 0.01)
    columns = np.stack(list(sizes.values()))
    generator = np.random.default_rng(1)
    true = np.array([np.log(law.entropy), *np.log(law.coefficients), *law.exponents])
    thetas = true + 0.02 * generator.standard_normal((37, len(true)))  # more than two chunks, none full
    weights = generator.integers(0, 4, (37, 40)).astype(float)
    task = problem(columns, losses, DELTA)
    objective = objective_of(task, weights)
    values, slopes = objective(inner(task, thetas), np.arange(37))
    np.testing.assert_allclose(values, [plain(t, columns, losses, w) for t, w in zip(thetas, weights, strict=True)])
    step = 1e-6
    for k in range(len(true)):
        ends = [inner(task, thetas).copy() for _ in range(2)]
        ends[0][:, k] += step
        ends[1][:, k] -= step
        up, down = (objective(end, np.arange(37))[0] for end in ends)
        np.testing.assert_allclose(slopes[:, k], (up - down) / (2 * step), rtol=1e-3, atol=1e-6)


def test_log_losses_of_each_candidate():
    sizes, losses = scattered(ONE, 30, 0.01)
    task = problem(np.stack(list(sizes.values())), losses, DELTA)
    phi = unknowns_of(task, ONE.row())
    own = np.stack([fitted(task, phi), fitted(task, phi) + 0.01])
    values, _ = objective_of(task, y=own)(np.stack([phi, phi]), np.arange(2))
    assert values.tolist() == pytest.approx([0.0, 30 * DELTA * (0.01 - DELTA / 2)], abs=1e-15)


def test_rows_and_unknowns_are_inverse():
    sizes, losses = scattered(THREE, 30, 0.0)
    task = problem(np.stack(list(sizes.values())), losses, DELTA)
    np.testing.assert_allclose(row_of(task, unknowns_of(task, THREE.row())), THREE.row(), rtol=1e-12)
    np.testing.assert_allclose(fitted(task, unknowns_of(task, THREE.row())), np.log(losses), rtol=1e-13)


def test_terms_far_apart_do_not_overflow():
    task = problem(np.array([[1e6, 1e8, 1e10]]), np.array([3.0, 2.5, 2.0]), DELTA)
    starts = inner(task, np.array([[1.0, 25.0, 0.0], [-1.0, 0.0, 2.0], [1.0, 700.0, -2.0]]))
    values, slopes = objective_of(task)(starts, np.arange(3))
    assert np.isfinite(values).all() and np.isfinite(slopes).all()


def test_descents_reach_the_minimum_of_a_curved_valley_alone_and_together():
    def objective(x, which):
        return np.array([rosen(row) for row in x]), np.array([rosen_der(row) for row in x])

    starts = np.random.default_rng(0).uniform(-2, 2, (20, 2))
    ends, values = descend(objective, starts, rounds=2000, tolerance=1e-14)
    np.testing.assert_allclose(ends, 1.0, atol=1e-4)
    alone = np.concatenate([descend(objective, start[None], rounds=2000, tolerance=1e-14)[0] for start in starts])
    np.testing.assert_allclose(ends, alone, atol=1e-12)
    assert values.max() < 1e-9


def test_a_descent_does_not_depend_on_the_scale_of_its_objective():
    def scaled(factor):
        return lambda x, which: (
            factor * np.array([rosen(row) for row in x]),
            factor * np.array([rosen_der(row) for row in x]),
        )

    start = np.array([[-1.2, 1.0]])
    ends = [descend(scaled(factor), start, rounds=2000, tolerance=1e-13)[0] for factor in (2.0**-40, 1.0, 2.0**40)]
    assert ends[0].tolist() == ends[1].tolist() == ends[2].tolist()


def test_the_published_grid_has_4500_starts_and_larger_ones_are_sampled():
    grid = grid_of_starts(2)
    assert grid.shape == (4500, 5) and len(np.unique(grid, axis=0)) == 4500
    assert [sorted(set(column)) for column in grid.T] == [
        [-1, -0.5, 0, 0.5, 1], *[[0, 5, 10, 15, 20, 25]] * 2, *[[0, 0.5, 1, 1.5, 2]] * 2
    ]  # fmt: skip
    assert len(grid_of_starts(1)) == 150
    three = grid_of_starts(3, seed=1)
    assert three.shape == (4500, 7) and len(np.unique(three, axis=0)) == 4500
    assert not np.array_equal(three, grid_of_starts(3, seed=2))
