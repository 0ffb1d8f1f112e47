"""Specialised models under four budgets: perplexity against each, as printed and as measured here.

    python paper_figures/budgets.py [FOLDER]

Writes the figure (HTML) and the table that it draws (JSON Lines) beside this file or into the given folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
from recallscope.budgets import known, point_rows
from recallscope.budgets import perplexity_against_budgets as figure
from recallscope.evidence import evidence
from recallscope.reproduction import Remade, write_figure
from recallscope.reproduction.specialised_models import specialised_models_statements

EVIDENCE = Path(__file__).parent / "evidence" / "budgets.jsonl"

REMADE = Remade(
    figure="Specialised models, perplexity against each budget",
    paper=(
        "Small models after generic training of up to 650 A100 hours and fine-tuning on 1 to 64 million tokens: the "
        "large model is the best where inference allows it, sampling by importance the best small model where a "
        "domain allows its cost, projected networks and hard mixtures where it does not."
    ),
    here=(
        "Above, hollow: the printed cells of Tables 4 and 8 (sampling by importance and distillation have no numbers "
        "in print). Below, filled: all methods on three domains of installed packages with three seeds, at a size for "
        "two cores: models of 0.5 and 1.2 M parameters, at most 164,000 generic tokens, 2,048 to 18,432 of a domain, "
        "fixed passes for early stopping; bars are 95 % over seeds. Hours there, FLOPs here: shapes can be compared, "
        "not values. Published ratios are those of the printed cells at the longest pre-training, largest over the "
        "sets."
    ),
    fill="`recallscope train budgets --out RUN`, then `python paper_figures/budgets_rows.py RUN`.",
    only="cost tables from print; findings with very small models, little training",
)


def table() -> pa.Table:
    rows = [row for name in ("published", str(EVIDENCE)) for row in point_rows(known(name))]
    return evidence(rows + specialised_models_statements(rows))


if __name__ == "__main__":
    write_figure(__file__, table(), figure, *sys.argv[1:])
