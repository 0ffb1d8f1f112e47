"""The step law: values to three digits, its band against rows drawn from its covariance, and its range."""

from __future__ import annotations

import numpy as np
import pytest
from recallscope.evidence import read_evidence
from recallscope.scaling import rates, step_law

# rate and batch by the printed law, with a pocket calculator
VALUES = {(7e9, 1.4e12): (9.17e-4, 5.00e6), (1e9, 1e11): (1.632e-3, 1.108e6)}
MEAN = np.array([0.586, -0.7129, 0.3075, -0.5435, 0.5709])
ERRORS = np.array([0.623, 0.0298, 0.0191, 0.437, 0.0187])  # of 1,000 bootstrap fits, as stated to three digits


@pytest.mark.parametrize(("sizes", "values"), VALUES.items())
def test_values_to_three_digits(sizes, values):
    found = step_law(*sizes)
    assert (found.learning_rate, found.batch_tokens) == pytest.approx(values, rel=6e-4)


def _stored() -> tuple[np.ndarray, np.ndarray]:
    rows = read_evidence(rates.Path(rates.__file__).parent / "step_law_bootstrap.jsonl").to_pylist()
    mean, spread, place = np.zeros(5), np.zeros((5, 5)), 0
    for quantity, names in rates.COEFFICIENTS.items():
        own = {row["metric"]: row["value"] for row in rows if row["row"] == quantity}
        for i, one in enumerate(names):
            mean[place + i] = own[f"mean of {one}"]
            for j, two in enumerate(names[i:], i):
                spread[place + i, place + j] = spread[place + j, place + i] = own[f"covariance of {one} and {two}"]
        place += len(names)
    return mean, spread


def test_stored_means_and_errors_are_the_stated_ones():
    mean, spread = _stored()
    np.testing.assert_allclose(mean, MEAN, atol=6e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(spread)), ERRORS, rtol=3e-3)
    assert np.linalg.eigvalsh(spread).min() > 0


@pytest.mark.parametrize("sizes", [(1e9, 1e11), (3e8, 1e10), (7e9, 1.4e12)])
def test_the_band_is_that_of_rows_drawn_from_the_covariance(sizes):
    rows = np.random.default_rng(0).multivariate_normal(*_stored(), size=40_000)
    closed, drawn = step_law(*sizes), step_law(*sizes, rows=rows)
    for one, two in (
        (closed.learning_rate_interval, drawn.learning_rate_interval),
        (closed.batch_tokens_interval, drawn.batch_tokens_interval),
    ):
        assert one == pytest.approx(two, rel=4e-3)
    assert closed.learning_rate_interval[0] < closed.learning_rate < closed.learning_rate_interval[1]
    assert closed.batch_tokens_interval[0] < closed.batch_tokens < closed.batch_tokens_interval[1]


def test_independent_errors_would_give_a_band_many_times_too_wide():
    low, high = step_law(1e9, 1e11).batch_tokens_interval
    alone = np.exp(2 * 1.96 * np.hypot(ERRORS[3], ERRORS[4] * np.log(1e11)))
    assert high / low < alone / 5


def test_the_range_of_the_fit_is_checked():
    assert step_law(5e8, 2e10).outside == ()
    assert step_law(7e9, 2e10).outside == ("parameters: fitted from 2.15e+08 to 1.07e+09, got 7e+09",)
    assert [line.split(":")[0] for line in step_law(1e6, 1e7).outside] == ["parameters", "tokens"]
    narrow = step_law(5e8, 2e10).learning_rate_interval
    wide = step_law(7e10, 2e13).learning_rate_interval
    assert wide[1] / wide[0] > 1.3 * narrow[1] / narrow[0]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: step_law(0, 1e9), "parameters: finite and above 0"),
        (lambda: step_law(1e9, -1), "tokens: finite and above 0, got -1"),
        (lambda: step_law(1e9, 1e9, level=0), "level: between 0 and 1"),
        (lambda: step_law(1e9, 1e9, rows=np.ones((5, 3))), r"rows: .* got shape \(5, 3\)"),
        (lambda: step_law(1e9, 1e9, rows=np.full((5, 5), np.nan)), "rows: finite"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
