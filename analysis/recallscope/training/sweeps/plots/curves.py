"""Learning curves, and the files that hold them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recallscope import look
from recallscope.training.sweeps.plots.drawing import accuracy_figure, accuracy_title, draw_chance
from recallscope.training.sweeps.plots.points import Row, accuracy_rows, best_points, measured_rows, rows_of, tests_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def training_curves(table: pa.Table, curves: Iterable[Mapping[str, Any]], subject: str) -> Figure:
    """Validation accuracy of one subject against the step: a line per rate (mean over seeds), each seed as a thin line.

    `curves` are rows of `subject`, `rate`, `seed` and `curve` (`read_curves`). A member that stopped keeps its last
    accuracy in the mean.
    """
    rows, curves = accuracy_rows(table, None), list(curves)
    own = sorted((row for row in curves if row["subject"] == subject), key=lambda row: (row["rate"], row["seed"]))
    if not own:
        raise ValueError(
            f"subject: curves of {', '.join(dict.fromkeys(r['subject'] for r in curves))}; got {subject!r}"
        )
    rows = rows_of(rows, [subject])
    (point,) = best_points(measured_rows(rows))
    style, figure = look.FAMILIES[look.family(point["mixer"])], accuracy_figure()
    steps = sorted({step for row in own for step, _, _ in row["curve"]})
    rates = sorted({row["rate"] for row in own})
    for i, rate in enumerate(rates):
        name = f"rate {rate:.4g}" + (", best on validation" if rate == point["rate"] else "")
        color = look.rgba(style.color, (i + 2) / (len(rates) + 1))
        members = [row for row in own if row["rate"] == rate]
        _draw_seeds(figure, members, name, color)
        _draw_mean(figure, members, name, color, look.DASHES[i % len(look.DASHES)], steps)
    draw_chance(figure, tests_of(rows), [steps[0], steps[-1]])
    figure.update_xaxes(title="optimiser steps", rangemode="tozero")
    return figure.update_yaxes(title=f"validation {accuracy_title(tests_of(rows))}")


def read_curves(*paths: str | Path) -> list[Row]:
    """Rows of the learning curves that `run_sweep` writes beside its evidence; a broken line is named."""
    rows = []
    for path in paths:
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                rows.append({name: row[name] for name in ("subject", "rate", "seed", "curve")})
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(f"paths: {path}, line {number} is not a learning curve ({error})") from None
    return rows


def _draw_seeds(figure: Figure, members: list[Mapping[str, Any]], name: str, color: str) -> None:
    for row in members:
        figure.add_scatter(
            x=[step for step, _, _ in row["curve"]],
            y=[_known(accuracy) for _, _, accuracy in row["curve"]],
            mode="lines",
            line={"color": color, "width": 0.8},
            name=name,
            legendgroup=name,
            showlegend=False,
            hovertext=f"{look.plain(row['subject'])}<br>rate {row['rate']:.4g}, seed {row['seed']}",
            hoverinfo="x+y+text",
        )


def _draw_mean(
    figure: Figure, members: list[Mapping[str, Any]], name: str, color: str, dash: str, steps: list[int]
) -> None:
    seeds = ", ".join(str(row["seed"]) for row in members)
    subject, rate = look.plain(members[0]["subject"]), members[0]["rate"]
    figure.add_scatter(
        x=steps,
        y=[float(np.mean([_last(row["curve"], step) for row in members])) for step in steps],
        mode="lines",
        line={"color": color, "width": 2.5, "dash": dash},
        name=name,
        legendgroup=name,
        hovertext=f"{subject}<br>rate {rate:.4g}, mean of seeds {seeds}",
        hoverinfo="x+y+text",
    )


def _known(accuracy: float | None) -> float:
    return 0.0 if accuracy is None else accuracy  # a diverged member knows nothing, as in `best_of`


def _last(curve: Sequence[Sequence[Any]], step: int) -> float:
    """Accuracy at a step, or at the last evaluation before it."""
    return _known([accuracy for at, _, accuracy in curve if at <= step][-1])
