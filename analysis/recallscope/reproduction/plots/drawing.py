"""Panels beside each other, and a series of rows in one of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.training.sweeps.plots.drawing import whiskers

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

Row = dict[str, Any]


def rows_with(table: pa.Table, metric: str, *columns: str) -> list[Row]:
    """Rows of a metric that have a number and these columns; `ValueError` if there is none."""
    rows = [row for row in table.to_pylist() if row["metric"] == metric and row["value"] is not None]
    rows = [row for row in rows if all(row.get(name) is not None for name in columns)]
    if not rows:
        having = f" with {', '.join(columns)}" if columns else ""
        raise ValueError(f"table: rows of the metric {metric!r}{having}, got none")
    return rows


def panels(titles: Sequence[str], height: int = 460, **options: Any) -> Figure:
    """Empty panels in one line, with a legend on the right; a line break in a title stands."""
    from plotly.subplots import make_subplots

    options = {"shared_yaxes": True, "horizontal_spacing": 0.03} | options
    figure = make_subplots(
        1, len(titles), subplot_titles=[look.plain(title).replace("\n", "<br>") for title in titles], **options
    )
    figure.update_layout(template=look.template(), height=height, margin={"t": 56})
    figure.update_annotations(font={"size": 13})
    return figure.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"})


def draw(
    figure: Figure, rows: Iterable[Row], name: str, style: look.Style, column: int, x: str, *,
    published: bool | None = None, lines: bool = True, group: str = "",
) -> None:  # fmt: skip
    """One series in a panel, in order of the column `x`; hollow if its rows are published."""
    rows = sorted((row for row in rows if row[x] is not None), key=lambda row: row[x])
    if not rows:
        return
    hollow = rows[0]["kind"] == "published" if published is None else published
    figure.add_scatter(
        x=[row[x] for row in rows],
        y=[row["value"] for row in rows],
        name=look.plain(name),
        legendgroup=group or name,
        legendgrouptitle={"text": look.plain(group)} if group else None,
        mode="lines+markers" if lines else "markers",
        line={"color": style.color, "dash": style.dash, "width": 1.4},
        marker=look.marker(style, "published" if hollow else "own"),
        error_y=whiskers(rows, look.rgba(style.color, 0.75)),
        hovertext=[hover(row) for row in rows],
        hoverinfo="text",
        row=1,
        col=column,
    )


def hover(row: Mapping[str, Any]) -> str:
    """The subject, the number with its interval, and where it is from."""
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    interval = "" if row["low"] is None or row["high"] is None else f" [{row['low']:.4g}, {row['high']:.4g}]"
    lines = [row["subject"], f"{row['metric']} {row['value']:.4g}{interval}{unit}"]
    lines += [str(row[name]) for name in ("source", "trust", "flag") if row.get(name)]
    return "<br>".join(look.plain(line) for line in lines)


def powers_of_two(figure: Figure, values: Iterable[float], column: int | None = None, step: int = 1) -> None:
    """A logarithmic x axis that names the values drawn."""
    ticks = sorted(set(values))[::step]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks], col=column)


def whole_ticks(values: Iterable[float]) -> dict[str, Any]:
    """A logarithmic axis whose ticks, at 1, 2 and 5 times powers of ten around the values, are written out."""
    drawn = list(values)
    low, high = min(drawn) / 1.3, max(drawn) * 1.3
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5) if low <= digit * 10.0**decade <= high]
    if len(ticks) > 8:
        ticks = [tick for tick in ticks if math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.12g}" for tick in ticks]}
