"""The recurrent transformer in action: trains the runs of `evidence/recurrent_transformer.jsonl`, and writes its rows.

    python paper_figures/recurrent_transformer_rows.py RUNS [NAME ...]     # some of the runs by name, else all
    python paper_figures/recurrent_transformer_rows.py RUNS --full         # the note's own size, on a GPU
    python paper_figures/recurrent_transformer_rows.py RUNS --as-is        # no training: rows of the runs as they stand

The folder keeps each run's last checkpoint: finished runs are not trained again, interrupted ones go on. A wrong name
lists all. Published rows stay: they were read.
"""

from __future__ import annotations

import sys
from pathlib import Path

from recallscope.training.recurrent.rows import write_rows
from recallscope.training.recurrent.runs import full_runs, reduced_runs, train_runs

EVIDENCE = Path(__file__).parent / "evidence"
ROWS, CURVES = EVIDENCE / "recurrent_transformer.jsonl", EVIDENCE / "recurrent_transformer_curves.jsonl"
COMMAND = "python paper_figures/recurrent_transformer_rows.py RUNS"


def main(folder: str, *words: str) -> None:
    full, train, names = "--full" in words, "--as-is" not in words, [word for word in words if word[:2] != "--"]
    runs = {run.name: run for run in (full_runs() if full else reduced_runs())}
    wrong = [name for name in names if name not in runs] + [*({*words} - {*names, "--full", "--as-is"})]
    if wrong:
        raise SystemExit(f"names: some of {', '.join(runs)}, --full, --as-is, got {', '.join(wrong)}")
    device, flag = ("cuda", " --full") if full else ("cpu", "")
    for name in names or runs:
        results = train_runs([runs[name]], folder, device, lambda line: print(line, file=sys.stderr, flush=True), train)
        if results:
            write_rows(results, ROWS, CURVES, f"{COMMAND} {name}{flag}", device)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["runs/recurrent_transformer"])
