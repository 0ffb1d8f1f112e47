"""Predictions against simulations of the rules, over 60 settings and more, and the parts of the formula alone."""

from __future__ import annotations

from itertools import product
from math import comb
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recallscope.bounds.capacity import RULES, Memory, additive_pairs_scale, predicted_accuracy, simulated_accuracy
from recallscope.bounds.capacity.codes import gamma_nodes, product_cdf, product_nodes, unit_vectors
from recallscope.bounds.capacity.linear import walk_moments
from recallscope.bounds.capacity.readout import multiples
from scipy.stats import kstest

SIZES = list(product((16, 32), (16, 32), (32, 64, 128)))
LOADS = (0.2, 0.4, 0.7, 1.0, 1.5)


def test_products_of_unit_vectors_in_two_and_three_dimensions():
    x = np.linspace(-1, 1, 41)
    np.testing.assert_allclose(product_cdf(x, 2), 1 - np.arccos(x) / np.pi, atol=1e-12)
    np.testing.assert_allclose(product_cdf(x, 3), (1 + x) / 2, atol=1e-14)
    np.testing.assert_array_equal(product_cdf(np.array([-2.0, 2.0]), 5), [0, 1])


@pytest.mark.parametrize("width", [5, 16, 333])
def test_products_of_unit_vectors_against_fifty_digits(width: int):
    with mpmath.workdps(50):
        power = mpmath.mpf(width - 3) / 2
        whole = mpmath.beta(mpmath.mpf(1) / 2, mpmath.mpf(width - 1) / 2)
        for x in (-0.5, 0.01, 0.3, 0.9):
            part = x * mpmath.hyp2f1(mpmath.mpf(1) / 2, -power, mpmath.mpf(3) / 2, mpmath.mpf(x) ** 2)
            assert float(product_cdf(np.array(x), width)) == pytest.approx(float(0.5 + part / whole), abs=1e-13)


def test_unit_vectors_are_unit_and_uniform():
    vectors = unit_vectors(np.random.default_rng(1), 4000, 6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert kstest(vectors[:, 2], lambda x: product_cdf(x, 6)).pvalue > 1e-3


def test_nodes_have_the_moments_of_their_laws():
    for width in (8, 16, 1000):
        b, weight = product_nodes(width, 20)
        assert weight @ b**2 == pytest.approx(1 / width, rel=1e-6)
        assert weight @ b**4 == pytest.approx(3 / (width * (width + 2)), rel=1e-5)
    for variance in (0.01, 0.2, 0.5):
        x, weight = gamma_nodes(np.array(variance), 8)
        assert weight @ x == pytest.approx(1, rel=1e-4)
        assert weight @ (x - 1) ** 2 == pytest.approx(variance, rel=1e-3)


@pytest.mark.parametrize(("others", "vocabulary"), [(1, 2), (7, 3), (40, 64), (500, 100), (900, 16)])
def test_multiples_against_exact_binomials(others: int, vocabulary: int):
    found = multiples(others, vocabulary)
    for p, k in found[:2]:
        exact = comb(others, int(k)) * (vocabulary - 1) ** (others - int(k)) / vocabulary**others
        assert p == pytest.approx(exact, rel=1e-10)
    assert sum(p for p, _ in found) == pytest.approx(1, abs=1e-9)
    assert sum(p * k for p, k in found) == pytest.approx(others / vocabulary, rel=1e-9)


@pytest.mark.parametrize("width", [4, 16])
def test_moments_of_the_delta_rule_against_walks(width: int):
    random, walks = np.random.default_rng(4), 40_000
    query = np.zeros((walks, width))
    query[:, 0] = 1  # the key asked for, without loss of generality
    for age in range(1, 9):
        key = unit_vectors(random, walks, width)
        query = query - key * (key * query).sum(1, keepdims=True)
        h, p = query[:, 0], (query**2).sum(1)
        mean, spread, shared = walk_moments(width, np.array(float(age)))
        assert abs(h.mean() - mean) < 5 * h.std() / walks**0.5
        assert abs(p.mean() - mean) < 5 * p.std() / walks**0.5
        assert h.var() == pytest.approx(spread, rel=0.05)
        assert np.cov(h, p)[0, 1] == pytest.approx(shared, rel=0.05)


def test_exact_cases():
    for rule in RULES:
        assert predicted_accuracy(Memory(rule, 16, 16, 64), 1) == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(predicted_accuracy(Memory("least squares", 16, 16, 64), np.arange(1, 17)), 1)
    # two pairs in a window of one: the last is right, the other has an unrelated value, right once in V
    assert predicted_accuracy(Memory("window", vocabulary=10, places=1), 2) == pytest.approx(0.5 + 0.5 / 10)
    assert predicted_accuracy(Memory("softmax cache", 16, 16, 64), 1000) == 1


@pytest.mark.parametrize("rule", ["additive", "least squares", "window"])
@pytest.mark.parametrize("load", LOADS)
def test_within_three_hundredths_of_simulation(rule: str, load: float):
    """12 sizes at each of 5 loads."""
    for key_width, value_width, vocabulary in SIZES:
        memory = Memory(rule, key_width, value_width, vocabulary, places=key_width)
        more = key_width if rule == "least squares" else 1
        pairs = more + max(round(float(additive_pairs_scale(key_width, value_width, vocabulary)) * load), 1)
        simulated = simulated_accuracy(memory, pairs, trials=200, seed=11)
        difference = float(predicted_accuracy(memory, pairs)) - simulated.accuracy
        assert abs(difference) < 0.03, (memory, pairs, difference, simulated.standard_error)


@pytest.mark.parametrize("memory", [
    Memory("decayed", 16, 32, 64, decay=0.95), Memory("decayed", 32, 16, 256, decay=0.99), Memory("delta", 16, 32, 64),
    Memory("delta", 32, 16, 256), Memory("slots", 16, 16, 64, places=24),
    Memory("n-gram table", vocabulary=8, places=9), Memory("softmax cache", 8, 16, 64, bits=2),
    Memory("softmax cache", 8, 16, 64, bits=1),
], ids=str)  # fmt: skip
def test_the_other_rules_within_three_hundredths_too(memory: Memory):
    for pairs in (6, 20, 45, 100):
        simulated = simulated_accuracy(memory, pairs, trials=200, seed=12)
        assert abs(float(predicted_accuracy(memory, pairs)) - simulated.accuracy) < 0.03, pairs


def test_about_half_is_recalled_at_the_scale():
    for sizes in ((64, 64, 256), (64, 64, 4096), (128, 64, 1024)):
        pairs = round(float(additive_pairs_scale(*sizes)))
        assert 0.45 < float(predicted_accuracy(Memory("additive", *sizes), pairs)) < 0.65


MEMORIES = st.builds(
    Memory, st.sampled_from(RULES), st.integers(2, 80), st.integers(2, 80), st.integers(2, 3000),
    places=st.integers(1, 50), bits=st.integers(1, 20),
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(MEMORIES, st.integers(1, 2000))
def test_accuracy_is_a_probability(memory: Memory, pairs: int):
    assert 0 <= float(predicted_accuracy(memory, pairs)) <= 1 + 1e-9


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(RULES), st.integers(16, 64), st.integers(16, 64), st.integers(64, 3000))
def test_more_pairs_are_recalled_worse(rule: str, key: int, value: int, vocabulary: int):
    curve = predicted_accuracy(Memory(rule, key, value, vocabulary, bits=2), [8, 30, 100, 300])
    assert (np.diff(curve) <= 1e-6).all()


@pytest.mark.parametrize("pairs", [0, -3, 2.5, [4, 0]])
def test_bad_input(pairs: Any):
    with pytest.raises(ValueError, match=r"pairs: a whole number, at least 1, got (0|-3|2\.5)"):
        predicted_accuracy(Memory("additive"), pairs)
