"""What a second reading of the prompt gains, and accuracy against the length of the document: JRT, Tables 1 and 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope import look
from recallscope.reproduction.plots.drawing import draw, hover, panels, powers_of_two, rows_with
from recallscope.training.sweeps.plots.drawing import named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure


def gain_of_second_reading(table: pa.Table) -> Figure:
    """JRT, Table 1: accuracy with the document and question given twice, less that of the default prompt.

    A panel for each task and one for the average; a line for each model. At 0 nothing is gained.
    """
    rows = rows_with(table, "gain", "task", "model")
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    models = list(dict.fromkeys(row["model"] for row in rows))[::-1]
    figure = panels(tasks, 130 + 24 * len(models))
    names = list(dict.fromkeys(row["subject"] for row in rows))
    for column, task in enumerate(tasks, 1):
        for name, style in look.styles(names).items():
            own = [row for row in rows if (row["task"], row["subject"]) == (task, name)]
            figure.add_scatter(
                x=[row["value"] for row in own], y=[row["model"] for row in own], mode="markers", name=name,
                legendgroup=name, marker=look.marker(style, "published"), hovertext=[hover(row) for row in own],
                hoverinfo="text", row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title="points", matches="x")
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=models)
    named_once(figure).update_layout(margin={"t": 84})
    return figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1.07, "yanchor": "bottom"})


def accuracy_by_length(table: pa.Table) -> Figure:
    """JRT, Table 2: accuracy against the tokens of the document that are kept, a panel a task, a line a model.

    Models of one kind and different scale differ in their dashes.
    """
    rows = rows_with(table, "accuracy", "task", "length")
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = panels(tasks, 520)
    names = list(dict.fromkeys(row["row"] for row in rows))
    for column, task in enumerate(tasks, 1):
        for name, style in look.styles(names, _families(rows)).items():
            draw(
                figure,
                [row for row in rows if (row["task"], row["row"]) == (task, name)],
                name,
                style,
                column,
                "length",
            )
    powers_of_two(figure, [row["length"] for row in rows])
    figure.update_xaxes(title="document, tokens")
    figure.update_yaxes(title="accuracy, %", col=1)
    return named_once(figure)


def _families(rows: list[dict]) -> dict[str, str]:
    """JRT-RNN is a linear attention that reads its prefix twice over; its name says otherwise."""
    return {row["row"]: "hybrid" if row["subject"] == "JRT-RNN" else look.family(row["subject"]) for row in rows}
