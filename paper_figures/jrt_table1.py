"""JRT, Table 1 as a figure: what reading the prompt twice gains, for each model and task.

    python paper_figures/jrt_table1.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys

import pyarrow as pa
from recallscope.evidence import evidence
from recallscope.published import published_table
from recallscope.reproduction import Remade, claim_statements, gain_rows, gain_statements, write_figure
from recallscope.reproduction.plots import gain_of_second_reading as figure

REMADE = Remade(
    figure="JRT, Table 1",
    paper=(
        "With the document and the question given twice (JRT-Prompt), 16 recurrent models gain 11.0 ± 1.3 points "
        "on average over six recall-intensive tasks."
    ),
    here=(
        "The difference of the two printed cells for each model and task, and the claims of the text recomputed "
        "from them. No model was run here."
    ),
    fill=(
        "`recallscope zero-shot MODEL --task mqar` puts synthetic recall to any language model; the six tasks "
        "need lm-evaluation-harness and their data."
    ),
    only="printed numbers only",
)


def table() -> pa.Table:
    rows = gain_rows(published_table("jrt_table1"))
    return evidence(rows + gain_statements(rows) + claim_statements("jrt_claims", "gain"))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
