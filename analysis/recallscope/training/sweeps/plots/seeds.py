"""How far the seeds of every subject lie apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recallscope import look
from recallscope.training.sweeps.plots.drawing import (
    ACCURACY_RANGE,
    accuracy_figure,
    accuracy_title,
    hover,
    mean_chance,
    short_names,
    whiskers,
)
from recallscope.training.sweeps.plots.points import Test, accuracy_rows, points_at_each_rate, tests_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def seed_spread(table: pa.Table, test: Test | None = None) -> Figure:
    """All subjects at one glance, the best on top: the chosen rate in full colour, the other rates pale.

    Whiskers go from the worst to the best seed of each rate.
    """
    rows = accuracy_rows(table, test)
    points = sorted(points_at_each_rate(rows), key=lambda point: point["value"])
    figure, tests, short = accuracy_figure(), tests_of(rows), short_names(point["subject"] for point in points)
    for name, alpha in (("other rates", 0.3), ("rate best on validation", 1.0)):
        own = [point for point in points if point["chosen"] == (alpha == 1)]
        styles = [look.FAMILIES[look.family(point["mixer"])] for point in own]
        figure.add_scatter(
            x=[point["value"] for point in own],
            y=[look.plain(short[point["subject"]]) for point in own],
            name=name,
            mode="markers",
            marker={
                "color": [look.rgba(style.color, alpha) for style in styles],
                "symbol": [style.symbol for style in styles],
                "size": 9,
            },
            error_x=whiskers(own, look.rgba(look.MUTED["light"], alpha)),
            hovertext=[hover(point) for point in own],
            hoverinfo="text",
        )
    if (chance := mean_chance(tests)) is not None:
        figure.add_vline(x=chance, line={"dash": "dash", "width": 1.2}, annotation_text="chance")
    names = [look.plain(short[point["subject"]]) for point in points if point["chosen"]]
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=names, range=[-0.6, len(names) - 0.4])
    figure.update_xaxes(title=accuracy_title(tests), range=ACCURACY_RANGE)
    return figure.update_layout(height=140 + 24 * len(names))
