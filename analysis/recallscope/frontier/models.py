"""Rows of evidence joined by subject and setting: one model, its qualities and its costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from recallscope.evidence import COLUMNS as EVIDENCE
from recallscope.frontier.axes import COLUMNS, TEST, Axis, Better, setting
from recallscope.frontier.collapsed import ORIGIN, collapsed

Row = dict[str, Any]

BITS = 32
"""Bits of an element of state whose bytes nobody stated: the float32 of the sweeps and of the published figures."""


@dataclass(frozen=True)
class Number:
    """A value, the interval it is known within (None: no interval), and where it is from."""

    value: float
    low: float | None
    high: float | None
    kind: str
    source: str | None = None
    trust: str | None = None
    flag: str | None = None
    origin: str | None = None


@dataclass
class Model:
    """One model in one setting: what tells it from others, and its numbers by axis."""

    subject: str
    kind: str
    setting: Row
    qualities: dict[Axis, Number] = field(default_factory=dict)
    costs: dict[Axis, Number] = field(default_factory=dict)


def joined(
    rows: Sequence[Row],
    qualities: Mapping[str, Better],
    costs: Mapping[str, Better],
    columns: Mapping[str, str] = COLUMNS,
    every: Sequence[Row] | None = None,
) -> list[Model]:
    """Models that have a quality, each with the costs that belong to it.

    Rows of quality are of one model if their subject and all columns are equal that do not say what was tested (`TEST`)
    or where the row is from. A cost is a column of the row of quality (`columns`: name and unit, less is better), or
    another row, of a metric in `costs`, with the same subject and no column that says otherwise: two columns that both
    are set must be equal, and two printed numbers must be of one row of one table. `state_bytes` follows from
    `state_elements` at `BITS` bits an element where it is not there. Directions stand in `qualities` and `costs`.
    `every` are the rows in which tests of published figures are looked for. Equal rows count once; another value of the
    same quality is of another model (two points of a figure at one state). Raises `ValueError` for two values of one
    cost of one model.
    """
    models: dict[tuple[Any, ...], Model] = {}
    for row in collapsed(rows, qualities, every):
        axis = Axis(row["metric"], row["unit"], qualities[row["metric"]], row["setting"], row["tests"])
        model, number = _model_of(row, models, axis), _number(row)
        model.qualities[axis] = number
        for name, unit in columns.items():
            cost = _of_column(row, name)
            if cost:
                _put(model, Axis(name, unit, costs.get(name, "lower")), cost)
    by_subject: dict[str, list[Model]] = {}
    for model in models.values():
        by_subject.setdefault(model.subject, []).append(model)
    for row in collapsed(rows, costs, every):
        axis = Axis(row["metric"], row["unit"], costs[row["metric"]], setting(row | {"setting": None}, device=True))
        for model in by_subject.get(row["subject"], ()):
            printed = model.kind == row["kind"] == "published"
            if _agree(model.setting, _own(row), ("table", "row") if printed else ()):
                _put(model, axis, _number(row))
    return list(models.values())


_NOT_OWN = {*EVIDENCE, *TEST, *ORIGIN, *("tests", "seed", "seconds", "validation", "chance", "demand_bits", "reference",
            "device", "figure", "state_error", "assumes", "with_reference")} - {"subject"}  # fmt: skip


def _own(row: Row) -> Row:
    """The columns that tell one model from another, in a fixed order."""
    return {name: row[name] for name in sorted(row) if name not in _NOT_OWN and row[name] is not None}


def _agree(first: Row, second: Row, always: Sequence[str]) -> bool:
    names = (first.keys() & second.keys()).union(always)
    return all(first.get(name) == second.get(name) for name in names)


def _number(row: Row, value: float | None = None, low: float | None = None, high: float | None = None) -> Number:
    stated = (row["value"], row.get("low"), row.get("high")) if value is None else (value, low, high)
    origin = ", ".join(f"{name} {row[name]}" for name in ("commit", "version", "time") if row.get(name))
    return Number(*stated, row["kind"], row.get("source"), row.get("trust"), row.get("flag"), origin or None)


def _of_column(row: Row, name: str) -> Number | None:
    value, error = row.get(name), 0.0
    if name == "state_bytes" and value is None and row.get("state_elements") is not None:
        value = row["state_elements"] * BITS / 8
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if name.startswith("state_"):
        error = row.get("state_error") or 0.0
    return _number(row, float(value), *((value * (1 - error), value * (1 + error)) if error else (None, None)))


def _model_of(row: Row, models: dict[tuple[Any, ...], Model], axis: Axis) -> Model:
    """The model of a row of quality: a second number of it in the same test, if it is another, is another model's."""
    own = _own(row)
    for k in count():
        model = models.setdefault((k, *own.items()), Model(row["subject"], row["kind"], own))
        before = model.qualities.get(axis)
        if before is None or before.value == row["value"]:
            return model
    raise AssertionError


def _put(model: Model, axis: Axis, number: Number) -> None:
    """Rows that say the same twice count once."""
    before = model.costs.setdefault(axis, number)
    if before.value != number.value:
        raise ValueError(
            f"table: one value of {axis.label} for each model, got {before.value:g} and {number.value:g} for "
            f"{model.subject!r}; a column that tells them apart is missing"
        )


def axes_of(models: Iterable[Model]) -> tuple[list[Axis], list[Axis]]:
    """Axes of quality and of cost with the numbers on them, most first."""
    found: tuple[dict[Axis, int], dict[Axis, int]] = ({}, {})
    for model in models:
        for axes, numbers in zip(found, (model.qualities, model.costs), strict=True):
            for axis in numbers:
                axes[axis] = axes.get(axis, 0) + 1
    qualities, costs = (sorted(axes, key=lambda axis: (-axes[axis], axis.label)) for axes in found)
    return qualities, costs
