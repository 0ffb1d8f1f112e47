"""A sample of the hits of a run: whole documents in an order that chance has set once, until there are enough hits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recallscope.bounds.demand.intervals import Array, at_least

if TYPE_CHECKING:
    import pyarrow as pa

    from recallscope.slicing.records import Records


@dataclass(frozen=True)
class Sample:
    """Records of some documents of a run, with what its report counts as recall.

    Attributes
    ----------
    rows : Arrow table
        Columns `document`, `position`, `context`, `distance_<n>`, `hit` and `loss_<model>`: what `demand` reads.
    hits : int
    documents, documents_of : int
        Documents with rows here, and in the whole run.
    kind : "AR hit" or "repeat"
        The latter where training counts are unknown.
    length : int
        The most tokens that a window shows before a scored one: how much a state has seen at most.
    """

    rows: pa.Table
    hits: int
    documents: int
    documents_of: int
    kind: str
    length: int


def sampled(folder: Path, wanted: int) -> Sample:
    """The records of a finished run's `folder`, cut at `wanted` hits: those of its report, threshold and half included.

    The order of the documents depends on nothing but their number; atoms say how many hits each has, so no other
    document is read. Raises `ValueError` for a folder without records or atoms, and for `wanted` below 1.
    """
    from recallscope.slicing.attribution.atoms import metadata_of, read_atoms
    from recallscope.slicing.records import read_records

    at_least("wanted", wanted, 1)
    records, atoms = read_records(folder), read_atoms(Path(folder) / "atoms.parquet")
    metadata = metadata_of(atoms.schema)
    threshold = (metadata.get("threshold") or {}).get("count")
    there = np.unique(atoms["document"].to_numpy())
    rows = _rows(records, _chosen(atoms, there, wanted))
    half = records.metadata["window"] if metadata.get("scored") == "last half" else None
    marked = _marked(rows, threshold, half)
    repeats = _repeats(rows, int(records.metadata["ngram"]))
    last = np.flatnonzero(marked & repeats)[:wanted]
    end = int(last[-1]) + 1 if last.size == wanted else rows.num_rows
    kept = rows.drop_columns("count").append_column("hit", [marked]).slice(0, end)
    return Sample(
        kept, last.size, np.unique(kept["document"].to_numpy()).size, there.size,
        "repeat" if threshold is None else "AR hit", int(rows["context"].to_numpy().max(initial=0)),
    )  # fmt: skip


def _chosen(atoms: pa.Table, there: Array, wanted: int) -> list[int]:
    recalled = (atoms["distance_bin"].to_numpy() > 0) & (atoms["rare"].to_numpy() != 0)
    of = np.searchsorted(there, atoms["document"].to_numpy())
    hits = np.bincount(of, np.where(recalled, atoms["tokens"].to_numpy(), 0), there.size)
    order = np.random.default_rng(0).permutation(there.size)
    before = np.cumsum(hits[order]) - hits[order]
    return np.sort(there[order[before < wanted]]).tolist()


def _rows(records: Records, documents: list[int]) -> pa.Table:
    columns = ["document", "position", "context", f"distance_{records.metadata['ngram']}", "count"]
    return records.documents(documents, columns + [f"loss_{model}" for model in records.models])


def _marked(rows: pa.Table, threshold: int | None, window: int | None) -> Array:
    """Tokens that may be hits: rare ones if counts are known, in the last half of the window if only these count."""
    marked = np.ones(rows.num_rows, dtype=bool)
    if threshold is not None:
        count = rows["count"].fill_null(-1).to_numpy()
        marked &= (count >= 0) & (count <= threshold)
    if window is not None:
        marked &= 2 * rows["context"].to_numpy() >= window
    return marked


def _repeats(rows: pa.Table, ngram: int) -> Array:
    from recallscope.slicing.tagging.tags import visible

    distance = rows[f"distance_{ngram}"].to_numpy()
    return (distance > 0) & visible(distance, rows["context"].to_numpy(), ngram)
