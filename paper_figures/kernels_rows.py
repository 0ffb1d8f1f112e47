"""Calibration, Based against its peers, and all operators, measured on one device, for `kernels/evidence/<device>/`.

    make gpu                                                     # calibration, Based and its peers, the suite
    python paper_figures/kernels_rows.py --device cpu --small    # the same at small shapes
    python paper_figures/kernels_rows.py --draw FOLDER           # only the figures of rows that are there

Correctness before time, time before counters: operators that are wrong are not timed. What cannot run here (a library
that is missing, a cell that does not fit) is a row without a value that says why. Rows are written group by group: a
run that was stopped, by a kill or by `--minutes`, goes on when started again, and one that loses the GPU starts itself
anew without what brought it down. Pages are written to `runs/kernels`, or beside the rows if `--out` is given.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
import time
from pathlib import Path

from recallscope.profiling.rows import roofs_of
from recallscope.profiling.suite.calibration import calibration, counters_refused
from recallscope.profiling.suite.groups import SMALL, Group, Plan, groups
from recallscope.profiling.suite.ledger import Ledger, opened
from recallscope.profiling.suite.measuring import Bench, measured_group
from recallscope.profiling.suite.pages import draw
from recallscope.profiling.tables import format_roofs
from recallscope_kernels.profiling import device_facts, energy_meter
from recallscope_kernels.profiling.device import Device
from recallscope_kernels.profiling.measure import DeviceLost

ROOT = Path(__file__).parents[1]
BEGUN = "--begun="  # when the first process of this run began: those that it starts anew share its `--minutes`


def bench(facts: Device, given: argparse.Namespace, ledger: Ledger) -> Bench:
    """Roofs and counters of this device: measured, or as the ledger has them from before."""
    dtype, source = "float32" if facts.device == "cpu" else "bfloat16", command()
    if not ledger.rows:
        roofs, table = calibration(facts, dtype, given.budget, source)
        ledger.add(table)
    roofs, refused = roofs_of(ledger.table(), facts), counters_refused(ledger.table())
    print(format_roofs(roofs), refused or "counters: Nsight Compute", sep="\n", flush=True)
    meter = energy_meter(facts.device) if given.energy else None
    return Bench(roofs, dtype, given.budget, source, refused is None, meter, lambda text: print(text, flush=True))


def run(waiting: list[Group], shared: Bench, ledgers: dict[str, Ledger], end: float) -> list[Group]:
    """Measure group after group until `end`; returns those that are left. None is begun if the last took too long."""
    last = 0.0
    for i, group in enumerate(waiting):
        start = time.time()
        if start + last > end:
            return waiting[i:]
        print(f"\n{group}", flush=True)
        measured_group(group, shared, ledgers[group.file])
        last = time.time() - start
    return []


def command() -> str:
    """The command that gives the same rows anywhere."""
    words = [word for word in sys.argv[1:] if not word.startswith(("--out=", BEGUN)) and word != "--fresh"]
    for option in ("--out", "--minutes"):
        if option in words:
            del words[words.index(option) : words.index(option) + 2]
    return shlex.join(["python", "paper_figures/kernels_rows.py", *words])


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda[:n] or cpu")
    parser.add_argument("--small", action="store_true", help="B = 1, H = 2, T = 128 and 256: to try it")
    parser.add_argument("--budget", type=float, default=0.3, help="seconds for each operator and shape")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing that would go on after that")
    parser.add_argument("--energy", action="store_true", help="joules too, 2 seconds for each operator and shape")
    parser.add_argument("--fresh", action="store_true", help="forget the rows of runs before")
    parser.add_argument("--out", type=Path, help="folder [kernels/evidence/<device>]")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="measure nothing, draw the rows of a folder")
    parser.add_argument("--begun", type=float, default=time.time(), help=argparse.SUPPRESS)
    given = parser.parse_args()
    for name in ("budget", "minutes"):
        if not getattr(given, name) > 0:
            raise ValueError(f"{name}: above 0, got {getattr(given, name)}")
    return given


def main() -> None:
    given = parsed()
    pages = given.out or ROOT / "runs" / "kernels"
    pages.mkdir(parents=True, exist_ok=True)
    if given.draw:
        print(json.dumps({"pages": [str(page) for page in draw(given.draw, pages)]}))
        return
    facts = device_facts(given.device)
    folder = given.out or ROOT / "kernels" / "evidence" / re.sub(r"\W+", "-", facts.name.lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    ledgers = {name: opened(folder / f"{name}.jsonl", facts, given.fresh) for name in ("calibration", "based", "suite")}
    shared = bench(facts, given, ledgers["calibration"])
    try:
        left = run(groups(SMALL if given.small else Plan()), shared, ledgers, given.begun + 60 * given.minutes)
    except DeviceLost as error:
        print(f"the GPU was lost to {error}; starting anew without it", flush=True)
        words = [word for word in sys.argv if not word.startswith(BEGUN) and word != "--fresh"]
        os.execv(sys.executable, [sys.executable, *words, f"{BEGUN}{given.begun}"])
    drawn = draw(folder, pages)
    if left:
        print(f"\n{len(left)} groups are left, from {left[0]} on: the same command goes on")
    rows = {name: len(ledger.rows) for name, ledger in ledgers.items()}
    print(json.dumps({"folder": str(folder), "rows": rows, "left": len(left), "pages": [page.name for page in drawn]}))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"kernels_rows: {error}")
