"""Perplexity on recall and on other tokens, by training count and by distance: JRT, Figure 3."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recallscope import look
from recallscope.reproduction.plots.bigrams import as_perplexity, occurrence_rate
from recallscope.reproduction.plots.drawing import Row, draw, panels, rows_with
from recallscope.training.sweeps.plots.drawing import named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

TITLES = {
    "recall by frequency": "repeats at least half a window apart",
    "recall by distance": "repeats of bigrams rare in training",
    "other": "all other tokens",
}
FEWEST = 30
"""Tokens that a point needs to be drawn."""


def loss_by_count_and_distance(table: pa.Table) -> Figure:
    """Three panels of perplexity: far recall by training count, rare recall by distance, other tokens by count.

    Points stand in the middle of log2 bins that hold 30 tokens or more; whiskers are 95 % over documents.
    """
    rows = [row for row in rows_with(table, "loss", "slice") if row["n"] >= FEWEST]
    figure = panels(list(TITLES.values()), 500)
    models = list(dict.fromkeys(str(row["subject"]) for row in rows))
    for column, name in enumerate(TITLES, 1):
        own = [as_perplexity(row) | {"x": _place(row)} for row in rows if row["slice"] == name]
        for model, style in look.styles(models).items():
            draw(figure, [row for row in own if row["subject"] == model], model, style, column, "x")
        by_distance = name == "recall by distance"
        title = "distance, tokens" if by_distance else "occurrences per million training tokens"
        figure.update_xaxes(type="log", dtick=1, title=title, tickformat=",", col=column)
    figure.update_yaxes(type="log", dtick=1, tickformat=",").update_yaxes(title="perplexity", col=1)
    return named_once(figure)


def _place(row: Row) -> float:
    """Middle of a bin on the logarithmic axis."""
    if row["slice"] != "recall by distance":
        return occurrence_rate(row)
    return math.sqrt(row["distance_low"] * row["distance_high"])
