"""Losses by how often a bigram was in the training text, and distances of its repeats: `evidence/bigram_slices.jsonl`.

    recallscope slice attention window based hyena --limit 30 --out RUN
    python paper_figures/bigram_slices_rows.py RUN

The rows are sums over the tokens of the run; intervals (95 %) resample documents.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from recallscope.evidence import evidence, origin, write_evidence
from recallscope.reproduction.binned import binned_losses, edges, mean_row
from recallscope.slicing.attribution import attribute, read_atoms
from recallscope.slicing.attribution.atoms import metadata_of
from recallscope.slicing.attribution.panel import panel
from recallscope.slicing.attribution.slices import Partition, column

FILE = Path(__file__).parent / "evidence" / "bigram_slices.jsonl"
SLICES = ("repeated", "new")


def losses(atoms: pa.Table, models: list[str]) -> list[dict[str, Any]]:
    """Losses by log2 bin of the training count, on bigrams that the window already holds and on others."""
    new, rows = column(atoms, "distance_bin") == 0, []
    for name, inside in zip(SLICES, (~new, new), strict=True):
        rows += [row | {"slice": name} for row in binned_losses(atoms, models, inside, "count")]
    return rows


def distances(atoms: pa.Table) -> list[dict[str, Any]]:
    """Tokens whose bigram occurred before in the window, by log2 bin of the distance."""
    bins, tokens = column(atoms, "distance_bin"), column(atoms, "tokens")
    row = {"subject": "held-out packages", "metric": "repeated bigrams", "unit": "tokens", "n": int(tokens.sum())}
    numbers = sorted(set(bins.tolist()) - {0})
    return [row | {"value": int(tokens[bins == number].sum())} | edges("distance", number) for number in numbers]


def shares(atoms: pa.Table) -> list[dict[str, Any]]:
    """Every gap to the first model, on all tokens, AR hits (Zoology's threshold) and others; the share on AR hits."""
    found, rows = attribute(atoms, by="recall"), []
    hit = (column(atoms, "distance_bin") > 0) & (column(atoms, "rare") == 1)
    for gap in found.gaps:
        row = {"subject": gap.model, "reference": gap.reference}
        sums = panel(atoms, Partition(("AR", "other"), 1 - hit.astype(np.int64)), gap.model, gap.reference)
        for k, name in enumerate(sums.names):
            rows.append(mean_row(gap.model, "gap", sums.differences[:, k], sums.tokens[:, k]) | {"slice": name} | row)
        rows.append(
            mean_row(gap.model, "gap", sums.document_differences, sums.document_tokens) | {"slice": "all"} | row
        )
        (own,) = (r for r in found.table.to_pylist() if r["model"] == gap.model and r["slice"] == "AR hit")
        share = {name: None if own[key] is None else 100 * own[key] for name, key in
                 (("value", "share"), ("low", "share_low"), ("high", "share_high"))}  # fmt: skip
        rows.append(row | {"metric": "share of gap", "unit": "%", "slice": "AR", "n": own["tokens"], **share})
    return rows


def main(run: str) -> None:
    atoms = read_atoms(Path(run) / "atoms.parquet")
    metadata = metadata_of(atoms.schema)
    documents = len(set(atoms["document"].to_pylist()))
    common = {
        "kind": "measured", "source": "recallscope slice attention window based hyena --limit 30; "
        "python paper_figures/bigram_slices_rows.py", "corpus": "held-out packages", "documents": documents,
        "training_tokens": metadata["training_tokens"], **origin(),
    }  # fmt: skip
    rows = losses(atoms, metadata["models"]) + distances(atoms) + shares(atoms)
    write_evidence(evidence(row | common for row in rows), FILE)


if __name__ == "__main__":
    main(*sys.argv[1:])
