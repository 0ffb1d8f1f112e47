"""The AR-aware law: train the grid, measure it, fit it; writes `evidence/recall_law.jsonl` and its sums.

    python paper_figures/recall_law_rows.py --runs RUNS      # everything; goes on where it was stopped
    python paper_figures/recall_law_rows.py                  # the rows again, from the committed sums

The grid takes about an hour of one core that is free. `evidence/recall_law_sums.parquet` holds the loss of every cell
summed by document and slice.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow.parquet as pq
from recallscope.evidence import evidence, origin, write_evidence
from recallscope.scaling.recall import (
    AGAIN,
    Design,
    cells,
    effect_rows,
    grid_of,
    law_rows,
    loss_rows,
    repeated_rows,
    run_grid,
)

HERE = Path(__file__).parent / "evidence"
SUMS = HERE / "recall_law_sums.parquet"
COMMAND = "python paper_figures/recall_law_rows.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=Path, help="folder of the training runs; without it only the rows are made")
    runs = parser.parse_args().runs
    if runs:
        pq.write_table(run_grid((Design(), AGAIN), runs, print), SUMS, compression="zstd")
    sums, made = pq.read_table(SUMS), {"source": COMMAND, **origin()}
    grid, again = (grid_of(cells(design), sums) for design in (Design(), AGAIN))
    rows = loss_rows(grid, cells(Design()), made) + loss_rows(again, cells(AGAIN), made)
    rows += effect_rows(grid, made) + repeated_rows(grid, again, made) + law_rows(grid, made)
    write_evidence(evidence(rows), HERE / "recall_law.jsonl")


if __name__ == "__main__":
    main()
