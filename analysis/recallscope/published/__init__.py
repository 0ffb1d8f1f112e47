"""Published numbers as evidence: one file of rows for each figure or table, with source, trust and flags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_FOLDER = Path(__file__).parent


def published_names() -> list[str]:
    """What `published_table` knows."""
    return sorted(path.stem for path in _FOLDER.glob("*.jsonl"))


def published_table(*names: str) -> pa.Table:
    """Rows of evidence of the named figures, all of kind `published`.

    `based_figure2` (Arora et al. 2024, arXiv 2402.18668, Figure 2) and `zoology_tradeoff` (the later picture of the
    same tests in the authors' repository, with newer mixers) hold the accuracy of trained models on MQAR, the mean over
    seven test sets, which are rows of the metric `examples`. `state_bytes` is the state of one sequence of 1,024 tokens
    as the figure counts it, 4 bytes an element, so `state_elements` is a quarter of it; `flag` says what that leaves
    out. Both were read off pictures: `low` and `high` are the error of the accuracy, `state_error` that of the state,
    relative. Raises `ValueError` for unknown names.
    """
    from recallscope.evidence import read_evidence

    known = published_names()
    for name in names:
        if name not in known:
            raise ValueError(f"names: some of {', '.join(known)}, got {name!r}")
    return read_evidence(*(_FOLDER / f"{name}.jsonl" for name in names))
