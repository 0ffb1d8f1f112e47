"""Rows of evidence as points: what figures of operators have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

Point = dict[str, Any]


def points(table: pa.Table, needs: Sequence[str] = ("seconds",)) -> dict[str, list[Point]]:
    """For each subject its shapes in order of batch and T, each a dict of metrics with `t`, `batch`, quartiles of time.

    A shape that lacks one of `needs`, or where that is null (a cell that was tried in vain), is left out. A
    `ValueError` where nothing is left, and where rows are of more than one mode.
    """
    found: dict[tuple[str, Any, Any], Point] = {}
    for row in table.to_pylist():
        if row.get("t") is None:
            continue
        key = row["subject"], row.get("batch"), row["t"]
        point = found.setdefault(key, {"t": row["t"], "batch": row.get("batch")})
        point[row["metric"]] = row["value"]
        if row["metric"] == "seconds":
            point |= {"seconds_low": row["low"], "seconds_high": row["high"]}
    able: dict[str, list[Point]] = {}
    for (subject, _, _), point in sorted(found.items(), key=lambda item: (item[0][1] or 0, item[0][2])):
        if all(point.get(metric) is not None for metric in needs):
            able.setdefault(subject, []).append(point)
    if not able:
        raise ValueError(f"table: rows of `recallscope profile`, with {', '.join(needs)} by length; got none")
    mode(table)
    order = dict.fromkeys(subject for subject, _, _ in found)
    return {subject: able[subject] for subject in order if subject in able}


def at_largest_batch(of: Mapping[str, Sequence[Point]]) -> tuple[dict[str, list[Point]], str]:
    """The points of the largest batch, and words that say so where there are others."""
    batches = sorted({point["batch"] or 0 for own in of.values() for point in own})
    chosen = {subject: [p for p in own if (p["batch"] or 0) == batches[-1]] for subject, own in of.items()}
    return {s: own for s, own in chosen.items() if own}, f", B = {batches[-1]}" if len(batches) > 1 else ""


def mode(table: pa.Table) -> str:
    """The mode that all rows are of: fwd, bwd or decode."""
    modes = sorted({row["mode"] for row in table.to_pylist() if row.get("mode")})
    if len(modes) != 1:
        raise ValueError(f"table: rows of one mode, got {', '.join(modes) or 'none'}")
    return modes[0]


def length_axis(of: Mapping[str, Sequence[Point]], title: str = "T, tokens") -> dict[str, Any]:
    """A logarithmic axis of lengths with the measured ones as ticks."""
    lengths = sorted({point["t"] for own in of.values() for point in own})
    return {"type": "log", "title": title, "tickvals": lengths, "ticktext": [f"{t:,}" for t in lengths]}


def error_bars(own: Sequence[Point], scale: float = 1) -> dict[str, Any]:
    """Quartiles of the time as plotly's error bars; none of a point that lacks them."""

    def reach(point: Point, end: str, sign: int) -> float:
        at = point.get(end)
        return 0.0 if at is None else scale * sign * (at - point["seconds"])

    above = [reach(point, "seconds_high", 1) for point in own]
    below = [reach(point, "seconds_low", -1) for point in own]
    return {"array": above, "arrayminus": below, "thickness": 1, "width": 3}
