"""Chinchilla's loss law and its refit: constants with intervals, and the tokens per parameter that each law asks for.

    python paper_figures/chinchilla_refit.py [FOLDER [FIT]]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder. FIT, a file
of `recallscope scaling fit RUNS ... --out FIT`, is drawn beside the published laws.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import recallscope as rs
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, write_figure
from recallscope.reproduction.chinchilla import chinchilla_rows, chinchilla_statements
from recallscope.scaling import constants_of_laws as figure
from recallscope.scaling import law_and_rows

HERE = Path(__file__).parent

REMADE = Remade(
    figure="Hoffmann et al., approach 3, and Besiroglu et al.",
    paper=(
        "Hoffmann et al. fit L = E + A/N^α + B/D^β to their runs, by which Chinchilla's budget asks for far more "
        "tokens than Chinchilla had. Besiroglu et al. refit 240 digitised runs: other constants, with an optimum at "
        "the ratio of Chinchilla itself; the first fit had stopped early, on a mean in place of a sum."
    ),
    here=(
        "The published constants with the intervals in print, and the tokens per parameter that each law asks for; "
        "the same fit, and the same optimiser stopping early, on synthetic runs made from the refit's constants: the "
        "digitised runs are public without a licence and are not in this repository."
    ),
    fill=(
        '`recallscope scaling fit RUNS.csv --size N="Model Size" --flops "Training FLOP" --drop-highest 5 --out FIT` '
        "on the digitised runs, then `python paper_figures/chinchilla_refit.py FOLDER FIT`."
    ),
    only="printed constants, and synthetic runs",
)


def table(fit: str | None = None) -> pa.Table:
    own = rs.read_evidence(HERE / "evidence" / "loss_law.jsonl")
    law, resamples = law_and_rows(fit) if fit else (None, None)
    rows = chinchilla_rows(own, law, resamples)
    return evidence(rows + chinchilla_statements(rows))


if __name__ == "__main__":
    write_figure(__file__, table(*sys.argv[2:]), figure, *sys.argv[1:2])
