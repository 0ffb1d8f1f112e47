"""Tagging by packed sorting: (document, n-gram, position) in one integer, sorted; equal neighbours are a repeat.

Documents are taken in blocks that fit the cache; a document longer than a block makes a block of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_BLOCK = 1 << 15  # tokens; their keys of 8 bytes and the temporaries stay in a second-level cache
_WORD = 64  # bits of a sorted key
_U = np.uint64


def bigram_distance(tokens: Array, starts: Array, banned: Array | None) -> Array:
    """`repeat_distance` for n = 2 by one sort."""
    distance = np.zeros(tokens.size, np.int32)
    for block, owner, owners in _blocks(tokens.size, starts):
        ids, bits = _ids(tokens[block], 2, owners)
        owner <<= _U(2 * bits)
        owner |= ids
        ids <<= _U(bits)
        owner[1:] |= ids[:-1]
        _, where, found = _repeats(owner, 2 * bits + owners, None, owner.size, ids)
        distance[block][where] = found
    distance[starts[starts < tokens.size]] = 0  # no bigram ends there; `_blocks` keeps them from matching others
    if banned is not None:
        distance[banned] = 0
        distance[1:][banned[:-1]] = 0
    return distance


def tag(tokens: Array, starts: Array, cap: int, banned: Array | None, distances: Sequence[int]) -> dict[str, Array]:
    """`match` up to `cap` (none for cap = 0), and distance_n for the n in `distances`."""
    out: dict[str, Array] = {f"distance_{n}": np.zeros(tokens.size, np.int32) for n in distances}
    if cap:
        out["match"] = np.zeros(tokens.size, np.int8)
    for block, owner, owners in _blocks(tokens.size, starts, own=False):
        hidden = None if banned is None else banned[block]
        for n, where, found in _levels(tokens[block], owner, owners, max(cap, *distances, 0), hidden):
            if n <= cap:
                out["match"][block][where] = n  # levels rise: the last one written is the longest
            if n in distances:
                out[f"distance_{n}"][block][where] = found
    return out


def delayed(distance: Array, starts: Array) -> Array:
    """Each token gets its predecessor's value, the first of a document 0."""
    out = np.empty_like(distance)
    out[1:] = distance[:-1]
    out[starts[starts < out.size]] = 0
    return out


def _levels(
    tokens: Array, owner: Array, owners: int, top: int, banned: Array | None
) -> Iterator[tuple[int, Array, Array]]:
    """For n = 1, 2, ..., top: where n-grams repeat, and at which distance. Stops when nothing repeats.

    An n-gram is the pair of its first and its last n - 1 tokens. It can only repeat where both do, so each level sorts
    fewer positions than the one before. `rank` numbers the n-grams that repeat, apart for each document, from 1: a pair
    across a border is like no other.
    """
    ids, bits = _ids(tokens, 1, owners)
    owner <<= _U(bits)
    owner |= ids
    order, where, found = _repeats(owner, bits + owners, None, tokens.size, ids)
    if banned is not None:
        kept = ~banned.take(where)
        order, where, found = order[kept], where[kept], found[kept]
    rank = np.empty(tokens.size, _U)
    for n in range(1, top + 1):
        if where.size == 0:
            return
        yield n, where, found
        if n == top:
            return
        bits = _number_groups(rank, order, where, found)
        alive = rank.astype(bool)
        at = np.flatnonzero(alive[1:] & alive[:-1])
        high = rank.take(at, out=ids[: at.size], mode="clip")
        high <<= _U(bits)
        at += 1
        high |= rank.take(at, out=owner[: at.size], mode="clip")
        order, where, found = _repeats(high, 2 * bits, at, tokens.size, owner)


def _number_groups(rank: Array, order: Array, where: Array, found: Array) -> int:
    """Write each repeating n-gram's number to all its positions; returns the bits such a number takes."""
    opens = np.empty(order.size, bool)  # within a group, repeats follow each other in sorted order
    opens[0] = True
    np.greater(order[1:] - order[:-1], 1, out=opens[1:])
    first = np.flatnonzero(opens)
    number = np.arange(1, first.size + 1, dtype=_U)
    rank.fill(0)
    rank[where] = np.repeat(number, np.diff(first, append=order.size))
    rank[where.take(first) - found.take(first)] = number
    return int(first.size).bit_length()


def _repeats(high: Array, bits: int, at: Array | None, size: int, spare: Array) -> tuple[Array, Array, Array]:
    """Where a key has an equal one at an earlier position, and how far back the nearest such position is.

    `high` are the keys (of `bits` bits) at the increasing positions `at` (None: all `size` of them); it and `spare` are
    overwritten. Returns, for each repeat, its place in sorted order (less one), its position and its distance.
    """
    low = max(size - 1, 1).bit_length() + 1  # one bit to spare: the difference of two keys is below half iff they agree
    if bits + low > _WORD:
        return _wide_repeats(high, at)
    high <<= _U(low)
    high |= np.arange(size, dtype=_U) if at is None else at.view(_U)
    high.sort()
    gap = np.subtract(high[1:], high[:-1], out=spare[: max(high.size - 1, 0)])
    order = np.flatnonzero(gap < _U(1 << (low - 1)))
    where = high[1:].take(order, mode="clip") if order.size else high[:0]
    where &= _U((1 << low) - 1)
    return (
        order,
        where.view(np.int64),
        gap.take(order, mode="clip").astype(np.int32) if order.size else high[:0].astype(np.int32),
    )


def _wide_repeats(high: Array, at: Array | None) -> tuple[Array, Array, Array]:
    """The same when key and position do not fit 64 bits together: a stable sort of the indices, ten times slower."""
    by_key = np.argsort(high, kind="stable")
    high = high.take(by_key)
    position = by_key if at is None else at.take(by_key)
    order = np.flatnonzero(high[1:] == high[:-1])
    where = position[1:].take(order)
    return order, where, (where - position.take(order)).astype(np.int32)


def _ids(tokens: Array, n: int, reserved: int) -> tuple[Array, int]:
    """Token ids as uint64, and the bits they take; renumbered when n of them do not fit beside a position."""
    bits = int(tokens.max()).bit_length()
    if n * bits + reserved + int(tokens.size).bit_length() + 1 <= _WORD:
        return tokens.astype(_U), bits
    distinct, ids = np.unique(tokens, return_inverse=True)
    return ids.astype(_U), int(distinct.size - 1).bit_length()


def _blocks(total: int, starts: Array, own: bool = True) -> Iterator[tuple[slice, Array, int]]:
    """Runs of whole documents of about `_BLOCK` tokens: the slice, each token's document in it, and the bits of that.

    With `own`, the first token of each document belongs to one extra document of its own kind: what ends there reaches
    across the border and must not be like anything inside.
    """
    ends = np.append(starts[1:], total)
    first = 0
    while first < starts.size:
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + _BLOCK, "right")))
        begin, end = int(starts[first]), int(ends[last - 1])
        if end > begin:
            owner = np.repeat(np.arange(last - first, dtype=_U), ends[first:last] - starts[first:last])
            if own:
                heads = starts[first:last] - begin
                owner[heads[heads < owner.size]] = last - first
            yield slice(begin, end), owner, int(last - first).bit_length()
        first = last
