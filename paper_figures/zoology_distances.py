"""Zoology, Appendix D: distances between repeats of a bigram, on our held-out text.

    python paper_figures/zoology_distances.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, bigram_distance_statements, write_figure
from recallscope.reproduction.plots import repeats_by_distance as figure

HERE = Path(__file__).parent

REMADE = Remade(
    figure="Zoology, Appendix D",
    paper=(
        "Distances between repeats of a bigram in the Pile follow a power law; most are within some 100 tokens. "
        "The histogram is not known as numbers."
    ),
    here=(
        "All repeats (rare or not) in windows of 1,024 tokens of 30 held-out documents of source code and "
        "documentation, by log2 bins of the distance to the last occurrence; the last bin is thinned by the end "
        "of the window."
    ),
    fill="`recallscope tag --text TEXT --out tags.parquet` has every distance of a text, without any model.",
    only="own text",
)


def table() -> pa.Table:
    rows = rs.read_evidence(HERE / "evidence" / "bigram_slices.jsonl").to_pylist()
    rows = [row for row in rows if row["metric"] == "repeated bigrams"]
    return evidence(rows + bigram_distance_statements(rows))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
