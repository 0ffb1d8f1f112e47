"""The figure of where models stand: loss on the hits against bits of state, with what those bits allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recallscope import look

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Row = Mapping[str, Any]


def loss_against_state(found: Row, families: Mapping[str, str] | None = None) -> Figure:
    """Marks for models of known state; for each with a gap the band from the limit to what is carried.

    `found` are the numbers of the report's section: `models` and `comparisons` as `standings` and `closing` make them.
    The loss is nats per hit, the state bits, on a logarithmic axis from 1. `families` overrides the architecture
    families that give colours (see `recallscope.look.styles`).
    """
    import plotly.graph_objects as go

    styles = look.styles([row["model"] for row in found["models"]], families)
    figure = go.Figure(layout={"template": look.template()})
    known = {row["model"]: row["state_bits"] for row in found["models"] if row["state_bits"]}
    for comparison in found["comparisons"]:
        if comparison["states"]:
            last = max(known.values(), default=0)
            legend = comparison["model"] not in known  # else its mark stands there
            figure.add_traces(_band(comparison, styles[comparison["model"]], last, legend))
    for row in found["models"]:
        if row["state_bits"]:
            figure.add_trace(_mark(row, styles[row["model"]]))
    figure.update_xaxes(type="log", title="state, bits", dtick=1, exponentformat="power")
    return figure.update_yaxes(title="loss on the hits, nats per token", rangemode="tozero")


def _band(comparison: Row, style: look.Style, last: int, legend: bool) -> list[Any]:
    """Shade and limit; all is carried at the last state, so both go on unchanged to `last` bits."""
    import plotly.graph_objects as go

    group, rows = look.plain(comparison["model"]), [*comparison["states"]]
    if last > rows[-1]["state_bits"]:
        rows.append(rows[-1] | {"state_bits": last})
    x = [row["state_bits"] for row in rows]
    low, high = ([row[name] for row in rows] for name in ("lowest_loss", "carried_loss"))
    shade = go.Scatter(x=[*x, *reversed(x)], y=[*low, *reversed(high)], **look.band(style, group))
    limit = go.Scatter(
        x=x,
        y=low,
        name=f"{group}, limit",
        legendgroup=group,
        showlegend=legend,
        hovertemplate="%{x:,} bits: %{y:.3f} nats",
        **look.limit_line(style),
    )
    return [shade, limit]


def _mark(row: Row, style: look.Style) -> Any:
    import plotly.graph_objects as go

    name = look.plain(row["model"])
    return go.Scatter(
        x=[row["state_bits"]],
        y=[row["loss"]],
        name=name,
        legendgroup=name,
        mode="markers",
        marker=look.marker(style, size=10),
        hovertemplate="%{x:,} bits: %{y:.3f} nats",
    )
