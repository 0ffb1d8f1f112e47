"""Multi-query associative recall (MQAR), the task of Zoology, Based and most papers since."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import fsum, log2

import torch
from torch import Tensor

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class MQAR(Task):
    """Key-value pairs, then each key once more: what was its value? (Arora et al. 2023, arXiv 2312.04927, Section 3.)

    As the authors' code draws it. Keys are D distinct ids of 1 .. V/2 - 1, values D distinct ids of V/2 .. V - 1,
    afresh for every example: `k_1 v_1 ... k_D v_D`, `passes` times over. After them lie S = (T - 2 D passes) / 2 slots
    of two tokens. Slot g (from 0) is drawn with probability proportional to (g + 1)^(power - 1), D slots one after
    another without replacement, the j-th for key j. The key stands in the first token of its slot, and the model is
    asked there; the answer itself is not in the input. All else is filler.

    Attributes
    ----------
    vocabulary, length : int
        V (even) and T (even).
    pairs : int
        D; 2 D (passes + 1) ≤ T, D ≤ V/2 - 1.
    power : float
        a: 0.01 puts questions near the pairs (about 1/(g + 1)), 1 spreads them evenly.
    passes : int
        How often the pairs are stated (twice: the repetition of JRT-Prompt). The authors' code fails for more than one.
    random_filler : bool
        True: filler is uniform on all ids, keys and values included (Based's setting); False: id 0 (Zoology's).
    """

    vocabulary: int = 8192
    length: int = 64
    pairs: int = 4
    power: float = 0.01
    passes: int = 1
    random_filler: bool = True

    def __post_init__(self) -> None:
        check(self.vocabulary % 2 == 0 and self.vocabulary >= 4, "vocabulary", "even, at least 4", self.vocabulary)
        check(self.length % 2 == 0, "length", "even", self.length)
        check(self.passes >= 1, "passes", "at least 1", self.passes)
        check(self.power > 0, "power", "above 0", self.power)
        most = min(self.vocabulary // 2 - 1, self.length // (2 * (self.passes + 1)))
        rule = f"1 to {most} fit vocabulary {self.vocabulary} and length {self.length} with {self.passes} passes"
        check(1 <= self.pairs <= most, "pairs", rule, self.pairs)

    def draw(self, source: Source, examples: int) -> Examples:
        half, stated = self.vocabulary // 2, 2 * self.pairs * self.passes
        dtype = narrow(max(self.vocabulary, self.length))
        if self.random_filler:
            inputs = source.tokens(examples, self.length, self.vocabulary).to(dtype)
        else:
            inputs = torch.zeros(examples, self.length, dtype=dtype, device=source.device)
        keys = source.distinct_tokens(examples, self.pairs, half, first=1).to(dtype)
        values = source.distinct_tokens(examples, self.pairs, half).to(dtype).add_(half)
        slots = source.successive(examples, self.pairs, slot_weights((self.length - stated) // 2, self.power))
        for start in range(0, stated, 2 * self.pairs):
            inputs[:, start : start + 2 * self.pairs : 2] = keys
            inputs[:, start + 1 : start + 2 * self.pairs : 2] = values
        positions = slots.mul_(2).add_(stated)
        inputs.scatter_(1, positions.long(), keys)
        return Examples(inputs, positions.to(dtype), values)

    def chance(self) -> float:
        """1 / D: some value that was stated, without knowing whose. (One of V/2 without looking at the context.)"""
        return 1 / self.pairs

    def demand_bits(self) -> float:
        """log2 of (V/2)! / (V/2 - D)!: any ordered choice of D distinct values is as likely as another."""
        return falling_bits(self.vocabulary // 2, self.pairs)


@cache
def slot_weights(slots: int, power: float) -> Tensor:
    """`[slots]` probability of each slot for the first draw: proportional to (g + 1)^(power - 1), float64."""
    weights = torch.arange(1, slots + 1, dtype=torch.float64) ** (power - 1)
    return weights / weights.sum()


def falling_bits(count: int, taken: int) -> float:
    """log2 of count! / (count - taken)!, factor by factor: a difference of two log-gammas cancels for large counts."""
    return fsum(log2(count - i) for i in range(taken))
