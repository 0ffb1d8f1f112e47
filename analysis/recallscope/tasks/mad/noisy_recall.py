"""Noisy recall of MAD: in-context recall with pairs of noise in between."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import ClassVar

from recallscope.tasks._source import Source
from recallscope.tasks.mad.in_context_recall import check_pairs, expected_asked, recall_examples
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class MadNoisyRecall(Task):
    """`MadRecall` in which some pairs are two tokens of noise (Poli et al. 2024, arXiv 2403.17844).

    With N ids of noise, keys are the ids 0 .. (V - N)/2 - 1, values the next (V - N)/2, and noise V - N .. V - 1. Every
    pair but the last is noise with probability `noise`, independently, save one whose place is uniform; the two tokens
    are uniform on the noise ids. The remaining pairs are those of `MadRecall`; noise is neither asked nor an answer.

    In the authors' code the pair that is never noise may be the last one, which is none anyway, so that all others can
    be noise and the code fails; here it is one of the others.

    Attributes
    ----------
    vocabulary, length : int
        V (noise included; V - N even, at least 4) and T (even, at least 4).
    noise_vocabulary : int
        N, at least 1.
    noise : float
        At least 0 and below 1.
    trained_on_all : bool
        True: the authors train on every next token of the input, noise included, and score the asked ones alone.
    """

    vocabulary: int = 32
    length: int = 128
    noise_vocabulary: int = 16
    noise: float = 0.2

    trained_on_all: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_pairs(self.length)
        check(self.noise_vocabulary >= 1, "noise_vocabulary", "at least 1", self.noise_vocabulary)
        left = self.vocabulary - self.noise_vocabulary
        rule = f"noise_vocabulary = {self.noise_vocabulary} and an even number of at least 4"
        check(left % 2 == 0 and left >= 4, "vocabulary", rule, self.vocabulary)
        check(0 <= self.noise < 1, "noise", "at least 0 and below 1", self.noise)

    def draw(self, source: Source, examples: int) -> Examples:
        half, stated = (self.vocabulary - self.noise_vocabulary) // 2, self.length // 2 - 1
        keys = source.integers(examples, stated, half)
        noise = source.uniform(examples, stated) <= self.noise
        noise.scatter_(1, source.integers(examples, 1, stated).long(), False)
        return recall_examples(source, keys.masked_fill_(noise, half), half, self.vocabulary)

    def chance(self) -> float:
        """2 / (V - N): an asked value is uniform on the values, whatever the keys are."""
        return 2 / (self.vocabulary - self.noise_vocabulary)

    def demand_bits(self) -> float:
        """As in `MadRecall`, the mean over the number of pairs left: 1 + Binomial(T/2 - 2, 1 - noise), and the last."""
        from scipy.stats import binom

        half, others = (self.vocabulary - self.noise_vocabulary) // 2, self.length // 2 - 2
        weights = binom.pmf(range(others + 1), others, 1 - self.noise)
        return log2(half) * float(weights @ expected_asked(half, others + 1))
