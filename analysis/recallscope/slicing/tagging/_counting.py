"""Streams of n-gram keys, and three ways to add them up: between markers, as distinct keys, table to table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from recallscope.slicing.tagging._ngrams import keys_of, whole
from recallscope.slicing.tagging.tags import _at_least_one, _layout

Array = np.ndarray[Any, Any]
Shards = Iterable[tuple[Array, Array]]

_PIECE = 1 << 15  # tokens whose keys are made at once, in the cache
_U = np.uint64


def shard(tokens: Array, starts: Array, n: int, vocabulary: int) -> tuple[Array, Array]:
    """A validated shard."""
    _at_least_one("n", n)
    if _at_least_one("vocabulary", vocabulary) > 2**32:
        raise ValueError(f"vocabulary: at most 2**32, got {vocabulary}")
    tokens, starts = _layout(tokens, starts)
    if tokens.size and tokens.max() >= vocabulary:
        raise ValueError(f"tokens: ids must be below the vocabulary of {vocabulary}, got {tokens.max()}")
    return tokens, starts


def gather(shards: Shards, n: int, vocabulary: int, room: int, spare: int = 0) -> Iterator[tuple[Array, int, int]]:
    """The keys of all whole n-grams, about `room` at a time, across the borders of shards.

    Yields one buffer, used again each time and with `spare` entries beyond the keys, the number of keys in it, and the
    number of tokens seen since the last time.
    """
    buffer = np.empty(room + _PIECE + spare, _U)
    filled = seen = 0
    for tokens, starts in shards:
        tokens, starts = shard(tokens, starts, n, vocabulary)
        inside = whole(tokens.size, starts, n)
        seen += tokens.size
        for begin in range(n - 1, tokens.size, _PIECE):
            keys = keys_of(tokens[begin - n + 1 : begin + _PIECE], n, vocabulary)[n - 1 :]
            wanted = inside[begin : begin + _PIECE]
            end = filled + int(np.count_nonzero(wanted))
            np.compress(wanted, keys, out=buffer[filled:end])
            filled = end
            if filled >= room:
                yield buffer, filled, seen
                filled = seen = 0
    yield buffer, filled, seen


def markers(queries: Array) -> Array:
    """Two marks for each query, which sort before and behind its equals in `between`."""
    marks = queries << _U(2)
    return np.concatenate((marks, marks | _U(3)))


def between(buffer: Array, filled: int, marks: Array) -> Array:
    """How often each query occurs among the first `filled` keys of `buffer`: sort keys and marks together.

    Two to three times as fast as sorting the keys alone and searching; the keys need two bits to spare.
    """
    both = buffer[: filled + marks.size]
    keys = both[:filled]
    keys <<= _U(2)
    keys |= _U(1)
    both[filled:] = marks
    both.sort()
    at = np.flatnonzero((both.astype(np.uint8) & np.uint8(3)) != 1)
    return at[1::2] - at[::2] - 1


def distinct(keys: Array) -> tuple[Array, Array]:
    """The distinct keys, sorted, and how often each occurs; sorts `keys` in place."""
    keys.sort()
    opens = _opens(keys)
    return keys[opens], np.diff(opens, append=keys.size)


def search(queries: Array, keys: Array, counts: Array) -> Array:
    """How often each of the sorted queries occurs, from a table of sorted unique keys."""
    totals = np.zeros(queries.size, np.int64)
    if queries.size:
        at = np.searchsorted(queries, keys)
        at[at == queries.size] = 0
        hit = queries[at] == keys
        totals[at[hit]] = counts[hit]
    return totals


def add(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
    """The sum of two tables, each of sorted unique keys."""
    keys = np.concatenate((left[0], right[0]))
    order = np.argsort(keys, kind="stable")  # two runs: one merge
    keys = keys[order]
    opens = _opens(keys)
    counts = np.concatenate((left[1], right[1]))[order]
    return keys[opens], np.add.reduceat(counts, opens) if opens.size else counts


def _opens(keys: Array) -> Array:
    """Where a new key begins among sorted ones."""
    new = np.ones(keys.size, bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return np.flatnonzero(new)
