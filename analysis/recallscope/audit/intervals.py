"""Printed numbers with their rounding, and what is computed from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple


class Cell(NamedTuple):
    """A number and the interval that it lies in: 2.01 as printed is in [2.005, 2.015]."""

    value: float
    low: float
    high: float


def cell(row: Mapping[str, Any]) -> Cell:
    """The number of a row with `low` and `high`; exact where it has none (a count)."""
    value, low, high = row["value"], row.get("low"), row.get("high")
    return Cell(value, value if low is None else low, value if high is None else high)


def through(function: Callable[..., tuple[float, float]], *cells: Cell) -> Cell | None:
    """The quotient that `function` gives as numerator and denominator, with the interval that rounding leaves.

    Exact if the quotient is monotone in each argument while the others stand still: the extremes are then among the
    corners of the box. That holds for every quotient of expressions that are linear in (a monotone function of) each
    argument, so for all in this package. None if the denominator can be 0.
    """
    corners = [function(*corner) for corner in product(*({one.low, one.high} for one in cells))]
    denominators = [denominator for _, denominator in corners]
    if min(denominators) <= 0 <= max(denominators):
        return None
    values = [numerator / denominator for numerator, denominator in corners]
    numerator, denominator = function(*(one.value for one in cells))
    return Cell(numerator / denominator, min(values), max(values))


def mean(cells: Sequence[Cell]) -> Cell:
    """The mean, each bound of its own."""
    return Cell(*(math.fsum(bounds) / len(cells) for bounds in zip(*cells, strict=True)))


def deviation(cells: Sequence[Cell]) -> Cell:
    """The standard deviation with divisor n.

    It moves by at most the root mean square of what its arguments move by, so the interval is safe, if not the least.
    """
    values = [one.value for one in cells]
    middle = math.fsum(values) / len(values)
    found = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / len(values))
    moved = math.sqrt(math.fsum(max(c.high - c.value, c.value - c.low) ** 2 for c in cells) / len(cells))
    return Cell(found, max(found - moved, 0), found + moved)


def difference(one: Cell, other: Cell) -> Cell:
    return Cell(one.value - other.value, one.low - other.high, one.high - other.low)


def apart(one: Cell, other: Cell) -> float:
    """How far two intervals are apart, positive if `one` is above; 0 if they meet (up to 1e-9 of their size)."""
    slack = 1e-9 * max(abs(bound) for bound in (*one, *other) if math.isfinite(bound))
    if one.low > other.high + slack:
        return one.low - other.high
    return one.high - other.low if one.high < other.low - slack else 0.0
