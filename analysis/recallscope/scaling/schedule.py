"""Runs whose model grows or is pruned: average parameters, exact FLOPs, and the schedule of the pruning.

Jin et al., *The Journey Matters* (ICLR 2025, arXiv 2501.12486): Chinchilla's law fits dense and sparse pre-training
alike once N is the average parameter count over pre-training. That is the abstract; the printed equation and its
coefficients were not read, and that the average is over tokens is our reading: N̄ = (1/D) ∫ N(t) dt with N(t) the
parameters that are not zero, so that training takes 6 ∫ N dt = 6 N̄ D FLOPs. At equal compute and data N̄, and with it
the predicted loss, is equal, while inference pays for the last size alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from numbers import Rational

from recallscope.scaling.allocation import TRAINING

Number = float | Fraction


@dataclass(frozen=True)
class AverageParameters:
    """A run as the law sees it: `average` parameters and `tokens`, exact; `training_flops` = 6 · average · tokens;
    `final` parameters, which inference pays for."""

    average: Fraction
    tokens: Fraction
    training_flops: Fraction
    final: Fraction


def average_parameters(tokens: Sequence[Number], parameters: Sequence[Number]) -> AverageParameters:
    """Average over tokens of a parameter count that is linear between `parameters[i]` at `tokens[i]`.

    `tokens` are cumulated, from 0 at the first and never falling; the same number twice is a jump, as when a model
    grows at one moment: `tokens = [0, 1e9, 1e9, 3e9]`, `parameters = [1e8, 1e8, 2e8, 2e8]`. Exact for whole numbers and
    fractions (and floats, each for the number that it is). Raises `ValueError` for unequal lengths, fewer than two
    points, tokens that fall or do not begin at 0, and parameters that are not above 0.
    """
    if len(tokens) != len(parameters) or len(tokens) < 2:
        raise ValueError(
            f"tokens, parameters: equally many points, at least 2, got {len(tokens)} and {len(parameters)}"
        )
    t = [_exact("tokens", value) for value in tokens]
    n = [_exact("parameters", value) for value in parameters]
    if t[0] != 0 or any(later < earlier for earlier, later in pairwise(t)) or t[-1] == 0:
        raise ValueError(f"tokens: from 0, never falling, above 0 at the end, got {', '.join(map(str, tokens))}")
    if any(value <= 0 for value in n):
        raise ValueError(f"parameters: above 0, got {min(parameters)}")
    pieces = zip(pairwise(t), pairwise(n), strict=True)
    area = sum(((end - start) * (first + last) / 2 for (start, end), (first, last) in pieces), Fraction(0))
    return AverageParameters(area / t[-1], t[-1], TRAINING * area, n[-1])


def pruned_run(
    dense: Number, final: Number, tokens: Number, *, begin: Number = 0.25, end: Number = 0.75
) -> tuple[list[Fraction], list[Fraction]]:
    """Points of a run that goes linearly from `dense` to `final` parameters between two shares of its compute.

    `tokens` in all; the points are for `average_parameters`. The defaults, pruning from 25 % to 75 % of the training
    compute, are what the paper found near the best of 80 schedules (abstract). With N₀ and N₁ the three phases take
    begin·C/N₀, (end - begin)·2C/(N₀ + N₁) and (1 - end)·C/N₁ tokens, C in parameters times tokens. Raises `ValueError`
    for shares out of order and for sizes or tokens that are not above 0.
    """
    sizes = {"dense": dense, "final": final, "tokens": tokens}
    for name, value in sizes.items():
        if not value > 0:
            raise ValueError(f"{name}: above 0, got {value:g}")
    if not 0 <= begin <= end <= 1:
        raise ValueError(f"begin, end: shares of the compute in order, got {begin:g} and {end:g}")
    first, last, total, start, stop = (
        _exact(name, value) for name, value in (*sizes.items(), ("begin", begin), ("end", end))
    )
    phases = [start / first, (stop - start) * 2 / (first + last), (1 - stop) / last]
    compute = total / sum(phases)
    return [Fraction(0), phases[0] * compute, (phases[0] + phases[1]) * compute, total], [first, first, last, last]


def _exact(name: str, value: Number) -> Fraction:
    try:
        return Fraction(value) if isinstance(value, Rational) else Fraction(float(value))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: finite numbers, got {value!r}") from None
