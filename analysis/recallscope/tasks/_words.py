"""Words without repetition: sequences of letters where a task has keys or values of several tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from recallscope.tasks._source import Source


def distinct_words(
    source: Source, rows: int, count: int, letters: int, alphabet: int, lengths: Tensor | None = None
) -> Tensor:
    """`[rows, count, letters]` of 0 .. alphabet - 1, int32: no word twice in a row, every choice equally likely.

    With `lengths` `[rows, count]`, word j is its first `lengths[j]` letters, -1 stands behind them, and given the
    lengths every choice is equally likely. Repeats are drawn again, all but the first, until none is left: that treats
    all words of one length alike, and whatever does is uniform. There must be `count` words of the shortest length.
    """
    device = source.device
    if lengths is None and alphabet**letters < count**2:  # most rows would repeat a word, again and again
        digit = alphabet ** torch.arange(letters - 1, -1, -1, dtype=torch.int32, device=device)
        return source.distinct(rows, count, alphabet**letters)[..., None] // digit % alphabet
    words = source.integers(rows * count, letters, alphabet).view(rows, count, letters)
    if lengths is not None:
        words = words.masked_fill(torch.arange(letters, device=device) >= lengths[..., None], -1)
    chosen = torch.arange(rows, device=device)
    while True:
        ranked, order = _codes(words[chosen], alphabet).sort(dim=1, stable=True)
        row, place = (ranked[:, 1:] == ranked[:, :-1]).nonzero(as_tuple=True)
        if not len(row):
            return words
        word, row = order[row, place + 1], chosen[row]
        fresh = source.integers(len(row), letters, alphabet)
        words[row, word] = fresh.masked_fill(words[row, word] < 0, -1)
        chosen = torch.unique_consecutive(row)


def _codes(words: Tensor, alphabet: int) -> Tensor:
    """`[rows, count]` int64: equal where the words are, letter for letter."""
    codes, size = torch.zeros(words.shape[:2], dtype=torch.int64, device=words.device), 1
    for letter in words.unbind(2):
        if size * (alphabet + 1) >= 2**62:  # numbers of the beginnings that there are, instead of all possible ones
            codes = torch.unique(codes, return_inverse=True)[1]
            size = codes.numel()
        codes = codes * (alphabet + 1) + (letter + 1)
        size *= alphabet + 1
    return codes
