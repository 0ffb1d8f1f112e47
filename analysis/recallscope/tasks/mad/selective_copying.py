"""Selective copying of MAD: tokens among blanks, then once more in their order."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import torch

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class MadSelectiveCopying(Task):
    """n tokens with blanks between them, a copy token, n blanks: the i-th asks for the i-th token.

    Poli et al. 2024 (arXiv 2403.17844), as the authors' code draws it. The tokens are uniform on 0 .. V - 3, with
    repetition; V - 2 is the blank, V - 1 the copy token. Each of the T - 2n - 1 blanks that are not asked goes before
    one of the n tokens, chosen uniformly and independently: so there is none between the last token and the copy token,
    and not every arrangement is equally likely. The answers are not in the input.

    The authors' code chooses the places with numpy's global generator, so that its data do not follow from its seed.

    Attributes
    ----------
    vocabulary, length : int
        V (at least 3) and T (at least 2n + 2: one blank that is not asked).
    tokens : int
        n.
    """

    vocabulary: int = 16
    length: int = 256
    tokens: int = 16

    def __post_init__(self) -> None:
        check(self.vocabulary >= 3, "vocabulary", "at least 3 (a token, the blank, the copy token)", self.vocabulary)
        check(self.length >= 4, "length", "at least 4", self.length)
        most = (self.length - 2) // 2
        check(1 <= self.tokens <= most, "tokens", f"1 to {most} fit length {self.length}", self.tokens)

    def draw(self, source: Source, examples: int) -> Examples:
        dtype = narrow(max(self.vocabulary, self.length))
        device, content = source.device, self.length - self.tokens - 1
        inputs = torch.full((examples, self.length), self.vocabulary - 2, dtype=dtype, device=device)
        inputs[:, content] = self.vocabulary - 1
        answers = source.tokens(examples, self.tokens, self.vocabulary - 2).to(dtype)
        before = source.integers(examples, content - self.tokens, self.tokens).long()
        places = torch.ones(examples, self.tokens, dtype=torch.int32, device=device)
        places.scatter_add_(1, before, torch.ones_like(before, dtype=torch.int32))
        inputs.scatter_(1, places.cumsum(1) - 1, answers)
        positions = torch.arange(content + 1, self.length, dtype=dtype, device=device).repeat(examples, 1)
        return Examples(inputs, positions, answers)

    def chance(self) -> float:
        """1 / (V - 2): the tokens are uniform."""
        return 1 / (self.vocabulary - 2)

    def demand_bits(self) -> float:
        """n log2(V - 2): the tokens are uniform and independent, and all are asked."""
        return self.tokens * log2(self.vocabulary - 2)
