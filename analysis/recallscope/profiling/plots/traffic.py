"""Bytes that operators really move, over those that they have to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recallscope import look
from recallscope.profiling.plots.points import at_largest_batch, length_axis, mode, points

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def traffic_inefficiency(table: pa.Table) -> Figure:
    """Counted HBM bytes over the fused limit against T, one line a subject; at 1 nothing is read or written twice.

    Below 1 lie operands or results that stayed in L2. A `ValueError` for rows without counters (`--counters`).
    """
    import plotly.graph_objects as go

    if not any(row["metric"] == "traffic_inefficiency" and row["value"] is not None for row in table.to_pylist()):
        raise ValueError("table: HBM bytes were never counted; `recallscope profile --counters` does so on a GPU")
    chosen, at = at_largest_batch(points(table, ("traffic_inefficiency",)))
    lengths = sorted({point["t"] for own in chosen.values() for point in own})
    figure = go.Figure(layout={"template": look.template()})
    figure.add_scatter(x=[lengths[0], lengths[-1]], y=[1, 1], name="fused limit", **look.limit_line(), hoverinfo="skip")
    for subject, style in look.styles(chosen).items():
        own = chosen[subject]
        figure.add_scatter(
            x=[point["t"] for point in own], y=[point["traffic_inefficiency"] for point in own],
            name=look.plain(subject), mode="lines+markers", marker=look.marker(style),
            line={"color": style.color, "dash": style.dash},
            customdata=[[point.get("hbm_bytes"), point.get("fused_bytes")] for point in own],
            hovertemplate="T = %{x:,}: %{y:.2f} (%{customdata[0]:.3s}B of %{customdata[1]:.3s}B)"
            "<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(**length_axis(chosen))
    figure.update_yaxes(type="log", title=f"HBM bytes over the fused limit, {mode(table)}{at}")
    return figure
