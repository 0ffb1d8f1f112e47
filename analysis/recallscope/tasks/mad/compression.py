"""Compression of MAD: the whole input from the output at its last token."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import torch

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class MadCompression(Task):
    """T - 1 random tokens and a compression token; all T must be decoded from the output at the last position.

    Poli et al. 2024 (arXiv 2403.17844), as the authors' code draws it: the tokens are uniform on 0 .. V - 2, the
    compression token is V - 1 and is decoded too. Slot i of the answers is token i. All slots are asked at T - 1, of
    a decoder that is told the slot (`recallscope.training.members.decompression`).

    Attributes
    ----------
    vocabulary, length : int
        V and T (at least 2 each).
    """

    vocabulary: int = 16
    length: int = 32

    def __post_init__(self) -> None:
        check(self.vocabulary >= 2, "vocabulary", "at least 2 (a token, the compression token)", self.vocabulary)
        check(self.length >= 2, "length", "at least 2 (a token, the compression token)", self.length)

    def draw(self, source: Source, examples: int) -> Examples:
        dtype = narrow(max(self.vocabulary, self.length))
        tokens = source.tokens(examples, self.length - 1, self.vocabulary - 1).to(dtype)
        inputs = torch.nn.functional.pad(tokens, (0, 1), value=self.vocabulary - 1)
        return Examples(inputs, torch.full_like(inputs, self.length - 1), inputs)

    def chance(self) -> float:
        """((T - 1) / (V - 1) + 1) / T: uniform tokens, and one that is always the same."""
        return ((self.length - 1) / (self.vocabulary - 1) + 1) / self.length

    def demand_bits(self) -> float:
        """(T - 1) log2(V - 1): the tokens are uniform and independent. What the one vector must hold."""
        return (self.length - 1) * log2(self.vocabulary - 1)
