"""Words without repetition: uniform on all choices, counted by enumeration."""

from __future__ import annotations

from itertools import permutations, product
from typing import cast

import pytest
import torch
from recallscope.tasks._source import Source
from recallscope.tasks._words import distinct_words
from scipy.stats import chisquare
from torch import Tensor


def counts(words: Tensor, choices: list[tuple]) -> list[int]:
    """How often each choice was drawn; nothing else may be."""
    found = dict.fromkeys(choices, 0)
    for row in words.tolist():
        found[tuple(tuple(word) for word in row)] += 1
    return list(found.values())


@pytest.mark.parametrize(("count", "letters", "alphabet"), [(3, 2, 2), (4, 2, 2), (2, 2, 2), (2, 1, 9), (2, 3, 3)])
def test_every_choice_is_equally_likely(count: int, letters: int, alphabet: int):
    words = distinct_words(Source(1), 40_000, count, letters, alphabet)
    choices = list(permutations(product(range(alphabet), repeat=letters), count))
    assert words.shape == (40_000, count, letters) and words.dtype == torch.int32
    assert chisquare(counts(words, choices)).pvalue > 1e-3


def test_every_choice_of_given_lengths_is_equally_likely():
    lengths = torch.tensor([1, 2, 1, 2]).expand(40_000, -1)
    words = distinct_words(Source(2), 40_000, 4, 2, 2, lengths)
    short, long = [(0, -1), (1, -1)], list(product(range(2), repeat=2))
    choices = [
        (a, b, c, d) for a, c in permutations(short, 2) for b, d in permutations(long, 2)
    ]  # words of different length are different
    assert chisquare(counts(words, choices)).pvalue > 1e-3


class Scripted:
    """Tables of random numbers known beforehand."""

    device = torch.device("cpu")

    def __init__(self, *tables: list):
        self.tables = [torch.tensor(table, dtype=torch.int32) for table in tables]

    def integers(self, rows: int, columns: int, high: int) -> Tensor:
        table = self.tables.pop(0)
        assert table.shape == (rows, columns) and table.max() < high
        return table


def test_words_longer_than_a_machine_number_are_compared_letter_for_letter():
    """4095^9 words: two that differ in the first or the last letter alone, one that repeats, twice."""
    zero, first, last, other = [0] * 9, [1] + [0] * 8, [0] * 8 + [1], [4094] * 9
    source = Scripted([zero, first, last, zero, other, other, first, last], [last, first], [zero, zero], [[7] * 9])
    words = distinct_words(cast(Source, source), 2, 4, 9, 4095).tolist()
    assert words[0] == [zero, first, last, [7] * 9]
    assert words[1] == [other, first, zero, last], "a word keeps its place from when it is the first of its kind"
    assert not source.tables


def test_many_long_words_are_distinct():
    words = distinct_words(Source(3), 200, 150, 8, 5000)
    assert all(len({tuple(word) for word in row}) == 150 for row in words.tolist())
    assert words.min() == 0 and words.max() == 4999
