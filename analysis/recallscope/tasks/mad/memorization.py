"""Memorisation of MAD: one map for all examples, to be learned into the weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class MadMemorization(Task):
    """Keys, each followed by an insert token at which its value is asked; the map is the same in all examples.

    Poli et al. 2024 (arXiv 2403.17844), as the authors' code draws it. Keys are the ids 0 .. H - 1 with H = ⌊(V -
    1)/2⌋, values H .. V - 2, the insert token V - 1. The map is one-to-one, uniform among all such maps, and decided by
    `map_seed` alone: training and test examples share it. The input is T/2 times `key insert`, keys uniform and
    independent; the answers are not in the input.

    A key is missing from n training examples with probability (1 - 1/H)^(n T/2): of the largest map of the benchmark
    (V = 8192, T = 32, n = 256) a share of 0.368 is never seen and can only be guessed.

    Attributes
    ----------
    vocabulary, length : int
        V (at least 3) and T (even, at least 2).
    map_seed : int
        Of the map, at least 0; the same map on every device.
    """

    vocabulary: int = 256
    length: int = 32
    map_seed: int = 0

    def __post_init__(self) -> None:
        check(self.vocabulary >= 3, "vocabulary", "at least 3 (a key, a value, the insert token)", self.vocabulary)
        check(self.length % 2 == 0 and self.length >= 2, "length", "even, at least 2", self.length)
        check(self.map_seed >= 0, "map_seed", "at least 0", self.map_seed)

    def values(self) -> Tensor:
        """`[H]` the value of each key."""
        keys = (self.vocabulary - 1) // 2
        # a third word: `sample` seeds its streams with one or two
        return Source((self.map_seed, 0, 1)).distinct(1, keys, self.vocabulary - 1 - keys)[0] + keys

    def draw(self, source: Source, examples: int) -> Examples:
        dtype = narrow(max(self.vocabulary, self.length))
        values = self.values().to(source.device, dtype)
        keys = source.integers(examples, self.length // 2, len(values))
        inputs = torch.full((examples, self.length), self.vocabulary - 1, dtype=dtype, device=source.device)
        inputs[:, ::2] = keys
        positions = torch.arange(1, self.length, 2, dtype=dtype, device=source.device).repeat(examples, 1)
        return Examples(inputs, positions, values[keys.long()])

    def chance(self) -> float:
        """1 / H: all keys are as likely, and no two share a value."""
        return 1 / ((self.vocabulary - 1) // 2)

    def demand_bits(self) -> float:
        """0: the key stands right before the question, and the map is in no example."""
        return 0.0
