"""Accuracy against what a sweep varies: width of the model, pairs or length of the test, learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from recallscope.evidence import COLUMNS
from recallscope.training.sweeps.plots.drawing import (
    accuracy_figure,
    accuracy_title,
    draw_chance,
    draw_chance_line,
    draw_points,
    mean_chance,
)
from recallscope.training.sweeps.plots.points import (
    Test,
    accuracy_rows,
    best_points,
    points_at_each_rate,
    rows_of,
    tests_of,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_X_TITLES = {"pairs": "pairs in the context", "length": "length of the test, tokens"}


def accuracy_against_width(table: pa.Table, test: Test | None = None) -> Figure:
    """Accuracy against the model width; lines join subjects that differ in nothing else."""
    rows = accuracy_rows(table, test)
    points = [point | {"x": point["width"]} for point in best_points(rows) if point.get("width")]
    figure, tests, widths = accuracy_figure(), tests_of(rows), sorted({point["x"] for point in points})
    draw_points(figure, points, lambda point: _without(point["subject"], "width"))
    draw_chance(figure, tests, widths)
    figure.update_xaxes(type="log", title="model width, channels", tickvals=widths, ticktext=[f"{w:,}" for w in widths])
    return figure.update_yaxes(title=accuracy_title(tests))


def accuracy_against_pairs(table: pa.Table, subjects: Sequence[str] | None = None, x: str = "pairs") -> Figure:
    """Accuracy on each test against its pairs, or against another number of the tests (`length`), a line per subject.

    Tests that share this number are averaged.
    """
    rows = rows_of(accuracy_rows(table, None), subjects)
    settings = [name for name in table.column_names if name not in COLUMNS]
    numbers = [name for name in settings if any(type(row[name]) in (int, float) for row in rows)]
    if x not in numbers:
        raise ValueError(f"x: expected one of {', '.join(numbers)}; got {x!r}")
    places = sorted({row[x] for row in rows if row[x] is not None})
    points = [point | {"x": at} for at in places for point in best_points([row for row in rows if row[x] == at])]
    figure = accuracy_figure()
    draw_points(figure, points, lambda point: point["subject"])
    draw_chance_line(figure, places, [mean_chance(tests_of([row for row in rows if row[x] == at])) for at in places])
    figure.update_xaxes(type="log", title=_X_TITLES.get(x, x.replace("_", " ")))
    figure.update_xaxes(tickvals=places, ticktext=[f"{at:,}" for at in places])
    return figure.update_yaxes(title="accuracy (share of answers)")


def accuracy_against_rate(table: pa.Table, subjects: Sequence[str] | None = None, test: Test | None = None) -> Figure:
    """Accuracy at every learning rate: mean over seeds, in a band from the worst to the best; the chosen rate is large.

    How narrow the peak is says how much a comparison depends on the rates that were tried.
    """
    rows = rows_of(accuracy_rows(table, test), subjects)
    figure, tests, points = accuracy_figure(), tests_of(rows), points_at_each_rate(rows)
    rates = sorted({point["rate"] for point in points})
    draw_points(figure, [point | {"x": point["rate"]} for point in points], lambda point: point["subject"], bands=True)
    draw_chance(figure, tests, rates)
    figure.update_xaxes(
        type="log", title="peak learning rate", tickvals=rates, ticktext=[f"{rate:.2g}" for rate in rates]
    )
    return figure.update_yaxes(title=accuracy_title(tests))


def _without(subject: str, option: str) -> str:
    """`gla:width=32,heads=1` without its width: `gla:heads=1`."""
    head, _, tail = subject.partition(":")
    kept = [part for part in tail.split(",") if part and not part.startswith(f"{option}=")]
    return f"{head}:{','.join(kept)}" if kept else head
