"""Counting bounds: exact integers, and all memories of tiny tasks."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import reduce

import mpmath
import numpy as np
import pytest
from recallscope.bounds.information import (
    accuracy_limit,
    all_right_limit,
    answer_bits,
    answer_sequences,
    copy_error_limit,
    copy_length_limit,
    copy_state_limit,
)
from recallscope.tasks.mqar import MQAR


def test_known_values():
    assert [answer_sequences(d, 4) for d in (1, 2, 3, 4)] == [4, 12, 24, 24]
    assert answer_bits(1, 4096) == 12 and answer_bits(2, 2) == 1
    assert all_right_limit([0, 1, 2, 9], 2, 3).tolist() == pytest.approx([1 / 6, 2 / 6, 4 / 6, 1], rel=1e-15)
    assert copy_error_limit([0, 3, 6, 7], 2, 8).tolist() == pytest.approx([63 / 64, 7 / 8, 0, 0], abs=1e-15)
    assert copy_state_limit(100, 8) == 300 and copy_state_limit(1, 2, 0.75) == 0
    assert copy_length_limit(300, 8) == 100 and copy_length_limit(10, 2, 0.5) == 11


@pytest.mark.parametrize(("pairs", "values"), [(4, 4096), (256, 4096), (4096, 4096), (3000, 16_384), (1, 1)])
def test_sequences_are_a_product_of_integers(pairs, values):
    exact = reduce(lambda product, i: product * (values - i), range(pairs), 1)
    assert answer_sequences(pairs, values) == exact
    with mpmath.workdps(50):
        assert abs(answer_bits(pairs, values) - mpmath.log(exact, 2)) <= 1e-15 * answer_bits(pairs, values)


def test_it_is_the_demand_of_the_generator():
    for task in (MQAR(), MQAR(length=1024, pairs=256), MQAR(vocabulary=8, length=12, pairs=3)):
        assert answer_bits(task.pairs, task.vocabulary // 2) == pytest.approx(task.demand_bits(), rel=1e-14)


@pytest.mark.parametrize(("pairs", "values"), [(2, 3), (1, 4), (2, 2)])
def test_all_memories_of_a_tiny_task(pairs, values):
    """Every map from values to states, for each state the best of all guesses: none beats the bound, one meets it."""
    truths = list(itertools.permutations(range(values), pairs))
    guesses = list(itertools.product(range(values), repeat=pairs))
    for bits in (0, 1, 2):
        found = 0
        for memory in itertools.product(range(2**bits), repeat=len(truths)):
            kept = [[t for t, state in zip(truths, memory, strict=True) if state == one] for one in range(2**bits)]
            found = max(found, sum(max(map(one.count, guesses)) for one in kept))
        assert float(all_right_limit(bits, pairs, values)) == pytest.approx(found / len(truths), abs=1e-15)


def test_all_memories_of_a_tiny_string():
    strings = list(itertools.product(range(2), repeat=3))
    for states in (1, 2, 3):
        best = max(
            sum(any(written == string for written in code) for string in strings)
            for code in itertools.product(strings, repeat=states)
        )
        assert copy_error_limit(math.log2(states), 3, 2) == pytest.approx(1 - best / 8, abs=1e-15)


@pytest.mark.parametrize(("pairs", "values"), [(4, 4096), (256, 4096), (64, 64)])
def test_probabilities_against_exact_fractions(pairs, values):
    bits = [0, 1, 40, *(int(answer_bits(pairs, values)) - k for k in (2, 1, 0, -1))]
    exact = [min(Fraction(2**b, math.perm(values, pairs)), 1) for b in bits]
    np.testing.assert_allclose(all_right_limit(bits, pairs, values), [float(e) for e in exact], rtol=1e-12)


@pytest.mark.parametrize(("length", "vocabulary"), [(1, 2), (20, 50_257), (4096, 8192), (300_000, 7)])
def test_copying_against_fifty_digits(length, vocabulary):
    full = length * math.log2(vocabulary)
    state = [0, full / 2, max(full - 20, 0), full - 1, math.nextafter(full, 0), full, full + 1]
    with mpmath.workdps(60):
        need = length * mpmath.log(vocabulary, 2)
        exact = [float(max(0, 1 - mpmath.mpf(2) ** (min(s, need) - need))) for s in map(mpmath.mpf, state)]
        np.testing.assert_allclose(copy_error_limit(state, length, vocabulary), exact, rtol=1e-12, atol=1e-25)
        for error in (0.0, 0.1, 0.99):
            wanted = max(need + mpmath.log(1 - mpmath.mpf(error), 2), 0)
            assert copy_state_limit(length, vocabulary, error) == pytest.approx(float(wanted), rel=1e-14, abs=1e-14)
            longest = (mpmath.mpf(full) - mpmath.log(1 - mpmath.mpf(error), 2)) / mpmath.log(vocabulary, 2)
            assert copy_length_limit(full, vocabulary, error) == pytest.approx(float(longest), rel=1e-14)


def test_all_right_is_rarer_than_one_right():
    state = np.linspace(0, 60, 31)
    single = accuracy_limit(state, 4, 4096, answer_bits(4, 4096))
    assert (all_right_limit(state, 4, 4096) <= single).all()


def test_a_copy_of_the_longest_length_fails_no_more_often():
    for error in (0.01, 0.5, 0.9):
        longest = float(copy_length_limit(1000, 50_257, error))
        assert copy_error_limit(1000, math.floor(longest), 50_257) <= error
        assert copy_error_limit(1000, math.floor(longest) + 1, 50_257) > error


@pytest.mark.parametrize(
    ("function", "arguments", "match"),
    [
        (answer_sequences, (5, 4), "pairs: a whole number from 1 to 4, got 5"),
        (answer_sequences, (0, 4), "pairs: a whole number from 1 to 4, got 0"),
        (answer_bits, (2, 4.0), r"values: a whole number, at least 1, got 4\.0"),
        (answer_bits, (2, 0), "values: a whole number, at least 1, got 0"),
        (all_right_limit, ([1, -2], 2, 4), "state_bits: at least 0, got -2"),
        (copy_error_limit, (math.nan, 2, 4), "state_bits: at least 0, got nan"),
        (copy_error_limit, (1, 0, 4), "length: a whole number, at least 1, got 0"),
        (copy_error_limit, (1, 2, 1), "vocabulary: a whole number, at least 2, got 1"),
        (copy_state_limit, (0, 4), "length: at least 1, got 0"),
        (copy_state_limit, (2, 1), "vocabulary: at least 2, got 1"),
        (copy_state_limit, (2, 4, 1.0), "error: from 0 to below 1, got 1"),
        (copy_length_limit, (2, 4, -0.1), "error: from 0 to below 1, got -0.1"),
        (copy_length_limit, (-2, 4), "state_bits: at least 0, got -2"),
    ],
)
def test_bad_input(function, arguments, match):
    with pytest.raises(ValueError, match=match):
        function(*arguments)
