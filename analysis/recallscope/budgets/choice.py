"""Which method four budgets and a number of domains call for, and where the answer changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from recallscope.budgets.budgets import Budgets
from recallscope.budgets.cells import Grid
from recallscope.budgets.prediction import Prediction, Refusal, predict

MOST_DOMAINS = 10_000
"""Domains that are looked at for a change of the answer."""
STEPS = 60
"""Values of a budget that are looked at on each side; a method that wins between two of them alone is missed."""


@dataclass(frozen=True)
class Answer:
    """The methods that meet the budgets, the best first, and those that do not.

    `undecided` are methods whose interval meets that of the best, or of which only a bound is known that does.
    """

    budgets: Budgets
    domains: int
    ranked: tuple[Prediction, ...]
    refused: tuple[Refusal, ...]

    @property
    def best(self) -> Prediction | None:
        return self.ranked[0] if self.ranked else None

    @property
    def undecided(self) -> tuple[str, ...]:
        best = self.best
        if best is None:
            return ()
        top = best.high if best.high is not None else best.perplexity
        assert top is not None
        others = ((one.method, one.low if one.low is not None else one.perplexity) for one in self.ranked[1:])
        return tuple(name for name, low in others if low is None or low < top)


@dataclass(frozen=True)
class Flip:
    """A change of the answer: along `axis`, at `value`, from the method asked for to `method` (None: none is left).

    For `domains` it is the first whole number with the other answer.
    """

    axis: str
    value: float
    method: str | None


def choose(grids: Mapping[str, Grid], budgets: Budgets, domains: int) -> Answer:
    """Rank the methods by predicted perplexity; one of which only a bound is known by that bound, before equals.

    Raises `ValueError` for fewer than one domain.
    """
    if domains < 1:
        raise ValueError(f"domains: at least 1, got {domains}")
    found = [predict(grid, budgets, domains) for grid in grids.values()]
    ranked = sorted((one for one in found if isinstance(one, Prediction)), key=_rank)
    return Answer(budgets, domains, tuple(ranked), tuple(one for one in found if isinstance(one, Refusal)))


def _rank(one: Prediction) -> tuple[float, bool]:
    value = one.perplexity if one.perplexity is not None else one.high
    assert value is not None
    return value, one.perplexity is not None


def best_method(grids: Mapping[str, Grid], budgets: Budgets, domains: int) -> str | None:
    best = choose(grids, budgets, domains).best
    return best.method if best else None


def flips(grids: Mapping[str, Grid], budgets: Budgets, domains: int) -> list[Flip]:
    """The nearest change of the answer below and above, for the number of domains and for every budget.

    Each is varied alone, over what the evidence covers; found on `STEPS` values a side, then by bisection.
    """
    now, found = best_method(grids, budgets, domains), []
    for axis, (low, high) in reach(grids, domains).items():
        whole = axis in ("domains", "specialisation_tokens")

        def at(x: float, axis: str = axis, whole: bool = whole) -> str | None:
            value = round(x) if whole else x
            if axis == "domains":
                return best_method(grids, budgets, int(value))
            return best_method(grids, replace(budgets, **{axis: value}), domains)

        start = float(domains if axis == "domains" else getattr(budgets, axis))
        for end in (low, high):
            if start > 0 and not math.isclose(start, end) and (end < start) == (end == low):
                change = _first_change(at, start, end, now, whole)
                found += [Flip(axis, *change)] if change else []
    return found


def reach(grids: Mapping[str, Grid], domains: int) -> dict[str, tuple[float, float]]:
    """What the evidence covers of each axis: half of the smallest to twice the largest amount that any method uses."""
    cells = [(grid, cell) for grid in grids.values() for cell in grid.cells]
    generic = [cell.spent for grid, cell in cells if grid.pays == "generic_training"] or [1.0]
    share = [cell.tuning + cell.spent * (grid.pays == "specialisation_training") for grid, cell in cells if cell.tokens]
    tokens = [cell.tokens for _, cell in cells if cell.tokens]
    parameters = [grid.parameters for grid in grids.values()]
    return {
        "domains": (1, MOST_DOMAINS),
        "generic_training": (min(generic) / 2, max(generic) * 2),
        "specialisation_training": (domains * min(share) / 2, domains * max(share) * 2),
        "inference": (min(parameters) / 2, max(parameters) * 2),
        "specialisation_tokens": (min(tokens) / 2, max(tokens) * 2),
    }


def _first_change(
    at: Callable[[float], str | None], start: float, end: float, now: str | None, whole: bool
) -> tuple[float, str | None] | None:
    """The first value from `start` towards `end` with another answer, and that answer."""
    inside = start
    for step in range(1, STEPS + 1):
        outside = start * (end / start) ** (step / STEPS)
        if at(outside) != now:
            break
        inside = outside
    else:
        return None
    for _ in range(60):
        middle = math.sqrt(inside * outside)
        inside, outside = (middle, outside) if at(middle) == now else (inside, middle)
        if whole and round(inside) == round(outside):
            break
    value = _whole(at, now, inside, outside) if whole else outside
    return value, at(value)


def _whole(at: Callable[[float], str | None], now: str | None, inside: float, outside: float) -> float:
    """The first whole number at or beyond the change."""
    step = 1 if outside > inside else -1
    value = round(inside)
    while at(value) == now:
        value += step
    return float(value)


def least_changes(grids: Mapping[str, Grid], answer: Answer) -> dict[str, float]:
    """Where no method is left: for each budget that would be enough if it alone were changed, the least that is."""
    found: dict[str, float] = {}
    for field in fields(Budgets):
        for refusal in answer.refused:
            for name, least in refusal.binding:
                value = least * (1 + 1e-9)
                if name == "specialisation_tokens":
                    value = math.ceil(least)
                if name == field.name and getattr(answer.budgets, name) < value:
                    changed = replace(answer.budgets, **{name: value})
                    if isinstance(predict(grids[refusal.method], changed, answer.domains), Prediction):
                        found[name] = min(found.get(name, math.inf), least)
    return found
