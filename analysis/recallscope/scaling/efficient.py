"""The size that a corpus deserves: exponent γ of N ∝ D^γ, and sizes from an anchor point.

Kausik, *Scaling Efficient LLMs* (arXiv 2402.14746), states γ between 0.44 and 0.72. Its proof was not read: the two
ends here are a reconstruction that gives the published interval exactly, and the exponents of its earlier versions.

1. Cross-entropy is the entropy of text plus a KL divergence; in L = E + A/N^α + B/D^β an efficient model, with enough
   parameters for its corpus and no more, has the divergence of the data term, ε ∝ D^-β.
2. A class of dimension d reaches error ε with between Ω(d/ε) samples (realisable) and O(d/ε²) (agnostic), so that after
   D samples D ε² ≲ d ≲ D ε.
3. Together D^(1 - 2β) ≲ d ≲ D^(1 - β); weights of finite precision make d a number of parameters up to constants.

Constants are lost on the way. Only the exponent has a meaning: a bare D^γ gives absurd sizes, so every size here needs
an anchor, a corpus and the size that was right for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from recallscope.scaling.intervals import LEVEL, Interval, percentile_interval


@dataclass(frozen=True)
class EfficientExponent:
    """γ of N ∝ D^γ: `low` = 1 - 2β (agnostic), `high` = 1 - β (realisable), with intervals where β has resamples."""

    beta: float
    low: float
    high: float
    low_interval: Interval | None = None
    high_interval: Interval | None = None


@dataclass(frozen=True)
class EfficientSize:
    """Parameters for a corpus at both ends of γ, from an anchor; `low` and `high` in order of size."""

    tokens: float
    low: float
    high: float


def efficient_exponent(beta: float, resamples: ArrayLike = (), *, level: float = LEVEL) -> EfficientExponent:
    """γ between 1 - 2β and 1 - β (reconstructed, see the module) from the data exponent of a loss law.

    `resamples` are bootstrap values of β. γ falls by two and by one per unit of β, which is why the refit of
    Chinchilla's law moves the interval of the paper. Raises `ValueError` for a β that is not between 0 and 1; from
    β = 1/2 on the lower end says nothing.
    """
    if not 0 < beta < 1:
        raise ValueError(f"beta: between 0 and 1, got {beta:g}")
    drawn = np.asarray(resamples, float)
    ends = (1 - 2 * drawn, 1 - drawn)
    return EfficientExponent(beta, 1 - 2 * beta, 1 - beta, *(percentile_interval(end, level) for end in ends))


def efficient_size(tokens: float, anchor_tokens: float, anchor_parameters: float, beta: float) -> EfficientSize:
    """Parameters N = N₀ (D / D₀)^γ for a corpus of `tokens`, at both ends of γ.

    `anchor_parameters` N₀ is a size that was right for `anchor_tokens` D₀, of the same kind of text and model. Raises
    `ValueError` for what is not above 0.
    """
    for name, value in (
        ("tokens", tokens), ("anchor_tokens", anchor_tokens), ("anchor_parameters", anchor_parameters)
    ):  # fmt: skip
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: finite and above 0, got {value:g}")
    gamma = efficient_exponent(beta)
    ends = sorted(anchor_parameters * (tokens / anchor_tokens) ** power for power in (gamma.low, gamma.high))
    return EfficientSize(tokens, *ends)


def growth_of_corpus(factor: float, beta: float) -> tuple[float, float]:
    """How many times larger a corpus must be for an efficient model `factor` times larger: factor^(1/γ), both ends.

    Raises `ValueError` for a factor that is not above 0, and for β from 1/2 on, where the lower end of γ is not.
    """
    if not factor > 0:
        raise ValueError(f"factor: above 0, got {factor:g}")
    gamma = efficient_exponent(beta)
    if gamma.low <= 0:
        raise ValueError(f"beta: below 1/2, where the lower end of the exponent is above 0, got {beta:g}")
    least, most = sorted((factor ** (1 / gamma.high), factor ** (1 / gamma.low)))
    return least, most
