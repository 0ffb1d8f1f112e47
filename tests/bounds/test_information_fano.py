"""Bits and pairs by Fano's inequality: against 50 digits, against the accuracy limit, and against real memories."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.bounds.information import accuracy_limit, pairs_limit, state_limit


def test_known_values():
    assert state_limit(256, 8192) == 256 * 13
    assert state_limit(8, 2, 0.11) == pytest.approx(8 * (1 - 0.499915958164528), abs=1e-12)  # h(0.11), tabulated
    assert pairs_limit(3328, 8192) == 256
    assert state_limit(5, 4, 0.75) == 0 and pairs_limit(0, 4, 0.75) == pairs_limit(9, 4, 0.75) == math.inf
    assert pairs_limit(math.inf, 4) == math.inf


def bits_per_pair(vocabulary: int, error: float) -> Any:
    m, wrong = mpmath.mpf(vocabulary), mpmath.mpf(error)
    surprise = sum(-p * mpmath.log(p, 2) for p in (wrong, 1 - wrong) if p > 0)
    return mpmath.log(m, 2) - surprise - wrong * mpmath.log(m - 1, 2)


@pytest.mark.parametrize("vocabulary", [2, 3, 256, 4096, 10**6])
def test_fifty_digits(vocabulary):
    """Both to 1e-12: the bits relative to those without errors, the pairs relative to themselves."""
    chance = 1 - 1 / vocabulary
    errors = np.array([0, 1e-300, 1e-16, 1e-8, 1e-3, 0.01, 0.1, 0.3, *(chance * np.array([0.5, 0.7, 0.9]))])
    errors = errors[errors <= 0.9 * chance]
    state, pairs = state_limit([[1], [64], [10**6]], vocabulary, errors), pairs_limit(4e6, vocabulary, errors)
    assert state.shape == (3, len(errors))
    with mpmath.workdps(50):
        rates = [bits_per_pair(vocabulary, error) for error in errors]
        for count, row in zip((1, 64, 10**6), state, strict=True):
            worst = max(abs(got - count * rate) for got, rate in zip(row, rates, strict=True))
            assert worst <= 1e-12 * count * math.log2(vocabulary)
        assert max(abs(got * rate / mpmath.mpf(4e6) - 1) for got, rate in zip(pairs, rates, strict=True)) < 1e-12
        near = np.array([chance * (1 - 1e-6), math.nextafter(chance, 0), chance])
        found = state_limit(1, vocabulary, near)
        assert max(abs(g - bits_per_pair(vocabulary, e)) for g, e in zip(found, near, strict=True)) < 1e-13


def test_no_memory_does_with_less():
    """All memories of 2 answers of 3 in 1 and 2 bits: each one's own error asks for no more bits than it has."""
    truths = np.array(list(itertools.product(range(3), repeat=2)))
    right = np.array([(truths == guess).mean(1) for guess in truths])  # [guess, truth]
    for bits in (1, 2):
        for code in itertools.combinations(range(9), 2**bits):
            assert state_limit(2, 3, 1 - right[list(code)].max(0).mean()) <= bits


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1000), st.integers(2, 10**5), st.floats(0, 0.99))
def test_the_three_are_inverse(pairs, vocabulary, share):
    error = share * (1 - 1 / vocabulary)
    state = state_limit(pairs, vocabulary, error)
    assert pairs_limit(state, vocabulary, error) == pytest.approx(pairs, rel=1e-9)
    assert accuracy_limit(state, pairs, vocabulary) == pytest.approx(1 - error, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 10**5), st.floats(0, 0.9), st.floats(1e-6, 0.09))
def test_more_errors_need_less_state(vocabulary, share, more):
    chance = 1 - 1 / vocabulary
    fewer, many = state_limit(7, vocabulary, [chance * share, chance * (share + more)])
    assert fewer > many >= 0
    assert state_limit(7, vocabulary + 1, chance * share) >= fewer


@pytest.mark.parametrize(
    ("function", "arguments", "match"),
    [
        (state_limit, (0, 8), "pairs: at least 1, got 0"),
        (state_limit, ([3, math.nan], 8), "pairs: at least 1, got nan"),
        (state_limit, (math.inf, 8), "pairs: finite, got inf"),
        (state_limit, (1, 1), "vocabulary: at least 2, got 1"),
        (state_limit, (1, 8, 0.876), "error: 0 to 0.875, that of a guess among 8 values, got 0.876"),
        (state_limit, (1, [8, 2], [0.8, 0.6]), "error: 0 to 0.5, that of a guess among 2 values, got 0.6"),
        (state_limit, (1, 8, -0.1), "error: 0 to 0.875, .* got -0.1"),
        (state_limit, (1, 8, math.nan), "error: 0 to 0.875, .* got nan"),
        (pairs_limit, (-1, 8), "state_bits: at least 0, got -1"),
        (pairs_limit, (1, 0), "vocabulary: at least 2, got 0"),
        (pairs_limit, (1, 2, 0.51), "error: 0 to 0.5, .* got 0.51"),
    ],
)
def test_bad_input(function, arguments, match):
    with pytest.raises(ValueError, match=match):
        function(*arguments)
