"""Bits and scales: against 50 digits, against their inverse, and against arrays that are counted."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from recallscope.bounds import accuracy_limit
from recallscope.bounds.capacity import (
    RULES,
    Memory,
    additive_pairs_scale,
    linear_memory_width_scale,
    predicted_accuracy,
    recalled_bits,
    state_bits,
    state_elements,
)


def test_recalled_bits_at_its_ends():
    np.testing.assert_allclose(recalled_bits([1, 1 / 8], [5, 5], 8), [15, 0], atol=1e-14)
    assert recalled_bits(0.75, 1, 2) == pytest.approx(1 - 0.811278124459133, abs=1e-15)  # log2 2 - h2(1/4)
    assert recalled_bits(np.ones((2, 3)), 1, 4).shape == (2, 3)


def fano(accuracy: float, pairs: int, vocabulary: int) -> Any:
    """n [log2 V - h2(ε) - ε log2(V - 1)] as it stands, in 50 digits."""
    right, wrong = mpmath.mpf(accuracy), 1 - mpmath.mpf(accuracy)
    surprise = -sum(p * mpmath.log(p, 2) for p in (right, wrong) if p)
    return pairs * (mpmath.log(vocabulary, 2) - surprise - wrong * mpmath.log(vocabulary - 1, 2))


@pytest.mark.parametrize("vocabulary", [2, 7, 256, 50_257])
def test_recalled_bits_against_fifty_digits(vocabulary: int):
    for accuracy in (1 / vocabulary * (1 + 1e-9), (1 + 1 / vocabulary) / 2, 0.9, 1 - 1e-12, 1.0):
        with mpmath.workdps(50):
            want = float(fano(accuracy, 3, vocabulary))
        assert float(recalled_bits(accuracy, 3, vocabulary)) == pytest.approx(want, abs=1e-13)


@given(st.floats(0, 1), st.integers(1, 500), st.integers(2, 10_000))
@example(1e-12, 1, 158)  # the divergence rounds below 0
def test_recalled_bits_invert_the_accuracy_limit(above: float, pairs: int, vocabulary: int):
    accuracy = min(1 / vocabulary + above * (1 - 1 / vocabulary), 1.0)
    bits = recalled_bits(accuracy, pairs, vocabulary)
    assert float(accuracy_limit(bits, pairs, vocabulary)) == pytest.approx(accuracy, abs=1e-7)  # flat at chance


def test_state_elements_are_those_of_arrays_that_hold_the_state():
    keys, values, places, n = np.ones((9, 5)), np.ones((9, 7)), 4, 9
    held = {
        "additive": [keys.T @ values],
        "decayed": [keys.T @ values],
        "delta": [keys.T @ values],
        "least squares": [keys.T @ values, keys.T @ keys],
        "slots": [keys[:places], values[:places]],
        "window": [keys[-places:], values[-places:]],
        "softmax cache": [keys, values],
        "n-gram table": [np.zeros(places, int)],
    }
    assert tuple(held) == RULES
    for rule, arrays in held.items():
        memory = Memory(rule, 5, 7, 11, places=places, bits=8)
        assert state_elements(memory, n) == sum(one.size for one in arrays)
        assert state_bits(memory, n) == 8 * state_elements(memory, n)


def test_scales():
    assert additive_pairs_scale(64, 32, 256) == pytest.approx(2048 / (2 * math.log(256)), rel=1e-15)
    per_element = additive_pairs_scale(48, 80, 5000) * math.log2(5000) / (48 * 80)
    assert per_element == pytest.approx(1 / (2 * math.log(2)), rel=1e-12)
    width = linear_memory_width_scale([10, 1000])
    np.testing.assert_allclose(width**2, [20 * math.log(10), 2000 * math.log(1000)], rtol=1e-14)
    np.testing.assert_allclose(additive_pairs_scale(width, width, [10, 1000]), [10, 1000], rtol=1e-12)


@given(st.integers(1, 3000), st.integers(1, 60), st.integers(1, 12))
def test_an_ngram_table_obeys_the_information_limit(pairs: int, places: int, log_vocabulary: int):
    """A bucket holds one of V ids or nothing; hashing is no part of the state."""
    memory = Memory("n-gram table", vocabulary=2**log_vocabulary, places=places)
    bits = places * math.log2(2**log_vocabulary + 1)
    assert predicted_accuracy(memory, pairs) <= accuracy_limit(bits, pairs, 2**log_vocabulary) + 1e-12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recalled_bits(0.1, 4, 8), r"accuracy: from chance, 1/8, to 1, got 0\.1"),
        (lambda: recalled_bits(1.1, 4, 8), r"accuracy: from chance, 1/8, to 1, got 1\.1"),
        (lambda: recalled_bits(math.nan, 4, 8), "accuracy: from chance, 1/8, to 1, got nan"),
        (lambda: recalled_bits(0.5, 0, 8), "pairs: at least 1, got 0"),
        (lambda: recalled_bits(0.5, 4, 1), "vocabulary: a whole number, at least 2, got 1"),
        (lambda: additive_pairs_scale(0, 4, 8), "key_width: at least 1, got 0"),
        (lambda: additive_pairs_scale(4, 0.5, 8), r"value_width: at least 1, got 0\.5"),
        (lambda: additive_pairs_scale(4, 4, 1), "vocabulary: at least 2, got 1"),
        (lambda: linear_memory_width_scale(1), "pairs: at least 2, got 1"),
        (lambda: state_elements(Memory("additive"), 0), "pairs: a whole number, at least 1, got 0"),
    ],
)
def test_bad_input(call: Any, message: str):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rule": "hopfield"}, "rule: one of additive, decayed, delta, .*, got 'hopfield'"),
        ({"rule": "additive", "key_width": 1}, "key_width: a whole number, at least 2, got 1"),
        ({"rule": "additive", "value_width": 8.0}, r"value_width: a whole number, at least 2, got 8\.0"),
        ({"rule": "additive", "vocabulary": 0}, "vocabulary: a whole number, at least 2, got 0"),
        ({"rule": "window", "places": 0}, "places: a whole number, at least 1, got 0"),
        ({"rule": "decayed", "decay": 0.0}, r"decay: above 0, at most 1, got 0\.0"),
        ({"rule": "decayed", "decay": math.nan}, "decay: above 0, at most 1, got nan"),
        ({"rule": "delta", "decay": 0.9}, r"decay: 1 for all rules but decayed, got 0\.9 for delta"),
        ({"rule": "softmax cache", "bits": 65}, "bits: a whole number of 1 to 64, got 65"),
        ({"rule": "softmax cache", "bits": 0}, "bits: a whole number, at least 1, got 0"),
    ],
)
def test_a_memory_that_makes_no_sense(setting: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Memory(**setting)
