"""Where recall breaks down, to leading order: scales, not bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def additive_pairs_scale(key_width: ArrayLike, value_width: ArrayLike, vocabulary: ArrayLike) -> np.ndarray:
    """Pairs n* = K·W / (2 ln V) at which the additive rule with random codes is right about half the time.

    Asymptotic (K, W, V → ∞ with ln V ≪ W). Sketch: a wrong code scores N(0, n/(K W)) against the signal 1 of the right
    one; the largest of V such scores lies at sqrt(2 ln V) standard deviations to leading order; both are equal at n*.
    Then S holds n* log2 V / (K W) = 1 / (2 ln 2) = 0.72 bits per element. At finite sizes `predicted_accuracy` at n*
    is 0.58 for K = W = 64, V = 4096 and 0.53 for V = 256. Arguments broadcast; raises `ValueError` for widths below 1
    or a vocabulary below 2.
    """
    key, value, choices = (np.asarray(one, np.float64) for one in (key_width, value_width, vocabulary))
    for name, given, least in (("key_width", key, 1), ("value_width", value, 1), ("vocabulary", choices, 2)):
        if not (given >= least).all():
            raise ValueError(f"{name}: at least {least}, got {given.min():g}")
    return key * value / (2 * np.log(choices))


def linear_memory_width_scale(pairs: ArrayLike) -> np.ndarray:
    """Width d of a d × d memory, d² ~ 2 n ln n, for n pairs whose n values are also all choices: asymptotic.

    Barnfield, Kim, Nichani, Lee and Lu (2026, arXiv 2605.05189) *prove* for Gaussian pairs that top-1 retrieval of all
    pairs needs d² of the order n ln n in any linear memory, and that the sum of outer products attains that order.
    The constant 2 for the best linear memory is their *conjecture* (abstract; extrapolated from a listwise criterion;
    2605.10795 has the same by methods of statistical physics). It equals `additive_pairs_scale` with K = W = d, V = n,
    where the additive rule is right about half the time only, not everywhere. At least 2 pairs, else `ValueError`.
    """
    n = np.asarray(pairs, np.float64)
    if not (n >= 2).all():
        raise ValueError(f"pairs: at least 2, got {n.min():g}")
    return np.sqrt(2 * n * np.log(n))
