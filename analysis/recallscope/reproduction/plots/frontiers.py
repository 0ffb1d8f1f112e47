"""Quality against cost, a panel for each test or scale: Based, Tables 1 and 6; JRT, accuracy against prefill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope import look
from recallscope.reproduction.plots.drawing import Row, hover, panels, whole_ticks
from recallscope.training.sweeps.plots.drawing import named_once, whiskers

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

FAMILIES = {"JRT-RNN": "hybrid", "CosFormer": "gated linear attention", "Performer": "other"}
"""JRT-RNN is a linear attention that reads its prefix twice over; maps of one family need colours of their own."""


def quality_against_cost(table: pa.Table) -> Figure:
    """Each panel a frontier: the line joins the points that nothing beats in both; points that are beaten are pale.

    `table`: rows with `panel`, `cost`, `cost_metric` and `on_frontier` (`recallscope.reproduction.quality_cost`); with
    `series` what models have in common, and points of the frontier have their `label` beside them.
    Costs are on a logarithmic axis, whose better end is right for throughput and left for all else.
    """
    rows = [row for row in table.to_pylist() if row.get("panel") and row["value"] is not None]
    if not rows:
        raise ValueError("table: rows of the metric 'quality' with panel, cost, got none")
    titles = list(dict.fromkeys(row["panel"] for row in rows))
    figure = panels(titles, 500, shared_yaxes=False, horizontal_spacing=0.06)
    names = list(dict.fromkeys(_series(row) for row in rows))
    styles = look.styles(names, {name: FAMILIES.get(name, look.family(name)) for name in names})
    for column, title in enumerate(titles, 1):
        own = [row for row in rows if row["panel"] == title]
        best = sorted((row for row in own if row["on_frontier"]), key=lambda row: row["cost"])
        figure.add_scatter(
            x=[row["cost"] for row in best], y=[row["value"] for row in best], mode="lines", name="frontier",
            line={"color": look.MUTED["light"], "width": 1.4}, hoverinfo="skip", row=1, col=column,
        )  # fmt: skip
        for name in names:
            _points(figure, [row for row in own if _series(row) == name], name, styles[name], column)
        figure.update_xaxes(title=_title(own[0]), **whole_ticks(row["cost"] for row in own), row=1, col=column)
        figure.update_yaxes(title=_quality(own[0]), row=1, col=column)
    return named_once(figure)


def _points(figure: Figure, rows: list[Row], name: str, style: look.Style, column: int) -> None:
    if rows:
        marker = look.marker(style, "published", 10) | {"opacity": [1 if r["on_frontier"] else 0.45 for r in rows]}
        figure.add_scatter(
            x=[row["cost"] for row in rows], y=[row["value"] for row in rows], name=look.plain(name), marker=marker,
            mode="markers+text", text=[_label(row) for row in rows], textposition=_beside(rows), cliponaxis=False,
            textfont={"size": 11, "color": look.MUTED["light"]}, error_y=whiskers(rows, look.rgba(style.color, 0.6)),
            hovertext=[_hover(row) for row in rows], hoverinfo="text", row=1, col=column,
        )  # fmt: skip


def _label(row: Row) -> str:
    return look.plain(row.get("label") or "") if row["on_frontier"] else ""


def _beside(rows: list[Row]) -> list[str]:
    """Where the line of the frontier does not run; of the dearest of several points at the left."""
    dearest, falls = max(row["cost"] for row in rows), rows[0]["metric"] == "perplexity"
    away, back = ("top right", "bottom left") if falls else ("bottom right", "top left")
    return [back if len(rows) > 1 and row["cost"] == dearest else away for row in rows]


def _hover(row: Row) -> str:
    return f"{hover(row)}<br>{row['cost_metric']} {row['cost']:.6g} {row['cost_unit']}<br>{row['verdict']}"


def _series(row: Row) -> str:
    return row.get("series") or row["subject"]


def _title(row: Row) -> str:
    name = "state" if row["cost_metric"] == "state elements" else row["cost_metric"]
    return f"{name}, {row['cost_unit']} ({'more' if row['better'] == 'higher' else 'less'} is better)"


def _quality(row: Row) -> str:
    perplexity = "perplexity on AR hits (less is better)"
    return perplexity if row["metric"] == "perplexity" else f"{row['metric']}, {row['unit']}"
