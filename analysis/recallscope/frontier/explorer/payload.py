"""What the page knows: axes, models with their numbers, limits. Everything else it works out itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recallscope import look
from recallscope.frontier.axes import Axis, Better
from recallscope.frontier.models import Model, Number, axes_of, joined
from recallscope.frontier.points import Frontier, family_of, points_of
from recallscope.frontier.readings import limit_curve, step_of, to_limit
from recallscope.frontier.shell import name_of

Row = dict[str, Any]


def payload(
    rows: Sequence[Row],
    qualities: Mapping[str, Better],
    costs: Mapping[str, Better],
    columns: Mapping[str, str],
) -> dict[str, Any]:
    """An object for JSON: `axes` (quality, cost), `models` (numbers by index of axis, with an index of `origins`),
    `origins`, `limits` (curves by index of both axes), `families` (colour and marker).

    An axis of quality without a model that has a cost is left out. Numbers are [value, low, high, origin].
    """
    every = joined(rows, qualities, costs, columns)
    models = [model for model in every if model.costs]
    axes = axes_of(models)
    origins: dict[tuple[Any, ...], int] = {}
    limits, below = _limits(models, *axes)
    return {
        "axes": {name: [_axis(axis) for axis in own] for name, own in zip(("quality", "cost"), axes, strict=True)},
        "models": [_model(model, axes, origins, below[k]) for k, model in enumerate(models)],
        "origins": [list(origin) for origin in origins],
        "limits": limits,
        "families": {name: [style.color, style.symbol] for name, style in look.FAMILIES.items()},
    }


def _axis(axis: Axis) -> Row:
    return {
        "label": axis.label, "metric": axis.metric.replace("_", " "), "unit": axis.unit, "better": axis.better,
        "setting": axis.setting, "step": step_of(Frontier(axis, axis, ())),
    }  # fmt: skip


def _model(model: Model, axes: tuple[list[Axis], list[Axis]], origins: dict[tuple[Any, ...], int], below: Row) -> Row:
    def numbers(own: Mapping[Axis, Number], known: list[Axis]) -> Row:
        return {str(known.index(axis)): _number(one, origins) for axis, one in own.items()}

    setting = {name: str(value) for name, value in model.setting.items() if name not in ("subject", "source", "tests")}
    return {
        "name": name_of(model.subject, model.setting), "family": family_of(model), "kind": model.kind,
        "scale": str(model.setting.get("scale") or ""), "setting": setting,
        "q": numbers(model.qualities, axes[0]), "c": numbers(model.costs, axes[1]), "below": below,
    }  # fmt: skip


def _number(number: Number, origins: dict[tuple[Any, ...], int]) -> list[Any]:
    origin = (number.kind, number.source, number.trust, number.flag, number.origin)
    return [number.value, number.low, number.high, origins.setdefault(origin, len(origins))]


def _limits(models: Sequence[Model], qualities: list[Axis], costs: list[Axis]) -> tuple[dict[str, Any], list[Row]]:
    """Curves by "quality,cost"; and for each model, by the same keys, what `to_limit` says."""
    curves, below = {}, [{} for _ in models]
    for q, quality in enumerate(qualities):
        for c, cost in enumerate(costs):
            if not quality.tests or not cost.metric.startswith("state_"):
                continue
            places = [k for k, model in enumerate(models) if quality in model.qualities and cost in model.costs]
            points = points_of(quality, cost, [models[k] for k in places])
            frontier = Frontier(quality, cost, tuple(points))
            curve = limit_curve(frontier)
            if curve is None:
                continue
            curves[f"{q},{c}"] = [[float(f"{x:.6g}") for x in part] for part in curve]
            for k, limit in zip(places, to_limit(frontier, points), strict=True):
                below[k][f"{q},{c}"] = None if limit is None else [float(f"{x:.4g}") for x in limit]
    return curves, below
