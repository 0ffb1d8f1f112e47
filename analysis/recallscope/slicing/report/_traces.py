"""Traces and axes shared by the slicing figures; rows are SLICE or curve rows of a report."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from recallscope import look

Row = Mapping[str, Any]

NGRAMS = {1: "token", 2: "bigram", 3: "trigram"}


def ngram_word(n: int | None) -> str:
    """ "bigram" for 2 and for unknown, "4-gram" for 4."""
    return NGRAMS.get(n or 2, f"{n}-gram")


def lower_edge(name: str) -> int | None:
    """Lower edge written in a bin's name ("4-7", "4", "[4, 8)", "≥ 1,024" ...); None for "new", "unknown" and words."""
    found = re.search(r"\d[\d,]*", name)
    return int(found.group().replace(",", "")) if found else None


def edge_label(name: str) -> str:
    """The lower edge as an axis label, or the name itself where it has none."""
    edge = lower_edge(name)
    return look.plain(name) if edge is None else f"{edge:,}"


def split_bins(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows with a lower edge, ascending, and the others ("new", "unknown") in their own order."""
    numbered = sorted((row for row in rows if lower_edge(row["slice"]) is not None), key=_edge)
    return numbered, [row for row in rows if lower_edge(row["slice"]) is None]


def _edge(row: Row) -> int:
    return lower_edge(row["slice"]) or 0


def difference_interval(row: Row) -> tuple[float | None, float | None]:
    """Interval of a slice's difference in nats: given, or its contribution's interval over the token share.

    The latter takes the token share as fixed, so it is slightly off when the share varies between documents.
    """
    if row.get("difference_low") is not None and row.get("difference_high") is not None:
        return row["difference_low"], row["difference_high"]
    low, high, share = row.get("contribution_low"), row.get("contribution_high"), row.get("token_share")
    if low is None or high is None or not share:
        return None, None
    return low / share, high / share


def whiskers(
    values: Sequence[Any], lows: Sequence[Any], highs: Sequence[Any], color: str | None = None
) -> dict[str, Any]:
    """Plotly error bars from interval ends; a missing end draws nothing. Without a colour they take the ink."""
    up = [None if v is None or h is None else h - v for v, h in zip(values, highs, strict=True)]
    down = [None if v is None or low is None else v - low for v, low in zip(values, lows, strict=True)]
    shape = {"thickness": 1.3, "width": 3} | ({"color": look.rgba(color, 0.75)} if color else {})
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, **shape}


def difference_trace(model: str, labels: Sequence[str], rows: Sequence[Row], style: look.Style, legend: bool) -> Any:
    """Line with markers and intervals: difference against bin."""
    import plotly.graph_objects as go

    values = [row["difference"] for row in rows]
    ends = [difference_interval(row) for row in rows]
    return go.Scatter(
        name=look.plain(model),
        legendgroup=look.plain(model),
        showlegend=legend,
        x=list(labels),
        y=values,
        mode="lines+markers",
        line={"color": style.color, "dash": style.dash, "width": 2},
        marker=look.marker(style),
        error_y=whiskers(values, [e[0] for e in ends], [e[1] for e in ends], style.color),
        customdata=[[row["token_share"] * 100, row["contribution"]] for row in rows],
        hovertemplate="%{x}: %{y:+.3f} nats on %{customdata[0]:.2f} % of tokens, contribution %{customdata[1]:+.4f}",
    )


def connectors(names: Sequence[str], ends: Sequence[float]) -> Any:
    """Dotted lines that carry the end of one waterfall bar to the start of the next."""
    import plotly.graph_objects as go

    x: list[float | None] = []
    y: list[str | None] = []
    for k in range(len(names) - 1):
        x += [ends[k], ends[k], None]
        y += [names[k], names[k + 1], None]
    return go.Scatter(x=x, y=y, hoverinfo="skip", showlegend=False, **look.limit_line())


def curve_traces(model: str, places: Sequence[float], rows: Sequence[Row], style: look.Style, unit: str) -> list[Any]:
    """Share against threshold: the band of the interval, then the line. Refused shares leave holes in both."""
    import plotly.graph_objects as go

    name = look.plain(model)
    line = go.Scatter(
        name=name,
        legendgroup=name,
        x=list(places),
        y=[None if row["share"] is None else row["share"] * 100 for row in rows],
        mode="lines+markers",
        line={"color": style.color, "dash": style.dash, "width": 2},
        marker=look.marker(style),
        customdata=[[row[unit], row["token_share"] * 100] for row in rows],
        hovertemplate="threshold %{customdata[0]:.4g}: %{y:.1f} % of the gap on %{customdata[1]:.2f} % of tokens",
    )
    return [_band(places, rows, style, name), line]


def _band(places: Sequence[float], rows: Sequence[Row], style: look.Style, group: str) -> Any:
    import plotly.graph_objects as go

    both = ("share_low", "share_high")
    known = [(x, row) for x, row in zip(places, rows, strict=True) if all(row.get(end) is not None for end in both)]
    return go.Scatter(
        x=[x for x, _ in known] + [x for x, _ in reversed(known)],
        y=[row["share_low"] * 100 for _, row in known] + [row["share_high"] * 100 for _, row in reversed(known)],
        **look.band(style, group),
    )


def log_ticks(values: Sequence[float], zero: float | None) -> dict[str, Any]:
    """Ticks 1-2-5 per decade over ``values`` on a logarithmic axis, and "0" at ``zero`` when that place is used."""
    positive = [v for v in values if v > 0]
    if not positive:
        return {"tickvals": [zero], "ticktext": ["0"]} if zero else {}
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    wide = high - low > 3
    steps = (1,) if wide else (1, 2, 5)
    ticks = [m * 10.0**e for e in range(low, high + 1) for m in steps]
    ticks = [t for t in ticks if min(positive) * 0.999 <= t <= max(positive) * 1.001]
    ends = ([zero] if zero else []) + ticks
    return {"tickvals": ends, "ticktext": (["0"] if zero else []) + [f"{t:,.10g}" for t in ticks]}
