"""Rounding carried through: against random numbers that round to the printed ones, and against fractions."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recallscope.audit.gaps import gap_share
from recallscope.audit.intervals import Cell, apart, deviation, difference, mean, through
from recallscope.audit.perplexities import consensus, token_share

PRINTED = (11.01, 2.16, 12.45)  # attention at 125M: all, AR, other


def rounded(value: float, decimals: int = 2) -> Cell:
    half = 0.5 * 10**-decimals
    return Cell(value, value - half, value + half)


def sampled(function: Callable[..., float], cells: list[Cell], count: int = 4000) -> list[float]:
    draw = random.Random(7)
    return [function(*(draw.uniform(one.low, one.high) for one in cells)) for _ in range(count)]


def test_token_share_by_bisection():
    share = token_share(*map(rounded, PRINTED))
    low, high = 0.0, 1.0
    for _ in range(60):  # the w whose mixture of losses is the loss of all
        w = (low + high) / 2
        mixed = w * math.log(PRINTED[1]) + (1 - w) * math.log(PRINTED[2])
        low, high = (w, high) if mixed > math.log(PRINTED[0]) else (low, w)
    assert share and share.value == pytest.approx(100 * low, rel=1e-9)


@pytest.mark.parametrize("cells", [PRINTED, (13.13, 13.27, 13.12), (9.08, 8.53, 11.62)])
def test_token_share_holds_every_rounding_and_no_more(cells: tuple[float, ...]):
    printed = list(map(rounded, cells))
    share = token_share(*printed)
    assert share
    found = sampled(lambda a, r, o: 100 * math.log(a / o) / math.log(r / o), printed)
    assert share.low <= min(found) and max(found) <= share.high
    assert max(found) - min(found) > 0.7 * (share.high - share.low)


def test_gap_share_holds_every_rounding_and_no_more():
    model, reference, share = (rounded(12.06), rounded(6.75)), (rounded(11.01), rounded(2.16)), Cell(7.02, 6.96, 7.07)
    found = gap_share(model, reference, share)
    assert found
    cells = [*model, *reference, share]
    drawn = sampled(lambda a, r, a0, r0, w: w * math.log(r / r0) / math.log(a / a0), cells)
    assert found.low <= min(drawn) and max(drawn) <= found.high
    assert max(drawn) - min(drawn) > 0.6 * (found.high - found.low)


def test_a_quotient_without_a_certain_sign_is_none():
    assert through(lambda a, b: (a, b), Cell(1, 0.9, 1.1), Cell(0.001, -0.004, 0.006)) is None
    assert gap_share((rounded(6.28), rounded(1.74)), (rounded(6.28), rounded(1.65)), Cell(5.7, 5.6, 5.8)) is None


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0, 2), st.floats(-1, 1)), min_size=1, max_size=6))
def test_means_and_deviations_hold_what_they_come_from(drawn: list[tuple[float, float, float]]):
    cells = [Cell(value, value - half, value + half) for value, half, _ in drawn]
    actual = [value + half * part for value, half, part in drawn]
    for found, of in ((mean(cells), statistics.fmean(actual)), (deviation(cells), statistics.pstdev(actual))):
        assert found.low - 1e-6 <= of <= found.high + 1e-6
    assert deviation(cells).value == pytest.approx(statistics.pstdev([value for value, _, _ in drawn]), abs=1e-6)


def test_apart_and_difference():
    assert apart(rounded(2.01), rounded(2.02)) == 0  # they meet at 2.015
    assert apart(rounded(2.01), rounded(2.03)) == pytest.approx(-0.01)
    assert apart(rounded(2.03), rounded(2.01)) == pytest.approx(0.01)
    assert apart(rounded(0.5), Cell(0, -math.inf, 0)) == pytest.approx(0.495)  # a bound on one side only
    assert difference(rounded(2.01), rounded(1.0, 1)) == pytest.approx((1.01, 0.955, 1.065))


def test_consensus_is_what_most_contain():
    cells = [Cell(7, 6.9, 7.1), Cell(7.05, 6.95, 7.15), Cell(6.3, 6.2, 6.4), Cell(10, 9, 11)]
    assert consensus(cells) == (pytest.approx((7.025, 6.95, 7.1)), 2)
    tie = [Cell(1, 0.9, 1.1), Cell(1, 0.9, 1.1), Cell(3, 2.9, 3.1), Cell(3, 2.9, 3.1), Cell(9, 8, 10)]
    assert consensus(tie)[0] == (3, 2.9, 3.1)  # nearest to the median
    assert consensus([])[1] == 0


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=9))
def test_consensus_by_trying_every_point(drawn: list[tuple[int, int]]):
    cells = [Cell(low + width / 2, low, low + width) for low, width in drawn]
    points = {k / 2: sum(one.low <= k / 2 <= one.high for one in cells) for k in range(40)}
    found, most = consensus(cells)
    assert most == max(points.values())
    inside = [point for point, count in points.items() if found.low <= point <= found.high]
    assert inside and all(points[point] == most for point in inside)
    assert max(points.get(end, 0) for end in (found.low - 0.5, found.high + 0.5)) < most  # and no more than these
