"""The results of a sweep as rows of evidence, and the best rate of each subject."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recallscope.architectures.architecture import Architecture
from recallscope.evidence import evidence
from recallscope.tasks.task import Task
from recallscope.training.readouts import parameters_count
from recallscope.training.recall_shapes import Subject, cannot_bind, options_of
from recallscope.training.task_trainer import Outcome

if TYPE_CHECKING:
    from recallscope.training.sweep import Sweep

ERRORS = ("mean squared error", "total variation")
"""Metrics of which less is better."""


def member_rows(sweep: Sweep, subject: Subject, outcome: Outcome, setting: dict[str, Any]) -> list[dict[str, Any]]:
    own = {
        "rate": outcome.member.rate, "seed": outcome.member.seed, "steps_taken": outcome.steps,
        "stopped": outcome.stopped or None, "validation": outcome.curve[-1][2],
    }  # fmt: skip
    rows = []
    for task, scores in zip(sweep.mix.test, outcome.tests, strict=True):
        state = Architecture("", subject.config).state_elements(task.length)
        columns = setting | own | task_columns(task) | {"state_elements": state}
        found = {name: scores[name] for name in ("accuracy", "total variation") if name in scores}
        for metric, value in (found or {"mean squared error": scores["loss"]}).items():
            result = {"subject": subject.name, "metric": metric, "value": value, "unit": "1", "kind": "measured"}
            rows.append(result | {"n": int(scores["answers"])} | columns)
    return rows


def task_columns(task: Task) -> dict[str, Any]:
    """A task as columns: its class, every number, string or flag of its settings, chance and demand."""
    settings = {name: value for name, value in asdict(task).items() if isinstance(value, int | float | str)}
    return {
        "task": type(task).__name__,
        **settings,
        "chance": task.chance(),
        "demand_bits": _finite(task.demand_bits()),
    }


def sweep_setting(sweep: Sweep, subject: Subject, device: str, command: str) -> dict[str, Any]:
    import torch

    name = torch.cuda.get_device_name() if torch.device(device).type == "cuda" else platform.processor() or "cpu"
    recipe = {key: value for key, value in asdict(sweep.recipe).items() if value is not None}
    longest = max(task.length for task in sweep.mix.test)
    return {
        "sweep": sweep.name, "mixer": subject.mixer,
        "width": subject.config.width, "layers": len(subject.config.layers),
        "options": json.dumps(options_of(subject.config)), "can_bind": not cannot_bind(subject.config),
        "parameters": parameters_count(subject.config, sweep.mix),
        "state_elements_longest": Architecture("", subject.config).state_elements(longest),
        **{key: recipe[key] for key in ("steps", "batch", "examples", "schedule", "weight_decay") if key in recipe},
        "source": command or None, "device": name, "torch": torch.__version__,
    }  # fmt: skip


def best_of(table: pa.Table, metric: str = "accuracy") -> pa.Table:
    """For each subject the rate that validates best on average over seeds, and what it scores on the tests.

    `value` is the mean over test tasks and seeds, `low` and `high` the smallest and largest of a seed, `n` the seeds;
    `rate_low` and `rate_high` the smallest and largest mean of a rate: how much depends on it. Published figures report
    the best of all rates on the test examples themselves, mostly of one seed; that is `maximum`.
    """
    rows = [row for row in table.to_pylist() if row["metric"] == metric]
    best, lost = (min, float("inf")) if metric in ERRORS else (max, 0.0)  # a diverged member knows nothing
    results = []
    for subject in dict.fromkeys(row["subject"] for row in rows):
        own = [
            row | {k: _known(row[k], lost) for k in ("value", "validation")}
            for row in rows
            if row["subject"] == subject
        ]
        rates = sorted({row["rate"] for row in own})
        checked = {rate: _mean(row["validation"] for row in own if row["rate"] == rate) for rate in rates}
        tested = {rate: _by_seed(own, rate) for rate in rates}
        rate = best(rates, key=lambda r: checked[r])
        seeds, means = list(tested[rate].values()), [_mean(per.values()) for per in tested.values()]
        kept = {
            key: own[0][key] for key in ("mixer", "width", "layers", "parameters", "state_elements_longest", "can_bind")
        }
        results.append({
            "subject": subject, "metric": metric, "value": _mean(seeds), "low": min(seeds), "high": max(seeds),
            "n": len(seeds), "unit": "1", "kind": "measured", "rate": rate, "rate_low": min(means),
            "rate_high": max(means), "maximum": best(v for per in tested.values() for v in per.values()), **kept,
        })  # fmt: skip
    return evidence(results)


def _by_seed(rows: Sequence[dict[str, Any]], rate: float) -> dict[int, float]:
    """Mean over test tasks, for each seed of a rate."""
    seeds = dict.fromkeys(row["seed"] for row in rows)
    return {s: _mean(r["value"] for r in rows if r["rate"] == rate and r["seed"] == s) for s in seeds}


def _mean(values: Any) -> float:
    values = list(values)
    return sum(values) / len(values)


def _finite(bits: float) -> float | None:
    """A demand without end (real numbers, exactly) has no place in a table."""
    return bits if math.isfinite(bits) else None


def _known(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise
