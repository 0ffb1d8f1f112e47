"""Averages over training of what changes in its course."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def average(schedule: Sequence[tuple[float, float]]) -> float:
    """`∫₀¹ f(s) ds` of a function that is linear between the given (progress s, value f); a jump is the same s twice.

    Progress is the share of the training tokens seen, from 0 to 1.
    """
    progress = [s for s, _ in schedule]
    if not progress or progress[0] != 0 or progress[-1] != 1 or progress != sorted(progress):
        raise ValueError(f"schedule: (progress, value) with progress rising from 0 to 1, got {list(schedule)}")
    return sum((b - a) * (f + g) / 2 for (a, f), (b, g) in pairwise(schedule))
