"""The efficient exponent: the interval in print, its sensitivity, sizes from an anchor."""

from __future__ import annotations

import numpy as np
import pytest
from recallscope.scaling import efficient_exponent, efficient_size, growth_of_corpus

# γ = 1 - 2β and 1 - β to three decimals, subtracted by hand
ENDS = {0.28: (0.440, 0.720), 0.28491: (0.430, 0.715), 0.3658: (0.268, 0.634), 0.331: (0.338, 0.669),
        0.415: (0.170, 0.585), 0.095: (0.810, 0.905)}  # fmt: skip


@pytest.mark.parametrize(("beta", "ends"), ENDS.items())
def test_both_ends_at_published_exponents(beta, ends):
    found = efficient_exponent(beta)
    assert (round(found.low, 3), round(found.high, 3)) == pytest.approx(ends, abs=1e-9)


def test_doubling_takes_the_fold_of_the_abstracts():
    """ "3 to 5 times" in the first version, "more than four fold" in the third."""
    least, most = growth_of_corpus(2, 0.28)
    assert (round(least, 2), round(most, 2)) == (2.62, 4.83)
    assert growth_of_corpus(0.5, 0.28) == pytest.approx((1 / most, 1 / least))


def test_intervals_are_those_of_beta_turned_round():
    drawn = np.linspace(0.3, 0.4, 101)
    found = efficient_exponent(0.35, drawn, level=0.9)
    assert found.low_interval == pytest.approx((1 - 2 * 0.395, 1 - 2 * 0.305))
    assert found.high_interval == pytest.approx((1 - 0.395, 1 - 0.305))
    assert efficient_exponent(0.35).low_interval is None


def test_sizes_pass_through_the_anchor_and_grow_with_either_exponent():
    same = efficient_size(1e11, 1e11, 3e9, 0.28)
    assert (same.low, same.high) == (3e9, 3e9)
    found = efficient_size(1e13, 1e11, 3e9, 0.28)
    assert found.low == pytest.approx(3e9 * 100**0.44) and found.high == pytest.approx(3e9 * 100**0.72)
    smaller = efficient_size(1e9, 1e11, 3e9, 0.28)
    assert smaller.low == pytest.approx(3e9 * 0.01**0.72) and smaller.high == pytest.approx(3e9 * 0.01**0.44)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: efficient_exponent(0.0), "beta: between 0 and 1, got 0"),
        (lambda: efficient_exponent(1.2), "beta: between 0 and 1"),
        (lambda: efficient_size(0, 1, 1, 0.3), "tokens: finite and above 0"),
        (lambda: efficient_size(1, 1, -5, 0.3), "anchor_parameters: .* got -5"),
        (lambda: growth_of_corpus(2, 0.5), "beta: below 1/2"),
        (lambda: growth_of_corpus(0, 0.3), "factor: above 0"),
        (lambda: efficient_exponent(0.3, [0.2, 0.3], level=1.0), "level: between 0 and 1"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
