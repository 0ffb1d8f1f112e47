"""The best possible memory of C associations, one that knows which will be asked: what every C serves, in one pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from recallscope.bounds.demand.intervals import Array, at_least, checked_intervals
from recallscope.compiled import numba_wanted

_WORTH_IMPORTING = 100_000  # hits; numba takes 1 s to import and compile, plain Python 10 µs a hit


def selective_capacity(begin: ArrayLike, end: ArrayLike, most: int = 1024) -> Array:
    """Least capacity, in associations, at which the best possible memory serves each hit; 0 if above `most`.

    A hit at i whose association was last seen at p is an interval (p, i]: a memory serves it that keeps the association
    from after x_p until x_i is predicted. With C places, any memory serves a set of intervals of which at most C lie
    over any point, and any such set can be served by one that knows the future. This is the greatest such set, for all
    C at once: the hits with a capacity of at most C are a greatest set for C. So no memory of C associations, trained
    or not, serves more; `stack_distance` gives a rule without foresight.

    Proof sketch. For one C: at each begin take the interval; if more than C lie over this point, drop the one that ends
    last. Dropping is forced, and what ends first leaves most room for later ones (exchange), so the set is a greatest
    one [1]_. For all C: let level c hold what memory c has and memory c - 1 lacks. Memory c drops the latest end among
    itself and the new interval, so down the levels a running maximum is carried: at each the earlier end stays, the
    later one goes on, to the first empty level. Hence memories are nested (the stack property of Belady's rule [2]_).

    Parameters
    ----------
    begin, end : int arrays `[I]`, in tokens
        p and i of each hit, in any order; 0 < end - begin.
    most : int
        Largest capacity to tell apart. O(I most) at worst; in text the first empty level is near (about the hundredth).

    Returns
    -------
    int64 array `[I]`, in associations. numba is taken when it is installed and repaid; the results are identical.

    Raises `ValueError` for intervals without length and for `most` below 1.

    References
    ----------
    .. [1] Faigle, Nawijn, "Note on scheduling intervals on-line", Discrete Applied Mathematics 58, 1995.
    .. [2] Mattson, Gecsei, Slutz, Traiger, "Evaluation techniques for storage hierarchies", IBM Systems Journal 9(2),
       1970.
    """
    begin, end = checked_intervals(begin, end)
    at_least("most", most, 1)
    if (begin == end).any():
        raise ValueError(f"end: above begin, got {end[begin == end][0]} for both")
    by_end = np.argsort(end, kind="stable")
    begin, end = begin[by_end], end[by_end]
    order = np.argsort(begin, kind="stable")
    most = min(int(most), begin.size)
    level = np.zeros(begin.size, np.int64)
    if compiled := _compiled() if numba_wanted(begin.size, _WORTH_IMPORTING) else None:
        compiled(begin, end, order, np.full(most, -1), level)
    else:
        levels = level.tolist()  # lists are read three times faster than arrays, one number at a time
        _percolate(begin.tolist(), end.tolist(), order.tolist(), [-1] * most, levels)
        level[:] = levels
    capacity = np.empty_like(level)
    capacity[by_end] = level
    return capacity


def _percolate(begin: Any, end: Any, order: Any, stack: Any, level: Any) -> None:
    """Write the level of each interval to `level` (from 1; 0: dropped); intervals are numbered in order of their ends.

    `order` are the numbers in order of begins; `stack` holds the number at each level, -1 for none.
    """
    ended = 0
    for new in order:
        while end[ended] <= begin[new]:
            if level[ended]:
                stack[level[ended] - 1] = -1
            ended += 1
        carried = new
        for c in range(len(stack)):
            held = stack[c]
            if held < 0 or held > carried:
                stack[c] = carried
                level[carried] = c + 1
                carried = held
                if held < 0:
                    break
        if carried >= 0:
            level[carried] = 0


@cache
def _compiled() -> Callable[..., None] | None:
    try:
        from numba import njit

        return njit(cache=True)(_percolate)
    except (ImportError, RuntimeError):  # numba does not fit this numpy, or finds no folder for its cache
        return None
