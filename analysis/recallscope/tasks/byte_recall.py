"""Associative recall in bytes: keys and values are words of random length between delimiters."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, log2

import torch
from torch import Tensor
from torch.nn.functional import pad

from recallscope.tasks._source import Source, narrow
from recallscope.tasks._words import distinct_words
from recallscope.tasks.task import NO_ANSWER, Examples, Task, check


@dataclass(frozen=True)
class ByteRecall(Task):
    """MQAR (Arora et al. 2023, arXiv 2312.04927) one level down: a key or value is a word, a token is a byte.

    A record is `key delimiter value delimiter`. Afresh for every example: D records, then the same D records in a
    uniformly random order, then zero bytes up to T. In the second half the model is asked at the delimiter before the
    value and at every letter of it, that is for each letter of the value and for the delimiter that ends it; the
    answered bytes stand in the input one position later (teacher forcing, as in text). Lengths of words are independent
    and uniform on their range. Given their lengths, keys are uniform on the choices without repetition; the letters of
    values are independent and uniform, so that two short values may be alike.

    The delimiters bound the words: with the usual ones (space, newline) a word is what models that split bytes at white
    space call one.

    Attributes
    ----------
    vocabulary, length : int
        256, or at least what letters and delimiters need; T ≥ 2 D (longest key + longest value + 2).
    pairs : int
        D; at most as many as there are keys of the shortest length.
    key_lengths, value_lengths : tuple of int
        Shortest and longest word, in letters.
    letters : tuple of int
        First and last byte of the alphabet, from 1.
    delimiters : tuple of int
        After a key, after a value; from 1, no letters.
    """

    vocabulary: int = 256
    length: int = 256
    pairs: int = 8
    key_lengths: tuple[int, int] = (2, 6)
    value_lengths: tuple[int, int] = (2, 6)
    letters: tuple[int, int] = (ord("a"), ord("z"))
    delimiters: tuple[int, int] = (ord(" "), ord("\n"))

    def __post_init__(self) -> None:
        for name in ("key_lengths", "value_lengths"):
            low, high = getattr(self, name)
            check(1 <= low <= high, name, "shortest and longest, from 1", (low, high))
        check(len(self.delimiters) == 2, "delimiters", "two, after a key and after a value", self.delimiters)
        first, last = self.letters
        check(1 <= first <= last, "letters", "first and last byte, from 1", self.letters)
        rule = f"from 1, outside the letters {first} to {last}"
        check(all(d >= 1 and not first <= d <= last for d in self.delimiters), "delimiters", rule, self.delimiters)
        least = max(last, *self.delimiters) + 1
        check(self.vocabulary >= least, "vocabulary", f"at least {least} for these bytes", self.vocabulary)
        record = self.key_lengths[1] + self.value_lengths[1] + 2
        most = min(self.length // (2 * record), self._alphabet ** self.key_lengths[0])
        rule = f"1 to {most} fit length {self.length}, keys of {self.key_lengths[0]} letters, records of {record} bytes"
        check(1 <= self.pairs <= most, "pairs", rule, self.pairs)

    @property
    def _alphabet(self) -> int:
        return self.letters[1] - self.letters[0] + 1

    def draw(self, source: Source, examples: int) -> Examples:
        dtype = narrow(max(self.vocabulary, self.length))
        longest, most = self.key_lengths[1], self.value_lengths[1]
        keys = distinct_words(
            source, examples, self.pairs, longest, self._alphabet, self._lengths(source, examples, self.key_lengths)
        )
        values = source.integers(examples * self.pairs, most, self._alphabet).view(examples, self.pairs, most)
        lengths = self._lengths(source, examples, self.value_lengths)
        values.masked_fill_(torch.arange(most, device=source.device) >= lengths[..., None], -1)
        told = torch.cat([self._written(keys, self.delimiters[0]), self._written(values, self.delimiters[1])], 2)
        order = source.permutations(examples, self.pairs).long()
        asked = told.gather(1, order[..., None].expand_as(told))
        cells = torch.cat([told, asked], 1).to(dtype)
        used = (cells >= 0).flatten(1)
        place = (
            used.cumsum(1, dtype=torch.int32).sub_(1).masked_fill_(~used, self.length)
        )  # the unused: one past the end
        inputs = torch.zeros(examples, self.length + 1, dtype=dtype, device=source.device)
        inputs.scatter_(1, place.long(), cells.flatten(1))
        answers = cells[:, self.pairs :, longest + 1 :].flatten(1)
        positions = place.view_as(cells)[:, self.pairs :, longest + 1 :].flatten(1) - 1
        unused = answers < 0
        return Examples(
            inputs[:, :-1].contiguous(),
            positions.masked_fill(unused, 0).to(dtype),
            answers.masked_fill(unused, NO_ANSWER),
        )

    def _lengths(self, source: Source, examples: int, bounds: tuple[int, int]) -> Tensor:
        return source.integers(examples, self.pairs, bounds[1] - bounds[0] + 1) + bounds[0]

    def _written(self, words: Tensor, delimiter: int) -> Tensor:
        """Letters to bytes, the delimiter behind each word, -1 behind that."""
        length = (words >= 0).sum(2, keepdim=True)
        bytes_ = pad(torch.where(words >= 0, words + self.letters[0], -1), (0, 1), value=-1)
        return bytes_.scatter_(2, length, delimiter)

    def chance(self) -> float:
        """Accuracy of some stated value that agrees with the letters given so far, all such alike; over all answers.

        The first letter is right for about 1 of D values, later ones mostly follow from those before, as they do for
        a model that copies without looking at the key. The number of other values that agree in j letters so far is
        binomial: D - 1 draws, probability p = P(length ≥ j) / letters^j. Each agrees in the next byte, too, with the
        probability m of that byte; so it is right with expectation m + (1 - m) (1 - (1 - p)^D) / (D p). The mean is
        over all answers of many examples: long values count more.
        """
        low, high = self.value_lengths
        right, reached = [], []
        for given in range(high + 1):
            reach = min((high - given + 1) / (high - low + 1), 1.0)
            end = 1 / (high - given + 1) if given >= low else 0.0
            same = (1 - end) ** 2 / self._alphabet + end**2
            agree = reach / self._alphabet**given
            first = (
                fsum((1 - agree) ** other for other in range(self.pairs)) / self.pairs
            )  # of those alike, if shuffled
            right.append(reach * (same + (1 - same) * first))
            reached.append(reach)
        return fsum(right) / fsum(reached)

    def demand_bits(self) -> float:
        """D times the entropy of a value, log2 of the number of lengths plus log2(letters) per letter on average."""
        low, high = self.value_lengths
        return self.pairs * (log2(high - low + 1) + (low + high) / 2 * log2(self._alphabet))
