"""The figures of the page: their captions, their places, and their data without a theme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from recallscope import look
from recallscope.slicing.report import plots

Report = Mapping[str, Any]

CAPTIONS = (
    (
        "distance",
        "Loss difference against distance",
        "Difference to the reference by distance to the previous occurrence (lower edges of log2 bins). A model whose "
        "state is too small falls behind as the distance grows.",
    ),
    (
        "count",
        "Loss difference against training count",
        "Difference by how often the n-gram occurs in the training text. What is rare there must be recalled from the "
        "window.",
    ),
    (
        "threshold",
        "Share of the gap against the threshold",
        "The headline share depends on what counts as rare; this is the whole curve, with 95 % intervals.",
    ),
    (
        "position",
        "Loss difference against position",
        "Difference by position in the window; repeats grow more frequent along it.",
    ),
)


def described(report: Report) -> dict[str, Any]:
    """Plotly data and layout by name, without a template: the page applies that of its theme."""
    made = {f"waterfall-{k}": plots.waterfall(report, c["model"]) for k, c in _with(report, "recall")}
    if any(c.get("curve") for c in report["comparisons"]):
        made["threshold"] = plots.share_by_threshold(report)
    binned = {
        "distance": plots.loss_gap_by_distance,
        "count": plots.loss_gap_by_count,
        "position": plots.loss_gap_by_position,
    }
    made |= {by: draw(report) for by, draw in binned.items() if list(_with(report, by))}
    return {name: bare(figure) for name, figure in made.items()}


def bare(figure: Any) -> dict[str, Any]:
    """A figure's data and layout without its template."""
    described = figure.to_plotly_json()
    return {"data": described["data"], "layout": {k: v for k, v in described["layout"].items() if k != "template"}}


def _with(report: Report, by: str) -> Iterable[tuple[int, Report]]:
    """Comparisons whose partition ``by`` has tokens, with their indices."""
    rows = ((k, c, c["partitions"].get(by) or ()) for k, c in enumerate(report["comparisons"]))
    return ((k, c) for k, c, slices in rows if any(row["tokens"] for row in slices))


def element(name: str, title: str, note: str) -> str:
    """The HTML of a figure: caption, and the place that the script draws into."""
    label = f"{title}; the numbers are in the tables"
    return (
        f"<figure><figcaption><b>{escape(title)}.</b> {escape(note)}</figcaption>"
        f'<div class="plot" data-figure="{escape(name)}" role="img" aria-label="{escape(label)}"></div></figure>'
    )


def templates() -> dict[str, Any]:
    """Both templates, by theme."""
    return {"light": look.template().to_plotly_json(), "dark": look.template(dark=True).to_plotly_json()}
