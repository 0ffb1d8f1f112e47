"""Fits: exact laws found back, the optimum of an independent minimiser, intervals that hold what made the data."""

from __future__ import annotations

import numpy as np
import pytest
from recallscope.reproduction.chinchilla import stopped_law, synthetic_runs
from recallscope.scaling import (
    check_minimum,
    constant_intervals,
    covariance,
    derived_interval,
    fit_loss_law,
    huber_objective,
    outliers,
    published_law,
    size_exponent,
    without_outliers,
)
from recallscope.scaling.objective import problem, unknowns_of
from recallscope.scaling.resamples import _weights
from scaling.synthetic import ONE, THREE, plain, scattered
from scipy.optimize import minimize


@pytest.mark.parametrize("law", [ONE, published_law("besiroglu"), THREE], ids=["S", "N D", "N D S"])
def test_an_exact_law_is_found_back(law):
    sizes, losses = scattered(law, 60, 0.0)
    found = fit_loss_law(sizes, losses, starts=200)
    np.testing.assert_allclose(found.law.row(), law.row(), rtol=1e-5)
    assert found.law.terms == law.terms and found.objective < 1e-12


def test_the_optimum_is_that_of_a_scaled_independent_minimiser():
    sizes, losses = synthetic_runs(3, 60)
    found = fit_loss_law(sizes, losses)
    e, a, alpha, b, beta = published_law("hoffmann-tex").row()
    columns = np.stack(list(sizes.values()))
    tight = {"ftol": 1e-16, "gtol": 1e-9, "maxiter": 10_000, "maxfun": 100_000}
    end = np.array([np.log(e), np.log(a), np.log(b), alpha, beta])
    for _ in range(3):
        end = minimize(
            lambda x: 1e6 * plain(x, columns, losses), end, jac="3-point", method="L-BFGS-B", options=tight
        ).x
    np.testing.assert_allclose(found.law.row(), [*np.exp(end[:2]), end[3], np.exp(end[2]), end[4]], rtol=1e-4)
    assert found.objective == pytest.approx(plain(end, columns, losses), rel=1e-8)
    assert found.objective == pytest.approx(huber_objective(found.law, sizes, losses), rel=1e-12)
    assert found.starts == 4500 and found.agreeing > 300


def test_the_scaling_mistake_stops_early_and_is_refused():
    """Mean in place of the sum (arXiv 2404.10102): the same optimiser ends far above the least, and is noticed."""
    sizes, losses = synthetic_runs(0)
    least = fit_loss_law(sizes, losses, starts=300)
    e, a, alpha, b, beta = published_law("hoffmann-tex").row()
    starts = [(np.log(e), np.log(a), np.log(b), alpha, beta), (0.0, 5.0, 5.0, 0.5, 0.5), (0.5, 10.0, 10.0, 0.5, 0.5)]
    for start in starts:
        mean = stopped_law(sizes, losses, start, 1 / len(losses))
        assert huber_objective(mean, sizes, losses) > 1.5 * least.objective
        with pytest.raises(ValueError, match=r"lowers the objective from .* badly scaled objective"):
            check_minimum(mean, sizes, losses)
        scaled = stopped_law(sizes, losses, start, 1e4)
        assert huber_objective(scaled, sizes, losses) < (1 + 1e-6) * least.objective
        check_minimum(scaled, sizes, losses)
    near_start = stopped_law(sizes, losses, starts[0], 1 / len(losses))
    assert near_start.coefficients == pytest.approx((a, b), rel=2e-3)  # coefficients do not leave where they began


def test_an_exact_law_is_a_minimum():
    sizes, losses = scattered(THREE, 40, 0.0)
    check_minimum(THREE, sizes, losses)
    with pytest.raises(ValueError, match="sizes: N, D, S, got N, D"):
        check_minimum(THREE, {"N": sizes["N"], "D": sizes["D"]}, losses)


def test_bootstrap_rows_are_refits_to_repeated_runs():
    sizes, losses = synthetic_runs(1, 60)
    found = fit_loss_law(sizes, losses, starts=100, bootstrap=4, seed=5)
    task = problem(found.sizes, losses, found.delta)
    weights, _ = _weights(task, unknowns_of(task, found.law.row()), 4, np.random.default_rng(5))
    assert weights.sum(1).tolist() == [60.0] * 4
    for row, weight in zip(found.rows, weights, strict=True):
        chosen = np.repeat(np.arange(60), weight.astype(int))
        alone = fit_loss_law({name: column[chosen] for name, column in sizes.items()}, losses[chosen], starts=100)
        np.testing.assert_allclose(row, alone.law.row(), rtol=1e-3)


def test_residual_bootstrap_keeps_the_runs_of_a_grid():
    """27 runs, 7 constants: the spread of σ from residuals is that of fresh errors, within a factor of two."""
    grid = np.array(np.meshgrid([1e6, 1e7, 1e8], [1e7, 1e8, 1e9], [1e2, 1e3, 1e4])).reshape(3, -1)
    sizes = dict(zip("NDS", grid, strict=True))
    exact = THREE.loss(**sizes)
    draws = np.random.default_rng(0).standard_normal((10, 27))
    fresh = [fit_loss_law(sizes, exact * np.exp(0.002 * one), starts=20).law.exponents[2] for one in draws]
    found = fit_loss_law(sizes, exact * np.exp(0.002 * draws[0]), starts=20, bootstrap=40, resample="residuals")
    assert found.rows.shape == (40, 7)
    assert 0.5 < found.rows[:, 6].std() / np.std(fresh) < 2.0


def test_intervals_hold_the_constants_that_made_the_data():
    """A small tests/bench/bench_loss_law.py; of 12 repetitions at 95 %, fewer than 9 would be chance 1 : 500."""
    true, held = published_law("besiroglu").row(), np.zeros(5, int)
    for repetition in range(12):
        sizes, losses = scattered(published_law("besiroglu"), 60, 0.003, 100 + repetition)
        found = fit_loss_law(sizes, losses, starts=20, bootstrap=100, seed=repetition)
        low, high = np.array(list(constant_intervals(found).values())).T
        held += (low <= true) & (true <= high)
        assert np.all(high - low < true)
    assert held.min() >= 9


def test_intervals_covariance_and_what_follows_from_rows():
    sizes, losses = scattered(published_law("besiroglu"), 100, 0.003)
    found = fit_loss_law(sizes, losses, starts=40, bootstrap=200)
    ranked = np.sort(found.rows[:, 4])
    low, high = constant_intervals(found, 0.9)["beta"] or (0, 0)
    assert ranked[9] <= low <= ranked[10] and ranked[189] <= high <= ranked[190]
    spread = covariance(found)
    assert spread.shape == (5, 5)
    assert spread[3, 3] == pytest.approx(np.var(np.log(found.rows[:, 3]), ddof=1))
    correlation = spread[3, 4] / np.sqrt(spread[3, 3] * spread[4, 4])
    assert correlation > 0.9  # a coefficient and its exponent hang together
    a_low, a_high = derived_interval(found, size_exponent) or (0, 0)
    assert a_low < 0.3658 / (0.3658 + 0.3478) < a_high


def test_outlying_runs_are_reported_and_bend_the_law():
    law = published_law("besiroglu")
    sizes, losses = scattered(law, 100, 0.003)
    worst = np.argsort(sizes["D"] / sizes["N"])[:4]
    losses[worst] *= [1.3, 1.2, 1.15, 1.1]
    found = fit_loss_law(sizes, losses, starts=100)
    reported = outliers(found)
    assert {one.index for one in reported} >= set(worst.tolist())
    assert reported[0].index == worst[0] and reported[0].deviations > 20
    assert reported[0].loss == losses[worst[0]] and reported[0].sizes["N"] == sizes["N"][worst[0]]
    keep = np.setdiff1d(np.arange(100), [one.index for one in reported])
    left = fit_loss_law({name: column[keep] for name, column in sizes.items()}, losses[keep], starts=100)
    mended = without_outliers(found)
    np.testing.assert_allclose(mended.law.row(), left.law.row(), rtol=1e-4)
    assert len(mended.losses) == len(keep) and abs(mended.law.exponents[1] / found.law.exponents[1] - 1) > 1e-3


def test_a_fit_through_every_run_has_no_outliers():
    sizes, losses = scattered(ONE, 3, 0.05)
    assert outliers(fit_loss_law(sizes, losses, starts=150)) == []


SIZES = {"N": [1e6, 1e7, 1e8, 1e6, 1e7, 1e8], "D": [1e8, 1e8, 1e8, 1e9, 1e10, 1e9]}
LOSSES = [4.0, 3.5, 3.3, 3.6, 2.9, 2.8]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"losses": LOSSES[:4], "sizes": {k: v[:4] for k, v in SIZES.items()}}, r"5 constants \(E, A, .*, got 4"),
        ({"sizes": SIZES | {"D": [1e8, 1e9, 1e8, 1e9, 1e8, 1e9]}}, "D: a power law needs 3 different sizes, got 2"),
        ({"sizes": SIZES | {"N": [1e6, 1e7, 0.0, 1, 1, 1]}}, "N: sizes are finite and above 0, got 0"),
        ({"sizes": SIZES | {"N": [1e6, 1e7, -1e8, 1, 1, 1]}}, "N: .* got -1e"),
        ({"losses": [4.0, 3.5, 0.0, 3.6, 2.9, 2.8]}, "losses: finite and above 0, in nats per token, got 0"),
        ({"losses": LOSSES[:5]}, "one size per loss"),
        ({"delta": 0.0}, "delta: above 0"),
        ({"starts": 0}, "starts: at least 1"),
        ({"bootstrap": -1}, "bootstrap: not negative"),
        ({"resample": "blocks", "bootstrap": 3}, "resample: runs or residuals, got 'blocks'"),
        ({"sizes": {}}, "terms: one to 3 different sizes"),
    ],
)
def test_bad_input_is_named(change, match):
    arguments = {"sizes": SIZES, "losses": LOSSES, "starts": 2} | change
    with pytest.raises(ValueError, match=match):
        fit_loss_law(arguments.pop("sizes"), arguments.pop("losses"), **arguments)


def test_a_covariance_needs_a_bootstrap():
    sizes, losses = scattered(ONE, 20, 0.01)
    found = fit_loss_law(sizes, losses, starts=5)
    assert constant_intervals(found) == {"E": None, "A": None, "alpha": None}
    with pytest.raises(ValueError, match="bootstrap=1000"):
        covariance(found)
