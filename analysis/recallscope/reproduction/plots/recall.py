"""Recall against state and against width: published points beside a sweep."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recallscope import look
from recallscope.frontier.state_vs_recall import LIMIT
from recallscope.reproduction.plots.drawing import draw, panels, powers_of_two, rows_with
from recallscope.training.sweeps.plots.drawing import ACCURACY_RANGE, named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure


def recall_beside_published(table: pa.Table) -> Figure:
    """Based, Figure 2: accuracy against the state in bytes, a panel for each set of tests, as their sizes differ.

    `table`: rows of `recallscope.frontier.state_vs_recall`. The dotted line is the information limit of the panel's
    tests; whiskers go from the worst to the best seed, or over the error of a digitised point.
    """
    rows = rows_with(table, "accuracy", "state_bits", "setting")
    rows = [row | {"bytes": row["state_bits"] / 8} for row in rows]
    settings = sorted({row["setting"] for row in rows}, key=lambda title: title not in _published(rows))
    heads = ["published" if title in _published(rows) else "trained here" for title in settings]
    figure = panels([f"{head}\n{title}" for head, title in zip(heads, settings, strict=True)], 580)
    for column, title in enumerate(settings, 1):
        own = [row for row in rows if row["setting"] == title]
        limit = [row for row in own if row["subject"] == LIMIT]
        figure.add_scatter(
            x=[row["bytes"] for row in limit], y=[row["value"] for row in limit], name=LIMIT, legendgroup=LIMIT,
            hoverinfo="x+y", row=1, col=column, **look.limit_line(),
        )  # fmt: skip
        points = [row for row in own if row["subject"] != LIMIT]
        names = list(dict.fromkeys(_name(row) for row in points))
        for name, style in look.styles(names).items():
            draw(
                figure,
                [row for row in points if _name(row) == name],
                name,
                style,
                column,
                "bytes",
                group=heads[column - 1],
            )
        figure.update_xaxes(title="state of one sequence, bytes (32 bits per element)", row=1, col=column)
    _bytes(figure, [row["bytes"] for row in rows if row["subject"] != LIMIT])
    figure.update_yaxes(range=ACCURACY_RANGE).update_yaxes(title="accuracy, mean of the tests", col=1)
    return named_once(figure).update_layout(margin={"t": 72})


def _bytes(figure: Figure, states: list[float]) -> None:
    """One axis for all panels, from a 64th of the smallest state on, so that the limit is seen to rise."""
    low, high = math.floor(math.log2(min(states))) - 6, math.ceil(math.log2(max(states)))
    ticks = range(low + low % 2, high + 1, 2)
    units = [(2**20, "MiB"), (2**10, "KiB"), (1, "B")]
    words = [next(f"{2**k // size} {unit}" for size, unit in units if 2**k >= size) for k in ticks]
    span = [(low - 0.3) * math.log10(2), (high + 0.3) * math.log10(2)]
    figure.update_xaxes(type="log", tickvals=[2.0**k for k in ticks], ticktext=words, range=span)


def _published(rows: list[dict]) -> set[str]:
    return {row["setting"] for row in rows if row["kind"] == "published"}


def _name(row: dict) -> str:
    if row["kind"] == "published":
        return row["subject"]
    return (row["mixer"] or row["subject"]) + (", cannot bind" if row.get("can_bind") is False else "")


def recall_by_width(table: pa.Table) -> Figure:
    """Zoology, Figure 2: the best accuracy of all rates against the width, a panel for each length N of the text.

    Own points (filled) are of tests with more pairs, so their place is with the published ones of that length only as
    far as the hover text says.
    """
    rows = rows_with(table, "accuracy", "width", "length")
    lengths = sorted({row["length"] for row in rows})
    pairs = {row["length"]: row["pairs"] for row in rows if row["kind"] == "published"}
    figure = panels([f"N = {length:,}, {pairs.get(length, '?')} pairs" for length in lengths])
    styles = look.styles(dict.fromkeys(row["model"] for row in rows))
    for column, length in enumerate(lengths, 1):
        for name, style in styles.items():
            for published, group in ((True, "published"), (False, "trained here")):
                own = [row for row in rows if (row["model"], row["length"]) == (name, length)]
                own = [row for row in own if (row["kind"] == "published") == published]
                draw(figure, own, name, style, column, "width", group=group, lines=published)
    powers_of_two(figure, [row["width"] for row in rows])
    figure.update_xaxes(title="model width, channels")
    figure.update_yaxes(range=ACCURACY_RANGE).update_yaxes(title="accuracy, best of all rates", col=1)
    return named_once(figure)
