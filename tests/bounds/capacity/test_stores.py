"""The simulated rules against step-by-step recurrences, dictionaries and exact counts."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, product
from math import comb

import numpy as np
import pytest
from recallscope.bounds.capacity import Memory, simulated_accuracy
from recallscope.bounds.capacity.caches import cell_means, hashed_share, window_share
from recallscope.bounds.capacity.codes import unit_vectors
from recallscope.bounds.capacity.stores import kept_values, linear_readout
from scipy.integrate import quad
from scipy.stats import norm


@pytest.mark.parametrize(("pairs", "places"), [(1, 3), (4, 3), (6, 2), (3, 5), (5, 1)])
def test_the_share_that_survives_hashing_by_enumeration(pairs: int, places: int):
    kept, shared = Fraction(0), Fraction(0)
    for slots in product(range(places), repeat=pairs):
        kept += sum(slot not in slots[i + 1 :] for i, slot in enumerate(slots))
        shared += sum(Fraction(1, slots.count(slot)) for slot in slots)
    total = pairs * places**pairs
    assert hashed_share(pairs, places) == pytest.approx(float(kept / total), abs=1e-14)
    assert kept == shared, "adding up with ties recalls as much as overwriting"
    others = sum(Fraction(comb(pairs - 1, j) * (places - 1) ** (pairs - 1 - j), 1 + j) for j in range(pairs))
    assert others / places ** (pairs - 1) == kept / total


def test_the_share_in_a_window():
    assert [window_share(n, 4) for n in (1, 4, 5, 16)] == [1, 1, 0.8, 0.25]


def test_cells_are_read_as_their_means():
    edges = norm.ppf(np.arange(9) / 8)
    means = [8 * quad(lambda x: x * norm.pdf(x), low, high)[0] for low, high in pairwise(edges)]
    np.testing.assert_allclose(cell_means(3), means, atol=1e-9)
    np.testing.assert_allclose(cell_means(1), [-((2 / np.pi) ** 0.5), (2 / np.pi) ** 0.5], atol=1e-15)


def recurrence(memory: Memory, keys: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """One trial's state, one pair after another, in float64."""
    state = np.zeros((keys.shape[1], stored.shape[1]))
    for key, code in zip(keys.astype(float), stored.astype(float), strict=True):
        if memory.rule == "delta":
            state -= np.outer(key, state.T @ key)
        state = memory.decay * state + np.outer(key, code)
    return state


@pytest.mark.parametrize("memory", [Memory("additive"), Memory("decayed", decay=0.9), Memory("delta")], ids=str)
def test_linear_rules_against_their_recurrence(memory: Memory):
    random = np.random.default_rng(5)
    keys, stored = unit_vectors(random, 3, 40, 12), unit_vectors(random, 3, 40, 7)
    got = linear_readout(memory, keys, stored, keys[:, ::5])
    for one in range(3):
        want = keys[one, ::5] @ recurrence(memory, keys[one], stored[one])
        np.testing.assert_allclose(got[one], want, atol=1e-5)


@pytest.mark.parametrize("pairs", [5, 12, 30])
def test_least_squares_against_lapack(pairs: int):
    random = np.random.default_rng(6)
    keys, stored = unit_vectors(random, 2, pairs, 12), unit_vectors(random, 2, pairs, 7)
    got = linear_readout(Memory("least squares"), keys, stored, keys)
    for one in range(2):
        want = keys[one] @ np.linalg.lstsq(keys[one].astype(float), stored[one].astype(float), rcond=None)[0]
        np.testing.assert_allclose(got[one], want, atol=1e-4)


def test_a_cache_of_exact_numbers_returns_what_was_stored():
    random = np.random.default_rng(7)
    keys, stored = unit_vectors(random, 2, 50, 8), unit_vectors(random, 2, 50, 6)
    np.testing.assert_array_equal(linear_readout(Memory("softmax cache"), keys, stored, keys), stored)


def test_a_cache_of_one_bit_compares_signs():
    random = np.random.default_rng(8)
    keys, stored = unit_vectors(random, 1, 30, 5), unit_vectors(random, 1, 30, 6)
    got = linear_readout(Memory("softmax cache", bits=1), keys, stored, keys)
    scores = keys[0] @ np.sign(keys[0]).T
    nearest = [int(np.flatnonzero(row > row.max() - 1e-5)[0]) for row in scores]
    np.testing.assert_allclose(got[0], np.sign(stored[0])[nearest] * (2 / np.pi) ** 0.5, rtol=1e-6)


@pytest.mark.parametrize("rule", ["slots", "n-gram table"])
def test_hashed_rules_against_a_dictionary(rule: str):
    values = np.random.default_rng(9).integers(1000, size=(4, 25))
    asked = np.tile(np.arange(25), (4, 1))
    got = kept_values(np.random.default_rng(3), Memory(rule, places=6), values, asked)
    slots = np.random.default_rng(3).integers(6, size=(4, 25))  # drawn first, by the same generator
    for one in range(4):
        table = dict(zip(slots[one].tolist(), range(25), strict=True))
        for pair in range(25):
            if table[slots[one, pair]] == pair or rule == "n-gram table":
                assert got[one, pair] == values[one, table[slots[one, pair]]]
            else:
                assert got[one, pair] in values[one, list(table.values())]


def test_a_window_keeps_the_last():
    values = np.random.default_rng(2).integers(10**6, size=(3, 20))
    asked = np.tile(np.arange(20), (3, 1))
    got = kept_values(np.random.default_rng(0), Memory("window", places=5), values, asked)
    np.testing.assert_array_equal(got[:, 15:], values[:, 15:])
    assert all(np.isin(got[one], values[one, 15:]).all() for one in range(3))


def test_a_seed_gives_the_same_numbers():
    memory = Memory("delta", 8, 8, 16)
    one, same, other = (simulated_accuracy(memory, 12, trials=50, seed=seed) for seed in (1, 1, 2))
    assert one == same != other
    assert simulated_accuracy(memory, 1, trials=20).accuracy == 1


def test_the_standard_error_is_the_spread_of_repetitions():
    memory = Memory("additive", 16, 16, 64)
    runs = [simulated_accuracy(memory, 30, trials=60, seed=seed) for seed in range(40)]
    spread = np.std([run.accuracy for run in runs], ddof=1)
    assert spread == pytest.approx(np.mean([run.standard_error for run in runs]), rel=0.4)  # 40 runs: ± 11 % at 1 sigma


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairs": 0}, "pairs: a whole number, at least 1, got 0"),
        ({"pairs": 4, "trials": 1}, "trials: a whole number, at least 2, got 1"),
        ({"pairs": 4, "seed": -1}, "seed: a whole number, at least 0, got -1"),
    ],
)
def test_bad_input(arguments: dict[str, int], message: str):
    with pytest.raises(ValueError, match=message):
        simulated_accuracy(Memory("additive"), **arguments)
