"""What a state of so many bits allows at most, whoever reads it."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import ArrayLike


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
    if not pairs >= 1:
        raise ValueError(f"pairs: at least 1, got {pairs}")
    if not vocabulary >= 2:
        raise ValueError(f"vocabulary: at least 2, got {vocabulary}")
    state = np.asarray(state_bits, dtype=np.float64)
    if not (state >= 0).all():
        raise ValueError(f"state_bits: at least 0, got {state.min():g}")
    demand, spare = _demand(pairs, vocabulary, demand_bits)
    known = (spare + np.minimum(state, demand)) / pairs
    return np.where(state >= demand, 1, (1 + (vocabulary - 1) * _above_chance(known, vocabulary)) / vocabulary)


def _demand(pairs: int, vocabulary: int, demand_bits: float | None) -> tuple[float, float]:
    """H, and Q log2(m) - H; exact, because near p = 1/m the limit goes with the root of this difference."""
    with localcontext(prec=40):
        most = Decimal(float(pairs)) * Decimal(float(vocabulary)).ln() / Decimal(2).ln()
        if demand_bits is None:
            return float(most), 0.0
        if not 0 <= demand_bits <= float(most) * (1 + 1e-12):
            accepted = f"0 to {float(most):g} for {pairs} answers of {vocabulary} values"
            raise ValueError(f"demand_bits: {accepted}, got {demand_bits:g}")
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
