"""Recall against the state that it takes, below what information allows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from recallscope import look
from recallscope.frontier.limits import mean_accuracy_limit
from recallscope.training.sweeps.plots.drawing import accuracy_figure, accuracy_title, draw_chance, draw_points
from recallscope.training.sweeps.plots.points import Row, Test, accuracy_rows, best_points, tests_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def accuracy_against_state(table: pa.Table, test: Test | None = None, bits_per_element: float = 32) -> Figure:
    """Accuracy against the state in bytes; points of one mixer are joined in order of their state.

    The state is that after the longest test drawn, if each element holds `bits_per_element`. The information limit is
    `accuracy_limit`, averaged over tests as the points are. For tasks other than MQAR it is a vertical line: left of it
    the state has fewer bits than the answers, and no model can answer everything.
    """
    if bits_per_element <= 0:
        raise ValueError(f"bits_per_element: above 0, got {bits_per_element}")
    rows = accuracy_rows(table, test)
    points = [point for point in best_points(rows) if point["state"]]
    for point in points:
        point["x"] = point["state"] * bits_per_element / 8
    figure, tests, places = accuracy_figure(), tests_of(rows), [point["x"] for point in points]
    draw_points(figure, points, _mixer_label)
    if tests and all(test.get("demand_bits") for test in tests):
        places += _draw_limits(figure, tests, places)
    _axis_of_bytes(figure, places)
    longest = max((row["length"] for row in tests), default=None)
    after = f" after {longest:,} tokens" if longest else ""
    figure.update_xaxes(title=f"state of one sequence{after}, bytes ({bits_per_element:g} bits per element)")
    return figure.update_yaxes(title=accuracy_title(tests))


def _mixer_label(point: Row) -> str:
    """Models that cannot bind a key to its value are no points on their mixer's line."""
    return point["mixer"] + (", cannot bind" if point.get("can_bind") is False else "")


def _draw_limits(figure: Figure, tests: list[Row], places: list[float]) -> list[float]:
    """Information limit and chance, and the states in bytes between which they are drawn: all of `places` and more."""
    demand = max(row["demand_bits"] for row in tests) / 8
    left, right = min([demand / 16, *places]), max([demand, *places])
    if all(row["task"] == "MQAR" for row in tests):
        x = np.append(np.geomspace(left, demand, 129), right)
        y = mean_accuracy_limit(x * 8, tests)
    else:
        x, y = np.array([demand, demand]), np.array([0.0, 1.0])
    figure.add_scatter(x=x, y=y, name="information limit", hoverinfo="x+y", **look.limit_line())
    draw_chance(figure, tests, [left, right])
    return [left, right]


def _axis_of_bytes(figure: Figure, places: list[float]) -> None:
    """Powers of two around all places, every second one where there are many."""
    low, high = (math.floor(math.log2(min(places))), math.ceil(math.log2(max(places)))) if places else (0, 0)
    ticks = range(low, high + 1, 1 if high - low <= 12 else 2)
    figure.update_xaxes(type="log", tickvals=[2.0**k for k in ticks], ticktext=[_bytes(k) for k in ticks])


def _bytes(power: int) -> str:
    """2^power bytes in words."""
    if power < 0:
        return f"1/{2**-power} B"
    unit = min(power // 10, 4)
    return f"{2 ** (power - 10 * unit)} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}"
