"""The exponent of the efficient size against the data exponent of the loss law that it is derived from.

    python paper_figures/gamma_against_beta.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys

import pyarrow as pa
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, write_figure
from recallscope.reproduction.gamma import gamma_rows, gamma_statements
from recallscope.scaling import efficient_exponent_against_beta as figure

REMADE = Remade(
    figure="Kausik, exponent of the efficient size",
    paper=(
        "The size of an efficient model grows as D^γ with the corpus, γ between 0.44 and 0.72, below the linear rule "
        "of Chinchilla (abstracts; the proof and the tables of later versions were not read)."
    ),
    here=(
        "γ between 1 - 2β and 1 - β, a reconstruction that gives the printed interval exactly from Chinchilla's "
        "rounded β = 0.28, at the β of each published law: the refit's β moves both ends down."
    ),
    fill="`recallscope scaling efficient --law FIT`, with a fit of your own runs.",
    only="printed numbers; the derivation is a reconstruction",
)


def table() -> pa.Table:
    rows = gamma_rows()
    return evidence(rows + gamma_statements(rows))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
