"""A statement of order: it says how a quantity grows, and nothing about one size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asymptotic:
    """An order of growth whose constant is not known: never a bound at the sizes at hand.

    Attributes
    ----------
    order : str
        As the source states it, such as `Θ(D log log(U/D))`.
    term : float
        What stands within at the sizes given, logarithms to base 2. Two settings can be compared by it; a number of
        bits or layers it is not.
    unit : str
        `bits` or `layers`: of the quantity, if the constant were 1.
    holds : str
        For what, and in which range.
    source : str
        Paper and statement.
    """

    order: str
    term: float
    unit: str
    holds: str
    source: str
