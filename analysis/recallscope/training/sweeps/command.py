"""`recallscope train task` and `recallscope sweep`: from names to sweeps, and their results as text."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from recallscope.architectures.mixers import MIXERS
from recallscope.tasks import TASKS
from recallscope.tasks.names import task_by_name
from recallscope.training.members.mix import single
from recallscope.training.sweeps.best import best_of
from recallscope.training.sweeps.plans import PLANS
from recallscope.training.sweeps.run import run_sweep
from recallscope.training.sweeps.scales import RECIPES, SCALES, SETTINGS
from recallscope.training.sweeps.subjects import Subject, recall_subject
from recallscope.training.sweeps.sweep import Sweep

Log = Callable[[str], None]


def task_sweep(
    mixers: Sequence[str],
    task: str = "mqar",
    scale: str = "small",
    settings: Mapping[str, str] | None = None,
    width: int | None = None,
    rates: Sequence[float] | None = None,
    seeds: int | None = None,
    **recipe: object,
) -> Sweep:
    """The sweep of some mixers over one task at a scale; what is None is the scale's, and so is the rest of the recipe.

    Mixers are named as in `recall_subject`, tasks as in `TASKS`; `settings` are the task's, as text.
    """
    if task not in TASKS:
        raise ValueError(f"task: one of {', '.join(TASKS)}, got {task!r}")
    if scale not in SCALES:
        raise ValueError(f"scale: one of {', '.join(SCALES)}, got {scale!r}")
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds: at least 1, got {seeds}")
    chosen = RECIPES[scale]
    usual = {name: _as_text(value) for name, value in SETTINGS.get(task, {}).get(scale, {}).items()}
    made = task_by_name(task, usual | dict(settings or {}))
    subjects = tuple(recall_subject(mixer, width or chosen.width) for mixer in dict.fromkeys(mixers))
    given = {name: value for name, value in recipe.items() if value is not None}
    steps = given.get("steps", chosen.recipe.steps)
    if "steps" in given and "evaluate_every" not in given and isinstance(steps, int):
        given["evaluate_every"] = max(1, min(chosen.recipe.evaluate_every, steps // 8))
    return Sweep(
        f"{task}-{scale}",
        subjects,
        single(made),
        tuple(rates or chosen.rates),
        tuple(range(seeds)) if seeds else chosen.seeds,
        replace(chosen.recipe, **given),  # type: ignore[arg-type]
    )


def _as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def planned(plan: str, only: str | None = None, also: Sequence[str] = ()) -> list[Sweep]:
    """The sweeps of a plan, with further subjects (`recall_subject`), and only those whose names contain `only`."""
    if plan not in PLANS:
        raise ValueError(f"plan: one of {', '.join(PLANS)}, got {plan!r}")
    more = tuple(recall_subject(name) for name in also)
    sweeps = [replace(sweep, subjects=_without_twins(sweep.subjects + more)) for sweep in PLANS[plan]()]
    if only is None:
        return sweeps
    kept = [replace(s, subjects=tuple(x for x in s.subjects if only in x.name)) for s in sweeps if _has(s, only)]
    if not kept:
        names = ", ".join(dict.fromkeys(subject.mixer for sweep in sweeps for subject in sweep.subjects))
        raise ValueError(f"only: a part of the name of a subject ({names}), got {only!r}")
    return kept


def _without_twins(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    return tuple({subject.name: subject for subject in subjects}.values())


def _has(sweep: Sweep, only: str) -> bool:
    return any(only in subject.name for subject in sweep.subjects)


def load_mixers(files: Sequence[str | Path]) -> None:
    """Run Python files that add mixers of one's own to `MIXERS`, whose names then work like the others."""
    for file in files:
        before = set(MIXERS)
        if not Path(file).is_file():
            raise ValueError(f"load: a Python file, got {str(file)!r}")
        runpy.run_path(str(file))
        if set(MIXERS) == before:
            raise ValueError(f"load: a file that adds a mixer (MIXERS['name'] = Class), {file} added none")


def run_sweeps(sweeps: Sequence[Sweep], out: str | Path, device: str, log: Log, command: str) -> pa.Table:
    """Run them one after another, each in a folder of its name (one alone: in `out` itself); all rows as one table."""
    folders = [Path(out) / sweep.name if len(sweeps) > 1 else Path(out) for sweep in sweeps]
    tables = [run_sweep(s, folder, device, log, command) for s, folder in zip(sweeps, folders, strict=True)]
    return pa.concat_tables(tables, promote_options="permissive")


def format_sweep(table: pa.Table) -> str:
    """Best rate of each subject with its spread over seeds, and how much the rate matters, as text; sweep by sweep."""
    sweeps: list[str] = list(dict.fromkeys(table["sweep"].to_pylist())) if "sweep" in table.column_names else []
    if len(sweeps) <= 1:
        return _format_one(table)
    return "\n\n".join(f"{name}\n{_format_one(_of_sweep(table, name))}" for name in sweeps)


def _of_sweep(table: pa.Table, name: str) -> pa.Table:
    return table.filter(pa.array([own == name for own in table["sweep"].to_pylist()]))


def _format_one(table: pa.Table) -> str:
    metrics = list(dict.fromkeys(table["metric"].to_pylist()))
    lines = []
    for metric in metrics:
        rows = best_of(table, metric).to_pylist()
        width = max(len(name) for name in (metric, *(row["subject"] for row in rows)))
        lines.append(f"{metric:<{width}}   mean  over seeds      rate   over rates      state elements")
        for row in rows:
            seeds, rates = (f"{row[f'{a}low']:.3f} - {row[f'{a}high']:.3f}" for a in ("", "rate_"))
            state = f"{row['state_elements_longest']:>14,}"
            lines.append(
                f"{row['subject']:<{width}}  {row['value']:.3f}  {seeds}  {row['rate']:>8.2g}  {rates}  {state}"
            )
    chances = sorted({row["chance"] for row in table.to_pylist() if row["metric"] == "accuracy"})
    if chances:
        lines.append("chance: " + ", ".join(f"{chance:.3f}" for chance in chances))
    return "\n".join(lines)
