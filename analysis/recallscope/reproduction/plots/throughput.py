"""Prefill and decoding on the device at hand: Based, Figure 4, as operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope import look
from recallscope.reproduction.plots.drawing import draw, panels, powers_of_two, rows_with, whole_ticks
from recallscope.training.sweeps.plots.drawing import named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

FAMILIES = {"jrt_prefix": "hybrid"}


def prefill_and_decoding(table: pa.Table) -> Figure:
    """Milliseconds of one call: left the prefill against the length, right one step after a context, by batch.

    Whiskers are quartiles of the calls. Whatever is drawn was measured on the device that the title names.
    """
    rows = [row | {"value": 1e3 * row["value"], "low": 1e3 * row["low"], "high": 1e3 * row["high"], "unit": "ms"}
            for row in rows_with(table, "seconds", "mode", "t")]  # fmt: skip
    prefill, steps = ([row for row in rows if row["mode"] == mode] for mode in ("fwd", "decode"))
    titles = [f"prefill, batch {prefill[0]['batch']}", f"one step after {steps[0]['t']:,} tokens"]
    figure = panels(titles, 520, shared_yaxes=False, horizontal_spacing=0.08)
    names = list(dict.fromkeys(row["subject"] for row in rows))
    for column, (own, x) in enumerate(((prefill, "t"), (steps, "batch")), 1):
        for name, style in look.styles(names, FAMILIES).items():
            draw(figure, [row for row in own if row["subject"] == name], name, style, column, x)
        powers_of_two(figure, [row[x] for row in own], column)
        figure.update_yaxes(**whole_ticks(row["value"] for row in own), row=1, col=column)
    figure.update_xaxes(title="length, tokens", col=1).update_xaxes(title="batch", col=2)
    figure.update_yaxes(title="milliseconds a call")
    said = f"{rows[0]['device']}, {rows[0]['dtype']}, {rows[0]['timer']}"
    return named_once(figure).update_layout(title=look.plain(said), margin={"t": 96})
