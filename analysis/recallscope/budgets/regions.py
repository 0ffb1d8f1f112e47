"""Regions: which method four budgets call for, over numbers of domains, generic training and specialisation sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.budgets.budgets import METHODS, Budgets
from recallscope.budgets.cells import Grid
from recallscope.budgets.choice import choose, reach
from recallscope.budgets.sources import Known

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

NONE = "no method"
POINTS, DOMAINS = (
    24,
    (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 64, 80, 100, 130, 160, 200, 250, 320, 400, 500),
)
_FAMILIES = (
    "attention", "recurrent", "gated linear attention", "hybrid", "linear attention", "convolution", "delta rule",
    "other",
)  # fmt: skip
STYLES = dict(zip(METHODS, (look.FAMILIES[name] for name in _FAMILIES), strict=True))
"""Colour and marker of every method."""


def region_rows(known: Known, budgets: Budgets, domains: int) -> pa.Table:
    """The answer for numbers of domains and amounts of generic training, for each set of the evidence; kind derived.

    Specialisation training and inference stay as asked. `subject` is the method, or `no method`; `value` its
    perplexity (null where only `high` is known).
    """
    from recallscope.evidence import evidence

    low, high = reach(known.grids, domains)["generic_training"]
    amounts = [low * (high / low) ** (i / (POINTS - 1)) for i in range(POINTS)]
    rows = []
    for tokens in _sizes(known.grids):
        for amount in amounts:
            for count in DOMAINS:
                asked = replace(budgets, generic_training=amount, specialisation_tokens=tokens)
                best = choose(known.grids, asked, count).best
                rows.append({
                    "subject": best.method if best else NONE, "metric": "perplexity", "unit": "1", "kind": "derived",
                    "value": best and best.perplexity, "low": best and best.low, "high": best and best.high,
                    "source": known.source, "domains": count, "generic_training": amount, "cost_unit": known.unit,
                    "specialisation_tokens": tokens, "specialisation_training": budgets.specialisation_training,
                    "inference": budgets.inference,
                })  # fmt: skip
    return evidence(rows)


def _sizes(grids: Mapping[str, Grid]) -> list[int]:
    return sorted({size for grid in grids.values() for size in grid.sizes()})


def region_figure(table: pa.Table, asked: tuple[float, float, float] | None = None) -> Figure:
    """`region_rows` as one map for each specialisation set: domains across, generic training upwards.

    A method has one colour; beside the maps stands its name, and the pointer shows the predicted perplexity. `asked`
    is a point to mark: domains, generic training and tokens, on the map of the nearest set. Raises `ValueError` for a
    table without rows.
    """
    from plotly.subplots import make_subplots

    rows = table.to_pylist()
    if not rows:
        raise ValueError("table: at least one row of region_rows, got none")
    sizes = sorted({row["specialisation_tokens"] for row in rows})
    titles = [f"{size:,} tokens a domain" for size in sizes]
    figure = make_subplots(1, len(sizes), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03)
    names = [name for name in (*METHODS, NONE) if any(row["subject"] == name for row in rows)]
    for place, size in enumerate(sizes, 1):
        own = [row for row in rows if row["specialisation_tokens"] == size]
        for name in names:
            _draw(figure, [row for row in own if row["subject"] == name], name, place)
    if asked:
        nearest = min(range(len(sizes)), key=lambda i: abs(sizes[i] - asked[2]))
        cross = {"symbol": "cross-thin", "size": 14, "line": {"width": 2, "color": look.MUTED["light"]}}
        point = {"x": [asked[0]], "y": [asked[1]], "mode": "markers", "marker": cross, "name": "asked"}
        figure.add_scatter(**point, row=1, col=nearest + 1)
    unit = rows[0]["cost_unit"]
    figure.update_xaxes(type="log", title="domains")
    figure.update_yaxes(type="log")
    figure.update_yaxes(title=f"generic training, {unit}", row=1, col=1)
    shared = f"{rows[0]['specialisation_training']:.4g} {unit} of specialisation training in all"
    title = f"{shared}, at most {rows[0]['inference']:.4g} parameters at inference"
    return figure.update_layout(template=look.template(), height=480, title=title, legend={"y": -0.2, "yanchor": "top"})


def _draw(figure: Figure, rows: list[dict[str, Any]], name: str, place: int) -> None:
    style = STYLES.get(name, look.Style(look.GRID["light"], "x"))
    marker = {"color": style.color, "symbol": style.symbol, "size": 9}
    shown: dict[str, Any] = {"x": [row["domains"] for row in rows], "y": [row["generic_training"] for row in rows]}
    if not rows:
        shown = {"x": [None], "y": [None]}  # so that every name stands in the legend once
    figure.add_scatter(
        **shown, mode="markers", marker=marker, name=name, legendgroup=name, showlegend=place == 1, hoverinfo="text",
        hovertext=[_hover(row) for row in rows], row=1, col=place,
    )  # fmt: skip


def _hover(row: dict[str, Any]) -> str:
    value, low, high = row["value"], row["low"], row["high"]
    ends = "" if low is None or high is None else f" [{low:.4g}, {high:.4g}]"
    known = f"below {high:.4g}" if value is None and high is not None else f"{value:.4g}{ends}" if value else ""
    where = f"{row['domains']} domains, {row['generic_training']:.4g} {row['cost_unit']} of generic training"
    return "<br>".join(filter(None, [row["subject"], where, known and f"perplexity {known}"]))
