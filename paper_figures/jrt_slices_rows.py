"""Losses of the three panels of JRT, Figure 3, with the bundled models: `evidence/jrt_slices.jsonl`.

    recallscope slice attention window based hyena --limit 30 --out RUN
    python paper_figures/jrt_slices_rows.py RUN

The records of the run as the paper's Appendix B.4 has it: only tokens with at least half a window before them, and rare
at its rate of training counts. Intervals (95 %) resample documents.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
from recallscope.evidence import evidence, origin, write_evidence
from recallscope.reproduction.binned import binned_losses, recall_panels
from recallscope.slicing.attribution import atoms
from recallscope.slicing.attribution.atoms import metadata_of
from recallscope.slicing.attribution.thresholds import JRT, threshold_count

FILE = Path(__file__).parent / "evidence" / "jrt_slices.jsonl"


def rows_of(records: pa.Table | str) -> pa.Table:
    everything = metadata_of(atoms(records).schema)
    tokens, window = everything["training_tokens"], everything["window"]
    rare = threshold_count(JRT.per_million, tokens, JRT.inclusive)
    half = atoms(records, rare, scored=JRT.scored)
    models, rows = metadata_of(half.schema)["models"], []
    for name, (inside, by) in recall_panels(half, window // 2).items():
        rows += [row | {"slice": name} for row in binned_losses(half, models, inside, by)]
    common = {
        "kind": "measured", "source": "recallscope slice attention window based hyena --limit 30; "
        "python paper_figures/jrt_slices_rows.py", "corpus": "held-out packages", "window": window,
        "documents": len(set(half["document"].to_pylist())), "training_tokens": tokens, "rare_count": rare, **origin(),
    }  # fmt: skip
    return evidence(row | common for row in rows)


if __name__ == "__main__":
    write_evidence(rows_of(str(Path(sys.argv[1]) / "records.parquet")), FILE)
