"""Intervals against fractions by hand, literal leave-one-out, root finding, and simulated coverage."""

from __future__ import annotations

import importlib.util
import math
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from recallscope.slicing.attribution._intervals import Floats
from recallscope.slicing.attribution.resampling import poisson_weights
from recallscope.slicing.attribution.statistics import (
    Interval,
    bootstrap,
    bootstrap_sums,
    delta_method,
    fieller,
    jackknife,
    mean_interval,
    significant,
    simultaneous,
)
from scipy import optimize, stats


def limits(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None and interval.high is not None
    return interval.low, interval.high


def sample(seed: int, documents: int, gap: float = 1.0) -> tuple[Floats, Floats, Floats]:
    """U, D and n of documents with unequal lengths."""
    rng = np.random.default_rng(seed)
    n = np.ceil(np.exp(rng.normal(5, 0.7, documents)))
    u = n * (0.7 * gap + 0.3 * rng.standard_normal(documents))
    return u, u + n * (0.3 * gap + 0.4 * rng.standard_normal(documents)), n


def t_of(u: Floats, d: Floats, s: float) -> float:
    """Student statistic of the mean of U - s D."""
    x = u - s * d
    return float(x.mean() / stats.sem(x))


# ---- closed forms


def test_delta_method_by_hand() -> None:
    # U = (1, 2, 6), D = (2, 3, 5): S = 9/10, r = (-8, -7, 15)/10, SE^2 = 3/2 * 338/100 / 100
    interval = delta_method([1, 2, 6], [2, 3, 5])
    half = float(stats.t.ppf(0.975, 2)) * math.sqrt(Fraction(3, 2) * Fraction(338, 10000))
    assert_allclose((interval.value, *limits(interval)), (0.9, 0.9 - half, 0.9 + half), rtol=1e-14)


def test_fieller_by_hand() -> None:
    # K = 2, level 1/2: t_1 = 1 exactly. U = (1, 3), D = (4, 6): means 2 and 5, v_UU = v_DD = v_UD = 2 / 2 = 1.
    # (25 - 1) s^2 - 2 (10 - 1) s + (4 - 1) = 0 has the roots (18 -+ sqrt(36)) / 48 = 1/4, 1/2
    interval = fieller([1, 3], [4, 6], level=0.5)
    assert_allclose((interval.value, *limits(interval)), (0.4, 0.25, 0.5), rtol=1e-14)


def test_jackknife_by_hand() -> None:
    # leave-one-out shares of U = (1, 3), D = (4, 6): 1/2 and 1/4; SE^2 = 1/2 * 2 * (1/8)^2
    interval = jackknife([1, 3], [4, 6], level=0.5)
    assert_allclose((interval.value, *limits(interval)), (0.4, 0.4 - 1 / 8, 0.4 + 1 / 8), rtol=1e-14)


def test_the_whole_gap_has_share_one_exactly() -> None:
    _, d, _ = sample(0, 30)
    assert_allclose((fieller(d, d).value, *limits(fieller(d, d))), (1, 1, 1), atol=1e-9)


def test_an_empty_slice_has_share_zero() -> None:
    _, d, _ = sample(0, 30)
    assert limits(fieller(0 * d, d)) == (0.0, 0.0)


# ---- independent routes


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_fieller_limits_are_where_the_t_test_turns(seed: int, level: float) -> None:
    u, d, _ = sample(seed, 25)
    interval = fieller(u, d, level)
    quantile = float(stats.t.ppf(0.5 + level / 2, 24))
    low = optimize.brentq(lambda s: t_of(u, d, s) - quantile, interval.value - 50, interval.value, xtol=1e-14)
    high = optimize.brentq(lambda s: t_of(u, d, s) + quantile, interval.value, interval.value + 50, xtol=1e-14)
    assert_allclose(limits(interval), np.array([low, high], dtype=float), rtol=1e-9)


@pytest.mark.parametrize("gap", [1.0, 0.2, 0.05, 0.0])
@pytest.mark.parametrize("seed", range(5))
def test_fieller_is_bounded_exactly_when_the_gap_is_significant(gap: float, seed: int) -> None:
    u, d, n = sample(seed, 20, gap)
    threshold = stats.t.ppf(0.975, 19)
    interval = fieller(u, d)
    assert interval.bounded == (abs(t_of(d, d, 0.0)) > threshold) == significant(d)
    assert (interval.low is None) == (interval.high is None) == ("not significantly different from 0" in interval.note)
    low, high = limits(fieller(d, n))
    assert (low * high > 0) == significant(d)


@pytest.mark.parametrize("seed", range(5))
def test_jackknife_is_literal_leave_one_out(seed: int) -> None:
    u, d, _ = sample(seed, 12)
    left = [sum(np.delete(u, k)) / sum(np.delete(d, k)) for k in range(12)]
    error = math.sqrt(11 / 12 * sum((x - sum(left) / 12) ** 2 for x in left))
    half = stats.t.ppf(0.975, 11) * error
    assert_allclose(limits(jackknife(u, d)), (u.sum() / d.sum() - half, u.sum() / d.sum() + half), rtol=1e-10)


def test_equal_lengths_give_the_textbook_mean_interval() -> None:
    x = np.random.default_rng(1).standard_normal(15)
    low, high = stats.ttest_1samp(x, 0.0).confidence_interval(0.95)
    n = np.full(15, 8.0)
    for interval in (delta_method(8 * x, n), mean_interval(8 * x, n), jackknife(8 * x, n)):
        assert_allclose((interval.value, *limits(interval)), (x.mean(), low, high), rtol=1e-10)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(0.01, 100))
def test_limits_scale_with_the_units(seed: int, a: float, b: float) -> None:
    u, d, _ = sample(seed, 10)
    for method in (fieller, jackknife, delta_method):
        one, other = method(u, d), method(a * u, b * d)
        assume(one.bounded and other.bounded)
        assert_allclose(limits(other), np.array(limits(one)) * a / b, rtol=1e-6)


def test_mean_interval_falls_back_when_lengths_swamp_fieller() -> None:
    u, n = np.array([1.0, 2.0, 900.0]), np.array([10.0, 20.0, 9000.0])
    assert not fieller(u, n).bounded
    assert mean_interval(u, n) == delta_method(u, n)


# ---- bootstrap


def test_bootstrap_agrees_with_fieller_on_many_documents() -> None:
    u, d, _ = sample(3, 400)
    expected = limits(fieller(u, d))
    width = expected[1] - expected[0]
    for scheme in ("multinomial", "poisson"):
        found = bootstrap(u, d, draws=4000, scheme=scheme, document_ids=[f"d{k}" for k in range(400)])
        # a percentile limit of 4000 draws has a standard error of about 0.04 sd = 0.01 widths
        assert_allclose(limits(found), expected, atol=0.08 * width)


def test_multinomial_weights_draw_every_time_all_documents() -> None:
    sums = bootstrap_sums(np.ones((7, 1)), draws=50)
    assert (sums == 7).all()
    same = bootstrap_sums(np.arange(7.0)[:, None], 50, seed=4)
    assert np.array_equal(same, bootstrap_sums(np.arange(7.0)[:, None], 50, seed=4))
    assert not np.array_equal(same, bootstrap_sums(np.arange(7.0)[:, None], 50, seed=5))


def test_multinomial_and_poisson_moments() -> None:
    x = np.random.default_rng(0).standard_normal((40, 1))
    spread = bootstrap_sums(x, 20_000, "multinomial").var()
    assert_allclose(spread, ((x - x.mean()) ** 2).sum(), rtol=0.05)  # var of sum w x over resamples
    spread = bootstrap_sums(x, 20_000, "poisson", [str(k) for k in range(40)]).var()
    assert_allclose(spread, (x**2).sum(), rtol=0.05)


def test_poisson_weights_follow_the_poisson_law() -> None:
    weights = poisson_weights(np.random.default_rng(2).integers(0, 2**63, 500).astype(np.uint64), 0, 400)
    observed = np.bincount(weights.ravel(), minlength=6)[:6]
    expected = stats.poisson.pmf(np.arange(6), 1.0) * weights.size
    rest = [weights.size - counts[:5].sum() for counts in (observed, expected)]
    test = stats.chisquare(np.append(observed[:5], rest[0]), np.append(expected[:5], rest[1]))
    assert test.pvalue > 1e-3
    correlation = np.corrcoef(weights[:, :20].T) - np.eye(20)
    assert np.abs(correlation).max() < 0.25  # 190 pairs of 400 draws: 5 standard errors


def test_poisson_sums_of_shards_add_in_any_order() -> None:
    values = np.random.default_rng(5).integers(0, 1000, (30, 3)).astype(float)  # integers: sums are exact
    ids = [f"document {k}" for k in range(30)]
    whole = bootstrap_sums(values, 100, "poisson", ids)
    order = np.random.default_rng(6).permutation(30)
    parts = [bootstrap_sums(values[p], 100, "poisson", [ids[k] for k in p]) for p in np.split(order, [3, 17])]
    assert np.array_equal(sum(parts), whole)


def test_simultaneous_bands_cover_all_slices_together() -> None:
    # 8 independent slices of mean 0: pointwise 95 % bands all hold with 0.95^8 = 66 %; joint ones must reach 95 %
    rng, joint, pointwise = np.random.default_rng(7), 0, 0
    for _ in range(200):
        sums, tokens = rng.standard_normal((60, 8)), np.full(60, 5.0)
        bands = simultaneous(sums, tokens, draws=500)
        joint += all(low <= 0 <= high for low, high in map(limits, bands))
        pointwise += all(low <= 0 <= high for low, high in (limits(delta_method(s, tokens)) for s in sums.T))
    assert joint >= 180  # 95 % less three binomial standard errors (3 * 3.1 of 200)
    assert pointwise <= 160


def test_simultaneous_is_never_narrower_than_pointwise() -> None:
    _, d, n = sample(8, 30)
    (band,) = simultaneous(d[:, None], n, draws=200)
    low, high = limits(delta_method(d, n))
    assert limits(band)[0] <= low + 1e-12 and limits(band)[1] >= high - 1e-12


def test_simultaneous_gives_an_empty_slice_no_width() -> None:
    _, d, n = sample(8, 30)
    bands = simultaneous(np.column_stack([d, 0 * d]), n, draws=200)
    assert limits(bands[1]) == (0.0, 0.0)


# ---- coverage


def load_simulation() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "coverage_simulation.py"
    spec = importlib.util.spec_from_file_location("coverage_simulation", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def test_coverage_of_fieller() -> None:
    # 600 corpora of 60 documents: three binomial standard errors are 3 sqrt(.95 .05 / 600) = 0.027
    row = load_simulation().simulate(gap=0.05, documents=60, corpora=600, seed=2, draws=0)
    assert abs(row["fieller"] - 0.95) < 0.027
    assert abs(row["gap fieller"] - 0.95) < 0.027


# ---- bad input


@pytest.mark.parametrize("method", [fieller, jackknife, delta_method, mean_interval, bootstrap])
def test_one_document_has_no_interval(method) -> None:
    with pytest.raises(ValueError, match="one document: no interval possible"):
        method(np.array([1.0]), np.array([2.0]))


@pytest.mark.parametrize("method", [fieller, jackknife, delta_method])
def test_bad_vectors_are_refused(method) -> None:
    with pytest.raises(ValueError, match=r"vectors of one length, got \(2,\) and \(3,\)"):
        method([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="must be finite"):
        method([1, math.nan], [1, 2])
    with pytest.raises(ValueError, match="denominators sum to 0"):
        method([1, 2], [1, -1])
    with pytest.raises(ValueError, match="level must lie strictly between 0 and 1, got 95"):
        method([1, 2, 3], [1, 2, 4], level=95)


def test_jackknife_without_limits_when_one_document_carries_the_gap() -> None:
    interval = jackknife([1.0, 2.0, 0.0], [3.0, 2.0, -2.0])
    assert (interval.value, interval.low, interval.high) == (1.0, None, None)
    assert "unbounded" in interval.note


def test_bad_bootstrap_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scheme must be one of \('multinomial', 'poisson'\), got 'bayes'"):
        bootstrap_sums(np.ones((3, 1)), scheme="bayes")
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        bootstrap_sums(np.ones((3, 1)), draws=0)
    with pytest.raises(ValueError, match="document_ids must name all 3 documents"):
        bootstrap_sums(np.ones((3, 1)), scheme="poisson", document_ids=["a"])
    with pytest.raises(ValueError, match=r"sums must be \[documents, columns\], got shape \(3,\)"):
        bootstrap_sums(np.ones(3))
