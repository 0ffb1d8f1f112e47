"""Based, Table 6 as a frontier: quality of the ablations against their state.

    python paper_figures/based_table6.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys

import pyarrow as pa
from recallscope.evidence import evidence
from recallscope.published import published_table
from recallscope.reproduction import Remade, ablation_rows, on_frontier_statement, rising_statement, write_figure
from recallscope.reproduction.plots import quality_against_cost as figure

REMADE = Remade(
    figure="Based, Table 6",
    paper=(
        "Ablations at 362M: more Taylor features recall more, Taylor features more than CosFormer's, and both the "
        "window and the convolutions help."
    ),
    here=(
        "The printed cells against the state of the linear and window layers that follows from the printed "
        "features and windows (convolutions left out): 5 layers each, width 1,024, 16 heads. Performer's "
        "perplexities contradict each other and are left out. Nothing was measured here."
    ),
    fill=(
        "`recallscope train lm based --out RUN` trains one of our own; widths of keys and windows are options of "
        "the mixer."
    ),
    only="printed numbers only",
)


def table() -> pa.Table:
    rows, taylor = ablation_rows(published_table("based_table6")), [f"Taylor2 {k}, window 64" for k in (8, 16, 24, 32)]
    rising = [rising_statement(rows, panel, taylor) for panel in dict.fromkeys(row["panel"] for row in rows)]
    return evidence([*rows, *rising, on_frontier_statement(rows, "CosFormer", all_of_them=False)])


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
