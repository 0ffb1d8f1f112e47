"""Rows of evidence by name: published tables, files, folders of runs, and what is compared if nothing is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recallscope.evidence import evidence, read_evidence
from recallscope.published import published_names, published_table

if TYPE_CHECKING:
    import pyarrow as pa

OWN = Path(__file__).parents[3] / "paper_figures" / "evidence" / "recall_vs_state.jsonl"
"""The committed sweep of a checkout; an installation from a wheel has the published tables alone."""

RECALL = ("based_figure2", "zoology_tradeoff")


def rows_of(names: Sequence[str] = ()) -> pa.Table:
    """Rows of the named sources in one table.

    A name is a published table, a file of rows (JSON Lines), or a folder with `rows.jsonl`. Without names: published
    recall against state (Based, Figure 2 and its later version) and, in a checkout, the sweep of this toolkit.
    """
    rows = [row for name in names for row in _named(name)]
    if not names:
        rows = published_table(*RECALL).to_pylist() + (read_evidence(OWN).to_pylist() if OWN.exists() else [])
    return evidence(rows)


def every_row() -> pa.Table:
    """All published tables, and the committed sweep where it is at hand."""
    return evidence(published_table().to_pylist() + (read_evidence(OWN).to_pylist() if OWN.exists() else []))


def _named(name: str) -> list[dict[str, Any]]:
    if name in published_names():
        return published_table(name).to_pylist()
    path = Path(name)
    path = path / "rows.jsonl" if path.is_dir() else path
    if not path.is_file():
        known = ", ".join(published_names())
        raise ValueError(f"rows: a file, a folder with rows.jsonl, or one of {known}; got {name!r}")
    return read_evidence(path).to_pylist()
