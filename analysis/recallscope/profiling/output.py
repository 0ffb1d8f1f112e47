"""What `recallscope profile` prints and writes: text, rows, and a page of figures that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from recallscope import look
from recallscope.disk import write_text
from recallscope.evidence import write_evidence
from recallscope.profiling.tables import format_crossings, format_measurements, format_notes, format_roofs

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from recallscope.profiling.run import Profile


def results_text(found: Profile, base: str, mode: str, dtype: str) -> str:
    """Roofs, a line a measurement, what timed them, and where they cross `base`."""
    shape = found.measurements[0].shape
    parts = [
        format_roofs(found.roofs),
        f"{mode} {dtype}, H = {shape.H}, V = {shape.V}; ratio: to {base}\n"
        + format_measurements(found.measurements, found.roofs, base),
        format_notes(found.measurements),
        format_crossings(found.measurements, base),
    ]
    return "\n\n".join(part for part in parts if part)


def write_results(table: pa.Table, roofs: pa.Table, out: Path, text: str) -> None:
    """Rows of roofs and measurements as `.jsonl`, and all figures that they allow as `.html`, of one name."""
    rows = pa.concat_tables([roofs, table], promote_options="permissive")
    write_evidence(rows, out.with_suffix(".jsonl"))
    write_text(out.with_suffix(".html"), figures_page(figures(table, roofs), text))


def write_roofline(table: pa.Table | None, roofs: pa.Table, out: Path, text: str) -> None:
    """Rows of the roofs as `.jsonl`; with measured operators their roofline as `.html`."""
    from recallscope.profiling.plots import roofline_figure

    write_evidence(roofs, out.with_suffix(".jsonl"))
    if table is not None:
        write_text(out.with_suffix(".html"), figures_page([roofline_figure(table, roofs)], text))


def figures(table: pa.Table, roofs: pa.Table) -> list[Figure]:
    """The figures that rows of one mode allow: time by length or costs of decoding, roofline, traffic if counted."""
    from recallscope.profiling.plots import (
        decoding_costs,
        roofline_figure,
        time_against_length,
        traffic_inefficiency,
    )

    rows = table.to_pylist()
    decode = any(row.get("mode") == "decode" for row in rows)
    counted = any(row["metric"] == "traffic_inefficiency" and row["value"] is not None for row in rows)
    made = [decoding_costs(table) if decode else time_against_length(table), roofline_figure(table, roofs)]
    return [*made, *([traffic_inefficiency(table)] if counted else [])]


def figures_page(made: Sequence[Figure], text: str, title: str = "Measured operators") -> str:
    """One HTML page: the figures, one below another, and the text of the shell."""
    parts = [figure.to_html(full_html=False, include_plotlyjs=i == 0) for i, figure in enumerate(made)]
    style = f"body{{font-family:{look.SANS};color:{look.INK['light']};margin:2rem auto;max-width:72rem;padding:0 1rem}}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{style} pre{{overflow-x:auto;font-size:12px}}</style></head>\n<body><h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + f"\n<pre>{escape(text)}</pre></body></html>\n"
    )
