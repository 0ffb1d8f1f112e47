"""Based, Figure 4: prefill against the length and a decoding step against the batch, on the device at hand.

    python paper_figures/based_figure4.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, prefix_statement, throughput_statements, write_figure
from recallscope.reproduction.plots import prefill_and_decoding as figure

HERE = Path(__file__).parent

REMADE = Remade(
    figure="Based, Figure 4",
    paper=(
        "On an H100, Based reads prompts 56 % faster than FlashAttention-2 (1.3B, 4,096 tokens) and generates 24 "
        "times as many tokens a second at batch 128. The curves are not known as numbers."
    ),
    here=(
        "Single operators in PyTorch, not models or fused kernels, on the processor that the figure names: 4 "
        "heads, values of 64, one thread by its own time. Only the shape of the curves can be compared: nothing "
        "here says how fast anything is on a GPU."
    ),
    fill=(
        "`python paper_figures/throughput_rows.py --device cuda` measures the same on a GPU; `make gpu` all operators."
    ),
    only="operators on a CPU",
)


def table() -> pa.Table:
    rows = rs.read_evidence(HERE / "evidence" / "throughput.jsonl").to_pylist()
    return evidence([*rows, *throughput_statements(rows), prefix_statement(rows)])


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
