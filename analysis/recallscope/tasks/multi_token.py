"""Associative recall where a key and a value are several tokens each, as words are for most tokenizers."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, log2

import torch

from recallscope.tasks._source import Source, narrow
from recallscope.tasks._words import distinct_words
from recallscope.tasks.mqar import slot_weights
from recallscope.tasks.task import Examples, Task, check


@dataclass(frozen=True)
class MultiTokenRecall(Task):
    """Keys of n and values of m tokens; MQAR (Arora et al. 2023, arXiv 2312.04927) is n = m = 1.

    Keys are D distinct n-tuples of ids 1 .. K, values D distinct m-tuples of ids V/2 .. V/2 + W - 1, afresh for every
    example. All pairs are stated first, the n tokens of a key and the m of its value. After them lie
    S = floor((T - D (n + m)) / (n + m)) slots of n + m tokens, drawn as in MQAR: slot g (from 0) with probability
    proportional to (g + 1)^(power - 1), D slots one after another without replacement, the j-th for key j. In its slot
    stand the n tokens of the key and the first m - 1 of the value (teacher forcing). The model is asked at the last
    token of the key and at each token of the value that follows, m times a key. All else is filler.

    With K near D^(1/n) keys share their tokens, so that no single token tells whose value is meant: the tokens of a key
    have to be bound together before the lookup. In K^n = D pairs every token stands in D / K keys at each place.
    Likewise a small W makes values share tokens, and what followed the last value token elsewhere misleads.

    Attributes
    ----------
    vocabulary, length : int
        V (even) and T.
    pairs : int
        D; 2 D (n + m) ≤ T, D ≤ K^n, D ≤ W^m.
    key_tokens, value_tokens : int
        n and m.
    key_vocabulary, value_vocabulary : int or None
        K ≤ V/2 - 1 and W ≤ V/2, W at least 2; None: the most.
    power : float
        0.01 puts questions near the pairs, 1 spreads them evenly.
    random_filler : bool
        True: filler is uniform on all ids; False: id 0.
    """

    vocabulary: int = 8192
    length: int = 128
    pairs: int = 4
    key_tokens: int = 2
    value_tokens: int = 2
    key_vocabulary: int | None = None
    value_vocabulary: int | None = None
    power: float = 0.01
    random_filler: bool = True

    def __post_init__(self) -> None:
        check(self.vocabulary % 2 == 0 and self.vocabulary >= 4, "vocabulary", "even, at least 4", self.vocabulary)
        check(self.key_tokens >= 1, "key_tokens", "at least 1", self.key_tokens)
        check(self.value_tokens >= 1, "value_tokens", "at least 1", self.value_tokens)
        check(self.power > 0, "power", "above 0", self.power)
        keys, values = self._alphabets()
        half = self.vocabulary // 2
        check(1 <= keys < half, "key_vocabulary", f"1 to {half - 1} for vocabulary {self.vocabulary}", keys)
        check(2 <= values <= half, "value_vocabulary", f"2 to {half} for vocabulary {self.vocabulary}", values)
        tokens = self.key_tokens + self.value_tokens
        most = min(self.length // (2 * tokens), keys**self.key_tokens, values**self.value_tokens)
        rule = f"1 to {most} fit length {self.length} with {tokens} tokens a pair of vocabularies {keys} and {values}"
        check(1 <= self.pairs <= most, "pairs", rule, self.pairs)

    def _alphabets(self) -> tuple[int, int]:
        half = self.vocabulary // 2
        keys = half - 1 if self.key_vocabulary is None else self.key_vocabulary
        return keys, half if self.value_vocabulary is None else self.value_vocabulary

    def draw(self, source: Source, examples: int) -> Examples:
        count, width = self.pairs, self.key_tokens + self.value_tokens
        stated = count * width
        dtype = narrow(max(self.vocabulary, self.length))
        if self.random_filler:
            inputs = source.tokens(examples, self.length, self.vocabulary).to(dtype)
        else:
            inputs = torch.zeros(examples, self.length, dtype=dtype, device=source.device)
        alphabets = self._alphabets()
        keys = distinct_words(source, examples, count, self.key_tokens, alphabets[0]) + 1
        values = distinct_words(source, examples, count, self.value_tokens, alphabets[1]) + self.vocabulary // 2
        told = torch.cat([keys, values], 2).to(dtype)
        slots = source.successive(examples, count, slot_weights((self.length - stated) // width, self.power))
        cells = (slots.long() * width + stated)[..., None] + torch.arange(width - 1, device=source.device)
        inputs[:, :stated] = told.flatten(1)
        inputs.scatter_(1, cells.flatten(1), told[..., :-1].flatten(1))
        asked = cells[..., self.key_tokens - 1 :]
        return Examples(inputs, asked.flatten(1).to(dtype), values.flatten(1).to(dtype))

    def chance(self) -> float:
        """Accuracy of some stated value that agrees with the tokens of the value given so far, all such alike.

        The first token is right for 1 of D values, and for more where they share it; a later token mostly follows
        from the one before, as it does for a model that copies without looking at the key. It is 1 / D for m = 1.
        (One of W for every token without looking at the context.) If X of the other D - 1 values agree so far
        (hypergeometric), the next token is right with expectation (1 + r X) / (1 + X), r being the share of those
        tuples that agree in it, too.
        """
        alphabet, tokens = self._alphabets()[1], self.value_tokens
        right = []
        for left in range(tokens, 0, -1):  # tokens of the value that are not given yet
            agree = (alphabet ** (left - 1) - 1) / (alphabet**left - 1)
            right.append(agree + (1 - agree) * self._first_of_alike(alphabet**tokens, alphabet**left))
        return fsum(right) / tokens

    def _first_of_alike(self, all_values: int, alike: int) -> float:
        """E 1 / (1 + X): in a random order of the stated values, the right one is the first that agrees so far."""
        total, none = 0.0, 1.0  # none: that no value among the first i of the others agrees
        for i in range(self.pairs):
            total += none
            none *= max(all_values - alike - i, 0) / max(all_values - 1 - i, 1)
        return total / self.pairs

    def demand_bits(self) -> float:
        """log2 of (W^m)! / (W^m - D)!: any ordered choice of D distinct values is as likely as another.

        Teacher forcing gives nothing away: each token is given only after it was answered.
        """
        most = self._alphabets()[1] ** self.value_tokens
        return fsum(log2(most - i) for i in range(self.pairs))
