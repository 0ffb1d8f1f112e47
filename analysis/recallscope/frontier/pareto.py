"""Pareto sets, dominance between intervals, and hypervolume, of plain arrays in which less is better."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

ON, UNDECIDED, DOMINATED = "on the frontier", "undecided", "dominated"


def pareto_set(costs: ArrayLike) -> np.ndarray:
    """Which points no other point dominates: at most as much in every column, and less in one.

    `costs` [n, 2] or [n, 3], less is better. Returns bool [n]. Equal points do not dominate each other; a point with a
    NaN is not comparable, and never in the set. Sort and sweep, n log n (Kung, Luccio and Preparata 1975).
    """
    values = _objectives("costs", costs)
    known = ~np.isnan(values).any(1)
    unique, place = np.unique(values[known], axis=0, return_inverse=True)  # sorted by the first column, then the next
    best = _first_of_two(unique) if values.shape[1] == 2 else _first_of_three(unique)
    found = np.zeros(len(values), bool)
    found[known] = best[place.ravel()]
    return found


def _first_of_two(points: np.ndarray) -> np.ndarray:
    """Of different points in order: those below all before them."""
    before = np.minimum.accumulate(np.append(np.inf, points[:, 1]))[:-1]
    return (points[:, 1] < before) | (np.arange(len(points)) == 0)


def _first_of_three(points: np.ndarray) -> np.ndarray:
    """Of different points in order: those that the staircase of the two last columns, seen so far, does not cover."""
    best = np.ones(len(points), bool)
    stairs: list[tuple[float, float]] = []  # second column rising, third falling
    for k, (_, y, z) in enumerate(points.tolist()):
        best[k] = _stand(stairs, y, z)
    return best


def _stand(stairs: list[tuple[float, float]], y: float, z: float) -> bool:
    """Whether no stair covers (y, z); then it becomes one, and those that it covers go."""
    at = bisect_right(stairs, (y, z))
    if at and stairs[at - 1][1] <= z:
        return False
    end = at
    while end < len(stairs) and stairs[end][1] >= z:
        end += 1
    stairs[at:end] = [(y, z)]
    return True


def verdicts(low: ArrayLike, high: ArrayLike) -> list[str]:
    """For each point known within a box: `on the frontier`, `dominated`, or `undecided`.

    `low`, `high` [n, 2]: the least and the most that each coordinate may be, less is better. A point is dominated if
    some other dominates it wherever both lie in their boxes, and on the frontier if none does wherever they lie;
    otherwise these intervals do not decide. A point with a NaN is undecided. n log n.
    """
    low, high = _objectives("low", low), _objectives("high", high)
    if low.shape != high.shape or low.shape[1] != 2:
        raise ValueError(f"low, high: of one shape [n, 2], got {list(low.shape)} and {list(high.shape)}")
    if (low > high).any():
        raise ValueError("low, high: low at most high in every coordinate, got a point where it is more")
    known = ~(np.isnan(low) | np.isnan(high)).any(1)
    certain, possible = _covered(high[known], low[known]), _covered(low[known], high[known])
    words = np.full(len(low), UNDECIDED, object)
    words[known] = np.where(certain, DOMINATED, np.where(possible, UNDECIDED, ON))
    return words.tolist()


def _covered(by: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether the corner of some *other* box dominates this corner of a box."""
    order = np.argsort(by[:, 0], kind="stable")
    first, second = by[order, 0], by[order, 1]
    least = np.append(np.inf, np.minimum.accumulate(second)) if len(order) else np.array([np.inf])
    # The second least among the first k, for the points that hold the least themselves.
    next_least = np.append(np.inf, np.minimum.accumulate(np.maximum(second, least[:-1])))
    holders = np.append(-1, order[_place_of_least(second)]) if len(order) else np.array([-1])
    own = np.arange(len(points))

    def lowest(side: str) -> np.ndarray:
        count = np.searchsorted(first, points[:, 0], side)  # type: ignore[call-overload]
        return np.where(holders[count] == own, next_least[count], least[count])

    return (lowest("left") <= points[:, 1]) | (lowest("right") < points[:, 1])


def _place_of_least(values: np.ndarray) -> np.ndarray:
    """Where the least of the first k values stands (its first place), for k = 1 ... n."""
    falls = np.append(True, values[1:] < np.minimum.accumulate(values)[:-1])
    return np.maximum.accumulate(np.where(falls, np.arange(len(values)), 0))


def hypervolume(costs: ArrayLike, reference: Sequence[float]) -> float:
    """Area or volume that the points dominate, up to a reference point; exact, n log n in two dimensions.

    `costs` [n, 2] or [n, 3], less is better; `reference` [2] or [3]. Points that are not better than the reference in
    every coordinate add nothing, nor do points with a NaN. In three dimensions the area of the first two grows with the
    third (Fleischer 2003), at most n² steps. Raises `ValueError` for another shape and a reference that is not finite.
    """
    values = _objectives("costs", costs)
    limit = np.asarray(reference, float)
    if limit.shape != values.shape[1:] or not np.isfinite(limit).all():
        raise ValueError(f"reference: {values.shape[1]} finite numbers, got {list(reference)}")
    inside = values[(values < limit).all(1)]
    if values.shape[1] == 2:
        return _area(inside[pareto_set(inside)], limit)
    total, stairs = 0.0, []
    inside = inside[np.argsort(inside[:, 2], kind="stable")]
    heights = np.append(inside[:, 2], limit[2])
    for point, height in zip(inside, np.diff(heights), strict=True):
        place = bisect_left(stairs, tuple(point[:2]))
        insort(stairs, tuple(point[:2].tolist()), lo=place)
        if height:
            front = np.array(stairs)
            front = front[pareto_set(front)]
            stairs = sorted(map(tuple, front.tolist()))
            total += _area(front, limit[:2]) * height
    return float(total)


def _area(front: np.ndarray, limit: np.ndarray) -> float:
    """Below the staircase of a Pareto set, corner by corner."""
    front = np.unique(front, axis=0)
    right = np.append(front[1:, 0], limit[0])
    return float(np.sum((right - front[:, 0]) * (limit[1] - front[:, 1])))


def _objectives(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, float)
    if array.size == 0:
        array = array.reshape(0, array.shape[-1] if array.ndim == 2 and array.shape[-1] in (2, 3) else 2)
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise ValueError(f"{name}: numbers [n, 2] or [n, 3], got an array {list(array.shape)}")
    return array
