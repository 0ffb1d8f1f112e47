"""Accuracy and bit efficiency against bits of state: limit, rules and trained models in one figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.bounds.capacity.plot import FAMILIES
from recallscope.frontier.state_vs_recall import LIMIT
from recallscope.training.sweeps.plots.drawing import ACCURACY_RANGE, named_once, whiskers
from recallscope.training.sweeps.plots.points import Row

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

METRICS = ("accuracy", "bit efficiency")


def state_vs_recall_figure(table: pa.Table) -> Figure:
    """Rows of `state_vs_recall`: a column for each set of tests, above the accuracy, below the bit efficiency.

    The dotted line is the information limit, broad pale lines are memory rules, markers are trained models, hollow if
    published; models of one mixer are joined in order of their state. Whiskers go from the worst to the best seed, or
    over the error of a digitised point. Both axes of bits are logarithmic, so a point without recalled bits has no
    place in the lower half. Raises `ValueError` for a table without such rows.
    """
    from plotly.subplots import make_subplots

    rows = [row for row in table.to_pylist() if row["metric"] in METRICS and row.get("setting")]
    if not rows:
        raise ValueError("table: rows of state_vs_recall, got none")
    titles = list(dict.fromkeys(row["setting"] for row in rows))
    figure = make_subplots(
        2, len(titles), shared_xaxes=True, shared_yaxes=True, column_titles=[look.plain(title) for title in titles],
        vertical_spacing=0.06, horizontal_spacing=0.03,
    )  # fmt: skip
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault(_series(row), []).append(row)
    styles = _styles(groups)
    for series, own in sorted(groups.items(), key=lambda item: _ORDER.index(item[0][0])):
        for place, part in _panels(own, titles):
            _draw(figure, series, sorted(part, key=lambda row: row["state_bits"]), styles[series], place)
    named_once(figure)
    return _axes(figure, rows)


_ORDER = ("limit", "memory rule", "trained", "published")
_HEADINGS = {"limit": "", "memory rule": "memory rules, predicted", "trained": "trained here", "published": "published"}


def _series(row: Row) -> tuple[str, str]:
    """Which kind of thing a row is of, and its name in the legend."""
    if row["subject"] == LIMIT:
        return "limit", LIMIT
    if row["kind"] == "derived":
        return "memory rule", row["rule"]
    if row["kind"] == "published":
        return "published", row["subject"]
    return "trained", (row["mixer"] or row["subject"]) + (", cannot bind" if row.get("can_bind") is False else "")


def _styles(groups: dict[tuple[str, str], list[Row]]) -> dict[tuple[str, str], look.Style]:
    """Colours of the families; dashes count up within one kind only, so that equal kinds of lines are told apart."""
    styles = {}
    for kind in _ORDER:
        names = [name for this, name in groups if this == kind]
        families = {name: FAMILIES[name] if kind == "memory rule" else look.family(name) for name in names}
        styles |= {(kind, name): style for name, style in look.styles(names, families).items()}
    return styles


def _panels(rows: list[Row], titles: list[str]) -> list[tuple[tuple[int, int], list[Row]]]:
    """Row and column of a panel, and what is drawn there; on the logarithmic axis only what is above 0."""
    panels = []
    for column, title in enumerate(titles, 1):
        for line, metric in enumerate(METRICS, 1):
            part = [row for row in rows if row["setting"] == title and row["metric"] == metric]
            part = [row for row in part if metric == "accuracy" or row["value"] > 0]
            panels += [((line, column), part)] if part else []
    return panels


def _draw(figure: Figure, series: tuple[str, str], rows: list[Row], style: look.Style, place: tuple[int, int]) -> None:
    kind, name = series
    drawn: dict[str, Any] = {"mode": "lines+markers", "line": {"color": style.color, "dash": style.dash, "width": 0.8}}
    if kind == "limit":
        drawn = look.limit_line()
    elif kind == "memory rule":
        drawn = {"mode": "lines", "line": {"color": look.rgba(style.color, 0.45), "dash": style.dash, "width": 3}}
    else:
        drawn["marker"] = look.marker(style, "published" if kind == "published" else "own")
        drawn["error_y"] = whiskers(rows, look.rgba(style.color, 0.75))
    figure.add_scatter(
        x=[row["state_bits"] for row in rows],
        y=[row["value"] for row in rows],
        name=look.plain(name),
        legendgroup=kind,
        legendgrouptitle={"text": _HEADINGS[kind]} if _HEADINGS[kind] else None,
        hovertext=[_hover(row) for row in rows],
        hoverinfo="text",
        row=place[0],
        col=place[1],
        **drawn,
    )


def _hover(row: Row) -> str:
    """The exact model, both readings, the convention, and where the numbers are from."""
    percent = row["metric"] == "bit efficiency"
    number, low, high = ("–" if v is None else f"{v:.3%}" if percent else f"{v:.3f}" for v in _interval(row))
    interval = "" if row["low"] is None else f" [{low}, {high}]"
    lines = [look.plain(row["subject"]), f"{row['metric']} {number}{interval}"]
    lines.append(f"recalled {row['recalled_bits']:,.0f} of {row['demand_bits']:,.0f} bits")
    if row["subject"] == LIMIT:
        return "<br>".join([*lines, f"state {row['state_bits']:,.0f} bits"])
    state = f"{row['state_elements']:,} elements of {row['bits_per_element']} bits"
    lines.append(f"state {row['state_bits']:,.0f} bits, {state}")
    size = [f"{word} {row[name]}" for name, word in (("key_width", "K"), ("places", "places")) if row.get(name)]
    return "<br>".join([*lines, *size, *(look.plain(row[name]) for name in ("source", "trust", "flag") if row[name])])


def _interval(row: Row) -> tuple[float | None, float | None, float | None]:
    return row["value"], row["low"], row["high"]


def _axes(figure: Figure, rows: list[Row]) -> Figure:
    import plotly.graph_objects as go

    positive = [row["value"] for row in rows if row["metric"] == "bit efficiency" and row["value"] > 0]
    lowest = math.floor(math.log10(min(positive, default=0.1)))
    figure.update_layout(go.Layout(template=look.template(), height=760))
    figure.update_xaxes(type="log", dtick=1, exponentformat="power", showgrid=True)
    figure.update_xaxes(title="state of one sequence, bits", row=2)
    figure.update_yaxes(range=ACCURACY_RANGE, row=1)
    figure.update_yaxes(title="accuracy", row=1, col=1)
    ticks = [10.0**k for k in range(lowest, 1)]
    percent = [f"{100 * tick:.9f}".rstrip("0").rstrip(".") + " %" for tick in ticks]
    figure.update_yaxes(type="log", range=[lowest, 0.1], tickvals=ticks, ticktext=percent, row=2)
    figure.update_yaxes(title="bit efficiency: recalled bits / bits of state", row=2, col=1)
    legend = {"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top", "groupclick": "toggleitem"}
    return figure.update_layout(legend=legend, margin={"t": 56})
