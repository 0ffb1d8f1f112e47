"""The benchmark of MAD: its settings of the six tasks, how models are trained on them, and the score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from recallscope.tasks.mad.compression import MadCompression
from recallscope.tasks.mad.fuzzy_recall import MadFuzzyRecall
from recallscope.tasks.mad.in_context_recall import MadRecall
from recallscope.tasks.mad.memorization import MadMemorization
from recallscope.tasks.mad.noisy_recall import MadNoisyRecall
from recallscope.tasks.mad.selective_copying import MadSelectiveCopying

TASKS = (MadRecall, MadFuzzyRecall, MadNoisyRecall, MadSelectiveCopying, MadCompression, MadMemorization)

MadTask = MadRecall | MadFuzzyRecall | MadNoisyRecall | MadSelectiveCopying | MadCompression | MadMemorization

SWEEP = tuple(product((1e-4, 5e-4, 1e-3), (0.0, 0.1)))
"""(peak learning rate, weight decay) of the runs of each setting."""


@dataclass(frozen=True)
class MadRecipe:
    """How each run is trained (Poli et al. 2024, arXiv 2403.17844, as the authors' code does).

    AdamW with moments (0.9, 0.999) and the sweep's weight decay on every parameter. The score of a run is the test
    accuracy of its last weights.

    Attributes
    ----------
    width : int
        Of the models, which are two blocks of a mixer and a feed-forward layer.
    batch, epochs : int
        Examples in a step, and passes over the training examples, each in a new order.
    last_rate : float
        The rate follows half a cosine from its peak to this one, constant within an epoch.
    stop_above : float
        Training ends after an epoch with a test accuracy above this.
    bfloat16 : bool
        Matrix products in bfloat16.
    """

    width: int = 128
    batch: int = 128
    epochs: int = 200
    last_rate: float = 1e-6
    stop_above: float = 0.999
    bfloat16: bool = True

    def rate(self, peak: float, epoch: int) -> float:
        """Learning rate of an epoch, from 0."""
        return self.last_rate + (peak - self.last_rate) * (1 + math.cos(math.pi * epoch / self.epochs)) / 2


@dataclass(frozen=True)
class Setting:
    """One setting of one task; `len(SWEEP)` runs.

    Attributes
    ----------
    test, train : task
        What is scored and what is trained on: the same, but for fuzzy recall, whose training keys vary in length.
    changed : str
        What differs from the task's first setting: `baseline` (nothing), one of its arguments, or `train_examples`.
    train_examples, test_examples : int
        Sizes of the two sets; draw them with different seeds.
    """

    test: MadTask
    train: MadTask
    changed: str = "baseline"
    train_examples: int = 12_800
    test_examples: int = 1_280


_VOCABULARIES, _LENGTHS = (32, 64, 128), (256, 512, 1024)
_SIZES = {"train_examples": (6400, 3200, 1600, 800)}
_RECALL = {"vocabulary": _VOCABULARIES, "length": _LENGTHS} | _SIZES
_CHANGES: dict[type[MadTask], dict[str, tuple]] = {
    MadRecall: _RECALL,
    MadFuzzyRecall: _RECALL,
    MadNoisyRecall: _RECALL | {"vocabulary": (48, 80, 144), "noise": (0.4, 0.6, 0.8)},  # 16 ids are noise in all
    MadSelectiveCopying: {"vocabulary": _VOCABULARIES, "length": (512, 1024), "tokens": (32, 64, 96)} | _SIZES,
    MadCompression: {"vocabulary": _VOCABULARIES, "length": (64, 128, 256)} | _SIZES,
    MadMemorization: {"vocabulary": (512, 1024, 2048, 4096, 8192)},
}


def settings(kind: type[MadTask]) -> list[Setting]:
    """The settings of one of `TASKS`: its defaults, then one change at a time; 66 of all tasks, 396 runs."""
    if kind not in _CHANGES:
        raise ValueError(f"kind: one of {', '.join(task.__name__ for task in TASKS)}, got {kind!r}")
    found = [Setting(kind(), kind(), train_examples=256 if kind is MadMemorization else 12_800)]
    for name, values in _CHANGES[kind].items():
        for value in values:
            if name == "train_examples":
                found.append(replace(found[0], changed=name, train_examples=value))
            else:
                task = kind(**{name: value})
                found.append(replace(found[0], changed=name, test=task, train=task))
    if kind is MadFuzzyRecall:
        found = [replace(one, train=replace(one.test, varied_keys=True)) for one in found]
    return found


def task_score(accuracies: ArrayLike) -> float:
    """Score of a task from test accuracies `[settings, runs]`: the mean over settings of the best run.

    Diverged runs (NaN) do not count. The accuracy is that over all asked positions; the authors' is the mean over
    answer ids of the accuracy on each, batch by batch (the two agree in expectation where all ids are as likely and as
    easy).
    """
    table = np.asarray(accuracies, dtype=float)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"accuracies: a table [settings, runs], got shape {table.shape}")
    if not (np.isnan(table) | ((table >= 0) & (table <= 1))).all():
        raise ValueError(f"accuracies: 0 to 1, or NaN for a diverged run, got {np.nanmin(table)} to {np.nanmax(table)}")
    lost = np.isnan(table).all(1)
    if lost.any():
        raise ValueError(
            f"accuracies: a run that did not diverge in each setting, none in {np.flatnonzero(lost).tolist()}"
        )
    return float(np.nanmax(table, 1).mean())


def mad_score(accuracies: Mapping[type[MadTask], ArrayLike]) -> float:
    """MAD score: the mean of the six task scores, from accuracies `[len(settings(task)), len(SWEEP)]` of each task."""
    if set(accuracies) != set(TASKS):
        missing = [task.__name__ for task in TASKS if task not in accuracies]
        raise ValueError(f"accuracies: exactly the six tasks, missing {', '.join(missing) or 'none'}")
    for task in TASKS:
        shape, wanted = np.shape(accuracies[task]), (len(settings(task)), len(SWEEP))
        if shape != wanted:
            raise ValueError(f"accuracies: {task.__name__} has {wanted} settings and runs, got shape {shape}")
    return float(np.mean([task_score(accuracies[task]) for task in TASKS]))
