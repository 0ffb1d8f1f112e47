"""The figure of the AR-aware law: loss against state on AR tokens and on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recallscope import look
from recallscope.reproduction.plots.drawing import draw, panels, rows_with
from recallscope.scaling.law import LossLaw, constant_names, law_of_row
from recallscope.training.sweeps.plots.drawing import named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

Row = dict[str, Any]

PANELS = {
    "AR": "AR hits: repeated in the window,\nnever in the training text",
    "repeat": "bigrams repeated in the window,\nAR hits or not",
    "new": "bigrams new in the window",
    "other": "all tokens but AR hits",
}
COLORS = ("delta rule", "linear attention", "gated linear attention", "state space", "hybrid")
DASHES = ("solid", "dash", "dashdot")  # dots are for the laws
SYMBOLS = ("circle", "square", "diamond", "triangle-up")


def loss_against_state(table: pa.Table) -> Figure:
    """Loss against the elements of the recurrent state: a colour for each size, a marker and a dash for each budget.

    `table` has rows of the metric `loss` with `group`, `parameters`, `width`, `training_tokens` and `state_elements`,
    and may have the constants of the laws (`form` N, D, S), which are drawn as thin dotted lines. Whiskers are 95 %
    over documents; nearly all of it is common to all points, so that they are far too long for comparing points.
    """
    rows = rows_with(table, "loss", "group", "state_elements", "training_tokens", "width")
    rows = [row for row in rows if not row.get("seed")]
    shown = [name for name in PANELS if any(row["group"] == name for row in rows)]
    figure = panels([PANELS[name] for name in shown], 520, shared_yaxes=False, horizontal_spacing=0.07)
    widths = sorted({row["width"] for row in rows})
    budgets = sorted({row["training_tokens"] for row in rows})
    for column, group in enumerate(shown, 1):
        own, law = [row for row in rows if row["group"] == group], _law(table, group)
        for i, width in enumerate(widths):
            for j, budget in enumerate(budgets):
                cells = [row for row in own if (row["width"], row["training_tokens"]) == (width, budget)]
                color = look.FAMILIES[COLORS[i % len(COLORS)]].color
                style = look.Style(color, SYMBOLS[j % len(SYMBOLS)], DASHES[j % len(DASHES)])
                if cells:
                    name = f"{cells[0]['parameters'] / 1e6:.2f} M, {budget / 1e6:g} M tokens"
                    draw(figure, cells, name, style, column, "state_elements")
                    _line(figure, law, cells, style, column)
    figure.update_xaxes(type="log", dtick=1, title="state, elements", tickformat=",")
    figure.update_yaxes(title="loss, nats per token", col=1)
    return named_once(figure)


def _law(table: pa.Table, group: str) -> LossLaw | None:
    """The law of N, D and S of a group, if the table has its constants."""
    names = constant_names(("N", "D", "S"))
    rows = [row for row in table.to_pylist() if row.get("group") == group and row.get("form") == "N, D, S"]
    found = {row["metric"]: row["value"] for row in rows if row["metric"] in names}
    return law_of_row([found[name] for name in names], ("N", "D", "S")) if len(found) == len(names) else None


def _line(figure: Figure, law: LossLaw | None, cells: list[Row], style: look.Style, column: int) -> None:
    if law is None:
        return
    ends = [row["state_elements"] for row in cells]
    state = np.geomspace(min(ends), max(ends), 20)
    y = law.loss(N=np.full(20, cells[0]["parameters"]), D=np.full(20, cells[0]["training_tokens"]), S=state)
    figure.add_scatter(x=state, y=y, **look.limit_line(style), showlegend=False, hoverinfo="skip", row=1, col=column)
