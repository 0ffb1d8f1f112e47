"""A memory of the C most recently used associations: one pass says which hits every C serves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from recallscope.bounds.demand.intervals import Array, checked_distance


def stack_distance(distance: ArrayLike) -> Array:
    """Least capacity, in associations, at which a least-recently-used memory serves each repeat; 0 for no repeat.

    An *association* is a key and its successor: the bigram (x_{t-1}, x_t), or for n-grams the n - 1 tokens before and
    x_t. Two successors of one key are two associations. An *access* is every token with a key: reading x_t makes its
    association the most recent one, whether or not it was in the memory; if there are more than C, the one used
    longest ago leaves. x_i, whose association was last used at p, is *served* if that is still there when x_i is
    predicted, after x_p .. x_{i-1}: exactly if at most C associations were used at p .. i-1, itself among them. Their
    number is the stack distance [1]_. It is the distance d = i - p less the repeats whose own interval lies inside (p,
    i), since each association used there counts at its first use: O(N log N) for all tokens.

    Parameters
    ----------
    distance : int array `[N]`, in tokens
        To the previous occurrence of the same association; 0 for none (`recallscope.tag`). Documents may follow each
        other: no distance reaches across their border.

    Returns
    -------
    int64 array `[N]`, in associations: exact, at most `distance`, so a window of w tokens (hits with distance ≤ w)
    serves no hit that the w most recent associations do not.

    Raises `ValueError` if distances reach before the first token or two tokens share a previous occurrence.

    References
    ----------
    .. [1] Mattson, Gecsei, Slutz, Traiger, "Evaluation techniques for storage hierarchies", IBM Systems Journal 9(2),
       1970.
    """
    distance = checked_distance(distance)
    end = np.flatnonzero(distance)
    found = np.zeros_like(distance)
    if end.size:
        begin = end - distance[end]
        begins = np.zeros(distance.size, dtype=bool)
        begins[begin] = True
        found[end] = distance[end] - _earlier_greater((np.cumsum(begins) - 1)[begin])
    return found


def _earlier_greater(rank: Array) -> Array:
    """How many greater numbers stand before each one, for a permutation of 0 .. n-1.

    Bit by bit from the highest: `row` holds the numbers grouped by their higher bits, each group in the order given. In
    a group, a number with a 0 here is below those with a 1 before it, and they differ here first. All numbers of a
    permutation are there, so groups begin at multiples of their size and zeros fill the first half.
    """
    size = rank.size
    count, place, row = np.zeros(size, np.int64), np.arange(size), rank
    for bit in reversed(range((size - 1).bit_length())):
        half = 1 << bit
        one = (row >> bit) & 1
        before = np.cumsum(one) - one
        before -= np.repeat(before[:: 2 * half], 2 * half)[:size]
        count[row] += before * (1 - one)
        target = np.where(one, (place & -2 * half) + half + before, place - before)
        grouped = np.empty_like(row)
        grouped[target] = row
        row = grouped
    return count[rank]
