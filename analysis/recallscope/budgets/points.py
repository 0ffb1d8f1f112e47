"""Cells as rows of evidence, and perplexity against each of the four budgets as one figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from recallscope import look
from recallscope.budgets.budgets import METHODS
from recallscope.budgets.cells import Cell, Grid
from recallscope.budgets.regions import STYLES
from recallscope.budgets.sources import Known

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

AXES = ("generic_training", "specialisation_training", "inference", "specialisation_tokens")
TITLES = ("generic training", "specialisation, a domain", "parameters at inference", "specialisation tokens")


def point_rows(known: Known) -> list[dict[str, Any]]:
    """Every cell that has a perplexity: `published` as printed, else `derived` from measured rows (`over_seeds`).

    Columns are the four budgets that it spends, `generic_training` and `specialisation_training` (of one domain) in
    `cost_unit`; `longest` marks the longest pre-training of its method.
    """
    kind = "published" if known.kind == "published" else "derived"
    return [
        row | {"kind": kind, "source": known.source, "cost_unit": known.unit, "flag": grid.flag or None}
        for grid in known.grids.values() for cell in grid.cells if (row := _row(grid, cell))
    ]  # fmt: skip


def _row(grid: Grid, cell: Cell) -> dict[str, Any] | None:
    if cell.value is None:
        return None
    ends = {name: None if x is None else math.exp(x) for name, x in (("low", cell.low), ("high", cell.high))}
    once = cell.spent if grid.pays == "generic_training" else 0.0
    return {
        "subject": grid.method, "metric": "perplexity", "value": math.exp(cell.value), "unit": "1", **ends,
        "generic_training": once, "specialisation_training": cell.tuning + cell.spent - once,
        "inference": grid.parameters, "specialisation_tokens": cell.tokens,
        "longest": cell.spent == max(other.spent for other in grid.cells if other.tokens == cell.tokens),
    }  # fmt: skip


def perplexity_against_budgets(table: pa.Table) -> Figure:
    """Perplexity against each budget, from `point_rows`: printed above (hollow), measured here below (filled).

    One panel for each budget. Generic training: one specialisation set, the middle one. The others: the longest
    pre-training of each method, in the panel of parameters again with the middle set. Bars are rounding (printed) or
    95 % over seeds. Raises `ValueError` for a table without points.
    """
    from plotly.subplots import make_subplots

    rows = [row for row in table.to_pylist() if row["metric"] == "perplexity"]
    kinds = [kind for kind in ("published", "derived") if any(row["kind"] == kind for row in rows)]
    if not kinds:
        raise ValueError("table: rows of point_rows, got none with a perplexity")
    figure = make_subplots(len(kinds), len(AXES), horizontal_spacing=0.045, vertical_spacing=0.16)
    named: set[str] = set()
    for line, kind in enumerate(kinds, 1):
        own = [row for row in rows if row["kind"] == kind]
        sizes = sorted({row["specialisation_tokens"] for row in own} - {0})
        middle = sizes[len(sizes) // 2]
        for place, axis in enumerate(AXES, 1):
            chosen = [row for row in own if row["specialisation_tokens"] and row[axis]]
            if axis in ("generic_training", "inference"):
                chosen = [row for row in chosen if row["specialisation_tokens"] == middle]
            if axis != "generic_training":
                chosen = [row for row in chosen if row["longest"]]
            for name in (name for name in METHODS if any(row["subject"] == name for row in chosen)):
                _draw(figure, [row for row in chosen if row["subject"] == name], axis, (line, place), name not in named)
                named.add(name)
            unit = f", {own[0]['cost_unit']}" if axis.endswith("training") else ""
            figure.update_xaxes(type="log", title=TITLES[place - 1] + unit, row=line, col=place)
        where = "printed, A100" if kind == "published" else "here, two cores"
        figure.update_yaxes(type="log", row=line)
        figure.update_yaxes(title=f"perplexity ({where})", row=line, col=1)
    return figure.update_layout(template=look.template(), height=360 * len(kinds) + 60)


def _draw(figure: Figure, rows: list[dict[str, Any]], axis: str, place: tuple[int, int], first: bool) -> None:
    rows = sorted(rows, key=lambda row: row[axis])
    name, style = rows[0]["subject"], STYLES[rows[0]["subject"]]
    ends = [(row["value"] if row[end] is None else row[end]) for row in rows for end in ("low", "high")]
    below, above = ([abs(ends[2 * i + k] - row["value"]) for i, row in enumerate(rows)] for k in (0, 1))
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.2, "width": 3}
    figure.add_scatter(
        x=[row[axis] for row in rows], y=[row["value"] for row in rows], mode="lines+markers", name=name, error_y=bars,
        marker=look.marker(style, "published" if rows[0]["kind"] == "published" else "own"), legendgroup=name,
        line={"color": style.color, "width": 1.3}, showlegend=first, row=place[0], col=place[1],
        hovertext=[_hover(row) for row in rows], hoverinfo="text",
    )  # fmt: skip


def _hover(row: dict[str, Any]) -> str:
    ends = "" if row["low"] is None else f" [{row['low']:.4g}, {row['high']:.4g}]"
    spent = f"{row['generic_training']:.3g} once, {row['specialisation_training']:.3g} a domain, {row['cost_unit']}"
    tokens = f"{row['specialisation_tokens']:,} tokens, {row['inference']:.3g} parameters"
    return "<br>".join((row["subject"], f"perplexity {row['value']:.4g}{ends}", spent, tokens))
