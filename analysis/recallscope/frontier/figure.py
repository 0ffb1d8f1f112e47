"""One frontier as a figure: all points, the Pareto set joined, what its intervals leave open, and the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.frontier.points import Frontier, Point, family_of
from recallscope.frontier.readings import limit_curve
from recallscope.frontier.shell import name_of, number

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def frontier_figure(frontier: Frontier) -> Figure:
    """Quality against log cost, one series for each architecture; published points hollow, own ones filled.

    The line joins the Pareto set, as `quality_at` reads it. Whiskers are the intervals of both numbers. Points that
    something beats for certain are pale. The dotted line is the information limit, where the quality has one.
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=go.Layout(template=look.template(), height=560))
    line = {"color": look.MUTED["light"], "width": 1.5}
    x, y = _places(frontier.best)
    figure.add_scatter(x=x, y=y, mode="lines", line=line, name="frontier", hoverinfo="skip")
    groups: dict[tuple[str, bool], list[Point]] = {}
    for point in frontier.points:
        groups.setdefault((family_of(point), point.kind == "published"), []).append(point)
    for (name, published), points in groups.items():
        _series(figure, frontier, name, published, points)
    _limit(figure, frontier)
    figure.update_xaxes(type="log", title=look.plain(frontier.cost.label))
    figure.update_yaxes(title=look.plain(frontier.quality.label.partition(",")[0]))
    return figure.update_layout(title=look.plain(frontier.quality.setting))


def _places(points: list[Point]) -> tuple[list[float], list[float]]:
    return [point.cost.value for point in points], [point.quality.value for point in points]


def _series(figure: Figure, frontier: Frontier, name: str, published: bool, points: list[Point]) -> None:
    style = look.FAMILIES[name]
    x, y = _places(points)
    marker = look.marker(style, "published" if published else "own")
    marker["opacity"] = [0.45 if point.verdict == "dominated" else 1.0 for point in points]
    figure.add_scatter(
        x=x, y=y, mode="markers", marker=marker, name=name + (", published" if published else ""),
        error_x=_whiskers([point.cost for point in points], style), hoverinfo="text",
        error_y=_whiskers([point.quality for point in points], style),
        hovertext=[_hover(frontier, point) for point in points],
    )  # fmt: skip


def _whiskers(numbers: list[Any], style: look.Style) -> dict[str, Any]:
    def reach(name: str) -> list[float]:
        ends = [getattr(one, name) for one in numbers]
        return [0.0 if end is None else abs(end - one.value) for one, end in zip(numbers, ends, strict=True)]

    return {
        "type": "data", "symmetric": False, "array": reach("high"), "arrayminus": reach("low"), "width": 0,
        "thickness": 1, "color": look.rgba(style.color, 0.5),
    }  # fmt: skip


def _hover(frontier: Frontier, point: Point) -> str:
    said = [name_of(point.subject, point.setting), f"{frontier.quality.metric} {number(point.quality.value)}"]
    said += [f"{frontier.cost.metric.replace('_', ' ')} {number(point.cost.value)}", point.verdict]
    said += [text for text in (point.quality.source, point.quality.trust, point.quality.flag) if text]
    return "<br>".join(map(look.plain, said))


def _limit(figure: Figure, frontier: Frontier) -> None:
    curve = limit_curve(frontier)
    if curve:
        figure.add_scatter(x=curve[0], y=curve[1], name="information limit", hoverinfo="x+y", **look.limit_line())
