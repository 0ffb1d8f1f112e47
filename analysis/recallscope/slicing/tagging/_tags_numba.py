"""Tagging by hashing, compiled: open addressing with the latest position of an n-gram in its slot, exact.

The n-grams themselves are compared where the slot points, so a slot needs no key. Importing this module needs numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd
_ROOM = 4  # slots per token, at least: fewer collide more often, more leave the cache


def bigram_distance(tokens: Array, starts: Array, banned: Array | None) -> Array:
    """As `_tags_numpy.bigram_distance`."""
    tokens = _one_of_three(tokens)
    distance = np.zeros(tokens.size, np.int32)
    kind = np.int32 if tokens.size < 2**31 else np.int64
    table = np.full(_slots(tokens, starts), -1, kind)
    _bigrams(tokens, starts, np.append(starts[1:], tokens.size), table, distance)
    if banned is not None:
        distance[banned] = 0
        distance[1:][banned[:-1]] = 0
    return distance


def tag(tokens: Array, starts: Array, cap: int, banned: Array | None, distances: Sequence[int]) -> dict[str, Array]:
    """As `_tags_numpy.tag`."""
    tokens = _one_of_three(tokens)
    top = max(cap, *distances, 0)
    row = np.full(top + 1, -1, np.int64)
    row[list(distances)] = np.arange(len(distances))
    found = np.zeros((len(distances), tokens.size), np.int32)
    match = np.zeros(tokens.size if cap else 0, np.int8)
    hidden = np.zeros(0, bool) if banned is None else banned
    table = np.empty(_slots(tokens, starts), np.int32)
    _levels(tokens, starts, np.append(starts[1:], tokens.size), hidden, cap, row, table, found, match)
    out = {f"distance_{n}": found[row[n]] for n in distances}
    return out | {"match": match} if cap else out


def _one_of_three(tokens: Array) -> Array:
    """The tokens as uint16, int32 or int64, so that little is compiled; copied only from 8 bits or strides."""
    if tokens.itemsize == 1:
        return tokens.astype(np.uint16)
    kind = {2: np.uint16, 4: np.int32, 8: np.int64}[tokens.itemsize]
    if tokens.dtype.kind == "u" and tokens.itemsize > 2 and tokens.size and tokens.max() > np.iinfo(kind).max:
        return np.unique(tokens, return_inverse=True)[1].astype(np.int64)
    return np.ascontiguousarray(tokens).view(kind)


def _slots(tokens: Array, starts: Array) -> int:
    """Slots for the longest document, a power of two."""
    longest = int(np.diff(starts, append=tokens.size).max(initial=1))
    return 1 << _table_bits(longest)


@numba.njit(cache=True, nogil=True)
def _table_bits(length):
    bits = 3
    while (1 << bits) < _ROOM * length:
        bits += 1
    return bits


@numba.njit(cache=True, nogil=True)
def _bigrams(tokens, starts, ends, table, out):
    """A position before the document's start marks a free slot, so that the table is never cleared."""
    one = np.uint64(1)  # unsigned indices: signed ones are checked for counting from the end, 25 % of the time
    for k in range(starts.size):
        if ends[k] == starts[k]:
            continue
        start = starts[k]
        bits = _table_bits(ends[k] - start)
        shift, mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
        previous = tokens[np.uint64(start)]
        for i in range(np.uint64(start + 1), np.uint64(ends[k])):
            token = tokens[i]
            slot = (((np.uint64(previous) * _FACTOR) ^ np.uint64(token)) * _FACTOR) >> shift
            while True:
                j = np.int64(table[slot])
                at = np.uint64(max(j, start + 1))
                free = j <= start
                same = (tokens[at] == token) & (tokens[at - one] == previous)
                if free | same:  # one branch, seldom guessed wrong: whether it is a repeat is a coin toss
                    break
                slot = (slot + one) & mask
            out[i] = 0 if free else np.int64(i) - j
            table[slot] = np.int64(i)
            previous = token


@numba.njit(cache=True, nogil=True)
def _levels(tokens, starts, ends, banned, cap, row, table, found, match):
    """Level by level within each document: an n-gram is the pair of its first and its last n - 1 tokens.

    `name[i]` is the first position of the (n - 1)-gram ending at i; only positions where both parts repeat are hashed.
    """
    size = table.size // _ROOM + 1
    name, fresh, repeats = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int8)
    for k in range(starts.size):
        start, length = starts[k], ends[k] - starts[k]
        bits = _table_bits(length)
        shift, mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
        repeats[:length] = 0
        for n in range(1, row.size):
            table[: 1 << bits] = -1
            hits = 0
            for i in range(n - 1, length):
                if n == 1:
                    if banned.size and banned[start + i]:
                        continue
                    left, right = np.uint64(0), np.uint64(tokens[start + i])
                else:
                    if repeats[i] < n - 1 or repeats[i - 1] < n - 1:
                        continue
                    left, right = np.uint64(name[i - 1]), np.uint64(name[i])
                slot = ((left * _FACTOR ^ right) * _FACTOR) >> shift
                while True:
                    j = table[slot]
                    if j < 0:
                        break
                    if n == 1:
                        if tokens[start + j] == tokens[start + i]:
                            break
                    elif name[j] == name[i] and name[j - 1] == name[i - 1]:
                        break
                    slot = (slot + np.uint64(1)) & mask
                table[slot] = i
                if j < 0:
                    fresh[i] = i
                    continue
                fresh[i] = fresh[j]
                repeats[i] = repeats[j] = n
                hits += 1
                if n <= cap:
                    match[start + i] = n
                if row[n] >= 0:
                    found[row[n], start + i] = i - j
            if hits == 0:
                break
            name, fresh = fresh, name
