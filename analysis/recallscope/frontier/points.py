"""Points of quality against cost, and which of them are on the frontier, as far as their intervals decide it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope import look
from recallscope.frontier.axes import COLUMNS, COSTS, QUALITIES, Axis, Better, asked, direction
from recallscope.frontier.models import Model, Number, axes_of, joined
from recallscope.frontier.pareto import pareto_set, verdicts
from recallscope.published.where import matching

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """One model: what it costs and how good it is, whether its values are in the Pareto set (`best`), and the
    `verdict` that its intervals allow: `on the frontier`, `undecided` or `dominated`."""

    subject: str
    kind: str
    setting: Row
    cost: Number
    quality: Number
    best: bool = False
    verdict: str = ""


@dataclass(frozen=True)
class Frontier:
    """All points of one quality in one test against one cost, cheapest first; `unknown` models have no such cost."""

    quality: Axis
    cost: Axis
    points: tuple[Point, ...]
    unknown: int = 0

    @property
    def best(self) -> list[Point]:
        """The points of the Pareto set, cheapest first."""
        return [point for point in self.points if point.best]


def frontiers(
    table: pa.Table,
    quality: str = "accuracy",
    cost: str = "state_bytes",
    better: Better | None = None,
    cost_better: Better | None = None,
) -> list[Frontier]:
    """Frontiers of a quality against a cost, one for each test that the quality was measured in, most points first.

    Values of different tests (`axes.TEST`: task, slice, corpus, length, ...) are never compared. Rows are joined to
    models as `joined` says; sweeps and seeds become points with the spread over seeds as their interval; a point
    without an interval counts as exact, and is no more certain for it.

    Parameters
    ----------
    table : Table
        Rows of evidence.
    quality, cost : str
        `METRIC`, or `METRIC:column=value,column=value` for some rows of it. A cost is also a numeric column of the rows
        of quality: `state_bytes`, `parameters`, `training_tokens`, ...
    better, cost_better : "higher", "lower" or None
        None: as is known of the metric (`axes.QUALITIES`, `axes.COSTS`).

    Raises `ValueError` for a metric without direction, for units that differ within one axis, for a cost that no model
    has, that was measured in several settings, or that is not above 0.
    """
    rows = table.to_pylist()
    metric, conditions = asked("quality", quality)
    found = _rows("quality", rows, metric, conditions)
    cost_metric, cost_conditions = asked("cost", cost)
    costs = [row for row in rows if row["metric"] == cost_metric]
    costs = matching(costs, cost_conditions) if costs and cost_conditions else costs
    _one_unit("quality", found)
    _one_unit("cost", costs)
    columns = _column(found, cost_metric) if not cost_conditions else {}
    ways: dict[str, Better] = {metric: direction("quality", metric, better, QUALITIES)}
    known: dict[str, Better] = {**dict.fromkeys(COLUMNS, "lower"), **COSTS}
    cost_ways: dict[str, Better] = (
        {cost_metric: direction("cost", cost_metric, cost_better, known)} if costs or columns else {}
    )
    if metric == cost_metric or not cost_ways:
        raise ValueError(
            f"cost: a metric or column that rows of {metric!r} have, {_choices(rows, metric)}; got {cost!r}"
        )
    models = joined([*found, *costs], ways, cost_ways, columns, every=rows)
    made = [_frontier(axis, models, cost) for axis in axes_of(models)[0]]
    made = [frontier for frontier in made if frontier.points]
    if not made:
        raise ValueError(f"cost: no row of {cost!r} has the subject and setting of a row of {quality!r}")
    return sorted(made, key=lambda frontier: (-len(frontier.points), -len(frontier.quality.tests)))


def family_of(point: Point | Model) -> str:
    """The architecture family of a model (`look.FAMILIES`), by its mixer where that is known."""
    return look.family(str(point.setting.get("mixer") or point.subject))


def _rows(name: str, rows: Sequence[Row], metric: str, conditions: str) -> list[Row]:
    metrics = sorted({row["metric"] for row in rows})
    if metric not in metrics:
        raise ValueError(f"{name}: one of {', '.join(metrics) or 'no metric, the table is empty'}; got {metric!r}")
    found = matching([row for row in rows if row["metric"] == metric], conditions)
    if not any(row["value"] is not None and row["value"] == row["value"] for row in found):
        raise ValueError(f"{name}: no row of {metric!r} with a number matches {conditions!r}")
    return found


def _one_unit(name: str, rows: Sequence[Row]) -> None:
    units = list(dict.fromkeys(str(row["unit"]) for row in rows))
    if len(units) > 1:
        raise ValueError(
            f"{name}: one unit on an axis, got {', '.join(units)}; choose as in {rows[0]['metric']}:unit={units[0]}"
        )


def _column(rows: Sequence[Row], name: str) -> dict[str, str]:
    source = "state_elements" if name == "state_bytes" else name
    numeric = any(
        isinstance(row.get(column), int | float) and not isinstance(row.get(column), bool)
        for row in rows
        for column in (name, source)
    )
    return {name: COLUMNS.get(name, "")} if numeric else {}


def _choices(rows: Sequence[Row], metric: str) -> str:
    own = [row for row in rows if row["metric"] == metric]
    columns = [name for name in COLUMNS if _column(own, name)]
    metrics = [name for name in COSTS if any(row["metric"] == name for row in rows) and name not in columns]
    return f"such as {', '.join(columns + metrics)}" if columns or metrics else "of which this table holds none"


def _frontier(quality: Axis, models: Sequence[Model], cost: str) -> Frontier:
    own = [model for model in models if quality in model.qualities]
    axes = list(dict.fromkeys(axis for model in own for axis in model.costs))
    if len(axes) > 1:
        settings = "; ".join(axis.setting or "a column of the rows" for axis in axes)
        raise ValueError(
            f"cost: one setting on an axis, {cost!r} has several, to choose from as :column=value: {settings}"
        )
    axis = next(iter(axes), Axis(cost, "", "lower"))
    points = points_of(quality, axis, own)
    return Frontier(quality, axis, judged(quality, axis, points), len(own) - len(points))


def points_of(quality: Axis, cost: Axis, models: Sequence[Model]) -> list[Point]:
    """The models that have both, as points not yet judged."""
    return [
        Point(model.subject, model.kind, model.setting, model.costs[cost], model.qualities[quality])
        for model in models
        if quality in model.qualities and cost in model.costs
    ]


def judged(quality: Axis, cost: Axis, points: Sequence[Point]) -> tuple[Point, ...]:
    """The points in order of their cost, with `best` and `verdict`. Costs must be above 0."""
    for point in points:
        if not point.cost.value > 0:
            raise ValueError(f"cost: above 0, got {point.cost.value:g} for {point.subject!r}")
    if not points:
        return ()
    values, low, high = boxes(quality, cost, points)
    best, words = pareto_set(values), verdicts(low, high)
    made = [replace(p, best=bool(b), verdict=w) for p, b, w in zip(points, best, words, strict=True)]
    order = np.lexsort((values[:, 1], values[:, 0]))
    return tuple(made[k] for k in order)


def boxes(quality: Axis, cost: Axis, points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, lowest and highest corners [n, 2] of the points as (log cost, quality), turned so that less is better.

    A number without an interval is its own; of a cost interval that reaches 0 or less the value counts.
    """
    signs = np.array([1.0 if axis.better == "lower" else -1.0 for axis in (cost, quality)])
    corners = np.array([[_ends(point.cost), _ends(point.quality)] for point in points])  # [n, 2, 3]
    floor = corners[:, 0, 1:2]
    corners[:, 0] = np.log(np.where(corners[:, 0] > 0, corners[:, 0], floor))
    turned = np.sort(corners[:, :, [0, 2]] * signs[:, None], axis=2)
    return corners[:, :, 1] * signs, turned[:, :, 0], turned[:, :, 1]


def _ends(number: Number) -> tuple[float, float, float]:
    low = number.value if number.low is None else min(number.low, number.value)
    high = number.value if number.high is None else max(number.high, number.value)
    return low, number.value, high
