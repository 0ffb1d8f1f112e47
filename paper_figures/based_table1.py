"""Based, Table 1 as a frontier: perplexity on AR hits against throughput.

    python paper_figures/based_table1.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys

import pyarrow as pa
from recallscope.evidence import evidence
from recallscope.published import published_table
from recallscope.reproduction import Remade, beaten_statement, on_frontier_statement, throughput_rows, write_figure
from recallscope.reproduction.plots import quality_against_cost as figure

REMADE = Remade(
    figure="Based, Table 1",
    paper=(
        "Based extends the frontier of recall against throughput: better recall than Mamba at a similar or higher "
        "throughput, and a far higher throughput than the Transformer."
    ),
    here=(
        "The printed perplexities on AR hits against the printed throughputs, models of 10 B training tokens, by "
        "scale and phase; intervals are those of rounding. The 30 B rows of 360M are not drawn: their throughputs "
        "are those of 1.3B, printed again. Nothing was measured here."
    ),
    fill=("`recallscope frontier` draws any quality against any cost, own rows among them."),
    only="printed numbers only",
)


def table() -> pa.Table:
    rows = throughput_rows(published_table("based_table1"))
    return evidence([*rows, on_frontier_statement(rows, "Based"), beaten_statement(rows, "Mamba", "Based"),
                     on_frontier_statement(rows, "Transformer++")])  # fmt: skip


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
