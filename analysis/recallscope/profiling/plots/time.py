"""Time of operators against length, and where they become faster than attention."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from recallscope import look
from recallscope.profiling.plots.points import Point, at_largest_batch, error_bars, length_axis, mode, points

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def time_against_length(table: pa.Table, base: str = "attention") -> Figure:
    """Median seconds with quartiles against T, one line a subject; and the least time that the measured roofs allow.

    A ring marks where a subject falls below the fastest `base` for good (`attention` with all its backends), between
    two measured lengths, on logarithmic axes. With several batches, the largest.
    """
    import plotly.graph_objects as go

    chosen, at = at_largest_batch(points(table))
    figure = go.Figure(layout={"template": look.template()})
    for subject, style in look.styles(chosen).items():
        own = chosen[subject]
        lengths, seconds = [point["t"] for point in own], [point["seconds"] for point in own]
        figure.add_scatter(
            x=lengths, y=seconds, name=look.plain(subject), mode="lines+markers", legendgroup=subject,
            error_y=error_bars(own), line={"color": style.color, "dash": style.dash}, marker=look.marker(style),
            hovertemplate="%{y:.3s}s at T = %{x:,}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        least = [point["seconds"] * share if (share := point.get("share_of_roof")) else None for point in own]
        figure.add_scatter(
            x=lengths, y=least, name=f"{look.plain(subject)}, roof", legendgroup=subject, showlegend=False,
            hovertemplate="least: %{y:.3s}s at T = %{x:,}<extra>%{fullData.name}</extra>", **look.limit_line(style),
        )  # fmt: skip
    crossings = [(s, t, y) for s, (t, y) in crossings_below(chosen, base).items()]
    if crossings:
        figure.add_scatter(
            x=[t for _, t, _ in crossings], y=[y for _, _, y in crossings], mode="markers", name=f"faster than {base}",
            customdata=[look.plain(s) for s, _, _ in crossings],
            marker={"symbol": "circle-open", "size": 15, "color": look.MUTED["light"], "line": {"width": 2}},
            hovertemplate="%{customdata} is faster from T = %{x:,.0f} on<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(**length_axis(chosen))
    figure.update_yaxes(
        type="log", title=f"seconds, {mode(table)}{at} (dotted: least by the measured roofs)", exponentformat="SI"
    )
    return figure


def crossings_below(of: Mapping[str, Sequence[Point]], base: str) -> dict[str, tuple[float, float]]:
    """T and seconds where each subject falls below the fastest implementation of `base`; only those that do."""
    from recallscope_kernels.profiling import crossing_length

    fastest: dict[int, float] = {}
    for subject, own in of.items():
        for point in own if subject.partition(":")[0] == base else ():
            fastest[point["t"]] = min(point["seconds"], fastest.get(point["t"], math.inf))
    found = {}
    for subject, own in of.items():
        seconds = {point["t"]: point["seconds"] for point in own if point["t"] in fastest}
        lengths = sorted(seconds)
        if subject.partition(":")[0] == base or len(lengths) < 2:
            continue
        at = crossing_length(lengths, [seconds[t] for t in lengths], [fastest[t] for t in lengths])
        if at is not None:
            found[subject] = at, _between(lengths, [seconds[t] for t in lengths], at)
    return found


def _between(lengths: Sequence[int], seconds: Sequence[float], at: float) -> float:
    """Seconds at a length between two measured ones, on logarithmic axes."""
    i = max(k for k, t in enumerate(lengths[:-1]) if t <= at * (1 + 1e-12))
    part = math.log(at / lengths[i]) / math.log(lengths[i + 1] / lengths[i])
    return seconds[i] * (seconds[i + 1] / seconds[i]) ** part
