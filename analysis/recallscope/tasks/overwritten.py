"""Recall of keys that are stated more than once: the latest value counts, the earlier ones must be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import torch
from torch import Tensor

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.mqar import falling_bits, slot_weights
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class OverwrittenRecall(Task):
    """MQAR (Arora et al. 2023, arXiv 2312.04927) with w statements of each key: what was its latest value?

    Keys are D distinct ids of 1 .. V/2 - 1, values w D distinct ids of V/2 .. V - 1, afresh for every example. The w
    D statements `k v` stand in a uniformly random order; for each key the last one counts. After them lie S = (T - 2
    w D) / 2 slots of two tokens, drawn as in MQAR: slot g (from 0) with probability proportional to (g + 1)^(power -
    1), D slots one after another without replacement, one for each key. The key stands in the first token of its
    slot, and the model is asked there. All else is filler. (MQAR with one pass is w = 1, but for the order: there the
    key stated first tends to be asked first, here the order of statements tells nothing about the slots.)

    Between the last statement of a key and the end of all statements lie g other statements, g = 0 .. w D - w, with
    probability C(w D - 1 - g, w - 1) / C(w D, w); `ages` gives g for every question.

    Attributes
    ----------
    vocabulary, length : int
        V (even) and T (even).
    pairs : int
        D, at most V/2 - 1.
    writes : int
        w; 2 D (w + 1) ≤ T, w D ≤ V/2.
    power : float
        0.01 puts questions near the statements, 1 spreads them evenly.
    random_filler : bool
        True: filler is uniform on all ids, keys and values included; False: id 0.
    """

    vocabulary: int = 8192
    length: int = 64
    pairs: int = 4
    writes: int = 2
    power: float = 0.01
    random_filler: bool = True

    def __post_init__(self) -> None:
        check(self.vocabulary % 2 == 0 and self.vocabulary >= 4, "vocabulary", "even, at least 4", self.vocabulary)
        check(self.length % 2 == 0, "length", "even", self.length)
        check(self.writes >= 1, "writes", "at least 1", self.writes)
        check(self.power > 0, "power", "above 0", self.power)
        half = self.vocabulary // 2
        most = min(half - 1, half // self.writes, self.length // (2 * (self.writes + 1)))
        rule = f"1 to {most} fit vocabulary {self.vocabulary} and length {self.length} with {self.writes} writes"
        check(1 <= self.pairs <= most, "pairs", rule, self.pairs)

    def draw(self, source: Source, examples: int) -> Examples:
        half, statements = self.vocabulary // 2, self.pairs * self.writes
        stated = 2 * statements
        dtype = narrow(max(self.vocabulary, self.length))
        if self.random_filler:
            inputs = source.tokens(examples, self.length, self.vocabulary).to(dtype)
        else:
            inputs = torch.zeros(examples, self.length, dtype=dtype, device=source.device)
        keys = source.distinct(examples, self.pairs, half - 1).to(dtype) + 1
        values = source.distinct(examples, statements, half).to(dtype) + half
        place = source.permutations(examples, statements).long()  # of statement i, which is about key i % D
        inputs[:, 1:stated:2] = values
        inputs.scatter_(1, 2 * place, keys.repeat(1, self.writes))
        last = place.view(examples, self.writes, self.pairs).amax(1)
        slots = source.successive(examples, self.pairs, slot_weights((self.length - stated) // 2, self.power))
        positions = slots.long().mul_(2).add_(stated)
        inputs.scatter_(1, positions, keys)
        return Examples(inputs, positions.to(dtype), values.gather(1, last))

    def ages(self, examples: Examples) -> Tensor:
        """`[examples, D]`: how many other statements follow the last statement of the asked key, int64."""
        values = examples.inputs[:, 1 : 2 * self.pairs * self.writes : 2]
        place = (values[:, :, None] == examples.answers[:, None, :]).int().argmax(1)
        return values.shape[1] - 1 - place

    def age_probabilities(self) -> list[float]:
        """Of each age from 0 to w D - w: C(w D - 1 - g, w - 1) / C(w D, w)."""
        statements, writes = self.pairs * self.writes, self.writes
        ways = comb(statements, writes)
        return [comb(statements - 1 - age, writes - 1) / ways for age in range(statements - writes + 1)]

    def chance(self) -> float:
        """1 / D: a value that holds, the last one stated for example, without knowing whose.

        Any stated value, each alike, is right in 1 / (w D) of the questions. Any value of the asked key, as of a memory
        that keeps all of them without their order, is right in 1 / w; the key's first value never, for w > 1. (One of
        V/2 without looking at the context.)
        """
        return 1 / self.pairs

    def demand_bits(self) -> float:
        """log2 of (V/2)! / (V/2 - D)!, as for D pairs stated once: what was overwritten need not be kept."""
        return falling_bits(self.vocabulary // 2, self.pairs)
