"""The benchmark of MAD as sweeps, and its scores from their rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from recallscope.evidence import evidence
from recallscope.tasks.mad.benchmark import SWEEP, TASKS, MadRecipe, Setting, mad_score, settings, task_score
from recallscope.training.members.mix import Mix
from recallscope.training.members.recipe import Recipe
from recallscope.training.sweeps.subjects import Subject, recall_subject
from recallscope.training.sweeps.sweep import Sweep

SUBJECTS = (
    "attention:first=None,heads=8",
    "sliding_window:first=None,heads=8,window=32",
    "linear_attention:first=None,heads=16",
    "gla:first=None,heads=8,key_width=16",
    "rwkv6:head_width=16",
    "mamba:state_size=4",
    "hyena:length={length}",
)


def mad() -> tuple[Sweep, ...]:
    """MAD as the authors' code has it: 66 settings of six tasks, two weight decays, three rates.

    Poli et al. 2024, arXiv 2403.17844. Two blocks of a mixer and a SwiGLU layer of twice the width. GLA, RWKV-6 and
    Mamba have about the authors' total state of 4,096 elements (Mamba 256 · 4 and 256 · 3 a layer, as a convolution of
    4 taps keeps 3 inputs; RWKV-6 also the inputs of its shifts). Different here: the width of the feed-forward layers,
    which the authors fit to equal parameters; validation examples of their own stop training, looked at every 50 steps
    at most; and what `plans.based_figure2` says.
    """
    recipe, decays = MadRecipe(), dict.fromkeys(decay for _, decay in SWEEP)
    kinds = [(kind, setting) for kind in TASKS for setting in settings(kind)]
    return tuple(_sweep(kind.__name__, setting, decay, recipe) for kind, setting in kinds for decay in decays)


def _sweep(kind: str, setting: Setting, decay: float, recipe: MadRecipe) -> Sweep:
    task, batch = setting.test, min(recipe.batch, setting.train_examples)
    changed = getattr(setting if setting.changed == "train_examples" else task, setting.changed, "")
    epoch = setting.train_examples // batch
    training = Recipe(
        steps=recipe.epochs * epoch, batch=batch, examples=setting.train_examples, schedule="cosine by epoch",
        last_rate=recipe.last_rate, weight_decay=decay, evaluate_every=-(-50 // epoch) * epoch, validation=320,
        test=setting.test_examples, stop_at=recipe.stop_above, bfloat16=recipe.bfloat16,
    )  # fmt: skip
    rates = tuple(rate for rate, its_decay in SWEEP if its_decay == decay)
    name = f"{kind}-{setting.changed}{changed}-decay{decay:g}"
    about = "Poli et al. 2024 (arXiv 2403.17844)"
    subjects = _subjects(task.length, recipe.width)
    return Sweep(name, subjects, Mix(((setting.train, 1.0),), (task,)), rates, (0,), training, about)


@cache
def _subjects(length: int, width: int) -> tuple[Subject, ...]:
    return tuple(recall_subject(f"{name.format(length=length)},ffn_width={2 * width}", width) for name in SUBJECTS)


def mad_scores(table: pa.Table) -> pa.Table:
    """Scores of each mixer from the rows of all sweeps of `mad`: of the six tasks, and their mean, the MAD score."""
    rows = [row for row in table.to_pylist() if row["metric"] == "accuracy"]
    results = []
    for mixer in dict.fromkeys(row["mixer"] for row in rows):
        own = [row for row in rows if row["mixer"] == mixer]
        accuracies = {kind: _accuracies(own, kind.__name__) for kind in TASKS}
        scores = {kind.__name__: task_score(found) for kind, found in accuracies.items()}
        for metric, value in (scores | {"MAD": mad_score(accuracies)}).items():
            shape = {"mixer": mixer, "parameters": own[0]["parameters"], "state": own[0]["state_elements_longest"]}
            row = {"subject": mixer, "metric": f"{metric} score", "value": value, "unit": "1", "kind": "derived"}
            results.append(row | {"n": len(own)} | shape)
    return evidence(results)


def _accuracies(rows: list[dict[str, Any]], kind: str) -> np.ndarray:
    """`[settings, runs]` of one task; a diverged run is NaN."""
    by_setting: dict[str, list[float]] = {}
    for row in rows:
        if row["task"] == kind:
            value = np.nan if row["stopped"] == "diverged" or row["value"] is None else float(row["value"])
            by_setting.setdefault(row["sweep"].rpartition("-decay")[0], []).append(value)
    if len({len(runs) for runs in by_setting.values()}) > 1:
        raise ValueError(f"table: every setting of {kind} with {len(SWEEP)} runs; some have fewer")
    return np.array(list(by_setting.values()))


def format_scores(table: pa.Table) -> str:
    """Scores as text, a mixer a line."""
    rows = table.to_pylist()
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    scores: Mapping[tuple[str, str], float] = {(row["subject"], row["metric"]): row["value"] for row in rows}
    mixers = list(dict.fromkeys(row["subject"] for row in rows))
    width = max(map(len, mixers))
    shown = [metric.removesuffix(" score") for metric in metrics]
    lines = ["  ".join([" " * width, *shown])]
    for mixer in mixers:
        cells = (f"{scores[mixer, metric]:>{len(name)}.3f}" for metric, name in zip(metrics, shown, strict=True))
        lines.append("  ".join([f"{mixer:<{width}}", *cells]))
    return "\n".join(lines)
