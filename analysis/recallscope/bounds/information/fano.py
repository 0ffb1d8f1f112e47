"""Fano's inequality for recall: bits, pairs and accuracy, each from the other two."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import ArrayLike

from recallscope.bounds._checks import at_least, log2_power


def state_limit(pairs: ArrayLike, vocabulary: ArrayLike, error: ArrayLike = 0.0) -> np.ndarray:
    """Fewest bits of state with which any model can answer D questions with a mean error of ε, by Fano's inequality.

    The values are independent and uniform over m; what is assumed otherwise, and the proof, are those of
    `accuracy_limit`, whose inverse this is:

        S ≥ D (log2 m - h(ε) - ε log2(m - 1)),   0 ≤ ε ≤ 1 - 1/m   (h: binary entropy).

    In brackets stands the rate-distortion function of a uniform source under Hamming loss (Cover and Thomas, Elements
    of Information Theory, Chapter 10), so for many pairs no larger bound holds for those who know the keys beforehand.

    Parameters
    ----------
    pairs, vocabulary, error : array_like
        D ≥ 1; m ≥ 2, the number of values that an answer can be; ε, the share of wrong answers over all questions, at
        most that of a guess. They broadcast. Within 1e-15 log2 m bits per pair: next to chance, where the bits go to
        0, not all digits are right.

    Returns
    -------
    ndarray
        S in bits, not rounded up.
    """
    return at_least("pairs", pairs, 1) * _bits_per_pair(vocabulary, error)


def pairs_limit(state_bits: ArrayLike, vocabulary: ArrayLike, error: ArrayLike = 0.0) -> np.ndarray:
    """Most pairs whose values any model with S bits of state can tell with a mean error of ε: `state_limit` for D.

    S / (log2 m - h(ε) - ε log2(m - 1)), not rounded down; infinite at ε = 1 - 1/m, where guessing is enough. Arguments
    broadcast; `state_bits` is at least 0, the others are as for `state_limit`.
    """
    state, rate = at_least("state_bits", state_bits, 0, finite=False), _bits_per_pair(vocabulary, error)
    return np.where(rate > 0, state / np.where(rate > 0, rate, 1), np.inf)


def accuracy_limit(state_bits: ArrayLike, pairs: int, vocabulary: int, demand_bits: float | None = None) -> np.ndarray:
    """Highest mean accuracy that any model with a state of so many bits can have, by Fano's inequality.

    `pairs` is the number Q of questions, `vocabulary` the number m of values that an answer can be, `demand_bits` the
    joint entropy H of the answers given the questions: by default Q log2(m), independent uniform values.

    What the model knows of the answers a_1 .. a_Q when it is asked is its state M of S bits, so H(a | M) ≥ H - S. Its
    guess for a_j is a function of M and the questions; if it is right with probability p_j, then
    H(a_j | M) ≤ h(p_j) + (1 - p_j) log2(m - 1) (Fano; h: binary entropy). The sum over j is at least H(a | M), and h is
    concave: for the mean p of the p_j

        (H - S) / Q ≤ h(p) + (1 - p) log2(m - 1).

    The right side falls from log2 m at p = 1/m to 0 at p = 1, so p is at most where both sides are equal; at S ≥ H that
    is 1. Wanted: answers do not appear in the input after the statements, and no input there depends on them (MQAR).
    """
    at_least("pairs", pairs, 1)
    at_least("vocabulary", vocabulary, 2)
    state = at_least("state_bits", state_bits, 0, finite=False)
    demand, spare = _demand(pairs, vocabulary, demand_bits)
    known = (spare + np.minimum(state, demand)) / pairs
    return np.where(state >= demand, 1, (1 + (vocabulary - 1) * _above_chance(known, vocabulary)) / vocabulary)


def _bits_per_pair(vocabulary: ArrayLike, error: ArrayLike) -> np.ndarray:
    """log2 m - h(ε) - ε log2(m - 1)."""
    m, wrong = np.broadcast_arrays(at_least("vocabulary", vocabulary, 2), np.asarray(error, dtype=np.float64))
    accepted = (wrong >= 0) & (wrong <= 1 - 1 / m)
    if not accepted.all():
        most, got = (float(array[~accepted].flat[0]) for array in (m, wrong))
        raise ValueError(f"error: 0 to {1 - 1 / most:g}, that of a guess among {most:g} values, got {got:g}")
    surprise = (1 - wrong) * np.log1p(-wrong) + wrong * np.log(np.where(wrong > 0, wrong, 1))  # 0 log 0 is 0
    return np.maximum(np.log2(m) + (surprise - wrong * np.log(m - 1)) / math.log(2), 0)


def _demand(pairs: int, vocabulary: int, demand_bits: float | None) -> tuple[float, float]:
    """H, and Q log2(m) - H; exact, because near p = 1/m the limit goes with the root of this difference."""
    most = log2_power(vocabulary, pairs)
    if demand_bits is None:
        return float(most), 0.0
    if not 0 <= demand_bits <= float(most) * (1 + 1e-12):
        accepted = f"0 to {float(most):g} for {pairs} answers of {vocabulary} values"
        raise ValueError(f"demand_bits: {accepted}, got {demand_bits:g}")
    with localcontext(prec=40):
        return float(demand_bits), max(float(most - Decimal(float(demand_bits))), 0.0)


def _above_chance(known: np.ndarray, vocabulary: int) -> np.ndarray:
    """y in [0, 1], for the accuracy p = (1 + (m - 1) y) / m at which a guess needs the `known` bits of each answer.

    They are log2 m - h(p) - (1 - p) log2(m - 1), the divergence of (p, 1 - p) from chance (1/m, 1 - 1/m). In y that is
    ((1 + (m-1) y) log2(1 + (m-1) y) + (m-1) (1-y) log2(1-y)) / m, whose rounding moves p by its last digit only, also
    near chance, where the difference as it stands would lose half of all digits.
    """
    others = vocabulary - 1
    low, high = np.zeros_like(known), np.ones_like(known)
    for _ in range(60):
        y = (low + high) / 2
        right = (1 + others * y) * np.log1p(others * y)
        wrong = others * (1 - y) * np.log1p(-np.minimum(y, 1 - 2**-53))  # 0 log 0 is 0
        enough = (right + wrong) / (vocabulary * math.log(2)) <= known
        low, high = np.where(enough, y, low), np.where(enough, high, y)
    return high
