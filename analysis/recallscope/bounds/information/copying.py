"""Copying: what a state of so many bits can repeat of a random string."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from recallscope.bounds._checks import at_least, lacking, log2_power, probability, whole


def copy_error_limit(state_bits: ArrayLike, length: int, vocabulary: int) -> np.ndarray:
    """Least probability with which any model with S bits of state fails to repeat a random string: 1 - 2^S / V^n, or 0.

    The string has n independent uniform tokens of V; failing is having any token wrong. After the string the model is
    in one of 2^S states, each of which writes one string (given its random numbers, if it uses some), so that at most
    2^S of the V^n equally likely strings come out right (Jelassi et al. 2024, arXiv 2402.01032, for their generalised
    state space models, which are all models whose state does not grow). Exact at every size, and attained by a memory
    that numbers 2^S of the strings.

    Parameters
    ----------
    state_bits : array_like
        S ≥ 0.
    length, vocabulary : int
        n ≥ 1 and V ≥ 2.
    """
    state = at_least("state_bits", state_bits, 0, finite=False)
    strings = log2_power(whole("vocabulary", vocabulary, 2), whole("length", length, 1))
    return 0 - np.expm1(math.log(2) * lacking(state, strings))


def copy_state_limit(length: ArrayLike, vocabulary: ArrayLike, error: ArrayLike = 0.0) -> np.ndarray:
    """Fewest bits with which a string is repeated whole with probability 1 - ε: n log2 V + log2(1 - ε), at least 0.

    `copy_error_limit` for S. Length at least 1, vocabulary at least 2, 0 ≤ ε < 1; they broadcast. Not rounded up.
    """
    bits = at_least("length", length, 1) * np.log2(at_least("vocabulary", vocabulary, 2))
    return np.maximum(bits + np.log1p(-probability("error", error, below_one=True)) / math.log(2), 0)


def copy_length_limit(state_bits: ArrayLike, vocabulary: ArrayLike, error: ArrayLike = 0.0) -> np.ndarray:
    """Longest string that S bits can repeat whole with probability 1 - ε: (S - log2(1 - ε)) / log2 V tokens.

    `copy_error_limit` for n. State at least 0, vocabulary at least 2, 0 ≤ ε < 1; they broadcast. Not rounded down.
    """
    state = at_least("state_bits", state_bits, 0, finite=False)
    spared = np.log1p(-probability("error", error, below_one=True)) / math.log(2)
    return (state - spared) / np.log2(at_least("vocabulary", vocabulary, 2))
