"""JRT, Table 5 as a figure: time of prefill against length and batch.

    python paper_figures/jrt_table5.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.published import published_table
from recallscope.reproduction import Remade, claim_statements, latency_rows, write_figure
from recallscope.reproduction.plots import prefill_latency as figure

HERE = Path(__file__).parent

REMADE = Remade(
    figure="JRT, Table 5",
    paper=(
        "The authors' kernels read prompts up to 19.2 times as fast as FlashAttention-2 (JRT-RNN, 32,768 tokens, "
        "batch 16, H100) and 11.9 times with the prompt given twice."
    ),
    here=(
        "Both halves of the printed table, without the cells that ran out of memory, and the ratios of the text "
        "recomputed from them. At the right, and in no statement, what three operators in PyTorch take on the "
        "processor that is named there, one thread, shorter texts: nothing was timed on a GPU here."
    ),
    fill=(
        "`recallscope profile based attention --device cuda --shape B=16 --length 2048,4096,8192,16384,32768 "
        "--out rows.jsonl`, on a GPU."
    ),
    only="printed numbers only",
)


def table() -> pa.Table:
    rows = published_table("jrt_table5_length", "jrt_table5_batch").to_pylist()
    rows += latency_rows(rs.read_evidence(HERE / "evidence" / "throughput.jsonl").to_pylist())
    return evidence(rows + claim_statements("jrt_claims", "prefill"))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
