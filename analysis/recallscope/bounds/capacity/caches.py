"""Closed forms of the rules that keep pairs apart: slots, window, n-gram table, quantised softmax cache."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import ndtri

from recallscope.bounds.capacity.codes import normal_nodes, product_cdf
from recallscope.bounds.capacity.memory import Memory

EXACT_BITS = 13
"""From so many bits a number counts as exact."""


def kept_or_guessed(kept: float, vocabulary: int) -> float:
    """Accuracy when a share `kept` of answers is right for sure and the rest is of an unrelated pair: 1/V right."""
    return kept + (1 - kept) / vocabulary


def hashed_share(pairs: int, places: int) -> float:
    """Share of pairs that no later one overwrites, each at one of C random places: (C/n) (1 - (1 - 1/C)^n), exact.

    A pair of age s stays with probability (1 - 1/C)^s; this is the mean over s = 0 .. n - 1. (It is also the mean of
    1/(1 + colliding pairs): slots that add up instead, with a tie among what they hold, recall no more.)
    """
    return places / pairs * (1 - (1 - 1 / places) ** pairs)


def window_share(pairs: int, places: int) -> float:
    """Share of the pairs in the last w: min(1, w/n), exact."""
    return min(1.0, places / pairs)


def softmax_cache_accuracy(memory: Memory, pairs: int) -> float:
    """The right key must win among n quantised keys, then the right code against one quantised code.

    With x ~ N(0, 1), its stored x̂ and ρ² = E x x̂ = E x̂²: the right key scores N(ρ², v/K), v the part of var(x x̂) that
    |q| = 1 leaves; a wrong one ρ times a product of unit vectors in K dimensions. The stored code c meets c_v in the
    cosine ρ, with variance from x x̂ - x̂²/2 in the same way; wrong codes meet it in products of unit vectors in W
    dimensions, exactly. Approximate in taking |k̂|² as ρ² K and the first scores as normal.
    """
    if memory.bits >= EXACT_BITS:
        return 1.0
    x = ndtri((np.arange(1 << 16) + 0.5) / (1 << 16))
    stored = cell_means(memory.bits)[np.arange(x.size) * (1 << memory.bits) // x.size]
    kept = float(np.mean(stored**2))
    if memory.bits == 1:  # no sign pattern scores higher than the key's own: only equal patterns tie
        key = hashed_share(pairs, 1 << memory.key_width)
    else:
        key = _wins(kept, _left(x * stored, x), memory.key_width, kept**0.5, pairs - 1)
    code = _wins(kept**0.5, _left(x * stored - stored**2 / 2, x) / kept, memory.value_width, 1.0, memory.vocabulary - 1)
    same = kept_or_guessed(key, memory.vocabulary)  # a wrong key may hold the right value
    return same * code + (1 - same) * (1 - code) / (memory.vocabulary - 1)


@cache
def cell_means(bits: int) -> np.ndarray:
    """`[2^bits]` means of the standard normal in cells of equal probability, in order."""
    edges = ndtri(np.arange((1 << bits) + 1) / (1 << bits))
    density = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    return (density[:-1] - density[1:]) * (1 << bits)


def _left(product: np.ndarray, x: np.ndarray) -> float:
    """Variance of a sum of `product` per coordinate, given Σ x² (the length of a unit vector is no news)."""
    square = x**2 - np.mean(x**2)
    product = product - np.mean(product)
    return float(np.mean(product**2) - np.mean(product * square) ** 2 / np.mean(square**2))


def _wins(mean: float, variance: float, width: int, scale: float, rivals: int) -> float:
    z, weight = normal_nodes(40)
    return float(weight @ product_cdf((mean + np.sqrt(variance / width) * z) / scale, width) ** rivals)
