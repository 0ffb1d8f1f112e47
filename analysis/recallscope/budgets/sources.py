"""Evidence by name: what the paper prints, what was measured here, or a run of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recallscope.budgets.cells import Grid, measured_grids, printed_grids

OWN = Path(__file__).parents[3] / "paper_figures" / "evidence" / "budgets.jsonl"
"""The committed runs of a checkout; an installation from a wheel has the printed tables alone."""
PRINTED = "Grangier et al. 2024 (arXiv 2402.01093v2), Tables 4 and 8"


@dataclass(frozen=True)
class Known:
    """Grids of all methods, the unit of their costs, `kind` (published or measured) and where they are from."""

    grids: Mapping[str, Grid]
    unit: str
    kind: str
    source: str


def known(name: str = "published") -> Known:
    """`published`; `own`, the committed runs of this toolkit; or a file or folder that `train budgets` wrote.

    The paper counts A100 hours, own rows FLOPs: never both in one answer. Raises `ValueError` for anything else.
    """
    from recallscope.evidence import read_evidence

    if name == "published":
        return Known(printed_grids(), "GPU hours", "published", PRINTED)
    path = OWN if name == "own" else Path(name)
    path = path / "rows.jsonl" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"evidence: published, own (in a checkout), a file or a folder with rows.jsonl; got {name!r}")
    rows = read_evidence(path).to_pylist()
    return Known(measured_grids(rows), "FLOPs", "measured", f"{path.name}, measured by {rows[0]['source']}")
