"""Based, Figure 1 centre: recall against the window, of windows, of linear attention, and of both.

    python paper_figures/based_figure1.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, based_figure1_points, based_figure1_statements, without_seeds, write_figure
from recallscope.reproduction.plots import accuracy_against_window as figure

EVIDENCE = Path(__file__).parent / "evidence" / "based_figure1.jsonl"

REMADE = Remade(
    figure="Based, Figure 1 centre",
    paper=(
        "A small sliding window and Taylor linear attention together recall more than either alone; windows of 64 "
        "to 128 beside it reach 90.8 % of the recall accuracy of full attention. The curves are not known as "
        "numbers."
    ),
    here=(
        "The sweep `based-figure1-small` of a size for minutes on a core: width 32, vocabulary 256, trained to 8 "
        "pairs in 32 tokens, tested to 32 pairs in 128, 1,000 steps, three seeds. A convolution of 3 taps, then "
        "two layers: both windows, both linear (keys of 8), or one of each, so that depth is the same. The "
        "paper's own configuration of this figure is not released. One rate for all: none was tuned."
    ),
    fill=(
        "`recallscope sweep based-figure1-small --out RUN` (minutes on a core; its rows are the evidence), or "
        "`based-figure1` with the published tests, widths and recipe (a GPU, or days)."
    ),
    only="at reduced size",
)


def table() -> pa.Table:
    points = based_figure1_points(rs.read_evidence(EVIDENCE))
    return evidence(without_seeds(points) + based_figure1_statements(points))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
