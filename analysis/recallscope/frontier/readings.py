"""What a frontier says: what a budget buys, what a quality costs, the price of one more point, the way to the limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from recallscope.frontier.limits import mean_accuracy_limit, needed_bits
from recallscope.frontier.models import BITS
from recallscope.frontier.pareto import hypervolume
from recallscope.frontier.points import Frontier, Point, boxes

Interval = tuple[float | None, float | None, float | None]
"""Value, lowest and highest; None: out of what these points can say, or without bound."""

_STATE_BITS = {"state_bytes": 8.0, "state_elements": float(BITS)}


@dataclass(frozen=True)
class _Curve:
    """Rising quality over rising log cost, in the orientation in which less cost and more quality is better."""

    x: np.ndarray
    y: np.ndarray

    def quality(self, x: float) -> float | None:
        return None if x < self.x[0] else float(np.interp(x, self.x, self.y))

    def cost(self, y: float) -> float | None:
        k = int(np.searchsorted(self.y, y, "left"))
        if k == len(self.y):
            return None
        if k == 0:
            return float(self.x[0])
        share = (y - self.y[k - 1]) / (self.y[k] - self.y[k - 1])
        return float(self.x[k - 1] + share * (self.x[k] - self.x[k - 1]))


def _curves(frontier: Frontier) -> tuple[_Curve, _Curve, _Curve]:
    """Through the points of the Pareto set: their values, their worst corners, and their best ones."""
    values, low, high = boxes(frontier.quality, frontier.cost, frontier.best)
    worst = _Curve(np.maximum.accumulate(high[:, 0]), np.maximum.accumulate(-high[:, 1]))
    best = _Curve(np.minimum.accumulate(low[::-1, 0])[::-1], np.maximum.accumulate(-low[:, 1]))
    return _Curve(values[:, 0], -values[:, 1]), worst, best


def quality_at(frontier: Frontier, cost: float) -> Interval:
    """What quality a budget buys: between two points of the Pareto set in a straight line over log cost.

    Below the cheapest point None; above the dearest what that one has, since a budget need not be spent (with a cost of
    which more is better, the other way round). The interval holds for these models, wherever each lies in its own;
    which of them make the frontier is not varied, and a model between two others is an assumption.
    """
    _positive("cost", cost)
    x, sign = _log_cost(frontier, cost), _sign(frontier.quality.better)
    value, worst, best = (curve.quality(x) for curve in _curves(frontier))
    return _turned(sign, value, worst, best)


def cost_at(frontier: Frontier, quality: float) -> Interval:
    """What a quality costs on the frontier, as `quality_at` read the other way; None if no point is as good."""
    y, sign = quality * _sign(frontier.quality.better), -_sign(frontier.cost.better)
    value, worst, best = (curve.cost(y) for curve in _curves(frontier))
    logs = _turned(sign, value, best, worst)
    return _exponentials(*logs)


def price_of_step(frontier: Frontier, step: float | None = None) -> list[Interval]:
    """By which factor the cost changes for `step` more of quality, at each point of the Pareto set, cheapest first.

    The local slope: that of the line to the next point, over log cost. `step` is `step_of` by default. The last point
    has no next: (None, None, None). A bound is None where the two qualities are not told apart.
    """
    step = step_of(frontier) if step is None else step
    _positive("step", step)
    values, low, high = boxes(frontier.quality, frontier.cost, frontier.best)
    sign, prices = -_sign(frontier.cost.better), []
    for k in range(len(values) - 1):
        rise, least, most = (_gain(a[k, 1], b[k + 1, 1]) for a, b in ((values, values), (low, high), (high, low)))
        run = (values[k + 1, 0] - values[k, 0]) * step
        short = max(low[k + 1, 0] - high[k, 0], 0.0) * step
        long = (high[k + 1, 0] - low[k, 0]) * step
        logs = (run / rise, short / most if most > 0 else 0.0, long / least if least > 0 else None)
        prices.append(_exponentials(*_turned(sign, *logs)))
    return [*prices, (None, None, None)]


def step_of(frontier: Frontier) -> float:
    """One point of quality: 1 where the unit is %, else 0.01 (of a share, of perplexity, of nats)."""
    return 1.0 if frontier.quality.unit == "%" else 0.01


def reference_of(frontier: Frontier) -> tuple[float, float]:
    """The reference (cost, quality) of the hypervolume: worst cost of all points, and no quality at all where there is
    such a thing (0 if more is better), else the worst of all points."""
    costs, qualities = ([getattr(p, name).value for p in frontier.points] for name in ("cost", "quality"))
    worst = max if frontier.cost.better == "lower" else min
    return worst(costs), 0.0 if frontier.quality.better == "higher" else max(qualities)


def volume(frontier: Frontier, reference: Sequence[float] | None = None, log_cost: bool = True) -> Interval:
    """Hypervolume: what the frontier dominates up to the reference (cost, quality), exact.

    Unit: decades of cost times the unit of quality; with `log_cost=False` unit of cost times unit of quality. The
    interval: all points at their worst, and all at their best.
    """
    cost, quality = reference_of(frontier) if reference is None else reference
    _positive("reference cost", cost)
    value, low, high = boxes(frontier.quality, frontier.cost, frontier.points)
    end = np.array([_log_cost(frontier, cost), -quality * _sign(frontier.quality.better)])

    def size(corners: np.ndarray) -> float:
        if log_cost:
            return hypervolume(corners, end.tolist()) / math.log(10)
        sign = -_sign(frontier.cost.better)
        plain = np.column_stack([sign * np.exp(sign * corners[:, 0]), corners[:, 1]])
        return hypervolume(plain, [sign * cost, float(end[1])])

    return size(value), size(high), size(low)


def to_limit(frontier: Frontier, points: Sequence[Point] | None = None) -> list[tuple[float, float] | None]:
    """For each point (default: of the Pareto set) the quality that information still allows in its state above its own,
    and how many times the bits that its quality needs its state holds; None where there is no limit.

    There is one for the accuracy of recall on MQAR against `state_bytes` or `state_elements` (`bounds`, averaged over
    the tests). All bits of the state count; elements hold 32. The factor is infinite where no bit is needed.
    """
    points = frontier.best if points is None else points
    tests, bits = mqar_tests(frontier), state_bits(frontier)
    if not tests or bits is None or not points:
        return [None] * len(points)
    states = np.array([point.cost.value * bits for point in points])
    values = [point.quality.value for point in points]
    needed_by_value = _needed(tuple(sorted(set(values))), frontier.quality.tests)
    limits, needed = mean_accuracy_limit(states, tests), np.array([needed_by_value[value] for value in values])
    factors = np.divide(states, needed, out=np.full(len(states), np.inf), where=needed > 0)
    return list(zip((limits - np.array(values)).tolist(), factors.tolist(), strict=True))


@cache
def _needed(values: tuple[float, ...], tests: tuple[tuple[int, int], ...]) -> dict[float, float]:
    """Kept, as a bisection takes half a second, and the same models stand on several axes of state."""
    of = [{"pairs": pairs, "vocabulary": vocabulary} for pairs, vocabulary in tests]
    return dict(zip(values, needed_bits(values, of).tolist(), strict=True))


def mqar_tests(frontier: Frontier) -> list[dict[str, int]]:
    """The MQAR tests that the quality is the mean accuracy of, none if it is something else."""
    of = frontier.quality.tests if frontier.quality.metric == "accuracy" and frontier.quality.unit == "1" else ()
    return [{"pairs": pairs, "vocabulary": vocabulary} for pairs, vocabulary in of]


def state_bits(frontier: Frontier) -> float | None:
    """Bits in one unit of the cost if that is a state, else None."""
    return _STATE_BITS.get(frontier.cost.metric)


def limit_curve(frontier: Frontier) -> tuple[list[float], list[float]] | None:
    """The information limit over the cost, from 16 bits of state (or the smallest) to the largest; None without one."""
    tests, bits = mqar_tests(frontier), state_bits(frontier)
    if not tests or bits is None or not frontier.points:
        return None
    costs = [point.cost.value for point in frontier.points]
    grid = np.geomspace(min(16 / bits, *costs), max(costs), 129)
    return grid.tolist(), mean_accuracy_limit(grid * bits, tests).tolist()


def _gain(before: float, after: float) -> float:
    return before - after  # of turned qualities, of which less is better


def _sign(better: str) -> float:
    return 1.0 if better == "higher" else -1.0


def _log_cost(frontier: Frontier, cost: float) -> float:
    return -_sign(frontier.cost.better) * math.log(cost)


def _turned(sign: float, value: float | None, low: float | None, high: float | None) -> Interval:
    """Value, low and high in the orientation of the axis; a turned interval has its ends exchanged."""
    turned = [None if number is None else sign * number for number in (value, low, high)]
    return (turned[0], turned[1], turned[2]) if sign > 0 else (turned[0], turned[2], turned[1])


def _exponentials(*logs: float | None) -> Interval:
    value, low, high = (None if x is None else math.exp(x) if x < 700 else math.inf for x in logs)
    return value, low, high


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name}: a finite number above 0, got {value:g}")
