"""Figures of measured operators: evidence of `measured_rows` and `roof_rows` in, plotly figures out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recallscope import look
from recallscope.profiling.rows import ROOFS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def time_against_length(table: pa.Table) -> Figure:
    """Median seconds with quartiles against T, one line a subject; and the least time that the measured roofs allow."""
    import plotly.graph_objects as go

    points = _points(table)
    figure = go.Figure(layout={"template": look.template()})
    for subject, style in look.styles(points).items():
        own = sorted(points[subject], key=lambda point: point["t"])
        lengths, seconds = [point["t"] for point in own], [point["seconds"] for point in own]
        above = [point["seconds_high"] - point["seconds"] for point in own]
        below = [point["seconds"] - point["seconds_low"] for point in own]
        figure.add_scatter(
            x=lengths, y=seconds, name=look.plain(subject), mode="lines+markers", legendgroup=subject,
            error_y={"array": above, "arrayminus": below, "thickness": 1, "width": 3},
            line={"color": style.color, "dash": style.dash}, marker=look.marker(style),
            hovertemplate="%{y:.3s}s at T = %{x:,}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        least = [point["seconds"] * point["share_of_roof"] for point in own]
        figure.add_scatter(
            x=lengths, y=least, name=f"{look.plain(subject)}, roof", legendgroup=subject, showlegend=False,
            hovertemplate="least: %{y:.3s}s at T = %{x:,}<extra>%{fullData.name}</extra>", **look.limit_line(style),
        )  # fmt: skip
    lengths = sorted({point["t"] for own in points.values() for point in own})
    figure.update_xaxes(type="log", title="T, tokens", tickvals=lengths, ticktext=[f"{t:,}" for t in lengths])
    figure.update_yaxes(
        type="log", title=f"seconds, {_mode(table)} (dotted: least by the measured roofs)", exponentformat="SI"
    )
    return figure


def roofline_figure(table: pa.Table, roofs: pa.Table) -> Figure:
    """Useful FLOPs a second against useful FLOPs a byte of the fused limit, under the roofs that were measured.

    Points of one subject are its lengths. A point above the roof has worked in a cache: the slope is that of memory.
    """
    import plotly.graph_objects as go

    rates = _measured_roofs(roofs)
    memory = max(rates[ROOFS["copy"]], rates[ROOFS["triad"]])
    compute, points = rates[ROOFS["product"]], _points(table)
    intensities = [point["useful_flops"] / point["fused_bytes"] for own in points.values() for point in own]
    ridge = compute / memory
    low, high = min([*intensities, ridge]) / 3, max([*intensities, ridge]) * 3
    figure = go.Figure(layout={"template": look.template()})
    figure.add_scatter(
        x=[low, ridge, high], y=[low * memory, compute, compute], name="measured roof", **look.limit_line()
    )
    for subject, style in look.styles(points).items():
        own = sorted(points[subject], key=lambda point: point["t"])
        figure.add_scatter(
            x=[point["useful_flops"] / point["fused_bytes"] for point in own],
            y=[point["useful_flops"] / point["seconds"] for point in own],
            customdata=[point["t"] for point in own], name=look.plain(subject), mode="markers+lines+text",
            text=[""] * (len(own) - 1) + [look.plain(subject)], textposition="middle right",
            marker=look.marker(style), line={"color": style.color, "dash": style.dash, "width": 1},
            hovertemplate="T = %{customdata:,}: %{y:.3s}FLOP/s at %{x:.3g} FLOP/B<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(type="log", title="useful FLOPs per byte of the fused limit")
    figure.update_yaxes(type="log", title="useful FLOPs per second", exponentformat="SI")
    return figure


def _points(table: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """For each subject its shapes, each a dict of metrics with `t`, and the quartiles of the time."""
    found: dict[tuple[str, Any], dict[str, Any]] = {}
    for row in table.to_pylist():
        if row.get("t") is None:
            continue
        point = found.setdefault((row["subject"], row["t"]), {"t": row["t"]})
        point[row["metric"]] = row["value"]
        if row["metric"] == "seconds":
            point |= {"seconds_low": row["low"], "seconds_high": row["high"]}
    points: dict[str, list[dict[str, Any]]] = {}
    for (subject, _), point in found.items():
        if "seconds" in point:
            points.setdefault(subject, []).append(point)
    if not points:
        raise ValueError("table: rows of `recallscope profile`, with seconds by length; got none")
    return points


def _mode(table: pa.Table) -> str:
    modes = sorted({row["mode"] for row in table.to_pylist() if row.get("mode")})
    if len(modes) != 1:
        raise ValueError(f"table: rows of one mode, got {', '.join(modes) or 'none'}")
    return modes[0]


def _measured_roofs(table: pa.Table) -> dict[str, float]:
    found = {row["metric"]: row["value"] for row in table.to_pylist() if row["metric"] in ROOFS.values()}
    missing = [metric for metric in ROOFS.values() if metric not in found]
    if missing:
        raise ValueError(f"roofs: {', '.join(missing)} were not measured; `recallscope roofline` measures them")
    return found
