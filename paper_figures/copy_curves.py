"""The recurrent transformer: curves of copying by a curriculum, and of text against regular transformers.

    python paper_figures/copy_curves.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, write_figure
from recallscope.reproduction.plots.recurrent_transformer import copy_and_text_curves as figure
from recallscope.reproduction.recurrent_transformer import recurrent_transformer_statements
from recallscope.training.recurrent.rows import curve_rows

HERE = Path(__file__).parent

REMADE = Remade(
    figure="Kausik's recurrent transformer, copying and text",
    paper=(
        "One transformer layer that recurs over blocks copies 16 tokens over 4,096 tokens of noise when the noise "
        "grows by a curriculum, also when they are scattered among it; recurring over single characters it has a lower "
        "loss than six regular layers."
    ),
    here=(
        "What has been trained so far; a line is a seed, and one that was interrupted stops early. Copying: the note's "
        "model (width 96, blocks of 32, h accumulated), noise from 32 to 512 in batches of 32. Copy: rate 1e-3, noise "
        "doubles below a loss of 0.03, not 0.3. Selective copy is not the note's training: positions in the block, "
        "noise of all lengths mixed, GELU, β₂ 0.98, rate 2e-3, at full noise falling to zero twice. Text: models of "
        "width 64, windows of 64 bytes of installed packages, 4.1 MB, tested on other packages."
    ),
    fill=(
        "`python paper_figures/recurrent_transformer_rows.py RUNS` goes on with all runs on a CPU, with `--full` the "
        "note's own size, noise to 4,096, on a GPU."
    ),
    only="noise to 512, small models, own text",
)


def table() -> pa.Table:
    rows = rs.read_evidence(HERE / "evidence" / "recurrent_transformer.jsonl").to_pylist()
    curves = curve_rows(HERE / "evidence" / "recurrent_transformer_curves.jsonl")
    return evidence(rows + curves + recurrent_transformer_statements(rows))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
