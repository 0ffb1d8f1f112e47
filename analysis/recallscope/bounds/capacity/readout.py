"""The accuracy of argmax decoding when a linear read-out holds the right code and a sum of others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrc, gammaln, xlog1py, xlogy

from recallscope.bounds.capacity.codes import gamma_nodes, product_cdf, product_nodes

PRODUCT_NODES, ENERGY_NODES, MULTIPLES = 20, 6, 6  # 32, 10 and 16 change no accuracy by more than 3e-4


@dataclass(frozen=True)
class Readout:
    """o = h c_y + Σ a_i c_{y_i} in J cases, the sum over the m other pairs in P classes; a_i are of either sign.

    Attributes
    ----------
    weight, signal, energy : array [J]
        Probability of the case; h; E = mean of Σ a_i².
    count, share : array [P, J]
        Pairs in the class, m in all; mean a_i² of each, as a share of E (Σ count · share = 1).
    kurtosis : float
        Of a_i about 0, E a⁴ / (E a²)²; 1 where Σ a_i² is fixed.
    """

    weight: np.ndarray
    signal: np.ndarray
    energy: np.ndarray
    count: np.ndarray
    share: np.ndarray
    kurtosis: float


def decoding_accuracy(readout: Readout, pairs: int, value_width: int, vocabulary: int) -> float:
    """P(c_y·o > c_v·o for every other v), for codes uniform on the unit sphere of R^W and value ids uniform over V.

    1. By values, o = h c_y + r. As c_y is independent of r, c_y·o = h + R b, with R = |r| and b a product of unit
       vectors (`product_cdf`): exact. R²/E is taken as gamma of mean 1 with its variance (from E a⁴ and
       E (c_u·c_v)² = 1/W); in the limit m → ∞ it is chi-square with W degrees of freedom.
    2. A value that no pair holds has a code independent of o: it stays below with probability F_W(c_y·o / |o|), exact,
       and independently of all such others given |o|.
    3. A value with coefficient a in r scores a + noise. Given r, its code leans towards it: for weak coefficients
       (a² ≪ E; a von Mises-Fisher law expanded to second order) its score has variance
           s² = |o|²/W + (a²/E) [(o·r/R)² (R²/E - 2/W) - |o|²/W],
       R²/E without the part that is due to Σ a_i² itself. The score, bounded by ±|o|, is then taken to follow the law
       of an inner product in fewer dimensions, d = |o|²/s². Such values count as independent given o.

    Step 3 is the approximation that counts, good where W ≥ 16, K ≥ 16 and V ≥ 64 (measured in `predicted_accuracy`).
    Quadrature over b, R and cases; `pairs` is m + 1 ≥ 2.
    """
    others, rivals = pairs - 1, vocabulary - 1
    squares = (readout.count * readout.share**2).sum(0)  # [J]: Σ (a²/E)²
    code_part = 2 * (1 - squares) * (1 - 1 / rivals) / value_width  # variance of R²/E from products of codes
    other_part = (readout.kurtosis - 1) * squares + 2 * (1 - squares) / rivals  # and from coefficients, repeats
    variance = code_part + other_part + 1e-9  # never 0: two pairs with fixed coefficients
    ratio, ratio_weight = gamma_nodes(variance, ENERGY_NODES)  # [J, R]
    b, b_weight = product_nodes(value_width, PRODUCT_NODES)  # [B]

    norm = np.sqrt(readout.energy[:, None] * ratio)[:, :, None]  # [J, R, 1]: R
    lean = ratio ** (code_part / variance)[:, None] - code_part[:, None]
    signal = readout.signal[:, None, None]
    score = signal + norm * b  # [J, R, B]
    square = np.maximum(signal**2 + 2 * signal * norm * b + norm**2, np.finfo(float).tiny)  # |o|²
    along = (signal * b + norm) ** 2  # (o·r/R)²
    bound = score / np.sqrt(square)

    below = np.zeros_like(score)
    for probability, share in _rivals(readout, others, vocabulary):  # [J] each
        extra = share[:, None, None] * (along * lean[:, :, None] - square / value_width)
        width = square / np.maximum(square / value_width + extra, square * 1e-6)
        below += probability[:, None, None] * product_cdf(bound, np.maximum(width, 1.01))
    right = np.minimum(below, 1) ** rivals
    return float(np.einsum("j,jrb,r,b->", readout.weight, right, ratio_weight, b_weight))


def _rivals(readout: Readout, others: int, vocabulary: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """What a wrong value may hold: probability `[J]` and a²/E `[J]` of each case, the first being nothing.

    If all pairs are alike, the number of pairs decides. Else, with classes in order of falling share, the class of the
    strongest pair does: no pair of the first M with probability (1 - 1/V)^M; weaker pairs count by their mean.
    """
    ones = np.ones_like(readout.weight)
    if len(readout.count) == 1:
        return [(p * ones, np.minimum(k / others, 1) * ones) for p, k in multiples(others, vocabulary)]
    free = (1 - 1 / vocabulary) ** np.cumsum(readout.count, 0)  # [P, J]
    strongest = -np.diff(free, axis=0, prepend=1)
    energy = readout.count * readout.share / vocabulary
    weaker = energy[::-1].cumsum(0)[::-1] - energy
    within = -np.expm1(readout.count * np.log1p(-1 / vocabulary))  # probability of any pair of the class
    own = np.divide(energy, within, out=np.zeros_like(energy), where=within > 0)
    held = zip(strongest, np.minimum(own + weaker, 1), strict=True)
    return [(free[-1], 0 * ones), *held]


def multiples(others: int, vocabulary: int) -> list[tuple[float, float]]:
    """Probability that k of the other pairs hold a given value, and k: for 0, 1 and up to 6 groups of more (means)."""
    most = int(np.ceil(others / vocabulary + 8 * np.sqrt(others / vocabulary) + 8))
    k = np.arange(min(most, others) + 1)
    chance = 1 / vocabulary
    log = gammaln(others + 1) - gammaln(k + 1) - gammaln(others - k + 1)
    p = np.exp(log + xlogy(k, chance) + xlog1py(others - k, -chance))
    p[-1] += bdtrc(float(k[-1]), others, chance)
    groups = [*zip(p[:2].tolist(), k[:2].tolist(), strict=True)]
    middle = np.cumsum(p[2:]) - p[2:] / 2
    place = np.minimum((middle / max(p[2:].sum(), 1e-300) * MULTIPLES).astype(int), MULTIPLES - 1)
    for group in np.unique(place[p[2:] > 0]):
        own = p[2:][place == group]
        groups.append((float(own.sum()), float((own * k[2:][place == group]).sum() / own.sum())))
    return groups
