"""Based, Figure 2: recall against state, the published points beside the sweep `recall-vs-state`.

    python paper_figures/based_figure2.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.frontier.state_vs_recall import state_vs_recall
from recallscope.published import published_table
from recallscope.reproduction import Remade, based_figure2_statements, write_figure
from recallscope.reproduction.plots import recall_beside_published as figure

HERE = Path(__file__).parent

REMADE = Remade(
    figure="Based, Figure 2",
    paper=(
        "More state, more recall: on MQAR with up to 256 pairs in 1,024 tokens attention answers everything, "
        "Based comes nearest with far less state, and sliding windows, Mamba, H3 and Hyena recall less with as "
        "much."
    ),
    here=(
        "The published points (read off within 0.01) beside our sweep of a size for two cores: vocabulary 512 for"
        " 8,192, up to 64 pairs in 256 tokens, 1,200 steps of 32 examples, three seeds. Compared by rank and by "
        "order: each own model with the published one of the same options, of several widths the nearest. A "
        "window of 128 is half of our longest test, but an eighth of theirs. Our states count short convolutions,"
        " theirs do not."
    ),
    fill="`recallscope sweep based-figure2 --out runs/based` trains the published sizes (a GPU, or many hours).",
    only="at reduced size",
)


def table() -> pa.Table:
    published = published_table("based_figure2")
    swept = rs.read_evidence(HERE / "evidence" / "recall_vs_state.jsonl")
    both = state_vs_recall(pa.concat_tables([swept, published], promote_options="permissive")).to_pylist()
    drawn = [row for row in both if row["metric"] == "accuracy" and row["rule"] is None]
    return evidence(drawn + based_figure2_statements(published, swept))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
