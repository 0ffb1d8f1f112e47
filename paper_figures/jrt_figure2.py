"""JRT, Figure 2: which token two sets share, read in order and not, by which set comes first.

    python paper_figures/jrt_figure2.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, jrt_figure2_points, jrt_figure2_statements, without_seeds, write_figure
from recallscope.reproduction.plots import accuracy_of_sets as figure

EVIDENCE = Path(__file__).parent / "evidence" / "jrt_figure2.jsonl"

REMADE = Remade(
    figure="JRT, Figure 2",
    paper=(
        "A causal recurrent model has to keep all of the set that comes first, so the larger set first is harder; "
        "a model that encodes the whole input depends less on the order, and recalls more with the same state. "
        "The points are not known as numbers."
    ),
    here=(
        "The sweep `jrt-figure2-small`: four layers of width 36, convolutions and Taylor linear attention of 2 "
        "heads in turn, read in order (`based`) or encoded first (`jrt`); keys of 2, 4 and 8, vocabulary 128, "
        "trained on sets of 2 to 16, tested to 32, 1,000 steps of 64 new examples, three seeds of one rate. The "
        "state is that of the causal read, which both keep."
    ),
    fill=(
        "`recallscope sweep jrt-figure2-small --out RUN` (minutes on a core; its rows are the evidence), or "
        "`jrt-figure2` with the published sizes and recipe (a GPU, or days)."
    ),
    only="at reduced size",
)


def table() -> pa.Table:
    points = jrt_figure2_points(rs.read_evidence(EVIDENCE))
    return evidence(without_seeds(points) + jrt_figure2_statements(points))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
