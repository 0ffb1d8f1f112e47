"""Latency and throughput of decoding steps, against batch and against context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recallscope import look
from recallscope.profiling.plots.points import Point, error_bars, mode, points

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

AXES = {"batch": "B, sequences", "t": "T, tokens of context"}


def decoding_costs(table: pa.Table) -> Figure:
    """Milliseconds of one step (above) and tokens a second of all sequences (below), one line a subject.

    Left against batch at the longest context, right against context at the largest batch; an axis that was not varied
    is left out, if the other was. A `ValueError` for rows of another mode than `decode`.
    """
    from plotly.subplots import make_subplots

    if mode(table) != "decode":
        raise ValueError(f"table: rows of decoding steps (`--mode decode`), got {mode(table)}")
    found = points(table)
    values = {axis: sorted({p[axis] or 1 for own in found.values() for p in own}) for axis in AXES}
    axes = [axis for axis in AXES if len(values[axis]) > 1] or ["t"]
    titles = [f"{_other(axis)} = {values[_key(axis)][-1]:,}" for axis in axes]
    figure: Figure = make_subplots(2, len(axes), vertical_spacing=0.06, column_titles=titles)
    figure.update_layout(template=look.template(), height=640, margin_t=90, legend_y=1.1)
    for column, axis in enumerate(axes, 1):
        for subject, style in look.styles(found).items():
            own = [p for p in found[subject] if (p[_key(axis)] or 1) == values[_key(axis)][-1]]
            for row, trace in enumerate(_traces(own, axis), 1):
                figure.add_scatter(
                    **trace, mode="lines+markers", name=look.plain(subject), legendgroup=subject, row=row, col=column,
                    showlegend=row == column == 1, marker=look.marker(style),
                    line={"color": style.color, "dash": style.dash},
                )  # fmt: skip
        ticks = {"type": "log", "tickvals": values[axis], "ticktext": [f"{v:,}" for v in values[axis]]}
        figure.update_xaxes(**ticks, col=column)
        figure.update_xaxes(title=AXES[axis], row=2, col=column)
    figure.update_yaxes(type="log", exponentformat="SI")
    figure.update_yaxes(title="ms a step", row=1, col=1)
    figure.update_yaxes(title="tokens a second", row=2, col=1)
    return figure


def _key(axis: str) -> str:
    """What is kept fixed along an axis."""
    return "t" if axis == "batch" else "batch"


def _other(axis: str) -> str:
    return "T" if axis == "batch" else "B"


def _traces(own: Sequence[Point], axis: str) -> tuple[dict[str, Any], dict[str, Any]]:
    x = [point[axis] or 1 for point in own]
    latency = [point["seconds"] * 1e3 for point in own]
    throughput = [(point["batch"] or 1) / point["seconds"] for point in own]
    at = AXES[axis].partition(",")[0]
    return (
        {"x": x, "y": latency, "error_y": error_bars(own, 1e3), "hovertemplate": f"%{{y:.3g}} ms at {at} = %{{x:,}}"},
        {"x": x, "y": throughput, "hovertemplate": f"%{{y:.3s}} tokens/s at {at} = %{{x:,}}"},
    )
