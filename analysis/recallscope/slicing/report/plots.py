"""Figures of a slicing report: where on the tokens the loss gap between models lies.

Every function takes the report (the object of ``report.json``), returns a plotly ``Figure`` and shows nothing. Losses
and differences are nats per token; a positive difference means that the model is worse than the reference. Missing
values are left out of the drawing, never drawn as 0. For dark pages pass the figure to ``recallscope.look.themed``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.slicing.report import _traces, words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Report = Mapping[str, Any]
Families = Mapping[str, str]


def waterfall(report: Report, model: str, by: str = "recall", families: Families | None = None) -> Figure:
    """Contributions of a partition's slices, end to end; they sum to the gap.

    Each bar starts where the slices above it ended and is as long as the slice's signed contribution, (token share) x
    (difference); whiskers are the contribution's interval. The last bar is the gap itself, from 0.

    Parameters: ``model`` is one of the compared models, ``by`` a partition of the report, ``families`` overrides the
    architecture families that give the colours (see :func:`recallscope.look.styles`).
    """
    import plotly.graph_objects as go

    comparison = _comparison(report, model)
    rows = [row for row in _rows(comparison, by) if row["tokens"] > 0]
    gap = comparison["gap"]
    names = [look.plain(row["slice"]) for row in rows] + ["gap"]
    values = [row["contribution"] for row in rows] + [gap["value"]]
    ends = list(accumulate(values[:-1]))
    bases = [0.0, *ends[:-1], 0.0] if rows else [0.0]
    color, neutral = look.styles(report["models"], families)[model].color, look.FAMILIES["attention"].color
    lows = [row.get("contribution_low") for row in rows] + [gap.get("low")]
    highs = [row.get("contribution_high") for row in rows] + [gap.get("high")]
    bars = go.Bar(
        orientation="h",
        y=names,
        x=values,
        base=bases,
        # The first slice is what the partition is about; the others recede.
        marker={"color": [look.rgba(color, 1 if k == 0 else 0.42) for k in range(len(rows))] + [neutral]},
        error_x=_traces.whiskers(values, lows, highs),
        hovertemplate="%{y}: %{x:+.4f} nats<extra></extra>",
        showlegend=False,
    )
    figure = go.Figure([bars, _traces.connectors(names, [*ends, gap["value"]])])
    for name, value in zip(names, values, strict=True):
        text = f"{value:+.4f}".replace("-", "−")
        figure.add_annotation(text=text, x=1, xref="paper", y=name, xanchor="left", xshift=8)
    figure.update_yaxes(autorange="reversed", zeroline=False, showgrid=False, ticksuffix="\u2002")
    figure.update_xaxes(title_text=_difference_title(report, model), showgrid=True)
    return _finish(figure, height=104 + 40 * len(names), margin={"r": 76, "t": 16})


def loss_gap_by_distance(report: Report, families: Families | None = None) -> Figure:
    """Difference against the distance to the previous occurrence, in log2 bins; one line per model, with intervals.

    Bins are labelled by their lower edge in tokens. n-grams that are new in the window stand apart, on the right.
    Where the report has no interval of the difference, the contribution's interval over the token share is drawn.
    """
    return _binned(report, "distance", "distance to the previous occurrence, tokens", families)


def loss_gap_by_count(report: Report, families: Families | None = None) -> Figure:
    """Difference against how often the n-gram occurs in the training text, in log2 bins; "unknown" stands apart."""
    word = _traces.ngram_word(report.get("settings", {}).get("ngram"))
    return _binned(report, "count", f"occurrences of the {word} in the training text", families)


def loss_gap_by_position(report: Report, families: Families | None = None) -> Figure:
    """Difference by position in the window: repeats grow more frequent along it, so it belongs beside the others."""
    return _binned(report, "position", "position in the window", families)


def share_by_threshold(report: Report, families: Families | None = None) -> Figure:
    """Share of the gap on AR hits against the training-count threshold, with its interval as a band.

    The thin dotted line is the share of tokens that are AR hits at that threshold; the height above it is what makes
    these tokens special. The axis is the threshold per million training tokens where that is known for every row, else
    the count. A threshold of 0 (never seen in training) has no place on a logarithmic axis; it is drawn at the left
    end, labelled 0. Shares that were refused are holes.
    """
    import plotly.graph_objects as go

    curves = {comparison["model"]: comparison.get("curve") or () for comparison in report["comparisons"]}
    every = [row for rows in curves.values() for row in rows]
    unit = "per_million" if all(row.get("per_million") is not None for row in every) else "count"
    grid = sorted({row[unit] for row in every})
    zero = next((x for x in grid if x > 0), 4) / 4 if 0 in grid else None
    style = look.styles(report["models"], families)
    figure = go.Figure()
    for model, rows in curves.items():
        rows = sorted(rows, key=lambda row: row[unit])
        figure.add_traces(_traces.curve_traces(model, _places(rows, unit, zero), rows, style[model], unit))
    if every:
        rows = sorted(max(curves.values(), key=len), key=lambda row: row[unit])
        shares = [row["token_share"] * 100 for row in rows]
        figure.add_scatter(name="share of tokens", x=_places(rows, unit, zero), y=shares, **look.limit_line())
    _mark_threshold(figure, (report.get("settings", {}).get("threshold") or {}).get(unit))
    words = "per million training tokens" if unit == "per_million" else "in the training text"
    title = f"threshold, occurrences {words}"
    figure.update_xaxes(type="log", title_text=title, zeroline=False, **_traces.log_ticks(grid, zero))
    figure.update_yaxes(title_text="share of the gap, %", rangemode="tozero")
    return _finish(figure)


def _binned(report: Report, by: str, title: str, families: Families | None) -> Figure:
    import plotly.graph_objects as go

    style = look.styles(report["models"], families)
    figure, order, apart = go.Figure(), {}, {}
    for comparison in report["comparisons"]:
        rows = [row for row in comparison["partitions"].get(by, ()) if row["tokens"] > 0]
        line, rest = (rows, []) if by == "position" else _traces.split_bins(rows)
        for part, names in ((line, order), (rest, apart)):
            labels = [
                look.plain(row["slice"]) if by == "position" else _traces.edge_label(row["slice"]) for row in part
            ]
            names.update(zip(labels, map(_bin_order, part), strict=True))
            if part:
                legend = part is line or not line
                model = comparison["model"]
                figure.add_trace(_traces.difference_trace(model, labels, part, style[model], legend))
    if not (order or apart):
        raise ValueError(f"report: expected a partition {by!r} with tokens in some comparison; got none")
    labels = (list(order) if by == "position" else sorted(order, key=order.__getitem__)) + list(apart)
    if order and apart:
        figure.add_vline(x=len(order) - 0.5, line={"dash": "dot", "width": 1})
    # A category axis holds the bins at equal steps, which is the log2 axis, and takes "new" beside them.
    step = 2 if len(order) > 12 else 1  # labels of 13 and more bins would touch
    ticks = labels[: len(order) : step] + labels[len(order) :]
    axis = {"type": "category", "categoryorder": "array", "categoryarray": labels, "range": [-0.5, len(labels) - 0.5]}
    figure.update_xaxes(**axis, tickvals=ticks, title_text=title)
    figure.update_yaxes(title_text=f"difference to {look.plain(report['reference'])}, nats")
    return _finish(figure)


def _bin_order(row: Mapping[str, Any]) -> int:
    return _traces.lower_edge(row["slice"]) or 0


def _places(rows: Sequence[Mapping[str, Any]], unit: str, zero: float | None) -> list[float]:
    return [row[unit] if row[unit] > 0 or zero is None else zero for row in rows]


def _mark_threshold(figure: Figure, threshold: float | None) -> None:
    if not threshold:
        return
    figure.add_shape(
        type="line", x0=threshold, x1=threshold, y0=0, y1=1, yref="paper", line={"dash": "dash", "width": 1}
    )
    # On a logarithmic axis plotly wants the logarithm for annotations, though not for shapes.
    place = {"x": math.log10(threshold), "y": 1, "yref": "paper", "xanchor": "left", "yanchor": "top", "xshift": 4}
    figure.add_annotation(text="headline", **place)


def _comparison(report: Report, model: str) -> Mapping[str, Any]:
    models = [comparison["model"] for comparison in report["comparisons"]]
    if model not in models:
        raise ValueError(f"model: expected one of {', '.join(models)}; got {model!r}")
    return report["comparisons"][models.index(model)]


def _rows(comparison: Mapping[str, Any], by: str) -> list[Mapping[str, Any]]:
    if by not in comparison["partitions"]:
        raise ValueError(f"by: expected one of {', '.join(comparison['partitions'])}; got {by!r}")
    return list(comparison["partitions"][by])


def _difference_title(report: Report, model: str) -> str:
    of, reference = look.plain(model), look.plain(report["reference"])
    return f"loss of {of} − loss of {reference}, nats per {words.unit(report['settings'])}"


def _finish(figure: Figure, **layout: Any) -> Figure:
    return figure.update_layout(template=look.template(), **{"height": 380, **layout})
