"""The results of a sweep as rows of evidence."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict
from typing import Any

from recallscope.architectures.architecture import Architecture
from recallscope.evidence import origin
from recallscope.tasks.task import Task
from recallscope.training.members.outcome import Outcome
from recallscope.training.members.readouts import parameters_count
from recallscope.training.sweeps.subjects import Subject, cannot_bind, options_of
from recallscope.training.sweeps.sweep import Sweep


def member_rows(sweep: Sweep, subject: Subject, outcome: Outcome, setting: dict[str, Any]) -> list[dict[str, Any]]:
    own = {
        "rate": outcome.member.rate, "seed": outcome.member.seed, "steps_taken": outcome.steps,
        "stopped": outcome.stopped or None, "validation": finite(outcome.curve[-1][2]),
    }  # fmt: skip
    rows = []
    for task, scores in zip(sweep.mix.test, outcome.tests, strict=True):
        state = Architecture("", subject.config).state_elements(task.length)
        columns = setting | own | task_columns(task) | {"state_elements": state}
        found = {name: scores[name] for name in ("accuracy", "total variation") if name in scores}
        for metric, value in (found or {"mean squared error": scores["loss"]}).items():
            result = {
                "subject": subject.name,
                "metric": metric,
                "value": finite(value),
                "unit": "1",
                "kind": "measured",
            }
            rows.append(result | {"n": int(scores["answers"])} | columns)
    return rows


def task_columns(task: Task) -> dict[str, Any]:
    """A task as columns: its class, every number, string or flag of its settings, chance and demand."""
    settings = {name: value for name, value in asdict(task).items() if isinstance(value, int | float | str)}
    return {
        "task": type(task).__name__,
        **settings,
        "chance": task.chance(),
        "demand_bits": finite(task.demand_bits()),
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
        "source": command or None, "device": name, "torch": torch.__version__, **origin(),
    }  # fmt: skip


def finite(value: float) -> float | None:
    """Null for what is no number, as scores of a diverged member, or has no end, as the demand of real numbers."""
    return value if math.isfinite(value) else None
