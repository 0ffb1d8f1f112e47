"""JRT: average accuracy against the time of prefill, as a frontier.

    python paper_figures/jrt_prefill.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys

import pyarrow as pa
from recallscope.evidence import evidence
from recallscope.published import published_table
from recallscope.reproduction import Remade, on_frontier_statement, prefill_rows, write_figure
from recallscope.reproduction.plots import quality_against_cost as figure

REMADE = Remade(
    figure="JRT, quality against prefill",
    paper=(
        "JRT-RNN reaches 96 to 99 % of the Transformer's average accuracy (Table 2) and reads prompts far faster "
        "(Table 5); the paper draws no figure of it."
    ),
    here=(
        "The printed averages against the printed latencies of the kernel that each model reads with: batch 16, "
        "16,384 tokens, H100. Latencies are of one kernel call, not of a model, and the same at every scale. "
        "Mamba has no kernel in the table. Nothing was measured here."
    ),
    fill=("`recallscope frontier` draws any quality against any cost, own rows among them."),
    only="printed numbers only",
)


def table() -> pa.Table:
    rows = prefill_rows(published_table("jrt_table2", "jrt_table5_length"), 16384)
    return evidence([*rows, *(on_frontier_statement(rows, name) for name in ("JRT-RNN", "Based", "Transformer"))])


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
