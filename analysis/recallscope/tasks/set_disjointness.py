"""Set disjointness, the task of Just Read Twice: which token do two sets share?"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb, log2

import torch

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.task import Examples, Task, check

MASK, PREFIX, SEPARATOR, ANSWER = range(4)
_SPECIAL = 4

# fmt: off
TRAIN_SIZES = (
    (4, 16), (16, 4), (8, 32), (32, 8), (64, 16), (16, 64),
    (4, 128), (128, 4), (16, 256), (256, 16), (4, 256), (256, 4),
)
"""(|A|, |B|) of the paper's training data, 20,000 examples each (Appendix B.1)."""

TEST_SIZES = (
    (1, 32), (32, 1), (4, 32), (32, 4), (4, 128), (128, 4), (16, 256), (256, 16), (4, 256), (256, 4),
    (16, 512), (512, 16), (4, 512), (512, 4), (8, 768), (768, 8), (16, 768), (768, 16), (4, 768), (768, 4),
)
"""(|A|, |B|) of the paper's test data, 1,000 examples each (Appendix B.1)."""
# fmt: on


@dataclass(frozen=True)
class SetDisjointness(Task):
    """Two sets with one token in common: which? (Arora et al. 2024, arXiv 2407.05483, Appendix B.1, Algorithm 1.)

    `[prefix] A [separator] B [answer]`: A and B are sets of distinct ids in random order, and exactly one id stands in
    both. The model is asked at `[answer]`; the common id itself is not in the input after it. The special ids are 0
    (mask, not used here), 1 (prefix), 2 (separator) and 3 (answer).

    B is drawn without ids of A; then a uniform token of A replaces a uniform token of B. What the sets are drawn from
    is told differently in two places:

    - the authors' code (the default) shuffles the ids 4 .. V - 1 afresh for every example and cuts them in two: A comes
      from one part, B from the other. A and the first draw of B are then |A| + |B| distinct ids, every sequence equally
      likely, and so they are drawn here. (The code's cut at V/2 also asks for |A| ≤ V/2 and |B| ≤ V/2 - 4.)
    - the paper (`fixed_halves`) has A from the first half of the vocabulary (4 .. V/2 - 1) and B from the second
      (V/2 .. V - 1), in every example. The answer is then the one token of B below V/2: it can be told without A.

    Attributes
    ----------
    vocabulary : int
        V, even, at least 10.
    length : int
        T = |A| + |B| + 3.
    first, second : int
        |A| and |B|, at least 1; together at most V - 4, with `fixed_halves` at most V/2 - 4 and V/2.
    fixed_halves : bool
        True: the halves of the paper; False: those of its code.
    """

    vocabulary: int = 2048
    length: int = field(init=False)
    first: int = 16
    second: int = 256
    fixed_halves: bool = False

    def __post_init__(self) -> None:
        check(self.vocabulary % 2 == 0 and self.vocabulary >= 10, "vocabulary", "even, at least 10", self.vocabulary)
        most = self.vocabulary // 2 - _SPECIAL if self.fixed_halves else self.vocabulary - _SPECIAL - 1
        check(1 <= self.first <= most, "first", f"1 to {most} with vocabulary {self.vocabulary}", self.first)
        most = self.vocabulary // 2 if self.fixed_halves else self.vocabulary - _SPECIAL - self.first
        rule = f"1 to {most} with vocabulary {self.vocabulary} and first {self.first}"
        check(1 <= self.second <= most, "second", rule, self.second)
        object.__setattr__(self, "length", self.first + self.second + 3)

    @property
    def prefix(self) -> int:
        """How many leading tokens a model may read without a causal mask: all T, since the answer is not among them.

        So the authors' non-causal models read: whole input, `[answer]` included, with sums in place of cumulative sums.
        """
        return self.length

    def draw(self, source: Source, examples: int) -> Examples:
        half, dtype = self.vocabulary // 2, narrow(max(self.vocabulary, self.length))
        if self.fixed_halves:
            a = source.distinct(examples, self.first, half - _SPECIAL) + _SPECIAL
            b = source.distinct(examples, self.second, half) + half
        else:
            both = source.distinct(examples, self.first + self.second, self.vocabulary - _SPECIAL) + _SPECIAL
            a, b = both[:, : self.first], both[:, self.first :]
        common = a.gather(1, source.integers(examples, 1, self.first).long())
        place = source.integers(examples, 1, self.second).long() + self.first + 2
        inputs = torch.empty(examples, self.length, dtype=dtype, device=source.device)
        inputs[:, 0], inputs[:, self.first + 1], inputs[:, -1] = PREFIX, SEPARATOR, ANSWER
        inputs[:, 1 : self.first + 1] = a
        inputs[:, self.first + 2 : -1] = b
        answers = common.to(dtype)
        inputs.scatter_(1, place, answers)
        return Examples(inputs, torch.full_like(answers, self.length - 1), answers)

    def chance(self) -> float:
        """1 / min(|A|, |B|): some token of the smaller set, without comparing the sets.

        (One of V - 4 without looking at the context. With `fixed_halves` a look at B alone gives the answer away.)
        """
        return 1 / min(self.first, self.second)

    def demand_bits(self) -> float:
        """What a model that is always right holds of A at the separator, read in order: n = V - 4, log2 of C(n, |A|).

        Not the entropy of the one answer given B, log2 |B|: A is over before it is known which B comes, and the state
        has to serve every one. Two sets A and A' need different states if some B asks for an id of A alone and, read
        with A', for an id of A' alone; there is one when |B| ≥ 2 and s = |A without A'| ≤ n - |A| - |B| + 2.

        - |B| = 1 or `fixed_halves`: 0, exact. B gives the answer.
        - n ≥ 2|A| + |B| - 2 (all the paper's sizes) or |B| = 2: log2 C(n, |A|), exact. Any two sets need different
          states, all sets are equally likely, and the set (its order does not matter) is enough.
        - Else a lower bound: log2 C(max(|A|, n - |A|) + r, r) with r = n - |A| - |B| + 2. It is the entropy of A for
          who knows all but r of its tokens, or |A| + r ids that it is among; sets that agree so far need different
          states.

        It says nothing about models that may be wrong now and then, where the paper's bounds of order |A| or |B| hold,
        or about those that read twice or without a causal mask: for these the smaller set is enough (Theorem G.15).
        """
        if self.fixed_halves or self.second == 1:
            return 0.0
        ids = self.vocabulary - _SPECIAL
        unlike = min(self.first, ids - self.first, ids - self.first - self.second + 2)
        return log2(comb(max(self.first, ids - self.first) + unlike, unlike))
