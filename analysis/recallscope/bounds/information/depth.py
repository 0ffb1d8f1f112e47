"""Depth: how many layers gated convolutions need for recall, whatever their state.

The layer is BaseConv, z = (u W + B1) ⊙ (K ∗ u + B2), with filters K that do not depend on the data. Each layer at most
doubles the degree of its output as a polynomial in the input, so L layers reach 2^L: hence the logarithms. Theorems of
Based (Arora et al. 2024, arXiv 2402.18668, Section 3.2), which hold for prompts read twice as well (Just
Read Twice, arXiv 2407.05483, Theorems G.6, G.7 and G.11). They say nothing about attention, nor about filters that are
computed from the data.
"""

from __future__ import annotations

import math

from recallscope.bounds._checks import at_least, whole
from recallscope.bounds.information.asymptotic import Asymptotic


def binary_depth_limit(vocabulary: int) -> int:
    """Fewest layers for MQAR if the c = 2^d tokens are written as their d bits: log2(2 d), rounded up.

    Based, Theorem 3.2; no constant is hidden. `vocabulary` is c, a power of two, at least 2: the theorem is about
    all of {0, 1}^d.
    """
    vocabulary = whole("vocabulary", vocabulary, 2)
    if vocabulary & (vocabulary - 1):
        raise ValueError(f"vocabulary: a power of two (every token is a string of bits), got {vocabulary}")
    bits = vocabulary.bit_length() - 1
    return 1 + (bits - 1).bit_length()


def p_hot_depth_limit(blocks: int) -> int:
    """Fewest layers for MQAR if tokens are written as p one-hot blocks of c^(1/p): ⌊log2(2 p)⌋.

    No constant is hidden. Based, Remark 3.3, says it of filters that depend on the data; Just Read Twice, Theorem G.11,
    of those that do not, and as such it is meant here. `blocks` is p ≥ 1; p = 1 is one-hot and needs one layer.
    """
    return whole("blocks", blocks, 1).bit_length()


def recall_depth_scale(length: int, width: int, alpha: float = 1.0, constant: float = 1.0) -> int:
    """The least L for which B d^(2^L) ≥ N, with log2 B = log2(α + 2) + L + log2 log2(2 N): a scale, not a bound.

    From the proof of Based's Theorem 3.4, as told in Just Read Twice, Appendix G.1.1: who can answer one question about
    N tokens has B d^(2^L) ≥ Ω(N), for parameters of α log2 N bits. Explicit are the degree 2^L and B; hidden is the
    constant in Ω(N), here `constant`. With the true one L would be a bound; with 1 it shows how depth goes with N and
    d. The source does not say the base of its logarithms; here it is 2.

    Range: any encoding of c ≤ N tokens with log2 c ≤ d; a statement about depth only for d much below N, see
    `recall_depth_growth`.

    Parameters
    ----------
    length, width : int
        N ≥ 2, d ≥ 1.
    alpha : float
        α ≥ 0.
    constant : float
        Above 0; N is multiplied by it.
    """
    length, width = whole("length", length, 2), whole("width", width, 1)
    alpha = float(at_least("alpha", alpha, 0))
    if not (constant > 0 and math.isfinite(constant)):
        raise ValueError(f"constant: above 0 and finite, got {constant:g}")
    wanted = math.log2(length) + math.log2(constant)
    fixed, layers = math.log2(alpha + 2) + math.log2(math.log2(2 * length)), 0
    while fixed + layers + 2.0**layers * math.log2(width) < wanted:
        layers += 1
    return layers


def recall_depth_growth(length: int, width: int) -> Asymptotic:
    """Based's Theorem 3.4 as stated: Ω(ε log log N) layers for AR, where d = 2^((log2 N)^(1 - ε)).

    N ≥ 4 and 2 ≤ d ≤ N; ε is 1 at d = 2 and 0 at d = N. The term is (ε/2) log2 log2 N, what the proof arrives at for
    large N (Just Read Twice, Appendix G.1.1).
    """
    length = whole("length", length, 4)
    width = whole("width", width, 2, length)
    epsilon = 1 - math.log2(math.log2(width)) / math.log2(math.log2(length))
    return Asymptotic(
        order="Ω(ε log log N)",
        term=epsilon / 2 * math.log2(math.log2(length)),
        unit="layers",
        holds=f"ε = {epsilon:.3g}; tokens c ≤ N, log2 c ≤ d, parameters of O(log N) bits; one question (AR); N large",
        source="Arora et al. 2024, arXiv 2402.18668, Theorem 3.4",
    )
