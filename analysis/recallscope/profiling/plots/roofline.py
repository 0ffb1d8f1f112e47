"""Operators under the roofs that were measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recallscope import look
from recallscope.profiling.plots.points import points
from recallscope.profiling.rows import ROOFS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def roofline_figure(table: pa.Table, roofs: pa.Table) -> Figure:
    """Useful FLOPs a second against useful FLOPs a byte of the fused limit, under the roofs that were measured.

    Points of one subject are its lengths (and batches). A point above the roof has worked in a cache: the slope is that
    of memory. A `ValueError` names a roof that was not measured.
    """
    import plotly.graph_objects as go

    rates = _measured_roofs(roofs)
    memory = max(rates[ROOFS["copy"]], rates[ROOFS["triad"]])
    compute, found = rates[ROOFS["product"]], points(table, ("seconds", "useful_flops", "fused_bytes"))
    intensities = [point["useful_flops"] / point["fused_bytes"] for own in found.values() for point in own]
    ridge = compute / memory
    low, high = min([*intensities, ridge]) / 3, max([*intensities, ridge]) * 3
    figure = go.Figure(layout={"template": look.template()})
    figure.add_scatter(
        x=[low, ridge, high], y=[low * memory, compute, compute], name="measured roof", **look.limit_line()
    )
    for subject, style in look.styles(found).items():
        own = found[subject]
        figure.add_scatter(
            x=[point["useful_flops"] / point["fused_bytes"] for point in own],
            y=[point["useful_flops"] / point["seconds"] for point in own],
            customdata=[[point["t"], point["batch"]] for point in own], name=look.plain(subject),
            mode="markers+lines+text", text=[""] * (len(own) - 1) + [look.plain(subject)],
            textposition="middle right", marker=look.marker(style),
            line={"color": style.color, "dash": style.dash, "width": 1},
            hovertemplate="T = %{customdata[0]:,}, B = %{customdata[1]}: %{y:.3s}FLOP/s at %{x:.3g} FLOP/B"
            "<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(type="log", title="useful FLOPs per byte of the fused limit")
    figure.update_yaxes(type="log", title="useful FLOPs per second", exponentformat="SI")
    return figure


def _measured_roofs(table: pa.Table) -> dict[str, float]:
    found = {row["metric"]: row["value"] for row in table.to_pylist() if row["metric"] in ROOFS.values()}
    missing = [metric for metric in ROOFS.values() if found.get(metric) is None]
    if missing:
        raise ValueError(f"roofs: {', '.join(missing)} were not measured; `recallscope roofline` measures them")
    return found
