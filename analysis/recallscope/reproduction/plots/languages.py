"""In-context language learning: trained models (published) and n-grams of the prompt (published and ours)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.reproduction.plots.drawing import draw, panels, powers_of_two, rows_with
from recallscope.training.sweeps.plots.drawing import named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

PANELS = (("accuracy", None, "accuracy"), ("total variation", None, "total variation"),
          ("total variation", 100, "total variation, first 100 positions"))  # fmt: skip
"""Metric, number of first positions, title."""


def languages_by_examples(table: pa.Table) -> Figure:
    """RegBench as in Akyürek et al. 2024: scores against the training examples, and n-grams of the prompt as lines.

    N-grams are not trained; pale lines and marks are published, dark lines ours. Accuracy: more is better; total
    variation: less.
    """
    rows = rows_with(table, "accuracy") + rows_with(table, "total variation")
    figure = panels([title for *_, title in PANELS], 600, shared_yaxes=False, horizontal_spacing=0.07)
    models = [name for name in dict.fromkeys(row["subject"] for row in rows) if not name.endswith("-gram")]
    sizes = sorted({row["training_examples"] for row in rows if row["training_examples"]})
    for column, (metric, first, _) in enumerate(PANELS, 1):
        own = [row for row in rows if (row["metric"], row["first"]) == (metric, first)]
        for name, style in look.styles(models).items():
            draw(figure, [row for row in own if row["subject"] == name], name, style, column, "training_examples")
        _lines(figure, [row for row in own if row["subject"].endswith("-gram")], column, sizes)
    powers_of_two(figure, sizes, step=2)
    figure.update_xaxes(title="training examples", matches="x")
    return named_once(figure)


def _lines(figure: Figure, rows: list[dict[str, Any]], column: int, sizes: list[int]) -> None:
    for name, dash in (("2-gram", "dot"), ("3-gram", "dash"), ("4-gram", "dashdot")):
        for row in (row for row in rows if row["subject"] == name):
            own, color = row["kind"] == "measured", look.INK["light"]
            line = {"color": color if own else look.MUTED["light"], "dash": dash, "width": 1.8 if own else 1}
            figure.add_scatter(
                x=[sizes[0], sizes[-1]] if own or not row["training_examples"] else [row["training_examples"]] * 2,
                y=[row["value"]] * 2, mode="lines" if own or not row["training_examples"] else "markers", line=line,
                marker={"symbol": "line-ew-open", "size": 14, "color": look.MUTED["light"]},
                name=f"{name} {'here' if own else 'published'}", legendgroup=f"{name} {own}",
                hovertext=f"{name}, {row['source']}: {row['value']:.4f}", hoverinfo="text", row=1, col=column,
            )  # fmt: skip
