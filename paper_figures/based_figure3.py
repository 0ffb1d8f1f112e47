"""Based, Figure 3: recall by feature map, against state and against parameters.

    python paper_figures/based_figure3.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, based_figure3_points, based_figure3_statements, without_seeds, write_figure
from recallscope.reproduction.plots import accuracy_by_feature_map as figure

EVIDENCE = Path(__file__).parent / "evidence" / "based_figure3.jsonl"

REMADE = Remade(
    figure="Based, Figure 3",
    paper=(
        "On MQAR with 256 pairs Taylor features, ELU + 1 and ReLU are all on the frontier of recall against "
        "state; Taylor features need fewer parameters. The curves are not known as numbers."
    ),
    here=(
        "The sweep `based-figure3-small`: as Figure 1 here, a convolution and one linear attention of one head, "
        "widths of 16, 32 and 64, Taylor with keys of 4 and 8, the other maps with keys of the width of the "
        "model; the test with the most pairs, 32 in 128 tokens, three seeds, one rate for all. Left out: the maps "
        "that square, and all powers."
    ),
    fill=(
        "`recallscope sweep based-figure3-small --out RUN` (minutes on a core; its rows are the evidence), or "
        "`based-figure3` with the published widths, tests and recipe (a GPU, or days)."
    ),
    only="at reduced size",
)


def table() -> pa.Table:
    points = based_figure3_points(rs.read_evidence(EVIDENCE))
    return evidence(without_seeds(points) + based_figure3_statements(points))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
