"""Points to traces: lines with whiskers or bands, labels and hover texts, the chance line, the title of an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope import look
from recallscope.training.sweeps.plots.points import Row

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

ACCURACY_RANGE = [-0.03, 1.04]  # room for the markers at 0 and 1


def accuracy_figure() -> Figure:
    """An empty figure in the look of all, with accuracy upwards."""
    import plotly.graph_objects as go

    figure = go.Figure(layout={"template": look.template(), "height": 460})
    return figure.update_yaxes(range=ACCURACY_RANGE)


def draw_points(figure: Figure, points: list[Row], label: Callable[[Row], str], bands: bool = False) -> None:
    """A line of points for each label, in order of `x`; published points are hollow and stand apart.

    A point that is alone has its name beside it: series of one family differ in their lines only.
    """
    groups: dict[str, list[Row]] = {}
    for point in points:
        name = label(point) + (", published" if point["kind"] == "published" else "")
        groups.setdefault(name, []).append(point)
    styles = look.styles(groups, {name: look.family(own[0]["mixer"]) for name, own in groups.items()})
    short = short_names(groups)
    for name, own in groups.items():
        own.sort(key=lambda point: point["x"])
        style, shown = styles[name], look.plain(short[name])
        marker = look.marker(style, "published" if own[0]["kind"] == "published" else "own")
        if bands:
            marker |= {"size": [13 if point["chosen"] else 7 for point in own], "opacity": 1}
            _band(figure, own, style, shown)
        figure.add_scatter(
            x=[point["x"] for point in own],
            y=[point["value"] for point in own],
            name=shown,
            legendgroup=shown,
            mode="markers+text" if len(own) == 1 else "lines+markers",
            text=[shown] if len(own) == 1 else None,
            textposition="bottom left" if own[0]["value"] > 0.5 else "top left",  # inside the axes
            textfont={"color": style.color, "size": 11},
            line={"color": style.color, "dash": style.dash, "width": 1.6},
            marker=marker,
            error_y=None if bands else whiskers(own, look.rgba(style.color, 0.75)),
            hovertext=[hover(point) for point in own],
            hoverinfo="text",
        )
    figure.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"})


def _band(figure: Figure, points: list[Row], style: look.Style, group: str) -> None:
    back = points[::-1]
    figure.add_scatter(
        x=[point["x"] for point in points + back],
        y=[point["low"] for point in points] + [point["high"] for point in back],
        **look.band(style, group),
    )


def whiskers(points: list[Row], color: str) -> dict[str, Any]:
    """Error bars to the worst and the best seed; one seed has none."""
    up = [None if point["high"] is None else point["high"] - point["value"] for point in points]
    down = [None if point["low"] is None else point["value"] - point["low"] for point in points]
    shape = {"thickness": 1.3, "width": 3, "color": color}
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, **shape}


def hover(point: Row) -> str:
    """The exact model, its numbers, and where they are from."""
    lines = [look.plain(point["subject"]), f"accuracy {point['value']:.3f}"]
    if point["low"] is not None and point["high"] is not None:
        lines[-1] += f" [{point['low']:.3f}, {point['high']:.3f}]"
    if point["kind"] == "published":
        lines.append(look.plain(point["source"] or "published"))
    else:
        lines.append(f"rate {point['rate']:.4g}, seeds {', '.join(map(str, point['seeds']))}")
    if point["state"]:
        lines.append(f"state {point['state']:,} elements")
    return "<br>".join(lines)


def short_names(subjects: Iterable[str]) -> dict[str, str]:
    """Subjects without the options that all subjects of their mixer share."""
    options = {subject: subject.partition(":")[2].split(",") for subject in subjects}
    short = {}
    for subject, own in options.items():
        mixer = subject.partition(":")[0]
        others = [tail for name, tail in options.items() if name.partition(":")[0] == mixer]
        left = [option for option in own if not all(option in tail for tail in others)]
        short[subject] = f"{mixer}:{','.join(left)}" if left else mixer
    return short if len(set(short.values())) == len(short) else {subject: subject for subject in short}


def mean_chance(tests: list[Row]) -> float | None:
    """Chance as the points are averaged, over tests; None where no test states it."""
    chances = [row["chance"] for row in tests if row.get("chance") is not None]
    return float(np.mean(chances)) if chances else None


def draw_chance(figure: Figure, tests: list[Row], x: Sequence[float]) -> None:
    if (chance := mean_chance(tests)) is not None:
        draw_chance_line(figure, [x[0], x[-1]], [chance, chance])


def draw_chance_line(figure: Figure, x: Sequence[float], y: Sequence[float | None]) -> None:
    dashed = look.limit_line()
    dashed["line"] |= {"dash": "dash"}
    figure.add_scatter(x=list(x), y=list(y), name="chance", hoverinfo="name+y", **dashed)


def accuracy_title(tests: list[Row]) -> str:
    if len(tests) != 1:
        return f"accuracy, mean of {len(tests)} tests" if tests else "accuracy"
    (row,) = tests
    pairs = f", {row['pairs']} pairs" if row.get("pairs") else ""
    return f"accuracy, {look.plain(row['task'])} of {row['length']} tokens{pairs}"


def named_once(figure: Figure) -> Figure:
    """One entry in the legend for what is drawn in several panels."""
    seen: set[tuple[str, str]] = set()
    traces: Any = figure.data
    for trace in traces:
        key = (trace.legendgroup, trace.name)
        trace.update(showlegend=trace.showlegend is not False and key not in seen)
        seen.add(key)
    return figure
