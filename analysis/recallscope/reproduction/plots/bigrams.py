"""Loss by how often a bigram was trained on, and how far apart its repeats are: Zoology, Figure 1 and Appendix D."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recallscope import look
from recallscope.reproduction.plots.drawing import Row, draw, panels, rows_with
from recallscope.training.sweeps.plots.drawing import named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

TITLES = {"repeated": "bigram occurred before in the window", "new": "bigram is new in the window"}


def loss_by_training_count(table: pa.Table) -> Figure:
    """Perplexity against how often the bigram that a token ends was in the training text, per million tokens.

    A panel for bigrams that the window already holds and one for others. Points stand in the middle of log2 bins (those
    never trained on at half of one occurrence); whiskers are 95 % over documents.
    """
    rows = [as_perplexity(row) for row in rows_with(table, "loss", "slice", "count_low")]
    rows = [row | {"x": occurrence_rate(row)} for row in rows]
    names = [name for name in TITLES if any(row["slice"] == name for row in rows)]
    figure = panels([TITLES[name] for name in names], 480)
    models = list(dict.fromkeys(str(row["subject"]) for row in rows))
    for column, part in enumerate(names, 1):
        for model, style in look.styles(models).items():
            draw(figure, [r for r in rows if (r["slice"], r["subject"]) == (part, model)], model, style, column, "x")
    figure.update_xaxes(type="log", dtick=1, title="occurrences per million training tokens", tickformat=",")
    figure.update_yaxes(type="log", dtick="D2").update_yaxes(title="perplexity", col=1)
    return named_once(figure)


def as_perplexity(row: Row) -> Row:
    """A loss in nats, with its interval, as perplexity."""
    low, high = (None if row[name] is None else math.exp(row[name]) for name in ("low", "high"))
    return row | {"metric": "perplexity", "unit": "1", "value": math.exp(row["value"]), "low": low, "high": high}


def occurrence_rate(row: Row) -> float:
    """Middle of a bin of counts on the logarithmic axis, per million training tokens."""
    count = math.sqrt(row["count_low"] * row["count_high"]) if row["count_low"] else 0.5
    return 1e6 * count / row["training_tokens"]


def repeats_by_distance(table: pa.Table) -> Figure:
    """Repeated bigrams per token of distance, on logarithmic axes: a power law is a straight line.

    Distances are to the last occurrence in the window, so the last bins are thinned by its end.
    """
    rows = rows_with(table, "repeated bigrams", "distance_low", "distance_high")
    total = sum(row["value"] for row in rows)
    shown = [_density(row, total) for row in rows]
    figure = panels(["distance to the last occurrence"], 460)
    for name, style in look.styles(
        dict.fromkeys(row["subject"] for row in shown), {"held-out packages": "other"}
    ).items():
        draw(figure, [row for row in shown if row["subject"] == name], name, style, 1, "x")
    figure.update_xaxes(type="log", dtick=1, title="distance, tokens", tickformat=",")
    return figure.update_yaxes(type="log", dtick=1, title="share of repeats, % per token of distance")


def _density(row: Row, total: float) -> Row:
    width = row["distance_high"] - row["distance_low"] + 1
    x = math.sqrt(row["distance_low"] * row["distance_high"])
    return row | {"x": x, "value": 100 * row["value"] / total / width, "unit": "%", "low": None, "high": None}
