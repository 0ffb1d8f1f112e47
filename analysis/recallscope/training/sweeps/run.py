"""Sweeps: every subject with every rate and seed on one mix of tasks, as rows of evidence; resumable."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from recallscope.checks import check_device, check_folder
from recallscope.disk import locked, write_text
from recallscope.evidence import evidence, origin, read_evidence, write_evidence
from recallscope.progress import progress_bar
from recallscope.training.members.mix import named
from recallscope.training.members.readouts import parameters_count
from recallscope.training.members.trainer import Outcome, train_members
from recallscope.training.sweeps.best import best_of
from recallscope.training.sweeps.rows import finite, member_rows, sweep_setting
from recallscope.training.sweeps.subjects import Subject, cannot_bind
from recallscope.training.sweeps.sweep import Sweep


def run_sweep(
    sweep: Sweep,
    folder: str | Path,
    device: str = "cpu",
    log: Callable[[str], None] = lambda line: None,
    command: str = "",
) -> pa.Table:
    """Train every subject, and return one row of evidence per subject, rate, seed and test task.

    Each subject has a file of rows and one of learning curves in `folder`; a subject that has its file is not trained
    again, and one that was interrupted goes on from its checkpoint. All rows together are in `rows.jsonl`.
    """
    check_device(device)
    folder, _ = Path(folder), origin()  # the code that runs, whatever becomes of its checkout meanwhile
    for subject in sweep.subjects:
        if reason := cannot_bind(subject.config):
            log(f"{subject.name}: {reason}, so it will fail at recall")
        parameters_count(subject.config, sweep.mix)  # a shape that cannot be built fails before anything is trained
    check_folder("folder", folder)
    with locked(folder, "folder"):
        _claim(folder, sweep)
        table = _swept(sweep, folder, device, log, command)
        write_evidence(table, folder / "rows.jsonl")
    return table


def _swept(sweep: Sweep, folder: Path, device: str, log: Callable[[str], None], command: str) -> pa.Table:
    files = []
    for number, subject in enumerate(sweep.subjects, 1):
        files.append(folder / f"{_slug(subject.name)}.jsonl")
        if not files[-1].exists():
            _train(sweep, subject, files[-1], device, log, command)
        shutil.rmtree(files[-1].with_suffix(""), ignore_errors=True)  # also of one that was killed after its rows
        best = best_of(read_evidence(files[-1])).to_pylist()
        for row in best:
            spread = "" if row["n"] == 1 else f" [{row['low']:.3f}, {row['high']:.3f}] over {row['n']} seeds"
            log(f"{number}/{len(sweep.subjects)} {row['subject']}: {row['value']:.3f}{spread} at rate {row['rate']:g}")
    return read_evidence(*files)


def _claim(folder: Path, sweep: Sweep) -> None:
    """Note in the folder what is swept, or refuse one that holds another sweep; subjects may differ."""
    same = {"mix": named(sweep.mix), "recipe": asdict(sweep.recipe), "rates": sweep.rates, "seeds": sweep.seeds}
    text = json.dumps(same, default=repr) + "\n"
    note = folder / "sweep.json"
    if note.exists() and note.read_text() != text:
        raise ValueError(f"folder: {folder} holds another sweep (tasks, recipe, rates or seeds differ); choose another")
    write_text(note, text)


def _train(sweep: Sweep, subject: Subject, file: Path, device: str, log: Callable[[str], None], command: str) -> None:
    started = time.perf_counter()

    def told(step: int, outcomes: list[Outcome]) -> None:
        last = [outcome.curve[-1][2] for outcome in outcomes]
        left, seconds = sum(not outcome.stopped for outcome in outcomes), time.perf_counter() - started
        reached = f"{subject.name} step {step}/{sweep.recipe.steps}: {min(last):.3f} to {max(last):.3f}"
        log(f"  {reached}, {left} of {len(last)} training, {seconds:.0f} s")

    place, total = file.with_suffix(""), sweep.recipe.steps * len(sweep.members)
    with progress_bar(subject.mixer, total, unit="steps") as tick:
        outcomes = train_members(
            subject.config, sweep.mix, sweep.recipe, sweep.members, place, device, told, tick=tick, keep=True
        )
    for outcome in outcomes:
        if outcome.stopped == "diverged":
            member = outcome.member
            log(f"  {subject.name}: rate {member.rate:g}, seed {member.seed} diverged by step {outcome.steps}; stopped")
    setting = sweep_setting(sweep, subject, device, command) | {"seconds": round(time.perf_counter() - started, 1)}
    curves = [
        {"subject": subject.name, **asdict(o.member), "curve": [[step, *map(finite, ends)] for step, *ends in o.curve]}
        for o in outcomes
    ]
    write_text(file.with_suffix(".curves.json"), "".join(json.dumps(curve) + "\n" for curve in curves))
    write_evidence(evidence(row for o in outcomes for row in member_rows(sweep, subject, o, setting)), file)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", name)
