"""Zoology, Figure 2: accuracy against width at four lengths, and what of our sweep can stand beside it.

    python paper_figures/zoology_figure2.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.published import published_table
from recallscope.reproduction import Remade, write_figure, zoology_figure2_points, zoology_figure2_statements
from recallscope.reproduction.plots import recall_by_width as figure

HERE = Path(__file__).parent

REMADE = Remade(
    figure="Zoology, Figure 2",
    paper=(
        "Attention answers every query at any width, from N = 64 to 512 tokens; Hyena, RWKV, H3 and BaseConv need"
        " a width that grows with the length, and fall behind as it grows."
    ),
    here=(
        "The published points (read off within 0.01; markers that hide behind others are missing) and, filled, "
        "models of width 64 of our sweep `recall-vs-state` at N = 64, 128 and 256. They are not the same test: "
        "two to four times the pairs, vocabulary 512 for 8,192, 1,200 steps of 32 examples for 64 epochs of "
        "100,000, and two layers where the code of the paper has four for all but attention. One width says "
        "nothing of the trend."
    ),
    fill=(
        "`recallscope sweep zoology-figure2 --out runs/zoology` (two layers for all, as the present code) or "
        "`zoology-figure2-deep` (four, as the code of the paper)."
    ),
    only="one width, short training",
)


def table() -> pa.Table:
    swept = rs.read_evidence(HERE / "evidence" / "recall_vs_state.jsonl")
    points = zoology_figure2_points(published_table("zoology_figure2"), swept)
    return evidence(points + zoology_figure2_statements(points))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
