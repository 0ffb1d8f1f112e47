"""Specialised models of every method, measured for `evidence/budgets.jsonl`.

    python paper_figures/budgets_rows.py RUN [NAME=PATH ...]

RUN is a folder: a finished run of `recallscope train budgets` is copied, an unfinished one goes on. Domains as in
`train budgets --domain`; without them three packages that every installation has.
"""

from __future__ import annotations

import sys
from pathlib import Path

from recallscope.budgets import run_budgets
from recallscope.budgets.command import own_domains
from recallscope.evidence import write_evidence

FILE = Path(__file__).parent / "evidence" / "budgets.jsonl"

if __name__ == "__main__":
    folder, *domains = sys.argv[1:]
    command = " ".join(["recallscope train budgets", *(f"--domain {text}" for text in domains)])
    table = run_budgets(folder, own_domains(domains), log=lambda line: print(line, file=sys.stderr), command=command)
    write_evidence(table, FILE)
