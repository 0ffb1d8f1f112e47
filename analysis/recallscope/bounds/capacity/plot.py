"""Capacity curves: predictions as lines, simulations as markers with error bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallscope import look

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

FAMILIES = {
    "additive": "linear attention",
    "decayed": "gated linear attention",
    "delta": "delta rule",
    "least squares": "state space",  # MesaNet is of the delta family, but the two must be told apart
    "slots": "recurrent",
    "window": "sliding window",
    "softmax cache": "attention",
    "n-gram table": "other",
}


def capacity_figure(table: pa.Table) -> Figure:
    """Accuracy against stored pairs, from rows of `capacity_curve` (of one memory or several, concatenated).

    Predictions (kind `derived`) are lines, simulations (kind `measured`) markers with error bars of 95 %; one colour
    and marker per rule, another dash for another setting of a rule; the dashed line is chance, 1/V. Settings that all
    memories share are not in the legend. Raises `ValueError` for a table without rows.
    """
    import plotly.graph_objects as go

    rows = table.to_pylist()
    if not rows:
        raise ValueError("table: at least one row of capacity_curve, got none")
    figure = go.Figure(layout={"template": look.template(), "height": 460})
    labels = _labels(rows)
    groups: dict[str, list[dict[str, Any]]] = {}
    for row, label in zip(rows, labels, strict=True):
        groups.setdefault(label, []).append(row)
    styles = look.styles(groups, {label: FAMILIES[own[0]["rule"]] for label, own in groups.items()})
    for label, own in groups.items():
        _draw(figure, look.plain(label), sorted(own, key=lambda row: row["pairs"]), styles[label])
    reach = [min(row["pairs"] for row in rows), max(row["pairs"] for row in rows)]
    dashed = look.limit_line()
    dashed["line"] |= {"dash": "dash"}
    for number, size in enumerate(sorted({row["vocabulary"] for row in rows})):
        chance = {"x": reach, "y": [1 / size] * 2, "name": "chance", "legendgroup": "chance", "showlegend": not number}
        figure.add_scatter(**chance, hoverinfo="name+y", **dashed)
    figure.update_xaxes(type="log", title="stored pairs")
    figure.update_yaxes(range=[-0.03, 1.04], title="accuracy")
    return figure.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"})


def _draw(figure: Figure, label: str, rows: list[dict[str, Any]], style: look.Style) -> None:
    line = [row for row in rows if row["kind"] == "derived"]
    points = [row for row in rows if row["kind"] == "measured"]
    drawn = {"name": label, "legendgroup": label, "hoverinfo": "text"}
    if line:
        x, y = [row["pairs"] for row in line], [row["value"] for row in line]
        pen = {"color": style.color, "dash": style.dash, "width": 1.6}
        figure.add_scatter(x=x, y=y, mode="lines", line=pen, hovertext=[_hover(row) for row in line], **drawn)
    if points:
        x, y = [row["pairs"] for row in points], [row["value"] for row in points]
        up, down = [row["high"] - row["value"] for row in points], [row["value"] - row["low"] for row in points]
        bars = {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.3, "width": 3}
        bars["color"] = look.rgba(style.color, 0.75)
        hover = [_hover(row) for row in points]
        shown = {"mode": "markers", "marker": look.marker(style), "error_y": bars, "hovertext": hover}
        figure.add_scatter(x=x, y=y, showlegend=not line, **shown, **drawn)


def _hover(row: dict[str, Any]) -> str:
    how = "predicted" if row["kind"] == "derived" else f"simulated, {row['n']:,} trials"
    accuracy = f"accuracy {row['value']:.3f} ({how})"
    memory = f"{row['pairs']:,} pairs, state {row['state_elements']:,} elements"
    return "<br>".join((look.plain(row["rule"]), accuracy, memory, f"recalled {row['recalled_bits']:,.0f} bits"))


def _labels(rows: list[dict[str, Any]]) -> list[str]:
    """The rule, and what of its setting differs between rows."""
    words = dict(key_width="K", value_width="W", vocabulary="V", decay="decay", places="places", bits="bits")
    varying = [name for name in words if len({row[name] for row in rows} - {None}) > 1]
    labels = []
    for row in rows:
        own = [f"{words[name]} {row[name]:g}" for name in varying if row[name] is not None]
        labels.append(", ".join([row["rule"], *own]))
    return labels
