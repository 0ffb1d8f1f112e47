"""Figures of the demand: hits served against the size of a memory, gain against the bits of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.bounds.demand.tables import MEMORIES

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure


def served_against_size(table: pa.Table) -> Figure:
    """Share of hits served against the size of the memory: `Demand.table()` in, a line per memory, best as limit."""
    import plotly.graph_objects as go

    figure = go.Figure(layout={"template": look.template()})
    rows = [row for row in table.to_pylist() if row["size"]]
    for name, family in (("best", None), ("lru", "recurrent"), ("window", "sliding window")):
        drawn = _points(look.FAMILIES[family]) if family else look.limit_line()
        y = [row[f"{name}_share"] for row in rows]
        figure.add_scatter(x=[row["size"] for row in rows], y=y, name=MEMORIES[name], **drawn)
    figure.update_xaxes(type="log", title="C", tickvals=[row["size"] for row in rows])
    figure.update_xaxes(ticktext=[f"{row['size']:,}" for row in rows])
    return figure.update_yaxes(title="share of hits served", range=[0, 1.02], tickformat=".0%")


def gain_against_state(table: pa.Table) -> Figure:
    """Gain per hit against the bits of the state: `Demand.state_table()` in; limit, carried, whole."""
    import plotly.graph_objects as go

    figure = go.Figure(layout={"template": look.template()})
    rows = [row for row in table.to_pylist() if row["state_bits"] > 0]
    x = [row["state_bits"] for row in rows]
    whole = look.limit_line()
    whole["line"] = whole["line"] | {"dash": "dash"}
    for name, label, drawn in (
        ("limit_bits", "limit of every model", look.limit_line()),
        ("gain_bits", "whole context", whole),
        ("carried_bits", "carried, gains known in advance", _points(look.FAMILIES["other"])),
    ):
        figure.add_scatter(x=x, y=[row[name] / row["hits"] for row in rows], name=label, **drawn)
    figure.update_xaxes(type="log", title="state, bits")
    return figure.update_yaxes(title="gain, bits per hit", rangemode="tozero")


def _points(style: look.Style) -> dict[str, Any]:
    return {"mode": "lines+markers", "marker": look.marker(style), "line": {"color": style.color}}
