"""Zoology, Appendix F: accuracy against the number of key-value pairs.

    python paper_figures/zoology_pairs.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, accuracy_by_pairs, write_figure, zoology_pairs_statements
from recallscope.reproduction.plots import recall_by_pairs as figure

HERE = Path(__file__).parent

REMADE = Remade(
    figure="Zoology, Appendix F",
    paper=(
        "Accuracy against the number of pairs, of BaseConv, RWKV, RetNet and windows of several sizes; the values are "
        "not known. By the paper's argument attention holds, a bounded memory falls as pairs grow, and a larger "
        "window falls later."
    ),
    here=(
        "The two-layer models of our sweep `recall-vs-state` (width 64, vocabulary 512, three seeds), trained on "
        "up to 16 pairs: 4 pairs in 32 tokens to 64 in 256, so texts grow with the pairs. Attention has no "
        "positions."
    ),
    fill=(
        "`recallscope sweep recall-vs-state --out runs/recall` trains the models that two cores had not finished "
        "(RWKV-7, Mamba, Mamba-2, RetNet)."
    ),
    only="at reduced size",
)


def table() -> pa.Table:
    points = accuracy_by_pairs(rs.read_evidence(HERE / "evidence" / "recall_vs_state.jsonl"))
    return evidence(points + zoology_pairs_statements(points))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
