"""Frontiers as text for people, and as objects for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from recallscope.frontier.axes import Axis
from recallscope.frontier.models import Number
from recallscope.frontier.pareto import DOMINATED, ON, UNDECIDED
from recallscope.frontier.points import Frontier
from recallscope.frontier.readings import (
    Interval,
    cost_at,
    price_of_step,
    quality_at,
    reference_of,
    step_of,
    to_limit,
    volume,
)  # fmt: skip
from recallscope.published.format import aligned

BUDGETS = 5
"""Budgets that are read off where none is asked for: powers of ten, or of four where that gives too few."""


def format_frontier(
    frontier: Frontier, budgets: Sequence[float] = (), targets: Sequence[float] = (), step: float | None = None
) -> str:
    """The Pareto set with the price of one more point, the limit, and readings at budgets and target qualities."""
    quality, cost = frontier.quality, frontier.cost
    step = step_of(frontier) if step is None else step
    prices, limits = price_of_step(frontier, step), to_limit(frontier)
    lines = [[cost.metric.replace("_", " "), quality.metric, "", "", f"cost of +{step:g}", ""]]
    lines[0] += ["below limit", "bits / needed"] if any(limits) else []
    lines[0] += ["model", "kind"]
    if quality.better == "lower":
        lines[0][4] = f"cost of -{step:g}"
    for point, price, limit in zip(frontier.best, prices, limits, strict=True):
        cells = [number(point.cost.value), number(point.quality.value), _interval(point.quality)]
        cells += ["" if point.verdict == ON else point.verdict, _factor(price[0]), _bounds(price, _factor)]
        if any(limits):
            cells += ["", ""] if limit is None else [number(limit[0], 2), number(limit[1])]
        lines.append([*cells, name_of(point.subject, point.setting), point.kind])
    return "\n".join([*_head(frontier), "", aligned(lines, right=(0, 1, 4, 6, 7) if any(limits) else (0, 1, 4)), "",
                      *_sentences(frontier, budgets or _budgets(frontier), targets)])  # fmt: skip


def _head(frontier: Frontier) -> list[str]:
    counts = {word: sum(point.verdict == word for point in frontier.points) for word in (ON, UNDECIDED, DOMINATED)}
    exact = sum(point.quality.low is None or point.quality.high is None for point in frontier.points)
    found = f"{len(frontier.points)} points: " + ", ".join(f"{count} {word}" for word, count in counts.items())
    left = f"; {frontier.unknown} more have no such cost" if frontier.unknown else ""
    return [
        f"{frontier.quality.label}: {frontier.quality.better} is better",
        f"against {frontier.cost.label}: {frontier.cost.better} is better",
        found + (f"; {exact} without an interval count as exact" if exact else "") + left,
    ]


def _sentences(frontier: Frontier, budgets: Sequence[float], targets: Sequence[float]) -> list[str]:
    quality, cost = frontier.quality.metric, frontier.cost.metric.replace("_", " ")
    lines = []
    for budget in budgets:
        found = quality_at(frontier, budget)
        said = "nothing here" if found[0] is None else f"{quality} {number(found[0])} {_bounds(found, number)}".rstrip()
        lines.append(f"{cost} {number(budget)} buys {said}")
    for target in targets:
        found = cost_at(frontier, target)
        said = (
            "more than anything here" if found[0] is None else f"{number(found[0])} {_bounds(found, number)}".rstrip()
        )
        lines.append(f"{quality} {number(target)} costs {cost} {said}")
    size, reference = volume(frontier), reference_of(frontier)
    unit = "" if frontier.quality.unit == "1" else f" x {frontier.quality.unit}"
    lines.append(
        " ".join(["hypervolume", number(size[0]), *filter(None, [_bounds(size, number)])])
        + f" decades{unit}, reference: {cost} {number(reference[0])}, {quality} {number(reference[1])}"
    )
    return lines


def name_of(subject: str, setting: dict[str, Any]) -> str:
    """A model's name with what tells it from its kin in print: scale and training tokens."""
    scale, tokens = setting.get("scale"), setting.get("training_tokens")
    parts = [str(scale)] if scale else []
    parts += [f"{tokens / 1e9:g}B tokens"] if tokens else []
    return subject + (f" ({', '.join(parts)})" if parts else "")


def _budgets(frontier: Frontier) -> list[float]:
    costs = [point.cost.value for point in frontier.points]
    for base in (10.0, 4.0):
        first, last = (math.log(edge) / math.log(base) for edge in (min(costs), max(costs)))
        powers = [base**k for k in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)]
        if len(powers) >= 2:
            break
    return powers[:: math.ceil(len(powers) / BUDGETS)] if powers else [max(costs)]


def number(value: float | None, digits: int = 4) -> str:
    """As many digits as say something; large numbers in full, with separators."""
    if value is None or math.isinf(value):
        return "unbounded"
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def _factor(value: float | None) -> str:
    return (
        "" if value is None else "x unbounded" if value > 1e6 else f"x {value:.3f}" if value < 10 else f"x {value:.3g}"
    )


def _interval(found: Number) -> str:
    return "" if found.low is None or found.high is None else f"[{number(found.low)}, {number(found.high)}]"


def _bounds(found: Interval, say: Any) -> str:
    if found[0] is None or found[1] == found[0] == found[2]:
        return ""
    low, high = ("-" if bound is None else say(bound).removeprefix("x ") for bound in found[1:])
    return f"[{low}, {high}]"


def as_json(frontier: Frontier, budgets: Sequence[float] = (), targets: Sequence[float] = ()) -> dict[str, Any]:
    """Everything of a frontier: axes, points with verdict, the price of one more point, readings; None: not bounded."""
    prices = dict(zip(map(id, frontier.best), price_of_step(frontier), strict=True))
    limits = to_limit(frontier, frontier.points)
    points = [
        asdict(point) | {"cost_of_step": prices.get(id(point)), "below_limit": limit and limit[0]}
        | {"bits_over_needed": limit and limit[1]}
        for point, limit in zip(frontier.points, limits, strict=True)
    ]  # fmt: skip
    return {
        "quality": asdict(frontier.quality),
        "cost": asdict(frontier.cost),
        "points": points,
        "step": step_of(frontier),
        "quality_at": [[budget, *quality_at(frontier, budget)] for budget in budgets or _budgets(frontier)],
        "cost_at": [[target, *cost_at(frontier, target)] for target in targets],
        "hypervolume": volume(frontier),
        "reference": reference_of(frontier),
    }


def others(frontiers: Sequence[Frontier]) -> str:
    """One line for each frontier that is not shown."""
    axes: list[Axis] = [frontier.quality for frontier in frontiers]
    return "\n".join(f"  {axis.label} ({len(f.points)} points)" for axis, f in zip(axes, frontiers, strict=True))
