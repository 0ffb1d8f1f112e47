"""Rows of `evidence/loss_law.jsonl`: a fit to synthetic runs with its intervals, and where a badly scaled one stops.

    python paper_figures/loss_law_rows.py [FILE]

About half a minute. The runs are made from the constants of Besiroglu et al. 2024; nothing is read.
"""

from __future__ import annotations

import sys
from pathlib import Path

from recallscope.evidence import evidence, origin, write_evidence
from recallscope.reproduction.chinchilla import SYNTHETIC, early_stop_rows, synthetic_runs
from recallscope.scaling import constant_intervals, fit_loss_law

SEED = 0


def main(path: str | Path = Path(__file__).parent / "evidence" / "loss_law.jsonl") -> None:
    sizes, losses = synthetic_runs(SEED)
    fit = fit_loss_law(sizes, losses, bootstrap=1000)
    intervals = constant_intervals(fit)
    rows = []
    for metric, value in fit.law.constants().items():
        low, high = intervals[metric] or (None, None)
        rows.append({
            "subject": SYNTHETIC, "metric": metric, "value": value, "unit": "1", "low": low, "high": high,
            "n": len(losses), "kind": "measured", "source": "paper_figures/loss_law_rows.py", "seed": SEED,
            "bootstrap": len(fit.rows),
        })  # fmt: skip
    rows += early_stop_rows(sizes, losses, SEED)
    write_evidence(evidence([row | origin() for row in rows]), path)


if __name__ == "__main__":
    main(*sys.argv[1:])
