"""Pages of figures, drawn from the files of a folder of evidence."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from recallscope.disk import write_text
from recallscope.evidence import evidence, read_evidence
from recallscope.profiling.output import figures, figures_page
from recallscope.profiling.suite.ledger import of_mode


def draw(folder: Path, pages: Path) -> list[Path]:
    """A page for each file and mode with times in `folder`, under the roofs of its `calibration.jsonl`."""
    roofs, made = read_evidence(folder / "calibration.jsonl"), []
    for name in ("based", "suite"):
        if not (folder / f"{name}.jsonl").exists():
            continue
        rows = read_evidence(folder / f"{name}.jsonl").to_pylist()
        for mode in ("fwd", "bwd", "decode"):
            table = evidence(of_mode(rows, mode))
            if _timed(table):
                page = pages / f"{name}-{mode}.html"
                title = f"{name}, {mode}: {roofs.to_pylist()[0]['subject']}"
                write_text(page, figures_page(figures(table, roofs), _empty_cells(table), title))
                made.append(page)
    return made


def _timed(table: pa.Table) -> bool:
    return any(row["metric"] == "seconds" and row["value"] is not None for row in table.to_pylist())


def _empty_cells(table: pa.Table) -> str:
    """A line for each cell that was tried in vain."""
    empty = [row for row in table.to_pylist() if row["metric"] == "seconds" and row["value"] is None]
    return "\n".join(f"{row['subject']}, B = {row['batch']}, T = {row['t']:,}: {row['flag']}" for row in empty)
