"""Where the gap to attention lies, and how much of it is recall: Zoology, Table 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope import look
from recallscope.reproduction.plots.drawing import Row, hover, panels, rows_with
from recallscope.training.sweeps.plots.drawing import named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

SLICES = {"AR": "AR hits", "other": "other tokens"}
MARKS = (
    ("printed", "circle-open", "published"), ("recomputed", "circle", "derived"),
    ("measured here", "diamond", "measured"),
)  # fmt: skip
"""Name in the legend, plotly symbol, kind of row."""


def recall_share_of_gap(table: pa.Table) -> Figure:
    """The gap to attention by kind of token, the share of the gap on AR hits, and the share of tokens that are AR hits.

    Hollow: as printed; filled: recomputed from the printed perplexities, with the interval of their rounding. A ring
    stands where the two do not agree, or a row's share of tokens not with that of most rows; the dashed line is the
    share that the table's header states. Models trained here stand below, on other text.
    """
    gaps, shares = rows_with(table, "gap", "slice", "row"), rows_with(table, "share of gap", "row")
    tokens = [row for row in rows_with(table, "token share") if row["row"]]
    stated = [row["value"] for row in rows_with(table, "token share") if not row["row"]]
    order = list(dict.fromkeys(row["row"] for row in [*tokens, *gaps, *shares]))[::-1]
    titles = ("loss above that of attention, nats", "share of the gap on AR hits, %", "AR hits, % of all tokens")
    figure = panels(titles, 120 + 34 * len(order), shared_yaxes=True)
    for (name, title), color in zip(SLICES.items(), (look.WORSE, look.FAMILIES["attention"].color), strict=True):
        own = [row for row in gaps if row["slice"] == name]
        figure.add_bar(
            x=[row["value"] for row in own], y=[row["row"] for row in own], orientation="h", name=title,
            marker={"color": color}, error_x=_spread(own), hovertext=[hover(row) for row in own], hoverinfo="text",
            row=1, col=1,
        )  # fmt: skip
    series = [(shares, 2, mark) for mark in MARKS] + [(tokens, 3, MARKS[1])]
    for rows, column, (name, symbol, kind) in series:
        _points(figure, [row for row in rows if row["kind"] == kind], name, symbol, column)
    for rows, column in ((shares, 2), (tokens, 3)):
        _rings(figure, [row for row in rows if row.get("verdict") == "disagrees"], column)
    for value in stated:
        figure.add_scatter(
            x=[value, value], y=[order[0], order[-1]], mode="lines", name="stated in the header", hoverinfo="x+name",
            line={"color": look.MUTED["light"], "dash": "dash", "width": 1.2}, row=1, col=3,
        )  # fmt: skip
    figure.update_yaxes(categoryorder="array", categoryarray=order, type="category")
    figure.update_layout(barmode="group", legend={"orientation": "h", "x": 0, "y": 1.08, "yanchor": "bottom"})
    return named_once(figure).update_layout(margin={"t": 96})


def _points(figure: Figure, rows: list[Row], name: str, symbol: str, column: int) -> None:
    color = look.BETTER if name == "measured here" else look.INK["light"]
    figure.add_scatter(
        x=[row["value"] for row in rows], y=[row["row"] for row in rows], mode="markers", name=name,
        marker={"symbol": symbol, "size": 9, "color": color}, error_x=_spread(rows),
        hovertext=[hover(row) for row in rows], hoverinfo="text", row=1, col=column,
    )  # fmt: skip


def _rings(figure: Figure, rows: list[Row], column: int) -> None:
    """Around what does not follow from its own row, or not from what the others imply."""
    figure.add_scatter(
        x=[row["value"] for row in rows], y=[row["row"] for row in rows], mode="markers+text", name="does not agree",
        marker={"symbol": "circle-open", "size": 20, "color": look.WORSE, "line": {"width": 2}},
        text=[f"not {row['against']:.1f}" for row in rows], textposition="middle left",
        textfont={"color": look.WORSE}, hoverinfo="skip", row=1, col=column,
    )  # fmt: skip


def _spread(rows: list[Row]) -> dict:
    up = [0 if row["high"] is None else row["high"] - row["value"] for row in rows]
    down = [0 if row["low"] is None else row["value"] - row["low"] for row in rows]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.2, "width": 3}
