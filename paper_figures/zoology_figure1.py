"""Zoology, Figure 1: perplexity by how often a bigram was trained on, repeated and new, with our models and text.

    python paper_figures/zoology_figure1.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, bigram_frequency_statements, write_figure
from recallscope.reproduction.plots import loss_by_training_count as figure

HERE = Path(__file__).parent

REMADE = Remade(
    figure="Zoology, Figure 1",
    paper=(
        "On bigrams that the context already holds attention has a far lower perplexity than gated convolutions, "
        "most of all on those that are rare in training; on other bigrams the models are alike. The curves are "
        "not known as numbers."
    ),
    here=(
        "The bundled models (attention, window of 64, Based, Hyena; 5 M parameters) on 30 held-out documents of "
        "source code and documentation, by log2 bins of the bigram's count in their own training text. Intervals "
        "resample documents."
    ),
    fill=(
        "`recallscope slice attention window based hyena --limit 240 --out RUN`, then `python "
        "paper_figures/bigram_slices_rows.py RUN`; with the Pile, `--text` and `--training-text`."
    ),
    only="small models, own text",
)


def table() -> pa.Table:
    rows = rs.read_evidence(HERE / "evidence" / "bigram_slices.jsonl").to_pylist()
    rows = [row for row in rows if row["metric"] in ("loss", "difference in loss")]
    return evidence(rows + bigram_frequency_statements(rows))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
