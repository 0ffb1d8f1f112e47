"""Random tables: exactly the distributions that they promise, on both of the ways in which they are drawn."""

from __future__ import annotations

from itertools import permutations
from math import prod

import numpy as np
import pytest
import torch
from enumeration import fits
from recallscope.tasks._source import Source, narrow
from scipy.stats import chisquare, kstest

MANY = 100_000


@pytest.mark.parametrize("high", [1, 2, 3, 7, 64, 1000, 8192, 40_000, 100_003])
def test_integers_are_uniform(high: int):
    values, bins = np.arange(high), min(high, 500)
    for draw in (Source(high).integers, Source(high).tokens):
        drawn = draw(MANY, 4, high).numpy().astype(np.int64)
        assert drawn.shape == (MANY, 4) and 0 <= drawn.min() and drawn.max() < high
        for column, cells in ((1, values * bins // high), (3, values % bins)):  # neighbours, and remainders
            if high > 1:
                expected = np.bincount(cells) * MANY / high
                assert chisquare(np.bincount(cells[drawn[:, column]], minlength=bins), expected).pvalue > 1e-4


def test_integers_of_a_power_of_two_are_exact():
    """One word of random bits is cut; whatever the word, every value has as many preimages."""
    words = np.random.Generator(np.random.SFC64(np.random.SeedSequence(5))).bit_generator.random_raw(2)
    assert Source(5).tokens(1, 8, 8192).tolist() == [(words.view(np.uint16) % 8192).tolist()]


def test_uniform_is_never_zero_and_fits():
    drawn = Source(1).uniform(MANY, 10)
    assert 0 < drawn.min() and drawn.max() <= 1 and drawn.dtype == torch.float32
    assert kstest(drawn.flatten().double().numpy(), "uniform").pvalue > 1e-4
    assert torch.isfinite(drawn.log()).all()


def test_normal_fits():
    assert kstest(Source(2).normal(MANY, 3).flatten().double().numpy(), "norm").pvalue > 1e-4


@pytest.mark.parametrize("taken", [None, 2])
def test_permutations_are_uniform(taken: int | None):
    drawn = Source(3).permutations(MANY, 4, taken)
    orders = list(permutations(range(4), taken or 4))
    assert fits(map(tuple, drawn.tolist()), dict.fromkeys(orders, 1 / len(orders))) > 1e-4


@pytest.mark.parametrize(
    ("count", "high", "first"), [(3, 4, 0), (2, 17, 0), (2, 26, 1), (1, 16, 1), (2, 4, 1), (1, 9, 0)]
)
def test_distinct_sequences_are_uniform(count: int, high: int, first: int):
    """Ranked where much of the range is taken, drawn and repaired where little is."""
    drawn = Source(4).distinct_tokens(MANY, count, high, first)
    orders = list(permutations(range(first, high), count))
    assert fits(map(tuple, drawn.tolist()), dict.fromkeys(orders, 1 / len(orders))) > 1e-4


def test_repeats_are_repaired_in_long_rows():
    drawn = Source(5).distinct(3000, 500, 4000).sort(1).values
    assert (drawn[:, 1:] > drawn[:, :-1]).all() and 0 <= drawn.min() and drawn.max() < 4000
    counts = np.bincount(drawn.flatten().numpy(), minlength=4000)
    assert abs(counts.mean() - 375) < 1e-9 and counts.std() == pytest.approx((375 * 0.875) ** 0.5, rel=0.1)


@pytest.mark.parametrize("high", [4000, 40_000])
def test_order_is_random_in_either_dtype(high: int):
    drawn = Source(8).distinct_tokens(20_000, 8, high)
    assert drawn.dtype == (torch.int16 if high == 4000 else torch.int32)
    first = drawn.argmin(1).numpy()
    assert chisquare(np.bincount(first, minlength=8)).pvalue > 1e-4


def test_successive_draws_follow_renewed_weights():
    weights = torch.tensor([0.5, 0.3, 0.1, 0.06, 0.04], dtype=torch.float64)
    p = weights.tolist()
    orders = {
        order: prod(p[g] / (1 - sum(p[h] for h in order[:i])) for i, g in enumerate(order))
        for order in permutations(range(5), 2)
    }
    assert fits(map(tuple, Source(6).successive(MANY, 2, weights).tolist()), orders) > 1e-4


def test_a_stream_goes_on():
    source, same = Source((1, 2)), Source((1, 2))
    first, second = source.integers(5, 5, 100), source.integers(5, 5, 100)
    assert torch.equal(first, same.integers(5, 5, 100)) and not torch.equal(first, second)
    assert not torch.equal(first, Source((2, 1)).integers(5, 5, 100))


def test_narrow_dtypes_hold_their_ids():
    assert [narrow(v) for v in (2, 2**15, 2**15 + 1)] == [torch.int16, torch.int16, torch.int32]
    assert int(Source(0).tokens(1000, 50, 2**15).max()) > 32_000


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(ValueError, match="count: at most 3 distinct values, got 4"):
        Source(0).distinct_tokens(2, 4, 4, first=1)
    with pytest.raises(ValueError, match="count: at most 2 indices without replacement, got 3"):
        Source(0).successive(2, 3, torch.ones(2))
