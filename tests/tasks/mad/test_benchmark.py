"""The benchmark of MAD: its settings are the published ones, and the score is the mean of best runs."""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
import pytest
import torch
from recallscope.tasks.mad import (
    SWEEP,
    TASKS,
    MadCompression,
    MadFuzzyRecall,
    MadMemorization,
    MadNoisyRecall,
    MadRecall,
    MadRecipe,
    MadSelectiveCopying,
    mad_score,
    settings,
    task_score,
)
from recallscope.tasks.task import Task


def test_there_are_66_settings_and_396_runs():
    counts = [len(settings(task)) for task in TASKS]
    assert counts == [11, 11, 14, 13, 11, 6] and sum(counts) == 66
    assert sum(counts) * len(SWEEP) == 396
    assert sorted(set(SWEEP)) == [(1e-4, 0.0), (1e-4, 0.1), (5e-4, 0.0), (5e-4, 0.1), (1e-3, 0.0), (1e-3, 0.1)]


# baseline, and what each argument is changed to
PUBLISHED = {
    MadRecall: ((16, 128), {"vocabulary": {32, 64, 128}, "length": {256, 512, 1024}}),
    MadFuzzyRecall: ((16, 128, 3, 3), {"vocabulary": {32, 64, 128}, "length": {256, 512, 1024}}),
    MadNoisyRecall: (
        (32, 128, 16, 0.2),
        {"vocabulary": {48, 80, 144}, "length": {256, 512, 1024}, "noise": {0.4, 0.6, 0.8}},
    ),
    MadSelectiveCopying: (
        (16, 256, 16),
        {"vocabulary": {32, 64, 128}, "length": {512, 1024}, "tokens": {32, 64, 96}},
    ),
    MadCompression: ((16, 32), {"vocabulary": {32, 64, 128}, "length": {64, 128, 256}}),
    MadMemorization: ((256, 32), {"vocabulary": {512, 1024, 2048, 4096, 8192}}),
}


@pytest.mark.parametrize("kind", TASKS)
def test_settings_are_the_published_ones(kind):
    first, *changed = settings(kind)
    baseline, changes = PUBLISHED[kind]
    names = [field.name for field in fields(kind)]
    assert first.changed == "baseline" and first.test == kind(*baseline)
    sizes = [256] if kind is MadMemorization else [12_800, 6400, 3200, 1600, 800]
    assert first.train_examples == sizes[0]
    assert {s.train_examples for s in changed if s.changed == "train_examples"} == set(sizes[1:])
    for name in names:
        values = {getattr(s.test, name) for s in changed if s.changed == name}
        assert values == changes.get(name, set())
    for setting in [first, *changed]:
        differs = [name for name in names if getattr(setting.test, name) != getattr(first.test, name)]
        differs += ["train_examples"] * (setting.train_examples != first.train_examples)
        assert differs == ([] if setting is first else [setting.changed])
        assert setting.test_examples == 1280


@pytest.mark.parametrize("kind", TASKS)
def test_only_fuzzy_recall_trains_on_other_examples(kind):
    for setting in settings(kind):
        trained = asdict(setting.train)
        if kind is MadFuzzyRecall:
            assert trained.pop("varied_keys") and not asdict(setting.test)["varied_keys"]
        assert asdict(setting.test) | trained == asdict(setting.test)


def test_every_setting_draws():
    for setting in (setting for task in TASKS for setting in settings(task)):
        assert setting.train.sample(2).inputs.shape == setting.test.sample(2).inputs.shape == (2, setting.test.length)


def test_recall_alone_trains_on_every_token():
    assert [task.__name__ for task in TASKS if task.trained_on_all] == ["MadRecall", "MadFuzzyRecall", "MadNoisyRecall"]


def test_rates_are_those_of_the_cosine_schedule():
    recipe = MadRecipe()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=200, eta_min=1e-6)
    for epoch in range(200):
        assert recipe.rate(5e-4, epoch) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        schedule.step()
    assert (recipe.width, recipe.batch, recipe.epochs) == (128, 128, 200)


def test_scores_by_hand():
    assert task_score([[0.1, 0.5, 0.2], [1.0, 0.0, float("nan")]]) == pytest.approx((0.5 + 1.0) / 2)
    tables = {task: np.full((len(settings(task)), 6), 0.25) for task in TASKS}
    tables[MadMemorization][:3, 4] = 0.75  # the best run of half the settings
    assert mad_score(tables) == pytest.approx((5 * 0.25 + 0.5) / 6)  # tasks weigh the same, not settings


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: settings(Task),  # type: ignore[arg-type]
            "kind: one of MadRecall, MadFuzzyRecall, .* got <class",
        ),
        (lambda: task_score([0.5, 0.5]), r"accuracies: a table \[settings, runs\], got shape \(2,\)"),
        (lambda: task_score([[]]), r"accuracies: a table \[settings, runs\], got shape \(1, 0\)"),
        (lambda: task_score([[50.0, 0.1]]), "accuracies: 0 to 1, or NaN for a diverged run, got 0.1 to 50.0"),
        (
            lambda: task_score([[0.5], [float("nan")]]),
            r"accuracies: a run that did not diverge in each .* none in \[1\]",
        ),
        (lambda: mad_score({MadRecall: [[0.5]]}), "accuracies: exactly the six tasks, missing MadFuzzyRecall, "),
        (
            lambda: mad_score({task: np.ones((11, 6)) for task in TASKS}),
            r"accuracies: MadNoisyRecall has \(14, 6\) settings and runs, got shape \(11, 6\)",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()
