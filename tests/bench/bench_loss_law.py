"""Loss-law fits: seconds of a full fit and of its bootstrap, and how often intervals hold the true constants.

Synthetic runs have the constants of Besiroglu et al. 2024 and sizes drawn over the range of Hoffmann et al. 2022,
Figure 4 (`synthetic_runs`). Prints one line per constant and, as the last line, one JSON object.

    python tests/bench/bench_loss_law.py --repetitions 200
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "analysis"))

from recallscope.reproduction.chinchilla import synthetic_runs
from recallscope.scaling import constant_names, fit_loss_law, published_law

TRUE = published_law("besiroglu")


def coverage(repetitions: int, count: int, bootstrap: int, errors: str, resample: str, spread: float) -> dict[str, int]:
    """How often the 95 % percentile interval of each constant held it."""
    held = np.zeros(5, int)
    for repetition in range(repetitions):
        sizes, losses = synthetic_runs(repetition, count, spread, errors)
        found = fit_loss_law(sizes, losses, starts=300, bootstrap=bootstrap, resample=resample, seed=repetition)
        low, high = np.quantile(found.rows, [0.025, 0.975], axis=0)
        held += (low <= TRUE.row()) & (TRUE.row() <= high)
        if (repetition + 1) % 25 == 0:
            print(f"{repetition + 1}: {held / (repetition + 1)}", file=sys.stderr, flush=True)
    return dict(zip(constant_names(TRUE.terms), held.tolist(), strict=True))


def seconds(count: int, bootstrap: int) -> dict[str, float]:
    """Wall and processor time of a fit from 4,500 starts, and of one from 300 starts with a bootstrap."""
    sizes, losses = synthetic_runs(0, count)
    found = {}
    for name, starts, refits in (("fit_4500_starts", 4500, 0), (f"bootstrap_{bootstrap}", 300, bootstrap)):
        wall, own = time.perf_counter(), time.process_time()
        fit_loss_law(sizes, losses, starts=starts, bootstrap=refits)
        found |= {name: time.perf_counter() - wall, f"{name}_processor": time.process_time() - own}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--runs", type=int, default=240)
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--errors", choices=("normal", "student"), default="normal")
    parser.add_argument("--resample", choices=("runs", "residuals"), default="runs")
    parser.add_argument("--spread", type=float, default=0.004)
    a = parser.parse_args()
    timing = seconds(a.runs, 1000)
    print(", ".join(f"{name} {value:.1f} s" for name, value in timing.items()))
    held = coverage(a.repetitions, a.runs, a.bootstrap, a.errors, a.resample, a.spread)
    for name, hits in held.items():
        print(f"{name:<8}{hits} of {a.repetitions} ({100 * hits / a.repetitions:.1f} %)")
    print(json.dumps({"seconds": timing, "held": held, **vars(a)}))


if __name__ == "__main__":
    main()
