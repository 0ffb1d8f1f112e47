"""Recall in a stream of statements and questions: how well is a value known that was stated so many statements ago?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recallscope.tasks._source import Source, _sorted, narrow
from recallscope.tasks.mqar import falling_bits
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class StreamRecall(Task):
    """D keys, each stated once; then rounds of one new statement and one question. The latest value counts.

    Associative recall (Arora et al. 2023, arXiv 2312.04927) at a load that stays the same for as long as one likes:
    at every question D values hold. Keys are D distinct ids of 1 .. V/2 - 1, values distinct ids of V/2 .. V - 1,
    afresh for every example. After `k_1 v_1 ... k_D v_D` come R = (T - 2 D) / 4 rounds `k v q 0`: k and q are uniform
    on the D keys, v is a new value, and the model is asked at q for the latest value of q. Id 0 stands where a
    statement has its value. A form of our own; `OverwrittenRecall` has all statements first.

    Between the latest statement of q and question r = 1 .. R lie g other statements, with probability
    (1/D) (1 - 1/D)^min(g, r), g = 0 .. r + D - 1: recall against `ages` is the forgetting curve of a model.

    Attributes
    ----------
    vocabulary, length : int
        V (even) and T; T - 2 D is a multiple of 4, above 0.
    pairs : int
        D, at most V/2 - 1; D + R ≤ V/2.
    """

    vocabulary: int = 8192
    length: int = 64
    pairs: int = 8

    def __post_init__(self) -> None:
        check(self.vocabulary % 2 == 0 and self.vocabulary >= 4, "vocabulary", "even, at least 4", self.vocabulary)
        half = self.vocabulary // 2
        check(1 <= self.pairs < half, "pairs", f"1 to {half - 1} for vocabulary {self.vocabulary}", self.pairs)
        rounds = range(1, half - self.pairs + 1)
        fit = range(2 * self.pairs + 4, 2 * self.pairs + 4 * len(rounds) + 1, 4)
        rule = f"{fit[0]} to {fit[-1]} in steps of 4 for {self.pairs} pairs and vocabulary {self.vocabulary}"
        check(self.length in fit, "length", rule, self.length)

    @property
    def rounds(self) -> int:
        """R."""
        return (self.length - 2 * self.pairs) // 4

    def draw(self, source: Source, examples: int) -> Examples:
        half, count, rounds = self.vocabulary // 2, self.pairs, self.rounds
        statements = count + rounds
        dtype = narrow(max(self.vocabulary, self.length))
        keys = source.distinct(examples, count, half - 1).to(dtype) + 1
        values = source.distinct(examples, statements, half).to(dtype) + half
        first = torch.arange(count, dtype=torch.int32, device=source.device).expand(examples, -1)
        whose = torch.cat([first, source.integers(examples, rounds, count)], 1)
        asked = source.integers(examples, rounds, count)
        time = torch.arange(statements, dtype=torch.int32, device=source.device)
        ordered = _sorted(whose * statements + time)  # by key, then by time: the latest before a question
        latest = torch.searchsorted(ordered, asked * statements + time[count:], right=True) - 1
        answers = values.gather(1, ordered.gather(1, latest).long() % statements)
        inputs = torch.zeros(examples, self.length, dtype=dtype, device=source.device)
        stated = keys.gather(1, whose.long())
        inputs[:, 0 : 2 * count : 2], inputs[:, 1 : 2 * count : 2] = stated[:, :count], values[:, :count]
        turns = inputs[:, 2 * count :].view(examples, rounds, 4)
        turns[..., 0], turns[..., 1], turns[..., 2] = stated[:, count:], values[:, count:], keys.gather(1, asked.long())
        positions = torch.arange(2 * count + 2, self.length, 4, dtype=dtype, device=source.device)
        return Examples(inputs, positions.repeat(examples, 1), answers)

    def ages(self, examples: Examples) -> Tensor:
        """`[examples, R]`: how many other statements lie between the latest statement of q and the question, int64."""
        told = examples.inputs[:, 1 : 2 * self.pairs : 2]
        later = examples.inputs[:, 2 * self.pairs + 1 :: 4]
        values = torch.cat([told, later], 1)
        place = (values[:, :, None] == examples.answers[:, None, :]).int().argmax(1)
        return torch.arange(self.pairs, values.shape[1], device=place.device) - place

    def chance(self) -> float:
        """1 / D: a value that holds, the last one stated for example, without knowing whose."""
        return 1 / self.pairs

    def demand_bits(self) -> float:
        """log2 of (V/2)! / (V/2 - D)!: the D values that hold at a question, as any key may be asked.

        Any ordered choice is as likely as another. (The answers of one example have another entropy: not every value is
        asked before it is overwritten, and some are asked twice.)
        """
        return falling_bits(self.vocabulary // 2, self.pairs)
