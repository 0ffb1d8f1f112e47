"""Fuzzy recall of MAD: in-context recall with keys and values of several tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from recallscope.tasks._source import Source, narrow
from recallscope.tasks.mqar import falling_bits
from recallscope.tasks.task import NO_ANSWER, Examples, Task, check


@dataclass(frozen=True)
class MadFuzzyRecall(Task):
    """Recall with keys of up to k and values of up to v tokens (Poli et al. 2024, arXiv 2403.17844).

    As the authors' code draws the multi-query form. Key tokens are the ids 0 .. h - 1 with h = ⌊(V - 1)/2⌋, value
    tokens h .. V - 2, padding V - 1. A key is k different key tokens in order, each choice as likely; with
    `varied_keys` its length is uniform on 1 .. k. A value is 1 to v different value tokens in order, its length
    uniform. Every example has its own map.

    A pair is set aside, the last one: key and value, together of length p. Then pairs are stated one after another as
    long as fewer than T - p - k - v tokens stand there. Their keys are independent, but the first that begins at token
    `place` or later is the pair set aside, unless that came already; `place` is uniform on 0 .. T - 2p - 1. The pair
    set aside comes last, and padding at the front makes T tokens. Each token of a value whose key came before is asked,
    one token ahead: the first at the last token of the key, the others at the value's own token before.

    When the statements end before `place`, the last key may be new (in 3 % of the authors' test examples); they score
    its value, here it is not asked. The last token is only a target: they cut it off, and add one of padding.

    Attributes
    ----------
    vocabulary, length : int
        V (at least 3) and T (at least 2 (k + v) + 1).
    key_tokens, value_tokens : int
        k at most h, and v at most V - 1 - h.
    varied_keys : bool
        True: the authors' training examples; False: their test examples.
    trained_on_all : bool
        True: the authors train on every next token of the input, and score the asked ones alone.
    """

    vocabulary: int = 16
    length: int = 128
    key_tokens: int = 3
    value_tokens: int = 3
    varied_keys: bool = False

    trained_on_all: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self.vocabulary >= 3, "vocabulary", "at least 3 (a key, a value, padding)", self.vocabulary)
        half, values = self._ids()
        most = min(half, 62 // (half + 1).bit_length())  # a key is one 64-bit number in `draw`
        rule = f"1 to {most} fit vocabulary {self.vocabulary}"
        check(1 <= self.key_tokens <= most, "key_tokens", rule, self.key_tokens)
        rule = f"1 to {values} fit vocabulary {self.vocabulary}"
        check(1 <= self.value_tokens <= values, "value_tokens", rule, self.value_tokens)
        least = 2 * (self.key_tokens + self.value_tokens) + 1
        rule = f"at least {least} with keys of {self.key_tokens} and values of {self.value_tokens} tokens"
        check(self.length >= least, "length", rule, self.length)

    def draw(self, source: Source, examples: int) -> Examples:
        longest, shortest = self.key_tokens + self.value_tokens, self._shortest() + 1
        most = -(-(self.length - shortest - longest) // shortest)  # pairs that can be stated
        keys, key_size, values, value_size = self._pairs(source, examples, most + 1)  # the first: set aside
        first = _first_key(keys, key_size, self._ids()[0] + 1)
        values, value_size = [value.gather(1, first) for value in values], value_size.gather(1, first)
        size = key_size + value_size
        last, limit = size[:, :1], self.length - size[:, :1] - longest
        place = (source.integers(examples, 1, 2**31).long() * (self.length - 2 * last)) >> 31

        start = size[:, 1:].cumsum(1) - size[:, 1:]
        same, late = first[:, 1:] == 0, start >= place
        came = same.cumsum(1) > same  # the pair set aside, among the pairs before
        here = late & ~came & (start < limit)
        here[:, 1:] &= ~late[:, :-1]  # before this pair the one set aside is stated
        inserted, before = here.any(1, keepdim=True), (start * here).sum(1, keepdim=True)
        start = start + last * (late & inserted)
        stated = start < limit
        end = (size[:, 1:] * stated).sum(1, keepdim=True) + last * inserted
        earlier = first[:, 1:] < torch.arange(1, most + 1, device=first.device)
        again = torch.where(same, came | (late & inserted), earlier)
        known = inserted | (same & stated).any(1, keepdim=True)

        shift = self.length - end - last
        starts = torch.cat([before, start, end], 1) + shift
        stated = torch.cat([inserted, stated, torch.ones_like(inserted)], 1)
        asked = torch.cat([torch.zeros_like(inserted), again, known], 1)
        return self._written(starts, stated, asked, (keys, key_size, values, value_size))

    def _ids(self) -> tuple[int, int]:
        """How many key and value tokens there are."""
        half = (self.vocabulary - 1) // 2
        return half, self.vocabulary - 1 - half

    def _pairs(self, source: Source, rows: int, columns: int) -> tuple[list[Tensor], Tensor, list[Tensor], Tensor]:
        """Independent pairs: tokens of the keys, their lengths, tokens of the values, their lengths."""
        half, count = self._ids()
        keys = _different(source, rows, columns, self.key_tokens, half)
        lengths = self.key_tokens if self.varied_keys else 1
        key_size = source.integers(rows, columns, lengths).long() + (self.key_tokens - lengths + 1)
        values = [value.add_(half) for value in _different(source, rows, columns, self.value_tokens, count)]
        value_size = source.integers(rows, columns, self.value_tokens).long() + 1
        return keys, key_size, values, value_size

    def _written(
        self, starts: Tensor, stated: Tensor, asked: Tensor, pairs: tuple[list[Tensor], Tensor, list[Tensor], Tensor]
    ) -> Examples:
        """The pairs at their places, the first once more at the end; and the questions."""
        keys, key_size, values, value_size = pairs
        rows, dtype = len(starts), narrow(max(self.vocabulary, self.length))
        # one column more takes what is not used
        inputs = torch.full((rows, self.length + 1), self.vocabulary - 1, dtype=dtype, device=starts.device)
        questions = torch.zeros_like(inputs, dtype=torch.bool)
        for tokens, size, begin in (keys, key_size, starts), (values, value_size, starts + _closed(key_size)):
            for i, token in enumerate(tokens):
                used = stated & (_closed(size) > i)
                inputs.scatter_(1, (begin + i).masked_fill_(~used, self.length), _closed(token).to(dtype))
                if tokens is values:
                    questions.scatter_(1, (begin + i - 1).masked_fill_(~(used & asked), self.length), True)
        return _questions(inputs[:, :-1].contiguous(), questions[:, :-1], self._slots())

    def _shortest(self) -> int:
        """Tokens of the shortest keys."""
        return 1 if self.varied_keys else self.key_tokens

    def _slots(self) -> int:
        """The most questions that can be: values of v tokens after the shortest keys; the first pair is not asked."""
        return (self.length - 2 - self._shortest()) * self.value_tokens // (self._shortest() + self.value_tokens)

    def chance(self) -> float:
        """1 / (V - 1 - h): an asked token is uniform on the value tokens.

        A guess that leaves out the value's own tokens before it is right up to 1 / (V - h - v) of the time.
        """
        return 1 / self._ids()[1]

    def demand_bits(self) -> float:
        """A lower bound: what is asked for certain; there is no closed form, as lengths decide how many pairs fit.

        A value of w tokens has log2(m! / (m - w)!) bits, m = V - 1 - h. At least n = ⌈T / (k + v)⌉ - 3 independent
        pairs are stated; keys that come twice among them are asked, and so is the pair set aside if it was stated, as
        it is for certain when `place` ≤ T - p - 2 (k + v).
        """
        (half, count), longest = self._ids(), self.key_tokens + self.value_tokens
        sure = -(-self.length // longest) - 3
        key_sizes = range(self._shortest(), self.key_tokens + 1)
        bits = {w: falling_bits(count, w) for w in range(1, self.value_tokens + 1)}
        mean, total = sum(bits.values()) / len(bits), 0.0
        for size in key_sizes:
            share = 1 / len(key_sizes)
            keys = 2 ** falling_bits(half, size)
            once = share / keys
            twice = 1 - (1 - once) ** sure - sure * once * (1 - once) ** max(sure - 1, 0)
            total += (keys - share) * twice * mean  # all keys but the one set aside
            for w in bits:
                places = self.length - 2 * (size + w)
                certain = min(max(self.length - size - w - 2 * longest + 1, 0), places)
                total += share / len(bits) * certain / places * bits[w]
        return total


def _different(source: Source, rows: int, columns: int, count: int, high: int) -> list[Tensor]:
    """`count` tables `[rows, columns]` of 0 .. high - 1, different at each place, every sequence as likely; int32."""
    parts = [source.integers(rows, columns, high - i) for i in range(count)]
    for i in range(count - 2, -1, -1):  # part i counts among the values that the parts before it leave
        for later in parts[i + 1 :]:
            later += later >= parts[i]
    return parts


def _first_key(keys: list[Tensor], size: Tensor, base: int) -> Tensor:
    """The index of the first equal key in the row; a key is written as one number, 0 for the tokens it lacks."""
    code = torch.zeros_like(size)
    for i, token in enumerate(keys):
        code = code * base + (token + 1) * (size > i)
    ranked, order = code.sort(dim=1, stable=True)
    return order.gather(1, torch.searchsorted(ranked, code))


def _closed(pairs: Tensor) -> Tensor:
    """The first column once more at the end."""
    return torch.cat([pairs, pairs[:, :1]], 1)


def _questions(inputs: Tensor, asked: Tensor, slots: int) -> Examples:
    """Questions at the marked positions, packed to the left; the answer is the next token."""
    rows, length = inputs.shape
    slot = (asked.cumsum(1) - 1).masked_fill_(~asked, slots)
    positions = torch.zeros(rows, slots + 1, dtype=torch.int64, device=inputs.device)
    positions.scatter_(1, slot, torch.arange(length, device=inputs.device).expand(rows, length))
    positions = positions[:, :-1]
    used = torch.arange(slots, device=inputs.device) < asked.sum(1, keepdim=True)
    answers = inputs.gather(1, positions + 1).masked_fill_(~used, NO_ANSWER)
    return Examples(inputs, positions.to(inputs.dtype), answers)
