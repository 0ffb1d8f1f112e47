"""The AR-aware law: loss on AR tokens and on the others against state, by size and data; a question of our own.

    python paper_figures/recall_law.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.plots import loss_against_state as figure
from recallscope.reproduction import Remade, write_figure
from recallscope.reproduction.recall_law import recall_law_statements

EVIDENCE = Path(__file__).parent / "evidence" / "recall_law.jsonl"

REMADE = Remade(
    figure="AR-aware law: does state act on the loss of AR tokens alone?",
    paper="No paper has it: published loss laws know parameters and data, and one loss for all tokens.",
    here=(
        "27 cells: two-layer DeltaNets of 0.25, 0.48 and 0.92 M parameters; 0.5, 1 and 1.6 M tokens of the bundled "
        "text; 1, 4 and 16 heads, which is a state of 2 D² / heads elements at equal parameters (heads differ in more "
        "than state: their keys are narrower). Losses on the beginnings of 110 held-out documents. State acts where a "
        "bigram repeats in the window and hardly where it is new, the more so the larger the model and its data. That "
        "is no sum of power laws, and no exponent of state is determined. AR hits are 3.4 % of the tokens, and "
        "chance between runs is as large as what state does to them, until a model has learned to copy."
    ),
    fill="`python paper_figures/recall_law_rows.py --runs RUNS` trains the grid again (resumable).",
    only="27 small runs on two cores",
)


def table() -> pa.Table:
    rows = rs.read_evidence(EVIDENCE).to_pylist()
    return evidence(rows + recall_law_statements(rows))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
