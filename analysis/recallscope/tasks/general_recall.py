"""General associative recall: a stream of keys, values and questions, some of them about keys never stated."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, fsum, log2

import torch

from recallscope.tasks._source import Source, _sorted, narrow
from recallscope.tasks.mqar import falling_bits
from recallscope.tasks.task import Examples, Task, check

_BITS = 30  # random bits of a number below a bound of its own: off its probability by less than bound / 2^30 of it


@dataclass(frozen=True)
class GeneralRecall(Task):
    """Triples (k_i, v_i, q_i): for each i ≥ 1, is there a j < i with k_j = q_i, and if so, what is v_j?

    The form of multi-query associative recall that the theory of Zoology, Based and JRT is about (Arora et al. 2024,
    arXiv 2407.05483, Appendix G.1.2): `k_0 v_0 q_0 k_1 v_1 q_1 ...`, N = T / 3 triples. The theory leaves the
    distribution open; here, afresh for every example, keys are N distinct ids of 1 .. V/2 - 1 and values N distinct
    ids of V/2 .. V - 1. For each i by itself: with probability `present`, q_i is the key of a uniformly drawn earlier
    triple and the answer its value; otherwise q_i is uniform on the key ids that are not among k_0 .. k_i (it may be
    stated later), and the answer is id 0, which occurs nowhere else. The model is asked at q_1 .. q_{N-1}; q_0, which
    could only be absent, is there but not asked.

    So no key is stated twice (see `OverwrittenRecall`), and q_i is never k_i, about which j < i and a reader of the
    stream would disagree.

    Attributes
    ----------
    vocabulary, length : int
        V (even) and T = 3 N, N at least 2; N + 1 ≤ V/2 - 1.
    present : float
        Probability that the key of a question was stated before it.
    """

    vocabulary: int = 8192
    length: int = 96
    present: float = 0.5

    def __post_init__(self) -> None:
        rule = "even, at least 8"
        check(self.vocabulary % 2 == 0 and self.vocabulary >= 8, "vocabulary", rule, self.vocabulary)
        most = 3 * (self.vocabulary // 2 - 2)
        rule = f"a multiple of 3 from 6 to {most} for vocabulary {self.vocabulary}"
        check(self.length % 3 == 0 and 6 <= self.length <= most, "length", rule, self.length)
        check(0 <= self.present <= 1, "present", "0 to 1", self.present)

    def draw(self, source: Source, examples: int) -> Examples:
        half, count = self.vocabulary // 2, self.length // 3
        dtype = narrow(max(self.vocabulary, self.length))
        keys = source.distinct(examples, count, half - 1)
        values = source.distinct(examples, count, half).to(dtype) + half
        i = torch.arange(count, device=source.device)
        known = source.uniform(examples, count) <= self.present
        known[:, 0] = False
        bits = source.integers(examples, count, 2**_BITS).long()
        earlier = (bits * i) >> _BITS
        other = i + 1 + ((bits * (half - 2 - i)) >> _BITS)  # below N a later key, from N on a key that is never stated
        stated = known | (other < count)
        asked = keys.gather(1, torch.where(known, earlier, other.clamp(max=count - 1)))
        rank = (other - count).clamp(min=0).int()
        gaps = _sorted(keys.clone()) - i.int()  # key ids left out below each key
        free = rank + torch.searchsorted(gaps, rank, right=True, out_int32=True)
        asked = torch.where(stated, asked, free)
        inputs = torch.stack([(keys + 1).to(dtype), values, (asked + 1).to(dtype)], 2).flatten(1)
        answers = values.gather(1, earlier).masked_fill(~known, 0)[:, 1:]
        return Examples(inputs, (3 * i + 2)[1:].to(dtype).repeat(examples, 1), answers)

    def chance(self) -> float:
        """Mean over i = 1 .. N - 1 of max(1 - present, present / i): always "absent", or some value stated before."""
        pairs = range(1, self.length // 3)
        return fsum(max(1 - self.present, self.present / i) for i in pairs) / len(pairs)

    def demand_bits(self) -> float:
        """Entropy of the answers to all questions that may come next, after N - 1 triples.

        With 0 < present < 1 any key id may be asked. Which N - 1 of the V/2 - 1 are stated counts as well as their
        values: log2 of C(V/2 - 1, N - 1) (V/2)! / (V/2 - N + 1)!. With present = 1 only stated keys are asked, and only
        their values must be held: log2 of (V/2)! / (V/2 - N + 1)!. With present = 0 nothing must. (The answers of one
        example have less entropy: few of the questions that may come do come.)
        """
        half, pairs = self.vocabulary // 2, self.length // 3 - 1
        if self.present == 0:
            return 0.0
        which = log2(comb(half - 1, pairs)) if self.present < 1 else 0.0
        return which + falling_bits(half, pairs)
