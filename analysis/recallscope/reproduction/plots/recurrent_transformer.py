"""The recurrent transformer: accuracy and length of the examples while noise doubles, and loss on text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.reproduction.plots.drawing import panels, rows_with
from recallscope.training.sweeps.plots.drawing import named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

TITLES = ("accuracy on validation", "length of the examples, tokens", "loss on held-out text, nats per byte")


def copy_and_text_curves(table: pa.Table) -> Figure:
    """One line for each seed, against the examples that it was trained on; a crossing of a line is a doubled noise.

    Reads the rows `validation accuracy` and `validation loss` of `training.recurrent.rows.curve_rows`. Accuracy of
    copying is at the noise of the stage, which the second panel shows.
    """
    accuracy, loss = (rows_with(table, f"validation {name}", "trained_on") for name in ("accuracy", "loss"))
    copying = [row for row in accuracy if row["task"] != "text"]
    text = [row for row in loss if row["task"] == "text"]
    figure = panels(TITLES, 480, shared_yaxes=False, horizontal_spacing=0.07)
    tasks = list(dict.fromkeys(row["task"] for row in copying))
    for task, style in look.styles(tasks, dict.fromkeys(tasks, "recurrent")).items():
        own = [row for row in copying if row["task"] == task]
        _lines(figure, own, task, style, 1, "value")
        _lines(figure, own, task, style, 2, "length")
    models = list(dict.fromkeys(row["subject"] for row in text))
    families = {name: "attention" if name.startswith("regular") else "recurrent" for name in models}
    for name, style in look.styles(models, families).items():
        _lines(figure, [row for row in text if row["subject"] == name], f"text: {name}", style, 3, "value")
    figure.update_yaxes(range=[0, 1.04], col=1)
    lengths = sorted({row["length"] for row in copying})
    figure.update_yaxes(type="log", tickvals=lengths, ticktext=[f"{n:,}" for n in lengths], col=2)
    figure.update_xaxes(title="examples trained on")
    return named_once(figure)


def _lines(figure: Figure, rows: list[dict[str, Any]], name: str, style: look.Style, column: int, y: str) -> None:
    for seed in sorted({row["seed"] for row in rows}):
        own = sorted((row for row in rows if row["seed"] == seed), key=lambda row: row["trained_on"])
        figure.add_scatter(
            x=[row["trained_on"] for row in own],
            y=[row[y] for row in own],
            name=look.plain(name),
            legendgroup=name,
            mode="lines",
            line={"color": style.color, "dash": style.dash, "width": 1.4},
            hovertext=[f"{look.plain(name)}, seed {seed}, {row['length']} tokens: {row['value']:.4g}" for row in own],
            hoverinfo="text",
            row=1,
            col=column,
        )
