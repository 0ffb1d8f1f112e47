"""Hits as intervals of time, and the checks that all of the demand shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray[Any, Any]


def checked_intervals(begin: ArrayLike, end: ArrayLike) -> tuple[Array, Array]:
    """`begin` and `end` as int64 `[I]`, whole numbers with begin ≤ end; else `ValueError`."""
    begin, end = _whole_numbers("begin", begin), _whole_numbers("end", end)
    if begin.shape != end.shape:
        raise ValueError(f"end: as many as begin ({begin.size}), got {end.size}")
    if (begin > end).any():
        first = int(np.argmax(begin > end))
        raise ValueError(f"begin: at most end, got {begin[first]} > {end[first]} for interval {first}")
    return begin, end


def checked_distance(distance: ArrayLike) -> Array:
    """Distances to a previous occurrence as int64 `[N]`: 0 for none, none before the first token, no place shared."""
    distance = _whole_numbers("distance", distance)
    at = np.flatnonzero(distance)
    begin = at - distance[at]
    if at.size and (distance.min() < 0 or begin.min() < 0):
        first = int(np.argmax((distance < 0) | (distance > np.arange(distance.size))))
        raise ValueError(f"distance: 0 to {first} at token {first}, got {distance[first]}")
    if at.size and np.bincount(begin).max() > 1:
        raise ValueError("distance: to the previous occurrence, but two tokens have the same one")
    return distance


def at_least(name: str, value: float, least: float) -> None:
    """`ValueError` unless `value` is a finite number of at least `least`."""
    if not least <= value < np.inf:
        raise ValueError(f"{name}: a finite number of at least {least}, got {value!r}")


def _whole_numbers(name: str, values: ArrayLike) -> Array:
    values = np.asarray(values)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        raise ValueError(f"{name}: a one-dimensional integer array, got {values.dtype} of shape {values.shape}")
    return values.astype(np.int64)
