"""In-context recall of MAD: key-value pairs without end; what was the value of a key that came before?"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.task import NO_ANSWER, Examples, Task, check


@dataclass(frozen=True)
class MadRecall(Task):
    """Pairs of a key and its value; whenever a key comes back, its value is asked (Poli et al. 2024, arXiv 2403.17844).

    As the authors' code draws the multi-query form. Keys are the ids 0 .. V/2 - 1, values V/2 .. V - 1. Every example
    has its own map: each key's value is uniform, independent of the others (so two keys may share one). The input is
    T/2 pairs `key value`. All keys but the last are uniform and independent; the last is uniform on the different keys
    before it. The model is asked at each key that came before, the last included; the answer is the next token.

    The last token (a value) is only ever a target. The authors cut it off, so that their models read T - 1 tokens.

    Attributes
    ----------
    vocabulary, length : int
        V (even, at least 4) and T (even, at least 4).
    trained_on_all : bool
        True: the authors train on every next token of the input, and score the asked ones alone.
    """

    vocabulary: int = 16
    length: int = 128

    trained_on_all: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self.vocabulary % 2 == 0 and self.vocabulary >= 4, "vocabulary", "even, at least 4", self.vocabulary)
        check_pairs(self.length)

    def draw(self, source: Source, examples: int) -> Examples:
        keys = source.integers(examples, self.length // 2 - 1, self.vocabulary // 2)
        return recall_examples(source, keys, self.vocabulary // 2, self.vocabulary)

    def chance(self) -> float:
        """2 / V: an asked value is uniform on the V/2 values, whatever the keys are."""
        return 2 / self.vocabulary

    def demand_bits(self) -> float:
        """log2(V/2) for each key that is asked, times their expected number (`expected_asked`)."""
        half = self.vocabulary // 2
        return log2(half) * float(expected_asked(half, self.length // 2 - 1)[-1])


def check_pairs(length: int) -> None:
    check(length % 2 == 0 and length >= 4, "length", "even, at least 4 (two pairs)", length)


def recall_examples(source: Source, keys: Tensor, half: int, vocabulary: int) -> Examples:
    """Examples from the keys `[examples, T/2 - 1]` of all pairs but the last; key `half` stands for a pair of noise.

    Noise is uniform on the ids from 2 half.
    """
    rows, stated = keys.shape
    dtype = narrow(max(vocabulary, 2 * stated + 2))
    seen = torch.zeros(rows, half + 1, dtype=torch.bool, device=keys.device).scatter_(1, keys.long(), True)[:, :half]
    last = (source.uniform(rows, half) * seen).argmax(1, keepdim=True)
    keys = torch.cat([keys, last.to(keys.dtype)], 1)
    # the map has a column for noise, so that no index falls outside
    values = source.integers(rows, half + 1, half).add_(half).to(dtype).gather(1, keys.long())
    inputs = torch.stack([keys.to(dtype), values], 2)
    asked = first_seen(keys, half + 1) < torch.arange(stated + 1, device=keys.device)
    if vocabulary > 2 * half:
        noise = keys == half
        fill = source.tokens(rows, 2 * stated + 2, vocabulary - 2 * half).to(dtype).add_(2 * half)
        inputs = torch.where(noise[:, :, None], fill.view_as(inputs), inputs)
        asked &= ~noise
    columns = torch.arange(0, 2 * stated + 2, 2, dtype=dtype, device=keys.device)
    positions, answers = columns * asked, values.masked_fill(~asked, NO_ANSWER)
    return Examples(inputs.view(rows, -1), positions[:, 1:], answers[:, 1:])


def first_seen(codes: Tensor, count: int) -> Tensor:
    """For `[rows, n]` integers below `count`, the index of the first equal one in the row, int64."""
    index = codes.long()
    columns = torch.arange(codes.shape[1], device=codes.device).expand_as(index)
    table = columns.new_full((len(codes), count), codes.shape[1])
    return table.scatter_reduce_(1, index, columns, "amin").gather(1, index)


def expected_asked(keys: int, most: int) -> np.ndarray:
    """`[most]`: expected number of different keys that are asked after 1 .. `most` pairs and the last one.

    Of `n` uniform keys, H (1 - (1 - 1/H)^n - n/H (1 - 1/H)^(n - 1)) come at least twice. The last key adds one when it
    came exactly once: with probability E[S/D], S keys that came once of D that came at all. By symmetry this is
    n (1 - 1/H)^(n - 1) E[1 / (1 + D')], D' the number of different ones among n - 1 uniform keys of H - 1.
    """
    n = np.arange(1, most + 1)
    once = n * (1 - 1 / keys) ** (n - 1)
    twice = keys * (1 - (1 - 1 / keys) ** n) - once
    taken = np.arange(keys)  # D' of H - 1 keys, one draw more in every step
    probability = (taken == 0).astype(float)
    inverse = np.empty(most)
    for i in range(most):
        inverse[i] = probability @ (1 / (1 + taken))
        again = probability * taken
        again[1:] += probability[:-1] * (keys - taken[1:])
        probability = again / (keys - 1)
    return twice + once * inverse
