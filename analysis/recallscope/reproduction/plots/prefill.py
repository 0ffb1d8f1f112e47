"""Time of prefill against length and batch: JRT, Table 5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recallscope import look
from recallscope.reproduction.plots.drawing import Row, draw, panels, powers_of_two, rows_with
from recallscope.training.sweeps.plots.drawing import named_once

if TYPE_CHECKING:
    import pyarrow as pa
    from plotly.graph_objects import Figure

FAMILIES = {"JRT": "hybrid", "Based": "linear attention", "Fast": "linear attention", "Flash": "attention"}


def prefill_latency(table: pa.Table) -> Figure:
    """Latency in ms: left against the length at one batch, then against the batch at one length; rows with another
    `table`, measured here, at last against the length.

    Where memory ran out there is no point. Implementations of one model differ in their dashes.
    """
    rows = rows_with(table, "latency", "length", "batch")
    names = list(dict.fromkeys(row["subject"] for row in rows))
    families = {name: next(key for word, key in FAMILIES.items() if name.startswith(word)) for name in names}
    parts = [(x, [row for row in rows if row["table"].endswith(x)]) for x in ("length", "batch")]
    parts.append(("length", [row for row in rows if row["kind"] == "measured"]))
    parts = [(x, own) for x, own in parts if own]
    figure = panels([_title(x, own) for x, own in parts], 520)
    for column, (x, own) in enumerate(parts, 1):
        for name, style in look.styles(names, families).items():
            draw(figure, [row for row in own if row["subject"] == name], name, style, column, x)
        powers_of_two(figure, [row[x] for row in own], column)
        figure.update_xaxes(title="length, tokens" if x == "length" else "batch", col=column)
    figure.update_yaxes(type="log", dtick=1).update_yaxes(title="prefill, ms", col=1)
    return named_once(figure)


def _title(x: str, rows: list[Row]) -> str:
    fixed = f"batch {rows[0]['batch']}" if x == "length" else f"{rows[0]['length']:,} tokens"
    return f"here, {fixed}\n{rows[0]['device']}" if rows[0]["kind"] == "measured" else f"published, {fixed}, H100"
