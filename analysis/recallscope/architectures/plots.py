"""Figures of costs against length: tables of `cost_table` in, plotly figures out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recallscope import look

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def cost_against_length(table: pa.Table, metric: str = "state_bytes") -> Figure:
    """One metric of every architecture against the length, on logarithmic axes; lines cross where costs are equal."""
    import plotly.graph_objects as go

    rows = [row for row in table.to_pylist() if row["metric"] == metric]
    if not rows:
        known = sorted(set(table["metric"].to_pylist()))
        raise ValueError(f"metric: one of {', '.join(known)}, got {metric!r}")
    subjects = list(dict.fromkeys(row["subject"] for row in rows))
    styles = look.styles(subjects)
    figure = go.Figure(layout={"template": look.template()})
    for subject in subjects:
        points = sorted((row["t"], row["value"]) for row in rows if row["subject"] == subject)
        style = styles[subject]
        figure.add_scatter(
            x=[t for t, _ in points],
            y=[value for _, value in points],
            name=look.plain(subject),
            mode="lines+markers",
            line={"color": style.color, "dash": style.dash},
            marker=look.marker(style),
            hovertemplate="%{y:,.4s} at %{x:,} tokens<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(type="log", title="tokens")
    figure.update_yaxes(type="log", title=f"{metric.replace('_', ' ')}, {rows[0]['unit']}")
    return figure
