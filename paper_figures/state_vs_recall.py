"""State against recall: information limit, memory rules and trained models in bits, from stored evidence alone.

    python paper_figures/state_vs_recall.py [FOLDER]

Writes the figure `state_vs_recall.html` and the table that it draws, `state_vs_recall.jsonl`, beside this file or into
the given folder. The page draws with the `plotly.min.js` that is written beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.frontier.state_vs_recall import state_vs_recall
from recallscope.published import published_names, published_table
from recallscope.reproduction import write_figure

HERE = Path(__file__).parent


def main(folder: Path = HERE) -> None:
    swept = rs.read_evidence(HERE / "evidence" / "recall_vs_state.jsonl")
    evidence = pa.concat_tables([swept, published_table(*published_names())], promote_options="permissive")
    write_figure(__file__, state_vs_recall(evidence), rs.plots.state_vs_recall_figure, folder)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
